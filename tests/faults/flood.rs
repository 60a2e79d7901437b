//! Floods: thousands of slow sockets, hundreds of large bodies.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType},
    process::{Resource, Rlimit, Signal, getrlimit, setrlimit},
};

use crate::{
    connection, has, is_calm,
    process::{cpu_time, descriptors, most_memory},
    reaches, say, shop,
    shop::{Server, wait_for},
};

const SLOW: usize = 2_000;
/// Every deadline of a request is over by then.
const OVER: Duration = Duration::from_secs(35);
/// How long others wait at most: loosely, since machines that do other things, too, are slow.
const WAIT: Duration = Duration::from_secs(2);
const JSON: &str = "Host: shop\r\nContent-Type: application/json\r\n";

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn two_thousand_slow_sockets_of_one_client_block_no_client() {
    if !has(&["curl"]) {
        return;
    }
    // Fewer descriptors than the client has sockets.
    let shop = shop();
    let server = shop.start_in_shell("ulimit -n 256; exec \"$0\" serve").wait_until_it_listens();
    let quiet = descriptors(&server);
    let slow = slow_sockets(|_| TcpStream::connect(server.address));
    let (most, _) = others_wait(&server, "127.0.0.2");
    reaches(most < WAIT, format_args!("{most:?}"));
    thread::sleep(Duration::from_secs(1));
    let (most, _) = others_wait(&server, "127.0.0.1");
    reaches(most < WAIT, format_args!("{most:?}"));
    are_hung_up_on(&server, quiet);
    drop(slow);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn two_thousand_slow_sockets_of_fifty_clients_block_no_client_for_long() {
    if !has(&["curl"]) {
        return;
    }
    for limits in ["ulimit -n 4096", "ulimit -n 256"] {
        let shop = shop().with("SERVER__REQUEST_TIMEOUT", "12s");
        let server = shop.start_in_shell(&format!("{limits}; exec \"$0\" serve")).wait_until_it_listens();
        let quiet = descriptors(&server);
        let from = |number| Ipv4Addr::new(127, 0, 1, u8::try_from(number % 50).unwrap() + 1);
        let slow = slow_sockets(|number| connect(from(number), server.address));
        let (_, slowest) = others_wait(&server, "127.0.0.2");
        // The last client waits until each one before it has had its half a second.
        reaches(slowest < Duration::from_secs(15), format_args!("{limits}: {slowest:?}"));
        let (most, _) = others_wait(&server, "127.0.0.2");
        reaches(most < WAIT, format_args!("{limits}: {most:?}"));
        are_hung_up_on(&server, quiet);
        drop(slow);
        is_calm(&server.stop(Signal::TERM).is(0).err);
    }
}

/// Connections of clients who say nothing, half a head, or half a body.
fn slow_sockets(connect: impl Fn(usize) -> io::Result<TcpStream>) -> Vec<TcpStream> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most.map(|most| most.min(8192)), maximum: most }).unwrap();
    let begun = [
        String::new(),
        format!("POST /auth/login HTTP/1.1\r\n{JSON}"),
        format!("POST /auth/login HTTP/1.1\r\n{JSON}Content-Length: 99\r\n\r\n{{"),
    ];
    let slow = (0..SLOW).filter_map(|number| {
        let mut stream = connect(number).ok()?;
        let _ = stream.write_all(begun[number % begun.len()].as_bytes());
        Some(stream)
    });
    slow.collect()
}

/// How long a client at this address waits: 99th percentile and maximum.
fn others_wait(server: &Server, from: &str) -> (Duration, Duration) {
    let (cpu, asked) = (cpu_time(server), Instant::now());
    let mut times: Vec<_> = (0..100).map(|_| ask_from(from, server)).collect();
    let busy = (cpu_time(server) - cpu) / asked.elapsed().as_secs_f64();
    times.sort_unstable();
    say(format_args!(
        "{SLOW} slow sockets: {from} is answered in {:?} at the 99th of 100, {:?} at most, {:.0} % of a processor",
        times[98],
        times[99],
        busy * 100.0
    ));
    (times[98], times[99])
}

