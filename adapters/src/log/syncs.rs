//! When what was written is synced, what that makes durable, and who waits for it. One round of syncs is under way at a time, one
//! sync for each segment with writes that none covers.

use engine::clock::Monotonic;
use engine::event::Sequence;

use super::options::SyncPolicy;

/// The syncs of one shard's log.
#[derive(Debug)]
pub(super) struct Syncs {
    policy: SyncPolicy,
    durable_end: Sequence,
    /// Segments with writes that no sync covers.
    dirty: Vec<u64>,
    round: Option<Round>,
    synced_at: Monotonic,
    /// Tickets, and what each speaks of.
    flushes: Vec<(u64, Sequence)>,
}

#[derive(Debug)]
struct Round {
    end: Sequence,
    left: Vec<u64>,
}

impl Syncs {
    /// Everything up to `end` is durable.
    pub(super) fn new(policy: SyncPolicy, end: Sequence) -> Syncs {
        let synced_at = Monotonic(0);
        Syncs { policy, durable_end: end, dirty: Vec::new(), round: None, synced_at, flushes: Vec::new() }
    }

    /// One past the last event that is durable.
    pub(super) fn durable_end(&self) -> Sequence {
        self.durable_end
    }

    /// When the next round is due although nothing is heard.
    pub(super) fn due(&self) -> Option<Monotonic> {
        match self.policy {
            SyncPolicy::Interval(interval) if !self.dirty.is_empty() && self.round.is_none() => {
                Some(self.synced_at.after(interval))
            }
            _ => None,
        }
    }

    /// `ticket` waits for everything up to `end`.
    pub(super) fn wait(&mut self, ticket: u64, end: Sequence) {
        self.flushes.push((ticket, end));
    }

    /// Those that wait for nothing that is not durable.
    pub(super) fn take_satisfied(&mut self) -> impl Iterator<Item = u64> + '_ {
        let durable_end = self.durable_end;
        self.flushes.extract_if(.., move |(_, end)| *end <= durable_end).map(|(ticket, _)| ticket)
    }

    /// All that wait.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.flushes.drain(..).map(|(ticket, _)| ticket)
    }

    /// Something was written to a segment.
    pub(super) fn note_written(&mut self, number: u64, now: Monotonic) {
        if self.dirty.contains(&number) {
            return;
        }
        if self.dirty.is_empty() && self.round.is_none() {
            // What was written first waits for a whole interval.
            self.synced_at = now.max(self.synced_at);
        }
        self.dirty.push(number);
    }

    /// Begins a round that makes everything up to `end` durable, if one is due, `is_urgent`, or `active` is not the only segment that
    /// was written to. `holds_back`: some of what is written is not acknowledged before it is durable. The segments to be synced.
    pub(super) fn begin(
        &mut self,
        end: Sequence,
        active: Option<u64>,
        holds_back: bool,
        is_urgent: bool,
        now: Monotonic,
    ) -> Option<Vec<u64>> {
        if self.round.is_some() {
            return None;
        }
        let is_due = match self.policy {
            SyncPolicy::EveryBatch => holds_back,
            SyncPolicy::Interval(interval) => now.since(self.synced_at) >= interval,
            SyncPolicy::Never => false,
        };
        let has_retired = self.dirty.iter().any(|&dirty| Some(dirty) != active);
        if !(is_due || is_urgent || has_retired || !self.flushes.is_empty()) {
            return None;
        }
        self.synced_at = now;
        let dirty = std::mem::take(&mut self.dirty);
        self.round = Some(Round { end, left: dirty.clone() });
        Some(dirty)
    }

    /// Whether nothing was written since the last round.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// A sync has ended well. Whether one of the round under way.
    pub(super) fn ended(&mut self, number: u64) -> bool {
        let Some(round) = &mut self.round else { return false };
        round.left.retain(|&left| left != number);
        true
    }

    /// Ends the round, if nothing is left of it: what it covers is durable.
    pub(super) fn end_round(&mut self) -> bool {
        let Some(round) = self.round.take_if(|round| round.left.is_empty()) else { return false };
        self.durable_end = self.durable_end.max(round.end);
        true
    }

    /// Forgets what is under way, and what was written: it is to be written again.
    pub(super) fn start_again(&mut self) {
        self.round = None;
        self.dirty.clear();
    }
}
