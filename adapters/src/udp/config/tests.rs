//! What the `net` section takes and refuses, by the path of the key.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;

/// RFC 7748, 6.1.
const SECRET: &str = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const PUBLIC: &str = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
const OTHER_PUBLIC: &str = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
const PSK: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn initiator() -> Value {
    json!({ "role": "initiator", "peer_addr": "10.0.0.1:7000", "peer_public_key": PUBLIC, "psk": PSK })
}

fn responder() -> Value {
    json!({ "role": "responder", "bind_addr": "0.0.0.0:7000", "secret_key": SECRET, "public_key": PUBLIC, "psk": PSK })
}

/// `base` with `changes`; null takes a key away.
fn changed(base: Value, changes: Value) -> Value {
    let (Value::Object(mut base), Value::Object(changes)) = (base, changes) else { panic!("two objects") };
    base.extend(changes);
    Value::Object(base)
}

fn parse(options: Value) -> Result<UdpConfig, ConfigError> {
    UdpConfig::parse(options, shards(4))
}

fn shards(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("not zero")
}

/// A file with `text`, which only its owner may read.
fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner");
    path
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(initiator()).expect("valid");
    let Role::Initiator(Initiator { peer, peer_public_key, bind }) = &config.role else {
        panic!("{config:?}")
    };
    assert_eq!((peer.to_string().as_str(), peer_public_key.to_string().as_str()), ("10.0.0.1:7000", PUBLIC));
    assert_eq!(*bind, None);
    assert_eq!((config.reliability, config.cipher), (Reliability::Full, None));
    assert_eq!((config.packet_pool_size, config.mtu, config.batched_io), (4_096, 1_452, true));
    assert_eq!(config.heartbeat_interval, Duration::from_secs(1));
    assert_eq!(config.session_timeout, Duration::from_secs(10));
    assert_eq!(config.store, ReceivedStore::Memory(Retention::default()));
    let config = parse(responder()).expect("valid");
    let Role::Responder(Responder { bind, keys, peer }) = &config.role else { panic!("{config:?}") };
    assert_eq!((bind.to_string().as_str(), *peer), ("0.0.0.0:7000", None));
    assert_eq!(keys.public().to_string(), PUBLIC);
}

#[test]
fn every_key_is_taken() {
    let config = parse(changed(
        responder(),
        json!({
            "peer_addr": "10.0.0.2:9", "reliability": "light", "cipher": "aes256gcm", "packet_pool_size": 64,
            "heartbeat_interval_ms": 10, "session_timeout_ms": 11, "batched_io": false, "mtu": 9000, "store": "noop",
        }),
    ));
    let config = config.expect("valid");
    let Role::Responder(Responder { peer, .. }) = &config.role else { panic!("{config:?}") };
    assert_eq!(*peer, Some("10.0.0.2".parse().expect("an address")));
    assert_eq!((config.reliability, config.cipher), (Reliability::Light, Some(Cipher::Aes256Gcm)));
    assert_eq!((config.packet_pool_size, config.mtu, config.batched_io), (64, 9_000, false));
    assert_eq!(config.heartbeat_interval, Duration::from_millis(10));
    assert_eq!(config.session_timeout, Duration::from_millis(11));
    assert_eq!(config.store, ReceivedStore::Noop);
    for (text, cipher) in [("auto", None), ("chacha20poly1305", Some(Cipher::ChaCha20Poly1305))] {
        assert_eq!(parse(changed(initiator(), json!({ "cipher": text }))).expect(text).cipher, cipher);
    }
    for (text, reliability) in [("none", Reliability::None), ("full", Reliability::Full)] {
        let config = parse(changed(initiator(), json!({ "reliability": text })));
        assert_eq!(config.expect(text).reliability, reliability);
    }
}

