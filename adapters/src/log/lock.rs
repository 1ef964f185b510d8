//! The lock on a directory: one bus at a time, in this process or another. It ends with the process, and a forked child has none.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::disk::MODE;

/// A directory's lock, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    inode: (u64, u64),
    file: Option<File>,
}

impl Lock {
    /// Locks `directory`, which is there.
    pub(super) fn take(directory: &Path) -> io::Result<Lock> {
        let path = directory.join(FILE);
        // Such a lock is the process's: it does not keep the process itself out, and closing any descriptor of the file ends it.
        // So the file is not even opened where this process has it.
        let mut held = held();
        if let Ok(metadata) = fs::metadata(&path)
            && held.contains(&(metadata.dev(), metadata.ino()))
        {
            return Err(in_use());
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(&path)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if [rustix::io::Errno::ACCESS, rustix::io::Errno::AGAIN].contains(&error) => {
                return Err(in_use());
            }
            Err(error) => return Err(error.into()),
        }
        let metadata = file.metadata()?;
        let inode = (metadata.dev(), metadata.ino());
        held.push(inode);
        Ok(Lock { inode, file: Some(file) })
    }

    /// Whether somebody has the lock, in this process or another. Takes nothing, and makes nothing.
    pub(super) fn is_taken(directory: &Path) -> io::Result<bool> {
        let path = directory.join(FILE);
        // As above, and for as long as the file is open.
        let held = held();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if held.contains(&(metadata.dev(), metadata.ino())) {
            return Ok(true);
        }
        let holder = fcntl_getlk(&File::open(&path)?, &Flock::from(FlockType::ReadLock))?;
        Ok(holder.is_some())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = held();
        drop(self.file.take());
        held.retain(|inode| *inode != self.inode);
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "another bus, or another process, uses the directory")
}

/// Device and inode of the locks that this process has.
fn held() -> MutexGuard<'static, Vec<(u64, u64)>> {
    static HELD: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no named file has.
const FILE: &str = "LOCK";
