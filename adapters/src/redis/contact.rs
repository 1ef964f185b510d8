//! The first contact: asked before the shards start, on the thread that starts the bus.

use std::num::NonZeroU16;
use std::time::Instant;

use engine::adapter::AdapterError;
use redis::{Value, from_redis_value};

use super::client::{Client, Refusal};
use super::config::RedisConfig;
use super::session::STREAMS_FIELD;

/// How many streams there are; `None` when there are none yet, or the server cannot be reached.
pub(super) fn stream_count(config: &RedisConfig) -> Result<Option<NonZeroU16>, AdapterError> {
    match ask(config) {
        Ok(reply) => match from_redis_value::<Option<u16>>(reply) {
            Ok(count) => Ok(count.and_then(NonZeroU16::new)),
            Err(error) => Err(AdapterError::Final(error.to_string())),
        },
        Err(Refusal::Ended(ended)) if !ended.is_final => Ok(None),
        Err(Refusal::Answer { code, .. }) if AWAY.contains(&code.as_str()) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

fn ask(config: &RedisConfig) -> Result<Value, Refusal> {
    let deadline = Instant::now() + config.connect_timeout;
    let mut client = Client::connect(config, &config.server.address, deadline)?;
    client.ask(|command| command.arg("HGET").arg(config.meta_key()).arg(STREAMS_FIELD))
}

/// What a server says that will answer later.
const AWAY: [&str; 3] = ["LOADING", "MASTERDOWN", "CLUSTERDOWN"];
