//! Pages of the table `users`: filtered, sorted and counted on its indexes.

use std::fmt::Write as _;

use rusqlite::{ToSql, types::Value};

use super::{
    Error, Snapshot,
    user_search::{MessageText, Rows, Search},
    users::{COLUMNS, read_user},
};
use crate::domain::{
    Page, Role, Status, Timestamp, User, UserCursor, UserFilter, UserQuery, UserSort, VariantArray,
};

impl Snapshot<'_> {
    /// One page of the users who are there at `now`.
    pub(crate) fn users(&self, query: &UserQuery, now: Timestamp) -> Result<Page<User, UserCursor>, Error> {
        let search = self.search(&query.filter)?;
        let found = match (&search, query.sort) {
            (Search::Trigrams(trigrams), UserSort::NewestFirst | UserSort::OldestFirst) => {
                self.matches_by_age(query, trigrams, now)?
            }
            _ => None,
        };
        let (items, rows) = match found {
            Some(items) => (items, None),
            None => {
                let rows = self.rows_of(&search)?;
                (self.page(query, &rows, now)?, Some(rows))
            }
        };
        let page = Page::first(items, query.limit.get(), |last| UserCursor::after(last, query.sort));
        let total = if query.count {
            let rows = rows.map_or_else(|| self.rows_of(&search), Ok)?;
            Some(self.count_users(&query.filter, &rows, now)?)
        } else {
            None
        };
        Ok(Page { total, ..page })
    }

    /// The users of a page, and one more to know whether there is a next page.
    fn page(&self, query: &UserQuery, rows: &Rows, now: Timestamp) -> Result<Vec<User>, Error> {
        let mut statement = Statement::default();
        let keys = statement.page_of_keys(query, rows, now);
        let order = order(query.sort, "u.");
        let sql = format!("SELECT {COLUMNS} FROM ({keys}) k JOIN users u ON u.seq = k.seq ORDER BY {order}");
        self.all(&sql, statement.params().as_slice(), |row| read_user(row, 0))
    }

    fn count_users(&self, filter: &UserFilter, rows: &Rows, now: Timestamp) -> Result<u64, Error> {
        let mut statement = Statement::default();
        let sql = statement.count(filter, rows, now);
        self.number(&sql, statement.params().as_slice())
    }
}

pub(super) type Range = (Role, Status, bool);

/// The parts of the indexes in which a filter's users are.
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

