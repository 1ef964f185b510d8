//! Verifies made-up events by the numbers they carry.
//!
//! Order is checked where the bus promises it: per producer and routing key, or per producer and shard for events
//! without a key.

use std::collections::VecDeque;

use crate::bus::Event;
use crate::keys::Keys;
use crate::payload::Templates;
use crate::sizes::Sizes;
use crate::verify::{Findings, Verify};

/// The verifier.
pub(crate) struct Sequences {
    templates: Templates,
    seen: Vec<Seen>,
    /// The number that may come next at the earliest, per producer and key or shard. Empty until a producer's first event.
    next: Vec<Vec<u64>>,
    order: Order,
    keys: Keys,
    shards: usize,
    findings: Findings,
}

/// Which events of a producer come back in the order in which they were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Those with the same key.
    PerKey,
    /// Those on the same shard.
    PerShard,
}

impl Sequences {
    /// For events of these sizes from `producers` producers, over `shards` shards.
    pub(crate) fn new(producers: u16, shards: u16, sizes: Sizes, order: Order, keys: Keys) -> Sequences {
        let (templates, shards) = (Templates::new(producers, sizes), usize::from(shards));
        let seen = (0..producers).map(|_| Seen::default()).collect();
        let next = vec![Vec::new(); usize::from(producers)];
        Sequences { templates, seen, next, order, keys, shards, findings: Findings::default() }
    }
}

impl Sequences {
    /// How many events each producer has published, as far as those tell that have come.
    pub(crate) fn published(&self) -> Vec<u64> {
        self.seen.iter().map(|seen| seen.end).collect()
    }
}

impl Order {
    /// How many rows of events a producer has.
    fn streams(self, keys: &Keys, shards: usize) -> usize {
        match self {
            Order::PerKey => keys.count(),
            Order::PerShard => shards,
        }
    }
}

impl Verify for Sequences {
    fn event(&mut self, event: &Event<'_>) -> bool {
        let shard = usize::from(event.receipt.shard);
        let Some((producer, number)) = self.templates.recognise(event.bytes).filter(|_| shard < self.shards)
        else {
            self.findings.foreign += 1;
            return false;
        };
        match self.seen[producer].insert(number) {
            Arrival::New => self.findings.returned += 1,
            Arrival::Again => {
                self.findings.duplicated += 1;
                return false;
            }
            Arrival::Impossible => {
                self.findings.foreign += 1;
                return false;
            }
        }
        let stream = match self.order {
            Order::PerKey => self.keys.index(number),
            Order::PerShard => shard,
        };
        let next = &mut self.next[producer];
        if next.is_empty() {
            next.resize(self.order.streams(&self.keys, self.shards), 0);
        }
        let next = &mut next[stream];
        self.findings.out_of_order += u64::from(number < *next);
        *next = (*next).max(number + 1);
        true
    }

    fn findings(&self, accepted: &[u64]) -> Findings {
        let mut findings = self.findings;
        for (seen, accepted) in self.seen.iter().zip(accepted) {
            let known = seen.count.min(*accepted);
            findings.lost += accepted - known;
            findings.foreign += seen.count - known;
        }
        findings
    }
}

/// Which numbers of one producer have come. A window of bits; what lies before it is complete or given up as lost.
#[derive(Default)]
struct Seen {
    words: VecDeque<u64>,
    /// The first number of the window, divided by 64.
    base: u64,
    count: u64,
    /// One past the highest number.
    end: u64,
}

enum Arrival {
    New,
    Again,
    /// So far ahead that no producer can have published it.
    Impossible,
}

impl Seen {
    fn insert(&mut self, number: u64) -> Arrival {
        let (word, bit) = (number / 64, 1 << (number % 64));
        let Some(offset) = word.checked_sub(self.base) else { return Arrival::Again };
        if offset > WORDS_AHEAD_MAX {
            return Arrival::Impossible;
        }
        let offset = offset as usize;
        if offset >= self.words.len() {
            self.words.resize(offset + 1, 0);
        }
        if self.words[offset] & bit != 0 {
            return Arrival::Again;
        }
        self.words[offset] |= bit;
        self.count += 1;
        self.end = self.end.max(number + 1);
        while self.words.front() == Some(&u64::MAX) || self.words.len() > WORDS_MAX {
            self.words.pop_front();
            self.base += 1;
        }
        Arrival::New
    }
}

