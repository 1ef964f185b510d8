use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const ONE: NonZeroU16 = NonZeroU16::MIN;

fn shards(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn loopback_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn loopback_v6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, 0).into()
}

/// Where no other test is given a port that this one has left for a moment.
fn aside() -> SocketAddr {
    (Ipv4Addr::new(127, 77, 0, 1), 0).into()
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn heard(socket: &mut Socket) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while socket.receive(|datagram, _| datagrams.push(datagram.to_vec())).unwrap().more {}
    datagrams
}

#[test]
fn every_shard_of_a_responder_hears_what_is_steered_to_it_and_nothing_else() {
    for bind in [loopback_v4(), loopback_v6()] {
        for count in [1, 2, 3, 7, 16] {
            let mut group = open(Role::Responder, bind, shards(count), true).unwrap();
            let address = group[0].address();
            assert!(group.iter().all(|socket| socket.address() == address));
            for source in 0..20_u8 {
                let from = UdpSocket::bind((bind.ip(), 0)).unwrap();
                for steer in 0..=255 {
                    from.send_to(&[4, steer, source], address).unwrap();
                }
            }
            for (shard, socket) in group.iter_mut().enumerate() {
                let datagrams = heard(socket);
                let steers = (0..256).filter(|steer| steer % usize::from(count) == shard).count();
                assert_eq!(datagrams.len(), 20 * steers, "shard {shard} of {count} on {bind}");
                assert!(datagrams.iter().all(|it| usize::from(it[1]) % usize::from(count) == shard));
            }
        }
    }
}

#[test]
fn a_datagram_too_short_to_be_steered_goes_to_the_first_shard() {
    let mut group = open(Role::Responder, loopback_v4(), shards(3), true).unwrap();
    for _ in 0..20 {
        let from = UdpSocket::bind(loopback_v4()).unwrap();
        from.send_to(&[], group[0].address()).unwrap();
        from.send_to(&[9], group[0].address()).unwrap();
    }
    let counts: Vec<usize> = group.iter_mut().map(|socket| heard(socket).len()).collect();
    assert_eq!(counts, [40, 0, 0]);
}

#[test]
fn segments_that_were_sent_together_follow_their_first() {
    let mut group = open(Role::Responder, loopback_v4(), shards(2), true).unwrap();
    let mut from = open(Role::Initiator, loopback_v4(), ONE, true).unwrap();
    let burst: Vec<u8> = [0_u8, 1, 1, 1].iter().flat_map(|steer| [4, *steer, 0, 0]).collect();
    assert!(from[0].send(&burst, 4, group[0].address()).refusal.is_none());
    let counts: Vec<usize> = group.iter_mut().map(|socket| heard(socket).len()).collect();
    assert_eq!(counts, [4, 0], "a sender must not put packets for several shards in one burst");
}

#[test]
fn a_group_merges_nothing_until_it_is_told_that_it_may() {
    let mut group = open(Role::Responder, loopback_v4(), shards(2), true).unwrap();
    let mut from = open(Role::Initiator, loopback_v4(), ONE, true).unwrap();
    let burst = [4, 1, 0, 0].repeat(40);
    let mut at_once = |socket: &mut Socket| {
        assert!(from[0].send(&burst, 4, socket.address()).refusal.is_none());
        let received = socket.receive(|_, _| {}).unwrap();
        heard(socket);
        received.datagrams
    };
    assert!(at_once(&mut group[1]) < 40);
    group[1].merge(true).unwrap();
    assert_eq!(at_once(&mut group[1]), 40);
}

#[test]
fn nothing_is_heard_that_is_not_steered_while_the_group_is_opened() {
    let bind = open(Role::Initiator, aside(), ONE, true).unwrap()[0].address();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when something here fails.
        let over = SetOnDrop(&is_over);
        scope.spawn(|| {
            let from = UdpSocket::bind(loopback_v4()).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                // Refused where nobody listens.
                let _ = from.send_to(&[4, 1], bind);
            }
        });
        let strays = (0..100).map(|_| {
            let mut group = open(Role::Responder, bind, shards(2), true).unwrap();
            heard(&mut group[0]).len()
        });
        let strays: usize = strays.sum();
        drop(over);
        assert_eq!(strays, 0);
    });
}

