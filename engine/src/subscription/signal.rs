//! The signal: how a subscriber sleeps without missing an event, and how it is woken at most once.
//!
//! A subscriber that found nothing arms its signal, passes a fence, and looks once more. Whoever publishes to it passes a
//! fence and rings: an armed signal becomes readable, and only then can be armed again, so that it is never both. Both fences are full ones. A shard pays one
//! for each batch that it has published to subscribers; a `membarrier` on the other side would interrupt every
//! running thread whenever a subscriber goes to sleep, producers too.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::readable::Readable;
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Ordering, fence, yield_now};

/// Between one subscriber and the shards.
#[derive(Debug)]
pub(crate) struct Signal {
    /// [`IDLE`], [`ARMED`] or [`FIRING`].
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

    /// Rings if the subscriber has armed it. What it is to find was published, and a full fence passed, before.
    #[inline]
    pub(crate) fn ring(&self) {
        if self.state.load(Ordering::Relaxed) == ARMED {
            self.fire();
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

    /// Makes the signal unreadable until somebody rings. False when it is so already, and the subscriber's last look was
    /// enough; after true it looks once more.
    pub(crate) fn arm(&self) -> bool {
        loop {
            // Acquire: pairs with the release in `fire`, so that clearing comes after setting.
            match self.state.load(Ordering::Acquire) {
                IDLE => break,
                ARMED => return false,
                // Somebody is in the middle of making it readable: a system call, and no longer than its thread is kept from
                // its core.
                _ => yield_now(),
            }
        }
        self.readable.clear();
        self.state.store(ARMED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        true
    }

    /// Makes an armed signal readable again, because the subscriber found something after all.
    #[inline]
    pub(crate) fn disarm(&self) {
        self.ring();
    }

    /// Sleeps until an armed signal is rung, or for `timeout`; `None` is for ever.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        self.readable.wait(timeout);
    }

    /// The descriptor that becomes readable.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.readable.descriptor()
    }

    #[cfg(all(test, loom))]
    pub(super) fn is_armed_and_readable(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ARMED && self.readable.is_set()
    }

    #[cfg(all(test, loom))]
    pub(super) fn wait_for_edge(&self, seen: u64) -> u64 {
        self.readable.wait_for_edge(seen)
    }

    #[cold]
    fn fire(&self) {
        let fires = self.state.compare_exchange(ARMED, FIRING, Ordering::Relaxed, Ordering::Relaxed);
        if fires.is_ok() {
            self.readable.set();
            self.state.store(IDLE, Ordering::Release);
        }
    }
}

/// Readable; the subscriber alone leaves this state.
const IDLE: u64 = 0;
/// Not readable: the subscriber waits to be rung.
const ARMED: u64 = 1;
/// Somebody has rung, and is making it readable.
const FIRING: u64 = 2;
