//! What the page cache has of a file, without waiting for anything, in memory that is used again. A read through the runtime's ring
//! takes new memory each time, and the kernel more time to make it than to copy.

use std::fs::File;
use std::io::IoSliceMut;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Memory for reads that are done at once.
#[derive(Debug, Default)]
pub(super) struct CachedReads {
    spare: Option<Vec<u8>>,
}

impl CachedReads {
    /// Reads `length` bytes from `at` on, less only where the file ends; `None` where the disk would have to be asked.
    pub(super) fn read(&mut self, file: &File, at: u64, length: usize) -> Option<Vec<u8>> {
        if length > SPARE_BYTES_MAX {
            return None;
        }
        let mut bytes = self.spare.take().unwrap_or_default();
        bytes.resize(length, 0);
        let read =
            |at, rest: &mut [u8]| preadv2(file, &mut [IoSliceMut::new(rest)], at, ReadWriteFlags::NOWAIT);
        let Some(filled) = fill(at, &mut bytes, read, || file.metadata().ok().map(|it| it.len())) else {
            self.give_back(bytes);
            return None;
        };
        bytes.truncate(filled);
        Some(bytes)
    }

    /// Takes the memory of a read for the next one.
    pub(super) fn give_back(&mut self, bytes: Vec<u8>) {
        self.spare = Some(bytes);
    }
}

/// How much was filled of `out`: all of it, or up to the end of the file.
fn fill(
    at: u64,
    out: &mut [u8],
    read: impl Fn(u64, &mut [u8]) -> Result<usize, Errno>,
    length: impl Fn() -> Option<u64>,
) -> Option<usize> {
    let mut filled = 0;
    while filled < out.len() {
        let position = at + filled as u64;
        match read(position, &mut out[filled..]) {
            // Linux 5.10 says so too where a page is not in the cache.
            Ok(0) if length()? > position => return None,
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(Errno::INTR) => {}
            // Not there, not possible here, or damaged: the other way tells.
            Err(_) => return None,
        }
    }
    Some(filled)
}

/// A very large block is read the other way: memory for it would not be used again.
const SPARE_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_just_written_is_there_up_to_the_end_of_the_file() {
        let mut file = tempfile::tempfile().expect("a folder for temporary files");
        file.write_all(b"0123456789").expect("space");
        let mut reads = CachedReads::default();
        for (at, length, expected) in
            [(0, 4, &b"0123"[..]), (8, 4, b"89"), (10, 4, b""), (0, 10, b"0123456789")]
        {
            let bytes = reads.read(&file, at, length).expect("it was just written");
            assert_eq!(bytes, expected);
            reads.give_back(bytes);
        }
        assert!(reads.read(&file, 0, SPARE_BYTES_MAX + 1).is_none());
    }

    #[test]
    fn the_end_of_the_cache_is_not_taken_for_that_of_the_file() {
        let of_two_pages = |end| {
            move |at: u64, out: &mut [u8]| {
                if at < 8_192 { Ok(out.len().min(4_096)) } else { end }
            }
        };
        let fill = |end, length| fill(0, &mut [0; 12_288], of_two_pages(end), || Some(length));
        assert_eq!(fill(Ok(0), 20_000), None);
        assert_eq!(fill(Ok(0), 8_192), Some(8_192));
        assert_eq!(fill(Err(Errno::AGAIN), 20_000), None);
        assert_eq!(fill(Ok(4_096), 20_000), Some(12_288));
    }
}
