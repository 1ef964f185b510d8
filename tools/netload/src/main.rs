//! `netload`: drives a bus through the C ABI, measures it, reads everything back, verifies it, and prints what happened.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

// First: its macros are for those after it.
#[macro_use]
mod printing;

mod args;
mod bus;
mod compare;
mod config;
mod doctor;
mod document;
mod exit;
mod gate;
mod html;
mod input;
mod interrupt;
mod keygen;
mod keys;
mod latency;
mod left;
mod lines;
mod live;
mod log;
mod machine;
mod manual;
mod outcome;
mod output;
mod pace;
mod panics;
mod patience;
mod payload;
mod peak;
mod peer;
mod processor;
mod producer;
mod reader;
mod receive;
mod record;
mod report;
mod reports;
mod run;
mod saved;
mod scratch;
mod sequences;
mod series;
mod serve;
mod sizes;
mod slo;
mod stage;
mod stats;
mod subscription;
mod sweep;
mod udp_target;
mod values;
mod verify;
mod ways;

use clap::error::ErrorKind;

use args::{Arguments, Command, RunArguments};
use config::{Plan, Refusal};
use exit::ExitStatus;
use interrupt::Interrupt;
use output::Output;

fn main() -> ExitStatus {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version that cannot be written are nobody's loss.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitStatus::Success,
                _ => ExitStatus::Usage,
            };
        }
    };
    let done = match &arguments.command {
        Command::Run(arguments) => run_once(arguments),
        Command::Sweep(arguments) => sweep::sweep(arguments),
        Command::Peak(arguments) => peak::peak(arguments),
        Command::Verify(arguments) => ways::verify(arguments),
        Command::Serve(arguments) => serve::serve(arguments),
        Command::Keygen(arguments) => keygen::keygen(arguments),
        Command::Log(arguments) => log::log(arguments),
        Command::Compare(arguments) => compare::compare(arguments),
        Command::Report(arguments) => reports::report(arguments),
        Command::Doctor => Ok(doctor::doctor()),
        Command::Completions(arguments) => Ok(manual::completions(arguments)),
        Command::Man(arguments) => manual::man(arguments),
    };
    let status = done.unwrap_or_else(|refusal| {
        eprintln!("netload: {refusal}");
        ExitStatus::Failed
    });
    match printing::failure() {
        Some(error) => {
            eprintln!("netload: standard output cannot be written: {error}");
            ExitStatus::Failed
        }
        None => status,
    }
}

fn run_once(arguments: &RunArguments) -> Result<ExitStatus, Refusal> {
    let plan = Plan::new(&arguments.load, arguments.rate.per_second(), &arguments.input)?;
    let output = Output::open(&arguments.output.document, arguments.output.hgrm.as_deref())?;
    let interrupt = Interrupt::listen().map_err(Refusal::Signals)?;
    let outcome = run::run(&plan, &interrupt)?;
    report::print(&plan, &outcome);
    output.save(document::of_run(&plan, &outcome), &outcome.response)?;
    Ok(outcome.exit_status())
}
