//! What must stay true about the source itself, read as text.

mod circles;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each layer may use of the others. Settings and log stand beside them.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain", "files"]),
    ("telemetry", &["config"]),
    ("isolate_panics", &[]),
    ("files", &[]),
    ("store", &["domain", "files", "config"]),
    ("crypto", &["domain", "store", "config", "files"]),
    ("core", &["domain", "store", "config", "crypto"]),
    ("accounts", &["domain", "store", "crypto", "core"]),
    ("auth", &["domain", "store", "config", "crypto", "core"]),
    ("messaging", &["domain", "store", "config", "files", "isolate_panics", "crypto", "core"]),
    // What keeps all of it running may use the other use cases.
    ("operations", &["domain", "store", "config", "crypto", "core", "auth"]),
    (
        "app",
        &[
            "domain",
            "store",
            "config",
            "files",
            "crypto",
            "core",
            "accounts",
            "auth",
            "messaging",
            "operations",
        ],
    ),
    ("http", &["domain", "config", "core"]),
    ("api", &["domain", "config", "core", "accounts", "auth", "operations", "app", "http"]),
    ("web", &["domain", "config", "core", "accounts", "app", "http"]),
    ("jobs", &["domain", "config", "isolate_panics", "core", "accounts", "auth", "operations", "app"]),
    ("server", &["domain", "config", "telemetry", "app", "http", "api", "web", "messaging", "jobs"]),
    (
        "cli",
        &[
            "domain",
            "config",
            "telemetry",
            "files",
            "core",
            "accounts",
            "auth",
            "messaging",
            "operations",
            "app",
            "api",
            "jobs",
            "server",
        ],
    ),
];

/// Where an outside crate may appear: folders end in a slash.
const PLACES: &[(&str, &[&str])] = &[
    ("strum", &["domain/"]),
    ("rusqlite", &["store/sqlite/", "store/sql.rs", "store/tx.rs"]),
    ("tokio_postgres", &["store/postgres/", "store/tx.rs"]),
    ("refinery", &["store/sqlite/migrations.rs", "store/postgres/migrations.rs"]),
    ("deadpool_sqlite", &["store/sqlite/"]),
    ("poem", &["http/", "api/", "web/", "server.rs"]),
    ("poem_openapi", &["api/"]),
    ("flate2", &["api/docs.rs"]),
    ("hyper", &["http/"]),
    ("hyper_util", &["http/"]),
    ("askama", &["web/layout.rs", "messaging/mail.rs"]),
    ("lettre", &["messaging/mail.rs"]),
    ("tokio_rustls", &["messaging/smtp/tls.rs", "store/postgres/tls.rs"]),
    ("webpki", &["messaging/smtp/tls.rs"]),
    ("webpki_roots", &["messaging/smtp/tls.rs", "store/postgres/tls.rs"]),
    ("clap", &["cli/"]),
    ("rpassword", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("jsonwebtoken", &["crypto/"]),
    ("argon2", &["crypto/"]),
    ("aws_lc_rs", &["crypto/", "messaging/smtp/tls.rs", "store/postgres/tls.rs", "store/copy.rs"]),
    ("quick_cache", &["crypto/tokens.rs", "auth/session_cache.rs"]),
    ("tokio_cron_scheduler", &["jobs/"]),
    ("tracing_subscriber", &["telemetry.rs"]),
    ("anyhow", &["cli/", "main.rs"]),
];

/// What may use the store.
const KNOW_THE_STORE: [&str; 9] =
    ["store/", "crypto/", "core/", "accounts/", "auth/", "messaging/", "operations/", "app.rs", "lib.rs"];

const MOST_LINES: usize = 400;

/// A file of the source.
struct Source {
    /// Below src, with slashes.
    name: String,
    text: String,
}

impl Source {
    /// The layer it belongs to; nothing for `main.rs` and `lib.rs`.
    fn layer(&self) -> Option<&'static (&'static str, &'static [&'static str])> {
        let layer = self.name.split(['/', '.']).next().unwrap();
        LAYERS.iter().find(|(name, _)| *name == layer)
    }

    /// The text without comments, each line with its number.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.map(|(index, line)| (index + 1, line.split(" // ").next().unwrap()))
    }

    /// The names that are taken from the root of the crate, by `crate::name` or `use crate::{name, …}`.
    fn uses(&self) -> Vec<&str> {
        let starts = self.text.match_indices("crate::").filter(|(at, _)| {
            let line = self.text[..*at].rfind('\n').map_or(0, |end| end + 1);
            !self.text[line..].trim_start().starts_with("//")
        });
        starts.flat_map(|(at, found)| names(&self.text[at + found.len()..])).collect()
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.name == *place || place.ends_with('/') && self.name.starts_with(place))
    }
}

