//! `netload peak`: the highest rate that holds a bound, found although some runs mislead.
//!
//! A busy machine breaks a bound at any rate now and then, and close to the peak a bound holds in one run and breaks in the next. So no run
//! decides: each is a vote that moves belief, and the next one is where belief is divided (probabilistic bisection; R. Waeber, P. Frazier and
//! S. Henderson, "Bisection Search with Noisy Responses", 2013). It ends when one rate has nearly all belief.

use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::json;

use crate::args::PeakArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::output::Output;
use crate::report::grouped;
use crate::sweep::{Runs, TITLES, line};

/// The highest rate that holds a bound.
pub(crate) fn peak(arguments: &PeakArguments) -> Result<ExitStatus, Refusal> {
    let (slo, from, to) = (&arguments.slo, arguments.from.get(), arguments.to.get());
    if to < from {
        return Err(Refusal::RatesReversed { from, to });
    }
    let output = Output::open(&arguments.output, None)?;
    let mut runs = Runs::new()?;
    let mut load = arguments.load.clone();
    if load.events.is_none() {
        load.duration.get_or_insert(RUN_DURATION);
    }
    load.warmup.get_or_insert(RUN_WARMUP);
    println!("{TITLES}");
    let found = find(&ladder(from, to), |rate| {
        let rate = NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN);
        let outcome = runs.run(&load, rate)?;
        let holds = outcome.is_clean() && outcome.kept_rate() && slo.is_held_by(&outcome.response);
        println!("{}", line(rate, &outcome, if holds { "  holds" } else { "  does not hold" }));
        Ok((!runs.interrupt.has_come()).then_some(holds))
    })?;
    let more = json!({ "slo": slo.to_string(), "peak": found, "from": from, "to": to });
    if runs.interrupt.has_come() {
        println!("interrupted: no peak was found");
        return runs.end(output, "peak", more);
    }
    let said = match found {
        Some(peak) if peak >= to => {
            format!("peak        {} events/s hold {slo}; --to goes no higher", grouped(peak))
        }
        Some(peak) => format!("peak        {} events/s hold {slo}", grouped(peak)),
        None => format!("NOT OK      not even {} events/s hold {slo}", grouped(from)),
    };
    println!("\n{said}");
    let status = runs.end(output, "peak", more)?;
    Ok(if found.is_none() && status == ExitStatus::Success { ExitStatus::Failed } else { status })
}

/// The rates that are tried, ascending: each step is the same ratio, to three digits, as people say rates.
fn ladder(from: u64, to: u64) -> Vec<u64> {
    let ratio = to.max(from) as f64 / from as f64;
    let steps = (ratio.ln() / STEP.ln()).ceil();
    let between = (1_u32..).map(f64::from).take_while(|step| *step < steps);
    let between = between.map(|step| rounded(from as f64 * ratio.powf(step / steps)));
    let mut rates = vec![from];
    rates.extend(between.filter(|rate| (from..to).contains(rate)));
    rates.push(to.max(from));
    rates.dedup();
    rates
}

/// The highest of `rates` that holds; `None` when none does, or when a run was interrupted, which has no vote.
fn find(
    rates: &[u64],
    mut holds: impl FnMut(u64) -> Result<Option<bool>, Refusal>,
) -> Result<Option<u64>, Refusal> {
    let mut belief = Belief::even(rates.len());
    for _ in 0..RUNS_MAX {
        let index = belief.divided_at();
        let Some(holds) = holds(rates[index])? else { return Ok(None) };
        belief.hear(index, holds);
        if belief.strongest().1 > CERTAINTY {
            break;
        }
    }
    Ok(belief.strongest().0.checked_sub(1).map(|index| rates[index]))
}

/// How likely it is that so many of the rates hold: none, the lowest, the lowest two, and so on. The sum is 1.
struct Belief(Vec<f64>);

impl Belief {
    fn even(rates: usize) -> Belief {
        Belief(vec![1.0 / (rates + 1) as f64; rates + 1])
    }

    /// The rate that is as likely to hold as not.
    fn divided_at(&self) -> usize {
        let mut below = 0.0;
        let uneven = |likely: &f64| {
            below += likely;
            (below - 0.5_f64).abs()
        };
        let uneven: Vec<f64> = self.0[..self.0.len() - 1].iter().map(uneven).collect();
        (0..uneven.len()).min_by(|&one, &other| uneven[one].total_cmp(&uneven[other])).unwrap_or(0)
    }

    /// A run at the rate with this index has held, or not.
    fn hear(&mut self, index: usize, holds: bool) {
        for (count, likely) in self.0.iter_mut().enumerate() {
            let breaks = if count > index { BREAKS_BELOW } else { 1.0 - HOLDS_ABOVE };
            *likely *= if holds { 1.0 - breaks } else { breaks };
        }
        let sum: f64 = self.0.iter().sum();
        self.0.iter_mut().for_each(|likely| *likely /= sum);
    }

    /// What is most likely, and how likely it is.
    fn strongest(&self) -> (usize, f64) {
        let all = self.0.iter().copied().enumerate();
        all.max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default()
    }
}

fn rounded(rate: f64) -> u64 {
    let unit = 10_f64.powf((rate.max(1.0).log10().floor() - 2.0).max(0.0));
    (((rate / unit).round() * unit) as i64).unsigned_abs()
}

/// The largest step from one rate to the next.
const STEP: f64 = 1.04;
/// How likely a run breaks the bound up to the peak: other work makes it, and closeness.
const BREAKS_BELOW: f64 = 0.3;
/// How likely a run holds it above: only closeness makes it.
const HOLDS_ABOVE: f64 = 0.1;
const CERTAINTY: f64 = 0.95;
const RUNS_MAX: u32 = 100;
const RUN_DURATION: Duration = Duration::from_secs(2);
const RUN_WARMUP: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn found(low: u64, high: u64, limit: u64) -> Option<u64> {
        find(&ladder(low, high), |rate| Ok(Some(rate <= limit))).expect("nothing is refused")
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
        assert_eq!(found(7, 7, 7), Some(7));
    }

    /// What a noisy machine answers: at the peak every other run holds, 5 % below and above it one in twelve says the opposite, and one
    /// in seven breaks at any rate.
    fn noisy(peak: f64, seed: u64) -> u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let found = find(&ladder(1_000, 10_000_000), |rate| {
            let breaks = 1.0 / (1.0 + (peak / rate as f64).powf(1.0 / 0.02));
            Ok(Some(random.f64() >= 0.15 && random.f64() >= breaks))
        });
        found.expect("nothing is refused").unwrap_or(0)
    }

    #[test]
    fn a_noisy_machine_is_told_the_same_peak_twice_within_a_10th() {
        let mut apart = Vec::new();
        for seed in 0..PAIRS {
            let peak = 1_000.0 * 9_000_f64.powf(fastrand::Rng::with_seed(seed).f64());
            let [one, other] = [0, 1].map(|time| noisy(peak, 2 * seed + time));
            if one.max(other) as f64 > one.min(other) as f64 * 1.1 {
                apart.push((seed, peak, one, other));
            }
        }
        assert!(apart.is_empty(), "{} seeds: {apart:?}", apart.len());
    }

    const PAIRS: u64 = 1_000;
}
