//! A load on a Redis store that goes on whatever happens, and what must be true of it at its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::bus::{Bus, FlushError, Stats};
use engine::consume::request::PollRequest;
use engine::event::{EventFlags, ShardId};
use engine::producer::{Producer, PublishError};
use engine::subscription::Subscription;

use crate::redis::numbers;
use crate::{SetOnDrop, assert_sums, until};

/// Publishes numbered events under keys of all shards, whatever refuses them for now.
pub struct Load<'a> {
    bus: &'a Bus,
    producer: Producer,
    next: usize,
    received: Vec<usize>,
}

impl<'a> Load<'a> {
    /// The first event is number 0.
    pub fn new(bus: &'a Bus) -> Load<'a> {
        Load { bus, producer: bus.producer(), next: 0, received: Vec::new() }
    }

    /// Publishes so many more.
    pub fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let payload = format!(r#"{{"number":{}}}"#, self.next);
            let key = self.next.to_le_bytes();
            until("there is room", || {
                match self.producer.publish(Some(&key), payload.as_bytes(), EventFlags::NONE) {
                    Ok(_) => true,
                    Err(PublishError::Refused) => false,
                    Err(error) => panic!("{error}"),
                }
            });
            self.next += 1;
        }
    }

    /// Publishes all the time while something else goes on.
    pub fn go_on_while(&mut self, faults: impl FnOnce()) {
        // Events of two producers have no order, unless one is stored before the other is published.
        self.flush();
        let is_enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut load, is_enough) = (Load { next: self.next, ..Load::new(self.bus) }, &is_enough);
            let load = scope.spawn(move || {
                while !is_enough.load(Ordering::Acquire) {
                    load.publish(20);
                    thread::sleep(Duration::from_millis(1));
                }
                load.next
            });
            let ends = SetOnDrop(is_enough);
            faults();
            drop(ends);
            self.next = load.join().expect("the load does not panic");
        });
        self.flush();
    }

    /// Waits until everything is stored.
    pub fn flush(&self) {
        until("everything is stored", || match self.bus.flush() {
            Ok(()) => true,
            Err(FlushError::Timeout) => false,
            Err(error) => panic!("{error}"),
        });
    }

    /// Everything is stored, once, in order, and nothing else, as another bus or this one reads it.
    pub fn check(&self, reader: &Bus) {
        assert_eq!(self.check_but_for_lost(reader), 0, "lost");
    }

    /// The same, but for what the servers have lost: as many events as are counted.
    pub fn check_but_for_lost(&self, reader: &Bus) -> u64 {
        self.flush();
        // A poll that a node of a cluster that is being mended does not answer may fail.
        let mut stored = Vec::new();
        until("every shard answers", || read(reader).map(|events| stored = events).is_some());
        let mut all = Vec::new();
        for stream in 0..=stored.iter().map(|(shard, _)| shard.0).max().unwrap_or(0) {
            let of = stored.iter().filter(|(shard, _)| shard.0 == stream);
            let of = numbers(of.map(|(_, payload)| payload.as_slice()));
            assert!(of.is_sorted_by(|one, next| one < next), "stream {stream} is in order");
            all.extend(of);
        }
        all.sort_unstable();
        assert!(all.is_sorted_by(|one, next| one < next), "doubled");
        let stats = self.bus.stats();
        assert_sums(&stats);
        assert_eq!(stats.total().dropped.total(), 0);
        for name in ["maybe_twice", "kills_denied"] {
            assert_eq!(count(&stats, name), 0, "{name}");
        }
        let lost = count(&stats, "lost_by_server");
        assert_eq!(all.len() as u64 + lost, self.next as u64);
        lost
    }

    /// A subscriber is given everything once.
    pub fn check_received(&mut self, subscription: &mut Subscription) {
        until("every event has come", || {
            let events = subscription.next(1_000, Some(Duration::from_millis(10))).expect("it runs");
            let payloads: Vec<_> = events.map(|(_, event)| event.payload.to_vec()).collect();
            self.received.extend(numbers(payloads.iter().map(Vec::as_slice)));
            self.received.len() >= self.next
        });
        self.received.sort_unstable();
        assert!(self.received.iter().copied().eq(0..self.next));
    }
}

/// What the store has counted under this name.
pub fn count(stats: &Stats, name: &str) -> u64 {
    let at =
        stats.adapter_count_names.iter().position(|known| known.name == name).expect("the store counts it");
    stats.total().adapter_counts[at]
}

/// Everything that is stored; `None` when a shard does not answer.
fn read(bus: &Bus) -> Option<Vec<(ShardId, Vec<u8>)>> {
    let mut request = PollRequest { limit: 1_000, ..PollRequest::default() };
    let mut events = Vec::new();
    loop {
        let page = bus.poll(&request).expect("the bus runs");
        events.extend(page.events().map(|(shard, event)| (shard, event.payload.to_vec())));
        if !page.failed_shards.is_empty() {
            return None;
        }
        if !page.has_more {
            return Some(events);
        }
        request.cursor = page.next_cursor;
    }
}
