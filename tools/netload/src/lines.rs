//! Verifies the lines of a file by the receipts of their events.
//!
//! A line may occur twice, so its bytes do not say which it is. The receipt does: timestamps increase per producer.
//! Order is checked per producer and routing key; for lines without a key, per producer and shard. The reader looks only
//! while no producer publishes, so that every receipt is in place. What it has caught up with is forgotten: memory is
//! bounded by what producers may publish between two catch-ups, and a duplicate that comes after one is called foreign.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bus::{Event, Receipt};
use crate::input::{Input, LineKey};
use crate::keys::key_index;
use crate::verify::{Findings, Verify};

/// The receipts of one producer, in the order of its calls.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<Vec<(Receipt, usize)>>);

impl Receipts {
    /// Hands over what a producer has gathered: receipts and the lines they are for.
    pub(crate) fn append(&self, gathered: &mut Vec<(Receipt, usize)>) {
        self.lock().append(gathered);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Receipt, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verifier.
pub(crate) struct Lines<'run> {
    input: &'run Input,
    producers: Vec<Follower<'run>>,
    findings: Findings,
}

/// What came back of one producer's lines.
struct Follower<'run> {
    receipts: &'run Receipts,
    /// How many producers share the lines: of `n` each takes every `n`th.
    producers: usize,
    seen: Vec<bool>,
    /// Position of the receipt to look at first: the one after the last that came back.
    likely: usize,
    /// Position of the receipt that may come next at the earliest, per key or shard.
    next: HashMap<Stream, usize>,
}

/// Which of a producer's lines come back in the order in which they were published: those of one key, the producer's own
/// or a field's, or those without a key on one shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stream {
    OwnKey(usize),
    FieldKey(usize),
    Shard(u16),
}

impl<'run> Lines<'run> {
    /// For the lines of `input`; `receipts` has one entry a producer.
    pub(crate) fn new(input: &'run Input, receipts: &'run [Receipts]) -> Lines<'run> {
        let follower = |of| Follower {
            receipts: of,
            producers: receipts.len(),
            seen: Vec::new(),
            likely: 0,
            next: HashMap::new(),
        };
        Lines { input, producers: receipts.iter().map(follower).collect(), findings: Findings::default() }
    }

    /// How an event arrived. Two producers can have the same line at the same nanosecond: the one that misses it has it.
    fn arrival(&mut self, event: &Event<'_>) -> Option<Arrival> {
        let mut again = None;
        for follower in &mut self.producers {
            match follower.take(self.input, event) {
                Some(Arrival::Again) => again = Some(Arrival::Again),
                Some(arrival) => return Some(arrival),
                None => {}
            }
        }
        again
    }
}

impl Verify for Lines<'_> {
    fn event(&mut self, event: &Event<'_>) -> bool {
        let arrival = self.arrival(event);
        let is_new = matches!(arrival, Some(Arrival::Next | Arrival::Late));
        match arrival {
            Some(Arrival::Next) => self.findings.returned += 1,
            Some(Arrival::Late) => {
                self.findings.returned += 1;
                self.findings.out_of_order += 1;
            }
            Some(Arrival::Again) => self.findings.duplicated += 1,
            None => self.findings.foreign += 1,
        }
        is_new
    }

    fn caught_up(&mut self) {
        self.producers.iter_mut().for_each(Follower::forget);
    }

    fn findings(&self, accepted: &[u64]) -> Findings {
        let accepted: u64 = accepted.iter().sum();
        Findings { lost: accepted.saturating_sub(self.findings.returned), ..self.findings }
    }
}

enum Arrival {
    /// In order; events before it may be missing.
    Next,
    /// After a later one of its producer and key.
    Late,
    Again,
}

