//! A store behind a socket: each batch goes through the executor to a thread on loopback that answers with the
//! number of events, and is acknowledged when the answer is there. It keeps nothing.
//!
//! It stands for every store that waits for the kernel: while a batch is in flight its shard has to submit, sleep and hear
//! completions in between its other work.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;

use engine::adapter::{
    Adapter, AdapterError, AdapterFactory, Notify, Outcome, ReadBlock, ReadRequest, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::Sequence;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;

/// Stores that go to one thread on loopback. The thread of a shard ends with the shard's connection.
pub struct EchoStores {
    address: SocketAddr,
}

impl EchoStores {
    /// Starts listening on a free port.
    pub fn start() -> EchoStores {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a shard connects");
            connection.set_nodelay(true).expect("it is a TCP connection");
            let mut header = [0; HEADER_BYTES];
            loop {
                match connection.read_exact(&mut header) {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
                    read => read.expect("the shard writes whole headers"),
                }
                let [bytes, events] = words(header);
                let mut body = vec![0; bytes as usize];
                connection.read_exact(&mut body).expect("the shard writes whole batches");
                connection.write_all(&events.to_le_bytes()).expect("the shard listens");
            }
        });
        EchoStores { address }
    }
}

impl AdapterFactory for EchoStores {
    fn tag(&self) -> &'static str {
        "echo"
    }

    fn incarnation(&self) -> u64 {
        0
    }

    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        let wire = Rc::new(RefCell::new(Wire::default()));
        glommio::spawn_local(carry(Rc::clone(&wire), self.address, context.notify)).detach();
        Ok(Box::new(Echo { wire, last: Sequence(0), news: VecDeque::new() }))
    }
}

struct Echo {
    wire: Rc<RefCell<Wire>>,
    /// The last sequence that was acknowledged; nothing up to it can be read.
    last: Sequence,
    news: VecDeque<Outcome>,
}

/// What the shard and its connection hand each other.
#[derive(Default)]
struct Wire {
    outgoing: Option<Batch>,
    in_flight: bool,
    stored: Option<Batch>,
    waker: Option<Waker>,
}

impl Adapter for Echo {
    fn ready(&self) -> bool {
        !self.wire.borrow().in_flight
    }

    fn submit(&mut self, batch: Batch, _: Monotonic) {
        let mut wire = self.wire.borrow_mut();
        wire.outgoing = Some(batch);
        wire.in_flight = true;
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
    }

    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        let stored = self.wire.borrow_mut().stored.take();
        self.last = stored.as_ref().map_or(self.last, |batch| Sequence(batch.end().0 - 1));
        stored
            .map(|spent| Outcome::Stored { first: spent.first(), spent: Some(spent) })
            .or_else(|| self.news.pop_front())
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        None
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        let skipped = request.after.map_or(0, |after| self.last.0.saturating_sub(after.0));
        let block = ReadBlock { through: Some(self.last), skipped, ..ReadBlock::default() };
        self.news.push_back(Outcome::Read { ticket, result: Ok(block) });
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }

    fn outstanding(&self) -> bool {
        self.wire.borrow().in_flight
    }
}

/// Carries batches to the thread and its answers back, one at a time.
async fn carry(wire: Rc<RefCell<Wire>>, address: SocketAddr, notify: Notify) {
    let mut connection = TcpStream::connect(address).await.expect("the thread listens");
    connection.set_nodelay(true).expect("it is a TCP connection");
    loop {
        let batch = poll_fn(|context| {
            let mut wire = wire.borrow_mut();
            wire.waker = Some(context.waker().clone());
            wire.outgoing.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        let payloads: Vec<u8> = batch.events().flat_map(|event| event.payload).copied().collect();
        let header = [payloads.len() as u64, batch.len() as u64].map(u64::to_le_bytes);
        connection.write_all(header.as_flattened()).await.expect("the thread reads");
        connection.write_all(&payloads).await.expect("the thread reads");
        let mut answer = [0; size_of::<u64>()];
        connection.read_exact(&mut answer).await.expect("the thread answers");
        assert_eq!(u64::from_le_bytes(answer), batch.len() as u64);
        {
            let mut wire = wire.borrow_mut();
            wire.in_flight = false;
            wire.stored = Some(batch);
        }
        notify.ring();
    }
}

fn words(header: [u8; HEADER_BYTES]) -> [u64; 2] {
    let (low, high) = header.split_at(HEADER_BYTES / 2);
    [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")))
}

const HEADER_BYTES: usize = 16;
