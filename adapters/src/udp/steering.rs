//! Steering: which socket of a group on one port hears a datagram. Byte [`STEER_AT`] of the datagram says so, modulo the number of
//! sockets; one that has no such byte goes to the first.
//!
//! The kernel runs the program below, classic BPF, for each message that comes, and sees the datagram without its UDP header
//! (`SO_ATTACH_REUSEPORT_CBPF`, `socket(7)`; `net/core/sock_reuseport.c`). Its own choice, a hash of both addresses, would leave sockets
//! unreached, and change when a peer's address does. Several segments that the sender has handed over together, or that the
//! receiving side has merged, are one message and follow the first of them.

use std::io;
use std::os::fd::AsFd;

use nix::libc::{self, sock_filter, sock_fprog};
use nix::sys::socket::{setsockopt, sockopt};

/// Where in a datagram the number is.
pub(super) const STEER_AT: u32 = 1;

/// Steers the group that `socket` belongs to, which has so many sockets: they are numbered in the order in which they were bound.
pub(super) fn steer(socket: &impl AsFd, sockets: u32) -> io::Result<()> {
    let mut program = program(sockets);
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &program)?)
}

/// Loads the byte, divides, and returns the rest. A load behind the end of the datagram ends the program with 0.
fn program(sockets: u32) -> [sock_filter; 3] {
    assert!(sockets > 0, "the kernel refuses a division by zero");
    [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, STEER_AT),
        instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets),
        instruction(libc::BPF_RET | libc::BPF_A, 0),
    ]
}

fn instruction(code: u32, operand: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: operand }
}