impl Follower<'_> {
    /// Whether the event is one of this producer's lines, and how it arrived.
    fn take(&mut self, input: &Input, event: &Event<'_>) -> Option<Arrival> {
        let receipts = self.receipts.lock();
        let position = match receipts.get(self.likely) {
            Some((receipt, _)) if receipt.timestamp == event.receipt.timestamp => self.likely,
            _ => receipts
                .binary_search_by_key(&event.receipt.timestamp, |(receipt, _)| receipt.timestamp)
                .ok()?,
        };
        let (receipt, line) = receipts[position];
        if receipt != event.receipt || input.event(line) != event.bytes {
            return None;
        }
        self.seen.resize(receipts.len(), false);
        if std::mem::replace(&mut self.seen[position], true) {
            return Some(Arrival::Again);
        }
        self.likely = position + 1;
        let stream = match input.key(line) {
            LineKey::Own => Stream::OwnKey(key_index((line / self.producers) as u64)),
            LineKey::Field(_, key) => Stream::FieldKey(key),
            LineKey::Missing => Stream::Shard(receipt.shard),
        };
        let next = self.next.entry(stream).or_default();
        let arrival = if position < *next { Arrival::Late } else { Arrival::Next };
        *next = (*next).max(position + 1);
        Some(arrival)
    }

    /// Forgets what was published so far.
    fn forget(&mut self) {
        self.receipts.lock().clear();
        self.seen.clear();
        self.next.clear();
        self.likely = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KEYS;
    use crate::verify::tests::event;

    const LINES: usize = 300;

    /// 300 lines, the even ones equal, from two producers on one shard; `order` is how they come back.
    fn verdict(order: &[usize]) -> Findings {
        let text: Vec<String> = (0..LINES).map(|line| (line % 2 * line).to_string()).collect();
        let input = Input::new("test".to_owned(), text.join("\n").into());
        let receipts = [Receipts::default(), Receipts::default()];
        let receipt = |line: usize| Receipt { shard: 0, timestamp: 100 + line as u64 / 2 };
        for line in 0..LINES {
            receipts[line % 2].append(&mut vec![(receipt(line), line)]);
        }
        let mut lines = Lines::new(&input, &receipts);
        for &line in order {
            lines.event(&event(input.event(line), 0, receipt(line).timestamp));
        }
        lines.findings(&[LINES as u64 / 2, LINES as u64 / 2])
    }

    /// The lines in order, after one change.
    fn changed(change: impl FnOnce(&mut Vec<usize>)) -> Vec<usize> {
        let mut order = (0..LINES).collect();
        change(&mut order);
        order
    }

    #[test]
    fn every_line_once_and_in_order_per_producer_and_key_is_clean() {
        assert!(verdict(&changed(|_| {})).is_clean());
        let other_producer = changed(|order| order.swap(4, 5));
        assert!(verdict(&other_producer).is_clean());
        let other_key = changed(|order| order.swap(4, 6));
        assert!(verdict(&other_key).is_clean());
    }

    #[test]
    fn a_lost_line_a_duplicate_and_a_late_one_are_each_found() {
        let clean = Findings { returned: LINES as u64, ..Findings::default() };
        let lost = changed(|order| order.retain(|line| *line != 6));
        assert_eq!(verdict(&lost), Findings { returned: clean.returned - 1, lost: 1, ..clean });
        let duplicated = changed(|order| order.insert(6, 3));
        assert_eq!(verdict(&duplicated), Findings { duplicated: 1, ..clean });
        let same_key = changed(|order| order.swap(4, 4 + 2 * KEYS));
        assert_eq!(verdict(&same_key), Findings { out_of_order: 1, ..clean });
    }

    #[test]
    fn the_same_line_of_two_producers_at_the_same_nanosecond_is_no_duplicate() {
        let input = Input::new("test".to_owned(), b"a\na\n".to_vec());
        let receipts = [Receipts::default(), Receipts::default()];
        for (line, receipts) in receipts.iter().enumerate() {
            receipts.append(&mut vec![(Receipt { shard: 0, timestamp: 5 }, line)]);
        }
        let mut lines = Lines::new(&input, &receipts);
        let same = event(b"a", 0, 5);
        lines.event(&same);
        lines.event(&same);
        assert!(lines.findings(&[1, 1]).is_clean());
        lines.event(&same);
        assert_eq!(lines.findings(&[1, 1]), Findings { returned: 2, duplicated: 1, ..Findings::default() });
    }

    #[test]
    fn what_was_caught_up_with_is_forgotten_and_what_is_missing_then_stays_lost() {
        let input = Input::new("test".to_owned(), b"a\nb\n".to_vec());
        let receipts = [Receipts::default()];
        let mut lines = Lines::new(&input, &receipts);
        for round in 0..3 {
            receipts[0].append(&mut (0..2).map(|line| (receipt(round, line), line)).collect());
            lines.event(&event(b"a", 0, receipt(round, 0).timestamp));
            lines.caught_up();
            assert!(receipts[0].lock().is_empty() && lines.producers[0].seen.is_empty());
        }
        assert_eq!(lines.findings(&[6]), Findings { returned: 3, lost: 3, ..Findings::default() });
    }

    fn receipt(round: u64, line: usize) -> Receipt {
        Receipt { shard: 0, timestamp: round * 10 + line as u64 }
    }

    #[test]
    fn lines_of_one_key_are_followed_in_their_order_and_those_without_one_on_their_shard() {
        let text = b"{\"k\":1}\n{\"k\":2}\n{\"k\":1}\n{}\n{}\n".to_vec();
        let input = Input::new("test".to_owned(), text).with_keys("k");
        let found = |order: [usize; 5]| {
            let receipts = [Receipts::default()];
            receipts[0].append(&mut (0..5).map(|line| (receipt(0, line), line)).collect());
            let mut lines = Lines::new(&input, &receipts);
            for line in order {
                lines.event(&event(input.event(line), 0, receipt(0, line).timestamp));
            }
            lines.findings(&[5]).out_of_order
        };
        assert_eq!([found([1, 0, 3, 4, 2]), found([2, 1, 0, 3, 4]), found([0, 1, 2, 4, 3])], [0, 1, 1]);
    }

    #[test]
    fn a_changed_byte_a_wrong_shard_and_an_unknown_timestamp_are_foreign() {
        let input = Input::new("test".to_owned(), b"a\n".to_vec());
        let receipts = [Receipts::default()];
        receipts[0].append(&mut vec![(Receipt { shard: 0, timestamp: 5 }, 0)]);
        let mut lines = Lines::new(&input, &receipts);
        for wrong in [event(b"b", 0, 5), event(b"a", 1, 5), event(b"a", 0, 6)] {
            lines.event(&wrong);
        }
        assert_eq!(lines.findings(&[1]), Findings { lost: 1, foreign: 3, ..Findings::default() });
    }
}
