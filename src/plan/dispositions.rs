//! The plan as it was made: one byte per row, and what few rows have beside it.
//!
//! Not here: the rulings subject by subject (`join.rs`); this puts them in order, has the last word on conflicts and
//! on `each`, and closes the books.

use crate::digest::FieldHash;
use crate::event::{PlanFacts, PlanRows};
use crate::ledger::{LedgerEntry, Refusal};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::conflict::{ConflictGroup, Conflicts, same_subject};
use super::figures::KnownSubjects;
use super::join::Join;
use super::rules::{ConflictPolicy, DuplicatePolicy, PlanRules};
use super::ruling::Ruling;
use super::shared::{Shared, SharedKind};
use super::survey::{Displaced, Marks, RowRecord, Survey, index_of};

/// Updates in doubt that are named by ordinal; the rest is counted.
pub const IN_DOUBT_ORDINALS_MAX: usize = 1000;

const RULING_BITS: u8 = 0x0f;
/// Something of the row is left out.
const LEFT_OUT: u8 = 0x10;
/// The row carries an update that repeats or overwrites one in doubt.
const IN_DOUBT: u8 = 0x20;
/// The row was rejected by the policy on duplicates.
const BY_POLICY: u8 = 0x40;
/// A column gives the row another version than its place.
const REORDERED: u8 = 0x80;

/// One ruling per row, with all that pass 2 and the reports ask about it.
#[derive(Debug)]
pub struct Plan {
    /// Ruling and flags, by ordinal.
    rows: Vec<u8>,
    left_out: Vec<(u64, FieldSet)>,
    /// Ordinals of the versions of reordered rows.
    reordered: Vec<(u64, u64)>,
    shared: Shared,
    refusals: Vec<(u64, u32)>,
    refused_before: Vec<(u64, Refusal)>,
    conflicts: Vec<ConflictGroup>,
    conflicts_total: u64,
    in_doubt: Vec<u64>,
    samples: Vec<Sample>,
    facts: PlanFacts,
}

/// An update to send, as an example of what the plan changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Ordinal of the row that carries it.
    pub ordinal: u64,
    /// Fields it sets to something else than the ledger holds, unknown ones among them.
    pub changed: FieldSet,
    /// Fields of its subject whose value was known before.
    pub known: FieldSet,
    /// Whether nothing of its subject was acknowledged before.
    pub is_new: bool,
}

impl Plan {
    /// The ruling on a row.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn ruling(&self, ordinal: u64) -> Ruling {
        decode(self.rows[index_of(ordinal)])
    }

    /// Fields of the row that are not sent, because an acknowledgement, an intent or a row with a newer version has
    /// set them. Told of superseded rows, too.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn left_out(&self, ordinal: u64) -> FieldSet {
        if self.rows[index_of(ordinal)] & LEFT_OUT == 0 {
            return FieldSet::EMPTY;
        }
        find(&self.left_out, ordinal).copied().unwrap_or(FieldSet::EMPTY)
    }

    /// The ordinal in the row's version: its own, unless a column gives the order. The rows of a subject then have
    /// their ordinals as versions in that order, so that newer is newer in the ledger, too.
    ///
    /// # Panics
    /// When no such row was surveyed.
    pub fn version_ordinal(&self, ordinal: u64) -> u64 {
        if self.rows[index_of(ordinal)] & REORDERED == 0 {
            return ordinal;
        }
        find(&self.reordered, ordinal).copied().unwrap_or(ordinal)
    }

    /// What a row shares with rows of other subjects, or pairs differently than another row does: to be told, and no
    /// reason to hold it back.
    pub fn shared(&self, ordinal: u64) -> impl Iterator<Item = SharedKind> {
        self.shared.of(ordinal)
    }

    /// Whether there is such a row of this kind.
    pub fn is_any_shared(&self, kind: SharedKind) -> bool {
        self.shared.is_any(kind)
    }

    /// Definite refusals so far of the update the row carries, in exactly its version; part of the idempotency key.
    /// Of a folded row: of its own version, in case the row is sent early ([`super::Folded::Early`]).
    pub fn refusals(&self, ordinal: u64) -> u32 {
        find(&self.refusals, ordinal).copied().unwrap_or(0)
    }

    /// The plan in numbers. The batch, whether it is continued, and the places of updates in doubt are left for
    /// the wiring to fill in.
    pub fn facts(&self) -> PlanFacts {
        self.facts.clone()
    }

    /// The first conflicts, in file order, at most [`super::CONFLICT_GROUPS_MAX`]. Conflicts among unchanged rows
    /// alone are none; under [`ConflictPolicy::Send`] they are listed although their rows are sent.
    pub fn conflicts(&self) -> &[ConflictGroup] {
        &self.conflicts
    }

    /// How many values are contested.
    pub fn conflicts_total(&self) -> u64 {
        self.conflicts_total
    }

    /// Ordinals of the first updates that an earlier run left in doubt and that are sent again, at most
    /// [`IN_DOUBT_ORDINALS_MAX`].
    pub fn in_doubt_ordinals(&self) -> &[u64] {
        &self.in_doubt
    }

    /// How many updates that an earlier run left in doubt are sent again.
    pub fn in_doubt_total(&self) -> u64 {
        self.facts.in_doubt_resent
    }

    /// The first updates to send in file order, at most [`PlanRules::samples`].
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Updates refused earlier in this batch, by ordinal of their carrier: listed again and counted failed.
    pub fn refused_before(&self) -> impl Iterator<Item = (u64, &Refusal)> {
        self.refused_before.iter().map(|(ordinal, refusal)| (*ordinal, refusal))
    }

    /// Ordinals of the rows rejected by [`DuplicatePolicy::Reject`] (code `duplicate.rejected`).
    pub fn rejected_by_policy(&self) -> impl Iterator<Item = u64> {
        (1..).zip(&self.rows).filter(|(_, row)| **row & BY_POLICY != 0).map(|(ordinal, _)| ordinal)
    }
}

