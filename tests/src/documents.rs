//! What documents show: their fenced blocks, and the C programs among them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::c::{library, root, run_command};

/// A document of the repository.
pub fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands below the heading `## title`.
pub fn section<'a>(document: &'a str, title: &str) -> &'a str {
    let rest = document.split(&format!("## {title}\n")).nth(1);
    rest.unwrap_or_else(|| panic!("there is no section {title}")).split("\n## ").next().unwrap_or_default()
}

/// The `index`-th fenced block of `language`.
pub fn block(text: &str, language: &str, index: usize) -> String {
    let fence = format!("```{language}\n");
    let block = text.split(&fence).nth(index + 1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("there is no block {index} of {language}")).to_owned()
}

/// Compiles `<program>.c` in `folder`, which runs there.
pub fn compile(folder: &Path, program: &str) {
    symlink(library(), folder.join("libnet.so.100")).expect("the folder is empty");
    let mut compiler = Command::new("cc");
    compiler.current_dir(folder).args([
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-o",
        program,
    ]);
    compiler.arg(format!("{program}.c")).arg("-I").arg(root().join("include"));
    run_command(compiler.args(["libnet.so.100", "-Wl,-rpath,."]));
}
