//! Pages as headless Chromium shows them: in two widths, and in both colour schemes.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A page as it was shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) page: String,
    pub(crate) is_dark: bool,
    pub(crate) width: u32,
    pub(crate) figures: usize,
    /// The plots that are visible.
    pub(crate) plots: Vec<Plot>,
    pub(crate) complaints: Vec<String>,
}

/// A plot, and the names of the data in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) names: Vec<String>,
}

/// Every one of these pages, by name, in every width and scheme.
pub(crate) fn look_at(pages: &[(&str, &str)]) -> Vec<Shown> {
    let frames: String = pages.iter().flat_map(|page| WIDTHS.map(|width| frame(page, width))).collect();
    let wrapper = format!("<!DOCTYPE html><meta charset=utf-8><script>{PROBE}</script><body>{frames}</body>");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrapper.html");
    fs::write(&path, wrapper).expect("writable");
    let shown: Vec<Shown> = SCHEMES.iter().flat_map(|scheme| found(&dump(&path, scheme))).collect();
    assert_eq!(shown.len(), pages.len() * WIDTHS.len() * SCHEMES.len(), "a page was not shown");
    shown
}

/// The document that a file has become, as text.
fn dump(path: &std::path::Path, scheme: &str) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("chromium");
    command.args(OPTIONS).arg(scheme);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("file://{}", path.display()));
    let output = command.output().unwrap_or_else(|error| {
        panic!("chromium does not start: {error}; this test needs it (Debian's package `chromium`)")
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "chromium failed: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn found(document: &str) -> Vec<Shown> {
    let (_, rest) = document.split_once("<pre id=\"found\">").expect("the probe has found something");
    let (encoded, _) = rest.split_once("</pre>").expect("an element ends");
    let json = STANDARD.decode(encoded).expect("base64");
    serde_json::from_slice(&json).expect("JSON")
}

fn frame((name, page): &(&str, &str), width: u32) -> String {
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<iframe data-page=\"{name}\" width={width} height=800 style=\"border:0\" srcdoc=\"{page}\"></iframe>"
    )
}

const PROBE: &str = include_str!("probe.js");
const WIDTHS: [u32; 2] = [360, 1280];
/// What a page finds preferred: dark, then light.
const SCHEMES: [&str; 2] =
    ["--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"];
const OPTIONS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--dump-dom",
];
