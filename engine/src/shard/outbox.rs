//! The outbox: a shard's side of its adapter. Numbers batches, submits them, hears what became of them,
//! retries what is worth it under the same sequences, and gives up the rest with a count.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::buffer::{Amount, Buffer, Chunk};
use crate::adapter::{
    Adapter, AdapterError, AdapterState, Closing, Outcome, ReadBlock, ReadRequest, Resident,
};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::config::Config;
use crate::counters::ShardStats;
use crate::event::{Sequence, ShardId};
use crate::histogram::Histogram;

/// One shard's adapter and what it is busy with.
pub(crate) struct Outbox {
    adapter: Box<dyn Adapter>,
    /// Sequence of the next event that is submitted for the first time; asked of the adapter when it is needed.
    next: Option<Sequence>,
    /// What was submitted, in order. More than one only where the adapter says so.
    in_flight: VecDeque<InFlight>,
    retry: Option<Retry>,
    next_ticket: u64,
    reads: HashMap<u64, (Monotonic, ReadAnswer)>,
    timeout: Duration,
    retries_max: Option<u32>,
    /// What the adapter refused with last, until it is taken.
    error: Option<AdapterError>,
    counts: Counts,
}

/// What the outbox hears and does not settle by itself.
pub(crate) enum News {
    /// The oldest batch in flight is stored; it ended before this sequence.
    Stored { end: Sequence },
    /// The batch in flight, the only one, was refused for good.
    Refused { end: Sequence },
    /// A read has ended that [`start_read`](Outbox::start_read) began.
    Read { ticket: u64, result: Result<ReadBlock, AdapterError> },
    /// A shared stream ends here now.
    End { ticket: Option<u64>, stream: ShardId, result: Result<Sequence, AdapterError> },
    /// A sync has ended.
    Synced { ticket: u64, result: Result<(), AdapterError> },
}

/// Takes the answer to a read.
pub(crate) type ReadAnswer = Box<dyn FnOnce(Result<ReadBlock, AdapterError>)>;

/// What the adapter is storing.
struct InFlight {
    first: Sequence,
    end: Sequence,
    position: u64,
    amount: Amount,
    attempts: u32,
    submitted_at: Monotonic,
    times_out_at: Monotonic,
    /// There was no answer in time, and it was not given back.
    is_late: bool,
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
    batch_events: Histogram,
    submit_latency_ns: Histogram,
}

impl Outbox {
    pub(crate) fn new(adapter: Box<dyn Adapter>, config: &Config) -> Outbox {
        Outbox {
            next: None,
            adapter,
            in_flight: VecDeque::new(),
            retry: None,
            next_ticket: 0,
            reads: HashMap::new(),
            timeout: config.adapter_timeout,
            retries_max: config.adapter_batch_retries,
            error: None,
            counts: Counts::default(),
        }
    }

    /// Sequence of the next event that is submitted for the first time.
    pub(crate) fn next(&mut self) -> Sequence {
        let resume = || {
            if crate::planted!("19-sequences-begin-anew") { Sequence::FIRST } else { self.adapter.resume() }
        };
        *self.next.get_or_insert_with(resume)
    }

