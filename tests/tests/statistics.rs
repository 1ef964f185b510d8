//! The statistics: in every snapshot of both forms, JSON and Prometheus text, what came in is stored, dropped or pending, and
//! both say the same; an adapter's trouble and a subscriber's lag are seen where they are.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use engine::adapter::AdapterState;
use engine::event::{EventFlags, ShardId};
use harness::openmetrics::Metrics;
use harness::snapshots::{assert_agree, json_of, metrics_of, start_c};
use harness::store::{Mode, Stores};
use harness::{c, is_empty, python, receive, start, subscribe, until};
use serde_json::Value;

/// A Prometheus text counts in doubles.
fn assert_says(metrics: &Metrics, sample: &str, count: &Value) {
    let count = count.as_f64().unwrap_or_else(|| panic!("{sample}: {count}"));
    assert!((metrics.value(sample) - count).abs() < 0.5, "{sample} is not {count}: {metrics:?}");
}

#[test]
fn the_sums_agree_in_every_snapshot_of_both_forms_under_load() {
    for mode in [r#""DropOldest""#, r#""DropNewest""#, r#""FailProducer""#, r#"{"Sample":{"rate":3}}"#] {
        let options = r#""num_shards":2,"ring_buffer_capacity":1024,"lane_bytes":4096,"push_wait_us":0"#;
        let batch = r#""batch":{"min_size":512,"max_delay_ms":3}"#;
        let bus = start_c(&format!(r#"{{{options},{batch},"backpressure_mode":{mode}}}"#));
        let publishing = AtomicUsize::new(3);
        let handle = bus.addr();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let bus = ptr::without_provenance_mut(handle);
                    for number in 0..30_000_u64 {
                        let event = number.to_string();
                        // SAFETY: the event has the length that is said.
                        unsafe { net::net_ingest_raw(bus, event.as_ptr().cast(), event.len()) };
                    }
                    publishing.fetch_sub(1, Ordering::Release);
                });
            }
            while publishing.load(Ordering::Acquire) > 0 {
                assert_agree(bus);
            }
        });
        assert_eq!(net::net_flush(bus), 0, "{mode}");
        assert_agree(bus);
        let (json, metrics) = (json_of(bus), metrics_of(bus));
        for (shard, counted) in json["shards"].as_array().expect("a list").iter().enumerate() {
            let label = format!("{{shard=\"{shard}\"}}");
            for (name, key) in [
                ("ingested_events_total", "ingested"),
                ("stored_events_total", "stored"),
                ("refused_events_total", "refused"),
                ("pending_high_water_events", "pending_events_max"),
                ("pending_high_water_bytes", "pending_bytes_max"),
                ("batches_total", "batches"),
                ("batch_events_count", "batches"),
                ("batch_events_sum", "stored"),
                ("batch_retries_total", "retries"),
            ] {
                assert_says(&metrics, &format!("libnet_shard_{name}{label}"), &counted[key]);
            }
            assert!(counted["batch_events"]["max"].as_u64() > Some(1), "{counted}");
        }
        assert_eq!(net::net_shutdown(bus), 0, "{mode}");
    }
}

#[test]
fn what_is_wrong_with_a_call_is_told_and_writes_nothing() {
    c::run("statistics", &[]);
}

#[test]
fn the_parsers_of_prometheus_client_read_the_text_and_it_says_what_the_json_says() {
    let script = c::root().join("tests/python/metrics.py");
    let output = c::run_command(python::with_package("prometheus_client").arg(script).arg(c::library()));
    assert!(output.stdout.ends_with("families\n"), "{output:?}");
}

#[test]
fn a_stores_trouble_is_seen_on_its_shard_and_its_last_error_stays() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let mut producer = bus.producer();
    let key = harness::key_of(1, 2);
    stores.set(1, Mode::RefuseForNow(u32::MAX));
    producer.publish(Some(&key), b"event", EventFlags::NONE).expect("there is room");
    until("a retry", || bus.stats().shards[1].retries > 0);
    let stats = bus.stats();
    assert_eq!([0, 1].map(|shard| stats.shards[shard].adapter), [AdapterState::Up, AdapterState::Retrying]);
    assert_eq!(stats.total().adapter, AdapterState::Retrying);
    let error = Some("the store refused for now: the test asked for it".to_owned());
    assert_eq!(stats.last_errors, [None, error.clone()]);
    stores.set(1, Mode::Store);
    assert_eq!(bus.flush(), Ok(()));
    let stats = bus.stats();
    assert_eq!((stats.total().adapter, stats.last_errors), (AdapterState::Up, vec![None, error]));
}

#[test]
fn a_subscribers_lag_is_what_it_has_not_given_back_of_what_its_shards_have_stored() {
    let bus = start(r#"{"num_shards":2}"#, Stores::new());
    let mut producer = bus.producer();
    let mut publish = |shard: u16, count: u64| {
        for _ in 0..count {
            producer.publish(Some(&harness::key_of(shard, 2)), b"event", EventFlags::NONE).expect("room");
        }
        assert_eq!(bus.flush(), Ok(()));
    };
    publish(0, 10);
    let mut early = subscribe(&bus, r#"{"from":"start","shards":[0]}"#);
    let late = subscribe(&bus, "{}");
    publish(0, 30);
    publish(1, 5);
    until("everything is delivered", || bus.stats().total().delivered == 40 + 35);
    let lags =
        || -> Vec<_> { bus.stats().subscriptions.into_iter().map(|open| (open.number, open.lags)).collect() };
    let of_late = vec![(ShardId(0), 30), (ShardId(1), 5)];
    assert_eq!(lags(), [(1, vec![(ShardId(0), 40)]), (2, of_late.clone())]);
    receive(&mut early, 15, 1);
    assert_eq!(lags()[0].1, [(ShardId(0), 26)], "the last one is lent and not given back");
    assert_eq!(receive(&mut early, 25, 25).len(), 25);
    assert!(is_empty(&mut early));
    assert_eq!(lags()[0].1, [(ShardId(0), 0)]);
    drop(early);
    assert_eq!(lags(), [(2, of_late)]);
    drop(late);
    let third = subscribe(&bus, "{}");
    assert_eq!(lags(), [(3, vec![(ShardId(0), 0), (ShardId(1), 0)])]);
    drop(third);
    assert_eq!(bus.stats().total().delivered, 75, "those of subscribers who have gone stay counted");
}
