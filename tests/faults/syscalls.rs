//! System calls that fail, and the order of system calls.

use std::{collections::HashMap, fs, thread};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    connection,
    crowd::{ask, ask_named, check_all, guests},
    has, is_calm, random, rounds, say, shop,
    shop::{Server, Shop, wait_for},
    strace::Fault,
};

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn every_answer_to_a_write_comes_after_its_log_is_on_the_disk() {
    if !has(&["strace"]) {
        return;
    }
    let shop = shop();
    let trace = shop.path("trace");
    let server = shop
        .start_in_shell(
            "exec strace -D -f -y -ttt -s 160 -o trace \
             -e trace=read,readv,recvfrom,write,writev,sendto,pwrite64,fsync,fdatasync \"$0\" serve",
        )
        .wait_until_it_listens();
    let guests = guests(&server, 2);
    let requests = rounds(50);
    thread::scope(|scope| {
        for (client, mut guest) in guests.into_iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                for number in 0..requests / 2 {
                    let id = format!("traced-{client}-{number}-end");
                    let (method, path, token, body) = match number % 3 {
                        0 => ("POST", "/auth/refresh", "", json!({ "refresh_token": guest.refresh })),
                        _ => ("PATCH", "/me", &*guest.access, json!({ "first_name": id })),
                    };
                    let reply =
                        ask_named(server.address, method, path, token, Some(&body), &id).unwrap().is(200);
                    if path == "/auth/refresh" {
                        let token = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
                        (guest.access, guest.refresh) = (token("access_token"), token("refresh_token"));
                    }
                }
            });
        }
    });
    server.stop(Signal::TERM).is(0);
    let trace = wait_for("the end of the trace", || {
        fs::read_to_string(&trace).ok().filter(|trace| trace.contains("+++ exited with 0 +++"))
    });
    let calls = Call::read(&trace);
    for client in 0..2 {
        for number in 0..requests / 2 {
            let id = format!("traced-{client}-{number}-end");
            let asked = calls.iter().find(|call| call.receives() && call.text.contains(&id)).expect(&id);
            let answered = calls.iter().find(|call| call.sends() && call.text.contains(&id)).expect(&id);
            assert!(answered.text.contains("HTTP/1.1 200"), "{}", answered.text);
            let written = calls.iter().find(|call| call.is("pwrite64") && call.start > asked.end).unwrap();
            let kept = calls.iter().any(|call| {
                (call.is("fdatasync") || call.is("fsync"))
                    && call.text.contains("coffeeshop.db-wal")
                    && call.text.ends_with("= 0")
                    && call.start > written.end
                    && call.end < answered.start
            });
            assert!(kept, "{id} was answered before it was kept");
        }
    }
    say(format_args!("{requests} answers, each after the flush of its log"));
}

/// A system call, put together from the lines that tell of it.
struct Call {
    start: f64,
    end: f64,
    text: String,
}

