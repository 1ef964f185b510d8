//! What each shard did.

use maud::{Markup, html};

use super::bars::{Bar, Bars};
use super::figures::NamedRun;
use super::frame::{Frame, figure};
use super::scale::{Scale, Unit};
use super::style::Look;
use crate::stats::ShardAccount;

/// Of one run all its counts in one plot; of more, each count in its own, as far as there is any.
pub(crate) fn figures(runs: &[NamedRun]) -> Markup {
    let names: Vec<String> = runs
        .iter()
        .map(|run| &run.run.shards)
        .max_by_key(|shards| shards.len())
        .map(|shards| shards.iter().map(|account| account.shard.to_string()).collect())
        .unwrap_or_default();
    let bar = |run: &NamedRun, name: String, look: Look, metric: Metric| {
        let heights = run.run.shards.iter().map(metric).enumerate().collect();
        Bar { name, look, heights }
    };
    let plot = |title: String, bars: Vec<Bar>| {
        let data = Bars { bars, groups: names.len() };
        let frame = Frame {
            title,
            x: Scale::groups(names.clone()),
            y: Scale::linear(data.heights(), Unit::Count),
            x_title: "shard",
        };
        figure(&frame, &data)
    };
    let did_something =
        |bars: &[Bar]| bars.iter().any(|bar| bar.heights.iter().any(|(_, height)| *height > 0.0));
    if let [run] = runs {
        let bars = SHARD_METRICS.iter().enumerate();
        let bars = bars.map(|(index, (name, metric))| bar(run, (*name).to_owned(), Look::of(index), *metric));
        let bars: Vec<Bar> = bars.collect();
        return html! { @if did_something(&bars) { (plot("Events by shard".to_owned(), bars)) } };
    }
    html! {
        @for (name, metric) in SHARD_METRICS {
            @let bars: Vec<Bar> = runs.iter().enumerate()
                .map(|(index, run)| bar(run, run.name.clone(), Look::of(index), metric))
                .collect();
            @if did_something(&bars) {
                (plot(format!("Events {name} by shard"), bars))
            }
        }
    }
}

fn dropped(account: &ShardAccount) -> f64 {
    account.dropped.values().map(|count| *count as f64).sum()
}

/// One of a shard's counts.
type Metric = fn(&ShardAccount) -> f64;

const SHARD_METRICS: [(&str, Metric); 3] = [
    ("ingested", |account| account.ingested as f64),
    ("stored", |account| account.stored as f64),
    ("dropped", dropped),
];
