//! What is wrong in a log, and where.

use std::fmt;
use std::path::PathBuf;

/// Something that is not as the format has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where it begins there.
    pub offset: u64,
    /// How long it is, as far as that is known.
    pub bytes: u64,
    /// Events that it takes.
    pub events: u64,
    /// What it is.
    pub kind: DamageKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// One copy of a header is bad; the other one serves.
    HeaderCopy,
    /// Both copies of a header are bad, or are not of this segment: nothing in it is read.
    Header,
    /// The segment belongs to another shard or to another log.
    Foreign,
    /// There are pages of no block where one must be.
    Pages,
    /// There is a block that does not follow the one before it.
    Misplaced,
    /// Records are bad.
    Records,
    /// Events are missing although nothing there is bad.
    Missing,
    /// Something stands where there must be zeros.
    Padding,
    /// The segment ends in the middle of a block.
    Cut,
    /// The index is bad. It is made anew where it is needed.
    Index,
    /// `log.json` is bad, for this reason. A bus does not open such a log.
    Identity(String),
    /// The disk did not give it, for this reason.
    Disk(String),
}

impl DamageKind {
    /// A word for it.
    pub fn word(&self) -> &'static str {
        match self {
            DamageKind::HeaderCopy => "header_copy",
            DamageKind::Header => "header",
            DamageKind::Foreign => "foreign",
            DamageKind::Pages => "pages",
            DamageKind::Misplaced => "misplaced",
            DamageKind::Records => "records",
            DamageKind::Missing => "missing",
            DamageKind::Padding => "padding",
            DamageKind::Cut => "cut",
            DamageKind::Index => "index",
            DamageKind::Identity(_) => "identity",
            DamageKind::Disk(_) => "disk",
        }
    }
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DamageKind::HeaderCopy => "one copy of the header is bad, and the other one serves",
            DamageKind::Header => "the header is bad in both copies: nothing of the segment is read",
            DamageKind::Foreign => "the segment is another shard's or another log's",
            DamageKind::Pages => "pages are bad",
            DamageKind::Misplaced => "a block does not follow the one before it",
            DamageKind::Records => "records are bad",
            DamageKind::Missing => "events are missing",
            DamageKind::Padding => "something stands where there must be zeros",
            DamageKind::Cut => "the segment ends in the middle of a block",
            DamageKind::Index => "the index is bad, and is made anew where it is needed",
            DamageKind::Identity(why) => return write!(f, "no bus opens this log: {why}"),
            DamageKind::Disk(why) => return write!(f, "the disk did not give it: {why}"),
        })
    }
}
