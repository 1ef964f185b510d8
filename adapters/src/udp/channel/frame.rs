//! Frames: what the plaintext of a packet is made of, byte by byte.
//!
//! All numbers are little-endian. A packet holds at most one frame of each kind, and a BLOCK is the last before the padding:
//!
//! ```text
//! PADDING  0 u8, and whatever follows up to the end of the packet
//! PING     1 u8 · next block u64 · next event u64 · floor u32
//! ACK      2 u8 · ranges u8 (1..) · delay u32 · largest u64 · stored through u64 · window u64 · length u32
//!          and for each further range: gap u32 · length u32
//! REPORT   3 u8 · ranges u8 (0..) · through u64 · given up u64, and for each range: offset u32 · length u32
//! BLOCK    4 u8 · flags u8 · length u16 · floor u32 · number u64 · first event u64 · body (length bytes)
//! ```
//!
//! - PING asks for an ACK or a REPORT at once, and says which numbers the sender's next block and next event get.
//! - ACK: the delay is in microseconds, since the largest packet number came. Ranges go down from the largest; a length is the
//!   number of packets in the range less one, a gap the number of packets between two ranges less one. Blocks below `stored through`
//!   are in the peer's store; blocks from `window` on must not be sent yet.
//! - REPORT: blocks below `through` are delivered or given up; `given up` counts events since the channel began. A range is of blocks
//!   to be sent again: its first, counted from `through`, and how many.
//! - BLOCK: flag 1 asks for an ACK at once, flag 2 says that the body is a fragment. Events are numbered from 0 in the order of
//!   the channel; the first in the block has this number.
//! - A floor, with [`Full`](super::Reliability::Full), is how far below the packet's own number the oldest packet lies of which the
//!   sender still wants to hear. With [`Light`](super::Reliability::Light) it is how far below the block's number (PING: below the next
//!   block's) the oldest block lies that can be sent again. 2^32-1 stands for that and all above.
//! - A body is one or more records: timestamp u64 · hash u64 · length u32 · payload. Bit 31 of the length is set where the payload is
//!   known to be JSON.
//! - A fragment is a part of one record: offset u32 · bytes of the whole record u32 · part. The parts of a record are in
//!   consecutive blocks.
//!
//! Block and event numbers stay below 2^62.

use engine::event::EventFlags;

pub(super) const PADDING: u8 = 0;
pub(super) const PING: u8 = 1;
pub(super) const ACK: u8 = 2;
pub(super) const REPORT: u8 = 3;
pub(super) const BLOCK: u8 = 4;

pub(super) const PING_BYTES: usize = 21;
pub(super) const ACK_BYTES: usize = 34;
pub(super) const ACK_RANGE_BYTES: usize = 8;
pub(super) const REPORT_BYTES: usize = 18;
pub(super) const REPORT_RANGE_BYTES: usize = 8;
pub(super) const BLOCK_BYTES: usize = 24;
pub(super) const RECORD_BYTES: usize = 20;
pub(super) const FRAGMENT_BYTES: usize = 8;

pub(super) const FLAG_AT_ONCE: u8 = 1;
pub(super) const FLAG_FRAGMENT: u8 = 2;
const RECORD_JSON: u32 = 1 << 31;
/// Block and event numbers end here.
pub(super) const NUMBER_END: u64 = 1 << 62;

/// An authenticated packet that breaks the format: the peer is another program, or a broken one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet's content is malformed")]
pub(in crate::udp) struct Malformed;

/// Where the sender stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ping {
    pub(super) next_block: u64,
    pub(super) next_event: u64,
    pub(super) floor: u32,
}

/// What has come, and how far it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack<'a> {
    pub(super) delay_us: u32,
    pub(super) largest: u64,
    pub(super) stored_through: u64,
    pub(super) window_end: u64,
    /// The first range's length, and gap and length of the others. Checked: none reaches below zero.
    ranges: &'a [u8],
}

