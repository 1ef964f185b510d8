//! The lane's writing end.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;
use std::ptr;
use std::sync::Arc;

use super::claim::Claimed;
use super::record::{
    FLAG_ALONE, FLAG_BOXED, FLAG_PAD, HEADER_WORDS, Header, RECORD_ALIGN, join_first_word, record_bytes,
};
use super::ring::{BOXED_BYTES, Shared};
use crate::sync::{Ordering, light_fence};

/// No room in the lane now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The writing end. Dropping it says that the thread has gone; what was published stays readable.
pub struct LaneProducer {
    pub(super) tail: u64,
    /// What `tail` was at the last [`publish`](LaneProducer::publish).
    published: u64,
    /// The first word at `published`, while there is more than is published.
    pub(super) kept: u64,
    pub(super) pushed: u64,
    pub(super) boxed_bytes: u64,
    /// What `head` was when it was last looked at. While a claim is open it says that the lane is full, so that only
    /// the slow half of [`find_room`](LaneProducer::find_room) has to know of claims.
    pub(super) head_seen: u64,
    pub(super) claimed: Option<Claimed>,
    pub(super) shared: Arc<Shared>,
}

impl LaneProducer {
    pub(super) fn new(shared: Arc<Shared>) -> LaneProducer {
        LaneProducer {
            tail: 0,
            published: 0,
            kept: 0,
            pushed: 0,
            boxed_bytes: 0,
            head_seen: 0,
            claimed: None,
            shared,
        }
    }

    /// Goes on as if so many bytes and events had gone through the lane, of which the consumer is told the same.
    #[cfg(test)]
    pub(super) fn start_at(&mut self, position: u64, pushed: u64) {
        (self.tail, self.published, self.head_seen, self.pushed) = (position, position, position, pushed);
        self.shared.written.tail.store(position, Ordering::Relaxed);
        self.shared.written.pushed.store(pushed, Ordering::Relaxed);
    }

    /// Opens a publication: until [`leave`](LaneProducer::leave) a closing shard waits for this lane. `false` when
    /// the lane is closed already; `leave` is due all the same.
    #[inline]
    pub fn enter(&self) -> bool {
        self.shared.written.publishing.store(true, Ordering::Relaxed);
        if self.tail == self.published {
            self.ask_ahead();
        }
        // Pairs with the heavy fence in `LaneConsumer::close`'s caller: it sees `publishing`, or `closed` is seen here.
        light_fence();
        !self.shared.control.closed.load(Ordering::Relaxed)
    }

