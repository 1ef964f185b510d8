//! The cursor: where a reader stands on every shard, as a string that callers keep and give back.
//!
//! It names the backend and the incarnation of the store it belongs to, and for each shard the last event examined.
//! It is ASCII without quotes, backslashes or NUL, so it fits into JSON and C strings as it is, and ends in a checksum.
//! Only what [`Cursor`] itself wrote is read: garbage, a changed or missing byte, another backend and an earlier life
//! of a store are refused, each with an error of its own.

use std::fmt::{self, Write};

use xxhash_rust::xxh3::xxh3_64;

use crate::event::{Sequence, ShardId};

/// A position on each shard of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    store: Store,
    positions: Positions,
}

/// Ascending by shard. A shard that is not here has not been read yet.
type Positions = Vec<(ShardId, Sequence)>;

/// The store a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Short name of the backend, `[a-z]+`.
    pub tag: &'static str,
    /// Identity of the store's contents.
    pub incarnation: u64,
}

/// Why a cursor was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor, or one that was cut or changed. Final: no store will take it.
    #[error("not a cursor, or one that was cut or changed")]
    Malformed,
    /// A cursor of another backend. Final on this bus.
    #[error("a cursor of another backend")]
    OtherBackend,
    /// A cursor of an earlier life of the store, or of another store of the same kind. Final: its positions mean
    /// nothing here, and only reading from the beginning is certain to miss nothing.
    #[error("a cursor of another incarnation of the store")]
    OtherIncarnation,
}

impl Cursor {
    /// A cursor that has examined nothing.
    pub fn new(store: Store) -> Cursor {
        Cursor { store, positions: Vec::new() }
    }

    /// Reads what [`Display`](fmt::Display) wrote for the same store.
    pub fn parse(text: &str, store: Store) -> Result<Cursor, CursorError> {
        let (tag, incarnation, positions) = pieces(text).ok_or(CursorError::Malformed)?;
        if tag != store.tag {
            return Err(CursorError::OtherBackend);
        }
        if incarnation != store.incarnation && !crate::planted!("22-an-earlier-life-is-not-told-apart") {
            return Err(CursorError::OtherIncarnation);
        }
        Ok(Cursor { store, positions })
    }

    /// The last event examined on `shard`; `None` when it was never read.
    pub fn position(&self, shard: ShardId) -> Option<Sequence> {
        let found = self.positions.binary_search_by_key(&shard, |&(shard, _)| shard);
        found.ok().map(|index| self.positions[index].1)
    }

    /// Moves `shard` to `position`.
    pub fn set(&mut self, shard: ShardId, position: Sequence) {
        match self.positions.binary_search_by_key(&shard, |&(shard, _)| shard) {
            Ok(index) => self.positions[index].1 = position,
            Err(index) => self.positions.insert(index, (shard, position)),
        }
    }
}

/// `tag.incarnation.positions.checksum`, numbers in lower-case hexadecimal. A position is `sequence`, or
/// `shard:sequence` where the shard is not the one after the position before (shard 0 at the beginning); positions are
/// separated by commas. The checksum is the low half of `xxh3_64` of everything before its dot, in 8 digits.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self.store.tag, self.store.incarnation, &self.positions)?)
    }
}

fn encode(tag: &str, incarnation: u64, positions: &[(ShardId, Sequence)]) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(64);
    write!(text, "{tag}.{incarnation:x}.")?;
    let mut expected = 0;
    for (index, &(ShardId(shard), Sequence(sequence))) in positions.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if u32::from(shard) != expected {
            write!(text, "{shard:x}:")?;
        }
        write!(text, "{sequence:x}")?;
        expected = u32::from(shard) + 1;
    }
    let checksum = checksum(&text);
    write!(text, ".{checksum:08x}")?;
    Ok(text)
}

