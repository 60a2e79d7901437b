//! Every statement in the source of the store can be prepared on the engine of the tests.

use std::fs;

use crate::{
    bounds::{STATEMENTS, listen, walk_everywhere},
    documents::root,
    sql::SERVER,
};

/// Files whose statements other tests run: those that move a database.
const ELSEWHERE: [&str; 4] = ["copy.rs", "locked_store.rs", "store_info.rs", "tables.rs"];

/// The beginnings of others that other tests run, on SQLite for a search by age and on both for a move.
const BY_OTHER_TESTS: [&str; 3] = [
    "SELECT … FROM outbox WHERE seq IN ((SELECT min(seq)",
    "SELECT * FROM (SELECT u.seq FROM users u WHERE … AND u.created_at",
    "SELECT …(seq) FROM (…)",
];
/// The file with the searches by FTS5, which PostgreSQL has not.
const SEARCHES_OF_SQLITE: &str = "user_search.rs";
/// The beginnings of further statements for one engine alone.
const OF_SQLITE: [&str; 1] = ["SELECT sum(users) FROM user_counts"];
const OF_POSTGRES: [&str; 1] =
    ["SELECT …, … FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ANY"];

/// The texts in a source that are statements, each as the parts between its variables.
fn statements(source: &str) -> Vec<Vec<String>> {
    let source = source.split("#[cfg(test)]").next().unwrap().replace("\\\"", "'");
    // What is between two quotation marks; a comment has an even number of them.
    let texts = source.split('"').skip(1).step_by(2);
    let joined = texts.map(|text| {
        text.split("\\\n")
            .enumerate()
            .map(|(at, line)| if at == 0 { line } else { line.trim_start() })
            .collect::<String>()
    });
    let is_statement = |text: &String| {
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|verb| text.starts_with(verb))
    };
    let parts = |text: String| text.split(['{', '}']).step_by(2).map(str::to_owned).collect();
    joined.filter(is_statement).map(parts).collect()
}

/// Whether the parts of a text stand in a statement, in this order.
fn is_in(parts: &[String], statement: &str) -> bool {
    let mut rest = statement;
    parts.iter().all(|part| match rest.find(part.as_str()) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[tokio::test]
async fn every_statement_of_the_store_is_prepared() {
    listen();
    let app = walk_everywhere().await;
    let run = STATEMENTS.lock().unwrap().clone();
    let of_the_other: &[&str] = if SERVER.is_some() { &OF_SQLITE } else { &OF_POSTGRES };
    let mut missing = Vec::new();
    for entry in fs::read_dir(root().join("src/store")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_of_sqlite = SERVER.is_some() && name == SEARCHES_OF_SQLITE;
        if path.is_dir() || ELSEWHERE.contains(&name) || is_of_sqlite {
            continue;
        }
        for parts in statements(&fs::read_to_string(&path).unwrap()) {
            let text = parts.join("…");
            let is_known = |known: &[&str]| known.iter().any(|start| text.starts_with(start));
            if is_known(of_the_other) || run.iter().any(|statement| is_in(&parts, statement)) {
                continue;
            }
            match parts.as_slice() {
                [whole] => drop(app.sql.plan(whole, "on")), // it panics if the statement cannot be prepared
                _ if is_known(&BY_OTHER_TESTS) => {}
                _ => missing.push(format!("{name}: {text}")),
            }
        }
    }
    assert!(missing.is_empty(), "with variables, and not run: {missing:#?}");
}
