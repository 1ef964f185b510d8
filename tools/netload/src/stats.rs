//! The bus's own account: for every shard, ingested = stored + dropped + pending.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part of the statistics that the account is made of.
#[derive(Debug, Deserialize)]
pub(crate) struct Statistics {
    pub(crate) shards: Vec<ShardAccount>,
    /// What the worst of the shards' stores is: `up`, `retrying`, `connecting` or `down`.
    #[serde(default)]
    pub(crate) adapter: String,
    /// What the stores count of their own.
    #[serde(default)]
    pub(crate) adapter_counts: BTreeMap<String, u64>,
}

/// The counters of one shard.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct ShardAccount {
    pub(crate) shard: u16,
    pub(crate) ingested: u64,
    pub(crate) stored: u64,
    /// By reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Left with the caller; no part of `ingested`.
    pub(crate) refused: u64,
    #[serde(rename = "pending_events")]
    pub(crate) pending: u64,
    #[serde(default)]
    pub(crate) pending_bytes: u64,
    /// The most at any moment.
    #[serde(default)]
    pub(crate) pending_bytes_max: u64,
    /// What the shard's store has refused with last, or why it has no connection.
    #[serde(default, skip_serializing)]
    pub(crate) last_error: Option<String>,
}

impl Statistics {
    /// Reads the JSON of `net_stats`.
    pub(crate) fn parse(json: &str) -> serde_json::Result<Statistics> {
        serde_json::from_str(json)
    }

    /// Whether the identity holds on every shard.
    pub(crate) fn is_balanced(&self) -> bool {
        self.shards.iter().all(ShardAccount::is_balanced)
    }

    /// The sum over all shards.
    pub(crate) fn total(&self) -> ShardAccount {
        let mut total = ShardAccount::default();
        for shard in &self.shards {
            total.ingested += shard.ingested;
            total.stored += shard.stored;
            total.refused += shard.refused;
            total.pending += shard.pending;
            for (reason, count) in &shard.dropped {
                *total.dropped.entry(reason.clone()).or_default() += count;
            }
        }
        total
    }
}

impl ShardAccount {
    /// Dropped for any reason.
    pub(crate) fn dropped_count(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether the identity holds.
    pub(crate) fn is_balanced(&self) -> bool {
        self.ingested == self.stored + self.dropped_count() + self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_balances_only_when_the_terms_add_up_on_every_shard() {
        let json = |pending: u64| {
            format!(
                r#"{{"shards":[{{"shard":0,"ingested":10,"stored":6,"dropped":{{"oldest":1,"newest":1}},"refused":9,
                    "pending_events":2,"other":0}},
                    {{"shard":1,"ingested":5,"stored":3,"dropped":{{}},"refused":0,"pending_events":{pending}}}]}}"#
            )
        };
        let balanced = Statistics::parse(&json(2)).expect("valid");
        assert!(balanced.is_balanced());
        assert_eq!((balanced.total().ingested, balanced.total().dropped_count()), (15, 2));
        assert!(!Statistics::parse(&json(1)).expect("valid").is_balanced());
    }
}
