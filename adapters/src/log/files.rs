//! The files: carries out what a log asks for, on the shard's executor. Blocks go past the page cache with aligned buffers
//! (`O_DIRECT`) and syncs through `io_uring`, reads through the page cache, and what is not there through `io_uring` too; what has no
//! asynchronous form waits on the executor's helper thread. The only file of this store that names the runtime.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use engine::adapter::Notify;
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions, ReadResult};

use super::cached::CachedReads;
use super::disk::{Disk, Folder};
use super::format::index::Index;
use super::operation::{Done, Operation, Read, Write};
use super::scan::load_index;
use super::writer::Closing;

/// The files of one shard.
pub(super) struct Files {
    shared: Rc<Shared>,
}

struct Shared {
    folder: Folder,
    notify: Notify,
    finished: RefCell<VecDeque<Finished>>,
    running: Cell<usize>,
    ended: Cell<Option<Waker>>,
    /// Segments that are written to.
    written: RefCell<HashMap<u64, Rc<Writable>>>,
    /// Segments that were read last.
    read: RefCell<VecDeque<(u64, Rc<Readable>)>>,
    cached: RefCell<CachedReads>,
    is_buffered: Cell<bool>,
}

/// A segment that is written to.
enum Writable {
    Direct(DmaFile),
    /// Where the file system refuses the other.
    Buffered(BufferedFile),
}

/// A segment that is read.
struct Readable {
    /// For what is in the page cache.
    cached: File,
    /// For what is not.
    other: BufferedFile,
}

/// What was read.
enum Bytes {
    Cached(Vec<u8>),
    Other(ReadResult),
}

/// What is written.
enum Buffer {
    Aligned(DmaBuffer),
    Plain(Vec<u8>),
}

/// An operation that has ended.
enum Finished {
    Created(u64, io::Result<()>),
    Written(u64, u64, io::Result<usize>),
    Synced(u64, io::Result<()>),
    Sealed(u64, io::Result<()>),
    Removed(u64, io::Result<()>),
    Read(Read, io::Result<Bytes>),
    IndexLoaded(u64, io::Result<Index>),
}

impl Files {
    /// The files in `folder`. Whoever waits for them is rung.
    pub(super) fn new(folder: Folder, notify: Notify) -> Files {
        Files {
            shared: Rc::new(Shared {
                folder,
                notify,
                finished: RefCell::default(),
                running: Cell::new(0),
                ended: Cell::default(),
                written: RefCell::default(),
                read: RefCell::default(),
                cached: RefCell::default(),
                is_buffered: Cell::new(false),
            }),
        }
    }

    /// Whether something is under way.
    pub(super) fn outstanding(&self) -> bool {
        self.shared.running.get() > 0
    }

    /// Whether something has ended.
    #[inline]
    pub(super) fn has_finished(&self) -> bool {
        !self.shared.finished.borrow().is_empty()
    }

    /// Whether blocks go through the page cache, since the file system refuses anything else.
    pub(super) fn is_buffered(&self) -> bool {
        self.shared.is_buffered.get()
    }

