//! The memory store: the embedded default. Batches become segments of an in-memory log, readable from any position
//! until retention removes them.
//!
//! A batch that is nearly full becomes a segment as it is; a small one is copied behind the last segment, so that a
//! trickle of events does not leave memory full of holes. Retention counts events exactly, and gives memory back a
//! segment at a time. Nothing outlives the process: each bus has an incarnation of its own.

mod ages;

use std::collections::VecDeque;
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use engine::adapter::{
    Adapter, AdapterError, AdapterFactory, Outcome, ReadBlock, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::config::{ConfigError, parse_section};
use engine::event::{Sequence, ShardId};
use engine::identity::random_word;
use serde::Deserialize;
use serde_json::Value;

use crate::retained::Retained;
use ages::Ages;

/// How much a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events a shard keeps, at least 1. Default 1,048,576.
    pub events: NonZeroUsize,
    /// Bytes of records the bus keeps, shared out evenly over its shards, at least 1. Default 256 MiB. The newest event
    /// of a shard is kept whatever its size.
    pub bytes: NonZeroUsize,
}

/// The store in memory, which is the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionDocument {
    /// Events that a shard keeps.
    ///
    /// At least 1. Default: 1,048,576.
    retention_events: Option<NonZeroUsize>,
    /// Bytes of records that the bus keeps, shared out evenly over its shards; the newest event of a shard is kept in any case.
    ///
    /// At least 1. Default: 256 MiB.
    retention_bytes: Option<NonZeroUsize>,
}

impl Retention {
    /// Parses the `memory` section.
    pub fn parse(options: Value) -> Result<Retention, ConfigError> {
        let document: RetentionDocument = parse_section("memory", options)?;
        let default = Retention::default();
        Ok(Retention {
            events: document.retention_events.unwrap_or(default.events),
            bytes: document.retention_bytes.unwrap_or(default.bytes),
        })
    }
}

impl Default for Retention {
    fn default() -> Retention {
        const EVENTS: NonZeroUsize = NonZeroUsize::new(1 << 20).expect("not zero");
        const BYTES: NonZeroUsize = NonZeroUsize::new(256 << 20).expect("not zero");
        Retention { events: EVENTS, bytes: BYTES }
    }
}

/// Makes the memory stores of one bus.
#[derive(Clone, Copy, Debug)]
pub struct MemoryStores {
    events_max: usize,
    bytes_max: usize,
    incarnation: u64,
}

impl MemoryStores {
    /// Stores for a bus of `shards` shards.
    pub fn new(retention: Retention, shards: NonZeroU16) -> MemoryStores {
        MemoryStores {
            events_max: retention.events.get(),
            bytes_max: retention.bytes.get() / usize::from(shards.get()),
            incarnation: random_word(),
        }
    }
}

impl AdapterFactory for MemoryStores {
    fn tag(&self) -> &'static str {
        "memory"
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn open(&self, _: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        Ok(Box::new(MemoryStore::new(self.events_max, self.bytes_max)))
    }
}

/// A store by itself, which keeps `retention`, and no event much longer than `age`.
#[cfg(feature = "named")]
pub(crate) fn store(retention: Retention, age: Option<Duration>) -> Box<dyn Adapter> {
    let store = MemoryStore::new(retention.events.get(), retention.bytes.get());
    Box::new(MemoryStore { ages: age.map(Ages::new), ..store })
}

/// One shard's log.
struct MemoryStore {
    retained: Retained,
    end: Sequence,
    events_max: usize,
    bytes_max: usize,
    ages: Option<Ages>,
    /// First sequence of the batch that was stored last and not acknowledged yet, and its memory.
    stored: Option<(Sequence, Option<Batch>)>,
    news: VecDeque<Outcome>,
}

