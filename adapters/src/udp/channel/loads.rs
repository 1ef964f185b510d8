//! The loads that were taken: which events are to be sent, numbered one after the other, kept until they are settled.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use engine::batch::Batch;

use super::frame::Record;

/// Events of a batch that are to be sent, in this order.
#[derive(Clone, Debug)]
pub(in crate::udp) struct Load {
    pub(in crate::udp) batch: Rc<Batch>,
    pub(in crate::udp) events: Events,
}

/// Which events of a batch: their indices in it.
#[derive(Clone, Debug)]
pub(in crate::udp) enum Events {
    Range(Range<u32>),
    List(Vec<u32>),
}

impl Events {
    /// Their indices.
    pub(in crate::udp) fn indices(&self) -> impl Iterator<Item = u32> {
        let (range, list) = match self {
            Events::Range(range) => (range.clone(), &[][..]),
            Events::List(list) => (0..0, &list[..]),
        };
        range.chain(list.iter().copied())
    }
}

impl Load {
    /// Number of events.
    pub(in crate::udp) fn len(&self) -> u64 {
        match &self.events {
            Events::Range(range) => u64::from(range.end.saturating_sub(range.start)),
            Events::List(list) => list.len() as u64,
        }
    }

    /// The event at `place`, which is below its length.
    #[inline]
    fn record(&self, place: u64) -> Record<'_> {
        let index = match &self.events {
            Events::Range(range) => range.start as usize + place as usize,
            Events::List(list) => list[place as usize] as usize,
        };
        let event = self.batch.event(index);
        Record {
            timestamp_ns: event.timestamp_ns,
            hash: event.hash,
            flags: event.flags,
            payload: event.payload,
        }
    }

    /// Without its first `count` events.
    fn skip(&mut self, count: u64) {
        match &mut self.events {
            Events::Range(range) => range.start += count as u32,
            Events::List(list) => drop(list.drain(..count as usize)),
        }
    }
}

/// The loads, from the oldest that may still be read.
#[derive(Debug, Default)]
pub(super) struct Loads {
    queue: VecDeque<Numbered>,
    /// Number that the next event gets.
    end: u64,
    /// Lists of settled loads.
    spare: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Numbered {
    first: u64,
    load: Load,
}

impl Numbered {
    fn end(&self) -> u64 {
        self.first + self.load.len()
    }
}

impl Loads {
    pub(super) fn take(&mut self, load: Load) {
        let first = self.end;
        self.end += load.len();
        self.queue.push_back(Numbered { first, load });
    }

    /// One past the number of the last event.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How many loads are not wholly below event `through`.
    pub(super) fn len_after(&self, through: u64) -> usize {
        let settled = self.queue.partition_point(|numbered| numbered.end() <= through);
        self.queue.len() - settled
    }

    /// Drops the loads that are wholly below event `through`.
    pub(super) fn release(&mut self, through: u64) {
        while self.queue.front().is_some_and(|numbered| numbered.end() <= through) {
            let numbered = self.queue.pop_front().expect("there is a first");
            if let Events::List(mut list) = numbered.load.events
                && self.spare.len() < SPARE_LISTS_MAX
            {
                list.clear();
                self.spare.push(list);
            }
        }
    }

    /// An empty list; its memory is that of a settled load's, where there is one.
    pub(super) fn spare_list(&mut self) -> Vec<u32> {
        self.spare.pop().unwrap_or_default()
    }

    /// The events from number `first` on, which is not below the oldest load.
    pub(super) fn records(&self, first: u64) -> impl Iterator<Item = Record<'_>> {
        let at = self.queue.partition_point(|numbered| numbered.end() <= first);
        let skipped = self.queue.get(at).map_or(0, |numbered| first - numbered.first);
        self.queue.range(at..).enumerate().flat_map(move |(place, numbered)| {
            let from = if place == 0 { skipped } else { 0 };
            (from..numbered.load.len()).map(|place| numbered.load.record(place))
        })
    }

    /// The loads from event `through` on.
    pub(super) fn into_rest(self, through: u64) -> impl Iterator<Item = Load> {
        self.queue.into_iter().filter(move |numbered| numbered.end() > through).map(move |mut numbered| {
            numbered.load.skip(through.saturating_sub(numbered.first));
            numbered.load
        })
    }
}

/// Lists that are kept for further loads.
const SPARE_LISTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use engine::event::EventFlags;

    fn loads() -> Loads {
        let mut batch = Batch::default();
        (0..6_u64).for_each(|at| batch.push(at, at, EventFlags::NONE, &[at as u8]));
        let batch = Rc::new(batch);
        let mut loads = Loads::default();
        for events in
            [Events::Range(0..2), Events::List(vec![]), Events::List(vec![5, 3]), Events::Range(4..5)]
        {
            loads.take(Load { batch: Rc::clone(&batch), events });
        }
        loads
    }

    fn hashes<'a>(records: impl Iterator<Item = Record<'a>>) -> Vec<u64> {
        records.map(|record| record.hash).collect()
    }

    #[test]
    fn events_follow_each_other_over_the_loads() {
        let loads = loads();
        assert_eq!(loads.end(), 5);
        for first in 0..=5 {
            assert_eq!(hashes(loads.records(first)), [0, 1, 5, 3, 4][first as usize..]);
        }
    }

    #[test]
    fn a_load_goes_when_all_of_it_is_settled() {
        let mut loads = loads();
        for (through, left) in [(0, 4), (1, 4), (2, 2), (3, 2), (4, 1), (5, 0)] {
            assert_eq!(loads.len_after(through), left, "{through}");
            loads.release(through);
            assert_eq!(loads.queue.len(), left);
            assert_eq!(hashes(loads.records(through)), [0, 1, 5, 3, 4][through as usize..]);
        }
        assert_eq!(loads.spare.len(), 2);
        assert!(loads.spare_list().is_empty());
    }

    #[test]
    fn the_rest_begins_with_the_first_unsettled_event() {
        for through in 0..=5 {
            let mut rest = Loads::default();
            loads().into_rest(through).for_each(|load| rest.take(load));
            assert_eq!(hashes(rest.records(0)), [0, 1, 5, 3, 4][through as usize..]);
        }
    }
}
