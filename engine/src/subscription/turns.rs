//! The turns of the [layouts](Layouts): what one holds is read to its end, from every shard, before the next begins.

use super::source::Source;
use crate::event::{Sequence, ShardId};
use crate::layouts::Layouts;

/// Whose turn it is.
pub(super) struct Turns {
    layouts: Layouts,
    /// `None` when all are read but the present one.
    layout: Option<usize>,
}

impl Turns {
    /// Before the sources have begun.
    pub(super) fn new(layouts: Layouts) -> Turns {
        Turns { layout: (!layouts.is_empty()).then_some(0), layouts }
    }

    /// Whether a shard may have events of an earlier layout behind `position`.
    pub(super) fn has_before(&self, shard: ShardId, position: Option<Sequence>) -> bool {
        let next = position.map_or(Sequence(0), |position| position.advanced_by(1));
        self.layouts.of(shard, next) < self.layouts.present()
    }

    /// Goes on with the next layout, if every source has got to the end of the one whose turn it was. Whether it has.
    pub(super) fn go_on(&mut self, sources: &mut [Source]) -> bool {
        let Some(before) = self.layout else { return false };
        let present = self.layouts.present();
        let layout = sources.iter().map(|source| source.layout(&self.layouts)).min().unwrap_or(present);
        self.layout = (layout < present).then_some(layout);
        for source in sources {
            source.hold_from(self.layouts.end(source.shard, layout));
        }
        layout > before
    }
}
