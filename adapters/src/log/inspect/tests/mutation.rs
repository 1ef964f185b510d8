//! What may become of the files of a log: bits, pages and files that change at random, and what somebody writes who knows the salts.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use xxhash_rust::xxh3::xxh3_64;

use super::specimen::Specimen;

/// Changes something as chance has it: whatever is read afterwards was written. What it did.
pub(super) fn by_chance(specimen: &Specimen, rng: &mut Rng) -> String {
    let files = specimen.files();
    if files.is_empty() {
        return "nothing is left".to_owned();
    }
    let path = &files[rng.usize(..files.len())];
    let mut bytes = fs::read(path).expect("it is there");
    let name = path.file_name().expect("it has a name").display().to_string();
    let what = match rng.u8(..9) {
        0 | 1 if !bytes.is_empty() => {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
            format!("a bit of {name} at {at}")
        }
        2 => {
            bytes.truncate(rng.usize(..=bytes.len()));
            format!("{name} cut to {}", bytes.len())
        }
        3 => {
            let more = rng.usize(1..10_000);
            bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
            format!("{more} bytes behind {name}")
        }
        4 if bytes.len() >= 2 * PAGE => {
            let pages = bytes.len() / PAGE;
            let (from, to) = (rng.usize(..pages), rng.usize(..pages));
            bytes.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
            format!("page {from} of {name} in place of {to}")
        }
        5 if bytes.len() >= PAGE => {
            let page = rng.usize(..bytes.len() / PAGE);
            bytes[page * PAGE..(page + 1) * PAGE].fill(0);
            format!("page {page} of {name} is zero")
        }
        6 => {
            let other = &files[rng.usize(..files.len())];
            let theirs = fs::read(other).expect("it is there");
            fs::write(other, &bytes).expect("it is writable");
            bytes = theirs;
            format!("{name} and {} change places", other.display())
        }
        7 => {
            let length = rng.usize(..20_000);
            bytes = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            format!("{name} is {length} random bytes")
        }
        _ => {
            fs::remove_file(path).expect("it is there");
            return format!("{name} is gone");
        }
    };
    fs::write(path, bytes).expect("it is writable");
    what
}

/// Changes a number of a header, a block, a record or an index to one at the edges, and makes its checksum good.
pub(super) fn by_a_forger(specimen: &Specimen, rng: &mut Rng) -> String {
    let (number, salt) = specimen.salts[rng.usize(..specimen.salts.len())];
    let path = segment(specimen.dir.path(), number);
    let mut bytes = fs::read(&path).unwrap_or_default();
    if bytes.len() < 3 * PAGE {
        return "nothing to forge".to_owned();
    }
    let value = edge(rng);
    let what = match rng.u8(..4) {
        0 => {
            let at = [12, 16, 24, 32, 40, 48, 80, 96, 104, 112, 120][rng.usize(..11)];
            for page in [0, PAGE] {
                put(&mut bytes, page + at, value, if at == 12 || at == 80 { 4 } else { 8 });
                let sum = xxh3_64(&bytes[page..page + PAGE - 8]);
                put(&mut bytes, page + PAGE - 8, sum, 8);
            }
            format!("segment {number}: header at {at} is {value}")
        }
        1 => {
            let index = path.with_extension("idx");
            let mut entries = vec![0; 32 + 16 * rng.usize(..4)];
            entries[8..16].copy_from_slice(b"libnetix");
            (16..entries.len()).step_by(8).for_each(|at| put(&mut entries, at, edge(rng), 8));
            let sum = xxh3_64(&entries[8..]) ^ salt;
            put(&mut entries, 0, sum, 8);
            fs::write(index, entries).expect("it is writable");
            return format!("segment {number}: an index");
        }
        place => {
            let page = rng.usize(2..bytes.len() / PAGE) * PAGE;
            if place == 2 {
                let at = [12, 16, 20, 24, 32, 40, 48][rng.usize(..7)];
                put(&mut bytes, page + at, value, if at < 24 { 4 } else { 8 });
                if rng.bool() {
                    // So that it fits again.
                    let records = u32::from_le_bytes(bytes[page + 16..page + 20].try_into().expect("4"));
                    let whole = (u64::from(records) + 64).next_multiple_of(PAGE as u64);
                    put(&mut bytes, page + 12, whole, 4);
                }
                bytes[page + 8..page + 12].copy_from_slice(b"blk1");
                let sum = xxh3_64(&bytes[page + 8..page + 64]) ^ salt;
                put(&mut bytes, page, sum, 8);
                format!("segment {number}: block at {page}, its {at} is {value}")
            } else {
                let record = page + 64;
                let at = [8, 16, 24][rng.usize(..3)];
                put(&mut bytes, record + at, value, if at == 8 { 4 } else { 8 });
                let length = u32::from_le_bytes(bytes[record + 8..record + 12].try_into().expect("4"));
                let end = (record + 40).saturating_add(length as usize).min(bytes.len());
                let sum = xxh3_64(&bytes[record + 8..end]) ^ salt;
                put(&mut bytes, record, sum, 8);
                format!("segment {number}: record at {record}, its {at} is {value}")
            }
        }
    };
    fs::write(path, bytes).expect("it is writable");
    what
}

/// The file of a segment.
pub(super) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("shard-00000/{number:020}.seg"))
}

fn edge(rng: &mut Rng) -> u64 {
    let edges = [0, 1, 1 << 12, 1 << 16, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
    let near = edges[rng.usize(..edges.len())];
    if rng.bool() { near.wrapping_add(rng.u64(..4_096)) } else { near.wrapping_sub(rng.u64(..4_096)) }
}

fn put(bytes: &mut [u8], at: usize, value: u64, length: usize) {
    bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
}

const PAGE: usize = 4096;
