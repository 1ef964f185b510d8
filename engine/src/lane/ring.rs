//! The ring: a byte ring that one thread writes and one thread reads, without a lock or a shared read-modify-write.
//!
//! Positions count bytes since the ring was made and never wrap. The producer owns `tail`, the consumer owns `head`,
//! and each keeps a copy of the other's so that it crosses to the other core's cache line only when its copy says
//! "full" or "empty". The consumer does not look at `tail` to learn that there is something: it looks at the first word of
//! the next record, which is zero until the producer writes it last of all, and so comes together with the record. Records are contiguous: one that does not fit before the end of the memory is preceded by a pad.
//! An event too large for the ring travels as a boxed block whose address is the record's payload.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;

use super::consumer::LaneConsumer;
use super::producer::LaneProducer;
use super::record::{FLAG_BOXED, FLAG_PAD, HEADER_WORDS, RECORD_ALIGN, record_bytes, split_first_word};
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Ordering, Touched};

/// Makes a lane of `capacity_bytes`, a power of two of at least 4 KiB (in the models: 64 bytes), if `budget` still has them.
pub fn lane(capacity_bytes: usize, budget: &Arc<LaneBudget>) -> Option<(LaneProducer, LaneConsumer)> {
    assert!(capacity_bytes.is_power_of_two() && capacity_bytes >= LANE_BYTES_MIN);
    if !budget.take(capacity_bytes as u64) {
        return None;
    }
    let shared = Arc::new(Shared {
        written: CachePadded::default(),
        read: CachePadded::default(),
        control: CachePadded::default(),
        words: (0..capacity_bytes / RECORD_ALIGN).map(|_| UnsafeCell::new(0)).collect(),
        touched: Touched::new(capacity_bytes / RECORD_ALIGN),
        #[cfg(loom)]
        first_words: (0..capacity_bytes / RECORD_ALIGN).map(|_| AtomicU64::new(0)).collect(),
        budget: Arc::clone(budget),
    });
    Some((LaneProducer::new(Arc::clone(&shared)), LaneConsumer::new(shared)))
}

/// What both ends see.
pub(super) struct Shared {
    pub(super) written: CachePadded<Written>,
    pub(super) read: CachePadded<Read>,
    pub(super) control: CachePadded<Control>,
    /// The ring's memory. The bytes between `head` and `tail` belong to the consumer, all others to the producer, but for
    /// the word at `tail`, which is zero and read by both.
    words: Box<[UnsafeCell<u64>]>,
    touched: Touched,
    /// What loom knows of [`first_word`](Shared::first_word).
    #[cfg(loom)]
    first_words: Box<[AtomicU64]>,
    pub(super) budget: Arc<LaneBudget>,
}

// SAFETY: `words` is the only part that is not `Sync` by itself. There is one `LaneProducer` and one `LaneConsumer`,
// neither can be cloned, and both need `&mut self` to touch `words`; the release store and acquire load of a first word and
// of `head` hand each byte over from one to the other. First words are atomics as long as both ends may look at them.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it is tied to a thread; boxed blocks are `Box<[u8]>`, which are `Send`.
unsafe impl Send for Shared {}

/// Written by the producer only.
#[derive(Default)]
pub(super) struct Written {
    pub(super) tail: AtomicU64,
    pub(super) pushed: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) publishing: AtomicBool,
    pub(super) gone: AtomicBool,
    pub(super) boxed_bytes: AtomicU64,
}

/// Written by the consumer only.
#[derive(Default)]
pub(super) struct Read {
    pub(super) head: AtomicU64,
    pub(super) boxed_bytes: AtomicU64,
    /// What `pushed` was when the shard last counted.
    pub(super) counted: AtomicU64,
}

/// Seldom written, by either end.
#[derive(Default)]
pub(super) struct Control {
    pub(super) closed: AtomicBool,
    /// The producer rests until half of the lane is free.
    pub(super) waits: AtomicBool,
}

impl Shared {
    pub(super) fn capacity(&self) -> u64 {
        (self.words.len() * RECORD_ALIGN) as u64
    }

    /// Address of the word at `position`, a multiple of 8.
    #[inline]
    pub(super) fn at(&self, position: u64) -> *mut u64 {
        // `UnsafeCell<u64>` has the layout of `u64`, and the cell's pointer may be used to write.
        UnsafeCell::raw_get(self.words[self.index(position)..].as_ptr())
    }

