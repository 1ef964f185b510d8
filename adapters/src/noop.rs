//! The store that keeps nothing: every batch is acknowledged at once, and a reader is told how many events are gone. For
//! measuring what the bus itself costs. A subscriber that keeps up gets every event all the same.

use std::collections::VecDeque;

use engine::adapter::{
    Adapter, AdapterError, AdapterFactory, Outcome, ReadBlock, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::config::{ConfigError, parse_section};
use engine::event::{Sequence, ShardId};
use engine::identity::random_word;
use serde::Deserialize;
use serde_json::Value;

/// Makes stores that keep nothing. There are no options.
#[derive(Clone, Copy, Debug)]
pub struct NoopStores {
    incarnation: u64,
}

/// The store that counts and discards. It has no keys: `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl NoopStores {
    /// Stores of one bus.
    pub fn new() -> NoopStores {
        NoopStores { incarnation: random_word() }
    }

    /// Refuses any option.
    pub fn parse(options: Value) -> Result<NoopStores, ConfigError> {
        parse_section("noop", options).map(|NoOptions {}| NoopStores::new())
    }
}

impl Default for NoopStores {
    fn default() -> NoopStores {
        NoopStores::new()
    }
}

impl AdapterFactory for NoopStores {
    fn tag(&self) -> &'static str {
        "noop"
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn open(&self, _: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        Ok(Box::new(Noop { end: Sequence::FIRST, news: VecDeque::new() }))
    }
}

struct Noop {
    /// One past the last sequence that was discarded.
    end: Sequence,
    news: VecDeque<Outcome>,
}

impl Noop {
    fn discarded_after(&self, after: Option<Sequence>) -> u64 {
        after.map_or(0, |after| self.end.0.saturating_sub(after.0 + 1))
    }
}

impl Adapter for Noop {
    fn ready(&self) -> bool {
        true
    }

    fn submit(&mut self, batch: Batch, _: Monotonic) {
        self.end = batch.end();
        self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
    }

    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.news.pop_front()
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        None
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        let skipped = self.discarded_after(request.after);
        let block = ReadBlock { through: Some(Sequence(self.end.0 - 1)), skipped, ..ReadBlock::default() };
        self.news.push_back(Outcome::Read { ticket, result: Ok(block) });
    }

    fn resident(&self, _: ShardId, after: Option<Sequence>) -> Resident<'_> {
        Resident::Nothing { skipped: self.discarded_after(after) }
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }
}
