//! The shared and the static library: the functions of `libnet-ffi`, linked. A package of its own, so that programs in
//! Rust that link those functions build neither of the two.

extern crate ffi as _;
