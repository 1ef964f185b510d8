//! A producer that sleeps between events, as most do, and a subscriber that waits for them: latency from when each was due.

use std::thread;
use std::time::{Duration, Instant};

use crate::open_loop::{Reader, STAMP_BYTES, stamp, stamped};
use crate::percentiles::Recorder;
use crate::subscriber::Subscriber;
use crate::{Bus, event};

/// Publishes events of `bytes` bytes at `rate` a second for `time`, and takes them from `subscriber` on the calling thread.
///
/// # Panics
/// When the bus does not take an event.
pub fn latencies(bus: Bus, subscriber: &mut Subscriber, rate: u64, time: Duration, bytes: usize) -> Recorder {
    let events = (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
    let mut recorder = Recorder::new();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut payload = event(bytes);
            for number in 0..events {
                let due = Duration::from_nanos(number * 1_000_000_000 / rate);
                thread::sleep(due.saturating_sub(start.elapsed()));
                payload[..STAMP_BYTES].copy_from_slice(&stamp(due.as_nanos() as u64));
                assert!(bus.ingest(&payload), "the bus takes events");
            }
        });
        let mut received = 0;
        while received < events {
            subscriber.read(true, |event| {
                recorder.record((start.elapsed().as_nanos() as u64).saturating_sub(stamped(event)));
                received += 1;
            });
        }
    });
    recorder
}
