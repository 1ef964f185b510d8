//! `netload run` from the outside: what it prints, what it saves, and how it ends.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

#[test]
fn every_mode_and_every_way_to_wait_measures_what_was_due() {
    for mode in [
        &["--mode", "ingest"][..],
        &["--mode", "poll"],
        &["--mode", "subscribe", "--wait", "spin"],
        &["--mode", "subscribe", "--wait", "block"],
        &["--mode", "subscribe", "--wait", "fd", "--arrival", "poisson"],
    ] {
        let (output, document) =
            run(&[&["--rate", "2k", "--warmup", "100ms", "--duration", "500ms"], mode].concat());
        let text = text(&output);
        // Whether the rate is kept is the machine's affair; that nothing is wrong, netload's.
        assert!(matches!(output.status.code(), Some(0 | 2)), "{text}");
        assert!(text.contains("verified") && text.contains("p99.999"), "{text}");
        let (count, kept) = (&document["latency"]["response"]["count"], &document["result"]["kept"]);
        assert_eq!(count, &document["result"]["events"], "{text}");
        assert_eq!(&document["latency"]["service"]["count"], count);
        assert_eq!(output.status.code() == Some(0), kept.as_f64().expect("an open loop") >= 0.99, "{text}");
        assert!(document["result"]["warmup_events"].as_u64() > Some(0), "{text}");
        if !mode.contains(&"poisson") && document["result"]["skipped"] == 0 {
            assert_eq!(count, 1_000, "{text}");
        }
    }
}

#[test]
fn a_rate_that_nobody_keeps_is_skipped_counted_and_said() {
    let (output, document) = run(&[
        "--rate",
        "1000M",
        "--duration",
        "300ms",
        "--warmup",
        "0s",
        "--max-backlog",
        "10ms",
        "--mode",
        "ingest",
    ]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("TOO SLOW") && text.contains("skipped"), "{text}");
    assert!(document["result"]["skipped"].as_u64() > Some(0));
    assert!(document["result"]["kept"].as_f64() < Some(0.99));
}

#[test]
fn a_range_of_sizes_comes_back_in_every_mode_and_pace() {
    for options in [
        &["--mode", "ingest", "--rate", "2k"][..],
        &["--mode", "poll", "--rate", "2k"],
        &["--mode", "subscribe", "--rate", "2k", "--batch", "20"],
        &["--mode", "subscribe", "--rate", "2k", "--arrival", "poisson"],
        &["--mode", "poll"],
    ] {
        let range = ["--size", "64..3000", "--producers", "2", "--warmup", "100ms", "--duration", "300ms"];
        let (output, document) = run(&[&range[..], options].concat());
        let text = text(&output);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{text}");
        assert!(text.contains("verified") && text.contains("of 64 to 3,000 bytes (seed 1)"), "{text}");
        let figure = |name: &str| document["result"][name].as_u64().expect("a count");
        let mean = figure("bytes") / figure("events");
        assert!((1_000..2_000).contains(&mean), "{mean}: {text}");
    }
}

#[test]
fn what_the_generator_itself_cost_is_printed_as_it_is_saved() {
    let open =
        ["--rate", "2k", "--duration", "300ms", "--warmup", "0s", "--mode", "ingest", "--arrival", "poisson"];
    for (options, is_open) in [(&open[..], true), (&["--events", "20000"], false)] {
        let (output, document) = run(options);
        let text = text(&output);
        let saved = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
        let seconds = |name: &str| saved(&format!("/generator/{name}")).as_f64().expect("a time");
        let (producers_s, process_s) = (seconds("producers_cpu_s"), seconds("process_cpu_s"));
        assert!(0.0 < producers_s && producers_s < process_s, "{producers_s} {process_s}: {text}");
        let cores = |used_s: f64| format!("{:.2}", used_s / seconds("whole_s"));
        let cores = format!(
            "producers {} cores, whole process {}, of {}",
            cores(producers_s),
            cores(process_s),
            saved("/machine/cpus")
        );
        let lag = |name: &str| {
            let value = saved(&format!("/generator/lag/{name}")).as_u64().expect("a time");
            assert!(value > 0 || !is_open, "no call comes at the nanosecond it is due: {text}");
            value
        };
        let (p50, p99, max) = (lag("percentiles_ns/p50"), lag("percentiles_ns/p99"), lag("max_ns"));
        let behind =
            format!("generator   behind its schedule by p50 {p50} p99 {p99} max {max} ns\n            ");
        let line = if is_open { behind } else { "generator   ".to_owned() } + &cores;
        // Thousands are set apart where the report prints them.
        assert!(text.replace(',', "").contains(&line.replace(',', "")), "{line} is not in {text}");
        assert_eq!(text.contains("behind its schedule"), is_open, "{text}");
        assert_eq!(saved("/generator/lag/count") != 0, is_open, "{text}");
    }
}