    /// Tells what has ended.
    pub(super) fn tell(&self, mut tell: impl FnMut(Done<'_>)) {
        loop {
            let Some(finished) = self.shared.finished.borrow_mut().pop_front() else { return };
            match finished {
                Finished::Created(number, result) => tell(Done::Created { number, result }),
                Finished::Written(number, at, result) => tell(Done::Written { number, at, result }),
                Finished::Synced(number, result) => tell(Done::Synced { number, result }),
                Finished::Sealed(number, result) => tell(Done::Sealed { number, result }),
                Finished::Removed(number, result) => tell(Done::Removed { number, result }),
                Finished::IndexLoaded(number, result) => tell(Done::IndexLoaded { number, result }),
                Finished::Read(read, result) => match result {
                    Ok(Bytes::Cached(bytes)) => {
                        tell(Done::Read { read, result: Ok(&bytes) });
                        self.shared.cached.borrow_mut().give_back(bytes);
                    }
                    Ok(Bytes::Other(bytes)) => tell(Done::Read { read, result: Ok(&bytes) }),
                    Err(error) => tell(Done::Read { read, result: Err(error) }),
                },
            }
        }
    }

    /// Begins an operation. `encode` puts a block together.
    pub(super) fn begin(&self, operation: Operation, encode: impl FnOnce(&Write, &mut [u8])) {
        let shared = Rc::clone(&self.shared);
        match operation {
            Operation::Create { header, bytes } => self.run(async move {
                let number = header.number;
                let folder = shared.folder.clone();
                let made = blocking(move || folder.create(number, bytes, &header.encode())).await;
                let result = match made {
                    Ok(()) => shared.open(number).await.map(drop),
                    Err(error) => Err(error),
                };
                Finished::Created(number, result)
            }),
            Operation::Write(write) => self.write(&write, encode),
            Operation::Sync { number } => self.run(async move {
                let result = match shared.opened_to_write(number).await {
                    Ok(file) => file.sync().await,
                    Err(error) => Err(error),
                };
                Finished::Synced(number, result)
            }),
            Operation::Seal { number, length, index } => self.run(async move {
                shared.written.borrow_mut().remove(&number);
                let folder = shared.folder.clone();
                Finished::Sealed(number, blocking(move || folder.seal(number, length, &index)).await)
            }),
            Operation::Remove { number } => self.run(async move {
                shared.forget(number);
                let folder = shared.folder.clone();
                Finished::Removed(number, blocking(move || folder.remove(number)).await)
            }),
            Operation::Read(read) => match shared.read_cached(&read) {
                Some(bytes) => shared.finish(Finished::Read(read, Ok(Bytes::Cached(bytes)))),
                None => self.run(async move { Finished::Read(read, shared.read(&read).await) }),
            },
            Operation::LoadIndex { number, salt } => self.run(async move {
                let folder = shared.folder.clone();
                Finished::IndexLoaded(number, blocking(move || load_index(&folder, number, salt)).await)
            }),
        }
    }

    fn write(&self, write: &Write, encode: impl FnOnce(&Write, &mut [u8])) {
        let (number, at, bytes) = (write.number, write.at, write.draft.bytes());
        let shared = Rc::clone(&self.shared);
        let open = shared.written.borrow().get(&number).map(Rc::clone);
        let buffer = if let Some(Writable::Direct(file)) = open.as_deref() {
            let mut buffer = file.alloc_dma_buffer(bytes);
            encode(write, &mut buffer.as_bytes_mut()[..bytes]);
            Buffer::Aligned(buffer)
        } else {
            let mut buffer = vec![0; bytes];
            encode(write, &mut buffer);
            Buffer::Plain(buffer)
        };
        self.run(async move {
            let file = match open {
                Some(file) => file,
                // The first write to the segment in which the log was opened.
                None => match shared.open(number).await {
                    Ok(file) => file,
                    Err(error) => return Finished::Written(number, at, Err(error)),
                },
            };
            Finished::Written(number, at, file.write(buffer, at).await)
        });
    }

    fn run(&self, operation: impl Future<Output = Finished> + 'static) {
        let shared = Rc::clone(&self.shared);
        shared.running.set(shared.running.get() + 1);
        glommio::spawn_local(async move {
            let finished = operation.await;
            shared.running.set(shared.running.get() - 1);
            shared.finish(finished);
            if shared.running.get() == 0
                && let Some(waker) = shared.ended.take()
            {
                waker.wake();
            }
        })
        .detach();
    }

    /// Waits for what is under way, and ends the log on the disk.
    pub(super) async fn close(self, closing: Closing) {
        self.wait().await;
        if let Some(spare) = closing.spare {
            self.shared.forget(spare);
            let folder = self.shared.folder.clone();
            // What stays is taken for a log that was not closed.
            let removed = blocking(move || folder.remove(spare)).await;
            if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                return;
            }
        }
        if let Some((write, index)) = closing.last {
            self.begin(Operation::Write(write), |write, out| write.encode(None, out));
            self.wait().await;
            let (number, length) = (write.number, write.at + write.draft.bytes() as u64);
            self.begin(Operation::Sync { number }, |_, _| {});
            self.wait().await;
            self.begin(Operation::Seal { number, length, index }, |_, _| {});
            self.wait().await;
        }
    }

