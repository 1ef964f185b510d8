//! Latency against load.

use maud::Markup;

use super::family::Family;
use super::scale::{Scale, Unit};
use crate::saved::{Saved, SavedRun};

/// Latency against load, of each result that has runs of different rates.
pub(crate) fn figures(results: &[Saved]) -> Markup {
    let points = |saved: &Saved, quantile: f64| {
        let measured = saved.runs.iter().filter(|run| !run.response.is_empty());
        let mut points: Vec<(f64, f64)> = measured
            .filter_map(|run| Some((run.rate()?, run.response.value_at_quantile(quantile) as f64)))
            .collect();
        points.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        points
    };
    let members: Vec<&Saved> = results.iter().filter(|saved| saved.is_of_rates()).collect();
    let family = Family {
        title: "Response time against load",
        of: "against load",
        x_title: "events a second",
        members: members.iter().enumerate().map(|(index, saved)| (saved.name.clone(), index)).collect(),
        metrics: LOAD_METRICS
            .map(|(name, quantile)| (name, members.iter().map(|saved| points(saved, quantile)).collect()))
            .into(),
    };
    let rates: Vec<f64> = members.iter().flat_map(|saved| &saved.runs).filter_map(SavedRun::rate).collect();
    let (lowest, highest) =
        (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
    family.draw(|| {
        let is_wide = highest / lowest.max(1.0) > RATES_LINEAR_MAX;
        if is_wide {
            Scale::log([lowest, highest], Unit::Count)
        } else {
            Scale::linear([highest], Unit::Count)
        }
    })
}

const LOAD_METRICS: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// Rates of which one is more than this many times another are told apart by their order of magnitude.
const RATES_LINEAR_MAX: f64 = 8.0;