/// Tag, incarnation and positions of a well-formed cursor.
fn pieces(text: &str) -> Option<(&str, u64, Positions)> {
    if text.len() > CURSOR_BYTES_MAX {
        return None;
    }
    let (body, sum) = text.rsplit_once('.')?;
    if u32::from_str_radix(sum, 16).ok()? != checksum(body) {
        return None;
    }
    let mut parts = body.split('.');
    let (tag, incarnation, list) = (parts.next()?, parts.next()?, parts.next()?);
    if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let incarnation = u64::from_str_radix(incarnation, 16).ok()?;
    let mut positions = Positions::new();
    for item in list.split(',').filter(|_| !list.is_empty()) {
        let (shard, sequence) = match item.split_once(':') {
            Some((shard, sequence)) => (u16::from_str_radix(shard, 16).ok()?, sequence),
            None => (positions.last().map_or(Some(0), |&(ShardId(last), _)| last.checked_add(1))?, item),
        };
        if positions.last().is_some_and(|&(last, _)| last >= ShardId(shard)) {
            return None;
        }
        positions.push((ShardId(shard), Sequence(u64::from_str_radix(sequence, 16).ok()?)));
    }
    // One position has one spelling: no signs, leading zeros, capitals or trailing parts.
    let canonical = encode(tag, incarnation, &positions).is_ok_and(|canonical| canonical == text);
    canonical.then_some((tag, incarnation, positions))
}

fn checksum(body: &str) -> u32 {
    xxh3_64(body.as_bytes()) as u32
}

/// Longest cursor that is read: 65,535 positions of 16 digits each, and the rest.
pub const CURSOR_BYTES_MAX: usize = 65_535 * 17 + 128;

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    const STORE: Store = Store { tag: "memory", incarnation: 0xfeed };

    fn cursor(positions: &[(u16, u64)]) -> Cursor {
        let mut cursor = Cursor::new(STORE);
        for &(shard, sequence) in positions {
            cursor.set(ShardId(shard), Sequence(sequence));
        }
        cursor
    }

    #[test]
    fn neighbouring_shards_cost_no_shard_number() {
        let text = cursor(&[(0, 17), (1, 255), (7, 1), (8, 2)]).to_string();
        assert!(text.starts_with("memory.feed.11,ff,7:1,2."), "{text}");
    }

    #[test]
    fn each_kind_of_refusal_has_its_error() {
        let text = cursor(&[(0, 17)]).to_string();
        let other_backend = Store { tag: "redis", ..STORE };
        let other_life = Store { incarnation: 1, ..STORE };
        assert_eq!(Cursor::parse(&text, other_backend), Err(CursorError::OtherBackend));
        assert_eq!(Cursor::parse(&text, other_life), Err(CursorError::OtherIncarnation));
        assert_eq!(Cursor::parse("", STORE), Err(CursorError::Malformed));
        assert_eq!(Cursor::parse(&text[..text.len() - 1], STORE), Err(CursorError::Malformed));
        assert_eq!(Cursor::parse(&"a".repeat(2 << 20), STORE), Err(CursorError::Malformed));
    }

    #[test]
    fn another_spelling_of_a_position_is_refused_although_its_checksum_fits() {
        for body in [
            "memory.feed.011",
            "memory.feed.+11",
            "memory.feed.A",
            "memory.feed.0:11",
            "memory.feed.2:1,1:1",
            "memory.feed.ffff:1,1",
            "memory.feed.1.1",
            "memory.feed",
            ".feed.1",
        ] {
            let text = format!("{body}.{:08x}", checksum(body));
            assert_eq!(Cursor::parse(&text, STORE), Err(CursorError::Malformed), "{text}");
        }
    }

    #[test]
    fn the_longest_cursor_is_read_again() {
        let mut longest = Cursor::new(STORE);
        longest.positions = (0..u16::MAX).map(|shard| (ShardId(shard), Sequence(u64::MAX))).collect();
        assert_eq!(Cursor::parse(&longest.to_string(), STORE), Ok(longest));
    }

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        btree_map(any::<u16>(), any::<u64>(), 0..6)
            .prop_map(|positions| cursor(&positions.into_iter().collect::<Vec<_>>()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn what_was_written_is_read(cursor in any_cursor()) {
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
            prop_assert_eq!(Cursor::parse(&text, STORE), Ok(cursor));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,60}|memory\\.feed\\.[0-9a-f:,]{0,20}\\.[0-9a-f]{8}") {
            // A random checksum of 32 bits fits once in a very long while; then the text is a cursor indeed.
            if let Ok(cursor) = Cursor::parse(&text, STORE) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(cursor in any_cursor(), at: prop::sample::Index, byte in 1u8..128) {
            let mut text = cursor.to_string().into_bytes();
            let at = at.index(text.len());
            prop_assume!(text[at] != byte);
            text[at] = byte;
            let text = String::from_utf8(text).expect("ASCII");
            prop_assert_eq!(Cursor::parse(&text, STORE), Err(CursorError::Malformed));
        }
    }
}
