//! The table of slots: who may still use what a handle stands for, in one atomic word per slot.
//!
//! A slot's word holds its generation, its phase and the number of calls inside. Entering counts up only while the
//! phase is open and the generation is the caller's, so that the tenant cannot be dropped under a call; closing flips
//! the phase, waits until the last call has left, drops the tenant and gives the slot to the next generation. A
//! generation is never reused: a slot that has had them all is retired.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, PoisonError};

use engine::planted;
use engine::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};

/// 65,536 slots (in the models: one), made in blocks as they are needed and never freed.
pub(crate) struct Table<T> {
    blocks: [OnceLock<Box<[Slot<T>]>>; BLOCKS],
    vacancies: Mutex<Vacancies>,
    /// Rung when a call leaves a closing slot, and when a slot has been closed.
    left: Condvar,
}

/// Which tenant of which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

/// Why a slot cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There never was such a tenant.
    NeverIssued,
    /// The tenant is gone or leaving.
    Closed,
    /// A call on the tenant panicked.
    Poisoned,
}

/// An empty table, `const` where the mutex is: loom's is made at run time.
macro_rules! new_table {
    ($($const:tt)?) => {
        pub(crate) $($const)? fn new() -> Table<T> {
            Table {
                blocks: [const { OnceLock::new() }; BLOCKS],
                vacancies: Mutex::new(Vacancies { free: VecDeque::new(), fresh: 0 }),
                left: Condvar::new(),
            }
        }
    };
}

impl<T> Table<T> {
    #[cfg(not(loom))]
    new_table!(const);
    #[cfg(loom)]
    new_table!();

    /// Gives `tenant` a slot. `Err` gives it back when every slot is taken or retired.
    pub(crate) fn insert(&self, tenant: T) -> Result<Key, T> {
        let Some(number) = self.vacancies().take() else { return Err(tenant) };
        let block = self.blocks[usize::from(number) / BLOCK]
            .get_or_init(|| (0..BLOCK).map(|_| Slot::default()).collect());
        let slot = &block[usize::from(number) % BLOCK];
        let word = Word(slot.word.load(Ordering::Relaxed));
        // SAFETY: the slot is vacant, so nobody enters it, and the vacancy is ours alone.
        unsafe { *slot.tenant.get() = Some(tenant) };
        // Release: pairs with the acquire in `enter`, which must see the tenant.
        slot.word.store(Word::new(word.generation(), Phase::Open).0, Ordering::Release);
        Ok(Key { slot: number, generation: word.generation() })
    }

    /// Enters: the tenant stays as long as the result is held.
    pub(crate) fn enter(&self, key: Key) -> Result<Entered<'_, T>, Refusal> {
        let slot = self.slot(key)?;
        slot.update(key, |word| match word.phase() {
            Phase::Open => Ok(Word(word.0 + 1)),
            phase => Err(phase.refusal()),
        })?;
        Ok(Entered { table: self, slot })
    }

    /// Refuses the tenant to everybody, except to who closes it.
    pub(crate) fn poison(&self, key: Key) {
        if let Ok(slot) = self.slot(key) {
            let _ = slot.update(key, |word| match word.phase() {
                Phase::Open => Ok(word.with_phase(Phase::Poisoned)),
                phase => Err(phase.refusal()),
            });
        }
    }

    /// Closes: nobody enters from here on, and dropping the result waits for those inside and drops the tenant. When
    /// another thread closes it already, waits until that is complete and answers [`Refusal::Closed`].
    pub(crate) fn close(&self, key: Key) -> Result<Closing<'_, T>, Refusal> {
        let slot = self.slot(key)?;
        let flipped = slot.update(key, |word| match word.phase() {
            Phase::Open | Phase::Poisoned => Ok(word.with_phase(Phase::Closing)),
            phase => Err(phase.refusal()),
        });
        if let Err(refusal) = flipped {
            self.wait_until(|| {
                planted!("2-a-second-shutdown-does-not-wait")
                    || slot.now().generation() != key.generation
                    || slot.now().phase() != Phase::Closing
            });
            return Err(refusal);
        }
        Ok(Closing { table: self, slot, number: key.slot })
    }

    fn slot(&self, key: Key) -> Result<&Slot<T>, Refusal> {
        let block = self.blocks[usize::from(key.slot) / BLOCK].get().ok_or(Refusal::NeverIssued)?;
        Ok(&block[usize::from(key.slot) % BLOCK])
    }

    fn vacancies(&self) -> MutexGuard<'_, Vacancies> {
        self.vacancies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The condition is looked at under the lock under which [`ring`](Table::ring) rings, so no ring is missed.
    fn wait_until(&self, condition: impl Fn() -> bool) {
        let mut held = self.vacancies();
        while !condition() {
            held = self.left.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ring(&self) {
        drop(self.vacancies());
        self.left.notify_all();
    }
}

/// A call inside a slot.
pub(crate) struct Entered<'a, T> {
    table: &'a Table<T>,
    slot: &'a Slot<T>,
}

