//! `cargo xtask figures` runs this program: it measures, prints one table, and saves the report.
//!
//! `--form full|quick|check|smoke` says how much; `--output FOLDER` where `FIGURES.md` and `figures.json` go, and without it
//! nothing is saved. Under `cargo test` it only shows that it runs.

#![allow(clippy::print_stdout, reason = "a report for a person")]

use std::path::Path;
use std::process::ExitCode;

use libnet_benches::figures::{self, Effort};
use libnet_benches::log::reopening;
use libnet_benches::{check, report::Report};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // This program starts itself so, as a process that is to be killed.
    if let [_, word, folder, events] = arguments.as_slice()
        && word == reopening::FILL_AND_DIE
    {
        reopening::fill_and_die(Path::new(folder), events.parse().expect("a number of events"));
    }
    let value_of = |name| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    // `cargo bench` says so; anything else runs the short form.
    let otherwise = if arguments.iter().any(|argument| argument == "--bench") { "full" } else { "smoke" };
    let form = value_of("--form").unwrap_or(otherwise);
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("nothing measured: the floors need two CPUs");
        return if form == "smoke" { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let effort = match form {
        "full" => Effort::FULL,
        "quick" => Effort::QUICK,
        "smoke" => Effort::SMOKE,
        "check" => return hold_bounds(),
        other => panic!("there is no form `{other}`"),
    };
    let report = figures::run(&effort, |next| println!("measuring {next}"));
    println!("\n{}", report.table());
    if let Some(folder) = value_of("--output") {
        save(&report, Path::new(folder)).expect("the folder is writable");
    }
    ExitCode::SUCCESS
}

fn hold_bounds() -> ExitCode {
    let mut held = true;
    for verdict in check::run() {
        let word = if verdict.is_held() { "held" } else { "BROKEN" };
        let (percent, least) = (verdict.percent, verdict.least_percent);
        println!("{word:6} {:45} {percent:5.1} % of the floor's speed, at least {least} %", verdict.name);
        held &= verdict.is_held();
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn save(report: &Report, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("FIGURES.md"), report.to_string())?;
    std::fs::write(folder.join("figures.json"), serde_json::to_vec_pretty(report)?)
}
