//! The executor: the thread of a shard or a worker, its glommio executor, and what it does when there is nothing to do.
//! The only file of this crate that names glommio.
//!
//! Two properties of the runtime shape it. A preempt timer that fires between polling for I/O and running tasks makes
//! the executor park for ever with runnable tasks, so none ever fires: preemption and latency are an hour.
//! And while a task stays runnable, requests are not submitted and completions are not seen unless a pass over the
//! reactor is forced, so the loop forces one after it queued requests and every [`PASS_PERIOD`] while any are
//! outstanding. A thread that is parked hears everything.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use glommio::timer::Timer;
use glommio::{Latency, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, Shares};

use crate::adapter::{AdapterError, AdapterFactory, Notify, ShardContext};
use crate::clock::{Clock, Monotonic};
use crate::doorbell::Doorbell;
use crate::duty::Duty;
use crate::event::ShardId;
use crate::identity::Identity;
use crate::os;
use crate::port::Mail;
use crate::shard::Shard;
use crate::shared::{Busy, Shared};
use crate::sync::Ordering;

/// Why a shard did not start.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// Its executor could not be made.
    Executor(String),
    /// Its store could not be opened.
    Adapter(AdapterError),
}

/// What a shard's thread is started with.
pub(crate) struct Seat {
    pub(crate) id: ShardId,
    pub(crate) core: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Receiver<Mail>,
    pub(crate) stores: Arc<dyn AdapterFactory>,
    /// Kept, and its file locked, for as long as the thread may write under it.
    pub(crate) identity: Arc<Identity>,
    /// Told once whether the shard runs.
    pub(crate) started: Sender<(ShardId, Result<(), SpawnError>)>,
}

/// Starts the thread of one shard, named `net-shard-N`, pinned, with every signal blocked.
pub(crate) fn spawn(seat: Seat) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name(format!("net-shard-{}", seat.id));
    os::with_signals_blocked(|| builder.spawn(move || run(seat)))
}

fn run(seat: Seat) {
    let (shared, id) = (Arc::clone(&seat.shared), seat.id);
    let started = seat.started.clone();
    let panicked = catch_unwind(AssertUnwindSafe(|| start(seat))).is_err();
    shared.port(id).doorbell.silence();
    shared.port(id).thread.store(0, Ordering::Relaxed);
    if panicked {
        shared.fail();
        shared.port(id).close_arrivals();
        drop(shared.port(id).take_arrivals());
        // Only heard when the panic came before the shard ran.
        let panicked = SpawnError::Executor("the shard's thread panicked".to_owned());
        let _ = started.try_send((id, Err(panicked)));
    }
}

fn start(seat: Seat) {
    let (started, id) = (seat.started.clone(), seat.id);
    if let Err(error) = run_alone(Placement::Fixed(seat.core), "shard", || open_and_drive(seat)) {
        // The channel has room for every shard; a caller that has gone needs no answer.
        let _ = started.try_send((id, Err(SpawnError::Executor(error))));
    }
}

/// Starts the thread of a worker, pinned nowhere, with every signal blocked. `started` is told once that its duty was
/// made, or why not; when `make` panics it is told nothing.
pub(crate) fn spawn_worker<D: Duty>(
    name: &str,
    clock: Arc<Clock>,
    doorbell: Arc<Doorbell>,
    started: Sender<Result<(), String>>,
    make: impl FnOnce() -> D + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let bell = Arc::clone(&doorbell);
    let work = move || {
        let told = started.clone();
        let open_and_drive = || async move {
            let duty = make();
            let _ = told.try_send(Ok(()));
            drive(duty, &clock, &doorbell).await;
        };
        if let Err(error) = run_alone(Placement::Unbound, "worker", open_and_drive) {
            let _ = started.try_send(Err(error));
        }
    };
    let builder = thread::Builder::new().name(name.to_owned());
    os::with_signals_blocked(|| {
        builder.spawn(move || {
            // Whoever waits for an answer is told by the end of its channel.
            let _ = catch_unwind(AssertUnwindSafe(work));
            bell.silence();
        })
    })
}

/// Makes an executor for the calling thread and runs one task on it to its end.
fn run_alone<F: Future<Output = ()> + 'static>(
    placement: Placement,
    name: &str,
    make: impl FnOnce() -> F,
) -> Result<(), String> {
    let executor = executor(placement)?;
    executor.run(async move {
        let queue = glommio::executor().create_task_queue(Shares::default(), Latency::Matters(NEVER), name);
        glommio::spawn_local_into(make(), queue).expect("the queue was made above").await;
    });
    Ok(())
}

fn executor(placement: Placement) -> Result<LocalExecutor, String> {
    LocalExecutorBuilder::new(placement)
        .preempt_timer(NEVER)
        .io_memory(IO_MEMORY_BYTES)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(|error| error.to_string())
}

