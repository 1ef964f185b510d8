//! The shard.
