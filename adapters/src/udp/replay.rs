//! Which packets of a key have come: a bitmap that slides, after RFC 6479. It has one word more than the
//! window, so that moving on is clearing whole words.

use super::aead::COUNTER_MAX;
use super::refused::Refused;

/// So many counters, up to the highest that has come, are told apart; all below are taken to have come.
pub(super) const WINDOW_PACKETS: u64 = 8_192;

/// The counters of one key that have come.
#[derive(Debug)]
pub(super) struct ReplayWindow {
    /// One past the highest that has come.
    end: u64,
    /// The bit of counter c is bit c % 64 of word (c / 64) % `WORDS`.
    words: [u64; WORDS],
}

impl ReplayWindow {
    pub(super) fn new() -> ReplayWindow {
        ReplayWindow { end: 0, words: [0; WORDS] }
    }

    /// Whether a packet with this counter may be opened. Asked before opening, so it changes nothing.
    #[inline]
    pub(super) fn check(&self, counter: u64) -> Result<(), Refused> {
        if counter > COUNTER_MAX && !engine::planted!("29-the-last-counters-are-taken") {
            return Err(Refused::Counter);
        }
        if counter >= self.end {
            return Ok(());
        }
        let is_behind = self.end - counter > WINDOW_PACKETS;
        if !engine::planted!("29-a-counter-comes-twice")
            && (is_behind || self.words[word(counter)] & bit(counter) != 0)
        {
            return Err(Refused::Replayed);
        }
        Ok(())
    }

    /// A packet with this counter was opened. It passed `check`.
    #[inline]
    pub(super) fn commit(&mut self, counter: u64) {
        debug_assert_eq!(self.check(counter), Ok(()));
        if counter >= self.end {
            let last = self.end.saturating_sub(1) / 64;
            let moved = (counter / 64 - last).min(WORDS as u64);
            for passed in 1..=moved {
                self.words[((last + passed) % WORDS as u64) as usize] = 0;
            }
            self.end = counter + 1;
        }
        self.words[word(counter)] |= bit(counter);
    }
}

#[inline]
fn word(counter: u64) -> usize {
    (counter / 64 % WORDS as u64) as usize
}

#[inline]
fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

const WORDS: usize = WINDOW_PACKETS as usize / 64 + 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Everything that has come, by the definition of the window.
    #[derive(Default)]
    struct Naive(BTreeSet<u64>);

    impl Naive {
        fn takes(&self, counter: u64) -> bool {
            let is_behind =
                self.0.last().is_some_and(|&highest| highest.saturating_sub(counter) >= WINDOW_PACKETS);
            counter <= COUNTER_MAX && !is_behind && !self.0.contains(&counter)
        }
    }

    fn take(window: &mut ReplayWindow, counter: u64) -> bool {
        let is_new = window.check(counter).is_ok();
        if is_new {
            window.commit(counter);
        }
        is_new
    }

    #[test]
    fn a_window_is_8_192_wide() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, 10_000));
        assert_eq!(window.check(10_000), Err(Refused::Replayed));
        assert_eq!(window.check(10_000 - 8_192), Err(Refused::Replayed));
        assert!(take(&mut window, 10_000 - 8_191));
        assert_eq!(window.check(10_000 - 8_191), Err(Refused::Replayed));
    }

    #[test]
    fn counter_0_comes_once() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, 0));
        assert!(!take(&mut window, 0));
        assert!(take(&mut window, 1));
    }

    #[test]
    fn the_highest_counters_poison_nothing() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, 5));
        for counter in [u64::MAX, u64::MAX - 1, COUNTER_MAX + 1] {
            assert_eq!(window.check(counter), Err(Refused::Counter));
        }
        assert!(!take(&mut window, 5));
        assert!(take(&mut window, 6));
        assert!(take(&mut window, COUNTER_MAX));
        assert!(!take(&mut window, COUNTER_MAX));
        assert!(take(&mut window, COUNTER_MAX - 8_191));
        assert!(!take(&mut window, COUNTER_MAX - 8_192));
    }

    /// Steps from the highest so far: near it, about a window away, and far.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let near = -70_i64..70;
        let words = -200_i64..200;
        let edge = prop_oneof![Just(-8_192_i64), Just(8_192)];
        let step = prop_oneof![
            6 => near.clone(),
            2 => (edge, near).prop_map(|(edge, near)| edge + near),
            2 => words.prop_map(|words| words * 64),
            1 => -20_000_i64..20_000,
            1 => 0..i64::MAX / 2,
        ];
        proptest::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn it_takes_what_a_set_takes(start in 0_u64..20_000, steps in steps()) {
            let (mut window, mut naive) = (ReplayWindow::new(), Naive::default());
            let mut highest = start;
            for step in steps {
                let counter = highest.saturating_add_signed(step);
                let is_new = naive.takes(counter);
                let is_taken = window.check(counter).is_ok();
                prop_assert_eq!(is_taken, is_new, "counter {}, highest {}", counter, highest);
                if is_new {
                    window.commit(counter);
                    naive.0.insert(counter);
                    highest = highest.max(counter);
                }
            }
        }
    }
}
