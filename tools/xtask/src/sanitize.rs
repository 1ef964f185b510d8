//! `cargo xtask sanitize`: the C programs of the tests against a library that `AddressSanitizer` and `LeakSanitizer` watch.
//!
//! The sanitizers are a nightly compiler's, which `RUSTC_BOOTSTRAP` makes this one do. The library is linked as an archive, with the
//! compiler's own runtime, so that the C compiler needs none.

use std::path::PathBuf;

use crate::deps;
use crate::shell::{self, Failure, Shell};

/// Builds the library and runs the tests that are C programs.
pub(crate) fn run(shell: &Shell) -> Result<(), Failure> {
    deps::ensure(shell)?;
    let mut build = shell.cargo();
    build.args(["build", "--package", "libnet", "--target", TARGET]);
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address -Cforce-frame-pointers=yes");
    build.env("CARGO_TARGET_DIR", shell.target().join("sanitized"));
    shell::stage("build a library that is watched", &mut build)?;
    let library = shell.target().join("sanitized").join(TARGET).join("debug/libnet.a");
    let link = format!("{} {} {SYSTEM}", library.display(), runtime(shell)?.display());
    // In a forked child the memory of the threads that are not in it is nobody's.
    for (stage, options, is_skipped) in [
        ("C programs that are watched", "detect_leaks=1", true),
        ("C programs that fork, leaks left out", "detect_leaks=0", false),
    ] {
        let mut test = shell.cargo();
        test.args(["test", "--package", "libnet-tests"]);
        for name in TESTS {
            test.args(["--test", name]);
        }
        test.arg("--");
        for name in FORKING {
            if is_skipped {
                test.arg("--skip");
            }
            test.arg(name);
        }
        test.env("LIBNET_LINK", &link).env("ASAN_OPTIONS", options);
        shell::stage(stage, &mut test)?;
    }
    Ok(())
}

/// The runtime of `AddressSanitizer` that lies beside the compiler's standard library.
fn runtime(shell: &Shell) -> Result<PathBuf, Failure> {
    let mut command = shell.command("rustc");
    command.args(["--print", "target-libdir"]);
    let output = command.output().map_err(|source| shell::start_failure(&command, source))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let entries = std::fs::read_dir(&folder).map_err(|source| Failure::File { path: folder, source })?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("_rt.asan.a"))
        .ok_or_else(|| Failure::Sanitize("this compiler comes without AddressSanitizer".to_owned()))
}

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What the archive needs of the system.
const SYSTEM: &str = "-lm -ldl -lpthread -lrt -lgcc_s -lstdc++";
/// Tests whose programs are in C.
const TESTS: &[&str] = &[
    "c_boundary",
    "claims",
    "platform",
    "reading",
    "redex",
    "statistics",
    "subscription_ends",
    "subscriptions",
];
/// Parts of the names of those whose programs fork.
const FORKING: &[&str] = &["what_is_refused", "forked"];
