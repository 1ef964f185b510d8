//! A result of schema `netload/1` as it was saved: read, and refused where it is something else.

use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::Value;

use crate::config::Refusal;
use crate::document::{SCHEMA, decoded};
use crate::report::grouped;
use crate::series::Point;
use crate::stats::ShardAccount;

/// A document and the runs in it: one of a `run`, each of a `sweep` and a `peak`.
pub(crate) struct Saved {
    /// What tells it from the documents beside it: its file's name, or its verb.
    pub(crate) name: String,
    pub(crate) document: Value,
    pub(crate) runs: Vec<SavedRun>,
}

/// One run of a document.
pub(crate) struct SavedRun {
    pub(crate) document: Value,
    pub(crate) response: Histogram<u64>,
    pub(crate) service: Histogram<u64>,
    pub(crate) throughput: f64,
    pub(crate) series: Vec<Point>,
    /// Empty when the bus did not tell.
    pub(crate) shards: Vec<ShardAccount>,
}

impl Saved {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Saved, Refusal> {
        let refused = |why: &'static str| Refusal::Document { path: path.to_owned(), why };
        let text =
            fs::read_to_string(path).map_err(|source| Refusal::File { path: path.to_owned(), source })?;
        let document: Value = serde_json::from_str(&text).map_err(|_| refused("it is not JSON"))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Saved::of(name, document).map_err(refused)
    }

    /// What a document says, or why it is none.
    pub(crate) fn of(name: String, document: Value) -> Result<Saved, &'static str> {
        if document["schema"] != SCHEMA {
            return Err("it is not of schema netload/1");
        }
        let runs = match document["kind"].as_str() {
            Some("run") => vec![SavedRun::of(&document)?],
            Some("sweep" | "peak") => {
                let runs = document["runs"].as_array().ok_or("its runs are missing")?;
                let runs: Vec<SavedRun> = runs.iter().map(SavedRun::of).collect::<Result<_, _>>()?;
                match runs.iter().all(|run| run.rate().is_some()) {
                    _ if runs.is_empty() => return Err("it has no runs"),
                    false => return Err("one of its runs has no rate"),
                    true => runs,
                }
            }
            _ => return Err("it is neither a run nor a sweep nor a peak"),
        };
        Ok(Saved { name, document, runs })
    }

    /// Whether it is runs of different rates.
    pub(crate) fn is_of_rates(&self) -> bool {
        self.document["kind"] != "run"
    }
}

impl SavedRun {
    fn of(document: &Value) -> Result<SavedRun, &'static str> {
        let histogram = |name: &str| document["latency"][name]["hdr"].as_str().and_then(decoded);
        let (Some(response), Some(service)) = (histogram("response"), histogram("service")) else {
            return Err("its histograms are missing");
        };
        let throughput = document["result"]["throughput"].as_f64().ok_or("its throughput is missing")?;
        let series = Option::<Vec<Point>>::deserialize(&document["series"]);
        let shards = Option::<Vec<ShardAccount>>::deserialize(&document["shards"]);
        Ok(SavedRun {
            response,
            service,
            throughput,
            series: series.map_err(|_| "its series cannot be read")?.unwrap_or_default(),
            shards: shards.map_err(|_| "its shards cannot be read")?.unwrap_or_default(),
            document: document.clone(),
        })
    }

    /// What an open loop was to publish in a second.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.document["settings"]["rate"].as_f64()
    }

    /// The rate in words; `max` for a closed loop.
    pub(crate) fn rate_text(&self) -> String {
        self.rate().map_or("max".to_owned(), |rate| grouped(format_args!("{rate:.0}")))
    }
}