    /// Asks for the lines that a small record and the word behind it take, so that they have come when it is written. The
    /// consumer, who looks at the first of them, soon takes it away again.
    #[inline]
    pub fn ask_ahead(&self) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..ASKED_LINES {
            let at = self.shared.at(self.tail + line * LINE_BYTES);
            // SAFETY: a hint that changes nothing, and no operation to a processor that does not know it; the position is in
            // the ring.
            unsafe { asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags)) };
        }
    }

    /// Ends a publication.
    #[inline]
    pub fn leave(&self) {
        // Release: pairs with the acquire in `is_quiescent`, so that the closing shard sees the last tail.
        self.shared.written.publishing.store(false, Ordering::Release);
    }

    /// Writes one record behind the tail. It becomes readable with the next [`publish`](LaneProducer::publish). The
    /// length and the lane's own flags are not taken from `header`.
    #[expect(
        clippy::inline_always,
        reason = "a header that is passed is written to the stack and read again"
    )]
    #[inline(always)]
    pub fn push(&mut self, header: Header, payload: &[u8]) -> Result<(), Full> {
        let flags = header.flags & !(FLAG_PAD | FLAG_BOXED);
        self.write(Header { body_bytes: payload.len() as u32, flags, ..header }, payload)
    }

    /// [`push`](LaneProducer::push) of a header that says what the payload is.
    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn write(&mut self, header: Header, payload: &[u8]) -> Result<(), Full> {
        let bytes = record_bytes(payload.len()) as u64;
        self.reserve(bytes)?;
        let at = self.shared.at(self.tail);
        self.shared.writes(self.tail, bytes);
        self.put_first_word(join_first_word(header.body_bytes, header.flags));
        // SAFETY: `reserve` left `bytes` contiguous bytes at `tail` that the consumer has released, and only this end
        // writes there until `publish`. `payload` is a caller's slice and cannot lie in the ring's private memory.
        unsafe {
            write_header(at, header);
            ptr::copy_nonoverlapping(payload.as_ptr(), at.add(HEADER_WORDS).cast::<u8>(), payload.len());
        }
        self.tail += bytes;
        self.pushed += 1;
        Ok(())
    }

    /// Sends an event that is too large for the ring as one block. The block is charged to the lane: there is room
    /// when no other block is on its way, or when all together fit the lane's bytes.
    pub fn push_boxed(&mut self, header: Header, payload: &[u8]) -> Result<(), Full> {
        self.charge_block(payload.len())?;
        self.send_block(header, payload.into())
    }

    /// Charges a block of `bytes` to the lane's budget, if there is room for it and its record.
    pub(super) fn charge_block(&mut self, bytes: usize) -> Result<(), Full> {
        let waiting = self.boxed_bytes - self.shared.read.boxed_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes as u64 > self.shared.capacity() {
            return Err(Full);
        }
        self.find_room(record_bytes(BOXED_BYTES) as u64)?;
        if self.shared.budget.take(bytes as u64) { Ok(()) } else { Err(Full) }
    }

    /// Sends a block that was charged.
    pub(super) fn send_block(&mut self, header: Header, block: Box<[u8]>) -> Result<(), Full> {
        self.reserve(record_bytes(BOXED_BYTES) as u64)?;
        let length = block.len() as u64;
        let address = Box::into_raw(block).cast::<u8>() as u64;
        let mut parts = [0; BOXED_BYTES];
        parts[..8].copy_from_slice(&address.to_ne_bytes());
        parts[8..].copy_from_slice(&length.to_ne_bytes());
        let header = Header { body_bytes: BOXED_BYTES as u32, flags: header.flags | FLAG_BOXED, ..header };
        self.boxed_bytes += length;
        self.shared.written.boxed_bytes.store(self.boxed_bytes, Ordering::Relaxed);
        self.write(header, &parts)
    }

    /// Makes everything pushed so far readable.
    #[inline]
    pub fn publish(&mut self) {
        self.shared.written.pushed.store(self.pushed, Ordering::Relaxed);
        self.shared.written.tail.store(self.tail, Ordering::Relaxed);
        if self.published == self.tail {
            return;
        }
        self.shared.write_first_word(self.tail, 0, Ordering::Relaxed);
        // Release: pairs with the acquire in the consumer; the records, the zero, `tail` and `pushed` come before it.
        self.shared.write_first_word(self.published, self.kept, Ordering::Release);
        self.published = self.tail;
    }

    /// Writes the first word of the record or pad at the tail. That of the first one is kept back: it makes them all readable.
    #[inline]
    pub(super) fn put_first_word(&mut self, word: u64) {
        if self.tail == self.published {
            self.kept = word | ALONE;
        } else {
            self.keep_company();
            self.shared.write_first_word(self.tail, word, Ordering::Relaxed);
        }
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

    /// The publication that is being written holds more than one record.
    #[inline]
    pub(super) fn keep_company(&mut self) {
        self.kept &= !ALONE;
    }

    /// Makes `bytes` contiguous bytes at the tail writable.
    #[inline]
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<(), Full> {
        let pad = self.find_room(bytes)?;
        if pad > 0 {
            self.shared.writes(self.tail, RECORD_ALIGN as u64);
            self.put_first_word(join_first_word(0, FLAG_PAD));
            self.tail += pad;
        }
        Ok(())
    }

    /// The pad before a record of `bytes`, if there is room for both and for the word behind. Nothing is written.
    #[inline]
    pub(super) fn find_room(&mut self, bytes: u64) -> Result<u64, Full> {
        let capacity = self.shared.capacity();
        let to_end = capacity - (self.tail & (capacity - 1));
        let pad = if bytes > to_end { to_end } else { 0 };
        let end = self.tail + pad + bytes + RECORD_ALIGN as u64;
        if end.wrapping_sub(self.head_seen) > capacity {
            if self.claimed.is_some() {
                return Err(Full);
            }
            // Acquire: pairs with the release of `head`; the consumer has finished reading what it released.
            self.head_seen = self.shared.read.head.load(Ordering::Acquire);
            if end - self.head_seen > capacity {
                return Err(Full);
            }
        }
        Ok(pad)
    }
}

/// Writes the header of a record at `at` but its first word.
///
/// # Safety
/// `at` leads to a header's words, and only the caller touches those behind the first.
#[inline]
pub(super) unsafe fn write_header(at: *mut u64, header: Header) {
    let [_, timestamp_ns, hash] = header.to_words();
    // SAFETY: the caller's contract. Volatile keeps the words from being put together on the stack and copied as
    // one vector, which would wait for the store buffer on every event.
    unsafe {
        at.add(1).write_volatile(timestamp_ns);
        at.add(2).write_volatile(hash);
    }
}

/// Lines that are asked for ahead: those of a record of a hundred bytes, and the next.
#[cfg(target_arch = "x86_64")]
const ASKED_LINES: u64 = 3;
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: u64 = 64;
/// [`FLAG_ALONE`] in a first word.
const ALONE: u64 = (FLAG_ALONE as u64) << 32;

impl Drop for LaneProducer {
    fn drop(&mut self) {
        self.abort();
        // What was pushed is not lost with its thread.
        self.publish();
        self.leave();
        // Release: pairs with the acquire in `is_gone`, so that whoever sees it sees the last tail.
        self.shared.written.gone.store(true, Ordering::Release);
    }
}
