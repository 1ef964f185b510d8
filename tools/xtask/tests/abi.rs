//! `cargo xtask abi`, on headers that somebody has changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

#[test]
fn the_committed_headers_have_the_committed_interface() {
    let output = Workspace::new().abi(&[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_removed_or_changed_fails_also_where_it_is_to_be_written() {
    let cases = [
        ("int net_flush(net_handle_t handle);", "", "removed: function net_flush"),
        (
            "int net_flush(net_handle_t handle);",
            "void net_flush(net_handle_t handle);",
            "changed: function net_flush",
        ),
        (
            "int net_commit(struct net_claim_t *claim,",
            "int net_commit(const struct net_claim_t *claim,",
            "net_commit",
        ),
        ("NET_ERR_TIMEOUT = -13,", "NET_ERR_TIMEOUT = -113,", "changed: code NET_ERR_TIMEOUT"),
        (
            "uint64_t events_ingested;",
            "uint32_t events_ingested;",
            "changed: field net_stats_t.events_ingested",
        ),
        (
            "    int has_more;",
            "    int pages;\n    int has_more;",
            "changed: field net_poll_result_t.has_more",
        ),
        ("typedef void *net_handle_t;", "typedef const void *net_handle_t;", "changed: alias net_handle_t"),
    ];
    for (before, after, said) in cases {
        for arguments in [&[][..], &["--write"]] {
            let workspace = Workspace::new();
            workspace.change(before, after);
            let output = workspace.abi(arguments);
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.code() == Some(1) && stdout.contains(said), "{before}: {output:?}");
        }
    }
}

#[test]
fn what_is_new_fails_until_it_is_listed() {
    let workspace = Workspace::new();
    workspace.change("int net_flush(", "int net_drain(net_handle_t handle);\n\nint net_flush(");
    let output = workspace.abi(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("new: function net_drain int (net_handle_t)"), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo xtask abi --write"), "{output:?}");
    assert!(workspace.abi(&["--write"]).status.success());
    assert!(workspace.abi(&[]).status.success());
}

#[test]
fn a_new_version_of_the_interface_may_change_it() {
    let workspace = Workspace::new();
    workspace.change("#define NET_ABI_VERSION 100", "#define NET_ABI_VERSION 101");
    workspace.change("int net_flush(net_handle_t handle);", "");
    assert_eq!(workspace.abi(&[]).status.code(), Some(1));
    assert!(workspace.abi(&["--write"]).status.success());
    assert!(workspace.abi(&[]).status.success());
}

/// A workspace that has the headers and the list, and nothing else.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Workspace {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in ["include/net.h", "include/net_cortex.h", "ffi/abi.txt"] {
            let copy = folder.path().join(file);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("the folder is writable");
            fs::copy(repository.join(file), copy).expect("the repository has it");
        }
        fs::create_dir_all(folder.path().join("tools/xtask")).expect("the folder is writable");
        Workspace(folder)
    }

    /// Replaces a piece of net.h.
    fn change(&self, before: &str, after: &str) {
        let path = self.0.path().join("include/net.h");
        let header = fs::read_to_string(&path).expect("it is there");
        assert!(header.contains(before), "{before}");
        fs::write(&path, header.replacen(before, after, 1)).expect("the folder is writable");
    }

    fn abi(&self, arguments: &[&str]) -> Output {
        let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
        xtask.arg("abi").args(arguments).env("CARGO_MANIFEST_DIR", self.0.path().join("tools/xtask"));
        xtask.output().expect("it starts")
    }
}
