//! The log of one shard while it runs: a synchronous machine that takes batches, reads and what became of operations, and gives
//! operations and news. It knows no file and no clock.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use engine::adapter::{AdapterError, AdapterState, Outcome, ReadRequest, Resident};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::Sequence;

use super::active::Identity;
use super::catalog::{Catalog, Segment};
use super::opening::FirstSegment;
use super::operation::{Done, Operation, Write};
use super::options::Options;
use super::reads::{Reads, Source};
use super::recovery::{Recovered, Survivor};
use super::writer::{Closing, Counts, Ways, Writer};
use crate::retained::Retained;

/// One shard's log.
#[derive(Debug)]
pub(super) struct Log {
    catalog: Catalog,
    recent: Retained,
    writer: Writer,
    reads: Reads,
    operations: VecDeque<Operation>,
    news: VecDeque<Outcome>,
    error: Option<AdapterError>,
    /// When age is looked at again.
    retained_at: Monotonic,
    removed: u64,
    /// Segments to be removed: one after the other, so that after a crash no newer one is missing before an older.
    removals: VecDeque<u64>,
    is_removing: bool,
    /// Segments that a process has left without cutting them behind their last block.
    left_open: Vec<u64>,
}

impl Log {
    /// Goes on with what was found; `first` is the segment that was made since.
    pub(super) fn new(
        identity: Identity,
        options: Options,
        recovered: &Recovered,
        first: FirstSegment,
    ) -> Log {
        let mut catalog = Log::catalog(options, recovered);
        let writer = Writer::new(identity, options, &first, recovered);
        if let Some((segment, previous_end)) = first.copied {
            catalog.push(segment, previous_end);
        }
        let mut log = Log {
            catalog,
            recent: Retained::default(),
            writer,
            reads: Reads::default(),
            operations: VecDeque::new(),
            news: VecDeque::new(),
            error: unreadable(recovered),
            retained_at: Monotonic(0),
            removed: 0,
            removals: recovered.void.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            is_removing: false,
            left_open: Vec::new(),
        };
        log.remove();
        log.cut(recovered);
        log
    }

    /// The segments that were found.
    pub(super) fn catalog(options: Options, recovered: &Recovered) -> Catalog {
        let segment = |survivor: &Survivor| Segment {
            number: survivor.found.number,
            salt: survivor.header.salt,
            first: survivor.first,
            end: survivor.end,
            bytes: survivor.found.bytes,
            newest_ns: survivor.found.modified_ns.max(survivor.header.created_ns),
            index: None,
            readers: 0,
        };
        let segments = recovered.segments.iter().map(segment).collect();
        Catalog::new(segments, recovered.jumps.clone(), options.retention)
    }

    /// Sequence of the next event, where none is under way.
    pub(super) fn end(&self) -> Sequence {
        self.writer.end()
    }

    /// Events that are there, damaged ones included.
    pub(super) fn events(&self) -> u64 {
        self.catalog.events()
    }

    /// Whether something has failed, and what it may have cost is not durable again.
    #[cfg(test)]
    pub(super) fn is_suspect(&self) -> bool {
        self.writer.is_suspect()
    }

    /// Whether it takes a batch.
    pub(super) fn is_ready(&self) -> bool {
        self.writer.is_ready()
    }

    /// Takes a batch.
    pub(super) fn submit(&mut self, batch: Batch) {
        self.writer.submit(batch, &mut self.catalog);
    }

    /// Gives a batch back of which nothing is under way.
    pub(super) fn cancel(&mut self) -> Option<Batch> {
        self.writer.cancel()
    }

    /// Starts a read.
    pub(super) fn read(&mut self, ticket: u64, request: ReadRequest) {
        let (reads, mut source) = self.reading();
        reads.start(ticket, request, &mut source);
    }

