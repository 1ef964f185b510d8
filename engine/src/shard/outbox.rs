//! The outbox: a shard's side of its adapter. Numbers batches, submits them one at a time, hears what became of them,
//! retries what is worth it under the same sequences, and gives up the rest with a count.

use std::collections::HashMap;
use std::time::Duration;

use super::buffer::{Amount, Buffer, Chunk};
use crate::adapter::{Adapter, AdapterError, Outcome, ReadBlock, ReadRequest};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::config::Config;
use crate::counters::ShardStats;
use crate::event::Sequence;

/// One shard's adapter and what it is busy with.
pub(crate) struct Outbox {
    adapter: Box<dyn Adapter>,
    next: Sequence,
    in_flight: Option<InFlight>,
    retry: Option<Retry>,
    next_ticket: u64,
    reads: HashMap<u64, ReadAnswer>,
    timeout: Duration,
    retries_max: Option<u32>,
    counts: Counts,
    refused_since_barrier: u64,
}

/// Takes the answer to a read.
pub(crate) type ReadAnswer = Box<dyn FnOnce(Result<ReadBlock, AdapterError>)>;

/// What the adapter is storing.
struct InFlight {
    position: u64,
    amount: Amount,
    attempts: u32,
    times_out_at: Monotonic,
}

/// A numbered batch that waits for its next attempt.
struct Retry {
    chunk: Chunk,
    attempts: u32,
    due: Monotonic,
}

#[derive(Default)]
struct Counts {
    stored: u64,
    batches: u64,
    retries: u64,
    dropped: u64,
}

impl Outbox {
    pub(crate) fn new(adapter: Box<dyn Adapter>, config: &Config) -> Outbox {
        Outbox {
            next: adapter.resume(),
            adapter,
            in_flight: None,
            retry: None,
            next_ticket: 0,
            reads: HashMap::new(),
            timeout: config.adapter_timeout,
            retries_max: config.adapter_batch_retries,
            counts: Counts::default(),
            refused_since_barrier: 0,
        }
    }

    /// Submits the next batch if one is due and the adapter takes it. `urgent` does not wait for `min_size`.
    #[inline]
    pub(crate) fn submit(&mut self, buffer: &mut Buffer, now: Monotonic, urgent: bool) -> bool {
        if self.in_flight.is_some() || !self.adapter.ready() {
            return false;
        }
        if let Some(retry) = self.retry.take_if(|retry| retry.due <= now) {
            self.counts.retries += 1;
            self.send(retry.chunk, retry.attempts, now);
            return true;
        }
        let due = self.retry.is_none() && buffer.due().is_some_and(|due| urgent || due <= now);
        if !due {
            return false;
        }
        let Some(mut chunk) = buffer.take() else { return false };
        chunk.batch.number_from(self.next);
        self.next = chunk.batch.end();
        self.send(chunk, 0, now);
        true
    }

    /// Hears all news from the adapter. Ended syncs go to `synced` as ticket and result. Returns how much news there was.
    #[inline]
    pub(crate) fn acknowledge(
        &mut self,
        buffer: &mut Buffer,
        now: Monotonic,
        mut synced: impl FnMut(u64, Result<(), AdapterError>),
    ) -> usize {
        let mut news = 0;
        while let Some(outcome) = self.adapter.outcome(now) {
            news += 1;
            match outcome {
                Outcome::Stored { spent } => self.stored(buffer, spent),
                Outcome::Refused { batch, error } => self.refused(buffer, batch, &error, now),
                Outcome::Read { ticket, result } => {
                    if let Some(answer) = self.reads.remove(&ticket) {
                        answer(result);
                    }
                }
                Outcome::Synced { ticket, result } => synced(ticket, result),
            }
        }
        let timed_out = self.in_flight.as_ref().is_some_and(|flight| flight.times_out_at <= now);
        if timed_out && let Some(batch) = self.adapter.cancel(now) {
            let unknown = AdapterError::Transient("no answer in time".to_owned());
            self.refused(buffer, batch, &unknown, now);
            news += 1;
        }
        news
    }

