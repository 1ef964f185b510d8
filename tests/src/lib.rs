//! The harness of the property tests: C programs, stores that a test controls, and what the tests share.
//!
//! Nothing here sleeps to synchronise or bounds a time from above to judge correctness. What can only be observed is
//! awaited with [`until`], whose limit exists so that a hang becomes a failure. Randomness comes from [`Random`], whose
//! seed a failing test prints.

pub mod authority;
pub mod bus;
pub mod c;
pub mod cluster;
pub mod documents;
pub mod echo;
pub mod flood;
pub mod load;
pub mod installed;
pub mod log;
pub mod mounted;
pub mod netns;
pub mod openmetrics;
pub mod pair;
pub mod procfs;
pub mod proxy;
pub mod python;
pub mod random;
pub mod redis;
pub mod snapshots;
pub mod store;
pub mod subscriber;
pub mod udp_proxy;

pub use bus::{assert_sums, config, key_of, read_all, start};
pub use random::Random;
pub use subscriber::{Received, is_empty, receive, subscribe};

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Waits until `condition` holds. A condition that does not come true is a hang, and fails with `what`.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + HANG;
    while !condition() {
        assert!(Instant::now() < give_up, "hung: {what}");
        std::thread::yield_now();
    }
}

/// Sets its word when it is dropped: threads that go on until then end also when the test that waits for them fails.
#[derive(Debug)]
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Longer than anything here takes, however busy the machine is.
pub const HANG: Duration = Duration::from_mins(1);
