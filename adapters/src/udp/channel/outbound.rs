//! What goes out: events are cut into blocks, and blocks can be written again until they are released.
//!
//! A block is a description only, of some twenty bytes; its events stay where they lie in their batch, and are encoded from there
//! each time.

use std::collections::VecDeque;

use engine::clock::Monotonic;

use super::frame::{BLOCK_BYTES, FRAGMENT_BYTES, RECORD_BYTES, Record};
use super::loads::{Load, Loads};
use super::writer::{BlockHead, Writer};

/// The blocks of one direction.
#[derive(Debug)]
pub(super) struct Outbound {
    loads: Loads,
    blocks: VecDeque<Block>,
    /// Number of the first in `blocks`: all below are released.
    base: u64,
    /// Bytes of the bodies of `blocks`.
    bytes: usize,
    /// The event that is cut next, and how much of its record is in fragments already.
    next_event: u64,
    cut_bytes: u32,
    /// Blocks to be sent again. Some may have come or been released since.
    lost: VecDeque<u64>,
    body_bytes_max: usize,
    /// Blocks that were written again.
    pub(super) retransmitted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    first_event: u64,
    sent: Monotonic,
    shape: Shape,
    body_bytes: u16,
    state: State,
    resends: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Events { count: u16 },
    Fragment { offset: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sent,
    /// It is in the queue of those to be sent again.
    Lost,
    /// The peer has it.
    Come,
}

/// A block that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) number: u64,
    /// Where its frame begins.
    pub(super) start: usize,
}

impl Outbound {
    pub(super) fn new(plaintext_max: usize) -> Outbound {
        Outbound {
            loads: Loads::default(),
            blocks: VecDeque::new(),
            base: 0,
            bytes: 0,
            next_event: 0,
            cut_bytes: 0,
            lost: VecDeque::new(),
            body_bytes_max: plaintext_max - BLOCK_BYTES,
            retransmitted: 0,
        }
    }

    pub(super) fn take(&mut self, load: Load) {
        self.loads.take(load);
    }

    pub(super) fn spare_list(&mut self) -> Vec<u32> {
        self.loads.spare_list()
    }

    /// The oldest block that can be sent again.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Number of the next block.
    pub(super) fn end(&self) -> u64 {
        self.base + self.blocks.len() as u64
    }

    /// Number of the event that is cut next.
    pub(super) fn next_event(&self) -> u64 {
        self.next_event
    }

    /// Bytes of the bodies that can be sent again.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of blocks that can be sent again.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are events that were in no block yet.
    pub(super) fn has_new(&self) -> bool {
        self.next_event < self.loads.end()
    }

    /// Loads of which some event was in no block yet.
    pub(super) fn uncut(&self) -> usize {
        self.loads.len_after(self.next_event)
    }

    /// Loads of which some event is not released.
    pub(super) fn unreleased(&self) -> usize {
        self.loads.len_after(self.first_event(self.base))
    }

    /// Writes the next block of new events, as many as there is room for. `None` where there are none, or too little room.
    pub(super) fn cut(&mut self, writer: &mut Writer<'_>, floor: u32, now: Monotonic) -> Option<Written> {
        if writer.room() <= BLOCK_BYTES || !self.has_new() {
            return None;
        }
        let start = writer.begin_block();
        let mut count = 0;
        if self.cut_bytes == 0 {
            for record in self.loads.records(self.next_event) {
                if RECORD_BYTES + record.payload.len() > writer.room() {
                    break;
                }
                writer.put(&record.head());
                writer.put(record.payload);
                count += 1;
            }
        }
        let first_event = self.next_event;
        let shape = if count > 0 {
            self.next_event += u64::from(count);
            Shape::Events { count }
        } else {
            let Some(offset) = self.cut_fragment(writer) else {
                writer.truncate(start);
                return None;
            };
            Shape::Fragment { offset }
        };
        let body_bytes = (writer.len() - start - BLOCK_BYTES) as u16;
        let number = self.end();
        self.blocks.push_back(Block {
            first_event,
            sent: now,
            shape,
            body_bytes,
            state: State::Sent,
            resends: 0,
        });
        self.bytes += usize::from(body_bytes);
        let is_fragment = count == 0;
        writer.end_block(start, BlockHead { is_fragment, floor, number, first_event });
        Some(Written { number, start })
    }

    /// Writes the next part of the next event, if it does not fit into a block. Returns where the part begins.
    fn cut_fragment(&mut self, writer: &mut Writer<'_>) -> Option<u32> {
        let record = self.loads.records(self.next_event).next()?;
        let total = RECORD_BYTES + record.payload.len();
        let offset = self.cut_bytes;
        let left = total - offset as usize;
        let room = writer.room().checked_sub(FRAGMENT_BYTES)?;
        if total <= self.body_bytes_max || room < left.min(PART_BYTES_LEAST) {
            return None;
        }
        let bytes = left.min(room);
        write_fragment(writer, &record, offset as usize, bytes);
        if bytes == left {
            self.next_event += 1;
            self.cut_bytes = 0;
        } else {
            self.cut_bytes += bytes as u32;
        }
        Some(offset)
    }