/// Longest window: 64 million events, 8 MiB a producer.
const WORDS_MAX: usize = 1 << 20;
/// Farthest an event may be ahead: 4 billion numbers.
const WORDS_AHEAD_MAX: u64 = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;
    use crate::payload::Payloads;
    use crate::sizes::SizeRange;
    use crate::verify::tests::event;

    /// Feeds events of producer 1, by number and shard, and returns the verdict on `accepted` of them.
    fn verdict(numbers: &[(u64, u16)], accepted: u64) -> Findings {
        verdict_with(Order::PerShard, numbers, accepted)
    }

    fn verdict_with(order: Order, numbers: &[(u64, u16)], accepted: u64) -> Findings {
        let payloads = Payloads::new(1, sizes(64, 64), 200);
        let mut sequences = Sequences::new(2, 2, sizes(64, 64), order, Keys::default());
        for &(number, shard) in numbers {
            sequences.event(&event(payloads.event(number as usize), shard, 0));
        }
        sequences.findings(&[0, accepted])
    }

    fn sizes(min: u32, max: u32) -> Sizes {
        Sizes::new(SizeRange { min, max }, 3)
    }

    fn in_order(range: std::ops::Range<u64>) -> Vec<(u64, u16)> {
        range.map(|number| (number, 0)).collect()
    }

    #[test]
    fn a_complete_run_in_order_is_clean() {
        let findings = verdict(&in_order(0..200), 200);
        assert_eq!(findings, Findings { returned: 200, ..Findings::default() });
        assert!(findings.is_clean());
    }

    #[test]
    fn a_lost_event_is_found_in_the_middle_and_at_the_end() {
        let mut numbers = in_order(0..200);
        numbers.remove(70);
        assert_eq!(verdict(&numbers, 200), Findings { returned: 199, lost: 1, ..Findings::default() });
        assert_eq!(
            verdict(&in_order(0..190), 200),
            Findings { returned: 190, lost: 10, ..Findings::default() }
        );
    }

    #[test]
    fn a_duplicate_is_found_at_once_and_long_after() {
        for at in [6, 200] {
            let mut numbers = in_order(0..200);
            numbers.insert(at, (5, 0));
            let expected = Findings { returned: 200, duplicated: 1, ..Findings::default() };
            assert_eq!(verdict(&numbers, 200), expected);
        }
    }

    #[test]
    fn two_events_that_changed_places_are_out_of_order() {
        let mut numbers = in_order(0..200);
        numbers.swap(100, 101);
        let expected = Findings { returned: 200, out_of_order: 1, ..Findings::default() };
        assert_eq!(verdict(&numbers, 200), expected);
        assert!(!expected.is_clean());
    }

    #[test]
    fn between_shards_there_is_no_order() {
        let numbers: Vec<(u64, u16)> =
            (0..100).map(|half| (half * 2, 0)).chain((0..100).map(|half| (half * 2 + 1, 1))).collect();
        assert!(verdict(&numbers, 200).is_clean());
    }

    #[test]
    fn with_keys_order_is_found_broken_within_a_key_only_and_across_shards_too() {
        let mut numbers = in_order(0..200);
        numbers.swap(100, 101);
        assert!(verdict_with(Order::PerKey, &numbers, 200).is_clean());
        for shard in [0, 1] {
            let mut numbers = in_order(0..200);
            numbers.swap(100, 100 + KEYS);
            numbers[100].1 = shard;
            let expected = Findings { returned: 200, out_of_order: 1, ..Findings::default() };
            assert_eq!(verdict_with(Order::PerKey, &numbers, 200), expected);
        }
    }

    #[test]
    fn of_a_range_every_event_is_known_and_one_that_was_changed_is_foreign_and_lost() {
        for (changed, expected) in [
            (None, Findings { returned: 200, ..Findings::default() }),
            (Some(77), Findings { returned: 199, lost: 1, foreign: 1, ..Findings::default() }),
        ] {
            let range = sizes(100, 2_000);
            let payloads = Payloads::new(1, range, 200);
            let mut sequences = Sequences::new(2, 1, range, Order::PerKey, Keys::default());
            for index in 0..200 {
                let mut bytes = payloads.event(index).to_vec();
                if changed == Some(index) {
                    // A letter of the filler is left out: JSON still, and of a size in the range.
                    bytes.remove(80);
                }
                sequences.event(&event(&bytes, 0, 0));
            }
            assert_eq!(sequences.findings(&[0, 200]), expected);
        }
    }

    #[test]
    fn bytes_that_nobody_published_are_foreign() {
        let mut sequences = Sequences::new(1, 1, sizes(64, 64), Order::PerKey, Keys::default());
        sequences.event(&event(b"{}", 0, 0));
        sequences.event(&event(Payloads::new(0, sizes(64, 64), 1).event(0), 7, 0));
        assert_eq!(sequences.findings(&[0]), Findings { foreign: 2, ..Findings::default() });
        assert_eq!(verdict(&in_order(0..3), 2), Findings { returned: 3, foreign: 1, ..Findings::default() });
    }
}
