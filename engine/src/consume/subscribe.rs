//! What a subscription asks for, and the JSON document it is read from.
//!
//! A document holds any of `from`, `filter` and `shards`; `null` means the default. Another key, a wrong type and an
//! empty list of shards are refused with the key's path.

use serde::Deserialize;
use serde_json::Value;

use super::filter::Filter;
use super::request::{self, RequestError};

/// A subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubscribeRequest {
    /// Where to begin. Default [`From::Now`].
    pub from: From,
    /// Which events are wanted. Default: every one.
    pub filter: Option<Filter>,
    /// The shards to hear; naming one twice is naming it. Default: every one.
    pub shards: Option<Vec<u16>>,
}

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// With the oldest event that is still there.
    Start,
    /// With the first event that is stored from now on.
    #[default]
    Now,
    /// Behind a cursor that a poll or a subscription has given. A shard that it does not name begins at its start.
    Cursor(String),
}

impl SubscribeRequest {
    /// Parses a JSON document of at most [`REQUEST_BYTES_MAX`](request::REQUEST_BYTES_MAX) bytes. Any thread.
    pub fn parse(json: &str) -> Result<SubscribeRequest, RequestError> {
        let document: Document = request::parse_document(json)?;
        let from = match document.from {
            None => From::default(),
            Some(from) if from == "now" => From::Now,
            Some(from) if from == "start" => From::Start,
            Some(cursor) => From::Cursor(cursor),
        };
        Ok(SubscribeRequest {
            from,
            filter: request::filter(document.filter.as_ref())?,
            shards: request::shards(document.shards)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    from: Option<String>,
    filter: Option<Value>,
    shards: Option<Vec<u16>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_and_nulls_mean_the_defaults() {
        for json in ["{}", r#"{"from":null,"filter":null,"shards":null}"#] {
            assert_eq!(SubscribeRequest::parse(json), Ok(SubscribeRequest::default()), "{json}");
        }
        assert_eq!(SubscribeRequest::default().from, From::Now);
    }

    #[test]
    fn every_key_is_read() {
        for (from, expected) in [
            ("start", From::Start),
            ("now", From::Now),
            ("memory.1.2.3", From::Cursor("memory.1.2.3".into())),
        ] {
            let json = format!(r#"{{"from":"{from}","filter":{{"path":"a","value":1}},"shards":[1,0]}}"#);
            let request = SubscribeRequest::parse(&json).expect(&json);
            assert_eq!((request.from, request.shards), (expected, Some(vec![1, 0])));
            assert!(request.filter.is_some());
        }
    }

    #[test]
    fn a_refusal_names_the_path_of_the_key() {
        for (json, path) in [
            (r#"{"cursor":"x"}"#, "cursor: "),
            (r#"{"from":7}"#, "from: "),
            (r#"{"filter":{"$or":[]}}"#, "filter.$or: "),
            (r#"{"shards":[]}"#, "shards: "),
            (r#"{"shards":[-1]}"#, "shards[0]: "),
            ("[]", ".: "),
            ("", ".: "),
        ] {
            let error = SubscribeRequest::parse(json).expect_err(json).to_string();
            assert!(error.starts_with(path), "{json}: {error}");
        }
    }
}
