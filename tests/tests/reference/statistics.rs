//! `include/STATISTICS.md`: the keys of `net_stats` from the structs that it writes, and the metrics from what `net_metrics` says of
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ptr;

use adapters::udp::KeyPair;
use engine::config::Config;
use engine::counters::CountName;
use harness::snapshots::{json_of, metrics_text_of, start_c};
use serde_json::{Value, json};

use crate::source::{Source, names, paragraphs, serde, serde_value};

#[test]
fn every_key_that_a_bus_writes_is_in_the_table_and_no_other_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bus = bus_with_a_log(&folder);
    let mut said = BTreeSet::new();
    paths_of(&json_of(bus), "", &mut said);
    assert_eq!(net::net_shutdown(bus), 0);
    let counts = counts_of_stores().remove("log").expect("it counts");
    // What a shard has counted has one row for all keys of the bus.
    let rows = keys().into_iter().map(|key| key.path).filter(|path| !path.ends_with('…'));
    let mut known: BTreeSet<String> = rows.collect();
    for level in ["", "shards[]."] {
        known.extend(counts.iter().map(|count| format!("{level}adapter_counts.{}", count.name)));
    }
    assert_eq!(said, known);
}

#[test]
fn every_count_of_a_store_is_a_metric_under_its_name_with_its_meaning() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bus = bus_with_a_log(&folder);
    let families = families_of(&metrics_text_of(bus));
    assert_eq!(net::net_shutdown(bus), 0);
    for level in ["", "shard_"] {
        let prefix = format!("libnet_{level}adapter_");
        for CountName { name, meaning } in counts_of_stores().remove("log").expect("it counts") {
            let family = families.iter().find(|family| family.name == format!("{prefix}{name}_total"));
            assert_eq!(family.map(|family| family.help.as_str()), Some(*meaning), "{prefix}{name}");
        }
    }
}

/// The whole file.
pub(crate) fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n| key | is | meaning |\n|---|---|---|\n");
    for Key { path, kind, meaning, is_repeated } in keys() {
        if !is_repeated {
            writeln!(text, "| `{path}` | {kind} | {meaning} |").expect("a string takes everything");
        }
    }
    let bus = start_c(r#"{"num_shards":1}"#);
    let families = families_of(&metrics_text_of(bus));
    assert_eq!(net::net_shutdown(bus), 0);
    text.push_str(METRICS);
    let is_of_shard = |name: &str| name.starts_with(SHARD);
    let twin = |name: &str| name.replacen("libnet_", SHARD, 1);
    for Family { name, kind, labels, help } in &families {
        let (of_shard, is_twin) = (twin(name), families.iter().any(|other| twin(&other.name) == *name));
        if is_twin {
            continue;
        }
        let with_shards = families.iter().any(|other| other.name == of_shard);
        let levels = match (is_of_shard(name), with_shards) {
            (true, _) => "shard",
            (false, true) => "bus, shard",
            (false, false) => "bus",
        };
        let labels = labels.iter().filter(|label| label.as_str() != "shard" || !is_of_shard(name));
        let labels = labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(text, "| `{name}` | {levels} | {kind} | {labels} | {help} |")
            .expect("a string takes everything");
    }
    text.push_str(COUNTS);
    for (store, counts) in counts_of_stores() {
        write!(text, "\n| of `{store}` | meaning |\n|---|---|\n").expect("a string takes everything");
        for CountName { name, meaning } in counts {
            writeln!(text, "| `{name}` | {meaning} |").expect("a string takes everything");
        }
    }
    text
}

/// A key of the object that `net_stats` writes.
struct Key {
    path: String,
    kind: &'static str,
    meaning: String,
    /// Whether it says of a shard what another says of the bus.
    is_repeated: bool,
}

fn keys() -> Vec<Key> {
    let sources = [Source::read("ffi/src/stats.rs"), Source::read("ffi/src/build.rs")];
    let mut keys = Vec::new();
    add_keys(&sources, "Document", "", false, &mut keys);
    keys
}

fn add_keys(sources: &[Source; 2], structure: &str, prefix: &str, is_repeated: bool, keys: &mut Vec<Key>) {
    let source = &sources[usize::from(structure == "Build")];
    for field in &source.structure(structure).fields {
        let ident = field.ident.as_ref().expect("its fields have names").to_string();
        let name = serde_value(&field.attrs, "rename").unwrap_or(ident);
        let meaning = paragraphs(&field.attrs).join(" ");
        assert!(!meaning.is_empty(), "`{structure}.{name}` has no meaning");
        let (kind, argument) = names(&field.ty);
        if serde(&field.attrs).contains("flatten") {
            let is_repeated = !prefix.is_empty();
            if is_repeated {
                keys.push(Key { path: format!("{prefix}…"), kind: "", meaning, is_repeated: false });
            }
            add_keys(sources, &kind, prefix, is_repeated, keys);
            continue;
        }
        let (kind, inner) = match kind.as_str() {
            "u64" | "usize" | "u16" => ("number", None),
            "bool" => ("true, false", None),
            "str" => ("text", None),
            "Option" => ("text or null", None),
            "BTreeMap" => ("object of numbers", None),
            "Vec" => ("list", Some((names(argument.expect("a list of something")).0, "[]"))),
            _ => ("object", Some((kind, ""))),
        };
        let path = format!("{prefix}{name}");
        keys.push(Key { path: path.clone(), kind, meaning, is_repeated });
        if let Some((inner, list)) = inner {
            add_keys(sources, &inner, &format!("{path}{list}."), is_repeated, keys);
        }
    }
}

