//! Names to addresses, in bounded time.
//!
//! The system's resolver cannot be interrupted, and may take as long as it likes. So each name is looked up on a thread of its own,
//! by one at a time, however many wait for it or have given up; that thread ends when the resolver answers.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use engine::platform;

/// The addresses of `host`, if they are found by `deadline`.
pub(super) fn addresses(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    static RESOLVER: Resolver = Resolver::new(|host| {
        let found = (host, 0).to_socket_addrs()?;
        Ok(found.map(|address| address.ip()).collect())
    });
    let found = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => RESOLVER.resolve(host, deadline)?,
    };
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Looks names up.
struct Resolver {
    look: fn(&str) -> io::Result<Vec<IpAddr>>,
    running: Mutex<Vec<Arc<Lookup>>>,
}

/// One name that is being looked up.
struct Lookup {
    host: String,
    answer: Mutex<Option<Result<Vec<IpAddr>, String>>>,
    answered: Condvar,
}

impl Resolver {
    const fn new(look: fn(&str) -> io::Result<Vec<IpAddr>>) -> Resolver {
        Resolver { look, running: Mutex::new(Vec::new()) }
    }

    fn resolve(&'static self, host: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        self.begin(host)?.wait(deadline)
    }

    /// The look-up that runs for this name, or a new one.
    fn begin(&'static self, host: &str) -> io::Result<Arc<Lookup>> {
        let mut running = lock(&self.running);
        if let Some(lookup) = running.iter().find(|lookup| lookup.host == host) {
            return Ok(Arc::clone(lookup));
        }
        if running.len() >= LOOKUPS_MAX {
            return Err(io::Error::new(ErrorKind::TimedOut, "the resolver answers for too many other names"));
        }
        let lookup =
            Arc::new(Lookup { host: host.to_owned(), answer: Mutex::new(None), answered: Condvar::new() });
        let looked_up = Arc::clone(&lookup);
        platform::spawn("net-resolve", move || {
            let answer = (self.look)(&looked_up.host).map_err(|error| error.to_string());
            // Whoever asks from now on gets a newer answer.
            lock(&self.running).retain(|other| !Arc::ptr_eq(other, &looked_up));
            *lock(&looked_up.answer) = Some(answer);
            looked_up.answered.notify_all();
        })?;
        running.push(Arc::clone(&lookup));
        Ok(lookup)
    }
}

impl Lookup {
    fn wait(&self, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (answer, _) = self
            .answered
            .wait_timeout_while(lock(&self.answer), left, |answer| answer.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match &*answer {
            Some(Ok(found)) => Ok(found.clone()),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
            None => Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("the resolver did not answer for {} in time", self.host),
            )),
        }
    }
}

/// What is locked here is whole even where a thread has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names that are looked up at once.
const LOOKUPS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_is_not_looked_up() {
        let found = addresses("::1", 7, Instant::now()).expect("an address");
        assert_eq!(found, ["[::1]:7".parse().expect("an address")]);
    }

    #[test]
    fn a_name_of_this_machine_is_found() {
        let found =
            addresses("localhost", 7, Instant::now() + Duration::from_mins(1)).expect("in /etc/hosts");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
    }

    #[test]
    fn a_resolver_that_hangs_costs_a_wait_and_one_thread_and_its_late_answer_serves() {
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        static GATE: Mutex<()> = Mutex::new(());
        static HUNG: Resolver = Resolver::new(|_| {
            LOOKS.fetch_add(1, Ordering::SeqCst);
            drop(lock(&GATE));
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        let gate = lock(&GATE);
        for _ in 0..10 {
            let error =
                HUNG.resolve("host", Instant::now() + Duration::from_millis(1)).expect_err("it hangs");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        let waiting = HUNG.begin("host").expect("it runs");
        drop(gate);
        let found = waiting.wait(Instant::now() + Duration::from_mins(1)).expect("it answers");
        assert_eq!((found.len(), LOOKS.load(Ordering::SeqCst)), (1, 1));
        assert!(HUNG.resolve("host", Instant::now() + Duration::from_mins(1)).is_ok());
        assert_eq!(LOOKS.load(Ordering::SeqCst), 2, "an answer is not kept");
    }

    #[test]
    fn names_that_hang_are_bounded() {
        static GATE: Mutex<()> = Mutex::new(());
        static HUNG: Resolver = Resolver::new(|_| {
            drop(lock(&GATE));
            Ok(Vec::new())
        });
        let gate = lock(&GATE);
        for number in 0..LOOKUPS_MAX {
            assert!(HUNG.begin(&format!("host{number}")).is_ok());
        }
        assert!(HUNG.begin("one more").is_err() && HUNG.begin("host0").is_ok());
        drop(gate);
    }
}
