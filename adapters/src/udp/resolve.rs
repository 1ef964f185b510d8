//! Where the peer is: an address, or a name that is looked up on a thread of its own when the bus starts, so that nobody waits for
//! it. A name that is not known is asked for again, and so is one that was found, when nobody answers there.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The address of a peer, once it is known. Shared by the shards.
#[derive(Clone, Debug)]
pub(super) struct Resolved(Arc<Lookup>);

#[derive(Debug, Default)]
struct Lookup {
    address: Mutex<Option<SocketAddr>>,
    error: Mutex<Option<String>>,
    /// `None`: there is nothing to look up.
    name: Option<Name>,
    is_looking: AtomicBool,
}

/// What is looked up, for an address that sockets of this family can send to.
#[derive(Clone, Debug)]
struct Name {
    host: String,
    port: u16,
    is_ipv4: bool,
}

impl Resolved {
    /// It is there.
    pub(super) fn known(address: SocketAddr) -> Resolved {
        Resolved(Arc::new(Lookup { address: Mutex::new(Some(address)), ..Lookup::default() }))
    }

    /// Begins to look up `host`, for an address that sockets of this family can send to.
    pub(super) fn look_up(host: String, port: u16, is_ipv4: bool) -> io::Result<Resolved> {
        let name = Some(Name { host, port, is_ipv4 });
        let resolved = Resolved(Arc::new(Lookup { name, ..Lookup::default() }));
        resolved.look()?;
        Ok(resolved)
    }

    /// Looks a name up once more, unless that goes on: the peer may have moved. What was known is good until then.
    pub(super) fn look_again(&self) {
        if let Err(error) = self.look() {
            *locked(&self.0.error) = Some(format!("no thread to look a name up with: {error}"));
        }
    }

    fn look(&self) -> io::Result<()> {
        let Some(name) = self.0.name.clone() else { return Ok(()) };
        if self.0.is_looking.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let lookup = Arc::downgrade(&self.0);
        let looker = thread::Builder::new().name("net-resolve".to_owned()).spawn(move || {
            while !step(&lookup, &name) {
                thread::sleep(PAUSE);
            }
        });
        if looker.is_err() {
            self.0.is_looking.store(false, Ordering::Relaxed);
        }
        looker.map(drop)
    }

    /// The address, if it is known.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        *locked(&self.0.address)
    }

    /// Why it is not known yet, if that was not asked before.
    pub(super) fn take_error(&self) -> Option<String> {
        locked(&self.0.error).take()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks once. Whether it is done: the address is known, or nobody wants to know it any more.
fn step(lookup: &Weak<Lookup>, Name { host, port, is_ipv4 }: &Name) -> bool {
    let found = (host.as_str(), *port).to_socket_addrs().map_err(|error| format!("`{host}`: {error}"));
    let found = found.and_then(|mut found| {
        let address = found.find(|address| address.is_ipv4() == *is_ipv4);
        address.ok_or_else(|| format!("`{host}` has no address of the family of `net.bind_addr`"))
    });
    let Some(lookup) = lookup.upgrade() else { return true };
    match found {
        Ok(address) => {
            *locked(&lookup.address) = Some(address);
            lookup.is_looking.store(false, Ordering::Relaxed);
            true
        }
        Err(reason) => {
            *locked(&lookup.error) = Some(reason);
            false
        }
    }
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        Name { host: host.to_owned(), port: 9, is_ipv4: true }
    }

    #[test]
    fn a_name_is_found_in_the_family_that_is_asked_for_and_again_when_it_is_asked_for() {
        let resolved = Resolved(Arc::default());
        let found = SocketAddr::from(([127, 0, 0, 1], 9));
        for _ in 0..2 {
            *locked(&resolved.0.address) = None;
            assert!(step(&Arc::downgrade(&resolved.0), &name("localhost")));
            assert_eq!(resolved.get(), Some(found));
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_told_and_asked_for_again() {
        let resolved = Resolved(Arc::default());
        assert!(!step(&Arc::downgrade(&resolved.0), &name("nobody.invalid")));
        assert!(resolved.take_error().is_some_and(|error| error.contains("nobody.invalid")));
        assert_eq!((resolved.take_error(), resolved.get()), (None, None));
    }

    #[test]
    fn nobody_looks_for_those_who_have_gone() {
        assert!(step(&Weak::new(), &name("nobody.invalid")));
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let known = SocketAddr::from(([192, 0, 2, 1], 9));
        let resolved = Resolved::known(known);
        resolved.look_again();
        assert!(!resolved.0.is_looking.load(Ordering::Relaxed));
        assert_eq!(resolved.get(), Some(known));
    }
}