/// The path of each key of an object and of what is in it.
fn paths_of(value: &Value, prefix: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                paths.insert(format!("{prefix}{key}"));
                let list = if value.is_array() { "[]" } else { "" };
                paths_of(value, &format!("{prefix}{key}{list}."), paths);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| paths_of(value, prefix, paths)),
        _ => {}
    }
}

/// A family of metrics as it describes itself.
struct Family {
    name: String,
    kind: String,
    labels: Vec<String>,
    help: String,
}

fn families_of(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => families.push(Family {
                name: name.to_owned(),
                kind: String::new(),
                labels: Vec::new(),
                help: help.to_owned(),
            }),
            (Some("#"), Some("TYPE"), Some(_), Some(kind)) => {
                let family = families.last_mut().expect("its help comes first");
                kind.clone_into(&mut family.kind);
                match kind {
                    "counter" => family.name.push_str("_total"),
                    "info" => family.name.push_str("_info"),
                    _ => {}
                }
            }
            (Some(sample), ..) if sample.contains('{') => {
                let family = families.last_mut().expect("its help comes first");
                let labels = sample.split_once('{').expect("it was found").1.trim_end_matches('}');
                for label in labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)) {
                    if label != "le" && !family.labels.iter().any(|known| known == label) {
                        family.labels.push(label.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    families
}

/// What each store that counts something counts.
fn counts_of_stores() -> BTreeMap<&'static str, &'static [CountName]> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = KeyPair::generate().expect("random bytes").public().to_string();
    let net = json!({ "role": "initiator", "peer_addr": "127.0.0.1:9", "peer_public_key": key, "psk": "7".repeat(64) });
    let documents = [
        ("memory", json!({})),
        ("log", json!({ "dir": folder.path() })),
        // Nobody answers there, and nobody needs to.
        ("redis", json!({ "url": "redis://127.0.0.1:9" })),
        ("net", net),
        ("noop", json!({})),
    ];
    let counts = documents.into_iter().map(|(name, options)| {
        let document = json!({ "num_shards": 1, name: options }).to_string();
        let (config, section) = Config::parse(&document, &adapters::SECTIONS).expect("it is valid");
        (
            name,
            adapters::factory(section, &config)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .count_names(),
        )
    });
    counts.filter(|(_, counts)| !counts.is_empty()).collect()
}

/// One with a shard and a subscription, so that every list has something in it.
fn bus_with_a_log(folder: &tempfile::TempDir) -> net::net_handle_t {
    let bus = start_c(&json!({ "num_shards": 1, "log": { "dir": folder.path() } }).to_string());
    let mut subscription = ptr::null_mut();
    // SAFETY: the request is NUL-terminated and the subscription ours.
    assert_eq!(unsafe { net::net_subscribe(bus, c"{}".as_ptr(), &raw mut subscription) }, 0);
    bus
}

const SHARD: &str = "libnet_shard_";

const INTRODUCTION: &str = "# Statistics

Generated from the types that write them, and from what a bus says of itself, by `cargo xtask docs`; do not edit.

`net_stats` writes a JSON object, and `net_metrics` the same as text in the OpenMetrics format, which a Prometheus scrape takes. Reading either stalls no
shard. What is counted in events counts single events, however they were published. Counts begin with the bus, and rise only, but for those of a moment: of
what is pending or open now. A reader passes over keys that it does not know.

## The object of `net_stats`
";

const METRICS: &str = "
## The metrics of `net_metrics`

A metric of `bus, shard` is there twice: as it is called here, of the bus, and with `libnet_shard_` in place of `libnet_` and the label `shard`, of each
shard. A histogram has `_bucket` with the label `le`, `_sum` and `_count`. A name ends with its unit, before `_total`.

| metric | of | type | labels | meaning |
|---|---|---|---|---|
";

const COUNTS: &str = "
## What stores count of their own

These are in `adapter_counts` of `net_stats`, and the metrics `libnet_adapter_…_total` and `libnet_shard_adapter_…_total` of `net_metrics`.
";
