//! Cookies: under load the responder has an initiator prove that it receives at its address, and keeps
//! nothing meanwhile.
//!
//! A cookie is a code of the initiator's address and port under a secret that changes every
//! `SECRET_LIFETIME`; the one before still counts. It travels encrypted, for who knows the pre-shared key,
//! and bound to the initiation that it answers. The next initiation proves by `mac2` that it has arrived.
//!
//! Nonces are drawn at random under a key that never changes, for which ChaCha20-Poly1305's 12 bytes are too
//! few: 24 bytes are drawn, and each cookie is sealed with a key of its own that is a code of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine::clock::Monotonic;

use super::aead::{Aead, Cipher, TAG_BYTES};
use super::entropy::{Entropy, secret};
use super::mac::{MAC_BYTES, MacKey, cookie_code, is_cookie_code};
use super::packet::{COOKIE_BYTES, PREFIX_BYTES, cookie_prefix};
use super::refused::Refused;

/// What proves an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie([u8; MAC_BYTES]);

impl Cookie {
    /// The code of an initiation's bytes up to where the code stands.
    pub(super) fn mac2(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        cookie_code(&self.0, bytes)
    }

    /// The packet that brings it to the sender of the initiation with this index and `mac1`.
    pub(super) fn seal(
        &self,
        key: &MacKey,
        receiver: u32,
        mac1: &[u8; MAC_BYTES],
        entropy: &mut dyn Entropy,
    ) -> [u8; COOKIE_BYTES] {
        let mut packet = [0; COOKIE_BYTES];
        packet[..PREFIX_BYTES].copy_from_slice(&cookie_prefix(receiver));
        let (nonce, sealed) = packet[PREFIX_BYTES..].split_at_mut(NONCE_BYTES);
        entropy.fill(nonce);
        sealed[..MAC_BYTES].copy_from_slice(&self.0);
        Aead::new(Cipher::ChaCha20Poly1305, &key.child(nonce)).seal(0, mac1, sealed);
        packet
    }

    /// The cookie in a packet that answers the initiation with this `mac1`.
    pub(super) fn open(
        key: &MacKey,
        packet: &[u8; COOKIE_BYTES],
        mac1: &[u8; MAC_BYTES],
    ) -> Result<Cookie, Refused> {
        let (nonce, sealed) = packet[PREFIX_BYTES..].split_at(NONCE_BYTES);
        let mut buffer = [0; MAC_BYTES + TAG_BYTES];
        buffer.copy_from_slice(sealed);
        let aead = Aead::new(Cipher::ChaCha20Poly1305, &key.child(nonce));
        let cookie = aead.open(0, mac1, &mut buffer).map_err(|_| Refused::Handshake)?;
        Ok(Cookie(cookie.try_into().map_err(|_| Refused::Handshake)?))
    }
}

/// The secrets that a responder's cookies come of.
#[derive(Debug)]
pub(super) struct CookieSecrets {
    current: MacKey,
    previous: MacKey,
    since: Monotonic,
}

impl CookieSecrets {
    pub(super) fn new(now: Monotonic, entropy: &mut dyn Entropy) -> CookieSecrets {
        let (current, previous) = (MacKey::new(secret(entropy)), MacKey::new(secret(entropy)));
        CookieSecrets { current, previous, since: now }
    }

    /// The cookie of an address.
    pub(super) fn cookie(&mut self, from: SocketAddr, now: Monotonic, entropy: &mut dyn Entropy) -> Cookie {
        self.renew(now, entropy);
        Cookie(self.current.code(&address_bytes(from)))
    }

    /// Whether `mac2` is the code of `bytes` under a cookie of this address.
    pub(super) fn is_proven(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        mac2: &[u8; MAC_BYTES],
        now: Monotonic,
        entropy: &mut dyn Entropy,
    ) -> bool {
        self.renew(now, entropy);
        if engine::planted!("32-no-address-is-proved") {
            return true;
        }
        let address = address_bytes(from);
        [&self.current, &self.previous].iter().any(|key| is_cookie_code(&key.code(&address), bytes, mac2))
    }

    fn renew(&mut self, now: Monotonic, entropy: &mut dyn Entropy) {
        let age = now.since(self.since);
        if age < SECRET_LIFETIME {
            return;
        }
        self.previous = std::mem::replace(&mut self.current, MacKey::new(secret(entropy)));
        if age >= SECRET_LIFETIME * 2 {
            self.previous = MacKey::new(secret(entropy));
        }
        self.since = now;
    }
}

/// The cookie that an initiator has for one shard of the responder, while it counts.
#[derive(Debug, Default)]
pub(super) struct CookieJar(Option<(Cookie, Monotonic)>);

impl CookieJar {
    /// Keeps a cookie, for `COOKIE_LIFETIME`.
    pub(super) fn put(&mut self, cookie: Cookie, now: Monotonic) {
        self.0 = Some((cookie, now));
    }

