//! Producers and the reader take care not to lose each other.
//!
//! A producer publishes at most its [`Allowance`] and then waits until the reader has caught up. What it counts is its
//! own; the lock is touched only to wait, to release, and to end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What one producer may publish between two catch-ups of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) events: u64,
    /// Bytes in the store, overhead included.
    pub(crate) bytes: u64,
}

impl Allowance {
    /// For producers that nobody is to catch up with.
    pub(crate) const UNBOUNDED: Allowance = Allowance { events: u64::MAX, bytes: u64::MAX };
}

/// Where producers wait for the reader.
pub(crate) struct Gate {
    producers: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: usize,
    finished: usize,
    turn: u64,
    open: bool,
}

/// What the producers are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Producers {
    /// Some publish and none waits.
    Publishing,
    /// At least one waits, and some publish.
    SomeHeld,
    /// Every one waits or is finished; at least one waits.
    AllHeld,
    /// Every one is finished.
    Finished,
}

impl Gate {
    pub(crate) fn new(producers: usize) -> Gate {
        Gate { producers, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Called by a producer that used up its allowance: returns when the reader has caught up, and how long that took.
    pub(crate) fn hold(&self) -> Duration {
        let start = Instant::now();
        let mut state = self.lock();
        let turn = state.turn;
        state.held += 1;
        self.changed.notify_all();
        while state.turn == turn && !state.open {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        start.elapsed()
    }

    /// Called once by every producer, at its end.
    pub(crate) fn finish(&self) {
        self.lock().finished += 1;
        self.changed.notify_all();
    }

    /// Called by the reader when it has caught up with everything that the held producers published.
    pub(crate) fn release(&self) {
        let mut state = self.lock();
        state.turn += 1;
        state.held = 0;
        self.changed.notify_all();
    }

    /// Called when nobody reads any more: no producer waits from now on.
    pub(crate) fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// What the producers are doing now.
    pub(crate) fn producers(&self) -> Producers {
        self.observe(&self.lock())
    }

    /// Waits until no producer publishes.
    pub(crate) fn wait_until_quiet(&self) -> Producers {
        let mut state = self.lock();
        loop {
            match self.observe(&state) {
                quiet @ (Producers::AllHeld | Producers::Finished) => return quiet,
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn observe(&self, state: &State) -> Producers {
        match (state.held, state.finished) {
            (_, finished) if finished == self.producers => Producers::Finished,
            (0, _) => Producers::Publishing,
            (held, finished) if held + finished == self.producers => Producers::AllHeld,
            _ => Producers::SomeHeld,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_held_producer_goes_on_when_the_reader_releases_it() {
        let gate = Gate::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    gate.hold();
                    gate.finish();
                });
            }
            assert_eq!(gate.wait_until_quiet(), Producers::AllHeld);
            gate.release();
            assert_eq!(gate.wait_until_quiet(), Producers::Finished);
        });
    }

    #[test]
    fn nobody_waits_at_an_open_gate() {
        let gate = Gate::new(1);
        gate.open();
        gate.hold();
        assert_eq!(gate.producers(), Producers::AllHeld);
    }
}
