//! What fuzzing tries of what a Redis server says, and of the section that names it.

use engine::adapter::ReadRequest;
use engine::event::{Sequence, ShardId};

use super::block::{RangeQuery, block, entry_bytes, last_position};
use super::cluster::{Cluster, Redirect, Route, is_astray, slot};
use super::config::{Address, RedisConfig};
use super::entry::{DedupId, Entry, id, position};
use super::greeting::{Greeting, Step};
use super::refusal::Refusal;
use super::reply::{Framer, Reply, Token};
use super::streams::Count;
use crate::fuzzing::json;

/// The section `redis`, or the text of a URL.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let options = json(bytes)
        .filter(serde_json::Value::is_object)
        .unwrap_or_else(|| serde_json::json!({ "url": text }));
    match RedisConfig::parse(options) {
        Ok(config) => {
            assert!(config.stream_key(u16::MAX).len() <= 300, "{text}");
            true
        }
        Err(error) => {
            assert!(error.path.starts_with("redis"), "{error}");
            false
        }
    }
}

/// Replies in pieces of a size that the first byte says: they end where they end in one piece.
pub(crate) fn reply(bytes: &[u8]) -> bool {
    let Some((&size, said)) = bytes.split_first() else { return false };
    let (mut framer, mut begin, mut ends) = (Framer::new(), 0, Vec::new());
    let step = usize::from(size).max(1);
    'pieces: for cut in (step..said.len()).step_by(step).chain([said.len()]) {
        while begin < cut {
            match framer.end(&said[begin..cut]) {
                Ok(Some(len)) => {
                    begin += len;
                    ends.push(begin);
                }
                Ok(None) => continue 'pieces,
                Err(_) => break 'pieces,
            }
        }
    }
    let mut begin = 0;
    for &end in &ends {
        assert_eq!(Framer::new().end(&said[begin..]), Ok(Some(end - begin)), "in one piece");
        let reply = Reply::new(said[begin..end].to_vec());
        let elements: u64 =
            reply.tokens().map(|token| if let Token::Array(count) = token { count } else { 0 }).sum();
        assert_eq!(reply.tokens().count() as u64, elements + 1, "as many tokens as are announced");
        let _ = is_astray(&reply);
        greet(&reply.value());
        begin = end;
    }
    !ends.is_empty()
}

/// What a session may be told as it begins. It keeps what it was told, and no more.
fn greet(value: &redis::Value) {
    let mut greeting = Greeting::default();
    for step in [
        Step::Auth,
        Step::Select,
        Step::Name,
        Step::Id,
        Step::Process,
        Step::Kill { is_sure: true },
        Step::Slots,
        Step::Count(Count::Settle),
        Step::Count(Count::Ask),
    ] {
        if let Err(why) = greeting.hear(step, value) {
            assert!(!why.is_empty(), "{step:?}");
        }
    }
}

/// One reply to a read: its entries are events in order, or are passed over.
pub(crate) fn entries(bytes: &[u8]) -> bool {
    let Some(reply) = whole(bytes) else { return false };
    let Some(entries) = Entry::all(&reply) else { return false };
    for entry in &entries {
        assert_eq!(position(id(entry.position).as_bytes()), Some(entry.position), "an id of its own");
        if let Some(dedup_id) = entry.dedup_id() {
            assert_eq!(DedupId::parse(dedup_id.to_string().as_bytes()), Some(dedup_id));
        }
    }
    let _ = last_position(&reply);
    for after in [None, entries.first().map(|entry| entry.position)] {
        let request = ReadRequest { stream: ShardId(0), after, events_max: 100, bytes_max: 64 << 10 };
        let query = RangeQuery::new(&request, 100);
        let Some(block) = block(&reply, &request, &query) else { continue };
        let sequences: Vec<Sequence> = block.batch.events().map(|event| event.sequence).collect();
        let is_behind = sequences.first().is_none_or(|first| Some(*first) > after);
        assert!(sequences.is_sorted() && is_behind, "{sequences:?} after {after:?}");
        assert!(block.batch.len() as u64 + block.passed_over <= entries.len() as u64);
        let _ = entry_bytes(&reply, &block);
    }
    true
}

/// What the nodes of a cluster say of each other: `CLUSTER SLOTS`, or an error that sends somewhere else.
pub(crate) fn cluster(bytes: &[u8]) -> bool {
    let Some(reply) = whole(bytes) else { return false };
    let asked = Address::Tcp("10.0.0.1".to_owned(), 6379);
    let mut cluster = Cluster::new(asked.clone());
    let mut route = Route::new(Some(slot(bytes)));
    if let Token::Error(line) = reply.first() {
        let Some(redirect) = Redirect::of(&Refusal::of(line), &asked) else { return false };
        route.send(redirect.clone());
        assert_eq!(route.next(&cluster, 0), redirect);
        return true;
    }
    cluster.learn(&reply.value(), &asked);
    (0..8).for_each(|failures| drop(route.next(&cluster, failures)));
    (0..=u16::MAX).any(|slot| cluster.owner(slot).is_some())
}

fn whole(bytes: &[u8]) -> Option<Reply> {
    let len = Framer::new().end(bytes).ok()??;
    Some(Reply::new(bytes[..len].to_vec()))
}