impl MemoryStore {
    fn new(events_max: usize, bytes_max: usize) -> MemoryStore {
        MemoryStore {
            retained: Retained::default(),
            end: Sequence::FIRST,
            events_max,
            bytes_max,
            ages: None,
            stored: None,
            news: VecDeque::new(),
        }
    }

    /// Stores a batch. Returns memory that may be reused.
    fn append(&mut self, batch: Batch) -> Option<Batch> {
        self.end = batch.end();
        let spent = self.retained.append(batch);
        self.retain();
        spent
    }

    /// Removes the oldest events beyond the limits; the newest one stays.
    fn retain(&mut self) {
        let retained = &mut self.retained;
        while retained.events() > 1
            && (retained.events() > self.events_max || retained.bytes() > self.bytes_max)
        {
            let excess = retained.events().saturating_sub(self.events_max);
            retained.evict(excess.clamp(1, retained.events() - 1));
        }
    }

    /// Removes what is too old, the newest one too.
    #[inline]
    fn expire(&mut self, now: Monotonic) {
        let Some(before) = self.ages.as_mut().and_then(|ages| ages.expire(now)) else { return };
        while let Some(first) = self.retained.first().filter(|first| *first < before) {
            self.retained.evict(usize::try_from(before.0 - first.0).unwrap_or(usize::MAX));
        }
    }

    fn block(&self, request: ReadRequest) -> ReadBlock {
        let Some(oldest) = self.retained.first() else {
            // A reader that came first remembers that it did, so that it is told what retention removes before it
            // comes again.
            return ReadBlock { through: Some(Sequence(self.end.0 - 1)), ..ReadBlock::default() };
        };
        let wanted = request.after.map_or(oldest, |after| after.advanced_by(1));
        let from = wanted.max(oldest);
        let batch = self.retained.copy(from, &request);
        let end = if batch.is_empty() { wanted.max(self.end) } else { batch.end() };
        ReadBlock {
            skipped: from.0 - wanted.0,
            through: (!batch.is_empty()).then(|| Sequence(batch.end().0 - 1)),
            more: end < self.end,
            passed_over: 0,
            batch,
        }
    }
}

impl Adapter for MemoryStore {
    fn ready(&self) -> bool {
        true
    }

    fn submit(&mut self, batch: Batch, now: Monotonic) {
        let first = batch.first();
        let spent = self.append(batch);
        self.stored = Some((first, spent));
        if let Some(ages) = &mut self.ages {
            ages.note(self.end, now);
        }
    }

    #[inline]
    fn outcome(&mut self, now: Monotonic) -> Option<Outcome> {
        self.expire(now);
        if let Some((first, spent)) = self.stored.take() {
            return Some(Outcome::Stored { first, spent });
        }
        self.news.pop_front()
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        None
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, now: Monotonic) {
        self.expire(now);
        self.news.push_back(Outcome::Read { ticket, result: Ok(self.block(request)) });
    }

