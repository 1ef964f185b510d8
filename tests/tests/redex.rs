//! Named files, from C programs that are written against `net_cortex.h` alone.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use adapters::log::inspect::Inspection;
use harness::c;
use harness::mounted::Mounted;

#[test]
fn four_threads_append_ranges_are_read_tails_follow_and_everything_is_freed_in_any_order() {
    c::run("redex", &[]);
}

#[test]
fn what_is_refused_of_named_files_has_its_code_and_changes_nothing() {
    c::run("redex_codes", &[]);
}

#[test]
fn files_in_a_directory_are_there_again_and_have_one_redex_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory is made");
    c::run("redex_log", &[&dir.path().display().to_string()]);
}

#[test]
fn an_append_on_a_full_disk_says_so_and_appends_go_on_when_there_is_space() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let _mounted = Mounted::tmpfs(dir.path(), "16m");
    let ballast = dir.path().join("ballast");
    // It leaves space for one segment.
    fs::write(&ballast, vec![1; 11 << 20]).expect("it fits");
    let (redex, ballast) = (dir.path().join("redex").display().to_string(), ballast.display().to_string());
    c::run("redex_full", &[&redex, &ballast]);
}

#[test]
fn an_append_that_was_answered_survives_its_process_with_a_sync_for_every_batch() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let mut command = Command::new(c::compile("redex_log"));
    let mut child =
        command.arg(dir.path()).arg("until killed").stdout(Stdio::piped()).spawn().expect("compiled");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines.nth(50).expect("it appends").expect("it is text");
    child.kill().expect("it is our own");
    child.wait().expect("it is our own");
    let answered = 51 + lines.map_while(Result::ok).count();
    let inspection = Inspection::open(&dir.path().join("killed/file.redex")).expect("it is a log");
    let mut events = inspection.logs()[0].events(None).expect("it can be read");
    let mut next = 0;
    while let Some(block) = events.next(100).expect("it can be read") {
        for event in block.batch.events() {
            assert_eq!(event.payload, format!("event {next}").as_bytes());
            next += 1;
        }
    }
    assert!(next >= answered, "{next} of {answered}");
}
