//! `cargo xtask lint`: the house rules no tool knows, formatting, clippy and documentation.

use std::path::PathBuf;

use crate::fuzz;
use crate::rules;
use crate::shell::{self, Failure, Shell};

/// Runs the stages; any warning is a failure.
pub(crate) fn run(shell: &Shell) -> Result<(), Failure> {
    for component in ["fmt", "clippy"] {
        ensure_component(shell, component)?;
    }
    house_rules(shell)?;
    fuzz::check(shell)?;
    shell::stage("formatting", shell.cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    shell::stage("clippy", shell.cargo().args(clippy))?;
    let mut documentation = shell.cargo();
    documentation
        .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "--deny warnings");
    shell::stage("documentation", &mut documentation)
}

/// Fails with the command that installs it when cargo lacks this subcommand.
fn ensure_component(shell: &Shell, component: &'static str) -> Result<(), Failure> {
    let found = shell.cargo().args([component, "--version"]).output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Failure::Component(component)),
    }
}

fn house_rules(shell: &Shell) -> Result<(), Failure> {
    println!("── house rules");
    let mut violation_count = 0;
    for path in shell.source_files()? {
        let Some(text) = text(shell.path(&path))? else { continue };
        for violation in rules::check(&path, &text) {
            println!("{}:{}: {}", path.display(), violation.line, violation.rule);
            violation_count += 1;
        }
    }
    match violation_count {
        0 => Ok(()),
        count => Err(Failure::Rules(count)),
    }
}

/// The file's text; `None` when it is not text.
fn text(path: PathBuf) -> Result<Option<String>, Failure> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(source) => Err(Failure::File { path, source }),
    }
}
