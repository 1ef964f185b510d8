//! Loss by number and by age, probes, and the window, each by itself.

use super::super::frame::Frames;
use super::super::writer::Writer;
use super::*;

const START: Monotonic = Monotonic(1_000_000_000);
const BYTES: usize = 1_000;

struct Sender {
    recovery: Recovery,
    outbound: Outbound,
    now: Monotonic,
}

impl Sender {
    /// That has sent `count` packets now, numbered from 0.
    fn of(count: u64) -> Sender {
        let (recovery, outbound) = (Recovery::new(BYTES, START), Outbound::new(BYTES));
        let mut sender = Sender { recovery, outbound, now: START };
        (0..count).for_each(|number| sender.send(number));
        sender
    }

    fn send(&mut self, number: u64) {
        self.recovery.on_sent(number, self.now, BYTES, None);
    }

    fn after(&mut self, time: Duration) -> &mut Sender {
        self.now = self.now.after(time);
        self
    }

    /// Hears that these packets have come, from the highest down.
    fn hear(&mut self, ranges: &[(u64, u64)]) -> bool {
        let mut bytes = [0; 200];
        let mut writer = Writer::new(&mut bytes);
        writer.ack(0, 0, 0, ranges.iter().copied());
        let frames = Frames::parse(&bytes).expect("it is one");
        self.recovery.on_ack(&frames.ack.expect("of an ack"), self.now, &mut self.outbound)
    }

    fn tick(&mut self) {
        self.recovery.tick(self.now, false, &mut self.outbound);
    }
}

#[test]
fn a_packet_three_below_one_that_has_come_is_lost_at_once() {
    let mut sender = Sender::of(5);
    assert!(sender.after(Duration::from_millis(10)).hear(&[(2, 2)]));
    assert_eq!(sender.recovery.lost_packets, 0);
    assert!(sender.hear(&[(3, 3)]));
    assert_eq!(sender.recovery.lost_packets, 1, "packet 0; 1 has only two above it");
}

#[test]
fn a_packet_just_below_one_that_has_come_is_lost_after_an_eighth_more_than_a_round_trip() {
    let mut sender = Sender::of(2);
    assert!(sender.after(Duration::from_millis(80)).hear(&[(1, 1)]));
    let due = sender.recovery.due(false).expect("it is looked for");
    assert_eq!(due, START.after(Duration::from_millis(90)));
    sender.now = due;
    sender.tick();
    assert_eq!((sender.recovery.lost_packets, sender.recovery.in_flight_bytes), (1, 0));
}

#[test]
fn silence_is_answered_with_two_probes_and_then_with_twice_the_patience() {
    let mut sender = Sender::of(1);
    let first = sender.recovery.due(false).expect("a probe is due");
    sender.now = first;
    sender.tick();
    for number in 1..=2 {
        assert!(sender.recovery.is_probing());
        sender.send(number);
    }
    assert!(!sender.recovery.is_probing());
    let second = sender.recovery.due(false).expect("another is due");
    assert_eq!(second.since(first), 2 * first.since(START));
}

#[test]
fn who_hears_of_what_was_never_sent_believes_nothing() {
    let mut sender = Sender::of(3);
    assert!(!sender.hear(&[(0, 3)]));
    assert_eq!((sender.recovery.acks_of_unsent, sender.recovery.in_flight_bytes), (1, 3 * BYTES as u64));
}

#[test]
fn a_window_that_was_not_needed_does_not_grow() {
    let mut sender = Sender::of(1);
    sender.recovery.has_nothing();
    let before = sender.recovery.reno.window();
    assert!(sender.after(Duration::from_millis(10)).hear(&[(0, 0)]));
    assert_eq!(sender.recovery.reno.window(), before);
}
