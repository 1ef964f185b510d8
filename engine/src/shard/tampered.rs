//! The stalls of the feature `tampered`: shard 0 sleeps again and again. They are there for the test that `netload` shows them.

use std::thread;
use std::time::Duration;

use crate::event::{Sequence, ShardId};

/// When a shard has slept last.
#[derive(Default)]
pub(super) struct Stalls {
    last: u64,
}

impl Stalls {
    /// Sleeps where what is stored up to `end` makes another thousand on shard 0.
    pub(super) fn after(&mut self, shard: ShardId, end: Sequence) {
        if shard == ShardId(0) && end.0 >= self.last + STALL_EVENTS {
            self.last = end.0;
            thread::sleep(STALL);
        }
    }
}

const STALL_EVENTS: u64 = 1_000;
const STALL: Duration = Duration::from_micros(200);
