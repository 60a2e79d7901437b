//! The words of the documents: those that the program has, all of them, and no others.

use std::{collections::BTreeSet, fs};

use coffeeshop::{
    config::Database,
    store::{OpenMode, Store},
};
use rusqlite::Connection;

use crate::document::openapi;

use super::{files, is_path, quoted, read, root, texts};

/// The first column of the tables in a document.
fn first_column(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// The words that a field of a schema in the API document may have.
fn words(schema: &str, field: &str) -> BTreeSet<String> {
    let document = openapi();
    let schemas = &document["components"]["schemas"];
    let mut property = &schemas[schema]["properties"][field];
    while let Some(reference) = property["$ref"].as_str().or(property["allOf"][0]["$ref"].as_str()) {
        property = &schemas[reference.rsplit('/').next().unwrap()];
    }
    let words = property["enum"].as_array().unwrap_or_else(|| panic!("{schema}.{field} is no enum"));
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_tables_of_problems_and_audit_events_are_complete() {
    assert_eq!(first_column("docs/reference/problems.md"), words("Problem", "code"));
    let audit = &words("AuditEvent", "action") | &words("AuditEvent", "channel");
    assert_eq!(first_column("docs/reference/audit.md"), audit);
}

/// Every table and every `table.column` of a new database.
async fn columns() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    drop(Store::open(&Database::at(&path), OpenMode::CreateOrMigrate).await.unwrap());
    let database = Connection::open(&path).unwrap();
    let columns = "SELECT m.name, m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c";
    let mut columns = database.prepare(columns).unwrap();
    let columns = columns.query_map((), |row| Ok([row.get(0)?, row.get(1)?])).unwrap();
    columns.flat_map(Result::unwrap).collect()
}

#[tokio::test]
async fn the_words_of_the_glossary_exist() {
    let (rust, columns_of_store) = (texts("src", "rs"), columns().await);
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
    };
    let (rust, document) = (words(&rust), words(&openapi().to_string()));
    let is_type = |word: &str| {
        rust.windows(2).any(|two| ["struct", "enum", "trait", "type"].contains(&&*two[0]) && two[1] == word)
    };
    let glossary = read("docs/glossary.md");
    let mut missing = Vec::new();
    for row in glossary.lines().filter(|line| line.starts_with("| ")) {
        let [_, _, api, types, columns, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("a row has four columns: {row}");
        };
        missing.extend(
            quoted(api).filter(|name| !name.split('.').all(|word| document.iter().any(|w| w == word))),
        );
        missing.extend(quoted(types).filter(|name| !is_type(name)));
        missing.extend(quoted(columns).filter(|name| !columns_of_store.contains(*name)));
    }
    assert!(missing.is_empty(), "the glossary has words that do not exist: {missing:?}");
}

#[test]
fn whatever_is_simplified_is_listed() {
    let listed: BTreeSet<_> = {
        let text = read("docs/architecture.md");
        let section = text.split("## What is simplified").nth(1).unwrap().to_owned();
        section.lines().flat_map(quoted).filter(|quote| is_path(quote)).map(str::to_owned).collect()
    };
    let mut simplified = BTreeSet::new();
    for path in files("src", "rs") {
        if fs::read_to_string(&path).unwrap().contains("Simplified:") {
            simplified.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(listed, simplified);
}

#[test]
fn the_architecture_names_every_part_of_the_source() {
    let architecture = read("docs/architecture.md");
    for path in fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_named = architecture.contains(&format!("`src/{name}`"));
        assert!(is_named || name == "main.rs", "docs/architecture.md does not say what src/{name} holds");
    }
}

/// The names of test functions, and the paths of the files that hold them.
fn names_of_tests() -> Vec<String> {
    let mut names = Vec::new();
    for path in files("tests", "rs").into_iter().chain(files("src", "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let tests = text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1));
        let functions = tests.filter_map(|rest| rest.split_once("fn "));
        names.extend(functions.map(|(_, rest)| rest.split('(').next().unwrap().to_owned()));
        names.push(path.strip_prefix(root()).unwrap().with_extension("").to_str().unwrap().to_owned());
    }
    names
}

#[test]
fn the_tests_behind_measurements_exist() {
    let names = names_of_tests();
    let text = read("docs/reliability.md");
    let mut missing = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| R") || line.starts_with("| S")) {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        // A number of rounds, a variable and an option are no names of tests, nor is a command but for its last words.
        let filters = quoted(shown_by).flat_map(|quote| quote.rsplit("--lib ").next().unwrap().split(' '));
        let filters = filters.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        for filter in
            filters.filter(|word| !["cargo", "test", "mutants", "coffeeshop", "migrate"].contains(word))
        {
            if !names.iter().any(|name| name.contains(filter)) {
                missing.push(format!("{filter}: {}", row.split(" | ").next().unwrap()));
            }
        }
    }
    assert!(missing.is_empty(), "no test has these names:\n  {}", missing.join("\n  "));
}
