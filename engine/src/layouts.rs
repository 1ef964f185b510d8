//! The layouts: which of a store's events were written when the bus had another number of shards. A routing key may have
//! been another stream's then, so readers read what one layout holds to its end before they begin with the next.

use std::sync::Arc;

use crate::event::{Sequence, ShardId};

/// Where the earlier layouts of a store end. The default is a store that never had another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layouts {
    /// Of each stream, ascending, one for each earlier layout.
    ends: Arc<[Box<[Sequence]>]>,
}

impl Layouts {
    /// Where the present layout ends.
    pub const NO_END: Sequence = Sequence(u64::MAX);

    /// From the ends of each earlier layout, the oldest first: for each stream one past the last event that was written until
    /// then. Streams that a layout does not name have nothing of it.
    pub fn new(earlier: &[Vec<Sequence>]) -> Layouts {
        let earlier = if crate::planted!("law-9-layouts-are-read-together") { &[] } else { earlier };
        let streams = earlier.iter().map(Vec::len).max().unwrap_or(0);
        let ends_of = |stream: usize| {
            let ends = earlier.iter().scan(Sequence(0), |end, layout| {
                *end = layout.get(stream).map_or(*end, |next| (*end).max(*next));
                Some(*end)
            });
            ends.collect()
        };
        Layouts { ends: (0..streams).map(ends_of).collect() }
    }

    /// Whether there never was another one.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many earlier ones there are, which is the number of the present one.
    pub fn present(&self) -> usize {
        self.ends.first().map_or(0, |ends| ends.len())
    }

    /// The layout that an event of `stream` belongs to, from 0.
    #[inline]
    pub fn of(&self, stream: ShardId, sequence: Sequence) -> usize {
        self.ends
            .get(stream.index())
            .map_or(self.present(), |ends| ends.partition_point(|end| *end <= sequence))
    }

    /// One past the last event that `stream` has of `layout` and those before; the present one has no end.
    pub fn end(&self, stream: ShardId, layout: usize) -> Sequence {
        let end = match self.ends.get(stream.index()) {
            Some(ends) => ends.get(layout).copied(),
            None => (layout < self.present()).then_some(Sequence(0)),
        };
        end.unwrap_or(Layouts::NO_END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_layout_it_was_written_under() {
        let ends = |ends: &[u64]| ends.iter().copied().map(Sequence).collect::<Vec<_>>();
        // Three shards, then one, then two; the third was void before its time, and the last says less than was known.
        let layouts = Layouts::new(&[ends(&[10, 20, 1]), ends(&[30]), ends(&[30, 5])]);
        assert_eq!((layouts.present(), layouts.is_empty()), (3, false));
        for (stream, sequence, layout) in
            [(0, 9, 0), (0, 10, 1), (0, 29, 1), (0, 30, 3), (1, 19, 0), (1, 20, 3), (2, 1, 3), (7, 1, 3)]
        {
            assert_eq!(layouts.of(ShardId(stream), Sequence(sequence)), layout, "{sequence} of {stream}");
        }
        for (stream, layout, end) in
            [(0, 0, 10), (0, 1, 30), (1, 1, 20), (7, 0, 0), (0, 3, u64::MAX), (7, 3, u64::MAX)]
        {
            assert_eq!(layouts.end(ShardId(stream), layout), Sequence(end), "{layout} of {stream}");
        }
    }

    #[test]
    fn a_store_that_never_had_another_layout_has_one() {
        let layouts = Layouts::default();
        assert_eq!((layouts.is_empty(), layouts.present()), (true, 0));
        assert_eq!(layouts.of(ShardId(3), Sequence(9)), 0);
        assert_eq!(layouts.end(ShardId(3), 0), Sequence(u64::MAX));
    }
}
