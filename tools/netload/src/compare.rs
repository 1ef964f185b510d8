//! `netload compare`: two saved runs side by side, and what is to be called a regression.

use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use crate::args::CompareArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::outcome::KEPT_MIN;
use crate::report::grouped;
use crate::saved::{Saved, SavedRun};
use crate::slo::Percentile;

/// Prints both runs and fails on what the arguments name.
pub(crate) fn compare(arguments: &CompareArguments) -> Result<ExitStatus, Refusal> {
    let (before, after) = (only_run(&arguments.before)?, only_run(&arguments.after)?);
    for (what, pointer) in DIFFERENCES {
        let [was, is] =
            [&before, &after].map(|run| run.document.pointer(pointer).cloned().unwrap_or_default());
        if was != is {
            println!("note        {what} differs: {was} and {is}");
        }
    }
    for (name, run) in [("before", &before), ("after", &after)] {
        for (pointer, expected, remark) in REMARKS {
            if run.document.pointer(pointer).is_some_and(|value| *value != expected) {
                println!("note        {name}: {remark}");
            }
        }
        if run.document.pointer("/result/kept").and_then(Value::as_f64).is_some_and(|kept| kept < KEPT_MIN) {
            println!("note        {name}: it published less than 99 % of its load in its time");
        }
    }
    println!("{:12}{:>16}{:>16}{:>11}", "", "before", "after", "change");
    let shown = SHOWN.iter().filter_map(|name| name.parse().ok());
    let asked = arguments.fail_on.iter().map(|condition| condition.metric);
    let mut metrics: Vec<Metric> = Vec::new();
    for metric in shown.chain(asked) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    for metric in metrics {
        let (was, is) = (metric.of(&before), metric.of(&after));
        let [was_text, is_text] = [was, is].map(|value| grouped(format_args!("{value:.0}")));
        println!("{:12}{was_text:>16}{is_text:>16}{:>+10.1} %", metric.name(), change_percent(was, is));
    }
    let mut status = ExitStatus::Success;
    for condition in &arguments.fail_on {
        let change = change_percent(condition.metric.of(&before), condition.metric.of(&after));
        if condition.is_met_by(change) {
            println!("REGRESSION  {}: {change:+.1} %", condition.text);
            status = ExitStatus::Regression;
        }
    }
    Ok(status)
}

/// The run of a document that is one run.
fn only_run(path: &Path) -> Result<SavedRun, Refusal> {
    let why = "it is not a run of schema netload/1, of which one is compared";
    let saved = Saved::read(path)?;
    let is_run = !saved.is_of_rates();
    let run = saved.runs.into_iter().next().filter(|_| is_run);
    let refused = |why| Refusal::Document { path: path.to_owned(), why };
    let run = run.ok_or_else(|| refused(why))?;
    // Its percentiles would all be 0, better than those of any run.
    if run.response.is_empty() { Err(refused("it measured nothing")) } else { Ok(run) }
}

/// A change that is a regression, such as `p99>+5%` or `throughput<-3%`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    text: String,
    metric: Metric,
    is_above: bool,
    percent: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Throughput,
    Response(Percentile),
    Service(Percentile),
}

impl Metric {
    fn of(self, run: &SavedRun) -> f64 {
        match self {
            Metric::Throughput => run.throughput,
            Metric::Response(percentile) => percentile.of(&run.response) as f64,
            Metric::Service(percentile) => percentile.of(&run.service) as f64,
        }
    }

    fn name(self) -> String {
        match self {
            Metric::Throughput => "throughput".to_owned(),
            Metric::Response(percentile) => percentile.to_string(),
            Metric::Service(percentile) => format!("service-{percentile}"),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Metric, String> {
        match text.strip_prefix("service-") {
            _ if text == "throughput" => Ok(Metric::Throughput),
            Some(percentile) => percentile.parse().map(Metric::Service),
            None => text.parse().map(Metric::Response),
        }
    }
}

impl Condition {
    fn is_met_by(&self, change_percent: f64) -> bool {
        if self.is_above { change_percent > self.percent } else { change_percent < self.percent }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let parse = || {
            let at = text.find(['<', '>'])?;
            let percent = text[at + 1..]
                .trim()
                .strip_suffix('%')?
                .parse()
                .ok()
                .filter(|percent: &f64| percent.is_finite())?;
            let metric = text[..at].trim().parse().ok()?;
            Some(Condition { text: text.to_owned(), metric, is_above: text[at..].starts_with('>'), percent })
        };
        parse().ok_or_else(|| "expected such as p99>+5%, service-p50>+10% or throughput<-3%".to_owned())
    }
}

/// By how much a value has changed. From nothing to something counts as infinitely much.
fn change_percent(was: f64, is: f64) -> f64 {
    if was.total_cmp(&is).is_eq() { 0.0 } else { (is - was) / was * 100.0 }
}

const SHOWN: [&str; 9] =
    ["throughput", "p50", "p90", "p99", "p99.9", "p99.99", "max", "service-p50", "service-p99"];
/// What a run that is to be compared has, and what is said of one that has it not.
const REMARKS: [(&str, bool, &str); 2] = [
    ("/interrupted", false, "it was interrupted"),
    ("/result/clean", true, "it was not clean: events were lost or wrong, or something failed"),
];
/// What makes two runs hard to compare.
const DIFFERENCES: [(&str, &str); 9] = [
    ("processor", "/machine/processor"),
    ("number of CPUs", "/machine/cpus"),
    ("kernel", "/machine/kernel"),
    ("mode", "/settings/mode"),
    ("rate", "/settings/rate"),
    ("size", "/settings/size"),
    ("number of producers", "/settings/producers"),
    ("number of shards", "/settings/shards"),
    ("configuration", "/settings/config"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_beyond_its_change_only() {
        let met = |text: &str, change| text.parse::<Condition>().expect("valid").is_met_by(change);
        assert!(met("p99>+5%", 5.1) && !met("p99>+5%", 5.0) && !met("p99>+5%", -80.0));
        assert!(met("throughput<-3%", -3.1) && !met("throughput<-3%", -2.9));
        assert!(met("service-p99.9 > 10%", 11.0));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for wrong in ["", "p99", "p99>5", "latency>+5%", "p99=+5%", "throughput<%", "p99>nan%", "p99>inf%"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_from_nothing_is_infinite_and_no_change_is_none() {
        assert!(change_percent(0.0, 5.0).is_infinite());
        assert!(change_percent(0.0, 0.0).abs() < f64::EPSILON);
        assert!((change_percent(200.0, 190.0) + 5.0).abs() < 1e-9);
    }
}
