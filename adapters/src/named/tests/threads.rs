//! A redex with its thread, in memory.

use std::sync::Barrier;
use std::thread;

use super::super::{EVENT_BYTES_MAX, NamedFile, Redex, RedexError, TAIL_EVENTS_MAX};
use super::*;

fn redex() -> Redex {
    Redex::open(None).expect("the machine allows it")
}

fn file(redex: &Redex) -> NamedFile {
    redex.open_file("orders/eu", "").expect("it opens")
}

fn append(file: &NamedFile, count: u64) {
    for _ in 0..count {
        file.append(b"event").expect("stored");
    }
}

#[test]
fn four_threads_append_and_every_place_is_given_once_and_in_each_threads_order() {
    const EVENTS: u64 = 2_000;
    let redex = redex();
    let file = file(&redex);
    let places: Vec<Vec<u64>> = thread::scope(|scope| {
        let appenders: Vec<_> = (0..4u64)
            .map(|thread| {
                let file = &file;
                scope.spawn(move || {
                    let event = |number: u64| (thread << 32 | number).to_le_bytes();
                    (0..EVENTS).map(|number| file.append(&event(number)).expect("stored")).collect()
                })
            })
            .collect();
        appenders.into_iter().map(|appender| appender.join().expect("no panic")).collect()
    });
    let records = file.read(0, u64::MAX).expect("read");
    assert_eq!(records.len() as u64, 4 * EVENTS);
    let mut expected = 0;
    for (place, record) in (0..).zip(records.iter()) {
        assert_eq!(record.seq, place);
        let event = u64::from_le_bytes(record.payload.try_into().expect("eight bytes"));
        let (thread, number) = ((event >> 32) as usize, (event & u64::from(u32::MAX)) as usize);
        assert_eq!(places[thread][number], place);
        expected += 1;
    }
    assert_eq!(expected, 4 * EVENTS);
    assert!(places.iter().all(|places| places.is_sorted()));
}

#[test]
fn a_file_belongs_to_one_redex_under_whichever_directory_it_was_opened() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let around = Redex::open(Some(dir.path())).expect("the machine allows it");
    let within = Redex::open(Some(&dir.path().join("x"))).expect("the machine allows it");
    for opened in 1..=20 {
        let file = around.open_file("x/y", "").expect("it is free");
        assert!(matches!(within.open_file("y", "").err(), Some(RedexError::Store(_))), "it is in use");
        file.append(b"event").expect("stored");
        file.close().expect("synced");
        let file = within.open_file("y", "").expect("it is free");
        assert_eq!(file.count(), Ok(opened));
        file.close().expect("synced");
    }
}

#[test]
fn a_file_in_a_directory_is_opened_again_while_it_closes() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let redex = Redex::open(Some(dir.path())).expect("the machine allows it");
    for place in 0..5 {
        // The one before is dropped, and may not have gone yet.
        assert_eq!(file(&redex).append(b"event"), Ok(place));
    }
}

