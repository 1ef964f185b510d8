//! A proxy on loopback that is as bad as a network is to datagrams: it loses, doubles, delays, overtakes, flips bits, cuts short, goes
//! dark, and lets senders change their address. What it does follows from its seed; it keeps what passed, to be said again.
//!
//! Every client has a socket of its own towards the server, so that the server tells them apart. One thread moves everything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::Random;

/// A running proxy. Ended when it is dropped.
pub struct UdpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// What happens to datagrams, each in so many of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub lost: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Held back, so that later ones overtake it, for up to [`HELD_BACK_MAX`].
    pub overtaken: u64,
    /// One bit is another.
    pub flipped: u64,
    /// The end is missing.
    pub cut: u64,
    /// How long each is on its way besides. All alike.
    pub delay: Duration,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a client.
    ToServer,
    /// To a client.
    ToClient,
}

/// A datagram as it came to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Which way it went.
    pub way: Way,
    /// The client's number, in the order in which they came.
    pub client: usize,
    /// What it said.
    pub bytes: Vec<u8>,
}

/// Who says again what was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Who said it first, as far as the receiver can see.
    Same,
    /// An address that nobody knows. To a client only the server's address ever speaks.
    Stranger,
}

/// How often the proxy has done something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that came.
    pub came: u64,
    /// Datagrams that were sent on, doubles and what was said again included.
    pub sent: u64,
    /// Lost by [`Faults::lost`].
    pub lost: u64,
    /// Lost in the dark.
    pub dark: u64,
    /// Sent twice.
    pub doubled: u64,
    /// Held back.
    pub overtaken: u64,
    /// Changed in a bit.
    pub flipped: u64,
    /// Cut short.
    pub cut: u64,
    /// Lost since the proxy has no room, or the kernel did not take it.
    pub overrun: u64,
}

impl UdpProxy {
    /// In front of `server`, on a free port of the same loopback.
    pub fn start(server: SocketAddr, seed: u64) -> UdpProxy {
        let front = UdpSocket::bind((server.ip(), 0)).expect("the server is on loopback");
        front.set_nonblocking(true).expect("a socket");
        let address = front.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let (orders, heard) = channel();
        let mover = Mover {
            server,
            front,
            clients: Vec::new(),
            random: Random::new(seed),
            faults: Faults::default(),
            is_dark: false,
            captures_max: 0,
            on_the_way: BinaryHeap::new(),
            number: 0,
            shared: Arc::clone(&shared),
        };
        let thread = thread::spawn(move || mover.run(&heard));
        UdpProxy { address, shared, orders, thread: Some(thread) }
    }

    /// Where the clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this happens, both ways.
    pub fn inflict(&self, faults: Faults) {
        self.order(Order::Inflict(faults));
    }

    /// Whether nothing passes from now on.
    pub fn darken(&self, is_dark: bool) {
        self.order(Order::Darken(is_dark));
    }

    /// The server sees every client at a new address from now on.
    pub fn change_addresses(&self) {
        self.order(Order::ChangeAddresses);
    }

    /// Keeps the next datagrams that come, so many at most, and forgets those it kept before.
    pub fn capture(&self, datagrams_max: usize) {
        self.order(Order::Capture(datagrams_max));
    }

    /// What was kept so far.
    pub fn captured(&self) -> Vec<Captured> {
        self.shared.captured.lock().expect("nobody panics with it").clone()
    }

    /// Says this again, or for the first time, past all faults.
    pub fn say(&self, datagram: Captured, speaker: Speaker) {
        self.order(Order::Say(datagram, speaker));
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        let count = |which: &AtomicU64| which.load(Ordering::Relaxed);
        let shared = &self.shared;
        Counts {
            came: count(&shared.came),
            sent: count(&shared.sent),
            lost: count(&shared.lost),
            dark: count(&shared.dark),
            doubled: count(&shared.doubled),
            overtaken: count(&shared.overtaken),
            flipped: count(&shared.flipped),
            cut: count(&shared.cut),
            overrun: count(&shared.overrun),
        }
    }

