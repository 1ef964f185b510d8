//! Whatever becomes of a log's files, looking at them, opening and repairing them end, without a panic, and tell of no event that
//! was not written. `LIBNET_LOG_SEEDS` says how many seeds are tried.

mod mutation;
mod specimen;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;

use super::super::LogStores;
use super::super::active::Identity;
use super::super::disk::Folder;
use super::super::opening::open as start;
use super::super::options::Options;
use super::*;
use mutation::{by_a_forger, by_chance};
use specimen::Specimen;

/// What readers are given, and how many events they are told are damaged. An error ends it.
fn read(log: &ShardLog) -> Read {
    let mut walk = log.events(None).expect("it is readable");
    let (mut events, mut passed_over, mut last) = (BTreeMap::new(), 0_u64, 0);
    while let Ok(Some(block)) = walk.next(7) {
        passed_over = passed_over.saturating_add(block.passed_over);
        for event in block.batch.events() {
            assert!(event.sequence.0 > last, "{} comes after {last}", event.sequence);
            last = event.sequence.0;
            events.insert(last, event.payload.to_vec());
        }
    }
    (events, passed_over)
}

type Read = (BTreeMap<u64, Vec<u8>>, u64);

/// The log of the only shard.
fn inspect<R>(specimen: &Specimen, look: impl FnOnce(&ShardLog) -> R) -> R {
    let inspection = Inspection::open(specimen.dir.path()).expect("there is a log");
    look(&inspection.logs()[0])
}

/// Runs a test for many seeds, and names the one with which it fails.
#[expect(clippy::print_stderr, reason = "a failure prints its seed")]
fn for_seeds(test: impl Fn(u64)) {
    let seeds = std::env::var("LIBNET_LOG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("seed {seed}");
            resume_unwind(panic);
        }
    }
}

#[test]
fn a_log_as_it_was_written_is_read_whole_and_verified() {
    for_seeds(|seed| {
        let specimen = Specimen::new(seed);
        inspect(&specimen, |log| {
            let found = log.verify().expect("it is readable");
            assert_eq!((found.damage.as_slice(), found.was_closed), (&[][..], specimen.is_closed));
            let (events, passed_over) = read(log);
            assert!(events == specimen.written && passed_over == 0, "{passed_over} are passed over");
            assert_eq!((found.events, found.damaged_events), (events.len() as u64, 0));
            let listed: u64 =
                log.segments().expect("it is readable").iter().map(|segment| segment.events).sum();
            assert!(listed >= found.events, "{listed}");
        });
    });
}

#[test]
fn what_chance_changes_is_never_taken_for_an_event_and_a_repair_changes_nothing_that_is_read() {
    for_seeds(|seed| {
        let (specimen, mut rng) = (Specimen::new(seed), Rng::with_seed(!seed));
        let done: Vec<String> = (0..rng.usize(1..4)).map(|_| by_chance(&specimen, &mut rng)).collect();
        let (before, after, found) = look(&specimen);
        for (sequence, payload) in &before.0 {
            assert_eq!(Some(payload), specimen.written.get(sequence), "event {sequence}: {done:?}");
        }
        assert_eq!(found.events, before.0.len() as u64, "{done:?}: {found:#?}");
        assert!(found.damaged_events == before.1, "{}: {done:?}: {found:#?}", before.1);
        assert!(before.0 == after.0, "it reads differently once it was repaired: {done:?}");
    });
}

#[test]
#[expect(clippy::print_stderr, reason = "a failure prints what was forged")]
fn a_forger_who_knows_the_salts_brings_nothing_down() {
    for_seeds(|seed| {
        let (specimen, mut rng) = (Specimen::new(seed), Rng::with_seed(!seed));
        let done: Vec<String> = (0..rng.usize(1..4)).map(|_| by_a_forger(&specimen, &mut rng)).collect();
        catch_unwind(AssertUnwindSafe(|| look(&specimen))).unwrap_or_else(|panic| {
            eprintln!("{done:?}");
            resume_unwind(panic)
        });
    });
}

/// Looks at a log in every way, repairs it, and opens it: what is read before and after the repair, and what was found before.
fn look(specimen: &Specimen) -> (Read, Read, Verified) {
    let (before, found) = inspect(specimen, |log| {
        log.segments().expect("it is readable");
        (read(log), log.verify().expect("it is readable"))
    });
    let inspection = Inspection::open(specimen.dir.path()).expect("there is a log");
    let log = &inspection.logs()[0];
    let repair = log.repair().expect("it is readable");
    let lock = inspection.lock().expect("nobody has it");
    // Where sequences have come to their end, no segment can say that a log ends.
    let repaired = repair.apply(&lock);
    assert!(repaired.is_ok() || before.0.is_empty() || found.end > 1 << 60, "{repaired:?}");
    drop(lock);
    let after = read(log);
    let path = specimen.dir.path().join("shard-00000");
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let identity = Identity { shard: 0, incarnation: 9, boot_id: 5 };
    drop(start(&Folder::new(&path), identity, options, 2));
    inspect(specimen, read);
    (before, after, found)
}

