//! Is the server well? The streak of failures since the last definite answer, the breaker that it opens, and the
//! probes that close it.
//!
//! A sick server is not the rows' fault: attempts are charged only while the server is well, and the charges of a
//! streak that turns out to be an outage are given back. Whom a failure belongs to is judged by its spread: many
//! subjects failing is the server, one subject failing while others pass is the row.
//!
//! What cannot be told apart: an outage that begins when fewer subjects are left than the breaker asks for looks like
//! rows failing on their own. Where one of them passes in the end, it was the server, and nothing of it is charged;
//! where none does, the breaker opens for them when their attempts are used up, unless they are known to fail on
//! their own, or it is the application itself that answers them with errors.
//!
//! Not here: which update probes (`lanes.rs`), and what exhausts an update (`schedule.rs`).

use std::collections::{BTreeMap, HashSet};

use super::decision::UpdateId;
use super::rules::DeliveryRules;
use crate::digest::SubjectId;

/// Failures that open the breaker while the run has not seen a single definite answer.
const COLD_FAILURES: u32 = 3;

/// Attempts that may be on the wire at once when the breaker has just closed; one more for each definite answer since.
const CLOSED_IN_FLIGHT: usize = 16;
/// More than that are no matter.
const CLOSED_IN_FLIGHT_MAX: usize = 1 << 16;

/// A temporary failure, as the breaker sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blow {
    /// Whose attempt failed.
    pub(super) id: UpdateId,
    /// Its subject.
    pub(super) subject: SubjectId,
    /// Whether it testifies against the server: false for updates that are known to fail on their own.
    pub(super) counts: bool,
    /// Whether it may be the row's own fault at all.
    pub(super) is_chargeable: bool,
    /// Whether it is the row's own fault even where nobody has passed yet.
    pub(super) is_own: bool,
    /// The breaker's epoch when the attempt was sent.
    pub(super) epoch: u32,
}

/// What a failure led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Struck {
    /// The attempt counts against the row, for now.
    pub(super) is_charged: bool,
    /// The breaker opened: the charges of the streak, by update, which are to be given back.
    pub(super) refunds: Option<BTreeMap<UpdateId, u32>>,
}

/// What a definite answer ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// The breaker closed.
    pub(super) has_closed: bool,
    /// Charges of the streak, by update: they stand, because somebody passed, …
    pub(super) confirmed: BTreeMap<UpdateId, u32>,
    /// … or are given back, because nobody did who had not failed in it as well.
    pub(super) refunds: BTreeMap<UpdateId, u32>,
}

#[derive(Debug)]
struct Open {
    since_ms: u64,
    probe_at_ms: u64,
    interval_ms: u64,
    probing: Option<UpdateId>,
    last_subject: Option<SubjectId>,
}

