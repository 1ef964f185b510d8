//! The keys of data packets: they are sealed and opened in place, each under a counter of its own.
//!
//! Nonces are those of the Noise Protocol Framework, revision 34, section 12: four zero bytes and the
//! counter, little endian for ChaCha20-Poly1305 (RFC 8439), big endian for AES-256-GCM (NIST SP 800-38D). A
//! key seals each counter once, in ascending order, and at most `SEALED_MAX` packets.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::packet::HEADER_BYTES;

/// What packets are sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    ChaCha20Poly1305,
    Aes256Gcm,
}

impl Cipher {
    /// The faster one of the two on this CPU.
    pub(super) fn auto() -> Cipher {
        if has_wide_aes() { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
    }

    /// Its number on the wire.
    pub(super) fn code(self) -> u8 {
        match self {
            Cipher::ChaCha20Poly1305 => 1,
            Cipher::Aes256Gcm => 2,
        }
    }

    /// The cipher of a number.
    pub(super) fn from_code(code: u8) -> Option<Cipher> {
        [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm].into_iter().find(|cipher| cipher.code() == code)
    }

    fn nonce(self, counter: u64) -> Nonce {
        let counter = match self {
            Cipher::ChaCha20Poly1305 => counter.to_le_bytes(),
            Cipher::Aes256Gcm => counter.to_be_bytes(),
        };
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Whether AES and the multiplication of GCM go over two blocks and more at a time.
fn has_wide_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// The bytes were not sealed with this key, counter and header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// The key has sealed as many packets as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// A key with its cipher.
pub(super) struct Aead {
    cipher: Cipher,
    key: LessSafeKey,
}

impl Aead {
    pub(super) fn new(cipher: Cipher, key: &[u8; KEY_BYTES]) -> Aead {
        let algorithm = match cipher {
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Cipher::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("both ciphers take a key of 32 bytes");
        Aead { cipher, key: LessSafeKey::new(key) }
    }

    /// Seals all but the last 16 bytes of `buffer`, which become the tag. `counter` must not have been used
    /// with this key.
    #[inline]
    pub(super) fn seal(&self, counter: u64, additional: &[u8], buffer: &mut [u8]) {
        let (text, tag) =
            buffer.split_last_chunk_mut::<TAG_BYTES>().expect("the buffer has room for the tag");
        let nonce = self.cipher.nonce(counter);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(additional), text);
        tag.copy_from_slice(sealed.expect("the text is shorter than 64 GiB").as_ref());
    }

    /// Opens what was sealed. The text is the buffer less its last 16 bytes; where it is forged, the buffer
    /// is worthless.
    #[inline]
    pub(super) fn open<'a>(
        &self,
        counter: u64,
        additional: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        let nonce = self.cipher.nonce(counter);
        self.key.open_in_place(nonce, Aad::from(additional), buffer).map_err(|_| Forged)
    }
}

impl fmt::Debug for Aead {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aead").field(&self.cipher).finish()
    }
}

/// The key of one direction, at the side that sends.
#[derive(Debug)]
pub(super) struct SealKey {
    aead: Aead,
    /// Every counter below was used or passed over.
    next: u64,
    sealed: u64,
}

impl SealKey {
    pub(super) fn new(cipher: Cipher, key: &Zeroizing<[u8; KEY_BYTES]>) -> SealKey {
        SealKey { aead: Aead::new(cipher, key), next: 0, sealed: 0 }
    }

    /// Seals all but the last 16 bytes of `buffer`, which become the tag. Counters go up, with gaps if need
    /// be; one that does not is a bug, and panics. `Exhausted`: only another key helps; nothing was sealed.
    #[inline]
    pub(super) fn seal(
        &mut self,
        counter: u64,
        header: &[u8; HEADER_BYTES],
        buffer: &mut [u8],
    ) -> Result<(), Exhausted> {
        assert!(
            counter >= self.next || engine::planted!("31-a-counter-is-sealed-twice"),
            "the counter {counter} is sealed twice"
        );
        if self.sealed >= SEALED_MAX || counter > COUNTER_MAX {
            return Err(Exhausted);
        }
        (self.next, self.sealed) = (counter + 1, self.sealed + 1);
        self.aead.seal(counter, header, buffer);
        Ok(())
    }

