//! What has come: counted, and looked at if it is to be verified.

use std::time::{Duration, Instant};

use crate::args::ServeArguments;
use crate::bus::Event;
use crate::keys::Keys;
use crate::sequences::{Order, Sequences};
use crate::sizes::Sizes;
use crate::verify::{Findings, Verify};

/// What has come so far.
pub(super) struct Tally {
    sequences: Option<Sequences>,
    has_keys: bool,
    events: u64,
    bytes: u64,
    /// How many events there were when it was looked at last.
    looked: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Tally {
    /// Nothing yet. For a bus of so many shards.
    pub(super) fn new(arguments: &ServeArguments, shards: u16) -> Tally {
        let made = &arguments.made;
        let sequences = (!arguments.count_only).then(|| {
            let keys = Keys::new(made.keys, made.skew, made.seed);
            Sequences::new(PRODUCERS_MAX, shards, Sizes::new(made.size, made.seed), Order::PerKey, keys)
        });
        Tally {
            sequences,
            has_keys: arguments.has_keys(),
            events: 0,
            bytes: 0,
            looked: 0,
            first: None,
            last: None,
        }
    }

    /// One more.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        self.bytes += event.bytes.len() as u64;
        if let Some(sequences) = &mut self.sequences {
            sequences.event(event);
        }
    }

    /// What has come since the last look has come by now.
    pub(super) fn look(&mut self, now: Instant) {
        if self.events > self.looked {
            self.looked = self.events;
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the newest came.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// From the first to the newest.
    pub(super) fn active(&self) -> Duration {
        self.first.zip(self.last).map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// What verification found, `lost` being what is missing between those that came. None where it only counts.
    pub(super) fn findings(&self) -> Option<Findings> {
        let findings = self.sequences.as_ref().map(|sequences| sequences.findings(&sequences.published()))?;
        // Events without keys have no order across processes.
        let out_of_order = if self.has_keys { findings.out_of_order } else { 0 };
        Some(Findings { out_of_order, ..findings })
    }
}

/// As many as a run may have.
const PRODUCERS_MAX: u16 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tests::serve;
    use crate::payload::Payloads;
    use crate::sizes::SizeRange;
    use crate::verify::tests::event;

    #[test]
    fn what_is_missing_between_events_is_known_and_what_never_came_is_not() {
        let sizes = Sizes::new(SizeRange { min: 100, max: 100 }, 1);
        let payloads = Payloads::new(3, sizes, 200);
        let mut tally = Tally::new(&serve("--bind 127.0.0.1:1 --key-file k --psk-file p"), 1);
        for number in (0..150).filter(|number| !(20..30).contains(number)) {
            tally.event(&event(payloads.event(number), 0, 0));
        }
        let expected = Findings { returned: 140, lost: 10, ..Findings::default() };
        assert_eq!((tally.findings(), tally.events(), tally.bytes()), (Some(expected), 140, 14_000));
        tally.event(&event(b"{}", 0, 0));
        tally.event(&event(payloads.event(0), 0, 0));
        let expected = Findings { duplicated: 1, foreign: 1, ..expected };
        assert_eq!(tally.findings(), Some(expected));
    }

    #[test]
    fn what_is_only_counted_is_not_judged() {
        let mut tally = Tally::new(&serve("--bind 127.0.0.1:1 --key-file k --psk-file p --count-only"), 1);
        tally.event(&event(b"{}", 0, 0));
        assert_eq!((tally.findings(), tally.events()), (None, 1));
    }
}
