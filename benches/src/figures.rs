//! The figures: every measurement of a run, put beside its target and its floor.

use std::time::{Duration, Instant};

use crate::crowd;
use crate::curves;
use crate::floor;
use crate::idle;
use crate::latency::{self, CONTROL_PERIOD_NS, EVENT_BYTES, Idle};
use crate::machine::{self, Machine};
use crate::percentiles::Percentiles;
use crate::quantity::{Quantity, Target};
use crate::redis;
use crate::report::{Figure, Report};
use crate::scrape;
use crate::throughput::{self, Publication, median};

mod log;
mod udp;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Its name in the report.
    pub form: &'static str,
    /// Rounds of a rate in the table.
    pub rounds: usize,
    /// Events of a round.
    pub events: usize,
    /// Rounds of a point of a curve.
    pub curve_rounds: usize,
    /// Bytes of a point of the curve over sizes.
    pub curve_bytes: usize,
    /// How long an open loop runs.
    pub loop_time: Duration,
    /// How long a point of the curve over loads lasts.
    pub load_time: Duration,
    /// How long a hundred subscribers all read; one of them stops for twice as long.
    pub crowd_time: Duration,
    /// How long an idle bus is watched.
    pub idle_time: Duration,
    /// Events appended to a Redis stream.
    pub redis_events: usize,
    /// Events sent over UDP.
    pub udp_events: usize,
    /// Events appended to a log that is synced now and then.
    pub log_events: usize,
    /// Events appended to a log that is synced with every batch.
    pub log_synced_events: usize,
    /// Calls that are timed in front of a log, at 200,000 a second.
    pub log_calls: u64,
    /// Events of a log that is read from its start.
    pub log_read_events: usize,
    /// Bytes of a log that is opened again.
    pub log_reopened_bytes: usize,
    /// Round trips of the spinning floor.
    pub ping_pongs: u64,
    /// Round trips of the sleeping floor, and control calls.
    pub wakes: u64,
}

impl Effort {
    /// What is committed: a few minutes.
    pub const FULL: Effort = Effort {
        form: "the full form",
        rounds: 5,
        events: 4_000_000,
        curve_rounds: 3,
        curve_bytes: 512 << 20,
        loop_time: Duration::from_secs(2),
        load_time: Duration::from_secs(1),
        crowd_time: Duration::from_secs(5),
        idle_time: Duration::from_secs(5),
        redis_events: 10_000_000,
        udp_events: 4_000_000,
        log_events: 2_000_000,
        log_synced_events: 400_000,
        log_calls: 200_000,
        log_read_events: 2_000_000,
        log_reopened_bytes: 10 << 30,
        ping_pongs: 2_000_000,
        wakes: 20_000,
    };
    /// Enough to see where one stands: well under a minute.
    pub const QUICK: Effort = Effort {
        form: "the quick form",
        rounds: 3,
        events: 1_000_000,
        curve_rounds: 1,
        curve_bytes: 128 << 20,
        loop_time: Duration::from_millis(300),
        load_time: Duration::from_millis(200),
        crowd_time: Duration::from_secs(1),
        idle_time: Duration::from_secs(1),
        redis_events: 1_000_000,
        udp_events: 1_000_000,
        log_events: 1_000_000,
        log_synced_events: 100_000,
        log_calls: 100_000,
        log_read_events: 1_000_000,
        log_reopened_bytes: 256 << 20,
        ping_pongs: 300_000,
        wakes: 3_000,
    };
    /// Only that it runs.
    pub const SMOKE: Effort = Effort {
        form: "a smoke test",
        rounds: 1,
        events: 5_000,
        curve_rounds: 1,
        curve_bytes: 1 << 20,
        loop_time: Duration::from_millis(2),
        load_time: Duration::from_millis(1),
        crowd_time: Duration::from_millis(10),
        idle_time: Duration::from_millis(10),
        redis_events: 1_000,
        udp_events: 1_000,
        log_events: 5_000,
        log_synced_events: 2_000,
        log_calls: 1_000,
        log_read_events: 5_000,
        log_reopened_bytes: 1 << 20,
        ping_pongs: 1_000,
        wakes: 10,
    };
}

