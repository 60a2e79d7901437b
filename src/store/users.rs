//! The table `users`.

use std::fmt::Write as _;

use rusqlite::{Row, ToSql, types::Value};
use unicode_normalization::UnicodeNormalization;

use super::{
    Error, Snapshot, Tx,
    tx::{corrupt, maybe_timestamp, timestamp, uuid, word},
};
use crate::model::{
    Email, Name, Page, PasswordHash, Profile, Role, Standing, Status, Timestamp, User, UserCursor,
    UserFilter, UserId, UserQuery, UserSort, Word,
};

/// The columns that `read_user` reads, in its order.
pub(super) const COLUMNS: &str = "u.id, u.email, u.email_key, u.first_name, u.last_name, u.role, u.status, \
     u.verified_at, u.expires_at, u.disabled, u.created_at, u.updated_at, u.last_login_at";

/// How many of them there are.
pub(super) const COLUMN_COUNT: usize = 13;

/// Up to how many candidates of a text search are sorted out one by one. With more of them the text is so common
/// that walking along the list meets a page of them soon.
///
/// Simplified: a text that many have, all of them far from the start of the list, takes a long walk, and one of fewer
/// than three characters a look at everybody. With more time every length would be in the index, and candidates would
/// come from it in the order of the list.
const FEW: u32 = 20_000;
/// The same for a text that is too short for the index.
const FEW_SHORT: u32 = 2_000;

/// Which unverified accounts are due to be deleted.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// Those whose time ran out by then.
    ExpiredAt(Timestamp),
    /// Those made by then.
    CreatedBy(Timestamp),
}

impl Snapshot<'_> {
    /// The user with this id.
    pub(crate) fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = ?1");
        self.first(&sql, [id.as_uuid().as_bytes()], |row| read_user(row, 0))
    }

    /// The user with this address, and their password if they have chosen one.
    pub(crate) fn user_by_email(&self, email: &Email) -> Result<Option<(User, Option<PasswordHash>)>, Error> {
        let sql = format!("SELECT {COLUMNS}, u.password_hash FROM users u WHERE u.email_key = ?1");
        self.first(&sql, [email.key()], |row| {
            let hash: Option<String> = row.get(COLUMN_COUNT)?;
            Ok((read_user(row, 0)?, hash.map(PasswordHash::from_phc)))
        })
    }

    /// How many admins can act as such.
    pub(crate) fn count_acting_admins(&self) -> Result<u64, Error> {
        self.number(
            "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'verified' AND disabled = 0",
            [],
        )
    }

    /// One page of the users who are there at `now`.
    pub(crate) fn users(&self, query: &UserQuery, now: Timestamp) -> Result<Page<User, UserCursor>, Error> {
        let search = self.search(&query.filter)?;
        let mut statement = Statement::default();
        let keys = statement.page_of_keys(query, &search, now);
        let order = order(query.sort, "u.");
        let sql = format!("SELECT {COLUMNS} FROM ({keys}) k JOIN users u ON u.seq = k.seq ORDER BY {order}");
        let mut items = self.all(&sql, statement.params().as_slice(), |row| read_user(row, 0))?;
        let more = items.len() > query.limit.get();
        items.truncate(query.limit.get());
        let next = items.last().filter(|_| more).map(|last| UserCursor::after(last, query.sort));
        let total = if query.count { Some(self.count_users(&query.filter, &search, now)?) } else { None };
        Ok(Page { items, next, total })
    }

    fn count_users(&self, filter: &UserFilter, search: &Search, now: Timestamp) -> Result<u64, Error> {
        let mut statement = Statement::default();
        let sql = statement.count(filter, search, now);
        self.number(&sql, statement.params().as_slice())
    }

    /// Finds out how a text is best searched for.
    fn search(&self, filter: &UserFilter) -> Result<Search, Error> {
        let Some(text) = filter.text.as_deref().map(fold).filter(|text| !text.is_empty()) else {
            return Ok(Search::Everyone);
        };
        let chars: Vec<char> = text.chars().collect();
        let (few, candidates): (_, Vec<i64>) = if chars.len() < 3 {
            // Too short for the index: one look at everybody, which ends soon if the text is common.
            let sql = "SELECT seq FROM users NOT INDEXED WHERE instr(search_text, ?1) > 0 LIMIT ?2";
            (FEW_SHORT, self.all(sql, (&text, FEW_SHORT + 1), |row| row.get(0))?)
        } else {
            let trigrams: Vec<_> =
                chars.windows(3).map(|three| quoted(&three.iter().collect::<String>())).collect();
            let sql = "SELECT rowid FROM users_search WHERE users_search MATCH ?1 LIMIT ?2";
            (FEW, self.all(sql, (trigrams.join(" AND "), FEW + 1), |row| row.get(0))?)
        };
        Ok(if candidates.len() > few as usize { Search::Walk(text) } else { Search::Among(candidates, text) })
    }

    /// The accounts that are due, at most `limit` of them, oldest first, after the row `after`.
    pub(crate) fn due_users(&self, due: Due, after: i64, limit: u32) -> Result<Vec<(i64, User)>, Error> {
        let (condition, instant) = due.condition();
        let sql = format!(
            "SELECT {COLUMNS}, u.seq FROM users u \
             WHERE u.status = 'unverified' AND {condition} AND u.seq > ?2 ORDER BY u.seq LIMIT ?3"
        );
        self.all(&sql, (instant.millis(), after, limit), |row| {
            Ok((row.get(COLUMN_COUNT)?, read_user(row, 0)?))
        })
    }

    /// How many accounts are due.
    pub(crate) fn count_due_users(&self, due: Due) -> Result<u64, Error> {
        let (condition, instant) = due.condition();
        let sql = format!("SELECT count(*) FROM users u WHERE u.status = 'unverified' AND {condition}");
        self.number(&sql, [instant.millis()])
    }
}

