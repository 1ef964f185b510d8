//! The task that moves one connection's bytes, on the shard's executor. The only file of this store that names the runtime.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use engine::adapter::Notify;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{TcpStream, UnixStream};
use glommio::task::JoinHandle;

use super::config::Address;
use super::link::{State, Wire};

/// The task of one connection; it ends when the kernel has let go of that.
pub(super) type Carrier = JoinHandle<()>;

/// Connects, and carries bytes until the connection ends.
pub(super) fn spawn(address: Address, timeout: Duration, wire: Rc<RefCell<Wire>>, notify: Notify) -> Carrier {
    glommio::spawn_local(async move {
        let error = match connect(address, timeout).await {
            Ok(stream) => {
                wire.borrow_mut().state = State::Open;
                notify.ring();
                carry(stream, &wire, &notify).await
            }
            Err(error) => error,
        };
        wire.borrow_mut().state = State::Closed(error.to_string());
        notify.ring();
    })
    .detach()
}

/// A stream of either kind.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    /// Ends both directions, so that a read that waits comes back.
    async fn shutdown(&self) {
        // One that the peer has ended already cannot be ended again.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both).await,
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both).await,
        };
    }
}

/// Connects. No timer of the runtime's is linked to the request.
async fn connect(address: Address, timeout: Duration) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Address::Tcp(host, port) => {
            // On the executor's blocking thread: the shard waits neither for the resolver nor for the network.
            let connects = move || connect_blocking(&host, port, timeout);
            let socket = glommio::executor().spawn_blocking(connects).await?;
            Ok(Stream::Tcp(TcpStream::from(socket2::Socket::from(socket))))
        }
    }
}

fn connect_blocking(host: &str, port: u16, timeout: Duration) -> io::Result<std::net::TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let begun_at = Instant::now();
    for address in (host, port).to_socket_addrs()? {
        // All of its addresses together have that long, and each has a moment.
        let left = timeout.saturating_sub(begun_at.elapsed()).max(CONNECT_TIMEOUT_MIN);
        match std::net::TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                notice_silence(&stream)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A peer that has gone without a word is noticed, also by who only listens: nothing of ours wakes up for it.
fn notice_silence(stream: &std::net::TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(2 * SILENCE_MAX))
}

/// Carries bytes both ways until the connection ends; why it did.
async fn carry(mut stream: Stream, wire: &Rc<RefCell<Wire>>, notify: &Notify) -> io::Error {
    let mut buffer = vec![0; READ_BYTES];
    let mut is_shut = false;
    loop {
        let step = poll_fn(|context| {
            let wire = &mut *wire.borrow_mut();
            if wire.closing && !is_shut {
                return Poll::Ready(Step::Shut);
            }
            while wire.sent < wire.outgoing.len() {
                match stream.poll_write(context, &wire.outgoing[wire.sent..]) {
                    Poll::Ready(Ok(count)) => wire.sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Step::Ended(error)),
                    Poll::Pending => break,
                }
            }
            if wire.sent == wire.outgoing.len() {
                wire.outgoing.clear();
                wire.sent = 0;
            }
            let mut has_received = false;
            loop {
                match stream.poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(0)) => {
                        let ended =
                            io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
                        return Poll::Ready(Step::Ended(ended));
                    }
                    Poll::Ready(Ok(count)) => {
                        wire.received.extend_from_slice(&buffer[..count]);
                        has_received = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Step::Ended(error)),
                    Poll::Pending => break,
                }
            }
            if has_received {
                notify.ring();
            }
            wire.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        match step {
            Step::Shut => {
                stream.shutdown().await;
                is_shut = true;
            }
            Step::Ended(error) => return error,
        }
    }
}

/// Why a carrier stopped.
enum Step {
    /// The connection is to be shut; what then comes is its end.
    Shut,
    Ended(io::Error),
}

const READ_BYTES: usize = 64 << 10;
/// How long each address of a host is tried at least.
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// How long a connection is quiet before the kernel asks whether the peer is still there.
const SILENCE_MAX: Duration = Duration::from_secs(15);
