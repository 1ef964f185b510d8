//! The signal: how a subscriber sleeps without missing an event, and how it is woken at most once.
//!
//! A subscriber that found nothing arms its signal, passes a fence, and looks once more. Whoever publishes to it passes a
//! fence and rings: an armed signal becomes readable, and is armed no more. Both fences are full ones. A shard pays one
//! for each batch that it has published to subscribers; a `membarrier` on the other side would interrupt every
//! running thread whenever a subscriber goes to sleep, producers too.
//!
//! Ringing is two steps, and between them its thread may be kept from its core: the state says that somebody is firing,
//! and the descriptor becomes readable. Nobody waits for the second step. A subscriber that finds the descriptor readable
//! knows that it was taken and arms anew, under another number, which the one who fires leaves alone; one that does not
//! has its wake still to come.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::readable::Readable;
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Ordering, fence};

/// Between one subscriber and the shards.
#[derive(Debug)]
pub(crate) struct Signal {
    /// `number of the arming: 62 | phase: 2`.
    state: CachePadded<AtomicU64>,
    closed: AtomicBool,
    readable: Readable,
}

impl Signal {
    /// A signal that is readable, because nobody has looked yet.
    pub(crate) fn new() -> io::Result<Signal> {
        Ok(Signal {
            state: CachePadded::default(),
            closed: AtomicBool::new(false),
            readable: Readable::new()?,
        })
    }

    /// Rings if the subscriber has armed it. What it is to find was published, and a full fence passed, before; the
    /// subscriber itself rings when it has found something after all.
    #[inline]
    pub(crate) fn ring(&self) {
        let state = self.state.load(Ordering::Relaxed);
        if state & PHASE == ARMED {
            self.fire(state);
        }
    }

    /// Makes whoever waits return, for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.ring();
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Makes the signal unreadable until somebody rings. False when it is so already, or its wake is still to come, and the
    /// subscriber's last look was enough; after true it looks once more. The subscriber only.
    pub(crate) fn arm(&self) -> bool {
        let armed = self.leave_idle(|number| number + ARMED);
        // Pairs with the fence before a ring: the look that follows finds what was published, or its ring the signal armed.
        fence(Ordering::SeqCst);
        armed
    }

    /// Makes the signal readable once more, for a subscriber that has not seen everything. The subscriber only.
    pub(crate) fn repeat(&self) {
        if self.leave_idle(|number| number + IDLE) {
            self.readable.set();
        } else {
            self.ring();
        }
    }

    /// Makes an idle signal unreadable and gives it a new number and phase. False when it is armed, or its wake is still to
    /// come.
    fn leave_idle(&self, next: impl Fn(u64) -> u64) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            // While it was armed it was not readable: if it is now, whoever fires has set it.
            if state & PHASE == ARMED || (!self.readable.clear() && state & PHASE == FIRING) {
                return false;
            }
            let left = next((state & !PHASE) + NEXT);
            match self.state.compare_exchange(state, left, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return true,
                // Only from firing to idle, and what was cleared stays so.
                Err(changed) => state = changed,
            }
        }
    }

    /// Sleeps until an armed signal is rung, or for `timeout`; `None` is for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        self.readable.wait(timeout);
    }

    /// The descriptor that becomes readable.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.readable.descriptor()
    }

    #[cold]
    fn fire(&self, armed: u64) {
        let firing = armed - ARMED + FIRING;
        if self.state.compare_exchange(armed, firing, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.readable.set();
            // Another state by now is the subscriber's, which has seen that it is readable.
            let idle = firing - FIRING + IDLE;
            let _ = self.state.compare_exchange(firing, idle, Ordering::Release, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, loom))]
impl Signal {
    pub(super) fn is_armed_and_readable(&self) -> bool {
        self.state.load(Ordering::Relaxed) & PHASE == ARMED && self.readable.is_set()
    }

    pub(super) fn wait_for_edge(&self, seen: u64) -> u64 {
        self.readable.wait_for_edge(seen)
    }
}

const PHASE: u64 = 3;
/// Readable; the subscriber alone leaves this phase.
const IDLE: u64 = 0;
/// Not readable: the subscriber waits to be rung.
const ARMED: u64 = 1;
/// Somebody has rung, and is making it readable.
const FIRING: u64 = 2;
/// From one number to the next.
const NEXT: u64 = PHASE + 1;
