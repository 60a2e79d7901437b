//! Processes that keep the cores busy beside a server: argon2id only, or a busy loop.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::{
    figures::{Pace, float},
    process, seed,
};

/// How far hashing threads stand back.
const NICE: i32 = 10;

/// A neighbour that works until it is dropped.
pub struct Neighbour {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Neighbour {
    /// A spinning neighbour: as many threads as cores, which do nothing, standing back as far as the hashing threads do.
    pub fn spinning() -> Self {
        Self::start("spin")
    }

    /// argon2id at the default parameters in its best arrangement: as many threads as cores, each with memory that it
    /// keeps. Like the server, it asks for no huge pages.
    pub fn hashing() -> Self {
        Self::start("hashes")
    }

    fn start(what: &str) -> Self {
        let threads = thread::available_parallelism().unwrap().to_string();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args([what, &threads]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Has it hash for so long.
    pub fn hash_for(&mut self, length: Duration) -> Pace {
        let (hashes, cpu) = process::cpu_of(self.child.id(), || {
            writeln!(self.input, "{}", length.as_millis()).unwrap();
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim().parse::<f64>().unwrap()
        });
        Pace::new(hashes / length.as_secs_f64(), hashes, cpu)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads how many milliseconds to hash for, hashes, and prints how many hashes that were; until its input ends.
pub fn hash(threads: usize) {
    let params = Params::new(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, 1, Some(32)).unwrap();
    let mut memories: Vec<_> = (0..threads).map(|_| vec![Block::new(); params.block_count()]).collect();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let end = Instant::now() + Duration::from_millis(line.parse().unwrap());
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for memory in &mut memories {
                scope.spawn(|| {
                    while Instant::now() < end {
                        let mut output = [0; 32];
                        argon2
                            .hash_password_into_with_memory(
                                seed::PASSWORD.as_bytes(),
                                &[7; 16],
                                &mut output,
                                &mut *memory,
                            )
                            .unwrap();
                        done.fetch_add(u64::from(Instant::now() <= end), Ordering::Relaxed);
                    }
                });
            }
        });
        println!("{}", float(done.into_inner()));
    }
}

/// Keeps `threads` cores busy until its input ends.
pub fn spin(threads: usize) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _ = rustix::process::setpriority_process(None, NICE);
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
    });
}
