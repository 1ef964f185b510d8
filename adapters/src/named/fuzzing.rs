//! What fuzzing tries of the names of files and of their configuration.

use std::path::Path;

use super::config::FileConfig;
use super::name::Name;

/// A file's configuration.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    match FileConfig::parse(text, true) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.reason.is_empty() && FileConfig::parse(text, false).is_err(), "{error}");
            false
        }
    }
}

/// A file's name: its directory lies below the redex's.
pub(crate) fn name(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let Ok(name) = Name::parse(text) else { return false };
    let root = Path::new("/var/lib/redex");
    let directory = name.directory(root);
    let below = directory.strip_prefix(root).expect("it is below");
    assert!(
        below.components().all(|component| matches!(component, std::path::Component::Normal(_))),
        "{text}"
    );
    true
}
