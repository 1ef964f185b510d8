//! Both sides of the handshake against each other, and against who is on the way.

use std::net::SocketAddr;
use std::time::Duration;

use engine::clock::Monotonic;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::aead::{Cipher, Forged, TAG_BYTES};
use super::super::cookie::{Cookie, CookieJar};
use super::super::entropy::Entropy;
use super::super::gate::HANDSHAKES_PER_S;
use super::super::hello::{Answer, Hello, Status};
use super::super::initiator::{Initiator, Pending, Proposal, Response};
use super::super::noise::public_key;
use super::super::packet::{COOKIE_BYTES, Packet, data_header, response_prefix};
use super::super::refused::Refused;
use super::super::responder::{Question, Responder};
use super::super::vectors::{LOW_ORDER_POINTS, array};
use super::*;

const PSK: [u8; 32] = [1; 32];
const SECRET: [u8; 32] = [2; 32];
const NOW: Monotonic = Monotonic(5_000_000_000_000);

const HELLO: Hello = Hello {
    instance: 10,
    attempt: 1,
    shards: 2,
    session: 3,
    mtu: 1_452,
    reliability: 2,
    channel: 7,
    event_bytes_max: 1 << 20,
};

const ANSWER: Answer = Answer {
    instance: 20,
    status: Status::Accepted,
    reliability: 2,
    shards: 4,
    session: 3,
    mtu: 1_452,
    channel: 7,
};

