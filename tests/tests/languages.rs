//! Other languages: the programs to copy print what they say, and what each language adds to the C ABI holds: owners, errors,
//! iteration, waits and ends.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use harness::c::{root, run_command};
use harness::installed::{compile_cpp, found_by};
use harness::python;
use harness::redis::Redis;

#[test]
fn the_programs_to_copy_are_built_by_their_commands_and_print_what_they_say() {
    let readme = fs::read_to_string(root().join("ffi/examples/README.md")).expect("it is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for part in ["examples", "python", "go"] {
        let (from, to) = (root().join("ffi").join(part), folder.path().join(part));
        run_command(Command::new("cp").arg("-r").args([from, to]));
    }
    let server = Redis::start();
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = socket.local_addr().expect("it is bound").port();
    drop(socket);
    let commands = block(&readme, "sh")
        .replace("6379", &server.port().to_string())
        .replace("7000", &port.to_string())
        .replace("cc ", "cc -Wall -Wextra -Wpedantic -Werror ");
    let printed: String = commands.lines().map(|line| shell(folder.path(), line)).collect();
    assert_eq!(printed, block(&readme, "text"));
    for program in files(&root().join("ffi/examples")) {
        let name =
            program.strip_prefix(root().join("ffi/examples")).expect("it is below").display().to_string();
        let is_program = [".c", ".cpp", ".py", ".go"].iter().any(|ending| name.ends_with(ending));
        assert!(!is_program || readme.contains(&format!("`{name}`")), "{name} has no row");
    }
}

#[test]
fn owners_in_cpp_end_once_however_they_are_moved_and_errors_have_code_and_detail() {
    run_cpp("owners", &[]);
}

#[test]
fn cpp_without_exceptions_has_every_call_with_its_code() {
    run_cpp("without_exceptions", &["-fno-exceptions", "-fno-rtti"]);
}

#[test]
fn the_python_file_is_typed() {
    let mut mypy = python::with_version("mypy", "2.4.1");
    mypy.args(["-m", "mypy", "--strict", "--no-incremental", "ffi/python", "ffi/examples/python"]);
    run_command(mypy.env("MYPYPATH", "ffi/python").current_dir(root()));
}

#[test]
fn python_holds_batches_cursors_ends_and_forks() {
    run_python("bindings");
}

#[test]
fn python_waits_in_threads_and_in_asyncio_and_leaves_nothing_watched() {
    run_python("bindings_waits");
}

#[test]
fn go_holds_order_ends_and_errors_and_races_nowhere() {
    let mut go = Command::new("go");
    go.args(["test", "-race", "-count=1", "./..."]).current_dir(root().join("tests/go"));
    run_command(found_by(&mut go));
}

fn run_cpp(name: &str, options: &[&str]) {
    let program = compile_cpp(name, options);
    let output = run_command(found_by(&mut Command::new(&program)));
    fs::remove_file(program).expect("it is this run's own");
    assert_eq!(output.stderr, "", "{name}");
}

fn run_python(name: &str) {
    let mut python = Command::new("python3");
    // Later versions warn of any fork beside threads.
    python
        .args(["-W", "ignore::DeprecationWarning"])
        .arg(root().join(format!("tests/python/{name}.py")))
        .env("PYTHONPATH", root().join("ffi/python"));
    let output = run_command(found_by(&mut python));
    assert_eq!(output.stderr, "", "{name}");
}

fn shell(folder: &Path, line: &str) -> String {
    run_command(found_by(Command::new("sh").args(["-ec", line]).current_dir(folder))).stdout
}

/// The first fenced block of `language`.
fn block(text: &str, language: &str) -> String {
    let rest = text.split(&format!("```{language}\n")).nth(1).expect("there is one");
    rest.split("```").next().expect("it ends").to_owned()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