    /// Returns when the order is carried out.
    fn order(&self, order: Order) {
        let (done, is_done) = channel();
        self.orders.send(order).and_then(|()| self.orders.send(Order::Tell(done))).expect("it runs");
        is_done.recv().expect("it runs");
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        // It may have ended by a panic, which is told here.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the proxy panicked");
        }
    }
}

#[derive(Default)]
struct Shared {
    captured: Mutex<Vec<Captured>>,
    came: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
    dark: AtomicU64,
    doubled: AtomicU64,
    overtaken: AtomicU64,
    flipped: AtomicU64,
    cut: AtomicU64,
    overrun: AtomicU64,
}

enum Order {
    Inflict(Faults),
    Darken(bool),
    ChangeAddresses,
    Capture(usize),
    Say(Captured, Speaker),
    Tell(Sender<()>),
    End,
}

struct Client {
    address: SocketAddr,
    /// Towards the server.
    socket: UdpSocket,
}

/// A datagram that is due at some time. Later ones are smaller, for the heap.
type OnTheWay = Reverse<(Instant, u64, usize, bool, Vec<u8>)>;

struct Mover {
    server: SocketAddr,
    front: UdpSocket,
    clients: Vec<Client>,
    random: Random,
    faults: Faults,
    is_dark: bool,
    captures_max: usize,
    on_the_way: BinaryHeap<OnTheWay>,
    number: u64,
    shared: Arc<Shared>,
}

