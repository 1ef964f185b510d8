//! Keyed BLAKE2s (RFC 7693): what proves that a handshake packet's sender knows the secrets, at the price of
//! a hash.

use std::fmt;

use blake2::Blake2sMac;
use blake2::digest::consts::{U16, U32};
use blake2::digest::{KeyInit, Mac};
use zeroize::Zeroizing;

/// A key, for one purpose.
pub(super) struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    pub(super) fn new(key: Zeroizing<[u8; 32]>) -> MacKey {
        MacKey(key)
    }

    /// The key for the purpose `label` of those who know both the pre-shared key and the responder's public
    /// key.
    pub(super) fn derive(label: &[u8], psk: &[u8; 32], responder_public: &[u8; 32]) -> MacKey {
        MacKey(hash(psk, &[label, responder_public]))
    }

    /// The key that this one gives for `input`: who does not know this one learns nothing of it.
    pub(super) fn child(&self, input: &[u8]) -> Zeroizing<[u8; 32]> {
        hash(&self.0, &[input])
    }

    /// The code of `bytes`.
    pub(super) fn code(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        code(&*self.0, bytes).finalize().into_bytes().into()
    }

    /// Whether `claimed` is the code of `bytes`. Takes the same time whatever differs.
    pub(super) fn is_code(&self, bytes: &[u8], claimed: &[u8; MAC_BYTES]) -> bool {
        code(&*self.0, bytes).verify(claimed.into()).is_ok()
    }
}

impl fmt::Debug for MacKey {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

/// The code of `bytes` under a cookie.
pub(super) fn cookie_code(cookie: &[u8; MAC_BYTES], bytes: &[u8]) -> [u8; MAC_BYTES] {
    code(cookie, bytes).finalize().into_bytes().into()
}

/// Whether `claimed` is the code of `bytes` under a cookie. Takes the same time whatever differs.
pub(super) fn is_cookie_code(cookie: &[u8; MAC_BYTES], bytes: &[u8], claimed: &[u8; MAC_BYTES]) -> bool {
    code(cookie, bytes).verify(claimed.into()).is_ok()
}

fn code(key: &[u8], bytes: &[u8]) -> Blake2sMac<U16> {
    let mut mac = Blake2sMac::<U16>::new_from_slice(key).expect("BLAKE2s takes keys of up to 32 bytes");
    mac.update(bytes);
    mac
}

fn hash(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Blake2sMac::<U32>::new_from_slice(key).expect("BLAKE2s takes keys of up to 32 bytes");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Bytes of a code, and of a cookie.
pub(super) const MAC_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_of_its_key_and_its_bytes() {
        let key = MacKey::derive(b"label", &[1; 32], &[2; 32]);
        let code = key.code(b"bytes");
        assert!(key.is_code(b"bytes", &code));
        assert!(!key.is_code(b"byte", &code));
        for bit in 0..MAC_BYTES * 8 {
            let mut flipped = code;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.is_code(b"bytes", &flipped), "bit {bit}");
        }
        let others = [
            MacKey::derive(b"lapel", &[1; 32], &[2; 32]),
            MacKey::derive(b"label", &[3; 32], &[2; 32]),
            MacKey::derive(b"label", &[1; 32], &[3; 32]),
        ];
        for other in others {
            assert!(!other.is_code(b"bytes", &code));
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", MacKey::derive(b"label", &[1; 32], &[2; 32])), "MacKey");
    }
}
