//! What the configuration's tables say of a key is what its parser does: limits, defaults, and the values of enums.

use std::sync::OnceLock;

use adapters::log::LogConfig;
use adapters::memory::Retention;
use adapters::named::FileConfig;
use adapters::redis::RedisConfig;
use adapters::udp::{KeyPair, UdpConfig};
use engine::config::{Config, ConfigError};
use serde_json::{Map, Value, json};

use crate::configuration::{FILES, Row, rows, stores};

#[test]
fn every_limit_of_the_tables_is_the_parsers() {
    let mut count = 0;
    for row in rows() {
        let Some(Limits { min, max, is_power }) = Limits::of(&row.values) else { continue };
        count += 1;
        let (below, above) =
            if is_power { (min / 2, max.map(|max| max * 2)) } else { (min - 1, max.map(|max| max + 1)) };
        for good in [Some(min), max].into_iter().flatten() {
            assert!(takes(&row, &json!(good)), "{}.{} is said to take {good}", row.section, row.key);
        }
        for bad in [Some(below), above].into_iter().flatten() {
            assert!(!takes(&row, &json!(bad)), "{}.{} takes {bad}: {}", row.section, row.key, row.values);
        }
    }
    assert!(count > 25, "only {count} limits were found");
}

#[test]
fn every_default_of_the_tables_is_the_parsers() {
    let mut count = 0;
    for row in rows() {
        let Some(default) = value_of(&row.default) else { continue };
        count += 1;
        let said = parse(&row, Some(&default)).unwrap_or_else(|error| panic!("{default}: {error}"));
        assert_eq!(parse(&row, None), Ok(said), "{}.{} is not {default}", row.section, row.key);
    }
    assert!(count > 30, "only {count} defaults were found");
}

#[test]
fn every_value_of_the_tables_is_taken_and_no_other_is() {
    let mut count = 0;
    for row in rows() {
        let quoted = row.values.split('`').skip(1).step_by(2);
        let values: Vec<Value> = quoted
            .filter_map(|value| serde_json::from_str(&value.replace(":n}", ":1}").replace("{…}", "{}")).ok())
            .collect();
        if values.is_empty() {
            continue;
        }
        count += 1;
        for value in values {
            assert!(takes(&row, &value), "{}.{} is said to take {value}", row.section, row.key);
        }
        let other = json!("something else");
        assert!(!takes(&row, &other), "{}.{} takes {other}", row.section, row.key);
    }
    assert!(count >= 7, "only {count} keys with values were found");
}

#[test]
fn every_store_section_has_its_keys_here() {
    let built: Vec<&str> = adapters::SECTIONS.into_iter().filter(|name| *name != "jetstream").collect();
    assert_eq!(stores(), built);
}

/// Whether the key takes the value: it is not refused at its own path.
fn takes(row: &Row, value: &Value) -> bool {
    let path = match row.section {
        "" | FILES => row.key.clone(),
        section => format!("{section}.{}", row.key),
    };
    // A value of another type is told at the key, one of an enum at what is in it.
    parse(row, Some(value))
        .err()
        .is_none_or(|error| error.path != path && !error.path.starts_with(&format!("{path}.")))
}

/// What the section becomes with that value of the key, or without the key, as text.
fn parse(row: &Row, value: Option<&Value>) -> Result<String, ConfigError> {
    let mut options = required(row.section);
    if let Some(value) = value {
        options.insert(row.key.clone(), value.clone());
    }
    let bus = |document: Value| Config::parse(&document.to_string(), &adapters::SECTIONS);
    let config = Config::default();
    let options = Value::Object(options);
    match row.section {
        "" => bus(options).map(|parsed| format!("{parsed:?}")),
        "batch" => bus(json!({ "batch": options })).map(|parsed| format!("{parsed:?}")),
        "memory" => Retention::parse(options).map(|parsed| format!("{parsed:?}")),
        "log" => LogConfig::parse(options, &config).map(|parsed| format!("{parsed:?}")),
        "redis" => RedisConfig::parse(options).map(|parsed| format!("{parsed:?}")),
        "net" => UdpConfig::parse(options, config.num_shards).map(|parsed| format!("{parsed:?}")),
        FILES => FileConfig::parse(&options.to_string(), true).map(|parsed| format!("{parsed:?}")),
        section => panic!("`{section}` has no parser here"),
    }
}

/// The keys that a section must have.
fn required(section: &str) -> Map<String, Value> {
    static KEY: OnceLock<String> = OnceLock::new();
    let key = KEY.get_or_init(|| KeyPair::generate().expect("random bytes").public().to_string());
    let required = match section {
        "log" => json!({ "dir": "log" }),
        "redis" => json!({ "url": "redis://localhost" }),
        "net" => {
            json!({ "role": "initiator", "peer_addr": "127.0.0.1:7000", "peer_public_key": key, "psk": "7".repeat(64) })
        }
        _ => json!({}),
    };
    required.as_object().expect("an object").clone()
}

/// What numbers a key takes.
struct Limits {
    min: i64,
    max: Option<i64>,
    is_power: bool,
}

impl Limits {
    /// Those of `1 to 64 MiB`, `A power of two, 4 KiB to 1 GiB` and `At least 1`; none of what depends on another key.
    fn of(values: &str) -> Option<Limits> {
        let (values, is_power) = match values.strip_prefix("A power of two, ") {
            Some(values) => (values, true),
            None => (values, false),
        };
        if let Some(min) = values.strip_prefix("At least ") {
            return Some(Limits { min: number(min)?, max: None, is_power });
        }
        let (min, max) = values.split_once(" to ")?;
        Some(Limits { min: number(min)?, max: Some(number(max)?), is_power })
    }
}

/// The number that a text is: digits in groups of three, and a unit.
fn number(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.replace(',', "").parse::<i64>().ok().map(|number| number * factor)
}

/// The value with which a default begins: a number, a truth value or what is quoted as code. None if it is only words.
fn value_of(default: &str) -> Option<Value> {
    if let Some(code) = default.strip_prefix('`') {
        let code = code.split('`').next().expect("a part");
        return Some(serde_json::from_str(code).unwrap_or_else(|_| json!(code)));
    }
    let value = default.split(", ").next().expect("a part");
    match value {
        "true" | "false" => Some(json!(value == "true")),
        value => number(value).map(|number| json!(number)),
    }
}
