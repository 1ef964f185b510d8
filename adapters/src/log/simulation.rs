//! A log on a disk that fails in every way, through crashes of the process and of the machine, from a seed. An oracle that keeps its own
//! books checks what is read: what was reported durable is there, in order, once; what is returned was written; nothing else is.
//! `LIBNET_SIM_SEEDS` says how many seeds are tried, `LIBNET_SIM_FIRST` with which they begin.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use engine::adapter::{Outcome, ReadBlock, ReadRequest, Resident};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::{EventFlags, Sequence, ShardId};
use fastrand::Rng;

use super::active::Identity;
use super::disk::Disk;
use super::format::PAGE_BYTES;
use super::model::{Counts, Faults, ModelDisk};
use super::opening;
use super::operation::{Done, Operation};
use super::options::{Options, Retention, SyncPolicy};
use super::running::Log;
use super::scan::load_index;

/// The kinds of run. What a disk that lies or turns bits over has lost is not to be had again, but never made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Honest,
    Lying,
}

/// What was submitted, and what is known of it.
#[derive(Clone, Copy, Debug)]
struct Known {
    payload: u64,
    is_stored: bool,
    is_durable: bool,
    was_shown: bool,
}

struct Run {
    seed: u64,
    kind: Kind,
    rng: Rng,
    disk: ModelDisk,
    log: Log,
    options: Options,
    boot_id: u128,
    now: Monotonic,
    outstanding: Vec<(Operation, Option<Vec<u8>>)>,
    known: BTreeMap<u64, Known>,
    /// One past the highest sequence that was ever stored, and so perhaps shown.
    shown_end: u64,
    next_payload: u64,
    in_flight: VecDeque<(Sequence, Sequence)>,
    next_ticket: u64,
    /// A flush under way, and what it speaks of.
    flushes: Vec<(u64, u64)>,
    reads: Vec<(u64, ReadRequest)>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut rng = Rng::with_seed(seed);
        let kind = if rng.u8(..4) == 0 { Kind::Lying } else { Kind::Honest };
        let sync = match rng.u8(..4) {
            0 => SyncPolicy::Never,
            1 => SyncPolicy::EveryBatch,
            _ => SyncPolicy::Interval(Duration::from_millis(rng.u64(1..50))),
        };
        let keep = |rng: &mut Rng, max: u64| {
            if rng.u8(..4) == 0 { NonZeroU64::new(rng.u64(1..max)) } else { None }
        };
        let options = Options {
            segment_bytes: (PAGE_BYTES * rng.usize(8..40)) as u64,
            sync,
            retention: Retention {
                bytes: keep(&mut rng, 400_000),
                events: keep(&mut rng, 400),
                age: keep(&mut rng, 10_000).map(|ms| Duration::from_millis(ms.get())),
            },
        };
        let faults = Run::faults(&mut rng, kind);
        let disk = ModelDisk::new(seed ^ 0x5eed, Faults::default());
        let boot_id = u128::from(rng.u64(1..));
        let log = opening::open(&disk, identity(boot_id), options, 1).expect("the disk is fine at first");
        disk.set_faults(faults);
        Run {
            seed,
            kind,
            rng,
            disk,
            log,
            options,
            boot_id,
            now: Monotonic(1),
            outstanding: Vec::new(),
            known: BTreeMap::new(),
            shown_end: 1,
            next_payload: 0,
            in_flight: VecDeque::new(),
            next_ticket: 0,
            flushes: Vec::new(),
            reads: Vec::new(),
        }
    }

    fn faults(rng: &mut Rng, kind: Kind) -> Faults {
        let mut often = |max: u8| if rng.bool() { rng.u8(..max) } else { 0 };
        Faults {
            create_fails: often(50),
            write_fails: often(20),
            write_is_short: often(10),
            sync_fails: often(30),
            read_fails: often(20),
            sync_lies: if kind == Kind::Lying { often(50) } else { 0 },
        }
    }

    fn step(&mut self) {
        self.now = self.now.after(Duration::from_micros(self.rng.u64(1..20_000)));
        match self.rng.u8(..100) {
            0..30 => self.submit(),
            30..65 => self.complete(),
            65..75 => self.read(),
            75..80 => self.flush(),
            80..82 => self.cancel(),
            82..83 if self.kind == Kind::Lying => self.disk.flip(),
            83..86 => self.end(),
            _ => {}
        }
        self.go_on();
    }

    fn wall_ns(&self) -> u64 {
        self.now.0
    }

    fn submit(&mut self) {
        if !self.log.is_ready() {
            return;
        }
        let mut batch = Batch::default();
        let refused = if self.rng.u8(..20) == 0 { self.rng.u64(1..50) } else { 0 };
        // Who gives up a batch takes its sequences along.
        let submitted = self.known.last_key_value().map_or(1, |(&last, _)| last + 1);
        let end = self.in_flight.back().map_or(self.log.end(), |&(_, end)| end).0;
        let first = end.max(submitted.min(end + 1_000)) + refused;
        batch.number_from(Sequence(first));
        for sequence in first..first + self.rng.u64(1..40) {
            self.next_payload += 1;
            let payload = vec![self.next_payload as u8; self.rng.usize(8..200)];
            let mut payload = payload;
            payload[..8].copy_from_slice(&self.next_payload.to_le_bytes());
            batch.push(self.wall_ns(), sequence, EventFlags::NONE, &payload);
            let known =
                Known { payload: self.next_payload, is_stored: false, is_durable: false, was_shown: false };
            self.known.insert(sequence, known);
        }
        self.in_flight.push_back((batch.first(), batch.end()));
        self.log.submit(batch);
    }

    fn complete(&mut self) {
        if self.outstanding.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.outstanding.len());
        let (operation, bytes) = self.outstanding.remove(at);
        let (disk, now, wall_ns) = (&self.disk, self.now, self.wall_ns());
        let mut buffer = Vec::new();
        let done = match operation {
            Operation::Create { header, bytes } => {
                let result = disk.create(header.number, bytes, &header.encode());
                Done::Created { number: header.number, result }
            }
            Operation::Write(write) => {
                let bytes = bytes.expect("encoded when it was begun");
                let (number, at) = (write.number, write.at);
                Done::Written { number, at, result: disk.write(number, at, &bytes) }
            }
            Operation::Sync { number } => Done::Synced { number, result: disk.sync_written(number) },
            Operation::Seal { number, length, index } => {
                Done::Sealed { number, result: disk.seal(number, length, &index) }
            }
            Operation::Remove { number } => Done::Removed { number, result: disk.remove(number) },
            Operation::Read(read) => {
                buffer.resize(read.bytes, 0);
                let result = disk.read(read.number, read.at, &mut buffer);
                Done::Read { read, result: result.map(|length| &buffer[..length]) }
            }
            Operation::LoadIndex { number, salt } => {
                Done::IndexLoaded { number, result: load_index(disk, number, salt) }
            }
        };
        self.log.done(done, now, wall_ns);
    }

    fn read(&mut self) {
        self.next_ticket += 1;
        let after = (self.rng.u8(..4) > 0).then(|| Sequence(self.rng.u64(..=self.shown_end)));
        let (events_max, bytes_max) = (self.rng.usize(1..200), self.rng.usize(1..50_000));
        let request = ReadRequest { stream: ShardId(0), after, events_max, bytes_max };
        self.look(request);
        self.reads.push((self.next_ticket, request));
        self.log.read(self.next_ticket, request);
    }

    /// What is lent holds to what is true of what is read.
    fn look(&self, request: ReadRequest) {
        if let Resident::Events { batch, index, skipped } = self.log.resident(request.after) {
            let mut lent = Batch::default();
            lent.number_from(batch.sequence(index));
            lent.extend_from(batch, index, request.events_max, usize::MAX);
            let through = lent.end().0.checked_sub(1).map(Sequence);
            self.check(&ReadBlock { batch: lent, through, skipped, ..ReadBlock::default() }, &request);
        }
    }

    fn flush(&mut self) {
        self.next_ticket += 1;
        self.flushes.push((self.next_ticket, self.log.end().0));
        self.log.flush(self.next_ticket);
    }

    fn cancel(&mut self) {
        if let &[(first, end)] = &*self.in_flight.make_contiguous()
            && let Some(batch) = self.log.cancel()
        {
            assert_eq!((batch.first(), batch.end()), (first, end));
            self.in_flight.clear();
            if self.rng.bool() {
                self.in_flight.push_back((first, end));
                self.log.submit(batch);
            }
        }
    }

    fn go_on(&mut self) {
        self.log.go_on(self.now, self.now.0);
        while let Some(operation) = self.log.operation() {
            let bytes = match &operation {
                Operation::Write(write) => {
                    let mut bytes = vec![0xaa; write.draft.bytes()];
                    self.log.encode(write, &mut bytes);
                    Some(bytes)
                }
                _ => None,
            };
            self.outstanding.push((operation, bytes));
        }
        while let Some(news) = self.log.news() {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: Outcome) {
        match news {
            Outcome::Stored { first, .. } => {
                let (begun, end) = self.in_flight.pop_front().expect("a batch is under way");
                assert_eq!(first, begun, "seed {}", self.seed);
                let is_durable = self.options.sync == SyncPolicy::EveryBatch;
                for (_, known) in self.known.range_mut(first.0..end.0) {
                    (known.is_stored, known.was_shown) = (true, true);
                    known.is_durable |= is_durable;
                }
                self.shown_end = self.shown_end.max(end.0);
            }
            Outcome::Synced { ticket, result } => {
                let at = self.flushes.iter().position(|(flush, _)| *flush == ticket).expect("asked for");
                let (_, end) = self.flushes.remove(at);
                if result.is_ok() {
                    self.known.range_mut(..end).for_each(|(_, known)| known.is_durable |= known.is_stored);
                }
            }
            Outcome::Read { ticket, result } => {
                let at = self.reads.iter().position(|(read, _)| *read == ticket).expect("asked for");
                let (_, request) = self.reads.remove(at);
                if let Ok(block) = result {
                    self.check(&block, &request);
                }
            }
            other => panic!("seed {}: {other:?}", self.seed),
        }
    }

    /// What is returned was written, in order, once, and none that is stored is missing between two.
    fn check(&self, block: &ReadBlock, request: &ReadRequest) {
        let seed = self.seed;
        let mut expected = request.after.map(|after| after.0 + 1);
        for event in block.batch.events() {
            let sequence = event.sequence.0;
            assert!(
                expected.is_none_or(|expected| sequence >= expected),
                "seed {seed}: twice, or out of order"
            );
            let known = self.known.get(&sequence).unwrap_or_else(|| panic!("seed {seed}: {sequence} is new"));
            assert_eq!(event.payload[..8], known.payload.to_le_bytes(), "seed {seed}: event {sequence}");
            assert_eq!(event.hash, sequence, "seed {seed}");
            if self.kind == Kind::Honest
                && block.skipped == 0
                && let Some(expected) = expected
            {
                let missing = self.known.range(expected..sequence).find(|(_, known)| known.is_stored);
                assert!(missing.is_none(), "seed {seed}: {missing:?} is missing before {sequence}");
            }
            expected = Some(sequence + 1);
        }
        if self.kind == Kind::Honest {
            assert_eq!(block.passed_over, 0, "seed {seed}: nothing is damaged: {request:?}");
        }
        let through = block.through.map(|through| through.0 + 1).or(expected).unwrap_or(1);
        assert!(expected.is_none_or(|expected| through >= expected), "seed {seed}");
        if block.more {
            assert!(block.through > request.after, "seed {seed}: a read with more behind it moves on");
        }
    }

    /// The process or the machine ends, or the log is closed; and it is opened again.
    fn end(&mut self) {
        let kind = self.rng.u8(..3);
        if self.log.is_suspect() {
            self.lose_what_is_not_durable();
        }
        if kind == 2 {
            self.close();
        }
        let under_way = self.outstanding.drain(..).filter_map(|(operation, bytes)| match operation {
            Operation::Write(write) => Some((write.number, write.at, bytes?)),
            _ => None,
        });
        let under_way = under_way.collect();
        if kind == 1 {
            self.disk.crash(under_way);
            self.boot_id += 1;
            self.lose_what_is_not_durable();
        } else {
            self.disk.end_process(under_way);
        }
        self.in_flight.clear();
        self.flushes.clear();
        self.reads.clear();
        self.open();
    }

    /// It may be there from now on, or not.
    fn lose_what_is_not_durable(&mut self) {
        self.known.values_mut().for_each(|known| known.is_stored = known.is_durable);
    }

    fn close(&mut self) {
        let closing = self.log.close();
        if !self.outstanding.is_empty() || !self.in_flight.is_empty() {
            return;
        }
        if let Some(spare) = closing.spare
            && self.disk.remove(spare).is_err()
        {
            return;
        }
        if let Some((write, index)) = closing.last {
            let mut bytes = vec![0xaa; write.draft.bytes()];
            write.encode(None, &mut bytes);
            let written = self.disk.write(write.number, write.at, &bytes);
            if written.is_ok_and(|length| length == bytes.len())
                && self.disk.sync_written(write.number).is_ok()
            {
                let length = write.at + bytes.len() as u64;
                self.disk.seal(write.number, length, &index).expect("it is there");
            }
        }
    }

    fn open(&mut self) {
        loop {
            match opening::open(&self.disk, identity(self.boot_id), self.options, self.wall_ns()) {
                Ok(log) => {
                    self.log = log;
                    break;
                }
                // Tried again, as whoever runs the process does; a machine that crashes helps as well.
                Err(_) if self.rng.u8(..8) > 0 => {}
                Err(_) => {
                    self.lose_what_is_not_durable();
                    self.disk.crash(Vec::new());
                    self.boot_id += 1;
                }
            }
        }
        assert!(
            self.log.end().0 >= self.shown_end,
            "seed {}: sequences go on above what was shown",
            self.seed
        );
        // Sequences that nobody has seen may be given again.
        let next = self.log.end().0;
        self.known.retain(|&sequence, _| sequence < next);
    }

    /// Everything is read without faults: nothing durable is missing behind what retention has removed.
    fn check_all(&mut self) {
        self.disk.set_faults(Faults::default());
        let mut present = Vec::new();
        let mut request = ReadRequest { stream: ShardId(0), after: None, events_max: 150, bytes_max: 20_000 };
        loop {
            let block = self.read_now(request);
            self.check(&block, &request);
            present.extend(block.batch.events().map(|event| event.sequence.0));
            request.after = request.after.max(block.through);
            if !block.more {
                break;
            }
        }
        if self.kind == Kind::Honest {
            let keeps_all = self.options.retention == Retention::default();
            let oldest = if keeps_all { 0 } else { present.first().copied().unwrap_or(u64::MAX) };
            let mut durable = self.known.range(oldest..).filter(|(_, known)| known.is_durable);
            let missing = durable.find(|(sequence, _)| present.binary_search(sequence).is_err());
            assert!(missing.is_none(), "seed {}: {missing:?} was durable", self.seed);
        }
        // A reader whose last event is gone is told that events are.
        let is_gone = |sequence: &u64| present.binary_search(sequence).is_err();
        let last = self.known.iter().rev().find(|(sequence, known)| known.was_shown && is_gone(sequence));
        let keeps_all = self.options.retention == Retention::default();
        if let Some((&last, _)) = last.filter(|_| keeps_all && self.kind == Kind::Honest) {
            let block = self.read_now(ReadRequest { after: Some(Sequence(last)), ..request });
            assert!(block.skipped > 0, "seed {}: {last} is gone in silence", self.seed);
        }
    }

    fn read_now(&mut self, request: ReadRequest) -> ReadBlock {
        self.next_ticket += 1;
        self.reads.clear();
        let ticket = self.next_ticket;
        self.log.read(ticket, request);
        for _ in 0..100_000 {
            self.log.go_on(self.now, self.now.0);
            while let Some(operation) = self.log.operation() {
                let mut bytes = None;
                if let Operation::Write(write) = &operation {
                    let mut block = vec![0xaa; write.draft.bytes()];
                    self.log.encode(write, &mut block);
                    bytes = Some(block);
                }
                self.outstanding.push((operation, bytes));
            }
            let mut answer = None;
            while let Some(news) = self.log.news() {
                match news {
                    Outcome::Read { ticket: answered, result } if answered == ticket => answer = Some(result),
                    Outcome::Read { .. } => {}
                    news => self.hear(news),
                }
            }
            if let Some(answer) = answer {
                return answer.expect("the disk is fine now");
            }
            self.now = self.now.after(Duration::from_millis(1));
            self.complete();
        }
        panic!("seed {}: a read does not end", self.seed);
    }
}

fn identity(boot_id: u128) -> Identity {
    Identity { shard: 0, incarnation: 7, boot_id }
}

fn run(seed: u64) -> (Counts, u64) {
    let mut run = Run::new(seed);
    let steps = run.rng.usize(50..400);
    for _ in 0..steps {
        run.step();
    }
    run.end();
    run.check_all();
    (run.disk.counts(), run.log.counts().events_rewritten)
}

#[test]
fn what_was_durable_is_there_after_every_crash_and_nothing_is_made_up() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seeds, first) = (number("LIBNET_SIM_SEEDS", SEEDS), number("LIBNET_SIM_FIRST", 0));
    let mut all = Counts::default();
    for seed in first..first + seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok((counts, _)) = outcome else {
            panic!("LIBNET_SIM_FIRST={seed} LIBNET_SIM_SEEDS=1 repeats it")
        };
        all.add(&counts);
    }
    assert!(seeds < SEEDS || all.has_everything(), "a fault never came: {all:?}");
}

/// As many as find every fault at least once.
const SEEDS: u64 = 300;
