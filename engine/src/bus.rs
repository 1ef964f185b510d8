//! The bus: starts the shards, answers everything that is not publishing, and ends them.
//!
//! A control call runs on its caller's thread: it posts a request to the shards' mailboxes, spins a few microseconds
//! and sleeps until they have answered. It never enters an executor.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::adapter::{AdapterError, AdapterFactory, ReadBlock, ReadRequest};
use crate::clock::Monotonic;
use crate::config::{Config, ConfigError};
use crate::consume::PollResponse;
use crate::consume::cursor::{CursorError, Store};
use crate::consume::merge::{Merge, MergeError};
use crate::consume::request::PollRequest;
use crate::consume::subscribe::SubscribeRequest;
use crate::cores::Placement;
use crate::counters::{CountName, ShardStats, SubscriptionStats};
use crate::crew::Crew;
pub use crate::crew::StartError;
use crate::event::ShardId;
use crate::gather::{gather, wait};
use crate::identity::Identity;
use crate::inquiry::Question;
use crate::platform;
use crate::port::{Mail, Port};
use crate::producer::Producer;
use crate::shared::{Shared, StoreKind};
use crate::subscription::{SubscribeError, Subscription};
use crate::sync::Ordering;

/// A running bus. Every method may be called from any thread at any time.
pub struct Bus {
    shared: Arc<Shared>,
    store: Store,
    life: Mutex<Life>,
    ended: Condvar,
}

/// Where the bus is between start and end.
enum Life {
    Running(Crew),
    Ending,
    Ended,
}

/// Why a poll has no answer. Nothing is lost: the cursor that was given still holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The cursor is not one of this bus's. Final.
    #[error("{0}")]
    Cursor(CursorError),
    /// The request names a shard that the bus does not have. Final.
    #[error("the bus has no shard {0}")]
    UnknownShard(ShardId),
    /// No shard answered in time. Retry.
    #[error("no shard answered")]
    Unanswered,
    /// The bus is shutting down. Final.
    #[error("the bus is shutting down")]
    ShuttingDown,
    /// A shard has panicked. Final.
    #[error("a shard of the bus has failed")]
    Failed,
}

impl From<MergeError> for PollError {
    fn from(error: MergeError) -> PollError {
        match error {
            MergeError::Cursor(error) => PollError::Cursor(error),
            MergeError::UnknownShard(shard) => PollError::UnknownShard(shard),
        }
    }
}

/// Why a flush does not vouch for everything before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// `flush_timeout_ms` passed first; what was not stored yet may still be. Retry.
    #[error("not everything was stored within flush_timeout_ms")]
    Timeout,
    /// Events were refused for good since the last flush, or the sync failed. They are counted as dropped.
    #[error("the store refused {refused} events{}", .sync.as_ref().map(|error| format!(" and did not sync: {error}")).unwrap_or_default())]
    Adapter {
        /// How many.
        refused: u64,
        /// Why the sync failed, if it did.
        sync: Option<AdapterError>,
    },
    /// The bus is shutting down. Final.
    #[error("the bus is shutting down")]
    ShuttingDown,
    /// A shard has panicked. Final.
    #[error("a shard of the bus has failed")]
    Failed,
}

/// The bus was already shut down, or another thread has just done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bus was shut down already")]
pub struct AlreadyShutDown;

/// What the shards have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One snapshot per shard, each consistent in itself.
    pub shards: Vec<ShardStats>,
    /// Names of what adapters count besides, in the order of [`ShardStats::adapter_counts`].
    pub adapter_count_names: &'static [CountName],
    /// For each shard what its adapter has refused with last, or why it had no backend, cut at 240 bytes.
    pub last_errors: Vec<Option<String>>,
    /// The open subscriptions.
    pub subscriptions: Vec<SubscriptionStats>,
    /// Times the bridge found a shard standing still though it had not said that it sleeps, and rang it.
    pub stalls: u64,
    /// Bytes that the lanes take.
    pub lanes_bytes: u64,
    /// Whether several shards share a CPU, because there are more shards than allowed CPUs.
    pub cores_shared: bool,
}

impl Stats {
    /// The sum over all shards.
    pub fn total(&self) -> ShardStats {
        self.shards.iter().fold(ShardStats::default(), |mut sum, shard| {
            sum.add(shard);
            sum
        })
    }
}

