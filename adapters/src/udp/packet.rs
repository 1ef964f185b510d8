//! The clear header of a packet: what it is, who it is for, and its number. Reading takes any bytes and
//! allocates nothing.
//!
//! ```text
//! byte 0      kind: 1 initiation, 2 response, 3 cookie, 4 data
//! byte 1      steer: the responder's shard; 0 in what goes to the initiator
//! byte 2      cipher: what an initiation proposes, 1 ChaCha20-Poly1305, 2 AES-256-GCM; 0 in all others
//! byte 3      version: 1
//! bytes 4-7   index of the receiver's session, in an initiation of the sender's; little endian
//! bytes 8-15  data: the packet's counter; little endian
//! ```
//!
//! A data packet goes on with ciphertext and ends with the tag of 16 bytes; its header is the additional
//! data.

use super::aead::{COUNTER_MAX, Cipher, TAG_BYTES};
use super::refused::Refused;

/// The version that is spoken.
pub(super) const VERSION: u8 = 1;

/// Bytes of the header of a data packet.
pub(super) const HEADER_BYTES: usize = 16;

/// Bytes of the header of all others.
pub(super) const PREFIX_BYTES: usize = 8;

/// Bytes of an initiation. No packet that answers one is longer.
pub(super) const INITIATION_BYTES: usize = 120;

/// Bytes of a response.
pub(super) const RESPONSE_BYTES: usize = 108;

/// Bytes of a cookie packet.
pub(super) const COOKIE_BYTES: usize = 64;

/// Bytes that a data packet has at least.
pub(super) const DATA_BYTES_MIN: usize = HEADER_BYTES + TAG_BYTES;

const _: () = assert!(RESPONSE_BYTES <= INITIATION_BYTES && COOKIE_BYTES <= INITIATION_BYTES);

/// A packet whose clear fields are in order. Nothing in it is known to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// Somebody wants a session.
    Initiation(&'a [u8; INITIATION_BYTES]),
    /// The answer to the initiation that was sent with index `receiver`.
    Response { receiver: u32, packet: &'a [u8; RESPONSE_BYTES] },
    /// The responder of the initiation that was sent with index `receiver` wants its address proven.
    Cookie { receiver: u32, packet: &'a [u8; COOKIE_BYTES] },
    /// Of the session `receiver`: header, ciphertext, tag.
    Data { receiver: u32, counter: u64 },
}

impl Packet<'_> {
    /// Reads the clear fields of `bytes`, the whole of a datagram.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Result<Packet<'_>, Refused> {
        let Some((&[kind, steer, cipher, version], behind)) = bytes.split_first_chunk() else {
            return Err(Refused::Malformed);
        };
        if version != VERSION {
            return Err(Refused::Version);
        }
        let Some((receiver, behind)) = behind.split_first_chunk() else {
            return Err(Refused::Malformed);
        };
        let receiver = u32::from_le_bytes(*receiver);
        match kind {
            DATA if cipher == 0 && bytes.len() >= DATA_BYTES_MIN => data(receiver, behind),
            INITIATION => {
                let packet = bytes.try_into().map_err(|_| Refused::Malformed)?;
                Cipher::from_code(cipher).ok_or(Refused::Cipher)?;
                Ok(Packet::Initiation(packet))
            }
            RESPONSE if cipher == 0 && steer == 0 => {
                let packet = bytes.try_into().map_err(|_| Refused::Malformed)?;
                Ok(Packet::Response { receiver, packet })
            }
            COOKIE if cipher == 0 && steer == 0 => {
                let packet = bytes.try_into().map_err(|_| Refused::Malformed)?;
                Ok(Packet::Cookie { receiver, packet })
            }
            _ => Err(Refused::Malformed),
        }
    }
}

#[inline]
fn data<'a>(receiver: u32, behind: &[u8]) -> Result<Packet<'a>, Refused> {
    let counter = u64::from_le_bytes(*behind.first_chunk().ok_or(Refused::Malformed)?);
    if counter > COUNTER_MAX {
        return Err(Refused::Counter);
    }
    Ok(Packet::Data { receiver, counter })
}

/// The header of a data packet for the session `receiver` of shard `steer`.
#[inline]
pub(super) fn data_header(steer: u8, receiver: u32, counter: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..PREFIX_BYTES].copy_from_slice(&prefix(DATA, steer, 0, receiver));
    header[PREFIX_BYTES..].copy_from_slice(&counter.to_le_bytes());
    header
}

/// The first bytes of an initiation to shard `steer`, sent with index `sender`.
pub(super) fn initiation_prefix(steer: u8, cipher: Cipher, sender: u32) -> [u8; PREFIX_BYTES] {
    prefix(INITIATION, steer, cipher.code(), sender)
}

