//! What each second of the runs was like.

use maud::{Markup, html};

use super::family::{Family, thinned};
use super::figures::NamedRun;
use super::frame::{Frame, figure};
use super::lines::{Line, Lines, Mark};
use super::scale::{Scale, Unit};
use super::style::Look;
use super::units;
use crate::saved::SavedRun;
use crate::series::Point;

/// How long events took in each second.
pub(crate) fn latency(runs: &[NamedRun]) -> Markup {
    let members = || runs.iter().enumerate().filter(|(_, run)| !run.run.series.is_empty());
    let metrics: [(&str, Metric); 3] =
        [("p50", |point| point.p50_ns), ("p99", |point| point.p99_ns), ("max", |point| point.max_ns)];
    let line = |NamedRun { run, .. }: &NamedRun, metric: Metric| {
        // Over hours, a point is the worst of several seconds.
        let parts = run.series.chunks(run.series.len().div_ceil(POINTS_MAX).max(1));
        let worst = |part: &[Point]| part.iter().map(metric).max().unwrap_or(0) as f64;
        parts.map(|part| (middle(&part[0]), worst(part))).collect::<Vec<_>>()
    };
    let family = Family {
        title: "Response time over time",
        of: "over time",
        x_title: "seconds since the warm-up",
        members: members().map(|(index, run)| (run.name.clone(), index)).collect(),
        metrics: metrics
            .iter()
            .map(|(name, metric)| (*name, members().map(|(_, run)| line(run, *metric)).collect()))
            .collect(),
    };
    family.draw(|| axis(runs))
}

/// How many events were due in each second.
pub(crate) fn rate(runs: &[NamedRun]) -> Markup {
    let lines: Vec<Line> = runs
        .iter()
        .enumerate()
        .filter(|(_, run)| !run.run.series.is_empty())
        .map(|(index, NamedRun { name, run })| {
            let points = rates(run);
            let says =
                |(x, y): &(f64, f64)| Mark { x: *x, y: *y, says: format!("{name}: {}/s", units::count(*y)) };
            Line {
                name: name.clone(),
                look: Look::of(index),
                marks: thinned(&points).map(says).collect(),
                points,
            }
        })
        .collect();
    if lines.is_empty() {
        return html! {};
    }
    let data = Lines(lines);
    let frame = Frame {
        title: "Events a second over time".to_owned(),
        x: axis(runs),
        y: Scale::linear(data.heights(), Unit::Count),
        x_title: "seconds since the warm-up",
    };
    figure(&frame, &data)
}

/// Events a second, of which there are none where the series has a gap.
fn rates(run: &SavedRun) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut next = 0;
    for point in &run.series {
        if point.second > next {
            points.extend([(next as f64 + 0.5, 0.0), (point.second as f64 - 0.5, 0.0)]);
        }
        next = point.second.saturating_add(1);
        points.push((middle(point), point.events as f64));
    }
    // The last second ended with the run.
    let seconds = run.document["result"]["seconds"].as_f64().unwrap_or_default();
    let last_s = run.series.last().map_or(1.0, |last| seconds - last.second as f64);
    if points.len() > 1 && (0.0..SECOND_PART_MIN).contains(&last_s) {
        points.pop();
    } else if let Some((_, rate)) = points.last_mut().filter(|_| last_s > 0.0 && last_s < 1.0) {
        *rate /= last_s;
    }
    let chunk = points.len().div_ceil(POINTS_MAX).max(1);
    let mean =
        |part: &[(f64, f64)]| (part[0].0, part.iter().map(|(_, y)| y).sum::<f64>() / part.len() as f64);
    points.chunks(chunk).map(mean).collect()
}

/// From the end of the warm-up to the end of the longest run.
fn axis(runs: &[NamedRun]) -> Scale {
    let last = runs.iter().filter_map(|run| run.run.series.last()).map(|point| point.second).max();
    Scale::linear_to(last.unwrap_or(0) as f64 + 1.0, Unit::Seconds)
}

/// The middle of a second.
fn middle(point: &Point) -> f64 {
    point.second as f64 + 0.5
}

/// One of a second's durations.
type Metric = fn(&Point) -> u64;

const POINTS_MAX: usize = 600;
/// What is less of a second tells nothing of its rate.
const SECOND_PART_MIN: f64 = 0.1;
