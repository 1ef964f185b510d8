//! What a run saves is read by the public HDR tools: Python's `hdrhistogram`, installed from its registry.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn pythons_hdrhistogram_reads_what_a_run_saves() {
    let python = python_with_hdrhistogram();
    let folder = tempfile::tempdir().expect("a folder");
    let [json, hgrm] = ["run.json", "run.hgrm"].map(|name| folder.path().join(name));
    let mut run = Command::new(env!("CARGO_BIN_EXE_netload"));
    run.args(["run", "--rate", "2k", "--duration", "1s", "--warmup", "0s", "--json"]).arg(&json);
    let status = run.arg("--hgrm").arg(&hgrm).output().expect("netload runs").status;
    assert!(matches!(status.code(), Some(0 | 2)), "{status}");
    let shown =
        include_str!("../../README.md").split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown =
        format!("import json, sys\ndocument = json.load(open(sys.argv[1]))\n{}", shown.expect("it is shown"));
    said(Command::new(&python).args(["-c", &shown]).arg(&json));
    said(Command::new(python).args(["-c", CHECK]).args([json, hgrm]));
}

/// An interpreter that has the package, in an environment that is kept for the next time.
fn python_with_hdrhistogram() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hdrhistogram");
    let python = environment.join("bin/python");
    let has_it = Command::new(&python).args(["-c", "import hdrh"]).output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        said(Command::new(&python).args(["-m", "pip", "install", "--quiet", "hdrhistogram==0.10.8"]));
    }
    python
}

/// Runs a command, and fails with what it said where it fails.
fn said(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} failed; this test needs python3 with venv, and pip its registry:\n{error}"
    );
}

/// Every percentile that was saved is the one that Python finds in the decoded histogram.
const CHECK: &str = r#"
import json, math, sys
from hdrh.histogram import HdrHistogram
def around(histogram, percentile):
    # Which of two neighbouring ranks a quantile is rounded to is the tools' own affair.
    rank = 100 / histogram.get_total_count()
    return [histogram.get_value_at_percentile(percentile + step) for step in (-rank, rank)]
document = json.load(open(sys.argv[1]))
for latency in [document["latency"]["response"], document["latency"]["service"], document["generator"]["lag"]]:
    histogram = HdrHistogram.decode(latency["hdr"])
    assert histogram.get_total_count() == latency["count"] > 0, latency
    assert histogram.get_max_value() == latency["max_ns"], latency
    assert math.isclose(histogram.get_mean_value(), latency["mean_ns"], rel_tol=1e-3), latency
    for name, value in latency["percentiles_ns"].items():
        low, high = around(histogram, float(name[1:]))
        assert low <= value <= high, (name, value, low, high)
response = HdrHistogram.decode(document["latency"]["response"]["hdr"])
rows = [line.split() for line in open(sys.argv[2]) if line[0] == " " and "Value" not in line]
assert len(rows) > 20, rows
for value, quantile, count, *inverse in rows:
    value_ns, (low, high) = float(value) * 1000, around(response, float(quantile) * 100)
    assert low * 0.998 <= value_ns <= high * 1.002, (value, quantile, low, high)
    if inverse:
        assert math.isclose(float(inverse[0]), 1 / (1 - float(quantile)), rel_tol=0.01), (quantile, inverse)
assert int(rows[-1][2]) == response.get_total_count()
"#;
