//! Connections: slow ones are closed, too many are not accepted, and what is too long is refused with a problem.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::shop::{Reply, Server, Shop};

/// Longer than any deadline of these tests.
const LONG: Duration = Duration::from_secs(15);

fn hasty() -> Shop {
    Shop::new()
        .with("SERVER__HEAD_TIMEOUT", "1s")
        .with("SERVER__REQUEST_TIMEOUT", "2s")
        .with("SERVER__IDLE_TIMEOUT", "3s")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// How long it takes until the server closes the connection, and what it sent until then.
fn until_hung_up(mut stream: TcpStream) -> (Duration, String) {
    let start = Instant::now();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection stays open"),
    }
    (start.elapsed(), String::from_utf8(said).unwrap())
}

#[test]
fn a_client_that_sends_no_whole_head_is_disconnected() {
    let shop = hasty();
    let server = shop.serve();
    for start in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(start.as_bytes()).unwrap();
        let (took, said) = until_hung_up(stream);
        assert!(took > Duration::from_millis(500) && took < Duration::from_secs(8), "{start:?}: {took:?}");
        assert_eq!(said, "", "{start:?}");
    }
}

#[test]
fn a_head_that_drips_is_cut_off() {
    let shop = hasty();
    let server = shop.serve();
    let mut stream = connect(&server);
    let mut drip = stream.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        for byte in "GET /healthz HTTP/1.1\r\nX-Long: ".bytes().chain(std::iter::repeat_n(b'x', 200)) {
            if drip.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the connection stays open");
    });
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let _ = stream.shutdown(Shutdown::Both);
    dripping.join().unwrap();
}

#[test]
fn a_body_that_never_arrives_is_refused() {
    let shop = hasty();
    let server = shop.serve();
    let mut stream = connect(&server);
    stream
        .write_all(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        .unwrap();
    let reply = Reply::read(stream).unwrap().is(408);
    assert_eq!(reply.json()["code"], "request_timeout");
    assert!(reply.head.contains("content-type: application/problem+json"), "{reply:?}");
}

#[test]
fn an_idle_connection_ends_and_one_in_use_does_not() {
    let shop = hasty();
    let server = shop.serve();
    let mut stream = connect(&server);
    let mut answers = String::new();
    for _ in 0..4 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut bytes = [0; 2048];
        let read = stream.read(&mut bytes).unwrap();
        answers.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        thread::sleep(Duration::from_millis(1200)); // more than the head may take, less than idling may
    }
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 4, "{answers}");
    let (took, said) = until_hung_up(stream);
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(said, "");
}