/// An initiator and a responder, and where their randomness comes from.
struct Pair {
    initiator: Initiator,
    responder: Responder,
    rng: fastrand::Rng,
    from: SocketAddr,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut rng = fastrand::Rng::with_seed(seed);
        Pair {
            initiator: Initiator::new(Zeroizing::new(PSK), public_key(&SECRET)).unwrap(),
            responder: Responder::new(Zeroizing::new(PSK), Zeroizing::new(SECRET), NOW, &mut rng),
            rng,
            from: "192.0.2.1:700".parse().unwrap(),
        }
    }

    fn initiate(&mut self, cipher: Cipher, cookie: Option<Cookie>) -> (Pending, [u8; INITIATION_BYTES]) {
        let proposal = Proposal { steer: 3, cipher, index: 0x0102_0304, hello: HELLO };
        self.initiator.initiate(&proposal, cookie, &mut self.rng)
    }

    /// As the responder gets it: a whole datagram.
    fn ask(&mut self, datagram: &[u8], now: Monotonic) -> Result<Question, Refused> {
        match Packet::parse(datagram)? {
            Packet::Initiation(packet) => self.responder.question(packet, self.from, now, &mut self.rng),
            other => panic!("{other:?}"),
        }
    }

    /// As the initiator gets it.
    fn hear(&self, pending: &mut Pending, datagram: &[u8]) -> Result<Response, Refused> {
        match Packet::parse(datagram)? {
            Packet::Response { packet, .. } => self.initiator.complete(pending, packet),
            Packet::Cookie { packet, .. } => {
                self.initiator.take_cookie(pending, packet).and(Err(Refused::Cookie))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Has the gate wide open for as many handshakes as need no cookie.
    fn load(&mut self, now: Monotonic) {
        for _ in 0..HANDSHAKES_PER_S {
            let (_, packet) = self.initiate(Cipher::Aes256Gcm, None);
            assert!(self.ask(&packet, now).is_ok());
        }
    }
}

fn flipped<const N: usize>(packet: &[u8; N], bit: usize) -> [u8; N] {
    let mut flipped = *packet;
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

fn exchange(from: &mut SessionKeys, to: &mut SessionKeys, counter: u64) -> Result<Vec<u8>, Forged> {
    let header = data_header(0, 0, counter);
    let mut buffer = b"event".to_vec();
    buffer.extend([0; TAG_BYTES]);
    from.seal.seal(counter, &header, &mut buffer).unwrap();
    to.open.open(counter, &header, &mut buffer).map(|text| text.to_vec())
}

#[test]
fn two_sides_that_know_each_other_get_the_same_keys() {
    for cipher in [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm] {
        let mut pair = Pair::new(1);
        let (mut pending, packet) = pair.initiate(cipher, None);
        assert_eq!(packet[1], 3, "the steering byte");
        let question = pair.ask(&packet, NOW).unwrap();
        assert_eq!((question.hello, question.cipher, question.peer_index), (HELLO, cipher, 0x0102_0304));
        let (packet, mut there) = pair.responder.answer(question, 77, &ANSWER).unwrap();
        let Ok(Packet::Response { receiver: 0x0102_0304, .. }) = Packet::parse(&packet) else {
            panic!("{packet:?}");
        };
        let Response { answer, peer_index, keys: mut here } = pair.hear(&mut pending, &packet).unwrap();
        assert_eq!((answer, peer_index), (ANSWER, 77));
        for counter in [0, 1, 1_000_000] {
            assert_eq!(exchange(&mut here, &mut there, counter), Ok(b"event".to_vec()));
            assert_eq!(exchange(&mut there, &mut here, counter), Ok(b"event".to_vec()));
        }
        assert_eq!(
            pair.hear(&mut pending, &packet).err(),
            Some(Refused::Handshake),
            "its keys are made once"
        );
    }
}

#[test]
fn neither_side_shows_its_secrets() {
    let mut pair = Pair::new(15);
    assert_eq!(format!("{:?} {:?}", pair.initiator, pair.responder), "Initiator Responder");
    let (pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let question = pair.ask(&packet, NOW).unwrap();
    for shown in [format!("{pending:?}"), format!("{question:?}")] {
        assert!(shown.contains("noise: Noise,") || shown.contains("noise: Noise }"), "{shown}");
    }
    let (_, keys) = pair.responder.answer(question, 9, &ANSWER).unwrap();
    assert!(format!("{keys:?}").contains("aead: Aead(Aes256Gcm)"));
}

#[test]
fn each_handshake_has_keys_of_its_own_even_to_the_same_initiation() {
    let mut pair = Pair::new(2);
    let (mut pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let question = pair.ask(&packet, NOW).unwrap();
    let (answer, _) = pair.responder.answer(question, 1, &ANSWER).unwrap();
    let mut here = pair.hear(&mut pending, &answer).unwrap().keys;
    // The responder is started anew and gets the initiation again.
    let Pair { mut responder, mut rng, from, .. } = Pair::new(3);
    let question = responder.question(&packet, from, NOW, &mut rng).unwrap();
    let (again, mut keys) = responder.answer(question, 1, &ANSWER).unwrap();
    assert_ne!(again, answer);
    assert_eq!(exchange(&mut here, &mut keys, 0), Err(Forged));
}

#[test]
fn no_answer_is_longer_than_its_question() {
    let mut pair = Pair::new(4);
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let question = pair.ask(&packet, NOW).unwrap();
    let (answer, _) = pair.responder.answer(question, 1, &ANSWER).unwrap();
    let cookie = pair.responder.cookie(&packet, pair.from, NOW, &mut pair.rng);
    assert!(answer.len() <= packet.len() && cookie.len() <= packet.len());
}

#[test]
fn any_bit_of_an_initiation_flipped_is_refused_and_the_right_one_is_still_taken() {
    let mut pair = Pair::new(5);
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    for bit in 0..INITIATION_MAC2_AT * 8 {
        let refused = pair.ask(&flipped(&packet, bit), NOW).expect_err("it is refused");
        let wanted: &[Refused] = match bit / 8 {
            0 => &[Refused::Malformed],
            2 => &[Refused::Cipher, Refused::Mac1],
            3 => &[Refused::Version],
            _ => &[Refused::Mac1],
        };
        assert!(wanted.contains(&refused), "bit {bit}: {refused:?}");
    }
    assert!(pair.ask(&packet, NOW).is_ok());
}

#[test]
fn under_load_any_bit_of_the_second_code_flipped_is_asked_for_a_cookie() {
    for bit in INITIATION_MAC2_AT * 8..INITIATION_BYTES * 8 {
        let mut pair = Pair::new(6);
        pair.load(NOW);
        let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
        assert_eq!(pair.ask(&flipped(&packet, bit), NOW).err(), Some(Refused::Cookie), "bit {bit}");
        assert_eq!(pair.ask(&flipped(&packet, bit), NOW).err(), Some(Refused::Repeated), "bit {bit}, again");
    }
}

#[test]
fn without_load_a_second_code_of_before_does_not_matter() {
    let mut pair = Pair::new(6);
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    assert!(pair.ask(&flipped(&packet, INITIATION_MAC2_AT * 8), NOW).is_ok());
}

#[test]
fn any_bit_of_a_response_flipped_is_refused_and_the_right_one_is_still_taken() {
    let mut pair = Pair::new(7);
    let (mut pending, packet) = pair.initiate(Cipher::ChaCha20Poly1305, None);
    let question = pair.ask(&packet, NOW).unwrap();
    let (answer, _) = pair.responder.answer(question, 9, &ANSWER).unwrap();
    for bit in 4 * 8..RESPONSE_BYTES * 8 {
        let refused = pair.hear(&mut pending, &flipped(&answer, bit)).err();
        assert_eq!(refused, Some(Refused::Mac1), "bit {bit}");
    }
    for bit in 0..4 * 8 {
        let datagram = flipped(&answer, bit);
        assert!(Packet::parse(&datagram).is_err(), "bit {bit}");
    }
    assert!(pair.hear(&mut pending, &answer).is_ok());
}

#[test]
fn any_bit_of_a_cookie_packet_flipped_is_refused() {
    let mut pair = Pair::new(8);
    let (mut pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let cookie = pair.responder.cookie(&packet, pair.from, NOW, &mut pair.rng);
    for bit in PREFIX_BYTES * 8..COOKIE_BYTES * 8 {
        let refused = pair.hear(&mut pending, &flipped(&cookie, bit)).err();
        assert_eq!(refused, Some(Refused::Handshake), "bit {bit}");
    }
    assert_eq!(pair.hear(&mut pending, &cookie).err(), Some(Refused::Cookie));
}

#[test]
fn a_response_counts_for_its_own_initiation_only() {
    let mut pair = Pair::new(9);
    let (mut first, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let (mut second, _) = pair.initiate(Cipher::Aes256Gcm, None);
    let question = pair.ask(&packet, NOW).unwrap();
    let (answer, _) = pair.responder.answer(question, 9, &ANSWER).unwrap();
    assert_eq!(pair.hear(&mut second, &answer).err(), Some(Refused::Handshake));
    assert!(pair.hear(&mut first, &answer).is_ok());
}

#[test]
fn an_initiation_is_taken_once() {
    let mut pair = Pair::new(10);
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    assert!(pair.ask(&packet, NOW).is_ok());
    for _ in 0..1_000 {
        assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Repeated));
    }
}

#[test]
fn who_does_not_know_both_secrets_is_refused_by_its_code() {
    let mut pair = Pair::new(11);
    let strangers = [([9; 32], public_key(&SECRET)), (PSK, public_key(&[9; 32])), ([9; 32], [9; 32])];
    for (psk, public) in strangers {
        pair.initiator = Initiator::new(Zeroizing::new(psk), public).unwrap();
        let (_, packet) = pair.initiate(Cipher::Aes256Gcm, None);
        assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Mac1));
    }
}

/// Gives a packet that was changed the right code again, as somebody could who knows both secrets.
fn recoded<const N: usize>(mut packet: [u8; N], mac1_at: usize) -> [u8; N] {
    let code = SharedKeys::new(&PSK, &public_key(&SECRET)).mac1.code(&packet[..mac1_at]);
    packet[mac1_at..mac1_at + MAC_BYTES].copy_from_slice(&code);
    packet
}

#[test]
fn behind_a_right_code_the_key_exchange_refuses_what_was_changed() {
    let mut pair = Pair::new(12);
    let (mut pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    let question = pair.ask(&packet, NOW).unwrap();
    for bit in 8..INITIATION_MAC1_AT * 8 {
        let changed = recoded(flipped(&packet, bit), INITIATION_MAC1_AT);
        if Packet::parse(&changed).is_ok() {
            // Each at another time: the gate lets so many through.
            let refused = pair.ask(&changed, NOW.after(Duration::from_secs(bit as u64))).err();
            assert_eq!(refused, Some(Refused::Handshake), "bit {bit}");
        }
    }
    let (answer, _) = pair.responder.answer(question, 9, &ANSWER).unwrap();
    for bit in RESPONSE_MESSAGE_AT * 8..RESPONSE_MAC1_AT * 8 {
        let changed = recoded(flipped(&answer, bit), RESPONSE_MAC1_AT);
        assert_eq!(pair.hear(&mut pending, &changed).err(), Some(Refused::Handshake), "bit {bit}");
    }
    assert!(pair.hear(&mut pending, &answer).is_ok());
}

#[test]
fn another_cipher_than_was_proposed_is_refused() {
    let mut pair = Pair::new(17);
    let (_, mut packet) = pair.initiate(Cipher::Aes256Gcm, None);
    packet[2] = Cipher::ChaCha20Poly1305.code();
    let packet = recoded(packet, INITIATION_MAC1_AT);
    assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Handshake));
}

#[test]
fn behind_a_right_code_points_of_low_order_are_refused() {
    let mut pair = Pair::new(18);
    for point in LOW_ORDER_POINTS.map(array::<32>) {
        let (mut pending, mut packet) = pair.initiate(Cipher::ChaCha20Poly1305, None);
        packet[INITIATION_MESSAGE_AT..][..32].copy_from_slice(&point);
        let packet = recoded(packet, INITIATION_MAC1_AT);
        assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Point), "{point:?}");

        let mut answer = [0; RESPONSE_BYTES];
        answer[..PREFIX_BYTES].copy_from_slice(&response_prefix(0x0102_0304));
        answer[RESPONSE_MESSAGE_AT..][..32].copy_from_slice(&point);
        let answer = recoded(answer, RESPONSE_MAC1_AT);
        assert_eq!(pair.hear(&mut pending, &answer).err(), Some(Refused::Point), "{point:?}");

        assert_eq!(Initiator::new(Zeroizing::new(PSK), point).err(), Some(Refused::Point), "{point:?}");
    }
}

