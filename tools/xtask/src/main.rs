//! The team's commands: `cargo xtask test | lint | loom | planted | fuzz | sanitize | soak | figures | header | docs | abi | install | dist | deps`.
//!
//! Every command stops at its first failing stage, says which one it was, and exits with status 1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod abi;
mod deps;
mod dist;
mod docs;
mod figures;
mod fuzz;
mod header;
mod install;
mod lint;
mod loom;
mod planted;
mod release;
mod rules;
mod sanitize;
mod shell;
mod soak;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use figures::Form;
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
        Command::Loom => loom::run(shell),
        Command::Planted => planted::run(shell),
        Command::Sanitize => sanitize::run(shell),
        Command::Fuzz { target, seconds } => fuzz::run(shell, target.as_deref(), seconds),
        Command::Soak { what: Soak::Bus { minutes } } => soak::bus(shell, minutes),
        Command::Soak { what: Soak::Redis { minutes } } => soak::redis(shell, minutes),
        Command::Soak { what: Soak::Udp { millions } } => soak::udp(shell, millions),
        Command::Soak { what: Soak::Log { kills } } => soak::log(shell, kills),
        Command::Soak { what: Soak::Limits { millions } } => soak::limits(shell, millions),
        Command::Soak { what: Soak::Abuse { rounds } } => soak::abuse(shell, rounds),
        Command::Soak { what: Soak::Sim { seeds } } => soak::sim(shell, seeds),
        Command::Figures { quick, check } => {
            let form = match (quick, check) {
                (_, true) => Form::Check,
                (true, false) => Form::Quick,
                (false, false) => Form::Full,
            };
            figures::run(shell, form).map(|()| println!("cargo xtask figures: passed"))
        }
        Command::Docs => docs::run(shell),
        Command::Header { check } => header::run(shell, check),
        Command::Abi { write } => abi::run(shell, write),
        Command::Install(options) => install::run(shell, &options),
        Command::Dist { out } => dist::run(shell, out.as_deref()),
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
    /// Goes through the models of the lane, the doorbell, the counters and the handles in every order of their steps.
    Loom,
    /// Plants one fault after the other, and shows that a test sees each.
    Planted,
    /// Runs the C programs of the tests against a library that `AddressSanitizer` and `LeakSanitizer` watch, and under valgrind.
    Sanitize,
    /// Looks for bytes that fail a parser, with cargo-fuzz, which it installs where it is missing.
    Fuzz {
        /// A target, as in `tests/fuzz/corpus`; all, one after the other, without one.
        target: Option<String>,
        /// How long each target is tried, builds not counted.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        seconds: u64,
    },
    /// Runs for minutes what the tests run for seconds: bursts, silences and stalls, or the faults of a server.
    Soak {
        #[command(subcommand)]
        what: Soak,
    },
    /// Measures every figure beside its target and its floor, prints them and writes benches/FIGURES.md.
    Figures {
        /// In less time, and with more noise.
        #[arg(long, conflicts_with = "check")]
        quick: bool,
        /// Writes nothing; fails when a ratio to a floor of the same run is worse than its bound.
        #[arg(long)]
        check: bool,
    },
    /// Writes the documents in include/ that are made of the headers, the types and what a bus says of itself.
    Docs,
    /// Writes the headers in include/ from the crate `ffi`.
    Header {
        /// Writes nothing; fails with the difference when the committed header is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Compares the interface of the headers with its committed list; what is removed or changed fails, and so does what is
    /// new until it is listed.
    Abi {
        /// Adds what is new to the list.
        #[arg(long)]
        write: bool,
    },
    /// Builds and installs the library, its headers, pkg-config and `cmake` files, examples, and netload.
    Install(install::Options),
    /// Builds a tarball that works anywhere, a package for Debian, and SHA256SUMS.
    Dist {
        /// Where to, in place of target/dist.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Installs the system packages that the tests need; without root, names them.
    Deps,
}

#[derive(Subcommand)]
enum Soak {
    /// The bus under each idle policy, on the memory store and on one behind a socket.
    Bus {
        /// How long it lasts, builds not counted: policies and stores share the time.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        minutes: u64,
    },
    /// The Redis store under load while its server crashes, stands still and kills connections, and the way to it cuts them. An
    /// event that is lost, doubled or out of order fails it.
    Redis {
        /// How long it lasts, builds not counted: the faults share the time.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
        minutes: u64,
    },
    /// Two processes that exchange events over UDP, with `full`, on a network that loses 5 % of all packets and between two hosts; then
    /// the simulations, with 10,000 seeds for each million.
    Udp {
        /// Millions of events that each publishes.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        millions: u64,
    },
    /// A process that appends to a log and is killed, a full disk and others; then the simulation of a disk, with 1,000 seeds for each time.
    Log {
        /// How often it is killed.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        kills: u64,
    },
    /// Events through one bus, and buses that are opened and closed, a hundred for each million.
    Limits {
        /// Millions of events.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        millions: u64,
    },
    /// Buses that end under sixteen threads that call whatever there is.
    Abuse {
        /// How many buses.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        rounds: u64,
    },
    /// The simulation of whole buses, with seeds that the tests do not try.
    Sim {
        /// How many seeds; some hundred take a second.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
    },
}
