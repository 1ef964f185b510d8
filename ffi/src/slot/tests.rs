//! The table of slots, alone: keys, phases, generations, and closing under the calls of other threads.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::Duration;

#[test]
fn a_tenant_is_found_by_its_key_and_by_no_other() {
    let table = Table::new();
    let key = table.insert("bus").expect("empty");
    assert_eq!(*table.enter(key).expect("open"), "bus");
    let later = Key { generation: key.generation + 1, ..key };
    assert_eq!(table.enter(later).err(), Some(Refusal::NeverIssued));
    let zero = Key { generation: 0, ..key };
    assert_eq!(table.enter(zero).err(), Some(Refusal::NeverIssued));
    for slot in [key.slot + 1, u16::MAX] {
        assert_eq!(table.enter(Key { slot, ..key }).err(), Some(Refusal::NeverIssued));
    }
}

#[test]
fn a_closed_key_stays_closed_when_its_slot_has_another_tenant() {
    let table = Table::new();
    let old = table.insert(1).expect("empty");
    drop(table.close(old).expect("open"));
    let new = table.insert(2).expect("one is free");
    assert_eq!(new.slot, old.slot);
    assert_eq!(table.enter(old).err(), Some(Refusal::Closed));
    assert_eq!(table.close(old).err(), Some(Refusal::Closed));
    assert_eq!(*table.enter(new).expect("open"), 2);
}

#[test]
fn a_poisoned_tenant_can_only_be_closed() {
    let table = Table::new();
    let key = table.insert(()).expect("empty");
    table.poison(key);
    assert_eq!(table.enter(key).err(), Some(Refusal::Poisoned));
    drop(table.close(key).expect("poisoned ones close"));
    assert_eq!(table.enter(key).err(), Some(Refusal::Closed));
}

#[test]
fn the_last_generation_retires_its_slot() {
    let table = Table::new();
    let first = table.insert(()).expect("empty");
    let slot = table.slot(first).expect("made");
    slot.word.store(Word::new(u32::MAX, Phase::Open).0, Ordering::Release);
    let last = Key { generation: u32::MAX, ..first };
    drop(table.close(last).expect("open"));
    assert_eq!(table.enter(last).err(), Some(Refusal::Closed));
    assert_eq!(table.close(last).err(), Some(Refusal::Closed));
    assert_ne!(table.insert(()).expect("others are free").slot, first.slot);
}

#[test]
fn a_full_table_gives_the_tenant_back() {
    let table = Table::new();
    let keys: Vec<Key> = (0..1 << 16).map(|tenant| table.insert(tenant).expect("a slot each")).collect();
    assert_eq!(table.insert(-1), Err(-1));
    drop(table.close(keys[70]).expect("open"));
    assert_eq!(table.insert(-1).map(|key| key.slot), Ok(70));
}

/// Says when it is dropped.
#[derive(Debug)]
struct Witness(Arc<AtomicBool>);
impl Drop for Witness {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn closing_waits_for_the_calls_inside_and_every_closer_for_the_drop() {
    let table = Table::new();
    let dropped = Arc::new(AtomicBool::new(false));
    let begun = AtomicUsize::new(0);
    let key = table.insert(Witness(dropped.clone())).expect("empty");
    let inside = table.enter(key).expect("open");
    thread::scope(|scope| {
        let closers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let closed = table.close(key).map(drop);
                    assert!(dropped.load(Ordering::SeqCst), "a closer returned before the drop");
                    closed
                })
            })
            .collect();
        while begun.load(Ordering::SeqCst) < 4 || table.enter(key).is_ok() {
            thread::yield_now();
        }
        // Who does not wait returns meanwhile.
        thread::sleep(Duration::from_millis(50));
        assert!(!dropped.load(Ordering::SeqCst), "dropped under a call");
        drop(inside);
        let answers: Vec<_> = closers.into_iter().map(|closer| closer.join().expect("no panic")).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    });
}

#[test]
fn a_tenant_is_never_dropped_under_the_calls_of_many_threads() {
    for _ in 0..200 {
        let table = Table::new();
        let dropped = Arc::new(AtomicBool::new(false));
        let key = table.insert(Witness(dropped)).expect("empty");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Ok(witness) = table.enter(key) {
                        assert!(!witness.0.load(Ordering::SeqCst), "dropped under a call");
                    }
                });
            }
            drop(table.close(key).expect("open"));
        });
    }
}
