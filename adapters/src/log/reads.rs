//! The reads: what readers want of one shard's log, from memory where it is there, and else block by block from the segments.
//! What was read stays a while, for whoever goes on from there.
//! Every checksum is verified; what is damaged is passed over and counted.

use std::collections::{HashMap, VecDeque};
use std::io;

use engine::adapter::{AdapterError, Outcome, ReadBlock, ReadRequest};
use engine::batch::Batch;
use engine::event::Sequence;

use super::ahead::Ahead;
use super::catalog::Catalog;
use super::format::PAGE_BYTES;
use super::format::block::{BLOCK_HEADER_BYTES, BlockHeader};
use super::format::header::HEADER_BYTES;
use super::format::index::Index;
use super::format::record::Item;
use super::jumps::Jumps;
use super::operation::{Operation, Read};
use crate::retained::Retained;

/// Reads under way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    jobs: HashMap<u64, Job>,
    next_job: u64,
    /// Jobs that wait for an index, with the segment that it is of.
    waiting: Vec<(u64, u64)>,
    ahead: Ahead,
    pub(super) passed_over: u64,
    pub(super) failed: u64,
}

/// One read.
#[derive(Debug)]
struct Job {
    ticket: u64,
    request: ReadRequest,
    batch: Batch,
    /// The next event that is wanted.
    position: Sequence,
    skipped: u64,
    passed_over: u64,
    /// First sequence of the segment it reads, and where it goes on there.
    segment_first: Sequence,
    at: u64,
    /// Bytes that it has gone through.
    seen_bytes: usize,
}

/// The log that is read.
pub(super) struct Source<'a> {
    pub(super) catalog: &'a mut Catalog,
    pub(super) recent: &'a Retained,
    /// One past the last event that is stored.
    pub(super) end: Sequence,
    pub(super) operations: &'a mut VecDeque<Operation>,
    pub(super) news: &'a mut VecDeque<Outcome>,
}

/// How a job goes on.
enum Step {
    /// With what follows in the same segment, of which so many bytes are needed.
    Here(usize),
    /// With the next segment.
    Following,
    /// Not at all.
    Done,
}

impl Reads {
    /// The event at `position`, if it was read and is still there: a batch with it, and its index.
    pub(super) fn ahead(&self, position: Sequence) -> Option<(&Batch, usize)> {
        self.ahead.find(position)
    }

    /// Starts a read.
    pub(super) fn start(&mut self, ticket: u64, request: ReadRequest, source: &mut Source<'_>) {
        let first = source.catalog.oldest().or(source.recent.first());
        let wanted = request.after.map_or(first.unwrap_or(source.end), |after| after.advanced_by(1));
        let (position, skipped) = source.catalog.begin(wanted, request.after.is_none(), source.end);
        let job = Job {
            ticket,
            request,
            batch: Batch::default(),
            position,
            skipped,
            passed_over: 0,
            segment_first: Sequence(0),
            at: 0,
            seen_bytes: 0,
        };
        self.next_job += 1;
        self.place(self.next_job, job, source);
    }

    /// Goes on with what a read brought.
    pub(super) fn absorb(&mut self, read: &Read, result: io::Result<&[u8]>, source: &mut Source<'_>) {
        let Some(mut job) = self.jobs.remove(&read.job) else { return };
        let Some(segment) = source.catalog.segment(read.number) else { return };
        segment.readers -= 1;
        // What memory has comes from there: it may be under way to another segment, because this one has failed.
        let memory = source.recent.first().unwrap_or(source.end);
        let (salt, end) = (segment.salt, segment.end.min(memory));
        match result {
            Err(error) => {
                let what = format!("segment {} could not be read at byte {}: {error}", read.number, read.at);
                self.fail(&job, what, source.news);
            }
            Ok(bytes) => {
                let is_last = bytes.len() < read.bytes;
                match job.take(bytes, is_last, salt, end, &source.catalog.jumps, &mut self.ahead) {
                    Step::Here(bytes) => self.read(read.job, job, read.number, bytes, source),
                    Step::Following => self.follow(read.job, job, source),
                    Step::Done => self.finish(job, source),
                }
            }
        }
    }

    /// An index was loaded, or not.
    pub(super) fn index_loaded(&mut self, number: u64, result: io::Result<Index>, source: &mut Source<'_>) {
        let Some(segment) = source.catalog.segment(number) else { return };
        segment.readers -= 1;
        let error = match result {
            Ok(index) => {
                segment.index.get_or_insert(index);
                None
            }
            Err(error) => Some(format!("the index of segment {number} could not be made: {error}")),
        };
        let waiting: Vec<u64> =
            self.waiting.extract_if(.., |(_, awaited)| *awaited == number).map(|(job, _)| job).collect();
        for id in waiting {
            let Some(job) = self.jobs.remove(&id) else { continue };
            match &error {
                Some(error) => self.fail(&job, error.clone(), source.news),
                None => self.place(id, job, source),
            }
        }
    }

