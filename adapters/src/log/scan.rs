//! The scan: goes through the blocks of a segment from wherever, and over what is no block.

use std::io;

use engine::event::Sequence;

use super::disk::Disk;
use super::format::PAGE_BYTES;
use super::format::block::{BLOCK_HEADER_BYTES, BlockHeader};
use super::format::header::HEADER_BYTES;
use super::format::index::Index;

/// A walk through one segment.
pub(super) struct Scan<'a> {
    disk: &'a dyn Disk,
    number: u64,
    salt: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Scan<'a> {
    /// Begins with the first block of segment `number`.
    pub(super) fn new(disk: &'a dyn Disk, number: u64, salt: u64) -> Scan<'a> {
        Scan { disk, number, salt, at: HEADER_BYTES as u64, window: Vec::new(), window_at: 0 }
    }

    /// The next block, and where it begins.
    pub(super) fn block(&mut self) -> io::Result<Option<(u64, BlockHeader)>> {
        loop {
            let (at, salt) = (self.at, self.salt);
            let here = self.window(at)?;
            if here.is_empty() {
                return Ok(None);
            }
            if let Some(block) = BlockHeader::decode(here, salt) {
                self.at = at + u64::from(block.bytes);
                return Ok(Some((at, block)));
            }
            self.at = at + PAGE_BYTES as u64;
        }
    }

    /// The bytes of a block, as far as they are there.
    pub(super) fn bytes(&self, at: u64, block: &BlockHeader) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; block.bytes as usize];
        let length = self.disk.read(self.number, at, &mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// What follows `at`, at least a header of a block where there is one.
    fn window(&mut self, at: u64) -> io::Result<&[u8]> {
        let has = at.checked_sub(self.window_at).and_then(|skip| self.window.get(skip as usize..));
        if has.is_none_or(|has| has.len() < BLOCK_HEADER_BYTES) {
            self.window.resize(WINDOW_BYTES, 0);
            let length = self.disk.read(self.number, at, &mut self.window)?;
            self.window.truncate(length);
            self.window_at = at;
        }
        Ok(&self.window[(at - self.window_at) as usize..])
    }
}

/// The index that a segment has, or else one made of its blocks.
pub(super) fn load_index(disk: &dyn Disk, number: u64, salt: u64) -> io::Result<Index> {
    let saved = disk.index(number).ok().and_then(|bytes| Index::decode(&bytes, salt));
    if let Some(index) = saved {
        return Ok(index);
    }
    let mut scan = Scan::new(disk, number, salt);
    let (mut index, mut end) = (Index::default(), Sequence(0));
    while let Some((at, block)) = scan.block()? {
        // Where a block is damaged, sequences still rise from one to the next.
        if !block.is_closing() && block.first >= end {
            end = block.end();
            index.note(block.first, end, at, u64::from(block.bytes));
        }
    }
    Ok(index)
}

const WINDOW_BYTES: usize = 256 << 10;
