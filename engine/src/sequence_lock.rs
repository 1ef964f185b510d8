//! The sequence lock: one thread publishes a few words, any thread reads them as they were together.
//!
//! The words are relaxed atomics between two stores of a sequence number, and a reader that saw the number change, or
//! odd, reads again (H.-J. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", 2012). The writer
//! never waits; a reader does for as long as the writer keeps writing.

use crate::sync::{AtomicU64, CachePadded, Ordering, fence, spin_loop, yield_now};

/// Words that are published and read together.
#[derive(Debug)]
pub(crate) struct SequenceLock<const WORDS: usize> {
    sequence: CachePadded<AtomicU64>,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Default for SequenceLock<WORDS> {
    fn default() -> SequenceLock<WORDS> {
        SequenceLock {
            sequence: CachePadded::default(),
            words: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl<const WORDS: usize> SequenceLock<WORDS> {
    /// Publishes the words. One thread only.
    pub(crate) fn publish(&self, words: [u64; WORDS]) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Relaxed);
        // A reader that sees any of the words below also sees the odd number above.
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: pairs with the acquire in `read`, which sees these words or later ones.
        self.sequence.store(sequence + 2, Ordering::Release);
    }

    /// The words last published.
    pub(crate) fn read(&self) -> [u64; WORDS] {
        let mut attempts = 0u32;
        loop {
            if let Some(words) = self.look(|| {}) {
                return words;
            }
            attempts = attempts.saturating_add(1);
            if attempts < SPINS_BEFORE_YIELD {
                spin_loop();
            } else {
                yield_now();
            }
        }
    }

    /// The words, if none was published while they were read. `midway` is where a test stops.
    #[inline]
    fn look(&self, midway: impl FnOnce()) -> Option<[u64; WORDS]> {
        // Pairs with the last store of `publish`.
        let before = self.sequence.load(Ordering::Acquire);
        let words = std::array::from_fn(|at| self.words[at].load(Ordering::Relaxed));
        midway();
        // Pairs with the release fence in `publish`.
        fence(Ordering::Acquire);
        let is_whole = before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before;
        is_whole.then_some(words)
    }
}

/// Attempts before a reader lets the writer run, in case both are on one core.
const SPINS_BEFORE_YIELD: u32 = 1_000;

#[cfg(all(test, loom))]
mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_reader_that_stops_midway_keeps_nobody_from_publishing_and_looks_again() {
        let lock = SequenceLock::<14>::default();
        lock.publish([1; 14]);
        assert_eq!(lock.look(|| lock.publish([2; 14])), None);
        assert_eq!(lock.read(), [2; 14]);
    }

    #[test]
    fn a_snapshot_is_never_torn() {
        let lock = Arc::new(SequenceLock::<14>::default());
        let writer = Arc::clone(&lock);
        let writing = thread::spawn(move || {
            for round in 1..=200_000u64 {
                writer.publish([round; 14]);
            }
        });
        let mut last = 0;
        while last < 200_000 {
            let words = lock.read();
            assert!(words.iter().all(|&word| word == words[0]), "{words:?}");
            assert!(words[0] >= last);
            last = words[0];
        }
        writing.join().expect("the writer ends");
    }
}
