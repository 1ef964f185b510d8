//! File systems of a test's own, which are small or refuse something. Mounting one needs root.

use std::path::Path;
use std::process::Command;

/// A file system of its own, until it is dropped.
pub struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    /// One in memory that holds `size`, as `mount` reads it.
    pub fn tmpfs<'a>(at: &'a Path, size: &str) -> Mounted<'a> {
        Mounted::make(at, &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    /// One that refuses `O_DIRECT`.
    pub fn ramfs(at: &Path) -> Mounted<'_> {
        Mounted::make(at, &["-t", "ramfs", "ramfs"])
    }

    fn make<'a>(at: &'a Path, arguments: &[&str]) -> Mounted<'a> {
        let made = Command::new("mount").args(arguments).arg(at).status().expect("mount is there");
        assert!(made.success(), "a file system is mounted, which needs root");
        Mounted(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // What is still open in it goes with its last user.
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}
