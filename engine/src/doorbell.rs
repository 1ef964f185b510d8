//! The doorbell: how a shard sleeps without missing anything, and how it is woken at most once.
//!
//! Parking is asymmetric. The sleeper marks itself parked, passes a heavy fence, looks once more at everything that
//! could be waiting for it, and only then sleeps. Whoever brings work stores it, passes a light fence and loads the
//! mark: either the sleeper's last look finds the work, or the bringer finds the mark and rings.

use std::sync::PoisonError;
use std::task::Waker;

use crate::sync::{
    AtomicBool, AtomicU64, CachePadded, Mutex, MutexGuard, Ordering, heavy_fence, light_fence,
};

/// One shard's doorbell. The shard parks on it; everybody else rings it.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    parked: CachePadded<AtomicBool>,
    /// Counts what was put into the shard's mailbox, so that an empty one costs one load.
    posted: CachePadded<AtomicU64>,
    /// Counts the shard's rounds, for whoever watches it.
    beat: CachePadded<AtomicU64>,
    waker: Mutex<Option<Waker>>,
}

impl Doorbell {
    /// Rings if the shard is parked. To be called after the work was stored.
    #[inline]
    pub(crate) fn ring(&self) {
        light_fence();
        if self.parked.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Says that there is mail, and rings.
    pub(crate) fn post(&self) {
        // Release: pairs with the acquire in `posted`, so that whoever sees the count sees the mail.
        self.posted.fetch_add(1, Ordering::Release);
        self.ring();
    }

    /// How often mail was announced.
    #[inline]
    pub(crate) fn posted(&self) -> u64 {
        self.posted.load(Ordering::Acquire)
    }

    /// Counts one round of the shard.
    #[inline]
    pub(crate) fn count_beat(&self) {
        self.beat.store(self.beat.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Rounds so far.
    pub(crate) fn beat(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// Whether the shard has said that it sleeps.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }

    /// From here on a ring wakes `waker`, which is that of the shard's task for as long as the shard lives.
    pub(crate) fn answer_with(&self, waker: &Waker) {
        *self.waker() = Some(waker.clone());
    }

    /// First half of parking. The caller looks once more at its work, and either sleeps or takes the mark back with
    /// [`unpark`](Doorbell::unpark).
    pub(crate) fn park(&self) {
        self.parked.store(true, Ordering::Relaxed);
        heavy_fence();
    }

    /// Takes the mark back.
    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Wakes the shard whether it is parked or not. The waker stays: a shard that its executor let down is woken again.
    #[cold]
    pub(crate) fn wake(&self) {
        self.parked.store(false, Ordering::Relaxed);
        // Under the lock, so that behind `silence` no wake is on its way to an executor that has ended.
        if let Some(waker) = &*self.waker() {
            waker.wake_by_ref();
        }
    }

    /// The shard ends: nobody wakes it any more, and its waker is dropped on its own thread. Wakes of before are with its executor.
    pub(crate) fn silence(&self) {
        *self.waker() = None;
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, loom))]
mod model;
