//! The simulation's books: what producers were told of each event, kept apart from everything that the bus counts.

use std::collections::HashMap;

use serde_json::json;

use super::store::Store;
use crate::config::{Backpressure, Config};
use crate::consume::filter::Filter;
use crate::counters::ShardStats;
use crate::event::ShardId;
use crate::lane::record::record_bytes;

/// Every event that was offered.
pub(super) struct Books {
    /// Of each accepted event, by its number, where it went.
    accepted: Vec<Option<ShardId>>,
    /// Producer and key of every event, by its number.
    lines: Vec<(u32, u8)>,
    shards: Vec<Shard>,
    /// Events and bytes that a shard may hold, and those that fit into a lane.
    held_max: u64,
    held_bytes_max: u64,
    lane_events_max: u64,
    lane_bytes: u64,
    backpressure: Backpressure,
}

#[derive(Clone, Default)]
struct Shard {
    accepted: u64,
    dropped: u64,
    refused: u64,
}

impl Books {
    pub(super) fn new(config: &Config) -> Books {
        Books {
            accepted: Vec::new(),
            lines: Vec::new(),
            shards: vec![Shard::default(); usize::from(config.num_shards.get())],
            held_max: config.ring_buffer_capacity as u64,
            held_bytes_max: (config.buffer_bytes + config.max_event_bytes) as u64,
            lane_events_max: (config.lane_bytes / record_bytes(payload_of(0, 0, 0).len())) as u64,
            lane_bytes: config.lane_bytes as u64,
            backpressure: config.backpressure,
        }
    }

    /// The number of an event that `producer` is about to publish with `key`.
    pub(super) fn offer(&mut self, producer: u32, key: u8) -> u64 {
        self.lines.push((producer, key));
        self.accepted.push(None);
        self.lines.len() as u64 - 1
    }

    pub(super) fn accept(&mut self, number: u64, shard: ShardId) {
        self.accepted[number as usize] = Some(shard);
        self.shards[shard.index()].accepted += 1;
    }

    /// There was no room, and the event was dropped, or stays with its producer.
    pub(super) fn turn_away(&mut self, shard: ShardId, is_dropped: bool) {
        let shard = &mut self.shards[shard.index()];
        *(if is_dropped { &mut shard.dropped } else { &mut shard.refused }) += 1;
    }

    /// How many events each shard has accepted.
    pub(super) fn accepted_by(&self, shard: ShardId) -> u64 {
        self.shards[shard.index()].accepted
    }

    /// The numbers of the events that `shard` has accepted.
    pub(super) fn accepted_numbers(&self, shard: ShardId) -> impl Iterator<Item = u64> {
        let places = (0..).zip(&self.accepted);
        places.filter(move |(_, place)| **place == Some(shard)).map(|(number, _)| number)
    }

    /// A snapshot that was asked for just now agrees with what producers were told, and with itself.
    pub(super) fn check_snapshot(&self, shard: ShardId, stats: &ShardStats) {
        let known = &self.shards[shard.index()];
        assert_eq!(stats.ingested, known.accepted + known.dropped, "ingested of {shard}: {stats:?}");
        assert_eq!((stats.refused, stats.dropped.newest), (known.refused, known.dropped), "of {shard}");
        let accounted = stats.stored + stats.dropped.total() + stats.pending_events;
        assert_eq!(stats.ingested, accounted, "{shard} does not add up: {stats:?}");
        // What the buffer may hold, and lanes that are full of the smallest events.
        let held_max = self.held_max + stats.lanes * self.lane_events_max;
        assert!(stats.pending_events <= held_max, "{shard} holds more than {held_max}: {stats:?}");
        let bytes_max = self.held_bytes_max + stats.lanes * self.lane_bytes;
        assert!(stats.pending_bytes <= bytes_max, "{shard} holds more than {bytes_max} bytes: {stats:?}");
        let (evicts, samples) = match self.backpressure {
            Backpressure::DropNewest | Backpressure::FailProducer => (false, false),
            Backpressure::DropOldest => (true, false),
            Backpressure::Sample(_) => (true, true),
        };
        assert!(evicts || stats.dropped.oldest == 0, "{shard} evicts: {stats:?}");
        assert!(samples || stats.dropped.sampled == 0, "{shard} samples: {stats:?}");
    }

    /// A snapshot of whenever it was adds up, and tells of nothing that has not happened: what counts as stored is there.
    pub(super) fn check_published(&self, shard: ShardId, stats: &ShardStats, store: &Store) {
        let known = &self.shards[shard.index()];
        let accounted = stats.stored + stats.dropped.total() + stats.pending_events;
        assert_eq!(stats.ingested, accounted, "{shard} does not add up: {stats:?}");
        assert!(stats.ingested <= known.accepted + known.dropped, "ingested of {shard}: {stats:?}");
        assert!(stats.stored <= store.ever.len() as u64, "{shard} counts what is not stored: {stats:?}");
    }

    /// What a store has is what was accepted for it, each event once, and the events of a producer with one key are in order.
    pub(super) fn check_store(&self, shard: ShardId, store: &Store) {
        let mut last_of = HashMap::new();
        for payload in store.ever.values() {
            let number = number_of(payload);
            let place = self.accepted.get(number as usize).copied().flatten();
            assert_eq!(place, Some(shard), "event {number} is stored on {shard}");
            let last = last_of.insert(self.lines[number as usize], number);
            assert!(last < Some(number), "event {number} is stored behind {last:?}");
        }
    }
}

/// An event's payload: its number and its key, and as many bytes more.
pub(super) fn payload_of(number: u64, key: u8, pad: usize) -> Vec<u8> {
    format!(r#"{{"n":{number},"k":{key},"p":"{}"}}"#, "x".repeat(pad)).into_bytes()
}

/// What lets only the events with `key` through.
pub(super) fn filter_of(key: u8) -> Filter {
    Filter::parse(&json!({"path": "k", "value": key})).expect("it is a filter")
}

/// Whether an event has `key`, where one is wanted.
pub(super) fn is_wanted(key: Option<u8>, payload: &[u8]) -> bool {
    let has = |key: u8| {
        let part = format!(r#""k":{key},"#);
        payload.windows(part.len()).any(|window| window == part.as_bytes())
    };
    key.is_none_or(has)
}

/// The number in an event's payload.
pub(super) fn number_of(payload: &[u8]) -> u64 {
    let digits = payload[5..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
