//! What a latency must hold, such as `p99<50us`, and how percentiles are named.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::values::parse_time;

/// Bounds that a distribution must all hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slo(Vec<Bound>);

#[derive(Clone, Debug, PartialEq)]
struct Bound {
    percentile: Percentile,
    below: Duration,
}

/// A percentile or the maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentile {
    percent: f64,
}

impl Slo {
    /// Whether these durations hold every bound.
    pub(crate) fn is_held_by(&self, durations: &Histogram<u64>) -> bool {
        let holds = |bound: &Bound| u128::from(bound.percentile.of(durations)) < bound.below.as_nanos();
        !durations.is_empty() && self.0.iter().all(holds)
    }
}

impl Percentile {
    /// The duration that this part of all does not exceed, in nanoseconds.
    pub(crate) fn of(self, durations: &Histogram<u64>) -> u64 {
        // Rounded to what was written: 99.9 / 100 is a little more than 0.999, and would be another value.
        durations.value_at_quantile((self.percent * 1e9).round() / 1e11)
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Slo, String> {
        let bound = |part: &str| {
            let (percentile, below) = part.split_once('<')?;
            Some(Bound { percentile: percentile.trim().parse().ok()?, below: parse_time(below.trim()).ok()? })
        };
        let bounds = text.split(',').map(|part| {
            bound(part).ok_or_else(|| format!("`{part}` is no bound; expected such as p99<50us or max<1ms"))
        });
        bounds.collect::<Result<_, _>>().map(Slo)
    }
}

impl FromStr for Percentile {
    type Err = String;

    fn from_str(text: &str) -> Result<Percentile, String> {
        if text == "max" {
            return Ok(Percentile { percent: 100.0 });
        }
        let percent = text.strip_prefix('p').and_then(|percent| percent.parse().ok());
        let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
        let percent =
            percent.ok_or_else(|| format!("`{text}` is no percentile; expected such as p99.9 or max"))?;
        Ok(Percentile { percent })
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.percent >= 100.0 {
            formatter.write_str("max")
        } else {
            write!(formatter, "p{}", self.percent)
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bound) in self.0.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            let below = humantime::format_duration(bound.below);
            write!(formatter, "{separator}{}<{below}", bound.percentile)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::histogram;

    #[test]
    fn every_bound_must_hold_and_none_is_held_by_nothing() {
        let mut durations = histogram();
        (1..=100).for_each(|value| durations.record(value * 1_000).expect("in bounds"));
        let slo = |text: &str| text.parse::<Slo>().expect("valid");
        assert!(slo("p50<60us").is_held_by(&durations));
        assert!(!slo("p50<60us, max<90us").is_held_by(&durations));
        assert!(!slo("p50<60us").is_held_by(&histogram()));
        assert_eq!(slo("p99.9<50us,max<1ms").to_string(), "p99.9<50us,max<1ms");
    }

    #[test]
    fn a_percentile_is_what_was_written_and_not_what_a_division_makes_of_it() {
        let mut durations = histogram();
        (1..=1_000).for_each(|value| durations.record(value).expect("in bounds"));
        let at = |text: &str| text.parse::<Percentile>().expect("valid").of(&durations);
        assert_eq!((at("p50"), at("p99"), at("p99.9"), at("max")), (500, 990, 999, 1_000));
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for wrong in ["", "p99", "p99>50us", "p0<1us", "p101<1us", "p99<fast", "p99<50us,"] {
            assert!(wrong.parse::<Slo>().is_err(), "{wrong}");
        }
    }
}
