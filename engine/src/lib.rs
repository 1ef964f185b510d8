//! The engine of libnet: an event bus inside the process.

// Modules in the order in which data flows through them.
pub mod adapter;
pub mod batch;
pub mod clock;
pub mod config;
pub mod consume;
pub mod cores;
mod doorbell;
pub mod event;
mod lane;
pub mod route;
mod sync;
