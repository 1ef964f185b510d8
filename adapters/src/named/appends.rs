//! Appends of one file: what arrives while a batch is in flight becomes the next one.
//!
//! One batch is in flight at most, so that a retry keeps the order. What is refused for now, or has no answer in time, is
//! submitted again under the same sequences for [`RETRY_MAX`]; what is given up takes its sequences to its grave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::adapter::{Adapter, AdapterError};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::{EventFlags, Sequence};

use super::board::Board;
use super::error::RedexError;
use super::request::{Append, Appender};

/// The appends that were not answered yet.
pub(crate) struct Appends {
    board: Arc<Board>,
    /// Sequence of the next event that is submitted for the first time.
    next: Sequence,
    last_timestamp_ns: u64,
    waiting: VecDeque<Group>,
    attempt: Option<Attempt>,
    spare: Option<Batch>,
}

/// Events that are stored together, and who waits for each.
#[derive(Default)]
struct Group {
    batch: Batch,
    appenders: VecDeque<Appender>,
}

/// A group that was submitted, and is not settled.
struct Attempt {
    first: Sequence,
    end: Sequence,
    appenders: VecDeque<Appender>,
    count: u32,
    since: Monotonic,
    stage: Stage,
}

enum Stage {
    InFlight { times_out_at: Monotonic },
    Retry { batch: Batch, due: Monotonic },
}

impl Appends {
    pub(crate) fn new(next: Sequence, board: Arc<Board>) -> Appends {
        Appends { board, next, last_timestamp_ns: 0, waiting: VecDeque::new(), attempt: None, spare: None }
    }

    /// Takes an event. Its timestamp becomes larger than that of the one before.
    pub(crate) fn push(&mut self, append: Append) {
        let Append { payload, timestamp_ns, appender } = append;
        self.last_timestamp_ns = timestamp_ns.max(self.last_timestamp_ns + 1);
        let is_open =
            |group: &Group| group.batch.len() < BATCH_EVENTS_MAX && group.batch.record_bytes() < BATCH_BYTES;
        if !self.waiting.back().is_some_and(is_open) {
            let batch = self.spare.take().unwrap_or_default();
            self.waiting.push_back(Group { batch, appenders: VecDeque::new() });
        }
        let group = self.waiting.back_mut().expect("there is an open one");
        group.batch.push(self.last_timestamp_ns, 0, EventFlags::NONE, &payload);
        group.appenders.push_back(appender);
    }

    /// Submits what is next, if the store takes it. Whether it did.
    pub(crate) fn submit(&mut self, store: &mut dyn Adapter, now: Monotonic) -> bool {
        if !store.ready() {
            return false;
        }
        let in_flight = Stage::InFlight { times_out_at: now.after(STORE_TIMEOUT) };
        if let Some(attempt) = &mut self.attempt {
            let Stage::Retry { due, .. } = attempt.stage else { return false };
            if due > now {
                return false;
            }
            attempt.count += 1;
            if let Stage::Retry { batch, .. } = std::mem::replace(&mut attempt.stage, in_flight) {
                store.submit(batch, now);
            }
            return true;
        }
        let Some(Group { mut batch, appenders }) = self.waiting.pop_front() else { return false };
        batch.number_from(self.next);
        self.next = batch.end();
        let (first, end) = (batch.first(), batch.end());
        self.attempt = Some(Attempt { first, end, appenders, count: 1, since: now, stage: in_flight });
        store.submit(batch, now);
        true
    }

    /// The store says that the batch from `first` on is stored.
    pub(crate) fn stored(&mut self, first: Sequence, spent: Option<Batch>) {
        // Late news of a batch that was cancelled speaks of another one, or of none.
        let Some(attempt) = self.attempt.take_if(|attempt| attempt.first == first) else { return };
        self.board.publish(attempt.end);
        let sequences = first.0..;
        for (appender, sequence) in attempt.appenders.into_iter().zip(sequences) {
            appender.tell(Ok(Sequence(sequence)));
        }
        if let Some(mut batch) = spent.filter(|batch| batch.capacity_bytes() <= 2 * BATCH_BYTES) {
            batch.clear();
            self.spare = Some(batch);
        }
    }

