//! Workers: threads of the library's own beside the shards, each driven by the same loop, with a mailbox.
//!
//! A worker has an executor of its own and is pinned to no core. Whoever has its [`Mailbox`] posts requests and waits
//! for their answers on its own thread, as the callers of a bus do. The bridge does not watch workers: it watches
//! the shards of one bus, and a worker belongs to none.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use crate::adapter::Notify;
use crate::clock::{Clock, Monotonic};
use crate::cores;
use crate::doorbell::Doorbell;
use crate::duty::Duty;
use crate::executor;
use crate::gather::wait;
use crate::platform::{self, PlatformError};
use crate::shared::busy_threads;
use crate::sync::{AtomicBool, Ordering};

/// The way to a worker. Every clone may be used from any thread at any time.
pub struct Mailbox<M> {
    mail: Sender<M>,
    /// Nobody takes a request any more.
    is_over: Arc<AtomicBool>,
    doorbell: Arc<Doorbell>,
    clock: Arc<Clock>,
}

/// A worker's end of its mailbox.
pub struct Inbox<M> {
    mail: Receiver<M>,
    is_over: Arc<AtomicBool>,
    doorbell: Arc<Doorbell>,
    clock: Arc<Clock>,
    seen: u64,
    cpus_allowed: usize,
}

/// A worker's thread.
pub struct Worker {
    thread: JoinHandle<()>,
    clock: Arc<Clock>,
}

/// Why a worker did not start. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The kernel lacks or forbids something. For the operator.
    #[error("{0}")]
    Platform(#[from] PlatformError),
    /// A thread or an executor could not be made: a limit of the process. For the operator.
    #[error("the thread {name} did not start: {reason}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system said.
        reason: String,
    },
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The mailbox stayed full, and nothing was asked. Retry.
    #[error("the worker's mailbox is full")]
    Full,
    /// No answer came in time: the outcome is unknown.
    #[error("the worker did not answer in time")]
    Late,
    /// The worker has ended, or has failed, without an answer. Final.
    #[error("the worker has ended")]
    Gone,
}

/// A mailbox that holds up to `requests_max` requests, and its worker's end.
pub fn mailbox<M>(requests_max: usize) -> (Mailbox<M>, Inbox<M>) {
    let (sender, receiver) = bounded(requests_max);
    let (doorbell, clock) = (Arc::<Doorbell>::default(), Arc::new(Clock::new()));
    let is_over = Arc::new(AtomicBool::new(false));
    let inbox = Inbox {
        mail: receiver,
        is_over: Arc::clone(&is_over),
        doorbell: Arc::clone(&doorbell),
        clock: Arc::clone(&clock),
        seen: 0,
        cpus_allowed: cores::allowed_count(),
    };
    (Mailbox { mail: sender, is_over, doorbell, clock }, inbox)
}

/// Starts a thread that does the duty which `make` makes there, inside its executor.
///
/// Makes that thread, named `name`, and its executor's blocking helper, both with every signal blocked; `net-probe` is gone when
/// this returns. Returns when the duty was made.
pub fn start<M, D: Duty>(
    name: &'static str,
    inbox: Inbox<M>,
    make: impl FnOnce(Inbox<M>) -> D + Send + 'static,
) -> Result<Worker, WorkerError>
where
    M: Send + 'static,
{
    platform::check()?;
    let refused = |reason: String| WorkerError::Thread { name, reason };
    let (started, answers) = bounded(1);
    let (clock, doorbell) = (Arc::clone(&inbox.clock), Arc::clone(&inbox.doorbell));
    let thread = executor::spawn_worker(name, Arc::clone(&clock), doorbell, started, || make(inbox))
        .map_err(|error| refused(error.to_string()))?;
    match answers.recv() {
        Ok(Ok(())) => Ok(Worker { thread, clock }),
        Ok(Err(reason)) => Err(refused(reason)),
        Err(_) => Err(refused("it panicked".to_owned())),
    }
}

impl<M> Mailbox<M> {
    /// Posts a request that nobody waits for. Gives it back when the mailbox is full, or the worker has ended.
    pub fn post(&self, mail: M) -> Result<(), M> {
        self.mail.try_send(mail).map_err(crossbeam_channel::TrySendError::into_inner)?;
        self.doorbell.post();
        Ok(())
    }

    /// Posts the request that `mail` makes and waits for its answer, at most `within` for each of the two. Spins for a few
    /// microseconds, then sleeps.
    pub fn ask<T>(&self, within: Duration, mail: impl FnOnce(Sender<T>) -> M) -> Result<T, Unanswered> {
        let (answer, answers) = bounded(1);
        self.mail.send_timeout(mail(answer), within).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => Unanswered::Full,
            SendTimeoutError::Disconnected(_) => Unanswered::Gone,
        })?;
        self.doorbell.post();
        // Either the end of the inbox has thrown the request away, or it is seen here.
        if self.is_over.load(Ordering::SeqCst) {
            return answers.try_recv().map_err(|_| Unanswered::Gone);
        }
        let asked_at = self.clock.now();
        while self.clock.now().since(asked_at) < SPIN {
            if let Ok(answer) = answers.try_recv() {
                return Ok(answer);
            }
            std::hint::spin_loop();
        }
        answers.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => Unanswered::Late,
            RecvTimeoutError::Disconnected => Unanswered::Gone,
        })
    }

    /// Now, on the worker's clock.
    pub fn now(&self) -> Monotonic {
        self.clock.now()
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox {
            mail: self.mail.clone(),
            is_over: Arc::clone(&self.is_over),
            doorbell: Arc::clone(&self.doorbell),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<M> Inbox<M> {
    /// Whether somebody has posted or rung since the last [`open`](Inbox::open).
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.doorbell.posted() != self.seen
    }

    /// Notes what was posted by now: every request of it, and everything that was stored before a ring, is seen by what
    /// follows. Whether there was anything.
    pub fn open(&mut self) -> bool {
        let posted = self.doorbell.posted();
        std::mem::replace(&mut self.seen, posted) != posted
    }

    /// The next request.
    pub fn take(&mut self) -> Option<M> {
        self.mail.try_recv().ok()
    }

    /// There is more than was taken: the next round looks again.
    pub fn keep_open(&mut self) {
        self.seen = self.seen.wrapping_sub(1);
    }

    /// Rings this worker.
    pub fn notify(&self) -> Notify {
        Notify(Arc::clone(&self.doorbell))
    }

    /// Whether the worker may spin: the shards and producers of the process leave a CPU.
    pub fn may_spin(&self) -> bool {
        busy_threads() < self.cpus_allowed
    }
}

impl<M> Drop for Inbox<M> {
    /// Whoever waits for an answer is told that there is none: its request is dropped, and the way to answer it with that.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        while self.mail.try_recv().is_ok() {}
    }
}

