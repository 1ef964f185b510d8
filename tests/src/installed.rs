//! The library as if it were installed: headers, `libnet.so` under its SONAME, and a `net.pc`, below one folder of the target folder;
//! and the compilers of other languages, which find it there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::c;

/// Where it lies.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let library = c::library();
        let prefix = library.with_file_name("installed");
        let packages = prefix.join("lib/pkgconfig");
        fs::create_dir_all(&packages).expect("the target folder is writable");
        link(&c::root().join("include"), &prefix.join("include"));
        for name in ["libnet.so", "libnet.so.100"] {
            link(library, &prefix.join("lib").join(name));
        }
        let package = format!(
            "prefix={}\nName: net\nDescription: libnet\nVersion: 0.1.0\nCflags: -I${{prefix}}/include\nLibs: -L${{prefix}}/lib -lnet\n",
            prefix.display()
        );
        fs::write(packages.join("net.pc"), package).expect("the folder is writable");
        prefix
    })
}

/// `command`, which finds the library when it compiles, links and runs; and no network. What Go has built stays for the next run.
pub fn found_by(command: &mut Command) -> &mut Command {
    let lib = prefix().join("lib");
    c::as_from_a_shell(command)
        .env("PKG_CONFIG_PATH", lib.join("pkgconfig"))
        .env("LD_LIBRARY_PATH", &lib)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOCACHE", c::library().with_file_name("go-cache"))
        .env("GOPATH", c::library().with_file_name("go-path"))
}

/// Compiles `tests/cpp/<name>.cpp` with more options and gives the program's path.
pub fn compile_cpp(name: &str, options: &[&str]) -> PathBuf {
    let program = prefix().join(format!("{name}.{}", std::process::id()));
    let mut compiler = Command::new("c++");
    compiler.current_dir(c::root()).args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    compiler.args(["-Wshadow", "-Wconversion", "-O1", "-g", "-pthread"]).args(options);
    compiler.arg(format!("tests/cpp/{name}.cpp")).arg("-I").arg(prefix().join("include"));
    compiler.arg("-L").arg(prefix().join("lib")).args(["-lnet", "-o"]).arg(&program);
    c::run_command(&mut compiler);
    program
}

/// A link that may be there from a run before.
fn link(to: &Path, at: &Path) {
    match symlink(to, at) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{}: {error}", at.display()),
        _ => (),
    }
}
