//! netload and logs: runs go into a directory and stay there, and `netload log` tells what is in it, also when it is damaged or in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

#[test]
fn runs_append_to_a_log_and_each_verifies_its_own_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = target(folder.path());
    for mode in ["poll", "subscribe", "ingest"] {
        let output =
            netload(&["run", "--events", "3000", "--shards", "2", "--mode", mode, "--target", &target]);
        assert_eq!(output.status.code(), Some(0), "{mode}: {}", text(&output));
    }
    let paced = ["run", "--rate", "20k", "--duration", "100ms", "--warmup", "0s", "--target", &target];
    let output = netload(&[&paced[..], &["--shards", "2"]].concat());
    assert!(text(&output).contains("verified    all"), "{}", text(&output));
    let output = netload(&["verify", "--events", "2000", "--shards", "2", "--target", &target]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let verified = log("verify", folder.path(), &[]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
    let said = text(&verified);
    assert!(said.contains("verified") && said.contains("whole, and none is missing"), "{said}");
    let listed = lines(&log("ls", folder.path(), &["--json"]));
    let events: u64 = listed.iter().flat_map(segments).map(|segment| count(segment, "events")).sum();
    let printed = log("cat", folder.path(), &[]).stdout;
    assert_eq!(events, line_count(&printed));
    assert!(events > 13_000, "{events}");
}

#[test]
fn a_result_names_the_log_and_its_options_go_with_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("log").display().to_string();
    let saved = folder.path().join("run.json").display().to_string();
    let config = format!(r#"{{"num_shards":1,"log":{{"dir":{dir:?},"sync":"every_batch"}}}}"#);
    for _ in 0..2 {
        let output = netload(&["run", "--events", "500", "--config", &config, "--json", &saved]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let document: Value = serde_json::from_slice(&fs::read(&saved).expect("saved")).expect("JSON");
    assert_eq!(document["settings"]["config"]["log"]["dir"], Value::from(dir.clone()));
    let both = netload(&["run", "--config", &config, "--target", &format!("log:{dir}")]);
    assert_eq!(both.status.code(), Some(1));
    assert!(text(&both).contains("both say where"), "{}", text(&both));
    assert_eq!(log("cat", Path::new(&dir), &[]).stdout.split(|byte| *byte == b'\n').count(), 1_001);
}

#[test]
fn cat_begins_and_ends_where_it_is_told_and_prints_any_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), 4_000);
    let events =
        lines(&log("cat", folder.path(), &["--json", "--shard", "1", "--from", "100", "--limit", "3"]));
    let sequences: Vec<u64> = events.iter().map(|event| count(event, "sequence")).collect();
    assert_eq!(sequences, [100, 101, 102]);
    assert!(events.iter().all(|event| event["shard"] == 1 && event["payload"].is_string()), "{events:?}");
    let printed = log("cat", folder.path(), &["--shard", "1", "--from", "100", "--limit", "1"]);
    assert_eq!(text(&printed).trim_end(), events[0]["payload"].as_str().expect("text"));
    let limited = log("cat", folder.path(), &["--limit", "3999"]);
    assert_eq!(line_count(&limited.stdout), 3_999);
}

#[test]
fn a_reader_that_has_enough_ends_cat_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), 50_000);
    let mut command = command(&["log", "cat"]);
    let mut child =
        command.arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
}