/// What is true of the users of a range, and of their count.
pub(super) fn condition(table: &str, (role, status, disabled): Range) -> String {
    let (role, status, disabled) = (role.into_str(), status.into_str(), i32::from(disabled));
    format!("{table}.role = '{role}' AND {table}.status = '{status}' AND {table}.disabled = {disabled}")
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
pub(super) struct Statement {
    params: Vec<Value>,
}

impl Statement {
    /// The rows of a page, and one more to know whether there is a next page.
    fn page_of_keys(&mut self, query: &UserQuery, rows: &Rows, now: Timestamp) -> String {
        const KEYS: &str = "SELECT u.seq, u.created_at, u.id, u.email_key";
        let limit = self.bind(i64::try_from(query.limit.get() + 1).unwrap_or(i64::MAX));
        let cursor = query.cursor.as_ref().map(|cursor| self.after(cursor, query.sort)).unwrap_or_default();
        let order_by = |table| order(query.sort, table);
        if let Rows::Among(candidates, words) = rows {
            let from = self.among(candidates, words, &query.filter, now);
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
                let range = self.range(range, rows);
                let order = order_by("u.");
                let first = format!(
                    "{KEYS} FROM users u WHERE {range}{living}{cursor} ORDER BY {order} LIMIT {limit}"
                );
                format!("SELECT * FROM ({first})")
            })
            .collect();
        format!("{} ORDER BY {} LIMIT {limit}", parts.join(" UNION ALL "), order_by(""))
    }

    /// How many users a filter has. Without a text the count of each range is kept, and the few who have expired are
    /// taken off.
    fn count(&mut self, filter: &UserFilter, rows: &Rows, now: Timestamp) -> String {
        if let Rows::Among(candidates, words) = rows {
            let from = self.among(candidates, words, filter, now);
            return format!("SELECT count(*) FROM {from}");
        }
        let counts: Vec<_> = ranges(filter)
            .map(|range| {
                let is_unverified = range.1 == Status::Unverified;
                let all = match rows {
                    Rows::All => format!(
                        "ifnull((SELECT c.users FROM user_counts c WHERE {}), 0)",
                        condition("c", range)
                    ),
                    Rows::Walk(_) | Rows::Among(..) => {
                        format!("(SELECT count(*) FROM users u WHERE {})", self.range(range, rows))
                    }
                };
                if is_unverified {
                    let range = self.range(range, rows);
                    let expired = self.bind(now.millis());
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

    /// The candidates who have the words and pass the filter.
    fn among(
        &mut self,
        candidates: &[i64],
        words: &MessageText,
        filter: &UserFilter,
        now: Timestamp,
    ) -> String {
        let candidates: Vec<_> = candidates.iter().map(i64::to_string).collect();
        let list = self.bind(format!("[{}]", candidates.join(",")));
        let passing = self.passing(filter, words, now);
        format!("json_each({list}) c CROSS JOIN users u ON u.seq = c.value WHERE {passing}")
    }

    /// The condition to be on a page or behind it.
    pub(super) fn belonging(&mut self, query: &UserQuery, words: &MessageText, now: Timestamp) -> String {
        let cursor = query.cursor.as_ref().map(|cursor| self.after(cursor, query.sort)).unwrap_or_default();
        format!("{}{cursor}", self.passing(&query.filter, words, now))
    }

    /// The condition to have the words and to pass the filter. The plus signs keep SQLite from walking along an index when
    /// it has the rows in hand.
    fn passing(&mut self, filter: &UserFilter, words: &MessageText, now: Timestamp) -> String {
        let mut passing = format!("{}{}", self.living(now), self.having(words));
        if let Some(role) = filter.role {
            let _ = write!(passing, " AND +u.role = '{}'", role.into_str());
        }
        if let Some(status) = filter.status {
            let _ = write!(passing, " AND +u.status = '{}'", status.into_str());
        }
        if let Some(disabled) = filter.disabled {
            let _ = write!(passing, " AND +u.disabled = {}", i32::from(disabled));
        }
        passing
    }

    /// The condition for one range of the filter.
    fn range(&mut self, range: Range, rows: &Rows) -> String {
        let range = condition("u", range);
        match rows {
            Rows::Walk(words) => format!("{range}{}", self.having(words)),
            Rows::All | Rows::Among(..) => range,
        }
    }

    /// The condition to have all words, in whichever order.
    fn having(&mut self, words: &MessageText) -> String {
        words.iter().fold(String::new(), |condition, word| {
            condition + " AND instr(u.search_text, " + &self.bind(word.clone()) + ") > 0"
        })
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
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        let value = value.into();
        let index = self.params.iter().position(|param| *param == value).unwrap_or_else(|| {
            self.params.push(value);
            self.params.len() - 1
        });
        format!("?{}", index + 1)
    }

    pub(super) fn params(&self) -> Vec<&dyn ToSql> {
        self.params.iter().map(|param| param as &dyn ToSql).collect()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::domain::UserId;

    /// How SQLite goes about a page.
    fn plan(query: &UserQuery, rows: &Rows) -> Vec<String> {
        let connection = Connection::open_in_memory().expect("memory");
        for migration in [
            include_str!("../../migrations/sqlite/V1__accounts.sql"),
            include_str!("../../migrations/sqlite/V8__lists.sql"),
        ] {
            connection.execute_batch(migration).expect("the schema");
        }
        let mut statement = Statement::default();
        let keys = statement.page_of_keys(query, rows, Timestamp::from_millis(0));
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
                let plan = plan(&query, &Rows::All);
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
        let plan = plan(&UserQuery::default(), &Rows::Among(vec![1, 2], vec!["ann".to_owned()]));
        let reads: Vec<_> = plan.iter().filter(|step| step.contains(" u ")).collect();
        assert_eq!(reads, ["SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"], "{plan:#?}");
    }
}
