//! netload over UDP: what one process sends, another receives and verifies, and keys are where nobody else reads them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn keys_are_printed_or_written_for_their_owner_alone_and_never_written_over() {
    let printed = netload(&["keygen"]);
    assert_eq!(printed.status.code(), Some(0));
    let pair: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert!(
        ["public_key", "secret_key"].iter().all(|key| pair[key].as_str().is_some_and(|hex| hex.len() == 64))
    );
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("new/keys");
    let out = keys.display().to_string();
    let written = netload(&["keygen", "--out", &out]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written));
    let read = |name: &str| {
        let path = keys.join(name);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600, "{name}");
        fs::read_to_string(path).expect("text")
    };
    let (key, psk) = (read("key.json"), read("psk"));
    let pair: serde_json::Value = serde_json::from_str(&key).expect("JSON");
    let secret = pair["secret_key"].as_str().expect("text");
    assert_eq!(psk.trim_end().len(), 64);
    let said = text(&written);
    assert!(
        said.contains(pair["public_key"].as_str().expect("text")) && said.contains("netload serve"),
        "{said}"
    );
    assert!(!said.contains(secret) && !said.contains(psk.trim_end()), "{said}");
    for gone in ["key.json", "psk"] {
        fs::remove_file(keys.join(gone)).expect("there");
        let refused = netload(&["keygen", "--out", &out]);
        let other = if gone == "psk" { "key.json" } else { "psk" };
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
        assert!(text(&refused).contains(other), "{}", text(&refused));
        assert!(!keys.join(gone).exists(), "{gone}");
        fs::write(keys.join(gone), if gone == "psk" { &psk } else { &key }).expect("writable");
    }
    assert_eq!(
        (
            fs::read_to_string(keys.join("key.json")).expect("text"),
            fs::read_to_string(keys.join("psk")).expect("text")
        ),
        (key, psk)
    );
}

#[test]
fn what_cannot_come_back_or_be_served_is_said() {
    let keys = Keys::new();
    let target = keys.target(1);
    for (words, status, says) in [
        (&["run", "--target", "udp://h:1"][..], 64, "`public_key` is missing"),
        (&["run", "--target", "udp://h:1?public_key=ab&psk=cd"], 64, "secret"),
        (
            &["run", "--mode", "poll", "--target", &target],
            1,
            "--mode poll: nothing that goes to another process comes back",
        ),
        (&["run", "--mode", "subscribe", "--target", &target], 1, "`netload serve`"),
        (&["verify", "--target", &target], 1, "`netload serve`"),
        (&["run", "--config", r#"{"net":{}}"#, "--target", &target], 1, "both say where"),
        (&["serve"], 64, "--bind"),
        (&["serve", "--bind", "127.0.0.1:1", "--key-file", "k"], 64, "--psk-file"),
        (&["serve", "--bind", "127.0.0.1:1", "--config", "{}"], 64, "cannot be used"),
        (&["serve", "--config", "{}"], 1, "`net`"),
        (
            &["serve", "--bind", "127.0.0.1:1", "--key-file", "no/key", "--psk-file", "no/psk"],
            1,
            "net.psk_file: no/psk",
        ),
    ] {
        let output = netload(words);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(says), "{words:?}: {}", text(&output));
    }
}

#[test]
fn every_event_of_a_run_arrives_once_and_in_order_at_who_serves() {
    for options in [
        &["--events", "200000"][..],
        &["--events", "50000", "--size", "64..4096", "--producers", "3", "--seed", "9"],
    ] {
        let keys = Keys::new();
        let port = free_port();
        let shards = if options.len() > 2 { "2" } else { "1" };
        let made =
            &options[..options.iter().position(|word| *word == "--producers").unwrap_or(options.len())];
        let seed = if options.len() > 2 { &["--seed", "9"][..] } else { &[] };
        let mut served = keys.serve(port, &[made, seed, &["--shards", shards]].concat());
        let sent = netload(&[&["run", "--shards", "1", "--target", &keys.target(port)], options].concat());
        assert_eq!(sent.status.code(), Some(0), "{}", text(&sent));
        assert!(text(&sent).contains("`netload serve` verifies"), "{}", text(&sent));
        let (status, said) = served.end();
        assert_eq!(status, Some(0), "{said}\n{}", text(&sent));
        assert!(said.contains("verified") && said.contains("in order per producer and key"), "{said}");
    }
}

#[test]
fn a_run_without_a_peer_says_that_nobody_answers() {
    let keys = Keys::new();
    let output = netload(&["run", "--shards", "1", "--events", "10", "--target", &keys.target(free_port())]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("the peer has not answered"), "{}", text(&output));
}

#[test]
fn events_of_another_seed_are_foreign_and_end_with_status_1() {
    let keys = Keys::new();
    let port = free_port();
    let mut served = keys.serve(port, &["--events", "1000", "--size", "64..4096", "--seed", "1"]);
    let options = ["--events", "1000", "--size", "64..4096", "--seed", "2"];
    let sent = netload(&[&["run", "--shards", "1", "--target", &keys.target(port)], &options[..]].concat());
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent));
    let (status, said) = served.end();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("NOT OK") && said.contains("foreign"), "{said}");
}

