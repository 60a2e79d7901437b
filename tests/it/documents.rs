//! The documents: short where they must be, their links lead somewhere, and what they say about the program is what it says.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use coffeeshop::api;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file that is written by hand or by these tests, relative to the root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned(), root().join("docs"), root().join(".github")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && folder.starts_with(root().join("docs")) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 10, "the documents are not where they were");
    found
}

/// The lines outside of code blocks, each with its number.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((index + 1, line))
    })
}

/// The anchors of a document, as the usual Markdown renderers make them from headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    let names = headings.map(|heading| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    });
    names.collect()
}

/// The targets of the links in a line: `](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// What a line quotes as code: `` `text` ``.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a quotation is a path of the repository, written out.
fn is_path(text: &str) -> bool {
    let begins =
        ["src/", "tests/", "docs/", "bench/", "migrations/", "templates/", "examples/", ".ci/", ".github/"];
    begins.iter().any(|start| text.starts_with(start)) && !text.contains(|c: char| " {}*<…".contains(c))
}

#[test]
fn the_readme_is_under_8_kb() {
    let bytes = read("README.md").len();
    assert!(bytes < 8_000, "README.md has {bytes} bytes: move detail into docs/");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for (number, line) in prose(&text) {
            for target in targets(line).filter(|target| !target.contains("://")) {
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
                let file = root().join(file);
                let leads_somewhere = file.exists()
                    && (anchor.is_empty() || anchors(&fs::read_to_string(&file).unwrap()).contains(anchor));
                if !leads_somewhere {
                    broken.push(format!("{}:{number}: {target}", document.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n  {}", broken.join("\n  "));
}

#[test]
fn files_that_documents_name_exist() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(&document);
        for (number, line) in prose(&text) {
            for path in quoted(line).filter_map(|quote| quote.split(' ').next().filter(|path| is_path(path)))
            {
                if !root().join(path).exists() {
                    missing.push(format!("{}:{number}: {path}", document.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "these files do not exist:\n  {}", missing.join("\n  "));
}

/// Compares a document with what the program says now, or writes it anew if asked to.
#[track_caller]
fn holds(path: &str, expected: &str) {
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(root().join(path), expected).unwrap();
    }
    assert!(
        fs::read_to_string(root().join(path)).is_ok_and(|text| text == expected),
        "{path} is out of date: run INSTA_UPDATE=always cargo test --test it -- documents"
    );
}

/// Settings that share a comment in `config.toml`.
#[derive(Default)]
struct Settings {
    meaning: Vec<String>,
    names: Vec<String>,
    variables: Vec<String>,
    defaults: Vec<String>,
}

impl Settings {
    fn row(&self) -> String {
        let join = |cells: &[String]| cells.join("<br>");
        let (names, variables, defaults) = (join(&self.names), join(&self.variables), join(&self.defaults));
        format!("| {names} | {variables} | {defaults} | {} |\n", self.meaning.join(" ").replace('|', "\\|"))
    }
}

#[test]
fn the_settings_reference_is_made_from_config_toml() {
    let mut page = String::from(
        "# Settings\n\n<!-- Made from config.toml by tests/it/documents.rs. -->\n\n\
         Each setting can be given in `config.toml`, in the working directory or where `--config` says, and in the environment,\n\
         which takes precedence. An unknown setting, a bad value, and one that has no effect beside the others stop the start\n\
         and are named. `coffeeshop config` prints the settings in force.\n\n\
         Lengths of time are written `\"30s\"`, `\"15m\"`, `\"12h\"` or `\"2d\"`. In the environment a list is written with commas and\n\
         text without quotes. `auth.secret`, `smtp.username` and `smtp.password` can each be read from a file: add `_FILE` to the\n\
         name of the variable.\n",
    );
    let config = read("config.toml");
    let mut section = "";
    let mut group = Settings::default();
    for line in config.lines().skip_while(|line| !line.starts_with('[')) {
        if let Some(comment) = line.strip_prefix("# ") {
            if !group.names.is_empty() {
                page += &std::mem::take(&mut group).row();
            }
            group.meaning.push(comment.to_owned());
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            write!(
                page,
                "\n## {name}\n\n| setting | environment | default | meaning |\n| --- | --- | --- | --- |\n"
            )
            .unwrap();
        } else if let Some((key, default)) = line.split_once(" = ") {
            group.names.push(format!("`{key}`"));
            group.variables.push(format!("`COFFEESHOP_{section}__{key}`").to_uppercase());
            group.defaults.push(format!("`{default}`"));
        } else if !group.names.is_empty() {
            page += &std::mem::take(&mut group).row();
        }
    }
    page += &group.row();
    holds("docs/reference/settings.md", &page);
}

#[test]
fn the_command_reference_is_what_help_prints() {
    let mut page = String::from(
        "# Commands\n\n<!-- Made from the program's own help by tests/it/documents.rs. -->\n\n\
         Data goes to standard output, messages to standard error. The exit code is 0 for done, 1 for refused or failed, 2 for\n\
         wrong usage. No option takes a password: it is asked for, or read with `--password-stdin`.\n",
    );
    describe(&mut page, &[]);
    holds("docs/reference/cli.md", &page);
}

/// Appends the help of a command and of those below it.
fn describe(page: &mut String, command: &[&str]) {
    let run = Command::cargo_bin("coffeeshop").unwrap().args(command).arg("--help").assert().success();
    let help = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let name = [&["coffeeshop"], command].concat().join(" ");
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()).unwrap();
    let below =
        help.iter().skip_while(|line| **line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for name in below.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        describe(page, &[command, &[name]].concat());
    }
}

/// The first column of the tables in a document.
fn first_column(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// The words that a field of a schema in the API document may have.
fn words(schema: &str, field: &str) -> BTreeSet<String> {
    let document = api::openapi();
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

/// The names of test functions and modules, and of the files that hold them.
fn names_of_tests() -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![root().join("tests"), root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let functions = text
                    .lines()
                    .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
                names.extend(functions.map(|line| line.split('(').next().unwrap().to_owned()));
            }
        }
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
