//! What a log keeps and how much of it: retention, the largest events, files for the service alone, a directory that stays where it
//! was, and no sequence twice when the newest segment cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use engine::bus::Bus;
use engine::consume::PollResponse;
use engine::consume::request::PollRequest;
use engine::event::EventFlags;
use harness::log::{bus, publish};
use harness::until;

#[test]
fn retention_removes_the_oldest_segments_and_tells_who_was_behind() {
    for kept in [r#""retention_bytes":8388608"#, r#""retention_events":100"#] {
        let dir = tempfile::tempdir().expect("a directory is made");
        let options = format!(r#""segment_bytes":2097152,{kept}"#);
        let open = || bus(dir.path(), 1, &options).expect("the log opens");
        let mut bus = open();
        append(&bus, 0..10, 65_536);
        let cursor = page(&bus, None, 5).next_cursor;
        append(&bus, 10..600, 65_536);
        for what in ["it runs", "it was opened again"] {
            until("most segments are gone", || segments(dir.path()).len() < 9);
            let page = page(&bus, cursor.clone(), 1_000);
            let numbers: Vec<u64> = page.events().map(|(_, event)| number(event.payload)).collect();
            assert!((100..300).contains(&numbers.len()), "{} events are kept: {kept}, {what}", numbers.len());
            assert_eq!(numbers, (600 - numbers.len() as u64..600).collect::<Vec<_>>(), "{what}");
            assert_eq!(page.skipped, 595 - numbers.len() as u64, "{what}");
            assert_eq!(bus.shutdown(None), Ok(0));
            bus = open();
        }
    }
}

#[test]
fn the_largest_events_fit_between_small_ones() {
    const LARGE: usize = 16 << 20;
    let dir = tempfile::tempdir().expect("a directory is made");
    let open = || {
        let log = format!(r#"{{"dir":"{}","segment_bytes":{}}}"#, dir.path().display(), LARGE + (524 << 10));
        harness::log::bus_of(&format!(r#"{{"num_shards":1,"max_event_bytes":{LARGE},"log":{log}}}"#))
            .expect("the log opens")
    };
    let bus = open();
    for first in (0..60).step_by(10) {
        append(&bus, first..first + 9, 100);
        append(&bus, first + 9..first + 10, LARGE);
    }
    assert_eq!(bus.shutdown(None), Ok(0));
    let bus = open();
    let (mut cursor, mut found) = (None, Vec::new());
    while found.len() < 60 {
        let page = page(&bus, cursor, 7);
        assert!(page.events().next().is_some(), "{} events", found.len());
        found.extend(page.events().map(|(_, event)| (number(event.payload), event.payload.len())));
        cursor = page.next_cursor;
    }
    let length = |number: u64| if number % 10 == 9 { LARGE } else { 100 };
    assert_eq!(found, (0..60).map(|number| (number, length(number))).collect::<Vec<_>>());
}

#[test]
fn no_sequence_is_given_twice_although_the_newest_segments_cannot_be_read() {
    // So small that more are in what cannot be read than the first segment sets sequences aside for.
    const EVENTS: u64 = 300_000;
    let dir = tempfile::tempdir().expect("a directory is made");
    let open = || bus(dir.path(), 1, r#""segment_bytes":2097152"#).expect("the log opens");
    let bus = open();
    append(&bus, 0..EVENTS, 8);
    let (mut cursor, mut has_more) = (None, true);
    while has_more {
        let page = page(&bus, cursor, 20_000);
        (cursor, has_more) = (page.next_cursor, page.has_more);
    }
    assert_eq!(bus.shutdown(None), Ok(0));
    let newest = segments(dir.path()).split_off(1);
    assert!(newest.len() >= 3, "{}", newest.len());
    for path in newest {
        let mut bytes = fs::read(&path).expect("it is there");
        for page in [0, 4_096] {
            bytes[page] ^= 1;
        }
        fs::write(&path, bytes).expect("there is space");
    }
    let bus = open();
    append(&bus, EVENTS..EVENTS + 1, 8);
    let after = page(&bus, cursor, 1_000);
    let (_, event) = after.events().next().expect("who has read everything goes on behind it");
    assert_eq!(number(event.payload), EVENTS);
    assert!(event.sequence.0 > EVENTS, "{}", event.sequence);
    let told = bus.stats().last_errors[0].clone().expect("the operator is told");
    assert!(told.contains("segments cannot be read, that of 2 first"), "{told}");
}

#[test]
fn what_is_written_is_for_the_service_and_its_group() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let bus = bus(dir.path(), 1, "").expect("the log opens");
    publish(&bus, 0..10);
    assert_eq!(bus.shutdown(None), Ok(0));
    let mut files = segments(dir.path());
    files.extend(["log.json", "LOCK"].map(|name| dir.path().join(name)));
    for file in files {
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{} has mode {mode:o}", file.display());
    }
}

#[test]
fn a_relative_directory_stays_where_it_was_when_the_process_goes_elsewhere() {
    let (here, there) =
        (tempfile::tempdir().expect("one is made"), tempfile::tempdir().expect("one is made"));
    std::env::set_current_dir(here.path()).expect("it is there");
    let bus = bus(Path::new("log"), 1, r#""segment_bytes":2097152"#).expect("the log opens");
    std::env::set_current_dir(there.path()).expect("it is there");
    append(&bus, 0..100, 65_536);
    assert_eq!(bus.shutdown(None), Ok(0));
    assert!(segments(&here.path().join("log")).len() > 3);
    assert_eq!(fs::read_dir(there.path()).expect("it is there").count(), 0);
}

/// Appends events that begin with their numbers and have `bytes` bytes each, and waits until they are durable.
fn append(bus: &Bus, numbers: std::ops::Range<u64>, bytes: usize) {
    let mut producer = bus.producer();
    for number in numbers {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(bytes, 0x5a);
        producer.publish(None, &payload, EventFlags::NONE).expect("it is taken");
    }
    bus.flush().expect("the log is durable");
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(*payload.first_chunk().expect("it begins with its number"))
}

fn page(bus: &Bus, cursor: Option<String>, limit: usize) -> PollResponse {
    bus.poll(&PollRequest { limit, cursor, ..PollRequest::default() }).expect("the shard answers")
}

/// The segments of the only shard, the oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("shard-00000")).expect("the shard has a log");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    paths.retain(|path| path.extension() == Some("seg".as_ref()));
    paths.sort();
    paths
}
