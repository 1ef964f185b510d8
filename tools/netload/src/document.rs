//! A result as JSON: schema `netload/1`, which `tools/README.md` documents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde_json::{Value, json};

use crate::bus;
use crate::config::{Limit, Plan, Work};
use crate::input::Input;
use crate::latency::PERCENTILES;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::pace::Arrival;
use crate::scratch::discreet;
use crate::sizes::{SizeRange, Sizes};
use crate::subscription::Wait;
use crate::values::Mode;

/// The document of one run.
pub(crate) fn of_run(plan: &Plan, outcome: &Outcome) -> Value {
    let mut document = header("run");
    let body = json!({
        "began_s": outcome.began_s,
        "interrupted": outcome.interrupted,
        "settings": settings(plan, outcome),
        "result": {
            "seconds": outcome.active.as_secs_f64(),
            "events": outcome.measured,
            "bytes": outcome.measured_bytes,
            "throughput": outcome.rate(),
            "kept": outcome.kept,
            "skipped": outcome.skipped,
            "warmup_events": outcome.accepted - outcome.measured,
            "refused_calls": outcome.refused,
            "read_back": outcome.read.events,
            "clean": outcome.is_clean(),
            "failures": outcome.failures,
        },
        "findings": outcome.findings.map(|findings| json!({
            "returned": findings.returned,
            "lost": findings.lost,
            "duplicated": findings.duplicated,
            "out_of_order": findings.out_of_order,
            "foreign": findings.foreign,
        })),
        "generator": {
            "clock_ns": outcome.clock_ns,
            "lag": latency(&outcome.lag),
            "whole_s": outcome.whole.as_secs_f64(),
            "held_s": outcome.held.as_secs_f64(),
            "producers_cpu_s": outcome.producers_processor.as_secs_f64(),
            "process_cpu_s": outcome.process_processor.as_secs_f64(),
        },
        "latency": {
            "ends": if plan.measures_delivery() { "delivery" } else { "call" },
            "response": latency(&outcome.response),
            "service": latency(&outcome.service),
        },
        "series": outcome.series,
        "shards": outcome.statistics.as_ref().map(|statistics| &statistics.shards),
    });
    append(&mut document, body);
    document
}

/// The document of several runs with different rates.
pub(crate) fn of_runs(kind: &str, runs: &[Value], more: Value) -> Value {
    let mut document = header(kind);
    append(&mut document, more);
    append(&mut document, json!({ "runs": runs }));
    document
}

/// A histogram as the public tools read it.
fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.expect("a histogram of these bounds is encoded into memory");
    STANDARD.encode(bytes)
}

/// The histogram that was encoded like that.
pub(crate) fn decoded(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

fn header(kind: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "kind": kind,
        "command": std::env::args().map(|word| discreet(&word)).collect::<Vec<_>>(),
        "libnet": bus::version(),
        "commit": env!("LIBNET_COMMIT"),
        "machine": Machine::describe(),
    })
}

fn append(document: &mut Value, more: Value) {
    if let (Value::Object(document), Value::Object(more)) = (document, more) {
        document.extend(more);
    }
}

fn settings(plan: &Plan, outcome: &Outcome) -> Value {
    let (sizes, batch, input) = match &plan.work {
        Work::Synthetic { sizes, batch, .. } => (Some(*sizes), *batch, None),
        Work::Lines { input, .. } => (None, 1, Some(input)),
    };
    let (events, duration_s) = match plan.work.limit() {
        Some(Limit::Events(events)) => (Some(events), None),
        Some(Limit::Duration(duration)) => (None, Some(duration.as_secs_f64())),
        None => (None, None),
    };
    json!({
        "mode": plan.mode.word(),
        "wait": (plan.mode == Mode::Subscribe).then_some(match plan.wait {
            Wait::Spin => "spin",
            Wait::Block => "block",
            Wait::Fd => "fd",
        }),
        "rate": plan.pace.map(|pace| pace.rate),
        "arrival": plan.pace.map(|pace| match pace.arrival {
            Arrival::Const => "const",
            Arrival::Poisson => "poisson",
        }),
        "seed": sizes.map(Sizes::seed).or(plan.pace.map(|pace| pace.seed)),
        "max_backlog_s": plan.pace.map(|pace| pace.backlog_max.as_secs_f64()),
        "warmup_s": plan.warmup.as_secs_f64(),
        "events": events,
        "duration_s": duration_s,
        "producers": plan.producers,
        "shards": outcome.shards,
        "size": sizes.map(|sizes| size(sizes.range())),
        "batch": batch,
        "keys": plan.keys.count(),
        "input": input.map(Input::name),
        "key_field": input.and_then(Input::key_field),
        "config": serde_json::from_str::<Value>(&discreet(&plan.config)).unwrap_or_default(),
    })
}

/// A number, or a range as the option is written.
fn size(range: SizeRange) -> Value {
    if range.is_one() { json!(range.min) } else { json!(range.to_string()) }
}

fn latency(histogram: &Histogram<u64>) -> Value {
    let percentiles: serde_json::Map<String, Value> = PERCENTILES
        .iter()
        .map(|(name, quantile)| ((*name).to_owned(), json!(histogram.value_at_quantile(*quantile))))
        .collect();
    json!({
        "count": histogram.len(),
        "mean_ns": histogram.mean(),
        "max_ns": histogram.max(),
        "percentiles_ns": percentiles,
        "hdr": encoded(histogram),
    })
}

/// Changes when a reader of the last one would misread a document.
pub(crate) const SCHEMA: &str = "netload/1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::histogram;

    #[test]
    fn a_histogram_comes_back_as_it_was() {
        let mut durations = histogram();
        (1..100_000).for_each(|value| durations.record(value * 7).expect("in bounds"));
        assert_eq!(decoded(&encoded(&durations)), Some(durations));
        assert_eq!(decoded("not a histogram"), None);
    }
}
