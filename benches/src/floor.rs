//! The floors: what this machine can do at best, each measured in the same run as the figure that stands beside it.

use std::hint::{black_box, spin_loop};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quanta::Clock;

use crate::percentiles::Recorder;
use crate::{on_first_core, pin};

/// The floor of the way in: the same bytes checked as UTF-8, hashed, stamped, and copied into a buffer that stays in the
/// cache. No thread, no hand-over.
pub struct Floor {
    clock: Clock,
    ring: Vec<u8>,
    at: usize,
}

impl Floor {
    /// A floor over a buffer of the size of a lane, or of a few events where these are larger.
    pub fn for_events_of(event_bytes: usize) -> Floor {
        let bytes = LANE_BYTES.max(4 * (event_bytes + HEADER_BYTES).next_multiple_of(8));
        Floor { clock: Clock::new(), ring: vec![0; bytes], at: 0 }
    }

    /// One event.
    #[inline]
    pub fn ingest(&mut self, event: &[u8]) -> bool {
        let stamp = self.clock.raw();
        self.append(event, stamp)
    }

    /// A batch of `count` times the same event: one stamp for all.
    #[inline]
    pub fn ingest_batch(&mut self, event: &[u8], count: usize) -> bool {
        let stamp = self.clock.raw();
        (0..count).fold(true, |valid, _| valid & self.append(event, stamp))
    }

    #[inline]
    fn append(&mut self, event: &[u8], stamp: u64) -> bool {
        let valid = simdutf8::basic::from_utf8(event).is_ok();
        let hash = xxhash_rust::xxh3::xxh3_64(event);
        let record = HEADER_BYTES + event.len();
        if self.at + record > self.ring.len() {
            self.at = 0;
        }
        let slot = &mut self.ring[self.at..self.at + record];
        slot[..8].copy_from_slice(&hash.to_ne_bytes());
        slot[8..16].copy_from_slice(&stamp.to_ne_bytes());
        slot[HEADER_BYTES..].copy_from_slice(event);
        self.at += record.next_multiple_of(8);
        black_box(&self.ring);
        valid
    }
}

/// The floor of reading: records of 128 bytes a second, copied in blocks of a thousand out of as much memory as a store
/// of `records` takes.
pub fn copy(records: usize) -> f64 {
    on_first_core(|| {
        let block = BLOCK_RECORDS * RECORD_BYTES;
        let store = vec![1u8; records.div_ceil(BLOCK_RECORDS) * block];
        let mut reply = vec![0u8; block];
        let start = Instant::now();
        for part in store.chunks_exact(block) {
            reply.copy_from_slice(black_box(part));
            black_box(&mut reply);
        }
        (store.len() / RECORD_BYTES) as f64 / start.elapsed().as_secs_f64()
    })
}

/// The floor of a spinning round trip: a word to a thread on the last core and one back, over two padded atomics.
pub fn ping_pong(round_trips: u64) -> Recorder {
    let (there, back) = (Padded::default(), Padded::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(Core::Last);
            for round in 1..=round_trips {
                spin_until(&there.0, round);
                back.0.store(round, Ordering::Release);
            }
        });
        scope
            .spawn(|| {
                pin(Core::First);
                let (clock, mut recorder) = (Clock::new(), Recorder::new());
                for round in 1..=round_trips {
                    let before = clock.raw();
                    there.0.store(round, Ordering::Release);
                    spin_until(&back.0, round);
                    recorder.record(clock.delta_as_nanos(before, clock.raw()));
                }
                recorder
            })
            .join()
            .expect("a ping is answered")
    })
}

/// The floor of an event's way: a record of 128 bytes to a thread on the last core, which copies it into a record of its
/// own for the way back. Two bare rings of the size of a lane, whose records say by their first word that they are there.
pub fn record_ping_pong(round_trips: u64) -> Recorder {
    let (there, back) = (Records::new(), Records::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(Core::Last);
            for round in 1..=round_trips {
                let record = there.receive(round);
                back.send(round, record);
            }
        });
        scope
            .spawn(|| {
                pin(Core::First);
                let (clock, mut recorder) = (Clock::new(), Recorder::new());
                let mut record = [1; RECORD_WORDS - 1];
                for round in 1..=round_trips {
                    let before = clock.raw();
                    there.send(round, record);
                    record = black_box(back.receive(round));
                    recorder.record(clock.delta_as_nanos(before, clock.raw()));
                }
                recorder
            })
            .join()
            .expect("a record is answered")
    })
}