#[test]
fn under_load_an_initiator_proves_its_address_and_goes_on() {
    let mut pair = Pair::new(13);
    pair.load(NOW);
    let mut jar = CookieJar::default();
    let (pending, packet) = pair.initiate(Cipher::Aes256Gcm, jar.cookie(NOW));
    assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Cookie));
    let cookie = pair.responder.cookie(&packet, pair.from, NOW, &mut pair.rng);
    let Ok(Packet::Cookie { receiver: 0x0102_0304, packet }) = Packet::parse(&cookie) else {
        panic!("{cookie:?}");
    };
    jar.put(pair.initiator.take_cookie(&pending, packet).unwrap(), NOW);
    let elsewhere = SocketAddr::from(([192, 0, 2, 9], 700));
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, jar.cookie(NOW));
    let refused = pair.responder.question(&packet, elsewhere, NOW, &mut pair.rng).err();
    assert_eq!(refused, Some(Refused::Cookie), "from another address");
    let (mut pending, packet) = pair.initiate(Cipher::Aes256Gcm, jar.cookie(NOW));
    let question = pair.ask(&packet, NOW).unwrap();
    let (answer, _) = pair.responder.answer(question, 5, &ANSWER).unwrap();
    assert!(pair.hear(&mut pending, &answer).is_ok());
}

