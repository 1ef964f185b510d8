//! What is shipped, as it was built: the two release builds, and where they and their interface are.

use std::fs;
use std::path::PathBuf;

use crate::shell::{self, Failure, Shell};

/// Builds the library and `netload`. Does nothing where they are built already.
pub(crate) fn build(shell: &Shell) -> Result<(), Failure> {
    for (stage, arguments) in BUILDS {
        shell::stage(stage, shell.cargo().args(*arguments))?;
    }
    Ok(())
}

/// A file that [`build`] leaves.
pub(crate) fn file(shell: &Shell, name: &str) -> PathBuf {
    shell.target().join("release").join(name)
}

/// `NET_ABI_VERSION` of the header, which is the number in the SONAME.
pub(crate) fn abi_version(shell: &Shell) -> Result<String, Failure> {
    let path = shell.path("include/net.h");
    let header = fs::read_to_string(&path).map_err(|source| Failure::File { path, source })?;
    let version = header.lines().find_map(|line| line.strip_prefix("#define NET_ABI_VERSION "));
    version.map(str::to_owned).ok_or_else(|| Failure::Abi("net.h has no NET_ABI_VERSION".to_owned()))
}

/// What the compiler builds for.
pub(crate) fn target(shell: &Shell) -> Result<String, Failure> {
    let said = shell::output("rustc -vV", shell.command("rustc").arg("-vV"))?;
    let said = String::from_utf8_lossy(&said);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Install(format!("rustc names no host: {said}")))
}

/// The version of this workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commands of the README, one by one, since packages built together may share other features: its test finds
/// everything built.
const BUILDS: &[(&str, &[&str])] = &[
    ("build the library", &["build", "--release", "--package", "libnet"]),
    ("build netload", &["build", "--release", "--bin", "netload"]),
];
