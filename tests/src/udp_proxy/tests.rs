use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::*;
use crate::until;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(crate::HANG)).unwrap();
    socket
}

/// A datagram and whom it came from.
type Heard = (Vec<u8>, SocketAddr);

/// A server that answers everything with the same, and tells what it heard and from where.
struct Echo {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Echo {
    fn start() -> Echo {
        let socket = socket();
        let (address, heard) = (socket.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let said = buffer[..length].to_vec();
                let is_end = said == b"end";
                hears.lock().unwrap().push((said, from));
                if is_end {
                    return;
                }
                socket.send_to(&buffer[..length], from).unwrap();
            }
        });
        Echo { address, heard }
    }

    fn heard(&self) -> Vec<(Vec<u8>, SocketAddr)> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        socket().send_to(b"end", self.address).unwrap();
    }
}

/// Says so many things through the proxy, slowly enough that no queue overflows.
fn say(proxy: &UdpProxy, client: &UdpSocket, count: u32) {
    for number in 0..count {
        client.send_to(&[&number.to_le_bytes()[..], &[0; 28]].concat(), proxy.address()).unwrap();
        if number % 50 == 49 {
            let came = u64::from(number + 1);
            until("the proxy hears", || proxy.counts().came >= came);
        }
    }
}

fn is_at_rest(proxy: &UdpProxy) -> bool {
    let before = proxy.counts();
    thread::sleep(3 * HELD_BACK_MAX);
    proxy.counts() == before
}

#[test]
fn without_faults_everything_passes_both_ways_and_clients_are_told_apart() {
    let echo = Echo::start();
    let proxy = UdpProxy::start(echo.address, 1);
    let clients: Vec<UdpSocket> = (0..5).map(|_| socket()).collect();
    let mut buffer = [0; 64];
    for (number, client) in clients.iter().enumerate() {
        for _ in 0..3 {
            client.send_to(&[number as u8; 9], proxy.address()).unwrap();
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&[number as u8; 9][..], proxy.address()));
        }
    }
    let addresses: HashSet<SocketAddr> = echo.heard().into_iter().map(|(_, from)| from).collect();
    assert_eq!(addresses.len(), 5);
    // What was sent is counted when it has gone, which the receiver may see first.
    until("all is counted", || proxy.counts().sent >= 30);
    assert_eq!(proxy.counts(), Counts { came: 30, sent: 30, ..Counts::default() });
}

#[test]
fn faults_happen_as_often_as_they_are_to_and_the_seed_decides() {
    let faults =
        Faults { lost: 100, doubled: 50, overtaken: 50, flipped: 50, cut: 50, delay: Duration::ZERO };
    let counts = |seed| {
        // One way only, so that what comes to the proxy comes in the sender's order.
        let server = socket();
        let proxy = UdpProxy::start(server.local_addr().unwrap(), seed);
        proxy.inflict(faults);
        say(&proxy, &socket(), 2000);
        until("rest", || is_at_rest(&proxy));
        proxy.counts()
    };
    let (once, again, other) = (counts(7), counts(7), counts(8));
    assert_eq!(once, again);
    assert_ne!(once, other);
    assert_eq!(once.came, 2000);
    assert!((100..300).contains(&once.lost), "{once:?}");
    for count in [once.doubled, once.overtaken, once.flipped, once.cut] {
        assert!((30..200).contains(&count), "{once:?}");
    }
    assert_eq!(once.came - once.lost + once.doubled, once.sent + once.overrun, "{once:?}");
}

#[test]
fn in_the_dark_nothing_passes() {
    let echo = Echo::start();
    let proxy = UdpProxy::start(echo.address, 1);
    let client = socket();
    proxy.darken(true);
    say(&proxy, &client, 50);
    until("all lost", || proxy.counts().dark == 50);
    assert!(echo.heard().is_empty());
    proxy.darken(false);
    client.send_to(b"light", proxy.address()).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn a_client_that_moves_is_answered_at_its_old_place() {
    let echo = Echo::start();
    let proxy = UdpProxy::start(echo.address, 1);
    let client = socket();
    let mut buffer = [0; 64];
    for _ in 0..3 {
        client.send_to(b"here", proxy.address()).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 4);
        proxy.change_addresses();
    }
    let addresses: HashSet<SocketAddr> = echo.heard().into_iter().map(|(_, from)| from).collect();
    assert_eq!(addresses.len(), 3);
}

#[test]
fn what_passed_is_kept_and_said_again() {
    let echo = Echo::start();
    let proxy = UdpProxy::start(echo.address, 1);
    let client = socket();
    proxy.capture(3);
    let mut buffer = [0; 64];
    for said in [b"one", b"two", b"six"] {
        client.send_to(said, proxy.address()).unwrap();
        assert_eq!(client.recv(&mut buffer).unwrap(), 3);
    }
    let captured = proxy.captured();
    assert_eq!(captured.len(), 3);
    assert_eq!(captured[0], Captured { way: Way::ToServer, client: 0, bytes: b"one".to_vec() });
    assert_eq!(captured[1].way, Way::ToClient);
    proxy.say(captured[2].clone(), Speaker::Same);
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"two");
    proxy.say(captured[0].clone(), Speaker::Stranger);
    until("the stranger is heard", || echo.heard().len() == 5);
    let heard = echo.heard();
    assert_eq!(heard[3].1, heard[0].1);
    assert_ne!(heard[4].1, heard[0].1);
    // To the client.
    proxy.say(captured[1].clone(), Speaker::Same);
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"one");
}

#[test]
fn a_delay_keeps_the_order() {
    let server = socket();
    let proxy = UdpProxy::start(server.local_addr().unwrap(), 1);
    proxy.inflict(Faults { delay: Duration::from_millis(5), ..Faults::default() });
    let client = socket();
    let start = Instant::now();
    say(&proxy, &client, 100);
    let mut buffer = [0; 64];
    for number in 0..100_u32 {
        server.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..4], number.to_le_bytes());
    }
    assert!(start.elapsed() >= Duration::from_millis(5));
}
