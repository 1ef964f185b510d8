//! Random numbers with a seed that a failure prints.

use std::env;
use std::thread;

/// `SplitMix64` (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
///
/// The seed is that of the environment variable `LIBNET_SEED`, or the one given. It is printed when the test that
/// holds this panics.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A sequence that starts from `LIBNET_SEED`, or from `seed` where that is not set.
    pub fn new(seed: u64) -> Random {
        let seed = env::var("LIBNET_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        Random { seed, state: seed }
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }
}

impl Drop for Random {
    #[expect(clippy::print_stderr, reason = "a failure prints its seed")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed: LIBNET_SEED={}", self.seed);
        }
    }
}
