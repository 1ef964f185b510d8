//! The files in which the kernel says how a machine is.

use std::fs;
use std::path::{Path, PathBuf};

/// The system's files, below a root of their own where they are tested.
pub(super) struct System {
    pub(super) root: PathBuf,
}

impl System {
    /// A value of `/proc/self/status`.
    pub(super) fn status(&self, name: &str) -> Option<String> {
        let status = self.read("proc/self/status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// The text of a file without the white space at its ends; empty where it cannot be read.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default().trim().to_owned()
    }
}

/// The numbers of a list such as `0-2,5`.
pub(super) fn listed(list: &str) -> Vec<usize> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_read_as_the_kernel_writes_it() {
        assert_eq!(listed("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(listed(""), [0; 0]);
    }
}
