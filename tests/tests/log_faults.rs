//! The log store and what happens to its process and its disk: no durable event is lost, and none is there twice.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::adapter::AdapterState;
use engine::event::EventFlags;
use harness::log::{bus, publish};
use harness::mounted::Mounted;
use harness::{Random, assert_sums, c, read_all, until};

#[test]
fn a_process_that_is_killed_a_hundred_times_loses_no_durable_event_and_has_none_twice() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let mut random = Random::new(7);
    let mut next = 0_u64;
    let rounds =
        std::env::var("LIBNET_LOG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        let durable = run_until_killed(dir.path(), next, random.below(40));
        let there = numbers(dir.path());
        let expected: Vec<u64> = (0..there.len() as u64).collect();
        assert_eq!(there, expected, "each once and in order, round {round}");
        assert!(there.len() as u64 >= durable, "{} of {durable} durable events, round {round}", there.len());
        next = there.len() as u64;
    }
    assert!(next > 1_000, "something was published");
}

#[test]
fn whoever_starts_again_goes_on_from_the_old_cursor() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let program = c::compile("log_writer");
    let mut cursor = String::new();
    let (mut next, mut read) = (0, 0);
    for _ in 0..5 {
        let mut child = start(&program, dir.path(), next, Some(&cursor));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line = || lines.next().expect("it runs on").expect("it is text");
        let first: i64 = line().strip_prefix("first ").expect("what is next").parse().expect("a number");
        assert_eq!(first, if next == 0 { -1 } else { read });
        line().strip_prefix("cursor ").expect("a cursor").clone_into(&mut cursor);
        read = i64::try_from(next).expect("small");
        line();
        kill(child);
        next = numbers(dir.path()).len() as u64;
    }
}

#[test]
fn a_full_disk_stops_and_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let _mounted = Mounted::tmpfs(dir.path(), "24m");
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).expect("it fits");
    let log = dir.path().join("log");
    let bus = bus(&log, 1, SMALL_SEGMENTS).expect("the log opens");
    let mut producer = bus.producer();
    let payload = [b'x'; 1_000];
    let mut published = 0;
    until("the disk is full", || {
        for _ in 0..100 {
            producer.publish(None, &payload, EventFlags::NONE).expect("the buffer has room");
            published += 1;
        }
        bus.stats().shards[0].adapter == AdapterState::Down
    });
    let stats = bus.stats();
    let said = stats.last_errors[0].clone().unwrap_or_default();
    assert!(said.contains("No space left"), "{said}");
    let stored = stats.shards[0].stored;
    assert!(stored > 1_000 && stored < published, "what had space is stored: {stored} of {published}");
    assert_eq!(read_all(&bus, 10_000).len() as u64, stored, "and is read");
    fs::remove_file(&ballast).expect("it is there");
    until("it goes on", || bus.stats().shards[0].stored == published);
    assert_sums(&bus.stats());
    drop(bus);
    let again = harness::log::bus(&log, 1, SMALL_SEGMENTS).expect("it opens again");
    assert_eq!(read_all(&again, 10_000).len() as u64, published);
}

#[test]
fn a_file_system_that_refuses_direct_writes_is_written_to_through_the_page_cache() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let _mounted = Mounted::ramfs(dir.path());
    let bus = bus(dir.path(), 1, SMALL_SEGMENTS).expect("the log opens");
    publish(&bus, 0..1_000);
    let stats = bus.stats();
    assert_eq!(harness::load::count(&stats, "buffered"), 1);
    let said = stats.last_errors[0].clone().unwrap_or_default();
    assert!(said.contains("O_DIRECT"), "{said}");
    drop(bus);
    let again = harness::log::bus(dir.path(), 1, "").expect("it opens again");
    assert_eq!(harness::log::numbers(&read_all(&again, 300)), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn a_directory_has_one_bus_at_a_time_whichever_process_it_is_in() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let first = bus(dir.path(), 1, "").expect("the log opens");
    let refused = bus(dir.path(), 1, "").err().expect("it is in use");
    assert!(refused.contains("uses the directory"), "{refused}");
    drop(first);
    let program = c::compile("log_writer");
    let mut child = start(&program, dir.path(), 0, None);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines.next().expect("it runs").expect("it is text");
    let refused = bus(dir.path(), 1, "").err().expect("another process has it");
    assert!(refused.contains("uses the directory"), "{refused}");
    kill(child);
    drop(bus(dir.path(), 1, "").expect("the lock has ended with its process"));
}

#[test]
fn fewer_shards_than_before_leave_the_others_events_readable() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let four = bus(dir.path(), 4, "").expect("the log opens");
    publish(&four, 0..1_000);
    drop(four);
    let two = bus(dir.path(), 2, "").expect("the log opens with another layout");
    publish(&two, 1_000..2_000);
    let mut numbers = harness::log::numbers(&read_all(&two, 300));
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
}

/// Runs a writer from `next` on for `ms` after its first word, kills it, and gives the end of what it has said is durable.
fn run_until_killed(dir: &Path, next: u64, ms: u64) -> u64 {
    let program = c::compile("log_writer");
    let mut child = start(&program, dir, next, None);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said =
        |line: String| line.strip_prefix("durable ").and_then(|end| end.parse().ok()).expect("a number");
    let mut durable = said(lines.next().expect("it runs").expect("it is text"));
    std::thread::sleep(Duration::from_millis(ms));
    kill(child);
    for line in lines.map_while(Result::ok) {
        durable = said(line);
    }
    durable
}

fn start(program: &Path, dir: &Path, next: u64, cursor: Option<&str>) -> Child {
    let json = format!(r#"{{"num_shards":1,"log":{{"dir":"{}","segment_bytes":4194304}}}}"#, dir.display());
    let mut command = Command::new(program);
    command.arg(json).arg(next.to_string()).args(cursor).stdout(Stdio::piped());
    command.spawn().expect("it was compiled")
}

fn kill(mut child: Child) {
    child.kill().expect("it is our own");
    child.wait().expect("it is our own");
}

/// The numbers in the log, as polls return them.
fn numbers(dir: &Path) -> Vec<u64> {
    let bus = bus(dir, 1, SMALL_SEGMENTS).expect("it opens again");
    let number = |payload: &[u8]| std::str::from_utf8(payload).expect("digits").parse().expect("a number");
    read_all(&bus, 5_000).iter().map(|(_, payload)| number(payload)).collect()
}

const ROUNDS: u64 = 100;
const SMALL_SEGMENTS: &str = r#""segment_bytes":4194304"#;
