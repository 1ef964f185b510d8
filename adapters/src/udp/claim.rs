//! Which initiator a responder talks to: one at a time, whoever else has its keys.
//!
//! The shards of a bus share this, and look at it when a handshake comes, and write to it once in a while as packets come.

use std::time::Duration;

use engine::clock::Monotonic;
use engine::sync::{AtomicU64, Ordering};

/// The initiator that is heard.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Its instance; zero is none.
    instance: AtomicU64,
    heard_at: AtomicU64,
}

impl Claim {
    /// Whether `instance` may come in: nobody else was heard for `timeout`.
    pub(super) fn admits(&self, instance: u64, timeout: Duration, now: Monotonic) -> bool {
        let holder = self.instance.load(Ordering::Relaxed);
        holder == instance || self.is_free(holder, timeout, now)
    }

    /// `instance` has proved to be there. Whether it is the one from now on.
    pub(super) fn take(&self, instance: u64, timeout: Duration, now: Monotonic) -> bool {
        let holder = self.instance.load(Ordering::Relaxed);
        let takes = holder == instance
            || self.is_free(holder, timeout, now)
                && self
                    .instance
                    .compare_exchange(holder, instance, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
        if takes {
            self.heard_at.store(now.0, Ordering::Relaxed);
        }
        takes
    }

    /// Takes note that the holder was heard. All shards read when, so that it is not written for each packet.
    pub(super) fn hear(&self, now: Monotonic) {
        if now.since(Monotonic(self.heard_at.load(Ordering::Relaxed))) >= HEARD_PERIOD {
            self.heard_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// The holder has taken its leave.
    pub(super) fn leave(&self, instance: u64) {
        let _ = self.instance.compare_exchange(instance, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_free(&self, holder: u64, timeout: Duration, now: Monotonic) -> bool {
        holder == 0 || now.since(Monotonic(self.heard_at.load(Ordering::Relaxed))) >= timeout
    }
}

/// Timeouts are longer.
const HEARD_PERIOD: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    #[test]
    fn a_second_initiator_waits_until_the_first_is_silent_or_has_left() {
        let (claim, start) = (Claim::default(), Monotonic(5));
        assert!(claim.admits(1, TIMEOUT, start) && claim.admits(2, TIMEOUT, start));
        assert!(claim.take(1, TIMEOUT, start));
        assert!(claim.admits(1, TIMEOUT, start) && !claim.admits(2, TIMEOUT, start));
        assert!(!claim.take(2, TIMEOUT, start.after(TIMEOUT / 2)));
        claim.hear(start.after(TIMEOUT / 2));
        assert!(!claim.take(2, TIMEOUT, start.after(TIMEOUT)));
        assert!(claim.take(2, TIMEOUT, start.after(TIMEOUT * 3 / 2)));
        claim.leave(1);
        assert!(!claim.admits(1, TIMEOUT, start.after(TIMEOUT * 3 / 2)));
        claim.leave(2);
        assert!(claim.admits(1, TIMEOUT, start.after(TIMEOUT * 3 / 2)));
    }
}
