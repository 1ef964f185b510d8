//! The inquiry under loom: two readers beside a shard that counts.

use loom::sync::Arc;
use loom::thread;

use super::Inquiry;
use crate::doorbell::Doorbell;
use crate::sequence_lock::SequenceLock;
use crate::sync::{AtomicU64, Ordering};

/// A shard's outside, and what was published to it.
#[derive(Default)]
struct Outside {
    doorbell: Doorbell,
    inquiry: Inquiry,
    board: SequenceLock<1>,
    pushed: AtomicU64,
}

#[test]
fn an_answer_covers_what_came_before_its_question_whoever_else_asks() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let outside = Arc::new(Outside::default());
        let readers = [0, 1].map(|_| {
            let outside = Arc::clone(&outside);
            thread::spawn(move || {
                let before = outside.pushed.fetch_add(1, Ordering::Relaxed) + 1;
                let question = outside.inquiry.ask();
                outside.doorbell.post();
                // A reader that is not answered yet goes: nobody waits for it.
                if outside.inquiry.is_answered(question) {
                    assert!(outside.board.read()[0] >= before, "an old snapshot");
                }
            })
        });
        for _ in 0..2 {
            if outside.doorbell.posted() > 0
                && let Some(question) = outside.inquiry.open()
            {
                outside.board.publish([outside.pushed.load(Ordering::Relaxed)]);
                outside.inquiry.answer(question);
            }
        }
        for reader in readers {
            reader.join().expect("no panic");
        }
    });
}
