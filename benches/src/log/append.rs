//! How fast a log grows, and in what pieces.

use std::time::Instant;

use super::{Durability, EVENT_BYTES, bus, floor, folder, publish};
use crate::throughput;

/// What was appended to a log.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Events a second, from the first call until all are durable.
    pub rate: f64,
    /// How many.
    pub events: usize,
    /// Batches, each of which was one write.
    pub batches: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Appends `events` of 256 bytes to a new log.
pub fn append(durability: Durability, events: usize) -> Appended {
    let folder = folder();
    let bus = bus(folder.path(), durability, "");
    let start = Instant::now();
    publish(bus, events, EVENT_BYTES);
    let rate = throughput::rate(events, start);
    let counted = bus.statistics();
    bus.stop();
    assert_eq!(counted["stored"], events);
    let count = |number: &serde_json::Value| number.as_u64().expect("it is counted");
    let [batches, bytes] = [&counted["batches"], &counted["adapter_counts"]["written_bytes"]].map(count);
    Appended { rate, events, batches, bytes }
}

impl Appended {
    /// Bytes on the disk for each event.
    pub fn event_bytes(self) -> f64 {
        self.bytes as f64 / self.events as f64
    }

    /// Events of a batch in the mean.
    pub fn batch_events(self) -> usize {
        (self.events as u64).div_ceil(self.batches) as usize
    }

    /// Bytes of a write in the mean, whole pages.
    pub fn write_bytes(self) -> usize {
        ((self.bytes / self.batches) as usize).next_multiple_of(floor::PAGE_BYTES)
    }
}
