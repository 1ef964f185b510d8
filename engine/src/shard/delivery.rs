//! The delivery: a shard's subscribers, and how far what it stores has got.

use std::time::Duration;

use super::feed::Feed;
use super::outbox::Outbox;
use crate::adapter::{AdapterError, ReadBlock};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::counters::ShardStats;
use crate::event::Sequence;
use crate::subscription::Joining;
use crate::sync::{Ordering, fence};

/// The subscribers of one shard.
pub(super) struct Delivery {
    feeds: Vec<Feed>,
    /// One past the last sequence that was stored or refused.
    settled: Sequence,
    /// The feed that is looked at first in the next round.
    first_ready: usize,
    /// Some feed may be behind. While none is, a round costs one look at this.
    restless: bool,
    timeout: Duration,
    /// Events that subscribers who have gone were given.
    delivered_before: u64,
}

/// What a round did for the subscribers that are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoneOn {
    /// Nothing: none is, or none has room.
    No,
    /// One got more.
    Pushed,
    /// A read was started for one.
    Read,
}

impl Delivery {
    /// For a shard whose first batch starts at `next`. A read that takes longer than `timeout` is repeated.
    pub(super) fn new(next: Sequence, timeout: Duration) -> Delivery {
        Delivery {
            feeds: Vec::new(),
            settled: next,
            first_ready: 0,
            restless: false,
            timeout,
            delivered_before: 0,
        }
    }

    /// Takes a subscriber in. Returns the last sequence that it does not get, where that is known.
    pub(super) fn join(&mut self, joining: Joining) -> Option<Sequence> {
        let feed = Feed::new(joining, self.settled);
        let last = feed.next().map(|next| Sequence(next.0 - 1));
        self.feeds.push(feed);
        self.restless = true;
        last
    }

    /// Forgets subscribers that have gone.
    pub(super) fn retire(&mut self) {
        let gone = self.feeds.extract_if(.., |feed| feed.is_gone());
        self.delivered_before += gone.map(|feed| feed.delivered()).sum::<u64>();
    }

    /// A batch is about to be submitted for the first time.
    #[inline]
    pub(super) fn stage(&mut self, batch: &Batch) {
        self.feeds.iter_mut().for_each(|feed| feed.stage(batch));
    }

    /// The batch in flight, which ends before `end`, is stored.
    #[inline]
    pub(super) fn stored(&mut self, end: Sequence) {
        self.settled = end;
        let mut published = false;
        for feed in &mut self.feeds {
            published |= feed.publish();
            self.restless |= !feed.is_settled(end);
        }
        if published {
            self.ring();
        }
    }

    /// The batch in flight, which ends before `end`, is refused for good.
    pub(super) fn refused(&mut self, end: Sequence) {
        self.settled = end;
        for feed in &mut self.feeds {
            feed.retract(end);
            self.restless |= !feed.is_settled(end);
        }
    }

    /// A read has ended.
    pub(super) fn absorb(&mut self, ticket: u64, result: Result<ReadBlock, AdapterError>, now: Monotonic) {
        let settled = self.settled;
        let reader = self.feeds.iter_mut().find(|feed| feed.awaits(ticket));
        if reader.is_some_and(|feed| feed.absorb(result.ok(), settled, now)) {
            self.ring();
        }
    }

    /// Gives more to one subscriber that is behind, or starts a read for it; one in a round, so that a shard with many slow
    /// ones does not stall. What was done.
    #[inline]
    pub(super) fn go_on(&mut self, outbox: &mut Outbox, now: Monotonic) -> GoneOn {
        if !self.restless {
            return GoneOn::No;
        }
        let settled = self.settled;
        self.restless = self.feeds.iter().any(|feed| !feed.is_settled(settled));
        let count = self.feeds.len();
        for turn in 0..count {
            let index = (self.first_ready + turn) % count;
            let feed = &mut self.feeds[index];
            if !feed.is_ready(settled, now) {
                continue;
            }
            self.first_ready = index + 1;
            let Some(published) = feed.take(&outbox.resident(feed.position()), settled, now) else {
                let ticket = outbox.start_read(feed.read_request(), now);
                feed.reads(ticket, settled, now.after(self.timeout));
                return GoneOn::Read;
            };
            if published {
                self.ring();
            }
            return GoneOn::Pushed;
        }
        GoneOn::No
    }

    /// Whether a subscriber that is behind could be given more.
    pub(super) fn has_work(&self) -> bool {
        self.restless && self.feeds.iter().any(|feed| feed.wants_more(self.settled))
    }

    /// When a subscriber is to be looked at again although nobody rings.
    pub(super) fn due(&self) -> Option<Monotonic> {
        if self.restless { self.feeds.iter().filter_map(Feed::due).min() } else { None }
    }

    /// Writes what subscribers were given, and how far the store has got, into `stats`.
    pub(super) fn count(&self, stats: &mut ShardStats) {
        stats.delivered = self.delivered_before + self.feeds.iter().map(Feed::delivered).sum::<u64>();
        stats.settled = self.settled.0 - 1;
    }

    /// Rings the subscribers for what was published.
    fn ring(&self) {
        // One for all of them. Pairs with the fence in `Signal::arm`.
        fence(Ordering::SeqCst);
        self.feeds.iter().for_each(Feed::ring);
    }
}
