//! Plots of several durations of several members, such as three percentiles of two runs.

use maud::{Markup, html};

use super::frame::{Frame, figure};
use super::lines::{Line, Lines, Mark};
use super::scale::{Scale, Unit};
use super::style::Look;
use super::units;

/// Several things of each of several members: of one member they share a plot, of more each thing has one.
pub(crate) struct Family {
    pub(crate) title: &'static str,
    /// What follows the name of a metric in the title of its own plot.
    pub(crate) of: &'static str,
    pub(crate) x_title: &'static str,
    /// The name of each, and the index of its look.
    pub(crate) members: Vec<(String, usize)>,
    /// Each with the points of every member.
    pub(crate) metrics: Vec<(&'static str, Vec<Points>)>,
}

impl Family {
    pub(crate) fn draw(&self, x: impl Fn() -> Scale) -> Markup {
        if self.members.len() == 1 {
            let lines = self.metrics.iter().enumerate();
            let lines = lines.flat_map(|(index, (name, points))| {
                points.iter().map(move |points| line(name, index, points))
            });
            return latency_figure(self.title, self.x_title, x(), lines.collect());
        }
        html! {
            @for (name, members) in &self.metrics {
                @let lines = self.members.iter().zip(members);
                @let lines = lines.map(|((member, index), points)| line(member, *index, points)).collect();
                (latency_figure(&format!("{name} {}", self.of), self.x_title, x(), lines))
            }
        }
    }
}

fn line(name: &str, index: usize, points: &[(f64, f64)]) -> Line {
    let marks = thinned(points).map(|(x, y)| mark(name, "", *x, *y)).collect();
    Line { name: name.to_owned(), look: Look::of(index), points: points.to_vec(), marks }
}

/// A plot of durations; nothing where there are none.
pub(crate) fn latency_figure(title: &str, x_title: &'static str, x: Scale, lines: Vec<Line>) -> Markup {
    let data = Lines(lines.into_iter().filter(|line| !line.points.is_empty()).collect());
    if data.0.is_empty() {
        return html! {};
    }
    let y = Scale::log(data.heights(), Unit::Duration);
    figure(&Frame { title: title.to_owned(), x, y, x_title }, &data)
}

/// A point that says how long something took.
pub(crate) fn mark(name: &str, place: &str, x: f64, y: f64) -> Mark {
    Mark { x, y, says: format!("{name} {place}: {}", units::duration(y)) }
}

/// A few of many points.
pub(crate) fn thinned<T>(points: &[T]) -> impl Iterator<Item = &T> {
    points.iter().step_by(points.len().div_ceil(MARKS_MAX).max(1))
}

/// What a line goes through.
type Points = Vec<(f64, f64)>;

const MARKS_MAX: usize = 25;
