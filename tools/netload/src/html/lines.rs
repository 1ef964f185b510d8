//! Data that is drawn as lines, with marks at some of their points.

use maud::{Markup, html};

use super::frame::{Data, Frame, Size, length};
use super::style::Look;

/// Lines in one plot.
pub(crate) struct Lines(pub(crate) Vec<Line>);

/// One line.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) look: Look,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) marks: Vec<Mark>,
}

/// A point that is marked, and what it says to those who point at it.
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) says: String,
}

impl Lines {
    /// Every value of the vertical axis.
    pub(crate) fn heights(&self) -> impl Iterator<Item = f64> {
        self.0.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y))
    }
}

impl Data for Lines {
    fn draw(&self, frame: &Frame, size: Size) -> Markup {
        let place = |x: f64, y: f64| (size.x(frame.x.place(x)), size.y(frame.y.place(y)));
        html! {
            @for line in &self.0 {
                g class={ "data " (line.look.class()) } data-name=(line.name) {
                    path.line.dashed[line.look.is_dashed] d=(path(line.points.iter().map(|(x, y)| place(*x, *y)))) {}
                    @for mark in &line.marks {
                        @let (x, y) = place(mark.x, mark.y);
                        path.mark d=(line.look.mark(x, y)) { title { (mark.says) } }
                    }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            @for line in &self.0 { li { (line.look.sample()) span { (line.name) } } }
        }
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|line| line.name.as_str()).collect();
        names.join(", ")
    }
}

/// The data of a path through these points.
fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let steps = points.enumerate().map(|(index, (x, y))| {
        let command = if index == 0 { "M" } else { "L" };
        format!("{command}{} {}", length(x), length(y))
    });
    steps.collect()
}
