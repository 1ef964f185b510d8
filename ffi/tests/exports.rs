//! The shared library exports the functions of `net.h` and nothing else, and says how it is to be loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `libnet.so` lies next to the test that was built with it.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    test.with_file_name("libnet.so")
}

fn output_of(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect("binutils is installed");
    assert!(output.status.success(), "{program} {arguments:?} {}", file.display());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_function_of_the_header_is_exported_and_nothing_else_is() {
    let symbols = output_of("nm", &["-D", "--defined-only"], &library());
    let exported: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let header = include_str!("../../include/net.h");
    // A declaration starts a line; what follows its name is a parenthesis.
    let declared: BTreeSet<&str> = header
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next())
        .filter(|name| header.contains(&format!("{name}(")))
        .collect();
    assert!(declared.len() > 25, "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn it_has_its_name_stays_loaded_and_takes_no_static_thread_local_storage() {
    let dynamic = output_of("readelf", &["-d", "-W"], &library());
    assert!(dynamic.contains("Library soname: [libnet.so.100]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("STATIC_TLS"), "{dynamic}");
}
