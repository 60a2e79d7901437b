//! What must be fast, each beside the best that its parts can do, in one run: `bench/run`.
//!
//! Everything is measured in turns with its counterpart, and the median of the turns counts: a shared machine drifts, a
//! ratio does not. The server is the real binary on a store of its own in a temporary folder.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures and prints: what goes wrong ends it"
)]

mod bare;
mod figures;
mod load;
mod look_ups;
mod machine;
mod neighbours;
mod peer;
mod postgres;
mod process;
mod proxy;
mod report;
mod rows;
mod seed;
mod setting;
mod shop;
mod turns;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use self::{report::Report, setting::Setting};

/// Measures what must be fast beside what its parts can do, and prints a table in Markdown.
#[derive(Parser)]
#[command(bin_name = "bench/run", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only these rows; without any, all of them.
    rows: Vec<rows::Name>,
    /// On which engine; with postgres, beside SQLite, the rows me, login, refresh, list and signup, and those about PostgreSQL
    /// alone. Needs PostgreSQL's programs and strace.
    #[arg(long, value_enum, default_value_t = Engine::Sqlite)]
    engine: Engine,
    /// A few short turns: whether it works, not how fast it is.
    #[arg(long, global = true)]
    quick: bool,
    /// Said by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
}

#[derive(Subcommand)]
enum Command {
    /// Make a store with so many users, for trying things out on it.
    Seed {
        /// The file, which must not exist yet.
        path: PathBuf,
        /// How many.
        count: u32,
    },
    /// Do the same work with the peer, run by this Python: bench/peer/run says it.
    #[command(hide = true)]
    Peer { python: PathBuf },
    /// Serve the API and a bare handler, for the row `me`.
    #[command(hide = true)]
    Pair { path: PathBuf },
    /// Look sessions up on PostgreSQL, for the row `look-ups`.
    #[command(hide = true)]
    LookUps { url: String, sessions: PathBuf },
    /// Compute argon2id and nothing else.
    #[command(hide = true)]
    Hashes { threads: usize },
    /// Keep every core busy, standing back.
    #[command(hide = true)]
    Spin { threads: usize },
}

fn main() {
    let args = Args::parse();
    match args.command {
        Some(Command::Seed { path, count }) => seed::make(&path, count),
        Some(Command::Pair { path }) => bare::serve_both(&path),
        Some(Command::LookUps { url, sessions }) => look_ups::look_up(&url, &sessions),
        Some(Command::Hashes { threads }) => neighbours::hash(threads),
        Some(Command::Spin { threads }) => neighbours::spin(threads),
        Some(Command::Peer { python }) => {
            table(|report| peer::measure(&python, &Setting::new(args.quick), report));
        }
        // `cargo test --all-targets` runs it, too, and has other things to find out.
        None if !args.bench => println!("bench/run measures"),
        None => {
            let measure = match args.engine {
                Engine::Sqlite => rows::measure,
                Engine::Postgres => rows::measure_engines,
            };
            table(|report| measure(&args.rows, &Setting::new(args.quick), report));
        }
    }
}

/// Measures, then prints what came of it and where.
fn table(measure: impl FnOnce(&mut Report)) {
    machine::warn_if_busy();
    let mut report = Report::default();
    measure(&mut report);
    report.print();
    println!("\n{}", machine::describe());
}
