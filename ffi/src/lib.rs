//! The C ABI of the bus: what `net.h` and `net_cortex.h` declare, and nothing else.
//!
//! Invariants, with what breaks when they are given up:
//!
//! - **Every export runs behind the panic barrier** (`guard`), except four that only read a constant or a pointer.
//!   Without it a panic would end the host.
//! - **A handle is a number, never an address.** It is looked up, so that a stale or forged one touches no memory.
//! - **Checks come in one order**: handle, pointers, lengths, UTF-8, JSON. Outputs are written only on success, counts
//!   excepted. Callers branch on codes, and would otherwise see a different one from release to release.
//! - **A published event takes no lock, no allocation and no shared write here.** Each thread keeps the producers it
//!   has used (`thread`); only its first event to a bus looks at the table of handles.
//! - **Memory that was lent to C is known here by its address** (`lent`), so that giving it back twice, or giving back
//!   something else, is harmless.
//! - **Nothing reaches the host**: no output, no signal handler, no at-exit work, no allocator of its own.

// Modules in the order in which a call passes through them, then one per section of the header. What `cbindgen` is to
// ignore here it finds for a header of its own.
mod abi;
mod status;
mod fork;
mod slot;
mod handle;
mod thread;
mod guard;
mod lent;

mod lifecycle;
mod ingest;
mod claim;
mod producer;
mod poll;
mod decimal;
mod subscription;
mod build;
mod stats;
mod metrics;
mod strings;
mod dedup;
/// cbindgen:ignore
mod redex;

#[cfg(test)]
mod ended;

#[cfg(all(any(test, fuzzing), not(loom)))]
#[doc(hidden)]
pub mod fuzzing;

pub use abi::*;
pub use claim::*;
pub use dedup::*;
pub use ingest::*;
pub use lifecycle::*;
pub use metrics::net_metrics;
pub use poll::*;
pub use producer::*;
pub use redex::*;
pub use stats::*;
pub use status::{net_last_error, net_strerror};
pub use strings::*;
pub use subscription::*;
