//! What `tools/README.md` shows is what happens: its commands are taken, and print the words that stand there.
//!
//! Commands are run shorter than they are shown, and figures are not compared.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use tempfile::TempDir;

#[test]
fn the_session_goes_through_and_prints_what_it_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let section = section("A session");
    let commands = blocks(section, "sh").remove(0);
    let commands = commands.lines().filter(|line| line.starts_with("netload "));
    assert_eq!(commands.map(|line| run(folder.path(), line, false)).collect::<Vec<_>>().len(), 6);
    prints_what_it_shows(&folder, &blocks(section, "text")[0], false);
}

#[test]
fn verifying_alone_prints_what_it_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    prints_what_it_shows(&folder, &blocks(section("Verifying alone"), "text")[0], false);
}

#[test]
fn a_log_is_shown_as_it_is_and_with_a_bit_that_turned_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let [whole, damaged] = blocks(section("A log"), "text").try_into().expect("two blocks");
    prints_what_it_shows(&folder, &whole, false);
    let segments = fs::read_dir(folder.path().join("data/shard-00001")).expect("the shard has a folder");
    let paths = segments.map(|entry| entry.expect("readable").path());
    let segment =
        paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).min().expect("one is there");
    let mut bytes = fs::read(&segment).expect("it is readable");
    bytes[20_000] ^= 1;
    fs::write(&segment, bytes).expect("it is writable");
    prints_what_it_shows(&folder, &damaged, true);
}

#[test]
fn while_it_runs_it_says_the_words_that_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = netload(folder.path(), "netload run --rate 20k --duration 3s --mode subscribe --shards 2");
    let said = String::from_utf8(output.stderr).expect("text");
    for line in blocks(section("While it runs"), "text")[0].lines() {
        let word = first_word(line).expect("a word");
        // Bars are for terminals.
        assert!(word == "shard" || said.contains(word), "{word} is not in {said}");
    }
}

#[test]
fn what_is_sent_to_another_process_is_served_as_it_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let section = section("To another process");
    let commands = blocks(section, "sh").remove(0);
    let [keygen, serve, run] = commands.lines().collect::<Vec<_>>().try_into().expect("three commands");
    let made = netload(folder.path(), keygen);
    let public = String::from_utf8(made.stdout).expect("text");
    let public = public.split_whitespace().find(|word| word.len() == 64).expect("the public key").to_owned();
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = socket.expect("a port is free").port().to_string();
    let here = |command: &str| {
        let command = command.replace("0.0.0.0:7000", &format!("127.0.0.1:{port}"));
        command.replace("HOST:7000", &format!("127.0.0.1:{port}")).replace("HEX", &public)
    };
    let (serve, run) = (here(serve).replace("5000000", "20000"), here(run));
    let run = format!("{} --events 20000", run.split(" #").next().unwrap_or_default().trim());
    let served = thread::scope(|scope| {
        let served = scope.spawn(|| netload(folder.path(), &serve));
        let sent = netload(folder.path(), &run);
        assert_eq!(sent.status.code(), Some(0), "{sent:?}");
        served.join().expect("no panic")
    });
    assert_eq!(served.status.code(), Some(0), "{served:?}");
    let said = String::from_utf8([served.stdout, served.stderr].concat()).expect("text");
    for word in blocks(section, "text")[0].lines().filter_map(first_word) {
        // So few events are over before the first second is.
        assert!(word == "elapsed" || said.contains(word), "{word} is not in {said}");
    }
}

#[test]
fn pages_and_completions_are_written_where_the_commands_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let commands = blocks(section("Manual pages and completions"), "sh").remove(0);
    let below = folder.path().display().to_string();
    for command in commands.lines() {
        let command = command.replace("man -l -", "groff -man -Tutf8").replace(" /", &format!(" {below}/"));
        for place in ["usr/local/share/man/man1", "etc/bash_completion.d"] {
            fs::create_dir_all(folder.path().join(place)).expect("the folder is writable");
        }
        let output = netload(folder.path(), &command);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    }
    for file in ["usr/local/share/man/man1/netload-run.1", "etc/bash_completion.d/netload"] {
        assert!(folder.path().join(file).metadata().is_ok_and(|metadata| metadata.len() > 100), "{file}");
    }
}

/// Runs each command of a block, and finds the first word of every line that is shown below it in what it prints.
fn prints_what_it_shows(folder: &TempDir, block: &str, is_damaged: bool) {
    let shown: Vec<&str> = block.split("$ ").skip(1).collect();
    assert!(!shown.is_empty(), "{block}");
    for shown in shown {
        let (command, lines) = shown.split_once('\n').expect("what it prints follows");
        let printed = run(folder.path(), command, is_damaged);
        let printed: BTreeSet<&str> = printed.lines().filter_map(first_word).collect();
        for word in lines.lines().filter_map(first_word) {
            // What the machine is like decides.
            let is_advice = matches!(word, "ok" | "warn" | "fail" | "→" | "REGRESSION");
            assert!(is_advice || printed.contains(word), "{command}: {word} is not in {printed:?}");
        }
    }
}

/// What a shell says to a command in `folder`, where netload is a command.
fn netload(folder: &Path, command: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_netload"));
    let search = format!("{}:/usr/bin:/bin", program.parent().expect("it has a folder").display());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder).env("PATH", search).output().expect("sh is there")
}

/// What a line begins with, if that is no figure and no event.
fn first_word(line: &str) -> Option<&str> {
    let word = line.split_whitespace().next()?;
    (word != "…" && !word.starts_with(|first: char| first.is_ascii_digit() || first == '{')).then_some(word)
}

/// What a command prints, which is run in `folder` and made short.
fn run(folder: &Path, command: &str, is_damaged: bool) -> String {
    let mut short = command.split('#').next().unwrap_or_default().trim().to_owned();
    for (long, replacement) in SHORTER {
        short = short.replace(long, replacement);
    }
    let output = netload(folder, &short);
    let verb = short.split(' ').nth(1).unwrap_or_default();
    let allowed: &[i32] = match verb {
        // What the machine is like decides.
        "doctor" | "peak" => &[0, 1],
        "run" => &[0, 2],
        "compare" => &[0, 3],
        _ => &[0],
    };
    let allowed = if is_damaged { &[1] } else { allowed };
    assert!(output.status.code().is_some_and(|status| allowed.contains(&status)), "{short}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn section(title: &str) -> &'static str {
    let rest = include_str!("../../README.md").split(&format!("\n## {title}\n")).nth(1).expect("it is there");
    rest.split("\n## ").next().unwrap_or_default()
}

fn blocks(section: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect()
}

const SHORTER: [(&str, &str); 8] = [
    ("--rate 200k", "--rate 2k"),
    ("--duration 30s", "--duration 300ms"),
    ("--duration 3s", "--duration 300ms"),
    ("--duration 500ms", "--duration 50ms"),
    ("--to 2M", "--to 11k"),
    ("peak --slo 'p99<50us'", "peak --from 100 --to 110 --duration 50ms --slo 'p99<50us'"),
    ("verify --producers 4", "verify --producers 4 --events 20000"),
    ("--events 1000000", "--events 20000"),
];
