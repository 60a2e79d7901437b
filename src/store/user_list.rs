//! Pages of the table `users`: filtered, sorted and counted by its indexes.

use super::{
    error::Error,
    sql::Dialect,
    tx::Snapshot,
    user_conditions::{Range, Statement, Words, range_condition, ranges},
    user_search::{Rows, Search},
    users::{COLUMNS, read_user},
};
use crate::domain::{Page, Status, Timestamp, User, UserCursor, UserFilter, UserQuery, UserSort};

impl Snapshot<'_> {
    /// One page of the users who have not expired at `now`.
    pub(crate) fn users(&self, query: &UserQuery, now: Timestamp) -> Result<Page<User, UserCursor>, Error> {
        let search = self.search(&query.filter)?;
        if let Search::Empty = search {
            let page = Page::first(Vec::new(), query.limit.get(), |last| UserCursor::after(last, query.sort));
            return Ok(Page { total: query.count.then_some(0), ..page });
        }
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

    /// The users of a page, and one more if there is a next page.
    fn page(&self, query: &UserQuery, rows: &Rows, now: Timestamp) -> Result<Vec<User>, Error> {
        let mut statement = Statement::new(self.dialect());
        let keys = statement.page_of_keys(query, rows, now);
        let order = order(query.sort, "u.");
        let sql = format!("SELECT {COLUMNS} FROM ({keys}) k JOIN users u ON u.seq = k.seq ORDER BY {order}");
        self.all(&sql, statement.params(), |row| read_user(row, 0))
    }

    fn count_users(&self, filter: &UserFilter, rows: &Rows, now: Timestamp) -> Result<u64, Error> {
        let mut statement = Statement::new(self.dialect());
        let sql = statement.count(filter, rows, now);
        self.number(&sql, statement.params())
    }
}

fn order(sort: UserSort, table: &str) -> String {
    match sort {
        UserSort::NewestFirst => format!("{table}created_at DESC, {table}id DESC"),
        UserSort::OldestFirst => format!("{table}created_at, {table}id"),
        UserSort::Email => format!("{table}email_key"),
        UserSort::EmailDescending => format!("{table}email_key DESC"),
    }
}

impl Statement {
    /// The rows of a page, and one more if there is a next page.
    fn page_of_keys(&mut self, query: &UserQuery, rows: &Rows, now: Timestamp) -> String {
        const KEYS: &str = "SELECT u.seq, u.created_at, u.id, u.email_key";
        let limit = self.bind(i64::try_from(query.limit.get() + 1).unwrap_or(i64::MAX));
        let cursor = self.after(query);
        let order_by = |table| order(query.sort, table);
        if let Rows::Among(candidates, words) = rows {
            let from = self.among(candidates, words, &query.filter, now);
            return format!("{KEYS} FROM {from}{cursor} ORDER BY {} LIMIT {limit}", order_by("u."));
        }
        // The first of each range, merged.
        let parts: Vec<_> = ranges(&query.filter)
            .map(|range| {
                // Verified users do not expire, so the index need not be read for it.
                let not_expired = match range.1 {
                    Status::Unverified => format!(" AND {}", self.not_expired(now)),
                    Status::Verified => String::new(),
                };
                let range = self.range(range, rows);
                let order = order_by("u.");
                let first = format!(
                    "{KEYS} FROM users u WHERE {range}{not_expired}{cursor} ORDER BY {order} LIMIT {limit}"
                );
                format!("SELECT * FROM ({first}) part")
            })
            .collect();
        format!("{} ORDER BY {} LIMIT {limit}", parts.join(" UNION ALL "), order_by(""))
    }

    /// Counts the users of a filter. Without a text the count of each range is stored, and the few expired users are
    /// subtracted.
    fn count(&mut self, filter: &UserFilter, rows: &Rows, now: Timestamp) -> String {
        if let Rows::Among(candidates, words) = rows {
            let from = self.among(candidates, words, filter, now);
            return format!("SELECT count(*) FROM {from}");
        }
        let index = self.dialect.either("INDEXED BY users_by_expiry", "");
        let counts: Vec<_> = ranges(filter)
            .map(|range| {
                let is_unverified = range.1 == Status::Unverified;
                let all = match rows {
                    Rows::All if self.dialect == Dialect::Sqlite => format!(
                        "coalesce((SELECT c.users FROM user_counts c WHERE {}), 0)",
                        range_condition("c", range)
                    ),
                    Rows::All | Rows::Walk(_) | Rows::Among(..) => {
                        format!("(SELECT count(*) FROM users u WHERE {})", self.range(range, rows))
                    }
                };
                if is_unverified {
                    let range = self.range(range, rows);
                    let expired = self.bind(now.millis());
                    format!(
                        "{all} - (SELECT count(*) FROM users u {index} \
                         WHERE u.expires_at <= {expired} AND {range})"
                    )
                } else {
                    all
                }
            })
            .collect();
        format!("SELECT {}", counts.join(" + "))
    }

    /// The candidates that have the words and pass the filter.
    fn among(&mut self, candidates: &[i64], words: &Words, filter: &UserFilter, now: Timestamp) -> String {
        let candidates: Vec<_> = candidates.iter().map(i64::to_string).collect();
        let list = self.bind(format!("[{}]", candidates.join(",")));
        let passing = self.passing(filter, words, now);
        format!("json_each({list}) c CROSS JOIN users u ON u.seq = c.value WHERE {passing}")
    }

    /// The condition for one range of the filter.
    fn range(&mut self, range: Range, rows: &Rows) -> String {
        let range = range_condition("u", range);
        match rows {
            Rows::Walk(words) => format!("{range}{}", self.with_words(words)),
            Rows::All | Rows::Among(..) => range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Role, UserId},
        store::sqlite::testing::query_plan,
    };

    /// SQLite's query plan of a page.
    fn plan(query: &UserQuery, rows: &Rows) -> Vec<String> {
        let schema = [
            include_str!("../../migrations/sqlite/V1__accounts.sql"),
            include_str!("../../migrations/sqlite/V8__lists.sql"),
        ];
        query_plan(
            &schema,
            &Statement::new(Dialect::Sqlite).page_of_keys(query, rows, Timestamp::from_millis(0)),
        )
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
            (UserSort::Email, &email, "users_by_email", "email_key>?"),
            (UserSort::EmailDescending, &email, "users_by_email", "email_key<?"),
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
