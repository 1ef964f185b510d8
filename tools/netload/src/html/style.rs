//! How things that are told apart look: a colour and a shape each, so that neither alone must tell them apart.

use maud::{Markup, html};

use super::frame::length;

/// The look of a line, of its marks, and of bars.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    index: usize,
    pub(crate) is_dashed: bool,
}

impl Look {
    /// The look of the thing with this index: neighbours share neither colour nor shape, and no two of 24 share both.
    pub(crate) fn of(index: usize) -> Look {
        Look { index, is_dashed: false }
    }

    /// The same, dashed.
    pub(crate) fn dashed(self) -> Look {
        Look { is_dashed: true, ..self }
    }

    /// The class that brings its colour.
    pub(crate) fn class(self) -> String {
        format!("colour-{}", self.index % COLOURS)
    }

    /// A mark around a place, as the data of a path.
    pub(crate) fn mark(self, x: f64, y: f64) -> String {
        let at = format!("M{} {}", length(x), length(y));
        let shape = match (self.index + self.index / (COLOURS * 2)) % 4 {
            0 => "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
            1 => "m-2.7-2.7h5.4v5.4h-5.4z",
            2 => "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z",
            _ => "m0-3.6l3.6 6.4h-7.2z",
        };
        format!("{at}{shape}")
    }

    /// What stands for it in a legend.
    pub(crate) fn sample(self) -> Markup {
        html! {
            svg class={ "sample " (self.class()) } viewBox="0 0 28 12" aria-hidden="true" {
                path.line.dashed[self.is_dashed] d="M1 6H27" {}
                @if !self.is_dashed { path.mark d=(self.mark(14.0, 6.0)) {} }
            }
        }
    }

    /// What stands for its bars in a legend.
    pub(crate) fn bar_sample(self) -> Markup {
        html! {
            svg class={ "sample " (self.class()) } viewBox="0 0 28 12" aria-hidden="true" {
                rect.bar x="8" y="0" width="12" height="12" {}
            }
        }
    }
}

/// How many colours the style sheet has.
const COLOURS: usize = 6;
