//! The format of a log is what FORMAT.md says: a reader that knows nothing else, in Python, reads what polls return, also where bits have
//! turned over and where the last write was torn.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use adapters::SECTIONS;
use engine::bus::Bus;
use engine::config::Config;
use engine::consume::request::PollRequest;
use engine::event::EventFlags;
use harness::log::copied;
use harness::random::Random;
use harness::{c, python};
use serde_json::{Value, json};

#[test]
fn a_reader_of_sixty_lines_reads_what_polls_return() {
    let dir = tempfile::tempdir().expect("a directory is made");
    write(dir.path());
    let script = fs::read_to_string(script()).expect("it is there");
    assert!(script.lines().count() <= 60, "{} lines", script.lines().count());
    let (read, polled) = (read_by_script(dir.path()), polled(dir.path()));
    assert_eq!(polled.len(), 6_000);
    assert!(read == polled, "{} events, and polls return {}", read.len(), polled.len());
}

#[test]
fn both_pass_over_what_a_flipped_bit_has_damaged() {
    let dir = tempfile::tempdir().expect("a directory is made");
    write(dir.path());
    let mut random = Random::new(7);
    let mut damaged = 0;
    for turn in 0..12 {
        let copy = copied(dir.path());
        let segments = with_events(copy.path());
        let path = &segments[random.below(segments.len() as u64) as usize];
        let mut bytes = fs::read(path).expect("it is there");
        let at = if turn % 2 == 0 {
            random.below(bytes.len() as u64) as usize
        } else {
            block(&bytes, &mut random) + random.below(64) as usize
        };
        bytes[at] ^= 1 << random.below(8);
        fs::write(path, bytes).expect("it is writable");
        let (read, polled) = (read_by_script(copy.path()), polled(copy.path()));
        let what = format!("turn {turn}, byte {at} of {}", path.display());
        assert!(read == polled, "{} events, and polls return {}: {what}", read.len(), polled.len());
        damaged += usize::from(polled.len() < 6_000);
    }
    assert!(damaged > 5, "{damaged}");
}

#[test]
fn both_end_at_the_first_write_that_is_torn_or_has_never_arrived() {
    let dir = tempfile::tempdir().expect("a directory is made");
    write(dir.path());
    let mut random = Random::new(8);
    for turn in 0..8 {
        let copy = copied(dir.path());
        let Some(path) = with_events(copy.path()).pop() else { panic!("there are events") };
        let mut bytes = fs::read(&path).expect("it is there");
        // Without the block that closed the log nothing says that any of this run was durable.
        let closing = bytes.len() - 4_096;
        bytes[closing..].fill(0);
        let at = block(&bytes, &mut random);
        match turn % 3 {
            0 => bytes[at..].fill(0),
            1 => bytes[at..at + 4_096].fill(0),
            _ => bytes[at + random.below(4_096) as usize..][..4_096].fill(0x5a),
        }
        fs::write(&path, bytes).expect("it is writable");
        let (read, polled) = (read_by_script(copy.path()), polled(copy.path()));
        let what = format!("turn {turn}, {} from {at} on", path.display());
        assert!(read == polled, "{} events, and polls return {}: {what}", read.len(), polled.len());
        assert!(polled.len() < 6_000, "{what}");
    }
}

/// Three runs of a bus with two shards, each of 2,000 events of any bytes, in several segments. What is durable is so because a
/// segment or a run has ended.
fn write(dir: &Path) {
    let mut random = Random::new(6);
    for _ in 0..3 {
        let bus = open(dir);
        let mut producer = bus.producer();
        for number in 0..2_000_u64 {
            let length = if random.below(20) == 0 { random.below(20_000) } else { random.below(300) };
            let payload: Vec<u8> = if random.below(2) == 0 {
                (0..length).map(|_| random.below(256) as u8).collect()
            } else {
                format!(r#"{{"n":{number},"text":"{}"}}"#, "ä".repeat(length as usize)).into_bytes()
            };
            let key = number.to_le_bytes();
            producer.publish(Some(&key), &payload, EventFlags::NONE).expect("it is taken");
        }
        drop(producer);
        assert_eq!(bus.shutdown(None), Ok(0));
    }
}

/// Blocks are of few events, so that there are many.
fn open(dir: &Path) -> Bus {
    let log = json!({ "dir": dir, "segment_bytes": 2 << 20, "sync": "never" });
    let document = json!({ "num_shards": 2, "batch": { "max_size": 20 }, "log": log }).to_string();
    let (config, section) = Config::parse(&document, &SECTIONS).expect("it is right");
    let stores = adapters::factory(section, &config).expect("nobody uses the log");
    Bus::start(config, stores).expect("it starts")
}

/// Where a block begins.
fn block(bytes: &[u8], random: &mut Random) -> usize {
    let pages = (8_192..bytes.len()).step_by(4_096);
    let blocks: Vec<usize> = pages.filter(|&at| bytes[at + 8..].starts_with(b"blk1")).collect();
    blocks[random.below(blocks.len() as u64) as usize]
}

/// What the script prints, by shard and sequence.
fn read_by_script(dir: &Path) -> BTreeMap<(u64, u64), Value> {
    let output = c::run_command(python::with_package("xxhash").arg(script()).arg(dir));
    let mut events = BTreeMap::new();
    for line in output.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("it prints JSON");
        let key =
            (event["shard"].as_u64().expect("a shard"), event["sequence"].as_u64().expect("a sequence"));
        assert!(events.last_key_value().is_none_or(|(last, _)| *last < key), "{key:?} is out of order");
        events.insert(key, event);
    }
    events
}

/// What polls return. The bus that is asked goes on with the log.
fn polled(dir: &Path) -> BTreeMap<(u64, u64), Value> {
    let bus = open(dir);
    let (mut events, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page =
            bus.poll(&PollRequest { limit: 500, cursor, ..PollRequest::default() }).expect("it answers");
        for (shard, event) in page.events() {
            let digits = event.payload.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let payload: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
            let line = json!({
                "shard": shard.0,
                "sequence": event.sequence.0,
                "timestamp_ns": event.timestamp_ns,
                "hash": event.hash,
                "payload": payload,
            });
            events.insert((u64::from(shard.0), event.sequence.0), line);
        }
        cursor = page.next_cursor;
        if !page.has_more {
            break;
        }
    }
    bus.shutdown(None).expect("it stops");
    events
}

/// The segments with events, ascending.
fn with_events(dir: &Path) -> Vec<PathBuf> {
    let shards =
        ["shard-00000", "shard-00001"].map(|shard| fs::read_dir(dir.join(shard)).expect("it is there"));
    let paths = shards.into_iter().flatten().map(|entry| entry.expect("it is there").path());
    let has_events = |path: &PathBuf| {
        let length = fs::metadata(path).expect("it is there").len();
        path.extension().is_some_and(|extension| extension == "seg") && length > 8_192 + 2 * 4_096
    };
    let mut segments: Vec<PathBuf> = paths.filter(has_events).collect();
    segments.sort();
    segments
}

fn script() -> PathBuf {
    c::root().join("tests/python/read_log.py")
}
