//! The repair: brings a log that was not closed to where opening and closing it would bring it, and makes bad indexes anew. What is
//! damaged in the middle stays as it is, and no event that is good goes.
//!
//! Each step is tried on paper first: only what leaves the log as it reads is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io;

use engine::event::Sequence;
use engine::identity::random_word;

use super::super::active::{self, Identity};
use super::super::disk::{Disk, Folder, Found, sync_directory};
use super::super::format::PAGE_BYTES;
use super::super::format::block::Draft;
use super::super::format::header::{HEADER_BYTES, Header};
use super::super::options::Options;
use super::super::recovery::Recovered;
use super::super::running::Log;
use super::super::scan::{Scan, load_index};
use super::super::store::wall_ns;
use super::super::{Lock, boot_id};
use super::{IndexState, InspectError, ShardLog, recover};

/// What there is to repair in one log.
#[derive(Debug)]
pub struct Repair<'a> {
    log: &'a ShardLog,
    before: Recovered,
    steps: Vec<Step>,
    /// The bytes of the segment in which the log goes on.
    new: Option<Vec<u8>>,
}

/// One step of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the next segment, which says where the log ended, and that it goes on with `next`.
    End {
        /// Number of the new segment.
        number: u64,
        /// One past the last event.
        end: u64,
        /// Sequence of the next event.
        next: u64,
    },
    /// Cuts what a segment has behind its last event.
    Cut {
        /// Number of the segment.
        number: u64,
        /// Bytes that it has.
        from: u64,
        /// Bytes that it has afterwards.
        to: u64,
    },
    /// Removes a segment of which nothing is part of the log.
    Remove {
        /// Number of the segment.
        number: u64,
    },
    /// Makes the index of a segment.
    Index {
        /// Number of the segment.
        number: u64,
    },
}

impl ShardLog {
    /// Finds out what there is to repair, and changes nothing.
    pub fn repair(&self) -> Result<Repair<'_>, InspectError> {
        if self.is_in_use {
            return Err(InspectError::InUse(self.path.clone()));
        }
        let before = self.recover()?;
        Repair::plan(self, before).map_err(|source| self.refused(source))
    }
}

