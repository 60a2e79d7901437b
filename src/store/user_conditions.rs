//! SQL conditions on the table `users` that its lists and searches share.

use std::fmt::Write as _;

use super::sql::{Dialect, Param};
use crate::domain::{Role, Status, Timestamp, UserCursor, UserFilter, UserQuery, UserSort, VariantArray};

/// The words of a search, each of which must occur in a user.
pub(super) type Words = Vec<String>;

/// The prefix of the indexes of the lists.
pub(super) type Range = (Role, Status, bool);

/// The ranges of the indexes that contain the users of a filter.
pub(super) fn ranges(filter: &UserFilter) -> impl Iterator<Item = Range> {
    let (role, status, disabled) = (filter.role, filter.status, filter.disabled);
    let all = Role::VARIANTS.iter().flat_map(|role| {
        Status::VARIANTS
            .iter()
            .flat_map(move |status| [false, true].map(|disabled| (*role, *status, disabled)))
    });
    all.filter(move |range| {
        role.is_none_or(|role| role == range.0)
            && status.is_none_or(|status| status == range.1)
            && disabled.is_none_or(|disabled| disabled == range.2)
    })
}

/// The condition for a range, for users and for their counts.
pub(super) fn range_condition(table: &str, (role, status, disabled): Range) -> String {
    let (role, status) = (role.into_str(), status.into_str());
    format!("{table}.role = '{role}' AND {table}.status = '{status}' AND {table}.disabled = {disabled}")
}

/// A statement that is being composed: its text consists of constants, and every value is a parameter.
pub(super) struct Statement {
    pub(super) dialect: Dialect,
    params: Vec<Param>,
}

impl Statement {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, params: Vec::new() }
    }

    /// A placeholder for a value; equal values share one.
    pub(super) fn bind(&mut self, value: impl Into<Param>) -> String {
        let value = value.into();
        let index = self.params.iter().position(|param| *param == value).unwrap_or_else(|| {
            self.params.push(value);
            self.params.len() - 1
        });
        format!("?{}", index + 1)
    }

    pub(super) fn params(&self) -> &[Param] {
        &self.params
    }

    /// The condition to be on a page or behind it.
    pub(super) fn on_page(&mut self, query: &UserQuery, words: &Words, now: Timestamp) -> String {
        let passing = self.passing(&query.filter, words, now);
        format!("{passing}{}", self.after(query))
    }

    /// The condition to have the words and to pass the filter. The plus signs keep SQLite from using an index for a row that it
    /// has already.
    pub(super) fn passing(&mut self, filter: &UserFilter, words: &Words, now: Timestamp) -> String {
        let plus = self.dialect.either("+", "");
        let mut passing = format!("{}{}", self.not_expired(now), self.with_words(words));
        if let Some(role) = filter.role {
            let _ = write!(passing, " AND {plus}u.role = '{}'", role.into_str());
        }
        if let Some(status) = filter.status {
            let _ = write!(passing, " AND {plus}u.status = '{}'", status.into_str());
        }
        if let Some(disabled) = filter.disabled {
            let _ = write!(passing, " AND {plus}u.disabled = {disabled}");
        }
        passing
    }

    /// A further condition to have all words, in any order.
    pub(super) fn with_words(&mut self, words: &Words) -> String {
        let mut condition = String::new();
        for word in words {
            let _ = match self.dialect {
                Dialect::Sqlite => {
                    write!(condition, " AND instr(u.search_text, {}) > 0", self.bind(word.clone()))
                }
                Dialect::Postgres => {
                    write!(condition, " AND u.search_text LIKE {}", self.bind(pattern(word)))
                }
            };
        }
        condition
    }

    pub(super) fn not_expired(&mut self, now: Timestamp) -> String {
        let plus = self.dialect.either("+", "");
        format!("{plus}coalesce(u.expires_at > {}, TRUE)", self.bind(now.millis()))
    }

    /// A further condition to come after the cursor, if there is one.
    pub(super) fn after(&mut self, query: &UserQuery) -> String {
        let sign = match query.sort {
            UserSort::OldestFirst | UserSort::Email => '>',
            UserSort::NewestFirst | UserSort::EmailDescending => '<',
        };
        match &query.cursor {
            None => String::new(),
            Some(UserCursor::Created(created_at, id)) => {
                let (created_at, id) = (self.bind(created_at.millis()), self.bind(*id.as_uuid().as_bytes()));
                format!(" AND (u.created_at, u.id) {sign} ({created_at}, {id})")
            }
            Some(UserCursor::Email(key)) => {
                let key = self.bind(key.clone());
                format!(" AND u.email_key {sign} {key}")
            }
        }
    }
}

/// The pattern of `LIKE` for texts that contain a word.
fn pattern(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
