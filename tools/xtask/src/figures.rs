//! `cargo xtask figures`: builds the program that measures, runs it, and puts its report where it is committed.
//!
//! The program measures, compares and words the report; here are only the build, the run and the file.

use std::fs;

use crate::deps;
use crate::shell::{self, Failure, Shell};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Everything, a few minutes; writes the report.
    Full,
    /// Everything in less time and with more noise; writes the report.
    Quick,
    /// Only whether the ratios to the floors hold; writes nothing.
    Check,
}

/// Runs the figures.
pub(crate) fn run(shell: &Shell, form: Form) -> Result<(), Failure> {
    deps::ensure(shell)?;
    let results = shell.target().join("figures");
    let mut command = shell.cargo();
    command.args(["bench", "--quiet", "--package", "libnet-benches", "--bench", "figures", "--", "--form"]);
    command.arg(form.name());
    if form != Form::Check {
        command.arg("--output").arg(&results);
    }
    shell::stage(form.stage(), &mut command)?;
    if form == Form::Check {
        return Ok(());
    }
    let (fresh, committed) = (results.join("FIGURES.md"), shell.path(REPORT));
    fs::copy(&fresh, committed).map_err(|source| Failure::File { path: fresh, source })?;
    println!("written: {REPORT}; the distributions as JSON: {}", results.join("figures.json").display());
    Ok(())
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Full => "full",
            Form::Quick => "quick",
            Form::Check => "check",
        }
    }

    fn stage(self) -> &'static str {
        match self {
            Form::Full | Form::Quick => "figures",
            Form::Check => "ratios to the floors",
        }
    }
}

const REPORT: &str = "benches/FIGURES.md";
