//! `cargo xtask planted`: shows that a test sees each planted fault, which is a line of the product that `cfg(planted)` changes.
//!
//! The unit tests are built once with `--cfg planted`, into a target folder of their own. Each test that is to see a fault has to pass
//! without it, and to fail, or to hang, with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shell::{Failure, Shell};

/// Plants every fault, one after the other.
pub(crate) fn run(shell: &Shell) -> Result<(), Failure> {
    check_names(shell)?;
    println!("── build with planted faults");
    let mut programs = BTreeMap::new();
    for (folder, package) in PACKAGES {
        programs.insert(folder, build(shell, package)?);
    }
    let program = |fault: &Fault| &programs[fault.package];
    let filters: BTreeSet<(Package, &str)> =
        FAULTS.iter().map(|fault| (fault.package, fault.tests)).collect();
    for &(package, tests) in &filters {
        let fault = Fault { name: "", package, tests };
        if !passes(shell, program(&fault), &fault)? {
            return Err(Failure::Planted(format!("{tests} fails although nothing is planted")));
        }
    }
    let mut unseen = Vec::new();
    for fault in FAULTS {
        let start = Instant::now();
        let is_seen = !passes(shell, program(fault), fault)?;
        let word = if is_seen { "seen by" } else { "NOT SEEN by" };
        println!("{}: {word} {}, {:.1} s", fault.name, fault.tests, start.elapsed().as_secs_f64());
        unseen.extend((!is_seen).then_some(fault.name));
    }
    if !unseen.is_empty() {
        return Err(Failure::Planted(format!("no test sees {}", unseen.join(", "))));
    }
    println!("── {} planted faults: each is seen", FAULTS.len());
    Ok(())
}

/// The sources plant what is listed here, each once, and nothing else; and the table of properties has each.
fn check_names(shell: &Shell) -> Result<(), Failure> {
    let path = shell.path("tests/README.md");
    let table = std::fs::read_to_string(&path).map_err(|source| Failure::File { path, source })?;
    let is_missing = |fault: &&Fault| !table.contains(&format!("`{}`", fault.name));
    if let Some(fault) = FAULTS.iter().find(is_missing) {
        return Err(Failure::Planted(format!("tests/README.md has no {}", fault.name)));
    }
    let mut planted = Vec::new();
    for path in shell.source_files()? {
        let is_product = PACKAGES.iter().any(|(folder, _)| path.starts_with(Path::new(folder).join("src")));
        if !is_product || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let path = shell.path(path);
        let text = std::fs::read_to_string(&path).map_err(|source| Failure::File { path, source })?;
        let calls = text.split("planted!(\"").skip(1);
        planted.extend(calls.filter_map(|call| call.split_once('"').map(|(name, _)| name.to_owned())));
    }
    planted.sort_unstable();
    let mut listed: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    listed.sort_unstable();
    if planted == listed {
        return Ok(());
    }
    let only_in = |these: &BTreeSet<&str>, those: &BTreeSet<&str>| {
        these.difference(those).copied().collect::<Vec<_>>().join(", ")
    };
    let (planted, listed) = (planted.iter().map(String::as_str).collect(), listed.into_iter().collect());
    let what = format!(
        "planted once and listed: not listed are [{}], not planted are [{}]",
        only_in(&planted, &listed),
        only_in(&listed, &planted)
    );
    Err(Failure::Planted(what))
}

/// Builds the unit tests of a package. The program.
fn build(shell: &Shell, package: &str) -> Result<PathBuf, Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--no-run", "--package", package, "--lib", "--message-format", "json"]);
    command.env("RUSTFLAGS", "--cfg planted").env("CARGO_TARGET_DIR", shell.target().join("planted"));
    // Nobody looks into these programs, and they are built once.
    command.env("CARGO_PROFILE_DEV_DEBUG", "none").env("CARGO_INCREMENTAL", "0");
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|source| crate::shell::start_failure(&command, source))?;
    if !output.status.success() {
        return Err(Failure::Stage { stage: format!("build {package}"), status: output.status });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message["profile"]["test"].as_bool()?;
        message["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
    });
    executables
        .next_back()
        .ok_or_else(|| Failure::Planted(format!("cargo names no test program of {package}")))
}

