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

/// For each address that is tried. The container's own health check waits for five seconds in total.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Check whether the running server is ready; exit with 1 if not.
///
/// Meant for the health check of a container or a service manager.
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

/// Returns the first answer and its address, or the error of the last address.
fn ask_any(servers: &[SocketAddr]) -> Result<(SocketAddr, String)> {
    let mut failure = anyhow!("server.listen has no address");
    for &server in servers {
        match ask(server) {
            Ok(status) => return Ok((server, status)),
            Err(error) => {
                failure = Error::new(error).context(format!("the server at {server} does not answer"));
            }
        }
    }
    Err(failure)
}

/// Sends one request without an HTTP client: only the status line is read.
fn ask(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In one piece: a server that answers what it has read so far would close the connection on the rest.
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(16 * 1024).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    Ok(line.split(' ').nth(1).unwrap_or("no status").to_owned())
}

/// The addresses at which to reach a server that listens on `listen`. `[::]` stands for all addresses of both families, and a
/// machine may lack IPv6.
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
    fn a_server_on_all_addresses_is_asked_at_both_loopbacks() {
        let asked = |listen: &str| {
            let servers = reachable(listen.parse().expect("an address"));
            servers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(asked("[::]:8080"), ["[::1]:8080", "127.0.0.1:8080"]);
        assert_eq!(asked("0.0.0.0:8080"), ["127.0.0.1:8080"]);
        assert_eq!(asked("192.0.2.7:80"), ["192.0.2.7:80"]);
    }

    #[test]
    fn an_address_that_does_not_answer_is_skipped() {
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
        let failure = ask_any(&[server, closed]).expect_err("no server");
        assert!(failure.to_string().contains("127.0.0.2"), "{failure}");
    }
}
