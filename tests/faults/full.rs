//! Full disks, and read-only disks.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    connection,
    crowd::{Guest, ask, check_all, guests, verify_at_once},
    disk::Disk,
    has, is_calm, number, reaches, rounds, say, shop,
    shop::{PASSWORD, Reply, Server, wait_for},
};

/// Writes until there is no room for that; answers the refusal.
fn write_until_full(server: &Server, guest: &mut Guest) -> Reply {
    guest.refusal = None;
    for _ in 0..3000 {
        guest.edit(server);
        if let Some(refusal) = guest.refusal.take() {
            return refusal;
        }
    }
    panic!("the disk is never full");
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn on_a_full_disk_all_goes_on_but_writing() {
    if !has(&["mount", "dd"]) {
        return;
    }
    let shop = shop();
    let Some(disk) = Disk::in_memory(&shop.path("data"), 32) else { return };
    let server = shop.serve();
    let mut guests = guests(&server, 2);
    for _ in 0..rounds(3) {
        let filler = disk.fill();
        let reply = write_until_full(&server, &mut guests[0]).is(507);
        assert_eq!(reply.json()["code"], "storage_full");
        assert!(
            reply.head.contains("application/problem+json") && reply.head.contains("retry-after: "),
            "{reply:?}"
        );

        server.get("/readyz").is(200);
        server.get_as(&guests[0].access, "/me").is(200);
        let body = json!({ "email": guests[1].email, "password": PASSWORD });
        let login = ask(server.address, "POST", "/auth/login", "", Some(&body)).unwrap();
        assert!(matches!(login.status, 200 | 503 | 507), "{login:?}");
        // Refused, and good for later; or done, where the log has come to its end and begins anew in its own space.
        guests[1].renew(&server);

        fs::remove_file(filler).unwrap();
        let since = Instant::now();
        let before = guests[0].acknowledged();
        guests[0].edit(&server);
        assert_eq!(guests[0].acknowledged(), before + 1, "not well again: {}", server.logged());
        guests[1].renew(&server);
        let took = since.elapsed();
        reaches(took < Duration::from_secs(5), format_args!("well after {took:?}"));
        check_all(&mut guests, &server, &shop);
    }
    is_calm(&server.logged());
    server.stop(Signal::TERM).is(0);
    drop(disk);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn on_a_full_disk_the_reserve_lets_the_clean_up_delete() {
    if !has(&["mount", "dd"]) {
        return;
    }
    let shop = shop().with("CLEANUP__SCHEDULE", "* * * * * *");
    let Some(disk) = Disk::in_memory(&shop.path("data"), 48) else { return };
    let server = shop.serve();
    let mut guests = guests(&server, 4);
    verify_at_once(&mut guests[0], &server);
    wait_for("the reserve", || shop.path("data/coffeeshop.reserve").exists().then_some(()));
    // Two are due, for as long as they cannot be deleted.
    let filler = disk.fill();
    write_until_full(&server, &mut guests[0]).is(507);
    let sql = connection(&shop);
    let due = "UPDATE users SET expires_at = 1 WHERE email IN ('guest-1@example.com', 'guest-2@example.com')";
    if sql.execute(due, []).is_err() {
        // There is no room even for that: make some for a moment.
        fs::remove_file(&filler).unwrap();
        sql.execute(due, []).unwrap();
        disk.fill();
    }
    drop(sql);
    wait_for("the clean-up on a full disk", || {
        let due = "SELECT count(*) FROM users WHERE expires_at = 1";
        (number(&connection(&shop), due) == 0).then_some(())
    });
    server.get_as(&guests[0].access, "/me").is(200);
    fs::remove_file(disk.fill()).unwrap();
    let before = guests[0].acknowledged();
    guests[0].edit(&server);
    assert_eq!(guests[0].acknowledged(), before + 1, "not well again: {}", server.logged());
    wait_for("the reserve to be back", || shop.path("data/coffeeshop.reserve").exists().then_some(()));
    is_calm(&server.logged());
    let mut left = vec![guests.swap_remove(0)];
    check_all(&mut left, &server, &shop);
    server.stop(Signal::TERM).is(0);
    drop(disk);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_start_on_a_disk_that_is_read_only_says_so_at_once() {
    if !has(&["mkfs.ext4", "mount"]) {
        return;
    }
    for has_store in [false, true] {
        let shop = shop();
        let Some(disk) = Disk::ext4(&shop.path("data")) else { return };
        if has_store {
            shop.serve().stop(Signal::TERM).is(0);
        }
        disk.remount("ro").unwrap();
        let start = Instant::now();
        let ran = shop.start(&["serve"]).ended();
        let took = start.elapsed();
        reaches(took < Duration::from_secs(3), format_args!("refused after {took:?}"));
        is_calm(&ran.err);
        say(format_args!("read-only: {}", ran.err.trim()));
        ran.refused("");
        disk.remount("rw").unwrap();
        shop.serve().get("/readyz").is(200);
        drop(disk);
    }
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_disk_that_becomes_read_only_can_be_read() {
    if !has(&["mkfs.ext4", "mount", "findmnt"]) {
        return;
    }
    let shop = shop();
    let Some(disk) = Disk::ext4(&shop.path("data")) else { return };
    let server = shop.serve();
    let mut guests = guests(&server, 2);
    if !disk.become_read_only() {
        return say("skipped: this file system cannot be told to find an error");
    }
    for _ in 0..5 {
        let body = json!({ "first_name": "Ann" });
        ask(server.address, "PATCH", "/me", &guests[0].access, Some(&body)).unwrap().is(503);
        server.get_as(&guests[0].access, "/me").is(200);
        server.get("/readyz").is(200);
        thread::sleep(Duration::from_millis(20));
    }
    is_calm(&server.logged());
    server.kill();
    disk.come_back();
    let server = shop.serve();
    check_all(&mut guests, &server, &shop);
    drop(server);
    drop(disk);
}
