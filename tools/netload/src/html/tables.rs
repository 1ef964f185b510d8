//! The tables of a page: results, percentiles, settings and machines.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use maud::{Markup, html};
use serde_json::Value;

use super::figures::NamedRun;
use super::style::Look;
use super::table::{Row, Table};
use super::units;
use crate::latency::PERCENTILES;
use crate::report::grouped;
use crate::saved::{Saved, SavedRun};

/// What came of each run.
pub(crate) fn results(runs: &[NamedRun]) -> Markup {
    let rows: [(&str, Cell); 15] = [
        ("verdict", verdict),
        ("throughput", |run| format!("{}/s", grouped(format_args!("{:.0}", run.throughput)))),
        ("rate asked for", |run| {
            run.rate().map_or("as fast as it goes".to_owned(), |_| format!("{}/s", run.rate_text()))
        }),
        ("kept of it", |run| percent(&run.document["result"]["kept"])),
        ("events measured", |run| whole(&run.document["result"]["events"])),
        ("seconds", |run| seconds(&run.document["result"]["seconds"])),
        ("skipped", |run| whole(&run.document["result"]["skipped"])),
        ("refused calls", |run| whole(&run.document["result"]["refused_calls"])),
        ("read back", |run| whole(&run.document["result"]["read_back"])),
        ("lost", |run| whole(&run.document["findings"]["lost"])),
        ("duplicated", |run| whole(&run.document["findings"]["duplicated"])),
        ("out of order", |run| whole(&run.document["findings"]["out_of_order"])),
        ("foreign", |run| whole(&run.document["findings"]["foreign"])),
        ("producers' cores", |run| cores(run, "producers_cpu_s")),
        ("process's cores", |run| cores(run, "process_cpu_s")),
    ];
    let rows = rows.map(|(name, cell)| Row { name: name.to_owned(), cells: cells(runs, cell) });
    Table {
        title: "Results",
        remark: "",
        columns: run_columns(runs),
        rows: rows.into(),
        shows_differences: false,
    }
    .draw()
}

/// Response, service and lag of each run.
pub(crate) fn percentiles(runs: &[NamedRun]) -> Markup {
    let mut rows = Vec::new();
    let histograms: [(&str, Durations); 2] =
        [("response", |run| &run.response), ("service", |run| &run.service)];
    for (what, of) in histograms {
        for (name, quantile) in PERCENTILES.into_iter().chain([("max", 1.0)]) {
            let cell = |run: &SavedRun| match of(run) {
                durations if durations.is_empty() => NOTHING.to_owned(),
                durations => units::duration(durations.value_at_quantile(quantile) as f64),
            };
            rows.push(Row { name: format!("{what} {name}"), cells: cells(runs, cell) });
        }
    }
    for (name, pointer) in [
        ("lag p50", "/generator/lag/percentiles_ns/p50"),
        ("lag p99", "/generator/lag/percentiles_ns/p99"),
        ("lag max", "/generator/lag/max_ns"),
    ] {
        let cell = |run: &SavedRun| {
            let is_empty = run.document["generator"]["lag"]["count"].as_u64().unwrap_or(0) == 0;
            let value = run.document.pointer(pointer).and_then(Value::as_f64).filter(|_| !is_empty);
            value.map_or(NOTHING.to_owned(), units::duration)
        };
        rows.push(Row { name: name.to_owned(), cells: cells(runs, cell) });
    }
    let remark = "Response counts from the moment an event was due, service from the moment its call began; lag is how \
        late the generator called.";
    Table { title: "Latency", remark, columns: run_columns(runs), rows, shows_differences: false }.draw()
}

/// What the runs were told to do. Where it is the same for all, it is said once.
pub(crate) fn settings(runs: &[NamedRun]) -> Markup {
    let flat: Vec<_> = runs.iter().map(|run| flat(&run.run.document["settings"])).collect();
    let columns = run_columns(runs);
    Table { title: "Settings", remark: "", columns, rows: compared(&flat), shows_differences: true }.draw()
}

/// The machines that the results come from.
pub(crate) fn machines(results: &[Saved]) -> Markup {
    let flat: Vec<_> = results
        .iter()
        .map(|saved| {
            let mut machine = flat(&saved.document["machine"]);
            for key in ["libnet", "commit"] {
                machine.insert(key.to_owned(), text(&saved.document[key]));
            }
            machine
        })
        .collect();
    let columns = results.iter().map(|saved| html! { (saved.name) }).collect();
    Table { title: "Machine", remark: "", columns, rows: compared(&flat), shows_differences: true }.draw()
}

/// In a word or two, what is to be said of a run.
pub(crate) fn verdict(run: &SavedRun) -> String {
    let result = &run.document["result"];
    let mut said = Vec::new();
    if run.document["interrupted"] == true {
        said.push("interrupted");
    }
    if result["clean"] == false {
        said.push("NOT OK");
    }
    if result["kept"].as_f64().is_some_and(|kept| kept < 0.99) {
        said.push("too slow");
    }
    if said.is_empty() { "ok".to_owned() } else { said.join(", ") }
}

/// The names of runs, each with the look of its lines where there are several.
fn run_columns(runs: &[NamedRun]) -> Vec<Markup> {
    let sample = |index| (runs.len() > 1).then(|| Look::of(index).sample());
    let columns = runs.iter().enumerate();
    columns
        .map(|(index, run)| html! { @if let Some(sample) = sample(index) { (sample) } (run.name) })
        .collect()
}

fn cells(runs: &[NamedRun], cell: impl Fn(&SavedRun) -> String) -> Vec<String> {
    runs.iter().map(|run| cell(run.run)).collect()
}

/// A row for every key that any of these has.
fn compared(columns: &[BTreeMap<String, String>]) -> Vec<Row> {
    let mut names: Vec<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    names.sort_unstable();
    names.dedup();
    let cell = |column: &BTreeMap<String, String>, name: &String| {
        column.get(name).map_or(NOTHING.to_owned(), Clone::clone)
    };
    let row = |name: &String| Row {
        name: name.replace('_', " "),
        cells: columns.iter().map(|column| cell(column, name)).collect(),
    };
    names.into_iter().map(row).collect()
}

/// The values of an object and of those in it, by their path.
fn flat(object: &Value) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                values
                    .extend(flat(value).into_iter().map(|(inner, text)| (format!("{key} · {inner}"), text)));
            }
            value => drop(values.insert(key.clone(), text(value))),
        }
    }
    values
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        value if value.is_u64() => grouped(value),
        value => value.to_string(),
    }
}

fn whole(value: &Value) -> String {
    value.as_u64().map_or(NOTHING.to_owned(), grouped)
}

fn seconds(value: &Value) -> String {
    value.as_f64().map_or(NOTHING.to_owned(), |seconds| format!("{seconds:.3}"))
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or(NOTHING.to_owned(), |part| format!("{:.1} %", part * 100.0))
}

fn cores(run: &SavedRun, key: &str) -> String {
    let generator = &run.document["generator"];
    let whole_s = generator["whole_s"].as_f64().filter(|whole_s| *whole_s > 0.0);
    let used = generator[key].as_f64().zip(whole_s).map(|(used_s, whole_s)| used_s / whole_s);
    used.map_or(NOTHING.to_owned(), |cores| format!("{cores:.2}"))
}

/// What a cell says of a run.
type Cell = fn(&SavedRun) -> String;
type Durations = fn(&SavedRun) -> &Histogram<u64>;

/// Where there is nothing to say.
const NOTHING: &str = "–";
