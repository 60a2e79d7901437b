//! What a process has used so far, from `/proc`.

use std::{fs, ops::Range, time::Duration};

/// The CPU time of a process, over all of its threads.
fn cpu_time(pid: u32) -> Duration {
    cpu_time_of(pid, 11..13).unwrap()
}

/// The sum of these fields of `/proc/PID/stat`; none if the process has ended.
fn cpu_time_of(pid: u32, fields: Range<usize>) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces; what follows its bracket does not. See proc_pid_stat(5): utime is the 14th, stime the 15th,
    // and the same of children that have ended follow.
    let all: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = all[fields].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// The CPU time of a process and all of its children, also of those that have ended.
fn cpu_time_of_all(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let living = children.split_whitespace().map(|child| cpu_time_of(child.parse().unwrap(), 11..13));
    cpu_time_of(pid, 11..15).unwrap() + living.flatten().sum::<Duration>()
}

/// What comes of some work, and the CPU time that it takes a process with all of its children.
pub fn cpu_of_all<T>(pid: u32, work: impl FnOnce() -> T) -> (T, Duration) {
    let before = cpu_time_of_all(pid);
    let done = work();
    (done, cpu_time_of_all(pid).saturating_sub(before))
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
