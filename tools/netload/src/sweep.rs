//! `netload sweep`, and the runs that it shares with `netload peak`: one after the other, each on a bus of its own.

use std::num::NonZeroU64;

use serde_json::{Value, json};

use crate::args::{InputArguments, LoadArguments, SweepArguments};
use crate::config::{Plan, Refusal};
use crate::document;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::report::grouped;
use crate::run;

/// Latency against load.
pub(crate) fn sweep(arguments: &SweepArguments) -> Result<ExitStatus, Refusal> {
    let output = Output::open(&arguments.output, None)?;
    let mut runs = Runs::new()?;
    println!("{TITLES}");
    for rate in &arguments.rates {
        let outcome = runs.run(&arguments.load, *rate)?;
        println!("{}", line(*rate, &outcome, ""));
        if runs.interrupt.has_come() {
            break;
        }
    }
    println!("response times in nanoseconds, from the moment an event was due");
    runs.end(output, "sweep", json!({}))
}

/// The runs so far.
pub(crate) struct Runs {
    pub(crate) interrupt: Interrupt,
    documents: Vec<Value>,
    is_clean: bool,
}

impl Runs {
    /// None yet; listens for Ctrl-C.
    pub(crate) fn new() -> Result<Runs, Refusal> {
        let interrupt = Interrupt::listen().map_err(Refusal::Signals)?;
        Ok(Runs { interrupt, documents: Vec::new(), is_clean: true })
    }

    /// One more run.
    pub(crate) fn run(&mut self, load: &LoadArguments, rate: NonZeroU64) -> Result<Outcome, Refusal> {
        let plan = Plan::new(load, Some(rate), &InputArguments::default())?;
        let outcome = run::run(&plan, &self.interrupt)?;
        self.documents.push(document::of_run(&plan, &outcome));
        // What a load that was too high kept the reader from is no failure of these verbs.
        self.is_clean &= outcome.is_clean() || !outcome.kept_rate() && !outcome.is_wrong();
        Ok(outcome)
    }

    /// Saves the runs, and tells how the process ends after them.
    pub(crate) fn end(self, output: Output, kind: &str, more: Value) -> Result<ExitStatus, Refusal> {
        output.save_document(document::of_runs(kind, &self.documents, more))?;
        Ok(match self {
            Runs { ref interrupt, .. } if interrupt.has_come() => ExitStatus::Interrupted,
            Runs { is_clean: false, .. } => ExitStatus::Failed,
            _ => ExitStatus::Success,
        })
    }
}

/// What a run came to, below [`TITLES`].
pub(crate) fn line(rate: NonZeroU64, outcome: &Outcome, verdict: &str) -> String {
    let columns: String = [0.5, 0.99, 0.999, 0.9999]
        .map(|quantile| format!(" {:>11}", grouped(outcome.response.value_at_quantile(quantile))))
        .concat();
    let slow = if outcome.kept_rate() { "" } else { "  TOO SLOW" };
    let wrong = if outcome.is_clean() { "" } else { "  NOT OK" };
    format!(
        "{:>12}{:>8.1} %{columns} {:>11}{slow}{wrong}{verdict}",
        grouped(rate),
        outcome.kept.unwrap_or(1.0) * 100.0,
        grouped(outcome.response.max())
    )
}

pub(crate) const TITLES: &str =
    "    events/s      kept         p50         p99       p99.9      p99.99         max";