impl Call {
    fn read(trace: &str) -> Vec<Self> {
        let (mut calls, mut unfinished) = (Vec::new(), HashMap::<&str, Self>::new());
        for line in trace.lines() {
            let mut parts = line.splitn(3, char::is_whitespace).filter(|part| !part.is_empty());
            let (Some(thread), Some(rest)) = (parts.next(), parts.last()) else { continue };
            let Some((time, text)) = line[thread.len()..].trim_start().split_once(' ') else { continue };
            let (Ok(time), _) = (time.parse::<f64>(), rest) else { continue };
            if let Some(text) = text.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, Self { start: time, end: time, text: text.to_owned() });
            } else if let Some((_, text)) = text.split_once("resumed>").filter(|_| text.starts_with("<...")) {
                let Some(begun) = unfinished.remove(thread) else { continue };
                calls.push(Self { end: time, text: begun.text + text, ..begun });
            } else {
                calls.push(Self { start: time, end: time, text: text.to_owned() });
            }
        }
        calls
    }

    fn is(&self, name: &str) -> bool {
        self.text.starts_with(name)
    }

    fn receives(&self) -> bool {
        ["read(", "readv(", "recvfrom("].iter().any(|name| self.is(name))
    }

    fn sends(&self) -> bool {
        ["write(", "writev(", "sendto("].iter().any(|name| self.is(name)) && self.text.contains("HTTP/1.1")
    }
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn what_could_not_be_flushed_is_not_acknowledged() {
    if !has(&["strace"]) {
        return;
    }
    let shop = shop();
    let mut server = shop.serve();
    let mut guests = guests(&server, 2);
    for round in 0..rounds(3) {
        let fine = if round == 0 { 0 } else { random(6) };
        let fault = Fault::start(&server, &format!("fsync,fdatasync:error=EIO:when={}+", fine + 1));
        let mut refused = 0;
        for _ in 0..fine + 3 {
            let before = guests[0].acknowledged();
            guests[0].edit(&server);
            refused += usize::from(guests[0].acknowledged() == before);
        }
        assert!(refused >= 3, "only {refused} of {} were refused", fine + 3);
        let before = guests[1].acknowledged();
        guests[1].renew(&server);
        assert_eq!(guests[1].acknowledged(), before, "acknowledged without being kept");
        server.get("/readyz").is(200);
        server.get_as(&guests[0].access, "/me").is(200);
        drop(fault);
        let before = guests[0].acknowledged();
        guests[0].edit(&server);
        assert_eq!(guests[0].acknowledged(), before + 1, "not well again: {}", server.logged());
        check_all(&mut guests, &server, &shop);
    }
    is_calm(&server.logged());
    server.signal(Signal::KILL);
    server.ended();
    let server = shop.serve();
    check_all(&mut guests, &server, &shop);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn any_system_call_may_fail_once() {
    if !has(&["strace"]) {
        return;
    }
    let shop = shop();
    let server = shop.serve();
    let mut guests = guests(&server, 1);
    let (mut faults, mut refused) = (0, 0);
    // At a start the loader itself needs memory, and says so in its own way.
    let memory = numbers(&[1, 3]).into_iter().map(|number| ("mmap", "ENOMEM", number));
    for (call, error, number) in sweep(&[1, 3]).into_iter().chain(memory) {
        let fault = Fault::start(&server, &format!("{call}:error={error}:when={number}"));
        for _ in 0..=number.min(8) {
            let before = guests[0].acknowledged();
            guests[0].edit(&server);
            guests[0].renew(&server);
            refused += before + 2 - guests[0].acknowledged();
        }
        server.get("/readyz");
        drop(fault);
        faults += 1;
        guests[0].check(&server, &connection(&shop));
        let before = guests[0].acknowledged();
        guests[0].edit(&server);
        assert_eq!(guests[0].acknowledged(), before + 1, "not well after {call} {error} {number}");
    }
    is_calm(&server.logged());
    check_all(&mut guests, &server, &shop);
    say(format_args!("{faults} faults, {refused} refused, 0 lost"));
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn any_system_call_of_a_start_may_fail_once() {
    if !has(&["strace"]) {
        return;
    }
    let shop = shop();
    let server = shop.serve();
    let mut guests = guests(&server, 1);
    server.kill();
    let (mut started, mut refused) = (0, 0);
    // What of a file can only be opened for reading is refused: SQLite would go on with that for good.
    for (call, error, number) in sweep(&[2, 9]) {
        match start_with(&shop, &format!("{call}:error={error}:when={number}")) {
            Some(server) => {
                started += 1;
                is_calm(&server.logged());
                guests[0].check(&server, &connection(&shop));
                is_calm(&server.stop(Signal::TERM).is(0).err);
            }
            None => refused += 1,
        }
    }
    let server = shop.serve();
    check_all(&mut guests, &server, &shop);
    say(format_args!("{started} starts, {refused} refused in words"));
}

/// At which counts of a call it fails: these, or all up to 40 in the long form.
fn numbers(short: &[usize]) -> Vec<usize> {
    if rounds(0) >= 40 { (1..=40).collect() } else { short.to_vec() }
}

/// Every call with every error, at these counts of it.
fn sweep(short: &[usize]) -> Vec<(&'static str, &'static str, usize)> {
    let numbers = numbers(short);
    let mut all = Vec::new();
    for call in ["pwrite64", "fsync,fdatasync", "ftruncate", "openat", "unlink"] {
        for error in ["EIO", "ENOSPC", "EMFILE", "EINTR"] {
            all.extend(numbers.iter().map(|number| (call, error, *number)));
        }
    }
    all
}

/// Starts a server under this fault; none if it says in words that it cannot.
fn start_with(shop: &Shop, inject: &str) -> Option<Server> {
    let call = inject.split(':').next().unwrap();
    let starting = shop.start_in_shell(&format!(
        "exec strace -D -f -o /dev/null -e trace={call} -e inject={inject} \"$0\" serve"
    ));
    starting
        .listens_or_ends()
        .map_err(|ran| {
            is_calm(&ran.err);
            assert_ne!(ran.code, Some(0), "{ran:?}");
            assert!(ran.err.contains("error"), "{inject}: {ran:?}");
        })
        .ok()
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_disk_that_cannot_be_written_to_for_a_while_can_be_read() {
    if !has(&["strace"]) {
        return;
    }
    let shop = shop();
    let server = shop.serve();
    let mut guests = guests(&server, 1);
    let fault = Fault::start(&server, "pwrite64,fsync,fdatasync,ftruncate:error=EROFS");
    let body = json!({ "first_name": "Ann" });
    ask(server.address, "PATCH", "/me", &guests[0].access, Some(&body)).unwrap().is(503);
    server.get_as(&guests[0].access, "/me").is(200);
    server.get("/readyz").is(200);
    drop(fault);
    assert!(guests[0].edit(&server));
    check_all(&mut guests, &server, &shop);
    is_calm(&server.logged());
}
