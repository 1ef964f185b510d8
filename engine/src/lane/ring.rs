//! The ring: a byte ring that one thread writes and one thread reads, without a lock or a shared read-modify-write.
//!
//! Positions count bytes since the ring was made and never wrap. The producer owns `tail`, the consumer owns `head`,
//! and each keeps a copy of the other's so that it crosses to the other core's cache line only when its copy says
//! "full" or "empty". Records are contiguous: one that does not fit before the end of the memory is preceded by a pad.
//! An event too large for the ring travels as a boxed block whose address is the record's payload.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::{Arc, Weak};

use super::record::{
    FLAG_BOXED, FLAG_PAD, HEADER_WORDS, Header, RECORD_ALIGN, record_bytes, split_first_word,
};
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Ordering, light_fence};

/// Makes a lane of `capacity_bytes`, a power of two of at least 4 KiB, if `budget` still has them.
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
        budget: Arc::clone(budget),
    });
    let producer =
        LaneProducer { tail: 0, pushed: 0, boxed_bytes: 0, head_seen: 0, shared: Arc::clone(&shared) };
    Some((producer, LaneConsumer { head: 0, popped: 0, boxed_bytes: 0, tail_seen: 0, shared }))
}

/// What both ends see.
struct Shared {
    written: CachePadded<Written>,
    read: CachePadded<Read>,
    control: CachePadded<Control>,
    /// The ring's memory. The bytes between `head` and `tail` belong to the consumer, all others to the producer.
    words: Box<[UnsafeCell<u64>]>,
    budget: Arc<LaneBudget>,
}

// SAFETY: `words` is the only part that is not `Sync` by itself. There is one `LaneProducer` and one `LaneConsumer`,
// neither can be cloned, and both need `&mut self` to touch `words`; the release store and acquire load of `tail` and
// of `head` hand each byte over from one to the other.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it is tied to a thread; boxed blocks are `Box<[u8]>`, which are `Send`.
unsafe impl Send for Shared {}

/// Written by the producer only.
#[derive(Default)]
struct Written {
    tail: AtomicU64,
    pushed: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    publishing: AtomicBool,
    gone: AtomicBool,
}

/// Written by the consumer only.
#[derive(Default)]
struct Read {
    head: AtomicU64,
    boxed_bytes: AtomicU64,
    /// What `pushed` was when the shard last counted.
    counted: AtomicU64,
}

/// Written once, when the shard closes.
#[derive(Default)]
struct Control {
    closed: AtomicBool,
}

impl Shared {
    fn capacity(&self) -> u64 {
        (self.words.len() * RECORD_ALIGN) as u64
    }

    /// Address of the word at `position`, a multiple of 8.
    #[inline]
    fn at(&self, position: u64) -> *mut u64 {
        let index = (position & (self.capacity() - 1)) as usize / RECORD_ALIGN;
        // `UnsafeCell<u64>` has the layout of `u64`, and the cell's pointer may be used to write.
        UnsafeCell::raw_get(self.words[index..].as_ptr())
    }

    /// Takes the block out of the boxed record at `position`.
    ///
    /// # Safety
    /// The record is published, boxed, and its block was not taken before.
    unsafe fn unbox(&self, position: u64) -> Box<[u8]> {
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
        let (mut head, tail) =
            (self.read.head.load(Ordering::Relaxed), self.written.tail.load(Ordering::Relaxed));
        while head < tail {
            // SAFETY: everything between `head` and `tail` is published records, and this is the only reference left.
            let (payload_bytes, flags) = split_first_word(unsafe { self.at(head).read() });
            if flags & FLAG_PAD != 0 {
                head = (head | (self.capacity() - 1)) + 1;
                continue;
            }
            if flags & FLAG_BOXED != 0 {
                // SAFETY: a boxed record past `head` was never taken.
                drop(unsafe { self.unbox(head) });
            }
            head += record_bytes(payload_bytes as usize) as u64;
        }
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

    fn take(&self, bytes: u64) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.bytes_max {
            self.give(bytes);
            return false;
        }
        true
    }

    fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes taken now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// No room in the lane now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The writing end. Dropping it says that the thread has gone; what was published stays readable.
pub struct LaneProducer {
    tail: u64,
    pushed: u64,
    boxed_bytes: u64,
    head_seen: u64,
    shared: Arc<Shared>,
}

impl LaneProducer {
    /// Opens a publication: until [`leave`](LaneProducer::leave) a closing shard waits for this lane. `false` when
    /// the lane is closed already; `leave` is due all the same.
    #[inline]
    pub fn enter(&self) -> bool {
        self.shared.written.publishing.store(true, Ordering::Relaxed);
        // Pairs with the heavy fence in `LaneConsumer::close`'s caller: it sees `publishing`, or `closed` is seen here.
        light_fence();
        !self.shared.control.closed.load(Ordering::Relaxed)
    }

    /// Ends a publication.
    #[inline]
    pub fn leave(&self) {
        // Release: pairs with the acquire in `is_quiescent`, so that the closing shard sees the last tail.
        self.shared.written.publishing.store(false, Ordering::Release);
    }

    /// Writes one record behind the tail. It becomes readable with the next [`publish`](LaneProducer::publish).
    #[inline]
    pub fn push(&mut self, header: Header, payload: &[u8]) -> Result<(), Full> {
        debug_assert_eq!(header.payload_bytes as usize, payload.len());
        let bytes = record_bytes(payload.len()) as u64;
        self.reserve(bytes)?;
        let at = self.shared.at(self.tail);
        // SAFETY: `reserve` left `bytes` contiguous bytes at `tail` that the consumer has released, and only this end
        // writes there until `publish`. `payload` is a caller's slice and cannot lie in the ring's private memory.
        unsafe {
            // Volatile keeps the three words from being put together on the stack and copied as one vector, which
            // would wait for the store buffer on every event.
            let [lengths, timestamp_ns, hash] = header.to_words();
            at.write_volatile(lengths);
            at.add(1).write_volatile(timestamp_ns);
            at.add(2).write_volatile(hash);
            ptr::copy_nonoverlapping(payload.as_ptr(), at.add(HEADER_WORDS).cast::<u8>(), payload.len());
        }
        self.tail += bytes;
        self.pushed += 1;
        Ok(())
    }

    /// Sends an event that is too large for the ring as one block. The block is charged to the lane: there is room
    /// when no other block is on its way, or when all together fit the lane's bytes.
    pub fn push_boxed(&mut self, header: Header, payload: &[u8]) -> Result<(), Full> {
        let waiting = self.boxed_bytes - self.shared.read.boxed_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + payload.len() as u64 > self.shared.capacity() {
            return Err(Full);
        }
        self.reserve(record_bytes(BOXED_BYTES) as u64)?;
        let length = payload.len() as u64;
        if !self.shared.budget.take(length) {
            return Err(Full);
        }
        let block: Box<[u8]> = payload.into();
        let address = Box::into_raw(block).cast::<u8>() as u64;
        let mut parts = [0; BOXED_BYTES];
        parts[..8].copy_from_slice(&address.to_ne_bytes());
        parts[8..].copy_from_slice(&length.to_ne_bytes());
        let header = Header { payload_bytes: BOXED_BYTES as u32, flags: header.flags | FLAG_BOXED, ..header };
        self.boxed_bytes += length;
        self.push(header, &parts)
    }

    /// Makes everything pushed so far readable.
    #[inline]
    pub fn publish(&mut self) {
        self.shared.written.pushed.store(self.pushed, Ordering::Relaxed);
        // Release: pairs with the acquire of `tail` in the consumer; the records and `pushed` come before it.
        self.shared.written.tail.store(self.tail, Ordering::Release);
    }

