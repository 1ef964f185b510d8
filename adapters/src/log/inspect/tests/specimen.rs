//! A log made from a seed, byte by byte and without a bus: several segments, some closed, some left by a crash, with jumps between and
//! in them, overlaps and refused events.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::batch::Batch;
use engine::event::{EventFlags, Sequence};
use fastrand::Rng;

use super::super::super::disk::Folder;
use super::super::super::format::block::Draft;
use super::super::super::format::header::{Header, Jump};
use super::super::super::format::index::Index;

/// A log in a directory of its own.
pub(super) struct Specimen {
    pub(super) dir: tempfile::TempDir,
    /// What was written under each sequence.
    pub(super) written: BTreeMap<u64, Vec<u8>>,
    /// The segments, ascending, and their salts.
    pub(super) salts: Vec<(u64, u64)>,
    pub(super) is_closed: bool,
    /// Each segment was cut behind its last block.
    pub(super) is_sealed: bool,
}

/// What is being made.
struct Making {
    rng: Rng,
    folder: Folder,
    written: BTreeMap<u64, Vec<u8>>,
    salts: Vec<(u64, u64)>,
    jumps: Vec<Jump>,
    /// One past the last event.
    end: u64,
    is_sealed: bool,
}

impl Specimen {
    /// The log of this seed.
    pub(super) fn new(seed: u64) -> Specimen {
        let dir = directory();
        fs::write(dir.path().join("log.json"), r#"{"version":1,"incarnation":9,"producer":7}"#)
            .expect("the directory is writable");
        let path = dir.path().join("shard-00000");
        fs::create_dir(&path).expect("the directory is writable");
        let mut making = Making {
            rng: Rng::with_seed(seed),
            folder: Folder::new(path),
            written: BTreeMap::new(),
            salts: Vec::new(),
            jumps: Vec::new(),
            end: 1,
            is_sealed: true,
        };
        let (segments, is_closed) = (making.rng.u64(1..5), making.rng.bool());
        let mut number = 0;
        for turn in 0..segments {
            number += making.rng.u64(1..3);
            let is_left = turn + 1 == segments && !is_closed;
            making.segment(number, is_left, turn + 1 == segments && is_closed);
        }
        if is_closed && making.rng.bool() {
            making.close(number + 1);
        }
        let Making { written, salts, is_sealed, .. } = making;
        Specimen { dir, written, salts, is_closed, is_sealed }
    }

    /// Its segments and indexes.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("shard-00000")).expect("it is there");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it is there").path()).collect();
        files.sort();
        files
    }
}

impl Making {
    fn segment(&mut self, number: u64, is_left: bool, is_closed: bool) {
        let salt = self.rng.u64(..);
        self.salts.push((number, salt));
        if self.end > 1 && self.rng.u8(..4) == 0 {
            self.jump(50);
        }
        let mut bytes = self.header(number, salt);
        let mut index = Index::default();
        for turn in 0..self.rng.u64(1..6) {
            let previous_end = self.end;
            if turn > 0 && self.rng.u8(..6) == 0 {
                self.jump(5);
            }
            let batch = self.batch();
            let durable_end = Sequence(previous_end.saturating_sub(self.rng.u64(..20)).max(1));
            let draft = Draft::of(&batch, 0, Sequence(previous_end), durable_end);
            let at = bytes.len();
            bytes.resize(at + draft.bytes(), 0);
            draft.encode(Some(&batch), salt, &mut bytes[at..]);
            index.note(draft.header.first, draft.header.end(), at as u64, draft.bytes() as u64);
            self.end = batch.end().0;
        }
        // A segment that a process has left is as long as it was made.
        if is_left || !is_closed && self.rng.u8(..4) == 0 {
            bytes.resize(bytes.len() + 4096 * self.rng.usize(..5), 0);
            self.is_sealed = false;
        } else {
            let path = self.folder.segment(number).with_extension("idx");
            fs::write(path, index.encode(salt)).expect("the directory is writable");
        }
        if is_closed {
            bytes.extend(closing(self.end, salt));
        }
        fs::write(self.folder.segment(number), bytes).expect("the directory is writable");
    }

    fn jump(&mut self, max: u64) {
        let next = self.end + self.rng.u64(1..max);
        self.jumps.push(Jump { end: Sequence(self.end), next: Sequence(next) });
        self.end = next;
    }

    fn header(&self, number: u64, salt: u64) -> Vec<u8> {
        let (base, reserved_end) = (Sequence(self.end), Sequence(self.end + 1_000));
        let jumps = self.jumps.clone();
        let (shard, incarnation, created_ns, boot_id) = (0, 9, 1, 5);
        Header { shard, number, salt, incarnation, base, reserved_end, created_ns, boot_id, jumps }.encode()
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        batch.number_from(Sequence(self.end));
        for _ in 0..self.rng.usize(1..9) {
            let length = if self.rng.u8(..8) == 0 { self.rng.usize(..9_000) } else { self.rng.usize(..200) };
            let payload: Vec<u8> = std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect();
            let sequence = batch.end().0;
            batch.push(sequence * 3, sequence * 5, EventFlags::NONE, &payload);
            self.written.insert(sequence, payload);
        }
        batch
    }

    fn close(&mut self, number: u64) {
        let salt = self.rng.u64(..);
        self.salts.push((number, salt));
        let mut bytes = self.header(number, salt);
        bytes.extend(closing(self.end, salt));
        fs::write(self.folder.segment(number), bytes).expect("the directory is writable");
    }
}

/// The block that ends a log.
fn closing(end: u64, salt: u64) -> Vec<u8> {
    let draft = Draft::closing(Sequence(end));
    let mut bytes = vec![0; draft.bytes()];
    draft.encode(None, salt, &mut bytes);
    bytes
}

/// A directory in memory, where there is such a thing.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory is made")
}
