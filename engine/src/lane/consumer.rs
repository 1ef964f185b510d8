//! The lane's reading end, and who watches it.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::sync::{Arc, Weak};
use std::{mem, ptr};

use super::record::{
    FLAG_BOXED, FLAG_MARK, FLAG_PAD, HEADER_WORDS, Header, RECORD_ALIGN, is_alone, record_bytes,
    split_first_word,
};
use super::ring::{BOXED_BYTES, Shared};
use crate::sync::Ordering;

/// One step of reading.
pub enum Run<'a> {
    /// Whole records, one behind the other.
    Records(&'a [u8]),
    /// One event that came as a block.
    Boxed(Header, Box<[u8]>),
}

/// The reading end.
pub struct LaneConsumer {
    head: u64,
    /// Where the records start that `next_run` gave last.
    run_start: u64,
    popped: u64,
    boxed_bytes: u64,
    /// What `tail` was when it was last looked at; may be behind `head`.
    tail_seen: u64,
    /// Whether the last [`poll`](LaneConsumer::poll) found nothing.
    waited: bool,
    shared: Arc<Shared>,
}

impl LaneConsumer {
    pub(super) fn new(shared: Arc<Shared>) -> LaneConsumer {
        LaneConsumer { head: 0, run_start: 0, popped: 0, boxed_bytes: 0, tail_seen: 0, waited: false, shared }
    }

    /// Goes on as if so many bytes and events had come through the lane.
    #[cfg(test)]
    pub(super) fn start_at(&mut self, position: u64, popped: u64) {
        (self.head, self.run_start, self.tail_seen, self.popped) = (position, position, position, popped);
        self.shared.read.head.store(position, Ordering::Relaxed);
    }