/// Health of the server as far as the answers tell.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Whether the run has had a definite answer.
    was_well: bool,
    /// The first failure or pushback since the last definite answer.
    trouble_since_ms: Option<u64>,
    /// Since when nothing may be sent at this time of day: the trouble does not grow older meanwhile.
    closed_since_ms: Option<u64>,
    /// Whether something in this trouble costs no row an attempt, so that only `outage_max` can end it.
    is_endless: bool,
    /// Whether the latest failure cost its row nothing, because the server does the same to others: as long as it is
    /// so, only `outage_max` can end the trouble, however few of them may testify.
    is_excused: bool,
    failures: u32,
    subjects: HashSet<SubjectId>,
    charges: BTreeMap<UpdateId, u32>,
    /// Whose answer is being ruled on.
    witness: Option<UpdateId>,
    open: Option<Open>,
    /// Attempts that may be on the wire at once, since the breaker closed.
    closed_in_flight: usize,
    /// Grows when the breaker closes: what was sent before and fails later says nothing about the time since.
    epoch: u32,
    failures_max: u32,
    subjects_max: usize,
    outage_max_ms: u64,
    probe_interval_ms: u64,
    probe_interval_max_ms: u64,
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub(super) fn new(rules: &DeliveryRules) -> Breaker {
        Breaker {
            was_well: false,
            trouble_since_ms: None,
            closed_since_ms: None,
            is_endless: false,
            is_excused: false,
            failures: 0,
            subjects: HashSet::new(),
            charges: BTreeMap::new(),
            witness: None,
            open: None,
            closed_in_flight: CLOSED_IN_FLIGHT_MAX,
            epoch: 0,
            failures_max: rules.breaker_failures,
            subjects_max: usize::try_from(rules.breaker_subjects).unwrap_or(usize::MAX),
            outage_max_ms: rules.outage_max_ms,
            probe_interval_ms: rules.probe_interval_ms.max(1),
            probe_interval_max_ms: rules.probe_interval_max_ms.max(1),
        }
    }

    /// Epoch to note on an attempt that is sent now.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Since when the breaker is open, if it is.
    pub(super) fn open_since_ms(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.since_ms)
    }

    /// When the next probe may go: `None` while the breaker is closed or a probe is on the wire.
    pub(super) fn probe_at_ms(&self) -> Option<u64> {
        self.open.as_ref().filter(|open| open.probing.is_none()).map(|open| open.probe_at_ms)
    }

    /// Attempts that may be on the wire at once: few when the server has just answered again, for one answer says
    /// little.
    pub(super) fn in_flight_max(&self) -> usize {
        self.closed_in_flight
    }

    /// Subject of the latest probe; the next one should be another.
    pub(super) fn last_probed(&self) -> Option<SubjectId> {
        self.open.as_ref().and_then(|open| open.last_subject)
    }

    /// A probe was sent.
    pub(super) fn on_probe(&mut self, id: UpdateId, subject: SubjectId) {
        if let Some(open) = &mut self.open {
            open.probing = Some(id);
            open.last_subject = Some(subject);
        }
    }

    /// Says whether anything may be sent at this time of day. Nobody asks the server while nothing may be, and nobody
    /// knows how long it was down: that time is no part of an outage.
    pub(super) fn set_closed(&mut self, is_closed: bool, now_ms: u64) {
        if is_closed {
            self.closed_since_ms.get_or_insert(now_ms);
        } else if let Some(closed_ms) = self.closed_since_ms.take() {
            self.trouble_since_ms = self
                .trouble_since_ms
                .map(|since_ms| since_ms + now_ms.saturating_sub(closed_ms.max(since_ms)));
        }
    }

    /// Whether nothing may be sent at this time of day.
    pub(super) fn is_off_hours(&self) -> bool {
        self.closed_since_ms.is_some()
    }

    /// When the run gives up, unless a definite answer comes first; nobody can tell while nothing may be sent.
    pub(super) fn outage_at_ms(&self) -> Option<u64> {
        let since_ms = self.trouble_since_ms.filter(|_| self.closed_since_ms.is_none())?;
        let is_waiting = self.open.is_some() || self.is_endless || self.is_excused;
        is_waiting.then(|| since_ms.saturating_add(self.outage_max_ms))
    }

    /// The server pushed back, or the attempt ended without saying anything about it: a probe was in vain, but
    /// it did not fail.
    pub(super) fn on_pushback(&mut self, id: UpdateId, now_ms: u64) {
        self.trouble_since_ms.get_or_insert(now_ms);
        self.is_endless = true;
        if let Some(open) = self.open.as_mut().filter(|open| open.probing == Some(id)) {
            open.probing = None;
            open.probe_at_ms = now_ms.saturating_add(open.interval_ms);
        }
    }

    /// The pushback was for the few rows that are left, each for itself: it ends by their charges.
    pub(super) fn on_own_pushback(&mut self) {
        self.is_endless = false;
    }

    /// Whether the failure told last was waived, for the server does the same to others. Where a definite answer
    /// comes now and then, that is no outage; where none comes for so long, it is one.
    pub(super) fn note_excused(&mut self, is_excused: bool) {
        self.is_excused = is_excused;
    }

    /// A temporary failure. `plain_lanes` is the number of subjects held whose turn it is and that may testify.
    pub(super) fn on_failure(&mut self, blow: Blow, plain_lanes: usize, now_ms: u64) -> Struck {
        if blow.epoch != self.epoch {
            return Struck::default();
        }
        self.trouble_since_ms.get_or_insert(now_ms);
        if let Some(open) = &mut self.open {
            if open.probing == Some(blow.id) {
                open.probing = None;
                open.interval_ms = open.interval_ms.saturating_mul(2).min(self.probe_interval_max_ms);
                open.probe_at_ms = now_ms.saturating_add(open.interval_ms);
            }
            return Struck::default();
        }
        let is_charged = (self.was_well || blow.is_own) && blow.is_chargeable;
        *self.charges.entry(blow.id).or_default() += u32::from(is_charged);
        self.is_endless |= !is_charged;
        if blow.counts {
            self.failures = self.failures.saturating_add(1);
            self.subjects.insert(blow.subject);
        }
        if !self.must_open(plain_lanes) {
            return Struck { is_charged, refunds: None };
        }
        self.open(now_ms);
        Struck { is_charged, refunds: Some(std::mem::take(&mut self.charges)) }
    }

    /// Notes whose answer is ruled on next.
    pub(super) fn hear(&mut self, id: UpdateId) {
        self.witness = Some(id);
    }

    /// A definite answer of any kind: the server is well. Where it is that of an update which has failed since the
    /// one before, it was not well meanwhile.
    pub(super) fn on_definite(&mut self) -> Recovered {
        self.was_well = true;
        self.trouble_since_ms = None;
        (self.is_endless, self.is_excused) = (false, false);
        self.forget_streak();
        let has_closed = self.open.take().is_some();
        if has_closed {
            self.epoch = self.epoch.wrapping_add(1);
            self.closed_in_flight = CLOSED_IN_FLIGHT;
        } else {
            self.closed_in_flight = (self.closed_in_flight + 1).min(CLOSED_IN_FLIGHT_MAX);
        }
        let charges = std::mem::take(&mut self.charges);
        let had_failed = self.witness.and_then(|witness| charges.get(&witness)).is_some_and(|own| *own > 0);
        let (refunds, confirmed) =
            if had_failed { (charges, BTreeMap::new()) } else { (BTreeMap::new(), charges) };
        Recovered { has_closed, confirmed, refunds }
    }

    /// Takes out one of those that an update was charged with and no definite answer has followed. Whether there is
    /// one.
    pub(super) fn take_charge(&mut self, id: UpdateId) -> bool {
        self.charges.get_mut(&id).filter(|charges| **charges > 0).is_some_and(|charges| {
            *charges -= 1;
            true
        })
    }

    fn forget_streak(&mut self) {
        self.failures = 0;
        self.subjects.clear();
    }

    /// Nobody is left who could tell the server from the few rows that fail: it is asked by probes, up to `outage_max`.
    /// Returns what the streak has charged.
    pub(super) fn open_for_the_last(&mut self, now_ms: u64) -> BTreeMap<UpdateId, u32> {
        self.trouble_since_ms.get_or_insert(now_ms);
        self.open(now_ms);
        std::mem::take(&mut self.charges)
    }

    fn open(&mut self, now_ms: u64) {
        let interval_ms = self.probe_interval_ms.min(self.probe_interval_max_ms);
        self.open = Some(Open {
            since_ms: now_ms,
            probe_at_ms: now_ms.saturating_add(interval_ms),
            interval_ms,
            probing: None,
            last_subject: None,
        });
        self.forget_streak();
    }

    fn must_open(&self, plain_lanes: usize) -> bool {
        if self.was_well {
            return self.failures >= self.failures_max.max(1) && self.subjects.len() >= self.subjects_max;
        }
        // Nobody has passed yet, so nothing speaks for the server: three failures are enough, or everybody's.
        self.failures >= COLD_FAILURES || (self.failures > 0 && self.subjects.len() >= plain_lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blow(id: u64) -> Blow {
        let subject = SubjectId(u128::from(id).to_be_bytes());
        Blow { id, subject, counts: true, is_chargeable: true, is_own: false, epoch: 0 }
    }

    fn warm() -> Breaker {
        let mut breaker = Breaker::new(&DeliveryRules::default());
        breaker.on_definite();
        breaker
    }

    #[test]
    fn it_opens_on_failures_over_enough_subjects_and_gives_the_charges_back() {
        let mut breaker = warm();
        for n in 0..9 {
            assert_eq!(breaker.on_failure(blow(n % 5), 100, n).refunds, None);
        }
        let refunds = breaker.on_failure(blow(4), 100, 9).refunds;
        assert_eq!(refunds, Some((0..5).map(|id| (id, 2)).collect()));
        assert_eq!(breaker.open_since_ms(), Some(9));
    }

    #[test]
    fn four_subjects_never_open_it() {
        let mut breaker = warm();
        for n in 0..1_000 {
            assert_eq!(breaker.on_failure(blow(n % 4), 4, n).refunds, None);
        }
    }

    #[test]
    fn a_definite_answer_ends_the_streak() {
        let mut breaker = warm();
        for n in 0..100 {
            assert_eq!(breaker.on_failure(blow(n), 100, n).refunds, None);
            if n % 9 == 8 {
                assert_eq!(breaker.on_definite().confirmed.len(), 9);
            }
        }
    }

    #[test]
    fn without_any_answer_three_failures_open_it_or_everybodys() {
        let mut breaker = Breaker::new(&DeliveryRules::default());
        assert_eq!(breaker.on_failure(blow(1), 100, 0), Struck::default());
        assert_eq!(breaker.on_failure(blow(1), 100, 0), Struck::default());
        assert!(breaker.on_failure(blow(1), 100, 0).refunds.is_some());

        let mut breaker = Breaker::new(&DeliveryRules::default());
        assert!(breaker.on_failure(blow(1), 1, 0).refunds.is_some());
    }

    #[test]
    fn probes_come_one_at_a_time_and_rarer() {
        let mut breaker = Breaker::new(&DeliveryRules::default());
        breaker.on_failure(blow(1), 1, 0);
        let mut now = 0;
        for wait in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert_eq!(breaker.probe_at_ms(), Some(now + wait));
            now += wait;
            breaker.on_probe(1, blow(1).subject);
            assert_eq!(breaker.probe_at_ms(), None);
            breaker.on_failure(blow(1), 1, now);
        }
    }

    #[test]
    fn what_was_sent_before_it_closed_is_not_held_against_anybody() {
        let mut breaker = Breaker::new(&DeliveryRules::default());
        breaker.on_failure(blow(1), 1, 0);
        assert!(breaker.on_definite().has_closed);
        for n in 0..100 {
            assert_eq!(breaker.on_failure(blow(n), 100, n), Struck::default());
        }
        assert_eq!(breaker.outage_at_ms(), None);
    }

    #[test]
    fn a_lone_row_that_is_charged_ends_by_its_charges_and_not_by_the_outage() {
        let mut breaker = warm();
        assert!(breaker.on_failure(blow(1), 1, 5).is_charged);
        assert_eq!(breaker.outage_at_ms(), None);
        breaker.on_failure(Blow { is_chargeable: false, ..blow(2) }, 2, 6);
        assert_eq!(breaker.outage_at_ms(), Some(900_005));
    }

    #[test]
    fn what_is_waived_ends_by_the_outage_until_somebody_is_charged_or_passes() {
        let mut breaker = warm();
        assert!(breaker.on_failure(blow(1), 1, 5).is_charged);
        breaker.note_excused(true);
        assert_eq!(breaker.outage_at_ms(), Some(900_005));
        breaker.note_excused(false);
        assert_eq!(breaker.outage_at_ms(), None);
        breaker.note_excused(true);
        breaker.on_definite();
        assert_eq!(breaker.outage_at_ms(), None);
    }
}