/// Whether the tests pass with a fault planted. Tests that hang do not.
fn passes(shell: &Shell, program: &Path, fault: &Fault) -> Result<bool, Failure> {
    let mut command = Command::new(program);
    command.arg(fault.tests).current_dir(shell.path(fault.package));
    command.env("LIBNET_PLANTED", fault.name).env("RUST_BACKTRACE", "0");
    // As many as find each of these.
    command.env("LIBNET_BUS_SEEDS", "600").env("LIBNET_SIM_SEEDS", "250");
    // What fails is meant to, and is not to be tried first ever after.
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|source| crate::shell::start_failure(&command, source))?;
    let deadline = Instant::now() + HANGS_AFTER;
    loop {
        let path = || program.to_path_buf();
        if let Some(status) = child.try_wait().map_err(|source| Failure::File { path: path(), source })? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            child.kill().map_err(|source| Failure::File { path: path(), source })?;
            child.wait().map_err(|source| Failure::File { path: path(), source })?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A fault, and the tests that are to see it.
struct Fault {
    /// The number of the property in the list of what such systems have broken, or the law, and what is wrong.
    name: &'static str,
    package: Package,
    /// Part of the tests' names.
    tests: &'static str,
}

/// The folder of a package.
type Package = &'static str;

const ENGINE: Package = "engine";
const ADAPTERS: Package = "adapters";
const FFI: Package = "ffi";
/// With their names.
const PACKAGES: [(Package, &str); 3] =
    [(ENGINE, "libnet-engine"), (ADAPTERS, "libnet-adapters"), (FFI, "libnet-ffi")];

const fn fault(name: &'static str, package: Package, tests: &'static str) -> Fault {
    Fault { name, package, tests }
}

const FAULTS: &[Fault] = &[
    fault("law-5-delivered-before-it-is-stored", ENGINE, "simulation::"),
    fault("1-a-shutdown-waits-for-no-call", FFI, "slot::tests"),
    fault("2-a-second-shutdown-does-not-wait", FFI, "slot::tests"),
    fault("3-a-shutdown-has-no-deadline", ENGINE, "shard::tests"),
    fault("4-any-length-is-taken", FFI, "ingest::tests"),
    fault("6-a-short-buffer-loses-the-cursor", FFI, "poll::tests"),
    fault("7-whatever-is-given-back-counts-as-lent", FFI, "lent::tests"),
    fault("8-any-number-is-taken", ENGINE, "config::tests"),
    fault("9-a-panic-refuses-nothing", FFI, "lifecycle::tests"),
    fault("law-9-a-used-up-block-hides-nothing", ENGINE, "consume::merge"),
    fault("law-8-what-is-overtaken-is-not-counted", ENGINE, "simulation::"),
    fault("law-9-the-latest-comes-first", ENGINE, "simulation::"),
    fault("law-9-layouts-are-read-together", ENGINE, "consume::merge"),
    fault("10-what-a-shutdown-leaves-is-not-counted", ENGINE, "shard::tests"),
    fault("11-the-newest-is-evicted", ENGINE, "shard::tests"),
    fault("12-evicted-are-not-counted", ENGINE, "simulation::"),
    fault("12-sampled-are-not-counted", ENGINE, "simulation::"),
    fault("12-refused-are-not-counted", ENGINE, "simulation::"),
    fault("13-nobody-rings-for-an-event", ENGINE, "simulation::"),
    fault("13-a-failed-sync-is-not-told", ENGINE, "simulation::"),
    fault("13-a-flush-forgets-lanes", ENGINE, "simulation::"),
    fault("13-a-flush-waits-for-nothing", ENGINE, "simulation::"),
    fault("14-finished-with-lanes-full", ENGINE, "simulation::"),
    fault("15-sample-takes-all", ENGINE, "shard::tests"),
    fault("16-stamps-are-microseconds", ENGINE, "clock::tests"),
    fault("18-a-retry-gets-new-sequences", ENGINE, "simulation::"),
    fault("18-given-up-is-not-counted", ENGINE, "simulation::"),
    fault("18-refused-for-good-is-retried", ENGINE, "shard::tests"),
    fault("18-refused-for-now-is-dropped", ENGINE, "shard::tests"),
    fault("19-sequences-begin-anew", ENGINE, "shard::tests"),
    fault("20-what-was-fetched-counts-as-read", ENGINE, "simulation::"),
    fault("21-a-corrupt-run-stalls-its-cursor", ENGINE, "consume::merge"),
    fault("22-a-stalled-poll-has-no-cursor", ENGINE, "consume::merge"),
    fault("22-an-earlier-life-is-not-told-apart", ENGINE, "consume::cursor"),
    fault("25-late-news-counts", ENGINE, "simulation::"),
    fault("25-what-was-executed-is-not-looked-for", ADAPTERS, "redis::append"),
    fault("26-a-failover-is-final", ADAPTERS, "redis::"),
    fault("26-a-wrong-type-is-retried", ADAPTERS, "redis::"),
    fault("27-a-torn-stream-goes-on", ADAPTERS, "redis::append"),
    fault("28-a-batch-is-written-after-the-end", ENGINE, "shard::tests"),
    fault("29-a-counter-comes-twice", ADAPTERS, "udp::replay"),
    fault("29-the-last-counters-are-taken", ADAPTERS, "udp::replay"),
    fault("30-keys-count-before-they-are-proved", ADAPTERS, "udp::keyring"),
    fault("31-a-counter-is-sealed-twice", ADAPTERS, "udp::aead"),
    fault("32-no-address-is-proved", ADAPTERS, "udp::cookie"),
    fault("33-any-heartbeat-is-taken", ADAPTERS, "udp::config"),
    fault("34-a-burst-begins-anew", ADAPTERS, "udp::burst"),
    fault("35-a-count-is-believed", ADAPTERS, "log::format"),
    fault("36-a-tail-is-trusted", ADAPTERS, "log::simulation"),
    fault("36-checksums-are-not-looked-at", ADAPTERS, "log::inspect"),
    fault("37-a-failed-sync-is-trusted", ADAPTERS, "log::simulation"),
];

/// How long tests may take before they hang.
const HANGS_AFTER: Duration = Duration::from_secs(90);
