//! Graceful shutdown at the worst moment.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{
    crowd::{check_all, guests},
    is_calm, random, reaches, rounds, say, shop,
};

#[test]
#[ignore = "needs root and a disk to break: .ci/run has one"]
fn a_stop_under_load_is_over_in_time_and_loses_nothing() {
    let shop = shop().with("SERVER__CONNECTIONS_PER_CLIENT", "400");
    let mut regulars = Vec::new();
    for round in 0..rounds(1) {
        let server = shop.serve();
        if round == 0 {
            regulars = guests(&server, 4);
        }
        check_all(&mut regulars, &server, &shop);
        let slow: Vec<_> = (0..200)
            .map(|number| {
                let mut stream = TcpStream::connect(server.address).unwrap();
                let begun: &[u8] = match number % 3 {
                    0 => b"",
                    1 => b"POST /auth/login HTTP/1.1\r\nHost: shop\r\n",
                    _ => b"POST /auth/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
                };
                stream.write_all(begun).unwrap();
                stream
            })
            .collect();
        let asked = thread::scope(|scope| {
            for guest in &mut regulars {
                let server = &server;
                scope.spawn(move || {
                    while guest.edit(server) && {
                        guest.renew(server);
                        random(9) < 9
                    } {}
                });
            }
            thread::sleep(Duration::from_millis(300 + random(500) as u64));
            kill_process(server.pid(), Signal::TERM).unwrap();
            Instant::now()
        });
        let ran = server.ended().is(0);
        let took = asked.elapsed();
        say(format_args!("200 slow sockets: over after {took:?}"));
        reaches(took <= Duration::from_secs(12), format_args!("over after {took:?}"));
        is_calm(&ran.err);
        drop(slow);
    }
    let server = shop.serve();
    check_all(&mut regulars, &server, &shop);
}