    /// Goes on as if it had sealed so many that `left` are left.
    #[cfg(test)]
    pub(super) fn spend(&mut self, left: u64) {
        self.sealed = SEALED_MAX - left;
    }

    /// How many packets it has sealed.
    pub(super) fn sealed(&self) -> u64 {
        self.sealed
    }
}

/// The key of one direction, at the side that receives.
#[derive(Debug)]
pub(super) struct OpenKey {
    aead: Aead,
    forged: u64,
}

impl OpenKey {
    pub(super) fn new(cipher: Cipher, key: &Zeroizing<[u8; KEY_BYTES]>) -> OpenKey {
        OpenKey { aead: Aead::new(cipher, key), forged: 0 }
    }

    /// Opens ciphertext and tag in place; the text is what comes back. Where it is forged, the buffer is
    /// worthless. After `FORGED_MAX` forgeries everything is one.
    #[inline]
    pub(super) fn open<'a>(
        &mut self,
        counter: u64,
        header: &[u8; HEADER_BYTES],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        if self.forged >= FORGED_MAX {
            return Err(Forged);
        }
        self.aead.open(counter, header, buffer).inspect_err(|_| self.forged += 1)
    }
}

/// Bytes of a key of either cipher.
pub(super) const KEY_BYTES: usize = 32;

/// Bytes of a tag of either cipher.
pub(super) const TAG_BYTES: usize = 16;

/// The last counter of a key. Far from where counters wrap, and RFC 9000's variable-length integers hold it.
pub(super) const COUNTER_MAX: u64 = (1 << 62) - 1;

/// After so many packets a key is to be replaced.
pub(super) const REKEY_AFTER_SEALED: u64 = 1 << 22;

/// So many packets a key seals at most: AES-GCM's confidentiality limit for packets of up to 2^16 bytes, RFC
/// 9001 section 6.6 and appendix B.1.1, for an advantage of 2^-57. ChaCha20-Poly1305 has none that a counter
/// could reach.
pub(super) const SEALED_MAX: u64 = 1 << 23;

/// After so many forgeries nothing is opened any more: ChaCha20-Poly1305's integrity limit, RFC 9001 section
/// 6.6. AES-GCM's, 2^52, is higher.
pub(super) const FORGED_MAX: u64 = 1 << 36;

