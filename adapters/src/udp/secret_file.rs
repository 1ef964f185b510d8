//! Files with a secret in them: small, regular, no links, and open to nobody but their owner.
//!
//! What is checked is the file that was opened, so that none can be put in its place between the check and the reading.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Why a file is not read. For the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a symbolic link")]
    Link,
    #[error("not a regular file")]
    NotRegular,
    #[error("its mode is {0:03o}, and nobody but its owner may have it: chmod 600")]
    Exposed(u32),
    #[error("longer than {FILE_BYTES_MAX} bytes")]
    Long,
    #[error("not text")]
    NotText,
}

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let mut options = OpenOptions::new();
    // A pipe is refused without waiting for who writes into it.
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => SecretFileError::Link,
        _ => SecretFileError::Io(error),
    })?;
    check(&file)?;
    // Long enough from the start, so that no shorter copy is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(SecretFileError::Long);
    }
    let text = str::from_utf8(&text).map_err(|_| SecretFileError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn check(file: &File) -> Result<(), SecretFileError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotRegular);
    }
    let mode = metadata.mode() & PERMISSIONS;
    if mode & OTHERS != 0 {
        return Err(SecretFileError::Exposed(mode));
    }
    Ok(())
}

/// More than any key file.
const FILE_BYTES_MAX: usize = 1_024;
const PERMISSIONS: u32 = 0o7777;
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_a_regular_file_of_its_owner_alone_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, "text\n").expect("writable");
        for mode in 0..0o1000 {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its owner");
            match read(&path) {
                Ok(_) => assert_eq!(mode & 0o077, 0, "{mode:03o}"),
                Err(SecretFileError::Exposed(shown)) => {
                    assert!(shown == mode && mode & 0o077 != 0, "{mode:03o}");
                }
                // Root reads it all the same.
                Err(error) => assert_eq!(mode & 0o400, 0, "{mode:03o}: {error}"),
            }
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner");
        assert_eq!(*read(&path).expect("its owner's"), "text\n");
    }

    #[test]
    fn links_folders_pipes_sockets_and_devices_are_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let secret = path("secret");
        fs::write(&secret, "text").expect("writable");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("its owner");
        symlink(&secret, path("link")).expect("the folder is empty");
        assert!(matches!(read(&path("link")), Err(SecretFileError::Link)));
        assert!(matches!(read(folder.path()), Err(SecretFileError::NotRegular)));
        assert!(matches!(read(Path::new("/dev/null")), Err(SecretFileError::NotRegular)));
        let _listener = UnixListener::bind(path("socket")).expect("the folder is empty");
        assert!(matches!(read(&path("socket")), Err(SecretFileError::Io(_))));
        let made = Command::new("mkfifo").arg(path("pipe")).status().expect("a program of every system");
        assert!(made.success());
        assert!(matches!(read(&path("pipe")), Err(SecretFileError::NotRegular)));
        assert!(matches!(read(&path("missing")), Err(SecretFileError::Io(_))));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let read_of = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("writable");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner");
            read(&path)
        };
        assert!(read_of(&[b'x'; FILE_BYTES_MAX]).is_ok());
        assert!(matches!(read_of(&[b'x'; FILE_BYTES_MAX + 1]), Err(SecretFileError::Long)));
        assert!(matches!(read_of(b"\xff"), Err(SecretFileError::NotText)));
    }
}
