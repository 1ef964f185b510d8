//! What the README shows is what happens: its C program prints what it says, its commands work as they stand, its keys
//! exist, and `netload` verifies the lines of a real file.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;

use adapters::udp::{KeyPair, Psk};
use engine::config::Config;
use engine::consume::request::PollRequest;
use harness::c::{self, as_from_a_shell, root, run_command};
use harness::documents::{block, compile, document};
use harness::redis::Redis;
use harness::snapshots::{metrics_text_of, start_c};

#[test]
fn the_quickstart_prints_what_it_says() {
    let readme = readme();
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("first.c"), block(&readme, "c", 0)).expect("the folder is writable");
    for shared in ["include", "target"] {
        symlink(root().join(shared), folder.path().join(shared)).expect("the folder is empty");
    }
    let commands = readme.split("## C quickstart").nth(1).expect("the section is there");
    let printed: String = block(commands, "sh", 0).lines().map(|line| shell(folder.path(), line)).collect();
    assert_eq!(printed, block(commands, "text", 0));
}

#[test]
fn the_subscriber_prints_what_it_says() {
    prints_what_it_says("Subscribing", "second.c");
}

#[test]
fn the_named_file_prints_what_it_says() {
    prints_what_it_says("Named files", "files.c");
}

#[test]
fn the_commands_that_install_build_the_quickstart() {
    let readme = readme();
    let section = readme.split("## Installing\n").nth(1).expect("the section is there");
    let quickstart = readme.split("## C quickstart").nth(1).expect("the section is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("first.c"), block(&readme, "c", 0)).expect("the folder is writable");
    let commands = block(section, "sh", 0).replace('~', &folder.path().display().to_string());
    let (install, build) = commands.split_once('\n').expect("a line that installs");
    shell(folder.path(), install);
    assert_eq!(shell(folder.path(), build), block(quickstart, "text", 0));
}

/// The program of a section, built and run by its commands with the library of the quickstart's.
fn prints_what_it_says(section: &str, program: &str) {
    let readme = readme();
    let section = readme.split(&format!("## {section}\n")).nth(1).expect("the section is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(program), block(section, "c", 0)).expect("the folder is writable");
    for shared in ["include", "target"] {
        symlink(root().join(shared), folder.path().join(shared)).expect("the folder is empty");
    }
    // The library is built and named by the commands of the quickstart.
    let quickstart = readme.split("## C quickstart").nth(1).expect("the section is there");
    let build: String =
        block(quickstart, "sh", 0).lines().take(2).map(|line| shell(folder.path(), line)).collect();
    let printed: String = block(section, "sh", 0).lines().map(|line| shell(folder.path(), line)).collect();
    assert_eq!(build + &printed, block(section, "text", 0));
}

#[test]
fn the_redis_quickstart_stores_an_event_that_any_client_reads() {
    let readme = readme();
    let section = readme.split("## Redis\n").nth(1).expect("the section is there");
    let lines = block(section, "c", 0);
    assert_eq!(lines.lines().count(), 5);
    let server = Redis::start();
    let main = lines.replace("6379", &server.port().to_string());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = format!("#include <net.h>\n#include <stdio.h>\n\nint main(void) {{\n{main}return 0;\n}}\n");
    fs::write(folder.path().join("third.c"), source).expect("the folder is writable");
    compile(folder.path(), "third");
    let printed = run_command(Command::new("./third").current_dir(folder.path())).stdout;
    let page: serde_json::Value = serde_json::from_str(&printed).expect("a page");
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1), "{printed}");
    let event = r#"{"order":7,"price":101}"#;
    assert!(
        server.ask(&["XRANGE", "net:shard:0", "-", "+"]).contains(&format!("d\n{event}\nt\n")),
        "{printed}"
    );
}

