//! Where the files of an installation go, below its prefix.

use std::path::{Component, Path, PathBuf};

use crate::shell::Failure;

/// Folders and names.
pub(crate) struct Layout {
    /// Libraries.
    pub(crate) libdir: PathBuf,
    /// Programs link `-l<link_name>`.
    pub(crate) link_name: String,
    /// Texts and examples.
    pub(crate) documentation: PathBuf,
    /// Completions for zsh.
    pub(crate) zsh: PathBuf,
}

impl Layout {
    /// The usual folders.
    pub(crate) fn new(libdir: &Path, link_name: &str) -> Result<Layout, Failure> {
        let names = |component: Component<'_>| matches!(component, Component::Normal(_));
        if libdir.components().next().is_none() || !libdir.components().all(names) {
            let libdir = libdir.display();
            return Err(Failure::Install(format!("--libdir {libdir} is not a folder below the prefix")));
        }
        if !is_name(link_name) {
            return Err(Failure::Install(format!("--link-name {link_name} is not the name of a library")));
        }
        Ok(Layout {
            libdir: libdir.components().collect(),
            link_name: link_name.to_owned(),
            documentation: "share/doc/libnet".into(),
            zsh: "share/zsh/site-functions".into(),
        })
    }

    /// From a folder of [`Layout::libdir`] to the prefix.
    pub(crate) fn up(&self) -> String {
        vec![".."; self.libdir.components().count() + 1].join("/")
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_part)
}
