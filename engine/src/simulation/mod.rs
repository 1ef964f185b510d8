//! The simulation: a seed runs a whole bus without a thread, on virtual time: producers, shards, stores that fail in every way, pollers,
//! subscribers, flushes, and a shutdown at any moment. Books that the bus does not see say what must hold. Then faults end, and
//! everything must drain. `LIBNET_BUS_SEEDS` says how many seeds are tried, `LIBNET_BUS_FIRST` with which they begin.

mod books;
mod ending;
mod faults;
mod follower;
mod poller;
mod store;
mod world;

use faults::Faults;
use world::World;

/// The hash of everything that happened, and what went wrong.
fn run(seed: u64) -> (u64, Faults) {
    let mut world = World::new(seed);
    world.live();
    world.drain();
    world.check();
    world.outcome()
}

#[test]
fn whatever_fails_every_law_holds_and_everything_drains() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seeds, first) = (number("LIBNET_BUS_SEEDS", SEEDS), number("LIBNET_BUS_FIRST", 0));
    let mut all = Faults::default();
    for seed in first..first + seeds {
        let Ok((_, faults)) = std::panic::catch_unwind(|| run(seed)) else {
            panic!(
                "LIBNET_BUS_FIRST={seed} LIBNET_BUS_SEEDS=1 cargo test -p libnet-engine --lib simulation repeats it"
            )
        };
        all.add(&faults);
    }
    assert!(seeds < SEEDS || all.are_all(), "a fault never came: {all:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 17, 4_711] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1).0, run(2).0);
}

/// As many as CI tries.
const SEEDS: u64 = 2_000;
