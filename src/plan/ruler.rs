//! Rules on all rows of a part, subject by subject, read along with the ledger.
//!
//! Not here: one subject's rows (`join.rs`), which parts there are and when they are ruled on (`phases.rs`).

use crate::digest::{FieldHash, SubjectId, SubjectTag};
use crate::ledger::{LedgerEntry, Refusal};
use crate::update::{FieldFact, FieldKind, FieldSet};

use super::beside::Beside;
use super::claim::{EXCLUSIVE, claim_of, last_claim};
use super::join::Join;
use super::phases::JoinError;
use super::record::{Marks, Part, PartData, RowRecord, same_subject};
use super::rules::{ConflictPolicy, DuplicatePolicy, PlanRules};
use super::ruling::Ruling;
use super::space::LedgerSlices;

/// A slice of the sorted ledger, read along with the sorted subjects. Opened when it is asked for the first time.
pub(super) struct Entries<'l, L: LedgerSlices> {
    ledger: &'l L,
    from: SubjectId,
    to_exclusive: Option<SubjectId>,
    slice: Option<L::Slice>,
    is_over: bool,
    /// The entry read last, where [`Entries::is_read`].
    current: LedgerEntry,
    is_read: bool,
    /// Whether a subject of the batch was found to be its own.
    is_found: bool,
    tag: Option<SubjectTag>,
    /// Subjects of the job's target and key field that something was acknowledged of.
    pub(super) known: u64,
    /// Those of them that have no row in the batch.
    pub(super) missing: u64,
}

impl<'l, L: LedgerSlices> Entries<'l, L> {
    pub(super) fn new(
        ledger: &'l L,
        from: SubjectId,
        to_exclusive: Option<SubjectId>,
        tag: Option<SubjectTag>,
    ) -> Self {
        Entries {
            ledger,
            from,
            to_exclusive,
            slice: None,
            is_over: false,
            current: LedgerEntry::new(from),
            is_read: false,
            is_found: false,
            tag,
            known: 0,
            missing: 0,
        }
    }

    /// The entry of a subject, passing over the entries before it. Subjects must be asked for in ascending order.
    fn seek(&mut self, subject: SubjectId) -> Result<Option<&LedgerEntry>, L::Error> {
        while !self.is_over && (!self.is_read || self.current.subject < subject) {
            self.advance()?;
        }
        if self.is_read && self.current.subject == subject {
            self.is_found = true;
            return Ok(Some(&self.current));
        }
        Ok(None)
    }

