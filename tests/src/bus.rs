//! Buses as the tests use them.

use engine::adapter::AdapterFactory;
use engine::bus::{Bus, Stats};
use engine::config::Config;
use engine::consume::request::PollRequest;
use engine::event::ShardId;
use engine::route::{routing_hash, shard_of};

/// The configuration that `json` describes.
pub fn config(json: &str) -> Config {
    Config::parse(json, &[]).expect("a test's configuration is right").0
}

/// A bus of this configuration that stores into `stores`.
pub fn start(json: &str, stores: impl AdapterFactory) -> Bus {
    Bus::start(config(json), Box::new(stores)).expect("the bus starts")
}

/// Everything that is stored, read with polls of `limit` events until nothing is left to examine.
pub fn read_all(bus: &Bus, limit: usize) -> Vec<(ShardId, Vec<u8>)> {
    let mut request = PollRequest { limit, ..PollRequest::default() };
    let mut events = Vec::new();
    loop {
        let response = bus.poll(&request).expect("the shards answer");
        assert!(response.failed_shards.is_empty(), "{:?}", response.failed_shards);
        events.extend(response.events().map(|(shard, event)| (shard, event.payload.to_vec())));
        if !response.has_more {
            return events;
        }
        assert_ne!(response.next_cursor, request.cursor, "a poll with more to examine moves its cursor");
        request.cursor = response.next_cursor;
    }
}

/// A routing key that leads to `shard` of a bus of `shards` shards.
pub fn key_of(shard: u16, shards: u16) -> [u8; 4] {
    let mut keys = (0u32..).map(u32::to_le_bytes);
    keys.find(|key| shard_of(routing_hash(Some(key), b""), shards) == ShardId(shard))
        .expect("every shard has keys")
}

/// Law 4: in every snapshot of every shard, ingested = stored + dropped + pending.
pub fn assert_sums(stats: &Stats) {
    for (shard, counted) in stats.shards.iter().enumerate() {
        let accounted = counted.stored + counted.dropped.total() + counted.pending_events;
        assert_eq!(counted.ingested, accounted, "shard {shard}: {counted:?}");
    }
}
