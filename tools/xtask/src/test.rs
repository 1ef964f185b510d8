//! `cargo xtask test`: every test there is, the C programs' library first.

use crate::deps;
use crate::shell::{self, Failure, Shell};

/// Runs the stages. `filter` goes to every test program.
pub(crate) fn run(shell: &Shell, filter: &[String]) -> Result<(), Failure> {
    deps::ensure(shell)?;
    shell::stage(
        "build the library and netload",
        shell.cargo().args(["build", "--release", "--package", "libnet", "--package", "netload"]),
    )?;
    for (stage, arguments) in STAGES {
        let mut command = shell.cargo();
        command.arg("test").args(*arguments);
        if !filter.is_empty() {
            command.arg("--").args(filter.iter().filter(|argument| *argument != "--"));
        }
        shell::stage(stage, &mut command)?;
    }
    println!("every stage passed");
    Ok(())
}

const STAGES: &[(&str, &[&str])] = &[
    ("tests", &["--workspace", "--lib", "--bins", "--tests"]),
    ("documentation tests", &["--workspace", "--doc"]),
    ("benches, each once", &["--package", "libnet-benches", "--benches"]),
];
