//! The inspection: what the tools know of the logs in a directory. It lists, reads and verifies without changing anything, also while
//! a bus uses them, and repairs what opening a log would repair. Everything here waits for the disk.

mod damage;
mod events;
mod pages;
mod repair;
mod segments;
mod verify;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::boot_id;
use super::disk::{Disk, Folder, Found};
use super::folders::{folder_of, shard_of};
use super::format::header::{HEADER_BYTES, Header};
use super::identity::LogIdentity;
use super::lock::Lock;
use super::recovery::{self, Recovered};

pub use engine::event::Event;
use engine::event::Sequence;

pub use damage::{Damage, DamageKind, Tail, Verified};
pub use events::Events;
pub use repair::{Repair, Step};
pub use segments::{IndexState, Segment, SegmentState};

/// The logs in a directory.
#[derive(Debug)]
pub struct Inspection {
    directory: PathBuf,
    logs: Vec<ShardLog>,
    /// Why `log.json` tells nothing.
    identity_refused: Option<String>,
}

/// The log of one shard, or the only one of its directory.
#[derive(Debug)]
pub struct ShardLog {
    shard: u16,
    path: PathBuf,
    folder: Folder,
    incarnation: Option<u64>,
    is_in_use: bool,
}

/// Why nothing is told of a log.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// For the operator.
    #[error("there is no log in `{}`", .0.display())]
    NotALog(PathBuf),
    /// For the operator, or to be tried again where a log is in use.
    #[error("`{}`: {source}", path.display())]
    Disk {
        /// What could not be read or written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment could not be read. To be tried again where a log is in use.
    #[error("`{}`: {why}", path.display())]
    Read {
        /// Where the log is.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// To be tried again once it is not.
    #[error("`{}` is in use", .0.display())]
    InUse(PathBuf),
}

impl Inspection {
    /// Looks for logs in `directory`: those of a bus, or one, such as a named file's.
    pub fn open(directory: &Path) -> Result<Inspection, InspectError> {
        let refused = |source| InspectError::Disk { path: directory.to_owned(), source };
        // The directory around it is what a shard's is locked by.
        let directory = &fs::canonicalize(directory).map_err(refused)?;
        let mut shards = Vec::new();
        let mut is_single = false;
        for entry in fs::read_dir(directory).map_err(refused)? {
            let name = entry.map_err(refused)?.file_name();
            let path = Path::new(&name);
            is_single |= path.extension().is_some_and(|extension| extension == "seg") || name == "log.json";
            shards.extend(name.to_str().and_then(shard_of));
        }
        if shards.is_empty() && !is_single {
            return Err(InspectError::NotALog(directory.to_owned()));
        }
        shards.sort_unstable();
        let (identity, identity_refused) = match LogIdentity::load(directory) {
            Ok(Some(identity)) => (Some(identity), None),
            Ok(None) => (None, Some("it is not there".to_owned())),
            Err(error) => (None, Some(error.to_string())),
        };
        let is_in_use = is_in_use(directory, shards.is_empty()).map_err(refused)?;
        let incarnation = identity.map(|identity| identity.incarnation);
        let log = |shard, path: PathBuf| {
            let folder = Folder::new(&path);
            ShardLog { shard, path, folder, incarnation, is_in_use }
        };
        let logs = if shards.is_empty() {
            vec![log(0, directory.to_owned())]
        } else {
            shards.into_iter().map(|shard| log(shard, folder_of(directory, shard))).collect()
        };
        Ok(Inspection { directory: directory.to_owned(), logs, identity_refused })
    }

    /// The logs, by shard.
    pub fn logs(&self) -> &[ShardLog] {
        &self.logs
    }

    /// Whether a bus or another program uses them now.
    pub fn is_in_use(&self) -> bool {
        self.logs.iter().any(|log| log.is_in_use)
    }

    /// What is wrong with `log.json`, if something is.
    pub fn damage(&self) -> Option<Damage> {
        let why = self.identity_refused.clone()?;
        Some(Damage {
            path: self.directory.join("log.json"),
            offset: 0,
            bytes: 0,
            events: 0,
            kind: DamageKind::Identity(why),
        })
    }

    /// Keeps everybody else out for as long as the lock is there, which a repair has to.
    pub fn lock(&self) -> Result<Lock, InspectError> {
        if self.is_in_use() {
            return Err(InspectError::InUse(self.directory.clone()));
        }
        Lock::take(&self.directory).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => InspectError::InUse(self.directory.clone()),
            _ => InspectError::Disk { path: self.directory.clone(), source },
        })
    }
}

impl ShardLog {
    /// Which shard's it is.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Where its segments are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What opening it would find. Segments that a bus removes meanwhile make it look again.
    fn recover(&self) -> Result<Recovered, InspectError> {
        self.attempt(|folder| recover(folder))
    }

    fn found(&self) -> Result<Vec<Found>, InspectError> {
        self.attempt(Folder::segments)
    }

    /// Both copies of a segment's header, as far as they are good.
    fn headers(&self, number: u64) -> io::Result<[Option<Header>; 2]> {
        let mut bytes = vec![0; HEADER_BYTES];
        let length = self.folder.read(number, 0, &mut bytes)?;
        let (first, second) = bytes[..length].split_at(length.min(HEADER_BYTES / 2));
        Ok([first, second].map(|page| Header::decode(page).filter(|header| header.number == number)))
    }

    fn attempt<T>(&self, look: impl Fn(&Folder) -> io::Result<T>) -> Result<T, InspectError> {
        let mut result = look(&self.folder);
        for _ in 1..ATTEMPTS {
            match &result {
                Err(error) if error.kind() == io::ErrorKind::NotFound => result = look(&self.folder),
                _ => break,
            }
        }
        result.map_err(|source| self.refused(source))
    }

    fn refused(&self, source: io::Error) -> InspectError {
        InspectError::Disk { path: self.path.clone(), source }
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.folder.segment(number)
    }

    fn index_path(&self, number: u64) -> PathBuf {
        self.folder.segment(number).with_extension("idx")
    }
}

/// What opening the log would find.
fn recover(disk: &dyn Disk) -> io::Result<Recovered> {
    recovery::recover(disk, boot_id())
}

/// What the segment at `place` has at or above this is void, or a newer segment has it as well.
fn bound(recovered: &Recovered, place: usize) -> Sequence {
    recovered.segments[place].end
}

/// Whether a directory is locked; a single log also by who has locked the one around it.
fn is_in_use(directory: &Path, is_single: bool) -> io::Result<bool> {
    let around = directory.parent().filter(|_| is_single).filter(|path| !path.as_os_str().is_empty());
    Ok(Lock::is_taken(directory)? || around.map_or(Ok(false), Lock::is_taken)?)
}

/// How often a log is looked at whose segments are being removed.
const ATTEMPTS: u32 = 10;
