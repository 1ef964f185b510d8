//! What fuzzing tries of this crate: each target takes any bytes, and asserts what has to hold for all of them.
//!
//! A target returns whether its parser has taken the bytes. `cargo xtask fuzz` looks for bytes that fail one; the corpora that it
//! starts with are replayed by the unit test.

use serde_json::Value;

use crate::config::Config;
use crate::consume::cursor::{Cursor, CursorError, Store};
use crate::consume::filter::{Filter, FilterScratch};
use crate::consume::request::PollRequest;
use crate::consume::subscribe::SubscribeRequest;

/// A target's name, which its corpus has too, and what it does.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("poll_request", poll_request),
    ("subscribe_request", subscribe_request),
    ("filter", filter),
    ("cursor", cursor),
];

fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    match Config::parse(text, &["memory", "log", "redis", "net", "noop"]) {
        Ok((config, _)) => {
            assert!(
                config.max_event_bytes > 0 && config.ring_buffer_capacity.is_power_of_two(),
                "{config:?}"
            );
            true
        }
        Err(error) => {
            assert!(!error.reason.is_empty(), "{error}");
            false
        }
    }
}

fn poll_request(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    match PollRequest::parse(text) {
        Ok(request) => {
            assert!(request.limit > 0 && request.shards.is_none_or(|shards| !shards.is_empty()), "{text}");
            true
        }
        Err(error) => {
            assert!(!error.reason.is_empty(), "{error}");
            false
        }
    }
}

fn subscribe_request(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    match SubscribeRequest::parse(text) {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.reason.is_empty(), "{error}");
            false
        }
    }
}

/// A filter, and behind a zero an event.
fn filter(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let (Some(filter), payload) = (parts.next(), parts.next().unwrap_or_default()) else { return false };
    let Ok(value) = serde_json::from_slice::<Value>(filter) else { return false };
    let Ok(parsed) = Filter::parse(&value) else { return false };
    let mut scratch = FilterScratch::default();
    let verdict = parsed.matches(payload, &mut scratch);
    assert_eq!(parsed.matches(payload, &mut scratch), verdict, "a scratch that was used before");
    if let Ok(not) = Filter::parse(&serde_json::json!({ "$not": value })) {
        assert_ne!(not.matches(payload, &mut scratch), verdict, "its opposite");
    }
    true
}

/// A cursor, or one without its checksum, which is made good.
fn cursor(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let sum = xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as u32;
    let store = Store { tag: "memory", incarnation: 0xfeed };
    let parse = |text: &str| match Cursor::parse(text, store) {
        Ok(cursor) => {
            assert_eq!(cursor.to_string(), text, "a cursor has one spelling");
            true
        }
        Err(error) => error == CursorError::OtherIncarnation,
    };
    parse(text) | parse(&format!("{text}.{sum:08x}"))
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