    /// Counts an event that was given up because there was no room.
    pub fn count_dropped(&self) {
        let dropped = &self.shared.written.dropped;
        dropped.store(dropped.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Counts an event that stays with the caller because there was no room.
    pub fn count_refused(&self) {
        let refused = &self.shared.written.refused;
        refused.store(refused.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Makes `bytes` contiguous bytes at the tail writable.
    #[inline]
    fn reserve(&mut self, bytes: u64) -> Result<(), Full> {
        let capacity = self.shared.capacity();
        let to_end = capacity - (self.tail & (capacity - 1));
        let pad = if bytes > to_end { to_end } else { 0 };
        if self.tail + pad + bytes - self.head_seen > capacity {
            // Acquire: pairs with the release of `head`; the consumer has finished reading what it released.
            self.head_seen = self.shared.read.head.load(Ordering::Acquire);
            if self.tail + pad + bytes - self.head_seen > capacity {
                return Err(Full);
            }
        }
        if pad > 0 {
            // SAFETY: the check above covers the pad too, and a pad is at least one aligned word.
            unsafe { self.shared.at(self.tail).write(u64::from(FLAG_PAD) << 32) };
            self.tail += pad;
        }
        Ok(())
    }
}

impl Drop for LaneProducer {
    fn drop(&mut self) {
        // What was pushed is not lost with its thread.
        self.publish();
        self.leave();
        // Release: pairs with the acquire in `is_gone`, so that whoever sees it sees the last tail.
        self.shared.written.gone.store(true, Ordering::Release);
    }
}

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
    popped: u64,
    boxed_bytes: u64,
    tail_seen: u64,
    shared: Arc<Shared>,
}

impl LaneConsumer {
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
        self.look();
        let start = self.head;
        let end = self.tail_seen.min((start | (self.shared.capacity() - 1)) + 1);
        while self.head < end && lengths.len() < events_max {
            let at = self.shared.at(self.head);
            // SAFETY: positions below `tail_seen` were published by the producer's release store, which the acquire
            // load in `look` has seen, and stay untouched until `release`. Every record and pad starts with a word.
            let (payload_bytes, flags) = split_first_word(unsafe { at.read() });
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
            let bytes = record_bytes(payload_bytes as usize) as u64;
            if !lengths.is_empty() && self.head + bytes - start > bytes_max as u64 {
                break;
            }
            lengths.push(bytes as u32);
            self.head += bytes;
        }
        if lengths.is_empty() {
            return None;
        }
        self.popped += lengths.len() as u64;
        let run = ptr::slice_from_raw_parts(self.shared.at(start).cast::<u8>(), (self.head - start) as usize);
        // SAFETY: as above for every byte of the run; it is contiguous because `end` is not past the wrap. The slice
        // borrows `self`, so nothing is released while it lives.
        Some(Run::Records(unsafe { &*run }))
    }

    /// Gives the memory of everything read so far back to the producer.
    #[inline]
    pub fn release(&mut self) {
        // Release: pairs with the acquire of `head` in `reserve`; the reads come before it.
        self.shared.read.head.store(self.head, Ordering::Release);
    }

    /// Somebody who sees what the shard has not counted.
    pub fn witness(&self) -> LaneWitness {
        LaneWitness(Arc::downgrade(&self.shared))
    }

    /// Position up to which the producer has published.
    pub fn published(&self) -> u64 {
        self.shared.written.tail.load(Ordering::Acquire)
    }

    /// Position up to which events were read.
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Whether everything published was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.published() == self.head
    }

    /// Events pushed, events read, events dropped at the lane, events refused at the lane. The first is read last of
    /// the producer's words, so that it covers every event the others speak of.
    pub fn counts(&self) -> LaneCounts {
        let written = &self.shared.written;
        let dropped = written.dropped.load(Ordering::Acquire);
        let refused = written.refused.load(Ordering::Acquire);
        // The tail first: its acquire covers the `pushed` stored before it.
        written.tail.load(Ordering::Acquire);
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

    #[inline]
    fn look(&mut self) {
        if self.head == self.tail_seen {
            self.tail_seen = self.published();
        }
    }

    fn take_boxed(&mut self) -> Run<'static> {
        // SAFETY: the record at `head` is published and boxed, and `head` moves past it here.
        let (header, block) = unsafe {
            let words = self.shared.at(self.head).cast::<[u64; HEADER_WORDS]>().read();
            (Header::from_words(words), self.shared.unbox(self.head))
        };
        self.head += record_bytes(BOXED_BYTES) as u64;
        self.popped += 1;
        self.boxed_bytes += block.len() as u64;
        self.shared.read.boxed_bytes.store(self.boxed_bytes, Ordering::Relaxed);
        let header =
            Header { payload_bytes: block.len() as u32, flags: header.flags & !FLAG_BOXED, ..header };
        Run::Boxed(header, block)
    }
}

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

/// Smallest ring.
pub(crate) const LANE_BYTES_MIN: usize = 4 << 10;
/// Payload of a boxed record: address and length.
const BOXED_BYTES: usize = 16;
