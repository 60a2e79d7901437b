//! The references that are made from the program and its settings.

use std::{fmt::Write, fs};

use assert_cmd::Command;

use super::{read, root};

/// Compares a document with what the program says now, or writes it anew if asked to.
#[track_caller]
fn holds(path: &str, expected: &str) {
    #[expect(clippy::disallowed_methods, reason = "the switch of the snapshots, which is no setting")]
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
        "# Settings\n\n<!-- Made from config.toml by tests/it/documents/generated.rs. -->\n\n\
         Each setting can be given in `config.toml`, in the working directory or where `--config` says, and in the environment,\n\
         which takes precedence. An unknown setting, a bad value, and one that has no effect beside the others stop the start (database.folder beside database.path is only reported)\n\
         and are named. `coffeeshop config` prints the settings in force.\n\n\
         Lengths of time are written `\"30s\"`, `\"15m\"`, `\"12h\"` or `\"2d\"`. In the environment a list is written with commas and\n\
         text without quotes. `auth.secret`, `database.url`, `database.password`, `smtp.username` and `smtp.password` can each be read\n\
         from a file: add `_FILE` to the name of the variable.\n",
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
        "# Commands\n\n<!-- Made from the program's own help by tests/it/documents/generated.rs. -->\n\n\
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
