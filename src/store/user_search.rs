//! Searches of the table `users`: users with the words of a text are found through trigrams, which `users_search` knows, and
//! decided by the row itself.

use std::ops::ControlFlow;

use super::{
    Error, Snapshot, Tx,
    tx::timestamp,
    user_list::{Statement, condition, ranges},
    users::{COLUMN_COUNT, COLUMNS, read_user},
};
use crate::domain::{Timestamp, User, UserCursor, UserFilter, UserQuery, UserSort, search_words};

/// How many candidates are looked up one by one at most. With more of them the text is so common that walking along the
/// list, within its index, meets a page of them as soon. So it is after somebody signed up under a clock that was far in
/// the future, until the first start without them.
///
/// Simplified: a text that many have takes a long walk by address if all of them are far from the start of the list, and
/// by age if few of them pass the filter, and to be counted; and so do words of one or two characters of which each is common,
/// if few have all of them. With more time the search would know roles and states, too, and
/// count by itself, and a second one would be kept in the order of addresses.
const FEW: u32 = 4_000;
/// How many users are so few that looking at each of them, within an index, is quicker than any search.
const NARROW: u64 = 10_000;
/// How many of the newest users and how many of the oldest tell whether a word of one or two characters is common, and how
/// many of either must have it: rarer ones are looked for by the trigrams that begin with them.
const SAMPLE: u32 = 500;
const COMMON: u64 = 10;
/// A word that more than half of both have is everywhere.
const EVERYWHERE: u64 = SAMPLE as u64 / 2;

/// By more than so many milliseconds nobody comes in another order than that of their times, unless a clock was wrong.
const DISORDERLY: i64 = 60 * 60 * 1000;

/// How a text is best searched for.
pub(super) enum Search {
    /// No words: everybody is meant.
    Everyone,
    /// One of them cannot be in any.
    Nobody,
    /// Walk along the list and look at each.
    Walk(MessageText),
    /// Look at those who have their trigrams.
    Trigrams(Trigrams),
}

/// The words that must be found in a user, each somewhere.
pub(super) type MessageText = Vec<String>;

/// Words and what is asked of the search for them.
pub(super) struct Trigrams {
    expression: String,
    words: MessageText,
}

/// The rows that a page or a count looks at.
pub(super) enum Rows {
    /// All of them.
    All,
    /// All of them, for these words.
    Walk(MessageText),
    /// These alone, for these words.
    Among(Vec<i64>, MessageText),
}

