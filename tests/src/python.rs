//! Python programs, and the packages that they need.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::c;

/// An interpreter that can import `package`: the system's where it has it, else one in an environment below the target folder,
/// into which pip installs it.
pub fn with_package(package: &str) -> Command {
    with(package, None)
}

/// The same with this version of it.
pub fn with_version(package: &str, version: &str) -> Command {
    with(package, Some(version))
}

fn with(package: &str, version: Option<&str>) -> Command {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let system = PathBuf::from("python3");
    if has(&system, package, version) {
        return Command::new(system);
    }
    let folder = c::library().with_file_name("python-packages");
    let python = folder.join("bin/python3");
    if !has(&python, package, version) {
        c::run_command(Command::new(&system).args(["-m", "venv"]).arg(&folder));
        let requirement =
            version.map_or_else(|| package.to_owned(), |version| format!("{package}=={version}"));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &requirement];
        c::run_command(Command::new(&python).args(install));
    }
    Command::new(python)
}

fn has(python: &PathBuf, package: &str, version: Option<&str>) -> bool {
    let is_it = version.map_or_else(String::new, |version| {
        format!("; from importlib.metadata import version; assert version({package:?}) == {version:?}")
    });
    let mut import = Command::new(python);
    import.args(["-c", &format!("import {package}{is_it}")]).stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}
