//! The task that moves one connection's bytes, on the shard's executor. The only file of this store that names the runtime.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use engine::adapter::Notify;
use engine::sync::Ordering;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::task::JoinHandle;

use super::connect::{Connected, Target};
use super::link::{Ended, State, Wire};
use super::tls::Tls;

/// The task of one connection; it ends when the kernel has let go of that.
pub(super) type Carrier = JoinHandle<()>;

/// Connects, and carries bytes until the connection ends.
pub(super) fn spawn(target: Target, wire: Rc<RefCell<Wire>>, notify: Notify) -> Carrier {
    glommio::spawn_local(async move {
        let ended = match connect(target, &wire).await {
            Ok((stream, tls)) => {
                wire.borrow_mut().state = State::Open;
                notify.ring();
                carry(stream, tls, &wire, &notify).await
            }
            Err(ended) => ended,
        };
        wire.borrow_mut().state = State::Closed(ended);
        notify.ring();
    })
    .detach()
}

/// The runtime's stream of a connected socket. It asks nothing of one that is TCP's alone, so that a Unix socket is one too.
type Stream = TcpStream;

/// Connects on the executor's blocking thread: the shard waits neither for the resolver nor for the network, nor for the handshake's
/// arithmetic, and no timer of the runtime's is linked to a request.
async fn connect(target: Target, wire: &Rc<RefCell<Wire>>) -> Result<(Stream, Option<Tls>), Ended> {
    let closing = Arc::clone(&wire.borrow().closing);
    let connects = move || {
        // It may have waited behind others that took their time.
        if closing.load(Ordering::Relaxed) {
            return Err(Ended::by_itself("given up"));
        }
        target.connect(Instant::now() + target.timeout)
    };
    let Connected { socket, tls } = glommio::executor().spawn_blocking(connects).await?;
    Ok((Stream::from(socket), tls))
}

/// Carries bytes both ways until the connection ends; why it did.
async fn carry(mut stream: Stream, mut tls: Option<Tls>, wire: &Rc<RefCell<Wire>>, notify: &Notify) -> Ended {
    let mut buffer = vec![0; READ_BYTES];
    let mut is_shut = false;
    let mut unsendable = None;
    let mut has_heard = tls.is_some();
    loop {
        let step = poll_fn(|context| {
            let wire = &mut *wire.borrow_mut();
            if !is_shut && wire.closing.load(Ordering::Relaxed) {
                return Poll::Ready(Step::Shut);
            }
            let before = wire.received.len();
            if unsendable.is_none() {
                let is_any = !wire.outgoing.is_empty();
                unsendable = send(&mut stream, context, tls.as_mut(), wire).err();
                if is_any && wire.outgoing.is_empty() {
                    notify.ring();
                }
            }
            if let Err(ended) = receive(&mut stream, context, tls.as_mut(), wire, &mut buffer) {
                // What the server has said last tells more than that nothing can be sent any more.
                let unsendable = unsendable.take().filter(|_| ended == Ended::cut());
                return Poll::Ready(Step::Ended(unsendable.map_or(ended, Ended::from)));
            }
            if wire.received.len() > before {
                has_heard = true;
                notify.ring();
            }
            wire.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        match step {
            Step::Shut => {
                // Both directions, so that a read that waits comes back. One that the peer has ended already cannot be ended again.
                let _ = stream.shutdown(Shutdown::Both).await;
                is_shut = true;
            }
            Step::Ended(ended) if has_heard => return ended,
            Step::Ended(ended) => return ended.without_a_word(),
        }
    }
}

/// Sends what the kernel takes now.
fn send(
    stream: &mut Stream,
    context: &mut Context<'_>,
    mut tls: Option<&mut Tls>,
    wire: &mut Wire,
) -> io::Result<()> {
    loop {
        let bytes = match &mut tls {
            None => &wire.outgoing[wire.sent..],
            Some(tls) => {
                wire.sent += tls.seal(&wire.outgoing[wire.sent..]);
                tls.unsent()
            }
        };
        if bytes.is_empty() {
            wire.outgoing.clear();
            wire.sent = 0;
            return Ok(());
        }
        match (Pin::new(&mut *stream).poll_write(context, bytes), &mut tls) {
            (Poll::Ready(Ok(count)), None) => wire.sent += count,
            (Poll::Ready(Ok(count)), Some(tls)) => tls.has_sent(count),
            (Poll::Ready(Err(error)), _) => return Err(error),
            (Poll::Pending, _) => return Ok(()),
        }
    }
}

/// Receives what has come, as long as the adapter takes it.
fn receive(
    stream: &mut Stream,
    context: &mut Context<'_>,
    mut tls: Option<&mut Tls>,
    wire: &mut Wire,
    buffer: &mut [u8],
) -> Result<(), Ended> {
    loop {
        if wire.closing.load(Ordering::Relaxed) {
            wire.received.clear();
        }
        if wire.received.len() >= RECEIVED_BYTES_MAX {
            wire.is_full = true;
            return Ok(());
        }
        match Pin::new(&mut *stream).poll_read(context, buffer) {
            Poll::Ready(Ok(0)) => return Err(Ended::cut()),
            Poll::Ready(Ok(count)) => match &mut tls {
                None => wire.received.extend_from_slice(&buffer[..count]),
                Some(tls) => tls.open(&buffer[..count], &mut wire.received)?,
            },
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Pending => return Ok(()),
        }
    }
}

/// Why a carrier stopped.
enum Step {
    /// The connection is to be shut; what then comes is its end.
    Shut,
    Ended(Ended),
}

const READ_BYTES: usize = 64 << 10;
/// What may have come that the adapter has not taken.
const RECEIVED_BYTES_MAX: usize = 1 << 20;
