//! What the library says of its own build, the commit among it where git knows one.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["PROFILE", "TARGET"] {
        println!(
            "cargo::rustc-env=LIBNET_{name}={}",
            env::var(name).unwrap_or_else(|_| "unknown".to_owned())
        );
    }
    // It grows with every commit and every switch to another one.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo::rustc-env=LIBNET_GIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The line that git answers; `None` without git or outside a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
