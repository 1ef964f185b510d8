//! Which packets have come, and when that is told.
//!
//! At once where the sender asks for it, as he does when he falls silent, and where a packet is missing before one; else after some
//! packets, or a short while after the first.

use engine::clock::Monotonic;

use super::frame::{ACK_BYTES, floor_of};
use super::ranges::Ranges;
use super::rtt::ACK_DELAY_MAX;
use super::writer::Writer;

/// The acknowledgements that are owed.
#[derive(Debug)]
pub(super) struct Acks {
    ranges: Ranges,
    largest_at: Monotonic,
    /// Packets that asked for one since the last.
    pending: u32,
    due: Option<Monotonic>,
}

/// How soon a packet wants to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Never,
    Soon,
    AtOnce,
}

impl Acks {
    pub(super) fn new(now: Monotonic) -> Acks {
        Acks { ranges: Ranges::new(), largest_at: now, pending: 0, due: None }
    }

    /// A packet has come. `floor`: how far below its number the oldest lies of which the sender wants to hear.
    pub(super) fn add(&mut self, number: u64, now: Monotonic, wish: Wish, floor: Option<u32>) {
        let largest = self.ranges.largest();
        self.ranges.insert(number);
        if largest.is_none_or(|largest| largest < number) {
            self.largest_at = now;
            if let Some(floor) = floor.and_then(|below| floor_of(number, below)) {
                self.ranges.forget_below(floor);
            }
        }
        if wish == Wish::Never {
            return;
        }
        self.pending += 1;
        let follows = largest.is_none_or(|largest| largest.checked_add(1) == Some(number));
        if wish == Wish::AtOnce || !follows || self.pending >= PENDING_MAX {
            self.due = Some(now);
        } else if self.due.is_none() {
            self.due = Some(now.after(ACK_DELAY_MAX));
        }
    }

    /// Something else is to be told: in a moment, or at once.
    pub(super) fn want(&mut self, now: Monotonic, at_once: bool) {
        if !self.ranges.is_empty() {
            let due = if at_once { now } else { now.after(ACK_DELAY_MAX) };
            self.pending = self.pending.max(1);
            self.due = Some(self.due.map_or(due, |other| other.min(due)));
        }
    }

    /// What is owed is told with the next packet.
    pub(super) fn hurry(&mut self, now: Monotonic) {
        if self.is_pending() {
            self.due = Some(now);
        }
    }

    pub(super) fn due(&self) -> Option<Monotonic> {
        self.due
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending > 0
    }

    /// Writes what is owed. Whether there was room.
    pub(super) fn write(
        &mut self,
        writer: &mut Writer<'_>,
        now: Monotonic,
        stored: u64,
        window_end: u64,
    ) -> bool {
        if writer.room() < ACK_BYTES || self.ranges.is_empty() {
            return false;
        }
        let delay_us = u32::try_from(now.since(self.largest_at).as_micros()).unwrap_or(u32::MAX);
        writer.ack(delay_us, stored, window_end, self.ranges.descending());
        (self.pending, self.due) = (0, None);
        true
    }
}

/// So many packets are acknowledged together at most. A burst fills less than the window that the sender waits behind.
const PENDING_MAX: u32 = 16;
