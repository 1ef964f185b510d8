//! `netload verify` from the outside: both ways out, and what is wrong is found.

use std::process::{Command, Output};

#[test]
fn both_ways_out_are_verified_for_keys_batches_and_several_producers() {
    for options in [
        &[][..],
        &["--batch", "50"],
        &["--producers", "4", "--keys", "500", "--skew", "zipf:1"],
        &["--size", "64..2000"],
        // A store that keeps less than the run, so that producers wait for the reader.
        &["--size", "64..2000", "--batch", "50", "--config", r#"{"memory":{"retention_bytes":1000000}}"#],
    ] {
        let output = verify(&[&["--events", "30000"], options].concat());
        let text = text(&output);
        assert_eq!(output.status.code(), Some(0), "{options:?}: {text}");
        for way in ["subscribe", "poll"] {
            assert_eq!(row(&text, way), ["30,000", "30,000", "0", "0", "0", "0"], "{options:?}: {text}");
        }
        assert!(text.contains("verified") && !text.contains("p99"), "{text}");
    }
}

#[test]
fn one_way_out_may_be_asked_for_alone() {
    for (way, other) in [("subscribe", "poll"), ("poll", "subscribe")] {
        let output = verify(&["--events", "1000", "--mode", way]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(row(&text, way).len() == 6 && row(&text, other).is_empty(), "{text}");
    }
}

#[test]
fn a_store_that_keeps_less_than_the_reader_needs_is_waited_for() {
    let output = verify(&["--events", "200000", "--config", r#"{"memory":{"retention_events":1000}}"#]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn a_lost_event_is_counted_and_fails() {
    // Each of eight producers has published one when the reader comes, and the shard has kept the last of them.
    let small = r#"{"memory":{"retention_events":1}}"#;
    let output = verify(&["--events", "800", "--producers", "8", "--mode", "poll", "--config", small]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let row = row(&text, "poll");
    assert!(row[0] == "800" && row[1] != "800" && row[2] != "0", "{text}");
    assert!(text.contains("NOT OK") && !text.contains("verified"), "{text}");
}

#[test]
fn a_store_that_gives_nothing_back_verifies_nothing() {
    let output = verify(&["--events", "800", "--config", r#"{"noop":{}}"#]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("nothing comes back"), "{}", text(&output));
}

fn verify(options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(["verify", "--quiet", "--shards", "1"]).args(options).output().expect("netload runs")
}

/// The counts of a way out.
fn row<'text>(text: &'text str, way: &str) -> Vec<&'text str> {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{way} ")));
    line.unwrap_or_default().split_whitespace().collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
