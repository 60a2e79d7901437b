//! Roles have names: operator, client, user, admin, caller. These words stand for none of them.

use std::{fs, path::Path};

use super::{entries, none, root};

/// Also as a part of a name in code.
const VAGUE: [&str; 5] = ["whoever", "somebody", "nobody", "anybody", "everybody"];

const MAX_TEST_NAME: usize = 70;

/// Where they are looked for. Migrations are not: they are never edited once shipped.
const PLACES: [&str; 24] = [
    "src",
    "tests",
    "bench",
    "docs",
    "examples",
    "templates",
    ".ci",
    ".github",
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "config.toml",
    "Cargo.toml",
    "Dockerfile",
    "docker-compose.yml",
    "docker-compose.caddy.yml",
    "Caddyfile",
    ".env.example",
    "secrets/README",
    "justfile",
    "deny.toml",
    ".cargo",
    ".clippy.toml",
];

/// Files that contain them on purpose.
const EXCEPTIONS: [&str; 2] = ["tests/it/tidy/words.rs", "src/domain/common_passwords.txt"];

/// Calls `found` with each text file below `path`, and its name below the root.
fn each_file(path: &Path, found: &mut impl FnMut(&str, &str)) {
    let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
    if path.is_dir() {
        if path.file_name().is_some_and(|name| name != "node_modules" && name != "__pycache__") {
            for path in entries(path) {
                each_file(&path, found);
            }
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        found(name, &text);
    }
}

fn vague_word(line: &str) -> Option<&'static str> {
    let line = line.to_lowercase();
    VAGUE.into_iter().find(|vague| line.contains(vague))
}

#[test]
fn roles_are_called_by_their_names() {
    let mut vague = Vec::new();
    for place in PLACES {
        assert!(root().join(place).exists(), "{place} is not where it was");
        each_file(&root().join(place), &mut |name, text| {
            if EXCEPTIONS.contains(&name) {
                return;
            }
            for (index, line) in text.lines().enumerate() {
                if let Some(word) = vague_word(line) {
                    vague.push(format!("{name}:{}: {word}: {}", index + 1, line.trim()));
                }
            }
        });
    }
    none(&vague, "say who is meant: an operator, a client, a user, an admin, a caller");
}

#[test]
fn names_of_tests_have_up_to_seventy_characters() {
    let mut long = Vec::new();
    for place in ["src", "tests"] {
        each_file(&root().join(place), &mut |name, text| {
            let after_attribute = text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1));
            for test in after_attribute.filter_map(|rest| rest.split_once("fn ")) {
                let test = test.1.split('(').next().unwrap();
                if test.len() > MAX_TEST_NAME {
                    long.push(format!("{name}: {test}: {} characters", test.len()));
                }
            }
        });
    }
    none(&long, "the name of a test is one claim: a longer one usually holds two");
}

#[test]
fn a_vague_word_is_found_in_text_and_in_names() {
    assert_eq!(vague_word("/// Somebody's."), Some("somebody"));
    assert_eq!(vague_word("fn as_nobodys()"), Some("nobody"));
    assert_eq!(vague_word("struct AsNobody;"), Some("nobody"));
    assert_eq!(vague_word("the body of a request"), None);
}