#[test]
fn damage_is_found_named_and_passed_over_and_stays_when_the_log_is_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), 4_000);
    let path = largest(&folder.path().join("shard-00000"));
    let mut bytes = fs::read(&path).expect("it is there");
    // In the payload of the first record: two pages of header, 64 bytes of block, 40 of record.
    bytes[8_192 + 64 + 40 + 5] ^= 4;
    fs::write(&path, bytes).expect("it is writable");
    fs::write(path.with_extension("idx"), "no index").expect("it is writable");
    let verified = log("verify", folder.path(), &[]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    let name = path.file_name().expect("it has a name").display().to_string();
    for says in
        [&format!("shard-00000/{name} at 8,256"), "1 event: records are bad", "the index is bad", "NOT OK"]
    {
        assert!(text(&verified).contains(says), "{says}: {}", text(&verified));
    }
    let found = &lines(&log("verify", folder.path(), &["--json"]))[0];
    assert_eq!((&found["good"], count(found, "damaged_events")), (&Value::from(false), 1));
    let kinds: Vec<&str> =
        found["damage"].as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["index", "records"]);
    let printed = log("cat", folder.path(), &[]);
    assert_eq!(printed.status.code(), Some(1));
    assert_eq!(line_count(&printed.stdout), 3_999);
    assert!(
        text(&printed).contains("1 damaged event passed over"),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    let planned = log("repair", folder.path(), &["--dry-run"]);
    assert_eq!(planned.status.code(), Some(0), "{}", text(&planned));
    assert!(text(&planned).contains("the index of segment"), "{}", text(&planned));
    assert_eq!(fs::read(path.with_extension("idx")).expect("there"), b"no index");
    let repaired = log("repair", folder.path(), &[]);
    assert_eq!(repaired.status.code(), Some(1), "{}", text(&repaired));
    assert!(text(&repaired).contains("records are bad"), "{}", text(&repaired));
    let found = &lines(&log("verify", folder.path(), &["--json"]))[0];
    assert_eq!(found["damage"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(log("cat", folder.path(), &[]).stdout, printed.stdout);
}

#[test]
fn a_log_in_use_is_read_and_not_repaired_and_a_killed_one_reads_the_same_once_it_was_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::start(folder.path());
    let in_use = || {
        let listed = lines(&log("ls", folder.path(), &["--json"]));
        listed.iter().flat_map(segments).any(|segment| count(segment, "events") > 500)
    };
    while !in_use() {
        assert!(writer.0.try_wait().expect("it is ours").is_none(), "it ended");
        thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..5 {
        let verified = log("verify", folder.path(), &[]);
        assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
        assert!(!text(&verified).contains("not closed"), "{}", text(&verified));
    }
    assert!(lines(&log("verify", folder.path(), &["--json"])).iter().all(|log| log["in_use"] == true));
    let refused = log("repair", folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("in use"), "{}", text(&refused));
    assert!(log("cat", folder.path(), &["--limit", "500"]).status.success());
    drop(writer);
    let verified = log("verify", folder.path(), &[]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
    assert!(text(&verified).contains("not closed"), "{}", text(&verified));
    let before = log("cat", folder.path(), &["--json"]).stdout;
    let repaired = log("repair", folder.path(), &[]);
    assert_eq!(repaired.status.code(), Some(0), "{}", text(&repaired));
    assert!(text(&repaired).contains("is cut from"), "{}", text(&repaired));
    assert!(!text(&log("verify", folder.path(), &[])).contains("not closed"));
    assert!(log("cat", folder.path(), &["--json"]).stdout == before);
    assert!(text(&log("repair", folder.path(), &[])).contains("nothing to repair"));
    run(folder.path(), 1_000);
}

#[test]
fn what_is_no_log_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display().to_string();
    for verb in ["ls", "cat", "verify", "repair"] {
        let output = log(verb, folder.path(), &[]);
        assert_eq!(output.status.code(), Some(1), "{verb}: {}", text(&output));
        assert!(text(&output).contains(&format!("there is no log in `{dir}`")), "{verb}: {}", text(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
    run(folder.path(), 100);
    let output = log("ls", folder.path(), &["--shard", "2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no log of shard 2"), "{}", text(&output));
    for words in
        [&["log"][..], &["log", "ls"], &["log", "cat", &dir, "--limit", "0"], &["run", "--target", "log:"]]
    {
        assert_eq!(netload(words).status.code(), Some(64), "{words:?}");
    }
    for verb in ["ls", "cat", "verify", "repair"] {
        let help = text(&netload(&["log", verb, "--help"]));
        assert!(help.contains(&format!("  netload log {verb} DIR")), "{help}");
    }
}

/// A netload that publishes into a log, until it is killed.
struct Writer(Child);

impl Writer {
    fn start(folder: &Path) -> Writer {
        let mut command =
            command(&["run", "--quiet", "--rate", "20k", "--duration", "1h", "--mode", "ingest"]);
        command.args(["--shards", "2", "--target", &target(folder)]);
        Writer(command.stdout(Stdio::null()).spawn().expect("netload runs"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(folder: &Path, events: u64) {
    let target = target(folder);
    let output =
        netload(&["run", "--quiet", "--events", &events.to_string(), "--shards", "2", "--target", &target]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

fn target(folder: &Path) -> String {
    format!("log:{}", folder.display())
}

/// The largest segment below a folder.
fn largest(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is there").path());
    entries.max_by_key(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).expect("there is one")
}

fn segments(log: &Value) -> &[Value] {
    log["segments"].as_array().map_or(&[], Vec::as_slice)
}

fn count(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_else(|| panic!("{key} is no number of {object}"))
}

fn line_count(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn log(verb: &str, folder: &Path, options: &[&str]) -> Output {
    command(&["log", verb]).arg(folder).args(options).output().expect("netload runs")
}

fn netload(words: &[&str]) -> Output {
    command(words).output().expect("netload runs")
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(words);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
