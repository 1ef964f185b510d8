//! The whole page.

use std::time::{Duration, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::figures::{self, NamedRun};
use super::tables;
use super::units;
use crate::report::grouped;
use crate::saved::Saved;

/// One page of these results, as HTML.
pub(crate) fn page(results: &[Saved]) -> String {
    let runs = named(results);
    let names: Vec<&str> = results.iter().map(|saved| saved.name.as_str()).collect();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "netload: " (names.join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "netload" }
                    (origins(results))
                    (warnings(&runs))
                }
                main {
                    @if let [run] = runs.as_slice() { (headline(run)) }
                    div.figures { (figures::figures(results, &runs)) }
                    @if runs.iter().all(|run| run.run.response.is_empty()) {
                        p.warning { "No event was measured, so there are no latencies to show." }
                    }
                    div.tables.few[runs.len() <= RUNS_BESIDE_MAX] {
                        (tables::results(&runs))
                        (tables::percentiles(&runs))
                        (tables::settings(&runs))
                        (tables::machines(results))
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// Every run, under a name that no other has.
fn named(results: &[Saved]) -> Vec<NamedRun<'_>> {
    let mut runs: Vec<NamedRun> = Vec::new();
    for saved in results {
        for run in &saved.runs {
            let name = match (saved.is_of_rates(), results.len()) {
                (false, _) => saved.name.clone(),
                (true, 1) => format!("{}/s", run.rate_text()),
                (true, _) => format!("{} {}/s", saved.name, run.rate_text()),
            };
            let namesakes = |name: &str| runs.iter().any(|run| run.name == name);
            let again = (2..).map(|number| format!("{name} ({number})"));
            let name =
                std::iter::once(name.clone()).chain(again).find(|name| !namesakes(name)).unwrap_or(name);
            runs.push(NamedRun { name, run });
        }
    }
    runs
}

/// Where the results come from; many are unfolded by those who ask.
fn origins(results: &[Saved]) -> Markup {
    let all = html! { @for saved in results { (origin(saved)) } };
    html! {
        @if results.len() > RESULTS_UNFOLDED_MAX {
            details { summary { "Where these " (results.len()) " results come from" } (all) }
        } @else { (all) }
    }
}

/// Where a result comes from.
fn origin(saved: &Saved) -> Markup {
    let document = &saved.document;
    let words = document["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let command: Vec<&str> = words.collect();
    let began_s = saved.runs.first().and_then(|run| run.document["began_s"].as_u64());
    let began = began_s.and_then(|began_s| UNIX_EPOCH.checked_add(Duration::from_secs(began_s)));
    html! {
        section.origin {
            h2 { (saved.name) }
            p { code { (command.join(" ")) } }
            p.remark {
                (document["kind"].as_str().unwrap_or_default())
                @if saved.is_of_rates() { " of " (saved.runs.len()) " runs" }
                @if let Some(began) = began { ", begun " (humantime::format_rfc3339_seconds(began)) }
                ", libnet " (document["libnet"].as_str().unwrap_or("of an unknown version"))
            }
            @if document["kind"] == "peak" {
                p.finding {
                    @match document["peak"].as_u64() {
                        Some(peak) => { strong { (grouped(peak)) " events/s" } " hold " }
                        None => { strong { "no rate" } " was found that holds " }
                    }
                    code { (document["slo"].as_str().unwrap_or_default()) }
                }
            }
        }
    }
}

/// What is asked for first.
fn headline(NamedRun { run, .. }: &NamedRun) -> Markup {
    let at = |quantile| units::duration(run.response.value_at_quantile(quantile) as f64);
    let latencies = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    html! {
        dl.headline {
            div { dt { "events a second" } dd { (grouped(format_args!("{:.0}", run.throughput))) } }
            @if !run.response.is_empty() {
                @for (name, quantile) in latencies { div { dt { "response " (name) } dd { (at(quantile)) } } }
            }
        }
    }
}

/// What a reader must know before the plots.
fn warnings(runs: &[NamedRun]) -> Markup {
    html! {
        @for NamedRun { name, run } in runs {
            @let verdict = tables::verdict(run);
            @if verdict != "ok" { p.warning { strong { (name) } ": " (verdict) } }
            @for failure in run.document["result"]["failures"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                p.warning { strong { (name) } ": " (failure) }
            }
        }
    }
}

const RESULTS_UNFOLDED_MAX: usize = 4;
/// So many runs leave room for two tables side by side.
const RUNS_BESIDE_MAX: usize = 2;
const STYLE: &str = include_str!("page.css");
