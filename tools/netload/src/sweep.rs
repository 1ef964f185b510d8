//! `netload sweep` and `netload peak`: runs with different rates, one after the other, each on a bus of its own.

use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::{Value, json};

use crate::args::{InputArguments, LoadArguments, PeakArguments, SweepArguments};
use crate::config::{Plan, Refusal};
use crate::document;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::report::grouped;
use crate::run;
use crate::slo::Slo;

/// Latency against load.
pub(crate) fn sweep(arguments: &SweepArguments) -> Result<ExitStatus, Refusal> {
    let output = Output::open(&arguments.output.clone().into())?;
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

/// The highest rate that holds a bound.
pub(crate) fn peak(arguments: &PeakArguments) -> Result<ExitStatus, Refusal> {
    let output = Output::open(&arguments.output.clone().into())?;
    let mut runs = Runs::new()?;
    let mut load = arguments.load.clone();
    if load.events.is_none() {
        load.duration.get_or_insert(STEP_DURATION);
    }
    load.warmup.get_or_insert(STEP_WARMUP);
    println!("{TITLES}");
    let (from, to) = (arguments.from.get(), arguments.to.get());
    let found = bisect(from, to, |rate| runs.holds(&load, rate, &arguments.slo))?;
    let more = json!({ "slo": arguments.slo.to_string(), "peak": found, "from": from, "to": to });
    if runs.interrupt.has_come() {
        println!("interrupted: no peak was found");
        return runs.end(output, "peak", more);
    }
    let slo = &arguments.slo;
    let said = match found {
        Some(peak) if peak == to => {
            format!("peak        {} events/s hold {slo}; --to goes no higher", grouped(peak))
        }
        Some(peak) => format!("peak        {} events/s hold {slo}", grouped(peak)),
        None => format!("NOT OK      not even {} events/s hold {slo}", grouped(from)),
    };
    println!("\n{said}");
    let status = runs.end(output, "peak", more)?;
    Ok(if found.is_none() && status == ExitStatus::Success { ExitStatus::Failed } else { status })
}

/// The highest rate between `low` and `high` that holds, to within a 20th; `None` when not even `low` does.
fn bisect(
    mut low: u64,
    mut high: u64,
    mut holds: impl FnMut(NonZeroU64) -> Result<bool, Refusal>,
) -> Result<Option<u64>, Refusal> {
    let mut holds = |rate: u64| holds(NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN));
    if !holds(low)? {
        return Ok(None);
    }
    if high <= low || holds(high)? {
        return Ok(Some(high.max(low)));
    }
    while high as f64 / low as f64 > PRECISION {
        // Halves the ratio: rates are told apart by their quotient.
        let middle = rounded((low as f64 * high as f64).sqrt()).clamp(low + 1, high.max(low + 2) - 1);
        *(if holds(middle)? { &mut low } else { &mut high }) = middle;
        if high <= low + 1 {
            break;
        }
    }
    Ok(Some(low))
}

/// To three digits, as people say rates.
fn rounded(rate: f64) -> u64 {
    let unit = 10_f64.powf((rate.max(1.0).log10().floor() - 2.0).max(0.0));
    (((rate / unit).round() * unit) as i64).unsigned_abs()
}

/// The runs so far.
struct Runs {
    interrupt: Interrupt,
    documents: Vec<Value>,
    is_clean: bool,
}

impl Runs {
    fn new() -> Result<Runs, Refusal> {
        let interrupt = Interrupt::listen().map_err(Refusal::Signals)?;
        Ok(Runs { interrupt, documents: Vec::new(), is_clean: true })
    }

    fn run(&mut self, load: &LoadArguments, rate: NonZeroU64) -> Result<Outcome, Refusal> {
        let plan = Plan::new(load, Some(rate), &InputArguments::default())?;
        let outcome = run::run(&plan, &self.interrupt)?;
        self.documents.push(document::of_run(&plan, &outcome));
        // What a load that was too high did to the reader is no failure of these verbs.
        self.is_clean &= outcome.is_clean() || !outcome.kept_rate();
        Ok(outcome)
    }

    /// Whether a rate holds the bound: what two runs say alike, or two of three.
    fn holds(&mut self, load: &LoadArguments, rate: NonZeroU64, slo: &Slo) -> Result<bool, Refusal> {
        let (mut held, mut broken) = (0, 0);
        while held < CONFIRMATIONS && broken < CONFIRMATIONS && !self.interrupt.has_come() {
            let outcome = self.run(load, rate)?;
            let holds = outcome.is_clean() && outcome.kept_rate() && slo.is_held_by(&outcome.response);
            *(if holds { &mut held } else { &mut broken }) += 1;
            println!("{}", line(rate, &outcome, if holds { "  holds" } else { "  does not hold" }));
        }
        Ok(held >= CONFIRMATIONS)
    }

    fn end(self, output: Output, kind: &str, more: Value) -> Result<ExitStatus, Refusal> {
        output.save_document(&document::of_runs(kind, &self.documents, more))?;
        Ok(match self {
            Runs { ref interrupt, .. } if interrupt.has_come() => ExitStatus::Interrupted,
            Runs { is_clean: false, .. } => ExitStatus::Failed,
            _ => ExitStatus::Success,
        })
    }
}

fn line(rate: NonZeroU64, outcome: &Outcome, verdict: &str) -> String {
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

const TITLES: &str = "    events/s      kept         p50         p99       p99.9      p99.99         max";
const STEP_DURATION: Duration = Duration::from_secs(2);
const STEP_WARMUP: Duration = Duration::from_millis(300);
const CONFIRMATIONS: u32 = 2;
const PRECISION: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(low: u64, high: u64, limit: u64) -> Option<u64> {
        bisect(low, high, |rate| Ok(rate.get() <= limit)).expect("nothing is refused")
    }

    #[test]
    fn the_highest_rate_that_holds_is_found_to_a_20th() {
        for limit in [1_000, 1_234, 77_777, 5_000_000] {
            let peak = found(1_000, 10_000_000, limit).expect("the lowest holds") as f64;
            assert!((0.95..=1.0).contains(&(peak / limit as f64)), "{limit}: {peak}");
        }
    }

    #[test]
    fn bounds_that_do_not_enclose_the_peak_are_answered_as_such() {
        assert_eq!(found(1_000, 2_000, 5_000), Some(2_000));
        assert_eq!(found(1_000, 2_000, 999), None);
        assert_eq!(found(1, 2, 1), Some(1));
    }
}