    /// What follows a position in memory.
    pub(super) fn resident(&self, after: Option<Sequence>) -> Resident<'_> {
        let first = self.catalog.oldest().or(self.recent.first());
        let wanted = after.map_or(first.unwrap_or(self.end()), |after| after.advanced_by(1));
        if wanted >= self.end() {
            return Resident::Nothing { skipped: 0 };
        }
        if self.recent.first().is_none_or(|first| wanted < first) {
            return match self.reads.ahead(wanted).filter(|_| first.is_some_and(|first| first <= wanted)) {
                Some((batch, index)) => Resident::Events { batch, index, skipped: 0 },
                None => Resident::Elsewhere,
            };
        }
        match self.recent.following(wanted) {
            Some((batch, index)) => Resident::Events { batch, index, skipped: 0 },
            None => Resident::Nothing { skipped: 0 },
        }
    }

    /// Answers when everything that is stored is durable.
    pub(super) fn flush(&mut self, ticket: u64) {
        self.writer.flush(ticket, &mut self.news);
    }

    /// Begins what can be begun, and lets go of what is too old.
    pub(super) fn go_on(&mut self, now: Monotonic, wall_ns: u64) {
        let (writer, mut ways) = self.writing();
        writer.go_on(&mut ways, now, wall_ns);
        if now >= self.retained_at {
            self.retained_at = now.after(RETAIN_PERIOD);
            self.retain(wall_ns);
        }
    }

    /// When something is due although nothing is heard.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let age = (self.catalog.keeps_by_age() && self.catalog.len() > 1).then_some(self.retained_at);
        self.writer.due().into_iter().chain(age).min()
    }

    /// The next operation to be carried out.
    pub(super) fn operation(&mut self) -> Option<Operation> {
        self.operations.pop_front()
    }

    /// Puts together what a write brings to the disk. To be called before the write is answered.
    pub(super) fn encode(&self, write: &Write, out: &mut [u8]) {
        write.encode(self.writer.source(write, &self.recent), out);
    }

    /// What became of an operation.
    pub(super) fn done(&mut self, done: Done<'_>, now: Monotonic, wall_ns: u64) {
        match done {
            Done::Created { number, result } => {
                self.writer.created(number, result, now);
                self.retain(wall_ns);
            }
            Done::Written { number, at, result } => {
                let (writer, mut ways) = self.writing();
                writer.written(number, at, result, &mut ways, now);
            }
            Done::Synced { number, result } => {
                let (writer, mut ways) = self.writing();
                writer.synced(number, result, &mut ways, now);
            }
            // Neither is needed: the index is made anew, and what was not removed is void when the log is opened.
            Done::Sealed { number, result } => self.note(number, "ended", result),
            Done::Removed { number, result } => {
                self.is_removing = false;
                self.remove();
                self.note(number, "removed", result);
            }
            Done::Read { read, result } => {
                let (reads, mut source) = self.reading();
                reads.absorb(&read, result, &mut source);
                self.remove_doomed();
            }
            Done::IndexLoaded { number, result } => {
                self.left_open.retain(|&left_open| {
                    let is_it = left_open == number;
                    if let (true, Ok(index), Some(segment)) = (is_it, &result, self.catalog.segment(number)) {
                        segment.bytes = index.length;
                        self.operations.push_back(Operation::Seal {
                            number,
                            length: index.length,
                            index: index.encode(segment.salt),
                        });
                    }
                    !is_it
                });
                let (reads, mut source) = self.reading();
                reads.index_loaded(number, result, &mut source);
                self.remove_doomed();
            }
        }
    }

    /// What there is to tell.
    pub(super) fn news(&mut self) -> Option<Outcome> {
        self.news.pop_front()
    }

    /// How it stands.
    pub(super) fn state(&self) -> AdapterState {
        if self.writer.is_stuck() { AdapterState::Down } else { AdapterState::Up }
    }

    /// What has gone wrong last, if that was not asked before.
    pub(super) fn take_error(&mut self) -> Option<AdapterError> {
        self.writer.take_error().or(self.error.take())
    }

    /// What the writer has counted.
    pub(super) fn counts(&self) -> Counts {
        self.writer.counts
    }

    /// Segments, their bytes, those that retention removed, events that were passed over as damaged, and reads that failed.
    pub(super) fn read_counts(&self) -> [u64; 5] {
        let (len, bytes) = (self.catalog.len() as u64, self.catalog.bytes());
        [len, bytes, self.removed, self.reads.passed_over, self.reads.failed]
    }

    /// What is left to be done with the disk when the log is closed.
    pub(super) fn close(&mut self) -> Closing {
        self.writer.close(&mut self.catalog)
    }

    fn retain(&mut self, wall_ns: u64) {
        self.removed += self.catalog.retain(wall_ns) as u64;
        self.remove_doomed();
    }

    fn remove_doomed(&mut self) {
        let doomed = self.catalog.take_doomed().chain(self.writer.take_unused());
        self.removals.extend(doomed);
        self.remove();
    }

    /// Cuts the segments that were left open, once their indexes are made.
    fn cut(&mut self, recovered: &Recovered) {
        for survivor in recovered.segments.iter().filter(|survivor| survivor.is_open) {
            let number = survivor.found.number;
            let Some(segment) = self.catalog.segment(number) else { continue };
            segment.readers += 1;
            self.left_open.push(number);
            self.operations.push_back(Operation::LoadIndex { number, salt: segment.salt });
        }
    }

    fn remove(&mut self) {
        if !self.is_removing
            && let Some(number) = self.removals.pop_front()
        {
            self.is_removing = true;
            self.operations.push_back(Operation::Remove { number });
        }
    }

    fn note(&mut self, number: u64, what: &str, result: io::Result<()>) {
        if let Err(error) = result {
            let what = format!("segment {number} could not be {what}: {error}");
            self.error = Some(AdapterError::Transient(what));
        }
    }

    fn writing(&mut self) -> (&mut Writer, Ways<'_>) {
        let Log { catalog, recent, writer, operations, news, .. } = self;
        (writer, Ways { catalog, recent, operations, news })
    }

    fn reading(&mut self) -> (&mut Reads, Source<'_>) {
        let end = self.writer.end();
        let Log { catalog, recent, reads, operations, news, .. } = self;
        (reads, Source { catalog, recent, end, operations, news })
    }
}

/// What the operator is told of segments that cannot be read. They stay.
fn unreadable(recovered: &Recovered) -> Option<AdapterError> {
    let what = match &recovered.unreadable[..] {
        [] => return None,
        [only] => format!("the header of segment {only} cannot be read"),
        [first, ..] => {
            let count = recovered.unreadable.len();
            format!("the headers of {count} segments cannot be read, that of {first} first")
        }
    };
    Some(AdapterError::Final(what))
}

/// How often age is looked at.
const RETAIN_PERIOD: std::time::Duration = std::time::Duration::from_secs(1);
