//! Barriers: flushes that wait for positions, not for counts.
//!
//! A barrier notes how far each lane was published when it came. Once the lanes were read that far it notes the
//! buffer's end, and once everything before that is settled it asks the store to sync. Later traffic can neither
//! satisfy nor delay it.

use crossbeam_channel::Sender;

use super::buffer::Buffer;
use super::intake::{Intake, LaneId};
use super::outbox::Outbox;
use crate::adapter::AdapterError;
use crate::clock::Monotonic;
use crate::event::ShardId;
use crate::port::Flushed;

/// The barriers that a shard has not answered yet.
pub(crate) struct Barriers {
    shard: ShardId,
    waiting: Vec<Barrier>,
}

struct Barrier {
    stage: Stage,
    deadline: Monotonic,
    answer: Sender<(ShardId, Flushed)>,
}

enum Stage {
    /// Lanes with the position up to which they must be read.
    Lanes(Vec<(LaneId, u64)>),
    /// The position before which everything must be settled.
    Buffer(u64),
    /// The sync that was asked for.
    Sync(u64),
}

impl Barriers {
    pub(crate) fn new(shard: ShardId) -> Barriers {
        Barriers { shard, waiting: Vec::new() }
    }

    /// Sets a barrier behind everything published by now.
    pub(crate) fn set(&mut self, intake: &Intake, deadline: Monotonic, answer: Sender<(ShardId, Flushed)>) {
        self.waiting.push(Barrier { stage: Stage::Lanes(intake.positions()), deadline, answer });
    }

    /// Moves every barrier as far as it goes, and forgets those whose deadline has passed: their callers have gone.
    /// Whether one has started its sync.
    pub(crate) fn advance(
        &mut self,
        intake: &Intake,
        buffer: &Buffer,
        outbox: &mut Outbox,
        now: Monotonic,
    ) -> bool {
        let mut started = false;
        self.waiting.retain(|barrier| now < barrier.deadline);
        let settled = outbox.front().unwrap_or_else(|| buffer.front());
        for barrier in &mut self.waiting {
            if let Stage::Lanes(lanes) = &mut barrier.stage {
                lanes.retain(|&(lane, position)| {
                    !crate::planted!("13-a-flush-forgets-lanes") && !intake.has_passed(lane, position)
                });
                if lanes.is_empty() {
                    barrier.stage = Stage::Buffer(buffer.end());
                }
            }
            if let Stage::Buffer(position) = barrier.stage
                && (settled >= position || crate::planted!("13-a-flush-waits-for-nothing"))
            {
                barrier.stage = Stage::Sync(outbox.sync(now));
                started = true;
            }
        }
        started
    }

    /// A sync has ended: answers the barrier that asked for it.
    pub(crate) fn synced(&mut self, ticket: u64, result: &Result<(), AdapterError>, refused: u64) {
        let Some(index) = self.waiting.iter().position(|barrier| barrier.stage.is_sync(ticket)) else {
            return;
        };
        let barrier = self.waiting.swap_remove(index);
        // The channel has room for one answer of each shard; a caller that has gone needs none.
        let synced = if crate::planted!("13-a-failed-sync-is-not-told") { Ok(()) } else { result.clone() };
        let _ = barrier.answer.try_send((self.shard, Flushed { refused, synced }));
    }

    /// Whether a barrier waits, so that a batch is not held back for `min_size`.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next barrier is forgotten.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        self.waiting.iter().map(|barrier| barrier.deadline).min()
    }
}

impl Stage {
    fn is_sync(&self, ticket: u64) -> bool {
        matches!(self, Stage::Sync(asked) if *asked == ticket)
    }
}