    /// The store gives back a batch that it refuses. What is missing at its front is stored.
    pub(crate) fn refused(&mut self, batch: Batch, error: AdapterError, now: Monotonic) {
        let worth_it = matches!(error, AdapterError::Transient(_));
        self.given_back(batch, worth_it, &RedexError::Store(error), now);
    }

    /// Takes back a batch that has no outcome in time. Whether there was one.
    pub(crate) fn time_out(&mut self, store: &mut dyn Adapter, now: Monotonic) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let Stage::InFlight { times_out_at } = &mut attempt.stage else { return false };
        if *times_out_at > now {
            return false;
        }
        *times_out_at = now.after(STORE_TIMEOUT);
        let Some(batch) = store.cancel(now) else { return false };
        self.given_back(batch, true, &RedexError::Late(self.board.trouble()), now);
        true
    }

    /// Tells everybody who waits that it comes to nothing: `error` who was never submitted, that the outcome is unknown who was.
    pub(crate) fn give_up(&mut self, store: &mut dyn Adapter, error: &RedexError, now: Monotonic) {
        if let Some(attempt) = self.attempt.take() {
            if matches!(attempt.stage, Stage::InFlight { .. }) {
                drop(store.cancel(now));
            }
            let late = RedexError::Late(self.board.trouble());
            attempt.appenders.into_iter().for_each(|appender| appender.tell(Err(late.clone())));
        }
        for group in self.waiting.drain(..) {
            group.appenders.into_iter().for_each(|appender| appender.tell(Err(error.clone())));
        }
    }

    /// Whether everybody was answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.attempt.is_none() && self.waiting.is_empty()
    }

    /// One past the last event that is known to be stored.
    pub(crate) fn end(&self) -> Sequence {
        self.attempt.as_ref().map_or(self.next, |attempt| attempt.first)
    }

    /// When something is to be done although nobody rings: a store that is not ready rings when it is.
    pub(crate) fn due(&self, store: &dyn Adapter, now: Monotonic) -> Option<Monotonic> {
        match self.attempt.as_ref().map(|attempt| &attempt.stage) {
            Some(Stage::InFlight { times_out_at }) => Some(*times_out_at),
            Some(Stage::Retry { due, .. }) => store.ready().then_some(*due),
            None => (!self.waiting.is_empty() && store.ready()).then_some(now),
        }
    }

    fn given_back(&mut self, batch: Batch, worth_it: bool, error: &RedexError, now: Monotonic) {
        let Some(mut attempt) = self.attempt.take_if(|attempt| attempt.end == batch.end()) else { return };
        if batch.first() > attempt.first {
            self.board.publish(batch.first());
        }
        while attempt.appenders.len() > batch.len() {
            let stored = attempt.appenders.pop_front().expect("there are more than events");
            stored.tell(Ok(attempt.first));
            attempt.first = attempt.first.advanced_by(1);
        }
        if worth_it && now.since(attempt.since) < RETRY_MAX {
            attempt.stage = Stage::Retry { batch, due: now.after(backoff(attempt.count)) };
            self.attempt = Some(attempt);
            return;
        }
        attempt.appenders.into_iter().for_each(|appender| appender.tell(Err(error.clone())));
    }
}

/// Wait after the given attempt: 1 ms, doubled each time, at most half a second.
fn backoff(attempts: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

/// Events of a batch at most.
const BATCH_EVENTS_MAX: usize = 4096;
/// A batch takes no more events when its records have this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// How long a batch may be in flight before its outcome counts as unknown.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a batch is submitted again and again.
const RETRY_MAX: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
