//! `cargo xtask docs`: writes the documents in include/ that are made of the headers, the types and what a bus says of itself.

use crate::shell::{self, Failure, Shell};

/// Has the tests that compare the documents write them.
pub(crate) fn run(shell: &Shell) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--package", "libnet-tests", "--test", "reference"]).env("LIBNET_WRITE_DOCS", "1");
    shell::stage("documents", &mut command)
}
