//! Where the peer is: an address, or a name that is looked up on a thread of its own when the bus starts, so that nobody waits for
//! it. A name that is not known is asked for again; one that was found stays where it is.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The address of a peer, once it is known. Shared by the shards.
#[derive(Clone, Debug)]
pub(super) struct Resolved(Arc<Lookup>);

#[derive(Debug, Default)]
struct Lookup {
    address: OnceLock<SocketAddr>,
    error: Mutex<Option<String>>,
}

impl Resolved {
    /// It is there.
    pub(super) fn known(address: SocketAddr) -> Resolved {
        let resolved = Resolved(Arc::default());
        let _ = resolved.0.address.set(address);
        resolved
    }

    /// Begins to look up `host`, for an address that sockets of this family can send to.
    pub(super) fn look_up(host: String, port: u16, is_ipv4: bool) -> io::Result<Resolved> {
        let resolved = Resolved(Arc::default());
        let lookup = Arc::downgrade(&resolved.0);
        thread::Builder::new().name("net-resolve".to_owned()).spawn(move || {
            while !step(&lookup, &host, port, is_ipv4) {
                thread::sleep(PAUSE);
            }
        })?;
        Ok(resolved)
    }

    /// The address, if it is known.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        self.0.address.get().copied()
    }

    /// Why it is not known yet, if that was not asked before.
    pub(super) fn take_error(&self) -> Option<String> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Looks once. Whether it is done: the address is known, or nobody wants to know it any more.
fn step(lookup: &Weak<Lookup>, host: &str, port: u16, is_ipv4: bool) -> bool {
    let reason = match (host, port).to_socket_addrs() {
        Ok(mut found) => match found.find(|address| address.is_ipv4() == is_ipv4) {
            Some(address) => {
                if let Some(lookup) = lookup.upgrade() {
                    let _ = lookup.address.set(address);
                }
                return true;
            }
            None => format!("`{host}` has no address of the family of `net.bind_addr`"),
        },
        Err(error) => format!("`{host}`: {error}"),
    };
    let Some(lookup) = lookup.upgrade() else { return true };
    *lookup.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    false
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_the_family_that_is_asked_for() {
        let lookup = Arc::default();
        assert!(step(&Arc::downgrade(&lookup), "localhost", 9, true));
        assert_eq!(lookup.address.get(), Some(&SocketAddr::from(([127, 0, 0, 1], 9))));
    }

    #[test]
    fn a_name_that_nobody_has_is_told_and_asked_for_again() {
        let resolved = Resolved(Arc::default());
        assert!(!step(&Arc::downgrade(&resolved.0), "nobody.invalid", 9, true));
        assert!(resolved.take_error().is_some_and(|error| error.contains("nobody.invalid")));
        assert_eq!((resolved.take_error(), resolved.get()), (None, None));
    }

    #[test]
    fn nobody_looks_for_those_who_have_gone() {
        assert!(step(&Weak::new(), "nobody.invalid", 9, true));
    }
}
