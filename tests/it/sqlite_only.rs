//! The tests that SQLite alone can pass, each with the reason.

use std::{collections::BTreeSet, thread};

use crate::{
    documents::{files, root},
    sql::SERVER,
};

/// Why some tests make no sense on PostgreSQL, and their names.
const SQLITE_ONLY: &[(&str, &[&str])] = &[
    (
        "the file, the files beside it and the data folder",
        &[
            "cli::a_database_of_another_program_is_refused_and_left_as_it_is",
            "cli::a_database_that_cannot_be_created_gets_a_hint",
            "cli::a_file_that_is_no_database_is_refused_and_left_as_it_is",
            "cli::a_path_that_cannot_be_made_is_said_once",
            "cli::a_migrate_check_lists_and_applies_nothing",
            "cli::a_store_of_a_newer_coffeeshop_is_refused_and_left_as_it_is",
            "cli::files_are_private_whatever_the_umask",
            "cli::the_data_folder_holds_the_store_and_the_secret",
            "cli::the_path_of_a_store_takes_precedence_over_the_data_folder",
            "cli::the_servers_files_are_private_too",
            "owners::a_file_of_another_user_is_named_with_its_owner",
            "owners::a_folder_without_room_for_a_store_is_named_with_its_owner",
            "owners::what_root_makes_before_the_first_start_is_the_servers",
            "purge::a_disk_reserve_is_held_until_it_is_released",
            "serve::the_file_is_in_write_ahead_mode",
            "store::a_closed_store_is_whole_in_its_one_file",
            "store::a_store_is_neither_created_nor_migrated_unless_asked",
            "store::accounts_that_are_closed_have_let_go_of_the_file",
            "store::pending_migrations_are_listed_without_a_change",
            "users::the_file_of_the_store_holds_nothing_of_a_deleted_user",
        ],
    ),
    (
        "the file of the installation secret: with a URL the secret is a setting",
        &[
            "cli::a_secret_that_others_can_read_is_refused",
            "cli::a_store_whose_secret_is_gone_is_refused_and_gets_no_other",
        ],
    ),
    (
        "an upgrade from a version that had SQLite alone",
        &[
            "audit::events_of_an_older_version_have_current_names",
            "jobs::a_store_of_an_earlier_version_knows_when_it_was_last_used",
            "outbox::what_an_older_version_wrote_waits_for_nothing",
            "spellings::addresses_of_an_older_store_are_compared_anew",
            "spellings::an_upgrade_names_addresses_that_are_no_longer_accepted",
            "user_search::users_of_an_older_store_are_found_by_what_is_typed_today",
        ],
    ),
    (
        "damage, which PostgreSQL's operator finds by its own means",
        &[
            "serve::a_small_store_that_is_damaged_is_not_served",
            "store::a_schema_that_differs_from_the_migrations_is_damage",
            "store::an_impossible_value_is_damage_and_reported_by_column_only",
            "store::an_index_with_wrong_row_ids_finds_no_user",
        ],
    ),
    (
        "the order of arrival, which only SQLite's search uses",
        &["user_search::a_wrong_clock_is_forgotten_once_its_last_user_is_deleted"],
    ),
];

/// Whether the tests run on PostgreSQL, so that the test that asks has nothing to do; prints that it is skipped.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn sqlite_only() -> bool {
    if SERVER.is_none() {
        return false;
    }
    let name = thread::current().name().unwrap_or_default().to_owned();
    let reason =
        SQLITE_ONLY.iter().find(|(_, tests)| tests.contains(&&*name)).map_or("", |(reason, _)| reason);
    eprintln!("skipped on PostgreSQL: {name}: {reason}");
    true
}

#[test]
fn tests_that_are_skipped_on_postgresql_are_listed() {
    let mut skipped = BTreeSet::new();
    for path in files("tests/it", "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root().join("tests/it")).unwrap().with_extension("");
        let module = path.to_str().unwrap().replace('/', "::");
        let module = module.trim_end_matches("::mod");
        for (at, _) in text.match_indices("\n    if sqlite_only() {") {
            let name = text[..at].rsplit("fn ").next().unwrap().split('(').next().unwrap();
            skipped.insert(format!("{module}::{name}"));
        }
    }
    let listed: Vec<_> =
        SQLITE_ONLY.iter().flat_map(|(_, tests)| *tests).map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), skipped);
    assert_eq!(listed.len(), skipped.len(), "a test is listed twice");
}
