//! The delivery: the subscribers to one stream, and how far it has got.
//!
//! A subscriber is up to date, and gets every batch with the others, or behind, and is given what the store has. What a
//! round does for one that is behind is bounded by what the round did for those that are not.

use std::time::Duration;

use super::feed::Feed;
use super::outbox::Outbox;
use crate::adapter::{AdapterError, ReadBlock};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::counters::ShardStats;
use crate::event::{Sequence, ShardId};
use crate::port::Joined;
use crate::subscription::Joining;
use crate::sync::{Ordering, fence};

/// The subscribers to one stream.
pub(super) struct Delivery {
    stream: ShardId,
    up_to_date: Vec<Feed>,
    behind: Vec<Feed>,
    /// One past the last sequence that was stored or refused; of a shared stream, one past the last that is known of.
    settled: Sequence,
    /// Bytes of the batch that was staged last, since feeds that are behind were last given something; of a shared stream that has
    /// grown, what it may have grown by.
    staged_bytes: usize,
    timeout: Duration,
    /// Events that subscribers who have gone were given.
    delivered_before: u64,
}

/// What a round did for the subscribers that are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GoneOn {
    /// How many got more or were found up to date.
    pub(super) moved: usize,
    /// How many reads were started.
    pub(super) reads: usize,
}

impl Delivery {
    /// For a stream that goes on with `next`. A read that takes longer than `timeout` is repeated.
    pub(super) fn new(stream: ShardId, next: Sequence, timeout: Duration) -> Delivery {
        Delivery {
            stream,
            up_to_date: Vec::new(),
            behind: Vec::new(),
            settled: next,
            staged_bytes: 0,
            timeout,
            delivered_before: 0,
        }
    }

    /// The stream.
    pub(super) fn stream(&self) -> ShardId {
        self.stream
    }

    /// Whether there is a subscriber.
    pub(super) fn has_subscribers(&self) -> bool {
        !(self.up_to_date.is_empty() && self.behind.is_empty())
    }

    /// Takes a subscriber in.
    pub(super) fn join(&mut self, joining: Joining) -> Joined {
        let feed = Feed::new(joining, self.settled);
        let joined = Joined { last: feed.position(), settled: self.settled };
        self.place(feed);
        joined
    }

    /// Forgets subscribers that have gone.
    pub(super) fn retire(&mut self) {
        for feeds in [&mut self.up_to_date, &mut self.behind] {
            let gone = feeds.extract_if(.., |feed| feed.is_gone());
            self.delivered_before += gone.map(|feed| feed.delivered()).sum::<u64>();
        }
    }

    /// A batch is about to come.
    #[inline]
    pub(super) fn ask_ahead(&self) {
        self.up_to_date.iter().for_each(Feed::ask_ahead);
    }

    /// A batch is about to be submitted for the first time. Beside others in flight it is given to nobody early: what is
    /// stored next is not this one.
    #[inline]
    pub(super) fn stage(&mut self, batch: &Batch, is_alone: bool) {
        self.staged_bytes = batch.record_bytes();
        if is_alone {
            self.up_to_date.iter_mut().for_each(|feed| feed.stage(batch));
        }
    }

    /// The oldest batch in flight, which ends before `end`, is stored.
    #[inline]
    pub(super) fn stored(&mut self, end: Sequence) {
        self.settled = end;
        if self.up_to_date.is_empty() {
            return;
        }
        self.up_to_date.iter_mut().for_each(Feed::publish);
        // One for all of them. Pairs with the fence in `Signal::arm`.
        fence(Ordering::SeqCst);
        self.up_to_date.iter().for_each(Feed::ring);
        self.part();
    }

    /// A shared stream ends at `end` by now.
    pub(super) fn grown(&mut self, end: Sequence) {
        if end > self.settled {
            (self.settled, self.staged_bytes) = (end, GROWN_BYTES);
        }
        self.part();
    }

    /// The batch in flight, the only one, which ends before `end`, was given up. It may be stored all the same, when its outcome is not
    /// known: the store is asked.
    pub(super) fn refused(&mut self, end: Sequence) {
        self.settled = end;
        self.up_to_date.iter_mut().for_each(Feed::retract);
        self.part();
    }

