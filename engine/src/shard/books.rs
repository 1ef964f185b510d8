//! The books: what a shard counts of itself besides what its stages do, and the snapshot that is made of all of it.

use std::time::Duration;

use super::Shard;
use super::buffer::Amount;
use crate::clock::Monotonic;
use crate::counters::ShardStats;

/// The shard's own counts.
pub(super) struct Books {
    /// When the last snapshot was published.
    pub(super) published_at: Monotonic,
    parks: u64,
    pending_events_max: u64,
    pending_bytes_max: u64,
}

impl Default for Books {
    fn default() -> Books {
        Books { published_at: Monotonic(0), parks: 0, pending_events_max: 0, pending_bytes_max: 0 }
    }
}

impl Books {
    /// Whether a snapshot is due.
    #[inline]
    pub(super) fn are_due(&self, now: Monotonic) -> bool {
        now.since(self.published_at) >= SNAPSHOT_PERIOD
    }

    /// The shard is about to sleep.
    pub(super) fn count_park(&mut self) {
        self.parks += 1;
    }

    /// The shard holds this much after a drain.
    #[inline]
    pub(super) fn note_held(&mut self, held: Amount) {
        self.note_pending(held.events as u64, held.bytes as u64);
    }

    #[inline]
    fn note_pending(&mut self, events: u64, bytes: u64) {
        self.pending_events_max = self.pending_events_max.max(events);
        self.pending_bytes_max = self.pending_bytes_max.max(bytes);
    }
}

impl Shard {
    /// Puts on the board what everybody has counted, and what the adapter has refused with.
    pub(super) fn publish_snapshot(&mut self, now: Monotonic) {
        self.intake.retire();
        let held = self.buffer.held();
        let mut stats = ShardStats {
            pending_events: held.events as u64,
            pending_bytes: held.bytes as u64,
            parks: self.books.parks,
            ..ShardStats::default()
        };
        stats.dropped.shutdown = self.dropped_at_shutdown;
        self.intake.count(&mut stats);
        self.outbox.count(&mut stats);
        self.served.count(&mut stats);
        self.books.published_at = now;
        self.books.note_pending(stats.pending_events, stats.pending_bytes);
        stats.pending_events_max = self.books.pending_events_max;
        stats.pending_bytes_max = self.books.pending_bytes_max;
        let error = self.outbox.take_error();
        let board = &self.port().board;
        board.publish(&stats);
        if let Some(error) = error {
            board.publish_error(&error);
        }
    }
}

/// How old a snapshot gets while the shard is awake.
const SNAPSHOT_PERIOD: Duration = Duration::from_millis(1);
