//! The disk as far as it may be waited for: what opening, the tools, and the shard's helper thread do with the files of one
//! shard. The writes, syncs and reads of a running log go another way (`files`).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::format::header::HEADER_BYTES;

/// The files of one shard.
pub(super) trait Disk {
    /// The segments that are there, ascending.
    fn segments(&self) -> io::Result<Vec<Found>>;

    /// Makes segment `number` of `bytes` that begins with `content`: a header, and perhaps blocks. When this returns without an error,
    /// it is there after any crash; with one, it is not there, or has no header.
    fn create(&self, number: u64, bytes: u64, content: &[u8]) -> io::Result<()>;

    /// Reads into `out`, and returns how much there was: less only where the segment ends.
    fn read(&self, number: u64, at: u64, out: &mut [u8]) -> io::Result<usize>;

    /// Ends a segment at `length`, and leaves it its index. After a crash either may be undone.
    fn seal(&self, number: u64, length: u64, index: &[u8]) -> io::Result<()>;

    /// The file of a segment's index.
    fn index(&self, number: u64) -> io::Result<Vec<u8>>;

    /// Removes a segment. After a crash it may be there again.
    fn remove(&self, number: u64) -> io::Result<()>;
}

/// A segment that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) number: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// When it was written to last, nanoseconds since the Unix epoch.
    pub(super) modified_ns: u64,
}

/// A directory.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The files in `path`.
    pub(super) fn new(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    /// Makes the directory and those above it, to stay.
    pub(super) fn make(&self) -> io::Result<()> {
        let missing: Vec<&Path> = self.0.ancestors().take_while(|path| !path.is_dir()).collect();
        fs::create_dir_all(&self.0)?;
        missing.iter().filter_map(|path| path.parent()).try_for_each(sync_directory)
    }

    /// The file of segment `number`.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number:0DIGITS$}.{SEGMENT}"))
    }

    fn index_file(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number:0DIGITS$}.{INDEX}"))
    }

    fn fill(&self, number: u64, bytes: u64, content: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(MODE).open(self.segment(number))?;
        match retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, bytes)) {
            Ok(()) => {}
            // Where space cannot be set aside, a write may find none.
            Err(Errno::OPNOTSUPP) => file.set_len(bytes)?,
            Err(error) => return Err(error.into()),
        }
        let (header, blocks) = content.split_at(HEADER_BYTES);
        if !blocks.is_empty() {
            // They count as soon as there is a header.
            file.write_all_at(blocks, HEADER_BYTES as u64)?;
            file.sync_all()?;
        }
        file.write_all_at(header, 0)?;
        file.sync_all()?;
        sync_directory(&self.0)
    }
}

impl Disk for Folder {
    fn segments(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Some(number) = entry.file_name().to_str().and_then(number_of) else { continue };
            let metadata = entry.metadata()?;
            if !metadata.is_file() {
                continue;
            }
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            found.push(Found { number, bytes: metadata.len(), modified_ns: modified.as_nanos() as u64 });
        }
        found.sort_unstable_by_key(|found| found.number);
        Ok(found)
    }

    fn create(&self, number: u64, bytes: u64, content: &[u8]) -> io::Result<()> {
        self.fill(number, bytes, content).inspect_err(|error| {
            // What cannot be removed either is taken for an empty segment when the log is opened.
            if error.kind() != io::ErrorKind::AlreadyExists {
                let _ = fs::remove_file(self.segment(number));
            }
        })
    }

    fn read(&self, number: u64, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let refused = |at: u64, error: io::Error| {
            let what = format!("segment {number} could not be read at byte {at}: {error}");
            io::Error::new(error.kind(), what)
        };
        let file = File::open(self.segment(number)).map_err(|error| refused(at, error))?;
        let mut filled = 0;
        while filled < out.len() {
            let here = at + filled as u64;
            match file.read_at(&mut out[filled..], here) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(refused(here, error)),
            }
        }
        Ok(filled)
    }

    fn seal(&self, number: u64, length: u64, index: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.segment(number))?.set_len(length)?;
        // Where there are no events there is no index.
        if index.is_empty() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).mode(MODE).open(self.index_file(number))?;
        file.write_all_at(index, 0)
    }

    fn index(&self, number: u64) -> io::Result<Vec<u8>> {
        fs::read(self.index_file(number))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.index_file(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::remove_file(self.segment(number))
    }
}

/// What was made or renamed in a directory stays. `fsync`, since `fdatasync` of a directory need not write its entries.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT)?.strip_suffix('.')?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().filter(|number| *number < NUMBER_END)).flatten()
}

/// Events are for the service and its group.
pub(super) const MODE: u32 = 0o640;
const SEGMENT: &str = "seg";
const INDEX: &str = "idx";
/// No segment of ours gets so far, and there is always a next one.
const NUMBER_END: u64 = u64::MAX / 2;
/// So many that names sort as numbers do.
const DIGITS: usize = 20;
