//! What should hold and does not yet. The rest runs without: `--skip known`.

use crate::{clock::leap_to, damage::trials, has, rounds, syscalls::start_in_spite_of};

#[test]
#[ignore = "does not hold yet: the clean-up waits for its next turn, which may be a second away"]
fn a_clock_that_leaps_to_just_before_the_hour_ends_nothing() {
    if has(&["faketime"]) {
        leap_to("@2100-02-28 23:59:58");
    }
}

#[test]
#[ignore = "does not hold yet: SQLite falls back to a file that it can only read, for good"]
fn a_start_that_cannot_open_the_file_for_writing_is_refused() {
    if has(&["strace"]) {
        start_in_spite_of([("openat", "EMFILE", 2), ("openat", "EIO", 2)].into_iter());
    }
}

#[test]
#[ignore = "does not hold yet: nothing looks at the whole file at the start, and some damage looks like a defect"]
fn a_damaged_file_shows_nobody_what_is_somebody_elses_and_hides_nobody() {
    let figures = trials(rounds(60));
    assert!(figures.strangers.is_empty(), "{:#?}", figures.strangers);
    assert!(figures.internal.is_empty(), "{:#?}", figures.internal);
    assert!(figures.short.is_empty(), "{:#?}", figures.short);
}
