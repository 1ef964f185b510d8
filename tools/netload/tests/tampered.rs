//! What netload is for: a bus that stands still now and then is told from one that does not. The first is netload built with the
//! feature `tampered`, whose shard 0 sleeps for 200 µs after every 1,000 events.
//!
//! The lane is small, so that a producer meets the sleep, and both threads spin, so that two CPUs do. Whatever else the machine does adds to
//! a latency and takes nothing from a sleep: of several short runs of each build, in turn, the quietest stands for it, and there are
//! more rounds until the machine was quiet enough for all three. Where the system allows it, they are run before everything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use harness::c;
use serde_json::Value;

#[test]
fn a_shard_that_sleeps_shows_in_response_p99_9_and_not_in_service_p50_and_compare_fails_on_it() {
    assert!(thread::available_parallelism().map_or(1, usize::from) >= 2, "this needs two CPUs");
    let builds = [netload(), netload(), tampered()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut quietest: [Option<Run>; 3] = Default::default();
    let mut verdict = None;
    for round in 0..ROUNDS_MAX {
        for (number, (build, quietest)) in builds.iter().zip(&mut quietest).enumerate() {
            let run = Run::of(build, &folder.path().join(format!("{number}-{round}.json")));
            if quietest.as_ref().is_none_or(|quietest| run.noise < quietest.noise) {
                *quietest = Some(run);
            }
        }
        verdict = judge(&quietest).err();
        if round + 1 >= ROUNDS_MIN && verdict.is_none() {
            break;
        }
    }
    assert_eq!(verdict, None);
}

/// Whether the two plain builds are taken for the same, and the tampered one for what it is; what was said otherwise.
fn judge(quietest: &[Option<Run>; 3]) -> Result<(), String> {
    let [plain, again, tampered] =
        quietest.each_ref().map(|run| &run.as_ref().expect("there was a round").path);
    let (status, text) = compare(plain, again);
    if status != Some(0) || text.contains("REGRESSION") {
        return Err(text);
    }
    let (status, text) = compare(plain, tampered);
    let is_told = text.contains("REGRESSION  p99.9") && !text.contains("REGRESSION  service-p50");
    if status == Some(3) && is_told { Ok(()) } else { Err(text) }
}

/// A run that was saved.
struct Run {
    path: PathBuf,
    /// The product of the two figures that are compared.
    noise: u64,
}

impl Run {
    fn of(build: &Path, path: &Path) -> Run {
        let mut command = before_everything_else(build);
        command.args(["run", "--mode", "ingest", "--rate", "100k", "--size", "512", "--warmup", "50ms"]);
        command.args(["--duration", "50ms", "--config", CONFIG, "--json"]).arg(path);
        let output = command.output().expect("netload runs");
        // Below the rate is a run that others kept from their CPUs: a loud one.
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", text(&output));
        let document: Value = serde_json::from_slice(&fs::read(path).expect("saved")).expect("JSON");
        let figure = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64).expect("a count");
        let p99_9_ns = figure("/latency/response/percentiles_ns/p99.9");
        let noise = p99_9_ns * figure("/latency/service/percentiles_ns/p50");
        Run { path: path.to_owned(), noise }
    }
}

/// The exit status, and what was said.
fn compare(before: &Path, after: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(netload());
    command.args(["compare", "--fail-on", "p99.9>+200%,service-p50>+50%"]).arg(before).arg(after);
    let output = command.output().expect("netload runs");
    (output.status.code(), text(&output))
}

/// The program, in the class of real-time processes where that is allowed.
fn before_everything_else(program: &Path) -> Command {
    let allowed = Command::new("chrt").args(["--fifo", "1", "true"]).output();
    if allowed.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("chrt");
        command.args(["--fifo", "1"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn netload() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_netload"))
}

/// Builds the other one with the same profile, into a folder of its own; what both have in common is not built again.
fn tampered() -> PathBuf {
    let plain = netload();
    let profile = plain.parent().expect("a program lies in the folder of its profile");
    let (target, name) = (profile.parent().expect("it has a folder"), profile.file_name().expect("a name"));
    let folder = target.join("tampered");
    let mut cargo = c::cargo();
    cargo.args(["build", "--quiet", "--package", "netload", "--bin", "netload"]);
    cargo.args(["--features", "tampered", "--profile"]).arg(if name == "debug" {
        "dev".as_ref()
    } else {
        name
    });
    cargo.arg("--target-dir").arg(&folder).env("CARGO_BUILD_BUILD_DIR", target);
    let built = cargo.status().unwrap_or_else(|error| panic!("cargo: {error}"));
    assert!(built.success(), "{cargo:?} ended with {built}");
    folder.join(name).join("netload")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const ROUNDS_MIN: u32 = 10;
const ROUNDS_MAX: u32 = 100;
const CONFIG: &str = r#"{"num_shards":1,"idle":"spin","lane_bytes":4096,"max_event_bytes":1024,"noop":{}}"#;
