//! The crew: the threads of one bus, started together and ended together.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::adapter::{AdapterError, AdapterFactory};
use crate::bridge;
use crate::clock::Monotonic;
use crate::config::ConfigError;
use crate::event::ShardId;
use crate::executor::{self, Seat, SpawnError};
use crate::gather::gather;
use crate::identity::Identity;
use crate::platform::PlatformError;
use crate::port::Mail;
use crate::shared::{Shared, Shutdown};

/// The threads of a running bus.
pub(crate) struct Crew {
    /// By shard.
    shards: Vec<JoinHandle<()>>,
    bridge: Option<JoinHandle<()>>,
}

/// Why a bus did not start. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be carried out on this machine. For the operator.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The kernel lacks or forbids something. For the operator.
    #[error("{0}")]
    Platform(#[from] PlatformError),
    /// A shard's store did not open.
    #[error("{0}")]
    Store(AdapterError),
    /// A shard did not run within 30 seconds: its store takes too long to open. Retry.
    #[error("a shard did not start within 30 seconds")]
    Late,
    /// A thread or an executor could not be made: a limit of the process. For the operator.
    #[error("shard {shard} did not start: {reason}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// What the system said.
        reason: String,
    },
}

impl Crew {
    /// Starts every shard on its core, and the bridge. Returns when all of them run; where one does not, those that do are
    /// ended.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        inboxes: Vec<Receiver<Mail>>,
        cores: &[usize],
        stores: &Arc<dyn AdapterFactory>,
        identity: &Arc<Identity>,
    ) -> Result<Crew, StartError> {
        let (started, answers) = bounded(inboxes.len());
        let mut crew = Crew { shards: Vec::with_capacity(inboxes.len()), bridge: None };
        let mut failed = None;
        for ((id, inbox), &core) in shared.shard_ids().zip(inboxes).zip(cores) {
            let (stores, identity) = (Arc::clone(stores), Arc::clone(identity));
            let (shared, started) = (Arc::clone(shared), started.clone());
            let seat = Seat { id, core, shared, inbox, stores, identity, started };
            match executor::spawn(seat) {
                Ok(thread) => crew.shards.push(thread),
                Err(error) => {
                    failed = Some(StartError::Shard { shard: id, reason: error.to_string() });
                    break;
                }
            }
        }
        let deadline = shared.clock.now().after(START_WAIT);
        for _ in &crew.shards {
            failed = match answers.recv_timeout(deadline.since(shared.clock.now())) {
                Ok((_, Ok(()))) => continue,
                Ok((_, Err(SpawnError::Adapter(error)))) => Some(StartError::Store(error)),
                Ok((shard, Err(SpawnError::Executor(reason)))) => Some(StartError::Shard { shard, reason }),
                Err(_) => Some(StartError::Late),
            };
        }
        if failed.is_none() {
            match bridge::spawn(Arc::clone(shared)) {
                Ok(bridge) => crew.bridge = Some(bridge),
                Err(error) => {
                    failed = Some(StartError::Shard { shard: ShardId(0), reason: error.to_string() });
                }
            }
        }
        match failed {
            None => Ok(crew),
            Some(error) => {
                crew.end(shared, shared.clock.now());
                Err(error)
            }
        }
    }

    /// Shuts every shard down and joins the threads that end in time. Returns how many accepted events were not stored.
    pub(crate) fn end(self, shared: &Shared, deadline: Monotonic) -> u64 {
        let (answer, answers) = bounded(self.shards.len());
        shared.start_closing(Shutdown { deadline, answer });
        // A thread that could open nothing, or has panicked, finishes without an answer.
        let are_finished = || self.shards.iter().all(JoinHandle::is_finished);
        let count = self.shards.len();
        let ended = gather(&shared.clock, &answers, count, deadline.after(ANSWER_GRACE), are_finished);
        let mut not_stored = 0;
        for (shard, thread) in shared.shard_ids().zip(self.shards) {
            let answer = ended.iter().find(|(answered, _)| *answered == shard);
            if answer.is_some() || thread.is_finished() {
                // A panic of the thread was noted when it happened.
                let _ = thread.join();
            }
            // A shard that hangs in its adapter keeps its thread; what it holds was not stored.
            let port = shared.port(shard);
            not_stored += answer.map_or_else(
                || port.board.read().pending_events + port.uncounted(),
                |&(_, not_stored)| not_stored,
            );
        }
        shared.end();
        shared.bridge().stop();
        // The bridge has nothing to report; a panic of its own changes nothing here.
        self.bridge.map(JoinHandle::join);
        not_stored
    }
}

/// How long all shards together may take to start.
const START_WAIT: Duration = Duration::from_secs(30);
/// How much longer than its deadline a shutdown waits for a shard to say what it gave up.
const ANSWER_GRACE: Duration = Duration::from_millis(500);