impl Bus {
    /// Starts a bus whose shards store into what `stores` opens for them.
    ///
    /// Makes one thread per shard (`net-shard-N`), its executor's blocking helper, and `net-bridge`; `net-probe` is gone when
    /// this returns. Returns when every shard runs.
    pub fn start(config: Config, stores: Box<dyn AdapterFactory>) -> Result<Bus, StartError> {
        let placement = Placement::new(config.num_shards.get(), &config.cores)
            .map_err(|cpu| ConfigError::new("cores", format!("CPU {cpu} is not among the allowed ones")))?;
        platform::check()?;
        let identity = match &config.producer_nonce_path {
            None => stores.producer().map_or_else(Identity::random, Identity::kept),
            Some(path) => Identity::load(path)
                .map_err(|error| ConfigError::new("producer_nonce_path", error.to_string()))?,
        };
        let store = Store { tag: stores.tag(), incarnation: stores.incarnation() };
        let stores: Arc<dyn AdapterFactory> = Arc::from(stores);
        let (shared, inboxes) =
            Shared::new(config, StoreKind::of(&*stores), placement.allowed, placement.shared);
        let crew = Crew::start(&shared, inboxes, &placement.cores, &stores, &Arc::new(identity))?;
        Ok(Bus { shared, store, life: Mutex::new(Life::Running(crew)), ended: Condvar::new() })
    }

    /// A way in for one thread. Its lanes are made when it first publishes to a shard.
    pub fn producer(&self) -> Producer {
        Producer::new(Arc::clone(&self.shared))
    }

    /// Number of shards.
    pub fn num_shards(&self) -> u16 {
        self.shared.shards()
    }

    /// Whether a shutdown has begun.
    pub fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// Whether a shard has panicked.
    pub fn is_failed(&self) -> bool {
        self.shared.is_failed()
    }

    /// Reads stored events. Examines a bounded number of events a shard, waits `adapter_timeout_ms` for a shard, and
    /// filters on the calling thread.
    pub fn poll(&self, request: &PollRequest) -> Result<PollResponse, PollError> {
        self.check().map_err(|ended| ended.or(PollError::ShuttingDown, PollError::Failed))?;
        let layouts = self.shared.kind.layouts.clone();
        let mut merge = Merge::new(request.clone(), self.store, self.shared.stream_count(), layouts)?;
        let mut answered = 0;
        loop {
            let fetches = merge.fetches();
            if fetches.is_empty() {
                break;
            }
            let mut blocks = self.read(&fetches);
            for (shard, _) in fetches {
                let block = blocks[shard.index()].take();
                answered += usize::from(block.is_some());
                merge.absorb(shard, block);
            }
        }
        let response = merge.finish();
        if answered == 0 && !response.failed_shards.is_empty() {
            self.check().map_err(|ended| ended.or(PollError::ShuttingDown, PollError::Failed))?;
            return Err(PollError::Unanswered);
        }
        Ok(response)
    }

    /// Subscribes. Every event that is stored after this call has returned is in it, if it is wanted.
    pub fn subscribe(&self, request: SubscribeRequest) -> Result<Subscription, SubscribeError> {
        self.check().map_err(|ended| ended.or(SubscribeError::ShuttingDown, SubscribeError::Failed))?;
        Subscription::open(&self.shared, self.store, request)
    }

