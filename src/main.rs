//! The binary: parses the command line, runs it, chooses the exit code.

use std::process::ExitCode;

/// The static binary's allocator: musl's own is made for small programs.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    coffeeshop::cli::main()
}
