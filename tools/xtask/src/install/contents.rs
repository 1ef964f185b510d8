//! What is installed: headers, the library in both forms and how it is found, `netload` with its pages and completions,
//! texts, examples, the module for Python and the package for Go.

use std::fs;
use std::path::{Path, PathBuf};

use super::licenses;
use super::templates::descriptions;
use super::{Content, Entry, Layout};
use crate::release;
use crate::shell::{self, Failure, Shell};

/// Every file, from what [`release::build`] has left and what git tracks.
pub(crate) fn contents(shell: &Shell, layout: &Layout) -> Result<Vec<Entry>, Failure> {
    let soname = format!("libnet.so.{}", release::abi_version(shell)?);
    let mut entries = libraries(shell, layout, &soname);
    entries.extend(descriptions(shell, layout, &soname)?);
    entries.extend(netload(shell, layout)?);
    let licenses = licenses::texts(shell)?;
    entries
        .push(Entry::new(layout.documentation.join("THIRD-PARTY-LICENSES"), Content::Bytes(licenses.into())));
    // Where the commands of the examples look for it.
    let module = PathBuf::from("python/libnet.py");
    let link = Content::Link(Path::new("../../../libnet").join(&module).display().to_string());
    entries.push(Entry::new(layout.documentation.join(module), link));
    for file in shell.tracked_files()? {
        if let Some(path) = place_of(&file, layout) {
            entries.push(Entry::new(path, Content::Copy(shell.path(&file))));
        }
    }
    Ok(entries)
}

fn libraries(shell: &Shell, layout: &Layout, soname: &str) -> Vec<Entry> {
    let link_name = &layout.link_name;
    [
        (soname.to_owned(), Content::Copy(release::file(shell, "libnet.so"))),
        (format!("lib{link_name}.so"), Content::Link(soname.to_owned())),
        (format!("lib{link_name}.a"), Content::Copy(release::file(shell, "libnet.a"))),
    ]
    .map(|(name, content)| Entry::new(layout.libdir.join(name), content))
    .into()
}

fn netload(shell: &Shell, layout: &Layout) -> Result<Vec<Entry>, Failure> {
    let program = release::file(shell, "netload");
    let completions = [
        ("bash", PathBuf::from("share/bash-completion/completions/netload")),
        ("zsh", layout.zsh.join("_netload")),
        ("fish", PathBuf::from("share/fish/vendor_completions.d/netload.fish")),
    ];
    let mut entries = Vec::new();
    for (name, path) in completions {
        let script =
            shell::output("netload completions", shell.command(&program).args(["completions", name]))?;
        entries.push(Entry::new(path, Content::Bytes(script)));
    }
    let pages = shell::scratch()?;
    shell::output("netload man", shell.command(&program).args(["man", "--out"]).arg(pages.path()))?;
    let unreadable = |source| Failure::File { path: pages.path().to_owned(), source };
    for page in fs::read_dir(pages.path()).map_err(unreadable)? {
        let page = page.map_err(unreadable)?;
        let text = fs::read(page.path()).map_err(unreadable)?;
        entries.push(Entry::new(Path::new("share/man/man1").join(page.file_name()), Content::Bytes(text)));
    }
    entries.push(Entry { path: "bin/netload".into(), content: Content::Copy(program), is_program: true });
    Ok(entries)
}

/// Where a file of the repository goes; `None` where it is not installed.
fn place_of(file: &Path, layout: &Layout) -> Option<PathBuf> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let name = file.file_name()?;
    let folder = file.parent()?;
    if folder == Path::new("include") && matches!(extension, Some("h" | "hpp")) {
        return Some(Path::new("include").join(name));
    }
    if folder == Path::new("ffi/python") && extension == Some("py") {
        return Some(Path::new("share/libnet/python").join(name));
    }
    if file.starts_with("ffi/examples") || file.starts_with("ffi/go") {
        return Some(layout.documentation.join(file.strip_prefix("ffi").ok()?));
    }
    if folder == Path::new("include") && extension == Some("md") && name != "INSTALL.md" {
        // Under their own names, which they link each other by, beside the README of the whole.
        return Some(layout.documentation.join("manual").join(name));
    }
    let is_text = TEXTS.iter().any(|text| file == Path::new(text));
    is_text.then(|| layout.documentation.join(name))
}

const TEXTS: [&str; 6] =
    ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT", "include/INSTALL.md"];
