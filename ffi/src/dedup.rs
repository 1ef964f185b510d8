//! The duplicate filter: remembers the identities it has seen, the least recently seen go first.
//!
//! A consumer of Redis Streams puts each entry's identity through it, because a producer that retries may write an
//! entry twice. A filter is a number that is looked up, like a handle, so that one that was freed is refused. In a
//! forked child of a process that started a bus every filter is refused, because a thread that the child does not have
//! may hold its locks.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lru::LruCache;

use crate::abi::net_redis_dedup_t;
use crate::fork;
use crate::guard::{self, present, text};
use crate::handle::Kind;
use crate::status::Failure;

/// Makes a filter that remembers `capacity` identities; 0 means 4,096. Memory is taken as identities arrive.
///
/// Threads: any, also the same filter from several. Ownership: the caller's, until `net_redis_dedup_free`. Errors:
/// never NULL; in a forked child of a process that started a bus the filter is one that every function refuses.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_new(capacity: usize) -> *mut net_redis_dedup_t {
    guard::call(ptr::null_mut(), |_| {
        if fork::is_child() {
            return Ok(ptr::without_provenance_mut(Kind::Dedup.tag(NEVER_GIVEN_OUT)));
        }
        let mut filters = FILTERS.write().unwrap_or_else(PoisonError::into_inner);
        filters.last += 1;
        let number = filters.last;
        filters.by_number.insert(number, Arc::new(Mutex::new(Filter::new(capacity))));
        Ok(ptr::without_provenance_mut(Kind::Dedup.tag(number)))
    })
    .unwrap_or(ptr::without_provenance_mut(Kind::Dedup.tag(NEVER_GIVEN_OUT)))
}

/// Frees a filter. NULL and a filter that was freed before do no harm.
///
/// Threads: any, also while others use the filter: their calls end as if it were still there, and the last of them
/// frees its memory. Ownership: the filter ends here. Errors: none; does nothing in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_free(filter: *mut net_redis_dedup_t) {
    let _ = guard::call(ptr::null_mut(), |_| {
        if !filter.is_null() {
            let number = number_of(filter)?;
            let mut filters = FILTERS.write().unwrap_or_else(PoisonError::into_inner);
            let freed = filters.by_number.remove(&number);
            drop(filters);
            drop(freed);
        }
        Ok(())
    });
}

/// Whether `dedup_id` was seen: 1 if it was, 0 if not, and from now on it is. Either way it is the most recent.
///
/// Threads: any. Ownership: the text is copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`,
/// `NET_ERR_INVALID_ARGUMENT` (not a filter, or one that was freed), `NET_ERR_MISMATCHED_HANDLES` (a bus),
/// `NET_ERR_FORKED` (in a forked child of a process that started a bus).
///
/// # Safety
/// `dedup_id` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redis_dedup_is_duplicate(
    filter: *mut net_redis_dedup_t,
    dedup_id: *const c_char,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let filter = find(filter)?;
        present("dedup_id", dedup_id)?;
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        let id = text("dedup_id", unsafe { guard::c_bytes(dedup_id) })?;
        Ok(lock(&filter).is_duplicate(id).into())
    })
}

/// Number of identities remembered, 0 for what is not a filter.
///
/// Threads: any. Ownership: the filter stays the caller's. Errors: 0, with the detail in `net_last_error`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_len(filter: *mut net_redis_dedup_t) -> usize {
    guard::call(ptr::null_mut(), |_| Ok(lock(&*find(filter)?).seen.len())).unwrap_or(0)
}

/// Number of identities it can remember, 0 for what is not a filter.
///
/// Threads: any. Ownership: the filter stays the caller's. Errors: 0, with the detail in `net_last_error`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_capacity(filter: *mut net_redis_dedup_t) -> usize {
    guard::call(ptr::null_mut(), |_| Ok(lock(&*find(filter)?).capacity)).unwrap_or(0)
}

/// 1 if it remembers nothing, 0 if it does; 1 for what is not a filter.
///
/// Threads: any. Ownership: the filter stays the caller's. Errors: 1, with the detail in `net_last_error`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_is_empty(filter: *mut net_redis_dedup_t) -> c_int {
    guard::call(ptr::null_mut(), |_| Ok(lock(&*find(filter)?).seen.is_empty().into())).unwrap_or(1)
}

/// Forgets everything. NULL and a filter that was freed do no harm.
///
/// Threads: any. Ownership: the filter stays the caller's. Errors: none; does nothing in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn net_redis_dedup_clear(filter: *mut net_redis_dedup_t) {
    let _ = guard::call(ptr::null_mut(), |_| {
        lock(&*find(filter)?).seen.clear();
        Ok(())
    });
}

