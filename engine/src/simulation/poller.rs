//! A reader that polls in the simulation: one poll at a time, whose reads end whenever the shards answer.

use crossbeam_channel::{Receiver, bounded};
use fastrand::Rng;

use super::books::{filter_of, is_wanted, number_of};
use super::store::{Store, Stores, is_stored};
use crate::adapter::{AdapterError, ReadBlock};
use crate::clock::Monotonic;
use crate::consume::PollResponse;
use crate::consume::cursor;
use crate::consume::merge::Merge;
use crate::consume::request::{Ordering, PollRequest};
use crate::event::ShardId;
use crate::port::Mail;
use crate::shared::Shared;

/// The store that cursors name.
pub(super) const STORE: cursor::Store = cursor::Store { tag: "simulated", incarnation: 1 };

pub(super) struct Poller {
    ordering: Ordering,
    /// The key that it wants, if it is not all of them.
    key: Option<u8>,
    cursor: Option<String>,
    poll: Option<Poll>,
    /// The last sequence that it was given, by shard.
    last: Vec<u64>,
    found: Vec<Vec<u64>>,
    skipped: u64,
    has_more: bool,
}

/// A poll under way.
struct Poll {
    limit: usize,
    merge: Merge,
    asked: Vec<ShardId>,
    answers: Receiver<(ShardId, Result<ReadBlock, AdapterError>)>,
    blocks: Vec<(ShardId, Option<ReadBlock>)>,
    deadline: Monotonic,
}

impl Poller {
    pub(super) fn new(rng: &mut Rng, shards: u16, keys: u8) -> Poller {
        Poller {
            ordering: if rng.bool() { Ordering::None } else { Ordering::InsertionTs },
            key: rng.bool().then(|| rng.u8(..keys)),
            cursor: None,
            poll: None,
            last: vec![0; usize::from(shards)],
            found: vec![Vec::new(); usize::from(shards)],
            skipped: 0,
            has_more: true,
        }
    }

    /// Begins a poll, or goes on with one. `None` where it waits for an answer; else the numbers that were returned, none where it has
    /// not ended.
    pub(super) fn step(
        &mut self,
        limit: usize,
        shared: &Shared,
        now: Monotonic,
        stores: &Stores,
    ) -> Option<Vec<u64>> {
        let Some(poll) = &mut self.poll else {
            let (ordering, cursor) = (self.ordering, self.cursor.clone());
            let request =
                PollRequest { limit, ordering, cursor, filter: self.key.map(filter_of), shards: None };
            let layouts = shared.kind.layouts.clone();
            let merge = Merge::new(request, STORE, shared.shards(), layouts).expect("its own cursor");
            self.poll = Some(Poll::ask(limit, merge, shared, now));
            return Some(Vec::new());
        };
        poll.blocks.extend(poll.answers.try_iter().map(|(shard, result)| (shard, result.ok())));
        let is_answered = poll.blocks.len() == poll.asked.len() || now >= poll.deadline;
        if !is_answered {
            return None;
        }
        let Poll { limit, mut merge, asked, mut blocks, .. } = self.poll.take().expect("it is under way");
        for shard in asked {
            let at = blocks.iter().position(|(answered, _)| *answered == shard);
            merge.absorb(shard, at.and_then(|at| blocks.swap_remove(at).1));
        }
        if !merge.fetches().is_empty() {
            self.poll = Some(Poll::ask(limit, merge, shared, now));
            return Some(Vec::new());
        }
        Some(self.take(&merge.finish(), limit, stores))
    }

    /// There may be more by now than a poll under way has seen.
    pub(super) fn look_again(&mut self) {
        self.poll = None;
        self.has_more = true;
    }

    /// Whether everything that could be read was returned.
    pub(super) fn has_all(&self) -> bool {
        self.poll.is_none() && !self.has_more
    }

    fn take(&mut self, page: &PollResponse, limit: usize, stores: &Stores) -> Vec<u64> {
        assert!(page.len() <= limit, "{} events, and {limit} were asked for", page.len());
        for (shard, event) in page.events() {
            let sequence = event.sequence.0;
            assert!(
                is_stored(stores, shard, sequence, event.payload),
                "{shard}:{sequence} is returned, and not stored"
            );
            let last = std::mem::replace(&mut self.last[shard.index()], sequence);
            assert!(sequence > last, "{shard}:{sequence} is returned behind {last}");
            self.found[shard.index()].push(sequence);
        }
        if self.ordering == Ordering::InsertionTs && self.key.is_none() {
            // Of two shards the one with the earlier event comes first: the other's was next in its shard then.
            let events: Vec<_> = page.events().collect();
            for [(shard, before), (next_shard, event)] in events.array_windows() {
                assert!(
                    shard == next_shard || before.timestamp_ns <= event.timestamp_ns,
                    "an event of {next_shard} comes too late"
                );
            }
        }
        self.skipped += page.skipped;
        (self.cursor, self.has_more) = (page.next_cursor.clone(), page.has_more);
        page.events().map(|(_, event)| number_of(event.payload)).collect()
    }

    /// Everything that is there and wanted was returned, and what was not is gone.
    pub(super) fn check(&self, shard: ShardId, store: &Store) {
        let found = &self.found[shard.index()];
        for (sequence, payload) in store.readable() {
            let is_found = found.binary_search(&sequence).is_ok();
            assert_eq!(
                is_found,
                is_wanted(self.key, payload),
                "{shard}:{sequence} was returned to a poller or not"
            );
        }
    }

    /// How many of a shard's events were gone before it came to them; none where it did not want all.
    pub(super) fn overtaken(&self, shard: ShardId, store: &Store) -> u64 {
        if self.key.is_some() { 0 } else { store.overtaken(&self.found[shard.index()]) }
    }

    /// Events that it was told it has missed.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Poll {
    fn ask(limit: usize, merge: Merge, shared: &Shared, now: Monotonic) -> Poll {
        let fetches = merge.fetches();
        let (answer, answers) = bounded(fetches.len());
        let deadline = now.after(shared.config.adapter_timeout);
        let mut poll = Poll { limit, merge, asked: Vec::new(), answers, blocks: Vec::new(), deadline };
        for (shard, request) in fetches {
            poll.asked.push(shard);
            let read = Mail::Read { request, deadline, answer: answer.clone() };
            if shared.port(shard).post(read).is_err() {
                poll.blocks.push((shard, None));
            }
        }
        poll
    }
}
