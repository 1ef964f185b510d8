//! Blocks that are missing, with `light`: when they are asked for, and when they are given up.
//!
//! A gap is asked for when it is a moment old, and then with twice the wait each time, until it is given up. So a gap is asked for
//! a bounded number of times, whatever the round trip.

use std::collections::VecDeque;
use std::time::Duration;

use engine::clock::Monotonic;

/// The gaps, from the oldest, which are the lowest.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    list: VecDeque<Gap>,
    /// One past the highest block that is known.
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    first: u64,
    end: u64,
    since: Monotonic,
    asked: u32,
    ask_at: Monotonic,
    /// The next report asks for it.
    is_wanted: bool,
}

impl Gaps {
    /// A block has come.
    pub(super) fn has_come(&mut self, block: u64, now: Monotonic) {
        if block >= self.end {
            self.ends_at(block, now);
            self.end = block + 1;
            return;
        }
        let at = self.list.partition_point(|gap| gap.end <= block);
        let Some(gap) = self.list.get_mut(at).filter(|gap| gap.first <= block) else { return };
        let above = Gap { first: block + 1, ..*gap };
        gap.end = block;
        let (below_is_empty, above_is_empty) = (gap.first == gap.end, above.first == above.end);
        match (below_is_empty, above_is_empty) {
            (true, true) => drop(self.list.remove(at)),
            (true, false) => *gap = above,
            (false, true) => {}
            (false, false) => self.list.insert(at + 1, above),
        }
    }

    /// One past the highest block that is known.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// There are blocks up to `end`.
    pub(super) fn ends_at(&mut self, end: u64, now: Monotonic) {
        if end > self.end {
            let ask_at = now.after(ASK_AFTER);
            self.list.push_back(Gap { first: self.end, end, since: now, asked: 0, ask_at, is_wanted: false });
            self.end = end;
        }
    }

    /// Blocks below `block` are given up or have come.
    pub(super) fn forget_below(&mut self, block: u64) {
        while let Some(gap) = self.list.front_mut()
            && gap.first < block
        {
            if gap.end > block {
                gap.first = block;
                return;
            }
            self.list.pop_front();
        }
        self.end = self.end.max(block);
    }

    /// One past the last block that is to be given up now.
    pub(super) fn given_up(&self, now: Monotonic) -> Option<u64> {
        let excess = self.list.len().saturating_sub(GAPS_MAX);
        let gaps = self.list.iter().enumerate();
        let lost = gaps.take_while(|(at, gap)| *at < excess || gap.since.after(GAP_AGE_MAX) <= now);
        lost.last().map(|(_, gap)| gap.end)
    }

    /// Marks those that are to be asked for now. Whether there are any.
    pub(super) fn ask(&mut self, now: Monotonic) -> bool {
        let mut is_any = false;
        for gap in self.list.iter_mut().filter(|gap| gap.ask_at <= now) {
            gap.ask_at = now.after(ASK_AGAIN_AFTER * (1 << gap.asked.min(8)));
            gap.asked += 1;
            gap.is_wanted = true;
            is_any = true;
        }
        is_any
    }

    /// First block of each gap that is asked for, and one past the last.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (u64, u64)> {
        self.list.iter().filter(|gap| gap.is_wanted).map(|gap| (gap.first, gap.end))
    }

    /// The first `count` of those are asked for.
    pub(super) fn are_asked(&mut self, count: usize) {
        self.list.iter_mut().filter(|gap| gap.is_wanted).take(count).for_each(|gap| gap.is_wanted = false);
    }

    /// When some gap is to be asked for or given up.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let oldest = self.list.front()?.since.after(GAP_AGE_MAX);
        self.list.iter().map(|gap| gap.ask_at).min().map(|ask_at| ask_at.min(oldest))
    }
}

/// Gaps that are kept; the oldest are given up for others.
pub(super) const GAPS_MAX: usize = 256;
/// A packet may be overtaken by so much.
const ASK_AFTER: Duration = Duration::from_millis(1);
/// The first wait for a block that was asked for; doubled each time.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// A gap that is older is given up. Asked for after 1, 11, 31, 71, 151 and 311 ms.
pub(super) const GAP_AGE_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(gaps: &Gaps) -> Vec<(u64, u64)> {
        gaps.wanted().collect()
    }

    #[test]
    fn gaps_are_what_has_not_come_below_the_highest() {
        fastrand::seed(3);
        for _ in 0..200 {
            let (mut gaps, mut come) = (Gaps::default(), [false; 40]);
            for _ in 0..30 {
                let block = fastrand::usize(..40);
                gaps.has_come(block as u64, Monotonic(0));
                come[block] = true;
            }
            let below = fastrand::usize(..20);
            gaps.forget_below(below as u64);
            gaps.ask(Monotonic(1_000_000));
            let missing: Vec<u64> = wanted(&gaps).into_iter().flat_map(|(first, end)| first..end).collect();
            let highest = come.iter().rposition(|&come| come).unwrap();
            let expected: Vec<u64> =
                (below..highest).filter(|&block| !come[block]).map(|block| block as u64).collect();
            assert_eq!(missing, expected);
        }
    }

    #[test]
    fn a_gap_is_asked_for_a_bounded_number_of_times_and_given_up() {
        let (mut gaps, mut asked) = (Gaps::default(), 0);
        gaps.has_come(5, Monotonic(0));
        let mut now = Monotonic(0);
        while gaps.given_up(now).is_none() {
            now = gaps.due().unwrap();
            asked += u32::from(gaps.ask(now));
            gaps.are_asked(1);
            assert!(gaps.due().unwrap() > now || gaps.given_up(now).is_some());
        }
        assert_eq!((asked, gaps.given_up(now)), (6, Some(5)));
        gaps.forget_below(5);
        assert_eq!((gaps.due(), gaps.given_up(now)), (None, None));
    }

    #[test]
    fn too_many_gaps_cost_the_oldest() {
        let mut gaps = Gaps::default();
        (1..=GAPS_MAX as u64).for_each(|at| gaps.has_come(2 * at - 1, Monotonic(0)));
        assert_eq!(gaps.given_up(Monotonic(0)), None);
        gaps.has_come(2 * GAPS_MAX as u64 + 1, Monotonic(0));
        assert_eq!(gaps.given_up(Monotonic(0)), Some(1));
    }
}
