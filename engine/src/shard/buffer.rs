//! The buffer: what a shard has drained and the adapter has not acknowledged.
//!
//! Events get a position when they are appended, counted from the shard's start; a barrier is such a position. The
//! bound covers what waits here and what is in flight. Only what was never submitted can be evicted.

use std::collections::VecDeque;

use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::config::{BatchLimits, Config};
use crate::lane::record::Header;

/// A batch with its place in the shard's history.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) batch: Batch,
    /// Position of its first event.
    pub(crate) position: u64,
    /// When its first event was appended.
    pub(crate) opened_at: Monotonic,
}

/// The buffer of one shard.
pub(crate) struct Buffer {
    chunks: VecDeque<Chunk>,
    spare: Vec<Batch>,
    appended: u64,
    waiting: Amount,
    in_flight: Amount,
    events_max: usize,
    bytes_max: usize,
    batch: BatchLimits,
}

/// Events and the bytes of their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Amount {
    pub(crate) fn of(batch: &Batch) -> Amount {
        Amount { events: batch.len(), bytes: batch.record_bytes() }
    }

    /// What is left of it when `other` is taken out.
    pub(crate) fn without(mut self, other: Amount) -> Amount {
        self.remove(other);
        self
    }

    fn add(&mut self, other: Amount) {
        self.events += other.events;
        self.bytes += other.bytes;
    }

    fn remove(&mut self, other: Amount) {
        self.events -= other.events;
        self.bytes -= other.bytes;
    }
}

impl Buffer {
    pub(crate) fn new(config: &Config) -> Buffer {
        Buffer {
            chunks: VecDeque::new(),
            spare: Vec::new(),
            appended: 0,
            waiting: Amount::default(),
            in_flight: Amount::default(),
            events_max: config.ring_buffer_capacity,
            bytes_max: config.buffer_bytes,
            batch: config.batch,
        }
    }

    /// What may still be appended.
    pub(crate) fn room(&self) -> Amount {
        let held = self.held();
        Amount {
            events: self.events_max.saturating_sub(held.events),
            bytes: self.bytes_max.saturating_sub(held.bytes),
        }
    }

    /// Whether the bound is reached.
    pub(crate) fn is_full(&self) -> bool {
        let room = self.room();
        room.events == 0 || room.bytes == 0
    }

    /// What waits here and what is in flight.
    pub(crate) fn held(&self) -> Amount {
        let mut held = self.waiting;
        held.add(self.in_flight);
        held
    }

    /// Events that the batch being filled still takes; at least 1, because a full one makes place for the next.
    pub(crate) fn batch_room(&self) -> usize {
        match self.chunks.back() {
            Some(chunk) if !self.is_sealed(chunk) => self.batch.max_size - chunk.batch.tail_events(),
            _ => self.batch.max_size,
        }
    }

    /// Appends a run of records.
    pub(crate) fn append_run(&mut self, run: &[u8], lengths: &mut Vec<u32>, now: Monotonic) {
        let added = Amount { events: lengths.len(), bytes: run.len() };
        self.open_chunk(now).batch.append_run(run, lengths);
        self.appended += added.events as u64;
        self.waiting.add(added);
    }

    /// Appends one event.
    pub(crate) fn append(&mut self, header: Header, body: &[u8], now: Monotonic) {
        let batch = &mut self.open_chunk(now).batch;
        let before = batch.record_bytes();
        batch.push_record(header, body);
        let added = Amount { events: 1, bytes: batch.record_bytes() - before };
        self.appended += 1;
        self.waiting.add(added);
    }

    /// Evicts the oldest events that were never submitted until `incoming` fits. Returns how many; when what is left
    /// was all submitted, the bound is exceeded by `incoming`.
    pub(crate) fn make_room(&mut self, incoming: Amount) -> u64 {
        let mut evicted = 0;
        loop {
            let room = self.room();
            let missing = incoming.events.saturating_sub(room.events);
            if missing == 0 && incoming.bytes <= room.bytes {
                return evicted;
            }
            let newest =
                crate::planted!("11-the-newest-is-evicted").then_some(self.chunks.len().saturating_sub(1));
            let Some(front) = self.chunks.get_mut(newest.unwrap_or_default()) else { return evicted };
            let (events, bytes) = front.batch.evict(missing.max(1));
            front.position += events as u64;
            evicted += events as u64;
            self.waiting.remove(Amount { events, bytes });
            if front.batch.is_empty() {
                let chunk = self.chunks.pop_front().expect("there is a front");
                self.recycle(chunk.batch);
            }
        }
    }

