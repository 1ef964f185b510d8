//! The identity of a log: a small file that every shard's segments belong to, made with the directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use engine::identity::random_word;
use serde::{Deserialize, Serialize};

use super::disk::{MODE, sync_directory};

/// What a log is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogIdentity {
    version: u32,
    /// Cursors carry it.
    pub(super) incarnation: u64,
    /// The producer identity of whoever appends.
    pub(super) producer: u64,
}

impl LogIdentity {
    /// That of the log in `directory`; a new one where there is none.
    pub(super) fn load_or_make(directory: &Path) -> io::Result<LogIdentity> {
        LogIdentity::load(directory)?.map_or_else(|| LogIdentity::make(directory), Ok)
    }

    /// That of the log in `directory`, if there is one.
    pub(super) fn load(directory: &Path) -> io::Result<Option<LogIdentity>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => {
                let identity: LogIdentity = serde_json::from_slice(&bytes).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is not a log's: {error}"))
                })?;
                if identity.version != VERSION {
                    let what = format!("{FILE} has version {}, and this is for {VERSION}", identity.version);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                Ok(Some(identity))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make(directory: &Path) -> io::Result<LogIdentity> {
        let identity = LogIdentity { version: VERSION, incarnation: random_word(), producer: random_word() };
        let text = serde_json::to_string(&identity)?;
        let new = directory.join(NEW_FILE);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(MODE).open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        sync_directory(directory)?;
        Ok(identity)
    }
}

const FILE: &str = "log.json";
const NEW_FILE: &str = "log.json.new";
const VERSION: u32 = 1;
