use std::net::{Ipv4Addr, Ipv6Addr};

use nix::libc;
use socket2::{Domain, Type};

use super::*;
use crate::udp::burst::Refusal;

fn open(family: SocketAddr, is_batched: bool) -> Socket {
    let socket = socket2::Socket::new(Domain::for_address(family), Type::DGRAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 20).unwrap();
    socket.bind(&family.into()).unwrap();
    Socket::new(socket, is_batched).unwrap()
}

fn v4(is_batched: bool) -> Socket {
    open((Ipv4Addr::LOCALHOST, 0).into(), is_batched)
}

fn v6(is_batched: bool) -> Socket {
    open((Ipv6Addr::LOCALHOST, 0).into(), is_batched)
}

/// Packets of `packet_bytes` that tell their number, the last of them shorter.
fn burst(count: usize, packet_bytes: usize, last_bytes: usize) -> Vec<u8> {
    let bytes = (0..count).flat_map(|number| std::iter::repeat_n(number as u8, packet_bytes));
    bytes.take((count - 1) * packet_bytes + last_bytes).collect()
}

/// All that has come. Loopback delivers before the call that sends returns.
fn received(socket: &mut Socket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut datagrams = Vec::new();
    loop {
        let before = datagrams.len();
        let received = socket.receive(|datagram, from| datagrams.push((datagram.to_vec(), from))).unwrap();
        assert_eq!(received.datagrams, datagrams.len() - before);
        if !received.more {
            return datagrams;
        }
    }
}

#[test]
fn a_burst_arrives_as_the_packets_it_was_made_of() {
    for open in [v4, v6] {
        for (sends_batched, receives_batched) in [(true, true), (true, false), (false, true), (false, false)]
        {
            for (count, bytes, last_bytes) in
                [(1, 1, 1), (2, 1452, 1), (40, 1452, 1452), (200, 100, 7), (9, 9000, 8999)]
            {
                let (mut from, mut to) = (open(sends_batched), open(receives_batched));
                let burst = burst(count, bytes, last_bytes);
                let sent = from.send(&burst, bytes, to.address());
                assert!(sent.refusal.is_none(), "{:?}", sent.refusal);
                assert_eq!(sent.bytes, burst.len());
                let datagrams = received(&mut to);
                assert_eq!(
                    datagrams.len(),
                    count,
                    "of {bytes} bytes, batched {sends_batched} {receives_batched}"
                );
                for ((datagram, address), packet) in datagrams.iter().zip(burst.chunks(bytes)) {
                    assert_eq!(datagram, packet);
                    assert_eq!(*address, from.address());
                }
            }
        }
    }
}

#[test]
fn packets_travel_together_only_where_both_sides_want_it() {
    let burst = burst(40, 1000, 1000);
    for (sends, merges, is_merged) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (mut from, mut to) = (v4(sends), v4(true));
        to.merge(merges).unwrap();
        assert_eq!(from.send(&burst, 1000, to.address()).bytes, burst.len());
        to.receive(|_, _| {}).unwrap();
        assert_eq!(to.messages[0].len, if is_merged { burst.len() } else { 1000 }, "{sends} {merges}");
    }
}

#[test]
fn a_batch_says_whether_more_may_have_come() {
    let (mut from, mut to) = (v4(true), v4(true));
    to.merge(false).unwrap();
    assert_eq!(to.receive(|_, _| {}).unwrap(), Received { datagrams: 0, more: false });
    let burst = burst(BATCH_SIZE + 3, 100, 100);
    from.send(&burst, 100, to.address());
    assert_eq!(to.receive(|_, _| {}).unwrap(), Received { datagrams: BATCH_SIZE, more: true });
    assert_eq!(to.receive(|_, _| {}).unwrap(), Received { datagrams: 3, more: false });
}

#[test]
fn datagrams_without_a_byte_and_of_any_length_are_handed_on() {
    let (from, mut to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), v4(true));
    let lengths = [0, 1, 0, 65_507, 2, 1452];
    for length in lengths {
        assert_eq!(from.send_to(&vec![7; length], to.address()).unwrap(), length);
    }
    let came: Vec<usize> = received(&mut to).iter().map(|(datagram, _)| datagram.len()).collect();
    assert_eq!(came, lengths);
}

#[test]
fn a_datagram_may_be_changed_where_it_lies() {
    let (mut from, mut to) = (v4(true), v4(true));
    from.send(&burst(3, 10, 10), 10, to.address());
    let mut sums: Vec<usize> = Vec::new();
    to.receive(|datagram, _| {
        for byte in datagram.iter_mut() {
            *byte += 1;
        }
        sums.push(datagram.iter().map(|byte| usize::from(*byte)).sum());
    })
    .unwrap();
    assert_eq!(sums, [10, 20, 30]);
}

#[test]
fn what_is_too_large_is_told() {
    let (mut from, to) = (v4(true), v4(true));
    let sent = from.send(&vec![0; 70_000], 70_000, to.address());
    assert!(matches!(sent.refusal, Some(Refusal::TooLarge)), "{sent:?}");
    assert_eq!(sent.bytes, 0);
    // And harms nothing that follows.
    assert!(from.send(&burst(40, 1452, 1452), 1452, to.address()).refusal.is_none());
}

#[test]
fn an_address_of_no_use_is_told() {
    let mut from = v4(true);
    let sent = from.send(&burst(4, 100, 100), 100, (Ipv4Addr::LOCALHOST, 0).into());
    let Some(Refusal::Failed(error)) = sent.refusal else { panic!("{sent:?}") };
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn nothing_is_allocated_for_a_packet() {
    for (sends_batched, receives_batched) in [(true, true), (false, false)] {
        let (mut from, mut to) = (v4(sends_batched), v4(receives_batched));
        let (burst, address) = (burst(40, 1452, 700), to.address());
        let mut datagrams = 0;
        let mut round = |rounds| {
            for _ in 0..rounds {
                assert!(from.send(&burst, 1452, address).refusal.is_none());
                while to.receive(|_, _| datagrams += 1).unwrap().more {}
            }
        };
        assert_eq!(allocation_counter::measure(|| round(100)).count_total, 0);
        assert_eq!(datagrams, 4000);
    }
}
