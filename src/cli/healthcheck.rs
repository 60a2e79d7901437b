//! `coffeeshop healthcheck`.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::output;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(4);

pub fn run(config: &Config) -> Result<ExitCode> {
    let server = reachable(config.server.listen);
    let status = ask(server).with_context(|| format!("the server at {server} does not answer"))?;
    if status != "200" {
        bail!("the server at {server} is not ready: {status}");
    }
    output::data("ok")?;
    Ok(ExitCode::SUCCESS)
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

/// A server that listens on every address is asked at the machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
