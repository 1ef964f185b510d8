//! The link: one connection's bytes, as both sides see them.
//!
//! Bytes to be sent and bytes received lie in memory that the adapter looks at in every round; a task moves them, and rings the
//! shard when something has come. A link that is closed or cut is never used again.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use engine::adapter::Notify;
use engine::sync::{AtomicBool, Ordering};

use super::connect::Target;
use super::io::{Carrier, spawn};

/// One connection.
pub(super) struct Link {
    wire: Rc<RefCell<Wire>>,
    task: Option<Carrier>,
}

/// What both sides of a link see.
pub(super) struct Wire {
    pub(super) state: State,
    pub(super) outgoing: Vec<u8>,
    /// Bytes of those that have gone.
    pub(super) sent: usize,
    pub(super) received: Vec<u8>,
    /// The adapter wants it closed. It can be seen from the thread that connects.
    pub(super) closing: Arc<AtomicBool>,
    /// The task reads no more before the adapter has taken what there is.
    pub(super) is_full: bool,
    pub(super) waker: Option<Waker>,
}

/// How a link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Open,
    Closed(Ended),
}

/// Why a link is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) reason: String,
    /// Whether only the operator can help.
    pub(super) is_final: bool,
}

impl Ended {
    /// Another one may fare better.
    pub(super) fn by_itself(reason: impl Into<String>) -> Ended {
        Ended { reason: reason.into(), is_final: false }
    }

    /// So will every other, before the operator has acted.
    pub(super) fn by_operator(reason: impl Into<String>) -> Ended {
        Ended { reason: reason.into(), is_final: true }
    }

    /// The server, or somebody on the way, has ended it.
    pub(super) fn cut() -> Ended {
        Ended::by_itself("the server closed the connection")
    }

    /// The same, where the server has said nothing at all.
    pub(super) fn without_a_word(self) -> Ended {
        let hint = "before the server said a word; one that wants TLS (`rediss://`) does so";
        Ended { reason: format!("{}, {hint}", self.reason), ..self }
    }

    /// The same, with what it was that ended so.
    pub(super) fn during(self, what: &str) -> Ended {
        Ended { reason: format!("{what}: {}", self.reason), ..self }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::by_itself(error.to_string())
    }
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(target: Target, notify: Notify) -> Link {
        let wire = Wire::new();
        let task = spawn(target, Rc::clone(&wire), notify);
        Link { wire, task: Some(task) }
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

    /// Whether the kernel has taken all that was to be sent. When it has, the shard is rung.
    pub(super) fn is_sent(&self) -> bool {
        self.wire.borrow().outgoing.is_empty()
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
        if std::mem::take(&mut wire.is_full) {
            wire.wake();
        }
        is_any
    }

    /// Closes it. Nothing that is still to be sent is sent.
    pub(super) fn close(&mut self) {
        let mut wire = self.wire.borrow_mut();
        wire.closing.store(true, Ordering::Relaxed);
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
            closing: Arc::new(AtomicBool::new(false)),
            is_full: false,
            waker: None,
        }))
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
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
        self.0.borrow_mut().state = State::Closed(Ended::cut());
    }

    /// What it was told since the last call.
    pub(super) fn told(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().outgoing)
    }
}
