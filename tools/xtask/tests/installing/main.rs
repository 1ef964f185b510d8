//! What is installed is enough: programs are built and run with it by `pkg-config` alone and by `find_package` alone,
//! shared and static, wherever it is put, and beside Debian's own libnet.
//!
//! The libraries are those of the release build, which `cargo xtask test` has made; by itself a test makes it first.

mod beside_debian;
mod distributed;
mod installed;
mod programs;

use std::path::Path;
use std::process::{Command, Output};

/// Runs a command of xtask in this workspace.
fn xtask(arguments: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments))
}

/// Runs a program that must end with status 0.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success(), "{command:?} ended with {}\n{stdout}{stderr}", output.status);
    output
}

/// What a program prints.
fn printed(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).expect("text")
}

/// Installs below `folder`.
fn install(folder: &Path) {
    xtask(&["install", "--prefix", &folder.display().to_string()]);
}
