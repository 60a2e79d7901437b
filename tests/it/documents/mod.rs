//! The documents: short where they must be, their links lead somewhere, and what they say about the program is what it says.

mod generated;
mod words;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder with this ending.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no .{extension}");
    found
}

/// What they say, one after the other.
fn texts(folder: &str, extension: &str) -> String {
    files(folder, extension).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Every document, relative to the root.
fn documents() -> Vec<PathBuf> {
    let at_root = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from);
    let below = files("docs", "md").into_iter().chain(files(".github", "md"));
    let below = below.map(|path| path.strip_prefix(root()).unwrap().to_owned());
    at_root.into_iter().chain(below).collect()
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