    /// When the next batch is to be submitted: `None` if there is nothing, else a point that may be past.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        let front = self.chunks.front()?;
        let ready =
            self.chunks.len() > 1 || front.batch.len() >= self.batch.min_size || self.is_sealed(front);
        Some(if ready || self.is_full() {
            front.opened_at
        } else {
            front.opened_at.after(self.batch.max_delay)
        })
    }

    /// Whether the oldest batch may be taken although others are in flight: when it is full, since more would only gather where it waits,
    /// and when half of the buffer can still be evicted.
    pub(crate) fn may_take_beside(&self) -> bool {
        self.chunks.front().is_some_and(|chunk| {
            let next = Amount::of(&chunk.batch);
            (self.chunks.len() > 1 || self.is_sealed(chunk))
                && self.in_flight.events + next.events <= self.events_max / 2
                && self.in_flight.bytes + next.bytes <= self.bytes_max / 2
        })
    }

    /// Takes the oldest batch; it counts as in flight until [`settle`](Buffer::settle).
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        let amount = Amount::of(&chunk.batch);
        self.waiting.remove(amount);
        self.in_flight.add(amount);
        Some(chunk)
    }

    /// What was taken is stored or dropped.
    pub(crate) fn settle(&mut self, amount: Amount) {
        self.in_flight.remove(amount);
    }

    /// Drops everything that waits. Returns how many events.
    pub(crate) fn discard(&mut self) -> u64 {
        self.chunks.clear();
        std::mem::take(&mut self.waiting).events as u64
    }

    /// Position of the next event to be appended.
    pub(crate) fn end(&self) -> u64 {
        self.appended
    }

    /// Position of the oldest event that waits here; the end when none does.
    pub(crate) fn front(&self) -> u64 {
        self.chunks.front().map_or(self.appended, |chunk| chunk.position)
    }

    /// Memory behind the batches that wait.
    #[cfg(test)]
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.batch.capacity_bytes()).sum()
    }

    /// Keeps the memory of a batch for the next one.
    pub(crate) fn recycle(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE_BATCHES_MAX && batch.capacity_bytes() <= 2 * BATCH_BYTES {
            batch.clear();
            self.spare.push(batch);
        }
    }

    fn is_sealed(&self, chunk: &Chunk) -> bool {
        // What was evicted counts: its memory is still there.
        chunk.batch.tail_events() >= self.batch.max_size
            || chunk.batch.tail_bytes() >= BATCH_BYTES - RUN_BYTES_MAX
    }

    fn open_chunk(&mut self, now: Monotonic) -> &mut Chunk {
        let open = self.chunks.back().is_some_and(|chunk| !self.is_sealed(chunk));
        if !open {
            let batch = self.spare.pop().unwrap_or_else(|| Batch::with_capacity(BATCH_BYTES, BATCH_EVENTS));
            self.chunks.push_back(Chunk { batch, position: self.appended, opened_at: now });
        }
        self.chunks.back_mut().expect("there is an open one")
    }
}

/// Header and body of each record of a run, whose lengths are `lengths`.
pub(crate) fn split_run<'a>(
    mut run: &'a [u8],
    lengths: &'a [u32],
) -> impl Iterator<Item = (Header, &'a [u8])> + 'a {
    lengths.iter().map(move |&length| {
        let (record, rest) = run.split_at(length as usize);
        run = rest;
        let header = Header::of(record);
        (header, header.body(record))
    })
}

/// Memory of a batch. A batch of smaller events is sealed before it outgrows this.
const BATCH_BYTES: usize = 256 << 10;
/// Events for which a new batch has room in its index: those of 100 bytes fill its memory.
const BATCH_EVENTS: usize = BATCH_BYTES / 128;
/// Bytes of records that are read from a lane at once.
pub(crate) const RUN_BYTES_MAX: usize = 32 << 10;
const SPARE_BATCHES_MAX: usize = 4;

const _: () = assert!(RUN_BYTES_MAX * 2 <= BATCH_BYTES, "a batch holds several runs");
