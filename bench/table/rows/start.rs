//! From the start of the process to its first answer in an empty folder, what it holds while idle, and its size.

use std::{fs, thread, time::Duration};

use super::super::{
    figures::{mebibytes, median, ms},
    process,
    report::{Goal, Report, Row},
    setting::Setting,
    shop::{BINARY, Shop},
};

pub fn measure(setting: &Setting, report: &mut Report) {
    let starts = if setting.quick { 5 } else { 20 };
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for start in 0..starts {
        let shop = Shop::new();
        let server = shop.serve();
        times.push(ms(server.ready_after));
        // What it needs to begin with is settled after a moment.
        if start < 3 {
            thread::sleep(Duration::from_secs(1));
            memory.push(mebibytes(process::memory(server.pid(), "VmRSS")));
        }
    }
    let size = mebibytes(fs::metadata(BINARY).unwrap().len());
    report
        .add(Row::new("start to first answer, empty folder", median(times), "ms").wanted(Goal::Under(30.0)));
    report.add(Row::new("memory, idle", median(memory), "MiB").wanted(Goal::Under(16.0)));
    report.add(Row::new("binary", size, "MiB").wanted(Goal::Under(14.0)));
}
