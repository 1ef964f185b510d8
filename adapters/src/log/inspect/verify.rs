//! The verification of one log: every header, block, record, index and byte of padding, and whether events are missing.
//!
//! What a process or a machine that ended in the middle of a write has left behind the end is no damage, and neither is what a bus is
//! writing at this moment: that is the log's tail.

use std::io;

use engine::event::Sequence;

use super::super::disk::{Disk, Found};
use super::super::format::PAGE_BYTES;
use super::super::format::block::{BLOCK_HEADER_BYTES, BlockHeader};
use super::super::format::header::HEADER_BYTES;
use super::super::format::record::{Item, RECORD_HEADER_BYTES};
use super::super::recovery::Recovered;
use super::super::scan::Scan;
use super::{Damage, DamageKind, IndexState, InspectError, ShardLog, Tail, Verified, bound};

impl ShardLog {
    /// Reads and checks everything.
    pub fn verify(&self) -> Result<Verified, InspectError> {
        let recovered = self.recover()?;
        let newest = self.newest()?;
        let mut walk = Walk {
            log: self,
            recovered: &recovered,
            position: recovered.segments.first().map_or(recovered.end, |survivor| survivor.first),
            found: Verified {
                shard: self.shard,
                end: recovered.end.0,
                next: recovered.next.0,
                was_closed: recovered.was_closed,
                unreadable: recovered.unreadable.clone(),
                ..Verified::default()
            },
        };
        walk.found.first = walk.position.0;
        for found in self.found()? {
            walk.found.segments += 1;
            walk.found.bytes += found.bytes;
            let place = recovered.segments.iter().position(|survivor| survivor.found.number == found.number);
            let looked = walk.segment(found, place, newest);
            match looked {
                // A bus has removed it.
                Err(error) if self.is_in_use && error.kind() == io::ErrorKind::NotFound => walk.pass(place),
                Err(error) => {
                    walk.note(found.number, 0, found.bytes, 0, DamageKind::Disk(error.to_string()));
                }
                Ok(()) => {}
            }
        }
        if let Some(last) = recovered.segments.last() {
            let missing = walk.missing_before(recovered.end);
            if missing > 0 {
                walk.note(last.found.number, HEADER_BYTES as u64, 0, missing, DamageKind::Missing);
            }
        }
        Ok(walk.found)
    }
}

struct Walk<'a> {
    log: &'a ShardLog,
    recovered: &'a Recovered,
    /// Sequence of the event that comes next.
    position: Sequence,
    found: Verified,
}

