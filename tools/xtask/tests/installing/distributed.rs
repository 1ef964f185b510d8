//! What `cargo xtask dist` makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::programs::{Programs, free_port};
use crate::{printed, run, xtask};

#[test]
fn the_tarball_alone_builds_and_runs_programs_wherever_it_is_moved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(Command::new("tar").arg("-xf").arg(archive("gz")).arg("-C").arg(folder.path()));
    let unpacked: Vec<_> = fs::read_dir(folder.path()).expect("it is there").flatten().collect();
    assert_eq!(unpacked.len(), 1, "one folder");
    let moved = folder.path().join("elsewhere");
    fs::rename(unpacked[0].path(), &moved).expect("both are in one folder");
    let programs = Programs::of(&moved);
    programs.work_with_pkg_config();
    programs.work_with_find_package();
    programs.work_in_python();
    let verified = printed(Command::new(moved.join("bin/netload")).args(["verify", "--events", "10000"]));
    assert!(verified.contains("verified"), "{verified}");
}

#[test]
fn the_commands_of_the_tarballs_readme_build_and_run_a_program() {
    let folder = unpacked();
    let program =
        "#include <net.h>\n#include <stdio.h>\nint main(void) { return puts(net_version()) < 0; }\n";
    fs::write(folder.path().join("program.c"), program).expect("the folder is writable");
    let readme = fs::read_to_string(folder.path().join("README")).expect("it is in the tarball");
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let python = "python3 -c 'import libnet; print(libnet.version())'";
    let commands = [commands.join("\n").as_str(), python].join("\n");
    let said = printed(Command::new("sh").args(["-ec", &commands]).current_dir(folder.path()));
    assert_eq!(said, concat!(env!("CARGO_PKG_VERSION"), "\n").repeat(2));
}

#[test]
fn the_commands_of_the_examples_work_in_the_tarballs_folder() {
    let folder = unpacked();
    let documentation = folder.path().join("share/doc/libnet");
    let readme = fs::read_to_string(documentation.join("examples/README.md")).expect("it is in the tarball");
    let commands =
        readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("commands");
    // That of Redis needs a server.
    let commands: Vec<&str> = commands.lines().filter(|line| !line.contains("redis")).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let command = command.replace("7000", &free_port().to_string());
        let mut shell = Command::new("sh");
        shell.args(["-ec", &command]).current_dir(&documentation);
        shell.env("PKG_CONFIG_PATH", folder.path().join("lib/pkgconfig"));
        shell.env("PYTHONDONTWRITEBYTECODE", "1");
        assert_ne!(printed(shell.env("LD_LIBRARY_PATH", folder.path().join("lib"))), "", "{command}");
    }
}

#[test]
fn the_same_build_makes_the_same_bytes_and_their_sums_are_right() {
    let first = dist();
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(first));
    let second = tempfile::tempdir().expect("a temporary folder");
    make(second.path());
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).expect("it was made");
    assert_eq!(sums(first), sums(second.path()));
}

/// A folder with what is in the folder of the tarball.
fn unpacked() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut tar = Command::new("tar");
    run(tar.args(["--strip-components=1", "-xf"]).arg(archive("gz")).arg("-C").arg(folder.path()));
    folder
}

/// The archive with this extension.
pub(crate) fn archive(extension: &str) -> PathBuf {
    let files = fs::read_dir(dist()).expect("it was made").flatten().map(|entry| entry.path());
    let mut archives = files.filter(|file| file.extension().is_some_and(|found| found == extension));
    archives.next().unwrap_or_else(|| panic!("no .{extension}"))
}

/// Where the archives are, made once.
fn dist() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
        // There is none the first time.
        let _ = fs::remove_dir_all(&folder);
        make(&folder);
        folder
    })
}

fn make(folder: &Path) {
    xtask(&["dist", "--out", &folder.display().to_string()]);
}
