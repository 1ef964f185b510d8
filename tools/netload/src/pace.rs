//! The open loop: when each call is due, whatever the calls before it took.

use std::hint;
use std::num::NonZeroU64;
use std::time::Duration;

use quanta::Clock;

/// When the calls of one producer are due. Producers are interleaved, so that together they publish evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    rate: u64,
    producer: u64,
    producers: u64,
    batch: u64,
}

impl Schedule {
    /// The schedule of `producer` (counted from 0) of `producers`, who publish `rate` events a second together, `batch`
    /// a call.
    pub(crate) fn new(rate: NonZeroU64, producer: u16, producers: u16, batch: usize) -> Schedule {
        let (producer, producers) = (u64::from(producer), u64::from(producers));
        Schedule { rate: rate.get(), producer, producers, batch: batch as u64 }
    }

    /// When call number `call` (counted from 0) is due, in nanoseconds after the start. Computed from the number alone,
    /// so that no rounding adds up.
    pub(crate) fn due_ns(&self, call: u64) -> u64 {
        let position = u128::from(call) * u128::from(self.producers) + u128::from(self.producer);
        let due_ns = position * u128::from(self.batch) * NANOS_PER_SECOND / u128::from(self.rate);
        u64::try_from(due_ns).unwrap_or(u64::MAX)
    }
}

/// A schedule on a clock. Waiting spins: a sleep would be late by tens of microseconds.
pub(crate) struct Pacer {
    schedule: Schedule,
    start: u64,
    shift_ns: u64,
    call: u64,
}

impl Pacer {
    /// A pacer whose schedule starts at the raw clock value `start`.
    pub(crate) fn new(schedule: Schedule, start: u64) -> Pacer {
        Pacer { schedule, start, shift_ns: 0, call: 0 }
    }

    /// When the next call is due, in nanoseconds after the start.
    pub(crate) fn due_ns(&self) -> u64 {
        self.schedule.due_ns(self.call) + self.shift_ns
    }

    /// Spins until the next call is due, and moves on to the one after it. The moment it was due at.
    pub(crate) fn wait(&mut self, clock: &Clock) -> u64 {
        let due_ns = self.due_ns();
        self.call += 1;
        while clock.delta_as_nanos(self.start, clock.raw()) < due_ns {
            hint::spin_loop();
        }
        due_ns
    }

    /// Moves everything that is still due by the time that the producer was held back.
    pub(crate) fn shift(&mut self, held: Duration) {
        self.shift_ns += u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: u64, producer: u16, producers: u16, batch: usize) -> Schedule {
        Schedule::new(NonZeroU64::new(rate).expect("positive"), producer, producers, batch)
    }

    #[test]
    fn a_second_of_the_schedule_holds_exactly_the_rate() {
        for rate in [1, 3, 7, 1_000, 999_983, 30_000_000] {
            assert_eq!(schedule(rate, 0, 1, 1).due_ns(rate), 1_000_000_000, "{rate}");
            assert_eq!(schedule(rate, 0, 1, 1).due_ns(rate * 3_600), 3_600_000_000_000, "{rate}");
        }
    }

    #[test]
    fn producers_take_turns_evenly() {
        let mut due: Vec<u64> = (0..4)
            .flat_map(|producer| (0..3).map(move |call| schedule(1_000, producer, 4, 1).due_ns(call)))
            .collect();
        due.sort_unstable();
        let even: Vec<u64> = (0..12).map(|event| event * 1_000_000).collect();
        assert_eq!(due, even);
    }

    #[test]
    fn a_batch_is_due_once_for_all_its_events() {
        assert_eq!(schedule(6_400, 0, 1, 64).due_ns(1), 10_000_000);
    }

    #[test]
    fn a_wait_ends_when_the_call_is_due_and_a_late_one_does_not_wait() {
        let (clock, mock) = Clock::mock();
        let mut pacer = Pacer::new(schedule(1_000, 0, 1, 1), clock.raw());
        mock.increment(Duration::from_millis(5));
        assert_eq!(pacer.wait(&clock), 0);
        assert_eq!(pacer.wait(&clock), 1_000_000);
        pacer.shift(Duration::from_millis(3));
        assert_eq!(pacer.wait(&clock), 5_000_000);
        assert_eq!(pacer.due_ns(), 6_000_000);
    }
}
