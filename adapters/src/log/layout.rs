//! The layout of a log's directory: which folder has which shard's log, and where shards ended that wrote under another number of them.

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use engine::event::Sequence;
use engine::layouts::Layouts;
use serde::{Deserialize, Serialize};

use super::disk::Folder;
use super::recovery::recover;

/// How many shards have written, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// Shards of the bus that writes, or that wrote last. `None` where that is not known, or the log is a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shards: Option<NonZeroU16>,
    /// For each earlier layout, the oldest first, and each shard's log of that time one past the last event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layouts: Vec<Vec<u64>>,
}

impl Layout {
    /// That of a bus with `shards` shards which goes on with the logs in `directory`.
    pub(super) fn of_bus(&self, shards: NonZeroU16, directory: &Path) -> io::Result<Layout> {
        let there = shards_there(directory)?;
        let before = self.shards.or(NonZeroU16::new(there));
        let mut layouts = self.layouts.clone();
        if before.is_some_and(|before| before != shards) {
            let ends = (0..there).map(|shard| end(directory, shard)).collect::<io::Result<Vec<u64>>>()?;
            // Otherwise nothing was written in between.
            if layouts.last() != Some(&ends) {
                layouts.push(ends);
            }
            layouts.drain(..layouts.len().saturating_sub(LAYOUTS_MAX));
        }
        Ok(Layout { shards: Some(shards), layouts })
    }

    /// What readers read first.
    pub(super) fn layouts(&self) -> Layouts {
        let sequences = |ends: &Vec<u64>| ends.iter().copied().map(Sequence).collect();
        Layouts::new(&self.layouts.iter().map(sequences).collect::<Vec<_>>())
    }
}

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

/// One past the last event of a shard's log.
fn end(directory: &Path, shard: u16) -> io::Result<u64> {
    let path = folder_of(directory, shard);
    if !path.is_dir() {
        return Ok(0);
    }
    Ok(recover(&Folder::new(path), 0)?.end.0)
}

const SHARD: &str = "shard-";
/// Earlier layouts that are told apart; older ones are read as one.
const LAYOUTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16) -> NonZeroU16 {
        NonZeroU16::new(count).expect("not zero")
    }

    #[test]
    fn another_number_of_shards_ends_a_layout() {
        let dir = tempfile::tempdir().expect("a directory is made");
        let two = Layout::default().of_bus(shards(2), dir.path()).expect("the directory is readable");
        assert_eq!(two, Layout { shards: Some(shards(2)), layouts: vec![] });
        for shard in [0, 1] {
            fs::create_dir(folder_of(dir.path(), shard)).expect("there is space");
        }
        assert_eq!(two.of_bus(shards(2), dir.path()).expect("it is readable"), two);
        let three = two.of_bus(shards(3), dir.path()).expect("it is readable");
        assert_eq!(three, Layout { shards: Some(shards(3)), layouts: vec![vec![1, 1]] });
        let four = three.of_bus(shards(4), dir.path()).expect("it is readable");
        assert_eq!(four.layouts, three.layouts, "nothing was written under three");
        // A log of which it is not known who wrote it last.
        let of_before = Layout::default().of_bus(shards(2), dir.path()).expect("it is readable");
        assert_eq!(of_before, two);
    }

    #[test]
    fn the_oldest_layouts_become_one() {
        let dir = tempfile::tempdir().expect("a directory is made");
        let layouts: Vec<Vec<u64>> = (1..=LAYOUTS_MAX as u64).map(|end| vec![end, end]).collect();
        let many = Layout { shards: Some(shards(1)), layouts };
        let more = many.of_bus(shards(2), dir.path()).expect("it is readable");
        assert_eq!(more.layouts.len(), LAYOUTS_MAX);
        assert_eq!((&more.layouts[0], &more.layouts[LAYOUTS_MAX - 1]), (&vec![2, 2], &vec![]));
    }
}