impl Tx<'_> {
    /// Adds a user.
    ///
    /// # Errors
    /// `Taken("users.email_key")` if the address is.
    pub(crate) fn insert_user(&self, user: &User, hash: Option<&PasswordHash>) -> Result<(), Error> {
        let profile = &user.profile;
        let (verified_at, expires_at) = instants(user.standing);
        self.execute_one(
            "INSERT INTO users (id, email, email_key, first_name, last_name, search_text, password_hash, role, status, \
             disabled, created_at, updated_at, verified_at, expires_at, last_login_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            (
                user.id.as_uuid().as_bytes(),
                profile.email.as_str(),
                profile.email.key(),
                profile.first_name.as_ref().map(Name::as_str),
                profile.last_name.as_ref().map(Name::as_str),
                search_text(profile),
                hash.map(PasswordHash::as_phc),
                user.role.word(),
                user.status().word(),
                user.disabled,
                user.created_at.millis(),
                user.updated_at.millis(),
                verified_at.map(Timestamp::millis),
                expires_at.map(Timestamp::millis),
                user.last_login_at.map(Timestamp::millis),
            ),
        )
    }

    /// Writes everything that can change about a user, but for the password.
    ///
    /// # Errors
    /// `Taken("users.email_key")` if the address is.
    pub(crate) fn update_user(&self, user: &User) -> Result<(), Error> {
        let profile = &user.profile;
        let (verified_at, expires_at) = instants(user.standing);
        self.execute_one(
            "UPDATE users SET email = ?2, email_key = ?3, first_name = ?4, last_name = ?5, search_text = ?6, role = ?7, \
             status = ?8, disabled = ?9, updated_at = ?10, verified_at = ?11, expires_at = ?12, last_login_at = ?13 \
             WHERE id = ?1",
            (
                user.id.as_uuid().as_bytes(),
                profile.email.as_str(),
                profile.email.key(),
                profile.first_name.as_ref().map(Name::as_str),
                profile.last_name.as_ref().map(Name::as_str),
                search_text(profile),
                user.role.word(),
                user.status().word(),
                user.disabled,
                user.updated_at.millis(),
                verified_at.map(Timestamp::millis),
                expires_at.map(Timestamp::millis),
                user.last_login_at.map(Timestamp::millis),
            ),
        )
    }

    /// Notes a login; a row that is gone is none.
    pub(crate) fn set_last_login(&self, id: UserId, now: Timestamp) -> Result<(), Error> {
        self.execute_one(
            "UPDATE users SET last_login_at = ?2 WHERE id = ?1",
            (id.as_uuid().as_bytes(), now.millis()),
        )
    }

    /// Sets the password.
    pub(crate) fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<(), Error> {
        self.execute_one(
            "UPDATE users SET password_hash = ?2 WHERE id = ?1",
            (id.as_uuid().as_bytes(), hash.as_phc()),
        )
    }

    /// Deletes a user and, by the foreign keys, everything that belongs to them.
    pub(crate) fn delete_user(&self, id: UserId) -> Result<(), Error> {
        self.execute_one("DELETE FROM users WHERE id = ?1", [id.as_uuid().as_bytes()])
    }

    /// Frees an address whose account has expired; answers whether there was one.
    pub(crate) fn delete_expired_user(&self, email: &Email, now: Timestamp) -> Result<bool, Error> {
        let deleted = self.execute(
            "DELETE FROM users WHERE email_key = ?1 AND status = 'unverified' AND expires_at <= ?2",
            (email.key(), now.millis()),
        )?;
        Ok(deleted > 0)
    }

    /// Deletes accounts that are due, at most `limit`, oldest first; answers how many.
    pub(crate) fn delete_due_users(&self, due: Due, limit: u32) -> Result<usize, Error> {
        let (condition, instant) = due.condition();
        let sql = format!(
            "DELETE FROM users WHERE seq IN (SELECT u.seq FROM users u INDEXED BY users_by_expiry \
             WHERE u.status = 'unverified' AND {condition} ORDER BY u.expires_at LIMIT ?2)"
        );
        self.execute(&sql, (instant.millis(), limit))
    }
}