/// Measures everything. `progress` hears what comes next.
pub fn run(effort: &Effort, progress: impl Fn(&str)) -> Report {
    let machine = Machine::describe();
    let (start, stolen_before) = (Instant::now(), machine::stolen_ticks());
    let (mut figures, mut percentiles) = (Vec::new(), Vec::new());
    progress("rates");
    rates(effort, &mut figures);
    progress("calls");
    calls(effort, &mut figures, &mut percentiles);
    progress("ways through the bus");
    ways(effort, &mut figures, &mut percentiles);
    progress("a hundred subscribers");
    hundred_subscribers(effort, &mut figures, &mut percentiles);
    progress("readers of the statistics");
    statistics(effort, &mut figures, &mut percentiles);
    progress("Redis Streams");
    redis_streams(effort, &mut figures, &mut percentiles);
    progress("UDP");
    udp::measure(effort, &mut figures, &mut percentiles);
    progress("the log");
    log::measure(effort, &mut figures, &mut percentiles);
    progress("an idle bus");
    idle_bus(effort, &mut figures);
    progress("curves");
    let by_producers = curves::by_producers(effort);
    figures.push(Figure {
        name: "8 producers together, of one alone",
        target: Some(Target::AtLeast(Quantity::percent(60.0))),
        measured: by_producers.rows[3][2],
        floor: None,
    });
    let curves =
        vec![curves::by_event_size(effort), by_producers, curves::by_shards(effort), curves::by_load(effort)];
    let seconds = start.elapsed().as_secs_f64();
    let stolen_seconds = (machine::stolen_ticks() - stolen_before) as f64 / TICKS_PER_SECOND;
    let stolen_percent = 100.0 * stolen_seconds / (seconds * machine.cpus as f64);
    Report { machine, form: effort.form, seconds, stolen_percent, figures, percentiles, curves }
}

fn rates(effort: &Effort, figures: &mut Vec<Figure>) {
    let single = Publication::of(EVENT_BYTES, effort.events, 1);
    let batched = Publication::of(EVENT_BYTES, effort.events, BATCH_EVENTS);
    let read_events = effort.events.min(1_000_000);
    let measures: [&dyn Fn() -> f64; 7] = [
        &|| single.floor(),
        &|| single.measured(),
        &|| batched.floor(),
        &|| batched.measured(),
        &|| floor::copy(read_events),
        &|| throughput::poll(read_events),
        &|| throughput::push(read_events),
    ];
    let mut rounds = measures.map(|_| Vec::new());
    for _ in 0..effort.rounds {
        rounds.iter_mut().zip(measures).for_each(|(rounds, measure)| rounds.push(measure()));
    }
    let [floor, single, batch_floor, batched, copy, poll, push_rate] =
        rounds.map(|rounds| Quantity::events_per_second(median(rounds)));
    let mut push = |name, target, measured, floor| {
        let target = Some(Target::AtLeast(Quantity::events_per_second(target)));
        figures.push(Figure { name, target, measured, floor: Some(floor) });
    };
    push("net_ingest_raw, until stored", 25e6, single, floor);
    push("net_ingest_raw_batch of 64, until stored", 40e6, batched, batch_floor);
    push("net_poll_ex, limit 1,000, spinning", 10e6, poll, copy);
    push("net_next, 1,024 a call, from a full store, spinning", 20e6, push_rate, copy);
}

fn calls(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let ingest = latency::ingest_call(effort.events);
    time(figures, "net_ingest_raw, one call, p50", Some(35), ingest.call.p50_ns, ingest.floor.p50_ns);
    time(figures, "net_ingest_raw, one call, p99", Some(100), ingest.call.p99_ns, ingest.floor.p99_ns);
    percentiles.extend([ingest.floor, ingest.call]);
}

fn ways(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let ping_pong = floor::ping_pong(effort.ping_pongs).summary("floor: a word to the other core and back");
    let wake =
        floor::wake(effort.wakes, CONTROL_PERIOD_NS).summary("floor: an eventfd to the other core and back");
    let records = floor::record_ping_pong(effort.ping_pongs)
        .summary("floor: a record of 128 bytes to the other core and back");
    let spinning = latency::there_and_back(Idle::Spin, effort.ping_pongs);
    let parked = latency::there_and_back(Idle::Park, effort.wakes);
    for (name, target_ns, measured_ns, floor_ns) in [
        ("net_ingest_raw → net_next, spinning, p50", 400, spinning.p50_ns, records.p50_ns),
        ("net_ingest_raw → net_next, spinning, p99", 1_000, spinning.p99_ns, records.p99_ns),
        ("net_ingest_raw → net_next, parked, p50", 50_000, parked.p50_ns, wake.p50_ns),
        ("net_ingest_raw → net_next, parked, p99", 150_000, parked.p99_ns, wake.p99_ns),
    ] {
        time(figures, name, Some(target_ns), measured_ns, floor_ns);
    }
    let [spinning_poll, spinning_stats] = latency::control(Idle::Spin, effort.wakes);
    let [parked_poll, parked_stats] = latency::control(Idle::Park, effort.wakes);
    time(figures, "control round trip, spinning, p50", None, spinning_poll.p50_ns, ping_pong.p50_ns);
    time(figures, "control round trip, parked, p50", None, parked_poll.p50_ns, wake.p50_ns);
    percentiles.extend([ping_pong, records, wake, spinning_poll, spinning_stats, parked_poll, parked_stats]);
    percentiles.extend([spinning, parked]);
    for idle in [Idle::Spin, Idle::Adaptive, Idle::Park] {
        for rate in [10_000, 100_000, 1_000_000] {
            percentiles.push(latency::to_subscriber(idle, rate, effort.loop_time));
        }
    }
    for rate in [10_000, 100_000] {
        percentiles.push(latency::to_poll(rate, effort.loop_time));
    }
}

