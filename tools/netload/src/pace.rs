//! The open loop: when each call is due, whatever the calls before it took.

use std::hint;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::ValueEnum;
use quanta::Clock;

/// How the intended moments are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrival {
    /// Evenly.
    Const,
    /// At random, as many independent clients would: exponential gaps.
    Poisson,
}

/// The load of an open loop, all producers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenLoop {
    /// Events a second.
    pub(crate) rate: NonZeroU64,
    pub(crate) arrival: Arrival,
    pub(crate) seed: u64,
    /// A producer that is further behind skips what it is behind by more.
    pub(crate) backlog_max: Duration,
    pub(crate) producers: u16,
    /// Events a call.
    pub(crate) batch: usize,
}

/// One producer's schedule on a clock. Waiting spins: a sleep would be late by tens of microseconds.
pub(crate) struct Pacer {
    load: OpenLoop,
    producer: u16,
    random: fastrand::Rng,
    call: u64,
    due_ns: u64,
    /// The moment that is due next, exactly, where moments are drawn.
    drawn_ns: f64,
    shift_ns: u64,
    skipped_calls: u64,
}

impl Pacer {
    /// The schedule of `producer`, counted from 0. Even schedules of several producers are interleaved.
    pub(crate) fn new(load: OpenLoop, producer: u16) -> Pacer {
        let random = fastrand::Rng::with_seed(load.seed.wrapping_mul(SEED_STRIDE) ^ u64::from(producer));
        let mut pacer = Pacer {
            load,
            producer,
            random,
            call: 0,
            due_ns: 0,
            drawn_ns: 0.0,
            shift_ns: 0,
            skipped_calls: 0,
        };
        pacer.due_ns = pacer.next_ns();
        pacer
    }

    /// When the next call is due, in nanoseconds after the start.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns + self.shift_ns
    }

    /// Calls so far that were passed over because they were too far behind.
    pub(crate) fn skipped_calls(&self) -> u64 {
        self.skipped_calls
    }

    /// Passes over what is too far behind, spins until the next call is due, and moves on to the one after it. The
    /// moment it was due at, and the raw clock value at which the wait ended.
    pub(crate) fn wait(&mut self, clock: &Clock, start: u64) -> (u64, u64) {
        let mut now = clock.raw();
        let backlog_ns = u64::try_from(self.load.backlog_max.as_nanos()).unwrap_or(u64::MAX);
        let oldest_ns = clock.delta_as_nanos(start, now).saturating_sub(backlog_ns);
        while self.due_ns() < oldest_ns {
            self.skipped_calls += 1;
            self.advance();
        }
        let due_ns = self.due_ns();
        self.advance();
        while clock.delta_as_nanos(start, now) < due_ns {
            hint::spin_loop();
            now = clock.raw();
        }
        (due_ns, now)
    }

    /// Moves everything that is still due by the time that the producer was held back.
    pub(crate) fn shift(&mut self, held: Duration) {
        self.shift_ns += u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
    }

    fn advance(&mut self) {
        self.call += 1;
        self.due_ns = self.next_ns();
    }

    /// When call number `self.call` is due. Even moments are computed from the number alone, so that no rounding adds up.
    fn next_ns(&mut self) -> u64 {
        let (producers, batch) = (u64::from(self.load.producers), self.load.batch as u64);
        match self.load.arrival {
            Arrival::Const => {
                let position = u128::from(self.call) * u128::from(producers) + u128::from(self.producer);
                let due_ns =
                    position * u128::from(batch) * NANOS_PER_SECOND / u128::from(self.load.rate.get());
                u64::try_from(due_ns).unwrap_or(u64::MAX)
            }
            Arrival::Poisson => {
                let gap_ns = (producers * batch) as f64 * 1e9 / self.load.rate.get() as f64;
                self.drawn_ns -= (1.0 - self.random.f64()).ln() * gap_ns;
                (self.drawn_ns as i64).unsigned_abs()
            }
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// Keeps the random numbers of a run's producers apart from those of the next seed's.
const SEED_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rate: u64, producers: u16, batch: usize) -> OpenLoop {
        let rate = NonZeroU64::new(rate).expect("positive");
        let backlog_max = Duration::from_millis(100);
        OpenLoop { rate, arrival: Arrival::Const, seed: 1, backlog_max, producers, batch }
    }

    fn due_ns(load: OpenLoop, producer: u16, call: u64) -> u64 {
        let mut pacer = Pacer::new(load, producer);
        pacer.call = call;
        pacer.next_ns()
    }

    #[test]
    fn a_second_of_the_schedule_holds_exactly_the_rate() {
        for rate in [1, 3, 7, 1_000, 999_983, 30_000_000] {
            assert_eq!(due_ns(load(rate, 1, 1), 0, rate), 1_000_000_000, "{rate}");
            assert_eq!(due_ns(load(rate, 1, 1), 0, rate * 3_600), 3_600_000_000_000, "{rate}");
        }
    }

    #[test]
    fn producers_take_turns_evenly() {
        let mut due: Vec<u64> = (0..4)
            .flat_map(|producer| (0..3).map(move |call| due_ns(load(1_000, 4, 1), producer, call)))
            .collect();
        due.sort_unstable();
        let even: Vec<u64> = (0..12).map(|event| event * 1_000_000).collect();
        assert_eq!(due, even);
    }

    #[test]
    fn a_batch_is_due_once_for_all_its_events() {
        assert_eq!(due_ns(load(6_400, 1, 64), 0, 1), 10_000_000);
    }

    #[test]
    fn a_wait_ends_when_the_call_is_due_and_a_late_one_does_not_wait() {
        let (clock, mock) = Clock::mock();
        let start = clock.raw();
        let mut pacer = Pacer::new(load(1_000, 1, 1), 0);
        mock.increment(Duration::from_millis(5));
        assert_eq!(pacer.wait(&clock, start).0, 0);
        assert_eq!(pacer.wait(&clock, start).0, 1_000_000);
        pacer.shift(Duration::from_millis(3));
        assert_eq!(pacer.wait(&clock, start).0, 5_000_000);
        assert_eq!(pacer.due_ns(), 6_000_000);
    }

    #[test]
    fn what_is_further_behind_than_the_backlog_is_skipped_and_counted() {
        let (clock, mock) = Clock::mock();
        let start = clock.raw();
        let mut pacer = Pacer::new(load(1_000, 1, 1), 0);
        mock.increment(Duration::from_millis(150));
        assert_eq!((pacer.wait(&clock, start).0, pacer.skipped_calls()), (50_000_000, 50));
        assert_eq!((pacer.wait(&clock, start).0, pacer.skipped_calls()), (51_000_000, 50));
    }

    #[test]
    fn random_moments_come_at_the_rate_and_again_with_the_same_seed() {
        let moments = |seed| {
            let load = OpenLoop { arrival: Arrival::Poisson, seed, ..load(1_000, 1, 1) };
            let mut pacer = Pacer::new(load, 0);
            (0..10_000)
                .map(|_| {
                    pacer.advance();
                    pacer.due_ns()
                })
                .collect::<Vec<_>>()
        };
        let last_s = moments(1)[9_999] as f64 / 1e9;
        assert!((9.5..10.5).contains(&last_s), "{last_s}");
        assert_eq!(moments(1), moments(1));
        assert_ne!(moments(1), moments(2));
    }
}