    /// The first word at `position`, which both ends look at: zero where nothing is published.
    #[inline]
    pub(super) fn first_word(&self, position: u64) -> &AtomicU64 {
        #[cfg(loom)]
        return &self.first_words[self.index(position)];
        // SAFETY: the word is aligned and lives as long as the ring. While the other end may look at it, it is
        // accessed through this alone.
        #[cfg(not(loom))]
        unsafe {
            AtomicU64::from_ptr(self.at(position))
        }
    }

    /// Writes the first word at `position`.
    #[inline]
    pub(super) fn write_first_word(&self, position: u64, word: u64, ordering: Ordering) {
        #[cfg(loom)]
        // SAFETY: one thread of a model runs at a time, and the word is read by who has seen it in `first_words`.
        unsafe {
            self.at(position).write(word);
        }
        self.first_word(position).store(word, ordering);
    }

    /// The consumer takes these contiguous bytes for its own until it releases them.
    #[inline]
    pub(super) fn reads(&self, position: u64, bytes: u64) {
        let index = self.index(position);
        self.touched.read(index..index + bytes as usize / RECORD_ALIGN);
    }

    /// The producer writes these contiguous bytes.
    #[inline]
    pub(super) fn writes(&self, position: u64, bytes: u64) {
        let index = self.index(position);
        self.touched.written(index..index + bytes as usize / RECORD_ALIGN);
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        (position & (self.capacity() - 1)) as usize / RECORD_ALIGN
    }

    /// Whether at least half of the lane is free and no block is on its way, so that any event fits.
    pub(super) fn is_half_free(&self) -> bool {
        let (written, read) = (&self.written, &self.read);
        let waiting = written.tail.load(Ordering::Relaxed) - read.head.load(Ordering::Relaxed);
        waiting <= self.capacity() / 2
            && written.boxed_bytes.load(Ordering::Relaxed) == read.boxed_bytes.load(Ordering::Relaxed)
    }

    /// Frees the blocks of the records from `from`, where `first_word` is to stand, to `to`. Returns their bytes.
    ///
    /// # Safety
    /// These are whole records that only the caller reads, and no block of theirs was taken.
    pub(super) unsafe fn free_blocks(&self, mut from: u64, to: u64, mut first_word: u64) -> u64 {
        let mut bytes = 0;
        while from < to {
            let (body_bytes, flags) = split_first_word(first_word);
            if flags & FLAG_PAD != 0 {
                from = (from | (self.capacity() - 1)) + 1;
                first_word = self.first_word(from).load(Ordering::Relaxed);
                continue;
            }
            if flags & FLAG_BOXED != 0 {
                // SAFETY: the caller's contract.
                bytes += unsafe { self.unbox(from) }.len() as u64;
            }
            from += record_bytes(body_bytes as usize) as u64;
            first_word = self.first_word(from).load(Ordering::Relaxed);
        }
        bytes
    }

    /// Takes the block out of the boxed record at `position`.
    ///
    /// # Safety
    /// The record is published, boxed, and its block was not taken before.
    pub(super) unsafe fn unbox(&self, position: u64) -> Box<[u8]> {
        // SAFETY: the payload is the address and length that `push_boxed` took from `Box::into_raw`.
        let block = unsafe {
            let [address, length] = self.at(position).add(HEADER_WORDS).cast::<[u64; 2]>().read();
            Box::from_raw(ptr::slice_from_raw_parts_mut(address as *mut u8, length as usize))
        };
        self.budget.give(block.len() as u64);
        block
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Both ends are gone. Blocks that were never read are freed with the ring they travel in.
        let (head, tail) =
            (self.read.head.load(Ordering::Relaxed), self.written.tail.load(Ordering::Relaxed));
        // SAFETY: everything between `head` and `tail` is published and was not read, and this is the only reference left.
        unsafe { self.free_blocks(head, tail, self.first_word(head).load(Ordering::Relaxed)) };
        self.budget.give(self.capacity());
    }
}

/// Bytes that the lanes of a bus may take together, boxed blocks included.
#[derive(Debug)]
pub struct LaneBudget {
    bytes_max: u64,
    bytes: AtomicU64,
}

impl LaneBudget {
    pub fn new(bytes_max: u64) -> LaneBudget {
        LaneBudget { bytes_max, bytes: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, bytes: u64) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.bytes_max {
            self.give(bytes);
            return false;
        }
        true
    }

    pub(super) fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes taken now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Smallest ring.
const LANE_BYTES_MIN: usize = if cfg!(loom) { 64 } else { 4 << 10 };
/// Payload of a boxed record: address and length.
pub(super) const BOXED_BYTES: usize = 16;
