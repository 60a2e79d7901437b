//! `coffeeshop healthcheck`.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Error, Result, anyhow, bail};
use serde_json::json;

use super::output;
use crate::config::Config;

/// For each address that is asked. The container's own health check waits for five seconds in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Check whether the running server is ready.
///
/// For the health check of a container or a service manager: exits with 1 if it is not.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> Result<ExitCode> {
    let (server, status) = ask_any(&reachable(config.server.listen))?;
    if status != "200" {
        bail!("the server at {server} is not ready: {status}");
    }
    output::data(if args.json { json!({ "status": "ok" }).to_string() } else { "ok".to_owned() })?;
    Ok(ExitCode::SUCCESS)
}

/// The first answer, and from where; or why the last address gives none.
fn ask_any(servers: &[SocketAddr]) -> Result<(SocketAddr, String)> {
    let mut silent = anyhow!("there is no address to ask at");
    for &server in servers {
        match ask(server) {
            Ok(status) => return Ok((server, status)),
            Err(error) => {
                silent = Error::new(error).context(format!("the server at {server} does not answer"));
            }
        }
    }
    Err(silent)
}

/// One request without a library: a status line is all there is to read.
fn ask(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(16 * 1024).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    Ok(line.split(' ').nth(1).unwrap_or("no status").to_owned())
}

/// Where a server that listens here is asked: one that listens on every address, at the machine's own. `[::]` is every
/// address of both families, and a machine need not have the one of IPv6.
fn reachable(listen: SocketAddr) -> Vec<SocketAddr> {
    let ips: &[IpAddr] = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => &[Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(ip) if ip.is_unspecified() => &[Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        ip => &[ip],
    };
    ips.iter().map(|ip| SocketAddr::new(*ip, listen.port())).collect()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn where_a_server_listens_on_every_address_it_is_asked_at_both() {
        let asked = |listen: &str| {
            let servers = reachable(listen.parse().expect("an address"));
            servers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(asked("[::]:8080"), ["[::1]:8080", "127.0.0.1:8080"]);
        assert_eq!(asked("0.0.0.0:8080"), ["127.0.0.1:8080"]);
        assert_eq!(asked("192.0.2.7:80"), ["192.0.2.7:80"]);
    }

    #[test]
    fn an_address_that_does_not_answer_is_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("an address");
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("written");
        });
        // The same port, where no server listens.
        let closed = SocketAddr::from(([127, 0, 0, 2], server.port()));
        assert_eq!(ask_any(&[closed, server]).expect("an answer"), (server, "200".to_owned()));
        answering.join().expect("answered");
        let silent = ask_any(&[server, closed]).expect_err("no server");
        assert!(silent.to_string().contains("127.0.0.2"), "{silent}");
    }
}