    fn resident(&self, _: ShardId, after: Option<Sequence>) -> Resident<'_> {
        let Some(oldest) = self.retained.first() else {
            return Resident::Nothing { skipped: 0 };
        };
        let wanted = after.map_or(oldest, |after| after.advanced_by(1));
        let from = wanted.max(oldest);
        match self.retained.following(from) {
            Some((batch, index)) => Resident::Events { batch, index, skipped: from.0 - wanted.0 },
            None => Resident::Nothing { skipped: 0 },
        }
    }

    fn held_events(&self) -> Option<u64> {
        Some(self.retained.events() as u64)
    }

    fn due(&self) -> Option<Monotonic> {
        self.ages.as_ref().and_then(Ages::due)
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retained;
    use engine::event::EventFlags;

    fn store(events_max: usize, bytes_max: usize) -> MemoryStore {
        MemoryStore::new(events_max, bytes_max)
    }

    /// Stores events whose payloads are their sequences.
    fn append(store: &mut MemoryStore, count: u64) {
        let mut batch = Batch::default();
        batch.number_from(store.end);
        for sequence in store.end.0..store.end.0 + count {
            batch.push(sequence, 0, EventFlags::NONE, &sequence.to_le_bytes());
        }
        store.append(batch);
    }

    fn read(store: &MemoryStore, after: Option<u64>, events_max: usize) -> (Vec<u64>, ReadBlock) {
        let block = store.block(ReadRequest {
            stream: ShardId(0),
            after: after.map(Sequence),
            events_max,
            bytes_max: usize::MAX,
        });
        let payloads = block.batch.events().map(|event| {
            assert_eq!(event.payload, event.sequence.0.to_le_bytes());
            event.sequence.0
        });
        (payloads.collect(), block.clone())
    }

    #[test]
    fn reading_from_any_position_returns_what_follows() {
        let mut store = store(10_000, usize::MAX);
        for count in [1, 5, 3_000, 2, 4_000, 1] {
            append(&mut store, count);
        }
        for after in [None, Some(0), Some(1), Some(6), Some(3_005), Some(3_006), Some(7_008)] {
            let (events, block) = read(&store, after, 10_000);
            let expected: Vec<u64> = (after.unwrap_or(0) + 1..=7_009).collect();
            assert_eq!(events, expected, "after {after:?}");
            assert_eq!((block.more, block.skipped), (false, 0));
            assert_eq!(block.through, Some(Sequence(7_009)));
        }
    }

    #[test]
    fn a_limit_says_that_there_is_more_only_when_there_is() {
        let mut store = store(100, usize::MAX);
        append(&mut store, 10);
        assert!(read(&store, None, 9).1.more);
        assert!(!read(&store, None, 10).1.more);
        let (events, block) = read(&store, Some(10), 5);
        assert_eq!((events.len(), block.more, block.through), (0, false, None));
    }

    #[test]
    fn retention_is_exact_and_counted() {
        let mut store = store(100, usize::MAX);
        for _ in 0..50 {
            append(&mut store, 7);
        }
        assert_eq!(store.retained.events(), 100);
        let (events, block) = read(&store, Some(200), 1_000);
        assert_eq!(events, (251..=350).collect::<Vec<u64>>());
        assert_eq!(block.skipped, 50);
    }

    #[test]
    fn what_is_too_old_is_gone_and_counted_the_newest_too() {
        let mut store =
            MemoryStore { ages: Some(Ages::new(Duration::from_secs(1))), ..store(100, usize::MAX) };
        let submit = |store: &mut MemoryStore, now| {
            let mut batch = Batch::default();
            batch.push(0, 0, EventFlags::NONE, &store.end.0.to_le_bytes());
            batch.number_from(store.end);
            store.submit(batch, Monotonic(now));
            while store.outcome(Monotonic(now)).is_some() {}
        };
        submit(&mut store, 0);
        submit(&mut store, 500_000_000);
        let due = store.due().expect("something becomes old");
        assert!(store.outcome(due).is_none());
        assert_eq!((store.held_events(), read(&store, None, 10).0), (Some(1), vec![2]));
        assert!(store.outcome(store.due().expect("the other one too")).is_none());
        assert_eq!((store.held_events(), store.due()), (Some(0), None));
        submit(&mut store, 9_000_000_000);
        assert_eq!(read(&store, Some(1), 10).0, [3]);
    }

    #[test]
    fn the_newest_event_is_kept_whatever_its_size() {
        let mut store = store(100, 10);
        append(&mut store, 3);
        assert_eq!(read(&store, None, 10).0, [3]);
    }

    #[test]
    fn memory_follows_what_is_retained() {
        let mut store = store(1_000, usize::MAX);
        for _ in 0..10_000 {
            append(&mut store, 3);
        }
        let held = store.retained.capacity_bytes();
        assert!(held <= 1_000 * 32 + 2 * retained::SEGMENT_BYTES, "{held} bytes for 1,000 small events");
    }
}
