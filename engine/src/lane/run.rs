//! The run: whole records copied into the lane at once, and taken back as long as they are not published.

use std::ptr;

use super::producer::LaneProducer;
use super::record::{HEADER_BYTES, RECORD_ALIGN};
use crate::sync::Ordering;

impl LaneProducer {
    /// Bytes that can be written behind the tail before the ring wraps.
    pub fn contiguous_room(&mut self) -> usize {
        let capacity = self.shared.capacity();
        let to_end = capacity - (self.tail & (capacity - 1));
        if self.tail + to_end - self.head_seen >= capacity {
            // Acquire: pairs with the release of `head`; the consumer has finished reading what it released.
            self.head_seen = self.shared.read.head.load(Ordering::Acquire);
        }
        to_end.min(capacity - RECORD_ALIGN as u64 - (self.tail - self.head_seen)) as usize
    }

    /// Writes `records`, which are `count` whole records one behind the other without a pad or a block among them, behind
    /// the tail. They become readable with the next [`publish`](LaneProducer::publish).
    ///
    /// # Panics
    /// When they exceed [`contiguous_room`](LaneProducer::contiguous_room), or a claim is open.
    pub fn push_run(&mut self, records: &[u8], count: usize) {
        assert!(self.claimed.is_none() && records.len() <= self.contiguous_room(), "the run fits");
        let Some((first_word, rest)) = records.split_first_chunk() else { return };
        self.shared.writes(self.tail, records.len() as u64);
        self.put_first_word(u64::from_ne_bytes(*first_word));
        if count > 1 {
            self.keep_company();
        }
        // SAFETY: that many contiguous bytes at the tail are released by the consumer, and only this end writes there
        // until `publish`. `records` is a caller's slice and cannot lie in the ring's private memory.
        unsafe {
            let at = self.shared.at(self.tail).add(1).cast::<u8>();
            ptr::copy_nonoverlapping(rest.as_ptr(), at, rest.len());
        }
        self.tail += records.len() as u64;
        self.pushed += count as u64;
    }

    /// Makes everything pushed so far readable. Whether there was anything.
    pub fn publish_any(&mut self) -> bool {
        // This end alone stores it.
        let any = self.shared.written.tail.load(Ordering::Relaxed) != self.tail;
        if any {
            self.publish();
        }
        any
    }

    /// Takes back everything pushed since the last [`publish`](LaneProducer::publish).
    pub fn retract(&mut self) {
        let written = &self.shared.written;
        // This end alone stores these two.
        let (tail, pushed) = (written.tail.load(Ordering::Relaxed), written.pushed.load(Ordering::Relaxed));
        // SAFETY: the records between the published tail and this end's were written by it and are nobody else's.
        self.boxed_bytes -= unsafe { self.shared.free_blocks(tail, self.tail, self.kept) };
        written.boxed_bytes.store(self.boxed_bytes, Ordering::Relaxed);
        (self.tail, self.pushed) = (tail, pushed);
    }

    /// Whether at least half of the lane is free and no block is on its way, so that an event of up to
    /// [`body_bytes_max`](LaneProducer::body_bytes_max) fits, or a block.
    pub fn has_room(&self) -> bool {
        self.shared.is_half_free()
    }

    /// Tells the consumer whether this end waits for room, so that it rings when there is.
    pub fn set_waiting(&self, waits: bool) {
        self.shared.control.waits.store(waits, Ordering::Relaxed);
    }

    /// Whether the reading end is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.control.closed.load(Ordering::Relaxed)
    }

    /// A payload of up to this many bytes, and a mark before it, fit into a lane that is half free, wherever it wraps. A larger
    /// one travels as a block, unless it fits before the wrap.
    pub fn body_bytes_max(&self) -> usize {
        self.shared.capacity() as usize / super::BOXED_FROM_LANE_SHARE - 2 * HEADER_BYTES
    }
}
