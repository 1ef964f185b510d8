//! Readiness: a task on the shard's executor that waits until its socket is readable, and rings the shard. The only file of this
//! store that names the runtime.
//!
//! The kernel is asked whether the socket is readable (`IORING_OP_POLL_ADD`), not for a datagram: nothing of ours is written to when
//! it answers. But a shard that spins hears the kernel only where it forces a pass over its reactor, which takes five times as long as
//! a look at the socket itself: so it looks, and the kernel is asked only when it goes to sleep. A wait that is under way ends with its
//! answer and is never dropped before, so that the socket, and with it the port, is free when the watcher has ended.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, UdpSocket};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use engine::adapter::Notify;
use engine::clock::Monotonic;
use glommio::io::PollableFd;
use glommio::task::JoinHandle;
use glommio::timer::sleep;
use socket2::SockRef;

use super::socket::Socket;

/// The watch over one socket.
pub(super) struct Readiness {
    shared: Rc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    socket: Rc<UdpSocket>,
    phase: Cell<Phase>,
    looked_at: Cell<Monotonic>,
    is_ending: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The kernel is asked, or about to be.
    Waiting,
    /// It has answered, and nobody has looked since.
    Readable,
    /// Somebody has looked and reads. The kernel is not asked.
    Taken,
}

impl Readiness {
    /// Begins to watch `socket`. Runs inside the shard's executor.
    pub(super) fn watch(socket: &Socket, notify: Notify) -> io::Result<Readiness> {
        let shared = Rc::new(Shared {
            socket: Rc::new(socket.duplicate()?),
            phase: Cell::new(Phase::Waiting),
            looked_at: Cell::new(Monotonic(0)),
            is_ending: Cell::new(false),
            waker: Cell::new(None),
        });
        let watcher = glommio::spawn_local(watch(Rc::clone(&shared), notify)).detach();
        Ok(Readiness { shared, watcher: Some(watcher) })
    }

    /// Whether it is time to read: the socket has become readable, or a shard that spins has not looked for a while. Who goes to sleep
    /// after that arms the watch again.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        let is_due = self.take() || now.since(self.shared.looked_at.get()) >= LOOK_PERIOD;
        if is_due {
            self.shared.looked_at.set(now);
        }
        is_due
    }

    /// Whether the socket has become readable since it was armed.
    pub(super) fn take(&self) -> bool {
        let is_readable = self.shared.phase.get() == Phase::Readable;
        if is_readable {
            self.shared.phase.set(Phase::Taken);
        }
        is_readable
    }

    /// The kernel is asked again. What has come in the meantime counts.
    pub(super) fn rearm(&self) {
        if self.shared.phase.get() == Phase::Taken {
            self.shared.phase.set(Phase::Waiting);
            self.shared.wake();
        }
    }

    /// Whether the kernel is asked. No pass has to be forced for that where [`is_due`](Readiness::is_due) is asked in every round.
    #[cfg(test)]
    pub(super) fn outstanding(&self) -> bool {
        self.shared.phase.get() == Phase::Waiting
    }

    /// Ends the watch, and waits until the kernel has let go of it. The socket receives nothing any more.
    pub(super) async fn end(mut self) {
        self.shared.end();
        if let Some(watcher) = self.watcher.take() {
            watcher.await;
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // The watcher ends by itself.
        self.shared.end();
    }
}

impl Shared {
    /// The kernel answers a wait when the reading side is shut, although it says that a socket without a peer is not connected.
    fn end(&self) {
        if !self.is_ending.replace(true) {
            let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Read);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

async fn watch(shared: Rc<Shared>, notify: Notify) {
    let Ok(socket) = PollableFd::new(Rc::clone(&shared.socket)) else { return };
    while !shared.is_ending.get() {
        if socket.readable().await.is_err() {
            // As if it were readable: who reads hears what is wrong. Not at once again, since it may go on.
            sleep(FAILURE_PAUSE).await;
        }
        shared.phase.set(Phase::Readable);
        notify.ring();
        poll_fn(|context| {
            if shared.is_ending.get() || shared.phase.get() == Phase::Waiting {
                return Poll::Ready(());
            }
            shared.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// How long a shard that spins does not look. A look that finds nothing takes 0.7 to 1 µs.
const LOOK_PERIOD: Duration = Duration::from_micros(10);
/// Between two waits that the kernel refused.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