/// The first bytes of a response to the initiation that was sent with index `receiver`.
pub(super) fn response_prefix(receiver: u32) -> [u8; PREFIX_BYTES] {
    prefix(RESPONSE, 0, 0, receiver)
}

/// The first bytes of a cookie packet for the initiation that was sent with index `receiver`.
pub(super) fn cookie_prefix(receiver: u32) -> [u8; PREFIX_BYTES] {
    prefix(COOKIE, 0, 0, receiver)
}

#[inline]
fn prefix(kind: u8, steer: u8, cipher: u8, index: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = index.to_le_bytes();
    [kind, steer, cipher, VERSION, a, b, c, d]
}

const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const COOKIE: u8 = 3;
const DATA: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data_packet(counter: u64, len: usize) -> Vec<u8> {
        let mut packet = data_header(7, 0x0403_0201, counter).to_vec();
        packet.resize(len, 0xee);
        packet
    }

    #[test]
    fn a_data_header_is_laid_out_as_documented() {
        let header = data_header(7, 0x0403_0201, 0x0807_0605_0403_0201);
        assert_eq!(header, [4, 7, 0, 1, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(header[super::super::steering::STEER_AT as usize], 7);
        assert_eq!(initiation_prefix(9, Cipher::Aes256Gcm, 1), [1, 9, 2, 1, 1, 0, 0, 0]);
        assert_eq!(initiation_prefix(9, Cipher::ChaCha20Poly1305, 1), [1, 9, 1, 1, 1, 0, 0, 0]);
        assert_eq!(response_prefix(u32::MAX), [2, 0, 0, 1, 255, 255, 255, 255]);
        assert_eq!(cookie_prefix(2), [3, 0, 0, 1, 2, 0, 0, 0]);
    }

    #[test]
    fn a_data_packet_has_room_for_its_header_and_tag() {
        let (receiver, counter) = (0x0403_0201, 9);
        assert_eq!(Packet::parse(&data_packet(9, 32)), Ok(Packet::Data { receiver, counter }));
        for len in 0..32 {
            assert_eq!(Packet::parse(&data_packet(9, 40)[..len]), Err(Refused::Malformed), "{len} bytes");
        }
    }

    #[test]
    fn counters_beyond_the_last_are_refused() {
        assert!(Packet::parse(&data_packet(COUNTER_MAX, 32)).is_ok());
        for counter in [COUNTER_MAX + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(Packet::parse(&data_packet(counter, 32)), Err(Refused::Counter));
        }
    }

    #[test]
    fn each_kind_has_its_length_and_its_clear_fields() {
        let kinds = [(INITIATION, INITIATION_BYTES), (RESPONSE, RESPONSE_BYTES), (COOKIE, COOKIE_BYTES)];
        for (kind, len) in kinds {
            let mut bytes = vec![0; len + 1];
            bytes[..4].copy_from_slice(&[kind, 0, u8::from(kind == INITIATION), VERSION]);
            assert!(Packet::parse(&bytes[..len]).is_ok(), "kind {kind}");
            assert_eq!(Packet::parse(&bytes), Err(Refused::Malformed), "kind {kind}, a byte more");
            for short in 4..len {
                assert_eq!(
                    Packet::parse(&bytes[..short]),
                    Err(Refused::Malformed),
                    "kind {kind}, {short} bytes"
                );
            }
            bytes[2] ^= 0x40;
            assert!(Packet::parse(&bytes[..len]).is_err(), "kind {kind} with another cipher");
            bytes[3] = VERSION + 1;
            assert_eq!(Packet::parse(&bytes[..len]), Err(Refused::Version), "kind {kind}");
        }
        for kind in (5..=255).chain([0]) {
            let mut bytes = data_packet(1, 120);
            bytes[0] = kind;
            assert_eq!(Packet::parse(&bytes), Err(Refused::Malformed), "kind {kind}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..160), kind in 0_u8..6) {
            let _ = Packet::parse(&bytes);
            let mut bytes = bytes;
            if let Some(start) = bytes.first_chunk_mut() {
                *start = [kind, 0, u8::from(kind == 1), VERSION];
                let _ = Packet::parse(&bytes);
            }
        }

        #[test]
        fn what_is_written_is_read(
            steer: u8,
            receiver: u32,
            counter in 0..=COUNTER_MAX,
            len in DATA_BYTES_MIN..200,
        ) {
            let mut packet = data_header(steer, receiver, counter).to_vec();
            packet.resize(len, 1);
            prop_assert_eq!(Packet::parse(&packet), Ok(Packet::Data { receiver, counter }));
        }
    }
}
