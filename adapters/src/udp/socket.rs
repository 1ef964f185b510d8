//! One shard's UDP socket: bursts out, and batches in. Segments are handed over and taken together and several messages come with a
//! call, where the system does that and the configuration wants it. It never blocks, and takes no memory once it is open.

use std::array;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use super::burst::{self, Sent};

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    bound: UdpSocket,
    state: UdpSocketState,
    is_batched: bool,
    merges: bool,
    /// Where messages come in, a part for each.
    memory: Box<[u8]>,
    messages: [RecvMeta; BATCH_SIZE],
}

/// What a look at the socket has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Datagrams that were handed on.
    pub(super) datagrams: usize,
    /// Whether more may have come: the next look tells.
    pub(super) more: bool,
}

impl Socket {
    /// From a bound socket. One that is not batched sends and receives packets one by one.
    pub(super) fn new(socket: socket2::Socket, is_batched: bool) -> io::Result<Socket> {
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        // Nobody asks when a packet came, and the kernel would look at its clock for each.
        setsockopt(&socket, sockopt::ReceiveTimestampns, &false)?;
        let merges = state.gro_segments() > 1;
        let parts = if is_batched { BATCH_SIZE } else { 1 };
        let mut socket = Socket {
            bound: socket,
            state,
            is_batched,
            merges,
            // Comes from the kernel as zeroes, and takes memory where it was written to.
            memory: vec![0; parts * MESSAGE_BYTES_MAX].into_boxed_slice(),
            messages: [RecvMeta::default(); BATCH_SIZE],
        };
        socket.merge(is_batched)?;
        Ok(socket)
    }

    /// Where it is bound.
    #[cfg(test)]
    pub(super) fn address(&self) -> SocketAddr {
        self.bound.local_addr().expect("it is bound")
    }

    /// Whether the kernel may merge datagrams of one sender that come together (UDP GRO). They are handed on one by one all the same.
    /// A group of steered sockets must not merge what is meant for several of them: what is merged goes where its first goes.
    /// One that is not batched never merges.
    pub(super) fn merge(&mut self, wanted: bool) -> io::Result<()> {
        let wanted = wanted && self.is_batched && self.state.gro_segments() > 1;
        if wanted != self.merges {
            setsockopt(&self.bound, sockopt::UdpGroSegment, &wanted)?;
            self.merges = wanted;
        }
        Ok(())
    }

    /// Sends packets of `packet_bytes` that lie one behind the other, the last maybe shorter, until one is refused. All of them are
    /// steered like the first. A burst that stopped is continued with what is left of it, or given up.
    pub(super) fn send(&mut self, burst: &[u8], packet_bytes: usize, to: SocketAddr) -> Sent {
        let together_max = if self.is_batched { self.state.max_gso_segments() } else { 1 };
        burst::send(burst, packet_bytes, together_max, |contents, segment_size| {
            let transmit = Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
            self.state.try_send((&self.bound).into(), &transmit)
        })
    }

    /// Takes what has come, one batch at most, and hands on each datagram and its sender's address. The datagram lies in memory that
    /// is used again, and may be changed there. An error says nothing about later looks; one that persists is to be asked for
    /// less and less often.
    pub(super) fn receive(&mut self, mut sink: impl FnMut(&mut [u8], SocketAddr)) -> io::Result<Received> {
        let count_max = self.messages_max();
        let mut parts = self.memory.chunks_exact_mut(MESSAGE_BYTES_MAX);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        let messages = &mut self.messages[..count_max];
        let count = match self.state.recv((&self.bound).into(), &mut slices[..count_max], messages) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::default()),
            Err(error) => return Err(error),
        };
        let mut datagrams = 0;
        for (message, slice) in messages[..count].iter().zip(&mut slices) {
            let bytes = &mut slice[..message.len];
            if bytes.is_empty() {
                sink(bytes, message.addr);
                datagrams += 1;
                continue;
            }
            for datagram in bytes.chunks_mut(message.stride.max(1)) {
                sink(datagram, message.addr);
                datagrams += 1;
            }
        }
        Ok(Received { datagrams, more: count == count_max })
    }

    /// Another owner of the same socket.
    pub(super) fn duplicate(&self) -> io::Result<UdpSocket> {
        self.bound.try_clone()
    }

    /// Merged messages are long: as many as stay in the cache.
    fn messages_max(&self) -> usize {
        match (self.is_batched, self.merges) {
            (false, _) => 1,
            (true, false) => BATCH_SIZE,
            (true, true) => MERGED_MESSAGES_MAX,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bound.as_fd()
    }
}

/// No UDP message is longer, merged or not.
const MESSAGE_BYTES_MAX: usize = 1 << 16;
/// Merged messages that are taken with one call.
const MERGED_MESSAGES_MAX: usize = 8;
const _: () = assert!(MERGED_MESSAGES_MAX <= BATCH_SIZE);

#[cfg(test)]
mod tests;