    /// Reads from where the job's position is.
    fn place(&mut self, id: u64, mut job: Job, source: &mut Source<'_>) {
        if job.position >= source.end || source.recent.first().is_some_and(|first| first <= job.position) {
            return self.finish(job, source);
        }
        if source.catalog.oldest().is_some_and(|oldest| oldest > job.position) {
            // Retention went on while the job waited.
            let (position, skipped) = source.catalog.begin(job.position, false, source.end);
            (job.position, job.skipped) = (position, job.skipped + skipped);
        }
        if job.batch.is_empty() && self.ahead.find(job.position).is_some() {
            return self.finish(job, source);
        }
        let Some(segment) = source.catalog.place(job.position) else { return self.finish(job, source) };
        let (number, salt) = (segment.number, segment.salt);
        job.segment_first = segment.first;
        if let Some(index) = &segment.index {
            match index.seek(job.position) {
                Some(at) => {
                    job.at = at;
                    self.read(id, job, number, READ_BYTES, source);
                }
                None => self.follow(id, job, source),
            }
            return;
        }
        if !self.waiting.iter().any(|&(_, awaited)| awaited == number) {
            segment.readers += 1;
            source.operations.push_back(Operation::LoadIndex { number, salt });
        }
        self.waiting.push((id, number));
        self.jobs.insert(id, job);
    }

    fn read(&mut self, id: u64, job: Job, number: u64, bytes: usize, source: &mut Source<'_>) {
        let Some(segment) = source.catalog.segment(number) else { return self.finish(job, source) };
        segment.readers += 1;
        source.operations.push_back(Operation::Read(Read { job: id, number, at: job.at, bytes }));
        self.jobs.insert(id, job);
    }

    /// Goes on with the next segment, whose first block tells what is missing before it, or with what memory has.
    fn follow(&mut self, id: u64, mut job: Job, source: &mut Source<'_>) {
        let memory = source.recent.first().unwrap_or(source.end);
        let oldest = source.catalog.oldest().unwrap_or(source.end);
        let is_gone = oldest > source.catalog.jumps.after(job.position);
        if job.is_full() || job.position >= memory || is_gone && !job.batch.is_empty() {
            return self.finish(job, source);
        }
        if is_gone {
            // Retention went on meanwhile.
            return self.place(id, job, source);
        }
        match source.catalog.following(job.segment_first).map(|segment| (segment.number, segment.first)) {
            Some((number, first)) if first < memory => {
                (job.segment_first, job.at) = (first, HEADER_BYTES as u64);
                self.read(id, job, number, READ_BYTES, source);
            }
            _ => {
                job.passed_over += source.catalog.jumps.events_between(job.position, memory);
                job.position = memory;
                self.finish(job, source);
            }
        }
    }

    fn finish(&mut self, mut job: Job, source: &mut Source<'_>) {
        if job.batch.is_empty() && job.position < source.end {
            let mut batch = self.ahead.copy(job.position, &job.request);
            // Who has gone through enough goes on from where it is, and not from what memory has behind it.
            if batch.is_empty() && job.seen_bytes < SEEN_BYTES_MAX {
                batch = source.recent.copy(job.position, &job.request);
            }
            if !batch.is_empty() {
                job.position = batch.end();
            }
            job.batch = batch;
        }
        self.passed_over += job.passed_over;
        let position = source.catalog.jumps.after(job.position).min(source.end.max(job.position));
        let through = position.0.checked_sub(1).map(Sequence);
        let block = ReadBlock {
            more: position < source.end,
            // Who has seen nothing yet learns where the log stands.
            through: through.filter(|&through| Some(through) > job.request.after),
            skipped: job.skipped,
            passed_over: job.passed_over,
            batch: job.batch,
        };
        source.news.push_back(Outcome::Read { ticket: job.ticket, result: Ok(block) });
    }

    fn fail(&mut self, job: &Job, what: String, news: &mut VecDeque<Outcome>) {
        self.failed += 1;
        news.push_back(Outcome::Read { ticket: job.ticket, result: Err(AdapterError::Transient(what)) });
    }
}

