//! `netload report`: saved results again, as text and as a page.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::args::ReportArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::html;
use crate::latency;
use crate::output::Target;
use crate::saved::{Saved, SavedRun};

/// Prints the percentiles of every result, and saves all of them as one page where the arguments name it.
pub(crate) fn report(arguments: &ReportArguments) -> Result<ExitStatus, Refusal> {
    let mut results = Vec::new();
    for path in &arguments.results {
        results.push(Saved::read(path)?);
    }
    tell_apart(&mut results, &arguments.results);
    let page = arguments.html.as_deref().map(Target::open).transpose()?;
    if let Some(page) =
        page.as_ref().filter(|page| arguments.results.iter().any(|path| page.would_replace(path)))
    {
        return Err(Refusal::SameFile(page.path().to_owned()));
    }
    for (index, (saved, path)) in results.iter().zip(&arguments.results).enumerate() {
        let separator = if index > 0 { "\n" } else { "" };
        println!("{separator}{}: {}", path.display(), summary(saved));
        print!("{}", text(saved));
    }
    if let Some(page) = page {
        page.write(html::page(&results).as_bytes())?;
    }
    Ok(ExitStatus::Success)
}

/// Names results by their whole paths where the names of their files are not enough.
fn tell_apart(results: &mut [Saved], paths: &[PathBuf]) {
    let names: HashSet<&str> = results.iter().map(|saved| saved.name.as_str()).collect();
    if names.len() < results.len() {
        for (saved, path) in results.iter_mut().zip(paths) {
            saved.name = path.display().to_string();
        }
    }
}

/// The percentiles as a table: of a run its response and service times, of runs of different rates each one's response
/// times.
fn text(saved: &Saved) -> String {
    match saved.runs.as_slice() {
        [run] if !saved.is_of_rates() => {
            latency::table(&[("response", &run.response), ("service", &run.service)])
        }
        runs => {
            let names: Vec<String> = runs.iter().map(SavedRun::rate_text).collect();
            let rows = names.iter().zip(runs).map(|(name, run)| (name.as_str(), &run.response));
            latency::table(&rows.collect::<Vec<_>>())
        }
    }
}

fn summary(saved: &Saved) -> String {
    let what = match saved.runs.as_slice() {
        [run] if !saved.is_of_rates() => format!("a run at {} events/s", run.rate_text()),
        runs => format!(
            "{} of {} runs by events/s",
            saved.document["kind"].as_str().unwrap_or_default(),
            runs.len()
        ),
    };
    let interrupted = saved.runs.iter().any(|run| run.document["interrupted"] == true);
    format!("{what}, in nanoseconds{}", if interrupted { "; interrupted" } else { "" })
}
