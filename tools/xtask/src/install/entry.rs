//! A file of an installation, and how it comes to its place: written beside it under another name, and renamed.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::shell::Failure;

/// A file to be.
pub(crate) struct Entry {
    /// Below the prefix.
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    pub(crate) is_program: bool,
}

pub(crate) enum Content {
    /// That of another file.
    Copy(PathBuf),
    Bytes(Vec<u8>),
    /// A link to this path, which begins at its folder.
    Link(String),
}

impl Entry {
    /// A file that is not run.
    pub(crate) fn new(path: impl Into<PathBuf>, content: Content) -> Entry {
        Entry { path: path.into(), content, is_program: false }
    }
}

/// Puts each entry below `root`, whatever was there before.
pub(crate) fn place(entries: &[Entry], root: &Path) -> Result<(), Failure> {
    for entry in entries {
        let path = root.join(&entry.path);
        put(entry, &path).map_err(|source| Failure::File { path, source })?;
    }
    Ok(())
}

fn put(entry: &Entry, path: &Path) -> io::Result<()> {
    let folder = path.parent().expect("an entry has a name");
    make_folder(folder)?;
    match &entry.content {
        Content::Copy(from) => put_bytes(&fs::read(from)?, entry.is_program, folder, path),
        Content::Bytes(bytes) => put_bytes(bytes, entry.is_program, folder, path),
        Content::Link(to) => {
            let link = tempfile::Builder::new().make_in(folder, |fresh| symlink(to, fresh))?;
            link.persist(path).map_err(|error| error.error)
        }
    }
}

fn put_bytes(bytes: &[u8], is_program: bool, folder: &Path, path: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    let mode = if is_program { 0o755 } else { 0o644 };
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// Makes what is missing of a folder, open to everybody whatever the umask says.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}
