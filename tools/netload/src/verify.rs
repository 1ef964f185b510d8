//! What verification means: every accepted event came back exactly once, byte for byte, in order.

use crate::bus::Event;

/// Follows what comes back. Fed with every event, in the order of the polls.
pub(crate) trait Verify: Send {
    /// One event that came back; whether it is one that was published, and came for the first time.
    fn event(&mut self, event: &Event<'_>) -> bool;

    /// Everything that was published before has been read, and no producer publishes.
    fn caught_up(&mut self) {}

    /// The verdict; `accepted` has the number of accepted events of each producer.
    fn findings(&self, accepted: &[u64]) -> Findings;
}

/// What did not go as it must. All zero is a clean run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Events that came back, each counted once.
    pub(crate) returned: u64,
    /// Accepted and not come back.
    pub(crate) lost: u64,
    /// Come back once more.
    pub(crate) duplicated: u64,
    /// Come back after an event of the same producer and key that was published later; where there are no keys, of the
    /// same producer and shard.
    pub(crate) out_of_order: u64,
    /// Come back with bytes, or on a shard or with a timestamp, that no accepted event had.
    pub(crate) foreign: u64,
}

impl Findings {
    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        Findings { returned: 0, ..*self } == Findings::default()
    }
}

/// Numbers missing among the ids of each shard's events: the store removed them before they were read.
#[derive(Debug, Default)]
pub(crate) struct IdGaps {
    last: Vec<Option<u64>>,
    missing: u64,
}

impl IdGaps {
    /// Follows `shards` shards.
    pub(crate) fn new(shards: u16) -> IdGaps {
        IdGaps { last: vec![None; usize::from(shards)], missing: 0 }
    }

    /// One event that came back. Ids that are no decimal numbers are passed over.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        let id = std::str::from_utf8(event.id).ok().and_then(|id| id.parse::<u64>().ok());
        let (Some(id), Some(last)) = (id, self.last.get_mut(usize::from(event.receipt.shard))) else {
            return;
        };
        if let Some(last) = *last {
            self.missing += id.saturating_sub(last.saturating_add(1));
        }
        *last = Some(id.max(last.unwrap_or(0)));
    }

    /// How many ids were missing.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bus::Receipt;

    /// An event as a poll would return it.
    pub(crate) fn event(bytes: &[u8], shard: u16, timestamp: u64) -> Event<'_> {
        Event { id: b"1", bytes, receipt: Receipt { shard, timestamp } }
    }

    #[test]
    fn missing_ids_are_counted_per_shard() {
        let mut gaps = IdGaps::new(2);
        for (id, shard) in [("5", 0), ("6", 0), ("1", 1), ("9", 0), ("2", 1)] {
            gaps.event(&Event { id: id.as_bytes(), ..event(b"", shard, 0) });
        }
        assert_eq!(gaps.missing(), 2);
    }
}
