//! The recovery: what of a shard's segments is its log, where that ends, and with which sequence it goes on.
//!
//! Blocks say up to where the log was durable when they were written. Whatever is bad before the latest such point is damage,
//! and is passed over when it is read; the first bad record behind it ends the log. What went on from there is void: the
//! header of the next segment says so, and is synced before anything is appended.

use std::io;

use engine::event::Sequence;

use super::disk::{Disk, Found};
use super::format::block::BlockHeader;
use super::format::header::{HEADER_BYTES, Header, Jump};
use super::format::record::{Item, record_bytes};
use super::jumps::Jumps;
use super::scan::Scan;

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Segments with events, ascending. Each has what is below the first of the one after it.
    pub(super) segments: Vec<Survivor>,
    /// Segments of which nothing is left, to be removed once the log goes on.
    pub(super) void: Vec<u64>,
    /// From here on events may not be durable, where the machine has run on since they were written.
    pub(super) undurable_from: Option<Sequence>,
    /// Segments whose header is bad in both copies. They stay.
    pub(super) unreadable: Vec<u64>,
    /// Where sequences jump, the one to `next` included.
    pub(super) jumps: Jumps,
    /// One past the last event.
    pub(super) end: Sequence,
    /// Sequence of the next event.
    pub(super) next: Sequence,
    /// Number of the next segment.
    pub(super) next_number: u64,
    /// Whether the log was closed by whoever had it.
    pub(super) was_closed: bool,
}

/// A segment with events.
#[derive(Clone, Debug)]
pub(super) struct Survivor {
    pub(super) found: Found,
    pub(super) header: Header,
    /// Sequence of its first event.
    pub(super) first: Sequence,
    /// One past what was submitted before: older segments have nothing from there on.
    previous_end: Sequence,
    /// Whether it may not have been cut behind its last block: it was the one that was written to.
    pub(super) is_open: bool,
    /// What it has at or above this is void, or a newer segment has it as well.
    pub(super) end: Sequence,
}

/// Reads the headers, and of the last segments what may have been under way when the log ended. `boot_id` is this machine's since it
/// was started, and zero is none.
pub(super) fn recover(disk: &dyn Disk, boot_id: u128) -> io::Result<Recovered> {
    let found = disk.segments()?;
    let next_number = found.last().map_or(1, |last| last.number.saturating_add(1));
    let (mut headers, mut unreadable) = (Vec::new(), Vec::new());
    for found in found {
        let mut bytes = vec![0; HEADER_BYTES];
        let length = disk.read(found.number, 0, &mut bytes)?;
        match Header::decode(&bytes[..length]).filter(|header| header.number == found.number) {
            Some(header) => headers.push((found, header)),
            None => unreadable.push(found),
        }
    }
    let mut jumps = Jumps::new(headers.last().map(|(_, header)| header.jumps.clone()).unwrap_or_default());
    let (mut segments, mut void, mut closing) = (Vec::new(), Vec::new(), None);
    for (found, header) in &headers {
        match Scan::new(disk, found.number, header.salt).block()? {
            Some((_, block)) if !block.is_closing() => {
                segments.push(Survivor {
                    found: *found,
                    header: header.clone(),
                    first: block.first,
                    previous_end: block.previous_end,
                    is_open: false,
                    end: Sequence(u64::MAX),
                });
            }
            other => {
                void.push(found.number);
                closing = other.map(|_| found.number);
            }
        }
    }
    drop_void(&jumps, &mut segments, &mut void);
    let (tail, durable_end) = Tail::find(disk, &segments, &jumps)?;
    segments.retain(|segment| {
        let is_left = segment.first < tail.end;
        void.extend((!is_left).then_some(segment.found.number));
        is_left
    });
    let newest = headers.last();
    let base = newest.map_or(Sequence::FIRST, |(_, header)| header.base);
    // What the newest has is not known where its header is bad.
    let hidden =
        unreadable.iter().filter(|hidden| newest.is_none_or(|(found, _)| found.number < hidden.number));
    let hidden_events = hidden.clone().map(|hidden| reserved_events(hidden.bytes)).sum();
    let was_closed = hidden.count() == 0
        && newest.is_some_and(|(found, _)| [tail.closed_in, closing].contains(&Some(found.number)));
    let runs_on = boot_id != 0 && newest.is_some_and(|(_, header)| header.boot_id == boot_id);
    let mut next = jumps.after(tail.end).max(base);
    if !was_closed {
        next = headers.iter().map(|(_, header)| header.reserved_end).fold(next, Sequence::max);
        next = next.advanced_by(hidden_events);
    }
    let unreadable = unreadable.into_iter().map(|found| found.number).collect();
    if let Some(last) = segments.last_mut() {
        last.end = last.end.min(tail.end);
    }
    for segment in segments.iter_mut().rev().take(OPEN_MAX) {
        segment.is_open = disk.index(segment.found.number).is_err();
    }
    // Where nothing is left of what there was, that is void from its beginning on.
    let void_from = if tail.end > Sequence(0) { tail.end } else { next };
    let end = segments.last().map_or(void_from, |last| last.end);
    jumps.note(Jump { end, next });
    let is_undurable = runs_on && !was_closed && durable_end < end;
    let undurable_from = (is_undurable && !engine::planted!("36-a-tail-is-trusted")).then_some(durable_end);
    Ok(Recovered { segments, void, undurable_from, unreadable, jumps, end, next, next_number, was_closed })
}

