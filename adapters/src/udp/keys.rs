//! Keys: the responder's X25519 pair (RFC 7748) and the pre-shared key of both sides.
//!
//! A secret is kept in one place of the heap, which is wiped when it is dropped: moving it leaves no copy behind. No secret is in any
//! `Debug` text. What is written in hexadecimal has 64 digits, of either case.

use std::fmt;

use serde::Deserialize;
use x25519_dalek::{StaticSecret, x25519};
use zeroize::{Zeroize, Zeroizing};

/// Who may know it can read what is sent to its public key.
#[derive(Clone)]
pub struct SecretKey(Secret);

/// What both sides know besides, and nobody else.
#[derive(Clone)]
pub struct Psk(Secret);

/// By what a responder is known to its initiators. Never a point of low order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

/// A secret key and the public key that belongs to it.
#[derive(Clone, Debug)]
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

/// Why bytes or digits are no key. Final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("not {HEX_DIGITS} hexadecimal digits")]
    Hex,
    /// With such a public key everybody knows what two sides would agree on.
    #[error("a point of low order, with which nothing is secret")]
    LowOrder,
    /// The two are not one pair.
    #[error("not the public key of that secret key")]
    Mismatch,
    /// Not what `net_generate_keypair` prints.
    #[error("not {{\"public_key\":…,\"secret_key\":…}}, each of {HEX_DIGITS} hexadecimal digits")]
    PairJson,
}

impl SecretKey {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<SecretKey, KeyError> {
        Secret::from_hex(hex).map(SecretKey)
    }

    /// The bytes. A copy of them is the caller's to wipe.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0.0
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        let secret = StaticSecret::from(*self.bytes());
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

impl Psk {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Psk, KeyError> {
        Secret::from_hex(hex).map(Psk)
    }

    /// A random one, from the system.
    pub fn generate() -> Result<Psk, getrandom::Error> {
        Secret::random().map(Psk)
    }

    /// The bytes. A copy of them is the caller's to wipe.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0.0
    }

    /// Its 64 hexadecimal digits.
    pub fn to_hex(&self) -> Zeroizing<String> {
        hex(self.bytes())
    }
}