/// The floor of a parked round trip: a thread asleep in `poll` on the last core is woken through an eventfd and wakes the
/// first one the same way. One round trip each `period_ns`, so that the cores rest in between as they do under the load
/// that is compared with it.
pub fn wake(round_trips: u64, period_ns: u64) -> Recorder {
    let (there, back) = (EventFd::new(), EventFd::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(Core::Last);
            for _ in 0..round_trips {
                there.wait();
                back.ring();
            }
        });
        scope
            .spawn(|| {
                pin(Core::First);
                paced(round_trips, period_ns, || {
                    there.ring();
                    back.wait();
                })
            })
            .join()
            .expect("a wake is answered")
    })
}

/// Times `call`, once each `period_ns`; spins in between.
pub fn paced(calls: u64, period_ns: u64, mut call: impl FnMut()) -> Recorder {
    let (clock, mut recorder) = (Clock::new(), Recorder::new());
    let start = clock.raw();
    for round in 0..calls {
        while clock.delta_as_nanos(start, clock.raw()) < round * period_ns {
            spin_loop();
        }
        let before = clock.raw();
        call();
        recorder.record(clock.delta_as_nanos(before, clock.raw()));
    }
    recorder
}

/// Which core a thread of a measurement is pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// The first allowed one, which shards leave to callers.
    First,
    /// The last allowed one, which the first shard takes.
    Last,
}

fn spin_until(word: &AtomicU64, value: u64) {
    while word.load(Ordering::Acquire) != value {
        spin_loop();
    }
}

/// A word on cache lines of its own; two lines, because processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

/// A ring of records that is never full, because each is answered before the next is sent.
struct Records(Box<[[AtomicU64; RECORD_WORDS]]>);

impl Records {
    fn new() -> Records {
        Records((0..LANE_BYTES / RECORD_BYTES).map(|_| Default::default()).collect())
    }

    fn send(&self, round: u64, body: [u64; RECORD_WORDS - 1]) {
        let [first, words @ ..] = self.at(round);
        words.iter().zip(body).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
        first.store(round, Ordering::Release);
    }

    fn receive(&self, round: u64) -> [u64; RECORD_WORDS - 1] {
        let [first, words @ ..] = self.at(round);
        spin_until(first, round);
        std::array::from_fn(|index| words[index].load(Ordering::Relaxed))
    }

    fn at(&self, round: u64) -> &[AtomicU64; RECORD_WORDS] {
        &self.0[round as usize % self.0.len()]
    }
}

/// An eventfd that is waited for with `poll`, as an event loop would.
struct EventFd(libc::c_int);

impl EventFd {
    fn new() -> EventFd {
        // SAFETY: takes plain integers and touches no memory of ours.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        assert!(fd >= 0, "no eventfd: {}", io::Error::last_os_error());
        EventFd(fd)
    }

    fn ring(&self) {
        let one = 1u64;
        // SAFETY: the descriptor is open while `self` lives, and eight bytes are readable.
        let written = unsafe { libc::write(self.0, (&raw const one).cast(), size_of::<u64>()) };
        assert_eq!(written, 8, "an eventfd takes eight bytes");
    }

    fn wait(&self) {
        let mut entry = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        let mut count = 0u64;
        // SAFETY: one entry is given, and the eight bytes that an eventfd gives are writable.
        unsafe {
            while libc::poll(&raw mut entry, 1, -1) != 1 {}
            assert_eq!(libc::read(self.0, (&raw mut count).cast(), size_of::<u64>()), 8);
        }
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used after this.
        unsafe { libc::close(self.0) };
    }
}

const LANE_BYTES: usize = 256 << 10;
const HEADER_BYTES: usize = 24;
/// What a 100-byte event takes in a store, with its header.
const RECORD_BYTES: usize = 128;
const RECORD_WORDS: usize = RECORD_BYTES / size_of::<u64>();
const BLOCK_RECORDS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_trip_of_a_floor_is_counted() {
        assert_eq!(record_ping_pong(5_000).summary("records").samples, 5_000);
        assert_eq!(ping_pong(100).summary("ping-pong").samples, 100);
        assert_eq!(wake(100, 1_000).summary("wake").samples, 100);
    }

    #[test]
    fn the_floor_takes_events_larger_than_a_lane() {
        let event = vec![b'a'; LANE_BYTES];
        let mut floor = Floor::for_events_of(event.len());
        assert!((0..10).all(|_| floor.ingest(&event)));
    }
}
