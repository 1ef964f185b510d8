//! An entry of a stream: its id, and the event in it.
//!
//! An id `ms-seq` is a position: 44 bits of milliseconds and 20 of the number within one. Those of a transaction follow each
//! other without a jump. A server gives ids by its clock, and they fit; those that somebody has made up and that do not share
//! the last position of their millisecond, or the last of all, and are no events. Fields are `d` (the event's bytes), `t` (its insertion time in nanoseconds),
//! `k` (its routing key, if one was given), which nothing here has a use for, and `dedup_id`.

use std::fmt;

use engine::event::Sequence;

use super::reply::{Reply, Token, Tokens};

/// The position of an id; `None` when it is none.
pub(super) fn position(id: &[u8]) -> Option<Sequence> {
    let dash = id.iter().position(|&byte| byte == b'-')?;
    let (millis, number) = (decimal(&id[..dash])?, decimal(&id[dash + 1..])?);
    let number = if millis > MILLIS_LAST { NUMBER_LAST } else { number.min(NUMBER_LAST) };
    Some(Sequence(millis.min(MILLIS_LAST) << NUMBER_BITS | number))
}

/// A position as an id, the last one where several share it.
pub(super) fn id(position: Sequence) -> String {
    match (position.0 >> NUMBER_BITS, position.0 & NUMBER_LAST) {
        (MILLIS_LAST.., NUMBER_LAST) => format!("{}-{}", u64::MAX, u64::MAX),
        (millis, NUMBER_LAST) => format!("{millis}-{}", u64::MAX),
        (millis, number) => format!("{millis}-{number}"),
    }
}

/// Whether several ids may have this position.
pub(super) fn is_shared(position: Sequence) -> bool {
    position.0 & NUMBER_LAST == NUMBER_LAST
}

/// Whether no id has a position behind this one.
pub(super) fn is_last(position: Sequence) -> bool {
    position.0 == MILLIS_LAST << NUMBER_BITS | NUMBER_LAST
}

/// Names an event in its stream for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DedupId {
    pub(super) nonce: u64,
    pub(super) shard: u16,
    /// Sequence of the first event of its transaction.
    pub(super) start: u64,
    /// Its place there.
    pub(super) index: u64,
}

impl DedupId {
    /// Of the text that [`Display`](fmt::Display) wrote.
    pub(super) fn parse(text: &[u8]) -> Option<DedupId> {
        let mut parts = text.split(|&byte| byte == b':');
        let nonce = parts.next().filter(|nonce| nonce.len() == NONCE_DIGITS)?;
        let id = DedupId {
            nonce: hexadecimal(nonce)?,
            shard: decimal(parts.next()?)?.try_into().ok()?,
            start: decimal(parts.next()?)?,
            index: decimal(parts.next()?)?,
        };
        let is_whole = parts.next().is_none() && id.sequence() < Sequence(u64::MAX);
        is_whole.then_some(id)
    }

    /// The event's sequence.
    pub(super) fn sequence(self) -> Sequence {
        Sequence(self.start.saturating_add(self.index))
    }
}

impl fmt::Display for DedupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}:{}:{}:{}", self.nonce, self.shard, self.start, self.index)
    }
}

/// An entry as the server sends it, borrowed from its reply.
pub(super) struct Entry<'a> {
    pub(super) position: Sequence,
    payload: Option<&'a [u8]>,
    timestamp_ns: Option<u64>,
    dedup_id: Option<&'a [u8]>,
}

/// What a bus has written into an entry.
pub(super) struct Content<'a> {
    pub(super) payload: &'a [u8],
    pub(super) timestamp_ns: u64,
}

