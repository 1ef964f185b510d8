//! An installation in a prefix.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::Programs;
use crate::{install, printed, run};

#[test]
fn every_file_is_there_for_everybody_to_read_whatever_the_umask_and_installing_again_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let install = || {
        let line = r#"umask 077; exec "$0" install --prefix /opt/net --destdir "$1""#;
        run(Command::new("sh").args(["-ec", line, env!("CARGO_BIN_EXE_xtask")]).arg(folder.path()));
        snapshot(&folder.path().join("opt/net"))
    };
    let first = install();
    for path in FILES {
        assert!(first.contains_key(Path::new(path)), "{path}: {first:?}");
    }
    for (path, (mode, _)) in &first {
        let is_open = path.starts_with("bin") || folder.path().join("opt/net").join(path).is_dir();
        assert_eq!(mode & 0o7777, if is_open { 0o755 } else { 0o644 }, "{}", path.display());
    }
    assert_eq!(first, install());
    let link = fs::read_link(folder.path().join("opt/net/lib/libnet.so")).expect("a link");
    assert_eq!(link, Path::new("libnet.so.100"));
}

#[test]
fn every_crate_that_is_linked_is_named_with_its_licence_and_its_texts_are_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    let licenses = fs::read_to_string(folder.path().join("share/doc/libnet/THIRD-PARTY-LICENSES"));
    let licenses = licenses.expect("it is installed");
    let (list, texts) = licenses.split_once("-----").expect("texts follow");
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--locked", "--package", "libnet", "--package", "netload", "--edges", "normal"]);
    tree.args(["--prefix", "none", "--format", "{p}"]);
    let tree = printed(tree.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")));
    let mut count = 0;
    for line in tree.lines().filter(|line| !line.is_empty() && !line.contains('/')) {
        let (name, version) = line.split_once(" v").expect("a name and a version");
        let version = version.split(' ').next().unwrap_or_default();
        let entry = format!("\n{name} {version}: ");
        assert!(list.contains(&entry) && !list.contains(&(entry + "\n")), "{line}");
        count += 1;
    }
    assert!(count > 50, "{tree}");
    for text in ["Redistribution and use in source and binary forms", "ISC License", "Apache License"] {
        assert!(texts.contains(text), "no {text}");
    }
    // Licences that want their notice with every copy: a text of each of these crates is there.
    for name in ["redis", "subtle", "ring", "curve25519-dalek", "rustls-webpki"] {
        assert!(
            texts.lines().any(|line| line.split(", ").any(|of| of.starts_with(&format!("{name} ")))),
            "{name}"
        );
    }
}

#[test]
fn pkg_config_alone_builds_programs_shared_and_static() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    Programs::of(folder.path()).work_with_pkg_config();
}

#[test]
fn the_command_that_is_shown_installs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("include/INSTALL.md")).expect("it is there");
    let command = text.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a command");
    let command = command.replace("$HOME", &folder.path().display().to_string());
    let command = command.replace("cargo xtask", env!("CARGO_BIN_EXE_xtask"));
    run(Command::new("sh").args(["-ec", &command]).current_dir(root));
    assert!(folder.path().join(".local/include/net.h").is_file());
}

#[test]
fn find_package_alone_builds_programs_shared_and_static() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    Programs::of(folder.path()).work_with_find_package();
}

#[test]
fn what_cannot_be_installed_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("the folder is writable");
    let prefix = file.join("net").display().to_string();
    let cases: [(&[&str], &str); 3] = [
        (&["--libdir", "/usr/lib"], "--libdir /usr/lib is not a folder below the prefix"),
        (&["--link-name", "a b"], "--link-name a b is not the name of a library"),
        (&["--prefix", &prefix], &prefix),
    ];
    for (arguments, expected) in cases {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = xtask.arg("install").args(arguments).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn the_soname_the_header_and_the_library_have_one_number() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    let header = fs::read_to_string(folder.path().join("include/net.h")).expect("it is installed");
    let version = header.lines().find_map(|line| line.strip_prefix("#define NET_ABI_VERSION "));
    let version = version.expect("the header has it");
    let library = folder.path().join(format!("lib/libnet.so.{version}"));
    let dynamic = printed(Command::new("readelf").args(["-d", "-W"]).arg(library));
    assert!(dynamic.contains(&format!("Library soname: [libnet.so.{version}]")), "{dynamic}");
}

/// Everything below a folder: its mode and its bytes; links are left out.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let (mut folders, mut found) = (vec![root.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it is there") {
            let entry = entry.expect("readable");
            let kind = entry.metadata().expect("it is there");
            if kind.is_symlink() {
                continue;
            }
            let bytes = if kind.is_dir() { Vec::new() } else { fs::read(entry.path()).expect("readable") };
            let path = entry.path().strip_prefix(root).expect("it lies there").to_owned();
            found.insert(path, (kind.mode(), bytes));
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

const FILES: [&str; 28] = [
    "bin/netload",
    "include/net.h",
    "include/net.hpp",
    "include/net_cortex.h",
    "lib/cmake/net/netConfig.cmake",
    "lib/cmake/net/netConfigVersion.cmake",
    "lib/libnet.a",
    "lib/libnet.so.100",
    "lib/pkgconfig/net-static.pc",
    "lib/pkgconfig/net.pc",
    "share/bash-completion/completions/netload",
    "share/doc/libnet/INSTALL.md",
    "share/doc/libnet/LICENSE-MIT",
    "share/doc/libnet/README.md",
    "share/doc/libnet/THIRD-PARTY-LICENSES",
    "share/doc/libnet/examples/c/threads.c",
    "share/doc/libnet/examples/cpp/orders.cpp",
    "share/doc/libnet/examples/go/main.go",
    "share/doc/libnet/examples/python/orders.py",
    "share/doc/libnet/go/libnet.go",
    "share/doc/libnet/SECURITY.md",
    "share/doc/libnet/manual/CONFIGURATION.md",
    "share/doc/libnet/manual/README.md",
    "share/libnet/python/libnet.py",
    "share/fish/vendor_completions.d/netload.fish",
    "share/man/man1/netload-run.1",
    "share/man/man1/netload.1",
    "share/zsh/site-functions/_netload",
];