#[test]
fn a_closed_loop_says_that_it_is_one() {
    let (output, document) =
        run(&["--events", "20000", "--mode", "subscribe", "--keys", "500", "--skew", "zipf:0.99"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("closed loop") && text.contains("verified    all 20,000"), "{text}");
    assert_eq!(document["latency"]["response"]["hdr"], document["latency"]["service"]["hdr"]);
}

#[test]
fn what_is_wrong_is_said_in_a_line_with_its_exit_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let unwritable = folder.path().join("no/such.json").display().to_string();
    for (options, status, says) in [
        (&["--json", &unwritable][..], 1, "cannot be written"),
        (&["--hgrm", &unwritable], 1, "cannot be written"),
        (&["--html", &unwritable], 1, "cannot be written"),
        (&["--config", "{\"num_shards\":"], 1, "--config"),
        (&["--config", "@no/such/file"], 1, "no/such/file"),
        (&["--config", "{\"num_shard\":1}"], 1, "num_shard"),
        (&["--rate", "fast"], 64, "--rate"),
        (&["--target", "nats://localhost"], 64, "yet"),
        (&["--target", "rediss://localhost#insecure"], 1, "verification cannot be turned off"),
        (&["--target", "redis://127.0.0.1:1"], 1, "--target"),
        (&["--target", "redis://localhost", "--config", "{\"noop\":{}}"], 1, "both say"),
    ] {
        let output = netload().arg("run").args(options).output().expect("netload runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{options:?}: {error}");
        assert!(error.contains(says), "{options:?}: {error}");
        assert!(output.stdout.is_empty(), "{options:?}: nothing was run");
    }
}

#[test]
fn the_documents_say_what_was_run_and_each_second_of_it() {
    let (_, document) = run(&["--rate", "1k", "--duration", "2500ms", "--warmup", "0s", "--seed", "7"]);
    assert_eq!(document["schema"], "netload/1");
    let command: Vec<&str> =
        document["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    assert!(command.windows(2).any(|words| words == ["--seed", "7"]), "{command:?}");
    assert!(document["commit"].as_str().is_some_and(|commit| commit.len() >= 7));
    assert!(document["machine"]["kernel"].as_str().is_some_and(|kernel| !kernel.is_empty()));
    let series = document["series"].as_array().expect("points");
    let seconds: Vec<u64> = series.iter().filter_map(|point| point["second"].as_u64()).collect();
    assert_eq!(seconds, [0, 1, 2]);
    let events: u64 = series.iter().filter_map(|point| point["events"].as_u64()).sum();
    assert_eq!(Some(events), document["result"]["events"].as_u64());
}

/// Runs with one shard, and reads what was saved.
fn run(options: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let mut command = netload();
    command.args(["run", "--shards", "1"]).args(options).arg("--json").arg(&path);
    let output = command.output().expect("netload runs");
    let document = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let document = document.unwrap_or_else(|| panic!("no JSON: {}", text(&output)));
    (output, document)
}

fn netload() -> Command {
    Command::new(env!("CARGO_BIN_EXE_netload"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
