//! The package beside libnet1 and libnet1-dev, Debian's library of the same name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::distributed::archive;
use crate::{printed, run};

#[test]
fn both_are_installed_and_programs_are_built_with_either_and_with_both() {
    let system = System::with_both();
    let ours = "#include <net.h>\n#include <stdio.h>\nint main(void) { return puts(net_version()) < 0; }\n";
    let theirs =
        "#include <libnet.h>\n#include <stdio.h>\nint main(void) { return puts(libnet_version()) < 0; }\n";
    let both = "#include <libnet.h>\n#include <net.h>\n#include <stdio.h>\nint main(void) {\n\
        net_handle_t bus = net_init(\"{\\\"num_shards\\\":1}\");\n\
        if (!bus || net_ingest(bus, \"{}\", 2) != NET_SUCCESS || net_flush(bus) != NET_SUCCESS) return 1;\n\
        printf(\"%s %s\\n\", net_version(), libnet_version());\nreturn net_shutdown(bus);\n}\n";
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(system.build_and_run(ours, &[Library::Bus]), format!("{version}\n"));
    let debian = system.build_and_run(theirs, &[Library::Debian]);
    assert!(debian.contains("libnet version 1."), "{debian}");
    for libraries in [[Library::Bus, Library::Debian], [Library::Debian, Library::Bus]] {
        assert_eq!(system.build_and_run(both, &libraries), format!("{version} {debian}"));
    }
}

#[test]
fn one_process_loads_both_and_no_symbol_is_in_both() {
    let system = System::with_both();
    let names = ["libnet.so.100", "libnet.so.1"].map(|name| system.libdir.join(name));
    let script = "import ctypes, sys\n\
        bus, debian = [ctypes.CDLL(name, ctypes.RTLD_GLOBAL) for name in sys.argv[1:]]\n\
        bus.net_version.restype = debian.libnet_version.restype = ctypes.c_char_p\n\
        print(bus.net_version().decode(), debian.libnet_version().decode())\n";
    let said = printed(Command::new("python3").args(["-c", script]).args(&names));
    assert!(said.starts_with(env!("CARGO_PKG_VERSION")) && said.contains("libnet version 1."), "{said}");
    let [ours, theirs] = names.each_ref().map(|library| symbols(&["-D"], library));
    assert!(ours.contains("net_init") && theirs.contains("libnet_init"));
    assert_eq!(ours.intersection(&theirs).collect::<Vec<_>>(), Vec::<&String>::new());
    let archives = ["libnet-bus.a", "libnet.a"].map(|name| symbols(&["-g"], &system.libdir.join(name)));
    assert_eq!(archives[0].intersection(&archives[1]).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_package_says_what_it_needs_and_what_programs_need_of_it() {
    let control = |field: &str| printed(Command::new("dpkg-deb").arg("-f").arg(archive("deb")).arg(field));
    assert!(
        ["libc6 (", "libgcc-s1 ("].iter().all(|needed| control("Depends").contains(needed)),
        "{}",
        control("Depends")
    );
    assert_eq!(control("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert_eq!(control("Provides").trim(), "libnet-bus-abi-100");
    let architecture = printed(Command::new("dpkg-architecture").args(["-q", "DEB_HOST_ARCH"]));
    assert_eq!(control("Architecture"), architecture);
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(Command::new("dpkg-deb").arg("-R").arg(archive("deb")).arg(folder.path()));
    let shlibs = fs::read_to_string(folder.path().join("DEBIAN/shlibs")).expect("it is there");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(shlibs, format!("libnet 100 libnet-bus-abi-100, libnet-bus (>= {version})\n"));
    run(Command::new("md5sum")
        .args(["--check", "--strict", "--quiet", "DEBIAN/md5sums"])
        .current_dir(folder.path()));
}

/// A folder into which dpkg has unpacked all three packages. It refuses a file that two of them have.
struct System {
    root: TempDir,
    libdir: PathBuf,
}

enum Library {
    Bus,
    Debian,
}

impl System {
    fn with_both() -> System {
        let root = tempfile::tempdir().expect("a temporary folder");
        let database = root.path().join("var/lib/dpkg");
        for folder in ["info", "updates"] {
            fs::create_dir_all(database.join(folder)).expect("the folder is writable");
        }
        fs::write(database.join("status"), "").expect("the folder is writable");
        let mut dpkg = Command::new("fakeroot");
        dpkg.args(["dpkg", "--force-not-root", "--unpack"]).arg(format!("--root={}", root.path().display()));
        // Programs of the administrator, which dpkg wants to find.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        run(dpkg.env("PATH", path).arg(archive("deb")).args(debian_packages()));
        let multiarch = printed(Command::new("dpkg-architecture").args(["-q", "DEB_HOST_MULTIARCH"]));
        let libdir = root.path().join("usr/lib").join(multiarch.trim());
        System { root, libdir }
    }

    /// What a program prints that is linked with these libraries, in this order.
    fn build_and_run(&self, source: &str, libraries: &[Library]) -> String {
        let [file, program] = ["program.c", "program"].map(|name| self.root.path().join(name));
        fs::write(&file, source).expect("the folder is writable");
        let mut compiler = Command::new("cc");
        compiler.arg(&file).arg("-o").arg(&program);
        for library in libraries {
            match library {
                Library::Bus => {
                    let mut pkg_config = Command::new("pkg-config");
                    pkg_config.env("PKG_CONFIG_PATH", self.libdir.join("pkgconfig"));
                    let flags = printed(pkg_config.args(["--cflags", "--libs", "net"]));
                    compiler.args(flags.split_whitespace());
                }
                Library::Debian => {
                    compiler.arg("-I").arg(self.root.path().join("usr/include"));
                    compiler.arg("-L").arg(&self.libdir).arg("-lnet");
                }
            }
        }
        run(&mut compiler);
        printed(Command::new(&program).env("LD_LIBRARY_PATH", &self.libdir))
    }
}

/// Debian's packages, fetched once.
fn debian_packages() -> Vec<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
    let found = || -> Vec<PathBuf> {
        let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|file| file.extension().is_some_and(|extension| extension == "deb")).collect()
    };
    if found().len() < 2 {
        fs::create_dir_all(&folder).expect("the target folder is writable");
        let mut download = Command::new("apt-get");
        download.args([
            "--quiet",
            "--option",
            "APT::Sandbox::User=root",
            "download",
            "libnet1",
            "libnet1-dev",
        ]);
        let is_there = download.current_dir(&folder).output().is_ok_and(|output| output.status.success());
        if !is_there {
            run(Command::new("apt-get").args(["--quiet", "update"]));
            run(&mut download);
        }
    }
    found()
}

/// The names that a library defines for others.
fn symbols(options: &[&str], library: &Path) -> BTreeSet<String> {
    let names = printed(Command::new("nm").args(options).arg("--defined-only").arg(library));
    let names = names.lines().filter_map(|line| line.split_whitespace().nth(2));
    names.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect()
}
