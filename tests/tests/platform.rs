//! The host survives: what the kernel forbids is an error with its cause and its cure, a forked child has a code of
//! its own, the library loads into any program, and its threads are those that are documented.

use std::process::Command;

use harness::c;

#[test]
fn a_forbidden_io_uring_is_an_error_that_names_seccomp_and_the_cure() {
    for errno in ["EPERM", "ENOSYS"] {
        let said = c::run("denied", &["io_uring", errno]).stdout;
        assert!(said.starts_with("-17 "), "{errno}: {said}");
        assert!(said.contains("seccomp") && said.contains("io_uring_setup"), "{errno}: {said}");
    }
}

#[test]
fn a_forbidden_membarrier_is_an_error_with_its_cause_and_its_cure() {
    for errno in ["EPERM", "ENOSYS"] {
        let said = c::run("denied", &["membarrier", errno]).stdout;
        assert!(said.starts_with("-4 "), "{errno}: {said}");
        assert!(said.contains("membarrier") && said.contains("seccomp"), "{errno}: {said}");
    }
}

#[test]
fn a_small_memlock_limit_works_or_is_named() {
    for arguments in [&["65536"][..], &["65536", "unprivileged"]] {
        let said = c::run("memlock", arguments).stdout;
        assert!(["works\n", "says so\n"].contains(&said.as_str()), "{said}");
    }
}

#[test]
fn the_common_memlock_limit_suffices() {
    for arguments in [&["8388608"][..], &["8388608", "unprivileged"]] {
        assert_eq!(c::run("memlock", arguments).stdout, "works\n");
    }
}

#[test]
fn a_forked_child_is_refused_and_its_parent_goes_on() {
    c::run("forked", &[]);
}

#[test]
fn threads_are_as_documented_and_fifty_buses_leave_nothing_behind() {
    let said = c::run("threads", &[]).stdout;
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    // A shard's blocking helper carries its shard's name. SIGKILL and SIGSTOP cannot be blocked, and the C library
    // keeps 32 and 33 to itself.
    let names = [
        "net-bridge",
        "net-shard-0",
        "net-shard-0",
        "net-shard-1",
        "net-shard-1",
        "net-shard-2",
        "net-shard-2",
    ];
    let expected: Vec<String> = names.iter().map(|name| format!("{name} fffffffe7ffbfeff")).collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_program_loads_the_library_at_run_time() {
    let script = c::root().join("tests/load.py");
    let output = c::run_command(Command::new("python3").arg(script).arg(c::library()));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("3 events\n", ""));
}
