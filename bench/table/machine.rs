//! The machine and the build that were measured.

use std::{fs, process::Command, thread};

use coffeeshop::domain::Clock;

/// The machine, the date and the commit, in one line.
pub fn describe() -> String {
    let cores = thread::available_parallelism().unwrap();
    let memory =
        field("/proc/meminfo", "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok());
    let memory =
        memory.map_or_else(|| "unknown memory".to_owned(), |kib| format!("{} GiB", kib / 1024 / 1024));
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = Clock::system().now().to_string();
    format!(
        "Measured on {} at {}: {processor}, {cores} cores, {memory}, Linux {}, temporary folder on {}.",
        &date[..10],
        commit().unwrap_or_else(|| "an unknown commit".to_owned()),
        kernel.trim(),
        file_system(),
    )
}

/// How busy the machine is with other things, as a warning.
pub fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    if load.parse::<f64>().is_ok_and(|load| load > 0.5) {
        eprintln!(
            "The load average is {load} before anything is measured: the figures will be worse than they could be."
        );
    }
}

/// The value after a name and a colon.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let said = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = if git(&["status", "--porcelain"])?.is_empty() { "" } else { " with changes" };
    Some(commit + changed)
}

/// A commit costs what the disk's fsync costs, and nothing on a disk of memory.
fn file_system() -> String {
    match rustix::fs::statfs(std::env::temp_dir()).map(|found| found.f_type) {
        Ok(0xef53) => "ext4".to_owned(),
        Ok(0x5846_5342) => "xfs".to_owned(),
        Ok(0x9123_683e) => "btrfs".to_owned(),
        Ok(0x0102_1994) => "tmpfs (an fsync costs nothing there)".to_owned(),
        Ok(0x794c_7630) => "overlayfs".to_owned(),
        Ok(other) => format!("file system {other:#x}"),
        Err(_) => "an unknown file system".to_owned(),
    }
}
