//! Every block of every document is somebody's: a test compiles it, runs it, or compares it with what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use harness::c::{root, run_command};
use harness::documents::document;

#[test]
fn every_block_has_a_test() {
    let listed = run_command(Command::new("git").current_dir(root()).args(["ls-files", "*.md"])).stdout;
    let mut found = BTreeMap::new();
    for path in listed.lines().filter(|path| *path != GENERATED) {
        let text = document(path);
        let mut section = String::new();
        let mut is_inside = false;
        for line in text.lines() {
            match (line.strip_prefix("```"), is_inside) {
                (Some(language), false) => {
                    found.entry((path, section.clone())).or_insert_with(Vec::new).push(language.to_owned());
                    is_inside = true;
                }
                (Some(_), true) => is_inside = false,
                (None, false) if line.starts_with('#') => {
                    line.trim_start_matches(['#', ' ']).clone_into(&mut section);
                }
                (None, _) => {}
            }
        }
    }
    let found: BTreeSet<_> = found
        .iter()
        .map(|((path, section), languages)| format!("{path}, {section}: {}", languages.join(" ")))
        .collect();
    let owned = BLOCKS.iter().map(|(path, section, languages, _)| format!("{path}, {section}: {languages}"));
    assert_eq!(found, owned.collect());
    for (path, section, _, tests) in BLOCKS {
        let name = path.rsplit('/').next().unwrap_or(path);
        assert!(document(tests).contains(name), "{path}, {section}: {tests} does not look at it");
    }
}

/// Its blocks are declarations of the headers, which are compiled.
const GENERATED: &str = "include/REFERENCE.md";

/// Document, section, the languages of its blocks, and the file with their test.
const BLOCKS: &[(&str, &str, &str, &str)] = &[
    ("README.md", "libnet", "c", "tests/tests/readme.rs"),
    ("README.md", "Two commands", "sh text sh", "tests/tests/readme.rs"),
    ("README.md", "C quickstart", "sh text json", "tests/tests/readme.rs"),
    ("README.md", "Installing", "sh", "tests/tests/readme.rs"),
    ("README.md", "Subscribing", "c sh text", "tests/tests/readme.rs"),
    ("README.md", "Named files", "c sh text", "tests/tests/readme.rs"),
    ("README.md", "Watching", "text", "tests/tests/readme.rs"),
    ("README.md", "Redis", "c", "tests/tests/readme.rs"),
    ("README.md", "UDP", "c", "tests/tests/readme.rs"),
    ("README.md", "Containers", "text", "tests/tests/readme.rs"),
    ("ffi/examples/README.md", "Programs to copy", "sh text", "tests/tests/languages.rs"),
    (
        "include/INSTALL.md",
        "Installing libnet, and building with it",
        "sh",
        "tools/xtask/tests/installing/installed.rs",
    ),
    ("include/README.md", "An event loop", "c text", "tests/tests/manual.rs"),
    ("include/README.md", "Go on after a restart", "c text json", "tests/tests/manual.rs"),
    ("include/README.md", "Back pressure", "c", "tests/tests/manual.rs"),
    ("include/README.md", "Flush and durability", "c text", "tests/tests/manual.rs"),
    ("include/README.md", "Fork", "c text", "tests/tests/manual.rs"),
    ("include/README.md", "Containers", "json", "tests/tests/manual.rs"),
    ("include/README.md", "Seccomp", "c text", "tests/tests/manual.rs"),
    ("include/README.md", "systemd", "ini", "tests/tests/manual.rs"),
    ("tools/README.md", "A session", "sh text", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "While it runs", "text", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "Verifying alone", "text", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "A log", "text text", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "To another process", "sh text", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "Manual pages and completions", "sh", "tools/netload/tests/readme.rs"),
    ("tools/README.md", "Schema `netload/1`", "python", "tools/netload/tests/hdr_tools.rs"),
];
