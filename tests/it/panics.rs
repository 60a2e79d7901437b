//! Panics: each is reported once, in one line of the log.

use std::{panic::catch_unwind, process::Command, thread};

use coffeeshop::{
    config::{self, LogFormat},
    telemetry::Log,
};
use serde_json::{Value, json};

/// What a test starts another time, as a program of its own: where panics go is a matter of the whole program.
const PROGRAM: &str = "panics::a_program_that_panics_before_during_and_after_its_log";

#[test]
#[ignore = "what another test starts"]
fn a_program_that_panics_before_during_and_after_its_log() {
    let cup = "a cup".to_owned();
    assert!(catch_unwind(|| panic!("spilt before the log")).is_err());
    let log = Log::start(&config::Log { format: LogFormat::Json, ..config::Log::default() }).unwrap();
    assert!(thread::spawn(|| panic!("spilt at once")).join().is_err());
    assert!(thread::spawn(move || panic!("spilt {cup}\nof two")).join().is_err());
    // A library, which puts into its words what it was given.
    assert!(thread::spawn(|| json!("beans")["mocha stirs slowly"] = json!(1)).join().is_err());
    let last = catch_unwind(move || {
        let _log = log;
        panic!("spilt at the end");
    });
    assert!(last.is_err());
    assert!(catch_unwind(|| panic!("spilt after the log")).is_err());
}

#[test]
fn a_panic_is_one_line_of_the_log_while_there_is_one() {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let ran = program.args(["--exact", PROGRAM, "--ignored", "--nocapture"]).output().unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{told}");

    let lines: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let [fixed, ours, library, last] = &lines[..] else { panic!("{told}") };
    for line in &lines {
        assert_eq!((&line["level"], &line["message"]), (&json!("ERROR"), &json!("panicked")), "{told}");
    }
    assert!(fixed["at"].as_str().unwrap().starts_with("tests/it/panics.rs:"), "{told}");
    assert_eq!((&fixed["why"], &ours["why"]), (&json!("spilt at once"), &json!("spilt a cup\nof two")));
    assert_eq!(last["why"], "spilt at the end", "{told}");
    assert!(library["at"].as_str().unwrap().contains("serde_json"), "{told}");

    // What is no line of the log are the first panic and the last, by the standard library.
    assert_eq!(told.matches("\nthread '").count(), 2, "{told}");
    assert!(told.contains("spilt before the log") && told.contains("spilt after the log"), "{told}");
    assert!(!told.contains("mocha stirs slowly"), "a library's words may hold anything: {told}");
}
