//! What fuzzing tries of this crate: each target takes any bytes, and asserts what has to hold for all of them.
//!
//! A target returns whether its parser has taken the bytes. `cargo xtask fuzz` looks for bytes that fail one; the corpora that it
//! starts with are replayed by the unit test.

use crate::{log, memory, named, noop, redis, udp};

/// A target's name, which its corpus has too, and what it does.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("memory_config", memory_config),
    ("redis_config", redis::fuzzing::config),
    ("redis_reply", redis::fuzzing::reply),
    ("redis_entries", redis::fuzzing::entries),
    ("redis_cluster", redis::fuzzing::cluster),
    ("udp_config", udp::fuzzing::config),
    ("udp_keys", udp::fuzzing::keys),
    ("udp_packet", udp::fuzzing::packet),
    ("udp_handshake", udp::fuzzing::handshake),
    ("udp_frames", udp::fuzzing::frames),
    ("log_config", log::fuzzing::config),
    ("log_identity", log::fuzzing::identity),
    ("log_index", log::fuzzing::index),
    ("log_segment", log::fuzzing::segment),
    ("named_config", named::fuzzing::config),
    ("named_name", named::fuzzing::name),
];

/// The sections of the stores that keep nothing on a disk or elsewhere.
fn memory_config(bytes: &[u8]) -> bool {
    let Some(options) = json(bytes) else { return false };
    let is_noop = noop::NoopStores::parse(options.clone()).is_ok();
    match memory::Retention::parse(options) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.path.starts_with("memory"), "{error}");
            is_noop
        }
    }
}

/// The JSON in `bytes`, if it is any.
pub(crate) fn json(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
