//! `netload run --input`: lines of a file as events, once or again and again, under keys of their own.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn lines_begin_again_until_the_events_or_the_time_are_over() {
    for (options, events) in [
        (&["--events", "10001"][..], Some(10_001)),
        (&["--events", "10000", "--producers", "2"], Some(10_000)),
        (&["--events", "10000", "--producers", "7"], Some(10_000)),
        (&["--duration", "500ms"], None),
        (&["--duration", "500ms", "--rate", "2k"], None),
        (&["--events", "10000", "--mode", "ingest"], Some(10_000)),
    ] {
        let (output, document) = run(THREE, &[&["--loop", "--warmup", "0s"], options].concat());
        let text = text(&output);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{options:?}: {text}");
        let published = document["result"]["events"].as_u64().expect("a number");
        assert!(events.is_none_or(|events| events == published) && published > 3, "{options:?}: {text}");
        assert!(text.contains("again and again"), "{text}");
        let verified = if options.contains(&"ingest") { "verified    nothing" } else { "verified    all" };
        assert!(text.contains(verified), "{options:?}: {text}");
    }
}

#[test]
fn without_loop_every_line_is_published_once_at_every_pace() {
    for options in [&[][..], &["--rate", "1k"], &["--mode", "ingest"], &["--producers", "5"]] {
        let (output, document) = run(THREE, options);
        assert_eq!(document["result"]["events"], 3, "{options:?}: {}", text(&output));
    }
}

#[test]
fn a_key_field_routes_its_lines_and_those_without_it_are_counted_and_said() {
    let lines: Vec<String> =
        (0..400).map(|line| format!("{{\"user\":{{\"id\":\"only\"}},\"line\":{line}}}")).collect();
    let lines = lines.join("\n");
    let loaded = |document: &Value| {
        let shards = document["shards"].as_array().expect("shards").iter();
        shards.filter(|shard| shard["ingested"] != 0).count()
    };
    let (_, spread) = run(&lines, &["--shards", "2"]);
    assert_eq!(loaded(&spread), 2);
    let (output, keyed) = run(&lines, &["--shards", "2", "--key-field", "user.id"]);
    assert_eq!(
        (loaded(&keyed), &keyed["settings"]["key_field"]),
        (1, &"user.id".into()),
        "{}",
        text(&output)
    );
    let (output, _) = run("{\"a\":1}\nno JSON\n{\"b\":1}\n", &["--key-field", "a"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("2 lines without a key at `a`, the first is line 2"), "{text}");
    assert!(text.contains("verified    all 3"), "{text}");
}

#[test]
fn more_lines_than_the_verifier_keeps_at_a_time_are_verified() {
    let (output, _) = run(THREE, &["--loop", "--events", "1200000", "--key-field", "a"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("verified    all 1,200,000") && text.contains("producers waited"), "{text}");
}

#[test]
fn a_line_that_cannot_be_accepted_is_named_once_however_often_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("input.ndjson");
    fs::write(&path, b"{}\n\xff\xfe\n{}\n").expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    let output =
        command.args(["run", "--loop", "--events", "9", "--input"]).arg(&path).output().expect("runs");
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.matches("was not accepted").count(), 1, "{text}");
    assert!(text.contains("line 2 of"), "{text}");
}

#[test]
fn what_does_not_go_with_lines_is_refused_as_wrong_use() {
    for (options, says) in [
        (&["--input", "-", "--mode", "subscribe"][..], "--mode"),
        (&["--input", "-", "--duration", "1s"], "--loop"),
        (&["--loop"], "--input"),
        (&["--key-field", "a"], "--input"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
        let output = command.arg("run").args(options).output().expect("netload runs");
        assert_eq!(output.status.code(), Some(64), "{options:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{options:?}: {}", text(&output));
    }
}

/// Publishes these lines, and reads what was saved.
fn run(lines: &str, options: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let [input, json] = ["input.ndjson", "run.json"].map(|name| folder.path().join(name));
    fs::write(&input, lines).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(["run", "--quiet", "--input"]).arg(&input).args(options).arg("--json").arg(&json);
    let output = command.output().expect("netload runs");
    let document = fs::read(json).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let document = document.unwrap_or_else(|| panic!("no JSON: {}", text(&output)));
    (output, document)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const THREE: &str = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n";
