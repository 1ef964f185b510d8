//! What fuzzing tries of the files of a log, and of the section that names them.

use std::io;

use engine::config::Config;
use engine::event::Sequence;
use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Disk, Found};
use super::format::block::{BLOCK_HEADER_BYTES, BlockHeader};
use super::format::header::{HEADER_BYTES, Header};
use super::format::index::Index;
use super::format::record::{Item, RECORD_HEADER_BYTES, record_bytes};
use super::format::{PAGE_BYTES, pages};
use super::identity::LogIdentity;
use super::options::LogConfig;
use super::recovery::recover;
use super::scan::{Scan, load_index};
use crate::fuzzing::json;

/// The section.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Some(options) = json(bytes) else { return false };
    let (config, _) = Config::parse("{}", &[]).expect("all defaults");
    match LogConfig::parse(options, &config) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.path.starts_with("log"), "{error}");
            false
        }
    }
}

/// The file `log.json`.
pub(crate) fn identity(bytes: &[u8]) -> bool {
    let Ok(identity) = LogIdentity::parse(bytes) else { return false };
    let text = serde_json::to_vec(&identity).expect("it can be written");
    assert_eq!(LogIdentity::parse(&text).ok().as_ref(), Some(&identity), "what is written can be read");
    let _ = identity.history.layouts();
    true
}

/// The file of an index, behind a byte that says whether its checksum is made good.
pub(crate) fn index(bytes: &[u8]) -> bool {
    let Some((&is_good, file)) = bytes.split_first() else { return false };
    let mut file = file.to_vec();
    if is_good % 2 == 1 && file.len() >= 8 {
        let sum = xxh3_64(&file[8..]) ^ SALT;
        file[..8].copy_from_slice(&sum.to_le_bytes());
    }
    let Some(index) = Index::decode(&file, SALT) else { return false };
    for sequence in [0, 1, 1 << 20, u64::MAX] {
        let _ = index.seek(Sequence(sequence));
    }
    assert_eq!(Index::decode(&index.encode(SALT), SALT), Some(index));
    true
}

/// A segment, of a script: a byte whose bits make checksums good, the beginning of its header behind the length of that, and pieces,
/// each behind its length, that are filled up to whole pages.
pub(crate) fn segment(bytes: &[u8]) -> bool {
    let Some((disk, salt)) = Segment::of(bytes) else { return false };
    let recovered = recover(&disk, 1).expect("the disk is readable");
    assert!(recovered.end <= recovered.next, "{recovered:?}");
    let _ = load_index(&disk, 1, salt).expect("the disk is readable");
    let mut scan = Scan::new(&disk, 1, salt);
    let mut events = 0;
    while let Some((at, block)) = scan.block().expect("the disk is readable") {
        let bytes = scan.bytes(at, &block).expect("the disk is readable");
        events += records(&block, &bytes, salt);
    }
    events > 0 && !recovered.segments.is_empty()
}

/// Reads the records of a block in each way. How many are whole.
fn records(block: &BlockHeader, bytes: &[u8], salt: u64) -> usize {
    let mut last = None;
    let mut events = 0;
    for item in block.records(bytes, salt) {
        let Item::Event(event) = item else { continue };
        assert!(event.sequence >= block.first && event.sequence < block.end(), "{block:?}");
        assert!(last < Some(event.sequence), "sequences rise: {block:?}");
        last = Some(event.sequence);
        events += 1;
    }
    for sequence in [block.first, last.unwrap_or(block.first), block.end()] {
        let mut records = block.records(bytes, salt);
        records.skip_to(sequence);
        let first =
            records.find_map(|item| if let Item::Event(event) = item { Some(event.sequence) } else { None });
        assert!(first.is_none_or(|first| first >= sequence), "{block:?}");
    }
    events
}

/// A disk with one segment.
struct Segment(Vec<u8>);

impl Segment {
    /// The segment of a script, and its salt.
    fn of(script: &[u8]) -> Option<(Segment, u64)> {
        let (&[fixes, header_bytes], rest) = script.split_first_chunk()?;
        let (header, mut rest) = rest.split_at_checked(usize::from(header_bytes))?;
        let mut page = header.to_vec();
        page.resize(PAGE_BYTES, 0);
        if fixes & FIX_HEADER != 0 {
            let sum = xxh3_64(&page[..PAGE_BYTES - 8]);
            page[PAGE_BYTES - 8..].copy_from_slice(&sum.to_le_bytes());
        }
        let mut file = page.repeat(2);
        let salt = Header::decode(&file).map_or(SALT, |header| header.salt);
        while let Some((&[low, high], behind)) = rest.split_first_chunk() {
            let (piece, behind) =
                behind.split_at(behind.len().min(usize::from(u16::from_le_bytes([low, high]))));
            rest = behind;
            let at = file.len();
            file.extend_from_slice(piece);
            file.resize(at + pages(piece.len()), 0);
            fix(&mut file[at..], fixes, salt);
        }
        Some((Segment(file), salt))
    }
}

/// Makes the checksums of a block good.
fn fix(block: &mut [u8], fixes: u8, salt: u64) {
    let put = |bytes: &mut [u8], end: usize| {
        let sum = xxh3_64(&bytes[8..end]) ^ salt;
        bytes[..8].copy_from_slice(&sum.to_le_bytes());
    };
    let mut at = BLOCK_HEADER_BYTES;
    while fixes & FIX_RECORDS != 0
        && let Some(record) = block.get_mut(at..).filter(|record| record.len() >= RECORD_HEADER_BYTES)
    {
        let length = u32::from_le_bytes(record[8..12].try_into().expect("four bytes")) as usize;
        let end = RECORD_HEADER_BYTES + length;
        if end > record.len() || record[..RECORD_HEADER_BYTES] == [0; RECORD_HEADER_BYTES] {
            break;
        }
        put(record, end);
        at += record_bytes(length);
    }
    if fixes & FIX_BLOCKS != 0 && block.len() >= BLOCK_HEADER_BYTES {
        put(block, BLOCK_HEADER_BYTES);
    }
}

impl Disk for Segment {
    fn segments(&self) -> io::Result<Vec<Found>> {
        Ok(vec![Found { number: 1, bytes: self.0.len() as u64, modified_ns: 0 }])
    }

    fn read(&self, _number: u64, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let count = out.len().min(self.0.len() - from);
        out[..count].copy_from_slice(&self.0[from..from + count]);
        Ok(count)
    }

    fn index(&self, _number: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn create(&self, _number: u64, _bytes: u64, _content: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn seal(&self, _number: u64, _length: u64, _index: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _number: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

const FIX_HEADER: u8 = 1;
const FIX_BLOCKS: u8 = 2;
const FIX_RECORDS: u8 = 4;
/// Of what no header says otherwise.
const SALT: u64 = 0x1234_5678_9abc_def0;
const _: () = assert!(HEADER_BYTES == 2 * PAGE_BYTES);
