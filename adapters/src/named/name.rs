//! Names of files: short paths of lower-case components, safe to become directories.

use std::fmt;
use std::path::{Path, PathBuf};

/// The name of a file: 1 to 255 bytes of `[a-z0-9._/-]`, with components between slashes, of at most 249 bytes, of which none is
/// empty, `.` or `..`. A component in front of a slash does not end in `.redex`, because that is how the directory of a file ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No byte, or too many.
    #[error("a name has 1 to {NAME_BYTES_MAX} bytes, not {0}")]
    Length(usize),
    /// A byte that may not be in it.
    #[error("a name has only a-z, 0-9, '.', '_', '/' and '-' in it; byte {0} is another")]
    Byte(usize),
    /// More than the directory of a file can be called.
    #[error("a component of a name has at most {COMPONENT_BYTES_MAX} bytes, not {0}")]
    ComponentLength(usize),
    /// Nothing, `.` or `..` between two slashes or at an end.
    #[error("no component of a name is empty, '.' or '..'")]
    Component,
    /// A folder that looks like a file.
    #[error("no component in front of a '/' ends in '.redex'")]
    Suffix,
}

impl Name {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(NameError::Length(text.len()));
        }
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'/' | b'-');
        if let Some(index) = text.bytes().position(|byte| !is_allowed(byte)) {
            return Err(NameError::Byte(index));
        }
        if text.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(NameError::Component);
        }
        let longest = text.split('/').map(str::len).max().unwrap_or_default();
        if longest > COMPONENT_BYTES_MAX {
            return Err(NameError::ComponentLength(longest));
        }
        let folders = text.rsplit('/').skip(1);
        if folders.into_iter().any(|folder| folder.ends_with(SUFFIX)) {
            return Err(NameError::Suffix);
        }
        Ok(Name(text.into()))
    }

    /// The directory of the file below `root`: `a/b` lies in `a/b.redex`.
    pub fn directory(&self, root: &Path) -> PathBuf {
        root.join(format!("{}{SUFFIX}", self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

const NAME_BYTES_MAX: usize = 255;
/// With `.redex` behind it is a name in a file system.
const COMPONENT_BYTES_MAX: usize = 255 - SUFFIX.len();
const SUFFIX: &str = ".redex";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_the_directory_or_meet_another_file_is_no_name() {
        for (text, error) in [
            ("", NameError::Length(0)),
            ("A", NameError::Byte(0)),
            ("a b", NameError::Byte(1)),
            ("a\\b", NameError::Byte(1)),
            ("ä", NameError::Byte(0)),
            ("a\0", NameError::Byte(1)),
            ("/a", NameError::Component),
            ("a/", NameError::Component),
            ("a//b", NameError::Component),
            (".", NameError::Component),
            ("..", NameError::Component),
            ("a/../b", NameError::Component),
            ("a/.", NameError::Component),
            ("a.redex/b", NameError::Suffix),
            (".redex/b", NameError::Suffix),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Name::parse(&"a".repeat(256)), Err(NameError::Length(256)));
        assert!(Name::parse(&format!("b/{}", "a".repeat(249))).is_ok());
        let long = Name::parse(&format!("b/{}", "a".repeat(250)));
        assert_eq!(long, Err(NameError::ComponentLength(250)), "its directory could not be made");
    }

    #[test]
    fn a_name_becomes_a_directory_of_its_own_below_the_root() {
        for (text, directory) in [
            ("orders", "r/orders.redex"),
            ("a/b-c/d_1.x", "r/a/b-c/d_1.x.redex"),
            ("...", "r/....redex"),
            ("a.redex", "r/a.redex.redex"),
        ] {
            let name = Name::parse(text).expect("a name");
            assert_eq!(name.directory(Path::new("r")), Path::new(directory));
        }
    }
}
