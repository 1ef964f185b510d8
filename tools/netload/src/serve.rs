//! `netload serve`: receives what another process sends, tells how it goes once a second, and verifies it.
//!
//! A run's events say by their numbers what is missing between them, and by their bytes what has changed. What is missing behind the
//! last that came is known only where `--events` says how many there are.

mod tally;
mod verdict;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::args::{Reliability, ServeArguments};
use crate::bus::Bus;
use crate::config::{Refusal, document};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::stats::Statistics;
use crate::subscription::{Subscription, Wait};
use tally::Tally;
use verdict::Received;

/// Receives until it is told to end.
pub(crate) fn serve(arguments: &ServeArguments) -> Result<ExitStatus, Refusal> {
    let document = configuration(arguments)?;
    let reliability = reliability(&document);
    let interrupt = Interrupt::listen().map_err(Refusal::Signals)?;
    let bus = Bus::start(&Value::Object(document.clone()).to_string())?;
    let subscription = Subscription::of_everything(&bus, Wait::Block)?;
    println!("receiving   {}, reliability {}", place(&document), reliability.word());
    let mut tally = Tally::new(arguments, bus.shard_count());
    let mut received = receive(arguments, &bus, subscription, &mut tally, &interrupt);
    received.statistics = bus.inquiry().statistics();
    if let Err(error) = bus.shutdown() {
        received.failure.get_or_insert(error.to_string());
    }
    let status = verdict::print(arguments, reliability, &tally, &received);
    Ok(if interrupt.has_come() { ExitStatus::Interrupted } else { status })
}

/// Takes events as they come, and shows once a second how it goes.
fn receive(
    arguments: &ServeArguments,
    bus: &Bus,
    mut subscription: Subscription,
    tally: &mut Tally,
    interrupt: &Interrupt,
) -> Received {
    let start = Instant::now();
    let mut received = Received::default();
    let (mut shown, mut shown_events, mut shown_bytes) = (Duration::ZERO, 0, 0);
    while !interrupt.has_come() && !is_over(arguments, tally, start) {
        match subscription.next() {
            Ok(events) => events.for_each(|event| tally.event(&event)),
            Err(error) => {
                received.failure = Some(error.to_string());
                break;
            }
        }
        tally.look(Instant::now());
        let elapsed = start.elapsed();
        if elapsed.saturating_sub(shown) >= PERIOD {
            if !arguments.quiet {
                let seconds = elapsed.saturating_sub(shown).as_secs_f64();
                let state = bus
                    .inquiry()
                    .statistics()
                    .map_or_else(String::new, |statistics: Statistics| statistics.adapter);
                let (events, bytes) = (tally.events() - shown_events, tally.bytes() - shown_bytes);
                eprintln!("{}", verdict::line(elapsed, tally.events(), events, bytes, seconds, &state));
            }
            (shown, shown_events, shown_bytes) = (elapsed, tally.events(), tally.bytes());
        }
    }
    received.skipped = subscription.skipped().unwrap_or(0);
    received
}

/// Whether the options end it here. After the last event it stays for a moment, for what comes once too often.
fn is_over(arguments: &ServeArguments, tally: &Tally, start: Instant) -> bool {
    let is_quiet_for = |time| tally.last().is_some_and(|last| last.elapsed() >= time);
    arguments.duration.is_some_and(|duration| start.elapsed() >= duration)
        || arguments.idle.is_some_and(is_quiet_for)
        || arguments.events.is_some_and(|events| tally.events() >= events.get()) && is_quiet_for(AFTERWARDS)
}

/// The bus's configuration, with a `net` section in it.
fn configuration(arguments: &ServeArguments) -> Result<Map<String, Value>, Refusal> {
    let mut configuration = match &arguments.config {
        Some(given) => document(given)?,
        None => Map::from_iter([("net".to_owned(), section(arguments))]),
    };
    if let Some(shards) = arguments.shards {
        configuration.insert("num_shards".to_owned(), json!(shards));
    }
    match configuration.get("net") {
        Some(Value::Object(_)) => Ok(configuration),
        _ => Err(Refusal::NoNet),
    }
}

/// A responder's section. What is received is kept as long as memory allows, for the case that it comes faster than it is verified.
fn section(arguments: &ServeArguments) -> Value {
    json!({
        "role": "responder",
        "bind_addr": arguments.bind,
        "key_file": arguments.key_file,
        "psk_file": arguments.psk_file,
        "reliability": arguments.reliability.word(),
        "store": { "memory": { "retention_events": RETENTION_EVENTS, "retention_bytes": RETENTION_BYTES } },
    })
}

/// What the section says becomes of lost packets.
fn reliability(document: &Map<String, Value>) -> Reliability {
    let word = document.get("net").and_then(|net| net.get("reliability")?.as_str());
    word.and_then(Reliability::of).unwrap_or(Reliability::Full)
}

/// Where it answers, or whom it calls.
fn place(document: &Map<String, Value>) -> String {
    let text = |key: &str| document.get("net")?.get(key)?.as_str();
    match (text("bind_addr"), text("peer_addr")) {
        (Some(bind), _) => format!("on {bind}"),
        (None, Some(peer)) => format!("from {peer}"),
        (None, None) => "nowhere".to_owned(),
    }
}

const PERIOD: Duration = Duration::from_secs(1);
/// Longer than what is sent again takes to arrive once more.
const AFTERWARDS: Duration = Duration::from_millis(500);
const RETENTION_EVENTS: u64 = 1 << 24;
const RETENTION_BYTES: u64 = 1 << 30;
