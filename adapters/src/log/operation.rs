//! What a log asks of its disk while it runs, and what it is told. Each operation is answered once, in whatever order.

use std::io;

use engine::batch::Batch;

use super::format::block::Draft;
use super::format::header::Header;
use super::format::index::Index;

/// Something to do with the files of one shard.
#[derive(Debug)]
pub(super) enum Operation {
    /// Make a segment, as [`Disk::create`](super::disk::Disk::create) has it.
    Create { header: Box<Header>, bytes: u64 },
    /// Write a block, which [`Log::encode`](super::running::Log::encode) puts together.
    Write(Write),
    /// Make durable what was written to a segment before.
    Sync { number: u64 },
    /// End a segment that is not written to any more.
    Seal { number: u64, length: u64, index: Vec<u8> },
    /// Remove a segment.
    Remove { number: u64 },
    /// Read from a segment.
    Read(Read),
    /// Load the index of a segment, or make it.
    LoadIndex { number: u64, salt: u64 },
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) number: u64,
    pub(super) at: u64,
    pub(super) draft: Draft,
    pub(super) salt: u64,
}

/// One read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Whose it is.
    pub(super) job: u64,
    pub(super) number: u64,
    pub(super) at: u64,
    pub(super) bytes: usize,
}

/// What became of an operation.
#[derive(Debug)]
pub(super) enum Done<'a> {
    Created {
        number: u64,
        result: io::Result<()>,
    },
    /// How much was written.
    Written {
        number: u64,
        at: u64,
        result: io::Result<usize>,
    },
    Synced {
        number: u64,
        result: io::Result<()>,
    },
    Sealed {
        number: u64,
        result: io::Result<()>,
    },
    Removed {
        number: u64,
        result: io::Result<()>,
    },
    /// What there was: less than was asked for only where the segment ends.
    Read {
        read: Read,
        result: io::Result<&'a [u8]>,
    },
    IndexLoaded {
        number: u64,
        result: io::Result<Index>,
    },
}

impl Write {
    /// Puts the block together. `batch` has its events.
    pub(super) fn encode(&self, batch: Option<&Batch>, out: &mut [u8]) {
        self.draft.encode(batch, self.salt, out);
    }
}
