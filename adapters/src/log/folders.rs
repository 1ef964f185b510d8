//! The folders of a bus's log: which one has which shard's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the log of one shard is.
pub(super) fn folder_of(directory: &Path, shard: u16) -> PathBuf {
    directory.join(format!("{SHARD}{shard:05}"))
}

/// The shard whose log a folder of this name has.
pub(super) fn shard_of(name: &str) -> Option<u16> {
    let shard = name.strip_prefix(SHARD)?.parse().ok()?;
    (folder_of(Path::new(""), shard) == Path::new(name)).then_some(shard)
}

/// One more than the highest shard that `directory` has a log of.
pub(super) fn shards_there(directory: &Path) -> io::Result<u16> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let shard = entry.file_name().to_str().and_then(shard_of).filter(|_| entry.path().is_dir());
        count = count.max(shard.map_or(0, |shard| shard.saturating_add(1)));
    }
    Ok(count)
}

const SHARD: &str = "shard-";
