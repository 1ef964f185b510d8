//! The Redis store with a cluster: streams are found wherever they are, and while slots move, primaries crash and replicas take over,
//! every event that a flush has confirmed is there once and in order, or counted as lost by the server; the sums agree.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::adapter::AdapterState;
use engine::bus::{Bus, FlushError, Stats};
use engine::consume::subscribe::SubscribeRequest;
use engine::event::EventFlags;
use engine::producer::{Producer, PublishError};
use engine::subscription::Subscription;
use harness::cluster::Cluster;
use harness::redis::{Redis, bus, numbers};
use harness::{Random, SetOnDrop, assert_sums, read_all, until};

#[test]
fn every_event_comes_back_once_from_streams_at_three_nodes() {
    let cluster = Cluster::start(3);
    let writer = writer(&cluster, "");
    let reader = bus(&options(1, &cluster.section(1, "")));
    let mut live = reader.subscribe(SubscribeRequest::default()).expect("the nodes answer");
    let mut load = Load::new(&writer);
    load.publish(5_000);
    load.check(&reader);
    load.check(&writer);
    load.check_received(&mut live);
    let owners: Vec<_> = STREAMS.iter().map(|stream| cluster.owner(stream)).collect();
    assert!(owners.iter().any(|owner| *owner != owners[0]), "{owners:?}");
    let meta = cluster.node(cluster.owner("net:meta").expect("somebody has it"));
    assert_eq!(meta.ask(&["HGET", "net:meta", "num_streams"]), "4");
}