    pub(super) async fn wait(&self) {
        poll_fn(|context| {
            if self.shared.running.get() == 0 {
                return Poll::Ready(());
            }
            self.shared.ended.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Shared {
    fn finish(&self, finished: Finished) {
        self.finished.borrow_mut().push_back(finished);
        self.notify.ring();
    }

    /// What is wanted, if the page cache has all of it.
    fn read_cached(&self, read: &Read) -> Option<Vec<u8>> {
        let file = self.opened_to_read(read.number)?;
        self.cached.borrow_mut().read(&file.cached, read.at, read.bytes)
    }

    async fn read(&self, read: &Read) -> io::Result<Bytes> {
        let file = self.open_to_read(read.number).await?;
        Ok(Bytes::Other(file.other.read_at(read.at, read.bytes).await?))
    }

    /// The segment, to be written to again and again until it is sealed.
    async fn open(&self, number: u64) -> io::Result<Rc<Writable>> {
        let file = self.opened_to_write(number).await?;
        self.written.borrow_mut().insert(number, Rc::clone(&file));
        Ok(file)
    }

    /// The segment, to be written to once.
    async fn opened_to_write(&self, number: u64) -> io::Result<Rc<Writable>> {
        if let Some(file) = self.written.borrow().get(&number) {
            return Ok(Rc::clone(file));
        }
        let path = self.folder.segment(number);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.dma_open(&path).await {
            Ok(file) => Writable::Direct(file),
            Err(refused) => match options.buffered_open(&path).await {
                Ok(file) => {
                    self.is_buffered.set(true);
                    Writable::Buffered(file)
                }
                Err(_) => return Err(refused.into()),
            },
        };
        Ok(Rc::new(file))
    }

    /// The segment, to be read.
    async fn open_to_read(&self, number: u64) -> io::Result<Rc<Readable>> {
        if let Some(file) = self.opened_to_read(number) {
            return Ok(file);
        }
        let path = self.folder.segment(number);
        let other = BufferedFile::open(&path).await?;
        // The system has just looked it up.
        let file = Rc::new(Readable { cached: File::open(&path)?, other });
        let mut read = self.read.borrow_mut();
        read.push_back((number, Rc::clone(&file)));
        if read.len() > OPEN_TO_READ_MAX {
            read.pop_front();
        }
        Ok(file)
    }

    fn opened_to_read(&self, number: u64) -> Option<Rc<Readable>> {
        let read = self.read.borrow();
        read.iter().find(|(open, _)| *open == number).map(|(_, file)| Rc::clone(file))
    }

    fn forget(&self, number: u64) {
        self.written.borrow_mut().remove(&number);
        self.read.borrow_mut().retain(|(open, _)| *open != number);
    }
}

impl Writable {
    async fn write(&self, buffer: Buffer, at: u64) -> io::Result<usize> {
        let written = match (self, buffer) {
            (Writable::Direct(file), Buffer::Aligned(buffer)) => file.write_at(buffer, at).await,
            (Writable::Direct(file), Buffer::Plain(bytes)) => {
                let mut buffer = file.alloc_dma_buffer(bytes.len());
                buffer.as_bytes_mut()[..bytes.len()].copy_from_slice(&bytes);
                file.write_at(buffer, at).await
            }
            (Writable::Buffered(file), Buffer::Plain(bytes)) => file.write_at(bytes, at).await,
            (Writable::Buffered(file), Buffer::Aligned(buffer)) => {
                file.write_at(buffer.as_bytes().to_vec(), at).await
            }
        };
        written.map_err(io::Error::from)
    }

    async fn sync(&self) -> io::Result<()> {
        let synced = match self {
            Writable::Direct(file) => file.fdatasync().await,
            Writable::Buffered(file) => file.fdatasync().await,
        };
        synced.map_err(io::Error::from)
    }
}

/// Runs what has no asynchronous form on the executor's helper thread.
async fn blocking<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    glommio::executor().spawn_blocking(body).await
}

/// Segments that stay open to be read.
const OPEN_TO_READ_MAX: usize = 4;
