//! Durations in a high dynamic range histogram, and the percentiles that are printed and saved of them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Collects durations with three significant digits, from a nanosecond to a minute.
pub struct Recorder(Histogram<u64>);

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Recorder {
        Recorder(Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order"))
    }

    /// Records one duration. One of more than a minute counts as a minute.
    #[inline]
    pub fn record(&mut self, duration_ns: u64) {
        self.0.saturating_record(duration_ns);
    }

    /// What was recorded, under a name.
    pub fn summary(&self, name: impl Into<String>) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Percentiles {
            name: name.into(),
            samples: self.0.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            p9999_ns: at(0.9999),
            max_ns: self.0.max(),
            late: None,
            distribution: self
                .0
                .iter_quantiles(STEPS_PER_HALF_DISTANCE)
                .map(|step| (step.quantile_iterated_to(), step.value_iterated_to()))
                .collect(),
        }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

/// The percentiles of one measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Percentiles {
    /// What was measured.
    pub name: String,
    /// How many durations.
    pub samples: u64,
    /// Half of them are not longer.
    pub p50_ns: u64,
    /// 90 % of them are not longer.
    pub p90_ns: u64,
    /// 99 % of them are not longer.
    pub p99_ns: u64,
    /// 99.9 % of them are not longer.
    pub p999_ns: u64,
    /// 99.99 % of them are not longer.
    pub p9999_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// In an open loop: events that were sent more than a period behind their intended time.
    pub late: Option<u64>,
    /// The whole distribution: quantiles, each with its nanoseconds.
    pub distribution: Vec<(f64, u64)>,
}

const LONGEST_NS: u64 = 60_000_000_000;
/// Steps of the saved distribution for each halving of the distance to 100 %.
const STEPS_PER_HALF_DISTANCE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut recorder = Recorder::new();
        (1..=1_000).for_each(|duration_ns| recorder.record(duration_ns));
        let summary = recorder.summary("a thousand");
        assert_eq!(
            (summary.samples, summary.p50_ns, summary.p99_ns, summary.max_ns),
            (1_000, 500, 990, 1_000)
        );
    }
}