impl Mover {
    fn run(mut self, orders: &Receiver<Order>) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            loop {
                match orders.try_recv() {
                    Err(TryRecvError::Empty) => break,
                    Ok(Order::End) | Err(TryRecvError::Disconnected) => return,
                    Ok(order) => self.obey(order),
                }
            }
            let mut moved = self.receive(&mut buffer);
            moved += self.send_due();
            if moved == 0 {
                self.wait();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Inflict(faults) => self.faults = faults,
            Order::Darken(is_dark) => self.is_dark = is_dark,
            Order::ChangeAddresses => {
                let server = self.server;
                self.clients.iter_mut().for_each(|client| client.socket = towards(server));
            }
            Order::Capture(datagrams_max) => {
                self.captures_max = datagrams_max;
                self.shared.captured.lock().expect("nobody panics with it").clear();
            }
            Order::Say(Captured { way: Way::ToServer, bytes, .. }, Speaker::Stranger) => {
                count(&self.shared.sent);
                // A server that is gone hears nothing.
                let _ = towards(self.server).send(&bytes);
            }
            Order::Say(said, _) => self.send(said.way, said.client, &said.bytes),
            // Whoever asked may have gone.
            Order::Tell(done) => drop(done.send(())),
            Order::End => {}
        }
    }

    /// Takes what has come. How much that was.
    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        let mut came = 0;
        for _ in 0..IN_A_ROW {
            let Ok((length, from)) = self.front.recv_from(buffer) else { break };
            came += 1;
            let known = self.clients.iter().position(|client| client.address == from);
            let client = known.unwrap_or_else(|| {
                assert!(self.clients.len() < CLIENTS_MAX, "too many clients");
                self.clients.push(Client { address: from, socket: towards(self.server) });
                self.clients.len() - 1
            });
            self.handle(Way::ToServer, client, &buffer[..length]);
        }
        for client in 0..self.clients.len() {
            for _ in 0..IN_A_ROW {
                match self.clients[client].socket.recv(buffer) {
                    Ok(length) => {
                        came += 1;
                        self.handle(Way::ToClient, client, &buffer[..length]);
                    }
                    // The server is gone for now.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
        came
    }

    /// Decides what becomes of a datagram.
    fn handle(&mut self, way: Way, client: usize, bytes: &[u8]) {
        count(&self.shared.came);
        if self.captures_max > 0 {
            self.captures_max -= 1;
            let captured = Captured { way, client, bytes: bytes.to_vec() };
            self.shared.captured.lock().expect("nobody panics with it").push(captured);
        }
        if self.is_dark {
            return count(&self.shared.dark);
        }
        let faults = self.faults;
        if self.happens(faults.lost) {
            return count(&self.shared.lost);
        }
        let mut changed = Vec::new();
        let mut bytes = bytes;
        if !bytes.is_empty() && self.happens(faults.flipped) {
            changed.extend_from_slice(bytes);
            let bit = self.random.below(8 * bytes.len() as u64) as usize;
            changed[bit / 8] ^= 1 << (bit % 8);
            bytes = &changed;
            count(&self.shared.flipped);
        }
        if !bytes.is_empty() && self.happens(faults.cut) {
            bytes = &bytes[..self.random.below(bytes.len() as u64) as usize];
            count(&self.shared.cut);
        }
        let copies = if self.happens(faults.doubled) {
            count(&self.shared.doubled);
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut delay = faults.delay;
            if self.happens(faults.overtaken) {
                count(&self.shared.overtaken);
                delay += Duration::from_nanos(self.random.below(HELD_BACK_MAX.as_nanos() as u64));
            }
            if delay.is_zero() {
                self.send(way, client, bytes);
            } else if self.on_the_way.len() < ON_THE_WAY_MAX {
                self.number += 1;
                let (due, to_server) = (Instant::now() + delay, way == Way::ToServer);
                self.on_the_way.push(Reverse((due, self.number, client, to_server, bytes.to_vec())));
            } else {
                count(&self.shared.overrun);
            }
        }
    }

    fn send_due(&mut self) -> usize {
        let now = Instant::now();
        let mut sent = 0;
        while self.on_the_way.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, client, to_server, bytes))) = self.on_the_way.pop() else { break };
            self.send(if to_server { Way::ToServer } else { Way::ToClient }, client, &bytes);
            sent += 1;
        }
        sent
    }

    fn send(&self, way: Way, client: usize, bytes: &[u8]) {
        let Some(client) = self.clients.get(client) else { return count(&self.shared.overrun) };
        let sent = match way {
            Way::ToServer => client.socket.send(bytes),
            Way::ToClient => self.front.send_to(bytes, client.address),
        };
        count(if sent.is_ok() { &self.shared.sent } else { &self.shared.overrun });
    }

    fn happens(&mut self, of_a_thousand: u64) -> bool {
        of_a_thousand > 0 && self.random.below(1000) < of_a_thousand
    }

    /// Until something comes, or is due, or a while has passed so that orders are heard.
    fn wait(&self) {
        let due =
            self.on_the_way.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        let time = due.unwrap_or(ORDERS_PERIOD).min(ORDERS_PERIOD);
        let sockets = std::iter::once(&self.front).chain(self.clients.iter().map(|client| &client.socket));
        let mut sockets: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        // An interruption is as good as an end.
        let _ = poll(&mut sockets, Some(&time));
    }
}

/// A socket that speaks with the server only.
fn towards(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("loopback has ports");
    socket.connect(server).and_then(|()| socket.set_nonblocking(true)).expect("loopback is there");
    socket
}

fn count(which: &AtomicU64) {
    which.fetch_add(1, Ordering::Relaxed);
}

/// How long a datagram is held back at most, so that others overtake it.
pub const HELD_BACK_MAX: Duration = Duration::from_millis(2);
const DATAGRAM_BYTES_MAX: usize = 1 << 16;
/// Datagrams of one socket before the others are looked at.
const IN_A_ROW: usize = 64;
const CLIENTS_MAX: usize = 1024;
/// Datagrams that are delayed at the same time.
const ON_THE_WAY_MAX: usize = 65_536;
const ORDERS_PERIOD: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
