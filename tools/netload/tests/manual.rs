//! Completions and manual pages: shells and `man` take them, and every verb and option is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn bash_takes_its_completions_and_completes_verbs_and_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("netload.bash");
    fs::write(&path, netload(&["completions", "bash"]).stdout).expect("writable");
    let checked = bash(&["-n", &path.display().to_string()]);
    assert!(checked.status.success(), "{}", text(&checked));
    let complete = |words: &[&str]| {
        let script = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _netload netload "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; printf '%s\n' "${COMPREPLY[@]}""#;
        let output = bash(&[&["-c", script, "bash", &path.display().to_string()], words].concat());
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["netload", "ru"]), ["run"]);
    assert_eq!(complete(&["netload", "run", "--key-f"]), ["--key-field"]);
    assert_eq!(complete(&["netload", "verify", "--mode", "su"]), ["subscribe"]);
    for verb in verbs() {
        let options: BTreeSet<String> = complete(&["netload", &verb, "-"]).into_iter().collect();
        assert!(options_of(&verb).is_subset(&options), "{verb}: {options:?}");
    }
}

#[test]
fn every_shell_has_completions_and_another_is_refused() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = netload(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        for verb in verbs() {
            assert!(text(&output).contains(&verb), "{shell}: {verb}");
        }
    }
    assert_eq!(netload(&["completions", "cmd"]).status.code(), Some(64));
}

#[test]
fn every_manual_page_is_rendered_without_a_warning_and_has_every_option() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = netload(&["man", "--out", &folder.path().join("man1").display().to_string()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written));
    for verb in verbs() {
        let page = rendered(&folder.path().join(format!("man1/netload-{verb}.1")));
        for option in options_of(&verb) {
            assert!(page.contains(&option), "{verb} {option}: {page}");
        }
        assert!(page.contains("Examples:"), "{verb}: {page}");
    }
    let page = rendered(&folder.path().join("man1/netload.1"));
    assert!(verbs().iter().all(|verb| page.contains(&format!("netload-{verb}(1)"))), "{page}");
    let single = folder.path().join("netload.1");
    fs::write(&single, netload(&["man"]).stdout).expect("writable");
    assert!(rendered(&single).contains("Exit status"), "{page}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("writable");
    let output = netload(&["man", "--out", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains(&file.display().to_string()), "{}", text(&output));
}

/// The page as `man` shows it; a warning fails.
fn rendered(path: &Path) -> String {
    let mut command = Command::new("groff");
    command.args(["-Kutf8", "-man", "-ww", "-Tutf8", "-P-cbou"]).arg(path);
    let output = command.output().expect("groff runs (`cargo xtask deps` installs it)");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
    // Some versions print the hyphen of an option as a minus sign.
    String::from_utf8_lossy(&output.stdout).replace(['−', '‐'], "-")
}

/// The verbs as `netload --help` lists them.
fn verbs() -> Vec<String> {
    let help = text(&netload(&["--help"]));
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = list.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let verbs: Vec<String> = verbs.filter(|verb| verb != "help").collect();
    assert!(verbs.len() >= 8, "{help}");
    verbs
}

/// The options as the verb's help lists them.
fn options_of(verb: &str) -> BTreeSet<String> {
    let help = text(&netload(&[verb, "-h"]));
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',']).filter(|word| word.starts_with("--")).take(1));
    words.map(str::to_owned).collect()
}

fn bash(words: &[&str]) -> Output {
    Command::new("bash").args(words).output().expect("bash runs (`cargo xtask deps` installs it)")
}

fn netload(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netload")).args(words).output().expect("netload runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
