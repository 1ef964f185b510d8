//! `netload verify`: whether everything that is published comes back, on each way out of a bus.

use crate::args::{InputArguments, VerifyArguments};
use crate::config::{Plan, Refusal};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::outcome::Outcome;
use crate::report::{self, grouped};
use crate::run;
use crate::values::Mode;
use crate::verify::Findings;

/// Publishes and reads back on a bus of its own for each way out, and prints a row for each.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<ExitStatus, Refusal> {
    let interrupt = Interrupt::listen().map_err(Refusal::Signals)?;
    let mut is_clean = true;
    for &mode in arguments.mode.modes() {
        let plan = Plan::new(&arguments.load(mode), None, &InputArguments::default())?;
        if !plan.reads_back() {
            println!("NOT OK      nothing comes back: the noop store keeps no events");
            return Ok(ExitStatus::Failed);
        }
        let outcome = run::run(&plan, &interrupt)?;
        if mode == arguments.mode.modes()[0] {
            println!("{}", columns("way out", &TITLES.map(str::to_owned)));
        }
        println!("{}", row(mode, &outcome));
        report::where_lost(&outcome);
        report::imbalance(&outcome);
        report::failures(&outcome);
        is_clean &= outcome.is_clean();
        if interrupt.has_come() {
            break;
        }
    }
    Ok(end(is_clean, interrupt.has_come()))
}

fn end(is_clean: bool, is_interrupted: bool) -> ExitStatus {
    if !is_clean {
        println!("\nNOT OK      not everything came back as it was published");
    } else if is_interrupted {
        println!("\ninterrupted: what was published until then came back once, in order, byte for byte");
    } else {
        println!("\nverified    everything came back once, in order, byte for byte");
    }
    match (is_interrupted, is_clean) {
        (true, _) => ExitStatus::Interrupted,
        (false, true) => ExitStatus::Success,
        (false, false) => ExitStatus::Failed,
    }
}

fn row(mode: Mode, outcome: &Outcome) -> String {
    let Findings { returned, lost, duplicated, out_of_order, foreign } = outcome.findings.unwrap_or_default();
    let counts = [outcome.accepted, returned, lost, duplicated, out_of_order, foreign];
    columns(mode.word(), &counts.map(grouped))
}

fn columns(first: &str, others: &[String; 6]) -> String {
    others.iter().fold(format!("{first:<10}"), |line, column| line + &format!("{column:>14}"))
}

const TITLES: [&str; 6] = ["accepted", "came back", "lost", "duplicated", "out of order", "foreign"];
