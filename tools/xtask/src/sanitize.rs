//! `cargo xtask sanitize`: the C programs of the tests under `AddressSanitizer` and `LeakSanitizer`, and then under valgrind.
//!
//! The sanitizers are a nightly compiler's, which `RUSTC_BOOTSTRAP` makes this one do. The library is linked as an archive, with the
//! compiler's own runtime, so that the C compiler needs none. Valgrind sees what no compiler has touched: memory that is read before it
//! is written, and what the C library and the kernel do with ours.

use std::path::PathBuf;
use std::process::Command;

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
    for (programs, leaks) in [(Programs::Others, "detect_leaks=1"), (Programs::Forking, "detect_leaks=0")] {
        let mut test = tests(shell, programs);
        test.env("LIBNET_LINK", &link).env("ASAN_OPTIONS", leaks);
        shell::stage(&format!("{} that are watched", programs.name()), &mut test)?;
    }
    let ring = ring_under_valgrind(shell)?;
    for (programs, leaks) in [(Programs::Others, "full"), (Programs::Forking, "no")] {
        let mut test = tests(shell, programs);
        let preload = ring.display();
        for name in NOT_UNDER_VALGRIND {
            test.args(["--skip", name]);
        }
        test.env("LIBNET_UNDER", format!("env LD_PRELOAD={preload} {VALGRIND} --leak-check={leaks}"));
        shell::stage(&format!("{} under valgrind", programs.name()), &mut test)?;
    }
    Ok(())
}

/// Which of the C programs.
#[derive(Clone, Copy)]
enum Programs {
    Forking,
    Others,
}

impl Programs {
    fn name(self) -> &'static str {
        match self {
            Programs::Forking => "C programs that fork",
            Programs::Others => "C programs",
        }
    }
}

/// The tests whose programs are in C.
fn tests(shell: &Shell, programs: Programs) -> Command {
    let mut test = shell.cargo();
    test.args(["test", "--package", "libnet-tests"]);
    for name in TESTS {
        test.args(["--test", name]);
    }
    test.arg("--");
    for name in FORKING {
        if matches!(programs, Programs::Others) {
            test.arg("--skip");
        }
        test.arg(name);
    }
    for (variable, value) in
        [("LIBNET_ABUSE_ROUNDS", "100"), ("LIBNET_SOAK_SECONDS", "3"), ("LIBNET_UDP_EVENTS", "2000")]
    {
        test.env(variable, value);
    }
    test
}

/// Builds what a program needs that waits for `io_uring` under valgrind.
fn ring_under_valgrind(shell: &Shell) -> Result<PathBuf, Failure> {
    let library = shell.target().join("sanitized/ring_under_valgrind.so");
    let mut compiler = shell.command("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
    compiler.arg("tests/c/ring_under_valgrind.c");
    shell::stage("build what valgrind lacks", &mut compiler)?;
    Ok(library)
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
    "abuse",
    "c_boundary",
    "claims",
    "platform",
    "reading",
    "redex",
    "statistics",
    "subscription_ends",
    "subscription_fleet",
    "subscriptions",
    "udp_processes",
];
/// Tests with C programs that are not run here: they count what is allocated, are linked by what documents say, or have a program be
/// killed, whose calls are those of others.
#[cfg(test)]
const OTHER_TESTS: &[&str] = &["allocations", "log_faults", "manual", "readme", "redis"];
/// Parts of the names of those whose programs fork.
const FORKING: &[&str] = &["what_is_refused", "forked", "too_late"];
/// The threads and their signals are valgrind's own there; and what the kernel reads from a disk into memory by `io_uring` was never
/// written to, for all that valgrind knows.
const NOT_UNDER_VALGRIND: &[&str] = &["threads_are_as_documented", "files_in_a_directory_are_there_again"];
/// Leaks are blocks that nothing leads to; what the library keeps for the life of the process is none.
const VALGRIND: &str = "valgrind --quiet --vgdb=no --fair-sched=yes --error-exitcode=9 --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_test_with_a_c_program_is_run_here_or_named_as_one_that_is_not() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tests");
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("readable").path();
            let Ok(text) = fs::read_to_string(&path) else { continue };
            if ["c::run(", "c::compile(", " compile(folder"].iter().any(|call| text.contains(call)) {
                found.insert(path.file_stem().expect("a name").to_string_lossy().into_owned());
            }
        }
        let listed: BTreeSet<String> =
            TESTS.iter().chain(OTHER_TESTS).map(|name| (*name).to_owned()).collect();
        assert_eq!(found, listed);
    }
}
