//! What stands in the pages of a segment that are no block.

use std::io;

use super::super::disk::Disk;
use super::super::format::{PAGE_BYTES, pages};
use super::ShardLog;

impl ShardLog {
    /// From `from` up to `to`: from the first page with a byte that is not zero up to one past the last such byte.
    pub(super) fn written(&self, number: u64, from: u64, to: u64) -> io::Result<Option<(u64, u64)>> {
        let mut window = vec![0; WINDOW_BYTES];
        let (mut at, mut first, mut end) = (from, None, from);
        while at < to {
            let wanted = usize::try_from(to - at).map_or(WINDOW_BYTES, |bytes| bytes.min(WINDOW_BYTES));
            let length = self.folder.read(number, at, &mut window[..wanted])?;
            let here = &window[..length];
            if let Some(begin) = here.iter().position(|&byte| byte != 0) {
                let last = here.iter().rposition(|&byte| byte != 0).unwrap_or(begin);
                first = first.or(Some(at + (pages(begin + 1) - PAGE_BYTES) as u64));
                end = at + last as u64 + 1;
            }
            if length < wanted {
                break;
            }
            at += length as u64;
        }
        Ok(first.map(|first| (first, end)))
    }
}

const WINDOW_BYTES: usize = 256 << 10;
