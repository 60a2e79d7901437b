//! The binary: parses the command line, runs it, chooses the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    coffeeshop::cli::main()
}
