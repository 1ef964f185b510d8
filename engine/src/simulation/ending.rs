//! The end of a simulated world: nothing fails any more, everything drains, and the books are closed.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::faults::Fault;
use super::poller::Poller;
use super::store::Store;
use super::world::World;
use crate::counters::ShardStats;
use crate::duty::Duty;
use crate::event::ShardId;

impl World {
    /// Nothing fails any more: whoever has something to do does it, and time passes when nobody has.
    pub(super) fn drain(&mut self) {
        for store in &self.stores {
            store.borrow_mut().is_calm = true;
        }
        self.calm_since = Some(self.now);
        // Nobody asks anything meanwhile, and nobody hears of a flush: what a shard waits for is to wake it by itself.
        self.flushes.clear();
        self.settle(false);
        for (shard, asleep) in self.shards.iter().zip(&self.asleep) {
            let sleeps_on = shard.as_ref().is_some_and(|shard| *asleep && shard.has_work());
            assert!(!sleeps_on, "a shard sleeps on what there is for it");
        }
        if self.shutdown.is_none() {
            self.check_followers();
            for shard in self.shared.shard_ids() {
                // A shard publishes a snapshot before it sleeps.
                let stats = self.shared.port(shard).board.read();
                assert_eq!(stats.pending_events, 0, "{shard} does not drain: {stats:?}");
            }
        }
        if self.shutdown.is_none() {
            self.flush_calmly();
        }
        self.pollers.iter_mut().for_each(Poller::look_again);
        self.settle(true);
        self.finish();
    }

    /// Until nobody has anything to do, however long they wait.
    pub(super) fn settle(&mut self, polls: bool) {
        let mut idle = 0;
        for _ in 0..DRAIN_STEPS_MAX {
            let mut works = false;
            for at in 0..self.shards.len() {
                works |= self.round(at);
                works |= self.stores[at].borrow_mut().act();
            }
            for at in 0..self.pollers.len() {
                if polls && !self.pollers[at].has_all() && self.shutdown.is_none() {
                    works |= self.poll_on(at, 1_000);
                }
            }
            for at in (0..self.followers.len()).rev() {
                works |= self.follow_on(at, 1_000) > 0;
            }
            self.hear_flushes();
            idle = if works { 0 } else { idle + 1 };
            if idle > IDLE_MAX {
                return;
            }
            let due = self.shards.iter().flatten().filter_map(Duty::due).min();
            let later =
                self.now.after(if works { Duration::from_micros(1) } else { Duration::from_millis(100) });
            self.pass_to(due.filter(|due| *due > self.now).map_or(later, |due| due.min(later)));
        }
        let stats: Vec<ShardStats> =
            self.shared.shard_ids().map(|shard| self.shared.port(shard).board.read()).collect();
        let pollers: Vec<bool> = self.pollers.iter().map(Poller::has_all).collect();
        panic!("it does not drain: polls have all {pollers:?}, asleep {:?}, {stats:?}", self.asleep);
    }

    /// Ends the bus, if that has not happened.
    fn finish(&mut self) {
        if self.shutdown.is_none() {
            self.check_pollers();
            self.shut_down(Duration::from_secs(5));
        }
        for _ in 0..DRAIN_STEPS_MAX {
            if self.shards.iter().all(Option::is_none) {
                return;
            }
            for at in 0..self.shards.len() {
                self.round(at);
                self.stores[at].borrow_mut().act();
            }
            self.pass_to(self.now.after(Duration::from_millis(1)));
        }
        panic!("a shard does not end");
    }

    /// Who subscribes was given everything that is there.
    fn check_followers(&self) {
        for shard in self.shared.shard_ids() {
            let store = self.stores[shard.index()].borrow();
            let joined = self.followers.iter().filter(|follower| follower.has_joined());
            joined.for_each(|follower| follower.check(shard, &store));
        }
        let lost: u64 = self.stores.iter().map(|store| store.borrow().lost()).sum();
        for follower in &self.followers {
            let overtaken = self.overtaken(|shard, store| follower.overtaken(shard, store));
            let skipped = follower.skipped();
            assert!(
                overtaken <= skipped && skipped <= lost,
                "{skipped} were skipped, of {overtaken} to {lost}"
            );
        }
    }

    /// Who polls was given everything that is there.
    fn check_pollers(&self) {
        for shard in self.shared.shard_ids() {
            let store = self.stores[shard.index()].borrow();
            self.pollers.iter().for_each(|poller| poller.check(shard, &store));
        }
        let lost: u64 = self.stores.iter().map(|store| store.borrow().lost()).sum();
        for poller in &self.pollers {
            let overtaken = self.overtaken(|shard, store| poller.overtaken(shard, store));
            let skipped = poller.skipped();
            assert!(
                overtaken <= skipped && skipped <= lost,
                "{skipped} were skipped, of {overtaken} to {lost}"
            );
        }
    }

    /// How many events a reader has missed, by what it says of each shard.
    fn overtaken(&self, of: impl Fn(ShardId, &Store) -> u64) -> u64 {
        self.shared.shard_ids().map(|shard| of(shard, &self.stores[shard.index()].borrow())).sum()
    }

    /// Every accepted event is stored once, or counted.
    pub(super) fn check(&mut self) {
        let shutdown = self.shutdown.take().expect("the bus has ended");
        let mut not_stored = vec![None; self.shards.len()];
        for (shard, count) in shutdown.try_iter() {
            assert_eq!(not_stored[shard.index()].replace(count), None, "{shard} answers once");
        }
        for shard in self.shared.shard_ids() {
            let store = self.stores[shard.index()].borrow();
            self.books.check_store(shard, &store);
            let stats: ShardStats = self.shared.port(shard).board.read();
            self.books.check_snapshot(shard, &stats);
            assert_eq!(stats.pending_events, 0, "{shard} has ended: {stats:?}");
            assert_eq!(not_stored[shard.index()], Some(stats.dropped.shutdown), "of {shard}");
            assert_eq!(stats.stored, store.told_stored, "{shard} counts what it was not told: {stats:?}");
            let ever = store.ever.len() as u64;
            assert!(stats.stored <= ever, "{shard} counts {} and has {ever}", stats.stored);
            let missing = self.books.accepted_by(shard) - ever;
            assert!(missing <= stats.dropped.total(), "{missing} events of {shard} are gone: {stats:?}");
            self.trace = xxh3_64_with_seed(&ever.to_le_bytes(), self.trace);
            if stats.dropped.shutdown > 0 {
                self.faults.count(Fault::GivenUp);
            }
        }
    }
}

/// Rounds without work after which nothing is left to be done: more than every wait that anybody may have.
const IDLE_MAX: usize = 400;
const DRAIN_STEPS_MAX: usize = 200_000;