/// How many sequences a segment of `bytes` reserves: those of the segment before may all come first.
pub(super) fn reserved_events(bytes: u64) -> u64 {
    2 * (bytes / record_bytes(0) as u64)
}

/// Where segments overlap the newer has what both have: an older one that begins no earlier has nothing left. Nor has one that begins
/// where sequences were jumped over.
fn drop_void(jumps: &Jumps, segments: &mut Vec<Survivor>, void: &mut Vec<u64>) {
    let mut bound = Sequence(u64::MAX);
    for at in (0..segments.len()).rev() {
        let segment = &mut segments[at];
        if segment.first < bound && jumps.over(segment.first).is_none() {
            segment.end = bound;
            bound = segment.previous_end;
        } else {
            void.push(segments.remove(at).found.number);
        }
    }
}

/// Segments that may not have been cut when a process ended: the one that was written to, and some that have failed.
const OPEN_MAX: usize = 4;

/// The end of the log.
struct Tail {
    end: Sequence,
    /// The segment whose last block says that the log was closed.
    closed_in: Option<u64>,
}

impl Tail {
    fn find(disk: &dyn Disk, segments: &[Survivor], jumps: &Jumps) -> io::Result<(Tail, Sequence)> {
        // Backwards to the segment from whose first event on something may not have been durable.
        let mut durable_end = Sequence(0);
        let mut blocks = Vec::new();
        for segment in segments.iter().rev() {
            let mut scan = Scan::new(disk, segment.found.number, segment.header.salt);
            let mut here = Vec::new();
            while let Some(block) = scan.block()? {
                durable_end = durable_end.max(block.1.durable_end);
                here.push(block);
            }
            blocks.push((segment, here));
            if durable_end >= segment.first {
                break;
            }
        }
        let begin = blocks.last().map_or(durable_end, |(segment, _)| segment.first.min(durable_end));
        let mut tail = Tail { end: begin, closed_in: None };
        tail.go_through(disk, blocks, durable_end, jumps)?;
        Ok((tail, durable_end))
    }

    /// Goes through the blocks of `segments`, the last one first, to where the log ends.
    fn go_through(
        &mut self,
        disk: &dyn Disk,
        segments: Vec<(&Survivor, Vec<(u64, BlockHeader)>)>,
        durable_end: Sequence,
        jumps: &Jumps,
    ) -> io::Result<()> {
        for (segment, blocks) in segments.into_iter().rev() {
            let scan = Scan::new(disk, segment.found.number, segment.header.salt);
            for (at, block) in blocks {
                self.closed_in = None;
                if block.first >= segment.end || jumps.over(block.first).is_some() {
                    continue;
                }
                if !self.takes(&block, durable_end, jumps) {
                    return Ok(());
                }
                if block.is_closing() {
                    if block.first != jumps.after(self.end) {
                        // What is missing before it is damaged: it was durable when this was written.
                        self.end = self.end.max(block.first);
                    }
                    self.closed_in = (block.first == jumps.after(self.end)).then_some(segment.found.number);
                } else if !self.follow(&scan, segment, at, &block, durable_end, jumps)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the block goes on where the log ends, or what lies between is known to be gone.
    fn takes(&self, block: &BlockHeader, durable_end: Sequence, jumps: &Jumps) -> bool {
        let resumed = jumps.after(self.end);
        block.first <= self.end || block.previous_end <= resumed || block.previous_end <= durable_end
    }

    /// Goes through a block that may not have been durable. False where the log ends in it.
    fn follow(
        &mut self,
        scan: &Scan<'_>,
        segment: &Survivor,
        at: u64,
        block: &BlockHeader,
        durable_end: Sequence,
        jumps: &Jumps,
    ) -> io::Result<bool> {
        let end = block.end().min(segment.end).min(jumps.until(block.first));
        if end > durable_end {
            let bytes = scan.bytes(at, block)?;
            let mut records = block.records(&bytes, segment.header.salt);
            records.skip_to(durable_end);
            // Where no record is good, the log ends where it ended before.
            let mut next = if block.first > durable_end { self.end } else { durable_end };
            for item in records {
                match item {
                    _ if next >= end => break,
                    Item::Event(event) => next = event.sequence.advanced_by(1),
                    Item::Damaged => {
                        self.end = self.end.max(next);
                        return Ok(false);
                    }
                }
            }
            if next < end {
                self.end = self.end.max(next);
                return Ok(false);
            }
        }
        self.end = self.end.max(end);
        Ok(true)
    }
}
