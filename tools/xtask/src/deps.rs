//! The programs the tests use besides cargo: installed where that is possible, named where it is not.

use std::env;
use std::os::unix::fs::MetadataExt;

use crate::shell::{self, Failure, Shell};

/// Makes sure that every program is there. As root the missing ones are installed with apt-get; otherwise the packages
/// are named and it fails.
pub(crate) fn ensure(shell: &Shell) -> Result<(), Failure> {
    let packages = missing_packages();
    if packages.is_empty() {
        return Ok(());
    }
    if !runs_as_root() || !on_path("apt-get") {
        return Err(Failure::Packages(packages.join(" ")));
    }
    shell::stage("apt-get update", shell.command("apt-get").args(["update", "--quiet"]))?;
    let mut arguments = vec!["install", "--quiet", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    let mut install = shell.command("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(&arguments);
    shell::stage("apt-get install", &mut install)?;
    match missing_packages() {
        still if still.is_empty() => Ok(()),
        still => Err(Failure::Packages(still.join(" "))),
    }
}

/// The Debian packages whose program is not on the search path.
fn missing_packages() -> Vec<&'static str> {
    PROGRAMS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect()
}

fn on_path(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn runs_as_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Each program and the package that brings it. `cc` is not among them: cargo links with it, so that without it no
/// `cargo xtask` starts.
const PROGRAMS: [(&str, &str); 17] = [
    ("c++", "g++"),
    ("go", "golang-go"),
    ("nm", "binutils"),
    ("python3", "python3"),
    ("git", "git"),
    ("bash", "bash"),
    ("groff", "groff-base"),
    ("chromium", "chromium"),
    ("redis-server", "redis-server"),
    ("ip", "iproute2"),
    ("pkg-config", "pkgconf"),
    ("cmake", "cmake"),
    ("make", "make"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("fakeroot", "fakeroot"),
    ("valgrind", "valgrind"),
    ("systemd-analyze", "systemd"),
];
