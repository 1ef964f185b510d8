//! Counters: what a shard has counted, published as one consistent snapshot. The shard is the only writer; any thread
//! reads without stalling it.

use crate::sequence_lock::SequenceLock;

/// What one shard has counted since it started, in events unless said otherwise. In every snapshot
/// `ingested = stored + dropped + pending_events`, each term counted on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Accepted into a lane, or dropped at one.
    pub ingested: u64,
    /// Acknowledged by the adapter.
    pub stored: u64,
    /// Given up, by reason.
    pub dropped: Dropped,
    /// Left with the producer for want of room; not part of `ingested`.
    pub refused: u64,
    /// In lanes, in the buffer, or in flight.
    pub pending_events: u64,
    /// Bytes of records in lanes, in the buffer, or in flight.
    pub pending_bytes: u64,
    /// Batches acknowledged by the adapter.
    pub batches: u64,
    /// Submissions repeated after a refusal or a timeout.
    pub retries: u64,
    /// Lanes open now.
    pub lanes: u64,
    /// Times the shard went to sleep.
    pub parks: u64,
}

/// Events given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Evicted by `DropOldest`, or by `Sample` for an admitted event.
    pub oldest: u64,
    /// Given up at the lane by `DropNewest`.
    pub newest: u64,
    /// Not admitted by `Sample`.
    pub sampled: u64,
    /// Refused for good by the adapter, or retried as often as `adapter_batch_retries` allows.
    pub adapter: u64,
    /// Not stored within the shutdown's deadline.
    pub shutdown: u64,
}

impl Dropped {
    /// Events given up for any reason.
    pub fn total(self) -> u64 {
        self.oldest + self.newest + self.sampled + self.adapter + self.shutdown
    }
}

impl ShardStats {
    /// Adds what another shard counted.
    pub fn add(&mut self, other: &ShardStats) {
        let (ours, theirs) = (self.words(), other.words());
        *self = ShardStats::from_words(std::array::from_fn(|at| ours[at] + theirs[at]));
    }

    fn words(&self) -> [u64; WORDS] {
        let Dropped { oldest, newest, sampled, adapter, shutdown } = self.dropped;
        [
            self.ingested,
            self.stored,
            oldest,
            newest,
            sampled,
            adapter,
            shutdown,
            self.refused,
            self.pending_events,
            self.pending_bytes,
            self.batches,
            self.retries,
            self.lanes,
            self.parks,
        ]
    }

    fn from_words(words: [u64; WORDS]) -> ShardStats {
        let [
            ingested,
            stored,
            oldest,
            newest,
            sampled,
            adapter,
            shutdown,
            refused,
            pending_events,
            pending_bytes,
            batches,
            retries,
            lanes,
            parks,
        ] = words;
        ShardStats {
            ingested,
            stored,
            dropped: Dropped { oldest, newest, sampled, adapter, shutdown },
            refused,
            pending_events,
            pending_bytes,
            batches,
            retries,
            lanes,
            parks,
        }
    }
}

/// Where a shard's snapshot is published.
#[derive(Debug, Default)]
pub(crate) struct Board(SequenceLock<WORDS>);

impl Board {
    /// Publishes a snapshot. One thread only.
    pub(crate) fn publish(&self, stats: &ShardStats) {
        self.0.publish(stats.words());
    }

    /// The snapshot last published.
    pub(crate) fn read(&self) -> ShardStats {
        ShardStats::from_words(self.0.read())
    }
}

const WORDS: usize = 14;
