//! The link: one connection's bytes, as both sides see them.
//!
//! Bytes to be sent and bytes received lie in memory that the adapter looks at in every round; a task moves them, and rings the
//! shard when something has come. A link that is closed or cut is never used again.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use engine::adapter::Notify;

use super::config::Address;
use super::io::{self, Carrier};

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
    /// The adapter wants it closed.
    pub(super) closing: bool,
    pub(super) waker: Option<Waker>,
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
        let task = io::spawn(address.clone(), timeout, Rc::clone(&wire), notify);
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
