//! The plan as it was made: one byte per row, and what few rows have beside it.
//!
//! Not here: the rulings (`phases.rs` and below); this closes the books and answers for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::event::PlanFacts;
use crate::ledger::{ClearedFirst, Refusal};
use crate::update::FIELD_COUNT;

use super::beside::{Beside, Besides};
use super::chain::{Chains, Swap};
use super::conflict::ConflictGroup;
use super::record::{Marks, RowRecord};
use super::ruling::Ruling;
use super::shared::SharedKind;
use super::survey::index_of;
use super::tally::{Sample, Tally};

/// Updates in doubt that are named by ordinal; the rest is counted.
pub const IN_DOUBT_ORDINALS_MAX: usize = 1000;

const RULING_BITS: u8 = 0x0f;
/// The row has something beside its ruling.
pub(super) const BESIDE: u8 = 0x10;
/// The row carries an update that repeats or overwrites one in doubt.
const IN_DOUBT: u8 = 0x20;
/// The row was rejected by the policy on duplicates.
const BY_POLICY: u8 = 0x40;
/// The row's update waits for that of another subject, which gives up what it takes.
pub(super) const CHAINED: u8 = 0x80;

/// Writes the byte of a row. What it has beside its ruling stays. Only one hand may have the row.
pub(super) fn put(rulings: &[AtomicU8], index: usize, byte: u8) {
    let of = &rulings[index];
    of.store(byte | of.load(Ordering::Relaxed) & BESIDE, Ordering::Relaxed);
}

/// One ruling per row, with all that pass 2 and the reports ask about it.
#[derive(Debug)]
pub struct Plan {
    /// Ruling and flags, by ordinal. Nobody changes them any more.
    rows: Vec<AtomicU8>,
    besides: Besides,
    shares: [bool; SharedKind::ALL.len()],
    conflicts: Vec<ConflictGroup>,
    conflicts_total: u64,
    chains: Chains,
    in_doubt: Vec<u64>,
    samples: Vec<Sample>,
    facts: PlanFacts,
}

/// What could not be read back of a plan.
#[derive(Debug, thiserror::Error)]
#[error("what the plan says of row {ordinal} cannot be read back: {source}")]
pub struct BesideError {
    /// The row.
    pub ordinal: u64,
    /// Why.
    pub source: io::Error,
}

impl Plan {
    /// The ruling on a row.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn ruling(&self, ordinal: u64) -> Ruling {
        decode(self.byte(ordinal))
    }

    /// What the row has beside its ruling: fields left out of it, another version, refusals, what it shares.
    ///
    /// # Errors
    /// When it lies on disk and cannot be read.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn beside(&self, ordinal: u64) -> Result<Beside, BesideError> {
        if self.byte(ordinal) & BESIDE == 0 {
            return Ok(Beside::default());
        }
        self.besides.get(ordinal).map_err(|source| BesideError { ordinal, source })
    }

    /// The row's version in this batch, where it has none of an earlier one. The rows of a subject that a column
    /// orders have their ordinals as versions in that order, so that newer is newer in the ledger, too.
    ///
    /// # Errors
    /// As [`Plan::beside`].
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn version_ordinal(&self, ordinal: u64) -> Result<u64, BesideError> {
        Ok(self.beside(ordinal)?.version_ordinal.unwrap_or(ordinal))
    }

    /// Whether there is a row that shares something of this kind ([`Beside::shared`]).
    pub fn is_any_shared(&self, kind: SharedKind) -> bool {
        self.shares[kind as usize]
    }

    /// The plan in numbers. The batch, whether it is continued, and the places of updates in doubt are left for
    /// the wiring to fill in.
    pub fn facts(&self) -> PlanFacts {
        self.facts.clone()
    }

    /// The first conflicts, in file order, at most [`super::CONFLICT_GROUPS_MAX`]. Conflicts among unchanged rows
    /// alone are none; under [`super::ConflictPolicy::Send`] they are listed although their rows are sent.
    pub fn conflicts(&self) -> &[ConflictGroup] {
        &self.conflicts
    }

    /// How many values are contested.
    pub fn conflicts_total(&self) -> u64 {
        self.conflicts_total
    }

    /// Whether the row is an update, or part of one, that waits for the update of another subject, which gives up
    /// what it takes: it is sent in its wave ([`Beside::wave`]), after everything else.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn is_chained(&self, ordinal: u64) -> bool {
        self.byte(ordinal) & CHAINED != 0
    }

    /// Updates and clears of each wave, the first wave in front. Each takes what earlier ones give up, the first what
    /// updates give up that wait for nobody.
    pub fn waves(&self) -> &[u64] {
        &self.chains.waves
    }

    /// Those of them, from 1, that consist of clears: a reading that is cut before one of these leaves no ring half
    /// done.
    pub fn clear_waves(&self) -> &BTreeSet<u32> {
        &self.chains.clear_waves
    }

    /// The first true swaps in file order, at most [`super::SWAPS_LISTED_MAX`]: subjects that take what the others of
    /// the group give up, in a ring, so that no order of sending releases before it assigns. Under
    /// [`super::ConflictPolicy::Send`] they are listed although their rows are sent.
    pub fn swaps(&self) -> &[Swap] {
        &self.chains.swaps
    }

    /// Rows to be sent, ascending, whose subjects an earlier run has cleared, or may have, to break a swap, and of
    /// which fields: until their updates are acknowledged they are without what they had.
    pub fn cleared_before(&self) -> &[(u64, ClearedFirst)] {
        &self.chains.cleared_before
    }

    /// Rows, ascending, whose subjects an earlier run has cleared, or may have, to break a swap, and of which fields
    /// nothing of this plan gives them anything: refused before, kept back, or not said. Of a subject the row that
    /// carries its update, or its last one.
    pub fn cleared_still(&self) -> &[(u64, ClearedFirst)] {
        &self.chains.cleared_still
    }

    /// Ordinals of the first updates that settle what an earlier run left in doubt, at most
    /// [`IN_DOUBT_ORDINALS_MAX`].
    pub fn in_doubt_ordinals(&self) -> &[u64] {
        &self.in_doubt
    }

    /// How many updates settle what an earlier run left in doubt.
    pub fn in_doubt_total(&self) -> u64 {
        self.facts.in_doubt_resent
    }

    /// The first updates to send in file order, at most [`super::PlanRules::samples`].
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The refusal for which the row's update is not sent again, listed again and counted failed: refused earlier in
    /// this batch.
    ///
    /// # Errors
    /// As [`Plan::beside`].
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn refused_before(&self, ordinal: u64) -> Result<Option<Refusal>, BesideError> {
        // A conflict comes before a refusal, and is known after it.
        if self.ruling(ordinal) != Ruling::RefusedBefore {
            return Ok(None);
        }
        Ok(self.beside(ordinal)?.refused.map(|refusal| *refusal))
    }

    /// Whether the row was rejected by [`super::DuplicatePolicy::Reject`] (code `duplicate.rejected`).
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn is_rejected_by_policy(&self, ordinal: u64) -> bool {
        self.byte(ordinal) & BY_POLICY != 0
    }

    /// Whether there is such a row.
    pub fn is_any_rejected_by_policy(&self) -> bool {
        self.bytes().any(|row| row & BY_POLICY != 0)
    }

    /// Of the subjects that were cleared, parts those that are given something from the others, which are counted
    /// with those that have no row here.
    fn part_cleared(&mut self) {
        let before = std::mem::take(&mut self.chains.cleared_before);
        let (mut sent, kept): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|(ordinal, _)| self.ruling(*ordinal).is_sent());
        sent.sort_unstable_by_key(|(ordinal, _)| *ordinal);
        let mut still: BTreeMap<u64, ClearedFirst> = BTreeMap::new();
        for (ordinal, cleared) in kept.into_iter().chain(std::mem::take(&mut self.chains.cleared_still)) {
            let of = still.entry(ordinal).or_insert(cleared);
            of.fields = of.fields.union(cleared.fields);
        }
        self.facts.left_cleared += still.len() as u64;
        self.chains.cleared_before = sent;
        self.chains.cleared_still = still.into_iter().collect();
    }

    fn byte(&self, ordinal: u64) -> u8 {
        self.rows[index_of(ordinal)].load(Ordering::Relaxed)
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.rows.iter().map(|row| row.load(Ordering::Relaxed))
    }
}

