//! How large made-up events are: all of one size, or spread evenly over a range.
//!
//! The size of an event follows from the seed, its producer and its number alone, so that whoever reads it back knows it.

use std::fmt::{self, Display};
use std::str::FromStr;

/// Bytes of an event, from the smallest to the largest, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeRange {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// The size of every event of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    range: SizeRange,
    seed: u64,
}

impl SizeRange {
    /// Whether all events have the same size.
    pub(crate) fn is_one(self) -> bool {
        self.min == self.max
    }
}

impl FromStr for SizeRange {
    type Err = String;

    fn from_str(text: &str) -> Result<SizeRange, String> {
        let range = match text.split_once("..") {
            Some((min, max)) => size(min).zip(size(max)),
            None => size(text).map(|size| (size, size)),
        };
        match range {
            Some((min, max)) if min > max => Err(format!("the range ends at {max}, below its start {min}")),
            Some((min, max)) => Ok(SizeRange { min, max }),
            None => Err(format!(
                "expected bytes, such as 100, or a range of them, such as 64..1024, from {SIZE_MIN} to {SIZE_MAX}"
            )),
        }
    }
}

/// As the option is written.
impl Display for SizeRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeRange { min, .. } if self.is_one() => write!(formatter, "{min}"),
            SizeRange { min, max } => write!(formatter, "{min}..{max}"),
        }
    }
}

impl Sizes {
    /// Drawn from `range` with `seed`.
    pub(crate) fn new(range: SizeRange, seed: u64) -> Sizes {
        Sizes { range, seed }
    }

    /// What they are drawn from.
    pub(crate) fn range(self) -> SizeRange {
        self.range
    }

    /// What they are drawn with.
    pub(crate) fn seed(self) -> u64 {
        self.seed
    }

    /// Bytes of the largest event there may be.
    pub(crate) fn max(self) -> usize {
        self.range.max as usize
    }

    /// Bytes of an event; `number` counts a producer's events from 0.
    #[inline]
    pub(crate) fn of(self, producer: u16, number: u64) -> usize {
        let SizeRange { min, max } = self.range;
        if min == max {
            return max as usize;
        }
        let first = fastrand::Rng::with_seed(self.seed ^ u64::from(producer).wrapping_mul(STRIDE)).u64(..);
        let mut random = fastrand::Rng::with_seed(first.wrapping_add(number.wrapping_mul(STRIDE)));
        random.u32(min..=max) as usize
    }
}

fn size(digits: &str) -> Option<u32> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|size| is_number && (SIZE_MIN..=SIZE_MAX).contains(size))
}

/// The smallest event that can say where it comes from.
pub(crate) const SIZE_MIN: u32 = 64;
/// The library takes none that is larger.
const SIZE_MAX: u32 = 64 << 20;
/// Keeps the random numbers of neighbouring producers and events apart.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_size_and_a_range_with_both_its_ends_are_taken() {
        for (text, min, max) in [
            ("64", 64, 64),
            ("67108864", 64 << 20, 64 << 20),
            ("64..1024", 64, 1_024),
            ("100..100", 100, 100),
            ("64..67108864", 64, 64 << 20),
        ] {
            assert_eq!(text.parse(), Ok(SizeRange { min, max }), "{text}");
        }
        for text in ["100", "64..1024"] {
            assert_eq!(text.parse::<SizeRange>().expect("valid").to_string(), text);
        }
    }

    #[test]
    fn what_is_no_size_and_no_range_is_refused() {
        for text in [
            "",
            "..",
            "64..",
            "..64",
            "63",
            "63..100",
            "67108865",
            "64..67108865",
            "64..100x",
            "64...100",
            "64..=100",
            "64..100..200",
            "64-100",
            " 64",
            "64 .. 100",
            "+64",
            "-64",
            "6e2",
            "1k",
        ] {
            let error = text.parse::<SizeRange>().expect_err(text);
            assert!(error.contains("64..1024"), "{text}: {error}");
        }
        let error = "1024..64".parse::<SizeRange>().expect_err("it ends below its start");
        assert!(error.contains("1024") && error.contains("64"), "{error}");
    }

    #[test]
    fn a_seed_draws_the_same_sizes_again_evenly_and_both_ends_among_them() {
        let range = SizeRange { min: 64, max: 127 };
        let drawn = |seed, producer| -> Vec<usize> {
            (0..64_000).map(|number| Sizes::new(range, seed).of(producer, number)).collect()
        };
        let all = [drawn(1, 0), drawn(1, 1), drawn(2, 0)];
        for sizes in &all {
            let values: BTreeSet<usize> = sizes.iter().copied().collect();
            assert_eq!(values, (64..=127).collect());
            // 1,000 of each are expected, with a deviation of 31.
            let count = |size| sizes.iter().filter(|drawn| **drawn == size).count();
            assert!((64..=127).all(|size| (800..1_200).contains(&count(size))));
            // Neighbours know nothing of each other: a size follows each size of these two as often as not.
            let pairs = sizes.windows(2).filter(|pair| (pair[0] < 96) == (pair[1] < 96)).count();
            assert!((31_000..33_000).contains(&pairs), "{pairs}");
        }
        assert_eq!(all[0], drawn(1, 0));
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    }
}
