//! The progress: how far a subscriber has read, for whoever watches it. The subscriber is the only writer, once a run; any thread
//! reads.

use crate::counters::{ShardStats, SubscriptionStats};
use crate::event::{Sequence, ShardId};
use crate::sync::{AtomicU64, Ordering};

/// How far one subscriber has read.
pub(crate) struct Progress {
    number: u64,
    /// Of each of its shards the last sequence that was given back; 0 before the first.
    given_back: Box<[(ShardId, AtomicU64)]>,
}

impl Progress {
    /// Of the subscription with this number, before it has read anything.
    pub(crate) fn new(number: u64, shards: &[ShardId]) -> Progress {
        Progress { number, given_back: shards.iter().map(|shard| (*shard, AtomicU64::new(0))).collect() }
    }

    /// The subscriber has given back what came up to `position` from the shard at `index`. One thread at a time.
    #[inline]
    pub(super) fn note(&self, index: usize, position: Option<Sequence>) {
        if let Some(position) = position {
            self.given_back[index].1.store(position.0, Ordering::Relaxed);
        }
    }

    /// How far it is behind these snapshots, which were taken before.
    pub(crate) fn stats(&self, shards: &[ShardStats]) -> SubscriptionStats {
        let lag = |(shard, given_back): &(ShardId, AtomicU64)| {
            // It may have passed the snapshot.
            let settled = shards.get(shard.index()).map_or(0, |stats| stats.settled);
            (*shard, settled.saturating_sub(given_back.load(Ordering::Relaxed)))
        };
        SubscriptionStats { number: self.number, lags: self.given_back.iter().map(lag).collect() }
    }
}
