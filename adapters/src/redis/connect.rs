//! Making a connection, on a thread that may block: the host's addresses, the socket, and where it is asked for the TLS handshake.
//! All of it ends by its deadline, whatever the resolver, the network and the server do. The time is the system's own, since the
//! thread waits for the system.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::config::Address;
use super::link::Ended;
use super::resolve;
use super::tls::Tls;

/// Where to, and how.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: Address,
    /// With TLS, and whom that trusts.
    pub(super) trust: Option<Arc<ClientConfig>>,
    /// How long it may take.
    pub(super) timeout: Duration,
}

/// A connection that was made. Its socket blocks.
pub(super) struct Connected {
    pub(super) socket: Socket,
    /// After the handshake.
    pub(super) tls: Option<Tls>,
}

impl Target {
    /// Connects, by `deadline`.
    pub(super) fn connect(&self, deadline: Instant) -> Result<Connected, Ended> {
        let (socket, tls) = match &self.address {
            Address::Unix(path) => (connect_unix(path, deadline)?, None),
            Address::Tcp(host, port) => {
                let trust = self.trust.as_ref();
                let tls = trust.map(|trust| Tls::new(trust, host)).transpose()?;
                (connect_tcp(host, *port, deadline)?, tls)
            }
        };
        let mut connected = Connected { socket, tls };
        connected.shake_hands(deadline)?;
        connected.socket.set_read_timeout(None)?;
        connected.socket.set_write_timeout(None)?;
        Ok(connected)
    }
}

impl Connected {
    /// Sends `bytes`, by `deadline`.
    pub(super) fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), Ended> {
        self.socket.set_write_timeout(Some(left(deadline)?))?;
        let Some(tls) = &mut self.tls else { return Ok(self.socket.write_all(bytes)?) };
        loop {
            bytes = &bytes[tls.seal(bytes)..];
            let records = tls.unsent();
            if records.is_empty() {
                return Ok(());
            }
            let count = records.len();
            self.socket.write_all(records)?;
            tls.has_sent(count);
        }
    }

    /// Waits for bytes until `deadline`, and puts what they say behind `plain`; TLS may have nothing to say yet.
    pub(super) fn receive(&mut self, plain: &mut Vec<u8>, deadline: Instant) -> Result<(), Ended> {
        let mut buffer = [0; READ_BYTES];
        self.socket.set_read_timeout(Some(left(deadline)?))?;
        let count = loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Ended::cut()),
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_late(&error) => {
                    return Err(Ended::by_itself("the server did not answer in time"));
                }
                Err(error) => return Err(error.into()),
            }
        };
        if let Some(tls) = &mut self.tls {
            return tls.open(&buffer[..count], plain);
        }
        plain.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    /// The TLS handshake, if there is TLS.
    fn shake_hands(&mut self, deadline: Instant) -> Result<(), Ended> {
        if self.tls.is_none() {
            return Ok(());
        }
        while self.tls.as_ref().is_some_and(Tls::is_handshaking) {
            self.send(&[], deadline)?;
            // No server says anything before it is asked.
            if let Err(ended) = self.receive(&mut Vec::new(), deadline) {
                // So that its log says why too; the reason is known here either way.
                let _ = self.send(&[], deadline);
                return Err(ended.during("TLS handshake"));
            }
        }
        self.send(&[], deadline)
    }
}

fn connect_tcp(host: &str, port: u16, deadline: Instant) -> io::Result<Socket> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    let addresses = resolve::addresses(host, port, deadline)?;
    for (address, untried) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        // One that is silent leaves time for the others, and for what comes behind connecting.
        match connect_address(address, left(deadline)? / (untried + 1)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn connect_address(address: &SocketAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::from(std::net::TcpStream::connect_timeout(address, timeout)?);
    socket.set_tcp_nodelay(true)?;
    notice_silence(&socket)?;
    Ok(socket)
}

/// A peer that has gone without a word is noticed, also by who only listens: nothing of ours wakes up for it.
fn notice_silence(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
    SockRef::from(socket).set_tcp_user_timeout(Some(2 * SILENCE_MAX))
}

/// A server that accepts nobody lets its queue fill, and then the kernel waits as long as it may send.
fn connect_unix(path: &Path, deadline: Instant) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    loop {
        socket.set_write_timeout(Some(left(deadline)?))?;
        match socket.connect(&address) {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_late(&error) => {
                let reason = "the server does not accept connections, and its queue is full";
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            Err(error) => return Err(error),
        }
    }
}

/// What is left until `deadline`; never nothing, which would be no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "out of time"));
    }
    Ok(left.max(SOCKET_TIMEOUT_MIN))
}

/// Whether a socket's time was over.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

const READ_BYTES: usize = 16 << 10;
/// The kernel takes less than a microsecond for no limit.
const SOCKET_TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// How long a connection is quiet before the kernel asks whether the peer is still there.
const SILENCE_MAX: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