impl Walk<'_> {
    fn segment(&mut self, found: Found, place: Option<usize>, newest: Option<u64>) -> io::Result<()> {
        let number = found.number;
        let copies = self.log.headers(number)?;
        let Some(header) = copies.iter().flatten().next() else {
            // One that was being made is empty, or its bus has it in hand.
            if Some(number) < newest || !self.is_tail() {
                self.note(number, 0, HEADER_BYTES as u64, 0, DamageKind::Header);
            }
            return Ok(());
        };
        for (at, copy) in (0..).step_by(PAGE_BYTES).zip(&copies) {
            if copy.as_ref() != Some(header) {
                self.note(number, at, PAGE_BYTES as u64, 0, DamageKind::HeaderCopy);
            }
        }
        let is_ours = self.log.incarnation.is_none_or(|incarnation| incarnation == header.incarnation);
        if header.shard != u32::from(self.log.shard) || !is_ours {
            self.note(number, 0, HEADER_BYTES as u64, 0, DamageKind::Foreign);
        }
        let salt = header.salt;
        if let Some(place) = place {
            return self.survivor(place, salt);
        }
        if Some(number) != newest {
            self.found.void.push(number);
        }
        // Where it was closed, nothing is left of what was begun.
        let first_block = Scan::new(&self.log.folder, number, salt).block()?;
        match first_block {
            Some((at, block)) if block.is_closing() => {
                self.closing(number, at, &block)?;
                self.unblocked(number, HEADER_BYTES as u64, at, 0)?;
                self.unblocked(number, at + u64::from(block.bytes), u64::MAX, 0).map(drop)
            }
            // What it has another one has again, or it lies behind the end.
            Some(_) => Ok(()),
            None if self.is_tail() => self.tail(number, HEADER_BYTES as u64),
            None => self.unblocked(number, HEADER_BYTES as u64, u64::MAX, 0).map(drop),
        }
    }

    /// A segment with events.
    fn survivor(&mut self, place: usize, salt: u64) -> io::Result<()> {
        let number = self.recovered.segments[place].found.number;
        let bound = bound(self.recovered, place);
        let is_last = place + 1 == self.recovered.segments.len();
        let index = self.log.index_state(number, salt);
        if index == IndexState::Bad {
            let path = self.log.index_path(number);
            self.add(Damage { path, offset: 0, bytes: 0, events: 0, kind: DamageKind::Index });
        }
        let mut scan = Scan::new(&self.log.folder, number, salt);
        let mut at = HEADER_BYTES as u64;
        let mut is_superseded = false;
        while let Some((begin, block)) = scan.block()? {
            if block.is_closing() {
                self.before_block(number, at, begin, block.first.min(bound))?;
                self.closing(number, begin, &block)?;
                at = begin + u64::from(block.bytes);
                break;
            }
            if block.first >= bound {
                is_superseded = true;
                break;
            }
            self.before_block(number, at, begin, block.previous_end.min(bound))?;
            at = begin + u64::from(block.bytes);
            if block.end() <= self.position {
                self.note(number, begin, u64::from(block.bytes), 0, DamageKind::Misplaced);
                continue;
            }
            let bytes = scan.bytes(begin, &block)?;
            if !self.block(number, begin, &block, &bytes, salt, bound) {
                return self.tail_if(is_last, number, begin + BLOCK_HEADER_BYTES as u64);
            }
        }
        self.rest(number, at, is_last, is_superseded, index)
    }

    /// What lies before a block, from `at` to `begin`, and the events up to `previous_end` that are missing there.
    fn before_block(&mut self, number: u64, at: u64, begin: u64, previous_end: Sequence) -> io::Result<()> {
        let missing = self.missing_before(previous_end);
        let is_bad = self.unblocked(number, at, begin, missing)?;
        if !is_bad && missing > 0 {
            self.note(number, begin, 0, missing, DamageKind::Missing);
        }
        Ok(())
    }

    /// What follows the last block of a segment. Whether events are missing there is told by the block that follows.
    fn rest(
        &mut self,
        number: u64,
        at: u64,
        is_last: bool,
        is_superseded: bool,
        index: IndexState,
    ) -> io::Result<()> {
        if is_last && self.is_tail() {
            return self.tail(number, at);
        }
        // A segment that was cut when it was full has nothing behind its last block; what a crash has left there is no damage.
        if is_last || index == IndexState::Good && !is_superseded {
            self.unblocked(number, at, u64::MAX, 0)?;
        }
        Ok(())
    }

    /// Goes through the records of a block. False where the log ends in it.
    fn block(
        &mut self,
        number: u64,
        at: u64,
        block: &BlockHeader,
        bytes: &[u8],
        salt: u64,
        bound: Sequence,
    ) -> bool {
        self.position = self.position.max(block.first);
        let body = at + BLOCK_HEADER_BYTES as u64;
        let end = block.end().min(bound);
        let mut records = block.records(bytes, salt);
        records.skip_to(self.position);
        // Where bad records begin whose number is not known yet.
        let mut bad: Option<usize> = None;
        loop {
            let begin = records.at();
            match records.next() {
                Some(Item::Event(event)) if event.sequence < bound => {
                    self.bad_records(number, body, bad.take(), begin, event.sequence);
                    if self.recovered.jumps.over(event.sequence).is_none() {
                        self.found.events += 1;
                    }
                    self.position = event.sequence.advanced_by(1);
                    let end = begin + RECORD_HEADER_BYTES + event.payload.len();
                    self.padding(number, body, bytes, end..records.at());
                }
                Some(Item::Damaged) if self.position < bound => bad = bad.or(Some(begin)),
                // Where the log ends in the block, the rest of it is void.
                Some(_) => {
                    self.bad_records(number, body, bad.take(), begin, bound);
                    return false;
                }
                None => {
                    let records_end = block.records_bytes as usize;
                    let is_bad = bad.is_some() || block.end() > bound;
                    self.bad_records(number, body, bad.take(), records_end, end);
                    let begin = if is_bad { records_end } else { records.at() };
                    self.padding(number, body, bytes, begin..block.bytes as usize - BLOCK_HEADER_BYTES);
                    if bytes.len() < block.bytes as usize {
                        let missing = block.bytes as usize - bytes.len();
                        self.note(number, at + bytes.len() as u64, missing as u64, 0, DamageKind::Cut);
                    }
                    return true;
                }
            }
        }
    }

    /// Notes the bad records from `begin` up to `end`, the event behind which is `next`.
    fn bad_records(&mut self, number: u64, body: u64, begin: Option<usize>, end: usize, next: Sequence) {
        let events = self.missing_before(next);
        let begin = begin.or((events > 0).then_some(end));
        if let Some(begin) = begin {
            let bytes = end.saturating_sub(begin) as u64;
            self.note(number, body + begin as u64, bytes, events, DamageKind::Records);
        }
    }

    fn padding(&mut self, number: u64, body: u64, bytes: &[u8], range: std::ops::Range<usize>) {
        let there = bytes.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
        let range = range.start.min(there.len())..range.end.min(there.len());
        let at = range.start;
        if let Some(first) = there.get(range).unwrap_or_default().iter().position(|&byte| byte != 0) {
            self.note(number, body + (at + first) as u64, 1, 0, DamageKind::Padding);
        }
    }

    /// The block that ends a log has nothing behind its header.
    fn closing(&mut self, number: u64, at: u64, block: &BlockHeader) -> io::Result<()> {
        let mut bytes = vec![0; block.bytes as usize];
        let length = self.log.folder.read(number, at, &mut bytes)?;
        let body = at + BLOCK_HEADER_BYTES as u64;
        self.padding(number, body, &bytes[..length], 0..length);
        if length < bytes.len() {
            self.note(number, at + length as u64, (bytes.len() - length) as u64, 0, DamageKind::Cut);
        }
        Ok(())
    }

    /// Notes what is bad where there is no block, and whether something is: everything that is not zero, or where events are missing,
    /// all of it.
    fn unblocked(&mut self, number: u64, from: u64, to: u64, events: u64) -> io::Result<bool> {
        let written = self.log.written(number, from, to)?;
        let all = (events > 0 && from < to).then_some((from, to));
        let Some((begin, end)) = all.or(written) else {
            return Ok(false);
        };
        self.note(number, begin, end - begin, events, DamageKind::Pages);
        Ok(true)
    }

    fn tail_if(&mut self, is_last: bool, number: u64, from: u64) -> io::Result<()> {
        if is_last && self.is_tail() { self.tail(number, from) } else { Ok(()) }
    }

    /// Notes what was begun behind the end.
    fn tail(&mut self, number: u64, from: u64) -> io::Result<()> {
        if let Some((begin, end)) = self.log.written(number, from, u64::MAX)? {
            let path = self.log.segment_path(number);
            let tail = Tail { path, offset: begin, bytes: end - begin };
            self.found.tail.get_or_insert(tail);
        }
        Ok(())
    }

    /// Events that are missing between the position and `next`. Those that a jump leads over were never there.
    fn missing_before(&mut self, next: Sequence) -> u64 {
        let missing = self.recovered.jumps.events_between(self.position, next);
        self.position = self.position.max(next);
        missing
    }

    /// Whether what lies behind the end may have been begun and not finished.
    fn is_tail(&self) -> bool {
        !self.recovered.was_closed || self.log.is_in_use
    }

    fn pass(&mut self, place: Option<usize>) {
        let next = place.map(|place| bound(self.recovered, place));
        self.position = next.map_or(self.position, |next| self.position.max(next));
    }

    fn note(&mut self, number: u64, offset: u64, bytes: u64, events: u64, kind: DamageKind) {
        let path = self.log.segment_path(number);
        self.add(Damage { path, offset, bytes, events, kind });
    }

    fn add(&mut self, damage: Damage) {
        self.found.damage_count += 1;
        self.found.damaged_events = self.found.damaged_events.saturating_add(damage.events);
        if self.found.damage.len() < DAMAGE_MAX {
            self.found.damage.push(damage);
        }
    }
}

/// How much damage is told one by one.
const DAMAGE_MAX: usize = 1_000;
