//! The verbs besides `run`, from the outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

#[test]
fn a_sweep_has_a_run_for_each_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sweep.json");
    let mut command =
        netload(&["sweep", "--rates", "1k,2k", "--duration", "200ms", "--warmup", "0s", "--json"]);
    let output = command.arg(&path).output().expect("netload runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let document = read(&path);
    assert_eq!((&document["schema"], &document["kind"]), (&json!("netload/1"), &json!("sweep")));
    let runs = document["runs"].as_array().expect("runs");
    let rates: Vec<u64> = runs.iter().filter_map(|run| run["settings"]["rate"].as_u64()).collect();
    assert_eq!(rates, [1_000, 2_000]);
}

#[test]
fn a_peak_that_every_rate_holds_is_the_highest_and_one_that_none_holds_fails() {
    let peak = |slo: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("peak.json");
        let mut command =
            netload(&["peak", "--from", "100", "--to", "110", "--duration", "100ms", "--warmup", "0s"]);
        let output = command.args(["--slo", slo, "--json"]).arg(&path).output().expect("netload runs");
        (output.status.code(), read(&path)["peak"].clone(), text(&output))
    };
    // An hour: what the machine does meanwhile does not matter.
    let (status, found, text) = peak("max<1h");
    assert!(matches!((status, found.as_u64()), (Some(0), Some(100..=110)) | (Some(1), None)), "{text}");
    let (status, found, text) = peak("p50<1ns");
    assert_eq!((status, found), (Some(1), Value::Null), "{text}");
    assert!(text.contains("not even"), "{text}");
}

#[test]
fn a_regression_is_named_and_has_a_status_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let [before, after] = ["before.json", "after.json"].map(|name| folder.path().join(name));
    let mut run = netload(&["run", "--events", "20000", "--shards", "1", "--json"]);
    run.arg(&before).output().expect("netload runs");
    let mut document = read(&before);
    let throughput = document["result"]["throughput"].as_f64().expect("a number");
    document["result"]["throughput"] = json!(throughput * 0.9);
    document["settings"]["size"] = json!(200);
    fs::write(&after, document.to_string()).expect("writable");
    let compare = |before: &Path, after: &Path, conditions: &str| {
        let mut command = netload(&["compare", "--fail-on", conditions]);
        let output = command.arg(before).arg(after).output().expect("netload runs");
        (output.status.code(), text(&output))
    };
    let (status, text) = compare(&before, &after, "p99>+5%,throughput<-3%");
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("REGRESSION  throughput<-3%") && !text.contains("REGRESSION  p99"), "{text}");
    assert!(text.contains("size differs: 100 and 200"), "{text}");
    assert_eq!(compare(&after, &before, "throughput<-3%").0, Some(0));
    assert_eq!(compare(&before, &after, "throughput<-20%").0, Some(0));
    assert_eq!(compare(&before, &after, "throughput=5").0, Some(64));
    document["interrupted"] = json!(true);
    document["result"]["clean"] = json!(false);
    document["result"]["kept"] = json!(0.5);
    fs::write(&after, document.to_string()).expect("writable");
    let text = compare(&before, &after, "throughput<-20%").1;
    for remark in
        ["after: it was interrupted", "after: it was not clean", "after: it published less than 99 %"]
    {
        assert!(text.contains(remark), "{text}");
    }
    assert!(!text.contains("before: "), "{text}");
    // With this seed, the first event of so low a rate is due after the run's end.
    let idle =
        ["run", "--rate", "1", "--arrival", "poisson", "--duration", "1ms", "--warmup", "0s", "--json"];
    netload(&idle).arg(&after).output().expect("netload runs");
    let (status, text) = compare(&before, &after, "p99>+5%");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("measured nothing"), "{text}");
    fs::write(&after, "{}").expect("writable");
    let (status, text) = compare(&before, &after, "p99>+5%");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("netload/1"), "{text}");
}

