//! What the process of a server has used, from `/proc`.

use std::{fs, path::PathBuf};

use crate::shop::Server;

/// The processor time of a process, in seconds.
pub fn cpu_time(server: &Server) -> f64 {
    let stat = fs::read_to_string(folder(server).join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |field: usize| fields.split(' ').nth(field).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0 // a hundred ticks a second, on every Linux
}

/// The most memory that a process has had, in KiB.
pub fn most_memory(server: &Server) -> u64 {
    status(server, "VmHWM:")
}

/// The memory that a process has, in KiB.
pub fn memory(server: &Server) -> u64 {
    status(server, "VmRSS:")
}

/// The memory that a process has of its own, without files that it maps, in KiB.
pub fn own_memory(server: &Server) -> u64 {
    status(server, "RssAnon:")
}

/// How many files and sockets a process has open.
pub fn descriptors(server: &Server) -> usize {
    fs::read_dir(folder(server).join("fd")).unwrap().count()
}

fn status(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(folder(server).join("status")).unwrap();
    let (_, rest) = status.split_once(name).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn folder(server: &Server) -> PathBuf {
    PathBuf::from(format!("/proc/{}", server.pid().as_raw_nonzero()))
}