#[test]
fn who_serves_tells_how_it_goes_and_an_interrupt_ends_it_with_what_came() {
    let keys = Keys::new();
    let port = free_port();
    let mut served = keys.serve(port, &[]);
    let sent = netload(&["run", "--shards", "1", "--events", "1000", "--target", &keys.target(port)]);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent));
    let mut errors = BufReader::new(served.child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("1,000 received") {
        line.clear();
        assert_ne!(errors.read_line(&mut line).expect("text"), 0, "it goes on until it is interrupted");
    }
    assert!(line.starts_with("elapsed "), "{line}");
    let signalled =
        Command::new("kill").args(["-INT", &served.child.id().to_string()]).status().expect("kill runs");
    assert!(signalled.success());
    let (status, said) = served.end();
    assert_eq!(status, Some(130), "{said}");
    assert!(said.contains("verified    1,000 events"), "{said}");
}

/// Keys in files of their own.
struct Keys {
    folder: tempfile::TempDir,
    public: String,
}

/// A receiving process. Killed when it is dropped.
struct Served {
    child: Child,
}

impl Keys {
    fn new() -> Keys {
        let folder = tempfile::tempdir().expect("a folder");
        let output = netload(&["keygen", "--out", &folder.path().display().to_string()]);
        let said = text(&output);
        let public = said.lines().find_map(|line| line.strip_prefix("public key  ")).expect("it is said");
        Keys { folder, public: public.to_owned() }
    }

    fn file(&self, name: &str) -> String {
        Path::new(self.folder.path()).join(name).display().to_string()
    }

    /// What sends to a port of this machine.
    fn target(&self, port: u16) -> String {
        format!("udp://127.0.0.1:{port}?public_key={}&psk_file={}", self.public, self.file("psk"))
    }

    /// Receives on a port of this machine. It answers when its first line has come.
    fn serve(&self, port: u16, options: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
        command.args(["serve", "--bind", &format!("127.0.0.1:{port}"), "--key-file", &self.file("key.json")]);
        command.args(["--psk-file", &self.file("psk")]).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("netload runs");
        let output = child.stdout.as_mut().expect("piped");
        let mut first = [0; 9];
        std::io::Read::read_exact(output, &mut first).expect("it begins");
        assert_eq!(&first, b"receiving");
        Served { child }
    }
}

impl Served {
    /// Waits for its end: its status, and what it has said.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let output = self.child.stdout.as_mut().expect("piped");
        std::io::Read::read_to_string(output, &mut said).expect("text");
        let status = self.child.wait().expect("it ends");
        if let Some(errors) = &mut self.child.stderr {
            std::io::Read::read_to_string(errors, &mut said).expect("text");
        }
        (status.code(), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free").port()
}

fn netload(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netload")).args(words).output().expect("netload runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