    /// Reads the rest, to count it.
    pub(super) fn drain(&mut self) -> Result<(), L::Error> {
        while !self.is_over {
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), L::Error> {
        let slice = match &mut self.slice {
            Some(slice) => slice,
            None => self.slice.insert(self.ledger.slice(self.from, self.to_exclusive)?),
        };
        if self.is_read && is_counted(&self.current, self.tag) {
            self.known += 1;
            self.missing += u64::from(!self.is_found);
        }
        let last = self.is_read.then_some(self.current.subject);
        // Where there is no further one, what stood there is not looked at any more.
        self.is_read = false;
        self.is_read = L::read_next(slice, &mut self.current)?;
        self.is_found = false;
        self.is_over = !self.is_read;
        assert!(
            self.is_over || last.is_none_or(|last| last < self.current.subject),
            "the ledger comes ascending by subject"
        );
        Ok(())
    }
}

fn is_counted(entry: &LedgerEntry, tag: Option<SubjectTag>) -> bool {
    entry.acked.is_some() && tag == Some(entry.subject.tag())
}

/// Values that several subjects claim, with at least one claim that would change something.
#[derive(Debug, Default)]
pub(super) struct Contested {
    values: Vec<(FieldHash, FieldKind)>,
    /// Rows, ascending, that carry updates of subjects which swap among each other and are held back for it.
    pub(super) swapping: Vec<u64>,
}

impl Contested {
    pub(super) fn new(mut values: Vec<(FieldHash, FieldKind)>) -> Contested {
        values.sort_unstable();
        values.dedup();
        Contested { values, swapping: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn contains(&self, kind: FieldKind, hash: FieldHash) -> bool {
        self.values.binary_search(&(hash, kind)).is_ok()
    }

    /// Whether the subject of these rows is held back because it swaps with others.
    fn is_swapping(&self, rows: &[RowRecord]) -> bool {
        !self.swapping.is_empty() && rows.iter().any(|row| self.swapping.binary_search(&row.ordinal).is_ok())
    }

    /// Marks the rows that set a contested value. Earlier rows that set the same value are contested with the last one:
    /// sending them would claim it.
    fn mark(&self, rows: &mut [RowRecord], data: &PartData, key: FieldKind) {
        if self.values.is_empty() {
            return;
        }
        for field in EXCLUSIVE.minus(FieldSet::only(key)).iter() {
            let claimed = last_claim(rows, data, field).map(|claim| claim.hash);
            let Some(claimed) = claimed.filter(|hash| self.contains(field, *hash)) else { continue };
            for row in rows.iter_mut() {
                if claim_of(row, data, field) == Some(claimed) {
                    row.marks.add(Marks::CONTESTED);
                }
            }
        }
    }
}

/// The rows of a subject, ruled on, in the order of their versions.
pub(super) struct Ruled<'s> {
    pub(super) rows: &'s [RowRecord],
    pub(super) data: &'s PartData,
    pub(super) entry: Option<&'s LedgerEntry>,
    /// Definite refusals so far of rows, by ordinal.
    pub(super) refusals: &'s [(u64, u32)],
    /// Refusals that keep updates from being sent again, by the carrier's ordinal.
    pub(super) refused_before: &'s [(u64, Refusal)],
}

impl Ruled<'_> {
    /// What the join has to say of a row beside its ruling.
    pub(super) fn beside(&self, row: &RowRecord) -> Option<Beside> {
        let refusals = self.refusals.iter().find(|(ordinal, _)| *ordinal == row.ordinal);
        let refused = self.refused_before.iter().find(|(ordinal, _)| *ordinal == row.ordinal);
        let is_held = row.ruling == Ruling::Held;
        if row.left_out.is_empty()
            && row.not_sent.is_empty()
            && refusals.is_none()
            && refused.is_none()
            && !is_held
        {
            return None;
        }
        let unknown = self.entry.filter(|_| is_held).map_or(FieldSet::EMPTY, LedgerEntry::unknown);
        Some(Beside {
            left_out: row.left_out,
            not_sent: row.not_sent,
            unknown,
            confirms: row.marks.has(Marks::CONFIRMS),
            refusals: refusals.map_or(0, |(_, count)| *count),
            refused: refused.map(|(_, refusal)| Box::new(refusal.clone())),
            ..Beside::default()
        })
    }
}

/// Rules on all rows of a sorted part, and shows them subject by subject.
///
/// # Errors
/// The first error of the ledger, or a subject with too many rows.
pub(super) fn rule_part<L: LedgerSlices>(
    part: &mut Part,
    (rules, subject_rows_max): (&PlanRules, u64),
    entries: &mut Entries<'_, L>,
    contested: &Contested,
    show: &mut dyn FnMut(Ruled<'_>),
) -> Result<(), JoinError<L::Error>> {
    let Part { records, data, .. } = part;
    let mut join = Join::new(rules, data);
    for rows in records.chunk_by_mut(same_subject) {
        if rows.len() as u64 > subject_rows_max {
            let first_ordinal = rows[0].ordinal;
            return Err(JoinError::SubjectRows { rows_max: subject_rows_max, first_ordinal });
        }
        let entry = entries.seek(rows[0].subject).map_err(JoinError::Ledger)?;
        join.rule(rows, entry);
        contested.mark(rows, data, rules.key);
        conclude(rows, rules);
        if contested.is_swapping(rows) {
            hold_swap(rows);
        }
        let may_overtake = |entry: &&LedgerEntry| {
            !entry.refusals.is_empty() || !entry.said.is_empty() || rules.older_open.is_some()
        };
        if let Some(entry) = entry.filter(may_overtake) {
            confirm(rows, data, rules, entry);
        }
        let (refusals, refused_before) = (&join.refusals[..], &join.refused_before[..]);
        show(Ruled { rows, data, entry, refusals, refused_before });
    }
    Ok(())
}

/// Finds the unchanged rows that overtake a failure of their subject, or what an older batch has left open of it: each by
/// itself, for what one of them says is newer, whatever the others say. Where fields are folded the last row that has the
/// ledger's value counts. So it is with what is left of a row that is superseded, and with a row that was corrected to
/// what was acknowledged before.
fn confirm(rows: &mut [RowRecord], data: &PartData, rules: &PlanRules, entry: &LedgerEntry) {
    let has_nothing_to_send = |row: &&mut RowRecord| {
        matches!(row.ruling, Ruling::Unchanged | Ruling::Superseded) && row.marks.has(Marks::PART)
    };
    for row in rows.iter_mut().filter(has_nothing_to_send) {
        let version = data.version(row, rules.batch);
        let fields = row.present.minus(FieldSet::only(rules.key));
        let facts = || fields.iter().map(|kind| FieldFact { kind, hash: data.hash(row, kind), version });
        if entry.corrects(facts()) || !entry.said_between(facts(), rules.older_open).is_empty() {
            if row.ruling == Ruling::Superseded {
                row.marks.add(Marks::CONFIRMS);
            } else {
                row.ruling = Ruling::Confirmed;
            }
        }
    }
}

/// Holds back a subject that swaps with others. A row equal to the ledger is sent only behind one that is not.
fn hold_swap(rows: &mut [RowRecord]) {
    for row in rows.iter_mut().filter(|row| row.is_live()) {
        row.ruling = if row.marks.has(Marks::EQUAL) { of_equal(row) } else { Ruling::Conflict };
    }
}

/// The ruling on a row of which nothing is left that the ledger does not have.
fn of_equal(row: &RowRecord) -> Ruling {
    if row.marks.has(Marks::OVERTAKEN) { Ruling::Superseded } else { Ruling::Unchanged }
}

/// The row that carries the update of a subject, or its last one; `None` when nothing of the subject is sent.
pub(super) fn carrier(rows: &[RowRecord]) -> Option<u64> {
    rows.iter().filter(|row| row.ruling.is_sent()).map(|row| row.ordinal).max()
}

/// The last word on the rows of a subject, once the conflicts are known.
fn conclude(rows: &mut [RowRecord], rules: &PlanRules) {
    let holds = rules.conflicts == ConflictPolicy::Hold;
    let parts = |row: &&mut RowRecord| row.is_live();
    if rules.duplicates != DuplicatePolicy::Each {
        // One update: a conflict of any of its rows is the conflict of all.
        if holds && rows.iter().any(|row| row.marks.has(Marks::CONTESTED)) {
            for row in rows.iter_mut().filter(parts) {
                row.ruling = Ruling::Conflict;
            }
        }
        return;
    }
    let mut is_sent = false;
    for row in rows.iter_mut().filter(parts) {
        if row.marks.has(Marks::EQUAL) && !is_sent {
            row.ruling = of_equal(row);
        } else if holds && row.marks.has(Marks::CONTESTED) {
            row.ruling = Ruling::Conflict;
        }
        is_sent |= row.ruling.is_sent();
    }
}
