//! The table of slots under loom: calls, closers and the next tenant, in every order.
//!
//! A tenant is memory whose every use loom watches: dropping it writes to it, so that a call which still uses it, or
//! came by it without the order that `insert` gives, is a race.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::*;

struct Tenant {
    number: u64,
    memory: UnsafeCell<()>,
}

// SAFETY: the cell holds nothing; loom is asked whether its uses are ordered.
unsafe impl Sync for Tenant {}

impl Tenant {
    fn new(number: u64) -> Tenant {
        let tenant = Tenant { number, memory: UnsafeCell::new(()) };
        tenant.memory.with_mut(|_| ());
        tenant
    }

    fn call(&self) -> u64 {
        self.memory.with(|_| ());
        self.number
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.memory.with_mut(|_| ());
    }
}

fn table() -> (Arc<Table<Tenant>>, Key) {
    let table = Arc::new(Table::new());
    let key = table.insert(Tenant::new(1)).map_err(|_| ()).expect("empty");
    (table, key)
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_tenant_outlives_the_calls_inside() {
    check(|| {
        let (table, key) = table();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let table = Arc::clone(&table);
                thread::spawn(move || match table.enter(key) {
                    Ok(tenant) => assert_eq!(tenant.call(), 1),
                    Err(refusal) => assert_eq!(refusal, Refusal::Closed),
                })
            })
            .collect();
        drop(table.close(key).expect("open"));
        assert_eq!(table.enter(key).err(), Some(Refusal::Closed));
        for caller in callers {
            caller.join().expect("no panic");
        }
    });
}

#[test]
fn of_two_closers_one_closes_and_both_return_after_the_drop() {
    check(|| {
        let (table, key) = table();
        let closing = {
            let table = Arc::clone(&table);
            thread::spawn(move || close(&table, key))
        };
        let here = close(&table, key);
        let there = closing.join().expect("no panic");
        assert!(here != there, "one of two closes: {here} {there}");
    });
}

/// Whether this call closed. Whoever returns may put the next tenant in: the slot is free.
fn close(table: &Table<Tenant>, key: Key) -> bool {
    let closed = table.close(key).map(drop);
    assert!(closed.is_ok() || closed == Err(Refusal::Closed));
    assert_eq!(table.slot(key).expect("made").now().generation(), key.generation + 1);
    closed.is_ok()
}

#[test]
fn a_key_finds_its_own_tenant_or_none_while_the_slot_changes_hands() {
    check(|| {
        let (table, old) = table();
        let new = Key { generation: old.generation + 1, ..old };
        let calling = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                // The second key is not issued yet when it is used.
                for (key, number) in [(new, 2), (old, 1)] {
                    if let Ok(tenant) = table.enter(key) {
                        assert_eq!(tenant.call(), number);
                    }
                }
            })
        };
        drop(table.close(old).expect("open"));
        let key = table.insert(Tenant::new(2)).map_err(|_| ()).expect("the slot was given on");
        assert_eq!(key, new);
        calling.join().expect("no panic");
        drop(table.close(key).expect("open"));
    });
}
