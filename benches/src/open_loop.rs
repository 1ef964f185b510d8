//! The open loop: every event has an intended send time, set before the run, and its latency counts from it.
//!
//! A sender that falls behind sends at once and skips nothing, so that a pause of the bus, of the sender or of the
//! machine shows in the latency of every event it delayed, not only of the one that met it.

use quanta::Clock;

use crate::percentiles::Recorder;

/// The intended send times of a run, at an even rate.
pub struct Schedule {
    clock: Clock,
    start_raw: u64,
    rate: u64,
    events: u64,
    sent: u64,
    late: u64,
}

impl Schedule {
    /// `events` events at `rate` a second, the first of them now.
    pub fn starting_now(rate: u64, events: u64) -> Schedule {
        let clock = Clock::new();
        let start_raw = clock.raw();
        Schedule { clock, start_raw, rate, events, sent: 0, late: 0 }
    }

    /// Nanoseconds since the start.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.clock.delta_as_nanos(self.start_raw, self.clock.raw())
    }

    /// The intended time of the next event when it has come: the event counts as sent.
    #[inline]
    pub fn due(&mut self) -> Option<u64> {
        if self.sent == self.events {
            return None;
        }
        let intended_ns = self.sent * SECOND_NS / self.rate;
        let now_ns = self.now_ns();
        if now_ns < intended_ns {
            return None;
        }
        self.sent += 1;
        self.late += u64::from(now_ns - intended_ns > SECOND_NS / self.rate);
        Some(intended_ns)
    }

    /// Events sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Events sent more than a period behind their time.
    pub fn late(&self) -> u64 {
        self.late
    }
}

/// Somebody who reads events back.
pub trait Reader {
    /// Reads what has come; with `wait` it sleeps until something comes. Calls `visit` with the first bytes of each event.
    fn read(&mut self, wait: bool, visit: impl FnMut(&[u8]));
}

/// One run: how it looks for events, how fast and how many are sent.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Events a second.
    pub rate: u64,
    /// How many.
    pub events: u64,
    /// Sleep in the read while an event is under way, instead of looking again and again.
    pub wait: bool,
}

/// What came of a run.
pub struct Run {
    /// From intended send time to the return of the read that brought the event.
    pub latencies: Recorder,
    /// Events sent more than a period behind their time.
    pub late: u64,
    /// Events a second that came back.
    pub rate: f64,
    /// Reads.
    pub reads: u64,
    /// Reads that brought nothing.
    pub empty_reads: u64,
}

/// Sends and reads on the calling thread, so that two cores are enough: one for it, one for the shard. `send` publishes an
/// event that starts with the given stamp; events that `reader` sees carry it back.
pub fn run(load: Load, mut send: impl FnMut(&[u8; STAMP_BYTES]), reader: &mut impl Reader) -> Run {
    let mut schedule = Schedule::starting_now(load.rate, load.events);
    let mut latencies = Recorder::new();
    let (mut received, mut reads, mut empty_reads) = (0, 0, 0);
    while received < load.events {
        for _ in 0..SENDS_PER_LOOK {
            let Some(intended_ns) = schedule.due() else { break };
            send(&stamp(intended_ns));
        }
        if load.wait && received == schedule.sent() {
            std::hint::spin_loop();
            continue;
        }
        let (mut now_ns, before) = (None, received);
        reader.read(load.wait, |event| {
            let now_ns = *now_ns.get_or_insert_with(|| schedule.now_ns());
            latencies.record(now_ns.saturating_sub(stamped(event)));
            received += 1;
        });
        reads += 1;
        empty_reads += u64::from(received == before);
    }
    let rate = received as f64 * 1e9 / schedule.now_ns() as f64;
    Run { latencies, late: schedule.late(), rate, reads, empty_reads }
}

/// A time as bytes that are valid UTF-8: seven bits in each.
#[inline]
pub fn stamp(time_ns: u64) -> [u8; STAMP_BYTES] {
    std::array::from_fn(|at| (time_ns >> (7 * at)) as u8 & 0x7f)
}

/// The time that an event starts with.
#[inline]
pub fn stamped(event: &[u8]) -> u64 {
    event[..STAMP_BYTES].iter().rev().fold(0, |time, byte| time << 7 | u64::from(*byte))
}

/// Length of a stamp: enough for 17 hours.
pub const STAMP_BYTES: usize = 8;
const SECOND_NS: u64 = 1_000_000_000;
/// Events sent in one go when behind, before looking for what has come.
const SENDS_PER_LOOK: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_was_and_is_text() {
        for time_ns in [0, 1, 127, 128, 123_456_789_012, (1 << 56) - 1] {
            let stamp = stamp(time_ns);
            assert_eq!(stamped(&stamp), time_ns);
            assert!(std::str::from_utf8(&stamp).is_ok());
        }
    }

    #[test]
    fn every_event_is_sent_and_read_however_far_behind() {
        struct Queue<'a>(&'a std::cell::RefCell<VecDeque<[u8; STAMP_BYTES]>>);
        impl Reader for Queue<'_> {
            fn read(&mut self, _: bool, mut visit: impl FnMut(&[u8])) {
                self.0.borrow_mut().drain(..).for_each(|event| visit(&event));
            }
        }
        let queue = std::cell::RefCell::new(VecDeque::new());
        let load = Load { rate: 1_000_000_000, events: 1_000, wait: false };
        let run = run(load, |event| queue.borrow_mut().push_back(*event), &mut Queue(&queue));
        let summary = run.latencies.summary("a rate that nobody reaches");
        assert_eq!(summary.samples, 1_000);
        assert!(run.late > 0);
        assert!(run.empty_reads < run.reads);
    }
}