impl Job {
    /// Takes the events of the blocks in `bytes`, which begin where the job is in its segment. The segment has none at or above
    /// `end`. `is_last`: it has no more bytes.
    fn take(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        salt: u64,
        end: Sequence,
        jumps: &Jumps,
        ahead: &mut Ahead,
    ) -> Step {
        let mut at = 0;
        while at < bytes.len() {
            if self.position >= end {
                return Step::Following;
            }
            if self.is_full() {
                return Step::Done;
            }
            let rest = &bytes[at..];
            let Some(block) = BlockHeader::decode(rest, salt) else {
                if rest.len() < BLOCK_HEADER_BYTES {
                    break;
                }
                // Damaged, or behind the last block. The next one tells what is missing.
                at += PAGE_BYTES;
                continue;
            };
            let length = block.bytes as usize;
            if block.first >= end {
                return Step::Following;
            }
            if !block.is_closing() && block.end() > self.position && jumps.over(block.first).is_none() {
                if length > rest.len() && !is_last {
                    self.move_by(at);
                    return Step::Here(length.max(READ_BYTES));
                }
                self.miss(block.previous_end.min(block.first), block.first, jumps);
                let block_end = end.min(jumps.until(block.first));
                match ahead.whole(&block, rest, salt).filter(|_| block.end() <= block_end) {
                    Some(batch) => {
                        self.take_batch(&batch);
                        ahead.add(batch);
                    }
                    None => self.take_block(&block, rest, salt, block_end),
                }
                if self.is_full() || self.position < block.end().min(block_end) {
                    ahead.run_on(&rest[length.min(rest.len())..], salt, end, jumps);
                    return Step::Done;
                }
            }
            at += length;
        }
        self.move_by(at);
        if is_last || self.position >= end {
            return Step::Following;
        }
        if self.is_full() { Step::Done } else { Step::Here(READ_BYTES) }
    }

    /// Takes what is wanted of a block that is whole.
    fn take_batch(&mut self, batch: &Batch) {
        let index = self.position.0.saturating_sub(batch.first().0) as usize;
        // By itself, since sequences may jump before it.
        let event = batch.event(index);
        self.batch.push_at(event.sequence, event.timestamp_ns, event.hash, event.flags, event.payload);
        let events_left = self.request.events_max.saturating_sub(self.batch.len());
        let bytes_left = self.request.bytes_max.saturating_sub(self.batch.record_bytes());
        let mut taken = 1;
        if index + taken < batch.len() && events_left > 0 && bytes_left > 0 {
            taken += self.batch.extend_from(batch, index + taken, events_left, bytes_left);
        }
        self.position = batch.sequence(index + taken);
    }

    fn take_block(&mut self, block: &BlockHeader, bytes: &[u8], salt: u64, end: Sequence) {
        let mut records = block.records(bytes, salt);
        records.skip_to(self.position);
        for item in records {
            let next = match item {
                Item::Event(event) if event.sequence < end => {
                    if self.is_full() {
                        return;
                    }
                    if event.sequence >= self.position {
                        self.passed_over += event.sequence.0 - self.position.0;
                        self.batch.push_at(
                            event.sequence,
                            event.timestamp_ns,
                            event.hash,
                            event.flags,
                            event.payload,
                        );
                    }
                    event.sequence.advanced_by(1)
                }
                // The next event, or the end of the block, tells how many.
                Item::Damaged => continue,
                Item::Event(_) => break,
            };
            self.position = self.position.max(next);
        }
        let block_end = block.end().min(end);
        self.passed_over += block_end.0.saturating_sub(self.position.0);
        self.position = self.position.max(block_end);
    }

    /// Goes on with `first`: what is missing up to `until` is damaged, if it was ever there, and behind it nothing was.
    fn miss(&mut self, until: Sequence, first: Sequence, jumps: &Jumps) {
        if first > self.position {
            self.passed_over += jumps.events_between(self.position, until);
            self.position = first;
        }
    }

    fn move_by(&mut self, bytes: usize) {
        self.at += bytes as u64;
        self.seen_bytes += bytes;
    }

    /// Whether it has what was asked for, or has gone through enough for once.
    fn is_full(&self) -> bool {
        self.batch.len() >= self.request.events_max
            || !self.batch.is_empty() && self.batch.record_bytes() >= self.request.bytes_max
            || self.seen_bytes >= SEEN_BYTES_MAX
                && Some(self.position) > self.request.after.map(|after| after.advanced_by(1))
    }
}

/// Bytes of one read, or what a block takes that is larger: one of the shard's full batches fits.
const READ_BYTES: usize = 320 << 10;
/// Bytes that one job goes through at most, of which damage may make nothing.
const SEEN_BYTES_MAX: usize = 16 << 20;
