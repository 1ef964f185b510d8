//! `cargo xtask header`: the headers in include/, generated from the crate `ffi`, and proof that each stands alone.
//!
//! They are committed, so that nobody needs Rust to read or package them; `--check` refuses one that has drifted.

use std::path::{Path, PathBuf};

use crate::shell::{self, Failure, Shell};

/// Generates the headers; writes them, or with `check` compares them. Either way each must compile by itself as C11
/// and as C++17 without a warning.
pub(crate) fn run(shell: &Shell, check: bool) -> Result<(), Failure> {
    let scratch = shell::scratch()?;
    for header in &HEADERS {
        println!("── generate include/{}", header.name);
        let fresh = generate(&shell.path("ffi"), header)?;
        let committed = shell.path("include").join(header.name);
        if check {
            let copy = scratch.path().join(header.name);
            write(&copy, &fresh)?;
            compare(shell, header, &committed, &copy)?;
        } else {
            write(&committed, &fresh)?;
        }
    }
    for header in &HEADERS {
        for language in [&C11, &CPP17] {
            compile_alone(shell, scratch.path(), header, language)?;
        }
    }
    Ok(())
}

fn generate(crate_folder: &Path, header: &Header) -> Result<Vec<u8>, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Header(error.to_string());
    let config = cbindgen::Config::from_file(crate_folder.join(header.config)).map_err(|e| refused(&e))?;
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = match header.module {
        // All but the modules that say `cbindgen:ignore`.
        None => builder.with_crate(crate_folder),
        Some(module) => builder.with_src(crate_folder.join(module)),
    };
    let bindings = builder.generate().map_err(|error| refused(&error))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    // What Rust calls safety is what a function requires of its caller.
    let text = String::from_utf8(text).map_err(|error| refused(&error))?;
    Ok(text.replace(" * # Safety\n * ", " * Requires: ").into_bytes())
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::File { path: path.to_owned(), source })
}

fn compare(shell: &Shell, header: &Header, committed: &Path, fresh: &Path) -> Result<(), Failure> {
    let mut command = shell.command("git");
    command.args(["--no-pager", "diff", "--no-index", "--exit-code"]).arg(committed).arg(fresh);
    shell::stage("compare with the committed header", &mut command).map_err(|_| {
        let name = header.name;
        Failure::Header(format!("include/{name} has drifted: run `cargo xtask header` and commit it"))
    })
}

fn compile_alone(shell: &Shell, scratch: &Path, header: &Header, language: &Language) -> Result<(), Failure> {
    let source: PathBuf = scratch.join(language.file);
    write(&source, format!("#include \"{}\"\n", header.name).as_bytes())?;
    let mut command = shell.command(language.compiler);
    command.arg(language.standard).args(WARNINGS).arg("-fsyntax-only");
    command.arg("-I").arg(shell.path("include")).arg(&source);
    shell::stage(&format!("{} alone as {}", header.name, language.name), &mut command)
}

struct Header {
    name: &'static str,
    /// Its cbindgen configuration, in `ffi`.
    config: &'static str,
    /// The module of `ffi` whose exports it declares, with those below; `None` means the crate.
    module: Option<&'static str>,
}

const HEADERS: [Header; 2] = [
    Header { name: "net.h", config: "cbindgen.toml", module: None },
    Header { name: "net_cortex.h", config: "cbindgen_cortex.toml", module: Some("src/redex/mod.rs") },
];

struct Language {
    name: &'static str,
    compiler: &'static str,
    standard: &'static str,
    file: &'static str,
}

const C11: Language = Language { name: "C11", compiler: "cc", standard: "-std=c11", file: "alone.c" };
const CPP17: Language = Language { name: "C++17", compiler: "c++", standard: "-std=c++17", file: "alone.cc" };
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
