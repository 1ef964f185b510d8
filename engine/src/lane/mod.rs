//! The lane: the single-producer single-consumer way from one thread to one shard.

pub(crate) mod record;
