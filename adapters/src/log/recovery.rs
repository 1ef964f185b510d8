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
use super::format::record::Item;
use super::jumps::Jumps;
use super::scan::Scan;

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Segments with events, ascending. Each has what is below the first of the one after it.
    pub(super) segments: Vec<Survivor>,
    /// Segments of which nothing is left, to be removed once the log goes on.
    pub(super) void: Vec<u64>,
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
}

/// Reads the headers, and of the last segments what may have been under way when the log ended. `boot_id` is this machine's
/// since it was started: as long as it runs, nothing that was written is lost, however the process ended.
pub(super) fn recover(disk: &dyn Disk, boot_id: u128) -> io::Result<Recovered> {
    let found = disk.segments()?;
    let next_number = found.last().map_or(1, |last| last.number.saturating_add(1));
    let (mut headers, mut unreadable) = (Vec::new(), Vec::new());
    for found in found {
        let mut bytes = vec![0; HEADER_BYTES];
        let length = disk.read(found.number, 0, &mut bytes)?;
        match Header::decode(&bytes[..length]).filter(|header| header.number == found.number) {
            Some(header) => headers.push((found, header)),
            None => unreadable.push(found.number),
        }
    }
    let jumps = Jumps::new(headers.last().map(|(_, header)| header.jumps.clone()).unwrap_or_default());
    let (mut segments, mut void, mut closing) = (Vec::new(), Vec::new(), None);
    for (found, header) in &headers {
        match Scan::new(disk, found.number, header.salt).block()? {
            Some((_, block)) if !block.is_closing() => {
                segments.push(Survivor { found: *found, header: header.clone(), first: block.first });
            }
            other => {
                void.push(found.number);
                closing = other.map(|_| found.number);
            }
        }
    }
    drop_superseded(&mut segments, &mut void);
    let tail = Tail::find(disk, &segments, &jumps)?;
    segments.retain(|segment| {
        let is_left = segment.first < tail.end;
        void.extend((!is_left).then_some(segment.found.number));
        is_left
    });
    let newest = headers.last();
    let base = newest.map_or(Sequence::FIRST, |(_, header)| header.base);
    let was_closed = newest.is_some_and(|(found, _)| [tail.closed_in, closing].contains(&Some(found.number)));
    let is_same_run = boot_id != 0 && newest.is_some_and(|(_, header)| header.boot_id == boot_id);
    let mut next = jumps.after(tail.end).max(base);
    if !was_closed && !is_same_run {
        next = headers.iter().map(|(_, header)| header.reserved_end).fold(next, Sequence::max);
    }
    let end = if segments.is_empty() { next } else { tail.end };
    let mut jumps = jumps;
    jumps.note(Jump { end, next });
    Ok(Recovered { segments, void, unreadable, jumps, end, next, next_number, was_closed })
}

/// Where segments overlap the newer has what both have: an older one that begins no earlier has nothing left.
fn drop_superseded(segments: &mut Vec<Survivor>, void: &mut Vec<u64>) {
    let mut bound = Sequence(u64::MAX);
    for index in (0..segments.len()).rev() {
        if segments[index].first < bound {
            bound = segments[index].first;
        } else {
            void.push(segments.remove(index).found.number);
        }
    }
}

/// The end of the log.
struct Tail {
    end: Sequence,
    /// The segment whose last block says that the log was closed.
    closed_in: Option<u64>,
}

impl Tail {
    fn find(disk: &dyn Disk, segments: &[Survivor], jumps: &Jumps) -> io::Result<Tail> {
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
        let mut tail = Tail { end: Sequence(0), closed_in: None };
        let last = blocks.len();
        let ends: Vec<Sequence> = blocks.iter().map(|(segment, _)| segment.first).collect();
        for (turn, (segment, blocks)) in blocks.into_iter().rev().enumerate() {
            // What a newer segment has as well counts there.
            let bound = (turn + 1 < last).then(|| ends[last - turn - 2]);
            let scan = Scan::new(disk, segment.found.number, segment.header.salt);
            for (at, block) in blocks {
                tail.closed_in = None;
                if bound.is_some_and(|bound| block.first >= bound) {
                    continue;
                }
                if !tail.takes(&block, durable_end, jumps) {
                    return Ok(tail);
                }
                if block.is_closing() {
                    tail.closed_in = (block.first == jumps.after(tail.end)).then_some(segment.found.number);
                } else if !tail.follow(&scan, segment.header.salt, at, &block, durable_end)? {
                    return Ok(tail);
                }
            }
        }
        Ok(tail)
    }

    /// Whether the block goes on where the log ends, or what lies between is known to be gone.
    fn takes(&mut self, block: &BlockHeader, durable_end: Sequence, jumps: &Jumps) -> bool {
        if self.end == Sequence(0) {
            self.end = block.first;
        }
        let resumed = jumps.after(self.end);
        block.first <= self.end || block.previous_end <= resumed || block.previous_end <= durable_end
    }

    /// Goes through a block that may not have been durable. False where the log ends in it.
    fn follow(
        &mut self,
        scan: &Scan<'_>,
        salt: u64,
        at: u64,
        block: &BlockHeader,
        durable_end: Sequence,
    ) -> io::Result<bool> {
        if block.end() > durable_end {
            let bytes = scan.bytes(at, block)?;
            let mut records = block.records(&bytes, salt);
            records.skip_to(durable_end);
            let mut next = block.first.max(durable_end);
            for item in records {
                match item {
                    Item::Event(event) => next = event.sequence.advanced_by(1),
                    Item::Damaged => {
                        self.end = self.end.max(next);
                        return Ok(false);
                    }
                }
            }
            if next < block.end() {
                self.end = self.end.max(next);
                return Ok(false);
            }
        }
        self.end = self.end.max(block.end());
        Ok(true)
    }
}