    /// The cookie, if it is not too old.
    pub(super) fn cookie(&self, now: Monotonic) -> Option<Cookie> {
        self.0.filter(|(_, since)| now.since(*since) < COOKIE_LIFETIME).map(|(cookie, _)| cookie)
    }
}

/// Address and port; the same for an IPv4 address whether or not it is written as one of IPv6.
fn address_bytes(from: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    let ip = match from.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&from.port().to_le_bytes());
    bytes
}

/// How long a secret makes cookies. Its cookies count as long again.
pub(super) const SECRET_LIFETIME: Duration = Duration::from_mins(2);

/// How long an initiator uses a cookie.
pub(super) const COOKIE_LIFETIME: Duration = Duration::from_mins(2);

const NONCE_BYTES: usize = 24;

const _: () = assert!(COOKIE_BYTES == PREFIX_BYTES + NONCE_BYTES + MAC_BYTES + TAG_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000_000)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_cookie_is_of_one_address_and_port() {
        let mut entropy = fastrand::Rng::with_seed(1);
        let mut secrets = CookieSecrets::new(at(0), &mut entropy);
        let from = address("192.0.2.1:700");
        let mac2 = secrets.cookie(from, at(1), &mut entropy).mac2(b"initiation");
        assert!(secrets.is_proven(from, b"initiation", &mac2, at(1), &mut entropy));
        assert!(secrets.is_proven(
            address("[::ffff:192.0.2.1]:700"),
            b"initiation",
            &mac2,
            at(1),
            &mut entropy
        ));
        assert!(!secrets.is_proven(from, b"initiatioN", &mac2, at(1), &mut entropy));
        for other in ["192.0.2.1:701", "192.0.2.2:700", "[::192.0.2.1]:700"] {
            assert!(!secrets.is_proven(address(other), b"initiation", &mac2, at(1), &mut entropy), "{other}");
        }
    }

    #[test]
    fn a_cookie_counts_for_as_long_as_an_initiator_uses_it_and_not_for_ever() {
        for made in [0, 60, 119, 120, 1_000, 1_000_000] {
            let mut entropy = fastrand::Rng::with_seed(made);
            let mut secrets = CookieSecrets::new(at(0), &mut entropy);
            let from = address("[2001:db8::1]:700");
            let mac2 = secrets.cookie(from, at(made), &mut entropy).mac2(b"initiation");
            let last = made + COOKIE_LIFETIME.as_secs() - 1;
            assert!(
                secrets.is_proven(from, b"initiation", &mac2, at(last), &mut entropy),
                "made at {made} s"
            );
            let late = made + 2 * SECRET_LIFETIME.as_secs();
            assert!(
                !secrets.is_proven(from, b"initiation", &mac2, at(late), &mut entropy),
                "made at {made} s"
            );
        }
    }

    #[test]
    fn after_a_pause_no_old_secret_counts() {
        let mut entropy = fastrand::Rng::with_seed(2);
        let mut secrets = CookieSecrets::new(at(0), &mut entropy);
        let from = address("192.0.2.1:700");
        let mac2 = secrets.cookie(from, at(1), &mut entropy).mac2(b"initiation");
        assert!(!secrets.is_proven(from, b"initiation", &mac2, at(100_000), &mut entropy));
    }

    #[test]
    fn a_cookie_is_taken_by_who_asked_and_knows_the_key() {
        let mut entropy = fastrand::Rng::with_seed(3);
        let (key, other) = (MacKey::new(secret(&mut entropy)), MacKey::new(secret(&mut entropy)));
        let cookie = Cookie([9; MAC_BYTES]);
        let packet = cookie.seal(&key, 5, &[1; MAC_BYTES], &mut entropy);
        assert_eq!(Cookie::open(&key, &packet, &[1; MAC_BYTES]), Ok(cookie));
        assert_eq!(Cookie::open(&key, &packet, &[2; MAC_BYTES]), Err(Refused::Handshake));
        assert_eq!(Cookie::open(&other, &packet, &[1; MAC_BYTES]), Err(Refused::Handshake));
        for bit in PREFIX_BYTES * 8..COOKIE_BYTES * 8 {
            let mut flipped = packet;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cookie::open(&key, &flipped, &[1; MAC_BYTES]), Err(Refused::Handshake), "bit {bit}");
        }
        assert_ne!(packet, cookie.seal(&key, 5, &[1; MAC_BYTES], &mut entropy), "another nonce");
    }

    #[test]
    fn a_jar_gives_its_cookie_until_it_is_old() {
        let mut jar = CookieJar::default();
        assert_eq!(jar.cookie(at(0)), None);
        jar.put(Cookie([4; MAC_BYTES]), at(10));
        assert_eq!(jar.cookie(at(129)), Some(Cookie([4; MAC_BYTES])));
        assert_eq!(jar.cookie(at(130)), None);
    }
}
