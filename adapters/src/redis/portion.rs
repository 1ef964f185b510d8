//! How many entries are asked for at once: a server counts entries and not bytes, and nobody knows how large they are before
//! they come.
//!
//! It begins with few, and at most doubles with each answer, so that an answer is not much larger than the one before by their number
//! alone. One that was so large that its connection was given up is asked for again entry by entry.

/// A reader's portion.
pub(super) struct Portion {
    entries_max: usize,
    /// Bytes of an entry, about.
    entry_bytes: usize,
}

impl Portion {
    pub(super) fn new() -> Portion {
        Portion { entries_max: ENTRIES_FIRST, entry_bytes: ENTRY_BYTES_FIRST }
    }

    /// How many entries to ask for when about `bytes` are wanted; one at least.
    pub(super) fn entries(&self, bytes: usize) -> usize {
        (bytes / self.entry_bytes).clamp(1, self.entries_max)
    }

    /// An answer has come, with so many entries of so many bytes each, about.
    pub(super) fn has_come(&mut self, entries: usize, entry_bytes: usize) {
        self.entry_bytes = entry_bytes.max(1);
        if entries >= self.entries_max {
            self.entries_max = (self.entries_max * 2).min(ENTRIES_MAX);
        }
    }

    /// An answer has not come: it may have been too large.
    pub(super) fn is_lost(&mut self) {
        self.entries_max = 1;
    }
}

const ENTRIES_FIRST: usize = 64;
const ENTRIES_MAX: usize = 1 << 20;
const ENTRY_BYTES_FIRST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_answers_that_were_full_and_begins_anew_after_one_that_was_lost() {
        let mut portion = Portion::new();
        assert_eq!(portion.entries(usize::MAX), 64);
        portion.has_come(63, 100);
        assert_eq!(portion.entries(usize::MAX), 64);
        for full in [64, 128, 256] {
            portion.has_come(full, 100);
            assert_eq!(portion.entries(usize::MAX), full * 2);
        }
        assert_eq!((portion.entries(1_000), portion.entries(0)), (10, 1));
        portion.has_come(3, 1 << 20);
        assert_eq!(portion.entries(4 << 20), 4);
        portion.is_lost();
        assert_eq!(portion.entries(usize::MAX), 1);
        portion.has_come(1, 0);
        assert_eq!(portion.entries(usize::MAX), 2);
    }
}
