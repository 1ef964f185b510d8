//! `cargo xtask header`: include/net.h, generated from the crate `ffi`, and proof that it stands alone.
//!
//! The header is committed, so that nobody needs Rust to read or package it; `--check` refuses one that has drifted.

use std::path::{Path, PathBuf};

use crate::shell::{self, Failure, Shell};

/// Generates the header; writes it, or with `check` compares it. Either way the result must compile by itself as C11
/// and as C++17 without a warning.
pub(crate) fn run(shell: &Shell, check: bool) -> Result<(), Failure> {
    println!("── generate {HEADER}");
    let fresh = generate(&shell.path("ffi"))?;
    let committed = shell.path(HEADER);
    let scratch =
        tempfile::tempdir().map_err(|source| Failure::File { path: std::env::temp_dir(), source })?;
    if check {
        let copy = scratch.path().join("net.h");
        write(&copy, &fresh)?;
        compare(shell, &committed, &copy)?;
    } else {
        write(&committed, &fresh)?;
    }
    for language in [&C11, &CPP17] {
        compile_alone(shell, scratch.path(), language)?;
    }
    Ok(())
}

fn generate(crate_folder: &Path) -> Result<Vec<u8>, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Header(error.to_string());
    let config = cbindgen::Config::from_file(crate_folder.join("cbindgen.toml")).map_err(|e| refused(&e))?;
    let bindings = cbindgen::Builder::new()
        .with_crate(crate_folder)
        .with_config(config)
        .generate()
        .map_err(|error| refused(&error))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    // What Rust calls safety is what a function requires of its caller.
    let text = String::from_utf8(text).map_err(|error| refused(&error))?;
    Ok(text.replace(" * # Safety\n * ", " * Requires: ").into_bytes())
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::File { path: path.to_owned(), source })
}

fn compare(shell: &Shell, committed: &Path, fresh: &Path) -> Result<(), Failure> {
    let mut command = shell.command("git");
    command.args(["--no-pager", "diff", "--no-index", "--exit-code"]).arg(committed).arg(fresh);
    shell::stage("compare with the committed header", &mut command)
        .map_err(|_| Failure::Header(format!("{HEADER} has drifted: run `cargo xtask header` and commit it")))
}

fn compile_alone(shell: &Shell, scratch: &Path, language: &Language) -> Result<(), Failure> {
    let source: PathBuf = scratch.join(language.file);
    write(&source, b"#include \"net.h\"\n")?;
    let mut command = shell.command(language.compiler);
    command.arg(language.standard).args(WARNINGS).arg("-fsyntax-only");
    command.arg("-I").arg(shell.path("include")).arg(&source);
    shell::stage(&format!("the header alone as {}", language.name), &mut command)
}

struct Language {
    name: &'static str,
    compiler: &'static str,
    standard: &'static str,
    file: &'static str,
}

const C11: Language = Language { name: "C11", compiler: "cc", standard: "-std=c11", file: "alone.c" };
const CPP17: Language = Language { name: "C++17", compiler: "c++", standard: "-std=c++17", file: "alone.cc" };
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const HEADER: &str = "include/net.h";