#[test]
fn a_run_of_a_range_is_shown_and_compared_and_one_of_a_single_size_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let [range, same, single] =
        ["range.json", "same.json", "single.json"].map(|name| folder.path().join(name));
    for (path, size) in [(&range, "64..1024"), (&same, "64..1024"), (&single, "512")] {
        let mut run = netload(&["run", "--events", "5000", "--shards", "1", "--seed", "3", "--size", size]);
        let output = run.arg("--json").arg(path).output().expect("netload runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let [range_saved, same_saved, single_saved] = [&range, &same, &single].map(|path| read(path));
    assert_eq!(range_saved["settings"]["size"], json!("64..1024"));
    assert_eq!(single_saved["settings"]["size"], json!(512));
    assert_eq!(range_saved["settings"]["seed"], json!(3));
    assert_eq!(range_saved["result"]["bytes"], same_saved["result"]["bytes"]);
    let mean = range_saved["result"]["bytes"].as_f64().expect("a count") / 5_000.0;
    // 544 on average; with so many events the deviation of the mean is 4.
    assert!((520.0..570.0).contains(&mean), "{mean}");
    let compare = |other: &Path| {
        let output = netload(&["compare"]).arg(&range).arg(other).output().expect("netload runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        text(&output)
    };
    let note = r#"size differs: "64..1024" and 512"#;
    assert!(compare(&single).contains(note), "{}", compare(&single));
    assert!(!compare(&same).contains("size differs"), "{}", compare(&same));
    let page = folder.path().join("page.html");
    let mut report = netload(&["report"]);
    let output = report.args([&range, &single]).arg("--html").arg(&page).output().expect("netload runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let page = fs::read_to_string(&page).expect("saved");
    assert!(page.contains("64..1024") && page.contains("512"), "{page}");
}

#[test]
fn a_report_has_the_percentiles_of_every_result_and_refuses_what_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let [run, sweep, wrong, page] = ["run", "sweep", "wrong", "page"].map(|name| folder.path().join(name));
    let save = |verb: &[&str], path: &Path| {
        let output =
            netload(verb).args(["--shards", "1", "--json"]).arg(path).output().expect("netload runs");
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output));
        output
    };
    let printed = text(&save(&["run", "--events", "2000"], &run));
    save(&["sweep", "--rates", "1k,2k", "--duration", "100ms", "--warmup", "0s"], &sweep);
    let report = |results: &[&Path], page: &Path| {
        let output =
            netload(&["report"]).args(results).arg("--html").arg(page).output().expect("netload runs");
        (output.status.code(), text(&output))
    };
    let (status, reported) = report(&[&run, &sweep], &page);
    assert_eq!(status, Some(0), "{reported}");
    for line in printed.lines().filter(|line| line.starts_with("response  ") || line.starts_with("service  "))
    {
        assert!(reported.contains(line), "{line} is not in {reported}");
    }
    assert!(
        ["1,000 ", "2,000 "].iter().all(|rate| reported.lines().any(|line| line.starts_with(rate))),
        "{reported}"
    );
    assert!(fs::read_to_string(&page).expect("saved").starts_with("<!DOCTYPE html>"));
    let sweep_of = |runs: Value| json!({ "schema": "netload/1", "kind": "sweep", "runs": runs }).to_string();
    let (no_series, no_runs) = (sweep_of(Value::Null), sweep_of(json!([])));
    let no_rate = sweep_of(json!([read(&run)]));
    for (content, why) in [
        ("{", "JSON"),
        ("{\"schema\":\"netload/2\"}", "netload/1"),
        ("[]", "netload/1"),
        (&no_series, "runs are missing"),
        (&no_runs, "no runs"),
        (&no_rate, "no rate"),
    ] {
        fs::write(&wrong, content).expect("writable");
        let (status, reported) = report(&[&run, &wrong], &page);
        assert_eq!(status, Some(1), "{reported}");
        assert!(reported.contains(&format!("{}", wrong.display())) && reported.contains(why), "{reported}");
    }
    let (status, reported) = report(&[&run], &folder.path().join("no/such/page"));
    assert_eq!(status, Some(1), "{reported}");
    assert!(reported.contains("no/such/page") && reported.contains("cannot be written"), "{reported}");
    assert_eq!(report(&[&folder.path().join("missing")], &page).0, Some(1));
    assert_eq!(netload(&["report"]).output().expect("netload runs").status.code(), Some(64));
}

#[test]
fn the_doctor_has_a_line_for_each_thing_and_a_cure_for_what_is_not_ok() {
    let output = netload(&["doctor"]).output().expect("netload runs");
    let text = text(&output);
    for about in [
        "kernel",
        "io_uring",
        "memlock",
        "CPUs",
        "CPU quota",
        "governor",
        "clock source",
        "NUMA",
        "mitigations",
    ] {
        assert!(
            text.lines().any(|line| line.get(6..).is_some_and(|line| line.starts_with(about))),
            "{about}: {text}"
        );
    }
    let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("warn ") + count("FAIL "), text.matches('→').count(), "{text}");
    assert_eq!(output.status.code(), Some(i32::from(count("FAIL ") > 0)), "{text}");
}

#[test]
fn every_verb_shows_examples_and_the_whole_its_exit_statuses() {
    let all = text(&netload(&["--help"]).output().expect("netload runs"));
    for verb in ["run", "sweep", "peak", "verify", "log", "compare", "report", "doctor", "completions", "man"]
    {
        assert!(all.contains(&format!("  netload {verb}")), "{all}");
        let output = netload(&[verb, "--help"]).output().expect("netload runs");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output).contains(&format!("  netload {verb}")), "{}", text(&output));
    }
    for status in ["0", "1", "2", "3", "64", "130"] {
        assert!(all.lines().any(|line| line.trim_start().starts_with(&format!("{status} "))), "{all}");
    }
}

fn netload(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(arguments);
    command
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("saved")).expect("JSON")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
