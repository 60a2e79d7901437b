//! Lists in pages: how many, in which order, from where on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

use super::{FieldError, Role, Status, Timestamp, User, UserId};

/// How many items a page has at most: 1 to 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// The most a page may have.
    pub const MAX: u8 = 200;

    /// A limit of `number` items.
    ///
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

    /// The number.
    #[must_use]
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(const_into_str)]
pub enum UserSort {
    /// Newest first.
    #[default]
    #[strum(serialize = "-created_at")]
    NewestFirst,
    /// Oldest first.
    #[strum(serialize = "created_at")]
    OldestFirst,
    /// By address.
    #[strum(serialize = "email")]
    EmailUp,
    /// By address, backwards.
    #[strum(serialize = "-email")]
    EmailDown,
}

/// The last user of the page before, by what the list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCursor {
    /// In a list by age.
    Created(Timestamp, UserId),
    /// In a list by address: its compared form.
    Email(String),
}

impl UserCursor {
    /// The place right after `user` in a list in this order.
    #[must_use]
    pub fn after(user: &User, sort: UserSort) -> Self {
        match sort {
            UserSort::NewestFirst | UserSort::OldestFirst => Self::Created(user.created_at, user.id),
            UserSort::EmailUp | UserSort::EmailDown => Self::Email(user.profile.email.key().to_owned()),
        }
    }

    /// The place as clients hand it back, who need not know what is in it.
    #[must_use]
    pub fn encode(&self, sort: UserSort) -> String {
        let place = match self {
            Self::Created(at, id) => {
                Place { sort: sort.into_str().into(), at: Some((at.millis(), *id.as_uuid())), key: None }
            }
            Self::Email(key) => Place { sort: sort.into_str().into(), at: None, key: Some(key.clone()) },
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).unwrap_or_default())
    }

    /// The place that a client hands back, if it is one in a list in this order.
    #[must_use]
    pub fn decode(text: &str, sort: UserSort) -> Option<Self> {
        let place: Place = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        if place.sort != sort.into_str() {
            return None;
        }
        match (sort, place.at, place.key) {
            (UserSort::NewestFirst | UserSort::OldestFirst, Some((at, id)), None) => {
                Some(Self::Created(Timestamp::from_millis(at), UserId::from_uuid(id)))
            }
            (UserSort::EmailUp | UserSort::EmailDown, None, Some(key)) => Some(Self::Email(key)),
            _ => None,
        }
    }
}

/// What is in a cursor. It is trusted no further than any other parameter: it can only move along the list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    sort: String,
    at: Option<(i64, Uuid)>,
    key: Option<String>,
}

/// Which users a list has; without anything, all.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of the address or the names, in any case.
    pub text: Option<String>,
    /// Only this role.
    pub role: Option<Role>,
    /// Only this status.
    pub status: Option<Status>,
    /// Only disabled, or only not disabled ones.
    pub disabled: Option<bool>,
}

/// Which page of which list.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// Which users.
    pub filter: UserFilter,
    /// In which order.
    pub sort: UserSort,
    /// From where on; from the start if there is none.
    pub cursor: Option<UserCursor>,
    /// How many.
    pub limit: Limit,
    /// Whether to count them all, too.
    pub count: bool,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Where the next page starts, if there is one.
    pub next: Option<C>,
    /// How many there are in all pages, if that was asked.
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
            (email, UserSort::EmailUp, UserSort::NewestFirst),
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