impl Worker {
    /// Waits until the thread has ended, at most `within`, and joins it. Whether it has; one that hangs is left alone.
    pub fn join(self, within: Duration) -> bool {
        wait(&self.clock, self.clock.now().after(within), || self.thread.is_finished());
        // A panic of the thread is what its callers were told.
        self.thread.is_finished() && self.thread.join().is_ok()
    }

    /// Whether the thread has ended, by itself or by a panic.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// How long a caller looks for an answer before it sleeps.
const SPIN: Duration = Duration::from_micros(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Round;

    enum Mail {
        Double(u64, Sender<u64>),
        Panic(Sender<u64>),
        Keep(Sender<u64>),
        End,
    }

    struct Doubler {
        inbox: Inbox<Mail>,
        kept: Vec<Sender<u64>>,
        rests: u64,
        ended: bool,
    }

    impl Doubler {
        fn new(inbox: Inbox<Mail>) -> Doubler {
            Doubler { inbox, kept: Vec::new(), rests: 0, ended: false }
        }
    }

    impl Duty for Doubler {
        fn round(&mut self, _: Monotonic) -> Round {
            let mut work = 0;
            self.inbox.open();
            while let Some(mail) = self.inbox.take() {
                work += 1;
                match mail {
                    Mail::Double(number, answer) => drop(answer.try_send(2 * number)),
                    Mail::Panic(answer) => panic!("on purpose: {answer:?}"),
                    Mail::Keep(answer) => self.kept.push(answer),
                    Mail::End => self.ended = true,
                }
            }
            Round { work, submitted: false, finished: self.ended }
        }
        fn has_work(&self) -> bool {
            self.inbox.has_mail()
        }
        fn due(&self) -> Option<Monotonic> {
            None
        }
        fn is_outstanding(&self) -> bool {
            false
        }
        fn spin_budget(&self) -> Duration {
            Duration::ZERO
        }
        fn rest(&mut self, _: Monotonic) {
            self.rests += 1;
        }
        fn end(self) -> Option<crate::adapter::Closing> {
            None
        }
    }

    fn doubler() -> (Mailbox<Mail>, Worker) {
        let (mailbox, inbox) = mailbox(4);
        (mailbox, start("net-redex", inbox, Doubler::new).expect("the machine allows it"))
    }

    #[test]
    fn a_worker_that_sleeps_answers_and_ends_when_its_duty_does() {
        let (mailbox, worker) = doubler();
        for number in 0..200 {
            assert_eq!(mailbox.ask(HANG, |answer| Mail::Double(number, answer)), Ok(2 * number));
        }
        assert!(!worker.has_ended());
        assert!(mailbox.post(Mail::End).is_ok());
        assert!(worker.join(HANG));
        assert_eq!(mailbox.ask(HANG, |answer| Mail::Double(1, answer)), Err(Unanswered::Gone));
    }

    #[test]
    fn callers_of_a_worker_that_panics_are_told_at_once() {
        let (mailbox, worker) = doubler();
        assert_eq!(mailbox.ask(HANG, Mail::Panic), Err(Unanswered::Gone));
        assert!(worker.join(HANG));
    }

    #[test]
    fn callers_behind_the_one_that_it_panics_over_are_told_at_once() {
        let (mailbox, inbox) = mailbox::<Mail>(4);
        let waiting = std::thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.ask(HANG, Mail::Keep)
        });
        while inbox.mail.is_empty() {
            std::thread::yield_now();
        }
        assert!(mailbox.post(Mail::End).is_ok());
        drop(inbox);
        assert_eq!(waiting.join().expect("it does not panic"), Err(Unanswered::Gone));
        assert_eq!(mailbox.ask(HANG, Mail::Keep), Err(Unanswered::Gone));
    }

    #[test]
    fn no_answer_and_no_room_are_told_apart() {
        let (mailbox, worker) = doubler();
        assert_eq!(mailbox.ask(Duration::from_millis(1), Mail::Keep), Err(Unanswered::Late));
        let (full, _inbox) = super::mailbox(1);
        assert!(full.post(Mail::End).is_ok());
        assert!(full.post(Mail::End).is_err());
        assert_eq!(full.ask(Duration::from_millis(1), Mail::Keep), Err(Unanswered::Full));
        assert!(mailbox.post(Mail::End).is_ok());
        assert!(worker.join(HANG));
    }

    /// Far longer than anything here takes.
    const HANG: Duration = Duration::from_mins(1);
}