impl Ack<'_> {
    /// First and last packet number of each range, from the highest down.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let (first, rest) =
            self.ranges.split_first_chunk().map_or((0, &[][..]), |(first, rest)| (word(*first), rest));
        let mut low = self.largest - u64::from(first);
        let others = rest.as_chunks::<ACK_RANGE_BYTES>().0.iter().map(move |range| {
            let (gap, length) = halves(*range);
            let high = low - u64::from(gap) - 2;
            low = high - u64::from(length);
            (low, high)
        });
        std::iter::once((low, self.largest)).chain(others)
    }
}

/// What a receiver misses, and what it has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report<'a> {
    pub(super) through: u64,
    pub(super) given_up: u64,
    ranges: &'a [[u8; REPORT_RANGE_BYTES]],
}

impl Report<'_> {
    /// First block and number of blocks of each range.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u64, u32)> {
        self.ranges.iter().map(|range| {
            let (offset, length) = halves(*range);
            (self.through + u64::from(offset), length)
        })
    }
}

/// Events, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) at_once: bool,
    pub(super) floor: u32,
    pub(super) number: u64,
    pub(super) first_event: u64,
    pub(super) body: Body<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// Whole records, and how many.
    Events { records: &'a [u8], count: u32 },
    /// A part of a record of `total` bytes.
    Fragment { offset: u32, total: u32, part: &'a [u8] },
}

impl<'a> Body<'a> {
    /// Checks every length in it.
    pub(super) fn parse(is_fragment: bool, bytes: &'a [u8]) -> Result<Body<'a>, Malformed> {
        if is_fragment {
            let (head, part) = bytes.split_first_chunk().ok_or(Malformed)?;
            let (offset, total) = halves(*head);
            let end = offset as usize + part.len();
            let is_sound = !part.is_empty() && end <= total as usize && total as usize >= RECORD_BYTES;
            return if is_sound { Ok(Body::Fragment { offset, total, part }) } else { Err(Malformed) };
        }
        let (mut count, mut rest) = (0, bytes);
        while !rest.is_empty() {
            (_, rest) = Record::split(rest).ok_or(Malformed)?;
            count += 1;
        }
        if count == 0 { Err(Malformed) } else { Ok(Body::Events { records: bytes, count }) }
    }

    /// Appends it as it came.
    pub(super) fn copy_to(&self, buffer: &mut Vec<u8>) {
        match self {
            Body::Events { records, .. } => buffer.extend_from_slice(records),
            Body::Fragment { offset, total, part } => {
                buffer.extend_from_slice(&offset.to_le_bytes());
                buffer.extend_from_slice(&total.to_le_bytes());
                buffer.extend_from_slice(part);
            }
        }
    }

    pub(super) fn is_fragment(&self) -> bool {
        matches!(self, Body::Fragment { .. })
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) timestamp_ns: u64,
    pub(super) hash: u64,
    pub(super) flags: EventFlags,
    pub(super) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that `bytes` begin with, and what follows it. `None` where there is none, or not all of it.
    #[inline]
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Record<'a>, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<RECORD_BYTES>()?;
        let (times, length) = head.split_first_chunk::<16>()?;
        let (timestamp, hash) = times.split_first_chunk::<8>()?;
        let length = word(*length.first_chunk()?);
        let (payload, rest) = rest.split_at_checked((length & !RECORD_JSON) as usize)?;
        let record = Record {
            timestamp_ns: u64::from_le_bytes(*timestamp),
            hash: u64::from_le_bytes(*hash.first_chunk()?),
            flags: if length & RECORD_JSON == 0 { EventFlags::NONE } else { EventFlags::JSON },
            payload,
        };
        Some((record, rest))
    }

    /// What precedes its payload.
    #[inline]
    pub(super) fn head(&self) -> [u8; RECORD_BYTES] {
        let json = if self.flags.contains(EventFlags::JSON) { RECORD_JSON } else { 0 };
        let mut head = [0; RECORD_BYTES];
        head[..8].copy_from_slice(&self.timestamp_ns.to_le_bytes());
        head[8..16].copy_from_slice(&self.hash.to_le_bytes());
        head[16..].copy_from_slice(&(self.payload.len() as u32 | json).to_le_bytes());
        head
    }
}

/// The frames of a packet, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames<'a> {
    pub(super) ping: Option<Ping>,
    pub(super) ack: Option<Ack<'a>>,
    pub(super) report: Option<Report<'a>>,
    pub(super) block: Option<Block<'a>>,
}

