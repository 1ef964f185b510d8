//! The team's commands: `cargo xtask test | lint | header | deps`.
//!
//! Every command stops at its first failing stage, says which one it was, and exits with status 1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod deps;
mod header;
mod lint;
mod rules;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use shell::{Failure, Shell};

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    match Shell::at_workspace_root().and_then(|shell| run(&shell, command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(shell: &Shell, command: Command) -> Result<(), Failure> {
    match command {
        Command::Deps => deps::ensure(shell),
        Command::Test { filter } => test::run(shell, &filter).map(|()| println!("cargo xtask test: passed")),
        Command::Lint => lint::run(shell).map(|()| println!("cargo xtask lint: passed")),
        Command::Header { check } => header::run(shell, check),
    }
}

/// The team's commands.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the tests need, builds the library and runs every test.
    Test {
        /// Handed to the test programs: a filter, or their options after `--`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Formatting, clippy, documentation and the house rules.
    Lint,
    /// Writes include/net.h from the crate `ffi`.
    Header {
        /// Writes nothing; fails with the difference when the committed header is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Installs the system packages that the tests need; without root, names them.
    Deps,
}
