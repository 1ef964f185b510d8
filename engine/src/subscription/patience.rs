//! The patience of one call that waits for events: first it looks, then it sleeps.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::config::Idle;
use crate::shared::{Shared, Spinner};

/// How long one call waits.
pub(super) struct Patience {
    pub(super) spins_until: Monotonic,
    /// Held while it spins.
    pub(super) spinner: Option<Spinner>,
    /// `None` is for ever.
    deadline: Option<Monotonic>,
}

impl Patience {
    pub(super) fn new(shared: &Shared, now: Monotonic, timeout: Option<Duration>) -> Patience {
        let wants = shared.config.idle != Idle::Park && timeout != Some(Duration::ZERO);
        let spinner = wants.then(|| shared.spinner()).flatten();
        let spin = if spinner.is_some() { shared.config.spin } else { Duration::ZERO };
        Patience {
            spins_until: now.after(timeout.map_or(spin, |timeout| timeout.min(spin))),
            spinner,
            deadline: timeout.map(|timeout| now.after(timeout)),
        }
    }

    pub(super) fn left(&self, now: Monotonic) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(now))
    }
}
