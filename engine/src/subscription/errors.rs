//! What can become of a subscription.

use std::io;

use crate::consume::cursor::CursorError;
use crate::event::ShardId;

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The cursor is not one of this bus's. Final.
    #[error("{0}")]
    Cursor(CursorError),
    /// The request names a shard that the bus does not have. Final.
    #[error("the bus has no shard {0}")]
    UnknownShard(ShardId),
    /// With its lanes, less than half of `lanes_bytes_max` would be left for producers. Retry when other threads or
    /// subscriptions have ended, or raise the limit.
    #[error("with the lanes of another subscription more than half of lanes_bytes_max would be taken")]
    LanesExhausted,
    /// The system gave no eventfd: a limit of the process. For the operator.
    #[error("the system gave no eventfd: {0}")]
    Descriptor(io::Error),
    /// A shard did not answer within `adapter_timeout_ms`, or its mailbox is full. Retry.
    #[error("a shard did not answer")]
    Unanswered,
    /// The bus is shutting down. Final.
    #[error("the bus is shutting down")]
    ShuttingDown,
    /// A shard has panicked. Final.
    #[error("a shard of the bus has failed")]
    Failed,
}

/// Why no more events come. Final. The cursor still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionEnded {
    /// The bus was shut down, and everything that its shards had pushed was read, but for what waits for an earlier
    /// [layout](crate::layouts).
    #[error("the bus is shut down")]
    ShutDown,
    /// A shard has panicked.
    #[error("a shard of the bus has failed")]
    Failed,
    /// A [`Closer`](super::Closer) has closed it.
    #[error("the subscription is closed")]
    Closed,
}
