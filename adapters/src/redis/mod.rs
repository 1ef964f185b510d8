//! Redis Streams: each shard appends its events to a stream over a connection of its own, and reads them back.
//!
//! An event is an entry with the fields `d` (its bytes), `t` (its insertion time in nanoseconds since the Unix epoch), `k` (its
//! routing key, any bytes, where one was given) and `dedup_id` (`{producer}:{shard}:{first sequence of the transaction}:{place in it}`),
//! which names it for ever. Others may write to the same streams, buses or not; what is no event is passed over and counted.

mod append;
mod block;
mod client;
mod cluster;
mod command;
mod config;
mod connect;
mod connection;
mod contact;
mod entry;
mod greeting;
mod io;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod link;
mod listener;
mod portion;
mod reader;
mod reads;
mod received;
mod refusal;
mod reply;
mod resolve;
mod session;
mod store;
mod streams;
mod suspects;
mod tls;
mod trust;
mod writer;

use std::num::NonZeroU16;
use std::sync::Arc;

use engine::adapter::{Adapter, AdapterError, AdapterFactory, ShardContext, Streams};
use engine::counters::CountName;
use xxhash_rust::xxh3::xxh3_64;

pub use config::RedisConfig;
use store::RedisStore;

/// Makes the stores of one bus.
#[derive(Debug)]
pub struct RedisStores {
    config: Arc<RedisConfig>,
    streams: NonZeroU16,
}

impl RedisStores {
    /// Stores for a bus of `shards` shards. Asks the server how many streams there are, for `connect_timeout_ms` at most; where it
    /// cannot be reached, there are as many as shards until it says otherwise. What it refuses is an error.
    pub fn new(config: RedisConfig, shards: NonZeroU16) -> Result<RedisStores, AdapterError> {
        let streams = contact::stream_count(&config)?.unwrap_or(shards);
        Ok(RedisStores { config: Arc::new(config), streams })
    }
}

impl AdapterFactory for RedisStores {
    fn tag(&self) -> &'static str {
        "redis"
    }

    /// Another process that reads the same streams understands this one's cursors.
    fn incarnation(&self) -> u64 {
        xxh3_64(self.config.prefix.as_bytes())
    }

    fn streams(&self) -> Streams {
        Streams::Shared(self.streams)
    }

    fn count_names(&self) -> &'static [CountName] {
        &COUNT_NAMES
    }

    /// They are fields of the entries.
    fn wants_keys(&self) -> bool {
        true
    }

    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        Ok(Box::new(RedisStore::new(Arc::clone(&self.config), self.streams.get(), context)))
    }
}

/// None but `reconnects` and `passed_over` should ever rise.
const COUNT_NAMES: [CountName; 6] = [
    CountName::new(
        "lost_by_server",
        "Events that the server had confirmed and has no more, as after a failover to a replica that lacked them; those refused in \
         between count too.",
    ),
    CountName::new("maybe_twice", "Events sent again although they may be there already."),
    CountName::new(
        "refused_for_memory",
        "Transactions refused because the server's memory is full; they are tried again.",
    ),
    CountName::new("passed_over", "Entries read that no bus has written."),
    CountName::new(
        "kills_denied",
        "Old connections that the server did not let the bus kill, or tell from others': allow CLIENT KILL and INFO.",
    ),
    CountName::new(
        "reconnects",
        "Connections that ended, could not be made, or that a node sent to another.",
    ),
];
