//! The lane: the single-producer single-consumer way from one thread to one shard. The data path's unsafe code is here.

pub(crate) mod record;
mod ring;
mod producer;
mod claim;
mod run;
mod consumer;
#[cfg(all(test, loom))]
mod model;
#[cfg(test)]
mod tests;

pub use consumer::{LaneConsumer, LaneCounts, LaneWitness, Run};
pub use producer::{Full, LaneProducer};
pub use record::Header;
pub use ring::{LaneBudget, lane};

/// A larger share of its lane than this many-th no event takes: beyond, it travels as a boxed block.
pub(crate) const BOXED_FROM_LANE_SHARE: usize = 4;
