//! The gate before the key exchange: how many initiations a shard of the responder computes with, and whose.
//!
//! Up to `HANDSHAKES_PER_S` anybody's who knows the secrets; beyond, who has proven its address, as often as
//! `ADDRESS_PER_S`, and all of those together `PROVEN_PER_S`. A captured initiation that is sent again is
//! known by its code. All of it is of fixed size: a flood from however many addresses takes no memory.

use std::net::{IpAddr, SocketAddr};

use engine::clock::Monotonic;

use super::entropy::{Entropy, secret};
use super::mac::{MAC_BYTES, MacKey};
use super::refused::Refused;

/// What one shard lets through.
#[derive(Debug)]
pub(super) struct Gate {
    recent: Box<Recent>,
    anybody: Bucket,
    proven: Bucket,
    addresses: Box<[Bucket; ADDRESSES]>,
    /// Who does not know it cannot tell which addresses share a bucket.
    key: MacKey,
}

impl Gate {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Gate {
        Gate {
            recent: Box::new(Recent::new()),
            anybody: Bucket::FULL,
            proven: Bucket::FULL,
            addresses: Box::new([Bucket::FULL; ADDRESSES]),
            key: MacKey::new(secret(entropy)),
        }
    }

    /// Whether an initiation with this code, which is right, is a new one. It is not the next time.
    pub(super) fn is_new(&mut self, mac1: &[u8; MAC_BYTES]) -> bool {
        self.recent.insert(mac1)
    }

    /// Whether one more may be computed with, and counts it.
    pub(super) fn admit(&mut self, from: SocketAddr, is_proven: bool, now: Monotonic) -> Result<(), Refused> {
        if self.anybody.take(now, HANDSHAKES_PER_S, HANDSHAKES_PER_S) {
            return Ok(());
        }
        if !is_proven {
            return Err(Refused::Cookie);
        }
        let address = self.bucket(from);
        let is_let = self.addresses[address].take(now, ADDRESS_PER_S, ADDRESS_BURST)
            && self.proven.take(now, PROVEN_PER_S, PROVEN_PER_S);
        if is_let { Ok(()) } else { Err(Refused::RateLimited) }
    }

    /// The bucket of an address, without its port; of IPv6, that of its /64, which one sender may have all
    /// of.
    fn bucket(&self, from: SocketAddr) -> usize {
        let code = match from.ip().to_canonical() {
            IpAddr::V4(ip) => self.key.code(&ip.octets()),
            IpAddr::V6(ip) => self.key.code(&ip.octets()[..8]),
        };
        usize::from(u16::from_le_bytes([code[0], code[1]])) % ADDRESSES
    }
}

/// So many a second, some of them at once: by the time at which it would be full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Monotonic,
}

impl Bucket {
    const FULL: Bucket = Bucket { full_at: Monotonic(0) };

    /// Takes one of `per_s`, if there is one; `burst` are saved up. A clock that jumps back empties it at
    /// most.
    fn take(&mut self, now: Monotonic, per_s: u64, burst: u64) -> bool {
        let each_ns = NS_PER_S / per_s;
        let empty_ns = each_ns * burst;
        let missing_ns = self.full_at.0.saturating_sub(now.0).min(empty_ns);
        if missing_ns + each_ns > empty_ns {
            self.full_at = Monotonic(now.0.saturating_add(missing_ns));
            return false;
        }
        self.full_at = Monotonic(now.0.saturating_add(missing_ns + each_ns));
        true
    }
}

/// The codes of the initiations that came last: in sets, each of which forgets its oldest.
struct Recent {
    sets: [[u64; WAYS]; SETS],
}

impl Recent {
    fn new() -> Recent {
        Recent { sets: [[0; WAYS]; SETS] }
    }

    /// Whether it was not there. A code is as good as random, so 8 of its bytes tell it from all others.
    fn insert(&mut self, mac1: &[u8; MAC_BYTES]) -> bool {
        let &[code, set] = mac1.as_chunks().0 else { unreachable!("a code has 16 bytes") };
        let code = u64::from_le_bytes(code);
        let set = &mut self.sets[u64::from_le_bytes(set) as usize % SETS];
        if set.contains(&code) {
            return false;
        }
        set.rotate_right(1);
        set[0] = code;
        true
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recent")
    }
}

/// Initiations a second, and at once, that a shard computes with before addresses are to be proven.
pub(super) const HANDSHAKES_PER_S: u64 = 64;

/// Initiations a second of proven addresses, and at once, that a shard computes with beyond those.
pub(super) const PROVEN_PER_S: u64 = 256;

/// Of them, those of one address.
pub(super) const ADDRESS_PER_S: u64 = 16;

/// Of them, those of one address at once: its sessions begin together.
pub(super) const ADDRESS_BURST: u64 = 32;