impl<'a> Entry<'a> {
    /// The entries of a reply to `XRANGE` and its like; `None` when it is something else.
    pub(super) fn all(reply: &'a Reply) -> Option<Vec<Entry<'a>>> {
        Entry::list(&mut reply.tokens())
    }

    /// The entries of the list that begins here; `None` when it is something else.
    pub(super) fn list(tokens: &mut Tokens<'a>) -> Option<Vec<Entry<'a>>> {
        let count = tokens.array()?;
        (0..count).map(|_| Entry::next(tokens)).collect()
    }

    fn next(tokens: &mut Tokens<'a>) -> Option<Entry<'a>> {
        if tokens.array()? != 2 {
            return None;
        }
        // No server gives out 0-0, and whoever read it would begin again.
        let position = position(tokens.bulk()?)?;
        if position == Sequence(0) {
            return None;
        }
        let mut entry = Entry { position, payload: None, timestamp_ns: None, dedup_id: None };
        match tokens.next()? {
            Token::Array(fields) => entry.take(tokens, fields)?,
            // It was deleted meanwhile.
            Token::Nil => {}
            _ => return None,
        }
        Some(entry)
    }

    /// Takes so many names and values.
    fn take(&mut self, tokens: &mut Tokens<'a>, fields: u64) -> Option<()> {
        if !fields.is_multiple_of(2) {
            return None;
        }
        for _ in 0..fields / 2 {
            let (name, value) = (tokens.bulk()?, tokens.bulk()?);
            match name {
                b"d" => self.payload = Some(value),
                b"t" => self.timestamp_ns = decimal(value),
                b"dedup_id" => self.dedup_id = self.dedup_id.or(Some(value)),
                _ => {}
            }
        }
        Some(())
    }

    /// The event; `None` when no bus has written this.
    pub(super) fn content(&self) -> Option<Content<'a>> {
        if is_shared(self.position) {
            return None;
        }
        self.dedup_id()?;
        Some(Content { payload: self.payload?, timestamp_ns: self.timestamp_ns? })
    }

    /// Whose event it is, whatever else is in it.
    pub(super) fn dedup_id(&self) -> Option<DedupId> {
        self.dedup_id.and_then(DedupId::parse)
    }
}

/// A number in decimal digits, and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DECIMAL_DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let value = digit.wrapping_sub(b'0');
        if value > 9 { None } else { number.checked_mul(10)?.checked_add(value.into()) }
    })
}

/// A number in [`NONCE_DIGITS`] hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// Digits of a producer's name.
const NONCE_DIGITS: usize = 16;
const DECIMAL_DIGITS_MAX: usize = 20;
const NUMBER_BITS: u32 = 20;
const NUMBER_LAST: u64 = (1 << NUMBER_BITS) - 1;
/// One less than fits, so that a position has one behind it.
const MILLIS_LAST: u64 = (1 << (u64::BITS - NUMBER_BITS)) - 2;

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    #[test]
    fn ids_are_positions_that_compare_as_numbers() {
        for text in ["0-1", "9-100", "10-9", "1763660000000-0", "1763660000000-999"] {
            assert_eq!(id(position(text.as_bytes()).expect(text)), text);
        }
        assert!(position(b"10-9") > position(b"9-100"));
        for wrong in ["", "5", "5-", "-5", "a-1", "1-2-3", "-1-1", "18446744073709551616-0"] {
            assert_eq!(position(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn ids_that_do_not_fit_are_passed_all_at_once() {
        for (first, behind, last) in [
            ("5-1048575", "6-0", "5-18446744073709551615"),
            ("5-1048576", "6-0", "5-18446744073709551615"),
            ("17592186044415-0", "", "18446744073709551615-18446744073709551615"),
            ("18446744073709551615-7", "", "18446744073709551615-18446744073709551615"),
        ] {
            let shared = position(first.as_bytes()).expect(first);
            assert!(is_shared(shared), "{first}");
            assert_eq!((id(shared).as_str(), position(last.as_bytes())), (last, Some(shared)));
            assert!(position(behind.as_bytes()).is_none_or(|behind| behind > shared), "{first}");
            assert!(shared.advanced_by(1) > shared);
        }
    }

    #[test]
    fn a_dedup_id_comes_back_as_it_was() {
        let id = DedupId { nonce: 0xabc, shard: 3, start: 1_000, index: 7 };
        assert_eq!(id.to_string(), "0000000000000abc:3:1000:7");
        assert_eq!(DedupId::parse(id.to_string().as_bytes()), Some(id));
        assert_eq!(id.sequence(), Sequence(1_007));
        for wrong in ["", "abc:3:1000:7", "0000000000000abc:3:1000", "0000000000000abc:3:1000:7:8", "\u{e9}"]
        {
            assert_eq!(DedupId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_no_bus_has_written_has_no_content() {
        let dedup = "0000000000000abc:3:1000:7";
        let reply = Reply::of(&Value::Array(vec![
            entry("5-0", &["d", "hello", "t", "77", "dedup_id", dedup]),
            entry("5-1", &["d", "hello", "t", "77", "k", "key", "dedup_id", dedup]),
            entry("6-0", &["d", "hello", "t", "soon", "dedup_id", dedup]),
            entry("7-0", &["field", "value"]),
            Value::Array(vec![bulk("8-0"), Value::Nil]),
        ]));
        let entries = Entry::all(&reply).expect("entries");
        for event in &entries[..2] {
            let content = event.content().expect("an event, with a key or without");
            assert_eq!((content.payload, content.timestamp_ns), (&b"hello"[..], 77));
        }
        assert!(entries[2..].iter().all(|entry| entry.content().is_none()));
        assert!(Entry::all(&Reply::of(&Value::Array(vec![Value::Int(1)]))).is_none());
    }
}