/// Waits until the server has no more open than when it was quiet.
fn are_hung_up_on(server: &Server, quiet: usize) {
    let start = Instant::now();
    wait_for("all slow sockets to be closed", || (descriptors(server) <= quiet).then_some(()));
    say(format_args!("{SLOW} slow sockets: closed {:.0?} later", start.elapsed()));
    reaches(start.elapsed() <= OVER, format_args!("closed after {:?}", start.elapsed()));
}

/// A connection from this address, which is not waited for.
fn connect(from: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    net::bind(&socket, &SocketAddr::from((from, 0)))?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    match net::connect(&stream, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}

/// How long the server takes to answer a client at this address.
fn ask_from(address: &str, server: &Server) -> Duration {
    let url = format!("http://{}/readyz", server.address);
    let args = ["-sf", "-o", "/dev/null", "-w", "%{time_total}", "--interface", address, &url];
    let asked = Command::new("curl").args(args).output().unwrap();
    assert!(asked.status.success(), "{asked:?}");
    Duration::from_secs_f64(String::from_utf8(asked.stdout).unwrap().parse().unwrap())
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn large_requests_are_refused_and_take_no_memory() {
    let shop = shop();
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201); // hashing has its memory now
    let before = most_memory(&server);
    let post = format!("POST /auth/login HTTP/1.1\r\nConnection: close\r\n{JSON}");
    let sized = |body: &str| format!("{post}Content-Length: {}\r\n\r\n{body}", body.len());
    let large = "x".repeat(10_000_000);
    let keys: Vec<_> = (0..100_000).map(|number| format!("\"k{number}\":1")).collect();
    let requests = [
        sized(&large),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len()),
        sized(&format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000))),
        sized(&format!("{{{}}}", keys.join(","))),
        format!("GET /healthz HTTP/1.1\r\nX-Long: {}\r\nHost: shop\r\n\r\n", "x".repeat(1_000_000)),
    ];
    let mut refused = 0;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let (server, requests) = (&server, &requests);
                scope.spawn(move || {
                    (0..10).flat_map(|_| requests).filter(|request| is_refused(server, request)).count()
                })
            })
            .collect();
        refused = clients.into_iter().map(|client| client.join().unwrap()).sum();
    });
    let growth = most_memory(&server) - before;
    say(format_args!("500 large requests, {refused} refused in words; memory grew by {growth} KiB at most"));
    assert!(growth <= 32 * 1024, "{growth} KiB");
    server.get("/readyz").is(200);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

/// Whether a request is refused with a problem. The connection may also be closed: a client that goes on sending does not
/// read the answer.
fn is_refused(server: &Server, request: &str) -> bool {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut said = Vec::new();
    if stream.read_to_end(&mut said).is_err() && said.is_empty() {
        return false;
    }
    let said = String::from_utf8(said).unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    !said.is_empty()
}

/// Exports of an account with a long history, without the limit on them, each connection closed before its answer.
#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn abandoned_exports_are_not_computed() {
    // All come from one address, whose connections over the usual limit would be closed without a word.
    let shop = shop().with("SERVER__CONNECTIONS_PER_CLIENT", "256");
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201);
    let token = server.token("ann@example.com");
    let copy = "INSERT INTO audit_events (id, at, action, actor_id, user_id, channel, changes) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) \
         SELECT randomblob(16), at, 'user.edited', user_id, user_id, 'api', '[]' FROM n, audit_events \
         WHERE action = 'user.signed_up'";
    connection(&shop).execute(copy, []).unwrap();
    let export = format!("GET /me/export HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\n\r\n");
    server.get_as(&token, "/me/export").is(200);
    let (one, before) = (cpu_time(&server), Instant::now());
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(export.as_bytes()).unwrap();
    }
    let mut most = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        server.get("/readyz").is(200);
        most = most.max(asked.elapsed());
    }
    let (work, took) = (cpu_time(&server) - one, before.elapsed());
    say(format_args!("100 abandoned exports: ready within {most:?}, {work:.1} s of a processor in {took:?}"));
    reaches(most < Duration::from_millis(200), format_args!("{most:?}"));
    assert!(most < WAIT * 5, "{most:?}");
    is_calm(&server.stop(Signal::TERM).is(0).err);
}
