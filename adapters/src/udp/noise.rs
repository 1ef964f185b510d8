//! The key exchange: `NKpsk0` of the Noise Protocol Framework (revision 34), by `snow`.
//!
//! The initiator knows the responder's public key, both know the pre-shared key; each handshake has fresh
//! ephemeral keys. The keys of data packets are those of `Split()`; the handshake's hash is used for nothing.

use std::fmt;

use snow::params::NoiseParams;
use snow::{Builder, Error, HandshakeState};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::aead::{Cipher, KEY_BYTES, TAG_BYTES};
use super::refused::Refused;
use super::resolver::Resolver;

/// A key of either direction.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A handshake that is being made.
pub(super) struct Noise(HandshakeState);

impl Noise {
    /// The side that knows the other's public key. `ephemeral` is this handshake's alone.
    pub(super) fn initiator(
        cipher: Cipher,
        prologue: &[u8],
        psk: &[u8; 32],
        responder_public: &[u8; 32],
        ephemeral: Zeroizing<[u8; 32]>,
    ) -> Noise {
        let builder = builder(cipher, prologue, psk, ephemeral);
        let builder = builder.and_then(|builder| builder.remote_public_key(responder_public));
        Noise(builder.and_then(Builder::build_initiator).expect("the initiator has all that NKpsk0 takes"))
    }

    /// The side whose public key is known. `ephemeral` is this handshake's alone.
    pub(super) fn responder(
        cipher: Cipher,
        prologue: &[u8],
        psk: &[u8; 32],
        secret: &[u8; 32],
        ephemeral: Zeroizing<[u8; 32]>,
    ) -> Noise {
        let builder = builder(cipher, prologue, psk, ephemeral);
        let builder = builder.and_then(|builder| builder.local_private_key(secret));
        Noise(builder.and_then(Builder::build_responder).expect("the responder has all that NKpsk0 takes"))
    }

    /// Writes this side's message, which is `MESSAGE_OVERHEAD_BYTES` longer than the payload.
    pub(super) fn write(&mut self, payload: &[u8], message: &mut [u8]) -> Result<(), Refused> {
        let len = self.0.write_message(payload, message).map_err(|error| refused(&error))?;
        assert_eq!(len, message.len(), "the message has its length");
        Ok(())
    }

    /// Reads the other side's message, whose payload has exactly this length. What is refused changes
    /// nothing: the right message is still taken.
    pub(super) fn read(&mut self, message: &[u8], payload: &mut [u8]) -> Result<(), Refused> {
        if message.len() != payload.len() + MESSAGE_OVERHEAD_BYTES {
            return Err(Refused::Handshake);
        }
        self.0.read_message(message, payload).map_err(|error| refused(&error))?;
        Ok(())
    }

    /// The keys from the initiator to the responder and back, once both messages are through.
    pub(super) fn split(&mut self) -> (Key, Key) {
        assert!(self.0.is_handshake_finished(), "keys come of a handshake that is over");
        let (there, back) = self.0.dangerously_get_raw_split();
        (Zeroizing::new(there), Zeroizing::new(back))
    }
}

impl fmt::Debug for Noise {
    /// Says nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noise")
    }
}

/// The public key of a secret one.
pub(super) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Whether a public key gives the same secret with every other key: no side has such a one.
pub(super) fn is_weak(public: &[u8; 32]) -> bool {
    // Any secret key shows it: a clamped one is a multiple of 8, which every low order divides.
    !StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(*public)).was_contributory()
}

fn builder<'a>(
    cipher: Cipher,
    prologue: &'a [u8],
    psk: &'a [u8; 32],
    ephemeral: Zeroizing<[u8; 32]>,
) -> Result<Builder<'a>, Error> {
    let params: NoiseParams = name(cipher).parse().expect("the name is one of Noise's");
    Builder::with_resolver(params, Box::new(Resolver::new(cipher, ephemeral))).prologue(prologue)?.psk(0, psk)
}

fn name(cipher: Cipher) -> &'static str {
    match cipher {
        Cipher::ChaCha20Poly1305 => "Noise_NKpsk0_25519_ChaChaPoly_BLAKE2s",
        Cipher::Aes256Gcm => "Noise_NKpsk0_25519_AESGCM_BLAKE2s",
    }
}

fn refused(error: &Error) -> Refused {
    match error {
        Error::Dh => Refused::Point,
        _ => Refused::Handshake,
    }
}

/// A message is so much longer than its payload: an ephemeral public key and a tag.
pub(super) const MESSAGE_OVERHEAD_BYTES: usize = 32 + TAG_BYTES;

#[cfg(test)]
mod tests {
    use super::super::aead::Aead;
    use super::super::vectors::{
        AES_256_GCM, CHACHA20_POLY1305, INITIATOR_EPHEMERAL, LOW_ORDER_POINTS, NoiseVector, PROLOGUE, PSK,
        RESPONDER_EPHEMERAL, RESPONDER_PUBLIC, RESPONDER_SECRET, array, bytes,
    };
    use super::*;

    const VECTORS: [(Cipher, NoiseVector); 2] =
        [(Cipher::ChaCha20Poly1305, CHACHA20_POLY1305), (Cipher::Aes256Gcm, AES_256_GCM)];

    fn sides(cipher: Cipher, prologues: [&[u8]; 2], psks: [&[u8; 32]; 2]) -> [Noise; 2] {
        let (public, secret) = (array(RESPONDER_PUBLIC), array(RESPONDER_SECRET));
        let ephemerals = [INITIATOR_EPHEMERAL, RESPONDER_EPHEMERAL].map(|hex| Zeroizing::new(array(hex)));
        let [here, there] = ephemerals;
        [
            Noise::initiator(cipher, prologues[0], psks[0], &public, here),
            Noise::responder(cipher, prologues[1], psks[1], &secret, there),
        ]
    }