impl PublicKey {
    /// Takes the bytes of a key that is not of low order.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Result<PublicKey, KeyError> {
        // A scalar is clamped to a multiple of 8, the order of the small subgroup, which makes zero of every point in it. RFC 7748, 6.1.
        if x25519(ANY_SCALAR, bytes) == [0; KEY_BYTES] {
            return Err(KeyError::LowOrder);
        }
        Ok(PublicKey(bytes))
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<PublicKey, KeyError> {
        PublicKey::new(unhex(hex)?)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl KeyPair {
    /// A new pair, from random bytes of the system.
    pub fn generate() -> Result<KeyPair, getrandom::Error> {
        Secret::random().map(|secret| KeyPair::of(SecretKey(secret)))
    }

    /// The pair of a secret key.
    pub fn of(secret: SecretKey) -> KeyPair {
        KeyPair { public: secret.public(), secret }
    }

    /// The two, if they belong together.
    pub fn new(secret: SecretKey, public: PublicKey) -> Result<KeyPair, KeyError> {
        let pair = KeyPair::of(secret);
        if pair.public == public { Ok(pair) } else { Err(KeyError::Mismatch) }
    }

    /// Reads what [`KeyPair::to_json`] writes, white space around it allowed, and nothing else.
    pub fn from_json(json: &str) -> Result<KeyPair, KeyError> {
        // The reason of the parser could quote a part of the secret.
        let PairDocument { public_key, secret_key } =
            serde_json::from_str(json).map_err(|_| KeyError::PairJson)?;
        let secret = SecretKey::from_hex(secret_key).map_err(|_| KeyError::PairJson)?;
        let public = unhex(public_key).map_err(|_| KeyError::PairJson)?;
        KeyPair::new(secret, PublicKey::new(public)?)
    }

    /// `{"public_key":hex64,"secret_key":hex64}`, on one line.
    pub fn to_json(&self) -> Zeroizing<String> {
        let (public, secret) = (hex(self.public.bytes()), hex(self.secret.bytes()));
        let parts = [r#"{"public_key":""#, &public, r#"","secret_key":""#, &secret, r#""}"#];
        Zeroizing::new(parts.concat())
    }

    /// The secret key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public key, which initiators are given.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(…)")
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Psk(…)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

/// Bytes that are wiped where they lie.
#[derive(Clone)]
struct Secret(Box<[u8; KEY_BYTES]>);

impl Secret {
    fn zeros() -> Secret {
        Secret(Box::new([0; KEY_BYTES]))
    }

    fn random() -> Result<Secret, getrandom::Error> {
        let mut secret = Secret::zeros();
        getrandom::fill(&mut *secret.0)?;
        Ok(secret)
    }

    fn from_hex(hex: &str) -> Result<Secret, KeyError> {
        let mut secret = Secret::zeros();
        unhex_into(hex, &mut secret.0)?;
        Ok(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// As `net_generate_keypair` prints it. Without escapes, which no hexadecimal digit needs, nothing is copied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairDocument<'text> {
    public_key: &'text str,
    secret_key: &'text str,
}

fn hex(bytes: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    // Long enough from the start, so that no shorter copy is left behind.
    let mut hex = Zeroizing::new(String::with_capacity(HEX_DIGITS));
    for byte in bytes {
        hex.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    hex
}

fn unhex(hex: &str) -> Result<[u8; KEY_BYTES], KeyError> {
    let mut bytes = [0; KEY_BYTES];
    unhex_into(hex, &mut bytes)?;
    Ok(bytes)
}

fn unhex_into(hex: &str, bytes: &mut [u8; KEY_BYTES]) -> Result<(), KeyError> {
    let digits = hex.as_bytes();
    if digits.len() != HEX_DIGITS {
        return Err(KeyError::Hex);
    }
    let value = |digit: u8| char::from(digit).to_digit(16).ok_or(KeyError::Hex);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Ok(())
}

/// Bytes of every key.
pub(super) const KEY_BYTES: usize = 32;
const HEX_DIGITS: usize = 2 * KEY_BYTES;
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Before it is clamped.
const ANY_SCALAR: [u8; KEY_BYTES] = [1; KEY_BYTES];

#[cfg(test)]
mod tests {
    use super::super::vectors::LOW_ORDER_POINTS;
    use super::*;

    #[test]
    fn the_public_key_is_that_of_the_secret() {
        for (secret, public) in RFC_7748 {
            let secret = SecretKey::from_hex(secret).expect("a key");
            assert_eq!(secret.public().to_string(), public);
        }
    }

    #[test]
    fn a_generated_pair_belongs_together_and_survives_its_json() {
        let pair = KeyPair::generate().expect("random bytes");
        assert_ne!(pair.public(), KeyPair::generate().expect("random bytes").public());
        let again = KeyPair::from_json(&format!(" {}\n", *pair.to_json())).expect("its own text");
        assert_eq!(again.public(), pair.public());
        assert_eq!(again.secret().bytes(), pair.secret().bytes());
    }

    #[test]
    fn a_secret_and_a_public_key_that_are_no_pair_are_refused() {
        let [(secret, own), (_, other)] = RFC_7748;
        let pair = |public: &str| {
            KeyPair::new(
                SecretKey::from_hex(secret).expect("a key"),
                PublicKey::from_hex(public).expect("a key"),
            )
        };
        assert!(pair(own).is_ok());
        assert_eq!(pair(other).err(), Some(KeyError::Mismatch));
        let json = |public: &str| format!(r#"{{"public_key":"{public}","secret_key":"{secret}"}}"#);
        assert!(KeyPair::from_json(&json(own)).is_ok());
        assert_eq!(KeyPair::from_json(&json(other)).err(), Some(KeyError::Mismatch));
    }

    #[test]
    fn a_public_key_of_low_order_is_refused_however_it_is_written() {
        for point in LOW_ORDER_POINTS {
            let mut bytes = unhex(point).expect("64 digits");
            assert_eq!(PublicKey::new(bytes), Err(KeyError::LowOrder), "{point}");
            // The highest bit does not count.
            bytes[31] |= 0x80;
            assert_eq!(PublicKey::new(bytes), Err(KeyError::LowOrder), "{point} with its highest bit set");
        }
        let secret = "aa".repeat(KEY_BYTES);
        let json = format!(r#"{{"public_key":"{}","secret_key":"{secret}"}}"#, LOW_ORDER_POINTS[0]);
        assert_eq!(KeyPair::from_json(&json).err(), Some(KeyError::LowOrder));
    }

    #[test]
    fn hexadecimal_digits_are_64_of_either_case_and_nothing_else() {
        let digits = "0123456789abcdefABCDEF".repeat(3)[..HEX_DIGITS].to_owned();
        let psk = Psk::from_hex(&digits).expect("64 digits");
        assert_eq!(*psk.to_hex(), digits.to_lowercase());
        for wrong in [
            "",
            &digits[1..],
            &format!("{digits}0"),
            &format!("+{}", &digits[1..]),
            &digits.replace('f', "g"),
        ] {
            assert_eq!(Psk::from_hex(wrong).err(), Some(KeyError::Hex), "{wrong}");
        }
        // 64 bytes, which are no 64 digits.
        assert_eq!(Psk::from_hex(&"é".repeat(KEY_BYTES)).err(), Some(KeyError::Hex));
    }

    #[test]
    fn text_that_is_no_pair_is_refused_and_not_quoted() {
        let key = "ab".repeat(KEY_BYTES);
        for json in [
            String::new(),
            "{}".to_owned(),
            format!(r#"{{"secret_key":"{key}"}}"#),
            format!(r#"{{"public_key":"{key}","secret_key":"{key}0"}}"#),
            format!(r#"{{"public_key":"{key}0","secret_key":"{key}"}}"#),
            format!(r#"{{"public_key":"{key}","secret_key":"{key}","psk":"{key}"}}"#),
            format!(r#"{{"public_key":"{key}","secret_key":"{key}"}} more"#),
        ] {
            let error = KeyPair::from_json(&json).expect_err(&json);
            assert!(error == KeyError::PairJson && !error.to_string().contains("abab"), "{json}: {error}");
        }
    }

    #[test]
    fn no_secret_is_in_a_debug_text() {
        let psk = Psk::from_hex(&"ab".repeat(KEY_BYTES)).expect("a key");
        let pair = KeyPair::of(SecretKey::from_hex(&"ab".repeat(KEY_BYTES)).expect("a key"));
        let text = format!("{psk:?} {pair:?} {pair:#?} {:?}", pair.secret());
        assert!(!text.contains("abab") && !text.contains("171, 171"), "{text}");
    }

    const RFC_7748: [(&str, &str); 2] = [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
    ];
}
