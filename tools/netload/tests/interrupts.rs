//! Ctrl-C: every verb that measures ends early, keeps what there is, and ends with status 130.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[test]
fn an_interrupted_run_keeps_what_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let output = interrupted(&["run", "--rate", "1k", "--duration", "1h", "--warmup", "0s"], Some(&path));
    let text = text(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted") && text.contains("p99.999"), "{text}");
    let document = read(&path);
    assert_eq!(document["interrupted"], true);
    assert!(document["result"]["events"].as_u64() > Some(0));
}

#[test]
fn a_run_that_is_interrupted_in_its_warm_up_is_not_called_too_slow() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let output = interrupted(&["run", "--rate", "1k", "--warmup", "1h"], Some(&path));
    let text = text(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted") && !text.contains("TOO SLOW") && !text.contains("NaN"), "{text}");
    assert_eq!(read(&path)["result"]["kept"], Value::Null);
}

#[test]
fn an_interrupted_sweep_and_peak_keep_the_runs_so_far() {
    for verb in [&["sweep", "--rates", "1k,2k"][..], &["peak", "--slo", "p99<1h"]] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("runs.json");
        let output = interrupted(&[verb, &["--duration", "1h", "--warmup", "0s"]].concat(), Some(&path));
        assert_eq!(output.status.code(), Some(130), "{}", text(&output));
        let document = read(&path);
        let runs = document["runs"].as_array().expect("runs");
        assert_eq!(runs.len(), 1, "{}", text(&output));
        assert!(runs[0]["interrupted"] == true && runs[0]["result"]["events"].as_u64() > Some(0));
    }
}

#[test]
fn an_interrupted_verification_says_what_it_has_seen() {
    let output = interrupted(&["verify", "--events", "1000000000000"], None);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("\nsubscribe ") && !text.contains("\npoll "), "{text}");
    assert!(text.contains("interrupted: what was published until then came back once"), "{text}");
}

#[test]
fn interrupted_lines_that_begin_again_and_again_are_verified_until_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("input.ndjson");
    fs::write(&input, "{\"a\":1}\n{\"a\":2}\n").expect("writable");
    let input = input.display().to_string();
    let output = interrupted(&["run", "--loop", "--duration", "1h", "--input", &input], None);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted") && text.contains("verified    all"), "{text}");
}

/// Runs with one shard, interrupts it when it has told of its first second, and waits for its end.
fn interrupted(words: &[&str], json: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(words).args(["--shards", "1"]);
    if let Some(path) = json {
        command.arg("--json").arg(path);
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("netload runs");
    // A second way to read, so that the child keeps its own.
    let errors = child.stderr.as_ref().expect("piped").as_fd().try_clone_to_owned();
    BufReader::new(File::from(errors.expect("a descriptor is free")))
        .lines()
        .next()
        .expect("a line")
        .expect("text");
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(signalled.success());
    child.wait_with_output().expect("netload ends")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("saved")).expect("JSON")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
