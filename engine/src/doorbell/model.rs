//! The doorbell under loom: whatever the order, a sleeper wakes for work that was stored before a ring. A sleeper that
//! is left asleep is a deadlock, which loom reports.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::*;

/// Wakes the sleeping thread, as the executor's waker wakes its own.
struct Bed(Notify);

impl Wake for Bed {
    fn wake(self: Arc<Bed>) {
        self.0.notify();
    }
}

/// Sleeps on `doorbell` until `has_work`.
fn sleep_until(doorbell: &Doorbell, bed: &Bed, has_work: impl Fn() -> bool) {
    loop {
        doorbell.park();
        if has_work() {
            return doorbell.unpark();
        }
        bed.0.wait();
        doorbell.unpark();
    }
}

fn bell() -> (Arc<Doorbell>, Arc<Bed>) {
    let (doorbell, bed) = (Arc::new(Doorbell::default()), Arc::new(Bed(Notify::new())));
    doorbell.answer_with(&Waker::from(Arc::clone(&bed)));
    (doorbell, bed)
}

#[test]
fn a_ring_after_the_work_leaves_nobody_asleep() {
    loom::model(|| {
        let ((doorbell, bed), work) = (bell(), Arc::new(AtomicUsize::new(0)));
        let (rung, stored) = (Arc::clone(&doorbell), Arc::clone(&work));
        let bringing = thread::spawn(move || {
            stored.store(1, Ordering::Relaxed);
            rung.ring();
            stored.store(2, Ordering::Relaxed);
            rung.ring();
        });
        sleep_until(&doorbell, &bed, || work.load(Ordering::Relaxed) >= 1);
        sleep_until(&doorbell, &bed, || work.load(Ordering::Relaxed) == 2);
        bringing.join().expect("no panic");
    });
}

#[test]
fn of_two_bringers_neither_takes_the_ring_of_the_other() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let ((doorbell, bed), work) = (bell(), Arc::new(AtomicUsize::new(0)));
        let bringing: Vec<_> = (0..2)
            .map(|_| {
                let (rung, stored) = (Arc::clone(&doorbell), Arc::clone(&work));
                thread::spawn(move || {
                    stored.fetch_add(1, Ordering::Relaxed);
                    rung.ring();
                })
            })
            .collect();
        sleep_until(&doorbell, &bed, || work.load(Ordering::Relaxed) == 2);
        for bringer in bringing {
            bringer.join().expect("no panic");
        }
    });
}

#[test]
fn whoever_sees_that_mail_was_posted_finds_it() {
    loom::model(|| {
        let ((doorbell, bed), mail) = (bell(), Arc::new(AtomicUsize::new(0)));
        let (rung, stored) = (Arc::clone(&doorbell), Arc::clone(&mail));
        let posting = thread::spawn(move || {
            stored.store(1, Ordering::Relaxed);
            rung.post();
        });
        sleep_until(&doorbell, &bed, || doorbell.posted() == 1);
        assert_eq!(mail.load(Ordering::Relaxed), 1);
        posting.join().expect("no panic");
    });
}
