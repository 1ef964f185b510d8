//! A channel by itself: what it says to whatever it reads, and that its bounds hold.

use std::rc::Rc;

use engine::event::EventFlags;
use proptest::prelude::*;

use super::frame::{Ping, Record};
use super::writer::BlockHead;
use super::*;

const RELIABILITIES: [Reliability; 3] = [Reliability::None, Reliability::Light, Reliability::Full];

fn settings(reliability: Reliability) -> Settings {
    Settings {
        reliability,
        plaintext_max: 1_428,
        window_blocks: 64,
        event_bytes_max: 1 << 20,
        kept_bytes_max: 1 << 20,
    }
}

fn channel(reliability: Reliability) -> Channel {
    Channel::new(&settings(reliability), Monotonic(0))
}

fn load(count: u64, length: usize) -> Load {
    let mut batch = Batch::default();
    (0..count).for_each(|index| batch.push(index, index, EventFlags::NONE, &vec![index as u8; length]));
    Load { batch: Rc::new(batch), events: Events::Range(0..count as u32) }
}

/// All packets that a channel has to send now.
fn packets(channel: &mut Channel, number: &mut u64, now: Monotonic) -> Vec<(u64, Vec<u8>)> {
    let (mut packets, mut out) = (Vec::new(), vec![0; 1_428]);
    while let Some(len) = channel.write(*number, now, &mut out) {
        packets.push((*number, out[..len].to_vec()));
        *number += 1;
    }
    packets
}

#[test]
fn an_event_of_any_size_arrives() {
    for reliability in RELIABILITIES {
        let (mut sender, mut receiver) = (channel(reliability), channel(reliability));
        let (mut sent, mut answered, mut arrived) = (0, 0, Batch::default());
        let lengths = [0, 1, 1_383, 1_384, 1_385, 1_400, 3_000, 100_000, 5];
        for length in lengths {
            sender.take(load(2, length));
        }
        for round in 0..100_u64 {
            let now = Monotonic(round * 5_000_000);
            for (number, plaintext) in packets(&mut sender, &mut sent, now) {
                receiver.read(number, &plaintext, now, &mut arrived).unwrap();
            }
            let mark = receiver.mark();
            receiver.stored(mark, now);
            for (number, plaintext) in packets(&mut receiver, &mut answered, now) {
                sender.read(number, &plaintext, now, &mut Batch::default()).unwrap();
            }
        }
        let come: Vec<usize> = arrived.events().map(|event| event.payload.len()).collect();
        assert_eq!(come, lengths.map(|length| [length; 2]).concat(), "{reliability:?}");
        assert!(sender.is_settled());
    }
}

#[test]
fn frames_are_laid_out_as_documented() {
    let mut out = [0xee; 256];
    let mut writer = Writer::new(&mut out);
    writer.ping(Ping {
        next_block: 0x0807_0605_0403_0201,
        next_event: 0x1817_1615_1413_1211,
        floor: 0x2423_2221,
    });
    writer.ack(0x3433_3231, 0x4847_4645_4443_4241, 0x5857_5655_5453_5251, [(98, 100), (90, 95)].into_iter());
    writer.report(0x68, 0x78, [(0x6a, 0x6c)].into_iter());
    let block = writer.begin_block();
    writer.put(&Record { timestamp_ns: 9, hash: 10, flags: EventFlags::JSON, payload: b"{}" }.head());
    writer.put(b"{}");
    let head = BlockHead { is_fragment: false, floor: 0x84, number: 0x88, first_event: 0x98 };
    writer.end_block(block, head);
    writer.ask_at_once(block);
    let written = writer.len();
    let expected: Vec<u8> = [
        &[1, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24]
            [..],
        &[2, 2, 0x31, 0x32, 0x33, 0x34, 100, 0, 0, 0, 0, 0, 0, 0],
        &[0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58],
        &[2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0],
        &[3, 1, 0x68, 0, 0, 0, 0, 0, 0, 0, 0x78, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0],
        &[4, 1, 22, 0, 0x84, 0, 0, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0x98, 0, 0, 0, 0, 0, 0, 0],
        &[9, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0x80],
        b"{}",
    ]
    .concat();
    assert_eq!(out[..written], expected);
    assert!(Frames::parse(&expected).is_err(), "a number is below 2^62");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_read_nothing_panics(packets in prop::collection::vec((any::<u16>(), frames()), 1..20)) {
        for reliability in RELIABILITIES {
            let (mut channel, mut arrived) = (channel(reliability), Batch::default());
            let (mut number, mut now) = (0, Monotonic(0));
            channel.take(load(50, 100));
            for (step, plaintext) in &packets {
                now = Monotonic(now.0 + u64::from(*step) * 10_000);
                let _ = channel.read(u64::from(*step), plaintext, now, &mut arrived);
                let mark = channel.mark();
                channel.stored(mark, now);
                channel.tick(now, &mut arrived);
                prop_assert!(self::packets(&mut channel, &mut number, now).len() < 1_000);
                prop_assert!(channel.due().is_none_or(|due| due > now));
            }
        }
    }
}

/// Bytes that look like frames, with numbers small, large and at the edges.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..70_u64, Just(u64::MAX), Just((1 << 62) - 1), any::<u64>()];
    let word = prop_oneof![0..70_u32, Just(u32::MAX), any::<u32>()];
    let numbers = prop::collection::vec(number, 3);
    let words = prop::collection::vec(word, 8);
    let frame =
        (0..6_u8, 0..5_u8, numbers, words, 0..60_u16).prop_map(|(kind, small, numbers, words, length)| {
            let mut bytes = vec![kind];
            let number = |bytes: &mut Vec<u8>, at: usize| bytes.extend(numbers[at].to_le_bytes());
            let word = |bytes: &mut Vec<u8>, at: usize| bytes.extend(words[at].to_le_bytes());
            match kind {
                1 => (number(&mut bytes, 0), number(&mut bytes, 1), word(&mut bytes, 0)).2,
                2 => {
                    bytes.push(small);
                    word(&mut bytes, 0);
                    (0..3).for_each(|at| number(&mut bytes, at));
                    (1..2 * usize::from(small)).for_each(|at| word(&mut bytes, at));
                }
                3 => {
                    bytes.push(small);
                    (0..2).for_each(|at| number(&mut bytes, at));
                    (0..2 * usize::from(small)).for_each(|at| word(&mut bytes, at % 8));
                }
                4 => {
                    bytes.push(small);
                    bytes.extend(length.to_le_bytes());
                    word(&mut bytes, 0);
                    (0..2).for_each(|at| number(&mut bytes, at));
                    let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    bytes.extend(body.iter().cycle().take(usize::from(length)));
                }
                _ => {}
            }
            bytes
        });
    let raw = prop::collection::vec(any::<u8>(), 0..100);
    prop_oneof![4 => prop::collection::vec(frame, 1..4).prop_map(|frames| frames.concat()), 1 => raw]
}
