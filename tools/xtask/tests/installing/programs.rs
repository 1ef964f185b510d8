//! Programs built with an installation: the examples that it brings and two more, each in every way there is.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{printed, run};

/// Programs in a folder of their own, in which the tools are run, so that nothing of the repository is found.
pub(crate) struct Programs {
    folder: TempDir,
    prefix: PathBuf,
    sources: Vec<PathBuf>,
}

impl Programs {
    /// Those for the installation in `prefix`.
    pub(crate) fn of(prefix: &Path) -> Programs {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/c");
        let mut sources = Vec::new();
        for file in ["smoke.c", "check.h"] {
            fs::copy(tests.join(file), folder.path().join(file)).expect("the folder is writable");
        }
        fs::write(folder.path().join("version.cpp"), VERSION).expect("the folder is writable");
        sources.extend(["smoke.c", "version.cpp"].map(|file| folder.path().join(file)));
        for language in ["c", "cpp"] {
            let examples = files_of(&examples(prefix).join(language));
            sources.extend(examples.into_iter().filter(|file| is_source(file)));
        }
        Programs { folder, prefix: prefix.to_owned(), sources }
    }

    /// Builds and runs each with what `pkg-config` says, and nothing else.
    pub(crate) fn work_with_pkg_config(&self) {
        for source in &self.sources {
            for (form, own, asked) in FORMS {
                let flags = self.pkg_config(asked);
                let program = self.folder.path().join(form);
                let mut compiler = self.tool(if is_cpp(source) { "c++" } else { "cc" });
                compiler.arg(source).args(*own).args(flags.split_whitespace()).arg("-o").arg(&program);
                run(&mut compiler);
                let libraries = needed(&program);
                assert_eq!(libraries.contains("[libnet.so.100]"), *form == "shared", "{form}: {libraries}");
                assert_eq!(libraries.is_empty(), *form == "static", "{form}: {libraries}");
                let libdir = self.pkg_config(&["--variable=libdir", "net"]);
                let Some(mut program) = self.started(source, &program) else { continue };
                if *form == "shared" {
                    program.env("LD_LIBRARY_PATH", libdir.trim());
                }
                run(&mut program);
            }
        }
    }

    /// Builds and runs each with what `find_package` finds, and nothing else.
    pub(crate) fn work_with_find_package(&self) {
        let mut text = PROJECT.to_owned();
        for (index, source) in self.sources.iter().enumerate() {
            let source = source.display();
            for (form, target) in [("shared", "net::net"), ("static", "net::static")] {
                let program = format!("{form}{index}");
                text += &[
                    format!("add_executable({program} {source})\n"),
                    format!("target_link_libraries({program} {target})\n"),
                ]
                .concat();
            }
        }
        let [project, build] = ["project", "project/build"].map(|name| self.folder.path().join(name));
        fs::create_dir_all(&build).expect("the folder is writable");
        fs::write(project.join("CMakeLists.txt"), text).expect("the folder is writable");
        let mut configure = self.tool("cmake");
        configure.arg("-S").arg(&project).arg("-B").arg(&build);
        run(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display())));
        run(self.tool("cmake").arg("--build").arg(&build));
        for (index, source) in self.sources.iter().enumerate() {
            for form in ["shared", "static"] {
                let program = build.join(format!("{form}{index}"));
                let libraries = needed(&program);
                assert_eq!(libraries.contains("[libnet.so.100]"), form == "shared", "{form}: {libraries}");
                self.started(source, &program).map(|mut program| run(&mut program));
            }
        }
    }

    /// Runs the examples for Python with the module and the library of the installation.
    pub(crate) fn work_in_python(&self) {
        let examples = files_of(&examples(&self.prefix).join("python"));
        for example in
            examples.iter().filter(|file| file.extension().is_some_and(|extension| extension == "py"))
        {
            let python = self.started(example, Path::new("python3"));
            let mut python = python.expect("it needs nobody");
            python.env("PYTHONPATH", self.prefix.join("share/libnet/python"));
            python.env("PYTHONDONTWRITEBYTECODE", "1");
            run(python.env("LD_LIBRARY_PATH", self.prefix.join("lib")));
        }
    }

    fn pkg_config(&self, arguments: &[&str]) -> String {
        let mut command = self.tool("pkg-config");
        printed(command.env("PKG_CONFIG_PATH", self.prefix.join("lib/pkgconfig")).args(arguments))
    }

    /// The program of a source, which ends in time or fails; `None` where it needs a server.
    fn started(&self, source: &Path, program: &Path) -> Option<Command> {
        let mut command = self.tool("timeout");
        command.arg(HANG_SECONDS).arg(program);
        if source.extension().is_some_and(|extension| extension == "py") {
            command.arg(source);
        }
        match source.file_stem()?.to_str()? {
            "smoke" | "version" => &mut command,
            "claim" | "threads" | "epoll" | "orders" | "asynchronous" => command.arg("25"),
            "log" => command.arg(fresh_folder(self.folder.path())),
            "udp_pair" => command.args([free_port().to_string().as_str(), "3"]),
            "redis" => return None,
            other => panic!("how is the example {other} run?"),
        };
        Some(command)
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        for variable in ["LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH"] {
            command.env_remove(variable);
        }
        command
    }
}

/// A folder that is not there yet.
fn fresh_folder(within: &Path) -> PathBuf {
    let folder = tempfile::tempdir_in(within).expect("the folder is writable");
    folder.path().to_owned()
}

pub(crate) fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.expect("a port is free").port()
}

fn examples(prefix: &Path) -> PathBuf {
    prefix.join("share/doc/libnet/examples")
}

/// The files in a folder, of which it has some, in the order of their names.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    assert!(!files.is_empty(), "{} has nothing", folder.display());
    files.sort();
    files
}

fn is_source(file: &Path) -> bool {
    is_cpp(file) || file.extension().is_some_and(|extension| extension == "c")
}

fn is_cpp(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "cpp" || extension == "cc")
}

/// The shared libraries that a program asks for, in the words of `readelf`.
fn needed(program: &Path) -> String {
    let dynamic = printed(Command::new("readelf").args(["-d", "-W"]).arg(program));
    dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect()
}

/// A program in C++.
const VERSION: &str = "#include <net.h>\n#include <iostream>\n\
    int main() { std::cout << net_version(); return net_abi_version() == NET_ABI_VERSION ? 0 : 1; }\n";

/// Longer than any of the programs takes, however busy the machine is.
const HANG_SECONDS: &str = "120";

/// How a project of `cmake` begins.
const PROJECT: &str = "cmake_minimum_required(VERSION 3.13)\nproject(programs C CXX)\n\
    set(CMAKE_CXX_STANDARD 17)\nfind_package(net 0.1 REQUIRED)\n";

/// The name of each way, the compiler's own options, and what is asked of `pkg-config`.
const FORMS: &[(&str, &[&str], &[&str])] = &[
    ("shared", &[], &["--cflags", "--libs", "net"]),
    ("archive", &[], &["--cflags", "--libs", "net-static"]),
    ("static", &["-static"], &["--static", "--cflags", "--libs", "net"]),
];