/// Makes the plan of a survey.
pub(super) fn plan_of<E>(
    mut survey: Survey,
    rules: &PlanRules,
    ledger: impl Iterator<Item = Result<LedgerEntry, E>>,
) -> Result<Plan, E> {
    survey.records.sort_unstable_by_key(|row| (row.subject, row.ordinal));
    let reordered = reorder(&mut survey, rules.batch);
    let mut join = Join::new(rules, &survey.table, &survey.replayed);
    let mut ledger = Ledger { entries: ledger.fuse(), current: None, rules, known: KnownSubjects::default() };
    for rows in survey.records.chunk_by_mut(same_subject) {
        let entry = ledger.seek(rows)?;
        join.rule(rows, entry);
    }
    let known = ledger.finish()?;
    let Join { refusals, refused_before, .. } = join;
    let conflicts = Conflicts::find(&mut survey.records, &survey.table, rules.key);
    for rows in survey.records.chunk_by_mut(same_subject) {
        conclude(rows, rules);
    }
    let (listed, conflicts_total) = conflicts.list(&survey.records, &survey.table, rules.key);
    let mut plan = close_books(&survey, rules.key);
    for (ordinal, _) in &reordered {
        plan.rows[index_of(*ordinal)] |= REORDERED;
    }
    plan.reordered = reordered;
    plan.shared = Shared::find(&survey.records, &survey.table, rules.key, survey.rows());
    plan.facts.clears = clears(&survey);
    plan.samples = known.conclude(&survey.records, &survey.table, rules, &mut plan.facts);
    plan.refusals = refusals;
    plan.refusals.sort_unstable();
    plan.refused_before = refused_before;
    // A conflict comes before a refusal, and is known after it.
    plan.refused_before.retain(|(ordinal, _)| decode(plan.rows[index_of(*ordinal)]) == Ruling::RefusedBefore);
    plan.refused_before.sort_by_key(|(ordinal, _)| *ordinal);
    plan.conflicts = listed;
    plan.conflicts_total = conflicts_total;
    Ok(plan)
}

/// Gives the rows of a subject the versions of the order that a column says: the ordinals they have, dealt out anew,
/// the newest row getting the last one. From here on they are rows with a version of their own, as replayed rows are,
/// and everything that versions decide (folding, the ledger, a resume, a replay) follows the column. Rejected rows take
/// part, for they may come back corrected. Rows that are replayed keep the version they have. Returns the new ordinals
/// of those that got another one, by ordinal.
fn reorder(survey: &mut Survey, batch: u64) -> Vec<(u64, u64)> {
    let mut reordered = Vec::new();
    if !survey.is_ranked() {
        return reordered;
    }
    let mut records = std::mem::take(&mut survey.records);
    let mut displaced = std::mem::take(&mut survey.displaced);
    displaced.sort_unstable_by_key(|row| (row.subject, row.ordinal));
    let mut displaced = displaced.as_slice();
    let mut order = Order::default();
    for rows in records.chunk_by_mut(same_subject) {
        let subject = rows[0].subject;
        while displaced.first().is_some_and(|row| row.subject < subject) {
            order.extend_rejected(&mut displaced);
            order.deal(&mut reordered);
        }
        if displaced.first().is_some_and(|row| row.subject == subject) {
            order.extend_rejected(&mut displaced);
        }
        let ordinary = rows.iter().filter(|row| !row.marks.has(Marks::REPLAYED));
        order.rows.extend(ordinary.map(|row| (survey.rank(row.ordinal), row.ordinal)));
        let begin = order.deal(&mut reordered);
        for row in rows {
            let is_moved = reordered[begin..].binary_search_by_key(&row.ordinal, |(ordinal, _)| *ordinal);
            row.marks.add_if(is_moved.is_ok(), Marks::REPLAYED);
        }
    }
    while !displaced.is_empty() {
        order.extend_rejected(&mut displaced);
        order.deal(&mut reordered);
    }
    survey.records = records;
    reordered.sort_unstable();
    let versions = reordered.iter().map(|(ordinal, dealt)| (*ordinal, Version { batch, ordinal: *dealt }));
    survey.replayed.extend(versions);
    survey.replayed.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    reordered
}

