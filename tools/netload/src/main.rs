//! `netload run`: drives a bus through the C ABI, reads everything back, verifies it, and prints what happened.
//!
//! Exit status: 0 when every accepted event came back once and in order, 1 when not, 2 when it could not begin.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod args;
mod bus;
mod config;
mod gate;
mod input;
mod keys;
mod left;
mod lines;
mod pace;
mod patience;
mod payload;
mod producer;
mod progress;
mod reader;
mod report;
mod run;
mod sequences;
mod stats;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use config::Plan;

fn main() -> ExitCode {
    let Command::Run(arguments) = Arguments::parse().command;
    let outcome = match Plan::new(&arguments).and_then(|plan| run::run(&plan).map(|outcome| (plan, outcome)))
    {
        Ok((plan, outcome)) => {
            report::print(&plan, &outcome);
            outcome
        }
        Err(refusal) => {
            eprintln!("netload: {refusal}");
            return ExitCode::from(2);
        }
    };
    ExitCode::from(u8::from(!outcome.is_clean()))
}