const _: () = assert!(REKEY_AFTER_SEALED < SEALED_MAX && SEALED_MAX <= 1 << 23);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::data_header;
    use super::super::vectors::bytes;
    use super::*;

    const CIPHERS: [Cipher; 2] = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm];

    fn keys(cipher: Cipher) -> (SealKey, OpenKey) {
        let key = Zeroizing::new([7; KEY_BYTES]);
        (SealKey::new(cipher, &key), OpenKey::new(cipher, &key))
    }

    fn sealed(key: &mut SealKey, counter: u64, header: &[u8; HEADER_BYTES], text: &[u8]) -> Vec<u8> {
        let mut buffer = text.to_vec();
        buffer.resize(text.len() + TAG_BYTES, 0);
        key.seal(counter, header, &mut buffer).unwrap();
        buffer
    }

    /// RFC 8439, appendix A.5: its nonce begins with zeros, as ours do.
    #[test]
    fn chacha20_poly1305_opens_the_vector_of_rfc_8439() {
        let key = bytes("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
        let aead = Aead::new(Cipher::ChaCha20Poly1305, &key.try_into().unwrap());
        let counter = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        let additional = bytes("f33388860000000000004e91");
        let mut buffer = bytes(
            "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e38\
             2d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f9\
             82b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d\
             46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04\
             b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049\
             e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d6789\
             0cbb22392336fea1851f38",
        );
        let text = aead.open(counter, &additional, &mut buffer).unwrap();
        assert!(text.starts_with(b"Internet-Drafts are draft documents valid for a maximum of six months"));
    }

    #[test]
    fn the_counter_lies_in_the_nonce_as_noise_has_it() {
        let [little, big] = CIPHERS.map(|cipher| *cipher.nonce(0x0102_0304_0506_0708).as_ref());
        assert_eq!(little, [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(big, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn any_bit_flipped_is_forged() {
        for cipher in CIPHERS {
            let (mut seal, mut open) = keys(cipher);
            let header = data_header(1, 2, 3);
            let packet = sealed(&mut seal, 3, &header, b"thirty-three bytes of plain text.");
            for bit in 0..packet.len() * 8 {
                let mut flipped = packet.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open.open(3, &header, &mut flipped), Err(Forged), "{cipher:?}, bit {bit}");
            }
            for bit in 0..HEADER_BYTES * 8 {
                let mut flipped = header;
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut packet = packet.clone();
                assert_eq!(
                    open.open(3, &flipped, &mut packet),
                    Err(Forged),
                    "{cipher:?}, bit {bit} of the header"
                );
            }
            assert_eq!(
                open.open(4, &header, &mut packet.clone()),
                Err(Forged),
                "{cipher:?}, another counter"
            );
            for short in 0..packet.len() {
                let mut packet = packet[..short].to_vec();
                assert_eq!(open.open(3, &header, &mut packet), Err(Forged), "{cipher:?}, {short} bytes");
            }
            assert!(open.open(3, &header, &mut packet.clone()).is_ok());
        }
    }

    #[test]
    #[should_panic(expected = "sealed twice")]
    fn no_counter_is_sealed_twice() {
        let (mut seal, _) = keys(Cipher::Aes256Gcm);
        let header = data_header(0, 0, 0);
        seal.seal(8, &header, &mut [0; 20]).unwrap();
        seal.seal(9, &header, &mut [0; 20]).unwrap();
        let _ = seal.seal(9, &header, &mut [0; 20]);
    }

    #[test]
    fn a_key_seals_no_more_than_its_limit() {
        for cipher in CIPHERS {
            let (mut seal, _) = keys(cipher);
            let header = data_header(0, 0, 0);
            seal.sealed = SEALED_MAX - 1;
            assert_eq!(seal.seal(77, &header, &mut [0; 20]), Ok(()));
            let mut buffer = [5; 20];
            assert_eq!(seal.seal(78, &header, &mut buffer), Err(Exhausted));
            assert_eq!((buffer, seal.sealed()), ([5; 20], SEALED_MAX));
        }
    }

    #[test]
    fn the_last_counter_is_sealed_and_none_beyond() {
        let (mut seal, _) = keys(Cipher::ChaCha20Poly1305);
        let header = data_header(0, 0, 0);
        assert_eq!(seal.seal(COUNTER_MAX, &header, &mut [0; 20]), Ok(()));
        for counter in [COUNTER_MAX + 1, u64::MAX] {
            assert_eq!(seal.seal(counter, &header, &mut [0; 20]), Err(Exhausted));
        }
    }

    #[test]
    fn after_too_many_forgeries_nothing_is_opened() {
        let (mut seal, mut open) = keys(Cipher::ChaCha20Poly1305);
        let header = data_header(0, 0, 0);
        let packet = sealed(&mut seal, 0, &header, b"text");
        open.forged = FORGED_MAX - 1;
        assert!(open.open(0, &header, &mut packet.clone()).is_ok());
        assert_eq!(open.open(1, &header, &mut packet.clone()), Err(Forged));
        assert_eq!(open.open(0, &header, &mut packet.clone()), Err(Forged));
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let (seal, _) = keys(Cipher::Aes256Gcm);
        assert_eq!(format!("{seal:?}"), "SealKey { aead: Aead(Aes256Gcm), next: 0, sealed: 0 }");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            text in proptest::collection::vec(any::<u8>(), 0..3_000),
            counter in 0..=COUNTER_MAX,
            aes: bool,
        ) {
            let (mut seal, mut open) = keys(CIPHERS[usize::from(aes)]);
            let header = data_header(1, 2, counter);
            let mut packet = sealed(&mut seal, counter, &header, &text);
            prop_assert_eq!(open.open(counter, &header, &mut packet), Ok(&mut text.clone()[..]));
        }
    }
}