/// Gives 0, 1, 2 and so on.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            (*byte, self.0) = (self.0, self.0.wrapping_add(1));
        }
    }
}

#[test]
fn the_packets_are_the_bytes_that_every_build_of_this_version_sends() {
    let mut entropy = Counting(0);
    let initiator = Initiator::new(Zeroizing::new(PSK), public_key(&SECRET)).unwrap();
    let mut responder = Responder::new(Zeroizing::new(PSK), Zeroizing::new(SECRET), NOW, &mut entropy);
    let from = SocketAddr::from(([192, 0, 2, 1], 700));
    let proposal = Proposal { steer: 3, cipher: Cipher::Aes256Gcm, index: 0x0102_0304, hello: HELLO };
    let (_, initiation) = initiator.initiate(&proposal, None, &mut Counting(0));
    assert_eq!(initiation, array(INITIATION), "{initiation:02x?}");
    let question = responder.question(&initiation, from, NOW, &mut Counting(32)).unwrap();
    let (response, _) = responder.answer(question, 0x0506_0708, &ANSWER).unwrap();
    assert_eq!(response, array(RESPONSE), "{response:02x?}");
    let cookie = responder.cookie(&initiation, from, NOW, &mut Counting(64));
    assert_eq!(cookie, array(COOKIE), "{cookie:02x?}");
}

