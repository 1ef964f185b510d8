//! Wrong use: C programs that call every function with every argument as it must not be, at every time at which it must not be.
//!
//! `LIBNET_ABUSE_ROUNDS` (2,000) says how many buses end while sixteen threads call whatever there is.

use std::collections::BTreeSet;
use std::env;
use std::sync::{Mutex, MutexGuard, PoisonError};

use harness::{Random, c};

#[test]
fn the_programs_know_every_function() {
    let rows = include_str!("../c/abuse_rows.h").lines().filter_map(|line| line.strip_prefix("    ROW("));
    let rows: BTreeSet<&str> = rows.filter_map(|row| row.split(',').next()).collect();
    let interface =
        include_str!("../../ffi/abi.txt").lines().filter_map(|line| line.strip_prefix("function "));
    let interface: BTreeSet<&str> = interface.filter_map(|function| function.split(' ').next()).collect();
    assert_eq!(rows, interface);
}

#[test]
fn every_argument_of_every_function_may_be_wrong() {
    let _alone = alone();
    c::run("abuse", &[]);
}

#[test]
fn whatever_is_called_when_it_is_too_late_is_refused() {
    let _alone = alone();
    let output = c::run("abuse_late", &[]);
    assert_eq!(output.stdout, "exit\n", "the handlers at the end of the process did not run");
}

#[test]
fn sixteen_threads_call_whatever_there_is_while_buses_end() {
    let rounds =
        env::var("LIBNET_ABUSE_ROUNDS").ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(2_000);
    let _alone = alone();
    let mut random = Random::new(20_261);
    // A program has some time before it counts as hung.
    for begin in (0..rounds).step_by(ROUNDS_AT_ONCE) {
        let seed = random.below(1 << 31).to_string();
        c::run("abuse_race", &[&ROUNDS_AT_ONCE.min(rounds - begin).to_string(), &seed]);
    }
}

/// The programs have all CPUs for themselves, one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const ROUNDS_AT_ONCE: usize = 200;
