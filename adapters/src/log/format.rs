//! The format of a log on disk, byte by byte as FORMAT.md has it. Pure functions over bytes: nothing here knows a file.

pub(super) mod block;
pub(super) mod header;
pub(super) mod index;
pub(super) mod record;

use xxhash_rust::xxh3::xxh3_64;

/// Every write begins at a multiple of this and is as long as one: no two share a page of the file or a sector of the disk.
pub(super) const PAGE_BYTES: usize = 4096;

/// `bytes` rounded up to whole pages.
pub(super) const fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// Checks everything behind the checksum itself. What carries no salt takes zero. With a salt, which only the segment's header
/// tells, bytes of an event cannot pass for a block or a record, and those of another segment neither.
fn checksum(bytes: &[u8], salt: u64) -> u64 {
    xxh3_64(bytes) ^ salt
}

/// A little-endian number at `at`, where that many bytes are.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A little-endian number at `at`, where that many bytes are.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