impl Due {
    const fn condition(self) -> (&'static str, Timestamp) {
        match self {
            Self::ExpiredAt(now) => ("u.expires_at <= ?1", now),
            Self::CreatedBy(then) => ("u.created_at <= ?1", then),
        }
    }
}

/// A user in the columns from `start` on.
pub(super) fn read_user(row: &Row<'_>, start: usize) -> rusqlite::Result<User> {
    let name = |column: usize| -> rusqlite::Result<Option<Name>> {
        Ok(row.get::<_, Option<String>>(start + column)?.map(Name::stored))
    };
    let standing = match word(row, start + 6)? {
        Status::Verified => {
            maybe_timestamp(row, start + 7)?.map(|verified_at| Standing::Verified { verified_at })
        }
        Status::Unverified => {
            maybe_timestamp(row, start + 8)?.map(|expires_at| Standing::Unverified { expires_at })
        }
    };
    Ok(User {
        id: UserId::from_uuid(uuid(row, start)?),
        profile: Profile {
            email: Email::stored(row.get(start + 1)?, row.get(start + 2)?),
            first_name: name(3)?,
            last_name: name(4)?,
        },
        role: word(row, start + 5)?,
        standing: standing.ok_or_else(|| corrupt(row, start + 6))?,
        disabled: row.get(start + 9)?,
        created_at: timestamp(row, start + 10)?,
        updated_at: timestamp(row, start + 11)?,
        last_login_at: maybe_timestamp(row, start + 12)?,
    })
}

fn instants(standing: Standing) -> (Option<Timestamp>, Option<Timestamp>) {
    match standing {
        Standing::Verified { verified_at } => (Some(verified_at), None),
        Standing::Unverified { expires_at } => (None, Some(expires_at)),
    }
}

/// What a search compares: address and names, one to a line.
fn search_text(profile: &Profile) -> String {
    let mut text = fold(profile.email.as_str());
    for part in [
        Some(profile.email.key()),
        profile.first_name.as_ref().map(Name::as_str),
        profile.last_name.as_ref().map(Name::as_str),
    ] {
        let part = part.map(fold).unwrap_or_default();
        if part != text {
            let _ = write!(text, "\n{part}");
        }
    }
    text
}

