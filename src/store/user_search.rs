//! Searches of the table `users`: the trigram index `users_search` gives candidates, and each row itself is compared.

use std::ops::ControlFlow;

use super::{
    error::Error,
    sql::{Dialect, timestamp},
    tx::Snapshot,
    user_conditions::{Statement, Words, range_condition, ranges},
    users::{COLUMN_COUNT, COLUMNS, read_user},
};
use crate::domain::{Timestamp, User, UserCursor, UserFilter, UserQuery, UserSort, search_words};

/// The most candidates that are looked up one by one. With more, the text is so common that a walk along the index of the list
/// fills a page as fast. The walk is also used after a user signed up under a clock far in the future, until a start without
/// that user.
///
/// Simplified: a text that many users have takes a long walk in a list by address if all of them are far from its start, in a
/// list by age if few of them pass the filter, and for a count; and so do common words of one or two characters if few users
/// have all of them. With more time the index would contain role and status, count by itself, and exist a second time in the
/// order of addresses.
const MAX_CANDIDATES: u32 = 4_000;
/// Up to this many users a walk along an index is faster than any search.
const NARROW: u64 = 10_000;
/// How many of the newest and of the oldest users are sampled for a word of one or two characters, and how many of either must
/// have it to make it common: rarer ones are searched for by the trigrams that begin with them.
const SAMPLE: u32 = 500;
const COMMON: u64 = 10;
/// A word is everywhere if more than half of both samples have it.
const EVERYWHERE: u64 = SAMPLE as u64 / 2;

/// The fastest way to search for a text.
pub(super) enum Search {
    /// The text has no words: all users match.
    All,
    /// No user has one of the words.
    Empty,
    /// Walk along the list and compare each row.
    Walk(Words),
    /// Compare the rows that have the trigrams.
    Trigrams(Trigrams),
}

/// Words and the expression of FTS5 that finds candidates for them.
pub(super) struct Trigrams {
    expression: String,
    words: Words,
}

/// The rows that a page or a count reads.
pub(super) enum Rows {
    All,
    /// All rows, each compared with the words.
    Walk(Words),
    /// Candidates, each compared with the words.
    Among(Vec<i64>, Words),
}

