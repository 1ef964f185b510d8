use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Instant;

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares};

use super::*;
use crate::udp::sockets::{Role, open};

/// Runs `work` as a shard's executor would.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce() -> F + Send + 'static) {
    let hour = Duration::from_hours(1);
    let builder = LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(hour).io_memory(1 << 20);
    let executor = builder.make().unwrap();
    executor.run(async move {
        let latency = Latency::Matters(hour);
        let queue = glommio::executor().create_task_queue(Shares::default(), latency, "shard");
        glommio::spawn_local_into(work(), queue).unwrap().await;
    });
}

fn socket() -> Socket {
    open(Role::Responder, (Ipv4Addr::LOCALHOST, 0).into(), NonZeroU16::MIN, true).unwrap().remove(0)
}

fn say(socket: &Socket) {
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    from.send_to(&[1, 0], socket.address()).unwrap();
}

fn drain(socket: &mut Socket) -> usize {
    let mut datagrams = 0;
    while socket.receive(|_, _| datagrams += 1).unwrap().more {}
    datagrams
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < give_up, "hung: {what}");
        sleep(Duration::from_micros(100)).await;
    }
}

/// Ends a watch. One that does not end is a hang.
async fn ended(readiness: Readiness) {
    let is_over = Rc::new(Cell::new(false));
    let over = Rc::clone(&is_over);
    glommio::spawn_local(async move {
        readiness.end().await;
        over.set(true);
    })
    .detach();
    until("ended", || is_over.get()).await;
}

#[test]
fn a_datagram_is_told_once_and_again_when_the_watch_is_armed() {
    run(|| async {
        let mut socket = socket();
        let readiness = Readiness::watch(&socket, Notify::default()).unwrap();
        assert!(!readiness.take() && readiness.outstanding());
        say(&socket);
        until("readable", || !readiness.outstanding()).await;
        assert!(readiness.take());
        assert!(!readiness.take() && !readiness.outstanding());
        assert_eq!(drain(&mut socket), 1);
        // Nobody is told of this one before the watch is armed.
        say(&socket);
        sleep(Duration::from_millis(5)).await;
        assert!(!readiness.take());
        readiness.rearm();
        assert!(readiness.outstanding());
        until("readable", || !readiness.outstanding()).await;
        assert!(readiness.take());
        assert_eq!(drain(&mut socket), 1);
        readiness.rearm();
        sleep(Duration::from_millis(5)).await;
        assert!(!readiness.take(), "nothing has come");
        ended(readiness).await;
    });
}

#[test]
fn a_shard_that_spins_looks_now_and_then_and_at_once_when_it_is_told() {
    run(|| async {
        let mut socket = socket();
        let readiness = Readiness::watch(&socket, Notify::default()).unwrap();
        let start = Monotonic(1_000_000_000);
        assert!(readiness.is_due(start));
        assert!(!readiness.is_due(start.after(LOOK_PERIOD / 2)));
        assert!(readiness.is_due(start.after(LOOK_PERIOD)));
        assert!(!readiness.is_due(start.after(LOOK_PERIOD)));
        // The kernel is still asked, and whoever reads before it answers harms nothing.
        say(&socket);
        assert_eq!(drain(&mut socket), 1);
        readiness.rearm();
        assert!(readiness.outstanding());
        say(&socket);
        until("readable", || !readiness.outstanding()).await;
        assert!(readiness.is_due(start.after(LOOK_PERIOD)));
        ended(readiness).await;
    });
}

#[test]
fn what_was_not_read_is_told_again() {
    run(|| async {
        let socket = socket();
        let readiness = Readiness::watch(&socket, Notify::default()).unwrap();
        say(&socket);
        for _ in 0..3 {
            until("readable", || !readiness.outstanding()).await;
            assert!(readiness.take());
            readiness.rearm();
        }
        ended(readiness).await;
    });
}

#[test]
fn a_watch_ends_while_the_kernel_is_asked_and_the_port_is_free_then() {
    for is_told in [false, true] {
        run(move || async move {
            let socket = socket();
            let address = socket.address();
            let readiness = Readiness::watch(&socket, Notify::default()).unwrap();
            if is_told {
                say(&socket);
                until("readable", || !readiness.outstanding()).await;
            } else {
                // The kernel is asked by now.
                sleep(Duration::from_millis(2)).await;
                assert!(readiness.outstanding());
            }
            ended(readiness).await;
            drop(socket);
            open(Role::Responder, address, NonZeroU16::MIN, true).unwrap();
        });
    }
}

#[test]
fn a_watch_that_is_dropped_ends_by_itself() {
    run(|| async {
        let socket = socket();
        let readiness = Readiness::watch(&socket, Notify::default()).unwrap();
        sleep(Duration::from_millis(2)).await;
        let shared = Rc::downgrade(&readiness.shared);
        drop(readiness);
        until("ended", || shared.upgrade().is_none()).await;
    });
}