/// The form in which texts are compared: without regard to case, in one of Unicode's spellings.
fn fold(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// A trigram as a string of FTS5's query language.
fn quoted(trigram: &str) -> String {
    format!("\"{}\"", trigram.replace('"', "\"\""))
}

/// How to find the users whose text contains another.
enum Search {
    /// No text: all of them.
    Everyone,
    /// Look at each of these rows.
    Among(Vec<i64>, String),
    /// Walk along the list and look at each.
    Walk(String),
}

type Range = (Role, Status, bool);

/// The parts of the indexes in which a filter's users are.
fn ranges(filter: &UserFilter) -> impl Iterator<Item = Range> {
    let (role, status, disabled) = (filter.role, filter.status, filter.disabled);
    let all = Role::ALL.iter().flat_map(|role| {
        Status::ALL.iter().flat_map(move |status| [false, true].map(|disabled| (*role, *status, disabled)))
    });
    all.filter(move |range| {
        role.is_none_or(|role| role == range.0)
            && status.is_none_or(|status| status == range.1)
            && disabled.is_none_or(|disabled| disabled == range.2)
    })
}

fn order(sort: UserSort, table: &str) -> String {
    match sort {
        UserSort::NewestFirst => format!("{table}created_at DESC, {table}id DESC"),
        UserSort::OldestFirst => format!("{table}created_at, {table}id"),
        UserSort::EmailUp => format!("{table}email_key"),
        UserSort::EmailDown => format!("{table}email_key DESC"),
    }
}

/// A query under construction: the text is made of our own words, every value is a parameter.
#[derive(Default)]
struct Statement {
    params: Vec<Value>,
}

impl Statement {
    /// The rows of a page, and one more to know whether there is a next page.
    fn page_of_keys(&mut self, query: &UserQuery, search: &Search, now: Timestamp) -> String {
        const KEYS: &str = "SELECT u.seq, u.created_at, u.id, u.email_key";
        let limit = self.bind(i64::try_from(query.limit.get() + 1).unwrap_or(i64::MAX));
        let cursor = query.cursor.as_ref().map(|cursor| self.after(cursor, query.sort)).unwrap_or_default();
        let order_by = |table| order(query.sort, table);
        if let Search::Among(candidates, text) = search {
            let from = self.among(candidates, text, &query.filter, now);
            return format!("{KEYS} FROM {from}{cursor} ORDER BY {} LIMIT {limit}", order_by("u."));
        }
        // The first of each range, merged.
        let parts: Vec<_> = ranges(&query.filter)
            .map(|range| {
                // Who is verified does not expire, and need not be looked at for it.
                let living = match range.1 {
                    Status::Unverified => format!(" AND {}", self.living(now)),
                    Status::Verified => String::new(),
                };
                let range = self.range(range, search);
                let order = order_by("u.");
                let first = format!(
                    "{KEYS} FROM users u WHERE {range}{living}{cursor} ORDER BY {order} LIMIT {limit}"
                );
                format!("SELECT * FROM ({first})")
            })
            .collect();
        format!("{} ORDER BY {} LIMIT {limit}", parts.join(" UNION ALL "), order_by(""))
    }

    /// How many users a filter has. Without a text each range is counted on its index, and the few who have expired
    /// are taken off.
    fn count(&mut self, filter: &UserFilter, search: &Search, now: Timestamp) -> String {
        if let Search::Among(candidates, text) = search {
            let from = self.among(candidates, text, filter, now);
            return format!("SELECT count(*) FROM {from}");
        }
        let expired = self.bind(now.millis());
        let counts: Vec<_> = ranges(filter)
            .map(|range| {
                let is_unverified = range.1 == Status::Unverified;
                let range = self.range(range, search);
                let all = format!("(SELECT count(*) FROM users u WHERE {range})");
                if is_unverified {
                    format!(
                        "{all} - (SELECT count(*) FROM users u INDEXED BY users_by_expiry \
                         WHERE u.expires_at <= {expired} AND {range})"
                    )
                } else {
                    all
                }
            })
            .collect();
        format!("SELECT {}", counts.join(" + "))
    }

    /// The candidates who have the text and pass the filter. The plus signs keep SQLite from walking along an index
    /// when it has the rows in hand.
    fn among(&mut self, candidates: &[i64], text: &str, filter: &UserFilter, now: Timestamp) -> String {
        let candidates: Vec<_> = candidates.iter().map(i64::to_string).collect();
        let list = self.bind(format!("[{}]", candidates.join(",")));
        let text = self.bind(text.to_owned());
        let mut from = format!(
            "json_each({list}) c CROSS JOIN users u ON u.seq = c.value \
             WHERE {} AND instr(u.search_text, {text}) > 0",
            self.living(now)
        );
        if let Some(role) = filter.role {
            let _ = write!(from, " AND +u.role = '{}'", role.word());
        }
        if let Some(status) = filter.status {
            let _ = write!(from, " AND +u.status = '{}'", status.word());
        }
        if let Some(disabled) = filter.disabled {
            let _ = write!(from, " AND +u.disabled = {}", i32::from(disabled));
        }
        from
    }

    /// The condition for one range of the filter.
    fn range(&mut self, (role, status, disabled): Range, search: &Search) -> String {
        let (role, status, disabled) = (role.word(), status.word(), i32::from(disabled));
        let range = format!("u.role = '{role}' AND u.status = '{status}' AND u.disabled = {disabled}");
        match search {
            Search::Walk(text) => {
                format!("{range} AND instr(u.search_text, {}) > 0", self.bind(text.clone()))
            }
            Search::Everyone | Search::Among(..) => range,
        }
    }

    /// The condition not to have expired.
    fn living(&mut self, now: Timestamp) -> String {
        format!("+ifnull(u.expires_at > {}, TRUE)", self.bind(now.millis()))
    }

    /// The condition to come after `cursor`.
    fn after(&mut self, cursor: &UserCursor, sort: UserSort) -> String {
        let sign = match sort {
            UserSort::OldestFirst | UserSort::EmailUp => '>',
            UserSort::NewestFirst | UserSort::EmailDown => '<',
        };
        match cursor {
            UserCursor::Created(created_at, id) => {
                let (created_at, id) =
                    (self.bind(created_at.millis()), self.bind(id.as_uuid().as_bytes().to_vec()));
                format!(" AND (u.created_at, u.id) {sign} ({created_at}, {id})")
            }
            UserCursor::Email(key) => {
                let key = self.bind(key.clone());
                format!(" AND u.email_key {sign} {key}")
            }
        }
    }

    /// A placeholder for a value; equal values share one.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        let value = value.into();
        let index = self.params.iter().position(|param| *param == value).unwrap_or_else(|| {
            self.params.push(value);
            self.params.len() - 1
        });
        format!("?{}", index + 1)
    }

    fn params(&self) -> Vec<&dyn ToSql> {
        self.params.iter().map(|param| param as &dyn ToSql).collect()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// How SQLite goes about a page.
    fn plan(query: &UserQuery, search: &Search) -> Vec<String> {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(include_str!("../../migrations/V1__accounts.sql")).expect("the schema");
        let mut statement = Statement::default();
        let keys = statement.page_of_keys(query, search, Timestamp::from_millis(0));
        let sql = format!("EXPLAIN QUERY PLAN {keys}");
        let mut explain = connection.prepare(&sql).expect("a query");
        let rows = explain.query_map(statement.params().as_slice(), |row| row.get(3)).expect("a plan");
        rows.collect::<Result<_, _>>().expect("a plan")
    }

    #[test]
    fn every_page_of_every_list_is_read_from_an_index() {
        let created = UserCursor::Created(Timestamp::from_millis(1), UserId::new());
        let email = UserCursor::Email("ann@example.com".to_owned());
        let filters = [
            UserFilter::default(),
            UserFilter { role: Some(Role::Admin), ..UserFilter::default() },
            UserFilter { status: Some(Status::Unverified), disabled: Some(true), ..UserFilter::default() },
        ];
        for (sort, cursor, index, place) in [
            (UserSort::NewestFirst, &created, "users_by_age", "(created_at,id)<(?,?)"),
            (UserSort::OldestFirst, &created, "users_by_age", "(created_at,id)>(?,?)"),
            (UserSort::EmailUp, &email, "users_by_email", "email_key>?"),
            (UserSort::EmailDown, &email, "users_by_email", "email_key<?"),
        ] {
            for filter in &filters {
                let query = UserQuery {
                    sort,
                    filter: filter.clone(),
                    cursor: Some(cursor.clone()),
                    ..UserQuery::default()
                };
                let plan = plan(&query, &Search::Everyone);
                let reads: Vec<_> = plan.iter().filter(|step| step.contains(" u ")).collect();
                let wanted = format!("INDEX {index} (role=? AND status=? AND disabled=? AND {place})");
                assert!(
                    reads.iter().all(|step| step.starts_with("SEARCH u") && step.ends_with(&wanted)),
                    "{plan:#?}"
                );
                assert_eq!(reads.len(), ranges(filter).count());
            }
        }
    }

    #[test]
    fn candidates_of_a_search_are_looked_up_one_by_one() {
        let plan = plan(&UserQuery::default(), &Search::Among(vec![1, 2], "ann".to_owned()));
        let reads: Vec<_> = plan.iter().filter(|step| step.contains(" u ")).collect();
        assert_eq!(reads, ["SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"], "{plan:#?}");
    }
}