    /// Reads the next records, at most `events_max` and about `bytes_max` bytes of them but at least one, and puts the
    /// length of each into `lengths`. `None` when nothing is published. The records stay the consumer's until
    /// [`release`](LaneConsumer::release).
    #[inline]
    pub fn next_run(
        &mut self,
        events_max: usize,
        bytes_max: usize,
        lengths: &mut Vec<u32>,
    ) -> Option<Run<'_>> {
        debug_assert!(lengths.is_empty());
        let start = self.head;
        self.run_start = start;
        let end = self.look().min((start | (self.shared.capacity() - 1)) + 1);
        while self.head < end && lengths.len() < events_max {
            // Acquire: pairs with the release in `publish`, so that the record is there.
            let first_word = self.shared.first_word(self.head).load(Ordering::Acquire);
            if first_word == 0 {
                break;
            }
            let (body_bytes, flags) = split_first_word(first_word);
            if flags & (FLAG_PAD | FLAG_BOXED) != 0 {
                if !lengths.is_empty() {
                    break;
                }
                if flags & FLAG_BOXED != 0 {
                    return Some(self.take_boxed());
                }
                self.head = (self.head | (self.shared.capacity() - 1)) + 1;
                return self.next_run(events_max, bytes_max, lengths);
            }
            let bytes = record_bytes(body_bytes as usize) as u64;
            if !lengths.is_empty() && self.head + bytes - start > bytes_max as u64 {
                break;
            }
            lengths.push(bytes as u32);
            self.prefetch(self.head + PREFETCH_BYTES, bytes, end);
            self.head += bytes;
        }
        if lengths.is_empty() {
            return None;
        }
        self.popped += lengths.len() as u64;
        self.shared.reads(start, self.head - start);
        Some(Run::Records(self.last_run()))
    }

    /// How many of the next records, of up to `records_max`, lie before a [mark](FLAG_MARK); at least one, which may be the mark. For
    /// a reader that has to know what a mark says before it takes what follows.
    pub fn until_mark(&self, records_max: usize) -> usize {
        let end = (self.head | (self.shared.capacity() - 1)) + 1;
        let (mut at, mut records) = (self.head, 0);
        while at < end && records < records_max {
            // Acquire: pairs with the release in `publish`.
            let first_word = self.shared.first_word(at).load(Ordering::Acquire);
            let (body_bytes, flags) = split_first_word(first_word);
            if first_word == 0 || flags & (FLAG_PAD | FLAG_BOXED | FLAG_MARK) != 0 {
                break;
            }
            at += record_bytes(body_bytes as usize) as u64;
            records += 1;
        }
        records.max(1).min(records_max)
    }

    /// The records that [`next_run`](LaneConsumer::next_run) gave last, until they are released.
    pub fn last_run(&self) -> &[u8] {
        let bytes = (self.head - self.run_start) as usize;
        let run = ptr::slice_from_raw_parts(self.shared.at(self.run_start).cast::<u8>(), bytes);
        // SAFETY: the bytes were published by the producer's release store, which the acquire load in `next_run` has seen,
        // and stay untouched until `release`, which empties the run; they are contiguous because a run does not pass the
        // wrap. The slice borrows `self`, so nothing is released while it lives.
        unsafe { &*run }
    }

    /// Gives the memory of everything read so far back to the producer.
    #[inline]
    pub fn release(&mut self) {
        self.run_start = self.head;
        // Release: pairs with the acquire of `head` in `reserve`; the reads come before it.
        self.shared.read.head.store(self.head, Ordering::Release);
    }

    /// Whether the producer rests until there is room, and there is. To be asked behind a light fence after
    /// [`release`](LaneConsumer::release).
    pub fn owes_a_ring(&self) -> bool {
        self.shared.control.waits.load(Ordering::Relaxed) && self.shared.is_half_free()
    }

    /// Somebody who sees what the shard has not counted.
    pub fn witness(&self) -> LaneWitness {
        LaneWitness(Arc::downgrade(&self.shared))
    }

    /// Position up to which the producer has published.
    pub fn published(&self) -> u64 {
        self.shared.written.tail.load(Ordering::Relaxed)
    }

    /// Position up to which events were read.
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Whether everything published was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: pairs with the release in `publish`.
        self.shared.first_word(self.head).load(Ordering::Acquire) == 0
    }

    /// Whether there is something to read. After a poll that found nothing, a record that was published alone is read alone.
    #[inline]
    pub fn poll(&mut self) -> bool {
        let finds = !self.is_empty();
        self.waited |= !finds;
        finds
    }

    /// Events pushed, events read, events dropped at the lane, events refused at the lane. The first is read last of
    /// the producer's words, so that it covers every event the others speak of.
    pub fn counts(&self) -> LaneCounts {
        let written = &self.shared.written;
        let dropped = written.dropped.load(Ordering::Acquire);
        let refused = written.refused.load(Ordering::Acquire);
        let pushed = written.pushed.load(Ordering::Relaxed);
        self.shared.read.counted.store(pushed, Ordering::Relaxed);
        LaneCounts { pushed, popped: self.popped, dropped, refused }
    }

    /// Bytes published and not yet read, without boxed blocks.
    pub fn waiting_bytes(&self) -> u64 {
        self.published() - self.head
    }

    /// Refuses publications from now on. Those under way end; after a heavy fence
    /// [`is_quiescent`](LaneConsumer::is_quiescent) says when.
    pub fn close(&self) {
        self.shared.control.closed.store(true, Ordering::Relaxed);
    }

    /// Whether no publication is under way. Final once the lane was closed and a heavy fence passed.
    pub fn is_quiescent(&self) -> bool {
        !self.shared.written.publishing.load(Ordering::Acquire)
    }

    /// Whether the writing end was dropped.
    pub fn is_gone(&self) -> bool {
        self.shared.written.gone.load(Ordering::Acquire)
    }

    /// Up to where records may start.
    #[inline]
    fn look(&mut self) -> u64 {
        // Acquire: pairs with the release in `publish`.
        let first_word = self.shared.first_word(self.head).load(Ordering::Acquire);
        if first_word == 0 {
            return self.head;
        }
        if mem::take(&mut self.waited) && is_alone(first_word) {
            // Neither the line of the tail nor that of the word behind the record is waited for.
            self.prefetch(self.head, PREFETCH_FIRST_BYTES, u64::MAX);
            return self.head + RECORD_ALIGN as u64;
        }
        if self.tail_seen <= self.head {
            // Not behind `head` any more: `publish` stores it before the word that was just seen.
            self.tail_seen = self.published();
            self.prefetch(self.head, PREFETCH_FIRST_BYTES, self.tail_seen);
        }
        self.tail_seen
    }

    /// Asks for the lines of `bytes` bytes at `position`, as far as they lie before `end`. Where a record starts is known
    /// only when the one before has come from the producer's cache: without asking ahead each would be waited for.
    #[inline]
    fn prefetch(&self, position: u64, bytes: u64, end: u64) {
        #[cfg(target_arch = "x86_64")]
        for line in (position..end.min(position + bytes)).step_by(LINE_BYTES) {
            // SAFETY: a hint that changes nothing; the position is in the ring.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.shared.at(line).cast()) };
        }
    }

    fn take_boxed(&mut self) -> Run<'static> {
        self.shared.reads(self.head, record_bytes(BOXED_BYTES) as u64);
        // SAFETY: the record at `head` is published and boxed, and `head` moves past it here.
        let (header, block) = unsafe {
            let words = self.shared.at(self.head).cast::<[u64; HEADER_WORDS]>().read();
            (Header::from_words(words), self.shared.unbox(self.head))
        };
        self.head += record_bytes(BOXED_BYTES) as u64;
        self.run_start = self.head;
        self.popped += 1;
        self.boxed_bytes += block.len() as u64;
        self.shared.read.boxed_bytes.store(self.boxed_bytes, Ordering::Relaxed);
        let header = Header { body_bytes: block.len() as u32, flags: header.flags & !FLAG_BOXED, ..header };
        Run::Boxed(header, block)
    }
}

/// A record of a hundred bytes: its lines come together, and not each when the one before has said that it is needed.
const PREFETCH_FIRST_BYTES: u64 = 128;
/// How far ahead of the record that is looked at lines are asked for.
const PREFETCH_BYTES: u64 = 1024;
const LINE_BYTES: usize = 64;

impl Drop for LaneConsumer {
    fn drop(&mut self) {
        // A shard that ends without a shutdown leaves no producer behind that waits for room.
        self.close();
        // What was read is not freed again with the ring.
        self.release();
    }
}

/// Sees how many events of a lane its shard has not counted, for when the shard hangs and cannot say it.
pub struct LaneWitness(Weak<Shared>);

impl LaneWitness {
    /// Events published since the shard last counted; `None` when both ends of the lane are gone.
    pub fn uncounted(&self) -> Option<u64> {
        let shared = self.0.upgrade()?;
        let counted = shared.read.counted.load(Ordering::Relaxed);
        Some(shared.written.pushed.load(Ordering::Relaxed).saturating_sub(counted))
    }
}

/// What a lane has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    pub pushed: u64,
    pub popped: u64,
    pub dropped: u64,
    pub refused: u64,
}
