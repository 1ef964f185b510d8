//! The sockets of a bus, one for each shard, opened together before the shards start.
//!
//! The initiator's are bound to ports in a row. The responder's share one port, and the kernel steers datagrams between them; none
//! hears a datagram that is not steered to it. The port belongs to one bus: its first socket is bound for itself alone, which fails
//! while any other socket of the machine has the port on an address that overlaps, and only then lets its own siblings in.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Type};

use super::socket::Socket;
use super::steering;

/// Which side of a pair a bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It begins, from a port for each shard.
    Initiator,
    /// It answers, on one port.
    Responder,
}

/// Why the sockets of a bus are not open. All are for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Somebody has the port.
    #[error("udp {0} is taken: another bus or program has the port on this address or one that overlaps")]
    Taken(SocketAddr),
    /// The address is not this machine's, the port is forbidden, there are too many open files, and the like.
    #[error("udp {0} cannot be bound: {1}")]
    Unbound(SocketAddr, io::Error),
    /// The port of the last shard is past the last port there is.
    #[error("udp {bind}: {shards} shards in a row from this port do not fit below 65536")]
    NoPorts {
        /// The first shard's address.
        bind: SocketAddr,
        /// How many there are.
        shards: u16,
    },
    /// A responder's shard is named by a byte.
    #[error("udp {bind}: a responder has at most {RESPONDER_SHARDS_MAX} shards, not {shards}")]
    TooManyShards {
        /// The port they would share.
        bind: SocketAddr,
        /// How many there are.
        shards: u16,
    },
    /// The system does not steer datagrams between sockets.
    #[error("udp {0}: the system refuses the steering program (SO_ATTACH_REUSEPORT_CBPF): {1}")]
    Unsteered(SocketAddr, io::Error),
}

/// Opens the socket of each shard, in the shards' order. Port 0 of `bind` lets the system choose: each of an initiator's ports, or the
/// responder's one.
pub(super) fn open(
    role: Role,
    bind: SocketAddr,
    shards: NonZeroU16,
    is_batched: bool,
) -> Result<Vec<Socket>, OpenError> {
    match role {
        Role::Initiator => open_row(bind, shards.get(), is_batched),
        Role::Responder => open_group(bind, shards.get(), is_batched),
    }
}

/// How many shards a responder has at most: the byte that steers has no more values.
pub(super) const RESPONDER_SHARDS_MAX: u16 = 256;

fn open_row(bind: SocketAddr, shards: u16, is_batched: bool) -> Result<Vec<Socket>, OpenError> {
    let ports = match bind.port() {
        0 => None,
        first => {
            let last = first.checked_add(shards - 1).ok_or(OpenError::NoPorts { bind, shards })?;
            Some(first..=last)
        }
    };
    let address = |shard: u16| {
        let port = ports.as_ref().map_or(0, |ports| ports.start() + shard);
        SocketAddr::new(bind.ip(), port)
    };
    let open = |address| Socket::new(bound(address, Sharing::Alone)?, is_batched).map_err(unbound(address));
    (0..shards).map(|shard| open(address(shard))).collect()
}

fn open_group(bind: SocketAddr, shards: u16, is_batched: bool) -> Result<Vec<Socket>, OpenError> {
    if shards > RESPONDER_SHARDS_MAX {
        return Err(OpenError::TooManyShards { bind, shards });
    }
    if shards == 1 {
        return open_row(bind, 1, is_batched);
    }
    let first = bound(bind, Sharing::First)?;
    let address = first.local_addr().map_err(unbound(bind))?.as_socket().unwrap_or(bind);
    let mut group = vec![first];
    for _ in 1..shards {
        group.push(bound(address, Sharing::Next)?);
    }
    steering::steer(&group[0], shards.into()).map_err(|error| OpenError::Unsteered(address, error))?;
    let open = |socket: socket2::Socket| {
        socket.detach_filter()?;
        let mut socket = Socket::new(socket, is_batched)?;
        // Until it is known that the peer has no packets for several of them.
        socket.merge(false)?;
        Ok(socket)
    };
    group.into_iter().map(|socket| open(socket).map_err(unbound(address))).collect()
}

/// Whom a socket shares its port with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Nobody.
    Alone,
    /// Its siblings, from when it has the port.
    First,
    /// The first, and the other siblings.
    Next,
}

fn bound(address: SocketAddr, sharing: Sharing) -> Result<socket2::Socket, OpenError> {
    let bind = || {
        // Close-on-exec, as everything that the crate makes.
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        make_room(&socket)?;
        if sharing != Sharing::Alone {
            // Until each of the group is in its place.
            socket.attach_filter(&DEAF)?;
        }
        socket.set_reuse_port(sharing == Sharing::Next)?;
        socket.bind(&address.into())?;
        socket.set_reuse_port(sharing != Sharing::Alone)?;
        Ok(socket)
    };
    bind().map_err(unbound(address))
}

/// Room in the kernel for what comes while the shard is elsewhere. Who may, goes past the system's limits.
fn make_room(socket: &socket2::Socket) -> io::Result<()> {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &SEND_BYTES).is_err() {
        socket.set_send_buffer_size(SEND_BYTES)?;
    }
    Ok(())
}

fn unbound(address: SocketAddr) -> impl Fn(io::Error) -> OpenError {
    move |error| match error.kind() {
        io::ErrorKind::AddrInUse => OpenError::Taken(address),
        _ => OpenError::Unbound(address, error),
    }
}

/// A socket filter that takes nothing of any datagram: "return 0".
const DEAF: [SockFilter; 1] = [SockFilter::new(nix::libc::BPF_RET as u16, 0, 0, 0)];
/// What a socket holds that the shard has not taken; the kernel counts its own overhead in.
const RECEIVE_BYTES: usize = 4 << 20;
/// What a socket holds that has not gone out.
const SEND_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests;