#[test]
fn a_range_is_half_open_and_gives_what_is_there() {
    let redex = redex();
    let file = redex.open_file("a", r#"{"retention_max_events":10}"#).expect("it opens");
    for number in 0..25u8 {
        file.append(&[number]).expect("stored");
    }
    let seqs = |start, end| -> Vec<u64> {
        file.read(start, end).expect("read").iter().map(|record| record.seq).collect()
    };
    assert_eq!(seqs(16, 18), [16, 17]);
    assert_eq!(seqs(0, 17), [15, 16], "retention has removed the others");
    assert_eq!(seqs(24, u64::MAX), [24]);
    assert_eq!(seqs(0, u64::MAX).len(), 10);
    for empty in [(0, 0), (0, 15), (18, 18), (25, 30), (u64::MAX, u64::MAX)] {
        assert!(seqs(empty.0, empty.1).is_empty(), "{empty:?}");
    }
    assert_eq!(file.read(2, 1).err(), Some(RedexError::Range { start: 2, end: 1 }));
    assert_eq!(file.count(), Ok(10));
}

#[test]
fn tails_that_begin_anywhere_give_every_event_once_while_others_append() {
    const EVENTS: u64 = 6_000;
    let redex = redex();
    let file = file(&redex);
    thread::scope(|scope| {
        for from in [0, 1, EVENTS / 2, EVENTS - 1] {
            let mut tail = file.tail(from).expect("open");
            scope.spawn(move || {
                let mut expected = from;
                while expected < EVENTS {
                    let records = tail.next(None).expect("open");
                    assert!(!records.is_empty() && records.len() <= TAIL_EVENTS_MAX);
                    for record in records.iter() {
                        assert_eq!(record.seq, expected);
                        expected += 1;
                    }
                }
                assert!(tail.next(Some(Duration::ZERO)).expect("open").is_empty());
            });
        }
        for _ in 0..3 {
            scope.spawn(|| append(&file, EVENTS / 3));
        }
    });
}

#[test]
fn a_look_at_a_tail_sees_every_append_that_was_answered() {
    let redex = redex();
    let file = file(&redex);
    let mut tail = file.tail(0).expect("open");
    for place in 0..500 {
        file.append(b"x").expect("stored");
        let seqs: Vec<u64> =
            tail.next(Some(Duration::ZERO)).expect("open").iter().map(|record| record.seq).collect();
        assert_eq!(seqs, [place]);
        assert!(tail.next(Some(Duration::ZERO)).expect("open").is_empty());
    }
}

#[test]
fn a_tail_passes_over_what_retention_has_removed() {
    let redex = redex();
    let file = redex.open_file("a", r#"{"retention_max_events":3}"#).expect("it opens");
    let mut tail = file.tail(0).expect("open");
    append(&file, 10);
    let seqs: Vec<u64> = tail.next(None).expect("open").iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [7, 8, 9]);
}

#[test]
fn a_tail_that_waits_ends_with_its_handle_its_redex_and_by_itself() {
    type End = fn(&Redex, &NamedFile, &super::super::TailCloser);
    let ends: [(End, RedexError); 3] = [
        (|_, file, _| file.close().expect("closed"), RedexError::Closed),
        (|redex, _, _| redex.end().expect("ended"), RedexError::Ended),
        (|_, _, closer| closer.close(), RedexError::Closed),
    ];
    for (end, expected) in ends {
        let redex = redex();
        let (file, other) = (file(&redex), file(&redex));
        let mut tail = file.tail(0).expect("open");
        let closer = tail.closer();
        let waits = Barrier::new(2);
        let ended = thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                waits.wait();
                tail.next(None).err()
            });
            waits.wait();
            end(&redex, &file, &closer);
            waiting.join().expect("no panic")
        });
        assert_eq!(ended, Some(expected));
        drop(other);
    }
}

#[test]
fn a_handle_that_is_closed_is_refused_and_the_other_one_goes_on() {
    let redex = redex();
    let (file, other) = (file(&redex), file(&redex));
    file.append(b"x").expect("stored");
    file.close().expect("closed");
    file.close().expect("closed already");
    assert_eq!(file.append(b"x"), Err(RedexError::Closed));
    assert_eq!(file.read(0, 1).err(), Some(RedexError::Closed));
    assert_eq!(file.sync(), Err(RedexError::Closed));
    assert_eq!(file.count(), Err(RedexError::Closed));
    assert!(file.tail(0).is_err());
    assert_eq!(other.append(b"y"), Ok(1));
    assert_eq!(other.sync(), Ok(()));
}

#[test]
fn after_the_end_everything_is_refused_and_ends_again() {
    let redex = redex();
    let file = file(&redex);
    redex.end().expect("ended");
    redex.end().expect("ended already");
    assert_eq!(file.append(b"x"), Err(RedexError::Ended));
    assert_eq!(file.count(), Err(RedexError::Ended));
    assert_eq!(redex.open_file("b", "").err(), Some(RedexError::Ended));
    assert_eq!(file.close(), Ok(()));
}

#[test]
fn the_largest_event_is_stored_and_a_larger_one_is_refused() {
    let redex = redex();
    let file = file(&redex);
    let bytes = vec![7; EVENT_BYTES_MAX + 1];
    let larger = RedexError::TooLarge { bytes: EVENT_BYTES_MAX + 1 };
    assert_eq!(file.append(&bytes), Err(larger));
    for place in 0..5 {
        assert_eq!(file.append(&bytes[1..]), Ok(place));
    }
    assert_eq!(file.append(b""), Ok(5));
    let records = file.read(0, u64::MAX).expect("read");
    assert_eq!(records.len(), 4, "a read is bounded, and ends with the event that reaches the bound");
    assert!(records.iter().all(|record| record.payload == &bytes[1..]));
    let rest = file.read(4, u64::MAX).expect("read");
    let lens: Vec<usize> = rest.iter().map(|record| record.payload.len()).collect();
    assert_eq!(lens, [EVENT_BYTES_MAX, 0]);
}

#[test]
fn an_old_event_is_removed_although_nothing_happens() {
    let redex = redex();
    let file = redex.open_file("a", r#"{"retention_max_age_ms":20}"#).expect("it opens");
    file.append(b"x").expect("stored");
    while file.count() != Ok(0) {
        thread::yield_now();
    }
    assert_eq!(file.append(b"y"), Ok(1));
}
