//! The licences of the crates in the library and in `netload`: what each is under, and the texts that go with copies of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::release;
use crate::shell::{self, Failure, Shell};

/// All of them, as one text.
pub(super) fn texts(shell: &Shell) -> Result<String, Failure> {
    let mut cargo = shell.cargo();
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &release::target(shell)?,
    ]);
    let metadata = shell::output("cargo metadata", &mut cargo)?;
    let metadata: Value = serde_json::from_slice(&metadata)
        .map_err(|error| Failure::Install(format!("what cargo says of the crates: {error}")))?;
    let mut list = Vec::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked(&metadata) {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", field("name"), field("version"));
        list.push(format!("{name}: {}", field("license")));
        let folder = Path::new(field("manifest_path")).parent().unwrap_or(Path::new(""));
        for path in files(folder, package["license_file"].as_str())? {
            let text = fs::read_to_string(&path).map_err(|source| Failure::File { path, source })?;
            texts.entry(text.replace('\r', "").trim().to_owned()).or_default().push(name.clone());
        }
    }
    let texts = texts.iter().map(|(text, of)| format!("{RULE}\n{}\n\n{text}\n", of.join(", ")));
    Ok(format!("{INTRODUCTION}\n{}\n\n{}", list.join("\n"), texts.collect::<Vec<_>>().join("\n")))
}

/// The packages of others that our programs are made of, in the order of their names.
fn linked(metadata: &Value) -> Vec<&Value> {
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let is_ours = |package: &Value| package["source"].is_null();
    let roots = packages.iter().filter(|(_, package)| {
        is_ours(package) && package["name"].as_str().is_some_and(|name| ROOTS.contains(&name))
    });
    let mut left: Vec<&str> = roots.map(|(id, _)| *id).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            let deps = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
            left.extend(deps.filter(|dep| is_linked(dep)).filter_map(|dep| dep["pkg"].as_str()));
        }
    }
    let mut found: Vec<&Value> =
        found.iter().filter_map(|id| packages.get(id).copied()).filter(|package| !is_ours(package)).collect();
    found.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    found
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().filter_map(|entry| Some((entry["id"].as_str()?, entry))).collect()
}

/// Whether a dependency is one of the program, and not only of its tests or of how it is built.
fn is_linked(dep: &Value) -> bool {
    dep["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null())
}

/// The texts in a crate's folder.
fn files(folder: &Path, named: Option<&str>) -> Result<BTreeSet<PathBuf>, Failure> {
    let unreadable = |source| Failure::File { path: folder.to_owned(), source };
    let mut files: BTreeSet<PathBuf> = named.map(|name| folder.join(name)).into_iter().collect();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.insert(path);
        }
    }
    Ok(files)
}

/// The packages whose programs are installed.
const ROOTS: [&str; 2] = ["libnet", "netload"];
/// How the names of such texts begin.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
const INTRODUCTION: &str = "libnet and netload have in them the crates of this list, each under the licence behind its name, and the \
    standard library of Rust (MIT or Apache-2.0). The texts that go with copies of them follow.\n";
const RULE: &str = "----------------------------------------------------------------------";
