//! What a process has used so far, from `/proc`.

use std::{fs, time::Duration};

/// The CPU time of a process, over all of its threads.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may hold spaces; what follows its bracket does not. See proc_pid_stat(5): utime is the 14th, stime the 15th.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// What comes of some work, and the CPU time that it takes a process.
pub fn cpu_of<T>(pid: u32, work: impl FnOnce() -> T) -> (T, Duration) {
    let before = cpu_time(pid);
    let done = work();
    (done, cpu_time(pid).saturating_sub(before))
}

/// A figure of `/proc/PID/status` in bytes, such as `VmRSS` and, the most it ever was, `VmHWM`.
pub fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What a process and its children hold, in bytes; what they share counts once.
pub fn memory_of_all(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let own = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let own = own.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    own + children.split_whitespace().map(|child| memory_of_all(child.parse().unwrap())).sum::<u64>()
}
