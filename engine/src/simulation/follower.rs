//! A subscriber in the simulation: joins when every shard has answered, and reads in steps of any size.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::books::{filter_of, is_wanted};
use super::poller::STORE;
use super::store::{Store, Stores, is_stored};
use crate::clock::Monotonic;
use crate::consume::subscribe::{From, SubscribeRequest};
use crate::event::ShardId;
use crate::port::Joined;
use crate::shared::Shared;
use crate::subscription::{Answers, Subscription};

pub(super) struct Follower {
    subscription: Subscription,
    joining: Option<Joining>,
    key: Option<u8>,
    /// By shard, the sequence that it begins with, and the last that was stored when it was let in.
    begins: Vec<u64>,
    stored: Vec<u64>,
    found: Vec<Vec<u64>>,
    skipped: u64,
}

struct Joining {
    answers: Answers,
    heard: Vec<(ShardId, Joined)>,
    deadline: Monotonic,
}

impl Follower {
    /// Asks to be let in; `None` where the bus refuses.
    pub(super) fn ask(rng: &mut Rng, shared: &Arc<Shared>, keys: u8, now: Monotonic) -> Option<Follower> {
        let key = rng.bool().then(|| rng.u8(..keys));
        let request = SubscribeRequest {
            from: if rng.bool() { From::Start } else { From::Now },
            filter: key.map(filter_of),
            shards: None,
        };
        let (subscription, answers) = Subscription::ask(shared, STORE, request).ok()?;
        let deadline = now.after(shared.config.adapter_timeout);
        let joining = Some(Joining { answers, heard: Vec::new(), deadline });
        let shards = usize::from(shared.shards());
        let (begins, found) = (vec![0; shards], vec![Vec::new(); shards]);
        Some(Follower { subscription, joining, key, stored: begins.clone(), begins, found, skipped: 0 })
    }

    /// Joins, or reads up to `events_max` events. `None` when it has given up; else how many it was given.
    pub(super) fn step(
        &mut self,
        events_max: usize,
        now: Monotonic,
        stores: &Stores,
        is_closing: bool,
    ) -> Option<usize> {
        if let Some(joining) = &mut self.joining {
            joining.heard.extend(joining.answers.try_iter());
            if joining.heard.len() < self.found.len() {
                return (now < joining.deadline).then_some(0);
            }
            for (shard, joined) in &joining.heard {
                self.begins[shard.index()] = joined.last.map_or(0, |last| last.0 + 1);
                self.stored[shard.index()] = stores[shard.index()].borrow().last();
            }
            self.subscription.begin(self.joining.take()?.heard);
        }
        let mut count = 0;
        let events = match self.subscription.next(events_max, Some(Duration::ZERO)) {
            Ok(events) => events,
            Err(error) => {
                assert!(is_closing, "a subscription ends: {error}");
                return None;
            }
        };
        for (shard, event) in events {
            let sequence = event.sequence.0;
            assert!(
                is_stored(stores, shard, sequence, event.payload),
                "{shard}:{sequence} is delivered, and not stored"
            );
            let found = &mut self.found[shard.index()];
            assert!(
                found.last() < Some(&sequence),
                "{shard}:{sequence} is delivered behind {:?}",
                found.last()
            );
            found.push(sequence);
            count += 1;
        }
        assert!(count <= events_max);
        self.skipped += self.subscription.take_skipped();
        Some(count)
    }

    pub(super) fn has_joined(&self) -> bool {
        self.joining.is_none()
    }

    /// Until when it waits to be let in.
    pub(super) fn joins_until(&self) -> Option<Monotonic> {
        self.joining.as_ref().map(|joining| joining.deadline)
    }

    /// Whether there is more for it than a lane holds.
    pub(super) fn is_far_behind(&self, stores: &Stores) -> bool {
        let positions = self.found.iter().zip(&self.begins).zip(stores);
        self.has_joined()
            && positions.into_iter().any(|((found, begin), store)| {
                let position = found.last().copied().unwrap_or(begin.saturating_sub(1));
                store.borrow().is_far_behind(position)
            })
    }

    /// How many of a shard's events were gone before it came to them; none where it did not want all.
    pub(super) fn overtaken(&self, shard: ShardId, store: &Store) -> u64 {
        if self.key.is_some() { 0 } else { store.overtaken(&self.found[shard.index()]) }
    }

    /// Everything that is there, wanted, and not before its beginning was delivered.
    pub(super) fn check(&self, shard: ShardId, store: &Store) {
        let (begin, found) = (self.begins[shard.index()], &self.found[shard.index()]);
        // What was stored since is its own, from wherever it begins.
        let next = self.stored[shard.index()] + 1;
        assert_eq!(store.ever.range(next..begin.max(next)).count(), 0, "{shard} lets it begin with {begin}");
        for (sequence, payload) in store.readable() {
            let is_due = sequence >= begin && is_wanted(self.key, payload);
            let is_found = found.binary_search(&sequence).is_ok();
            assert_eq!(is_found, is_due, "{shard}:{sequence} was delivered or not");
        }
    }

    /// Events that it was told it has missed.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }
}
