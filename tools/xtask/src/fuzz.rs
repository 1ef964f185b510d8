//! `cargo xtask fuzz`: libFuzzer over each parser, from the committed corpora on; and the check that no parser is without a target.
//!
//! cargo-fuzz wants a nightly compiler for its sanitizer; `RUSTC_BOOTSTRAP` makes this one do. What is found new is kept in
//! `target/fuzz`, and bytes that fail a target in `tests/fuzz/artifacts`, with the command that tries them again.

use std::path::Path;

use crate::shell::{self, Failure, Shell};

/// Runs one target, or each, for so many seconds.
pub(crate) fn run(shell: &Shell, target: Option<&str>, seconds: u64) -> Result<(), Failure> {
    if shell.cargo().args(["fuzz", "--version"]).output().is_ok_and(|output| !output.status.success()) {
        shell::stage("cargo-fuzz", shell.cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let chosen = match target {
        Some(target) if targets.contains(&target) => vec![target],
        Some(target) => return Err(Failure::Fuzz(format!("`{target}` is none of {}", targets.join(", ")))),
        None => targets,
    };
    for name in chosen {
        let found = shell.target().join("fuzz").join(name);
        std::fs::create_dir_all(&found).map_err(|source| Failure::File { path: found.clone(), source })?;
        let mut command = shell.cargo();
        // The profile of the tests: it builds in a fraction of the time.
        command.args(["fuzz", "run", "--dev", "--fuzz-dir", "tests/fuzz", "parsers"]);
        command.arg(found).arg(shell.path(Path::new("tests/fuzz/corpus").join(name)));
        command.args(["--", "-timeout=20", "-rss_limit_mb=4096", "-max_len=4096"]);
        command.arg(format!("-max_total_time={seconds}"));
        command.env("RUSTC_BOOTSTRAP", "1").env("LIBNET_FUZZ", name);
        shell::stage(&format!("fuzz {name}"), &mut command)?;
    }
    Ok(())
}

/// Fails with the files that take foreign bytes apart and are no target's, and with targets that nobody declares.
pub(crate) fn check(shell: &Shell) -> Result<(), Failure> {
    let (mut wrong, mut declared, mut is_fuzzed) = (Vec::new(), Vec::new(), false);
    for path in shell.source_files()? {
        let is_product =
            ["engine/src", "adapters/src", "ffi/src"].iter().any(|folder| path.starts_with(folder));
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_product || !is_rust || path.ends_with("tests.rs") {
            continue;
        }
        let text = read(shell, &path)?;
        let is_covered = TARGETS
            .iter()
            .flat_map(|(_, parsers)| *parsers)
            .chain(OTHERS)
            .any(|parser| path.ends_with(parser));
        if path.ends_with("src/fuzzing.rs") {
            is_fuzzed = true;
            let (_, list) = text.split_once("TARGETS: &[Target] =").unwrap_or_default();
            let list = list.split("];").next().unwrap_or_default();
            let names = list.split("(\"").skip(1).filter_map(|rest| rest.split_once("\", "));
            declared.extend(names.map(|(name, _)| name.to_owned()));
        } else if is_parser(&text) && !is_covered {
            wrong.push(format!("{} is no target's", path.display()));
        }
    }
    let mut listed: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    declared.sort_unstable();
    if is_fuzzed && declared != listed {
        wrong.push(format!("declared are {declared:?}, and listed {listed:?}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Fuzz(wrong.join("; "))) }
}

/// Whether a function of the file takes apart what somebody else has written.
fn is_parser(text: &str) -> bool {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    product.split("fn ").skip(1).any(|function| {
        let Some((name, rest)) = function.split_once('(') else { return false };
        let arguments = rest.split(')').next().unwrap_or_default();
        let name = name.split('<').next().unwrap_or_default();
        let takes_bytes = ["&[u8]", "&'a [u8]", "&str", "&'a str", "&[u8; ", "Value"]
            .iter()
            .any(|kind| arguments.contains(kind));
        takes_bytes && VERBS.contains(&name)
    })
}

fn read(shell: &Shell, path: &Path) -> Result<String, Failure> {
    let path = shell.path(path);
    std::fs::read_to_string(&path).map_err(|source| Failure::File { path, source })
}

/// What functions are called here that take bytes apart.
const VERBS: [&str; 12] = [
    "parse",
    "decode",
    "read",
    "from_hex",
    "from_json",
    "learn",
    "hear",
    "hear_response",
    "hear_cookie",
    "complete",
    "take_cookie",
    "open",
];

/// Files that look like parsers' and are none: where a library takes the bytes apart (rustls, ring), and where they are our own.
const OTHERS: &[&str] = &["redis/tls.rs", "udp/aead.rs", "engine/src/lane/claim.rs"];

/// Each target, and the files whose parsers it tries.
const TARGETS: &[(&str, &[&str])] = &[
    ("config", &["engine/src/config.rs"]),
    ("poll_request", &["consume/request.rs"]),
    ("subscribe_request", &["consume/subscribe.rs"]),
    ("filter", &["consume/filter.rs"]),
    ("cursor", &["consume/cursor.rs"]),
    ("memory_config", &["adapters/src/memory.rs", "adapters/src/noop.rs"]),
    ("redis_config", &["redis/config.rs"]),
    ("redis_reply", &["redis/reply.rs", "redis/refusal.rs", "redis/greeting.rs", "redis/streams.rs"]),
    ("redis_entries", &["redis/entry.rs", "redis/block.rs"]),
    ("redis_cluster", &["redis/cluster.rs"]),
    ("udp_config", &["udp/config.rs", "udp/role.rs", "udp/secret_file.rs"]),
    ("udp_keys", &["udp/keys.rs"]),
    (
        "udp_packet",
        &[
            "udp/packet.rs",
            "udp/responder.rs",
            "udp/answerer.rs",
            "udp/gate.rs",
            "udp/initiator.rs",
            "udp/dialer.rs",
            "udp/cookie.rs",
        ],
    ),
    ("udp_handshake", &["udp/noise.rs", "udp/hello.rs"]),
    ("udp_frames", &["channel/frame.rs", "channel/mod.rs", "udp/session.rs"]),
    ("log_config", &["log/options.rs"]),
    ("log_identity", &["log/identity.rs", "log/history.rs"]),
    ("log_index", &["format/index.rs"]),
    (
        "log_segment",
        &["format/header.rs", "format/block.rs", "format/record.rs", "log/scan.rs", "log/recovery.rs"],
    ),
    ("named_config", &["named/config.rs"]),
    ("named_name", &["named/name.rs"]),
    ("c_calls", &["ffi/src/ingest.rs", "ffi/src/poll.rs", "ffi/src/subscription.rs", "ffi/src/claim.rs"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_take_bytes_apart_are_found() {
        assert!(is_parser("    pub fn parse(text: &str) -> Option<Name> {"));
        assert!(is_parser("fn decode(bytes: &[u8], salt: u64) -> Option<Index> {"));
        assert!(is_parser("fn hear(\n    &mut self,\n    packet: &[u8; 8],\n) -> bool {"));
        assert!(!is_parser("fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {"));
        assert!(!is_parser("#[cfg(test)]\nmod tests {\nfn parse(text: &str) {}"));
    }
}
