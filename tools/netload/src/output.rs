//! The files of a result. They are opened before the run, so that a run is not lost to a name that cannot be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::args::DocumentArguments;
use crate::config::Refusal;
use crate::html;
use crate::saved::Saved;

/// Where a result is saved.
pub(crate) struct Output {
    json: Option<Target>,
    html: Option<Target>,
    hgrm: Option<Target>,
}

/// A file that is open for its result.
pub(crate) struct Target {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Opens what the arguments name, and `hgrm`. What a file held stays until there is a result.
    pub(crate) fn open(arguments: &DocumentArguments, hgrm: Option<&Path>) -> Result<Output, Refusal> {
        let open = |path: Option<&Path>| path.map(Target::open).transpose();
        let (json, html) = (open(arguments.json.as_deref())?, open(arguments.html.as_deref())?);
        let hgrm = open(hgrm)?;
        let targets: Vec<&Target> = [&json, &html, &hgrm].into_iter().flatten().collect();
        for (index, target) in targets.iter().enumerate() {
            if targets[..index].iter().any(|other| target.would_replace(&other.path)) {
                return Err(Refusal::SameFile(target.path.clone()));
            }
        }
        Ok(Output { json, html, hgrm })
    }

    /// Saves the document and the distribution of the response times.
    pub(crate) fn save(mut self, document: Value, response: &Histogram<u64>) -> Result<(), Refusal> {
        if let Some(hgrm) = self.hgrm.take() {
            hgrm.write(distribution(response).as_bytes())?;
        }
        self.save_document(document)
    }

    /// Saves the document alone, as JSON and as a page.
    pub(crate) fn save_document(self, document: Value) -> Result<(), Refusal> {
        if let Some(json) = self.json {
            json.write(format!("{document:#}\n").as_bytes())?;
        }
        let Some(html) = self.html else { return Ok(()) };
        let name = document["kind"].as_str().unwrap_or_default().to_owned();
        let saved = Saved::of(name, document).expect("a result is of the schema that it was made for");
        html.write(html::page(&[saved]).as_bytes())
    }
}

impl Target {
    /// Opens the file, and leaves what it holds.
    pub(crate) fn open(path: &Path) -> Result<Target, Refusal> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        file.map(|file| Target { path: path.to_owned(), file }).map_err(|source| unwritable(path, source))
    }

    /// Whether it is the file at `path`, of which nothing would be left. A device or a pipe replaces nothing.
    pub(crate) fn would_replace(&self, path: &Path) -> bool {
        let (Ok(own), Ok(other)) = (self.file.metadata(), fs::metadata(path)) else { return false };
        own.is_file() && (own.dev(), own.ino()) == (other.dev(), other.ino())
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces what the file holds.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_file { self.file.set_len(0).and_then(|()| self.file.rewind()) } else { Ok(()) };
        let written = emptied.and_then(|()| self.file.write_all(bytes)).and_then(|()| self.file.flush());
        written.map_err(|source| unwritable(&self.path, source))
    }
}

fn unwritable(path: &Path, source: io::Error) -> Refusal {
    Refusal::Output { path: path.to_owned(), source }
}

/// The percentile distribution, in microseconds, in the text form that `HdrHistogram`'s plotters read.
fn distribution(histogram: &Histogram<u64>) -> String {
    let mut count = 0;
    let rows = histogram.iter_quantiles(STEPS_PER_HALF_DISTANCE).map(|step| {
        let (value_us, quantile) = (micros(step.value_iterated_to()), step.quantile_iterated_to());
        // The last row is everything, and has no inverse.
        let inverse = if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        count += step.count_since_last_iteration();
        format!("{value_us:12.3} {quantile:2.12} {count:10} {inverse}\n")
    });
    let rows: Vec<String> = rows.collect();
    let header =
        format!("{:>12} {:>14} {:>10} {:>14}", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let moments = format!(
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        histogram.mean() / 1e3,
        histogram.stdev() / 1e3
    );
    let extent =
        format!("#[Max     = {:12.3}, Total count    = {:12}]", micros(histogram.max()), histogram.len());
    let buckets = format!("#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]", histogram.buckets());
    format!("{header}\n\n{}{moments}\n{extent}\n{buckets}\n", rows.concat())
}

fn micros(value_ns: u64) -> f64 {
    value_ns as f64 / 1e3
}

const STEPS_PER_HALF_DISTANCE: u32 = 5;
/// Of a histogram that is exact to three digits.
const SUB_BUCKETS: u32 = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::histogram;

    #[test]
    fn the_distribution_ends_with_every_value_and_the_maximum() {
        let mut durations = histogram();
        (1..=1_000).for_each(|value| durations.record(value * 1_000).expect("in bounds"));
        let text = distribution(&durations);
        let last = text.lines().rfind(|line| !line.starts_with('#')).expect("a row");
        assert_eq!(last.split_whitespace().collect::<Vec<_>>(), ["1000.447", "1.000000000000", "1000"]);
        assert!(text.contains("Total count    =         1000"), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_before_the_run_and_one_that_can_keeps_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.json");
        let open = |path: PathBuf| Output::open(&DocumentArguments { json: Some(path), html: None }, None);
        assert!(matches!(open(folder.path().join("no/such.json")), Err(Refusal::Output { .. })));
        std::fs::write(&path, "an earlier and longer result").expect("writable");
        let output = open(path.clone()).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "an earlier and longer result");
        output.save(serde_json::json!(1), &histogram()).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "1\n");
    }
}