/// The names at the outermost level of what follows `crate::`.
fn names(path: &str) -> Vec<&str> {
    let Some(list) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut depth = 1;
    let mut names = vec![word(list.trim_start())];
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(word(list[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether a line has this word, whole.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !is_word(c)).any(|found| found == word)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut folders = vec![root().join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
                sources.push(Source { name, text: fs::read_to_string(path).unwrap() });
            }
        }
    }
    assert!(sources.len() > 30, "the source is not where it was");
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[track_caller]
fn none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

#[test]
fn each_layer_uses_only_those_below_it() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some((layer, allowed)) = source.layer() else { continue };
        for used in source.uses() {
            let is_layer = LAYERS.iter().any(|(name, _)| *name == used);
            if is_layer && used != *layer && !allowed.contains(&used) {
                broken.push(format!("src/{}: {layer} uses {used}", source.name));
            }
        }
    }
    none(
        &broken,
        "domain ← store ← crypto ← core ← accounts, auth, messaging ← operations ← app ← http ← api, web, jobs ← server ← \
         cli: this points the wrong way",
    );
}

#[test]
fn only_the_use_cases_know_the_store() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in(&KNOW_THE_STORE)) {
        for (number, line) in
            source.code().filter(|(_, line)| line.contains("store::") || has_word(line, "Store"))
        {
            broken.push(format!("src/{}:{number}: {}", source.name, line.trim()));
        }
    }
    none(&broken, "api, web, jobs and cli never see the store");
}

#[test]
fn every_file_is_of_a_layer() {
    let loose = sources().into_iter().filter(|source| source.layer().is_none());
    let names: Vec<_> = loose.map(|source| source.name).collect();
    assert_eq!(names, ["lib.rs", "main.rs"], "each file belongs to a layer that this test knows");
}

#[test]
fn each_outside_crate_has_its_place() {
    let mut broken = Vec::new();
    for source in sources() {
        for (name, places) in PLACES.iter().filter(|(_, places)| !source.is_in(places)) {
            for (number, line) in source.code().filter(|(_, line)| has_word(line, name)) {
                let line = line.trim();
                broken.push(format!("src/{}:{number}: {name} belongs in {places:?}: {line}", source.name));
            }
        }
    }
    none(&broken, "one crate in one place");
}

#[test]
fn every_file_begins_with_a_sentence_that_says_what_it_is() {
    let mut broken = Vec::new();
    for source in sources() {
        let intro = source.text.lines().map_while(|line| line.strip_prefix("//!"));
        let intro: Vec<_> = intro.map(str::trim).take_while(|line| !line.is_empty()).collect();
        if !intro.join(" ").ends_with('.') {
            broken.push(format!("src/{}", source.name));
        }
    }
    none(&broken, "each file begins with a //! sentence, up to its full stop");
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > MOST_LINES).then(|| format!("src/{}: {lines} lines", source.name))
    });
    none(&long.collect::<Vec<_>>(), "no file has more than 400 lines: a longer one usually holds two nouns");
}

#[test]
fn only_the_command_line_makes_an_admin_without_a_session() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in(&["cli/"])) {
        for (number, line) in source.code().filter(|(_, line)| has_word(line, "from_cli")) {
            if !line.contains("fn from_cli") {
                broken.push(format!("src/{}:{number}: {}", source.name, line.trim()));
            }
        }
    }
    none(&broken, "Admin::from_cli() is for cli/ alone");
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let mut numbers = Vec::new();
    for path in entries(&root().join("migrations/sqlite")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let parts = name.strip_prefix('V').and_then(|name| name.strip_suffix(".sql")?.split_once("__"));
        let (number, words) =
            parts.unwrap_or_else(|| panic!("migrations/{name} is not V<number>__<words>.sql"));
        assert!(
            !words.is_empty() && words.chars().all(is_word),
            "migrations/{name} is not V<number>__<words>.sql"
        );
        numbers.push(number.parse::<usize>().unwrap_or_else(|_| panic!("migrations/{name} has no number")));
    }
    numbers.sort_unstable();
    let expected: Vec<_> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected, "migrations are numbered from 1 on, without gaps");
}

#[test]
fn what_is_taken_from_the_crate_is_found_however_it_is_written() {
    let text = "use crate::{\n    accounts::{self, store},\n    domain,\n};\n// crate::cli\nlet x = crate::server::run();";
    let source = Source { name: "api/x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(source.uses(), ["accounts", "domain", "server"]);
    assert!(has_word("poem::Route", "poem") && !has_word("poem_openapi::Tags", "poem"));
}
