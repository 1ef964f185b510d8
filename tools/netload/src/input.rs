//! The lines of a file, each one event.
//!
//! The bytes between line feeds are published as they are. Empty lines are no events; they are counted and said.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// A file in memory and where its lines are.
pub(crate) struct Input {
    name: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    empty: Vec<u64>,
}

/// One line that is not empty.
pub(crate) struct Line {
    /// Its number in the file, counted from 1.
    pub(crate) number: u64,
    range: Range<usize>,
}

impl Input {
    /// Reads a file, or standard input for `-`, to its end.
    pub(crate) fn read(path: &Path) -> io::Result<Input> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            return Ok(Input::new("standard input".to_owned(), bytes));
        }
        Ok(Input::new(path.display().to_string(), fs::read(path)?))
    }

    /// Splits `bytes` into lines.
    pub(crate) fn new(name: String, bytes: Vec<u8>) -> Input {
        let (mut lines, mut empty) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let len = line.strip_suffix(b"\n").unwrap_or(line).len();
            match len {
                0 => empty.push(number),
                _ => lines.push(Line { number, range: start..start + len }),
            }
            start += line.len();
        }
        Input { name, bytes, lines, empty }
    }

    /// What to call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The lines that are events.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The numbers of the lines that are empty.
    pub(crate) fn empty(&self) -> &[u64] {
        &self.empty
    }

    /// The bytes of the line at `index` of [`Input::lines`].
    pub(crate) fn event(&self, index: usize) -> &[u8] {
        &self.bytes[self.lines[index].range.clone()]
    }

    /// Bytes of the longest event.
    pub(crate) fn longest(&self) -> usize {
        self.lines.iter().map(|line| line.range.len()).max().unwrap_or(0)
    }

    /// Bytes of all events.
    pub(crate) fn byte_count(&self) -> u64 {
        self.lines.iter().map(|line| line.range.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_bytes_and_their_numbers() {
        let input = Input::new("test".to_owned(), b"one\r\n\n three \n\nlast".to_vec());
        let events: Vec<(u64, &[u8])> =
            (0..input.lines().len()).map(|index| (input.lines()[index].number, input.event(index))).collect();
        assert_eq!(events, [(1, &b"one\r"[..]), (3, b" three "), (5, b"last")]);
        assert_eq!(input.empty(), [2, 4]);
        assert_eq!((input.byte_count(), input.longest()), (15, 7));
    }
}
