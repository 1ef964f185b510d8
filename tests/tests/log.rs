//! The log store: what was stored is there after a restart, once, in order and as it went in, whoever reads it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::bus::Bus;
use engine::consume::request::PollRequest;
use engine::consume::subscribe::{From, SubscribeRequest};
use engine::event::EventFlags;
use harness::log::{bus, damage_last_events, numbers, publish};
use harness::{assert_sums, read_all, until};

#[test]
fn every_event_comes_back_once_on_every_way_out() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let bus = open(dir.path(), 2, "");
    let mut live = bus.subscribe(SubscribeRequest::default()).expect("the shards answer");
    publish(&bus, 0..5_000);
    let mut polled = numbers(&read_all(&bus, 700));
    polled.sort_unstable();
    assert_eq!(polled, (0..5_000).collect::<Vec<_>>());
    let from_start = SubscribeRequest { from: From::Start, ..SubscribeRequest::default() };
    let mut late = bus.subscribe(from_start).expect("the shards answer");
    for subscription in [&mut live, &mut late] {
        let mut received = Vec::new();
        until("every event has come", || {
            let events = subscription.next(1_000, Some(Duration::from_millis(10))).expect("it runs");
            received.extend(events.map(|(shard, event)| (shard, event.payload.to_vec())));
            received.len() >= 5_000
        });
        let mut received = numbers(&received);
        received.sort_unstable();
        assert_eq!(received, (0..5_000).collect::<Vec<_>>());
    }
    assert_sums(&bus.stats());
}

#[test]
fn a_restart_goes_on_where_the_last_cursor_was() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let mut cursor = None;
    for run in 0..4_u64 {
        let bus = open(dir.path(), 1, "");
        publish(&bus, run * 1_000..(run + 1) * 1_000);
        let request = PollRequest { limit: 600, cursor, ..PollRequest::default() };
        let page = bus.poll(&request).expect("the cursor is this log's");
        let expected: Vec<u64> = (run * 600..(run + 1) * 600).collect();
        let events: Vec<_> = page.events().map(|(shard, event)| (shard, event.payload.to_vec())).collect();
        assert_eq!(numbers(&events), expected);
        assert_eq!((page.skipped, page.passed_over), (0, 0));
        cursor = page.next_cursor;
        assert_eq!(bus.shutdown(None), Ok(0));
    }
    let bus = open(dir.path(), 1, "");
    assert_eq!(numbers(&read_all(&bus, 300)), (0..4_000).collect::<Vec<_>>());
}

#[test]
fn a_segment_that_is_full_is_not_kept_open() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let bus = open(dir.path(), 1, r#""segment_bytes":2097152"#);
    let (mut producer, payload) = (bus.producer(), vec![b'a'; 65_536]);
    for _ in 0..600 {
        producer.publish(None, &payload, EventFlags::NONE).expect("it is taken");
    }
    bus.flush().expect("the log is durable");
    let segments = fs::read_dir(dir.path().join("shard-00000")).expect("the shard has a log").count();
    assert!(segments > 15, "{segments}");
    let is_of_the_log =
        |path: &PathBuf| path.starts_with(dir.path()) && path.extension() == Some("seg".as_ref());
    until("only the one that is written to and the next are open", || {
        let open = fs::read_dir("/proc/self/fd").expect("the system tells");
        let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.filter(is_of_the_log).count() <= 2
    });
}

#[test]
fn what_only_looks_like_the_log_of_a_shard_is_none() {
    let dir = tempfile::tempdir().expect("a directory is made");
    for name in ["shard-60000", "shard-00003"] {
        fs::write(dir.path().join(name), "a file").expect("there is space");
    }
    for name in ["shard-9", "shard-+0009"] {
        fs::create_dir(dir.path().join(name)).expect("there is space");
    }
    let bus = open(dir.path(), 1, "");
    publish(&bus, 0..10);
    assert_eq!(bus.shutdown(None), Ok(0));
    let folders = fs::read_dir(dir.path()).expect("it is there").flatten();
    assert_eq!(folders.filter(|entry| entry.path().is_dir()).count(), 3, "none was made but the shard's");
}

#[test]
fn what_is_damaged_counts_although_it_is_the_last_before_the_close() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let bus = open(dir.path(), 1, "");
    publish(&bus, 0..10);
    publish(&bus, 10..20);
    assert_eq!(bus.shutdown(None), Ok(0));
    damage_last_events(&dir.path().join("shard-00000/00000000000000000001.seg"));
    let page = open(dir.path(), 1, "").poll(&PollRequest { limit: 100, ..PollRequest::default() });
    let page = page.expect("it is readable");
    assert!(page.passed_over > 0);
    assert_eq!(page.events().count() as u64 + page.passed_over, 20);
}

fn open(dir: &Path, shards: u16, options: &str) -> Bus {
    bus(dir, shards, options).expect("the log opens")
}
