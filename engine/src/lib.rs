//! The engine of libnet: an event bus inside the process.
//!
//! A producer pushes events into its lane to a shard; the shard drains its lanes, appends to a batch, submits it to its
//! adapter and hears the acknowledgement; readers ask the shards and merge. The flow and its laws are drawn in
//! `ARCHITECTURE.md` beside this crate.
//!
//! Invariants, and what breaks with each:
//! - One owner. A lane has one writer and one reader, a shard's state is touched by its thread only. Break it and the
//!   lane's unsafe code is unsound.
//! - Positions never wrap and sequences are never reused. Break it and barriers are passed early, cursors skip events.
//! - One batch in flight per shard, or several of a store that keeps their order and refuses none. Break it and a retry reorders events.
//! - No preempt timer of the executor ever fires. Break it and shards sleep through their work.
//! - `ingested = stored + dropped + pending` in every snapshot. Break it and operators are lied to.

// Modules in the order in which data flows through them.
pub mod config;
pub mod event;
pub mod clock;
pub mod route;
pub mod producer;
/// Not part of the interface: public for the benches only.
#[doc(hidden)]
pub mod lane;
mod doorbell;
mod port;
pub mod batch;
mod shard;
mod sequence_lock;
pub mod histogram;
pub mod counters;
mod board;
mod inquiry;
pub mod adapter;
pub mod layouts;
pub mod consume;
pub mod subscription;
pub mod duty;
mod executor;
pub mod worker;
mod bridge;
mod crew;
mod gather;
pub mod bus;
mod shared;
pub mod identity;
pub mod cores;
pub mod platform;
mod os;
#[doc(hidden)]
pub mod planted;
#[doc(hidden)]
pub mod sync;
#[cfg(all(any(test, fuzzing), not(loom)))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(test, not(loom)))]
mod simulation;
