//! Reading: cursors, filters, and the merge of the shards' heads into one answer. Synchronous; the blocks of events
//! come in as arguments.

pub mod cursor;
pub mod filter;
mod json;
pub mod merge;
pub mod request;
pub mod subscribe;

use crate::adapter::ReadBlock;
use crate::event::{Event, ShardId};

/// The answer to a poll: events picked from the blocks they came in, which are not copied again.
#[derive(Debug, Default)]
pub struct PollResponse {
    pub(crate) blocks: Vec<(ShardId, ReadBlock)>,
    /// The events of the answer, in its order: index of the block, index of the event in it.
    pub(crate) picked: Vec<(u32, u32)>,
    /// Cursor to poll with next. `None` when nothing was ever examined and none was given.
    pub next_cursor: Option<String>,
    /// False only when nothing is left to examine.
    pub has_more: bool,
    /// Events that retention removed before this poll could read them, on the shards that had a position.
    pub skipped: u64,
    /// Stored records passed over because they are corrupt or not this bus's.
    pub passed_over: u64,
    /// Shards that did not answer, ascending. Their part of the cursor did not move.
    pub failed_shards: Vec<ShardId>,
}

impl PollResponse {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.picked.len()
    }

    /// Whether there is no event in it.
    pub fn is_empty(&self) -> bool {
        self.picked.is_empty()
    }

    /// The events in the order of the answer, each with its shard.
    pub fn events(&self) -> impl ExactSizeIterator<Item = (ShardId, Event<'_>)> {
        self.picked.iter().map(|&(block, index)| {
            let (shard, block) = &self.blocks[block as usize];
            (*shard, block.batch.event(index as usize))
        })
    }
}
