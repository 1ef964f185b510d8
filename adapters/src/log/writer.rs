//! The writer: where the next block goes, when it counts as stored, and what is done when a write or a sync fails.
//!
//! Several writes are under way at a time, all to one segment. A segment to which a write or a sync has failed is closed for
//! ever: what was not durable is written again into a new one from memory, and until that is durable nothing else is
//! acknowledged. The same sync is never tried twice.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use engine::adapter::{AdapterError, Outcome};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::Sequence;

use super::active::{self, Active, Identity, Spare};
use super::catalog::Catalog;
use super::format::block::Draft;
use super::format::header::{HEADER_BYTES, Header};
use super::opening::FirstSegment;
use super::operation::{Operation, Write};
use super::options::{Options, SyncPolicy};
use super::pending::{Ended, Pending};
use super::recovery::Recovered;
use super::syncs::Syncs;
use crate::retained::Retained;

/// The writing side of one shard's log.
#[derive(Debug)]
pub(super) struct Writer {
    identity: Identity,
    options: Options,
    active: Option<Active>,
    spare: Spare,
    next_number: u64,
    pending: Pending,
    /// With which sequence this process began, and where the log ended before.
    begun: (Sequence, Sequence),
    /// One past the last event that is written, as far as writing counts: with a sync for every batch, that is durable.
    end: Sequence,
    /// Memory has everything from here on.
    memory_from: Sequence,
    syncs: Syncs,
    /// What has to be written again, from here up to `end`.
    rewrite_from: Option<Sequence>,
    /// Something has failed, and what was written again is not durable yet.
    is_suspect: bool,
    /// What is to be written next does not fit, and takes so many bytes.
    lacks_bytes: Option<u64>,
    failures: u32,
    retry_at: Monotonic,
    /// Segments without events that are not used any more. They go when a newer one is there, which tells how far sequences may have got.
    unused: Vec<u64>,
    removable: Vec<u64>,
    error: Option<AdapterError>,
    pub(super) counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Bytes written, whole pages.
    pub(super) written_bytes: u64,
    pub(super) syncs: u64,
    pub(super) segments_made: u64,
    /// Closed because a write or a sync failed.
    pub(super) segments_failed: u64,
    /// Events written again for that reason.
    pub(super) events_rewritten: u64,
    /// Times that no segment could be made.
    pub(super) segments_refused: u64,
}

/// Where what is asked for and what is told goes.
pub(super) struct Ways<'a> {
    pub(super) catalog: &'a mut Catalog,
    pub(super) recent: &'a mut Retained,
    pub(super) operations: &'a mut VecDeque<Operation>,
    pub(super) news: &'a mut VecDeque<Outcome>,
}

impl Writer {
    /// Goes on behind what was `recovered`, in segment `first`, which was made.
    pub(super) fn new(
        identity: Identity,
        options: Options,
        first: &FirstSegment,
        recovered: &Recovered,
    ) -> Writer {
        let end = recovered.next;
        Writer {
            identity,
            options,
            active: Some(Active { at: first.at, ..Active::of(&first.header, first.length) }),
            spare: Spare::None,
            next_number: first.header.number + 1,
            pending: Pending::default(),
            begun: (end, recovered.end),
            end,
            memory_from: end,
            syncs: Syncs::new(options.sync, end),
            rewrite_from: None,
            is_suspect: false,
            lacks_bytes: None,
            failures: 0,
            retry_at: Monotonic(0),
            unused: Vec::new(),
            removable: Vec::new(),
            error: None,
            counts: Counts { segments_made: 1, ..Counts::default() },
        }
    }

    /// One past the last event that is stored.
    pub(super) fn end(&self) -> Sequence {
        self.end
    }

    /// Whether something has failed, and what it may have cost is not durable again.
    #[cfg(test)]
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Whether it takes a batch.
    pub(super) fn is_ready(&self) -> bool {
        self.pending.has_place()
    }

    /// Whether nothing can be written until a segment can be made.
    pub(super) fn is_stuck(&self) -> bool {
        self.failures > 0 && (self.lacks_bytes.is_some() || self.active.is_none())
    }

    /// What has gone wrong last, if that was not asked before.
    pub(super) fn take_error(&mut self) -> Option<AdapterError> {
        self.error.take()
    }

    /// Takes a batch.
    pub(super) fn submit(&mut self, batch: Batch, catalog: &mut Catalog) {
        catalog.jump(self.pending.end(self.end), batch.first());
        self.pending.push(batch);
    }

    /// Gives the only batch back, if nothing of it is under way.
    pub(super) fn cancel(&mut self) -> Option<Batch> {
        self.pending.cancel()
    }

