//! The identity of a log: a small file that every shard's segments belong to, made with the directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use engine::identity::random_word;
use serde::{Deserialize, Serialize};

use super::disk::{MODE, sync_directory};
use super::history::History;

/// What a log is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogIdentity {
    version: u32,
    /// Cursors carry it.
    pub(super) incarnation: u64,
    /// The producer identity of whoever appends.
    pub(super) producer: u64,
    /// Who writes, and who wrote before.
    #[serde(flatten)]
    pub(super) history: History,
}

impl LogIdentity {
    /// That of the log in `directory`; a new one where there is none.
    pub(super) fn load_or_make(directory: &Path) -> io::Result<LogIdentity> {
        LogIdentity::load(directory)?.map_or_else(|| LogIdentity::make(directory), Ok)
    }

    /// That of the log in `directory`, if there is one.
    pub(super) fn load(directory: &Path) -> io::Result<Option<LogIdentity>> {
        match read(&directory.join(FILE)) {
            Ok(bytes) => LogIdentity::parse(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the file says.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<LogIdentity> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let identity: LogIdentity = serde_json::from_slice(bytes)
            .map_err(|error| invalid(format!("{FILE} is not a log's: {error}")))?;
        if identity.version != VERSION {
            let version = identity.version;
            return Err(invalid(format!("{FILE} has version {version}, and this is for {VERSION}")));
        }
        Ok(identity)
    }

    fn make(directory: &Path) -> io::Result<LogIdentity> {
        let (incarnation, producer) = (random_word(), random_word());
        let identity = LogIdentity { version: VERSION, incarnation, producer, history: History::default() };
        identity.save(directory)?;
        Ok(identity)
    }

    /// Takes the place of what the file says, whole and to stay, or not at all.
    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self)?;
        let new = directory.join(NEW_FILE);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(MODE).open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        sync_directory(directory)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    if read as u64 == BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is larger than a log's")));
    }
    Ok(bytes)
}

/// Above what a log of the most shards and layouts has.
const BYTES_MAX: u64 = 64 << 20;

const FILE: &str = "log.json";
const NEW_FILE: &str = "log.json.new";
const VERSION: u32 = 1;
