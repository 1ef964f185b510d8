//! Arrivals: the peer's events on their way into the store behind the sessions, and what readers are told of them.

use std::collections::VecDeque;

use engine::adapter::{Adapter, Outcome, ReadRequest, Resident};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::{Sequence, ShardId};

use super::channel::Mark;
use super::endpoint::Endpoint;

/// The store behind one shard's sessions.
pub(super) struct Arrivals {
    store: Box<dyn Adapter>,
    stream: ShardId,
    /// Events that the store was not given yet.
    waiting: Batch,
    /// Memory for the next of those.
    spare: Option<Batch>,
    /// Whether the store has a batch that it has not acknowledged, and up to where the sessions had delivered with it.
    is_storing: bool,
    marks: Vec<Mark>,
    /// A batch that the store has refused for now, and when it gets it again.
    refused: Option<(Batch, Monotonic)>,
    /// Sequence of the next event that the store is given.
    next: Sequence,
    /// One past the last event that it has.
    end: Sequence,
    is_followed: bool,
}

impl Arrivals {
    pub(super) fn new(store: Box<dyn Adapter>, stream: ShardId) -> Arrivals {
        let next = store.resume();
        Arrivals {
            store,
            stream,
            waiting: Batch::default(),
            spare: None,
            is_storing: false,
            marks: Vec::new(),
            refused: None,
            next,
            end: next,
            is_followed: false,
        }
    }

    /// Where sessions put events.
    pub(super) fn waiting(&mut self) -> &mut Batch {
        &mut self.waiting
    }

    /// Whether the store is to be given what waits before more comes.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.record_bytes() >= BATCH_BYTES
    }

    /// Gives the store what waits, if it takes it.
    pub(super) fn store(&mut self, endpoint: &mut Endpoint, news: &mut VecDeque<Outcome>, now: Monotonic) {
        if self.waiting.is_empty() && !self.is_storing {
            // What had nothing to store in it is through as well.
            endpoint.marks(&mut self.marks);
            return endpoint.stored(&self.marks, now);
        }
        if self.waiting.is_empty() || self.is_storing || !self.store.ready() {
            return;
        }
        let fresh =
            self.spare.take().unwrap_or_else(|| Batch::with_capacity(BATCH_BYTES + BATCH_SLACK, 1 << 10));
        let mut batch = std::mem::replace(&mut self.waiting, fresh);
        batch.number_from(self.next);
        self.next = batch.end();
        endpoint.marks(&mut self.marks);
        self.is_storing = true;
        self.store.submit(batch, now);
        self.hear(endpoint, news, now);
    }

    /// Hears what the store has to say. Whether it has stored anything.
    #[inline]
    pub(super) fn hear(
        &mut self,
        endpoint: &mut Endpoint,
        news: &mut VecDeque<Outcome>,
        now: Monotonic,
    ) -> bool {
        let mut has_stored = false;
        if let Some((batch, _)) = self.refused.take_if(|(_, retry_at)| *retry_at <= now) {
            self.store.submit(batch, now);
        }
        while let Some(outcome) = self.store.outcome(now) {
            match outcome {
                Outcome::Stored { spent, .. } => {
                    (self.is_storing, self.end, has_stored) = (false, self.next, true);
                    self.spare = spent.map(|mut batch| {
                        batch.clear();
                        batch
                    });
                    endpoint.stored(&self.marks, now);
                    if self.is_followed {
                        news.push_back(self.end_of_stream(None));
                    }
                }
                // Nobody else has these events any more, so that nothing is refused for good.
                Outcome::Refused { batch, .. } => self.refused = Some((batch, now.after(RETRY))),
                outcome => news.push_back(outcome),
            }
        }
        has_stored
    }

    pub(super) fn read(&mut self, ticket: u64, request: ReadRequest, now: Monotonic) {
        self.store.read(ticket, request, now);
    }

    pub(super) fn resident(&self, after: Option<Sequence>) -> Resident<'_> {
        self.store.resident(self.stream, after)
    }

    pub(super) fn follow(&mut self, wanted: bool) {
        self.is_followed = wanted;
    }

    /// The news of where the stream ends.
    pub(super) fn end_of_stream(&self, ticket: Option<u64>) -> Outcome {
        Outcome::End { ticket, stream: self.stream, result: Ok(self.end) }
    }

    /// When there is something to do although nothing comes.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.refused.as_ref().map(|(_, retry_at)| *retry_at).into_iter().chain(self.store.due()).min()
    }
}

/// Records that the store is given at once, about.
const BATCH_BYTES: usize = 192 << 10;
/// What one packet may bring beyond that.
const BATCH_SLACK: usize = 64 << 10;
/// Before a refused batch is given again.
const RETRY: std::time::Duration = std::time::Duration::from_millis(10);