    /// Waits until everything that was accepted before this call is stored, and synced where the store can, or was
    /// dropped as `backpressure_mode` says. Events published meanwhile neither satisfy nor delay it.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.check().map_err(|ended| ended.or(FlushError::ShuttingDown, FlushError::Failed))?;
        let told = |port: &Port| port.refused_told.load(Ordering::Relaxed);
        let told_before: Vec<u64> = self.shared.ports.iter().map(told).collect();
        let deadline = self.deadline(self.shared.config.flush_timeout);
        let flushed = self.ask_all(deadline, |answer| Mail::Flush { deadline, answer });
        if flushed.len() < self.shared.ports.len() {
            self.check().map_err(|ended| ended.or(FlushError::ShuttingDown, FlushError::Failed))?;
            return Err(FlushError::Timeout);
        }
        let mut refused = 0;
        for (shard, flushed) in &flushed {
            refused += flushed.refused - told_before[shard.index()];
            self.shared.port(*shard).refused_told.fetch_max(flushed.refused, Ordering::Relaxed);
        }
        let sync = flushed.into_iter().find_map(|(_, flushed)| flushed.synced.err());
        if refused > 0 || sync.is_some() {
            return Err(FlushError::Adapter { refused, sync });
        }
        Ok(())
    }

    /// What the shards have counted: everything accepted before this call is in it. Of a shard that does not answer
    /// within 100 ms it is the last snapshot.
    pub fn stats(&self) -> Stats {
        self.ask_for_snapshots();
        let shards: Vec<ShardStats> = self.shared.ports.iter().map(|port| port.board.read()).collect();
        Stats {
            adapter_count_names: self.shared.kind.count_names,
            last_errors: self.shared.ports.iter().map(|port| port.board.last_error()).collect(),
            subscriptions: self.shared.subscription_stats(&shards),
            shards,
            stalls: self.shared.stalls.load(Ordering::Relaxed),
            lanes_bytes: self.shared.lane_budget.bytes(),
            cores_shared: self.shared.cpu_sharing,
        }
    }

    /// Takes no more events, stores what was accepted, and stops, within `within` (`shutdown_timeout_ms` if `None`).
    /// Returns how many accepted events were not stored by then. One caller ends the bus; those that come meanwhile
    /// return when it has ended.
    pub fn shutdown(&self, within: Option<Duration>) -> Result<u64, AlreadyShutDown> {
        let crew = {
            let mut life = self.life();
            match std::mem::replace(&mut *life, Life::Ending) {
                Life::Running(crew) => crew,
                Life::Ended => {
                    *life = Life::Ended;
                    return Err(AlreadyShutDown);
                }
                Life::Ending => {
                    let ending = |life: &mut Life| !matches!(life, Life::Ended);
                    drop(self.ended.wait_while(life, ending).unwrap_or_else(PoisonError::into_inner));
                    return Err(AlreadyShutDown);
                }
            }
        };
        let deadline = self.deadline(within.unwrap_or(self.shared.config.shutdown_timeout));
        let not_stored = crew.end(&self.shared, deadline);
        *self.life() = Life::Ended;
        self.ended.notify_all();
        Ok(not_stored)
    }

    /// Reads from several streams at once. One place per stream; empty where it failed or did not answer.
    fn read(&self, fetches: &[(ShardId, ReadRequest)]) -> Vec<Option<ReadBlock>> {
        let (answer, answers) = bounded(fetches.len());
        let deadline = self.deadline(self.shared.config.adapter_timeout);
        let post = |&&(stream, request): &&(ShardId, ReadRequest)| {
            self.shared
                .port_of_stream(stream)
                .post(Mail::Read { request, deadline, answer: answer.clone() })
                .is_ok()
        };
        let posted = fetches.iter().filter(post).count();
        drop(answer);
        let mut blocks: Vec<Option<ReadBlock>> = (0..self.shared.stream_count()).map(|_| None).collect();
        for (stream, result) in self.gather(&answers, posted, deadline) {
            blocks[stream.index()] = result.ok();
        }
        blocks
    }

    /// Waits until every shard has published a snapshot of now, or the time is over.
    fn ask_for_snapshots(&self) {
        let questions: Vec<Question> = self.shared.ports.iter().map(Port::ask).collect();
        let answered = || {
            let mut asked = self.shared.ports.iter().zip(&questions);
            asked.all(|(port, question)| port.inquiry.is_answered(*question)) || self.is_over()
        };
        wait(&self.shared.clock, self.deadline(STATS_WAIT), answered);
    }

    /// Posts a request to every shard and gathers the answers that come in time.
    fn ask_all<T>(
        &self,
        deadline: Monotonic,
        mail: impl Fn(Sender<(ShardId, T)>) -> Mail,
    ) -> Vec<(ShardId, T)> {
        let (answer, answers) = bounded(self.shared.ports.len());
        let posted = self.shared.ports.iter().filter(|port| port.post(mail(answer.clone())).is_ok()).count();
        drop(answer);
        self.gather(&answers, posted, deadline)
    }

    /// Gathers until the bus has ended or failed.
    fn gather<T>(
        &self,
        answers: &Receiver<(ShardId, T)>,
        count: usize,
        deadline: Monotonic,
    ) -> Vec<(ShardId, T)> {
        gather(&self.shared.clock, answers, count, deadline, || self.is_over())
    }

    /// Whether no shard answers any more.
    fn is_over(&self) -> bool {
        self.shared.has_ended() || self.shared.is_failed()
    }

    fn deadline(&self, wait: Duration) -> Monotonic {
        self.shared.clock.now().after(wait)
    }

    fn check(&self) -> Result<(), Ended> {
        if self.shared.is_failed() {
            return Err(Ended::Failed);
        }
        if self.shared.is_closing() { Err(Ended::ShuttingDown) } else { Ok(()) }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Whoever wants to know what was not stored calls `shutdown` first.
        let _ = self.shutdown(None);
    }
}

/// Whether the calling thread is one that a bus or a worker has made.
pub fn owns_current_thread() -> bool {
    let current = std::thread::current();
    let others = ["net-bridge", "net-resolve", "net-redex"];
    let is_own = |name: &str| name.starts_with("net-shard-") || others.contains(&name);
    current.name().is_some_and(is_own)
}

/// How a bus came to answer nothing any more.
enum Ended {
    ShuttingDown,
    Failed,
}

impl Ended {
    fn or<E>(self, shutting_down: E, failed: E) -> E {
        match self {
            Ended::ShuttingDown => shutting_down,
            Ended::Failed => failed,
        }
    }
}

/// How long statistics wait for a shard before they take its last snapshot.
const STATS_WAIT: Duration = Duration::from_millis(100);
