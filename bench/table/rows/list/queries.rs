//! Queries of the list of users.

use std::path::Path;

use coffeeshop::domain::{Timestamp, UserCursor, UserId, UserSort, VariantArray};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::super::super::seed::{Person, RARE_NAME};

/// What a query shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// That any page of any list costs the same.
    List,
    /// That any text is found at once.
    Search,
    /// That counting costs little.
    Count,
}

/// A question to the list.
pub struct Query {
    pub name: String,
    pub kind: Kind,
    pub path: String,
    /// The same, for the last page of the list.
    pub deep: Option<String>,
}

/// Filters as in the query, and as in SQL.
const FILTERS: [(&str, &str); 10] = [
    ("", "TRUE"),
    ("role=admin", "role = 'admin'"),
    ("role=user", "role = 'user'"),
    ("status=unverified", "status = 'unverified'"),
    ("status=verified", "status = 'verified'"),
    ("disabled=true", "disabled = 1"),
    ("disabled=false", "disabled = 0"),
    ("status=unverified&disabled=true", "status = 'unverified' AND disabled = 1"),
    ("role=user&status=verified&disabled=false", "role = 'user' AND status = 'verified' AND disabled = 0"),
    (
        "role=admin&status=unverified&disabled=true",
        "role = 'admin' AND status = 'unverified' AND disabled = 1",
    ),
];

/// Everything that is asked of the list in this file.
pub fn all(path: &Path) -> Vec<Query> {
    let connection = Connection::open(path).unwrap();
    let mut queries = Vec::new();
    for (filter, condition) in FILTERS {
        for sort in UserSort::VARIANTS {
            let path = format!("/users?sort={}&{filter}", sort.into_str());
            let deep =
                last_page(&connection, condition, *sort).map(|cursor| format!("{path}&cursor={cursor}"));
            let name = format!("{} by `{}`", if filter.is_empty() { "all" } else { filter }, sort.into_str());
            queries.push(Query { name, kind: Kind::List, path, deep });
        }
    }
    for (text, who) in texts() {
        for rest in ["", "&sort=email"] {
            queries.push(search(&format!("{who}{}", note(rest)), &text, rest));
        }
    }
    for (text, who) in
        [("example", "all users"), ("smith", "one in 30"), ("ann smith", "one in 900"), ("an", "two letters")]
    {
        for filter in ["&role=admin", "&status=unverified&disabled=true", "&disabled=true&sort=email"] {
            queries.push(search(&format!("{who}{}", note(filter)), text, filter));
        }
    }
    for (filter, _) in FILTERS {
        let name = format!("{}, counted", if filter.is_empty() { "all" } else { filter });
        let path = format!("/users?include_total=true&{filter}");
        queries.push(Query { name, kind: Kind::Count, path, deep: None });
    }
    for (text, who) in [("example", "all users"), ("smith", "one in 30"), ("ann smith", "one in 900")] {
        let counted = search(&format!("{who}, counted"), text, "&include_total=true");
        queries.push(Query { kind: Kind::Count, ..counted });
    }
    queries
}

/// Texts to search for, and who has them.
fn texts() -> Vec<(String, &'static str)> {
    let one = Person(777);
    [
        (one.email().as_str(), "one user, by the whole address"),
        ("777.", "a number"),
        ("zzqqxx", "no user"),
        ("example", "all users"),
        (".com", "three in five"),
        ("ann smith", "one in 900"),
        ("smith", "one in 30"),
        (RARE_NAME, "the oldest 2 %"),
        ("e", "one letter"),
        ("an", "two letters that many have"),
        ("zq", "two letters of no user"),
        ("ø", "one letter outside ASCII"),
        ("νίκος", "one in 30, Greek"),
        ("ΝΊΚΟΣ ΜΥ", "no user, Greek"),
    ]
    .map(|(text, who)| (text.to_owned(), who))
    .to_vec()
}

fn search(who: &str, text: &str, rest: &str) -> Query {
    let name = format!("q=`{text}` ({who})");
    let path = format!(
        "/users?q={}{rest}",
        serde_urlencoded::to_string([("", text)]).unwrap().trim_start_matches('=')
    );
    Query { name, kind: Kind::Search, path, deep: None }
}

/// Parameters as the end of a name.
fn note(rest: &str) -> String {
    rest.replace('&', ", ")
}

/// Where the last fifty of a list begin; none if there are not more.
fn last_page(connection: &Connection, condition: &str, sort: UserSort) -> Option<String> {
    let backwards = match sort {
        UserSort::NewestFirst => "created_at, id",
        UserSort::OldestFirst => "created_at DESC, id DESC",
        UserSort::Email => "email_key DESC",
        UserSort::EmailDescending => "email_key",
    };
    let sql = format!(
        "SELECT created_at, id, email_key FROM users WHERE {condition} ORDER BY {backwards} LIMIT 1 OFFSET 50"
    );
    let found = connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional();
    let (created_at, id, key): (i64, [u8; 16], String) = found.unwrap()?;
    let cursor = match sort {
        UserSort::NewestFirst | UserSort::OldestFirst => {
            UserCursor::Created(Timestamp::from_millis(created_at), UserId::from_uuid(Uuid::from_bytes(id)))
        }
        UserSort::Email | UserSort::EmailDescending => UserCursor::Email(key),
    };
    Some(cursor.encode(sort))
}
