//! `cargo xtask loom`: the models, each of which goes through every order that its few steps can take.
//!
//! They are built with `--cfg loom` into a target folder of their own, so that nothing else is built again for it.

use crate::shell::{self, Failure, Shell};

/// Runs every test in a file `model.rs`.
pub(crate) fn run(shell: &Shell) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--profile", "loom", "-p", "libnet-engine", "-p", "libnet-ffi", "--lib"]);
    command.args(["--", "model::"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", shell.target().join("loom"));
    shell::stage("models", &mut command)
}
