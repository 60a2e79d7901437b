//! Power cuts and kills at random moments, while clients send all kinds of requests.

use std::{
    fs,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{
    crowd::{Guest, check_all, guests},
    disk::Disk,
    has, is_calm, random, reaches, rounds, say, shop,
    shop::{Server, Shop, wait_for},
};

const CLIENTS: usize = 8;
/// How many guests come back after a fault; the others are looked at once more and then left alone.
const REGULARS: usize = 24;
const READY: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn nothing_acknowledged_is_lost_to_power_cuts() {
    let shop = shop();
    if !has(&["mkfs.ext4", "perl", "mount"]) {
        return;
    }
    let Some(disk) = Disk::ext4(&shop.path("data")) else { return };
    go_through(
        &shop,
        rounds(3),
        |server| {
            // With the power goes the program: what it printed after the cut would not have been seen.
            stand_still(server);
            disk.cut_power();
            kill_process(server.pid(), Signal::KILL).unwrap();
        },
        || {
            disk.come_back();
        },
    );
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn nothing_acknowledged_is_lost_to_kills() {
    go_through(&shop(), rounds(10), |server| kill_process(server.pid(), Signal::KILL).unwrap(), || {});
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_power_cut_during_the_first_start_leaves_a_folder_to_start_in() {
    if !has(&["mkfs.ext4", "perl", "mount"]) {
        return;
    }
    for round in 0..rounds(3) {
        let shop = shop();
        let Some(disk) = Disk::ext4(&shop.path("data")) else { return };
        let starting = shop.start(&["serve"]);
        if round % 3 == 0 {
            drop(starting.wait_until_it_listens());
            disk.cut_power();
        } else {
            thread::sleep(Duration::from_millis(random(200) as u64));
            disk.cut_power();
            drop(starting);
        }
        disk.come_back();
        let server = shop.serve();
        let mut guests = vec![Guest::arrive(&server, "ann@example.com".to_owned()).unwrap()];
        check_all(&mut guests, &server, &shop);
        drop(server);
    }
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_kill_during_the_first_start_leaves_a_folder_to_start_in() {
    let count = rounds(10);
    for _ in 0..count {
        let shop = shop();
        let starting = shop.start(&["serve"]);
        thread::sleep(Duration::from_micros(random(80_000) as u64));
        drop(starting);
        let server = shop.serve();
        let mut guests = vec![Guest::arrive(&server, "ann@example.com".to_owned()).unwrap()];
        check_all(&mut guests, &server, &shop);
    }
    say(format_args!("{count} kills while the store is made, each made good by the next start"));
}

/// Stops all threads where they are: in the middle of a flush, if that is where they are.
fn stand_still(server: &Server) {
    kill_process(server.pid(), Signal::STOP).unwrap();
    let threads = format!("/proc/{}/task", server.pid().as_raw_nonzero());
    wait_for("all threads to stand still", || {
        let mut threads = fs::read_dir(&threads).unwrap().flatten();
        let is_still = |status: &str| status.contains("State:\tT") || status.contains("State:\tD");
        threads
            .all(|thread| is_still(&fs::read_to_string(thread.path().join("status")).unwrap()))
            .then_some(())
    });
}

/// Round after round: guests do what they do, the server ends at any moment, starts again, and is compared.
fn go_through(shop: &Shop, rounds: usize, end: impl Fn(&Server), repair: impl Fn()) {
    let (mut regulars, mut acknowledged, mut slowest) = (Vec::<Guest>::new(), 0, Duration::ZERO);
    for round in 0..rounds {
        let start = Instant::now();
        let server = shop.serve();
        server.get("/readyz").is(200);
        if round == 0 {
            // Who has a session already is acknowledged something even where hashing is slow.
            regulars = guests(&server, 4);
        } else {
            let took = start.elapsed();
            slowest = slowest.max(took);
            reaches(took <= READY, format_args!("ready after {took:?}"));
        }
        check_all(&mut regulars, &server, shop);
        let (gone, mut staying): (Vec<_>, Vec<_>) = regulars.into_iter().partition(Guest::is_gone);
        let leaving = staying.len().saturating_sub(REGULARS);
        acknowledged +=
            gone.into_iter().chain(staying.drain(..leaving)).map(|guest| guest.acknowledged()).sum::<usize>();

        let guests = Mutex::new(staying);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (guests, done, server) = (&guests, &done, &server);
                scope.spawn(move || {
                    done.lock().unwrap().extend(work(server, guests, &format!("{round}-{client}")));
                });
            }
            thread::sleep(Duration::from_millis(300 + random(1700) as u64));
            end(&server);
        });
        regulars = done.into_inner().unwrap();
        regulars.extend(guests.into_inner().unwrap());
        is_calm(&server.logged());
        server.kill();
        repair();
    }
    let server = shop.serve();
    check_all(&mut regulars, &server, shop);
    acknowledged += regulars.iter().map(Guest::acknowledged).sum::<usize>();
    assert!(acknowledged >= rounds, "only {acknowledged} were acknowledged");
    say(format_args!(
        "{rounds} ends, {acknowledged} acknowledged, 0 lost, ready again in {slowest:?} at most"
    ));
}

/// One client: as one guest after the other, until the server is gone.
fn work(server: &Server, waiting: &Mutex<Vec<Guest>>, name: &str) -> Vec<Guest> {
    let mut done = Vec::new();
    for number in 0.. {
        let regular = waiting.lock().unwrap().pop();
        let guest = regular.or_else(|| Guest::arrive(server, format!("guest-{name}-{number}@example.com")));
        let Some(mut guest) = guest else { break };
        let stays = 5 + random(20);
        let mut is_there = true;
        for _ in 0..stays {
            is_there = guest.do_something(server);
            if !is_there {
                break;
            }
        }
        let left = guest.is_gone();
        done.push(guest);
        if !is_there && !left {
            break;
        }
    }
    done
}
