//! What every second of a run was like, put together from all its threads.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::record::{Second, histogram};

/// Gathers the seconds of all recorders.
pub(crate) struct Series {
    total: Histogram<u64>,
    open: BTreeMap<u64, (u64, Histogram<u64>)>,
    closed: Vec<Point>,
}

/// One second of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Point {
    /// Counted from the end of the warm-up.
    pub(crate) second: u64,
    /// Events that were due in it.
    pub(crate) events: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
}

impl Series {
    pub(crate) fn new() -> Series {
        Series { total: histogram(), open: BTreeMap::new(), closed: Vec::new() }
    }

    /// One thread's second. Few are kept as histograms: a thread that hands one on much later than the others adds to the total only.
    pub(crate) fn add(&mut self, second: &Second) {
        self.total.add(&second.response).expect("the same bounds");
        if self.closed.last().is_some_and(|point| point.second >= second.index) {
            return;
        }
        let (events, response) = self.open.entry(second.index).or_insert_with(|| (0, histogram()));
        *events += second.events;
        response.add(&second.response).expect("the same bounds");
        while self.open.len() > SECONDS_OPEN_MAX {
            self.close_oldest();
        }
    }

    /// The newest second, as far as it has been handed on.
    pub(crate) fn latest(&self) -> Option<Point> {
        let (second, (events, response)) = self.open.last_key_value()?;
        Some(point(*second, *events, response))
    }

    /// Every second, and all response times.
    pub(crate) fn finish(mut self) -> (Vec<Point>, Histogram<u64>) {
        while !self.open.is_empty() {
            self.close_oldest();
        }
        self.closed.retain(|point| point.events > 0);
        (self.closed, self.total)
    }

    fn close_oldest(&mut self) {
        let Some((second, (events, response))) = self.open.pop_first() else { return };
        self.closed.push(point(second, events, &response));
    }
}

fn point(second: u64, events: u64, response: &Histogram<u64>) -> Point {
    let at = |quantile| response.value_at_quantile(quantile);
    Point { second, events, p50_ns: at(0.5), p99_ns: at(0.99), max_ns: response.max() }
}

const SECONDS_OPEN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn second(index: u64, value_ns: u64) -> Second {
        let mut response = histogram();
        response.record(value_ns).expect("in bounds");
        Second { index, events: 1, response }
    }

    #[test]
    fn the_threads_of_a_second_are_put_together_and_the_total_has_all() {
        let mut series = Series::new();
        for (index, value_ns) in [(0, 5), (0, 7), (1, 9)] {
            series.add(&second(index, value_ns));
        }
        assert_eq!(series.latest().map(|point| (point.second, point.max_ns)), Some((1, 9)));
        let (points, total) = series.finish();
        let told: Vec<_> = points.iter().map(|point| (point.second, point.events, point.max_ns)).collect();
        assert_eq!((told, total.len()), (vec![(0, 2, 7), (1, 1, 9)], 3));
    }

    #[test]
    fn a_second_that_comes_late_counts_in_the_total() {
        let mut series = Series::new();
        (0..20).for_each(|index| series.add(&second(index, 5)));
        series.add(&second(0, 99));
        let (points, total) = series.finish();
        assert_eq!((points.len(), total.len(), total.max()), (20, 21, 99));
    }
}
