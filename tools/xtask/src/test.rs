//! `cargo xtask test`: every test there is, the C programs' library first.

use crate::deps;
use crate::loom;
use crate::release;
use crate::shell::{self, Failure, Shell};

/// Runs the stages. `filter` goes to every test program; with one, the models are left out.
pub(crate) fn run(shell: &Shell, filter: &[String]) -> Result<(), Failure> {
    deps::ensure(shell)?;
    release::build(shell)?;
    for (stage, arguments) in STAGES {
        let mut command = shell.cargo();
        command.arg("test").args(*arguments);
        if std::env::var_os("LIBNET_SIM_SEEDS").is_none() {
            command.env("LIBNET_SIM_SEEDS", SIMULATED_SEEDS);
        }
        if !filter.is_empty() {
            command.arg("--").args(filter.iter().filter(|argument| *argument != "--"));
        }
        shell::stage(stage, &mut command)?;
    }
    if filter.is_empty() { loom::run(shell) } else { Ok(()) }
}

/// Seeds that each simulation goes through; by itself it is content with few.
const SIMULATED_SEEDS: &str = "10000";

const STAGES: &[(&str, &[&str])] = &[
    ("tests", &["--workspace", "--lib", "--bins", "--tests"]),
    ("documentation tests", &["--workspace", "--doc"]),
    ("benches, each once", &["--package", "libnet-benches", "--benches"]),
];