impl<'a> Frames<'a> {
    /// Checks everything before anything takes effect.
    pub(super) fn parse(plaintext: &'a [u8]) -> Result<Frames<'a>, Malformed> {
        let mut frames = Frames::default();
        let mut reader = Reader(plaintext);
        while let Some((&kind, rest)) = reader.0.split_first() {
            reader.0 = rest;
            let is_first = match kind {
                PADDING => break,
                PING => frames.ping.replace(reader.ping()?).is_none(),
                ACK => frames.ack.replace(reader.ack()?).is_none(),
                REPORT => frames.report.replace(reader.report()?).is_none(),
                BLOCK => {
                    frames.block = Some(reader.block()?);
                    reader.0.first().is_none_or(|&kind| kind == PADDING)
                }
                _ => false,
            };
            if !is_first {
                return Err(Malformed);
            }
        }
        Ok(frames)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A block's or an event's.
    fn number(&mut self) -> Result<u64, Malformed> {
        self.u64().and_then(|number| if number < NUMBER_END { Ok(number) } else { Err(Malformed) })
    }

    fn ping(&mut self) -> Result<Ping, Malformed> {
        Ok(Ping { next_block: self.number()?, next_event: self.number()?, floor: self.u32()? })
    }

    fn ack(&mut self) -> Result<Ack<'a>, Malformed> {
        let count = usize::from(self.byte()?).checked_sub(1).ok_or(Malformed)?;
        let delay_us = self.u32()?;
        let (largest, stored_through, window_end) = (self.u64()?, self.number()?, self.number()?);
        let ranges = self.bytes(4 + count * ACK_RANGE_BYTES)?;
        let (first, rest) = ranges.split_first_chunk().ok_or(Malformed)?;
        let mut low = largest.checked_sub(u64::from(word(*first))).ok_or(Malformed)?;
        for range in rest.as_chunks().0 {
            let (gap, length) = halves(*range);
            low = low.checked_sub(u64::from(gap) + 2 + u64::from(length)).ok_or(Malformed)?;
        }
        Ok(Ack { delay_us, largest, stored_through, window_end, ranges })
    }

    fn report(&mut self) -> Result<Report<'a>, Malformed> {
        let count = usize::from(self.byte()?);
        let (through, given_up) = (self.number()?, self.number()?);
        let ranges = self.bytes(count * REPORT_RANGE_BYTES)?.as_chunks().0;
        Ok(Report { through, given_up, ranges })
    }

    fn block(&mut self) -> Result<Block<'a>, Malformed> {
        let [flags] = self.array()?;
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let floor = self.u32()?;
        let (number, first_event) = (self.number()?, self.number()?);
        if flags & !(FLAG_AT_ONCE | FLAG_FRAGMENT) != 0 {
            return Err(Malformed);
        }
        let body = Body::parse(flags & FLAG_FRAGMENT != 0, self.bytes(length)?)?;
        Ok(Block { at_once: flags & FLAG_AT_ONCE != 0, floor, number, first_event, body })
    }
}

#[inline]
fn word(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes)
}

#[inline]
fn halves(bytes: [u8; 8]) -> (u32, u32) {
    let both = u64::from_le_bytes(bytes);
    (both as u32, (both >> 32) as u32)
}

/// How far `floor` lies below `number`, as it is written.
pub(super) fn floor_below(number: u64, floor: u64) -> u32 {
    u32::try_from(number.saturating_sub(floor)).unwrap_or(u32::MAX)
}

/// The floor that was written, or nothing where it is too far below.
pub(super) fn floor_of(number: u64, below: u32) -> Option<u64> {
    (below != u32::MAX).then(|| number.saturating_sub(u64::from(below)))
}
