//! What goes wrong in the simulation, counted: a run in which something never went wrong shows nothing about it.

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A store takes no batches for a while.
    Stall,
    /// A batch is refused for now.
    Refused,
    /// The same, with some of it stored, which is said.
    RefusedInPart,
    /// The same, with some of it stored, which is not said.
    RefusedAndStored,
    /// The rest of a batch is refused for good.
    RefusedForGood,
    /// A batch is stored in part or as a whole, and nobody hears of it.
    AnswerLost,
    AnsweredTwice,
    /// A batch is taken back, its outcome unknown.
    Cancelled,
    ReadFailed,
    ReadLost,
    SyncFailed,
    /// Retention has removed events.
    Removed,
    /// A reader was told that retention has overtaken it.
    Overtaken,
    /// A subscriber has so much to read that its lane cannot hold it.
    SlowReader,
    /// Stored events cannot be read any more.
    Damaged,
    /// The wall clock jumps.
    ClockJump,
    /// A producer is refused, or its event dropped, for want of room.
    Full,
    /// A thread that publishes ends.
    ProducerGone,
    SubscriberGone,
    /// The bus is shut down while faults go on.
    ShutDown,
    /// A shutdown gives events up.
    GivenUp,
}

/// How often each went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults([u64; Fault::GivenUp as usize + 1]);

impl Faults {
    pub(super) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    pub(super) fn add(&mut self, other: &Faults) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Whether everything has gone wrong at least once.
    pub(super) fn are_all(&self) -> bool {
        self.0.iter().all(|&count| count > 0)
    }
}
