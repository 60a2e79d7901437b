//! Lists in pages: filter, order, limit and cursor.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{FieldError, Role, Status, Timestamp, User, UserId};

/// The maximum number of items of a page: 1 to 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    pub const MAX: u8 = 200;
    pub const DEFAULT: u8 = 50;

    /// # Errors
    /// `out_of_range` outside 1 to 200.
    pub fn new(number: i64) -> Result<Self, FieldError> {
        match u8::try_from(number) {
            Ok(limit @ 1..=Self::MAX) => Ok(Self(limit)),
            _ => {
                let message = format!("The parameter limit must be from 1 to {}.", Self::MAX);
                Err(FieldError::new("limit", "out_of_range", message))
            }
        }
    }

    #[must_use]
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str)]
pub enum UserSort {
    #[default]
    #[strum(serialize = "-created_at")]
    NewestFirst,
    #[strum(serialize = "created_at")]
    OldestFirst,
    #[strum(serialize = "email")]
    Email,
    #[strum(serialize = "-email")]
    EmailDescending,
}

/// The last user of the previous page, by what the list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCursor {
    Created(Timestamp, UserId),
    /// `Email::key`.
    Email(String),
}

impl UserCursor {
    /// The position after `user`.
    #[must_use]
    pub fn after(user: &User, sort: UserSort) -> Self {
        match sort {
            UserSort::NewestFirst | UserSort::OldestFirst => Self::Created(user.created_at, user.id),
            UserSort::Email | UserSort::EmailDescending => Self::Email(user.profile.email.key().to_owned()),
        }
    }

    /// The opaque text that clients send back.
    #[must_use]
    pub fn encode(&self, sort: UserSort) -> String {
        let content = match self {
            Self::Created(at, id) => CursorContent {
                sort: sort.into_str().into(),
                at: Some((at.millis(), *id.as_uuid())),
                key: None,
            },
            Self::Email(key) => {
                CursorContent { sort: sort.into_str().into(), at: None, key: Some(key.clone()) }
            }
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).unwrap_or_default())
    }

    /// Returns `None` if the text is no cursor of a list in this order.
    #[must_use]
    pub fn decode(text: &str, sort: UserSort) -> Option<Self> {
        let content: CursorContent = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        if content.sort != sort.into_str() {
            return None;
        }
        match (sort, content.at, content.key) {
            (UserSort::NewestFirst | UserSort::OldestFirst, Some((at, id)), None) => {
                Some(Self::Created(Timestamp::from_millis(at), UserId::from_uuid(id)))
            }
            (UserSort::Email | UserSort::EmailDescending, None, Some(key)) => Some(Self::Email(key)),
            _ => None,
        }
    }
}

/// The content of a cursor. It needs no signature: a forged one can only move along the list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorContent {
    sort: String,
    at: Option<(i64, Uuid)>,
    key: Option<String>,
}

/// Which users a list contains; all by default.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Words in the address or names, see `search_words`.
    pub text: Option<String>,
    pub role: Option<Role>,
    pub status: Option<Status>,
    pub disabled: Option<bool>,
}

/// A page of users.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    pub filter: UserFilter,
    pub sort: UserSort,
    pub cursor: Option<UserCursor>,
    pub limit: Limit,
    /// Whether to count all users that pass the filter.
    pub count: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<C>,
    /// The number of items of all pages, if requested.
    pub total: Option<u64>,
}

impl<T, C> Page<T, C> {
    /// The first `limit` of `items`, of which there is one more if there is a next page; `after` makes the cursor of the last.
    pub(crate) fn first(mut items: Vec<T>, limit: usize, after: impl FnOnce(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(after);
        Self { items, next, total: None }
    }

    pub(crate) fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U, C> {
        Page { items: self.items.into_iter().map(item).collect(), next: self.next, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_has_a_next_one_if_there_is_one_item_more() {
        for (items, limit, next) in [(0, 3, None), (2, 3, None), (3, 3, None), (4, 3, Some(2))] {
            let page = Page::first((0..items).collect(), limit, |last: &i32| *last);
            assert_eq!((page.items.len(), page.next), (limit.min(items.unsigned_abs() as usize), next));
        }
    }

    #[test]
    fn a_cursor_comes_back_in_its_own_order_alone() {
        let created = UserCursor::Created(Timestamp::from_millis(-5), UserId::new());
        let email = UserCursor::Email("ann@example.com".to_owned());
        for (cursor, sort, other) in [
            (created, UserSort::NewestFirst, UserSort::OldestFirst),
            (email, UserSort::Email, UserSort::NewestFirst),
        ] {
            let text = cursor.encode(sort);
            assert_eq!(UserCursor::decode(&text, sort), Some(cursor));
            assert_eq!(UserCursor::decode(&text, other), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_refused(text in "\\PC{0,60}", json in "\\PC{0,60}") {
            for sort in UserSort::VARIANTS {
                let _ = UserCursor::decode(&text, *sort);
                let _ = UserCursor::decode(&URL_SAFE_NO_PAD.encode(&json), *sort);
            }
        }
    }
}
