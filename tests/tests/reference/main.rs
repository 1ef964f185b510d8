//! The reference documents in `include` are what the headers and the types say; `cargo xtask docs` writes them. What they say of limits,
//! defaults and values is what the parsers do, and of statistics what a bus writes.

mod configuration;
mod headers;
mod limits;
mod source;
mod statistics;

use std::env;
use std::fs;

use harness::c::root;

#[test]
fn the_functions_are_those_of_the_headers() {
    is_committed("include/REFERENCE.md", &headers::document());
}

#[test]
fn the_configuration_is_that_of_the_types() {
    is_committed("include/CONFIGURATION.md", &configuration::document());
}

#[test]
fn the_statistics_are_those_of_the_types_and_of_a_bus() {
    is_committed("include/STATISTICS.md", &statistics::document());
}

#[test]
fn the_manual_names_every_function() {
    let manual = fs::read_to_string(root().join("include/README.md")).expect("the manual is there");
    let missing: Vec<&str> = headers::functions()
        .into_iter()
        .filter(|name| !manual.contains(&format!("`{name}`")) && !manual.contains(&format!("{name}(")))
        .collect();
    assert!(missing.is_empty(), "the manual does not name {missing:?}");
}

/// Compares a document with what it should be, or writes it when `cargo xtask docs` runs this.
fn is_committed(path: &str, fresh: &str) {
    if env::var_os("LIBNET_WRITE_DOCS").is_some() {
        fs::write(root().join(path), fresh).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let committed = fs::read_to_string(root().join(path)).unwrap_or_default();
    let mut lines = committed.lines().zip(fresh.lines());
    let first = lines.find(|(committed, fresh)| committed != fresh);
    assert!(
        committed == fresh,
        "{path} has drifted: run `cargo xtask docs` and commit it; first at {first:#?}"
    );
}