/// Buckets for addresses. Those that share one share what it gives.
const ADDRESSES: usize = 256;

/// Initiations that are known again: `SETS * WAYS`.
const SETS: usize = 256;
const WAYS: usize = 4;

const NS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn gate() -> Gate {
        Gate::new(&mut fastrand::Rng::with_seed(7))
    }

    fn from(number: u32) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::from(number), 700))
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic(1_000_000_000_000 + millis * 1_000_000)
    }

    /// How many of `tries` within `seconds` are let through.
    fn admitted(gate: &mut Gate, seconds: u64, tries: u32, is_proven: bool, addresses: u32) -> u64 {
        let mut count = 0;
        for index in 0..tries {
            let now = at(seconds * 1_000 * u64::from(index) / u64::from(tries));
            count += u64::from(gate.admit(from(index % addresses), is_proven, now).is_ok());
        }
        count
    }

    #[test]
    fn few_handshakes_need_no_cookie() {
        let mut gate = gate();
        assert_eq!(admitted(&mut gate, 10, 600, false, 600), 600);
    }

    #[test]
    fn a_flood_from_many_addresses_is_computed_with_at_a_fixed_rate() {
        let bound = HANDSHAKES_PER_S * 11;
        let count = admitted(&mut gate(), 10, 200_000, false, 200_000);
        assert!((bound - HANDSHAKES_PER_S / 2..=bound).contains(&count), "{count}");
        assert_eq!(gate().admit(from(1), false, at(0)), Ok(()));
    }

    #[test]
    fn beyond_the_rate_a_cookie_is_asked_for_and_counts() {
        let mut gate = gate();
        while gate.admit(from(1), false, at(0)).is_ok() {}
        assert_eq!(gate.admit(from(1), false, at(0)), Err(Refused::Cookie));
        assert_eq!(gate.admit(from(1), true, at(0)), Ok(()));
    }

    #[test]
    fn one_proven_address_gets_its_share_and_leaves_the_others_theirs() {
        let mut gate = gate();
        while gate.admit(from(1), false, at(0)).is_ok() {}
        let taken = (0..1_000).filter(|_| gate.admit(from(1), true, at(0)).is_ok()).count() as u64;
        assert_eq!(taken, ADDRESS_BURST);
        assert_eq!(gate.admit(from(1), true, at(0)), Err(Refused::RateLimited));
        let other = (2..99).find(|&number| gate.bucket(from(number)) != gate.bucket(from(1))).unwrap();
        assert_eq!(gate.admit(from(other), true, at(0)), Ok(()));
    }

    #[test]
    fn all_proven_addresses_together_have_a_bound() {
        let count = admitted(&mut gate(), 10, 200_000, true, 200_000);
        assert!(count <= (HANDSHAKES_PER_S + PROVEN_PER_S) * 11, "{count}");
    }

    #[test]
    fn a_sender_that_has_a_whole_network_is_one_sender() {
        let gate = gate();
        let bucket = |text: &str| gate.bucket(text.parse().unwrap());
        assert_eq!(bucket("[2001:db8::1]:1"), bucket("[2001:db8::ffff:2]:2"));
        assert_eq!(bucket("192.0.2.1:1"), bucket("[::ffff:192.0.2.1]:2"));
        assert!((0..100).any(|net| bucket(&format!("[2001:db8:0:{net}::1]:1")) != bucket("[2001:db8::1]:1")));
    }

    #[test]
    fn an_initiation_is_new_once() {
        let mut gate = gate();
        let mut rng = fastrand::Rng::with_seed(11);
        let codes: Vec<[u8; MAC_BYTES]> = (0..64).map(|_| rng.u128(..).to_le_bytes()).collect();
        assert!(codes.iter().all(|code| gate.is_new(code)));
        for code in codes {
            assert!(!gate.is_new(&code), "{code:?}");
        }
    }

    #[test]
    fn a_clock_that_jumps_back_closes_the_gate_for_a_second_at_most() {
        let mut gate = gate();
        while gate.admit(from(1), false, at(1_000_000)).is_ok() {}
        assert_eq!(gate.admit(from(1), false, at(0)), Err(Refused::Cookie));
        assert_eq!(gate.admit(from(1), false, at(1_000)), Ok(()));
    }

    proptest! {
        #[test]
        fn a_bucket_gives_no_more_than_its_rate(gaps in proptest::collection::vec(0_u64..200, 1..400)) {
            let (mut bucket, mut now, mut taken) = (Bucket::FULL, 0, 0);
            for gap in gaps {
                now += gap;
                taken += u64::from(bucket.take(at(now), 10, 5));
                prop_assert!(taken <= 5 + now / 100, "{} in {} ms", taken, now);
            }
        }
    }
}
