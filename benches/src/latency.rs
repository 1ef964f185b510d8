//! Durations of calls and of ways through the bus, each a distribution.

use std::ffi::CString;
use std::time::Duration;

use quanta::Clock;

use crate::floor::{Floor, paced};
use crate::open_loop::{self, Load, Reader, Run, STAMP_BYTES};
use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::{Bus, bytes_of, event, on_first_core};

/// What a shard without work does, as the bus is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Looks again and again.
    Spin,
    /// Looks for a while, then sleeps: the default.
    Adaptive,
    /// Sleeps at once.
    Park,
}

impl Idle {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Idle::Spin => "spin",
            Idle::Adaptive => "adaptive",
            Idle::Park => "park",
        }
    }

    /// A bus of one shard that idles so.
    pub fn bus(self) -> Bus {
        Bus::start(&format!(
            r#"{{"num_shards":1,"idle":"{}","backpressure_mode":"FailProducer","push_wait_us":10000000}}"#,
            self.name()
        ))
    }
}

/// The ingest call, and the floor's, timed one by one; each includes one reading of the clock.
pub struct IngestCall {
    /// `net_ingest_raw`.
    pub call: Percentiles,
    /// The bare loop.
    pub floor: Percentiles,
}

/// Times `events` calls of each.
pub fn ingest_call(events: usize) -> IngestCall {
    let payload = event(EVENT_BYTES);
    let bus = Idle::Adaptive.bus();
    let measured = on_first_core(|| {
        assert!((0..events.min(1_200_000)).all(|_| bus.ingest(&payload)), "the bus takes events");
        bus.flush();
        let mut floor = Floor::for_events_of(EVENT_BYTES);
        IngestCall {
            floor: one_by_one(events, || floor.ingest(&payload)).summary("floor: one turn of the bare loop"),
            call: one_by_one(events, || bus.ingest(&payload)).summary("net_ingest_raw, one call"),
        }
    });
    bus.stop();
    measured
}

/// Two calls that ask the bus instead of publishing, once each 100 µs.
pub fn control(idle: Idle, calls: u64) -> [Percentiles; 2] {
    let bus = idle.bus();
    let measured = on_first_core(|| {
        let poll = paced(calls, CONTROL_PERIOD_NS, || {
            assert_eq!(bus.poll(1, None).0, 0);
        });
        let stats = paced(calls, CONTROL_PERIOD_NS, || assert_eq!(bus.ingested(), 0));
        [
            poll.summary(format!("net_poll_ex of an empty bus, {}", idle.name())),
            stats.summary(format!("net_stats_ex, {}", idle.name())),
        ]
    });
    bus.stop();
    measured
}

/// From the call until a subscriber has the event, one event at a time: at once after the one before on a bus that
/// spins, with a subscriber that looks again and again; each 100 µs otherwise, with a subscriber that sleeps.
pub fn there_and_back(idle: Idle, events: u64) -> Percentiles {
    let (period_ns, timeout_ms) = if idle == Idle::Spin { (0, 0) } else { (CONTROL_PERIOD_NS, -1) };
    let bus = idle.bus();
    let recorder = on_first_core(|| {
        let mut subscriber = Subscriber::from_now(bus);
        let payload = event(EVENT_BYTES);
        let mut send = || {
            assert!(bus.ingest(&payload), "the bus takes events");
            while subscriber.next(timeout_ms).is_empty() {}
        };
        paced(events / 10, period_ns, &mut send);
        paced(events, period_ns, send)
    });
    bus.stop();
    recorder.summary(format!("net_ingest_raw → net_next, {}, one at a time", idle.name()))
}

/// From the intended send time until a subscriber has the event. A subscriber of a bus that spins looks again and again;
/// others sleep until an event comes.
pub fn to_subscriber(idle: Idle, rate: u64, duration: Duration) -> Percentiles {
    let run = subscriber_run(idle, rate, duration);
    summary(&run, format!("net_ingest_raw → net_next, {}, {}", idle.name(), per_second(rate)))
}

/// The run behind [`to_subscriber`].
pub fn subscriber_run(idle: Idle, rate: u64, duration: Duration) -> Run {
    let bus = idle.bus();
    let run = on_first_core(|| {
        let mut subscriber = Subscriber::from_now(bus);
        warmed_up(bus, rate, duration, idle != Idle::Spin, &mut subscriber)
    });
    bus.stop();
    run
}

/// From the intended send time until `net_poll_ex` has brought the event, on a spinning bus.
pub fn to_poll(rate: u64, duration: Duration) -> Percentiles {
    let bus = Idle::Spin.bus();
    let run = on_first_core(|| {
        let mut reader = Poller { bus, cursor: None };
        warmed_up(bus, rate, duration, false, &mut reader)
    });
    bus.stop();
    summary(&run, format!("net_ingest_raw → net_poll_ex, spin, {}", per_second(rate)))
}

/// Runs a tenth of the load without measuring it, then all of it.
fn warmed_up(bus: Bus, rate: u64, duration: Duration, wait: bool, reader: &mut impl Reader) -> Run {
    let mut payload = event(EVENT_BYTES);
    let mut send = |stamp: &[u8; STAMP_BYTES]| {
        payload[..STAMP_BYTES].copy_from_slice(stamp);
        assert!(bus.ingest(&payload), "the bus takes events");
    };
    let events = (rate * duration.as_millis() as u64 / 1_000).max(10);
    open_loop::run(Load { rate, events: events.div_ceil(10), wait }, &mut send, reader);
    open_loop::run(Load { rate, events, wait }, send, reader)
}

fn summary(run: &Run, name: String) -> Percentiles {
    Percentiles { late: Some(run.late), ..run.latencies.summary(name) }
}

fn per_second(rate: u64) -> String {
    crate::quantity::Quantity::events_per_second(rate as f64).to_string()
}

fn one_by_one(calls: usize, mut call: impl FnMut() -> bool) -> Recorder {
    let (clock, mut recorder) = (Clock::new(), Recorder::new());
    for _ in 0..calls {
        // The recorder's own cost is not the call's.
        let before = clock.raw();
        assert!(call());
        recorder.record(clock.delta_as_nanos(before, clock.raw()));
    }
    recorder
}

/// Reads by polling, from cursor to cursor.
struct Poller {
    bus: Bus,
    cursor: Option<CString>,
}

impl Reader for Poller {
    fn read(&mut self, _: bool, mut visit: impl FnMut(&[u8])) {
        let (_, next) = self.bus.poll_each(1_000, self.cursor.as_deref(), |events| {
            for event in events {
                // SAFETY: a poll lends its events for as long as this closure runs.
                visit(unsafe { bytes_of(event) });
            }
        });
        self.cursor = next;
    }
}

/// The size that the targets are set for.
pub const EVENT_BYTES: usize = 100;
/// So that a parked shard is asleep again before the next call.
pub const CONTROL_PERIOD_NS: u64 = 100_000;
