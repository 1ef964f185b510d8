//! Counters: what a shard has counted, and what is known of each subscription.

use crate::adapter::AdapterState;
use crate::event::ShardId;
use crate::histogram::{HISTOGRAM_WORDS, Histogram};

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
    /// Made readable to subscribers, counted for each of them; not part of `ingested`.
    pub delivered: u64,
    /// In lanes, in the buffer, or in flight.
    pub pending_events: u64,
    /// Bytes of records in lanes, in the buffer, or in flight.
    pub pending_bytes: u64,
    /// Most events that were pending when the shard looked: after each drain at those it holds, and at each snapshot also at
    /// those in lanes. In a sum over shards the sum of theirs, which may lie at different times.
    pub pending_events_max: u64,
    /// The same in bytes of records.
    pub pending_bytes_max: u64,
    /// Batches acknowledged by the adapter.
    pub batches: u64,
    /// Submissions repeated after a refusal or a timeout.
    pub retries: u64,
    /// Lanes open now.
    pub lanes: u64,
    /// Times the shard went to sleep.
    pub parks: u64,
    /// The last sequence that was stored or refused for good. In a sum over shards the highest.
    pub settled: u64,
    /// How the adapter stands to its backend. In a sum over shards the worst.
    pub adapter: AdapterState,
    /// What the adapter counts besides, under the names that its factory has for them.
    pub adapter_counts: AdapterCounts,
    /// Events of each batch that was acknowledged.
    pub batch_events: Histogram,
    /// Nanoseconds from the submission of each such batch, its last one, to its acknowledgement, by the clock that a round of the
    /// shard reads once: a store that acknowledges at once takes none.
    pub submit_latency_ns: Histogram,
}

/// Counts of an adapter's own.
pub type AdapterCounts = [u64; ADAPTER_COUNTS_MAX];

/// What one of an adapter's own counts is called, and what it says: a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountName {
    /// `[a-z_]+`.
    pub name: &'static str,
    /// For operators.
    pub meaning: &'static str,
}

impl CountName {
    /// The name of a count.
    pub const fn new(name: &'static str, meaning: &'static str) -> CountName {
        CountName { name, meaning }
    }
}

/// The counts of an adapter that has fewer of them.
pub fn adapter_counts<const COUNT: usize>(counts: [u64; COUNT]) -> AdapterCounts {
    let mut all = AdapterCounts::default();
    all[..COUNT].copy_from_slice(&counts);
    all
}

/// How many of them there are at most.
pub const ADAPTER_COUNTS_MAX: usize = 28;

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
        self.by_reason().iter().map(|(_, events)| events).sum()
    }

    /// The name of each reason, and how many events were given up for it.
    pub fn by_reason(self) -> [(&'static str, u64); 5] {
        let Dropped { oldest, newest, sampled, adapter, shutdown } = self;
        [
            ("oldest", oldest),
            ("newest", newest),
            ("sampled", sampled),
            ("adapter", adapter),
            ("shutdown", shutdown),
        ]
    }
}

/// An open subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// Its number: those of a bus are numbered from 1 on, in the order in which they were opened.
    pub number: u64,
    /// For each shard that it hears, how many sequences lie between the event that the subscriber has given back last and the shard's
    /// [`settled`](ShardStats::settled). A subscriber that begins with the oldest event and has read nothing is
    /// behind everything that the shard ever numbered.
    pub lags: Vec<(ShardId, u64)>,
}

impl SubscriptionStats {
    /// How far it is behind on all its shards together.
    pub fn lag_events(&self) -> u64 {
        self.lags.iter().map(|(_, lag)| lag).sum()
    }
}

impl ShardStats {
    /// Adds what another shard counted.
    pub fn add(&mut self, other: &ShardStats) {
        let (ours, theirs) = (self.scalars(), other.scalars());
        let (mut batch_events, mut submit_latency_ns) = (self.batch_events, self.submit_latency_ns);
        batch_events.add(&other.batch_events);
        submit_latency_ns.add(&other.submit_latency_ns);
        *self = ShardStats {
            settled: self.settled.max(other.settled),
            adapter: self.adapter.max(other.adapter),
            batch_events,
            submit_latency_ns,
            ..ShardStats::from_scalars(&std::array::from_fn(|at| ours[at] + theirs[at]))
        };
    }

    pub(crate) fn words(&self) -> [u64; STATS_WORDS] {
        let mut words = [0; STATS_WORDS];
        let (scalars, histograms) = words.split_at_mut(SCALARS);
        let (batch_events, submit_latency_ns) = histograms.split_at_mut(HISTOGRAM_WORDS);
        scalars.copy_from_slice(&self.scalars());
        batch_events.copy_from_slice(&self.batch_events.words());
        submit_latency_ns.copy_from_slice(&self.submit_latency_ns.words());
        words
    }

    pub(crate) fn from_words(words: &[u64; STATS_WORDS]) -> ShardStats {
        let histogram = |at| Histogram::from_words(&std::array::from_fn(|word| words[at + word]));
        ShardStats {
            batch_events: histogram(SCALARS),
            submit_latency_ns: histogram(SCALARS + HISTOGRAM_WORDS),
            ..ShardStats::from_scalars(&std::array::from_fn(|at| words[at]))
        }
    }

    fn scalars(&self) -> [u64; SCALARS] {
        let Dropped { oldest, newest, sampled, adapter, shutdown } = self.dropped;
        let ours = [
            self.ingested,
            self.stored,
            oldest,
            newest,
            sampled,
            adapter,
            shutdown,
            self.refused,
            self.delivered,
            self.pending_events,
            self.pending_bytes,
            self.pending_events_max,
            self.pending_bytes_max,
            self.batches,
            self.retries,
            self.lanes,
            self.parks,
            self.settled,
            self.adapter as u64,
        ];
        let mut scalars = [0; SCALARS];
        let (first, adapter_counts) = scalars.split_at_mut(ours.len());
        first.copy_from_slice(&ours);
        adapter_counts.copy_from_slice(&self.adapter_counts);
        scalars
    }

    fn from_scalars(scalars: &[u64; SCALARS]) -> ShardStats {
        let [
            ingested,
            stored,
            oldest,
            newest,
            sampled,
            adapter_dropped,
            shutdown,
            refused,
            delivered,
            pending_events,
            pending_bytes,
            pending_events_max,
            pending_bytes_max,
            batches,
            retries,
            lanes,
            parks,
            settled,
            adapter,
            adapter_counts @ ..,
        ] = *scalars;
        ShardStats {
            ingested,
            stored,
            dropped: Dropped { oldest, newest, sampled, adapter: adapter_dropped, shutdown },
            refused,
            delivered,
            pending_events,
            pending_bytes,
            pending_events_max,
            pending_bytes_max,
            batches,
            retries,
            lanes,
            parks,
            settled,
            adapter: AdapterState::from_word(adapter),
            adapter_counts,
            ..ShardStats::default()
        }
    }
}

const SCALARS: usize = 19 + ADAPTER_COUNTS_MAX;
/// Words that a snapshot is published as.
pub(crate) const STATS_WORDS: usize = SCALARS + 2 * HISTOGRAM_WORDS;
