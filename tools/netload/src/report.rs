//! The report of a run: what was done, how fast, the bus's account, and the verdict.

mod verdict;

use std::fmt::Display;
use std::fs;
use std::time::Duration;

use crate::bus;
use crate::config::{Limit, Plan, Work};
use crate::latency;
use crate::outcome::Outcome;
use crate::pace::Arrival;
use crate::reader::POLL_LIMIT;
use crate::sizes::{SizeRange, Sizes};
use crate::stats::{ShardAccount, Statistics};
use crate::subscription::Wait;
use crate::values::Mode;
pub(crate) use verdict::{imbalance, where_lost};

/// Prints the report to standard output, and what went wrong to standard error.
pub(crate) fn print(plan: &Plan, outcome: &Outcome) {
    setting(plan, outcome);
    speed(plan, outcome);
    latencies(plan, outcome);
    generator(plan, outcome);
    if let Some(statistics) = &outcome.statistics {
        account(statistics);
    }
    println!();
    verdict::print(plan, outcome);
    failures(outcome);
}

/// Prints to standard error what went wrong besides what verification found.
pub(crate) fn failures(outcome: &Outcome) {
    for failure in &outcome.failures {
        eprintln!("netload: {failure}");
    }
}

fn setting(plan: &Plan, outcome: &Outcome) {
    println!("libnet {} on {}, {}", bus::version(), processor(), counted(plan.cpus as u64, "CPU"));
    let load = load(&plan.work);
    let (producers, shards) = (u64::from(plan.producers), u64::from(outcome.shards));
    println!("load        {} → {}: {load}", counted(producers, "producer"), counted(shards, "shard"));
    match plan.pace {
        Some(pace) => println!(
            "pace        open loop, {} events/s, {}: latency counts from the moment an event was due",
            grouped(pace.rate.get()),
            match pace.arrival {
                Arrival::Const => "evenly".to_owned(),
                Arrival::Poisson => format!("at random (Poisson, seed {})", pace.seed),
            }
        ),
        None => println!("pace        closed loop: each event follows as soon as the last was accepted"),
    }
    if plan.reads_back() {
        let how = match plan.wait {
            _ if plan.mode != Mode::Subscribe && plan.measures_delivery() => "polls again and again",
            _ if plan.mode != Mode::Subscribe && outcome.takes_turns => "polls, in turns with the producers",
            _ if plan.mode != Mode::Subscribe => "polls while they publish",
            Wait::Spin => "subscribes and looks again and again",
            Wait::Block => "subscribes and waits in net_next",
            Wait::Fd => "subscribes and waits for the descriptor",
        };
        println!("reader      one thread, {how}");
    }
}

fn load(work: &Work) -> String {
    match work {
        Work::Lines { input, repeat } => {
            let lines = format!("{} of {}", counted(input.lines().len() as u64, "line"), input.name());
            match repeat {
                Some(limit) => format!("{lines}, again and again: {}", amount(*limit)),
                None => lines,
            }
        }
        Work::Synthetic { sizes, batch, limit } => {
            let calls =
                if *batch > 1 { format!(" in batches of {}", grouped(*batch as u64)) } else { String::new() };
            format!("{} of {}{calls}", amount(*limit), bytes(*sizes))
        }
    }
}

fn bytes(sizes: Sizes) -> String {
    match sizes.range() {
        range if range.is_one() => format!("{} bytes", grouped(range.max)),
        SizeRange { min, max } => {
            format!("{} to {} bytes (seed {})", grouped(min), grouped(max), sizes.seed())
        }
    }
}

fn amount(limit: Limit) -> String {
    match limit {
        Limit::Events(events) => counted(events, "event"),
        Limit::Duration(duration) => format!("for {}, events", humantime::format_duration(duration)),
    }
}

