//! What a poll asks for, and the JSON document it is read from.
//!
//! A document holds any of `limit`, `cursor`, `ordering`, `filter` and `shards`; `null` means the default. Another key,
//! a wrong type and a value that asks for nothing (a limit of 0, an empty list of shards) are refused with the key's
//! path.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use super::filter::Filter;
use crate::event::ShardId;

/// A poll.
#[derive(Clone, Debug, PartialEq)]
pub struct PollRequest {
    /// At most this many events in the answer. Default 100.
    pub limit: usize,
    /// Where to go on: `next_cursor` of an earlier answer. Default: from the oldest event that is still there.
    pub cursor: Option<String>,
    /// Order across shards. Default [`Ordering::None`].
    pub ordering: Ordering,
    /// Which events are wanted. Default: every one.
    pub filter: Option<Filter>,
    /// The shards to read; naming one twice is naming it. Default: every one.
    pub shards: Option<Vec<u16>>,
}

/// Order of the events of an answer. Within one shard it is always the shard's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// None across shards: each contributes its share.
    #[default]
    None,
    /// Of the events that are next on their shards, the one with the smallest insertion time comes first, then the one
    /// of the lower shard. What an earlier [layout](crate::layouts) holds comes before.
    InsertionTs,
}

/// Why a document was refused. Final: the same document is refused again. The message starts with the key's path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct RequestError {
    /// Path of the key, `.` for the document itself.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Default for PollRequest {
    fn default() -> PollRequest {
        PollRequest { limit: LIMIT, cursor: None, ordering: Ordering::None, filter: None, shards: None }
    }
}

impl PollRequest {
    /// Parses a JSON document of at most [`REQUEST_BYTES_MAX`] bytes. Any thread.
    pub fn parse(json: &str) -> Result<PollRequest, RequestError> {
        let document: Document = parse_document(json)?;
        document.into_request()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    limit: Option<usize>,
    cursor: Option<String>,
    ordering: Option<Ordering>,
    filter: Option<Value>,
    shards: Option<Vec<u16>>,
}

impl Document {
    fn into_request(self) -> Result<PollRequest, RequestError> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 {
            return Err(refused("limit", "0 asks for nothing".into()));
        }
        Ok(PollRequest {
            limit,
            cursor: self.cursor,
            ordering: self.ordering.unwrap_or_default(),
            filter: filter(self.filter.as_ref())?,
            shards: shards(self.shards)?,
        })
    }
}

impl<'de> Deserialize<'de> for Ordering {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordering, D::Error> {
        let name = String::deserialize(deserializer)?;
        let is = |spelling: &str| name.eq_ignore_ascii_case(spelling);
        if is("none") {
            Ok(Ordering::None)
        } else if is("insertion_ts") || is("insertionts") {
            Ok(Ordering::InsertionTs)
        } else {
            Err(D::Error::custom("expected \"none\" or \"insertion_ts\""))
        }
    }
}

/// Parses the one JSON object that `json` is.
pub(super) fn parse_document<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, RequestError> {
    if json.len() > REQUEST_BYTES_MAX {
        return Err(refused(".", format!("longer than {REQUEST_BYTES_MAX} bytes")));
    }
    if !json.trim_start().starts_with('{') {
        return Err(refused(".", "expected an object".into()));
    }
    let mut json = serde_json::Deserializer::from_str(json);
    let document = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| refused(&error.path().to_string(), error.inner().to_string()))?;
    json.end().map_err(|error| refused(".", error.to_string()))?;
    Ok(document)
}

/// The key `filter`.
pub(super) fn filter(filter: Option<&Value>) -> Result<Option<Filter>, RequestError> {
    filter.map(Filter::parse).transpose().map_err(|error| {
        let path = if error.path.is_empty() { "filter".into() } else { format!("filter.{}", error.path) };
        refused(&path, error.fault.to_string())
    })
}

/// The key `shards`.
pub(super) fn shards(shards: Option<Vec<u16>>) -> Result<Option<Vec<u16>>, RequestError> {
    match shards {
        Some(shards) if shards.is_empty() => Err(refused("shards", "the list names no shard".into())),
        Some(shards) if shards.len() > SHARDS_MAX => {
            Err(refused("shards", format!("more than {SHARDS_MAX} entries")))
        }
        shards => Ok(shards),
    }
}

