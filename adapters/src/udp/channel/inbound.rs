//! What comes in, in order: blocks are delivered one after the other, and those that came too early wait in buffers.
//!
//! A block in its turn goes from the packet straight into the batch of those that have arrived.

use std::collections::VecDeque;

use engine::batch::Batch;

use super::frame::{Block, Body, Record};
use super::reassembly::{Outcome, Part, Partial};

/// The receiving end of one direction.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The block, and the event, that are delivered next.
    next_block: u64,
    next_event: u64,
    /// From `next_block` on.
    held: VecDeque<Option<Held>>,
    /// Buffers that hold no block.
    spare: Vec<Vec<u8>>,
    window_blocks: u64,
    partial: Partial,
    /// The first block of the record that is put together, or the next block.
    settled_block: u64,
    pub(super) counts: InboundCounts,
}

/// Events and blocks, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InboundCounts {
    pub(super) delivered: u64,
    pub(super) given_up: u64,
    pub(super) refused: u64,
    pub(super) duplicates: u64,
    pub(super) overruns: u64,
    pub(super) malformed: u64,
}

#[derive(Debug)]
struct Held {
    first_event: u64,
    is_fragment: bool,
    body: Vec<u8>,
}

/// What has become of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// It waits for others.
    Held,
    Duplicate,
    /// It lies beyond the window.
    Beyond,
}

impl Inbound {
    pub(super) fn new(window_blocks: u32, event_bytes_max: usize) -> Inbound {
        Inbound {
            next_block: 0,
            next_event: 0,
            held: VecDeque::new(),
            spare: Vec::new(),
            window_blocks: u64::from(window_blocks),
            partial: Partial::new(event_bytes_max),
            settled_block: 0,
            counts: InboundCounts::default(),
        }
    }

    /// The block that is delivered next: all below are delivered or given up.
    pub(super) fn next_block(&self) -> u64 {
        self.next_block
    }

    /// All blocks below are delivered or given up, and no event of theirs is put together yet.
    pub(super) fn settled_block(&self) -> u64 {
        self.settled_block
    }

    /// Takes a block. Its events, and those that waited for it, are delivered in their turn.
    pub(super) fn accept(&mut self, block: &Block<'_>, arrived: &mut Batch) -> Verdict {
        let Some(ahead) = block.number.checked_sub(self.next_block) else {
            self.counts.duplicates += 1;
            return Verdict::Duplicate;
        };
        if ahead == 0 {
            self.held.pop_front();
            self.deliver(block.first_event, block.body, arrived);
            self.deliver_held(arrived);
            return Verdict::Delivered;
        }
        if ahead >= self.window_blocks {
            return Verdict::Beyond;
        }
        let ahead = ahead as usize;
        if self.held.len() <= ahead {
            self.held.resize_with(ahead + 1, || None);
        }
        if self.held[ahead].is_some() {
            self.counts.duplicates += 1;
            return Verdict::Duplicate;
        }
        let mut body = self.spare.pop().unwrap_or_default();
        block.body.copy_to(&mut body);
        let is_fragment = block.body.is_fragment();
        self.held[ahead] = Some(Held { first_event: block.first_event, is_fragment, body });
        Verdict::Held
    }

    /// Gives up the blocks below `block` that have not come, and delivers the others.
    pub(super) fn skip_to(&mut self, block: u64, arrived: &mut Batch) {
        while self.next_block < block {
            match self.held.pop_front() {
                Some(Some(held)) => self.deliver_one(held, arrived),
                Some(None) => self.advance(),
                None => {
                    self.next_block = block;
                    self.settle();
                }
            }
        }
        self.deliver_held(arrived);
    }

    /// The sender's next block and event are known: when all blocks are through, so are the events.
    pub(super) fn ends_at(&mut self, block: u64, event: u64) {
        if self.next_block >= block && self.next_event < event {
            self.partial.clear();
            self.give_up_to(event);
            self.settle();
        }
    }

    fn deliver_held(&mut self, arrived: &mut Batch) {
        while let Some(Some(_)) = self.held.front() {
            let held = self.held.pop_front().flatten().expect("it is there");
            self.deliver_one(held, arrived);
        }
    }

    fn deliver_one(&mut self, held: Held, arrived: &mut Batch) {
        match Body::parse(held.is_fragment, &held.body) {
            Ok(body) => self.deliver(held.first_event, body, arrived),
            Err(_) => self.advance(),
        }
        let mut body = held.body;
        body.clear();
        self.spare.push(body);
    }

    fn deliver(&mut self, first_event: u64, body: Body<'_>, arrived: &mut Batch) {
        if first_event < self.next_event {
            self.counts.malformed += 1;
            return self.advance();
        }
        self.give_up_to(first_event);
        match body {
            Body::Events { records, count } => {
                self.partial.clear();
                let mut rest = records;
                while let Some((record, behind)) = Record::split(rest) {
                    push(arrived, &record);
                    rest = behind;
                }
                self.next_event += u64::from(count);
                self.counts.delivered += u64::from(count);
            }
            Body::Fragment { offset, total, part } => {
                match self.partial.add(Part { event: first_event, offset, total, bytes: part }) {
                    Outcome::Kept | Outcome::Stray => {}
                    Outcome::Whole(record) => {
                        push(arrived, &record);
                        self.counts.delivered += 1;
                        self.next_event += 1;
                    }
                    Outcome::Refused => {
                        self.counts.refused += 1;
                        self.next_event += 1;
                    }
                }
            }
        }
        self.advance();
    }

    fn give_up_to(&mut self, event: u64) {
        self.counts.given_up += event - self.next_event;
        self.next_event = event;
    }

    fn advance(&mut self) {
        self.next_block += 1;
        self.settle();
    }

    fn settle(&mut self) {
        if !self.partial.is_active() {
            self.settled_block = self.next_block;
        }
    }
}

#[inline]
fn push(arrived: &mut Batch, record: &Record<'_>) {
    arrived.push(record.timestamp_ns, record.hash, record.flags, record.payload);
}
