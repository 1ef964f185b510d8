//! The packet numbers that have come, as ranges: bounded, the newest kept.

/// Ranges that are kept; the oldest is forgotten for another.
pub(super) const RANGES_MAX: usize = 64;

/// Ranges of numbers, apart from each other, going up.
#[derive(Debug)]
pub(super) struct Ranges(Vec<Range>);

/// First and last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    low: u64,
    high: u64,
}

impl Ranges {
    pub(super) fn new() -> Ranges {
        Ranges(Vec::with_capacity(RANGES_MAX + 1))
    }

    /// The highest number.
    pub(super) fn largest(&self) -> Option<u64> {
        self.0.last().map(|range| range.high)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a number. Whether it was not there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if let Some(last) = self.0.last_mut()
            && last.high.checked_add(1) == Some(number)
        {
            last.high = number;
            return true;
        }
        // The first range that ends at the number or above it, or just below it.
        let at = self.0.partition_point(|range| range.high.saturating_add(1) < number);
        match self.0.get_mut(at) {
            Some(range) if range.low <= number && number <= range.high => return false,
            Some(range) if range.high.checked_add(1) == Some(number) => {
                range.high = number;
                self.join(at);
            }
            Some(range) if number.checked_add(1) == Some(range.low) => range.low = number,
            _ => {
                self.0.insert(at, Range { low: number, high: number });
                if self.0.len() > RANGES_MAX {
                    self.0.remove(0);
                }
            }
        }
        true
    }

    /// Joins the range with the next one if nothing is between them.
    fn join(&mut self, at: usize) {
        if let Some(&next) = self.0.get(at + 1)
            && self.0[at].high + 1 == next.low
        {
            self.0[at].high = next.high;
            self.0.remove(at + 1);
        }
    }

    /// Forgets numbers below `floor`, except the largest.
    pub(super) fn forget_below(&mut self, floor: u64) {
        let Some(largest) = self.largest() else { return };
        let floor = floor.min(largest);
        let gone = self.0.partition_point(|range| range.high < floor);
        self.0.drain(..gone);
        self.0[0].low = self.0[0].low.max(floor);
    }

    /// First and last number of each range, from the highest down.
    pub(super) fn descending(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().rev().map(|range| (range.low, range.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn they_hold_what_was_put_in_in_any_order() {
        fastrand::seed(7);
        for _ in 0..200 {
            let (mut ranges, mut model) = (Ranges::new(), BTreeSet::new());
            for _ in 0..60 {
                let number = fastrand::u64(..64);
                assert_eq!(ranges.insert(number), model.insert(number));
            }
            let mut held: Vec<u64> = ranges.descending().flat_map(|(low, high)| low..=high).collect();
            held.sort_unstable();
            assert!(held.iter().copied().eq(model.iter().copied()), "{ranges:?}");
            assert!(ranges.0.windows(2).all(|pair| pair[0].high + 1 < pair[1].low), "{ranges:?}");
            let floor = fastrand::u64(..70);
            ranges.forget_below(floor);
            let largest = *model.last().unwrap();
            let kept = model.iter().filter(|&&number| number >= floor.min(largest));
            assert_eq!(
                ranges.descending().map(|(low, high)| high - low + 1).sum::<u64>(),
                kept.count() as u64
            );
        }
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut ranges = Ranges::new();
        (0..1_000).for_each(|number| assert!(ranges.insert(2 * number)));
        assert_eq!(ranges.descending().count(), RANGES_MAX);
        assert_eq!(
            ranges.descending().last(),
            Some((2_000 - 2 * RANGES_MAX as u64, 2_000 - 2 * RANGES_MAX as u64))
        );
        assert!(ranges.insert(u64::MAX) && !ranges.insert(u64::MAX) && ranges.insert(u64::MAX - 1));
        assert_eq!(ranges.descending().next(), Some((u64::MAX - 1, u64::MAX)));
    }
}