    /// Starts a read.
    pub(crate) fn read(&mut self, request: ReadRequest, answer: ReadAnswer, now: Monotonic) {
        let ticket = self.ticket();
        self.reads.insert(ticket, answer);
        self.adapter.read(ticket, request, now);
    }

    /// Starts a sync; its ticket.
    pub(crate) fn sync(&mut self, now: Monotonic) -> u64 {
        let ticket = self.ticket();
        self.adapter.sync(ticket, now);
        ticket
    }

    /// Position of the oldest event that is submitted and not settled.
    pub(crate) fn front(&self) -> Option<u64> {
        let in_flight = self.in_flight.as_ref().map(|flight| flight.position);
        in_flight.or(self.retry.as_ref().map(|retry| retry.chunk.position))
    }

    /// Whether nothing is submitted.
    pub(crate) fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// When something is to be done although nobody rings.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        let in_flight = self.in_flight.as_ref().map(|flight| flight.times_out_at);
        in_flight.or(self.retry.as_ref().map(|retry| retry.due))
    }

    /// Whether the adapter waits for the kernel.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.adapter.outstanding()
    }

    /// Events refused for good since the last call.
    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused_since_barrier)
    }

    /// Drops what is submitted, its outcome unknown. Returns how many events.
    pub(crate) fn discard(&mut self, buffer: &mut Buffer, now: Monotonic) -> u64 {
        if self.in_flight.is_some() {
            drop(self.adapter.cancel(now));
        }
        let in_flight = self.in_flight.take().map(|flight| flight.amount);
        let retry = self.retry.take().map(|retry| Amount::of(&retry.chunk.batch));
        let discarded = in_flight.or(retry).unwrap_or_default();
        buffer.settle(discarded);
        discarded.events as u64
    }

    /// Writes what became of batches into `stats`.
    pub(crate) fn count(&self, stats: &mut ShardStats) {
        stats.stored = self.counts.stored;
        stats.batches = self.counts.batches;
        stats.retries = self.counts.retries;
        stats.dropped.adapter = self.counts.dropped;
    }

    fn send(&mut self, chunk: Chunk, attempts: u32, now: Monotonic) {
        self.in_flight = Some(InFlight {
            position: chunk.position,
            amount: Amount::of(&chunk.batch),
            attempts,
            times_out_at: now.after(self.timeout),
        });
        self.adapter.submit(chunk.batch, now);
    }

    fn stored(&mut self, buffer: &mut Buffer, spent: Option<Batch>) {
        // News of a batch that was cancelled meanwhile speaks of nothing in flight.
        let Some(flight) = self.in_flight.take() else { return };
        self.counts.stored += flight.amount.events as u64;
        self.counts.batches += 1;
        buffer.settle(flight.amount);
        if let Some(batch) = spent {
            buffer.recycle(batch);
        }
    }

    fn refused(&mut self, buffer: &mut Buffer, batch: Batch, error: &AdapterError, now: Monotonic) {
        let Some(flight) = self.in_flight.take() else { return };
        let attempts = flight.attempts + 1;
        let worth_it = match error {
            AdapterError::Transient(_) => self.retries_max.is_none_or(|max| attempts <= max),
            AdapterError::Final(_) => false,
        };
        if worth_it {
            let chunk = Chunk { batch, position: flight.position, opened_at: now };
            self.retry = Some(Retry { chunk, attempts, due: now.after(backoff(attempts)) });
        } else {
            self.counts.dropped += flight.amount.events as u64;
            self.refused_since_barrier += flight.amount.events as u64;
            buffer.settle(flight.amount);
            buffer.recycle(batch);
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

/// Wait before the given attempt: 1 ms, doubled each time, at most a second.
fn backoff(attempts: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
