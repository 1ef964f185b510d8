//! What all parts of one bus share: its configuration, its clock, the ports of its shards, and the words that say
//! that it ends.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;

use crossbeam_channel::{Receiver, Sender};

use crate::adapter::{AdapterFactory, Streams};
use crate::clock::{Clock, Monotonic};
use crate::config::Config;
use crate::counters::{CountName, ShardStats, SubscriptionStats};
use crate::event::ShardId;
use crate::lane::LaneBudget;
use crate::lane::record::KEY_LENGTH_BYTES;
use crate::layouts::Layouts;
use crate::port::{Mail, Port};
use crate::subscription::{Progress, Signal};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, CachePadded, Ordering, fence, light_fence};

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) ports: Box<[Port]>,
    /// What the store is like.
    pub(crate) kind: StoreKind,
    pub(crate) lane_budget: Arc<LaneBudget>,
    /// CPUs the process may use.
    pub(crate) cpus_allowed: usize,
    /// Whether several shards share a CPU.
    pub(crate) cpu_sharing: bool,
    /// Shards found standing still, all together.
    pub(crate) stalls: AtomicU64,
    closing: CachePadded<AtomicBool>,
    shutdown: OnceLock<Shutdown>,
    ended: AtomicBool,
    failed: AtomicBool,
    bridge: BridgeBell,
    /// Of the subscriptions: rung when the bus has ended or failed, whatever its shards do.
    signals: Mutex<Vec<Weak<Signal>>>,
    /// Of the subscriptions: read for the statistics.
    progress: Mutex<Vec<Weak<Progress>>>,
    subscriptions_opened: AtomicU64,
}

/// What a bus knows of its store before the store opens.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreKind {
    /// What readers read.
    pub(crate) streams: Streams,
    /// Which of it they read first.
    pub(crate) layouts: Layouts,
    /// Names of what its adapters count.
    pub(crate) count_names: &'static [CountName],
    /// Whether events take their routing keys along.
    pub(crate) wants_keys: bool,
}

impl StoreKind {
    pub(crate) fn of(stores: &dyn AdapterFactory) -> StoreKind {
        StoreKind {
            streams: stores.streams(),
            layouts: stores.layouts(),
            count_names: stores.count_names(),
            wants_keys: stores.wants_keys(),
        }
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        kind: StoreKind,
        cpus_allowed: usize,
        cpu_sharing: bool,
    ) -> (Arc<Shared>, Vec<Receiver<Mail>>) {
        let (ports, inboxes): (Vec<_>, Vec<_>) = (0..config.num_shards.get()).map(|_| Port::new()).unzip();
        // The length of a key that an event takes along is no part of the event, for which the configuration leaves room.
        let lanes_bytes_max = config.lanes_bytes_max.saturating_add(KEY_LENGTH_BYTES as u64);
        let shared = Shared {
            lane_budget: Arc::new(LaneBudget::new(lanes_bytes_max)),
            config,
            clock: Clock::new(),
            ports: ports.into(),
            kind,
            cpus_allowed,
            cpu_sharing,
            stalls: AtomicU64::new(0),
            closing: CachePadded::default(),
            shutdown: OnceLock::new(),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            bridge: BridgeBell::default(),
            signals: Mutex::default(),
            progress: Mutex::default(),
            subscriptions_opened: AtomicU64::new(0),
        };
        (Arc::new(shared), inboxes)
    }

    #[inline]
    pub(crate) fn shards(&self) -> u16 {
        self.config.num_shards.get()
    }

    #[inline]
    pub(crate) fn port(&self, shard: ShardId) -> &Port {
        &self.ports[shard.index()]
    }

    /// How many streams readers read.
    pub(crate) fn stream_count(&self) -> u16 {
        match self.kind.streams {
            Streams::Own => self.shards(),
            Streams::Shared(count) => count.get(),
        }
    }

    /// The port of the shard that serves a stream.
    #[inline]
    pub(crate) fn port_of_stream(&self, stream: ShardId) -> &Port {
        &self.ports[stream.index() % self.ports.len()]
    }

