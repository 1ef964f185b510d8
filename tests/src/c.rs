//! C programs: `libnet.so` is built once, a program of `tests/c` is compiled against `include/net.h` alone, and run.
//!
//! A compiler that is missing, a warning, an exit status other than zero and a program that hangs each fail the test
//! and say what happened.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use crate::HANG;

/// What a program has printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// On its standard output.
    pub stdout: String,
    /// On its standard error.
    pub stderr: String,
}

/// Compiles `tests/c/<name>.c` and runs it with `arguments`, under the command of `LIBNET_UNDER` if there is one. It must end with
/// status 0 and print nothing on its standard error.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    let output = run_command(command(&compile(name)).args(arguments));
    assert_eq!(output.stderr, "", "{name} printed on its standard error");
    output
}

/// A program that [`compile`] has made, under the command of `LIBNET_UNDER` if there is one.
pub fn command(program: &Path) -> Command {
    let under = env::var("LIBNET_UNDER").unwrap_or_default();
    let mut words = under.split_whitespace();
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

/// Runs `command` to its end. It must end with status 0; one that hangs is killed.
pub fn run_command(command: &mut Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(
            |error| match error.kind() {
                ErrorKind::NotFound => panic!("`{}` is missing; install it", command.get_program().display()),
                _ => panic!("{}: {error}", command.get_program().display()),
            },
        );
    let (ended, ends) = mpsc::channel();
    let stdout = collect(child.stdout.take().expect("piped"), ended.clone());
    let stderr = collect(child.stderr.take().expect("piped"), ended);
    // What watches a program makes it many times slower.
    let patience = if env::var_os("LIBNET_UNDER").is_some() { HANG * 20 } else { HANG * 2 };
    let hung = (0..2).any(|_| ends.recv_timeout(patience).is_err());
    if hung {
        child.kill().expect("it is our own and was not waited for");
    }
    let status = child.wait().expect("it is our own");
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("the reader does not panic");
    let output = Output { stdout: text(stdout), stderr: text(stderr) };
    assert!(!hung, "{command:?} hung: {output:?}");
    assert!(status.success(), "{command:?} ended with {status}\n{}{}", output.stdout, output.stderr);
    output
}

/// The shared library of the profile that the tests are built with.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let profile = profile_folder();
        let mut cargo = cargo();
        cargo.args(["build", "--quiet", "--package", "libnet", "--target-dir"]);
        cargo.arg(profile.parent().expect("a profile has a folder"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.status().unwrap_or_else(|error| panic!("cargo: {error}"));
        assert!(built.success(), "{cargo:?} ended with {built}");
        profile.join("libnet.so")
    })
}

/// Cargo, in the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    as_from_a_shell(&mut cargo).current_dir(root());
    cargo
}

/// Keeps from `command` what `cargo test` tells a test about its package: build scripts ask for the same variables, and
/// a cargo that finds them changed builds everything anew.
pub fn as_from_a_shell(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let is_of_package = |name: &str| {
            name == "OUT_DIR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// Compiles a program and gives its path.
pub fn compile(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = programs_folder();
    let (program, fresh) = (folder.join(name), folder.join(format!("{name}.{}", std::process::id())));
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(&compiler);
    command.current_dir(root()).args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g"]);
    command.args(["-pthread", "-Iinclude", "-o"]).arg(&fresh).arg(format!("tests/c/{name}.c"));
    match env::var("LIBNET_LINK") {
        // A library that somebody has built otherwise, and what it needs.
        Ok(link) => command.args(link.split_whitespace()),
        Err(_) => command.arg(library()).arg(format!("-Wl,-rpath,{}", folder.display())),
    };
    let compiled = command.output().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("the C compiler `{compiler}` is missing; install one or name it in CC"),
        _ => panic!("{compiler}: {error}"),
    });
    assert!(compiled.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&compiled.stderr));
    fs::rename(&fresh, &program).expect("both are in one folder");
    program
}

/// Where programs lie, beside a link to the library under its SONAME.
fn programs_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = profile_folder().join("c-programs");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        match symlink(library(), folder.join("libnet.so.100")) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
            _ => folder,
        }
    })
}

/// The folder of the profile: the test binary lies in `deps` below it.
fn profile_folder() -> PathBuf {
    let binary = env::current_exe().expect("the system knows");
    binary.ancestors().nth(2).expect("a test binary lies in deps").to_owned()
}

fn collect(mut from: impl Read + Send + 'static, ended: mpsc::Sender<()>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a failure is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        // Nobody listens any more when the program hung.
        let _ = ended.send(());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