#[test]
fn what_is_wrong_with_an_initiator_is_named_by_its_path() {
    assert!(parse(json!({})).expect_err("nothing").to_string().starts_with("net: missing field `role`"));
    let low = "0".repeat(64);
    for (changes, path) in [
        (json!({ "role": "both" }), "net.role"),
        (json!({ "port": 1 }), "net.port"),
        (json!({ "peer_addr": null }), "net.peer_addr"),
        (json!({ "peer_addr": "10.0.0.1" }), "net.peer_addr"),
        (json!({ "peer_public_key": null }), "net.peer_public_key"),
        (json!({ "peer_public_key": "ab" }), "net.peer_public_key"),
        (json!({ "peer_public_key": low }), "net.peer_public_key: a point of low order"),
        (json!({ "secret_key": SECRET }), "net.secret_key"),
        (json!({ "public_key": PUBLIC }), "net.public_key"),
        (json!({ "key_file": "key" }), "net.key_file"),
        (json!({ "bind_addr": "10.0.0.1" }), "net.bind_addr"),
        (json!({ "bind_addr": "[::]:0" }), "net.bind_addr: nothing goes from there"),
        (json!({ "bind_addr": "0.0.0.0:65533" }), "net.bind_addr: the socket of each of 4 shards"),
        (json!({ "psk": null }), "net.psk: missing"),
        (json!({ "psk": "ab" }), "net.psk"),
        (json!({ "psk": 5 }), "net.psk"),
        (json!({ "psk_file": "psk" }), "net.psk_file: `psk`"),
        (json!({ "psk": null, "psk_file": "no/such/file" }), "net.psk_file: no/such/file"),
        (json!({ "reliability": "some" }), "net.reliability"),
        (json!({ "cipher": "rot13" }), "net.cipher"),
        (json!({ "packet_pool_size": 63 }), "net.packet_pool_size"),
        (json!({ "packet_pool_size": 65_537 }), "net.packet_pool_size"),
        (json!({ "heartbeat_interval_ms": 9 }), "net.heartbeat_interval_ms"),
        (json!({ "heartbeat_interval_ms": 3_600_001 }), "net.heartbeat_interval_ms"),
        (json!({ "heartbeat_interval_ms": u64::MAX }), "net.heartbeat_interval_ms"),
        (json!({ "session_timeout_ms": 10 }), "net.session_timeout_ms"),
        (json!({ "heartbeat_interval_ms": 500, "session_timeout_ms": 500 }), "net.session_timeout_ms"),
        (json!({ "session_timeout_ms": 86_400_001 }), "net.session_timeout_ms"),
        (json!({ "batched_io": 1 }), "net.batched_io"),
        (json!({ "mtu": 575 }), "net.mtu"),
        (json!({ "mtu": 65_508 }), "net.mtu"),
        (json!({ "mtu": -1 }), "net.mtu"),
        (json!({ "store": "redis" }), "net.store: `redis`"),
        (json!({ "store": 1 }), "net.store"),
        (json!({ "store": {} }), "net.store"),
        (json!({ "store": { "memory": {}, "noop": {} } }), "net.store"),
        (json!({ "store": { "memory": { "retention_events": 0 } } }), "net.store.memory.retention_events"),
        (json!({ "store": { "noop": { "a": 1 } } }), "net.store.noop"),
    ] {
        is_refused_at(&changed(initiator(), changes), path);
    }
}

#[test]
fn what_is_wrong_with_a_responder_is_named_by_its_path() {
    let low = "0".repeat(64);
    for (changes, path) in [
        (json!({ "bind_addr": null }), "net.bind_addr: missing"),
        (json!({ "bind_addr": "0.0.0.0:0" }), "net.bind_addr: a responder has a port"),
        (json!({ "bind_addr": "localhost:1" }), "net.bind_addr"),
        (json!({ "peer_addr": "localhost:1" }), "net.peer_addr"),
        (json!({ "peer_public_key": PUBLIC }), "net.peer_public_key"),
        (json!({ "secret_key": null }), "net.public_key: only together"),
        (json!({ "public_key": null }), "net.secret_key: only together"),
        (json!({ "secret_key": null, "public_key": null }), "net.key_file: missing"),
        (json!({ "key_file": "key" }), "net.key_file: `secret_key`"),
        (json!({ "secret_key": null, "key_file": "key" }), "net.key_file: `public_key`"),
        (json!({ "secret_key": "ab" }), "net.secret_key"),
        (json!({ "public_key": OTHER_PUBLIC }), "net.public_key: not the public key"),
        (json!({ "public_key": low }), "net.public_key: a point of low order"),
    ] {
        is_refused_at(&changed(responder(), changes), path);
    }
}

/// The error begins with this, and has no secret in it.
fn is_refused_at(options: &Value, path: &str) {
    let error = parse(options.clone()).expect_err(&options.to_string()).to_string();
    assert!(error.starts_with(path), "{options}: {error}");
    assert!(!error.contains(PSK) && !error.contains(SECRET), "{error}");
}

