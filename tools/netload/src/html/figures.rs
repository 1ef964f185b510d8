//! Which plots there are of runs. A plot without data is left out.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::family::{latency_figure, mark};
use super::lines::Line;
use super::scale::Scale;
use super::style::Look;
use super::{loads, over_time, shards, units};
use crate::saved::{Saved, SavedRun};

/// A run and what it is called on this page.
pub(crate) struct NamedRun<'a> {
    pub(crate) name: String,
    pub(crate) run: &'a SavedRun,
}

/// Every plot of these results.
pub(crate) fn figures(results: &[Saved], runs: &[NamedRun]) -> Markup {
    html! {
        (loads::figures(results))
        (percentiles(runs))
        (over_time::latency(runs))
        (over_time::rate(runs))
        (shards::figures(runs))
    }
}

/// How long the rarest events took: response solid, service dashed.
fn percentiles(runs: &[NamedRun]) -> Markup {
    let mut lines = Vec::new();
    let measured = runs.iter().enumerate().filter(|(_, run)| !run.run.response.is_empty());
    for (index, NamedRun { name, run }) in measured {
        let look = Look::of(index);
        let has_service = run.service != run.response && runs.len() <= RUNS_WITH_SERVICE_MAX;
        let called = |what: &str| match runs {
            [_] => what.to_owned(),
            _ if has_service => format!("{name} {what}"),
            _ => name.clone(),
        };
        lines.push(percentile_line(called("response"), look, &run.response));
        if has_service && !run.service.is_empty() {
            lines.push(percentile_line(called("service"), look.dashed(), &run.service));
        }
    }
    let rarest = runs.iter().map(|run| run.run.response.len()).max().unwrap_or(0);
    latency_figure("Response time by percentile", "part of all events", Scale::tail(rarest as f64), lines)
}

fn percentile_line(name: String, look: Look, durations: &Histogram<u64>) -> Line {
    let at = |inverse: f64| (inverse, durations.value_at_quantile(1.0 - 1.0 / inverse) as f64);
    let count = durations.len() as f64;
    let steps = (0..).map(|step| 10_f64.powf(f64::from(step) / STEPS_PER_DECADE));
    let inner = steps.take_while(|inverse| *inverse < count).map(at);
    let points: Vec<_> = inner.chain([(count, durations.max() as f64)]).collect();
    let rarities = std::iter::successors(Some(10.0), |inverse| Some(inverse * 10.0));
    let marked = std::iter::once(2.0).chain(rarities).take_while(|inverse| *inverse <= count);
    let marks = marked.map(at).map(|(x, y)| mark(&name, &units::quantile(x), x, y)).collect();
    Line { marks: if look.is_dashed { Vec::new() } else { marks }, name, look, points }
}

/// Beyond, service times are in the tables only.
const RUNS_WITH_SERVICE_MAX: usize = 4;
const STEPS_PER_DECADE: f64 = 20.0;
