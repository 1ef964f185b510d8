//! A disk that loses, tears and reorders what was not synced, lies, fills up and fails, from a seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;

use super::disk::{Disk, Found};
use super::format::PAGE_BYTES;
use super::format::header::HEADER_BYTES;

/// What may happen, in percent of the operations it may happen to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) create_fails: u8,
    pub(super) write_fails: u8,
    pub(super) write_is_short: u8,
    pub(super) sync_fails: u8,
    pub(super) sync_lies: u8,
    pub(super) read_fails: u8,
}

/// The disk of one shard.
pub(super) struct ModelDisk(RefCell<Inner>);

struct Inner {
    files: BTreeMap<u64, File>,
    indexes: BTreeMap<u64, Vec<u8>>,
    /// Removed since the directory was synced.
    removed: Vec<(u64, File)>,
    faults: Faults,
    rng: Rng,
    /// How often each fault has come.
    pub(super) counts: Counts,
}

/// How often each fault has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) creates_failed: u64,
    pub(super) writes_failed: u64,
    pub(super) writes_short: u64,
    pub(super) syncs_failed: u64,
    pub(super) syncs_lied: u64,
    pub(super) reads_failed: u64,
    pub(super) sectors_lost: u64,
    pub(super) sectors_torn: u64,
    pub(super) bits_flipped: u64,
}

#[derive(Clone, Default)]
struct File {
    stable: Vec<u8>,
    /// Written and not synced, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

impl ModelDisk {
    pub(super) fn new(seed: u64, faults: Faults) -> ModelDisk {
        ModelDisk(RefCell::new(Inner {
            files: BTreeMap::new(),
            indexes: BTreeMap::new(),
            removed: Vec::new(),
            faults,
            rng: Rng::with_seed(seed),
            counts: Counts::default(),
        }))
    }

    /// What happens from now on.
    pub(super) fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.borrow().counts
    }

    /// A write, as the log has it made.
    pub(super) fn write(&self, number: u64, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        let (fails, short) = (inner.faults.write_fails, inner.faults.write_is_short);
        if inner.happens(fails) {
            inner.counts.writes_failed += 1;
            let torn = inner.part_of(bytes);
            inner.put(number, at, &torn);
            return Err(inner.error());
        }
        if inner.happens(short) {
            inner.counts.writes_short += 1;
            let length = inner.rng.usize(..bytes.len());
            inner.put(number, at, &bytes[..length]);
            return Ok(length);
        }
        inner.put(number, at, bytes);
        Ok(bytes.len())
    }

    /// A sync, as the log has it made. One that fails has thrown away what it could not write, and the next will not say so.
    pub(super) fn sync_written(&self, number: u64) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let (fails, lies) = (inner.faults.sync_fails, inner.faults.sync_lies);
        if inner.happens(lies) {
            inner.counts.syncs_lied += 1;
            return Ok(());
        }
        let has_failed = inner.happens(fails);
        let Some(pending) = inner.files.get_mut(&number).map(|file| std::mem::take(&mut file.pending)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for (at, bytes) in pending {
            if !has_failed || inner.rng.bool() {
                inner.settle(number, at, &bytes);
            }
        }
        if has_failed {
            inner.counts.syncs_failed += 1;
            return Err(inner.error());
        }
        Ok(())
    }

    /// The process ends. Of the writes that were under way any part may be there.
    pub(super) fn end_process(&self, under_way: Vec<(u64, u64, Vec<u8>)>) {
        let mut inner = self.0.borrow_mut();
        for (number, at, bytes) in under_way {
            let torn = inner.part_of(&bytes);
            inner.put(number, at, &torn);
        }
    }

    /// The machine ends: of what was not synced, any sectors are lost, and what was removed may be there again.
    pub(super) fn crash(&self, under_way: Vec<(u64, u64, Vec<u8>)>) {
        self.end_process(under_way);
        let mut inner = self.0.borrow_mut();
        // Names come and go in order.
        let count = inner.removed.len();
        let gone = inner.rng.usize(..=count);
        for (number, file) in inner.removed.split_off(gone) {
            inner.files.entry(number).or_insert(file);
        }
        inner.removed.clear();
        let numbers: Vec<u64> = inner.files.keys().copied().collect();
        for number in numbers {
            let pending = inner.files.get_mut(&number).map(|file| std::mem::take(&mut file.pending));
            for (at, bytes) in pending.unwrap_or_default() {
                let loses = inner.rng.u8(..4);
                for (sector, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    if loses == 0 || loses < 3 && inner.rng.bool() {
                        inner.settle(number, at + sector * SECTOR_BYTES, part);
                    } else {
                        inner.counts.sectors_lost += 1;
                    }
                }
            }
        }
        if inner.rng.bool() {
            inner.indexes.clear();
        }
    }

    /// One bit of what is on the disk turns over, but in one of the two copies of a header.
    pub(super) fn flip(&self) {
        let mut inner = self.0.borrow_mut();
        let Inner { files, rng, counts, .. } = &mut *inner;
        let at = rng.usize(..files.len().max(1));
        let Some(file) = files.values_mut().nth(at).filter(|file| !file.stable.is_empty()) else { return };
        let used = file.stable.iter().rposition(|byte| *byte != 0).unwrap_or_default() + 1;
        let byte = rng.usize(..used);
        let byte = if (PAGE_BYTES..HEADER_BYTES).contains(&byte) { byte - PAGE_BYTES } else { byte };
        let page = byte / PAGE_BYTES * PAGE_BYTES;
        if file.stable[page..used.min(page + PAGE_BYTES)].iter().any(|byte| *byte != 0) {
            // A page that nothing was written to may still be, and what is written to it is what counts.
            file.stable[byte] ^= 1 << rng.u8(..8);
            counts.bits_flipped += 1;
        }
    }
}