#[test]
fn each_interval_follows_the_other_where_only_one_is_said() {
    for (said, heartbeat_ms, timeout_ms) in [
        (json!({}), 1_000, 10_000),
        (json!({ "heartbeat_interval_ms": 20 }), 20, 10_000),
        (json!({ "heartbeat_interval_ms": 5_000 }), 5_000, 15_000),
        (json!({ "heartbeat_interval_ms": 3_600_000 }), 3_600_000, 10_800_000),
        (json!({ "session_timeout_ms": 600 }), 200, 600),
        (json!({ "session_timeout_ms": 11 }), 10, 11),
        (json!({ "session_timeout_ms": 86_400_000 }), 1_000, 86_400_000),
    ] {
        let config = parse(changed(initiator(), said.clone())).expect("valid");
        let intervals = (config.heartbeat_interval.as_millis(), config.session_timeout.as_millis());
        assert_eq!(intervals, (heartbeat_ms, timeout_ms), "{said}");
    }
}

#[test]
fn keys_come_from_files_too_and_a_file_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = format!("{{\"public_key\":\"{PUBLIC}\",\"secret_key\":\"{SECRET}\"}}\n");
    let key = file(folder.path(), "key", &pair);
    let psk = file(folder.path(), "psk", &format!("{PSK}\n"));
    let mismatched = file(folder.path(), "mismatched", &pair.replace(PUBLIC, OTHER_PUBLIC));
    let open = file(folder.path(), "open", PSK);
    fs::set_permissions(&open, Permissions::from_mode(0o640)).expect("its owner");
    let with = |key: &Path, psk: &Path| {
        let files =
            json!({ "secret_key": null, "public_key": null, "key_file": key, "psk": null, "psk_file": psk });
        parse(changed(responder(), files))
    };
    let config = with(&key, &psk).expect("valid");
    let Role::Responder(Responder { keys, .. }) = &config.role else { panic!("{config:?}") };
    assert_eq!((keys.public().to_string().as_str(), config.psk.to_hex().as_str()), (PUBLIC, PSK));
    for (text, is_right) in [
        (PSK.to_owned(), true),
        (format!("{PSK}\r\n"), true),
        (format!("{PSK}\n\n"), false),
        (format!(" {PSK}"), false),
        (String::new(), false),
    ] {
        let psk = file(folder.path(), "other", &text);
        assert_eq!(with(&key, &psk).is_ok(), is_right, "{text:?}");
    }
    for (key, psk, path, reason) in [
        (&mismatched, &psk, "net.key_file", "mismatched: not the public key"),
        (&psk, &psk, "net.key_file", "psk: not {"),
        (&key, &open, "net.psk_file", "open: its mode is 640"),
        (&key, &key, "net.psk_file", "key: not 64"),
        (&open, &psk, "net.key_file", "open: its mode is 640"),
    ] {
        let error = with(key, psk).expect_err(reason);
        assert!(error.path == path && error.reason.contains(reason), "{error}");
        assert!(!error.reason.contains(SECRET) && !error.reason.contains(PSK), "{error}");
    }
}

#[test]
fn what_the_shards_of_a_bus_need_is_there() {
    let last_fits = changed(initiator(), json!({ "bind_addr": "0.0.0.0:65532" }));
    assert!(UdpConfig::parse(last_fits.clone(), shards(4)).is_ok());
    assert!(UdpConfig::parse(last_fits, shards(5)).is_err());
    for options in [initiator(), responder()] {
        assert!(UdpConfig::parse(options.clone(), shards(256)).is_ok());
        let error = UdpConfig::parse(options, shards(257)).expect_err("a byte names the session");
        assert_eq!(error.path, "num_shards");
    }
}

#[test]
fn a_store_for_received_events_is_named_alone_or_with_its_options() {
    let store = |value: Value| parse(changed(initiator(), json!({ "store": value }))).expect("valid").store;
    let default = ReceivedStore::Memory(Retention::default());
    assert_eq!(store(json!("memory")), default);
    assert_eq!(store(json!({ "memory": null })), default);
    assert_eq!(store(json!({ "noop": {} })), ReceivedStore::Noop);
    let ReceivedStore::Memory(retention) = store(json!({ "memory": { "retention_events": 5 } })) else {
        panic!("memory")
    };
    assert_eq!((retention.events.get(), retention.bytes), (5, Retention::default().bytes));
}

#[test]
fn null_means_the_default() {
    let keys: Map<String, Value> =
        ["bind_addr", "reliability", "cipher", "packet_pool_size", "heartbeat_interval_ms"]
            .into_iter()
            .chain(["session_timeout_ms", "batched_io", "mtu", "store", "secret_key", "key_file", "psk_file"])
            .map(|key| (key.to_owned(), Value::Null))
            .collect();
    assert!(parse(changed(initiator(), Value::Object(keys))).is_ok());
}

#[test]
fn no_secret_is_in_a_debug_text() {
    for options in [initiator(), responder()] {
        let text = format!("{:?}", parse(options).expect("valid"));
        assert!(!text.contains(PSK) && !text.contains(SECRET), "{text}");
    }
}
