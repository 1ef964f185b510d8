//! The jumps in a shard's sequences: where a log was cut and went on above whatever had been shown, and where events were
//! refused for good.

use engine::event::Sequence;

use super::format::header::{JUMPS_MAX, Jump};

/// Ascending, apart from one another; the latest ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Jumps(Vec<Jump>);

impl Jumps {
    /// Those of a header.
    pub(super) fn new(jumps: Vec<Jump>) -> Jumps {
        let mut all = Jumps::default();
        for jump in jumps {
            all.note(jump);
        }
        all
    }

    /// Notes that sequences jump, behind everything before.
    pub(super) fn note(&mut self, jump: Jump) {
        if jump.end >= jump.next {
            return;
        }
        let mut jump = jump;
        while let Some(last) = self.0.pop_if(|last| last.next >= jump.end) {
            jump = Jump { end: last.end.min(jump.end), next: last.next.max(jump.next) };
        }
        self.0.push(jump);
        if self.0.len() > JUMPS_MAX {
            self.0.remove(0);
        }
    }

    /// All of them.
    pub(super) fn as_slice(&self) -> &[Jump] {
        &self.0
    }

    /// The jump that leads over `sequence`.
    pub(super) fn over(&self, sequence: Sequence) -> Option<Jump> {
        let after = self.0.partition_point(|jump| jump.end <= sequence);
        let jump = *self.0.get(after.checked_sub(1)?)?;
        (sequence < jump.next).then_some(jump)
    }

    /// `sequence`, or where a jump leads over it, what follows.
    pub(super) fn after(&self, sequence: Sequence) -> Sequence {
        self.over(sequence).map_or(sequence, |jump| jump.next)
    }

    /// Where the run of sequences ends that `from` is in.
    pub(super) fn until(&self, from: Sequence) -> Sequence {
        let after = self.0.partition_point(|jump| jump.end <= from);
        self.0.get(after).map_or(Sequence(u64::MAX), |jump| jump.end)
    }

    /// Events that may have been from `from` up to `to`: without the sequences that were never given.
    pub(super) fn events_between(&self, from: Sequence, to: Sequence) -> u64 {
        let jumped = self.0.iter().map(|jump| {
            let (begin, end) = (jump.end.max(from), jump.next.min(to));
            end.0.saturating_sub(begin.0)
        });
        to.0.saturating_sub(from.0).saturating_sub(jumped.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jump(end: u64, next: u64) -> Jump {
        Jump { end: Sequence(end), next: Sequence(next) }
    }

    #[test]
    fn what_was_jumped_over_counts_as_no_event() {
        let jumps = Jumps::new(vec![jump(10, 20), jump(50, 60)]);
        for (from, to, events) in
            [(1, 10, 9), (5, 25, 10), (12, 15, 0), (1, 100, 79), (20, 50, 30), (30, 5, 0)]
        {
            assert_eq!(jumps.events_between(Sequence(from), Sequence(to)), events, "{from}..{to}");
        }
    }

    #[test]
    fn a_jump_leads_from_its_end_to_its_next() {
        let jumps = Jumps::new(vec![jump(10, 20), jump(20, 30), jump(40, 40)]);
        assert_eq!(jumps.as_slice(), [jump(10, 30)]);
        for (at, until) in [(1, 10), (9, 10), (30, u64::MAX)] {
            assert_eq!(jumps.until(Sequence(at)), Sequence(until));
        }
        for (at, after) in [(9, 9), (10, 30), (29, 30), (30, 30), (45, 45)] {
            assert_eq!(jumps.after(Sequence(at)), Sequence(after));
        }
    }
}
