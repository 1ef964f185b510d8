//! The producer identity: the number under which a backend knows this bus's events.
//!
//! Identity, shard and sequence name an event for ever. It is random at each start unless a file keeps it; then the
//! file is locked while a thread of the bus lives, so that two buses never write under the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A producer identity, and the lock on the file that keeps it.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) nonce: u64,
    /// Whether no bus has had it before.
    pub(crate) is_new: bool,
    _locked: Option<File>,
}

impl Identity {
    /// A new identity.
    pub(crate) fn random() -> Identity {
        Identity { nonce: random_word(), is_new: true, _locked: None }
    }

    /// One that the store keeps.
    pub(crate) fn kept(nonce: u64) -> Identity {
        Identity { nonce, is_new: false, _locked: None }
    }

    /// The identity in the file at `path`, which is made with a new one where it is missing.
    pub(crate) fn load(path: &Path) -> io::Result<Identity> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another bus uses this identity"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = String::new();
        Read::by_ref(&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let is_new = text.is_empty();
        let nonce = if is_new {
            let nonce = random_word();
            writeln!(file, "{nonce:016x}")?;
            file.sync_all()?;
            nonce
        } else {
            let digits = text.trim_end();
            let nonce = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == NONCE_DIGITS);
            nonce.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a producer identity"))?
        };
        Ok(Identity { nonce, is_new, _locked: Some(file) })
    }
}

/// A random word from the keys that the standard library takes from the system for its hash maps.
pub fn random_word() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

const NONCE_DIGITS: usize = 16;
const FILE_BYTES_MAX: u64 = 64;
