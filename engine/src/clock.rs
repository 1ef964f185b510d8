//! Time: a monotonic clock for waits and deadlines, and wall-clock stamps for events.
//!
//! Both come from the CPU's time-stamp counter through `quanta`. Stamps are anchored to the wall clock and re-anchored
//! once a second by whichever producer first notices, so that they follow the system's clock, stay comparable across
//! threads, and cost a counter read, a multiplication and two loads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// A point on the monotonic clock: nanoseconds since an arbitrary start, the same for every thread of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The point `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to here; zero if it is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The process's clock, shared by everything that belongs to one bus.
#[derive(Debug)]
pub struct Clock {
    counter: quanta::Clock,
    /// Reading of the counter at the start.
    origin: u64,
    wall_offset_ns: AtomicI64,
    anchor_due_ns: AtomicU64,
    /// Where a test says how late it is.
    #[cfg(all(test, not(loom)))]
    hand: Option<AtomicU64>,
}

#[cfg(all(test, not(loom)))]
impl Clock {
    /// A clock that stands still until it is set.
    pub(crate) fn by_hand() -> Clock {
        let anchor_due_ns = AtomicU64::new(u64::MAX);
        Clock { hand: Some(AtomicU64::new(1)), anchor_due_ns, ..Clock::new() }
    }

    /// Sets it.
    pub(crate) fn set(&self, now: Monotonic) {
        self.hand.as_ref().expect("it is set by hand").store(now.0, Ordering::Relaxed);
    }

    /// The wall clock jumps by so many nanoseconds, in either direction.
    pub(crate) fn jump(&self, ns: i64) {
        self.wall_offset_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock {
    /// A clock anchored to the wall clock now. The first one of a process calibrates the counter, which takes some
    /// milliseconds.
    pub fn new() -> Clock {
        let counter = quanta::Clock::new();
        let clock = Clock {
            origin: counter.raw(),
            counter,
            wall_offset_ns: AtomicI64::new(0),
            anchor_due_ns: AtomicU64::new(0),
            #[cfg(all(test, not(loom)))]
            hand: None,
        };
        clock.anchor(clock.now());
        clock
    }

    /// Now, for waits and deadlines.
    #[inline]
    pub fn now(&self) -> Monotonic {
        #[cfg(all(test, not(loom)))]
        if let Some(hand) = &self.hand {
            return Monotonic(hand.load(Ordering::Relaxed));
        }
        Monotonic(self.counter.delta_as_nanos(self.origin, self.counter.raw()))
    }

    /// Now, in nanoseconds since the Unix epoch.
    #[inline]
    fn wall_ns(&self) -> u64 {
        let now = self.now();
        if now.0 >= self.anchor_due_ns.load(Ordering::Relaxed) {
            self.anchor(now);
        }
        let ns = now.0.wrapping_add_signed(self.wall_offset_ns.load(Ordering::Relaxed));
        if crate::planted!("16-stamps-are-microseconds") { ns / 1_000 } else { ns }
    }

    #[cold]
    fn anchor(&self, now: Monotonic) {
        let due = self.anchor_due_ns.load(Ordering::Relaxed);
        let next = now.0 + ANCHOR_PERIOD_NS;
        let claimed = self.anchor_due_ns.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if now.0 >= due && claimed.is_ok() {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
            self.wall_offset_ns.store(wall - self.now().0.cast_signed(), Ordering::Relaxed);
        }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// Gives one producer's events their insertion times: wall clock, strictly increasing.
#[derive(Debug, Default)]
pub(crate) struct Stamper {
    last_ns: u64,
}

impl Stamper {
    #[inline]
    pub(crate) fn stamp(&mut self, clock: &Clock) -> u64 {
        self.last_ns = clock.wall_ns().max(self.last_ns + 1);
        self.last_ns
    }

    /// The stamp for another event of the same batch, without looking at the clock.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.last_ns += 1;
        self.last_ns
    }
}

const ANCHOR_PERIOD_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_unix_nanoseconds_and_strictly_increase() {
        let (clock, mut stamper) = (Clock::new(), Stamper::default());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let first = stamper.stamp(&clock);
        assert!(first.abs_diff(wall) < 1_000_000_000, "{first} is not near {wall}");
        let mut last = first;
        for _ in 0..1_000 {
            let stamp = stamper.stamp(&clock);
            assert!(stamp > last);
            last = stamp;
        }
        assert_eq!(stamper.next(), last + 1);
    }
}
