//! The histogram: how often values of each size came, in buckets that double. It has one writer, takes no memory but its
//! own, and is copied whole.

/// Values counted in buckets of powers of two. A value lies in the first bucket whose bound it does not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; BUCKETS], sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
        self.counts[(bits as usize).min(BUCKETS - 1)] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum; saturates.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest of them, exactly; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `percent` of the values do not exceed, rounded up to its bucket's bound, so at most to its double, and
    /// never past the largest; 0 if there is none.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.count()) * u128::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += u128::from(*count);
            if below >= rank && bucket < BUCKETS - 1 {
                return self.max.min(1 << bucket);
            }
        }
        self.max
    }

    /// How many values were at most 2 to the power of `exponent`, which is below [`BUCKETS`] − 1.
    pub fn count_up_to(&self, exponent: usize) -> u64 {
        self.counts[..=exponent].iter().sum()
    }

    /// Adds what another histogram counted.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(ours, theirs)| *ours += theirs);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    pub(crate) fn words(&self) -> [u64; HISTOGRAM_WORDS] {
        let mut words = [0; HISTOGRAM_WORDS];
        words[..BUCKETS].copy_from_slice(&self.counts);
        [words[BUCKETS], words[BUCKETS + 1]] = [self.sum, self.max];
        words
    }

    pub(crate) fn from_words(words: &[u64; HISTOGRAM_WORDS]) -> Histogram {
        let counts = std::array::from_fn(|bucket| words[bucket]);
        Histogram { counts, sum: words[BUCKETS], max: words[BUCKETS + 1] }
    }
}

/// Buckets of a histogram. The last one has no bound: it begins behind 2³⁸, some five minutes in nanoseconds.
pub const BUCKETS: usize = 40;
/// Words that a histogram is published as.
pub(crate) const HISTOGRAM_WORDS: usize = BUCKETS + 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &value in values {
            histogram.record(value);
        }
        histogram
    }

    #[test]
    fn a_value_lies_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (value, exponent) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 38, 38)] {
            let histogram = of(&[value]);
            assert_eq!(histogram.count_up_to(exponent), 1, "{value}");
            assert!(exponent == 0 || histogram.count_up_to(exponent - 1) == 0, "{value}");
        }
        assert_eq!((of(&[u64::MAX]).count(), of(&[u64::MAX]).count_up_to(BUCKETS - 2)), (1, 0));
    }

    #[test]
    fn a_percentile_is_at_most_doubled_and_never_past_the_largest() {
        let histogram = of(&(1..=100).collect::<Vec<_>>());
        assert_eq!([50, 99, 100].map(|percent| histogram.percentile(percent)), [64, 100, 100]);
        assert_eq!([0, 1, 2, 3].map(|percent| histogram.percentile(percent)), [1, 1, 2, 4]);
        assert_eq!((histogram.count(), histogram.sum(), histogram.max()), (100, 5050, 100));
        assert_eq!(Histogram::default().percentile(99), 0);
        assert_eq!(of(&[3, u64::MAX]).percentile(100), u64::MAX);
    }

    #[test]
    fn words_and_sums_keep_every_value() {
        let (few, many) = (of(&[1, 7]), of(&[9, u64::MAX]));
        assert_eq!(Histogram::from_words(&many.words()), many);
        let mut sum = few;
        sum.add(&many);
        assert_eq!(sum, of(&[1, 7, 9, u64::MAX]));
    }
}
