//! Configuration as operators write it.

use super::*;

const SECTIONS: [&str; 2] = ["memory", "noop"];

fn refused(json: &str) -> String {
    Config::parse(json, &SECTIONS).expect_err(json).to_string()
}

#[test]
fn an_empty_document_means_the_defaults() {
    let (config, section) = Config::parse("{}", &SECTIONS).expect("defaults");
    assert_eq!(config, Config::default());
    assert_eq!(section, None);
    assert_eq!(config.ring_buffer_capacity, 1_048_576);
    assert_eq!(config.backpressure, Backpressure::DropOldest);
}

#[test]
fn a_refusal_names_the_path_of_the_key() {
    for (json, path) in [
        (r#"{"num_shard":1}"#, "num_shard"),
        (r#"{"num_shards":0}"#, "num_shards"),
        (r#"{"num_shards":"two"}"#, "num_shards"),
        (r#"{"batch":{"max_size":0}}"#, "batch.max_size"),
        (r#"{"batch":{"max_sise":1}}"#, "batch.max_sise"),
        (r#"{"batch":{"max_delay_ms":0}}"#, "batch.max_delay_ms"),
        (r#"{"ring_buffer_capacity":1000}"#, "ring_buffer_capacity"),
        (r#"{"ring_buffer_capacity":512}"#, "ring_buffer_capacity"),
        (r#"{"cores":[]}"#, "cores"),
        (r#"{"backpressure_mode":{"Sample":{"rate":0}}}"#, "backpressure_mode"),
        (r#"{"adapter_timeout_ms":0}"#, "adapter_timeout_ms"),
        (r#"{"memory":{},"noop":{}}"#, "noop"),
        ("[]", "."),
        ("", "."),
    ] {
        let message = refused(json);
        assert!(message.starts_with(path), "{json}: {message}");
    }
}

#[test]
fn every_spelling_of_backpressure_is_read() {
    for (json, expected) in [
        (r#""DropNewest""#, Backpressure::DropNewest),
        (r#""drop_oldest""#, Backpressure::DropOldest),
        (r#""fail_producer""#, Backpressure::FailProducer),
        (
            r#"{"Sample":{"rate":10}}"#,
            Backpressure::Sample(Sampling { rate: NonZeroU32::new(10).expect("ten") }),
        ),
    ] {
        let document = format!(r#"{{"backpressure_mode":{json}}}"#);
        let (config, _) = Config::parse(&document, &SECTIONS).expect(&document);
        assert_eq!(config.backpressure, expected);
    }
}

#[test]
fn the_section_of_the_store_is_handed_through() {
    let (_, section) = Config::parse(r#"{"memory":{"retention_events":5}}"#, &SECTIONS).expect("valid");
    let section = section.expect("there is one");
    assert_eq!(section.name, "memory");
    assert_eq!(section.options["retention_events"], 5);
}
