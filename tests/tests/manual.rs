//! The C manual's recipes are programs that compile as they stand and print what the manual says.

use std::fs;
use std::process::Command;

use harness::c::run_command;
use harness::documents::{block, compile, document, section};
use tempfile::TempDir;

/// The program of a section, compiled in a folder of its own, and what it is said to print.
struct Recipe {
    folder: TempDir,
    printed: Option<String>,
}

impl Recipe {
    fn of(title: &str) -> Recipe {
        let manual = document("include/README.md");
        let section = section(&manual, title);
        let folder = tempfile::tempdir().expect("a temporary folder");
        // What it needs beyond C11 it names, as far as a recipe may leave that to the compiler's own standard.
        let program = format!("#define _DEFAULT_SOURCE\n{}", block(section, "c", 0));
        fs::write(folder.path().join("recipe.c"), program).expect("the folder is writable");
        compile(folder.path(), "recipe");
        let printed = section.contains("```text\n").then(|| block(section, "text", 0));
        Recipe { folder, printed }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut program = Command::new("./recipe");
        run_command(program.current_dir(self.folder.path()).args(arguments)).stdout
    }
}

#[test]
fn the_event_loop_prints_what_it_says() {
    let recipe = Recipe::of("An event loop");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn the_consumer_goes_on_behind_what_it_had_when_it_starts_again() {
    let recipe = Recipe::of("Go on after a restart");
    assert_eq!(Some(recipe.run(&[]) + &recipe.run(&[])), recipe.printed);
}

#[test]
fn the_producer_waits_and_loses_nothing_where_there_is_room() {
    let recipe = Recipe::of("Back pressure");
    assert_eq!(recipe.run(&[r#"{"num_shards":1,"backpressure_mode":"FailProducer"}"#]), "");
}

#[test]
fn the_flush_is_a_commit() {
    let recipe = Recipe::of("Flush and durability");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn workers_have_buses_of_their_own_and_a_later_child_is_refused() {
    let recipe = Recipe::of("Fork");
    assert_eq!(Some(recipe.run(&[])), recipe.printed);
}

#[test]
fn the_calls_of_the_seccomp_filter_are_enough() {
    let recipe = Recipe::of("Seccomp");
    for config in [r#"{"num_shards":2}"#, r#"{"num_shards":1,"log":{"dir":"events"}}"#] {
        assert_eq!(Some(recipe.run(&[config])), recipe.printed, "{config}");
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unit = folder.path().join("service.service");
    let shown = block(&document("include/README.md"), "ini", 0);
    fs::write(&unit, shown.replace("/usr/local/bin/service", "/bin/true")).expect("the folder is writable");
    let output = run_command(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert_eq!(output.stderr + &output.stdout, "");
}

#[test]
fn the_json_that_the_manual_shows_is_json() {
    let manual = document("include/README.md");
    for index in 0..manual.matches("```json\n").count() {
        let shown = block(&manual, "json", index);
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&shown);
        assert!(parsed.is_ok(), "{shown}");
    }
}
