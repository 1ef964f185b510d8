//! Data that is drawn as bars, in groups; as dots where there is no room for bars.

use maud::{Markup, html};

use super::frame::{Data, Frame, Size, length};
use super::style::Look;
use super::units;

/// The bars of one plot: each of these has one in every group.
pub(crate) struct Bars {
    pub(crate) bars: Vec<Bar>,
    pub(crate) groups: usize,
}

/// What has a bar in every group.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) look: Look,
    /// The group's index, and the bar's height.
    pub(crate) heights: Vec<(usize, f64)>,
}

impl Bars {
    /// Whether bars would be too thin to be seen.
    fn is_crowded(&self) -> bool {
        self.bars.len() * self.groups > BARS_MAX
    }

    /// Every height.
    pub(crate) fn heights(&self) -> impl Iterator<Item = f64> {
        self.bars.iter().flat_map(|bar| bar.heights.iter().map(|(_, height)| *height))
    }
}

impl Data for Bars {
    fn draw(&self, frame: &Frame, size: Size) -> Markup {
        let group_width = (size.area_width() / self.groups.max(1) as f64 * GROUP_PART).min(GROUP_WIDTH_MAX);
        let width = group_width / self.bars.len().max(1) as f64;
        html! {
            @for (index, bar) in self.bars.iter().enumerate() {
                g class={ "data " (bar.look.class()) } data-name=(bar.name) {
                    @for (group, height) in &bar.heights {
                        @let middle = size.x(frame.x.place(*group as f64));
                        @let left = middle - group_width / 2.0 + index as f64 * width;
                        @let (top, bottom) = (size.y(frame.y.place(*height)), size.y(0.0));
                        @let says = format!("{}: {}", bar.name, units::count(*height));
                        @if self.is_crowded() {
                            path.mark d=(bar.look.mark(middle, top)) { title { (says) } }
                        } @else {
                            rect.bar x=(length(left)) y=(length(top)) width=(length(width * BAR_PART))
                                height=(length(bottom - top)) { title { (says) } }
                        }
                    }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            @for bar in &self.bars { li { (if self.is_crowded() { bar.look.sample() } else { bar.look.bar_sample() }) span { (bar.name) } } }
        }
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.bars.iter().map(|bar| bar.name.as_str()).collect();
        names.join(", ")
    }
}

/// How much of its room a group takes, and of its own a bar.
const GROUP_PART: f64 = 0.8;
const BAR_PART: f64 = 0.9;
const GROUP_WIDTH_MAX: f64 = 120.0;
/// As many as are a pixel wide on a phone.
const BARS_MAX: usize = 200;