fn speed(plan: &Plan, outcome: &Outcome) {
    let seconds = outcome.active.as_secs_f64();
    println!(
        "\npublished   {:>14} events in {:>9}  {:>10}  {:>7.0} MB/s",
        grouped(outcome.measured),
        time(seconds),
        rate(outcome.measured as f64, seconds),
        outcome.bytes_rate() / 1e6,
    );
    if plan.pace.is_none() && !plan.measures_delivery() {
        println!(
            "            ({:.0} % of that time inside the calls; the rest is netload's own: events, clock, histogram)",
            outcome.share_in_calls * 100.0
        );
    }
    if outcome.accepted > outcome.measured {
        let before = outcome.accepted - outcome.measured;
        println!("            ({} before them, in the warm-up)", counted(before, "event"));
    }
    if outcome.skipped > 0 {
        let skipped = counted(outcome.skipped, "event");
        println!("            ({skipped} skipped, too far behind: no latency below includes them)");
    }
    if plan.reads_back() {
        let seconds = outcome.read.polling.as_secs_f64();
        let how = match plan.mode {
            Mode::Subscribe => "net_next".to_owned(),
            _ => format!("net_poll_ex, up to {} a call", grouped(POLL_LIMIT as u64)),
        };
        println!(
            "read back   {:>14} events in {:>9}  {:>10}  {how}",
            grouped(outcome.read.events),
            time(seconds),
            rate(outcome.read.events as f64, seconds),
        );
    }
    if plan.reads_back() && !outcome.held.is_zero() {
        println!(
            "            (producers waited {} for the reader, so that retention removes nothing unread; not counted)",
            time(outcome.held.as_secs_f64())
        );
    }
    if outcome.refused > 0 {
        println!("            ({}, published again)", counted(outcome.refused, "refused call"));
    }
}

fn latencies(plan: &Plan, outcome: &Outcome) {
    let function = match plan.work {
        Work::Synthetic { batch, .. } if batch > 1 => "net_ingest_raw_batch",
        _ => "net_ingest_keyed",
    };
    let until = match plan.mode {
        _ if !plan.measures_delivery() => "a call",
        Mode::Subscribe => "until net_next gives the event",
        _ => "until net_poll_ex gives the event",
    };
    println!("\n{function}: nanoseconds {until}, the clock's own {} included", outcome.clock_ns);
    print!("{}", latency::table(&[("response", &outcome.response), ("service", &outcome.service)]));
    match plan.pace {
        Some(_) => println!("response counts from the moment an event was due, service from its call"),
        None => println!(
            "a closed loop: nothing is due, so response is service, and no delay of the next event counts"
        ),
    }
    print!("\n{}", latency::shape(&outcome.response));
}

/// What the measuring itself cost.
fn generator(plan: &Plan, outcome: &Outcome) {
    let seconds = outcome.whole.as_secs_f64().max(f64::MIN_POSITIVE);
    let cores = |time: Duration| time.as_secs_f64() / seconds;
    let lag = |quantile| grouped(outcome.lag.value_at_quantile(quantile));
    println!();
    if plan.pace.is_some() {
        let max = grouped(outcome.lag.max());
        println!("generator   behind its schedule by p50 {} p99 {} max {max} ns", lag(0.5), lag(0.99));
    }
    println!(
        "{:<12}producers {:.2} cores, whole process {:.2}, of {}",
        if plan.pace.is_some() { "" } else { "generator" },
        cores(outcome.producers_processor),
        cores(outcome.process_processor),
        plan.cpus
    );
}

fn account(statistics: &Statistics) {
    println!(
        "\naccount   {:>14}{:>15}{:>15}{:>15}{:>15}",
        "ingested =", "stored +", "dropped +", "pending", "refused"
    );
    let line = |name: &str, account: &ShardAccount| {
        println!(
            "{name:<10}{:>14}{:>15}{:>15}{:>15}{:>15}{}",
            grouped(account.ingested),
            grouped(account.stored),
            grouped(account.dropped_count()),
            grouped(account.pending),
            grouped(account.refused),
            if account.is_balanced() { "" } else { "   DOES NOT ADD UP" },
        );
    };
    for account in &statistics.shards {
        line(&format!("shard {}", account.shard), account);
    }
    let total = statistics.total();
    if statistics.shards.len() > 1 {
        line("all", &total);
    }
    let reasons: Vec<String> = total
        .dropped
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{reason} {}", grouped(*count)))
        .collect();
    if !reasons.is_empty() {
        println!("dropped     {}", reasons.join(", "));
    }
}

/// A whole number with its thousands set apart.
pub(crate) fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Events a second: in millions from a million on, else as a plain number.
pub(crate) fn rate(events: f64, seconds: f64) -> String {
    match events / seconds {
        rate if !rate.is_finite() => "0/s".to_owned(),
        rate if rate < 1e6 => format!("{}/s", grouped(format_args!("{rate:.0}"))),
        rate => format!("{:.1} M/s", rate / 1e6),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s") }
}

/// A count and what is counted.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// The processor's name, as the kernel tells it.
fn processor() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_rate_is_shown_in_the_unit_that_tells_something() {
        assert_eq!(rate(15_300_000.0, 1.0), "15.3 M/s");
        assert_eq!(rate(1_500.0, 2.0), "750/s");
        assert_eq!(rate(1.0, 0.0), "0/s");
    }
}