    fn written(side: &mut Noise, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; payload.len() + MESSAGE_OVERHEAD_BYTES];
        side.write(payload, &mut message).unwrap();
        message
    }

    fn read(side: &mut Noise, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut payload = vec![0; message.len().saturating_sub(MESSAGE_OVERHEAD_BYTES)];
        side.read(message, &mut payload).map(|()| payload)
    }

    #[test]
    fn handshake_and_keys_are_those_of_the_noise_vectors() {
        for (cipher, vector) in VECTORS {
            assert_eq!(name(cipher), vector.name);
            let [mut initiator, mut responder] = sides(cipher, [PROLOGUE; 2], [PSK; 2]);
            let [first, second, transport @ ..] = vector.messages;
            let message = written(&mut initiator, &bytes(first.payload));
            assert_eq!(message, bytes(first.sealed));
            assert_eq!(read(&mut responder, &message), Ok(bytes(first.payload)));
            let message = written(&mut responder, &bytes(second.payload));
            assert_eq!(message, bytes(second.sealed));
            assert_eq!(read(&mut initiator, &message), Ok(bytes(second.payload)));

            let keys = initiator.split();
            assert_eq!(keys, responder.split());
            let aeads = [Aead::new(cipher, &keys.0), Aead::new(cipher, &keys.1)];
            for (index, message) in transport.iter().enumerate() {
                let (aead, counter) = (&aeads[index % 2], index as u64 / 2);
                let mut buffer = bytes(message.payload);
                buffer.extend([0; TAG_BYTES]);
                aead.seal(counter, &[], &mut buffer);
                assert_eq!(buffer, bytes(message.sealed), "{} message {index}", vector.name);
                assert_eq!(aead.open(counter, &[], &mut buffer), Ok(&mut bytes(message.payload)[..]));
            }
        }
    }

    #[test]
    fn another_prologue_key_or_cipher_is_refused() {
        let (psk, other) = (PSK, &[1; 32]);
        for (prologues, psks) in [([b"one", b"two"], [psk, psk]), ([b"one", b"one"], [psk, other])] {
            let prologues = prologues.map(|prologue| &prologue[..]);
            let [mut initiator, mut responder] = sides(Cipher::Aes256Gcm, prologues, psks);
            let message = written(&mut initiator, b"hello");
            assert_eq!(read(&mut responder, &message), Err(Refused::Handshake));
        }
        let [mut initiator, _] = sides(Cipher::Aes256Gcm, [PROLOGUE; 2], [PSK; 2]);
        let [_, mut responder] = sides(Cipher::ChaCha20Poly1305, [PROLOGUE; 2], [PSK; 2]);
        let message = written(&mut initiator, b"hello");
        assert_eq!(read(&mut responder, &message), Err(Refused::Handshake));
        let mut stranger =
            Noise::responder(Cipher::Aes256Gcm, PROLOGUE, PSK, &[5; 32], Zeroizing::new([6; 32]));
        assert_eq!(read(&mut stranger, &message), Err(Refused::Handshake));
    }

    #[test]
    fn what_is_refused_leaves_the_handshake_as_it_was() {
        let [mut initiator, mut responder] = sides(Cipher::ChaCha20Poly1305, [PROLOGUE; 2], [PSK; 2]);
        let message = written(&mut initiator, b"hello");
        assert!(read(&mut responder, &message).is_ok());
        let answer = written(&mut responder, b"answer");
        for bit in 0..answer.len() * 8 {
            let mut flipped = answer.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refused = read(&mut initiator, &flipped);
            // X25519 ignores the highest bit of a point; the handshake's hash does not.
            assert_eq!(refused, Err(Refused::Handshake), "bit {bit}");
        }
        assert_eq!(read(&mut initiator, &answer[1..]), Err(Refused::Handshake));
        assert_eq!(read(&mut initiator, &answer), Ok(b"answer".to_vec()));
        assert_eq!(initiator.split(), responder.split());
        assert_eq!(read(&mut initiator, &answer), Err(Refused::Handshake), "it is over");
    }

    #[test]
    fn points_of_low_order_are_refused_by_both_sides() {
        for point in LOW_ORDER_POINTS.map(array::<32>) {
            assert!(is_weak(&point));
            let [mut initiator, mut responder] = sides(Cipher::Aes256Gcm, [PROLOGUE; 2], [PSK; 2]);
            let mut message = written(&mut initiator, b"hello");
            message[..32].copy_from_slice(&point);
            assert_eq!(read(&mut responder, &message), Err(Refused::Point), "{point:?}");
            let mut answer = vec![0; 54];
            answer[..32].copy_from_slice(&point);
            assert_eq!(read(&mut initiator, &answer), Err(Refused::Point), "{point:?}");

            let ephemeral = Zeroizing::new([6; 32]);
            let mut initiator = Noise::initiator(Cipher::Aes256Gcm, PROLOGUE, PSK, &point, ephemeral);
            assert_eq!(initiator.write(b"hello", &mut [0; 53]), Err(Refused::Point), "{point:?}");
        }
        assert!(!is_weak(&array(RESPONDER_PUBLIC)));
    }

    #[test]
    fn a_public_key_is_that_of_the_vectors() {
        assert_eq!(public_key(&array(RESPONDER_SECRET)), array(RESPONDER_PUBLIC));
    }
}
