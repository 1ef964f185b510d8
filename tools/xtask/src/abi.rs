//! `cargo xtask abi`: the interface of the headers beside its committed list, so that nothing on which a program relies is
//! removed or changed by accident.
//!
//! The list has a line for each function, type, field, code and constant. Types are compared as they are written, names of
//! parameters are left out, and sizes, offsets and values are the C compiler's. That the library exports just the functions
//! of the headers is a test's (`tests/tests/exports.rs`).

use std::fs;
use std::path::PathBuf;

use crate::release;
use crate::shell::{self, Failure, Shell};

mod declarations;
mod list;

use declarations::Declaration;
use list::Difference;

/// Compares; with `write` what is new is put into the list, and with a new `NET_ABI_VERSION` also what is changed.
pub(crate) fn run(shell: &Shell, write: bool) -> Result<(), Failure> {
    let headers = HEADERS.map(|name| read(shell.path("include").join(name)));
    let headers = headers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let declarations: Vec<Declaration> =
        headers.iter().flat_map(|header| declarations::declarations(header)).collect();
    let version = release::abi_version(shell)?;
    let now = measure(shell, &declarations)?;
    let committed = read(shell.path(LIST))?;
    let listed: Vec<&str> = committed.lines().filter(|line| !line.starts_with('#')).collect();
    let difference = Difference::between(&listed, &now);
    for line in difference.lines() {
        println!("{line}");
    }
    let is_new_version = !listed.contains(&format!("constant NET_ABI_VERSION {version}").as_str());
    if difference.breaks() && !is_new_version {
        return Err(Failure::Abi(format!(
            "programs that run with NET_ABI_VERSION {version} would break: what {LIST} has stays as it is"
        )));
    }
    if write {
        let path = shell.path(LIST);
        let text = format!("{HEADING}{}\n", now.join("\n"));
        return fs::write(&path, text).map_err(|source| Failure::File { path, source });
    }
    if difference.is_empty() {
        println!("cargo xtask abi: all {} lines hold", now.len());
        return Ok(());
    }
    Err(Failure::Abi(format!("{LIST} lacks what is new: run `cargo xtask abi --write` and commit it")))
}

/// The lines of the list, by a program that prints what only the compiler knows.
fn measure(shell: &Shell, declarations: &[Declaration]) -> Result<Vec<String>, Failure> {
    let scratch = shell::scratch()?;
    let (source, program) = (scratch.path().join("probe.c"), scratch.path().join("probe"));
    let includes = HEADERS.map(|name| format!("#include <{name}>\n")).concat();
    let prints: String = declarations.iter().map(|declaration| declaration.probe() + "\n").collect();
    let text = format!("{includes}#include <stdio.h>\nint main(void) {{\n{prints}return 0;\n}}\n");
    fs::write(&source, text).map_err(|error| Failure::File { path: source.clone(), source: error })?;
    let mut compiler = shell.command("cc");
    compiler.arg("-std=c11").arg("-I").arg(shell.path("include")).arg(&source).arg("-o").arg(&program);
    shell::output("cc", &mut compiler)?;
    let printed = shell::output("the program that measures", &mut shell.command(&program))?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&printed).lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

fn read(path: PathBuf) -> Result<String, Failure> {
    fs::read_to_string(&path).map_err(|source| Failure::File { path, source })
}

const HEADERS: [&str; 2] = ["net.h", "net_cortex.h"];
const LIST: &str = "ffi/abi.txt";
const HEADING: &str = "# The C interface, on which programs rely: `cargo xtask abi` compares it with the headers, \
    and adds what is new with --write.\n";
