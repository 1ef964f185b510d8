//! netload on a Redis server: every mode reads back its own events and nobody else's, and leaves nothing behind.

use std::fs;
use std::process::{Command, Output};

use harness::authority::Authority;
use harness::redis::Redis;

#[test]
fn every_mode_verifies_its_own_events_alone_and_leaves_no_key_behind() {
    let server = Redis::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    // Whoever used the bus's own prefix would meet this.
    server.ask(&["SET", "net:shard:0", "not a stream"]);
    for options in [
        &["run", "--mode", "ingest", "--events", "20000"][..],
        &["run", "--mode", "poll", "--events", "20000", "--shards", "2"],
        &["run", "--mode", "subscribe", "--events", "20000"],
        &["run", "--mode", "subscribe", "--rate", "1k", "--warmup", "0s", "--duration", "300ms"],
        &["verify", "--events", "20000", "--config", r#"{"num_shards":2}"#],
    ] {
        let output = netload(&[options, &["--target", &url]].concat());
        let text = text(&output);
        // Whether a rate is kept is the machine's affair.
        assert!(matches!(output.status.code(), Some(0 | 2)), "{options:?}: {text}");
        assert!(text.contains("verified") || options.contains(&"ingest"), "{options:?}: {text}");
        assert_eq!(server.ask(&["KEYS", "*"]), "net:shard:0", "{options:?}");
    }
    let commands = server.ask(&["INFO", "commandstats"]);
    assert!(commands.contains("cmdstat_xadd") && commands.contains("cmdstat_xread:"), "{commands}");
}

#[test]
fn a_store_slower_than_its_producers_makes_them_wait_and_loses_nothing() {
    let server = Redis::durable();
    let url = format!("redis+unix://{}", server.socket().display());
    let small = r#"{"num_shards":1,"ring_buffer_capacity":1024,"flush_timeout_ms":60000}"#;
    let output = netload(&["run", "--events", "30000", "--target", &url, "--config", small]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("verified    all 30,000"), "{text}");
    let shard = text.lines().find(|line| line.starts_with("shard 0")).expect("the account");
    let refused = shard.split_whitespace().last().expect("a count");
    assert_ne!(refused, "0", "{text}");
}

#[test]
fn a_run_over_tls_verifies_its_events_and_one_that_trusts_nobody_there_does_not_begin() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let url = format!("rediss://127.0.0.1:{}", server.tls_port());
    let run = |trusted: &Authority| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
        command.args(["run", "--events", "5000", "--target", &url]);
        command
            .env("SSL_CERT_FILE", trusted.cert())
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("netload runs")
    };
    let verified = run(&authority);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
    assert!(text(&verified).contains("verified    all 5,000"), "{}", text(&verified));
    let refused = run(&Authority::default());
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("not trusted"), "{}", text(&refused));
    assert_eq!(server.ask(&["KEYS", "*"]), "");
}

#[test]
fn a_saved_result_has_no_password() {
    let server = Redis::start();
    server.ask(&["CONFIG", "SET", "requirepass", "hush"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let saved = path.display().to_string();
    let url = format!("redis://:hush@127.0.0.1:{}", server.port());
    let output = netload(&["run", "--events", "100", "--target", &url, "--json", &saved]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let document = fs::read_to_string(path).expect("it was saved");
    assert!(document.contains("redis://127.0.0.1") && !document.contains("hush"), "{document}");
    let wrong = netload(&["run", "--target", &url.replace("hush", "psst")]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("--target: ") && !text(&wrong).contains("psst"), "{}", text(&wrong));
}

#[test]
fn of_a_range_of_sizes_a_changed_letter_and_a_changed_length_are_found() {
    let server = Redis::start();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let config = format!(r#"{{"num_shards":1,"redis":{{"url":"{url}","prefix":"mine"}}}}"#);
    let range = ["--producers", "1", "--size", "200..1024", "--seed", "5", "--config", &config];
    let output = netload(&[&["run", "--mode", "ingest", "--events", "1"], &range[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let verify = || {
        let output = netload(&[&["verify", "--mode", "poll", "--events", "100"], &range[..]].concat());
        let text = text(&output);
        let row = text.lines().find_map(|line| line.strip_prefix("poll ")).expect("the way out");
        let counts = row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(output.status.code(), Some(1), "{text}");
        server.ask(&["DEL", "mine:shard:0"]);
        counts
    };
    // What is stored once more, with another letter and without one.
    let again = "local entry = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2]; local event = entry[2]; \
        for _, event in ipairs({event:sub(1, 99) .. '!' .. event:sub(101), event:sub(1, 99) .. event:sub(101)}) do \
        redis.call('XADD', KEYS[1], '*', 'd', event, unpack(entry, 3)) end return 'done'";
    assert_eq!(server.ask(&["EVAL", again, "1", "mine:shard:0"]), "done");
    // Accepted, came back, lost, duplicated, out of order, foreign: what was there already is a duplicate as it is.
    assert_eq!(verify(), ["100", "100", "0", "1", "0", "2"]);
}

fn netload(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netload")).args(words).output().expect("netload runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
