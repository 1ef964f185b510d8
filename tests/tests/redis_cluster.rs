//! The Redis store with a cluster: streams are found wherever they are, and while slots move, primaries crash and replicas take over,
//! every event that a flush has confirmed is there once and in order, or counted as lost by the server; the sums agree.

use std::thread;
use std::time::Duration;

use engine::adapter::AdapterState;
use engine::bus::Bus;
use engine::consume::request::PollRequest;
use engine::consume::subscribe::SubscribeRequest;
use harness::cluster::Cluster;
use harness::load::{Load, count};
use harness::redis::{Redis, bus};
use harness::{Random, until};

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
            poll(&reader);
            pause(&mut random, 40);
            migration.finish();
            poll(&reader);
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
    for round in 1..=2 {
        load.publish(100);
        load.flush();
        let primary = cluster.owner(STREAMS[0]).expect("somebody has it");
        let replica = cluster.replica_of(primary);
        cluster.until_replicated(primary);
        load.go_on_while(|| {
            cluster.set_cut_off(primary, replica, true);
            until_stored(&bus, 100);
            cluster.kill(primary);
            cluster.until_taken_over(STREAMS[0], primary);
            cluster.set_cut_off(primary, replica, false);
            cluster.rejoin(primary);
        });
        let lost = load.check_but_for_lost(&bus);
        assert!(lost >= round, "nothing was lost, so nothing is shown");
    }
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
            until_stored(&bus, 100);
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

/// Waits until the first shard has stored so many more.
fn until_stored(bus: &Bus, more: u64) {
    let stored = || bus.stats().shards[0].stored;
    let before = stored();
    until("the load goes on", || stored() >= before + more);
}

/// No shard fails to answer a poll.
fn poll(bus: &Bus) {
    let page = bus.poll(&PollRequest { limit: 10, ..PollRequest::default() }).expect("the bus runs");
    assert!(page.failed_shards.is_empty(), "{:?}", page.failed_shards);
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
