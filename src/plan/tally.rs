//! The plan in numbers: counted partition by partition, so that one that is ruled on again is counted anew.
//!
//! Not here: what is counted of the ledger (`ruler.rs`), the books as a whole (`dispositions.rs`).

use std::io;

use crate::digest::FieldHash;
use crate::event::{KeyRepeated, PlanFacts, PlanRows};
use crate::ledger::{FieldState, LedgerEntry, LedgerField};
use crate::update::{FieldKind, FieldSet};

use super::record::{Marks, PartData, RowRecord};
use super::rows::Rows;
use super::ruler::Ruled;
use super::rules::PlanRules;
use super::ruling::Ruling;
use super::shared::more_rows;

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

/// What is counted of the rows of a partition.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Valid rows, by disposition. Rows read, and those that no partition has, are left out.
    rows: PlanRows,
    /// Valid rows that would change nothing at the server.
    pub(super) settled_rows: u64,
    field_changes: [u64; crate::update::FIELD_COUNT],
    subjects_new: u64,
    subjects_changed: u64,
    subjects_unchanged: u64,
    /// Known subjects that get another value than one that was known.
    subjects_altered: u64,
    in_doubt_resent: u64,
    subjects_in_doubt: u64,
    updates_refreshed: u64,
    rows_trimmed: u64,
    clears: u64,
    /// Rows of which a newer batch has set a part otherwise, whatever became of the rest.
    rows_overtaken: u64,
    /// Rows with nothing to send that overtake a failure, or what an older batch has left.
    confirmed: u64,
    /// The subject with the most rows, where any has several.
    key_repeated: Option<KeyRepeated>,
    samples: Vec<Sample>,
}

/// Whether a newer batch has set a field of the row to another value, for which it is left out. What another row of
/// its own batch has set is no reason to keep that open.
fn is_overtaken(row: &RowRecord, data: &PartData, ruled: &Ruled<'_>) -> bool {
    row.left_out.iter().any(|kind| {
        let is_other = |field: LedgerField| {
            field.version.batch > ruled.rules.batch && field.state != FieldState::Known(data.hash(row, kind))
        };
        ruled.entry.and_then(|entry| entry.field(kind)).is_some_and(is_other)
    })
}

/// Fields that rows of the subject are sent without since another batch has set them newer. What an update of this
/// very input sets, another row of it, is not missing: rows in doubt that are fed back fold as they did before.
fn trimmed(row: &RowRecord, data: &PartData, ruled: &Ruled<'_>, set_here: FieldSet) -> FieldSet {
    let (own, batch) = (data.version(row, ruled.rules.batch).batch, ruled.rules.batch);
    let is_anothers = |kind: &FieldKind| {
        let newer = ruled.entry.and_then(|entry| entry.field(*kind));
        own != batch || newer.is_some_and(|field| field.version.batch > batch)
    };
    row.left_out.minus(set_here).iter().filter(is_anothers).collect()
}

/// Rows that are sent, or folded into one that is, without fields that something newer has set.
fn rows_trimmed(ruled: &Ruled<'_>, set_here: FieldSet) -> io::Result<u64> {
    let mut count = 0;
    ruled.rows.look(|row, data| {
        let is_told = row.ruling.is_sent() || row.ruling.is_folded();
        count += u64::from(is_told && !trimmed(row, data, ruled, set_here).is_empty());
    })?;
    Ok(count)
}

impl Tally {
    /// Counts the rows of a subject.
    pub(super) fn take(&mut self, ruled: &Ruled<'_>) -> io::Result<()> {
        if let Rows::Here([row], _) = &ruled.rows
            && row.ruling == Ruling::Unchanged
            && row.left_out.is_empty()
            && !row.marks.has(Marks::CONFIRMS)
        {
            // Nearly all subjects of most nights.
            self.rows.unchanged += 1;
            self.settled_rows += 1;
            self.subjects_unchanged += 1;
            return Ok(());
        }
        let (mut is_live, mut is_unchanged) = (false, false);
        let (mut is_altered, mut is_in_doubt) = (false, false);
        let (mut set_here, mut is_any_left_out) = (FieldSet::EMPTY, false);
        let (mut sent, mut count, mut first) = (FieldSet::EMPTY, 0_u64, u64::MAX);
        let unknown = || ruled.entry.map_or(FieldSet::EMPTY, LedgerEntry::unknown);
        ruled.rows.look(|row, data| {
            *counter(&mut self.rows, row.ruling) += 1;
            (count, first) = (count + 1, first.min(row.ordinal));
            self.settled_rows += u64::from(!row.is_live());
            self.rows_overtaken += u64::from(is_overtaken(row, data, ruled));
            let is_told = row.ruling.is_sent() || row.ruling.is_folded();
            if is_told {
                set_here = set_here.union(row.present);
                is_any_left_out |= !row.left_out.is_empty();
            }
            is_live |= row.is_live();
            is_unchanged |= row.ruling.is_unchanged();
            self.confirmed += u64::from(row.ruling == Ruling::Confirmed || row.marks.has(Marks::CONFIRMS));
            if row.ruling.is_sent() {
                self.count_update(row, ruled.rules);
                self.sample(row, ruled.entry, ruled.rules.samples);
                sent = sent.union(row.changed);
                is_altered |= row.marks.has(Marks::KNOWN) && !row.changed.minus(unknown()).is_empty();
                is_in_doubt |= row.marks.has(Marks::IN_DOUBT);
            }
        })?;
        if count > 1 {
            let repeated = KeyRepeated { rows: count, first_ordinal: first, first: None, is_sent: is_live };
            self.key_repeated = more_rows(self.key_repeated, Some(repeated));
        }
        self.subjects_in_doubt += u64::from(is_in_doubt);
        self.subjects_altered += u64::from(is_altered);
        self.subjects_unchanged += u64::from(is_unchanged && !is_live);
        if is_any_left_out {
            self.rows_trimmed += rows_trimmed(ruled, set_here)?;
        }
        if !sent.is_empty() {
            self.clears += clears(&ruled.rows, sent)?;
        }
        Ok(())
    }

