//! What can go wrong in a call: every failure with its code, and the text that `net_last_error` gives.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int};

use adapters::FactoryError;
use adapters::named::{OpenError, RedexError};
use engine::bus::{FlushError, PollError, StartError};
use engine::config::ConfigError;
use engine::consume::request::RequestError;
use engine::platform::{Missing, PlatformError};
use engine::producer::{CommitError, Producer, PublishError};
use engine::subscription::{SubscribeError, SubscriptionEnded};
use engine::worker::WorkerError;

use crate::abi::net_error_t as Code;
use crate::thread;

/// Text for a code. Any code; one that does not exist has a text too.
///
/// Threads: any, at any time. Ownership: the text is static. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn net_strerror(code: c_int) -> *const c_char {
    text_of(code).as_ptr()
}

/// Detail of the calling thread's last failure, an empty string if there was none.
///
/// Threads: any; each has its own. Ownership: the library's, unchanged until this thread's next failing call.
/// Errors: none. A call that succeeds leaves it as it is, except a batch that returns a short count: that leaves why.
#[unsafe(no_mangle)]
pub extern "C" fn net_last_error() -> *const c_char {
    thread::with(thread::Thread::detail)
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("`{0}` is NULL")]
    NullPointer(&'static str),
    #[error("`{0}` is not aligned for its type")]
    Misaligned(&'static str),
    #[error("`{0}` is larger than PTRDIFF_MAX")]
    Length(&'static str),
    #[error("`{0}` is not valid UTF-8")]
    InvalidUtf8(&'static str),
    #[error("`{name}` is out of range: {value}")]
    OutOfRange { name: &'static str, value: i64 },
    #[error(
        "{count} entries were passed over, the first of index {first}: NULL, not UTF-8, or larger than max_event_bytes"
    )]
    PassedOver { first: usize, count: usize },
    #[error("a key of {0} bytes is longer than 1 MiB")]
    KeyTooLong(usize),
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the request was refused: {0}")]
    Request(RequestError),
    #[error("the cursor is not valid UTF-8")]
    CursorText,
    #[error("the output needs {required} bytes and its buffer has {len}")]
    BufferTooSmall { len: usize, required: usize },
    #[error("{0} does not fit into an int")]
    IntOverflow(usize),

    #[error("this is not a handle")]
    NotAHandle,
    #[error("the handle is of another kind of object")]
    OtherKind,
    #[error("the bus is shut down")]
    ShutDown,
    #[error("the handle is refused, because an earlier call on it failed inside the library")]
    Poisoned,
    #[error("the library failed inside: {0}")]
    Panicked(String),
    #[error("a shard of the bus has failed")]
    ShardFailed,
    #[error("this process is a fork of the one that started the bus")]
    Forked,
    #[error("the thread is inside another call on a bus; a signal handler cannot publish")]
    Reentered,

    #[error("{0}")]
    Config(ConfigError),
    #[error("{0}")]
    Factory(FactoryError),
    #[error("{0}")]
    Start(StartError),
    #[error("65,536 buses are open")]
    HandlesExhausted,
    #[error("the page that tells a fork could not be set up: {0}")]
    ForkPage(std::io::Error),

    #[error("{0}")]
    Publish(#[from] PublishError),
    #[error("this is not an open claim of the calling thread")]
    NotAClaim,
    #[error("the thread is ending, and would leave a claim behind")]
    Ending,
    #[error("the producer is closed")]
    ProducerClosed,
    #[error("65,536 producers are open")]
    ProducersExhausted,
    #[error("another thread is inside the producer")]
    ProducerInUse,
    #[error("{0}")]
    Subscribe(#[from] SubscribeError),
    #[error("{0}")]
    SubscriptionEnded(#[from] SubscriptionEnded),
    #[error("65,536 subscriptions are open")]
    SubscriptionsExhausted,
    #[error("another thread is inside the subscription")]
    SubscriptionInUse,
    #[error("{0}")]
    Poll(#[from] PollError),
    #[error("{0}")]
    Flush(#[from] FlushError),
    #[error("{0} events were accepted and could not be stored before the deadline")]
    NotStored(u64),
    #[error("{0}")]
    RedexOpen(OpenError),
    #[error("65,536 of them are open")]
    RedexesExhausted,
    #[error("65,536 handles of this kind are open")]
    RedexHandlesExhausted,
    #[error("{0}")]
    Redex(#[from] RedexError),
    #[error("{0}")]
    TailEnded(RedexError),
    #[error("another thread is inside the cursor")]
    TailInUse,
    #[error("the handle was freed")]
    Freed,
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Failure {
    /// How the bus of a closed producer has ended.
    #[cold]
    pub(crate) fn ended(producer: &Producer) -> Failure {
        if producer.is_closing() { Failure::ShutDown } else { Failure::ShardFailed }
    }

    /// The code of this failure.
    pub(crate) fn code(&self) -> Code {
        match self {
            Failure::NullPointer(_) => Code::NET_ERR_NULL_POINTER,
            Failure::KeyTooLong(_) => Code::NET_ERR_TOO_LARGE,
            Failure::InvalidUtf8(_) => Code::NET_ERR_INVALID_UTF8,
            Failure::Misaligned(_)
            | Failure::Length(_)
            | Failure::PassedOver { .. }
            | Failure::OutOfRange { .. }
            | Failure::NotAHandle
            | Failure::NotAClaim
            | Failure::ProducerClosed
            | Failure::ProducerInUse
            | Failure::SubscriptionInUse
            | Failure::RedexHandlesExhausted
            | Failure::TailInUse
            | Failure::Freed => Code::NET_ERR_INVALID_ARGUMENT,
            Failure::Json(_) | Failure::Request(_) => Code::NET_ERR_INVALID_JSON,
            Failure::CursorText | Failure::SubscriptionsExhausted => Code::NET_ERR_POLL_FAILED,
            Failure::BufferTooSmall { .. } => Code::NET_ERR_BUFFER_TOO_SMALL,
            Failure::IntOverflow(_) => Code::NET_ERR_INT_OVERFLOW,
            Failure::OtherKind => Code::NET_ERR_MISMATCHED_HANDLES,
            Failure::ShutDown | Failure::TailEnded(_) => Code::NET_ERR_SHUTTING_DOWN,
            Failure::Poisoned | Failure::Panicked(_) | Failure::ShardFailed => Code::NET_ERR_PANIC,
            Failure::Forked => Code::NET_ERR_FORKED,
            Failure::Reentered | Failure::Ending | Failure::ProducersExhausted => {
                Code::NET_ERR_INGESTION_FAILED
            }
            Failure::Config(_) | Failure::Factory(FactoryError::Config(_)) => Code::NET_ERR_INVALID_CONFIG,
            Failure::Factory(FactoryError::Unsupported(_)) => Code::NET_ERR_UNSUPPORTED,
            Failure::Factory(FactoryError::Store(_)) => Code::NET_ERR_ADAPTER,
            Failure::Start(error) => start_code(error),
            Failure::HandlesExhausted | Failure::ForkPage(_) => Code::NET_ERR_INIT_FAILED,
            Failure::RedexOpen(error) => redex_open_code(error),
            Failure::RedexesExhausted => Code::NET_ERR_REDEX,
            Failure::Redex(error) => redex_code(error),
            Failure::Publish(error) => publish_code(error),
            Failure::Subscribe(error) => subscribe_code(error),
            Failure::SubscriptionEnded(ended) => ended_code(*ended),
            Failure::Poll(error) => poll_code(error),
            Failure::Flush(error) => flush_code(error),
            Failure::NotStored(_) => Code::NET_ERR_TIMEOUT,
            Failure::Random(_) => Code::NET_ERR_UNKNOWN,
        }
    }

    /// The text for `net_last_error`. Refusals that a busy producer meets again and again cost no allocation.
    pub(crate) fn detail(&self) -> Cow<'static, CStr> {
        match self {
            Failure::Publish(PublishError::Refused) => Cow::Borrowed(c"refused: the shard's lane is full"),
            Failure::Publish(PublishError::Dropped) => Cow::Borrowed(c"dropped: the shard's lane is full"),
            Failure::ShutDown
            | Failure::SubscriptionEnded(SubscriptionEnded::ShutDown)
            | Failure::Publish(PublishError::ShuttingDown) => Cow::Borrowed(c"the bus is shut down"),
            other => {
                let text = other.to_string().replace('\0', "\u{fffd}");
                Cow::Owned(CString::new(text).expect("every NUL was replaced"))
            }
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Failure {
        match error {
            CommitError::NotOpen => Failure::NotAClaim,
            CommitError::ShuttingDown => Failure::ShutDown,
            CommitError::Failed => Failure::ShardFailed,
        }
    }
}

fn start_code(error: &StartError) -> Code {
    match error {
        StartError::Config(_) => Code::NET_ERR_INVALID_CONFIG,
        StartError::Platform(PlatformError { missing: Missing::IoUring, .. }) => Code::NET_ERR_NO_IO_URING,
        StartError::Platform(_) | StartError::Late | StartError::Shard { .. } => Code::NET_ERR_INIT_FAILED,
        StartError::Store(_) => Code::NET_ERR_ADAPTER,
    }
}

fn publish_code(error: &PublishError) -> Code {
    match error {
        PublishError::ShuttingDown => Code::NET_ERR_SHUTTING_DOWN,
        PublishError::TooLarge { .. } | PublishError::TooLargeWithKey { .. } => Code::NET_ERR_TOO_LARGE,
        PublishError::Failed => Code::NET_ERR_PANIC,
        PublishError::ClaimOpen => Code::NET_ERR_INVALID_ARGUMENT,
        PublishError::Refused | PublishError::Dropped | PublishError::LanesExhausted => {
            Code::NET_ERR_INGESTION_FAILED
        }
    }
}

fn subscribe_code(error: &SubscribeError) -> Code {
    match error {
        SubscribeError::Cursor(_)
        | SubscribeError::LanesExhausted
        | SubscribeError::Descriptor(_)
        | SubscribeError::Unanswered => Code::NET_ERR_POLL_FAILED,
        SubscribeError::UnknownShard(_) => Code::NET_ERR_INVALID_ARGUMENT,
        SubscribeError::ShuttingDown => Code::NET_ERR_SHUTTING_DOWN,
        SubscribeError::Failed => Code::NET_ERR_PANIC,
    }
}

fn ended_code(ended: SubscriptionEnded) -> Code {
    match ended {
        SubscriptionEnded::ShutDown => Code::NET_ERR_SHUTTING_DOWN,
        SubscriptionEnded::Failed => Code::NET_ERR_PANIC,
        SubscriptionEnded::Closed => Code::NET_ERR_INVALID_ARGUMENT,
    }
}

fn poll_code(error: &PollError) -> Code {
    match error {
        PollError::Cursor(_) | PollError::Unanswered => Code::NET_ERR_POLL_FAILED,
        PollError::Failed => Code::NET_ERR_PANIC,
        PollError::UnknownShard(_) => Code::NET_ERR_INVALID_ARGUMENT,
        PollError::ShuttingDown => Code::NET_ERR_SHUTTING_DOWN,
    }
}

fn flush_code(error: &FlushError) -> Code {
    match error {
        FlushError::Timeout => Code::NET_ERR_TIMEOUT,
        FlushError::Adapter { .. } => Code::NET_ERR_ADAPTER,
        FlushError::ShuttingDown => Code::NET_ERR_SHUTTING_DOWN,
        FlushError::Failed => Code::NET_ERR_PANIC,
    }
}

fn redex_open_code(error: &OpenError) -> Code {
    match error {
        OpenError::Worker(WorkerError::Platform(PlatformError { missing: Missing::IoUring, .. })) => {
            Code::NET_ERR_NO_IO_URING
        }
        OpenError::Worker(_) => Code::NET_ERR_INIT_FAILED,
        OpenError::Directory(_) | OpenError::Lock(_) => Code::NET_ERR_REDEX,
    }
}

fn redex_code(error: &RedexError) -> Code {
    match error {
        RedexError::TooLarge { .. } => Code::NET_ERR_TOO_LARGE,
        RedexError::Range { .. } => Code::NET_ERR_INVALID_ARGUMENT,
        RedexError::Busy(_) => Code::NET_ERR_INGESTION_FAILED,
        RedexError::Late(_) => Code::NET_ERR_TIMEOUT,
        RedexError::Failed => Code::NET_ERR_PANIC,
        RedexError::Name(_)
        | RedexError::Config(_)
        | RedexError::Conflict
        | RedexError::FilesExhausted
        | RedexError::Store(_)
        | RedexError::Closed
        | RedexError::Ended => Code::NET_ERR_REDEX,
    }
}

fn text_of(code: c_int) -> &'static CStr {
    TEXTS.iter().find(|(of, _)| *of as c_int == code).map_or(c"no such code", |(_, text)| text)
}

const TEXTS: [(Code, &CStr); 23] = [
    (Code::NET_SUCCESS, c"success"),
    (Code::NET_ERR_NULL_POINTER, c"a pointer is NULL"),
    (Code::NET_ERR_INVALID_UTF8, c"not valid UTF-8"),
    (Code::NET_ERR_INVALID_JSON, c"not valid JSON, or not what is asked for"),
    (Code::NET_ERR_INIT_FAILED, c"the bus could not be started"),
    (Code::NET_ERR_INGESTION_FAILED, c"the event was not accepted"),
    (Code::NET_ERR_POLL_FAILED, c"the poll has no answer"),
    (Code::NET_ERR_BUFFER_TOO_SMALL, c"the output does not fit into its buffer"),
    (Code::NET_ERR_SHUTTING_DOWN, c"the bus is shut down"),
    (Code::NET_ERR_INT_OVERFLOW, c"a count does not fit into an int"),
    (Code::NET_ERR_MISMATCHED_HANDLES, c"the handle is of another kind"),
    (Code::NET_ERR_INTERIOR_NUL, c"text has a NUL in it"),
    (Code::NET_ERR_INVALID_ARGUMENT, c"an argument is out of range"),
    (Code::NET_ERR_TIMEOUT, c"it did not end in time"),
    (Code::NET_ERR_UNSUPPORTED, c"not part of this build"),
    (Code::NET_ERR_FORKED, c"this process is a fork of the one that started the bus"),
    (Code::NET_ERR_PANIC, c"the library failed inside"),
    (Code::NET_ERR_NO_IO_URING, c"io_uring cannot be used"),
    (Code::NET_ERR_INVALID_CONFIG, c"the configuration was refused"),
    (Code::NET_ERR_ADAPTER, c"the store refused"),
    (Code::NET_ERR_TOO_LARGE, c"the event, or its key, is too large"),
    (Code::NET_ERR_UNKNOWN, c"something else went wrong"),
    (Code::NET_ERR_REDEX, c"a named file was refused"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own() {
        let mut seen: Vec<&CStr> = (-20..=0).chain([-99, -103]).map(text_of).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), TEXTS.len());
        assert!(!seen.contains(&c"no such code"));
    }

    #[test]
    fn a_code_that_does_not_exist_has_a_text_too() {
        for code in [1, -21, -98, -100, c_int::MAX, c_int::MIN] {
            assert_eq!(text_of(code), c"no such code");
        }
    }

    #[test]
    fn a_detail_with_a_nul_in_it_stays_whole() {
        let detail = Failure::Panicked("before\0after".to_owned()).detail();
        assert_eq!(detail.to_str(), Ok("the library failed inside: before\u{fffd}after"));
    }

    #[test]
    fn a_refused_producer_pays_no_allocation_for_its_detail() {
        for error in [PublishError::Refused, PublishError::Dropped, PublishError::ShuttingDown] {
            assert!(matches!(Failure::from(error).detail(), Cow::Borrowed(_)));
        }
    }
}