/// Numbers of the shards that are asked for, ascending, each once; `Err` with one that a bus of `count` does not have.
pub(crate) fn shard_ids(shards: Option<Vec<u16>>, count: u16) -> Result<Vec<ShardId>, ShardId> {
    let mut shards = shards.unwrap_or_else(|| (0..count).collect());
    shards.sort_unstable();
    shards.dedup();
    match shards.last() {
        Some(&last) if last >= count => Err(ShardId(last)),
        _ => Ok(shards.into_iter().map(ShardId).collect()),
    }
}

fn refused(path: &str, reason: String) -> RequestError {
    RequestError { path: path.to_owned(), reason }
}

/// Longest document that is read, in bytes. The cursor of any bus whose sequences are below 2^52 fits into it.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
const LIMIT: usize = 100;
const SHARDS_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_document_and_nulls_mean_the_defaults() {
        for json in ["{}", r#"{"limit":null,"cursor":null,"ordering":null,"filter":null,"shards":null}"#] {
            assert_eq!(PollRequest::parse(json), Ok(PollRequest::default()), "{json}");
        }
        assert_eq!(PollRequest::default().limit, 100);
    }

    #[test]
    fn every_key_is_read() {
        let json = r#"{"limit":18446744073709551615,"cursor":"c","ordering":"insertion_ts",
                       "filter":{"path":"a","value":1},"shards":[3,1,3]}"#;
        let request = PollRequest::parse(json).expect(json);
        assert_eq!((request.limit, request.ordering), (usize::MAX, Ordering::InsertionTs));
        assert_eq!((request.cursor.as_deref(), request.shards), (Some("c"), Some(vec![3, 1, 3])));
        assert!(request.filter.is_some());
    }

    #[test]
    fn every_spelling_of_an_ordering_is_read() {
        for (spelling, ordering) in [
            ("none", Ordering::None),
            ("None", Ordering::None),
            ("NONE", Ordering::None),
            ("insertion_ts", Ordering::InsertionTs),
            ("InsertionTs", Ordering::InsertionTs),
            ("INSERTION_TS", Ordering::InsertionTs),
        ] {
            let request = PollRequest::parse(&format!(r#"{{"ordering":"{spelling}"}}"#)).expect(spelling);
            assert_eq!(request.ordering, ordering, "{spelling}");
        }
    }

    #[test]
    fn a_refusal_names_the_path_of_the_key() {
        for (json, path) in [
            (r#"{"limits":1}"#, "limits: "),
            (r#"{"limit":0}"#, "limit: "),
            (r#"{"limit":-1}"#, "limit: "),
            (r#"{"limit":1.0}"#, "limit: "),
            (r#"{"limit":"1"}"#, "limit: "),
            (r#"{"limit":18446744073709551616}"#, "limit: "),
            (r#"{"cursor":7}"#, "cursor: "),
            (r#"{"ordering":"time"}"#, "ordering: "),
            (r#"{"ordering":1}"#, "ordering: "),
            (r#"{"filter":"x"}"#, "filter: "),
            (r#"{"filter":{"$and":[{"path":"a","value":1},{"$or":[]}]}}"#, "filter.$and[1].$or: "),
            (r#"{"shards":[]}"#, "shards: "),
            (r#"{"shards":[0,65536]}"#, "shards[1]: "),
            (r#"{"shards":3}"#, "shards: "),
            ("{} {}", ".: "),
            (r#"[1,"c",null,null,null]"#, ".: "),
            ("", ".: "),
        ] {
            let error = PollRequest::parse(json).expect_err(json).to_string();
            assert!(error.starts_with(path), "{json}: {error}");
        }
    }

    #[test]
    fn a_document_or_list_past_its_bound_is_refused() {
        let long = format!(r#"{{"cursor":"{}"}}"#, "x".repeat(REQUEST_BYTES_MAX));
        assert_eq!(PollRequest::parse(&long).expect_err("too long").path, ".");
        let many = format!(r#"{{"shards":[{}0]}}"#, "0,".repeat(SHARDS_MAX));
        assert_eq!(PollRequest::parse(&many).expect_err("too many").path, "shards");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn random_text_never_panics(text in ".{0,80}|\\{\"(limit|cursor|ordering|filter|shards)\":[-0-9a-z\"\\[\\]{}$:,.]{0,40}\\}") {
            let _ = PollRequest::parse(&text);
        }
    }
}
