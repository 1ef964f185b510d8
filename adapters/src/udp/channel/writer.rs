//! Frames written one behind the other, as [`frame`](super::frame) has their bytes.

use super::frame::{
    ACK, ACK_BYTES, ACK_RANGE_BYTES, BLOCK, BLOCK_BYTES, FLAG_AT_ONCE, FLAG_FRAGMENT, PING, Ping, REPORT,
    REPORT_RANGE_BYTES,
};

/// Writes frames behind each other. The caller looks at [`room`](Writer::room) first.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Writer<'a> {
        Writer { out, len: 0 }
    }

    /// Bytes written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that are left.
    pub(super) fn room(&self) -> usize {
        self.out.len() - self.len
    }

    /// Takes back what was written from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(super) fn ping(&mut self, ping: Ping) {
        self.put(&[PING]);
        self.put(&ping.next_block.to_le_bytes());
        self.put(&ping.next_event.to_le_bytes());
        self.put(&ping.floor.to_le_bytes());
    }

    /// Writes an ACK of `ranges`, from the highest down, as many as there is room for; one at least is given.
    pub(super) fn ack(
        &mut self,
        delay_us: u32,
        stored_through: u64,
        window_end: u64,
        ranges: impl Iterator<Item = (u64, u64)>,
    ) {
        let start = self.len;
        let ranges_max = (1 + (self.room() - ACK_BYTES) / ACK_RANGE_BYTES).min(usize::from(u8::MAX));
        let (mut count, mut above) = (0_u8, 0);
        for (low, high) in ranges.take(ranges_max) {
            if count == 0 {
                self.put(&[ACK, 0]);
                self.put(&delay_us.to_le_bytes());
                self.put(&high.to_le_bytes());
                self.put(&stored_through.to_le_bytes());
                self.put(&window_end.to_le_bytes());
            } else {
                let Ok(gap) = u32::try_from(above - high - 2) else { break };
                self.put(&gap.to_le_bytes());
            }
            // Of a range that is too long, the upper part is told.
            let length = u32::try_from(high - low).unwrap_or(u32::MAX);
            self.put(&length.to_le_bytes());
            above = high - u64::from(length);
            count += 1;
        }
        debug_assert!(count > 0, "there is something to acknowledge");
        self.out[start + 1] = count;
    }

    /// Writes a REPORT that asks for `ranges` of blocks (first, and one past the last), as many as there is room for. Returns how many.
    pub(super) fn report(
        &mut self,
        through: u64,
        given_up: u64,
        ranges: impl Iterator<Item = (u64, u64)>,
    ) -> usize {
        let start = self.len;
        self.put(&[REPORT, 0]);
        self.put(&through.to_le_bytes());
        self.put(&given_up.to_le_bytes());
        let ranges_max = (self.room() / REPORT_RANGE_BYTES).min(usize::from(u8::MAX));
        let mut count = 0_u8;
        for (first, end) in ranges.take(ranges_max) {
            let Ok(offset) = u32::try_from(first - through) else { break };
            self.put(&offset.to_le_bytes());
            self.put(&u32::try_from(end - first).unwrap_or(u32::MAX).to_le_bytes());
            count += 1;
        }
        self.out[start + 1] = count;
        usize::from(count)
    }

    /// Leaves room for a block's header. Returns where it is.
    pub(super) fn begin_block(&mut self) -> usize {
        self.len += BLOCK_BYTES;
        self.len - BLOCK_BYTES
    }

    /// Writes the header of the block that was begun at `start`; its body is everything behind it.
    pub(super) fn end_block(&mut self, start: usize, head: BlockHead) {
        let flags = if head.is_fragment { FLAG_FRAGMENT } else { 0 };
        let length = (self.len - start - BLOCK_BYTES) as u16;
        let out = &mut self.out[start..start + BLOCK_BYTES];
        out[..2].copy_from_slice(&[BLOCK, flags]);
        out[2..4].copy_from_slice(&length.to_le_bytes());
        out[4..8].copy_from_slice(&head.floor.to_le_bytes());
        out[8..16].copy_from_slice(&head.number.to_le_bytes());
        out[16..].copy_from_slice(&head.first_event.to_le_bytes());
    }

    /// Asks for an acknowledgement at once of the block that was begun at `start`.
    pub(super) fn ask_at_once(&mut self, start: usize) {
        self.out[start + 1] |= FLAG_AT_ONCE;
    }
}

/// A block's header, without its length.
#[derive(Clone, Copy)]
pub(super) struct BlockHead {
    pub(super) is_fragment: bool,
    pub(super) floor: u32,
    pub(super) number: u64,
    pub(super) first_event: u64,
}
