//! The committed corpora, replayed: every input as it is, and as chance changes it. Each crate whose parsers are fuzzed includes this
//! file in its unit tests.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::TARGETS;

/// Each corpus holds something that is taken and something that is refused.
#[test]
fn every_input_of_the_corpora_is_taken_or_refused() {
    for &(name, run) in TARGETS {
        let inputs = inputs(name);
        let verdicts: Vec<bool> = inputs.iter().map(|(path, bytes)| tried(run, bytes, path)).collect();
        for wanted in [true, false] {
            assert!(verdicts.contains(&wanted), "{name}: no input of the corpus gives {wanted}");
        }
        for seed in 0..CHANGES {
            let mut rng = Rng::with_seed(seed);
            let (path, bytes) = &inputs[rng.usize(..inputs.len())];
            let changed = changed(bytes, &inputs, &mut rng);
            tried(run, &changed, &path.with_extension(format!("changed by seed {seed}")));
        }
    }
}

fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("it is readable"))).collect()
}

fn tried(run: fn(&[u8]) -> bool, bytes: &[u8], path: &Path) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(bytes)))
        .unwrap_or_else(|_| panic!("{}: {}", path.display(), bytes.escape_ascii()))
}

/// A few bytes are others, more or fewer, or the end is that of another input.
fn changed(bytes: &[u8], inputs: &[(PathBuf, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.u8(..)),
            2 => {
                let (_, other) = &inputs[rng.usize(..inputs.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[at.min(other.len())..]);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            4 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.usize(..5)],
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

/// Changed inputs that each target is tried with.
const CHANGES: u64 = 300;
