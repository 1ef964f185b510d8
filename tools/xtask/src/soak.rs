//! `cargo xtask soak`: the soak tests for as long as is asked.

use crate::shell::{self, Failure, Shell};

/// Runs the soak of the bus for `minutes` in all, one test after the other: shards spin only while nobody else does.
pub(crate) fn bus(shell: &Shell, minutes: u64) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "soak"]);
    command.args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("LIBNET_SOAK_SECONDS", (minutes * 60).to_string());
    shell::stage("soak of the bus", &mut command)
}