#[test]
fn slots_that_move_back_and_forth_under_load_lose_and_double_nothing() {
    let cluster = Cluster::start(3);
    let writer = writer(&cluster, r#","pipeline_size":50"#);
    let reader = bus(&options(1, &cluster.section(1, "")));
    let mut live = reader.subscribe(SubscribeRequest::default()).expect("the nodes answer");
    let mut random = Random::new(3);
    let mut load = Load::new(&writer);
    load.go_on_while(|| {
        for _ in 0..40 {
            let stream = STREAMS[random.below(4) as usize];
            let to = random.below(3) as usize;
            if cluster.owner(stream) == Some(to) {
                continue;
            }
            let migration = cluster.begin_migration(stream, to);
            pause(&mut random, 20);
            migration.carry();
            pause(&mut random, 40);
            migration.finish();
        }
    });
    load.check(&reader);
    load.check_received(&mut live);
    assert!(count(&writer.stats(), "reconnects") > 0, "nobody was sent elsewhere");
}

#[test]
fn a_slot_that_stays_half_way_stops_nobody() {
    let cluster = Cluster::start(3);
    let writer = writer(&cluster, "");
    let reader = bus(&options(1, &cluster.section(0, "")));
    let mut live = reader.subscribe(SubscribeRequest::default()).expect("the nodes answer");
    let mut load = Load::new(&writer);
    load.publish(2_000);
    load.check(&reader);
    let from = cluster.owner(STREAMS[0]).expect("somebody has it");
    let migration = cluster.begin_migration(STREAMS[0], (from + 1) % 3);
    for _ in 0..3 {
        load.publish(2_000);
        load.check(&reader);
        load.check(&writer);
        load.check_received(&mut live);
        migration.carry();
    }
    migration.finish();
    load.publish(2_000);
    load.check(&reader);
    load.check_received(&mut live);
}

#[test]
fn connections_that_the_nodes_kill_lose_and_double_nothing() {
    let cluster = Cluster::start(3);
    let bus = bus(&options(4, &cluster.section(0, "")));
    let mut load = Load::new(&bus);
    load.go_on_while(|| {
        for round in 0..60 {
            cluster.node(round % 3).ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            thread::sleep(Duration::from_millis(5));
        }
    });
    load.check(&bus);
}

#[test]
fn a_planned_failover_under_load_loses_and_doubles_nothing() {
    let cluster = Cluster::with_replicas(3, 1);
    let bus = bus(&options(4, &cluster.section(0, "")));
    let mut load = Load::new(&bus);
    load.go_on_while(|| {
        for stream in [STREAMS[0], STREAMS[1], STREAMS[0]] {
            cluster.fail_over(stream);
        }
    });
    load.check(&bus);
}

#[test]
fn a_primary_that_crashes_under_load_is_replaced_and_what_is_missing_then_is_counted() {
    let mut cluster = Cluster::with_replicas(3, 1);
    let bus = bus(&options(4, &cluster.section(0, "")));
    let mut load = Load::new(&bus);
    load.publish(100);
    load.check(&bus);
    cluster.until_it_stands();
    for _ in 0..2 {
        let primary = cluster.owner(STREAMS[0]).expect("somebody has it");
        load.go_on_while(|| {
            thread::sleep(Duration::from_millis(200));
            cluster.kill(primary);
            cluster.until_taken_over(STREAMS[0], primary);
        });
        cluster.rejoin(primary);
    }
    load.check_but_for_lost(&bus);
}

#[test]
fn a_primary_that_crashes_under_load_loses_nothing_that_its_replica_was_waited_for() {
    let mut cluster = Cluster::with_replicas(3, 1);
    let bus = bus(&options(4, &cluster.section(0, r#","wait_replicas":1"#)));
    let mut load = Load::new(&bus);
    for _ in 0..2 {
        load.publish(100);
        load.flush();
        let primary = cluster.owner(STREAMS[0]).expect("somebody has it");
        load.go_on_while(|| {
            thread::sleep(Duration::from_millis(200));
            cluster.kill(primary);
            cluster.until_taken_over(STREAMS[0], primary);
            // Until then nobody could be waited for.
            cluster.rejoin(primary);
        });
    }
    load.check(&bus);
}

#[test]
fn a_primary_that_crashes_when_its_replica_has_everything_loses_nothing() {
    let mut cluster = Cluster::with_replicas(3, 1);
    let bus = bus(&options(4, &cluster.section(0, "")));
    let mut load = Load::new(&bus);
    load.publish(5_000);
    load.flush();
    let primary = cluster.owner(STREAMS[0]).expect("somebody has it");
    cluster.until_replicated(primary);
    cluster.kill(primary);
    load.publish(5_000);
    load.check(&bus);
}

#[test]
fn a_primary_that_stands_still_is_left_for_its_replica() {
    let cluster = Cluster::with_replicas(3, 1);
    let writer = writer(&cluster, "");
    let reader = bus(&options(1, &cluster.section(1, "")));
    let mut load = Load::new(&writer);
    load.publish(5_000);
    load.check(&reader);
    let primary = cluster.owner(STREAMS[0]).expect("somebody has it");
    cluster.until_replicated(primary);
    cluster.node(primary).set_stopped(true);
    load.publish(5_000);
    load.flush();
    cluster.node(primary).set_stopped(false);
    cluster.until_it_stands();
    load.publish(5_000);
    load.check(&reader);
}

#[test]
fn a_seed_that_is_gone_is_not_missed() {
    let mut cluster = Cluster::with_replicas(3, 1);
    let seed = cluster.replica_of(0);
    let bus = bus(&options(4, &cluster.section(seed, "")));
    let mut load = Load::new(&bus);
    load.publish(1_000);
    load.check(&bus);
    cluster.kill(seed);
    for primary in 0..3 {
        cluster.node(primary).ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        load.publish(1_000);
        load.check(&bus);
    }
}

#[test]
fn a_server_that_is_no_cluster_is_an_error_at_the_start() {
    let server = Redis::start();
    let section = format!(r#""redis":{{"url":"redis://127.0.0.1:{}","cluster":true}}"#, server.port());
    let (config, section) =
        engine::config::Config::parse(&options(1, &section), &adapters::SECTIONS).expect("valid");
    let error = adapters::factory(section, &config).err().expect("it is refused").to_string();
    assert!(error.contains("cluster support disabled"), "{error}");
}

#[test]
fn a_bus_starts_without_its_cluster_and_stores_when_that_comes() {
    let mut cluster = Cluster::start(3);
    (0..3).for_each(|node| cluster.kill(node));
    let bus = bus(&options(2, &cluster.section(0, "")));
    let mut load = Load::new(&bus);
    load.publish(10);
    until("the shards tell", || {
        bus.stats().shards.iter().all(|shard| shard.adapter == AdapterState::Connecting)
    });
    (0..3).for_each(|node| cluster.launch(node));
    load.check(&bus);
}

/// Publishes numbered events under keys of all shards, whatever refuses them for now.
struct Load<'a> {
    bus: &'a Bus,
    producer: Producer,
    next: usize,
    received: Vec<usize>,
}

impl<'a> Load<'a> {
    fn new(bus: &'a Bus) -> Load<'a> {
        Load { bus, producer: bus.producer(), next: 0, received: Vec::new() }
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let payload = format!(r#"{{"number":{}}}"#, self.next);
            let key = self.next.to_le_bytes();
            until("there is room", || {
                match self.producer.publish(Some(&key), payload.as_bytes(), EventFlags::NONE) {
                    Ok(_) => true,
                    Err(PublishError::Refused) => false,
                    Err(error) => panic!("{error}"),
                }
            });
            self.next += 1;
        }
    }

    /// Publishes all the time while something else goes on.
    fn go_on_while(&mut self, faults: impl FnOnce()) {
        // Events of two producers have no order, unless one is stored before the other is published.
        self.flush();
        let is_enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut load, is_enough) = (Load { next: self.next, ..Load::new(self.bus) }, &is_enough);
            let load = scope.spawn(move || {
                while !is_enough.load(Ordering::Acquire) {
                    load.publish(20);
                    thread::sleep(Duration::from_millis(1));
                }
                load.next
            });
            let ends = SetOnDrop(is_enough);
            faults();
            drop(ends);
            self.next = load.join().expect("the load does not panic");
        });
        self.flush();
    }

    fn flush(&self) {
        until("everything is stored", || match self.bus.flush() {
            Ok(()) => true,
            Err(FlushError::Timeout) => false,
            Err(error) => panic!("{error}"),
        });
    }

    /// Everything is stored, once, in order, and nothing else, as another bus or this one reads it.
    fn check(&self, reader: &Bus) {
        assert_eq!(self.check_but_for_lost(reader), 0, "lost");
    }

    /// The same, but for what the servers have lost: as many events as are counted.
    fn check_but_for_lost(&self, reader: &Bus) -> u64 {
        self.flush();
        let stored = read_all(reader, 1_000);
        let mut all = Vec::new();
        for stream in 0..4 {
            let of = stored.iter().filter(|(shard, _)| shard.0 == stream);
            let of = numbers(of.map(|(_, payload)| payload.as_slice()));
            assert!(of.is_sorted_by(|one, next| one < next), "stream {stream} is in order");
            all.extend(of);
        }
        all.sort_unstable();
        assert!(all.is_sorted_by(|one, next| one < next), "doubled");
        let stats = self.bus.stats();
        assert_sums(&stats);
        assert_eq!(stats.total().dropped.total(), 0);
        for name in ["maybe_twice", "kills_denied"] {
            assert_eq!(count(&stats, name), 0, "{name}");
        }
        let lost = count(&stats, "lost_by_server");
        assert_eq!(all.len() as u64 + lost, self.next as u64);
        lost
    }

    /// A subscriber is given everything once.
    fn check_received(&mut self, subscription: &mut Subscription) {
        until("every event has come", || {
            let events = subscription.next(1_000, Some(Duration::from_millis(10))).expect("it runs");
            let payloads: Vec<_> = events.map(|(_, event)| event.payload.to_vec()).collect();
            self.received.extend(numbers(payloads.iter().map(Vec::as_slice)));
            self.received.len() >= self.next
        });
        self.received.sort_unstable();
        assert!(self.received.iter().copied().eq(0..self.next));
    }
}

/// What the store has counted under this name.
fn count(stats: &Stats, name: &str) -> u64 {
    let at = stats.adapter_count_names.iter().position(|known| *known == name).expect("the store counts it");
    stats.total().adapter_counts[at]
}

/// A bus of four shards, as many as there are streams from then on.
fn writer(cluster: &Cluster, more: &str) -> Bus {
    let bus = bus(&options(4, &cluster.section(0, more)));
    until("every shard is connected", || {
        bus.stats().shards.iter().all(|shard| shard.adapter == AdapterState::Up)
    });
    bus
}

fn options(shards: usize, section: &str) -> String {
    format!(r#"{{"num_shards":{shards},"backpressure_mode":"FailProducer",{section}}}"#)
}

fn pause(random: &mut Random, millis_max: u64) {
    thread::sleep(Duration::from_millis(random.below(millis_max)));
}

const STREAMS: [&str; 4] = ["{net:shard:0}", "{net:shard:1}", "{net:shard:2}", "{net:shard:3}"];