    /// Numbers of all shards.
    pub(crate) fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards()).map(ShardId)
    }

    /// Whether a shutdown has begun.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Begins the shutdown: producers are refused, and every shard hears of it in its next round.
    pub(crate) fn start_closing(&self, shutdown: Shutdown) {
        // A bus is shut down once; whoever comes second changes nothing.
        let _ = self.shutdown.set(shutdown);
        self.closing.store(true, Ordering::Release);
        self.ports.iter().for_each(|port| port.doorbell.post());
    }

    /// The shutdown that has begun.
    #[inline]
    pub(crate) fn shutdown(&self) -> Option<&Shutdown> {
        if self.is_closing() { self.shutdown.get() } else { None }
    }

    /// Whether the shutdown is over, so that nobody waits for a shard any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.ring_subscribers();
    }

    /// Whether a shard has panicked.
    #[inline]
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.ring_subscribers();
    }

    /// The next subscription's number, as the progress of one that has read nothing.
    pub(crate) fn number_subscription(&self, shards: &[ShardId]) -> Arc<Progress> {
        let number = self.subscriptions_opened.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Progress::new(number, shards))
    }

    /// Rings this subscriber too when the bus has ended or failed, and shows it in the statistics.
    pub(crate) fn watch(&self, signal: &Arc<Signal>, progress: &Arc<Progress>) {
        enlist(&self.signals, signal);
        enlist(&self.progress, progress);
    }

    /// How far the open subscriptions are behind these snapshots.
    pub(crate) fn subscription_stats(&self, shards: &[ShardStats]) -> Vec<SubscriptionStats> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.iter().filter_map(Weak::upgrade).map(|progress| progress.stats(shards)).collect()
    }

    fn ring_subscribers(&self) {
        // Pairs with the fence in `Signal::arm`.
        fence(Ordering::SeqCst);
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals.iter().filter_map(Weak::upgrade).for_each(|signal| signal.ring());
    }

    /// Whether a shard may spin: no two of the bus share a CPU, and the shards and producers of the process, of other
    /// buses too, do not outnumber the CPUs.
    pub(crate) fn may_spin(&self) -> bool {
        !self.cpu_sharing && BUSY_THREADS.load(Ordering::Relaxed) <= self.cpus_allowed
    }

    /// Leave to spin for a subscriber's thread: as long as shards, producers and those that spin already leave a CPU, or
    /// it may be a producer's itself.
    pub(crate) fn spinner(&self) -> Option<Spinner> {
        let before = SPINNERS.fetch_add(1, Ordering::Relaxed);
        let spinner = Spinner(());
        let leaves = BUSY_THREADS.load(Ordering::Relaxed) + before <= self.cpus_allowed;
        (!self.cpu_sharing && leaves).then_some(spinner)
    }

    pub(crate) fn bridge(&self) -> &BridgeBell {
        &self.bridge
    }
}

/// Adds `entry`, and forgets those that are gone.
fn enlist<T>(list: &Mutex<Vec<Weak<T>>>, entry: &Arc<T>) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.retain(|entry| entry.strong_count() > 0);
    list.push(Arc::downgrade(entry));
}

/// A shard, or a producer that has a lane, counted among the busy threads of the process while it lives.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn count() -> Busy {
        BUSY_THREADS.fetch_add(1, Ordering::Relaxed);
        Busy(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY_THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A subscriber's thread that spins.
pub(crate) struct Spinner(());

impl Drop for Spinner {
    fn drop(&mut self) {
        SPINNERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Shards, and producers that have a lane, of the whole process.
pub(crate) fn busy_threads() -> usize {
    BUSY_THREADS.load(Ordering::Relaxed)
}

static SPINNERS: AtomicUsize = AtomicUsize::new(0);
static BUSY_THREADS: AtomicUsize = AtomicUsize::new(0);

/// What a shutdown asks of every shard: drain, store, sync, and stop at the deadline at the latest.
pub(crate) struct Shutdown {
    pub(crate) deadline: Monotonic,
    /// Answered by each shard with the events it did not store. Has room for all of them.
    pub(crate) answer: Sender<(ShardId, u64)>,
}

/// Wakes the bridge when a shard leaves its sleep, so that the bridge may sleep while all shards do.
#[derive(Default)]
pub(crate) struct BridgeBell {
    asleep: AtomicBool,
    stopped: AtomicBool,
    thread: OnceLock<Thread>,
}

impl BridgeBell {
    /// To be called by the bridge's own thread before anything else.
    pub(crate) fn register(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// A shard is awake. Costs one load unless the bridge sleeps.
    #[inline]
    pub(crate) fn ring(&self) {
        light_fence();
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    pub(crate) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends the bridge's thread.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    #[cold]
    fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
