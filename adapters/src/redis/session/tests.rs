//! Sessions with a script for a server.
