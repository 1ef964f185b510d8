//! Routing keys: every producer has keys of its own and uses them in turn, so that it loads every shard, or some more
//! often than others.

use std::num::NonZeroU32;
use std::str::FromStr;

/// Keys of a producer where nothing else is asked for.
pub(crate) const KEYS: usize = 64;

/// Which of its producer's keys an event is published under, for keys in turn; `number` counts a producer's events from 0.
#[inline]
pub(crate) fn key_index(number: u64) -> usize {
    (number % KEYS as u64) as usize
}

/// The keys of every producer of a run.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    count: NonZeroU32,
    /// The keys of [`DRAWS`] consecutive events; none for keys in turn.
    drawn: Vec<u32>,
}

/// How much more often some keys occur.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Zipf {
    /// The key of rank r occurs as often as 1 / r to this power says.
    exponent: f64,
}

impl Keys {
    /// `count` keys in turn, or drawn with `seed` where they are skewed.
    pub(crate) fn new(count: NonZeroU32, skew: Option<Zipf>, seed: u64) -> Keys {
        let drawn = skew.map_or_else(Vec::new, |zipf| zipf.draw(count, seed));
        Keys { count, drawn }
    }

    /// How many a producer has.
    pub(crate) fn count(&self) -> usize {
        self.count.get() as usize
    }

    /// Which of its producer's keys an event is published under; `number` counts a producer's events from 0.
    #[inline]
    pub(crate) fn index(&self, number: u64) -> usize {
        match self.drawn.get(number as usize % DRAWS) {
            Some(drawn) => *drawn as usize,
            None => (number % u64::from(self.count.get())) as usize,
        }
    }

    /// The routing key of a producer's event.
    #[inline]
    pub(crate) fn key(&self, producer: u16, number: u64) -> [u8; 6] {
        let mut key = [0; 6];
        key[..2].copy_from_slice(&producer.to_le_bytes());
        key[2..].copy_from_slice(&(self.index(number) as u32).to_le_bytes());
        key
    }
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::new(NonZeroU32::new(KEYS as u32).expect("positive"), None, 0)
    }
}

impl Zipf {
    fn draw(self, count: NonZeroU32, seed: u64) -> Vec<u32> {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = (1..=count.get())
            .map(|rank| {
                sum += f64::from(rank).powf(-self.exponent);
                sum
            })
            .collect();
        let mut random = fastrand::Rng::with_seed(seed);
        let key = |at: f64| cumulated.partition_point(|until| *until <= at).min(count.get() as usize - 1);
        (0..DRAWS).map(|_| key(random.f64() * sum) as u32).collect()
    }
}

impl FromStr for Zipf {
    type Err = String;

    fn from_str(text: &str) -> Result<Zipf, String> {
        let exponent = text.strip_prefix("zipf:").and_then(|exponent| exponent.parse().ok());
        match exponent {
            Some(exponent) if (0.0..=10.0).contains(&exponent) => Ok(Zipf { exponent }),
            _ => Err("expected zipf:EXPONENT, such as zipf:0.99, with an exponent from 0 to 10".to_owned()),
        }
    }
}

/// After so many events a producer's skewed keys repeat.
const DRAWS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn keys(count: u32, skew: Option<&str>, seed: u64) -> Keys {
        let skew = skew.map(|skew| skew.parse().expect("valid"));
        Keys::new(NonZeroU32::new(count).expect("positive"), skew, seed)
    }

    #[test]
    fn no_two_producers_share_a_key() {
        let all = Keys::default();
        let keys: BTreeSet<[u8; 6]> = (0..300)
            .flat_map(|producer| (0..1_000).map(move |number| (producer, number)))
            .map(|(p, n)| all.key(p, n))
            .collect();
        assert_eq!(keys.len(), 300 * KEYS);
    }

    #[test]
    fn skewed_keys_occur_as_their_rank_says_and_repeat_with_their_seed() {
        let skewed = keys(1_000, Some("zipf:1"), 7);
        let occurs =
            |key: usize| (0..DRAWS as u64).filter(|number| skewed.index(*number) == key).count() as f64;
        let ratio = occurs(0) / occurs(9);
        assert!((7.0..14.0).contains(&ratio), "{ratio}");
        assert_eq!(skewed.drawn, keys(1_000, Some("zipf:1"), 7).drawn);
        assert_ne!(skewed.drawn, keys(1_000, Some("zipf:1"), 8).drawn);
    }

    #[test]
    fn keys_in_turn_are_those_that_lines_are_verified_by() {
        assert!((0..1_000).all(|number| Keys::default().index(number) == key_index(number)));
    }

    #[test]
    fn a_skew_that_is_none_is_refused() {
        for wrong in ["zipf", "zipf:", "zipf:-1", "zipf:NaN", "pareto:1"] {
            assert!(wrong.parse::<Zipf>().is_err(), "{wrong}");
        }
    }
}
