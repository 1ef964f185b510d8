//! The table of slots under loom: calls, closers and the next tenant, in every order.
//!
//! Calls read a tenant's memory and whoever has closed it writes there, both watched by loom: a call that is not over
//! by then, or that came by the tenant without the order that `insert` gives, is a race. The write is not in the
//! tenant's drop, whose panic the table catches.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::*;

struct Tenant {
    number: u64,
    memory: Memory,
}

#[derive(Clone)]
struct Memory(Arc<UnsafeCell<()>>);

// SAFETY: the cell holds nothing; loom is asked whether its uses are ordered.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Tenant {
    fn call(&self) -> u64 {
        self.memory.0.with(|_| ());
        self.number
    }
}

impl Memory {
    fn new() -> Memory {
        Memory(Arc::new(UnsafeCell::new(())))
    }

    fn reuse(&self) {
        self.0.with_mut(|_| ());
    }
}

/// A table with a tenant.
fn table() -> (Arc<Table<Tenant>>, Key, Memory) {
    let (table, memory) = (Arc::new(Table::new()), Memory::new());
    let key = insert(&table, 1, &memory);
    (table, key, memory)
}

fn insert(table: &Table<Tenant>, number: u64, memory: &Memory) -> Key {
    memory.reuse();
    let tenant = Tenant { number, memory: memory.clone() };
    table.insert(tenant).map_err(|_| ()).expect("the slot is free")
}

/// Whether this call closed.
fn close(table: &Table<Tenant>, key: Key, memory: &Memory) -> bool {
    let closed = table.close(key).map(drop);
    assert!(closed.is_ok() || closed == Err(Refusal::Closed));
    assert_eq!(table.slot(key).expect("made").now().generation(), key.generation + 1, "returned too early");
    if closed.is_ok() {
        memory.reuse();
    }
    closed.is_ok()
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_tenant_outlives_the_calls_inside() {
    check(|| {
        let (table, key, memory) = table();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let table = Arc::clone(&table);
                thread::spawn(move || match table.enter(key) {
                    Ok(tenant) => assert_eq!(tenant.call(), 1),
                    Err(refusal) => assert_eq!(refusal, Refusal::Closed),
                })
            })
            .collect();
        assert!(close(&table, key, &memory));
        assert_eq!(table.enter(key).err(), Some(Refusal::Closed));
        for caller in callers {
            caller.join().expect("no panic");
        }
    });
}

#[test]
fn of_two_closers_one_closes_and_both_return_after_the_drop() {
    check(|| {
        let (table, key, memory) = table();
        let closing = {
            let (table, memory) = (Arc::clone(&table), memory.clone());
            thread::spawn(move || close(&table, key, &memory))
        };
        let here = close(&table, key, &memory);
        let there = closing.join().expect("no panic");
        assert!(here != there, "one of two closes: {here} {there}");
    });
}

#[test]
fn a_key_finds_its_own_tenant_or_none_while_the_slot_changes_hands() {
    check(|| {
        let (table, old, memory) = table();
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
        assert!(close(&table, old, &memory));
        assert_eq!(insert(&table, 2, &Memory::new()), new);
        calling.join().expect("no panic");
    });
}