fn hundred_subscribers(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let crowd = crowd::run(effort.crowd_time, 2 * effort.crowd_time);
    figures.push(Figure {
        name: "one of 100 subscribers stopped: the producer's p50, of when all read",
        target: None,
        measured: Quantity::percent(100.0 * crowd.one_stopped.p50_ns as f64 / crowd.all_read.p50_ns as f64),
        floor: None,
    });
    figures.push(Figure {
        name: "one of 100 subscribers stopped: the producer's p99, of when all read",
        target: None,
        measured: Quantity::percent(100.0 * crowd.one_stopped.p99_ns as f64 / crowd.all_read.p99_ns as f64),
        floor: None,
    });
    figures.push(Figure {
        name: "one of 100 subscribers stopped: events it or another missed in the end",
        target: Some(Target::AtMost(Quantity::count(0))),
        measured: Quantity::count(crowd.published - crowd.received_in_the_end + crowd.missed_by_others),
        floor: None,
    });
    percentiles.extend([crowd.all_read, crowd.one_stopped]);
}

fn statistics(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let [undisturbed, scraped] = scrape::ingest(effort.rounds, effort.load_time);
    figures.push(Figure {
        name: "net_ingest_raw while both forms of the statistics are read ten times a second, of when they are not",
        target: None,
        measured: Quantity::percent(100.0 * scraped / undisturbed),
        floor: None,
    });
    percentiles.extend(scrape::calls(1, 0, effort.wakes));
    percentiles.extend(scrape::calls(8, 100, effort.wakes.div_ceil(10)));
}

fn redis_streams(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let by_others = redis::append_by_redis_benchmark(effort.redis_events);
    let appended = redis::append(effort.redis_events);
    let read_events = effort.redis_events.min(1_000_000);
    let (polled, sent) = (redis::poll(read_events), redis::range(read_events));
    figures.push(Figure {
        name: "Redis: append, of what `redis-benchmark -P 100` does",
        target: Some(Target::AtLeast(Quantity::percent(80.0))),
        measured: Quantity::percent(100.0 * appended / by_others),
        floor: None,
    });
    for (name, target, measured, floor) in [
        ("Redis: append, until stored", None, appended, by_others),
        ("Redis: net_poll_ex, limit 1,000", Some(500e3), polled, sent),
    ] {
        figures.push(Figure {
            name,
            target: target.map(|target| Target::AtLeast(Quantity::events_per_second(target))),
            measured: Quantity::events_per_second(measured),
            floor: Some(Quantity::events_per_second(floor)),
        });
    }
    let [ping, by_hand] = redis::by_hand(effort.wakes);
    let through = redis::to_subscriber(10_000, effort.loop_time);
    let name = "Redis: net_ingest_raw → net_next at 10,000/s, p50";
    time(figures, name, Some(400_000), through.p50_ns, by_hand.p50_ns);
    let name = "Redis: net_ingest_raw → net_next at 10,000/s, p99";
    time(figures, name, Some(2_000_000), through.p99_ns, by_hand.p99_ns);
    percentiles.extend([ping, by_hand, through]);
}

fn idle_bus(effort: &Effort, figures: &mut Vec<Figure>) {
    let cost = idle::parked(effort.idle_time);
    let mut push = |name, bound, measured| {
        figures.push(Figure { name, target: Some(Target::AtMost(bound)), measured, floor: None });
    };
    push("idle, parked: of one core", Quantity::percent(0.5), Quantity::percent(cost.core_percent));
    push(
        "idle, parked: wakes",
        Quantity::wakes_per_second(0.0),
        Quantity::wakes_per_second(cost.wakes_per_second),
    );
}

fn time(
    figures: &mut Vec<Figure>,
    name: &'static str,
    target_ns: Option<u64>,
    measured_ns: u64,
    floor_ns: u64,
) {
    figures.push(Figure {
        name,
        target: target_ns.map(|bound| Target::AtMost(Quantity::nanoseconds(bound))),
        measured: Quantity::nanoseconds(measured_ns),
        floor: Some(Quantity::nanoseconds(floor_ns)),
    });
}

/// Events a call of the batched way in.
pub const BATCH_EVENTS: usize = 64;
/// Of the times in `/proc/stat`: 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;
