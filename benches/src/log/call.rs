//! The ingest call in front of a log, timed one by one as in front of the memory store.

use super::{Durability, EVENT_BYTES, OPTIONS, bus, folder, publish};
use crate::floor::paced;
use crate::percentiles::Percentiles;
use crate::{Bus, event, on_first_core};

/// Calls a second: few enough for either store.
pub const RATE: u64 = 200_000;

/// Times `calls` calls of a bus that keeps its events in memory.
pub fn with_memory(calls: u64) -> Percentiles {
    let options = OPTIONS.trim_end_matches(',');
    timed(Bus::start(&format!("{{{options}}}")), calls, "the memory store")
}

/// Times `calls` calls of a bus that keeps its events in a log.
pub fn with_log(calls: u64) -> Percentiles {
    let folder = folder();
    timed(bus(folder.path(), Durability::Soon, ""), calls, "the log, synced every 50 ms")
}

/// Of several rounds the one whose 99th percentile is the middle one.
pub fn median_by_p99(mut rounds: Vec<Percentiles>) -> Percentiles {
    rounds.sort_by_key(|round| round.p99_ns);
    rounds.swap_remove(rounds.len() / 2)
}

/// Three times as many events come before those that are timed, so that neither store's memory or first segment is new.
fn timed(bus: Bus, calls: u64, store: &str) -> Percentiles {
    publish(bus, 3 * calls as usize, EVENT_BYTES);
    let recorder = on_first_core(|| {
        let payload = event(EVENT_BYTES);
        paced(calls, 1_000_000_000 / RATE, || assert!(bus.ingest(&payload), "the bus takes events"))
    });
    bus.stop();
    recorder.summary(format!("net_ingest_raw at {RATE} events/s, one call, {store}"))
}
