//! `libnet-VERSION-TARGET.tar.gz`: one folder, which works wherever it is put.

use std::fs;
use std::path::Path;

use super::Distribution;
use crate::install::{Layout, render};
use crate::release::{self, VERSION};
use crate::shell::{self, Failure};

/// Makes it and gives its name.
pub(super) fn make(distribution: &Distribution) -> Result<String, Failure> {
    let shell = distribution.shell;
    let target = release::target(shell)?;
    let folder = format!("libnet-{VERSION}-{target}");
    let scratch = shell::scratch()?;
    let root = scratch.path().join(&folder);
    distribution.stage(&Layout::new(Path::new("lib"), "net")?, &root)?;
    let readme = root.join("README");
    let text = render(README, &[("VERSION", VERSION), ("TARGET", &target)]);
    fs::write(&readme, text).map_err(|source| Failure::File { path: readme, source })?;
    let name = format!("{folder}.tar.gz");
    let mut tar = shell.command("tar");
    tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip -9n"]);
    tar.arg(format!("--mtime=@{}", distribution.epoch)).arg("--file").arg(distribution.out.join(&name));
    shell::stage("the tarball", tar.arg("--directory").arg(scratch.path()).arg(&folder))?;
    Ok(name)
}

const README: &str = include_str!("../../../../ffi/packaging/README.in");
