//! Retention by age: which events of a memory store are older than they may become.
//!
//! Events are marked in groups that were stored within a 64th of the age, so that however many there are, there are few
//! marks. An event is kept for its age at least, and a 64th of it longer at most.

use std::collections::VecDeque;
use std::time::Duration;

use engine::clock::Monotonic;
use engine::event::Sequence;

/// The marks of one store.
pub(super) struct Ages {
    kept: Duration,
    marks: VecDeque<Mark>,
}

/// A group of events.
struct Mark {
    /// When the first of them was stored.
    since: Monotonic,
    /// One past the last of them.
    end: Sequence,
}

impl Ages {
    pub(super) fn new(kept: Duration) -> Ages {
        Ages { kept, marks: VecDeque::new() }
    }

    /// Everything before `end` that was not noted yet was stored now.
    pub(super) fn note(&mut self, end: Sequence, now: Monotonic) {
        let grain = self.kept / GROUPS;
        match self.marks.back_mut().filter(|mark| now.since(mark.since) < grain) {
            Some(mark) => mark.end = end,
            None => self.marks.push_back(Mark { since: now, end }),
        }
    }

    /// The sequence before which everything is too old, if that is news.
    pub(super) fn expire(&mut self, now: Monotonic) -> Option<Sequence> {
        let mut before = None;
        while self.due().is_some_and(|due| due <= now) {
            before = self.marks.pop_front().map(|mark| mark.end);
        }
        before
    }

    /// When the next events become too old.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.marks.front().map(|mark| mark.since.after(self.kept + self.kept / GROUPS))
    }
}

const GROUPS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_kept_for_its_age_and_hardly_longer() {
        let mut ages = Ages::new(Duration::from_secs(64));
        let at = |ms: u64| Monotonic(ms * 1_000_000);
        ages.note(Sequence(2), at(0));
        ages.note(Sequence(3), at(999));
        ages.note(Sequence(4), at(1_000));
        assert_eq!(ages.expire(at(64_999)), None);
        assert_eq!(ages.due(), Some(at(65_000)));
        assert_eq!(ages.expire(at(65_000)), Some(Sequence(3)));
        assert_eq!(ages.expire(at(70_000)), Some(Sequence(4)));
        assert_eq!(ages.due(), None);
    }

    #[test]
    fn marks_do_not_grow_with_the_events() {
        let mut ages = Ages::new(Duration::from_secs(1));
        for event in 0..100_000 {
            let now = Monotonic(event * 100_000);
            ages.expire(now);
            ages.note(Sequence(event + 2), now);
        }
        assert!(ages.marks.len() <= GROUPS as usize + 3, "{}", ages.marks.len());
    }
}
