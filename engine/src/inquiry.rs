//! The inquiry: how a reader asks a shard for a snapshot of now. Both sides count; nothing is handed over, so that the shard
//! waits for no reader, however many there are or wherever they stand still, and one snapshot answers all who have asked.

use crate::sync::{AtomicU64, CachePadded, Ordering};

/// What was asked of one shard, and what it has answered.
#[derive(Debug, Default)]
pub(crate) struct Inquiry {
    asked: CachePadded<AtomicU64>,
    answered: CachePadded<AtomicU64>,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question(u64);

impl Inquiry {
    /// Asks. The shard hears of it by its doorbell, which is to be rung after this.
    pub(crate) fn ask(&self) -> Question {
        // Release: pairs with the acquire in `open`, so that who answers this question sees what came before it.
        Question(self.asked.fetch_add(1, Ordering::Release) + 1)
    }

    /// The last question that is not answered yet, if any. For the shard, after it has heard its doorbell.
    pub(crate) fn open(&self) -> Option<Question> {
        let asked = self.asked.load(Ordering::Acquire);
        (self.answered.load(Ordering::Relaxed) != asked).then_some(Question(asked))
    }

    /// Answers this question and those before it. For the shard, after it has published a snapshot.
    pub(crate) fn answer(&self, question: Question) {
        // Release: pairs with the acquire in `is_answered`, so that whoever sees the answer sees the snapshot.
        self.answered.store(question.0, Ordering::Release);
    }

    /// Whether the snapshot on the board covers everything that came before this question.
    pub(crate) fn is_answered(&self, question: Question) -> bool {
        self.answered.load(Ordering::Acquire) >= question.0
    }
}

#[cfg(all(test, loom))]
mod model;
