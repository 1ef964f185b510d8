//! The nouns of the bus: shards, sequences, receipts, and an event as a reader sees it.

use std::fmt;

/// Number of a shard within its bus, from 0. A number is never given to another shard of the same bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard's place in a vector that holds one element per shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event in its shard's total order, from 1. A sequence names one event for ever: a retry keeps it,
/// and an event that was refused for good takes it to its grave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first sequence of a shard that has stored nothing yet.
    pub const FIRST: Sequence = Sequence(1);

    /// The sequence `count` events further on; saturates.
    #[must_use]
    pub fn advanced_by(self, count: u64) -> Sequence {
        Sequence(self.0.saturating_add(count))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a producer is told about an accepted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The shard that orders the event.
    pub shard: ShardId,
    /// Insertion time, nanoseconds since the Unix epoch, strictly increasing per producer.
    pub timestamp_ns: u64,
}

/// Marks that travel with an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFlags(pub(crate) u32);

impl EventFlags {
    /// No marks.
    pub const NONE: EventFlags = EventFlags(0);
    /// The payload was parsed as one JSON document before it was accepted, so a reader need not check it again.
    pub const JSON: EventFlags = EventFlags(1);

    /// Whether every mark of `other` is set.
    pub fn contains(self, other: EventFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A stored event, borrowed from the batch it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its place in the shard's order.
    pub sequence: Sequence,
    /// Insertion time, nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// `xxh3_64` of the routing key, or of the payload where no key was given.
    pub hash: u64,
    /// Marks set on the way in.
    pub flags: EventFlags,
    /// The bytes as they were published.
    pub payload: &'a [u8],
    /// The routing key as it was given, which may be empty. `None` where none was given, and where the store does not
    /// [want keys](crate::adapter::AdapterFactory::wants_keys).
    pub key: Option<&'a [u8]>,
}
