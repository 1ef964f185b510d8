//! The duty: what a thread of the library's own does, as a synchronous state machine that takes `now`.
//!
//! `executor.rs` drives it: rounds while there is work, passes over the reactor while the kernel owes completions, and
//! sleep when there is nothing to do. A shard is one duty; a [`worker`](crate::worker) gives a thread to any other.

use std::time::Duration;

use crate::adapter::Closing;
use crate::clock::Monotonic;

/// What a thread does. Used on that thread only; dispatched statically, so that a round costs no indirect call.
pub trait Duty: 'static {
    /// One round: does what can be done now, and never waits.
    fn round(&mut self, now: Monotonic) -> Round;

    /// The last look before sleeping: whether a round would find work. `true` is always safe.
    fn has_work(&self) -> bool;

    /// When a round is due although nobody rings.
    fn due(&self) -> Option<Monotonic>;

    /// Whether the kernel owes completions, so that the executor has to look for them.
    fn is_outstanding(&self) -> bool;

    /// How long it is driven on without work before it sleeps.
    fn spin_budget(&self) -> Duration;

    /// It is about to sleep.
    fn rest(&mut self, now: Monotonic);

    /// It was asleep and goes on.
    fn woken(&self) {}

    /// Ends a duty whose last round was [`finished`](Round::finished). The thread's executor ends when what it gives has.
    fn end(self) -> Option<Closing>;
}

/// What a round has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Things done: events read, batches submitted, outcomes heard, requests answered. Zero means that it may rest.
    pub work: usize,
    /// Whether something may have gone to the kernel: a batch, a read, a sync.
    pub submitted: bool,
    /// Everything is done or given up, and the duty is to be ended.
    pub finished: bool,
}