    /// Answers when everything that is stored is durable.
    pub(super) fn flush(&mut self, ticket: u64, news: &mut VecDeque<Outcome>) {
        if self.is_settled() && !self.is_suspect {
            news.push_back(Outcome::Synced { ticket, result: Ok(()) });
        } else {
            self.syncs.wait(ticket, self.end);
        }
    }

    /// Begins what can be begun.
    pub(super) fn go_on(&mut self, ways: &mut Ways<'_>, now: Monotonic, wall_ns: u64) {
        while self.write(ways) {}
        self.prepare(ways, now, wall_ns);
        self.sync(ways, now);
    }

    /// When something is due although nothing is heard.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let retry = (self.needs_segment() && matches!(self.spare, Spare::None)).then_some(self.retry_at);
        self.syncs.due().into_iter().chain(retry).min()
    }

    /// The batch that a write is made of.
    pub(super) fn source<'a>(&'a self, write: &Write, recent: &'a Retained) -> Option<&'a Batch> {
        self.pending.source(write, recent)
    }

    /// Writes what has to be written next, if there is room. Whether something was begun.
    fn write(&mut self, ways: &mut Ways<'_>) -> bool {
        // What is under way to a segment that has failed meanwhile is waited for.
        if self.pending.writes_elsewhere(self.active.map(|active| active.number)) {
            return false;
        }
        self.lacks_bytes = None;
        let Some((draft, is_again)) = self.draft(ways.recent) else { return false };
        let fits = |active: &Active| {
            active.room() >= draft.bytes() as u64 && active.reserved_end >= draft.header.end()
        };
        if !self.active.as_ref().is_some_and(fits) {
            self.lacks_bytes = Some(draft.bytes() as u64);
            match std::mem::replace(&mut self.spare, Spare::None) {
                Spare::Ready(spare) if fits(&spare) && self.pending.is_quiet() => {
                    self.retire(ways);
                    (self.active, self.lacks_bytes) = (Some(spare), None);
                }
                Spare::Ready(spare) if !fits(&spare) => {
                    // Too many sequences were refused since it was made.
                    self.unused.push(spare.number);
                    return false;
                }
                other => {
                    self.spare = other;
                    return false;
                }
            }
        }
        let active = self.active.as_mut().expect("it fits into one");
        let write = Write { number: active.number, at: active.at, draft, salt: active.salt };
        active.at += draft.bytes() as u64;
        self.pending.begin(write, is_again);
        ways.operations.push_back(Operation::Write(write));
        true
    }

    /// The next block. What has to be written again comes first, and what is new only when that is durable.
    fn draft(&mut self, recent: &Retained) -> Option<(Draft, bool)> {
        if let Some(from) = self.rewrite_from {
            if !self.pending.is_quiet() {
                return None;
            }
            if let Some((batch, index)) = recent.following(from) {
                let previous_end = self.previous_end(from);
                return Some((Draft::of(batch, index, previous_end, self.syncs.durable_end()), true));
            }
            self.rewrite_from = None;
        }
        let too_much = recent.bytes() > RECENT_BYTES + UNSYNCED_BYTES_MAX;
        if self.is_suspect && !self.is_settled() || too_much {
            return None;
        }
        let (batch, previous_end) = self.pending.waiting(self.end)?;
        let previous_end = self.previous_end(previous_end);
        Some((Draft::of(batch, 0, previous_end, self.syncs.durable_end()), false))
    }

    /// Where the log ended before it went on with `next`, so that what lies between counts as nothing for as long as there is a block
    /// that says so.
    fn previous_end(&self, next: Sequence) -> Sequence {
        if next == self.begun.0 { self.begun.1 } else { next }
    }

    /// Whether nothing is left that would have to become durable before anything new is written.
    fn is_settled(&self) -> bool {
        self.syncs.durable_end() >= self.end
    }

    /// Has a segment made before it is needed.
    fn prepare(&mut self, ways: &mut Ways<'_>, now: Monotonic, wall_ns: u64) {
        if !self.needs_segment() || !matches!(self.spare, Spare::None) || now < self.retry_at {
            return;
        }
        let base = self.rewrite_from.unwrap_or(self.end).min(self.end);
        let ahead = self.pending.waiting(base).map_or(base, |(batch, _)| batch.first());
        let header = active::header(
            self.identity,
            self.next_number,
            base,
            self.options.segment_bytes,
            ways.catalog,
            engine::identity::random_word(),
            wall_ns,
        );
        let reserved_end = header.reserved_end.max(ahead.advanced_by(header.reserved_end.0 - base.0));
        let header = Header { reserved_end, ..header };
        self.next_number += 1;
        // One event may be larger than a segment is by itself.
        let needed = HEADER_BYTES as u64 + self.lacks_bytes.unwrap_or_default();
        let bytes = self.options.segment_bytes.max(needed);
        self.spare = Spare::Making(Active::of(&header, bytes));
        ways.operations.push_back(Operation::Create { header: Box::new(header), bytes });
    }

    fn needs_segment(&self) -> bool {
        self.lacks_bytes.is_some() || self.active.is_none_or(|active| active.at > active.length / 2)
    }

    /// Begins a round of syncs, if one is due.
    fn sync(&mut self, ways: &mut Ways<'_>, now: Monotonic) {
        if self.rewrite_from.is_some() {
            return;
        }
        let written_end = self.pending.written_end();
        let end = written_end.unwrap_or(self.end);
        if self.syncs.is_clean() && end <= self.syncs.durable_end() && !self.is_suspect {
            return;
        }
        let too_much = ways.recent.bytes() > RECENT_BYTES + UNSYNCED_BYTES_MAX / 2;
        let (active, holds_back) = (self.active.map(|active| active.number), written_end.is_some());
        if let Some(dirty) = self.syncs.begin(end, active, holds_back, too_much || self.is_suspect, now) {
            ways.operations.extend(dirty.into_iter().map(|number| Operation::Sync { number }));
            self.end_round(ways);
        }
    }

    /// A write has ended.
    pub(super) fn written(
        &mut self,
        number: u64,
        at: u64,
        result: io::Result<usize>,
        ways: &mut Ways<'_>,
        now: Monotonic,
    ) {
        self.pending.end_write(number, at, result);
        while let Some(ended) = self.pending.take_ended() {
            self.heed(ended, ways, now);
        }
    }

    /// Every write up to this one has ended.
    fn heed(&mut self, ended: Ended, ways: &mut Ways<'_>, now: Monotonic) {
        let Ended { write, is_again, result } = ended;
        let (number, draft) = (write.number, write.draft);
        if self.active.is_none_or(|active| active.number != number) {
            // Another write to it or a sync of it failed meanwhile: it is closed, and this comes again with the rest.
            return;
        }
        match result {
            Ok(bytes) if bytes == draft.bytes() => {}
            Ok(bytes) => {
                let short = format!("{bytes} of {} bytes were written", draft.bytes());
                return self.fail(number, &io::Error::other(short), ways, now);
            }
            Err(error) => return self.fail(number, &error, ways, now),
        }
        self.counts.written_bytes += draft.bytes() as u64;
        ways.catalog.note(&write);
        self.syncs.note_written(number, now);
        if is_again {
            self.counts.events_rewritten += u64::from(draft.header.count);
            self.rewrite_from = Some(draft.header.end());
        } else {
            self.pending.note_written();
            if self.options.sync != SyncPolicy::EveryBatch {
                self.acknowledge(draft.header.end(), ways);
            }
        }
    }

    /// What is written and ends at or before `limit` is stored.
    fn acknowledge(&mut self, limit: Sequence, ways: &mut Ways<'_>) {
        while let Some(batch) = self.pending.take_written(limit) {
            let first = batch.first();
            self.end = batch.end();
            let spent = ways.recent.append(batch);
            ways.news.push_back(Outcome::Stored { first, spent });
            self.forget(ways.recent);
        }
    }

    /// Lets go of what memory need not have any more.
    fn forget(&mut self, recent: &mut Retained) {
        while recent.bytes() > RECENT_BYTES
            && recent.events() > 1
            && recent.oldest().is_some_and(|oldest| {
                oldest.end() <= self.syncs.durable_end() || self.options.sync == SyncPolicy::Never
            })
        {
            self.memory_from = recent.oldest().map_or(self.memory_from, Batch::end);
            recent.evict(usize::MAX);
        }
    }

    /// A sync has ended.
    pub(super) fn synced(
        &mut self,
        number: u64,
        result: io::Result<()>,
        ways: &mut Ways<'_>,
        now: Monotonic,
    ) {
        self.counts.syncs += 1;
        if let Err(error) = result
            && !engine::planted!("37-a-failed-sync-is-trusted")
        {
            return self.fail(number, &error, ways, now);
        }
        if self.syncs.ended(number) {
            self.failures = 0;
        }
        self.end_round(ways);
    }

    /// Where nothing is left to sync, what the round covers is durable.
    fn end_round(&mut self, ways: &mut Ways<'_>) {
        if !self.syncs.end_round() {
            return;
        }
        if self.options.sync == SyncPolicy::EveryBatch {
            self.acknowledge(self.syncs.durable_end(), ways);
        }
        self.is_suspect &= !self.is_settled();
        let satisfied = self.syncs.take_satisfied();
        ways.news.extend(satisfied.map(|ticket| Outcome::Synced { ticket, result: Ok(()) }));
        self.forget(ways.recent);
    }

    /// Segments that may go.
    pub(super) fn take_unused(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.removable.drain(..)
    }

    /// A segment was made, or not.
    pub(super) fn created(&mut self, number: u64, result: io::Result<()>, now: Monotonic) {
        let Spare::Making(spare) = &self.spare else { return };
        if spare.number != number {
            return;
        }
        match result {
            Ok(()) => {
                self.counts.segments_made += 1;
                self.spare = Spare::Ready(*spare);
                self.removable.append(&mut self.unused);
            }
            Err(error) => {
                self.counts.segments_refused += 1;
                self.spare = Spare::None;
                self.note_failure(format!("segment {number} could not be made: {error}"), now);
            }
        }
    }

    /// Closes a segment for ever, and has what was not durable written again.
    fn fail(&mut self, number: u64, error: &io::Error, ways: &mut Ways<'_>, now: Monotonic) {
        self.counts.segments_failed += 1;
        self.note_failure(format!("segment {number} is closed, since it failed: {error}"), now);
        if ways.catalog.segment(number).is_none() {
            self.unused.push(number);
        }
        if self.active.is_some_and(|active| active.number == number) {
            self.active = None;
        } else {
            // What is written again comes before what the current one has.
            self.retire(ways);
        }
        self.syncs.start_again();
        self.pending.start_again();
        self.is_suspect = true;
        let durable_end = self.syncs.durable_end();
        let from = self.memory_from.max(durable_end);
        self.rewrite_from = (from < self.end).then_some(from);
        if from > durable_end {
            // Only where nothing was promised has memory let go of what was not durable.
            let error = AdapterError::Transient("what was stored may not become durable".to_owned());
            let unkept = self.syncs.take_waiting();
            ways.news.extend(unkept.map(|ticket| Outcome::Synced { ticket, result: Err(error.clone()) }));
        }
    }

    fn note_failure(&mut self, what: String, now: Monotonic) {
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        self.failures += 1;
        self.retry_at = now.after(wait);
        self.error = Some(AdapterError::Transient(what));
    }

    /// Ends the segment that is written to.
    fn retire(&mut self, ways: &mut Ways<'_>) {
        let Some(active) = self.active.take() else { return };
        let number = active.number;
        let Some(segment) = ways.catalog.segment(number) else { return self.unused.push(number) };
        // Behind it may be what does not count.
        let length = segment.bytes;
        if let Some(index) = &segment.index {
            ways.operations.push_back(Operation::Seal { number, length, index: index.encode(active.salt) });
        }
    }

    /// What is left to be done with the disk when everything is stored and the log is closed, in this order: it ends with a block
    /// that says so.
    pub(super) fn close(&mut self, catalog: &mut Catalog) -> Closing {
        let spare = match std::mem::replace(&mut self.spare, Spare::None) {
            Spare::None => None,
            Spare::Making(spare) | Spare::Ready(spare) => Some(spare.number),
        };
        let is_clean = self.pending.is_untouched() && !self.is_suspect && self.is_settled();
        let last = self.active.take().filter(|active| is_clean && active.room() > 0).map(|active| {
            let draft = Draft::closing(self.end);
            let index = catalog.segment(active.number).and_then(|segment| segment.index.as_ref());
            let index = index.map(|index| index.encode(active.salt)).unwrap_or_default();
            (Write { number: active.number, at: active.at, draft, salt: active.salt }, index)
        });
        Closing { spare, last }
    }
}

/// What ends a log.
#[derive(Debug)]
pub(super) struct Closing {
    /// A segment that was made and not used.
    pub(super) spare: Option<u64>,
    /// The last block, which is to be synced, and the index of its segment, which ends with it.
    pub(super) last: Option<(Write, Vec<u8>)>,
}

/// Bytes of records that stay in memory for whoever reads along.
pub(super) const RECENT_BYTES: usize = 8 << 20;
/// Bytes of records beside those that may be stored and not durable: they are kept to be written again.
const UNSYNCED_BYTES_MAX: usize = 32 << 20;
/// Wait before a segment is made again, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(1);
const RETRY_MAX: Duration = Duration::from_secs(1);
