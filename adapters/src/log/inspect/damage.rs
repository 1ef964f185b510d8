//! What a verification finds: counts, and what is wrong, and where.

use std::fmt;
use std::path::PathBuf;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Which shard's log it is.
    pub shard: u16,
    /// Segments that are there.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events that are whole.
    pub events: u64,
    /// Events that are damaged or missing: readers pass them over.
    pub damaged_events: u64,
    /// Sequence of the oldest event, or where there is none, `end`.
    pub first: u64,
    /// One past the last event.
    pub end: u64,
    /// Sequence with which the log goes on.
    pub next: u64,
    /// Whether it was closed by whoever had it.
    pub was_closed: bool,
    /// Segments of which nothing is part of the log. They go when it is opened.
    pub void: Vec<u64>,
    /// Segments whose header is bad. They stay.
    pub unreadable: Vec<u64>,
    /// What is wrong: the first of it, where it is very much.
    pub damage: Vec<Damage>,
    /// How many times something is wrong.
    pub damage_count: u64,
    /// What lies behind the end.
    pub tail: Option<Tail>,
}

/// What lies behind the end of a log: begun and not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The segment.
    pub path: PathBuf,
    /// Where it begins there.
    pub offset: u64,
    /// Up to the last byte that is not zero.
    pub bytes: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.damage_count == 0
    }
}

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
