//! More than anybody needs: sockets that are slow by the thousand, bodies that are large by the hundred.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::{has, is_calm, say, shop, shop::Server};

const SLOW: usize = 2_000;
/// Every deadline of a request is over by then.
const OVER: Duration = Duration::from_secs(35);
const JSON: &str = "Host: shop\r\nContent-Type: application/json\r\n";

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn two_thousand_slow_sockets_of_one_client_keep_nobody_else_out() {
    if !has(&["curl"]) {
        return;
    }
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most.map(|most| most.min(8192)), maximum: most }).unwrap();
    // Fewer descriptors than the client has sockets.
    let shop = shop();
    let server = shop.start_in_shell("ulimit -n 256; exec \"$0\" serve").wait_until_it_listens();
    let start = Instant::now();
    let begun = [
        String::new(),
        format!("POST /auth/login HTTP/1.1\r\n{JSON}"),
        format!("POST /auth/login HTTP/1.1\r\n{JSON}Content-Length: 99\r\n\r\n{{"),
    ];
    let slow: Vec<_> = (0..SLOW)
        .filter_map(|number| {
            let mut stream = TcpStream::connect(server.address).ok()?;
            let _ = stream.write_all(begun[number % begun.len()].as_bytes());
            Some(stream)
        })
        .collect();
    let (cpu, asked) = (cpu_time(&server), Instant::now());
    let mut times: Vec<_> = (0..100).map(|_| ask_from_elsewhere(&server)).collect();
    let busy = (cpu_time(&server) - cpu) / asked.elapsed().as_secs_f64();
    times.sort_unstable();
    thread::sleep(OVER.saturating_sub(start.elapsed()));
    let open = slow.iter().filter(|stream| is_open(stream)).count();
    say(format_args!(
        "{} slow sockets: others answered in {:?} at the 99th of 100, {:.0} % of a processor, {open} open after {OVER:?}",
        slow.len(),
        times[98],
        busy * 100.0
    ));
    assert!(times[98] < Duration::from_millis(500), "{times:?}");
    assert_eq!(open, 0);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

/// How long the server takes to answer another client than all those slow ones.
fn ask_from_elsewhere(server: &Server) -> Duration {
    let url = format!("http://{}/readyz", server.address);
    let args = ["-sf", "-o", "/dev/null", "-w", "%{time_total}", "--interface", "127.0.0.2", &url];
    let asked = Command::new("curl").args(args).output().unwrap();
    assert!(asked.status.success(), "{asked:?}");
    Duration::from_secs_f64(String::from_utf8(asked.stdout).unwrap().parse().unwrap())
}

/// Whether the other side has not hung up, once everything that it said was read.
fn is_open(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// The processor time of a process, in seconds.
fn cpu_time(server: &Server) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid().as_raw_nonzero())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |field: usize| fields.split(' ').nth(field).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0 // a hundred ticks a second, on every Linux
}

/// The most memory that a process has had, in KiB.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
    let (_, rest) = status.split_once("VmHWM:").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn large_requests_are_refused_and_take_no_memory() {
    let shop = shop();
    let server = shop.serve();
    server.sign_up("ann@example.com").is(201); // hashing has its memory now
    let before = memory(&server);
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
    let growth = memory(&server) - before;
    say(format_args!("500 large requests, {refused} refused in words; memory grew by {growth} KiB at most"));
    assert!(growth <= 32 * 1024, "{growth} KiB");
    server.get("/readyz").is(200);
    is_calm(&server.stop(Signal::TERM).is(0).err);
}

/// Whether a request is refused in words. It may also be hung up on: who goes on sending does not hear the answer.
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