    /// Whether a subscriber waits for this read.
    pub(super) fn awaits(&self, ticket: u64) -> bool {
        self.behind.iter().any(|feed| feed.awaits(ticket))
    }

    /// A read has ended.
    pub(super) fn absorb(&mut self, ticket: u64, result: Result<ReadBlock, AdapterError>, now: Monotonic) {
        let Some(index) = self.behind.iter().position(|feed| feed.awaits(ticket)) else { return };
        let feed = &mut self.behind[index];
        if feed.absorb(result.ok(), self.settled, now) {
            ring(feed);
        }
        self.join_again(index);
    }

    /// Gives more to the subscribers that are behind and have room, from the store's memory or by a read: together not
    /// much more than [`CATCH_UP_BYTES`], and each twice what those that are up to date got, so that it gains on them.
    #[inline]
    pub(super) fn go_on(&mut self, outbox: &mut Outbox, now: Monotonic) -> GoneOn {
        let mut gone_on = GoneOn::default();
        if self.behind.is_empty() {
            return gone_on;
        }
        let read_bytes = (CATCH_UP_BYTES / self.behind.len()).max(CATCH_UP_BYTES_MIN);
        let bytes_max = read_bytes.max(2 * self.staged_bytes);
        self.staged_bytes = 0;
        for index in (0..self.behind.len()).rev() {
            let feed = &mut self.behind[index];
            if !feed.prepare(self.settled, now) {
                continue;
            }
            let taken = feed.take(outbox, self.stream, self.settled, bytes_max, now);
            if taken.published {
                ring(feed);
            }
            gone_on.moved += usize::from(taken.moved);
            if taken.needs_read {
                let ticket = outbox.start_read(feed.read_request(self.stream, read_bytes), now);
                feed.reads(ticket, self.settled, now.after(self.timeout));
                gone_on.reads += 1;
            }
            self.join_again(index);
        }
        gone_on
    }

    /// Whether a subscriber that is behind could be given more.
    pub(super) fn has_work(&self) -> bool {
        self.behind.iter().any(|feed| feed.wants_more(self.settled))
    }

    /// When a subscriber is to be looked at again although nobody rings.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.behind.iter().filter_map(Feed::due).min()
    }

    /// Writes what subscribers were given, and how far the store has got, into `stats`.
    pub(super) fn count(&self, stats: &mut ShardStats) {
        let feeds = self.up_to_date.iter().chain(&self.behind);
        stats.delivered += self.delivered_before + feeds.map(Feed::delivered).sum::<u64>();
        stats.settled = self.settled.0 - 1;
    }

    fn place(&mut self, feed: Feed) {
        let feeds = if feed.is_up_to_date(self.settled) { &mut self.up_to_date } else { &mut self.behind };
        feeds.push(feed);
    }

    /// Puts those that did not get everything among those that are behind.
    #[inline]
    fn part(&mut self) {
        for index in (0..self.up_to_date.len()).rev() {
            if !self.up_to_date[index].is_up_to_date(self.settled) {
                self.behind.push(self.up_to_date.swap_remove(index));
            }
        }
    }

    /// Puts one that has caught up among those that are up to date.
    fn join_again(&mut self, index: usize) {
        if self.behind[index].is_up_to_date(self.settled) {
            self.up_to_date.push(self.behind.swap_remove(index));
        }
    }
}

/// Rings one subscriber for what was published to it.
fn ring(feed: &Feed) {
    // Pairs with the fence in `Signal::arm`.
    fence(Ordering::SeqCst);
    feed.ring();
}

/// Bytes of records that a round copies for those that are behind, where those that are up to date get none.
const CATCH_UP_BYTES: usize = 64 << 10;
/// What the store of a shared stream takes in between two rounds, about: it says by how many events, and not by how many bytes.
const GROWN_BYTES: usize = 512 << 10;
/// Bytes that each of them is given at least.
const CATCH_UP_BYTES_MIN: usize = 4 << 10;
