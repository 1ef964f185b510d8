//! What `snow` computes with: X25519 of `x25519-dalek`, BLAKE2s of `blake2`, and the ciphers that data
//! packets are sealed with. `snow`'s own X25519 takes points that give a secret of zeros; this one refuses
//! them.

use blake2::Blake2s256;
use blake2::digest::Digest;
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::aead::{Aead, Cipher, KEY_BYTES, TAG_BYTES};

/// The primitives of one handshake.
pub(super) struct Resolver {
    cipher: Cipher,
    ephemeral: Zeroizing<[u8; 32]>,
}

impl Resolver {
    /// For a handshake with this ephemeral secret, which no other handshake has.
    pub(super) fn new(cipher: Cipher, ephemeral: Zeroizing<[u8; 32]>) -> Resolver {
        Resolver { cipher, ephemeral }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn types::Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn types::Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn types::Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn types::Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::<Blake2s>::default() as Box<dyn types::Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn types::Cipher>> {
        let is_ours = match self.cipher {
            Cipher::ChaCha20Poly1305 => matches!(choice, CipherChoice::ChaChaPoly),
            Cipher::Aes256Gcm => matches!(choice, CipherChoice::AESGCM),
        };
        let aead = is_ours.then(|| Aead::new(self.cipher, &[0; KEY_BYTES]))?;
        Some(Box::new(Sealing { cipher: self.cipher, aead }))
    }
}

/// A random source that has one secret to give.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl types::Random for Once {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let secret = self.0.take().filter(|secret| secret.len() == bytes.len()).ok_or(Error::Rng)?;
        bytes.copy_from_slice(&*secret);
        Ok(())
    }
}

/// RFC 7748.
struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl Default for X25519 {
    /// No key yet.
    fn default() -> X25519 {
        X25519 { secret: StaticSecret::from([0; 32]), public: PublicKey::from([0; 32]) }
    }
}

impl types::Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    /// A key that has not 32 bytes is a bug, and panics.
    fn set(&mut self, secret: &[u8]) {
        let bytes = <[u8; 32]>::try_from(secret).expect("a secret key has 32 bytes");
        self.secret = StaticSecret::from(bytes);
        self.public = PublicKey::from(&self.secret);
    }

    fn generate(&mut self, rng: &mut dyn types::Random) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *bytes)?;
        self.set(&*bytes);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    /// `Error::Dh`: the secret would be zeros whatever our key is, RFC 7748, section 6.1.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let bytes = public.first_chunk::<32>().ok_or(Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(*bytes));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.first_chunk_mut().ok_or(Error::Dh).map(|out| *out = shared.to_bytes())
    }
}

/// RFC 7693, with 32 bytes of output and no key.
#[derive(Default)]
struct Blake2s(Blake2s256);

impl types::Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&std::mem::take(&mut self.0).finalize());
    }
}

/// One of the two ciphers, from one buffer into another.
struct Sealing {
    cipher: Cipher,
    aead: Aead,
}

impl types::Cipher for Sealing {
    fn name(&self) -> &'static str {
        match self.cipher {
            Cipher::ChaCha20Poly1305 => "ChaChaPoly",
            Cipher::Aes256Gcm => "AESGCM",
        }
    }

    fn set(&mut self, key: &[u8; KEY_BYTES]) {
        self.aead = Aead::new(self.cipher, key);
    }

    fn encrypt(&self, nonce: u64, additional: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let len = text.len() + TAG_BYTES;
        out[..text.len()].copy_from_slice(text);
        self.aead.seal(nonce, additional, &mut out[..len]);
        len
    }

    fn decrypt(&self, nonce: u64, additional: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        // The text is short, and `out` may have no room for the tag.
        let mut buffer = sealed.to_vec();
        let text = self.aead.open(nonce, additional, &mut buffer).map_err(|_| Error::Decrypt)?;
        out.get_mut(..text.len()).ok_or(Error::Decrypt)?.copy_from_slice(text);
        Ok(text.len())
    }
}

#[cfg(test)]
mod tests {
    use snow::types::Dh;

    use super::super::vectors::{LOW_ORDER_POINTS, bytes};
    use super::*;

    /// RFC 7748, section 6.1.
    #[test]
    fn x25519_agrees_as_in_rfc_7748() {
        let secrets = [
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ];
        let publics = [
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ];
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
        for (this, other) in [(0, 1), (1, 0)] {
            let mut x25519 = X25519::default();
            x25519.set(&bytes(secrets[this]));
            assert_eq!(x25519.pubkey(), bytes(publics[this]));
            let mut out = [0; 32];
            assert_eq!(x25519.dh(&bytes(publics[other]), &mut out), Ok(()));
            assert_eq!(out, bytes(shared)[..]);
        }
    }

    #[test]
    fn a_point_of_low_order_is_refused() {
        let mut x25519 = X25519::default();
        x25519.set(&[9; 32]);
        for point in LOW_ORDER_POINTS {
            let mut out = [7; 32];
            assert_eq!(x25519.dh(&bytes(point), &mut out), Err(Error::Dh), "{point}");
            assert_eq!(out, [7; 32], "{point}");
        }
        let mut out = [0; 32];
        assert_eq!(x25519.dh(&[9; 32], &mut out), Ok(()));
        assert_ne!(out, [0; 32]);
    }

    #[test]
    fn an_ephemeral_secret_is_given_once() {
        use snow::types::Random;
        let mut once = Once(Some(Zeroizing::new([3; 32])));
        let mut bytes = [0; 32];
        assert_eq!(once.try_fill_bytes(&mut bytes), Ok(()));
        assert_eq!((bytes, once.try_fill_bytes(&mut bytes)), ([3; 32], Err(Error::Rng)));
    }
}
