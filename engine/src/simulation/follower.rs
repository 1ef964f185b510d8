//! A subscriber in the simulation: joins when every shard has answered, and reads in steps of any size.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::poller::STORE;
use super::store::Store;
use crate::clock::Monotonic;
use crate::consume::filter::Filter;
use crate::consume::subscribe::{From, SubscribeRequest};
use crate::event::ShardId;
use crate::port::Joined;
use crate::shared::Shared;
use crate::subscription::{Answers, Subscription};

pub(super) struct Follower {
    subscription: Subscription,
    joining: Option<Joining>,
    key: Option<u8>,
    /// Whether it begins with the oldest event.
    from_start: bool,
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
        let from_start = rng.bool();
        let request = SubscribeRequest {
            from: if from_start { From::Start } else { From::Now },
            filter: key.map(|key| Filter::parse(&json!({"path": "k", "value": key})).expect("valid")),
            shards: None,
        };
        let (subscription, answers) = Subscription::ask(shared, STORE, request).ok()?;
        let deadline = now.after(shared.config.adapter_timeout);
        let joining = Some(Joining { answers, heard: Vec::new(), deadline });
        let found = vec![Vec::new(); usize::from(shared.shards())];
        Some(Follower { subscription, joining, key, from_start, found, skipped: 0 })
    }

    /// Joins, or reads up to `events_max` events. `None` when it has given up; else how many it was given.
    pub(super) fn step(
        &mut self,
        events_max: usize,
        now: Monotonic,
        is_stored: impl Fn(ShardId, u64, &[u8]) -> bool,
    ) -> Option<usize> {
        if let Some(joining) = &mut self.joining {
            joining.heard.extend(joining.answers.try_iter());
            if joining.heard.len() < self.found.len() {
                return (now < joining.deadline).then_some(0);
            }
            self.subscription.begin(self.joining.take()?.heard);
        }
        let mut count = 0;
        let events = self.subscription.next(events_max, Some(Duration::ZERO)).ok()?;
        for (shard, event) in events {
            let sequence = event.sequence.0;
            assert!(
                is_stored(shard, sequence, event.payload),
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

    /// Everything that is there, wanted, and not before its beginning was delivered.
    pub(super) fn check(&self, shard: ShardId, store: &Store) {
        let found = &self.found[shard.index()];
        let begin = if self.from_start { Some(0) } else { found.first().copied() };
        for (sequence, payload) in store.readable().filter(|(sequence, _)| Some(*sequence) >= begin) {
            let needle = self.key.map(|key| format!(r#""k":{key},"#));
            let is_wanted = needle
                .is_none_or(|needle| payload.windows(needle.len()).any(|window| window == needle.as_bytes()));
            if begin.is_some() {
                let is_found = found.binary_search(&sequence).is_ok();
                assert_eq!(is_found, is_wanted, "{shard}:{sequence} was delivered or not");
            }
        }
    }
}
