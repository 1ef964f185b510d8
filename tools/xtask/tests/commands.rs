//! What `cargo xtask test` and `lint` say and run, seen from outside, with programs in the place of cargo and git that
//! do nothing.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

#[test]
fn a_command_that_passed_says_so_in_its_last_line() {
    for command in ["test", "lint"] {
        let output = xtask(command, "true");
        assert!(output.status.success(), "{output:?}");
        let last = stdout(&output).lines().last().map(str::to_owned);
        assert_eq!(last, Some(format!("cargo xtask {command}: passed")));
    }
}

#[test]
fn a_command_that_failed_does_not_say_that_it_passed() {
    for command in ["test", "lint"] {
        let output = xtask(command, "false");
        assert_eq!(output.status.code(), Some(1));
        assert!(!stdout(&output).contains("passed"), "{output:?}");
    }
}

#[test]
fn without_rustfmt_or_clippy_lint_says_how_to_install_them() {
    let output = xtask("lint", "false");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("rustup component add rustfmt clippy"), "{said}");
}

#[test]
fn what_the_readme_builds_is_built_before_the_tests() {
    let output = xtask("test", "echo");
    let run = stdout(&output);
    let (builds, _) = run.split_once("\ntest ").expect("the tests run");
    let readme = include_str!("../../../README.md");
    let mut commands = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("cargo ")) {
        let Some((_, selection)) = line.split_once("--release ") else { continue };
        let selection = selection.split(" -- ").next().unwrap_or(selection);
        let build = format!("build --release {selection}");
        assert!(builds.lines().any(|line| line == build), "`{build}` is not in:\n{builds}");
        commands += 1;
    }
    assert!(commands >= 2, "the README has its release commands");
}

#[test]
fn the_tests_end_with_the_models() {
    let output = xtask("test", "echo");
    let said = stdout(&output);
    assert!(
        said.lines().any(|line| line.starts_with("test --profile loom") && line.ends_with("-- model::")),
        "{said}"
    );
}

#[test]
fn the_check_of_the_figures_measures_and_writes_nothing() {
    let output = xtask_with(&["figures", "--check"], "echo");
    let said = stdout(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(said.lines().any(|line| line.ends_with("--bench figures -- --form check")), "{said}");
    let failed = xtask_with(&["figures", "--check"], "false");
    assert_eq!(failed.status.code(), Some(1));
}

/// Runs a command of xtask in an empty workspace, where `cargo` is another program and the tools of the tests do nothing.
fn xtask(command: &str, cargo: &str) -> Output {
    xtask_with(&[command], cargo)
}

fn xtask_with(arguments: &[&str], cargo: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = folder.path().join("tools/xtask");
    std::fs::create_dir_all(&manifest).expect("the folder is writable");
    for program in PROGRAMS {
        symlink("/bin/true", folder.path().join(program)).expect("the folder is empty");
    }
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(arguments).env("PATH", folder.path()).env("CARGO_MANIFEST_DIR", manifest);
    xtask.env("CARGO", format!("/bin/{cargo}")).output().expect("it starts")
}

/// What `cargo xtask deps` looks for.
const PROGRAMS: [&str; 17] = [
    "c++",
    "go",
    "nm",
    "python3",
    "git",
    "bash",
    "groff",
    "chromium",
    "redis-server",
    "ip",
    "pkg-config",
    "cmake",
    "make",
    "dpkg-shlibdeps",
    "fakeroot",
    "valgrind",
    "systemd-analyze",
];

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
