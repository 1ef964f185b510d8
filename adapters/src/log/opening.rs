//! The opening: recovers a log, and makes the segment in which it goes on. What a process that has ended may not have synced is written
//! again into that one, since a sync of the old ones could say that all is well where it is not.

use std::io;

use engine::batch::Batch;
use engine::event::Sequence;
use engine::identity::random_word;

use super::active::{self, Identity};
use super::catalog::Segment;
use super::disk::Disk;
use super::format::block::Draft;
use super::format::header::{HEADER_BYTES, Header};
use super::format::index::Index;
use super::format::record::Item;
use super::options::Options;
use super::recovery::{Recovered, recover};
use super::running::Log;
use super::scan::Scan;

/// The segment in which a log goes on.
#[derive(Debug)]
pub(super) struct FirstSegment {
    pub(super) header: Header,
    /// Where it goes on.
    pub(super) at: u64,
    pub(super) length: u64,
    /// What it has already, and one past what was submitted before.
    pub(super) copied: Option<(Segment, Sequence)>,
}

/// Opens the log on `disk`.
pub(super) fn open(disk: &dyn Disk, identity: Identity, options: Options, wall_ns: u64) -> io::Result<Log> {
    let recovered = recover(disk, identity.boot_id)?;
    let copies = match recovered.undurable_from {
        Some(from) => copy(disk, &recovered, from)?,
        None => Vec::new(),
    };
    let catalog = Log::catalog(options, &recovered);
    let (number, salt) = (recovered.next_number, random_word());
    let header =
        active::header(identity, number, recovered.next, options.segment_bytes, &catalog, salt, wall_ns);
    let base = copies.first().map_or(header.base, |copy| copy.batch.first().min(header.base));
    let header = Header { base, ..header };
    let mut content = header.encode();
    let copied = append(&copies, number, salt, recovered.end, &mut content);
    let bytes = options.segment_bytes.max(content.len() as u64);
    disk.create(number, bytes, &content).map_err(|error| {
        io::Error::new(error.kind(), format!("segment {number} could not be made: {error}"))
    })?;
    let first = FirstSegment { header, at: content.len() as u64, length: bytes, copied };
    Ok(Log::new(identity, options, &recovered, first))
}

/// Events that are written again, and what was submitted before them.
struct Copy {
    batch: Batch,
    previous_end: Sequence,
}

/// The events from `from` on that can be read.
fn copy(disk: &dyn Disk, recovered: &Recovered, from: Sequence) -> io::Result<Vec<Copy>> {
    let mut copies: Vec<Copy> = Vec::new();
    for segment in recovered.segments.iter().filter(|segment| segment.end > from) {
        let mut scan = Scan::new(disk, segment.found.number, segment.header.salt);
        while let Some((at, block)) = scan.block()? {
            let end = segment.end.min(recovered.jumps.until(block.first));
            if block.end() <= from || block.first >= end || recovered.jumps.over(block.first).is_some() {
                continue;
            }
            let bytes = scan.bytes(at, &block)?;
            let mut records = block.records(&bytes, segment.header.salt);
            records.skip_to(from);
            for item in records {
                let Item::Event(event) = item else { continue };
                if event.sequence >= end {
                    break;
                }
                let fits = |copy: &Copy| {
                    copy.batch.end() == event.sequence && copy.batch.record_bytes() < COPY_BYTES_MAX
                };
                if !copies.last().is_some_and(fits) {
                    // What is missing within a block is damaged, and stays so.
                    let is_first = event.sequence == block.first;
                    let previous_end = if is_first { block.previous_end } else { event.sequence };
                    copies.push(Copy { batch: Batch::default(), previous_end });
                }
                let batch = &mut copies.last_mut().expect("pushed above").batch;
                batch.push_at(event.sequence, event.timestamp_ns, event.hash, event.flags, event.payload);
            }
        }
    }
    Ok(copies)
}

/// Appends a block for each copy to `content`, and tells what that makes of the segment. Its header makes all of it durable, up to
/// `durable_end`.
fn append(
    copies: &[Copy],
    number: u64,
    salt: u64,
    durable_end: Sequence,
    content: &mut Vec<u8>,
) -> Option<(Segment, Sequence)> {
    let first = copies.first()?.batch.first();
    let (mut index, mut end, mut newest_ns) = (Index::default(), first, 0);
    for Copy { batch, previous_end } in copies {
        let draft = Draft::of(batch, 0, *previous_end, durable_end);
        let at = content.len();
        content.resize(at + draft.bytes(), 0);
        draft.encode(Some(batch), salt, &mut content[at..]);
        (end, newest_ns) = (batch.end(), draft.header.newest_ns);
        index.note(batch.first(), end, at as u64, draft.bytes() as u64);
    }
    let bytes = content.len() as u64;
    debug_assert!(bytes > HEADER_BYTES as u64, "there is a block");
    let segment = Segment { number, salt, first, end, bytes, newest_ns, index: Some(index), readers: 0 };
    Some((segment, copies.first()?.previous_end))
}

/// Bytes of records that one block gets, about.
const COPY_BYTES_MAX: usize = 256 << 10;