    /// Submits the next batch if one is due and the adapter takes it. `urgent` does not wait for `min_size`. `first_time`
    /// sees a batch before its first submission, and hears whether no other is in flight.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        buffer: &mut Buffer,
        now: Monotonic,
        urgent: bool,
        first_time: impl FnOnce(&Batch, bool),
    ) -> bool {
        if !self.takes_more(buffer) {
            return false;
        }
        if let Some(mut retry) = self.retry.take_if(|retry| retry.due <= now) {
            self.counts.retries += 1;
            if crate::planted!("18-a-retry-gets-new-sequences") {
                retry.chunk.batch.number_from(self.next());
            }
            self.send(retry.chunk, retry.attempts, now);
            return true;
        }
        let due = self.retry.is_none() && buffer.due().is_some_and(|due| urgent || due <= now);
        if !due {
            return false;
        }
        let Some(mut chunk) = buffer.take() else { return false };
        chunk.batch.number_from(self.next());
        self.next = Some(chunk.batch.end());
        first_time(&chunk.batch, self.in_flight.is_empty());
        self.send(chunk, 0, now);
        true
    }

    /// Hears all news from the adapter, and tells `news` what became of batches, reads and syncs. Returns how much there was.
    #[inline]
    pub(crate) fn acknowledge(
        &mut self,
        buffer: &mut Buffer,
        now: Monotonic,
        mut news: impl FnMut(News),
    ) -> usize {
        let mut heard = 0;
        while let Some(outcome) = self.adapter.outcome(now) {
            heard += 1;
            let told = match outcome {
                Outcome::Stored { first, spent } => self.stored(buffer, first, spent, now),
                Outcome::Refused { batch, error } => self.refused(buffer, batch, error, now),
                Outcome::Read { ticket, result } => match self.reads.remove(&ticket) {
                    Some((_, answer)) => {
                        answer(result);
                        None
                    }
                    None => Some(News::Read { ticket, result }),
                },
                Outcome::End { ticket, stream, result } => Some(News::End { ticket, stream, result }),
                Outcome::Synced { ticket, result } => Some(News::Synced { ticket, result }),
            };
            told.into_iter().for_each(&mut news);
        }
        let is_alone = self.in_flight.len() == 1;
        if let Some(flight) = self.in_flight.front_mut().filter(|flight| flight.times_out_at <= now) {
            flight.times_out_at = now.after(self.timeout);
            flight.is_late = true;
            let unknown = AdapterError::Transient("no answer in time".to_owned());
            // One of several keeps its place in their order: it is waited for.
            if is_alone && let Some(batch) = self.adapter.cancel(now) {
                self.refused(buffer, batch, unknown, now).into_iter().for_each(news);
                heard += 1;
            } else {
                self.error = Some(unknown);
            }
        }
        heard
    }

    /// Starts a read.
    pub(crate) fn read(
        &mut self,
        request: ReadRequest,
        deadline: Monotonic,
        answer: ReadAnswer,
        now: Monotonic,
    ) {
        let ticket = self.ticket();
        self.reads.insert(ticket, (deadline, answer));
        self.adapter.read(ticket, request, now);
    }

    /// What follows `after` in the store, where it lies in memory.
    pub(crate) fn resident(&self, stream: ShardId, after: Option<Sequence>) -> Resident<'_> {
        self.adapter.resident(stream, after)
    }

    /// Asks to hear of a shared stream's growth, or not to any more.
    pub(crate) fn follow(&mut self, stream: ShardId, wanted: bool, now: Monotonic) {
        self.adapter.follow(stream, wanted, now);
    }

    /// Starts to find where a shared stream ends; its ticket.
    pub(crate) fn find_end(&mut self, stream: ShardId, now: Monotonic) -> u64 {
        let ticket = self.ticket();
        self.adapter.find_end(ticket, stream, now);
        ticket
    }

    /// Starts a read whose answer is news; its ticket.
    pub(crate) fn start_read(&mut self, request: ReadRequest, now: Monotonic) -> u64 {
        let ticket = self.ticket();
        self.adapter.read(ticket, request, now);
        ticket
    }

    /// Forgets the reads whose deadline has passed: their callers have gone.
    pub(crate) fn expire_reads(&mut self, now: Monotonic) {
        self.reads.retain(|_, (deadline, _)| now < *deadline);
    }

    /// Starts a sync; its ticket.
    pub(crate) fn sync(&mut self, now: Monotonic) -> u64 {
        let ticket = self.ticket();
        self.adapter.sync(ticket, now);
        ticket
    }

    /// Position of the oldest event that is submitted and not settled.
    pub(crate) fn front(&self) -> Option<u64> {
        let in_flight = self.in_flight.front().map(|flight| flight.position);
        in_flight.or(self.retry.as_ref().map(|retry| retry.chunk.position))
    }

    /// When something is to be done although nobody rings: an adapter that is not ready rings when it is.
    pub(crate) fn due(&self, buffer: &Buffer) -> Option<Monotonic> {
        let times_out_at = self.in_flight.front().map(|flight| flight.times_out_at);
        let submission = match &self.retry {
            _ if !self.takes_more(buffer) => None,
            Some(retry) => Some(retry.due),
            None => buffer.due(),
        };
        times_out_at.into_iter().chain(submission).chain(self.adapter.due()).min()
    }

    /// The shard is about to sleep.
    pub(crate) fn rest(&mut self) {
        self.adapter.rest();
    }

    /// Ends the adapter.
    pub(crate) fn close(mut self) -> Option<Closing> {
        self.adapter.close()
    }

    /// Whether the adapter waits for the kernel.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.adapter.outstanding()
    }

    /// Events refused for good so far.
    pub(crate) fn refused_count(&self) -> u64 {
        self.counts.dropped
    }

    /// What the adapter refused with last, or else why it has no backend, if that was not taken yet.
    pub(crate) fn take_error(&mut self) -> Option<AdapterError> {
        let without_backend = self.adapter.take_error();
        self.error.take().or(without_backend)
    }

    /// Drops what is submitted, its outcome unknown. Returns how many events.
    pub(crate) fn discard(&mut self, buffer: &mut Buffer, now: Monotonic) -> u64 {
        if self.in_flight.len() == 1 {
            drop(self.adapter.cancel(now));
        }
        let in_flight = self.in_flight.drain(..).map(|flight| flight.amount);
        let retry = self.retry.take().map(|retry| Amount::of(&retry.chunk.batch));
        let discarded = in_flight.chain(retry);
        discarded.inspect(|amount| buffer.settle(*amount)).map(|amount| amount.events as u64).sum()
    }

    /// Writes what became of batches into `stats`.
    pub(crate) fn count(&self, stats: &mut ShardStats) {
        stats.stored = self.counts.stored;
        stats.batches = self.counts.batches;
        stats.retries = self.counts.retries;
        stats.dropped.adapter = self.counts.dropped;
        stats.batch_events = self.counts.batch_events;
        stats.submit_latency_ns = self.counts.submit_latency_ns;
        stats.adapter_counts = self.adapter.counts();
        let tries_again = self.retry.is_some()
            || self.in_flight.front().is_some_and(|flight| flight.attempts > 0 || flight.is_late);
        let found = if tries_again { AdapterState::Retrying } else { AdapterState::Up };
        stats.adapter = self.adapter.state().max(found);
    }

    /// Whether the next batch could be submitted now, if one is due.
    #[inline]
    fn takes_more(&self, buffer: &Buffer) -> bool {
        let has_place = match self.in_flight.len() {
            0 => true,
            several => several < self.adapter.in_flight_max() && buffer.may_take_beside(),
        };
        has_place && self.adapter.ready()
    }

    fn send(&mut self, chunk: Chunk, attempts: u32, now: Monotonic) {
        self.in_flight.push_back(InFlight {
            first: chunk.batch.first(),
            end: chunk.batch.end(),
            position: chunk.position,
            amount: Amount::of(&chunk.batch),
            attempts,
            submitted_at: now,
            times_out_at: now.after(self.timeout),
            is_late: false,
        });
        self.adapter.submit(chunk.batch, now);
    }

    /// Counts events as stored, which need no room any more.
    fn settle(&mut self, buffer: &mut Buffer, stored: Amount) {
        self.counts.stored += stored.events as u64;
        buffer.settle(stored);
    }

    fn stored(
        &mut self,
        buffer: &mut Buffer,
        first: Sequence,
        spent: Option<Batch>,
        now: Monotonic,
    ) -> Option<News> {
        // Late news of a batch that was cancelled speaks of another one, or of none.
        let flight = self
            .in_flight
            .pop_front_if(|flight| crate::planted!("25-late-news-counts") || flight.first == first)?;
        self.settle(buffer, flight.amount);
        self.counts.batches += 1;
        self.counts.batch_events.record(flight.amount.events as u64);
        self.counts.submit_latency_ns.record(now.0.saturating_sub(flight.submitted_at.0));
        if let Some(batch) = spent {
            buffer.recycle(batch);
        }
        Some(News::Stored { end: first.advanced_by(flight.amount.events as u64) })
    }

    /// Retries, or gives up. What is missing at the batch's front is stored.
    fn refused(
        &mut self,
        buffer: &mut Buffer,
        batch: Batch,
        error: AdapterError,
        now: Monotonic,
    ) -> Option<News> {
        let flight = self.in_flight.pop_front_if(|flight| flight.end == batch.end())?;
        assert!(
            self.in_flight.is_empty(),
            "a store refuses none of several: its retry would come behind the next"
        );
        let left = Amount::of(&batch);
        let stored = flight.amount.without(left);
        self.settle(buffer, stored);
        let attempts = flight.attempts + 1;
        let worth_it = match error {
            AdapterError::Transient(_) => {
                !crate::planted!("18-refused-for-now-is-dropped")
                    && self.retries_max.is_none_or(|max| attempts <= max)
            }
            AdapterError::Final(_) => crate::planted!("18-refused-for-good-is-retried"),
        };
        self.error = Some(error);
        if worth_it {
            let position = flight.position + stored.events as u64;
            let chunk = Chunk { batch, position, opened_at: now };
            self.retry = Some(Retry { chunk, attempts, due: now.after(backoff(attempts)) });
            return None;
        }
        let end = batch.end();
        self.counts.dropped +=
            if crate::planted!("18-given-up-is-not-counted") { 0 } else { left.events as u64 };
        buffer.settle(left);
        buffer.recycle(batch);
        Some(News::Refused { end })
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