/// Everything a plan is made of, before the books are closed.
pub(super) struct Books {
    pub(super) rulings: Vec<AtomicU8>,
    pub(super) filtered: u64,
    pub(super) valid: u64,
    pub(super) besides: Besides,
    pub(super) facts: PlanFacts,
    pub(super) shares: [bool; SharedKind::ALL.len()],
    pub(super) conflicts: Vec<ConflictGroup>,
    pub(super) conflicts_total: u64,
    pub(super) chains: Chains,
    pub(super) samples_max: usize,
}

impl Books {
    /// Closes the books.
    ///
    /// # Panics
    /// When a row has no disposition or two: promise 1 holds in release builds, too.
    pub(super) fn close(self, tallies: impl Iterator<Item = Tally>) -> Plan {
        let Books { rulings, filtered, valid, mut facts, samples_max, .. } = self;
        let mut samples = Vec::new();
        for mut tally in tallies {
            tally.add_to(&mut facts, &mut samples, samples_max);
        }
        facts.rows.read = rulings.len() as u64;
        facts.rows.filtered += filtered;
        // A rejected row is in no partition, and neither is a filtered one.
        facts.rows.rejected += facts.rows.read - valid - filtered;
        facts.refused_before = facts.rows.refused_before;
        facts.chains = self.chains.facts;
        assert!(facts.rows.is_balanced(), "every row read ends in exactly one disposition: {:?}", facts.rows);
        let mut plan = Plan {
            rows: rulings,
            besides: self.besides,
            shares: self.shares,
            conflicts: self.conflicts,
            conflicts_total: self.conflicts_total,
            chains: self.chains,
            in_doubt: Vec::new(),
            samples,
            facts,
        };
        plan.part_cleared();
        if plan.facts.in_doubt_resent > 0 {
            let in_doubt = (1..).zip(plan.bytes()).filter(|(_, row)| row & IN_DOUBT != 0);
            plan.in_doubt = in_doubt.map(|(ordinal, _)| ordinal).take(IN_DOUBT_ORDINALS_MAX).collect();
        }
        plan
    }
}

/// The byte of a row that was ruled on.
pub(super) fn byte_of(row: &RowRecord) -> u8 {
    let mut byte = row.ruling as u8;
    if row.marks.has(Marks::BY_POLICY) {
        byte |= BY_POLICY;
    }
    if row.ruling.is_sent() && row.marks.has(Marks::IN_DOUBT) {
        byte |= IN_DOUBT;
    }
    byte
}

pub(super) fn decode(row: u8) -> Ruling {
    Ruling::ALL[usize::from(row & RULING_BITS)]
}

const _: () = assert!(FIELD_COUNT == 9 && Ruling::ALL.len() <= RULING_BITS as usize + 1);