#[test]
fn a_client_that_does_not_read_the_answer_is_disconnected() {
    let shop = hasty();
    let server = shop.serve();
    let mut stream = connect(&server);
    // 1.6 MB each: more than the system buffers for a client that does not read.
    for _ in 0..20 {
        stream.write_all(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    thread::sleep(Duration::from_secs(5));
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.len() < 20 * 1_600_000, "all of it was sent after all");
}

#[test]
fn an_answer_that_is_read_steadily_but_slowly_is_cut_off() {
    let shop = hasty();
    let server = shop.serve();
    let mut stream = connect(&server);
    for _ in 0..20 {
        stream.write_all(b"GET /docs/docs.js HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    let (start, mut all, mut piece) = (Instant::now(), 0, [0; 4096]);
    while start.elapsed() < Duration::from_secs(5)
        && let Ok(read) = stream.read(&mut piece)
    {
        all += read;
        thread::sleep(Duration::from_millis(20));
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let size = server.get("/docs/docs.js").is(200).body.len();
    assert!(all + rest.len() < 20 * size, "all of it was sent after all");
}

#[test]
fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let shop = Shop::new()
        .with("SERVER__CONNECTIONS_PER_CLIENT", "5")
        .with("SERVER__TRUSTED_PROXIES", "127.0.0.0/8");
    let server = shop.serve();
    let many: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    server.get("/healthz").is(200);
    let first = &many[0];
    first.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let read = (&mut &*first).read(&mut [0]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it is open");
}

#[test]
fn one_client_has_so_many_connections_and_no_more() {
    let shop = Shop::new().with("SERVER__CONNECTIONS_PER_CLIENT", "5");
    let server = shop.serve();
    let first: Vec<_> = (0..5).map(|_| connect(&server)).collect();
    let (took, _) = until_hung_up(connect(&server));
    assert!(took < Duration::from_secs(5), "the sixth was taken: {took:?}");
    drop(first);
    thread::sleep(Duration::from_millis(200));
    server.get("/healthz").is(200);
}

#[test]
fn slow_clients_block_no_other_for_long() {
    let shop = hasty().with("SERVER__CONNECTIONS", "20").with("SERVER__CONNECTIONS_PER_CLIENT", "20");
    let server = shop.serve();
    let slow: Vec<_> = (0..40).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let start = Instant::now();
    server.get("/healthz").is(200);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(slow);
}

#[test]
fn a_connection_that_stalls_is_closed_to_admit_a_new_one() {
    for setting in ["SERVER__CONNECTIONS_PER_CLIENT", "SERVER__CONNECTIONS"] {
        let shop = Shop::new().with(setting, "4");
        let server = shop.serve();
        let begun = [
            "",
            "GET /healthz HTTP/1.1\r\nHost: x\r\n",
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        ];
        let slow = begun.map(|begun| {
            let mut stream = connect(&server);
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        });
        thread::sleep(Duration::from_secs(1));
        let start = Instant::now();
        server.get("/healthz").is(200);
        let newcomers = begun.map(|_| connect(&server));
        for stream in slow {
            until_hung_up(stream);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{setting}: {:?}", start.elapsed());
        drop(newcomers);
    }
}

#[test]
fn a_server_without_file_descriptors_waits_for_some_and_goes_on() {
    let shop = hasty().with("SERVER__CONNECTIONS_PER_CLIENT", "512");
    let server = shop.start_in_shell("ulimit -n 64; exec \"$0\" serve").wait_until_it_listens();
    let many: Vec<_> = (0..120).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    thread::sleep(Duration::from_millis(500));
    drop(many);
    server.get("/readyz").is(200);
    let ran = server.stop(Signal::TERM).is(0);
    assert!(ran.err.contains("a connection cannot be accepted"), "{ran:?}");
    assert!(ran.err.matches("a connection cannot be accepted").count() < 50, "it spins: {ran:?}");
}

#[test]
fn slow_clients_do_not_hold_up_the_end() {
    let shop = Shop::new();
    let server = shop.serve();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Le").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    server.stop(Signal::TERM).is(0);
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    drop(slow);
}

fn send(server: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    Reply::read(stream).unwrap()
}

#[test]
fn what_is_too_long_is_refused_with_a_problem() {
    let shop = Shop::new();
    let server = shop.serve();
    let end = "Host: x\r\nConnection: close\r\n\r\n";
    let address = format!("GET /users?q={} HTTP/1.1\r\n{end}", "x".repeat(9_000));
    let header = format!("GET /healthz HTTP/1.1\r\nX-Long: {}\r\n{end}", "x".repeat(17_000));
    let headers = format!("GET /healthz HTTP/1.1\r\n{}{end}", "X-Many: x\r\n".repeat(100));
    for (request, status, code) in [
        (address, 414, "uri_too_long"),
        (header, 431, "headers_too_large"),
        (headers, 431, "headers_too_large"),
    ] {
        let reply = send(server.address, &request).is(status);
        assert_eq!(reply.json()["code"], code);
        assert!(reply.head.contains("content-type: application/problem+json"), "{reply:?}");
    }
}

#[test]
fn what_is_no_http_is_refused_and_does_no_harm() {
    let shop = Shop::new();
    let server = shop.serve();
    let refused = |request: &str| {
        let mut stream = connect(&server);
        stream.write_all(request.as_bytes()).unwrap();
        let (_, said) = until_hung_up(stream);
        assert!(said.starts_with("HTTP/1.1 400"), "{request:?}: {said:?}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{request:?}: {said:?}");
    };
    let post =
        "POST /auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    for (framing, body) in [
        ("Content-Length: 2\r\nContent-Length: 3", "{}"),
        ("Content-Length: 2, 2", "{}"),
        ("Content-Length: +2", "{}"),
        ("Content-Length: -1", "{}"),
        ("Content-Length : 2", "{}"),
        ("Transfer-Encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2\r\n{}XX0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2\n{}\n0\n\n"),
        ("Transfer-Encoding: chunked", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: identity", "{}"),
        ("Transfer-Encoding: xchunked", "{}"),
        ("Transfer-Encoding: chunked, identity", "2\r\n{}\r\n0\r\n\r\n"),
    ] {
        refused(&format!("{post}{framing}\r\n\r\n{body}"));
    }
    for head in ["X-A: b\r\n c", "X-A: b\rX-B: c", "X-A: b\0c", "X A: b"] {
        refused(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n"));
    }
    refused("\0\u{1}\u{2} nonsense\r\n\r\n");
    refused("GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n");
    server.get("/healthz").is(200);
}

#[test]
fn a_body_with_a_length_and_in_chunks_is_the_last_of_its_connection() {
    let shop = Shop::new();
    let server = shop.serve();
    for framing in
        ["Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 2"]
    {
        let mut stream = connect(&server);
        let head = format!("POST /auth/login HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n");
        let smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(format!("{head}{smuggled}").as_bytes()).unwrap();
        let (_, said) = until_hung_up(stream);
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "what follows is no second request: {said:?}");
    }
}
