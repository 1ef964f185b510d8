//! Large events: the parts of a record are put together, in order or as they come, under a cap of bytes.

use std::time::Duration;

use engine::clock::Monotonic;

use super::frame::{RECORD_BYTES, Record};

/// A part of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) event: u64,
    pub(super) offset: u32,
    pub(super) total: u32,
    pub(super) bytes: &'a [u8],
}

/// What has become of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// Further parts are missing.
    Kept,
    /// The record is whole.
    Whole(Record<'a>),
    /// The record is larger than is taken, or is none; this was its last part.
    Refused,
    /// It continues nothing.
    Stray,
}

/// The one record that is put together from parts that come in order.
#[derive(Debug)]
pub(super) struct Partial {
    record_bytes_max: usize,
    is_active: bool,
    event: u64,
    total: u32,
    /// How much has come.
    come: u32,
    /// Empty while a record is passed over that is too large.
    bytes: Vec<u8>,
}

impl Partial {
    pub(super) fn new(event_bytes_max: usize) -> Partial {
        let record_bytes_max = RECORD_BYTES + event_bytes_max;
        Partial { record_bytes_max, is_active: false, event: 0, total: 0, come: 0, bytes: Vec::new() }
    }

    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Drops what there is.
    pub(super) fn clear(&mut self) {
        self.is_active = false;
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
    }

    pub(super) fn add(&mut self, part: Part<'_>) -> Outcome<'_> {
        if part.offset == 0 {
            self.clear();
            (self.is_active, self.event, self.total, self.come) = (true, part.event, part.total, 0);
        }
        let continues = self.event == part.event && self.total == part.total && self.come == part.offset;
        if !self.is_active || !continues {
            self.clear();
            return Outcome::Stray;
        }
        self.come += part.bytes.len() as u32;
        let is_taken = self.total as usize <= self.record_bytes_max;
        if is_taken {
            self.bytes.extend_from_slice(part.bytes);
        }
        if self.come < self.total {
            return Outcome::Kept;
        }
        self.is_active = false;
        match Record::split(&self.bytes) {
            Some((record, [])) if is_taken => Outcome::Whole(record),
            _ => Outcome::Refused,
        }
    }
}

/// Records that are put together from parts that come in any order, each once.
#[derive(Debug)]
pub(super) struct Scattered {
    record_bytes_max: usize,
    /// From the oldest.
    records: Vec<Slot>,
    whole: Vec<u8>,
}

#[derive(Debug)]
struct Slot {
    event: u64,
    since: Monotonic,
    missing: usize,
    bytes: Vec<u8>,
}

impl Scattered {
    pub(super) fn new(event_bytes_max: usize) -> Scattered {
        let record_bytes_max = RECORD_BYTES + event_bytes_max;
        Scattered { record_bytes_max, records: Vec::with_capacity(SLOTS_MAX), whole: Vec::new() }
    }

    pub(super) fn add(&mut self, part: Part<'_>, now: Monotonic) -> Outcome<'_> {
        let total = part.total as usize;
        if total > self.record_bytes_max {
            return Outcome::Stray;
        }
        self.records.retain(|slot| now.since(slot.since) < PARTS_AGE_MAX);
        let at = self.records.iter().position(|slot| slot.event == part.event);
        let at = at.unwrap_or_else(|| self.open(part.event, total, now));
        let slot = &mut self.records[at];
        let range = part.offset as usize..part.offset as usize + part.bytes.len();
        if slot.bytes.len() != total || part.bytes.len() > slot.missing {
            return Outcome::Stray;
        }
        slot.bytes[range].copy_from_slice(part.bytes);
        slot.missing -= part.bytes.len();
        if slot.missing > 0 {
            return Outcome::Kept;
        }
        let slot = self.records.remove(at);
        self.whole = slot.bytes;
        match Record::split(&self.whole) {
            Some((record, [])) => Outcome::Whole(record),
            _ => Outcome::Refused,
        }
    }

    /// Makes room for another record, at the oldest ones' cost.
    fn open(&mut self, event: u64, total: usize, now: Monotonic) -> usize {
        let held = |records: &[Slot]| records.iter().map(|slot| slot.bytes.len()).sum::<usize>();
        while self.records.len() >= SLOTS_MAX
            || !self.records.is_empty() && held(&self.records) + total > self.record_bytes_max
        {
            self.records.remove(0);
        }
        let mut bytes = std::mem::take(&mut self.whole);
        if bytes.capacity() > KEPT_BYTES_MAX.max(total) {
            bytes = Vec::new();
        }
        bytes.clear();
        bytes.resize(total, 0);
        self.records.push(Slot { event, since: now, missing: total, bytes });
        self.records.len() - 1
    }
}

/// Memory that is kept for the next record.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Records that are put together at the same time; together they take no more than one of the largest.
const SLOTS_MAX: usize = 4;
/// Parts that came so long ago wait for the others no more.
const PARTS_AGE_MAX: Duration = Duration::from_secs(1);
