//! `libnet-bus_VERSION_ARCHITECTURE.deb`, which has no file in common with Debian's own libnet: programs link it as
//! `-lnet-bus`, and load it as every program does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Distribution, commit};
use crate::install::{Content, Entry, Layout, place, render};
use crate::release::{self, VERSION};
use crate::shell::{self, Failure, Shell};

/// Makes it and gives its name.
pub(super) fn make(distribution: &Distribution) -> Result<String, Failure> {
    let shell = distribution.shell;
    let multiarch = architecture(shell, "DEB_HOST_MULTIARCH")?;
    let architecture = architecture(shell, "DEB_HOST_ARCH")?;
    let mut layout = Layout::new(&Path::new("lib").join(multiarch), "net-bus")?;
    layout.documentation = "share/doc/libnet-bus".into();
    layout.zsh = "share/zsh/vendor-completions".into();

    let scratch = shell::scratch()?;
    let package = scratch.path().join("debian/libnet-bus");
    let root = package.join("usr");
    distribution.stage(&layout, &root)?;
    documents_as_debian_has_them(shell, &layout, &root)?;
    let abi = release::abi_version(shell)?;
    let values = [
        ("VERSION", VERSION.to_owned()),
        ("ABI", abi.clone()),
        ("ARCHITECTURE", architecture.clone()),
        ("MAINTAINER", maintainer()),
        ("DEPENDS", dependencies(shell, scratch.path(), &root, &layout)?),
        ("INSTALLED_KIB", installed_kib(&root)?.to_string()),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    let sums = checksums(shell, &package)?;
    let text = |path, text: String| Entry::new(path, Content::Bytes(text.into()));
    let control = [
        text("control", render(CONTROL, &values)),
        text("md5sums", sums),
        text("triggers", "activate-noawait ldconfig\n".to_owned()),
        // A package of another interface does not provide this name, and an older one may lack functions.
        text("shlibs", format!("libnet {abi} libnet-bus-abi-{abi}, libnet-bus (>= {VERSION})\n")),
    ];
    place(&control, &package.join("DEBIAN"))?;

    let name = format!("libnet-bus_{VERSION}_{architecture}.deb");
    let mut build = shell.command("dpkg-deb");
    build
        .args(["--build", "--root-owner-group", "-Zxz", "-z2"])
        .arg(&package)
        .arg(distribution.out.join(&name));
    shell::stage("the package", build.env("SOURCE_DATE_EPOCH", &distribution.epoch))?;
    Ok(name)
}

fn architecture(shell: &Shell, variable: &str) -> Result<String, Failure> {
    let said = shell::output("dpkg-architecture", shell.command("dpkg-architecture").args(["-q", variable]))?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// Manual pages compressed, the licences as one file, and a changelog of the package.
fn documents_as_debian_has_them(shell: &Shell, layout: &Layout, root: &Path) -> Result<(), Failure> {
    let folder = root.join(&layout.documentation);
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let path = folder.join(license);
        fs::remove_file(&path).map_err(|source| Failure::File { path, source })?;
    }
    let mit = shell.path("LICENSE-MIT");
    let mit = fs::read_to_string(&mit).map_err(|source| Failure::File { path: mit, source })?;
    let mit: Vec<String> =
        mit.lines().map(|line| format!(" {}", if line.is_empty() { "." } else { line })).collect();
    let copyright = render(COPYRIGHT, &[("MIT", &mit.join("\n"))]);
    let (maintainer, date) = (maintainer(), commit(shell, "%cD")?);
    let values = [("VERSION", VERSION), ("MAINTAINER", &maintainer), ("DATE", &date)];
    let text = |name, text: String| Entry::new(name, Content::Bytes(text.into()));
    place(&[text("copyright", copyright), text("changelog", render(CHANGELOG, &values))], &folder)?;
    let mut compressed = files(&root.join("share/man"))?;
    compressed.push(folder.join("changelog"));
    shell::output("gzip", shell.command("gzip").arg("-9n").args(compressed)).map(|_| ())
}

/// The packages that the programs need, as Debian derives them from the symbols that they use.
fn dependencies(shell: &Shell, scratch: &Path, root: &Path, layout: &Layout) -> Result<String, Failure> {
    let source = "Source: libnet-bus\n\nPackage: libnet-bus\nArchitecture: any\n".to_owned();
    place(&[Entry::new("debian/control", Content::Bytes(source.into()))], scratch)?;
    let mut shlibdeps = shell.command("dpkg-shlibdeps");
    shlibdeps.current_dir(scratch).arg("-O");
    for file in files(&root.join(&layout.libdir))?.iter().filter(|file| is_shared_library(file)) {
        shlibdeps.arg("-e").arg(file);
    }
    let said = shell::output("dpkg-shlibdeps", shlibdeps.arg("-e").arg(root.join("bin/netload")))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let depends = said.trim().strip_prefix("shlibs:Depends=").map(str::to_owned);
    depends.ok_or_else(|| Failure::Install(format!("dpkg-shlibdeps names no packages: {said}")))
}

fn is_shared_library(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().contains(".so."))
}

fn installed_kib(root: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for path in files(root)? {
        let metadata = fs::metadata(&path).map_err(|source| Failure::File { path, source })?;
        bytes += metadata.len();
    }
    Ok(bytes.div_ceil(1024))
}

fn checksums(shell: &Shell, package: &Path) -> Result<String, Failure> {
    let files = files(package)?;
    let files = files.iter().map(|file| file.strip_prefix(package).expect("it lies there"));
    let sums = shell::output("md5sum", shell.command("md5sum").current_dir(package).args(files))?;
    Ok(String::from_utf8_lossy(&sums).into_owned())
}

/// Every regular file below a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let unreadable = |source| Failure::File { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whom the package names, as Debian's own tools are told.
fn maintainer() -> String {
    let variable = |name, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let (name, address) =
        (variable("DEBFULLNAME", "The libnet authors"), variable("DEBEMAIL", "authors@libnet.invalid"));
    format!("{name} <{address}>")
}

const CHANGELOG: &str = include_str!("../../../../ffi/packaging/changelog.in");
const CONTROL: &str = include_str!("../../../../ffi/packaging/control.in");
const COPYRIGHT: &str = include_str!("../../../../ffi/packaging/copyright.in");
