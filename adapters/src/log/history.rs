//! The history of a bus's log: how many shards have written it, and where each number of them ended.

use std::io;
use std::num::NonZeroU16;
use std::path::Path;

use engine::event::Sequence;
use engine::layouts::Layouts;
use serde::{Deserialize, Serialize};

use super::disk::Folder;
use super::folders::{folder_of, shards_there};
use super::recovery::recover;

/// How many shards write, and what was written under other numbers of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    /// Shards of the bus that writes, or that wrote last. `None` where that is not known, or the log is a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shards: Option<NonZeroU16>,
    /// For each earlier number of shards, the oldest first, and for each shard's log of that time one past the last event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ended: Vec<Vec<u64>>,
}

impl History {
    /// That of a bus with `shards` shards which goes on with the logs in `directory`.
    pub(super) fn of_bus(&self, shards: NonZeroU16, directory: &Path) -> io::Result<History> {
        let there = shards_there(directory)?;
        let mut ended = self.ended.clone();
        if self.shards != Some(shards) && there > 0 {
            let ends = (0..there).map(|shard| end(directory, shard)).collect::<io::Result<Vec<u64>>>()?;
            let last = ended.last().map_or(&[][..], Vec::as_slice);
            if !have_the_same(last, &ends) {
                ended.push(ends);
            }
            ended.drain(..ended.len().saturating_sub(ENDED_MAX));
        }
        Ok(History { shards: Some(shards), ended })
    }

    /// What readers read first.
    pub(super) fn layouts(&self) -> Layouts {
        let sequences = |ends: &Vec<u64>| ends.iter().copied().map(Sequence).collect();
        Layouts::new(&self.ended.iter().map(sequences).collect::<Vec<_>>())
    }
}

/// One past the last event of a shard's log.
fn end(directory: &Path, shard: u16) -> io::Result<u64> {
    let path = folder_of(directory, shard);
    if !path.is_dir() {
        return Ok(0);
    }
    Ok(recover(&Folder::new(path), 0)?.end.0)
}

/// Whether nothing was written between these ends.
fn have_the_same(before: &[u64], after: &[u64]) -> bool {
    let end =
        |ends: &[u64], shard: usize| ends.get(shard).copied().unwrap_or_default().max(Sequence::FIRST.0);
    (0..before.len().max(after.len())).all(|shard| end(before, shard) == end(after, shard))
}

/// Earlier numbers of shards that are told apart; older ones are read as one.
const ENDED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shards(count: u16) -> NonZeroU16 {
        NonZeroU16::new(count).expect("not zero")
    }

    #[test]
    fn another_number_of_shards_begins_a_layout_if_something_was_written() {
        let dir = tempfile::tempdir().expect("a directory is made");
        let of_bus = |before: &History, count| {
            before.of_bus(shards(count), dir.path()).expect("the directory is readable")
        };
        let two = of_bus(&History::default(), 2);
        assert_eq!(two, History { shards: Some(shards(2)), ended: vec![] });
        for shard in [0, 1] {
            fs::create_dir(folder_of(dir.path(), shard)).expect("there is space");
        }
        assert_eq!(of_bus(&two, 2), two);
        assert_eq!(of_bus(&two, 3), History { shards: Some(shards(3)), ended: vec![] }, "nothing was");
        let written = History { shards: Some(shards(2)), ended: vec![vec![9, 7]] };
        let three = of_bus(&written, 3);
        assert_eq!(three, History { shards: Some(shards(3)), ended: vec![vec![9, 7], vec![1, 1]] });
        // It is not known who wrote last.
        let of_before = History { shards: None, ..written };
        assert_eq!(of_bus(&of_before, 2).ended.len(), 2);
    }

    #[test]
    fn ends_say_whether_something_was_written_between_them() {
        for (before, after, same) in [
            (&[][..], &[1, 1][..], true),
            (&[5, 1], &[5], true),
            (&[5, 1], &[5, 1, 1], true),
            (&[5], &[6], false),
            (&[5], &[5, 2], false),
        ] {
            assert_eq!(have_the_same(before, after), same, "{before:?} and {after:?}");
        }
    }

    #[test]
    fn the_oldest_layouts_become_one() {
        let dir = tempfile::tempdir().expect("a directory is made");
        fs::create_dir(folder_of(dir.path(), 0)).expect("there is space");
        let ended: Vec<Vec<u64>> = (2..=ENDED_MAX as u64 + 1).map(|end| vec![end]).collect();
        let many = History { shards: Some(shards(1)), ended };
        let more = many.of_bus(shards(2), dir.path()).expect("it is readable");
        assert_eq!(more.ended.len(), ENDED_MAX);
        assert_eq!((&more.ended[0], &more.ended[ENDED_MAX - 1]), (&vec![3], &vec![1]));
    }
}
