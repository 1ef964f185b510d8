//! Wrong use: a clear line, the right exit status, and nothing of a run that was done is lost.

use std::io::Read;
use std::process::{Command, Output, Stdio};

#[test]
fn a_command_line_that_makes_no_sense_has_a_status_of_its_own() {
    for (words, says) in [
        (&[][..], "Usage"),
        (&["runn"], "run"),
        (&["run", "--rate", "fast"], "--rate"),
        (&["run", "--size", "63"], "--size"),
        (&["run", "--size", "1024..64"], "the range ends at 64, below its start 1024"),
        (&["run", "--size", ".."], "such as 64..1024"),
        (&["sweep", "--rates", "1k", "--size", "64..1024k"], "such as 64..1024"),
        (&["peak", "--slo", "p99<1s", "--size", "64..100000000"], "from 64 to 67108864"),
        (&["verify", "--size", "64..1024 "], "--size"),
        (&["run", "--input", "lines", "--size", "64..1024"], "--size"),
        (&["run", "--duration", "0s"], "measures nothing"),
        (&["sweep", "--rates", "1k", "--duration", "0"], "measures nothing"),
        (&["peak", "--slo", "p99<1s", "--duration", "0ms"], "measures nothing"),
        (&["run", "--evnts", "5"], "--events"),
        (&["run", "--events", "1", "--duration", "1s"], "--duration"),
        (&["sweep"], "--rates"),
        (&["sweep", "--rates", "1k,fast"], "--rates"),
        (&["peak"], "--slo"),
        (&["peak", "--slo", "p99"], "--slo"),
        (&["verify", "--mode", "ingest"], "--mode"),
        (&["verify", "--events", "0"], "--events"),
        (&["compare", "a.json"], "B.json"),
        (&["completions"], "SHELL"),
    ] {
        let output = netload(words);
        assert_eq!(output.status.code(), Some(64), "{words:?}: {}", errors(&output));
        assert!(errors(&output).contains(says), "{words:?}: {}", errors(&output));
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn what_keeps_a_measurement_from_beginning_is_said_before_it() {
    for verb in [&["run"][..], &["sweep", "--rates", "1k"], &["peak", "--slo", "p99<1s"], &["verify"]] {
        for (config, says) in [
            ("{\"num_shards\":", "--config"),
            ("@no/such/file", "no/such/file"),
            ("{\"num_shard\":1}", "num_shard"),
        ] {
            let output = netload(&[verb, &["--config", config]].concat());
            assert_eq!(output.status.code(), Some(1), "{verb:?} {config}: {}", errors(&output));
            assert!(errors(&output).contains(says), "{verb:?} {config}: {}", errors(&output));
        }
        if verb[0] != "verify" {
            let output = netload(&[verb, &["--json", "no/such/folder/result.json"]].concat());
            assert_eq!(output.status.code(), Some(1), "{verb:?}");
            assert!(errors(&output).contains("no/such/folder/result.json"), "{verb:?}: {}", errors(&output));
            assert!(output.stdout.is_empty(), "{verb:?}: nothing was run");
        }
    }
}

#[test]
fn a_peak_between_rates_in_the_wrong_order_is_refused() {
    let output = netload(&["peak", "--slo", "p99<1s", "--from", "10k", "--to", "1k"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("--to 1000 is below --from 10000"), "{}", errors(&output));
    assert!(output.stdout.is_empty(), "nothing was run");
}

#[test]
fn a_result_that_cannot_be_saved_is_printed_all_the_same() {
    let output = netload(&["run", "--events", "1000", "--json", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("`/dev/full` cannot be written"), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("verified    all 1,000"));
}

#[test]
fn a_full_standard_output_is_said_and_one_that_nobody_reads_any_more_is_not() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("there");
    for words in [&["run", "--events", "1000"][..], &["man"], &["doctor"]] {
        let output = command(words).stdout(full()).stderr(Stdio::piped()).output().expect("netload runs");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(errors(&output).contains("standard output cannot be written"), "{}", errors(&output));
    }
    let mut piped = command(&["run", "--events", "200000"]);
    let mut child = piped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("netload runs");
    // Closed before anything is written.
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert_eq!(child.wait().expect("netload ends").code(), Some(0), "{errors}");
    assert_eq!(errors.lines().find(|line| line.contains("panicked")), None, "{errors}");
}

#[test]
fn a_file_that_is_named_twice_is_refused_and_keeps_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let name = path.to_str().expect("text");
    for words in [
        &["run", "--events", "10", "--json", name, "--html", name][..],
        &["run", "--events", "10", "--html", name, "--hgrm", name],
        &["sweep", "--rates", "1k", "--json", name, "--html", name],
    ] {
        let output = netload(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(errors(&output).contains("named twice"), "{}", errors(&output));
        assert!(output.stdout.is_empty(), "{words:?}: nothing was run");
    }
    assert_eq!(netload(&["run", "--events", "10", "--json", name]).status.code(), Some(0));
    let saved = std::fs::read(&path).expect("saved");
    let output = netload(&["report", name, "--html", name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("named twice"), "{}", errors(&output));
    assert_eq!(std::fs::read(&path).expect("there"), saved);
}

fn netload(words: &[&str]) -> Output {
    command(words).output().expect("netload runs")
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(words);
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
