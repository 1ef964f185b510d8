//! Python programs, and the packages that they need.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::c;

/// An interpreter that can import `package`: the system's where it has it, else one in an environment below the target folder,
/// into which pip installs it.
pub fn with_package(package: &str) -> Command {
    with(package, package)
}

/// The same with this version of it, unless the system has one.
pub fn with_version(package: &str, version: &str) -> Command {
    with(package, &format!("{package}=={version}"))
}

fn with(package: &str, requirement: &str) -> Command {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let system = PathBuf::from("python3");
    if has(&system, package) {
        return Command::new(system);
    }
    let folder = c::library().with_file_name("python-packages");
    let python = folder.join("bin/python3");
    if !has(&python, package) {
        c::run_command(Command::new(&system).args(["-m", "venv"]).arg(&folder));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement];
        c::run_command(Command::new(&python).args(install));
    }
    Command::new(python)
}

fn has(python: &PathBuf, package: &str) -> bool {
    let mut import = Command::new(python);
    import.args(["-c", &format!("import {package}")]).stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}
