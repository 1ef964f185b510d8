//! What the threads of a run share, and what a producer leaves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::bus::Bus;
use crate::config::Plan;
use crate::gate::{Allowance, Gate};
use crate::interrupt::Interrupt;
use crate::lines::Receipts;

/// What the threads of a run share.
pub(crate) struct Stage<'run> {
    pub(crate) plan: &'run Plan,
    pub(crate) bus: &'run Bus,
    pub(crate) clock: &'run Clock,
    pub(crate) interrupt: &'run Interrupt,
    pub(crate) gate: &'run Gate,
    pub(crate) allowance: Allowance,
    /// Where the producers meet before the first event.
    pub(crate) line_up: &'run Barrier,
    /// The raw clock value that every moment of the run counts from.
    pub(crate) start: OnceLock<u64>,
    /// One entry a producer.
    pub(crate) tallies: &'run [Tally],
    pub(crate) receipts: &'run [Receipts],
    /// Events that have come back.
    pub(crate) read_back: AtomicU64,
}

impl Stage<'_> {
    /// Nanoseconds after the start.
    pub(crate) fn now_ns(&self) -> u64 {
        self.start.get().map_or(0, |start| self.clock.delta_as_nanos(*start, self.clock.raw()))
    }
}

/// What a producer has done so far, for others to see. Written by its producer now and then, and before it waits or ends.
/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    accepted: AtomicU64,
    bytes: AtomicU64,
    late_ns: AtomicU64,
}

impl Tally {
    /// Tells what there is so far.
    pub(crate) fn tell(&self, accepted: u64, bytes: u64) {
        self.accepted.store(accepted, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Tells by how much a call was late. A look at the same moment may leave what it took, or take what it leaves.
    #[inline]
    pub(crate) fn tell_late(&self, late_ns: u64) {
        if late_ns > self.late_ns.load(Ordering::Relaxed) {
            self.late_ns.store(late_ns, Ordering::Relaxed);
        }
    }

    /// By how much a call was late at most since this was asked before.
    pub(crate) fn take_late_ns(&self) -> u64 {
        self.late_ns.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What became of one producer's events.
pub(crate) struct Published {
    /// Nanoseconds from the first attempt of each call until it was accepted, where that is measured in an open loop.
    pub(crate) service: Option<Histogram<u64>>,
    /// In an open loop: nanoseconds by which each call was late.
    pub(crate) lag: Histogram<u64>,
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
    /// Those among the accepted that were due after the warm-up, and their bytes.
    pub(crate) measured: u64,
    pub(crate) measured_bytes: u64,
    /// Events that were never published because the producer was too far behind, after the warm-up.
    pub(crate) skipped: u64,
    /// Calls that the bus refused for now.
    pub(crate) refused: u64,
    /// Time from the end of the warm-up, the waits for the reader left out.
    pub(crate) active: Duration,
    /// Time inside calls, in a closed loop where calls are measured.
    pub(crate) in_calls_ns: u64,
    /// Time spent waiting for the reader.
    pub(crate) held: Duration,
    /// Processor time of the whole thread.
    pub(crate) processor: Duration,
    /// Lines that the bus can never accept: their numbers, and why.
    pub(crate) invalid: Vec<(u64, String)>,
    /// Why it ended early.
    pub(crate) failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_takes_the_latest_call_since_the_look_before() {
        let tally = Tally::default();
        for (late_ns, most_ns) in [(&[5, 9, 2][..], 9), (&[3], 3), (&[], 0)] {
            for late_ns in late_ns {
                tally.tell_late(*late_ns);
            }
            assert_eq!(tally.take_late_ns(), most_ns);
        }
    }
}