impl Snapshot<'_> {
    /// Chooses how to search for a text.
    pub(super) fn search(&self, filter: &UserFilter) -> Result<Search, Error> {
        let words = filter.text.as_deref().map(search_words).unwrap_or_default();
        if words.is_empty() {
            return Ok(Search::All);
        }
        // No stored text has control characters, and PostgreSQL refuses one of them as a parameter.
        if words.iter().any(|word| word.contains(char::is_control)) {
            return Ok(Search::Empty);
        }
        // PostgreSQL chooses by itself between its trigrams and a walk. Simplified: for one or two characters that hardly any user
        // has it reads every user, a tenth of a second among 200,000, until the timeout of statements. With more time there
        // would be an index of the first characters of words.
        if self.dialect() == Dialect::Postgres || self.is_narrow(filter)? {
            return Ok(Search::Walk(words));
        }
        let mut expressions = Vec::new();
        for word in &words {
            let chars: Vec<char> = word.chars().collect();
            if chars.len() >= 3 {
                // Of several words, one that nearly all users have selects little, and its lists are the longest.
                if words.len() > 1 && self.sample(word)? > EVERYWHERE {
                    continue;
                }
                // Adjacent trigrams and the last one: those that overlap them select little more.
                let selective = selective_part(&chars);
                let trigrams = selective.chunks_exact(3).chain(selective.windows(3).last());
                expressions.extend(trigrams.map(|trigram| quoted(&trigram.iter().collect::<String>())));
            } else if self.sample(word)? < COMMON {
                let trigrams = self.trigrams_from(word)?;
                if trigrams.is_empty() {
                    return Ok(Search::Empty);
                }
                expressions.push(format!("({})", trigrams.join(" OR ")));
            }
        }
        if expressions.is_empty() {
            return Ok(Search::Walk(words));
        }
        Ok(Search::Trigrams(Trigrams { expression: expressions.join(" AND "), words }))
    }

    /// The rows to read for a search, in no particular order.
    pub(super) fn rows_of(&self, search: &Search) -> Result<Rows, Error> {
        let Trigrams { expression, words } = match search {
            Search::All => return Ok(Rows::All),
            Search::Empty => return Ok(Rows::Among(Vec::new(), Vec::new())),
            Search::Walk(words) => return Ok(Rows::Walk(words.clone())),
            Search::Trigrams(trigrams) => trigrams,
        };
        let sql = "SELECT rowid FROM users_search WHERE users_search MATCH ?1 LIMIT ?2";
        let candidates: Vec<i64> = self.all(sql, (expression, MAX_CANDIDATES + 1), |row| row.get(0))?;
        let words = words.clone();
        Ok(if candidates.len() > MAX_CANDIDATES as usize {
            Rows::Walk(words)
        } else {
            Rows::Among(candidates, words)
        })
    }

    /// The users of a page by age that have all words, and one more if there is a next page. The index gives candidates in
    /// insertion order, ascending or descending, so a page reads about as many rows as it shows. None if too many candidates
    /// are not on the page.
    pub(super) fn matches_by_age(
        &self,
        query: &UserQuery,
        trigrams: &Trigrams,
        now: Timestamp,
    ) -> Result<Option<Vec<User>>, Error> {
        let newest_first = query.sort == UserSort::NewestFirst;
        let disorder = self.first("SELECT disorder FROM user_arrivals", (), |row| row.get::<i64>(0))?;
        let disorder = disorder.unwrap_or(i64::MAX);
        let edge = match &query.cursor {
            Some(UserCursor::Created(at, _)) => self.edge(*at, newest_first, disorder)?,
            _ => None,
        };
        let mut statement = Statement::new(self.dialect());
        let expression = statement.bind(trigrams.expression.clone());
        let (sign, order, unlimited) =
            if newest_first { ("<=", "DESC", i64::MAX) } else { (">=", "ASC", i64::MIN) };
        let edge = statement.bind(edge.unwrap_or(unlimited));
        let belongs = statement.on_page(query, &trigrams.words, now);
        let sql = format!(
            "SELECT {COLUMNS}, u.created_at, {belongs} FROM users_search s CROSS JOIN users u ON u.seq = s.rowid \
             WHERE s.users_search MATCH {expression} AND s.rowid {sign} {edge} ORDER BY s.rowid {order}"
        );
        let mut page = PageByAge { newest_first, disorder, most: query.limit.get() + 1, users: Vec::new() };
        let (mut read, mut is_done) = (0, true);
        self.until(&sql, statement.params(), |row| {
            if page.is_settled(timestamp(row, COLUMN_COUNT)?) {
                return Ok(ControlFlow::Break(()));
            }
            read += 1;
            if read > MAX_CANDIDATES {
                is_done = false;
                return Ok(ControlFlow::Break(()));
            }
            if row.get(COLUMN_COUNT + 1)? {
                page.insert(read_user(row, 0)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(is_done.then_some(page.users))
    }

    /// The insertion number beyond which no user comes after `at` in a list by age: that of a user who comes before `at` by more
    /// than the disorder.
    fn edge(&self, at: Timestamp, newest_first: bool, disorder: i64) -> Result<Option<i64>, Error> {
        let (past, sign, order, outermost) = if newest_first {
            (at.millis().saturating_add(disorder), ">", "", "min")
        } else {
            (at.millis().saturating_sub(disorder), "<", " DESC", "max")
        };
        let nearest: Vec<_> = ranges(&UserFilter::default())
            .map(|range| {
                let range = range_condition("u", range);
                format!(
                    "SELECT * FROM (SELECT u.seq FROM users u WHERE {range} AND u.created_at {sign} ?1 \
                     ORDER BY u.created_at{order} LIMIT 1)"
                )
            })
            .collect();
        let sql = format!("SELECT {outermost}(seq) FROM ({})", nearest.join(" UNION ALL "));
        Ok(self.first(&sql, [past], |row| row.get::<Option<i64>>(0))?.flatten())
    }

    /// Whether so few users pass a filter that a walk is faster than a search.
    fn is_narrow(&self, filter: &UserFilter) -> Result<bool, Error> {
        if filter.role.is_none() && filter.status.is_none() && filter.disabled.is_none() {
            return Ok(false);
        }
        let ranges: Vec<_> = ranges(filter).map(|range| range_condition("c", range)).collect();
        let sql = format!("SELECT sum(c.users) FROM user_counts c WHERE {}", ranges.join(" OR "));
        Ok(self.number(&sql, ())? <= NARROW)
    }

    /// How many of the newest and of the oldest users have a word: the smaller number. If it is large, a walk along the list
    /// fills a page at once.
    fn sample(&self, word: &str) -> Result<u64, Error> {
        let matches = |order| {
            format!(
                "(SELECT count(*) FROM (SELECT search_text FROM users ORDER BY seq {order} LIMIT ?2) \
                 WHERE instr(search_text, ?1) > 0)"
            )
        };
        let sql = format!("SELECT min({}, {})", matches("DESC"), matches("ASC"));
        self.number(&sql, (word, SAMPLE))
    }

    /// The trigrams that begin with a word, quoted for FTS5.
    fn trigrams_from(&self, word: &str) -> Result<Vec<String>, Error> {
        // FTS5 replaces noncharacters.
        let text = word.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
        // Terms are compared bytewise: those that begin with the text precede the text with the last character appended.
        let end = format!("{text}{}", char::MAX);
        let sql = "SELECT term FROM users_search_terms WHERE term >= ?1 AND term <= ?2";
        self.all(sql, (text, end), |row| Ok(quoted(row.text(0)?)))
    }
}

/// A page by age that is filled in insertion order, ascending or descending.
struct PageByAge {
    newest_first: bool,
    /// By how many milliseconds a user who was inserted later may be older.
    disorder: i64,
    most: usize,
    users: Vec<User>,
}

impl PageByAge {
    /// Whether the page is full, and neither a user created at `at` nor any later candidate belongs on it.
    fn is_settled(&self, at: Timestamp) -> bool {
        let Some(last) = self.users.last().filter(|_| self.users.len() == self.most) else { return false };
        let (at, last) = (at.millis(), last.created_at.millis());
        let past = if self.newest_first { last.saturating_sub(at) } else { at.saturating_sub(last) };
        past > self.disorder
    }

    /// Inserts a user at their place, if they belong on the page.
    fn insert(&mut self, user: User) {
        let place = |user: &User| (user.created_at, user.id);
        let index = self.users.partition_point(|other| {
            if self.newest_first { place(other) > place(&user) } else { place(other) < place(&user) }
        });
        self.users.insert(index, user);
        self.users.truncate(self.most);
    }
}

/// The part of a word that few users have: of an address not the end of its domain, whose lists are long.
fn selective_part(word: &[char]) -> &[char] {
    match word.iter().position(|c| *c == '@') {
        Some(at) if at >= 3 => &word[..word.len().min(at + 3)],
        _ => word,
    }
}

/// A trigram as a string in FTS5's query language.
fn quoted(trigram: &str) -> String {
    format!("\"{}\"", trigram.replace('"', "\"\""))
}