impl Snapshot<'_> {
    /// Finds out how a text is best searched for.
    pub(super) fn search(&self, filter: &UserFilter) -> Result<Search, Error> {
        let words = filter.text.as_deref().map(search_words).unwrap_or_default();
        if words.is_empty() {
            return Ok(Search::Everyone);
        }
        if self.is_narrow(filter)? {
            return Ok(Search::Walk(words));
        }
        let mut expressions = Vec::new();
        for word in &words {
            let chars: Vec<char> = word.chars().collect();
            if chars.len() >= 3 {
                // Of several words, one that nearly all have tells nothing, and its lists are the longest.
                if words.len() > 1 && self.having(word)? > EVERYWHERE {
                    continue;
                }
                // Side by side, and the last: one more says little that its neighbours have not said.
                let told = telling(&chars);
                let threes = told.chunks_exact(3).chain(told.windows(3).last());
                expressions.extend(threes.map(|three| quoted(&three.iter().collect::<String>())));
            } else if self.having(word)? < COMMON {
                let trigrams = self.trigrams_from(word)?;
                if trigrams.is_empty() {
                    return Ok(Search::Nobody);
                }
                expressions.push(format!("({})", trigrams.join(" OR ")));
            }
        }
        if expressions.is_empty() {
            return Ok(Search::Walk(words));
        }
        Ok(Search::Trigrams(Trigrams { expression: expressions.join(" AND "), words }))
    }

    /// The rows to look at for a search, in whichever order.
    pub(super) fn rows_of(&self, search: &Search) -> Result<Rows, Error> {
        let Trigrams { expression, words } = match search {
            Search::Everyone => return Ok(Rows::All),
            Search::Nobody => return Ok(Rows::Among(Vec::new(), Vec::new())),
            Search::Walk(words) => return Ok(Rows::Walk(words.clone())),
            Search::Trigrams(trigrams) => trigrams,
        };
        let sql = "SELECT rowid FROM users_search WHERE users_search MATCH ?1 LIMIT ?2";
        let candidates: Vec<i64> = self.all(sql, (expression, FEW + 1), |row| row.get(0))?;
        let words = words.clone();
        Ok(if candidates.len() > FEW as usize { Rows::Walk(words) } else { Rows::Among(candidates, words) })
    }

    /// The users of a page by age who have all words, one more than it shows. The search hands candidates over in the order of
    /// arrival, or against it: a page costs about as many looks as it has users, wherever they are. None if too many
    /// candidates do not belong on the page.
    pub(super) fn matches_by_age(
        &self,
        query: &UserQuery,
        trigrams: &Trigrams,
        now: Timestamp,
    ) -> Result<Option<Vec<User>>, Error> {
        let newest_first = query.sort == UserSort::NewestFirst;
        let disorder = self.first("SELECT disorder FROM user_arrivals", [], |row| row.get::<_, i64>(0))?;
        let disorder = disorder.unwrap_or(i64::MAX);
        let edge = match &query.cursor {
            Some(UserCursor::Created(at, _)) => self.edge(*at, newest_first, disorder)?,
            _ => None,
        };
        let mut statement = Statement::default();
        let expression = statement.bind(trigrams.expression.clone());
        let (sign, order, everybody) =
            if newest_first { ("<=", "DESC", i64::MAX) } else { (">=", "ASC", i64::MIN) };
        let edge = statement.bind(edge.unwrap_or(everybody));
        let belongs = statement.belonging(query, &trigrams.words, now);
        let sql = format!(
            "SELECT {COLUMNS}, u.created_at, {belongs} FROM users_search s CROSS JOIN users u ON u.seq = s.rowid \
             WHERE s.users_search MATCH {expression} AND s.rowid {sign} {edge} ORDER BY s.rowid {order}"
        );
        let mut page = PageByAge { newest_first, disorder, most: query.limit.get() + 1, users: Vec::new() };
        let (mut looked_at, mut is_done) = (0, true);
        self.until(&sql, statement.params().as_slice(), |row| {
            if page.is_settled(timestamp(row, COLUMN_COUNT)?) {
                return Ok(ControlFlow::Break(()));
            }
            looked_at += 1;
            if looked_at > FEW {
                is_done = false;
                return Ok(ControlFlow::Break(()));
            }
            if row.get(COLUMN_COUNT + 1)? {
                page.take(read_user(row, 0)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(is_done.then_some(page.users))
    }

    /// A number such that nobody beyond it is after the instant `at` in a list by age: that of somebody who is before it by
    /// more than the disorder.
    fn edge(&self, at: Timestamp, newest_first: bool, disorder: i64) -> Result<Option<i64>, Error> {
        let (past, sign, order, outermost) = if newest_first {
            (at.millis().saturating_add(disorder), ">", "", "min")
        } else {
            (at.millis().saturating_sub(disorder), "<", " DESC", "max")
        };
        let nearest: Vec<_> = ranges(&UserFilter::default())
            .map(|range| {
                let range = condition("u", range);
                format!(
                    "SELECT * FROM (SELECT u.seq FROM users u WHERE {range} AND u.created_at {sign} ?1 \
                     ORDER BY u.created_at{order} LIMIT 1)"
                )
            })
            .collect();
        let sql = format!("SELECT {outermost}(seq) FROM ({})", nearest.join(" UNION ALL "));
        Ok(self.first(&sql, [past], |row| row.get::<_, Option<i64>>(0))?.flatten())
    }

    /// Whether users came so disorderly that it must have been by a wrong clock.
    pub(super) fn has_arrival_disorder(&self) -> Result<bool, Error> {
        Ok(self.number("SELECT disorder > ?1 FROM user_arrivals", [DISORDERLY])? > 0)
    }

    /// Whether a filter leaves so few that none of them is worth a search.
    fn is_narrow(&self, filter: &UserFilter) -> Result<bool, Error> {
        if filter.role.is_none() && filter.status.is_none() && filter.disabled.is_none() {
            return Ok(false);
        }
        let ranges: Vec<_> = ranges(filter).map(|range| condition("c", range)).collect();
        let sql = format!("SELECT sum(c.users) FROM user_counts c WHERE {}", ranges.join(" OR "));
        Ok(self.number(&sql, [])? <= NARROW)
    }

    /// How many of the newest and of the oldest have a word: the fewer of both. With many of them, walking along the list
    /// meets a page at once.
    fn having(&self, word: &str) -> Result<u64, Error> {
        let having = |order| {
            format!(
                "(SELECT count(*) FROM (SELECT search_text FROM users ORDER BY seq {order} LIMIT ?2) \
                 WHERE instr(search_text, ?1) > 0)"
            )
        };
        let sql = format!("SELECT min({}, {})", having("DESC"), having("ASC"));
        self.number(&sql, (word, SAMPLE))
    }

    /// The trigrams that begin with a word, as they are written in a search.
    fn trigrams_from(&self, word: &str) -> Result<Vec<String>, Error> {
        // FTS5 has one character for all that are none.
        let text = word.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
        // Terms are compared byte by byte: those that begin with the text come before it with the last character at its end.
        let end = format!("{text}{}", char::MAX);
        let sql = "SELECT term FROM users_search_terms WHERE term >= ?1 AND term <= ?2";
        self.all(sql, (text, end), |row| Ok(quoted(row.get_ref(0)?.as_str()?)))
    }
}

impl Tx<'_> {
    /// Finds out how disorderly those users came who are there now.
    pub(super) fn recompute_arrival_disorder(&self) -> Result<(), Error> {
        self.execute_one(
            "UPDATE user_arrivals SET (latest, disorder) = \
             (SELECT ifnull(max(latest), 0), ifnull(max(latest - created_at), 0) FROM (SELECT created_at, \
             max(created_at) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS latest FROM users))",
            [],
        )
    }
}

/// A page by age that is filled in the order of arrival, or against it.
struct PageByAge {
    newest_first: bool,
    /// By how many milliseconds whoever arrived later may be older.
    disorder: i64,
    most: usize,
    users: Vec<User>,
}

impl PageByAge {
    /// Whether it is full, and neither whoever was created at `at` nor anybody who is still to come belongs on it.
    fn is_settled(&self, at: Timestamp) -> bool {
        let Some(last) = self.users.last().filter(|_| self.users.len() == self.most) else { return false };
        let (at, last) = (at.millis(), last.created_at.millis());
        let past = if self.newest_first { last.saturating_sub(at) } else { at.saturating_sub(last) };
        past > self.disorder
    }

    /// Puts somebody in their place, if they belong on the page.
    fn take(&mut self, user: User) {
        let place = |user: &User| (user.created_at, user.id);
        let index = self.users.partition_point(|other| {
            if self.newest_first { place(other) > place(&user) } else { place(other) < place(&user) }
        });
        self.users.insert(index, user);
        self.users.truncate(self.most);
    }
}

/// What of a word tells its owner from others: of an address not the end of its domain, which many have, and of which long
/// lists would be read.
fn telling(word: &[char]) -> &[char] {
    match word.iter().position(|c| *c == '@') {
        Some(at) if at >= 3 => &word[..word.len().min(at + 3)],
        _ => word,
    }
}

/// A trigram as a string of FTS5's query language.
fn quoted(trigram: &str) -> String {
    format!("\"{}\"", trigram.replace('"', "\"\""))
}
