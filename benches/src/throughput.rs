//! Rates, in events a second: the way in until everything is stored, and the ways out of a full store.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crate::floor::Floor;
use crate::subscriber::Subscriber;
use crate::{Bus, batch_of, event, on_first_core};

/// Producers that publish the same event until `events` are stored.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Bytes of an event.
    pub event_bytes: usize,
    /// Events of all producers together.
    pub events: usize,
    /// Events a call; 1 publishes each by itself.
    pub batch: usize,
    /// Threads that publish. One alone is pinned to the first core; several go where the system puts them.
    pub producers: usize,
    /// Shards of the bus.
    pub shards: usize,
}

impl Publication {
    /// One producer and one shard.
    pub fn of(event_bytes: usize, events: usize, batch: usize) -> Publication {
        Publication { event_bytes, events, batch, producers: 1, shards: 1 }
    }

    /// Events a second that the bare loop checks, hashes, stamps and copies.
    pub fn floor(self) -> f64 {
        on_first_core(|| {
            let payload = event(self.event_bytes);
            let mut floor = Floor::for_events_of(self.event_bytes);
            let start = Instant::now();
            let valid = match self.batch {
                1 => (0..self.events).filter(|_| floor.ingest(&payload)).count(),
                batch => {
                    batch * (0..self.events / batch).filter(|_| floor.ingest_batch(&payload, batch)).count()
                }
            };
            rate(valid, start)
        })
    }

    /// Events a second from the first call until all are stored, by a bus of its own. The store has reached its retention
    /// before, so that what is measured goes on for ever.
    pub fn measured(self) -> f64 {
        self.measured_with_switches().0
    }

    /// [`Publication::measured`], and the context switches of the whole process meanwhile, for each thousand events.
    pub fn measured_with_switches(self) -> (f64, f64) {
        let bus = Bus::start(&format!(
            r#"{{"num_shards":{},"backpressure_mode":"FailProducer","push_wait_us":10000000}}"#,
            self.shards
        ));
        on_first_core(|| self.publish(bus, self.events_to_fill()));
        bus.flush();
        let events = self.events / self.producers;
        let (start, switches_before) = (Instant::now(), context_switches());
        if self.producers == 1 {
            on_first_core(|| self.publish(bus, events));
        } else {
            thread::scope(|scope| {
                (0..self.producers).for_each(|_| drop(scope.spawn(|| self.publish(bus, events))));
            });
        }
        bus.flush();
        let events = events * self.producers;
        let rate = rate(events, start);
        let switches = 1_000.0 * (context_switches() - switches_before) as f64 / events as f64;
        bus.stop();
        (rate, switches)
    }

    /// A little more than the store keeps.
    fn events_to_fill(self) -> usize {
        let kept = (STORED_BYTES_MAX / self.event_bytes).min(STORED_EVENTS_MAX * self.shards);
        kept.min(self.events * WARM_UP_ROUNDS_MAX) * 6 / 5
    }

    /// Each event differs from the one before in its first bytes where there are several shards, so that they share them.
    fn publish(self, bus: Bus, events: usize) {
        assert!(self.shards == 1 || self.batch == 1, "a batch is one event many times");
        let mut payload = event(self.event_bytes);
        let (pointers, lengths) = batch_of(&payload, self.batch);
        let mut left = events;
        while left > 0 {
            if self.shards > 1 {
                payload[..4].copy_from_slice(&number(left));
            }
            left -= if self.batch == 1 {
                usize::from(bus.ingest(&payload))
            } else {
                let count = left.min(self.batch);
                bus.ingest_batch(&pointers[..count], &lengths[..count])
            };
        }
    }
}

/// Events a second that `net_poll_ex` with a limit of 1,000 reads out of a store of `events`.
pub fn poll(events: usize) -> f64 {
    with_full_store(events, |bus| poll_all(bus, events))
}

/// Events a second that a subscriber is given out of a store of `events`, 1,024 a call, from the subscription on.
pub fn push(events: usize) -> f64 {
    with_full_store(events, |bus| push_all(bus, events))
}

/// Events a second that polls of 1,000 read from the start, until they have had `events`.
pub fn poll_all(bus: Bus, events: usize) -> f64 {
    let (mut cursor, mut read) = (None, 0);
    let start = Instant::now();
    while read < events {
        let (count, next) = bus.poll(1_000, cursor.as_deref());
        assert!(count > 0, "the store holds {events} events");
        (cursor, read) = (next, read + count);
    }
    rate(read, start)
}

/// Events a second that a subscriber is given from the start, 1,024 a call, until it has had `events`.
pub fn push_all(bus: Bus, events: usize) -> f64 {
    let start = Instant::now();
    let mut subscriber = Subscriber::from_start(bus);
    let mut read = 0;
    while read < events {
        read += black_box(subscriber.next(0)).len();
    }
    rate(read, start)
}

/// Runs `read` on the first core, with a spinning bus whose one shard holds `events` events of 100 bytes.
pub fn with_full_store(events: usize, read: impl FnOnce(Bus) -> f64 + Send) -> f64 {
    assert!(events <= STORED_EVENTS_MAX, "the store keeps them all");
    let bus = Bus::start(
        r#"{"num_shards":1,"idle":"spin","backpressure_mode":"FailProducer","push_wait_us":10000000}"#,
    );
    let rate = on_first_core(|| {
        let filled = Publication::of(100, events, 64);
        filled.publish(bus, events);
        bus.flush();
        read(bus)
    });
    bus.stop();
    rate
}

/// Events a second since `start`.
pub fn rate(events: usize, start: Instant) -> f64 {
    events as f64 / start.elapsed().as_secs_f64()
}

/// The middle one of several rates or shares.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Context switches of this process so far, wanted or not.
fn context_switches() -> i64 {
    // SAFETY: the call fills the struct, for which all zeros are valid.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    usage.ru_nvcsw + usage.ru_nivcsw
}

/// A number as four bytes of text.
fn number(value: usize) -> [u8; 4] {
    std::array::from_fn(|at| (value >> (7 * at)) as u8 & 0x7f)
}

/// Events that the memory store keeps of a shard unless it is told otherwise.
const STORED_EVENTS_MAX: usize = 1 << 20;
/// Bytes that it keeps of a bus.
const STORED_BYTES_MAX: usize = 256 << 20;
/// A run of a few events does not wait for a full store.
const WARM_UP_ROUNDS_MAX: usize = 20;