    fn count_update(&mut self, row: &RowRecord, rules: &PlanRules) {
        debug_assert!(row.marks.has(Marks::CARRIER), "only a carrier is sent");
        for kind in row.changed.iter() {
            self.field_changes[kind.index()] += 1;
        }
        let is_known = row.marks.has(Marks::KNOWN);
        *(if is_known { &mut self.subjects_changed } else { &mut self.subjects_new }) += 1;
        // Under `each` a row equal to the ledger may also go out for the sake of one before it.
        let is_again = is_known && row.changed.is_empty() && !row.marks.has(Marks::EQUAL);
        self.updates_refreshed += u64::from(is_again && (rules.full || rules.resend_after_s.is_some()));
        self.in_doubt_resent += u64::from(row.marks.has(Marks::IN_DOUBT));
    }

    fn sample(&mut self, row: &RowRecord, entry: Option<&LedgerEntry>, samples_max: usize) {
        if samples_max == 0 {
            return;
        }
        let is_known = |kind: &FieldKind| {
            entry
                .and_then(|entry| entry.field(*kind))
                .is_some_and(|field| matches!(field.state, FieldState::Known(_)))
        };
        let known = FieldKind::ALL.into_iter().filter(is_known).collect();
        let is_new = !row.marks.has(Marks::KNOWN);
        self.samples.push(Sample { ordinal: row.ordinal, changed: row.changed, known, is_new });
        if self.samples.len() > 2 * samples_max {
            self.keep_first(samples_max);
        }
    }

    fn keep_first(&mut self, samples_max: usize) {
        self.samples.sort_unstable_by_key(|sample| sample.ordinal);
        self.samples.truncate(samples_max);
    }

    /// Adds what is final, and returns the samples.
    pub(super) fn add_to(&mut self, facts: &mut PlanFacts, samples: &mut Vec<Sample>, samples_max: usize) {
        for ruling in Ruling::ALL {
            // Rulings that share a counter are added once: the counter is empty then.
            *counter(&mut facts.rows, ruling) += std::mem::take(counter(&mut self.rows, ruling));
        }
        for (sum, count) in facts.field_changes.iter_mut().zip(self.field_changes) {
            *sum += count;
        }
        facts.subjects_new += self.subjects_new;
        facts.subjects_changed += self.subjects_changed;
        facts.subjects_unchanged += self.subjects_unchanged;
        facts.subjects_altered += self.subjects_altered;
        facts.in_doubt_resent += self.in_doubt_resent;
        facts.subjects_in_doubt += self.subjects_in_doubt;
        facts.updates_refreshed += self.updates_refreshed;
        facts.rows_trimmed += self.rows_trimmed;
        facts.clears += self.clears;
        facts.rows_overtaken += self.rows_overtaken;
        facts.confirmed += self.confirmed;
        facts.key_repeated = more_rows(facts.key_repeated, self.key_repeated);
        samples.append(&mut self.samples);
        samples.sort_unstable_by_key(|sample| sample.ordinal);
        samples.truncate(samples_max);
    }
}

/// Rows of a subject that clear a field which the ledger does not hold as cleared: those to send, and what folds into
/// them.
fn clears(rows: &Rows<'_>, changed: FieldSet) -> io::Result<u64> {
    let mut count = 0;
    rows.look(|row, data| {
        let mut fields = row.present.intersect(changed).iter();
        let is_taken = row.ruling.is_sent() || row.ruling.is_folded();
        let clears = is_taken && fields.any(|kind| data.hash(row, kind) == FieldHash::CLEARED);
        count += u64::from(clears);
    })?;
    Ok(count)
}

fn counter(rows: &mut PlanRows, ruling: Ruling) -> &mut u64 {
    match ruling {
        Ruling::Rejected => &mut rows.rejected,
        Ruling::Filtered => &mut rows.filtered,
        Ruling::Elsewhere => &mut rows.elsewhere,
        Ruling::Duplicate => &mut rows.duplicate,
        Ruling::Superseded => &mut rows.superseded,
        Ruling::Unchanged | Ruling::Confirmed => &mut rows.unchanged,
        Ruling::Conflict => &mut rows.conflict,
        Ruling::Held => &mut rows.held,
        Ruling::Folded | Ruling::FoldedLate | Ruling::FoldedRefused => &mut rows.folded,
        Ruling::RefusedBefore => &mut rows.refused_before,
        Ruling::Send | Ruling::SendLate => &mut rows.send,
    }
}