#[test]
fn a_port_belongs_to_one_bus() {
    for count in [1, 2, 5] {
        let group = open(Role::Responder, aside(), shards(count), true).unwrap();
        let address = group[0].address();
        let port = address.port();
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        for bind in [address, everywhere] {
            for role in [Role::Responder, Role::Initiator] {
                for other in [1, 2] {
                    let error = open(role, bind, shards(other), true).unwrap_err();
                    assert!(matches!(error, OpenError::Taken(_)), "{count} {bind} {role:?} {other}: {error}");
                    assert!(error.to_string().contains(&port.to_string()), "{error}");
                }
            }
        }
        // It is free when the bus has ended.
        drop(group);
        open(Role::Responder, address, shards(2), true).unwrap();
    }
}

#[test]
fn a_port_that_is_held_everywhere_is_not_had_on_one_address() {
    for bind in [SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))] {
        let group = open(Role::Responder, bind, shards(2), true).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, group[0].address().port()));
        let error = open(Role::Responder, address, shards(2), true).unwrap_err();
        assert!(matches!(error, OpenError::Taken(_)), "{bind}: {error}");
    }
}

#[test]
fn a_port_of_another_program_is_refused_even_if_that_would_share_it() {
    let other = socket2::Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.set_reuse_address(true).unwrap();
    other.bind(&loopback_v4().into()).unwrap();
    let bind = other.local_addr().unwrap().as_socket().unwrap();
    let error = open(Role::Responder, bind, shards(2), true).unwrap_err();
    assert!(matches!(error, OpenError::Taken(_)), "{error}");
}

#[test]
fn of_buses_that_open_one_port_at_once_one_has_it() {
    for _ in 0..100 {
        let bind = open(Role::Initiator, aside(), ONE, true).unwrap()[0].address();
        let start = Barrier::new(4);
        let opened: Vec<_> = thread::scope(|scope| {
            let open = || {
                start.wait();
                open(Role::Responder, bind, shards(3), true)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
    }
}

#[test]
fn an_initiator_has_ports_in_a_row_or_any() {
    let any = open(Role::Initiator, loopback_v4(), shards(3), true).unwrap();
    assert!(any.iter().all(|socket| socket.address().port() != 0));
    drop(any);
    // A row of ports that are free, most likely.
    let row = (20_000..60_000).step_by(97).find_map(|port| {
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Some((port, open(Role::Initiator, bind, shards(3), true).ok()?))
    });
    let (port, row) = row.unwrap();
    let ports: Vec<u16> = row.iter().map(|socket| socket.address().port()).collect();
    assert_eq!(ports, [port, port + 1, port + 2]);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let last = SocketAddr::from((Ipv4Addr::LOCALHOST, 65_535));
    let error = open(Role::Initiator, last, shards(2), true).unwrap_err();
    assert!(matches!(error, OpenError::NoPorts { .. }), "{error}");
    let error = open(Role::Responder, loopback_v4(), shards(257), true).unwrap_err();
    assert!(matches!(error, OpenError::TooManyShards { .. }), "{error}");
    // An address for documentation (RFC 5737), which is not this machine's.
    let error = open(Role::Responder, "192.0.2.1:0".parse().unwrap(), ONE, true).unwrap_err();
    assert!(matches!(error, OpenError::Unbound(..)) && error.to_string().contains("192.0.2.1"), "{error}");
}

#[test]
fn sockets_go_to_the_threads_of_their_shards() {
    let group = open(Role::Responder, loopback_v4(), shards(2), true).unwrap();
    let address = group[0].address();
    let from = UdpSocket::bind(loopback_v4()).unwrap();
    from.send_to(&[4, 0], address).unwrap();
    from.send_to(&[4, 1], address).unwrap();
    thread::scope(|scope| {
        for mut socket in group {
            scope.spawn(move || assert_eq!(heard(&mut socket).len(), 1));
        }
    });
}