    /// Writes the oldest block that is to be sent again. `None` where there is none, or too little room.
    pub(super) fn write_lost(&mut self, writer: &mut Writer<'_>, floor: u32) -> Option<Written> {
        if !self.has_lost() {
            return None;
        }
        let &number = self.lost.front()?;
        let written = self.write_again(number, writer, floor)?;
        self.lost.pop_front();
        Some(written)
    }

    /// Writes the oldest block whose coming is not known.
    pub(super) fn write_oldest(&mut self, writer: &mut Writer<'_>, floor: u32) -> Option<Written> {
        let at = self.blocks.iter().position(|block| block.state == State::Sent)?;
        self.write_again(self.base + at as u64, writer, floor)
    }

    fn write_again(&mut self, number: u64, writer: &mut Writer<'_>, floor: u32) -> Option<Written> {
        let at = self.index(number)?;
        let block = &mut self.blocks[at];
        if writer.room() < BLOCK_BYTES + usize::from(block.body_bytes) {
            return None;
        }
        block.state = State::Sent;
        block.resends = block.resends.saturating_add(1);
        self.retransmitted += 1;
        let start = writer.begin_block();
        match block.shape {
            Shape::Events { count } => {
                for record in self.loads.records(block.first_event).take(usize::from(count)) {
                    writer.put(&record.head());
                    writer.put(record.payload);
                }
            }
            Shape::Fragment { offset } => {
                let record = self.loads.records(block.first_event).next()?;
                let bytes = usize::from(block.body_bytes) - FRAGMENT_BYTES;
                write_fragment(writer, &record, offset as usize, bytes);
            }
        }
        let is_fragment = matches!(block.shape, Shape::Fragment { .. });
        writer.end_block(start, BlockHead { is_fragment, floor, number, first_event: block.first_event });
        Some(Written { number, start })
    }

    /// Whether some block is to be sent again.
    pub(super) fn has_lost(&mut self) -> bool {
        while let Some(&number) = self.lost.front() {
            if self.state(number) == Some(State::Lost) {
                return true;
            }
            self.lost.pop_front();
        }
        false
    }

    /// A packet with this block is lost.
    pub(super) fn lose(&mut self, number: u64) {
        if self.state(number) == Some(State::Sent) {
            self.set(number, State::Lost);
            self.lost.push_back(number);
        }
    }

    /// The peer asks for this block again. Whether it can be sent.
    pub(super) fn ask_again(&mut self, number: u64, resends_max: u8) -> bool {
        let Some(at) = self.index(number) else { return false };
        if self.blocks[at].resends >= resends_max {
            return false;
        }
        self.lose(number);
        true
    }

    /// The peer has this block.
    pub(super) fn has_come(&mut self, number: u64) {
        self.set(number, State::Come);
    }

    /// Forgets the blocks below `through`, and the loads that are wholly in them.
    pub(super) fn release(&mut self, through: u64) {
        let through = through.clamp(self.base, self.end());
        while self.base < through {
            let block = self.blocks.pop_front().expect("it is below the end");
            self.bytes -= usize::from(block.body_bytes);
            self.base += 1;
        }
        self.loads.release(self.first_event(self.base));
    }

    /// When the oldest block was cut.
    pub(super) fn oldest(&self) -> Option<Monotonic> {
        self.blocks.front().map(|block| block.sent)
    }

    /// The loads from the first event on that is not released.
    pub(super) fn into_unreleased(self) -> impl Iterator<Item = Load> {
        let through = self.first_event(self.base);
        self.loads.into_rest(through)
    }

    /// The loads from the first event on that was in no block.
    pub(super) fn into_uncut(self) -> impl Iterator<Item = Load> {
        self.loads.into_rest(self.next_event)
    }

    /// Number of the first event in a block, for the next block that of the next event.
    fn first_event(&self, number: u64) -> u64 {
        self.index(number).map_or(self.next_event, |at| self.blocks[at].first_event)
    }

    fn index(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.base)?).ok()?;
        (at < self.blocks.len()).then_some(at)
    }

    fn state(&self, number: u64) -> Option<State> {
        self.index(number).map(|at| self.blocks[at].state)
    }

    fn set(&mut self, number: u64, state: State) {
        if let Some(at) = self.index(number) {
            self.blocks[at].state = state;
        }
    }
}

/// Writes the `bytes` of a record from `offset` on.
fn write_fragment(writer: &mut Writer<'_>, record: &Record<'_>, offset: usize, bytes: usize) {
    let total = RECORD_BYTES + record.payload.len();
    writer.put(&(offset as u32).to_le_bytes());
    writer.put(&(total as u32).to_le_bytes());
    let end = offset + bytes;
    if offset < RECORD_BYTES {
        writer.put(&record.head()[offset..end.min(RECORD_BYTES)]);
    }
    if end > RECORD_BYTES {
        writer.put(&record.payload[offset.max(RECORD_BYTES) - RECORD_BYTES..end - RECORD_BYTES]);
    }
}

/// A packet that has less room than this for a part of an event goes without.
const PART_BYTES_LEAST: usize = 128;