impl<T> Deref for Entered<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while this call is counted the slot keeps its tenant, and only shared references are given out.
        unsafe { (*self.slot.tenant.get()).as_ref() }.expect("an open slot has a tenant")
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the acquire of the closer, which drops the tenant after this call's last use of it.
        let before = Word(self.slot.word.fetch_sub(1, Ordering::Release));
        if before.phase() == Phase::Closing && before.calls() == 1 {
            self.table.ring();
        }
    }
}

/// A slot that is being closed, by the one thread that holds this.
pub(crate) struct Closing<'a, T> {
    table: &'a Table<T>,
    slot: &'a Slot<T>,
    number: u16,
}

impl<T> Deref for Closing<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: only dropping this takes the tenant away, and until then there are shared references only.
        unsafe { (*self.slot.tenant.get()).as_ref() }.expect("a closing slot has a tenant")
    }
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.table.wait_until(|| planted!("1-a-shutdown-waits-for-no-call") || self.slot.now().calls() == 0);
        // SAFETY: no call is inside, none can enter, and this thread is the only one that closes.
        let tenant = unsafe { (*self.slot.tenant.get()).take() };
        // The slot is given on even if the tenant's drop panics: others wait for it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(tenant)));
        let generation = self.slot.now().generation();
        let next = match generation.checked_add(1) {
            Some(next) => Word::new(next, Phase::Vacant),
            None => Word::new(generation, Phase::Retired),
        };
        self.slot.word.store(next.0, Ordering::Release);
        if next.phase() == Phase::Vacant {
            self.table.vacancies().free.push_back(self.number);
        }
        self.table.ring();
    }
}

struct Slot<T> {
    word: AtomicU64,
    tenant: UnsafeCell<Option<T>>,
}

// SAFETY: the tenant is written only by the one thread that took the vacancy or closes the slot, while nobody is
// inside; everybody else gets shared references, to a `T` that is `Sync`.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot {
            word: AtomicU64::new(Word::new(FIRST_GENERATION, Phase::Vacant).0),
            tenant: UnsafeCell::new(None),
        }
    }
}

impl<T> Slot<T> {
    fn now(&self) -> Word {
        // Acquire: pairs with the releases of leaving calls and of `insert`.
        Word(self.word.load(Ordering::Acquire))
    }

    /// Moves the word on, as long as it is of the generation of `key`.
    fn update(&self, key: Key, next: impl Fn(Word) -> Result<Word, Refusal>) -> Result<(), Refusal> {
        let mut word = self.now();
        loop {
            if word.generation() > key.generation && key.generation >= FIRST_GENERATION {
                return Err(Refusal::Closed);
            }
            if word.generation() != key.generation {
                return Err(Refusal::NeverIssued);
            }
            let next = next(word)?;
            // AcqRel: entering sees the tenant; closing is seen by whoever leaves.
            match self.word.compare_exchange_weak(word.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(changed) => word = Word(changed),
            }
        }
    }
}

/// Slots without a tenant. The longest vacant is taken first, so that generations are used up evenly.
struct Vacancies {
    free: VecDeque<u16>,
    /// The first slot that never had a tenant.
    fresh: u32,
}

impl Vacancies {
    fn take(&mut self) -> Option<u16> {
        if let Some(number) = self.free.pop_front() {
            return Some(number);
        }
        let number = u16::try_from(self.fresh).ok().filter(|&number| usize::from(number) < SLOTS)?;
        self.fresh += 1;
        Some(number)
    }
}

/// `generation: 32 | phase: 4 | calls: 28`.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    fn new(generation: u32, phase: Phase) -> Word {
        Word(u64::from(generation) << 32 | (phase as u64) << CALLS_BITS)
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn phase(self) -> Phase {
        match (self.0 >> CALLS_BITS) & 0xf {
            0 => Phase::Vacant,
            1 => Phase::Open,
            2 => Phase::Poisoned,
            3 => Phase::Closing,
            _ => Phase::Retired,
        }
    }

    /// Calls inside; the system has fewer threads than this has numbers.
    fn calls(self) -> u64 {
        self.0 & ((1 << CALLS_BITS) - 1)
    }

    fn with_phase(self, phase: Phase) -> Word {
        Word(Word::new(self.generation(), phase).0 | self.calls())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Vacant = 0,
    Open = 1,
    Poisoned = 2,
    Closing = 3,
    Retired = 4,
}

impl Phase {
    fn refusal(self) -> Refusal {
        match self {
            Phase::Vacant => Refusal::NeverIssued,
            Phase::Poisoned => Refusal::Poisoned,
            Phase::Open | Phase::Closing | Phase::Retired => Refusal::Closed,
        }
    }
}

const CALLS_BITS: u32 = 28;
const FIRST_GENERATION: u32 = 1;
const SLOTS: usize = if cfg!(loom) { 1 } else { 1 << 16 };
const BLOCK: usize = if cfg!(loom) { 1 } else { 256 };
const BLOCKS: usize = SLOTS / BLOCK;

#[cfg(all(test, loom))]
mod model;
#[cfg(test)]
mod tests;
