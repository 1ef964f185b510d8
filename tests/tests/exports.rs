//! The shared library exports the functions of the headers and nothing else, and says how it is to be loaded.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use harness::c::library;

/// Name and documentation of every function of the headers.
fn declarations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let headers = [include_str!("../../include/net.h"), include_str!("../../include/net_cortex.h")];
    headers.into_iter().flat_map(declarations_of)
}

/// A declaration starts a line; what follows its name is a parenthesis.
fn declarations_of(header: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    header.match_indices("\n/**").filter_map(|(at, _)| {
        let (documentation, rest) = header[at..].split_once("*/\n")?;
        let first = rest.lines().next().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))?;
        let (before, _) = first.split_once('(')?;
        Some((before.rsplit([' ', '*']).next()?, documentation))
    })
}

fn output_of(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect("binutils is installed");
    assert!(output.status.success(), "{program} {arguments:?} {}", file.display());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_function_of_the_headers_is_exported_and_nothing_else_is() {
    let symbols = output_of("nm", &["-D", "--defined-only"], library());
    let exported: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let declared: BTreeSet<&str> = declarations().map(|(name, _)| name).collect();
    assert!(declared.len() > 45, "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn every_function_of_the_headers_says_its_threads_ownership_and_errors() {
    for (name, documentation) in declarations() {
        for word in ["Threads:", "Ownership:", "Errors:"] {
            assert_eq!(documentation.matches(word).count(), 1, "{name}: {word} {documentation}");
        }
        assert!(!documentation.contains("# Safety"), "{name}: {documentation}");
    }
}

#[test]
fn it_has_its_name_stays_loaded_and_takes_no_static_thread_local_storage() {
    let dynamic = output_of("readelf", &["-d", "-W"], library());
    assert!(dynamic.contains("Library soname: [libnet.so.100]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("STATIC_TLS"), "{dynamic}");
}