/// The rows of one subject that a column orders.
#[derive(Debug, Default)]
struct Order {
    /// Rank and ordinal of each.
    rows: Vec<(i128, u64)>,
    /// Their ordinals, to be dealt out.
    ordinals: Vec<u64>,
}

impl Order {
    /// Takes the rejected rows of the first subject among them.
    fn extend_rejected(&mut self, displaced: &mut &[Displaced]) {
        let Some(first) = displaced.first() else { return };
        let (rows, rest) = displaced.split_at(displaced.partition_point(|row| row.subject == first.subject));
        self.rows.extend(rows.iter().map(|row| (row.rank, row.ordinal)));
        *displaced = rest;
    }

    /// Deals out the ordinals by rank and forgets the rows. Adds those that got another one, by ordinal, and returns
    /// where they begin.
    fn deal(&mut self, reordered: &mut Vec<(u64, u64)>) -> usize {
        let begin = reordered.len();
        // Rows of equal rank stay in the order of the file.
        self.rows.sort_unstable();
        self.ordinals.clear();
        self.ordinals.extend(self.rows.iter().map(|(_, ordinal)| *ordinal));
        self.ordinals.sort_unstable();
        let dealt = self.rows.drain(..).map(|(_, ordinal)| ordinal).zip(self.ordinals.iter().copied());
        reordered.extend(dealt.filter(|(ordinal, dealt)| ordinal != dealt));
        reordered[begin..].sort_unstable();
        begin
    }
}

/// Rows that clear a field which the ledger does not hold as cleared: those to send, and what folds into them.
fn clears(survey: &Survey) -> u64 {
    let mut count = 0;
    if !survey.table.is_clearing() {
        return count;
    }
    for rows in survey.records.chunk_by(same_subject) {
        let carriers = rows.iter().filter(|row| row.ruling.is_sent());
        let changed = carriers.fold(FieldSet::EMPTY, |all, row| all.union(row.changed));
        if changed.is_empty() {
            continue;
        }
        let clears = |row: &&RowRecord| {
            let fields = row.present.intersect(changed);
            fields.iter().any(|kind| survey.table.hash(row.ordinal, kind) == FieldHash::CLEARED)
        };
        let taken = rows.iter().filter(|row| row.ruling.is_sent() || row.ruling.is_folded());
        count += taken.filter(clears).count() as u64;
    }
    count
}

/// The sorted ledger, read along with the sorted subjects.
struct Ledger<'a, I> {
    entries: I,
    current: Option<LedgerEntry>,
    rules: &'a PlanRules,
    known: KnownSubjects,
}

impl<E, I: Iterator<Item = Result<LedgerEntry, E>>> Ledger<'_, I> {
    /// The entry of the subject of these rows, passing over the entries before it.
    fn seek(&mut self, rows: &[RowRecord]) -> Result<Option<&LedgerEntry>, E> {
        let subject = rows[0].subject;
        while self.current.as_ref().is_none_or(|entry| entry.subject < subject) {
            let Some(next) = self.entries.next().transpose()? else {
                self.known.join(None, self.rules);
                return Ok(None);
            };
            let is_ascending = self.current.as_ref().is_none_or(|entry| entry.subject < next.subject);
            assert!(is_ascending, "the ledger comes ascending by subject");
            self.known.pass(&next, self.rules);
            self.current = Some(next);
        }
        let entry = self.current.as_ref().filter(|entry| entry.subject == subject);
        self.known.join(entry, self.rules);
        Ok(entry)
    }

    /// Passes over the rest.
    fn finish(mut self) -> Result<KnownSubjects, E> {
        while let Some(next) = self.entries.next().transpose()? {
            self.known.pass(&next, self.rules);
        }
        Ok(self.known)
    }
}