impl<'a> Repair<'a> {
    fn plan(log: &'a ShardLog, before: Recovered) -> io::Result<Repair<'a>> {
        let newest = log.folder.segments()?.into_iter().rev();
        let newest = newest.map(|found| log.headers(found.number)).collect::<io::Result<Vec<_>>>()?;
        let newest = newest.into_iter().find_map(|copies| copies.into_iter().flatten().next());
        let new = newest.as_ref().filter(|_| !before.was_closed).map(|newest| closed(newest, &before));
        let mut paper = Paper::of(&log.folder);
        paper.added = new.clone().map(|bytes| (before.next_number, bytes));
        let mut steps = Vec::new();
        // Together, since each alone may leave what only the other one's bytes vouch for.
        let mut trial = paper.clone();
        let mut candidates = Vec::new();
        for (place, survivor) in before.segments.iter().enumerate() {
            let number = survivor.found.number;
            let is_last = place + 1 == before.segments.len();
            if let Some(to) = log.behind(&before, place, is_last && !before.was_closed)? {
                trial.lengths.insert(number, to);
                candidates.push(Step::Cut { number, from: survivor.found.bytes, to });
            }
        }
        let carries_on = newest.as_ref().filter(|_| new.is_none()).map(|newest| newest.number);
        for &number in before.void.iter().filter(|&&number| Some(number) != carries_on) {
            trial.hidden.insert(number);
            candidates.push(Step::Remove { number });
        }
        let reads_alike = |disk: &Paper<'_>| Ok::<_, io::Error>(reads_alike(&before, &recover(disk)?));
        let is_harmless = reads_alike(&trial)?;
        let new = if is_harmless || reads_alike(&paper)? { new } else { None };
        if new.is_some() {
            let (number, end, next) = (before.next_number, before.end.0, before.next.0);
            steps.push(Step::End { number, end, next });
        }
        steps.extend(candidates.into_iter().filter(|_| is_harmless));
        for survivor in &before.segments {
            let number = survivor.found.number;
            if log.index_state(number, survivor.header.salt) != IndexState::Good {
                steps.push(Step::Index { number });
            }
        }
        Ok(Repair { log, before, steps, new })
    }

    /// What is to be done, in this order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does it. `lock` is that of the directory.
    pub fn apply(&self, _: &Lock) -> Result<(), InspectError> {
        self.carry_out().map_err(|source| self.log.refused(source))
    }

    fn carry_out(&self) -> io::Result<()> {
        let folder = &self.log.folder;
        if let (Some(bytes), Some(Step::End { number, .. })) = (&self.new, self.steps.first()) {
            // What a process that has ended did not sync is to be there before it is said where the log ended.
            for survivor in &self.before.segments {
                OpenOptions::new().write(true).open(folder.segment(survivor.found.number))?.sync_data()?;
            }
            folder.create(*number, bytes.len() as u64, bytes)?;
        }
        for step in &self.steps {
            match *step {
                Step::End { .. } => {}
                Step::Cut { number, to, .. } => {
                    OpenOptions::new().write(true).open(folder.segment(number))?.set_len(to)?;
                }
                Step::Remove { number } => folder.remove(number)?,
                Step::Index { number } => {
                    let segments = &self.before.segments;
                    let survivor = segments.iter().find(|survivor| survivor.found.number == number);
                    let Some(survivor) = survivor else { continue };
                    let length = std::fs::metadata(folder.segment(number))?.len();
                    let salt = survivor.header.salt;
                    folder.seal(number, length, &load_index(folder, number, salt)?.encode(salt))?;
                }
            }
        }
        sync_directory(&self.log.path)?;
        let after = recover(folder)?;
        if reads_alike(&self.before, &after) {
            Ok(())
        } else {
            Err(io::Error::other("it reads differently now, which must not be"))
        }
    }
}

impl ShardLog {
    /// To what length the segment at `place` can be cut: behind its last block, or where the log ends in it, behind the last
    /// block with an event of the log.
    fn behind(&self, recovered: &Recovered, place: usize, ends_here: bool) -> io::Result<Option<u64>> {
        let survivor = &recovered.segments[place];
        let (number, salt) = (survivor.found.number, survivor.header.salt);
        let mut scan = Scan::new(&self.folder, number, salt);
        let mut to = HEADER_BYTES as u64;
        while let Some((at, block)) = scan.block()? {
            if !ends_here || block.first < recovered.end && !block.is_closing() {
                to = at + u64::from(block.bytes);
            }
        }
        let is_free = ends_here || self.written(number, to, u64::MAX)?.is_none();
        Ok((is_free && to < survivor.found.bytes).then_some(to))
    }
}

/// A segment that says that the log ended, and was closed.
fn closed(newest: &Header, before: &Recovered) -> Vec<u8> {
    let identity = Identity { shard: newest.shard, incarnation: newest.incarnation, boot_id: boot_id() };
    let catalog = Log::catalog(Options::default(), before);
    let bytes = (HEADER_BYTES + PAGE_BYTES) as u64;
    let (number, next) = (before.next_number, before.next);
    let header = active::header(identity, number, next, bytes, &catalog, random_word(), wall_ns());
    let mut segment = header.encode();
    let draft = Draft::closing(next);
    let at = segment.len();
    segment.resize(at + draft.bytes(), 0);
    draft.encode(None, header.salt, &mut segment[at..]);
    segment
}

/// Whether both have the same segments, each up to the same event, and go on with the same sequence.
fn reads_alike(before: &Recovered, after: &Recovered) -> bool {
    let outline = |recovered: &Recovered| -> (Vec<(u64, Sequence)>, Sequence, Sequence) {
        let segments = recovered.segments.iter().map(|survivor| (survivor.found.number, survivor.first));
        (segments.collect(), recovered.end, recovered.next)
    };
    outline(before) == outline(after)
}

/// The files of a log as they would be.
#[derive(Clone)]
struct Paper<'a> {
    folder: &'a Folder,
    lengths: BTreeMap<u64, u64>,
    hidden: BTreeSet<u64>,
    added: Option<(u64, Vec<u8>)>,
}

impl<'a> Paper<'a> {
    fn of(folder: &'a Folder) -> Paper<'a> {
        Paper { folder, lengths: BTreeMap::new(), hidden: BTreeSet::new(), added: None }
    }

    fn refused<T>() -> io::Result<T> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl Disk for Paper<'_> {
    fn segments(&self) -> io::Result<Vec<Found>> {
        let mut found = self.folder.segments()?;
        found.retain(|found| !self.hidden.contains(&found.number));
        for found in &mut found {
            found.bytes = self.lengths.get(&found.number).map_or(found.bytes, |&to| found.bytes.min(to));
        }
        let added = self.added.as_ref();
        found.extend(added.map(|(number, bytes)| Found {
            number: *number,
            bytes: bytes.len() as u64,
            modified_ns: 0,
        }));
        Ok(found)
    }

    fn read(&self, number: u64, at: u64, out: &mut [u8]) -> io::Result<usize> {
        if let Some((_, bytes)) = self.added.as_ref().filter(|(added, _)| *added == number) {
            let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let length = there.len().min(out.len());
            out[..length].copy_from_slice(&there[..length]);
            return Ok(length);
        }
        let left = self.lengths.get(&number).map_or(u64::MAX, |length| length.saturating_sub(at));
        let length = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        self.folder.read(number, at, &mut out[..length])
    }

    fn index(&self, number: u64) -> io::Result<Vec<u8>> {
        self.folder.index(number)
    }

    fn create(&self, _: u64, _: u64, _: &[u8]) -> io::Result<()> {
        Paper::refused()
    }

    fn seal(&self, _: u64, _: u64, _: &[u8]) -> io::Result<()> {
        Paper::refused()
    }

    fn remove(&self, _: u64) -> io::Result<()> {
        Paper::refused()
    }
}
