//! Encrypted UDP between two processes: what is ingested in one arrives in the store of the other.
//!
//! `PROTOCOL.md` beside this file has the wire format, the state machines and the threat model.

pub use config::UdpConfig;
pub use keys::{KeyError, KeyPair, Psk, PublicKey, SecretKey};
pub use stores::UdpStores;

// The configuration.
mod config;
mod keys;
mod resolve;
mod role;
mod secret_file;
// The way of a packet, from the socket up.
mod burst;
mod readiness;
mod socket;
mod sockets;
mod steering;
mod packet;
mod refused;
mod aead;
mod replay;
mod keyring;
mod channel;
mod session;
// The handshake.
mod cookie;
mod entropy;
mod gate;
mod handshake;
mod hello;
mod initiator;
mod mac;
mod noise;
mod resolver;
mod responder;
mod answerer;
mod claim;
mod dialer;
// One shard.
mod counts;
mod place;
mod split;
mod endpoint;
mod arrivals;
mod departures;
mod store;
mod stores;
// For the benches.
#[doc(hidden)]
pub mod costs;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod vectors;
