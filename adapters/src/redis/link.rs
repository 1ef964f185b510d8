//! The link: one connection's bytes, moved by a task of the shard's executor. The only file of this crate that names the
//! runtime.
//!
//! Bytes to be sent and bytes received lie in memory that the adapter looks at in every round; the task rings the shard when
//! something has come. A link that is closed or cut is never used again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, ToSocketAddrs};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use engine::adapter::Notify;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{TcpStream, UnixStream};
use glommio::task::JoinHandle;

use super::config::Address;

/// One connection.
pub(super) struct Link {
    wire: Rc<RefCell<Wire>>,
    task: Option<JoinHandle<()>>,
}

/// What both sides of a link see.
struct Wire {
    state: State,
    outgoing: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// The adapter wants it closed.
    closing: bool,
    waker: Option<Waker>,
}

/// How a link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Open,
    /// Why it is no more.
    Closed(String),
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(address: &Address, timeout: Duration, notify: Notify) -> Link {
        let wire = Wire::new();
        let (address, task_wire) = (address.clone(), Rc::clone(&wire));
        let task = glommio::spawn_local(async move {
            let error = match connect(address, timeout).await {
                Ok(stream) => {
                    task_wire.borrow_mut().state = State::Open;
                    notify.ring();
                    carry(stream, &task_wire, &notify).await
                }
                Err(error) => error,
            };
            task_wire.borrow_mut().state = State::Closed(error.to_string());
            notify.ring();
        });
        Link { wire, task: Some(task.detach()) }
    }

    /// How it stands.
    pub(super) fn state(&self) -> State {
        self.wire.borrow().state.clone()
    }

    /// Takes bytes to be sent out of `bytes`, behind those that are still to be.
    pub(super) fn send(&mut self, bytes: &mut Vec<u8>) {
        let mut wire = self.wire.borrow_mut();
        if wire.outgoing.is_empty() {
            std::mem::swap(&mut wire.outgoing, bytes);
        } else {
            wire.outgoing.append(bytes);
        }
        wire.wake();
    }

    /// Puts what has come behind `bytes`. Whether there was anything.
    pub(super) fn receive(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut wire = self.wire.borrow_mut();
        let is_any = !wire.received.is_empty();
        if bytes.is_empty() {
            std::mem::swap(&mut wire.received, bytes);
        } else {
            bytes.append(&mut wire.received);
        }
        is_any
    }

    /// Closes it. Nothing that is still to be sent is sent.
    pub(super) fn close(&mut self) {
        let mut wire = self.wire.borrow_mut();
        wire.closing = true;
        wire.outgoing.clear();
        wire.sent = 0;
        wire.wake();
    }

    /// Whether the kernel has let go of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.wire.borrow().state, State::Closed(_))
    }

    /// Closes it, and waits until the kernel has let go of it.
    pub(super) async fn end(mut self) {
        self.close();
        if let Some(task) = self.task.take() {
            task.await;
        }
    }

    /// A link whose other end is a test.
    #[cfg(test)]
    pub(super) fn scripted() -> (Link, Script) {
        let wire = Wire::new();
        (Link { wire: Rc::clone(&wire), task: None }, Script(wire))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The task ends by itself.
        self.close();
    }
}

impl Wire {
    fn new() -> Rc<RefCell<Wire>> {
        Rc::new(RefCell::new(Wire {
            state: State::Connecting,
            outgoing: Vec::new(),
            sent: 0,
            received: Vec::new(),
            closing: false,
            waker: None,
        }))
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
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

/// Resolves and connects on the executor's blocking thread: the shard waits for neither, and no timer of the runtime's is
/// linked to the request.
async fn connect(address: Address, timeout: Duration) -> io::Result<Stream> {
    let socket = glommio::executor().spawn_blocking(move || connect_blocking(&address, timeout)).await?;
    Ok(match socket {
        // SAFETY: the descriptor was just given up by its only owner.
        Socket::Tcp(socket) => Stream::Tcp(unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }),
        // SAFETY: as above.
        Socket::Unix(socket) => Stream::Unix(unsafe { UnixStream::from_raw_fd(socket.into_raw_fd()) }),
    })
}

/// A peer that has gone without a word is noticed, also by who only listens: nothing of ours wakes up for it.
fn notice_silence(stream: &std::net::TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(2 * SILENCE_MAX))
}

enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

fn connect_blocking(address: &Address, timeout: Duration) -> io::Result<Socket> {
    match address {
        Address::Unix(path) => std::os::unix::net::UnixStream::connect(path).map(Socket::Unix),
        Address::Tcp(host, port) => {
            let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            let begun_at = Instant::now();
            for address in (host.as_str(), *port).to_socket_addrs()? {
                // All of its addresses together have that long, and each has a moment.
                let left = timeout.saturating_sub(begun_at.elapsed()).max(CONNECT_TIMEOUT_MIN);
                match std::net::TcpStream::connect_timeout(&address, left) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        notice_silence(&stream)?;
                        return Ok(Socket::Tcp(stream));
                    }
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        }
    }
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

/// The other end of a link, in a test's hand.
#[cfg(test)]
pub(super) struct Script(Rc<RefCell<Wire>>);

#[cfg(test)]
impl Script {
    /// The server says this.
    pub(super) fn say(&self, bytes: &[u8]) {
        self.0.borrow_mut().received.extend_from_slice(bytes);
    }

    /// The server closes the connection.
    pub(super) fn close(&self) {
        self.0.borrow_mut().state = State::Closed("closed".to_owned());
    }

    /// What it was told since the last call.
    pub(super) fn told(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().outgoing)
    }
}

const READ_BYTES: usize = 64 << 10;
/// How long each address of a host is tried at least.
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// How long a connection is quiet before the kernel asks whether the peer is still there.
const SILENCE_MAX: Duration = Duration::from_secs(15);
