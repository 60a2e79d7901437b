//! The command line: arguments in, one call of a use case, text or JSON out.

mod args;
mod audit;
mod config;
mod create_admin;
mod healthcheck;
mod keys;
mod messages;
mod migrate;
mod r#move;
mod open;
mod openapi;
mod output;
mod prompt;
mod purge;
mod serve;
mod user;
mod users;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{config::Config, telemetry::Log};

/// User accounts for a small shop's own server.
///
/// Runs the server when no command is given. Settings come from config.toml in the working directory and from the
/// environment (COFFEESHOP_SECTION__KEY); coffeeshop config prints them. Commands can be run while the server runs,
/// but for move.
#[derive(Parser)]
#[command(name = "coffeeshop", version, propagate_version = true)]
struct Cli {
    /// Read the settings from this file instead of config.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    WithConfig(WithConfig),
    /// Print the OpenAPI document.
    ///
    /// It describes the whole API; clients can be generated from it. Needs no database.
    Openapi,
}

/// Commands that need valid settings.
#[derive(Subcommand)]
enum WithConfig {
    /// Run the server, after applying pending migrations.
    ///
    /// Stops on SIGTERM or SIGINT (Ctrl-C) once requests in progress are answered. SIGHUP reloads the signing keys.
    Serve,
    Migrate(migrate::Args),
    Move(r#move::Args),
    CreateAdmin(create_admin::Args),
    Purge(purge::Args),
    #[command(subcommand)]
    Users(users::Command),
    Audit(audit::Args),
    #[command(subcommand)]
    Messages(messages::Command),
    #[command(subcommand)]
    Keys(keys::Command),
    Healthcheck(healthcheck::Args),
    Config(config::Args),
}

/// Parses the command line, runs the command and chooses the exit code: 0 done, 1 refused or failed, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command.unwrap_or(Command::WithConfig(WithConfig::Serve)) {
        Command::WithConfig(command) => run_with_config(command, cli.config.as_deref()),
        Command::Openapi => openapi::run(Config::load(cli.config.as_deref(), environment())),
    }
}

fn run_with_config(command: WithConfig, file: Option<&Path>) -> Result<ExitCode> {
    let mut config = Config::load(file, environment())?;
    let _log = Log::start(&config.log)?;
    // The path depends on the working directory, so commands show it in full.
    config.database = config.database.absolute()?;
    match command {
        WithConfig::Serve => in_runtime(serve::run(&config)),
        WithConfig::Migrate(args) => in_runtime(migrate::run(&args, &config)),
        WithConfig::Move(args) => in_runtime(r#move::run(args, &config)),
        WithConfig::CreateAdmin(args) => in_runtime(create_admin::run(args, &config)),
        WithConfig::Purge(args) => in_runtime(purge::run(&args, &config)),
        WithConfig::Users(command) => in_runtime(users::run(command, &config)),
        WithConfig::Audit(args) => in_runtime(audit::run(args, &config)),
        WithConfig::Messages(command) => in_runtime(messages::run(command, &config)),
        WithConfig::Keys(command) => in_runtime(keys::run(command, &config)),
        WithConfig::Healthcheck(args) => healthcheck::run(&args, &config),
        WithConfig::Config(args) => config::run(&args, &config),
    }
}

fn in_runtime(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(command);
    // A thread that is still blocked, such as by a pipe that is not read, does not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment, for the settings")]
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flag_takes_a_password() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let takes_value = arg.get_action().takes_values();
                assert!(!(takes_value && arg.get_id().as_str().contains("password")), "{arg}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