/// The last word on the rows of a subject, once the conflicts are known.
fn conclude(rows: &mut [RowRecord], rules: &PlanRules) {
    let holds = rules.conflicts == ConflictPolicy::Hold;
    let parts = || |row: &&mut RowRecord| row.marks.has(Marks::PART) && row.ruling != Ruling::Unchanged;
    if rules.duplicates != DuplicatePolicy::Each {
        // One update: a conflict of any of its rows is the conflict of all.
        if holds && rows.iter().any(|row| row.marks.has(Marks::CONTESTED)) {
            for row in rows.iter_mut().filter(parts()) {
                row.ruling = Ruling::Conflict;
            }
        }
        return;
    }
    let mut is_sent = false;
    for row in rows.iter_mut().filter(parts()) {
        if row.marks.has(Marks::EQUAL) && !is_sent {
            row.ruling = Ruling::Unchanged;
        } else if holds && row.marks.has(Marks::CONTESTED) {
            row.ruling = Ruling::Conflict;
        }
        is_sent |= row.ruling.is_sent();
    }
}

/// Puts the rulings in file order and counts them.
///
/// # Panics
/// When a row has no disposition or two: promise 1 holds in release builds, too.
fn close_books(survey: &Survey, key: FieldKind) -> Plan {
    let surveyed = usize::try_from(survey.rows()).unwrap_or(usize::MAX);
    let mut plan = Plan {
        rows: vec![Ruling::Rejected as u8; surveyed],
        left_out: Vec::new(),
        reordered: Vec::new(),
        shared: Shared::default(),
        refusals: Vec::new(),
        refused_before: Vec::new(),
        conflicts: Vec::new(),
        conflicts_total: 0,
        in_doubt: Vec::new(),
        samples: Vec::new(),
        facts: PlanFacts { key: Some(key), ..PlanFacts::default() },
    };
    let facts = &mut plan.facts;
    facts.rows.read = survey.rows();
    facts.rows.filtered = survey.filtered.len() as u64;
    for ordinal in &survey.filtered {
        plan.rows[index_of(*ordinal)] = Ruling::Filtered as u8;
    }
    // A rejected row has no record, and neither has a filtered one.
    facts.rows.rejected = survey.rows() - survey.records.len() as u64 - facts.rows.filtered;
    for row in &survey.records {
        *counter(&mut facts.rows, row.ruling) += 1;
        let mut byte = row.ruling as u8;
        if !row.left_out.is_empty() {
            byte |= LEFT_OUT;
            plan.left_out.push((row.ordinal, row.left_out));
        }
        if row.marks.has(Marks::BY_POLICY) {
            byte |= BY_POLICY;
        }
        if row.ruling.is_sent() {
            count_update(facts, row);
            if row.marks.has(Marks::IN_DOUBT) {
                byte |= IN_DOUBT;
            }
        }
        plan.rows[index_of(row.ordinal)] = byte;
    }
    facts.refused_before = facts.rows.refused_before;
    assert!(facts.rows.is_balanced(), "every row read ends in exactly one disposition: {:?}", facts.rows);
    plan.left_out.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    plan.in_doubt = (1..)
        .zip(&plan.rows)
        .filter(|(_, row)| **row & IN_DOUBT != 0)
        .map(|(ordinal, _)| ordinal)
        .take(IN_DOUBT_ORDINALS_MAX)
        .collect();
    plan
}

fn count_update(facts: &mut PlanFacts, row: &RowRecord) {
    debug_assert!(row.marks.has(Marks::CARRIER), "only a carrier is sent");
    for (count, kind) in facts.field_changes.iter_mut().zip(FieldKind::ALL) {
        *count += u64::from(row.changed.contains(kind));
    }
    let subjects =
        if row.marks.has(Marks::KNOWN) { &mut facts.subjects_changed } else { &mut facts.subjects_new };
    *subjects += 1;
    facts.in_doubt_resent += u64::from(row.marks.has(Marks::IN_DOUBT));
}

fn counter(rows: &mut PlanRows, ruling: Ruling) -> &mut u64 {
    match ruling {
        Ruling::Rejected => &mut rows.rejected,
        Ruling::Filtered => &mut rows.filtered,
        Ruling::Elsewhere => &mut rows.elsewhere,
        Ruling::Duplicate => &mut rows.duplicate,
        Ruling::Superseded => &mut rows.superseded,
        Ruling::Unchanged => &mut rows.unchanged,
        Ruling::Conflict => &mut rows.conflict,
        Ruling::Held => &mut rows.held,
        Ruling::Folded | Ruling::FoldedLate | Ruling::FoldedRefused => &mut rows.folded,
        Ruling::RefusedBefore => &mut rows.refused_before,
        Ruling::Send | Ruling::SendLate => &mut rows.send,
    }
}

fn decode(row: u8) -> Ruling {
    Ruling::ALL[usize::from(row & RULING_BITS)]
}

fn find<T>(sorted: &[(u64, T)], ordinal: u64) -> Option<&T> {
    let at = sorted.binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal).ok()?;
    Some(&sorted[at].1)
}

const _: () = assert!(FIELD_COUNT == 9 && Ruling::ALL.len() <= RULING_BITS as usize + 1);
