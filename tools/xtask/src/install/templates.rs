//! The files that are written for an installation: those of pkg-config and `cmake`.

use std::process::Stdio;

use super::{Content, Entry, Layout};
use crate::release::VERSION;
use crate::shell::{self, Failure, Shell};

/// The files by which pkg-config and `cmake` find the library called `soname`.
pub(super) fn descriptions(shell: &Shell, layout: &Layout, soname: &str) -> Result<Vec<Entry>, Failure> {
    let native_libs = native_libs(shell)?;
    let (up, libdir) = (layout.up(), layout.libdir.display().to_string());
    let values = [
        ("UP", up.as_str()),
        ("LIBDIR", libdir.as_str()),
        ("LINK_NAME", layout.link_name.as_str()),
        ("NATIVE_LIBS", native_libs.as_str()),
        ("NATIVE_LIBS_LIST", &native_libs.replace(' ', ";")),
        ("SONAME", soname),
        ("VERSION", VERSION),
    ];
    Ok(FILES
        .iter()
        .map(|(path, template)| {
            Entry::new(layout.libdir.join(path), Content::Bytes(render(template, &values).into()))
        })
        .collect())
}

/// A template whose every `@NAME@` is replaced by its value.
pub(crate) fn render(template: &str, values: &[(&str, &str)]) -> String {
    let replace = |(index, part): (usize, &'_ str)| {
        let is_name = index % 2 == 1;
        let value = values.iter().find(|(name, _)| is_name && *name == part);
        assert!(!is_name || value.is_some(), "a template wants @{part}@");
        value.map_or(part, |(_, value)| *value).to_owned()
    };
    template.split('@').enumerate().map(replace).collect()
}

/// What a program that links the archive links too. Rust's unwinder is left out: a compiler brings the one that suits the
/// program, `libgcc_s` or, in one that is static as a whole, `libgcc_eh`.
fn native_libs(shell: &Shell) -> Result<String, Failure> {
    let scratch = shell::scratch()?;
    let mut rustc = shell.command("rustc");
    rustc.args(["--crate-name", "empty", "--crate-type", "staticlib", "--print", "native-static-libs", "-"]);
    rustc.arg("-o").arg(scratch.path().join("libempty.a")).stdin(Stdio::null());
    let output = rustc.output().map_err(|source| shell::start_failure(&rustc, source))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let libs = said.lines().find_map(|line| line.split_once("native-static-libs: "));
    let (_, libs) =
        libs.ok_or_else(|| Failure::Install(format!("rustc names no native libraries: {said}")))?;
    Ok(libs.split_whitespace().filter(|lib| *lib != "-lgcc_s").collect::<Vec<_>>().join(" "))
}

const FILES: [(&str, &str); 4] = [
    ("pkgconfig/net.pc", include_str!("../../../../ffi/packaging/net.pc.in")),
    ("pkgconfig/net-static.pc", include_str!("../../../../ffi/packaging/net-static.pc.in")),
    ("cmake/net/netConfig.cmake", include_str!("../../../../ffi/packaging/netConfig.cmake.in")),
    ("cmake/net/netConfigVersion.cmake", include_str!("../../../../ffi/packaging/netConfigVersion.cmake.in")),
];