const INITIATION: &str = "01030201040302018f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f4fbdf0faaeeb1f18\
    7b8c611130887b08646c8e564d361e2ce4d69f4dade3c220e96fc7e7aef83c50e353680c11a838312c8c4972bfc8442d\
    536213ac64ef126b00000000000000000000000000000000";
const RESPONSE: &str = "020000010403020108070605358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254917a7399\
    31e95211f43a222d27f496da75e7e7885e1ca6ceb8678f2d55ab92f76f2a5183e952dc798c1adddb0958536653753bb9\
    5f572c9e09724774a965bb1d";
const COOKIE: &str = "0300000104030201404142434445464748494a4b4c4d4e4f50515253545556574255ca76861a0e94930e6c3d6e10d8b4\
    2daea12037322bf37eb4a78185a146b6";

#[test]
fn a_flood_of_initiations_sent_again_from_many_addresses_is_computed_with_at_a_fixed_rate() {
    let mut pair = Pair::new(14);
    let captured: Vec<_> = (0..600).map(|_| pair.initiate(Cipher::Aes256Gcm, None).1).collect();
    let mut computed = 0;
    for round in 0..20_u32 {
        for (index, packet) in captured.iter().enumerate() {
            pair.from = SocketAddr::from((std::net::Ipv4Addr::from(round * 1_000 + index as u32), 700));
            computed += u64::from(pair.ask(packet, NOW).is_ok());
        }
    }
    assert_eq!(computed, HANDSHAKES_PER_S);
    // Meanwhile the honest one needs a cookie, and gets one.
    let (pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
    assert_eq!(pair.ask(&packet, NOW).err(), Some(Refused::Cookie));
    let cookie = pair.responder.cookie(&packet, pair.from, NOW, &mut pair.rng);
    let cookie = pair.initiator.take_cookie(&pending, &cookie).unwrap();
    let (_, packet) = pair.initiate(Cipher::Aes256Gcm, Some(cookie));
    assert!(pair.ask(&packet, NOW).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_is_refused(
        seed: u64,
        kind in 1_u8..4,
        bytes in proptest::collection::vec(any::<u8>(), 0..140),
        exact: bool,
    ) {
        let mut pair = Pair::new(seed);
        let mut bytes = bytes;
        if exact {
            bytes.resize([INITIATION_BYTES, RESPONSE_BYTES, COOKIE_BYTES][usize::from(kind - 1)], 0);
        }
        if let Some(start) = bytes.first_chunk_mut() {
            *start = [kind, 0, u8::from(kind == 1), 1];
        }
        let (mut pending, packet) = pair.initiate(Cipher::Aes256Gcm, None);
        if kind == 1 {
            prop_assert!(pair.ask(&bytes, NOW).is_err());
        } else {
            let heard = pair.hear(&mut pending, &bytes);
            prop_assert!(heard.is_err_and(|refused| refused != Refused::Cookie));
        }
        let question = pair.ask(&packet, NOW).unwrap();
        let (answer, _) = pair.responder.answer(question, 1, &ANSWER).unwrap();
        prop_assert!(pair.hear(&mut pending, &answer).is_ok());
    }

    #[test]
    fn several_bits_flipped_are_refused(
        seed: u64,
        bits in proptest::collection::vec(0..INITIATION_MAC2_AT * 8, 1..8),
    ) {
        let mut pair = Pair::new(seed);
        let (_, packet) = pair.initiate(Cipher::ChaCha20Poly1305, None);
        let changed = bits.iter().fold(packet, |packet, &bit| flipped(&packet, bit));
        prop_assert_eq!(pair.ask(&changed, NOW).is_ok(), changed == packet);
    }
}
