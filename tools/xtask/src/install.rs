//! `cargo xtask install`: the library, what programs need to be built with it, and `netload`, put into a prefix.
//!
//! Nothing that is installed says where: pkg-config, `cmake` and the tools of a moved tree find each other by where they
//! are. Each file is there as a whole or not at all, and installing twice changes nothing.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::release;
use crate::shell::{Failure, Shell};

mod layout;
mod contents;
mod entry;
mod licenses;
mod templates;

pub(crate) use contents::contents;
pub(crate) use entry::{Content, Entry, place};
pub(crate) use layout::Layout;
pub(crate) use templates::render;

/// Where to.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the files will be used.
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Stands for the root of the file system: the files are put into this folder, below the prefix.
    #[arg(long)]
    destdir: Option<PathBuf>,
    /// Where libraries go, below the prefix.
    #[arg(long, default_value = "lib")]
    libdir: PathBuf,
    /// The name after `-l` by which programs are linked: another one than `net` leaves that to Debian's libnet1-dev.
    #[arg(long, default_value = "net")]
    link_name: String,
}

/// Builds and installs.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    let layout = Layout::new(&options.libdir, &options.link_name)?;
    let root = root(&options.prefix, options.destdir.as_deref())?;
    release::build(shell)?;
    let entries = contents(shell, &layout)?;
    place(&entries, &root)?;
    println!("cargo xtask install: {} files in {}", entries.len(), root.display());
    Ok(())
}

/// Where the prefix is put.
fn root(prefix: &Path, destdir: Option<&Path>) -> Result<PathBuf, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|source| Failure::File { path: path.to_owned(), source })
    };
    let prefix = absolute(prefix)?;
    match destdir {
        None => Ok(prefix),
        Some(destdir) => Ok(absolute(destdir)?.join(prefix.strip_prefix("/").unwrap_or(&prefix))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_put_below_the_destination() {
        let path = |prefix: &str, destdir: Option<&str>| {
            root(Path::new(prefix), destdir.map(Path::new)).expect("there is a current folder")
        };
        assert_eq!(path("/opt/net", None), Path::new("/opt/net"));
        assert_eq!(path("/opt/net", Some("/tmp/stage")), Path::new("/tmp/stage/opt/net"));
        assert!(path("here", None).is_absolute());
    }

    #[test]
    fn a_folder_for_libraries_outside_the_prefix_and_a_link_name_that_is_none_are_refused() {
        for libdir in ["/usr/lib", "../lib", "lib/../..", ""] {
            assert!(Layout::new(Path::new(libdir), "net").is_err(), "{libdir}");
        }
        for name in ["", "-net", "net bus", "a/b", "a;b"] {
            assert!(Layout::new(Path::new("lib"), name).is_err(), "{name}");
        }
        assert!(Layout::new(Path::new("lib/x86_64-linux-gnu"), "net-bus").is_ok());
    }
}
