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
        let mut bytes = self.spare.take().unwrap_or_default();
        bytes.resize(length, 0);
        match fill(file, at, &mut bytes) {
            Some(filled) => {
                bytes.truncate(filled);
                Some(bytes)
            }
            None => {
                self.give_back(bytes);
                None
            }
        }
    }

    /// Takes the memory of a read for the next one.
    pub(super) fn give_back(&mut self, bytes: Vec<u8>) {
        self.spare = Some(bytes).filter(|bytes| bytes.capacity() <= SPARE_BYTES_MAX);
    }
}

/// How much was filled of `out`: all of it, or up to the end of the file.
fn fill(file: &File, at: u64, out: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    while filled < out.len() {
        let rest = &mut [IoSliceMut::new(&mut out[filled..])];
        match preadv2(file, rest, at + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(Errno::INTR) => {}
            // Not there, not possible here, or damaged: the other way tells.
            Err(_) => return None,
        }
    }
    Some(filled)
}

/// A read of one very large block leaves nothing behind.
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
    }
}
