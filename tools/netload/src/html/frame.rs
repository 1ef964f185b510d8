//! What surrounds a plot: its axes, their lines and labels, in one of two sizes.

use maud::{Markup, html};

use super::scale::{Scale, Tick};

/// A plot without its data.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    /// What the horizontal axis counts.
    pub(crate) x_title: &'static str,
}

/// A plot is drawn twice, and the page shows the size that fits: text in it keeps its size.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) class: &'static str,
    width: f64,
    height: f64,
}

/// How data is drawn into a frame, and named below it.
pub(crate) trait Data {
    fn draw(&self, frame: &Frame, size: Size) -> Markup;
    fn legend(&self) -> Markup;
    /// What a listener is told instead of the plot.
    fn description(&self) -> String;
}

/// A plot under its title, with its legend.
pub(crate) fn figure(frame: &Frame, data: &impl Data) -> Markup {
    html! {
        figure {
            figcaption { h3 { (frame.title) } }
            (svg(frame, data, Size::WIDE))
            (svg(frame, data, Size::NARROW))
            ul.legend { (data.legend()) }
        }
    }
}

impl Size {
    pub(crate) const WIDE: Size = Size { class: "wide", width: 580.0, height: 300.0 };
    pub(crate) const NARROW: Size = Size { class: "narrow", width: 330.0, height: 250.0 };

    /// The horizontal place of a part of the axis.
    pub(crate) fn x(self, place: f64) -> f64 {
        MARGIN_LEFT + place * self.area_width()
    }

    /// The vertical place of a part of the axis, which begins at the bottom.
    pub(crate) fn y(self, place: f64) -> f64 {
        MARGIN_TOP + (1.0 - place) * self.area_height()
    }

    pub(crate) fn area_width(self) -> f64 {
        self.width - MARGIN_LEFT - MARGIN_RIGHT
    }

    pub(crate) fn area_height(self) -> f64 {
        self.height - MARGIN_TOP - MARGIN_BOTTOM
    }
}

/// A length in a drawing, as precise as one sees.
pub(crate) fn length(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn svg(frame: &Frame, data: &impl Data, size: Size) -> Markup {
    let name = format!("{}: {}", frame.title, data.description());
    html! {
        svg class={ "plot " (size.class) } viewBox={ "0 0 " (length(size.width)) " " (length(size.height)) }
            role="img" aria-label=(name) {
            title { (name) }
            rect.area x=(length(MARGIN_LEFT)) y=(length(MARGIN_TOP)) width=(length(size.area_width()))
                height=(length(size.area_height())) {}
            (rows(&frame.y, size))
            (columns(&frame.x, size))
            text.axis x=(length(size.x(0.5))) y=(length(size.height - 6.0)) text-anchor="middle" { (frame.x_title) }
            (data.draw(frame, size))
        }
    }
}

fn rows(scale: &Scale, size: Size) -> Markup {
    let mut free_to = f64::INFINITY;
    let mut place = |tick: &Tick| {
        let y = size.y(tick.at);
        let fits = y <= free_to;
        if fits {
            free_to = y - LINE_HEIGHT;
        }
        fits.then_some(y)
    };
    html! {
        @for tick in scale.ticks() {
            @if let Some(y) = place(&tick) {
                line.grid x1=(length(size.x(0.0))) x2=(length(size.x(1.0))) y1=(length(y)) y2=(length(y)) {}
                text.tick x=(length(MARGIN_LEFT - 6.0)) y=(length(y + 4.0)) text-anchor="end" { (tick.label) }
            }
        }
    }
}

fn columns(scale: &Scale, size: Size) -> Markup {
    let ticks = scale.ticks();
    let labels: Vec<(f64, &Tick)> = ticks.iter().map(|tick| (label_middle(tick, size), tick)).collect();
    let shown = STRIDES.into_iter().map(|stride| labels.iter().step_by(stride)).find(|labels| {
        let pairs = labels.clone().zip(labels.clone().skip(1));
        pairs.into_iter().all(|((middle, tick), (next_middle, next))| {
            next_middle - middle
                >= f64::midpoint(text_width(&tick.label), text_width(&next.label)) + LABEL_GAP
        })
    });
    html! {
        @for (middle, tick) in shown.into_iter().flatten() {
            @let x = length(size.x(tick.at));
            line.grid x1=(x) x2=(x) y1=(length(size.y(0.0))) y2=(length(size.y(1.0))) {}
            text.tick x=(length(*middle)) y=(length(size.y(0.0) + 16.0)) text-anchor="middle" { (tick.label) }
        }
    }
}

/// Where a label has its middle: at its value, as far as the plot is wide enough.
fn label_middle(tick: &Tick, size: Size) -> f64 {
    size.x(tick.at).min(size.width - text_width(&tick.label) / 2.0 - 1.0)
}

/// At most what a text takes in any of the fonts that the page asks for.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

const MARGIN_LEFT: f64 = 54.0;
const MARGIN_RIGHT: f64 = 14.0;
const MARGIN_TOP: f64 = 10.0;
const MARGIN_BOTTOM: f64 = 42.0;
const LINE_HEIGHT: f64 = 16.0;
/// Every how many labels are shown: the first of these that leaves room for each.
const STRIDES: [usize; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 65_536];
const LABEL_GAP: f64 = 6.0;
