//! Appending, without a server.
