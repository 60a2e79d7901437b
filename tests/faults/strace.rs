//! `strace`, which makes system calls fail, attached to a server that runs.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::shop::{Server, wait_for};

/// A fault that lasts until this is dropped.
pub struct Fault(Child);

impl Fault {
    /// Makes system calls of the server fail, as `-e inject=` puts it.
    pub fn start(server: &Server, inject: &str) -> Self {
        let pid = server.pid().as_raw_nonzero().to_string();
        let call = inject.split(':').next().unwrap();
        let mut child = Command::new("strace")
            .args(["-f", "-p", &pid, "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={inject}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut heard = String::new();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        while !heard.contains("attached") {
            assert!(said.read_line(&mut heard).unwrap() > 0, "strace: {heard}");
        }
        // A full pipe would block it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let fault = Self(child);
        // It attaches to one thread after the other.
        wait_for("strace to see all threads", || threads_are_traced(server.pid()).then_some(()));
        fault
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn threads_are_traced(server: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", server.as_raw_nonzero())) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}