struct Filter {
    seen: LruCache<Box<str>, ()>,
    capacity: usize,
}

impl Filter {
    /// The cache itself is unbounded, because a bounded one takes all its memory at once.
    fn new(capacity: usize) -> Filter {
        let capacity = if capacity == 0 { CAPACITY_DEFAULT } else { capacity };
        Filter { seen: LruCache::unbounded(), capacity }
    }

    fn is_duplicate(&mut self, id: &str) -> bool {
        if self.seen.get(id).is_some() {
            return true;
        }
        if self.seen.len() >= self.capacity {
            self.seen.pop_lru();
        }
        self.seen.put(id.into(), ());
        false
    }
}

/// Every filter by its number; numbers are never given out again.
struct Filters {
    by_number: BTreeMap<u64, Arc<Mutex<Filter>>>,
    last: u64,
}

fn number_of(filter: *mut net_redis_dedup_t) -> Result<u64, Failure> {
    if filter.is_null() {
        return Err(Failure::NullPointer("filter"));
    }
    let number = Kind::Dedup.payload(filter.addr())?;
    if fork::is_child() { Err(Failure::Forked) } else { Ok(number) }
}

fn find(filter: *mut net_redis_dedup_t) -> Result<Arc<Mutex<Filter>>, Failure> {
    let number = number_of(filter)?;
    let filters = FILTERS.read().unwrap_or_else(PoisonError::into_inner);
    filters.by_number.get(&number).cloned().ok_or(Failure::NotAHandle)
}

fn lock(filter: &Mutex<Filter>) -> MutexGuard<'_, Filter> {
    filter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of a filter that every function refuses; numbers that are given out start at 1.
const NEVER_GIVEN_OUT: u64 = 0;

static FILTERS: RwLock<Filters> = RwLock::new(Filters { by_number: BTreeMap::new(), last: 0 });

const CAPACITY_DEFAULT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn is_duplicate(filter: *mut net_redis_dedup_t, id: &CStr) -> c_int {
        // SAFETY: the text is NUL-terminated.
        unsafe { net_redis_dedup_is_duplicate(filter, id.as_ptr()) }
    }

    #[test]
    fn an_identity_is_new_once() {
        let filter = net_redis_dedup_new(0);
        assert_eq!(net_redis_dedup_capacity(filter), 4096);
        assert_eq!(net_redis_dedup_is_empty(filter), 1);
        assert_eq!((is_duplicate(filter, c"a"), is_duplicate(filter, c"a")), (0, 1));
        assert_eq!((net_redis_dedup_len(filter), net_redis_dedup_is_empty(filter)), (1, 0));
        net_redis_dedup_clear(filter);
        assert_eq!(is_duplicate(filter, c"a"), 0);
        net_redis_dedup_free(filter);
    }

    #[test]
    fn the_least_recently_seen_is_forgotten_first() {
        let mut filter = Filter::new(2);
        assert!(!filter.is_duplicate("a") && !filter.is_duplicate("b"));
        assert!(filter.is_duplicate("a"));
        assert!(!filter.is_duplicate("c"));
        assert!(filter.is_duplicate("a") && !filter.is_duplicate("b"));
        assert_eq!(filter.seen.len(), 2);
    }

    #[test]
    fn the_largest_capacity_takes_no_memory() {
        let filter = net_redis_dedup_new(usize::MAX);
        assert_eq!(net_redis_dedup_capacity(filter), usize::MAX);
        assert_eq!(is_duplicate(filter, c"a"), 0);
        net_redis_dedup_free(filter);
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        let filter = net_redis_dedup_new(1);
        net_redis_dedup_free(filter);
        net_redis_dedup_free(filter);
        let on_the_stack = 0u64;
        for forged in [filter, (&raw const on_the_stack).cast_mut().cast()] {
            assert_eq!(is_duplicate(forged, c"a"), -12);
            assert_eq!(net_redis_dedup_len(forged), 0);
            net_redis_dedup_clear(forged);
        }
        net_redis_dedup_free(ptr::null_mut());
        assert_eq!(is_duplicate(ptr::null_mut(), c"a"), -1);
        let bus = ptr::without_provenance_mut(Kind::Bus.tag(1));
        assert_eq!(is_duplicate(bus, c"a"), -10);
    }

    #[test]
    fn a_null_identity_and_one_that_is_not_text_have_codes() {
        let filter = net_redis_dedup_new(1);
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { net_redis_dedup_is_duplicate(filter, ptr::null()) }, -1);
        assert_eq!(is_duplicate(filter, c"\xff"), -2);
        assert_eq!(net_redis_dedup_len(filter), 0);
        net_redis_dedup_free(filter);
    }
}