impl Inner {
    fn happens(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.u8(..100) < percent
    }

    fn error(&mut self) -> io::Error {
        io::Error::from_raw_os_error(if self.rng.bool() { libc::EIO } else { libc::ENOSPC })
    }

    /// Any sectors of `bytes`, the rest zeros. Zeros are what was there before: no page is written twice.
    fn part_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut part = vec![0; bytes.len()];
        let all = self.rng.u8(..4) == 0;
        for (to, from) in part.chunks_mut(SECTOR_BYTES).zip(bytes.chunks(SECTOR_BYTES)) {
            if all || self.rng.bool() {
                to.copy_from_slice(from);
            } else {
                self.counts.sectors_torn += 1;
            }
        }
        part
    }

    fn put(&mut self, number: u64, at: u64, bytes: &[u8]) {
        if let Some(file) = self.files.get_mut(&number) {
            let view = file.view(at as usize, bytes.len());
            assert!(view.iter().all(|byte| *byte == 0), "a page is written twice, in {number} at {at}");
            file.pending.push((at as usize, bytes.to_vec()));
        }
    }

    fn settle(&mut self, number: u64, at: usize, bytes: &[u8]) {
        if let Some(file) = self.files.get_mut(&number) {
            if file.stable.len() < at + bytes.len() {
                file.stable.resize(at + bytes.len(), 0);
            }
            file.stable[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

impl File {
    fn view(&self, at: usize, length: usize) -> Vec<u8> {
        let written = self.pending.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap_or_default();
        let end = self.stable.len().max(written).min(at + length);
        let mut view = vec![0; end.saturating_sub(at)];
        let mut lay = |from: usize, bytes: &[u8]| {
            let (begin, stop) = (from.max(at), (from + bytes.len()).min(end));
            if begin < stop {
                view[begin - at..stop - at].copy_from_slice(&bytes[begin - from..stop - from]);
            }
        };
        lay(0, &self.stable);
        self.pending.iter().for_each(|(at, bytes)| lay(*at, bytes));
        view
    }
}

impl Disk for ModelDisk {
    fn segments(&self) -> io::Result<Vec<Found>> {
        let inner = self.0.borrow();
        let found = |(&number, file): (&u64, &File)| Found {
            number,
            bytes: file.view(0, usize::MAX / 2).len() as u64,
            modified_ns: 0,
        };
        Ok(inner.files.iter().map(found).collect())
    }

    fn create(&self, number: u64, bytes: u64, content: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let fails = inner.faults.create_fails;
        if inner.happens(fails) {
            inner.counts.creates_failed += 1;
            if inner.rng.bool() {
                let mut stable = inner.part_of(content);
                stable[..HEADER_BYTES].fill(0);
                inner.files.insert(number, File { stable, pending: Vec::new() });
            }
            return Err(inner.error());
        }
        let mut stable = content.to_vec();
        stable.resize(bytes as usize, 0);
        let before = inner.files.insert(number, File { stable, pending: Vec::new() });
        assert!(before.is_none(), "segment {number} is made twice");
        inner.removed.clear();
        Ok(())
    }

    fn read(&self, number: u64, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        let fails = inner.faults.read_fails;
        if inner.happens(fails) {
            inner.counts.reads_failed += 1;
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let file = inner.files.get(&number).ok_or(io::ErrorKind::NotFound)?;
        let view = file.view(at as usize, out.len());
        out[..view.len()].copy_from_slice(&view);
        Ok(view.len())
    }

    fn seal(&self, number: u64, length: u64, index: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let file = inner.files.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
        file.stable.truncate(length as usize);
        inner.indexes.insert(number, index.to_vec());
        Ok(())
    }

    fn index(&self, number: u64) -> io::Result<Vec<u8>> {
        self.0.borrow().indexes.get(&number).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.indexes.remove(&number);
        let file = inner.files.remove(&number).ok_or(io::ErrorKind::NotFound)?;
        inner.removed.push((number, file));
        Ok(())
    }
}

const SECTOR_BYTES: usize = 512;

impl Counts {
    /// Adds what another run has counted.
    pub(super) fn add(&mut self, other: &Counts) {
        self.creates_failed += other.creates_failed;
        self.writes_failed += other.writes_failed;
        self.writes_short += other.writes_short;
        self.syncs_failed += other.syncs_failed;
        self.syncs_lied += other.syncs_lied;
        self.reads_failed += other.reads_failed;
        self.sectors_lost += other.sectors_lost;
        self.sectors_torn += other.sectors_torn;
        self.bits_flipped += other.bits_flipped;
    }

    /// Whether every fault has come.
    pub(super) fn has_everything(&self) -> bool {
        let Counts { creates_failed, writes_failed, writes_short, syncs_failed, syncs_lied, .. } = *self;
        let Counts { reads_failed, sectors_lost, sectors_torn, bits_flipped, .. } = *self;
        [creates_failed, writes_failed, writes_short, syncs_failed, syncs_lied].iter().all(|&count| count > 0)
            && [reads_failed, sectors_lost, sectors_torn, bits_flipped].iter().all(|&count| count > 0)
    }
}
