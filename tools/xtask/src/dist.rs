//! `cargo xtask dist`: a tarball that works wherever it is unpacked, a package for Debian, and their checksums. The same
//! build makes the same bytes.

use std::fs;
use std::path::Path;

use crate::install::{self, Content, Entry, Layout};
use crate::release;
use crate::shell::{self, Failure, Shell};

mod deb;
mod tarball;

/// What both archives are made of.
struct Distribution<'a> {
    shell: &'a Shell,
    /// Where they go.
    out: &'a Path,
    /// The time of everything in them, seconds since the Unix epoch.
    epoch: String,
}

/// Builds both into `out`, or `target/dist`.
pub(crate) fn run(shell: &Shell, out: Option<&Path>) -> Result<(), Failure> {
    release::build(shell)?;
    let out = out.map_or_else(|| shell.target().join("dist"), Path::to_owned);
    let out = std::path::absolute(&out).map_err(|source| Failure::File { path: out, source })?;
    fs::create_dir_all(&out).map_err(|source| Failure::File { path: out.clone(), source })?;
    let distribution = Distribution { shell, out: &out, epoch: epoch(shell)? };
    let names = [tarball::make(&distribution)?, deb::make(&distribution)?];
    let sums = shell::output("sha256sum", shell.command("sha256sum").current_dir(&out).args(&names))?;
    let path = out.join("SHA256SUMS");
    fs::write(&path, sums).map_err(|source| Failure::File { path, source })?;
    println!("cargo xtask dist: {}, {} and SHA256SUMS in {}", names[0], names[1], out.display());
    Ok(())
}

impl Distribution<'_> {
    /// Installs into `root` what goes into an archive, without what only debuggers read.
    fn stage(&self, layout: &Layout, root: &Path) -> Result<(), Failure> {
        let entries = install::contents(self.shell, layout)?;
        install::place(&entries, root)?;
        for entry in &entries {
            if let Some(options) = unneeded(entry, layout) {
                let mut strip = self.shell.command("strip");
                shell::output("strip", strip.args(options).arg(root.join(&entry.path)))?;
            }
        }
        Ok(())
    }
}

/// How `strip` is to treat a file; `None` where there is nothing for it.
fn unneeded(entry: &Entry, layout: &Layout) -> Option<&'static [&'static str]> {
    let is_copy = matches!(entry.content, Content::Copy(_));
    if entry.path.extension().is_some_and(|extension| extension == "a") {
        return Some(&["--strip-debug", "--enable-deterministic-archives"]);
    }
    let is_library = is_copy && entry.path.parent() == Some(&layout.libdir);
    (is_library || entry.is_program).then_some(&["--strip-unneeded", "--remove-section=.comment"])
}

/// `SOURCE_DATE_EPOCH`, or when the commit was made.
fn epoch(shell: &Shell) -> Result<String, Failure> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    commit(shell, "%ct")
}

/// What git says of the commit, in its `format`.
fn commit(shell: &Shell, format: &str) -> Result<String, Failure> {
    let mut git = shell.command("git");
    git.args(["log", "-1", &format!("--format={format}")]);
    Ok(String::from_utf8_lossy(&shell::output("git log", &mut git)?).trim().to_owned())
}