#[test]
fn a_pair_of_processes_has_what_the_other_has_sent() {
    let readme = readme();
    let section = readme.split("## UDP\n").nth(1).expect("the section is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port =
        UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free").port();
    let program = block(section, "c", 0).replace("7000", &port.to_string());
    fs::write(folder.path().join("pair.c"), program).expect("the folder is writable");
    compile(folder.path(), "pair");
    let pair = KeyPair::generate().expect("random bytes");
    let psk = Psk::generate().expect("random bytes");
    for (name, text) in [("key.json", pair.to_json()), ("psk", psk.to_hex())] {
        let path = folder.path().join(name);
        fs::write(&path, text.as_bytes()).expect("the folder is writable");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner");
    }
    let start = |words: [&str; 3]| {
        let mut command = Command::new("./pair");
        command.current_dir(folder.path()).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it was compiled")
    };
    let responder = start(["responder", "key.json", "psk"]);
    let initiator = start(["initiator", &pair.public().to_string(), "psk"]);
    for (process, other) in [(responder, "initiator"), (initiator, "responder")] {
        let output = process.wait_with_output().expect("it ends");
        let expected: String =
            [0, 1, 2].map(|number| format!("{{\"from\":\"{other}\",\"number\":{number}}}\n")).concat();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{errors}");
        assert_eq!(output.status.code(), Some(0), "{errors}");
    }
}

#[test]
fn every_key_of_the_redis_section_exists_and_none_is_missing() {
    let readme = readme();
    let keys = keys_of_section(&readme, "Redis");
    let known = [
        "url",
        "cluster",
        "prefix",
        "pipeline_size",
        "max_stream_len",
        "wait_replicas",
        "connect_timeout_ms",
        "tls_ca_path",
        "tls_cert_path",
        "tls_key_path",
    ];
    assert_eq!(keys, known);
    for key in keys {
        is_known(&format!(r#"{{"num_shards":1,"redis":{{"url":"redis://h","{key}":[]}}}}"#));
    }
}

#[test]
fn every_key_of_the_net_section_exists_and_none_is_missing() {
    let readme = readme();
    let keys = keys_of_section(&readme, "UDP");
    let known = [
        "role",
        "bind_addr",
        "peer_addr",
        "peer_public_key",
        "secret_key",
        "public_key",
        "key_file",
        "psk",
        "psk_file",
        "reliability",
        "cipher",
        "packet_pool_size",
        "heartbeat_interval_ms",
        "session_timeout_ms",
        "batched_io",
        "mtu",
        "store",
    ];
    assert_eq!(keys, known);
    for key in keys {
        let role = if key == "role" { "" } else { r#""role":"responder","# };
        is_known(&format!(r#"{{"num_shards":1,"net":{{{role}"{key}":[]}}}}"#));
    }
}

/// Each key that the table of a section has a row for.
fn keys_of_section<'a>(readme: &'a str, section: &str) -> Vec<&'a str> {
    let section = readme.split(&format!("## {section}\n")).nth(1).expect("the section is there");
    let table = section.split("\n## ").next().expect("it has text");
    table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// A store section is refused, and not for an unknown key.
fn is_known(document: &str) {
    let (config, section) = Config::parse(document, &adapters::SECTIONS).expect("a section is an object");
    let error = adapters::factory(section, &config).err().expect("a list is no value of any").to_string();
    assert!(!error.contains("unknown field") && !error.contains("not in this build"), "{document}: {error}");
}

#[test]
fn the_report_shown_is_one_of_netload() {
    let readme = readme();
    let shown = block(&readme, "text", 0);
    let output = run_command(netload().args(["run", "--events", "50000"]));
    for line in shown.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')) {
        let head: String = line.chars().take_while(|character| !character.is_ascii_digit()).collect();
        assert!(output.stdout.contains(head.trim_end()), "{head:?} is not in\n{}", output.stdout);
    }
}

#[test]
fn the_lines_of_a_scrape_that_are_shown_are_in_one() {
    let bus = start_c(r#"{"num_shards":1}"#);
    let mut subscription = ptr::null_mut();
    // SAFETY: the request is NUL-terminated, and the subscription writable.
    assert_eq!(unsafe { net::net_subscribe(bus, c"{}".as_ptr(), &raw mut subscription) }, 0);
    let scraped = metrics_text_of(bus);
    let names: BTreeSet<Sample> = scraped.lines().filter_map(Sample::of).collect();
    let readme = readme();
    let shown = block(readme.split("## Watching\n").nth(1).expect("the section is there"), "text", 0);
    assert!(shown.lines().count() > 5);
    for line in shown.lines() {
        assert!(Sample::of(line).is_some_and(|sample| names.contains(&sample)), "{line}");
    }
    assert_eq!((net::net_unsubscribe(subscription), net::net_shutdown(bus)), (0, 0));
}

/// The name of a line of a scrape, and those of its labels.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sample(String, BTreeSet<String>);

impl Sample {
    fn of(line: &str) -> Option<Sample> {
        let (name, _) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        Some(Sample(name.to_owned(), labels.map(|(label, _)| label.to_owned()).collect()))
    }
}

#[test]
fn the_message_about_a_container_is_the_one_that_comes() {
    let readme = readme();
    let containers = readme.split("## Containers\n").nth(1).expect("the section is there");
    let said = c::run("denied", &["io_uring", "EPERM"]).stdout;
    let (code, message) = said.split_once(' ').expect("a code and a detail");
    assert_eq!((code, message), ("-17", block(containers, "text", 0).as_str()));
}

#[test]
fn the_poll_request_is_one() {
    let request = PollRequest::parse(&block(&readme(), "json", 0)).expect("the request is valid");
    assert_eq!(request.limit, 50);
    assert!(request.filter.is_some());
}

#[test]
fn every_key_of_the_configuration_table_exists() {
    let readme = readme();
    let section = readme.split("## Configuration").nth(1).expect("the section is there");
    let table = section.split("\n## ").next().expect("it has text");
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let keys: Vec<&str> =
        names.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('`')).collect();
    assert!(keys.len() > 12, "{keys:?}");
    for key in keys {
        let document = format!("{{\"{key}\":null}}");
        let parsed = Config::parse(&document, &adapters::SECTIONS);
        assert!(parsed.is_ok(), "{key}: {parsed:?}");
    }
}

#[test]
fn the_main_command_verifies_what_it_published() {
    let output = run_command(netload().args(["run", "--events", "50000"]));
    assert!(
        output.stdout.contains("verified    all 50,000 accepted events came back once"),
        "{}",
        output.stdout
    );
}

#[test]
fn the_log_that_a_run_leaves_is_verified_and_read() {
    let readme = readme();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().display().to_string();
    let run = |words: &str| {
        assert!(readme.contains(&format!("`netload {words}`")), "{words}");
        let words = words.replace("DIR", &dir).replace("run ", "run --events 50000 ");
        run_command(netload().args(words.split(' '))).stdout
    };
    assert!(run("run --target log:DIR").contains("verified    all 50,000"));
    assert!(run("log verify DIR").contains("verified    50,000 events are whole, and none is missing"));
}

#[test]
fn the_lines_of_a_real_file_come_back_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listing = folder.path().join("listing.ndjson");
    let lines = list_files(Path::new("/usr"), 12_000);
    assert!(lines.len() >= 10_000, "the machine has {} files under /usr", lines.len());
    fs::write(&listing, lines.join("\n") + "\n").expect("the folder is writable");
    for shape in [["1", "1"], ["3", "2"]] {
        let [producers, shards] = shape;
        let mut command = netload();
        command.args(["run", "--producers", producers, "--shards", shards, "--input"]).arg(&listing);
        let output = run_command(&mut command);
        assert!(output.stdout.contains("verified"), "{}", output.stdout);
    }
}

/// One JSON object for each of the first `count` files below `folder`, in the order of their names.
fn list_files(folder: &Path, count: usize) -> Vec<String> {
    let (mut folders, mut lines) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop().filter(|_| lines.len() < count) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let file = serde_json::json!({"path": path.to_string_lossy(), "bytes": metadata.len()});
            lines.push(file.to_string());
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    lines
}

/// Runs one line of the README: cargo in the repository, anything else in `folder`.
fn shell(folder: &Path, line: &str) -> String {
    let folder = if line.starts_with("cargo ") { root() } else { folder };
    run_command(as_from_a_shell(&mut Command::new("sh")).args(["-ec", line]).current_dir(folder)).stdout
}

/// `netload` as the README runs it.
fn netload() -> Command {
    let mut command = c::cargo();
    command.args(["run", "--quiet", "--release", "--bin", "netload", "--"]);
    command
}

fn readme() -> String {
    document("README.md")
}
