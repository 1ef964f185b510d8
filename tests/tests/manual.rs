//! The C manual's recipes are programs that compile as they stand and print what the manual says.

use std::fs;
use std::fs::Permissions;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use adapters::udp::{KeyPair, Psk};
use harness::authority::Authority;
use harness::c::run_command;
use harness::documents::{block, compile, document, section};
use harness::redis::{self, Redis};
use serde_json::json;
use tempfile::TempDir;

/// The program of a section, compiled in a folder of its own, and what it is said to print.
struct Recipe {
    folder: TempDir,
    printed: Option<String>,
}

impl Recipe {
    fn of(title: &str) -> Recipe {
        let manual = document("include/README.md");
        let section = section(&manual, title);
        let folder = tempfile::tempdir().expect("a temporary folder");
        // What it needs beyond C11 it names, as far as a recipe may leave that to the compiler's own standard.
        let program = format!("#define _DEFAULT_SOURCE\n{}", block(section, "c", 0));
        fs::write(folder.path().join("recipe.c"), program).expect("the folder is writable");
        compile(folder.path(), "recipe");
        let printed = section.contains("```text\n").then(|| block(section, "text", 0));
        Recipe { folder, printed }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut program = Command::new("./recipe");
        run_command(program.current_dir(self.folder.path()).args(arguments)).stdout
    }
}

#[test]
fn the_event_loop_prints_what_it_says() {
    let recipe = Recipe::of("An event loop");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn the_consumer_goes_on_behind_what_it_had_when_it_starts_again() {
    let recipe = Recipe::of("Go on after a restart");
    assert_eq!(Some(recipe.run(&[]) + &recipe.run(&[])), recipe.printed);
}

#[test]
fn the_producer_waits_and_loses_nothing_where_there_is_room() {
    let recipe = Recipe::of("Back pressure");
    assert_eq!(recipe.run(&[r#"{"num_shards":1,"backpressure_mode":"FailProducer"}"#]), "");
}

#[test]
fn the_producer_gives_up_and_says_what_was_not_stored_where_the_store_is_away() {
    let recipe = Recipe::of("Back pressure");
    let manual = document("include/README.md");
    let shown = section(&manual, "Back pressure");
    let shown = shown.lines().find_map(|line| line.strip_prefix("`{")?.split_once("}`"));
    let config = format!("{{{}}}", shown.expect("a configuration is shown").0);
    let mut program = Command::new("./recipe");
    let config = config.replace("6379", &redis::free_port().to_string());
    let output = program.current_dir(recipe.folder.path()).arg(config).output().expect("it was compiled");
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(lines.len() == 2 && lines[0].starts_with("no room: "), "{said}");
    let count = lines[1].strip_suffix(" events were not stored").and_then(|count| count.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count >= 1_024), "{said}");
}

#[test]
fn the_flush_is_a_commit() {
    let recipe = Recipe::of("Flush and durability");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn workers_have_buses_of_their_own_and_a_later_child_is_refused() {
    let recipe = Recipe::of("Fork");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn the_calls_of_the_seccomp_filter_are_enough() {
    let recipe = Recipe::of("Seccomp");
    let server = Redis::start();
    let authority = Authority::default();
    let secured = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let redis = format!(r#"{{"num_shards":2,"redis":{{"url":"redis://localhost:{}"}}}}"#, server.port());
    let tls = json!({ "url": format!("rediss://127.0.0.1:{}", secured.tls_port()), "tls_ca_path": authority.cert() });
    let tls = json!({ "num_shards": 1, "redis": tls }).to_string();
    for config in [
        r#"{"num_shards":2,"producer_nonce_path":"nonce"}"#,
        r#"{"num_shards":1,"log":{"dir":"events"}}"#,
        &redis,
        &tls,
    ] {
        assert_eq!(Some(recipe.run(&[config])), recipe.printed, "{config}");
    }
    let pair = KeyPair::generate().expect("random bytes");
    let psk = Psk::generate().expect("random bytes").to_hex();
    let port = free_port();
    let (public, secret) = (pair.public().to_string(), recipe.folder.path().join("key.json"));
    fs::write(&secret, pair.to_json().as_bytes()).expect("the folder is writable");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("its owner");
    let responder = json!({ "role": "responder", "bind_addr": format!("127.0.0.1:{port}"), "key_file": "key.json", "psk": *psk });
    let initiator = json!({ "role": "initiator", "peer_addr": format!("localhost:{port}"), "peer_public_key": public, "psk": *psk });
    thread::scope(|scope| {
        for section in [responder, initiator] {
            let recipe = &recipe;
            scope.spawn(move || {
                let config = json!({ "num_shards": 1, "net": section }).to_string();
                assert_eq!(Some(recipe.run(&[&config])), recipe.printed, "{config}");
            });
        }
    });
}

/// A port of UDP that nobody has at the moment.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.expect("a port is free").port()
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unit = folder.path().join("service.service");
    let shown = block(&document("include/README.md"), "ini", 0);
    fs::write(&unit, shown.replace("/usr/local/bin/service", "/bin/true")).expect("the folder is writable");
    let output = run_command(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert_eq!(output.stderr + &output.stdout, "");
}

#[test]
fn the_json_that_the_manual_shows_is_json() {
    let manual = document("include/README.md");
    for index in 0..manual.matches("```json\n").count() {
        let shown = block(&manual, "json", index);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&shown);
        assert!(parsed.is_ok(), "{shown}");
    }
}