async fn open_and_drive(seat: Seat) {
    let Seat { id, shared, inbox, stores, identity, started, .. } = seat;
    let (nonce, is_new) = (identity.nonce, identity.is_new);
    shared.port(id).thread.store(os::thread_id(), Ordering::Relaxed);
    let _busy = Busy::count();
    let notify = Notify(Arc::clone(&shared.port(id).doorbell));
    match stores.open(ShardContext { shard: id, shards: shared.shards(), nonce, is_new, notify }) {
        Err(error) => drop(started.try_send((id, Err(SpawnError::Adapter(error))))),
        Ok(adapter) => {
            let shard = Shard::new(id, Arc::clone(&shared), inbox, adapter);
            let _ = started.try_send((id, Ok(())));
            drive(shard, &shared.clock, &shared.port(id).doorbell).await;
        }
    }
}

/// The loop: rounds while there is work, then what the idle policy says.
async fn drive<D: Duty>(mut duty: D, clock: &Clock, doorbell: &Doorbell) {
    poll_fn(|context| {
        doorbell.answer_with(context.waker());
        Poll::Ready(())
    })
    .await;
    let mut idle_since = None;
    let mut passed_at = Monotonic(0);
    let mut trickle = 0;
    loop {
        let now = clock.now();
        doorbell.count_beat();
        let round = duty.round(now);
        if round.finished {
            if let Some(closing) = duty.end() {
                closing.await;
            }
            // The executor takes in the wakes of before: one that outlived it would keep the task's memory for ever.
            doorbell.silence();
            reactor_pass(clock).await;
            return;
        }
        if duty.is_outstanding() && (round.submitted || now.since(passed_at) >= PASS_PERIOD) {
            glommio::executor().yield_task_queue_now().await;
            reactor_pass(clock).await;
            passed_at = clock.now();
        }
        if round.work > 0 {
            idle_since = None;
            trickle = if round.work < TRICKLE_EVENTS { trickle + 1 } else { 0 };
            if trickle > 1 {
                // A producer is streaming faster than a round ends. Looking again at once would fight it for the
                // lane's cache line; a moment later there is more to read at once.
                (0..TRICKLE_PAUSES).for_each(|_| std::hint::spin_loop());
            }
            continue;
        }
        trickle = 0;
        let since = *idle_since.get_or_insert(now);
        if now.since(since) < duty.spin_budget() {
            std::hint::spin_loop();
            continue;
        }
        idle_since = None;
        duty.rest(now);
        park(&duty, clock, doorbell).await;
        duty.woken();
    }
}

/// Sleeps until somebody rings or something is due.
async fn park<D: Duty>(duty: &D, clock: &Clock, doorbell: &Doorbell) {
    let now = clock.now();
    let mut timer = match duty.due() {
        Some(due) if due <= now => return glommio::executor().yield_task_queue_now().await,
        due => due.map(|due| Timer::new(due.since(now))),
    };
    let mut asleep = false;
    poll_fn(|context| {
        if asleep {
            return Poll::Ready(());
        }
        doorbell.park();
        if duty.has_work() {
            return Poll::Ready(());
        }
        asleep = true;
        match &mut timer {
            Some(timer) => Pin::new(timer).poll(context).map(drop),
            None => Poll::Pending,
        }
    })
    .await;
    doorbell.unpark();
}

/// Makes the executor go round once: submit, reap, fire timers, hear wakes. A timer that is due by the time the
/// executor looks keeps it from sleeping.
fn reactor_pass(clock: &Clock) -> impl Future<Output = ()> {
    let begin = |after: Duration| (Timer::new(after), clock.now().after(after + PASS_SLACK));
    let mut after = PASS_TIMER;
    let (mut timer, mut due) = begin(after);
    let mut first = true;
    poll_fn(move |context| {
        let mut ready = Pin::new(&mut timer).poll(context);
        // One that is over before it was waited for, as when this thread lost its CPU in between, brings no pass about.
        while first && ready.is_ready() {
            after *= 2;
            (timer, due) = begin(after);
            ready = Pin::new(&mut timer).poll(context);
        }
        if first {
            first = false;
            while clock.now() < due {
                std::hint::spin_loop();
            }
        }
        ready.map(drop)
    })
}

/// Longer than any bus runs without a pass over its reactor.
const NEVER: Duration = Duration::from_hours(1);
/// How often the loop looks for completions while requests are outstanding. A pass takes about 5 µs.
const PASS_PERIOD: Duration = Duration::from_micros(30);
const PASS_TIMER: Duration = Duration::from_nanos(400);
/// So that the executor's clock is past the timer too.
const PASS_SLACK: Duration = Duration::from_nanos(50);
/// Registered with the kernel for each executor; the default of 10 MiB exceeds common memlock limits.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Fewer events than this in two rounds running are a trickle.
const TRICKLE_EVENTS: usize = 128;
/// Processor pauses between the rounds of a trickle.
const TRICKLE_PAUSES: u32 = 96;
