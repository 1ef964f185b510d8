//! The first contact: asked before the shards start, on the thread that starts the bus.

use std::num::NonZeroU16;

use engine::adapter::AdapterError;
use redis::{Client, ErrorKind, RedisError};

use super::config::RedisConfig;
use super::session::STREAMS_FIELD;

/// How many streams there are; `None` when there are none yet, or the server cannot be reached.
pub(super) fn stream_count(config: &RedisConfig) -> Result<Option<NonZeroU16>, AdapterError> {
    match ask(config) {
        Ok(count) => Ok(count.and_then(NonZeroU16::new)),
        Err(error) if error.is_io_error() || error.kind() == ErrorKind::Io => Ok(None),
        Err(error) if matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN")) => Ok(None),
        Err(error) => Err(AdapterError::Final(error.to_string())),
    }
}

fn ask(config: &RedisConfig) -> Result<Option<u16>, RedisError> {
    let client = Client::open(config.server.connection.clone())?;
    let mut connection = client.get_connection_with_timeout(config.connect_timeout)?;
    connection.set_read_timeout(Some(config.connect_timeout))?;
    redis::cmd("HGET").arg(config.meta_key()).arg(STREAMS_FIELD).query(&mut connection)
}
