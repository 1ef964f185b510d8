//! The lines of a file, each one event.
//!
//! The bytes between line feeds are published as they are. Empty lines are no events; they are counted and said. A
//! routing key may be taken from a field of each line.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

/// A file in memory and where its lines are.
pub(crate) struct Input {
    name: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
    empty: Vec<u64>,
    /// What the routing keys are taken from, and each of them once.
    key_field: Option<String>,
    keys: Vec<Vec<u8>>,
}

/// One line that is not empty.
pub(crate) struct Line {
    /// Its number in the file, counted from 1.
    pub(crate) number: u64,
    range: Range<usize>,
    /// Which of the input's keys it has.
    key: Option<u32>,
}

/// Under what key a line is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKey<'input> {
    /// One of the producer's own, as made-up events have them.
    Own,
    /// What its key field says: the key, and its number among the input's keys.
    Field(&'input [u8], usize),
    /// None: the line has no such field.
    Missing,
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
                _ => lines.push(Line { number, range: start..start + len, key: None }),
            }
            start += line.len();
        }
        Input { name, bytes, lines, empty, key_field: None, keys: Vec::new() }
    }

    /// The same with routing keys, from the field that `path` leads to: names from the outside in, with dots between.
    pub(crate) fn with_keys(mut self, path: &str) -> Input {
        let mut known = HashMap::new();
        for line in &mut self.lines {
            line.key = key_of(&self.bytes[line.range.clone()], path).map(|key| {
                let next = known.len() as u32;
                *known.entry(key).or_insert(next)
            });
        }
        let mut keys: Vec<(Vec<u8>, u32)> = known.into_iter().collect();
        keys.sort_unstable_by_key(|(_, number)| *number);
        self.keys = keys.into_iter().map(|(key, _)| key).collect();
        self.key_field = Some(path.to_owned());
        self
    }

    /// What the routing keys are taken from.
    pub(crate) fn key_field(&self) -> Option<&str> {
        self.key_field.as_deref()
    }

    /// The numbers of the lines without the field that keys are taken from.
    pub(crate) fn without_key(&self) -> impl Iterator<Item = u64> {
        let lines = self.lines.iter().filter(|line| self.key_field.is_some() && line.key.is_none());
        lines.map(|line| line.number)
    }

    /// Under what the line at `index` of [`Input::lines`] is published.
    pub(crate) fn key(&self, index: usize) -> LineKey<'_> {
        match self.lines[index].key {
            Some(key) => LineKey::Field(&self.keys[key as usize], key as usize),
            None if self.key_field.is_some() => LineKey::Missing,
            None => LineKey::Own,
        }
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

/// The text of a string, or a number or truth value as it is written. Nothing else is a key.
fn key_of(line: &[u8], path: &str) -> Option<Vec<u8>> {
    let document: Value = serde_json::from_slice(line).ok()?;
    match path.split('.').try_fold(&document, |value, name| value.get(name))? {
        Value::String(text) => Some(text.clone().into_bytes()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string().into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_field_is_the_key_and_a_line_without_one_has_none() {
        let text = [
            r#"{"user":{"id":"a"}}"#,
            r#"{"user":{"id":7}}"#,
            r#"{"user":{"id":"a"},"more":1}"#,
            r#"{"user":{"id":null}}"#,
            r#"{"user":1}"#,
            "no JSON",
            r#"{"user":{"id":true}}"#,
        ];
        let input = Input::new("test".to_owned(), text.join("\n").into_bytes());
        assert_eq!((input.key(0), input.without_key().count()), (LineKey::Own, 0));
        let input = input.with_keys("user.id");
        let keys: Vec<LineKey<'_>> = (0..text.len()).map(|index| input.key(index)).collect();
        let (a, seven, truth) =
            (LineKey::Field(b"a", 0), LineKey::Field(b"7", 1), LineKey::Field(b"true", 2));
        let none = LineKey::Missing;
        assert_eq!(keys, [a, seven, a, none, none, none, truth]);
        assert_eq!(input.without_key().collect::<Vec<_>>(), [4, 5, 6]);
    }

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