#[test]
fn every_bit_of_a_closed_log_counts() {
    let is_whole = |specimen: &Specimen| specimen.is_closed && specimen.is_sealed && specimen.salts.len() > 2;
    let specimen = (0..1_000).map(Specimen::new).find(is_whole).expect("one of a few is");
    let good = inspect(&specimen, |log| log.verify().expect("it is readable"));
    let mut rng = Rng::with_seed(1);
    for path in specimen.files() {
        let bytes = fs::read(&path).expect("it is there");
        // Those of the first block one by one, padding and all.
        let block =
            (8_192..12_288).filter(|at| path.ends_with("00000000000000000001.seg") && *at < bytes.len());
        let others: Vec<usize> = (0..200.min(bytes.len())).map(|_| rng.usize(..bytes.len())).collect();
        for at in block.chain(others) {
            let bit = rng.u8(..8);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, flipped).expect("it is writable");
            let found = inspect(&specimen, |log| log.verify().expect("it is readable"));
            assert_ne!(found, good, "bit {bit} of byte {at} in {}", path.display());
        }
        fs::write(&path, bytes).expect("it is writable");
    }
}

#[test]
fn a_repair_closes_a_log_cuts_what_is_behind_its_last_event_and_makes_every_index() {
    for_seeds(|seed| {
        let (specimen, mut rng) = (Specimen::new(seed), Rng::with_seed(!seed));
        if !specimen.is_closed {
            // A write that was begun.
            let (number, _) = specimen.salts[specimen.salts.len() - 1];
            let path = mutation::segment(specimen.dir.path(), number);
            let mut bytes = fs::read(&path).expect("it is there");
            bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(10_000));
            fs::write(&path, bytes).expect("it is writable");
        }
        let inspection = Inspection::open(specimen.dir.path()).expect("there is a log");
        let log = &inspection.logs()[0];
        let before = log.verify().expect("it is readable");
        assert_eq!((before.was_closed, before.tail.is_some()), (specimen.is_closed, !specimen.is_closed));
        let lock = inspection.lock().expect("nobody has it");
        log.repair().expect("it is readable").apply(&lock).expect("it is writable");
        drop(lock);
        assert_eq!(log.repair().expect("it is readable").steps(), []);
        let after = log.verify().expect("it is readable");
        assert!(
            after.was_closed && after.tail.is_none() && after.void.is_empty() && after.is_good(),
            "{after:?}"
        );
        assert_eq!((after.end, after.next), (before.end, before.next));
        assert!(read(log) == (specimen.written.clone(), 0));
        for segment in log.segments().expect("it is readable") {
            let bytes =
                fs::read(mutation::segment(specimen.dir.path(), segment.number)).expect("it is there");
            assert!(bytes[bytes.len() - 4_096..].iter().any(|&byte| byte != 0), "{segment:?}");
            assert!(
                segment.state != SegmentState::Events || segment.index == IndexState::Good,
                "{segment:?}"
            );
        }
    });
}

#[test]
fn one_bad_record_is_one_damage() {
    let specimen = Specimen::new(2);
    let path = mutation::segment(specimen.dir.path(), specimen.salts[0].0);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[8_192 + 64 + 16] ^= 1;
    fs::write(&path, bytes).expect("it is writable");
    let found = inspect(&specimen, |log| log.verify().expect("it is readable"));
    let damage: Vec<_> =
        found.damage.iter().map(|damage| (&damage.kind, damage.offset, damage.events)).collect();
    assert_eq!(damage, [(&DamageKind::Records, 8_256, 1)]);
    assert_eq!((found.damage_count, found.damaged_events), (1, 1));
}

#[test]
fn who_looks_at_a_locked_log_leaves_it_locked_and_repairs_nothing() {
    let specimen = Specimen::new(1);
    let open = || Inspection::open(specimen.dir.path()).expect("there is a log");
    assert!(!open().is_in_use() && !specimen.dir.path().join("lock").exists());
    let lock = open().lock().expect("nobody has it");
    for _ in 0..2 {
        let inspection = open();
        assert!(inspection.is_in_use());
        assert!(matches!(inspection.lock(), Err(InspectError::InUse(_))));
        assert!(matches!(inspection.logs()[0].repair(), Err(InspectError::InUse(_))));
    }
    drop(lock);
    assert!(!open().is_in_use());
}

#[test]
fn an_identity_of_random_bytes_is_refused_by_a_bus_and_named_by_the_inspection() {
    let mut rng = Rng::with_seed(3);
    for length in 0..200 {
        let specimen = Specimen::new(1);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
        fs::write(specimen.dir.path().join("log.json"), bytes).expect("it is writable");
        let inspection = Inspection::open(specimen.dir.path()).expect("there are segments");
        assert!(inspection.damage().is_some(), "{length}");
        let one = std::num::NonZeroU16::MIN;
        assert!(LogStores::open(specimen.dir.path(), Options::default(), one).is_err());
        assert!(recover(&inspection.logs()[0].folder).is_ok());
    }
}
