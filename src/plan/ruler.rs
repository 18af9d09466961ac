//! Rules on all rows of a leaf, subject by subject, read along with the ledger.
//!
//! Not here: one subject's rows (`join.rs`), which leaves there are and when they are ruled on (`phases.rs`).

use std::io;

use crate::digest::{FieldHash, SubjectId, SubjectTag};
use crate::ledger::{LedgerEntry, Refusal};
use crate::row::Version;
use crate::update::{FieldFact, FieldKind, FieldSet};

use super::beside::Beside;
use super::claim::{EXCLUSIVE, Ends, claim_of};
use super::join::Join;
use super::large::LargeBounds;
use super::leaves::Leaf;
use super::phases::JoinError;
use super::record::{Marks, Part, PartData, RowRecord, same_subject};
use super::reorder::reorder;
use super::rows::Rows;
use super::rules::{ConflictPolicy, DuplicatePolicy, PlanRules};
use super::ruling::Ruling;
use super::space::{LedgerSlices, Space};

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
    /// Subjects of the same kind without a row that an update is in doubt of.
    pub(super) left_in_doubt: u64,
    /// Those that were cleared to break a swap, and got nothing since.
    pub(super) left_cleared: u64,
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
            left_in_doubt: 0,
            left_cleared: 0,
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
        if self.is_read && self.tag == Some(self.current.subject.tag()) {
            let is_known = self.current.acked.is_some();
            self.known += u64::from(is_known);
            if !self.is_found {
                self.missing += u64::from(is_known);
                self.left_in_doubt += u64::from(!self.current.in_doubt.is_empty());
                self.left_cleared += u64::from(!self.current.cleared_first().fields.is_empty());
            }
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

/// Values that several subjects claim, with at least one claim that would change something.
#[derive(Debug, Default)]
pub(super) struct Contested {
    values: Vec<(FieldHash, FieldKind)>,
    /// Rows, ascending, that carry updates of subjects which swap among each other and are held back for it.
    pub(super) swapping: Vec<u64>,
    /// Rows, ascending, that carry updates which wait for others that are held.
    pub(super) waiting: Vec<u64>,
}

impl Contested {
    pub(super) fn new(mut values: Vec<(FieldHash, FieldKind)>) -> Contested {
        values.sort_unstable();
        values.dedup();
        Contested { values, ..Contested::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn contains(&self, kind: FieldKind, hash: FieldHash) -> bool {
        self.values.binary_search(&(hash, kind)).is_ok()
    }

    /// Whether the subject of these rows is held back because it swaps with others.
    fn is_swapping(&self, rows: &Rows<'_>) -> io::Result<bool> {
        is_any_of(&self.swapping, rows)
    }

    /// Whether it waits for another that is held.
    fn is_waiting(&self, rows: &Rows<'_>) -> io::Result<bool> {
        is_any_of(&self.waiting, rows)
    }

    /// Marks the rows that set a contested value, and tells whether there are any. Earlier rows that set the same
    /// value are contested with the last one: sending them would claim it.
    fn mark(&self, rows: &mut Rows<'_>, key: FieldKind) -> io::Result<bool> {
        if self.values.is_empty() {
            return Ok(false);
        }
        let fields = EXCLUSIVE.minus(FieldSet::only(key));
        let ends = Ends::of(rows, None, fields)?;
        let claims = fields.iter().filter_map(|field| Some((field, ends.last_claim(field)?.hash)));
        let claims: Vec<_> = claims.filter(|(field, hash)| self.contains(*field, *hash)).collect();
        if !claims.is_empty() {
            rows.change(|row, data| {
                let is_contested =
                    claims.iter().any(|(field, hash)| claim_of(row, data, *field) == Some(*hash));
                row.marks.add_if(is_contested, Marks::CONTESTED);
            })?;
        }
        Ok(!claims.is_empty())
    }
}

fn is_any_of(ordinals: &[u64], rows: &Rows<'_>) -> io::Result<bool> {
    Ok(!ordinals.is_empty() && rows.any(|row| ordinals.binary_search(&row.ordinal).is_ok())?)
}

/// The rows of a subject, ruled on, in the order of their versions.
pub(super) struct Ruled<'s> {
    pub(super) rows: Rows<'s>,
    pub(super) entry: Option<&'s LedgerEntry>,
    pub(super) rules: &'s PlanRules,
    /// The version of the update that they fold into.
    update_version: Option<Version>,
    /// See [`Join::doubted`].
    doubted: FieldSet,
}

impl Ruled<'_> {
    /// What the join has to say of a row beside its ruling.
    pub(super) fn beside(&self, row: &RowRecord, data: &PartData) -> Option<Beside> {
        let refusal = self.refusal(row, data);
        let refused = refusal.filter(|_| row.marks.has(Marks::REFUSED));
        let is_held = row.ruling == Ruling::Held;
        let settles = self.settles(row);
        let is_plain = row.left_out.is_empty() && row.not_sent.is_empty() && refusal.is_none();
        if is_plain && settles.is_none() && !is_held {
            return None;
        }
        let unknown = self.entry.filter(|_| is_held).map_or(FieldSet::EMPTY, LedgerEntry::unknown);
        Some(Beside {
            left_out: row.left_out,
            not_sent: row.not_sent,
            unknown,
            confirms: row.marks.has(Marks::CONFIRMS),
            refusals: refusal.map_or(0, |refusal| refusal.count),
            refused: refused.map(|refusal| Box::new(refusal.clone())),
            settles,
            ..Beside::default()
        })
    }

    /// The version of the update in doubt whose word the update that a row carries repeats, where that is not its
    /// own; of a folded row, what it repeats itself.
    fn settles(&self, row: &RowRecord) -> Option<Version> {
        if self.doubted.is_empty() || !row.marks.has(Marks::PART) {
            return None;
        }
        let is_whole = row.marks.has(Marks::CARRIER) && self.rules.duplicates != DuplicatePolicy::Each;
        let own = row.present.minus(row.not_sent).intersect(self.doubted);
        let repeated = if is_whole { self.doubted } else { own };
        repeated.iter().filter_map(|kind| Some(self.entry?.field(kind)?.version)).max()
    }

    /// The refusal of the update that a row carries, or of a row that is part of one.
    fn refusal(&self, row: &RowRecord, data: &PartData) -> Option<&Refusal> {
        let refusals = self.entry.filter(|entry| !entry.refusals.is_empty())?;
        let is_carrier = row.marks.has(Marks::CARRIER);
        let is_part = row.marks.has(Marks::PART) && self.update_version.is_some();
        if !is_carrier && !is_part {
            return None;
        }
        let own = || data.version(row, self.rules.batch);
        let version = self.update_version.filter(|_| is_carrier).unwrap_or_else(own);
        refusals.refusal(version).filter(|refusal| refusal.count > 0 || row.marks.has(Marks::REFUSED))
    }
}

/// Who is shown the subjects.
pub(super) type Show<'s> = dyn FnMut(&Ruled<'_>) -> io::Result<()> + 's;

/// Rules on leaves.
pub(super) struct Ruler<'r> {
    pub(super) rules: &'r PlanRules,
    pub(super) contested: &'r Contested,
    pub(super) space: &'r dyn Space,
    pub(super) bounds: LargeBounds,
}

impl Ruler<'_> {
    /// Rules on all rows of a leaf, and shows them subject by subject. Tells the new ordinals of rows that a column
    /// puts in another place.
    ///
    /// # Errors
    /// The first error of the ledger, of the space, or of who is shown them.
    pub(super) fn rule<L: LedgerSlices>(
        &self,
        leaf: Leaf<'_>,
        entries: &mut Entries<'_, L>,
        told: &mut dyn FnMut(u64, u64),
        show: &mut Show<'_>,
    ) -> Result<(), JoinError<L::Error>> {
        let mut join = Join::new(self.rules);
        match leaf {
            Leaf::Part(part) => {
                part.sort();
                reorder(part, self.rules.batch, told);
                let Part { records, data, .. } = part;
                for rows in records.chunk_by_mut(same_subject) {
                    let entry = entries.seek(rows[0].subject).map_err(JoinError::Ledger)?;
                    self.subject(&mut join, Rows::Here(rows, data), entry, show).map_err(JoinError::Space)?;
                }
                Ok(())
            }
            Leaf::Large(large) => {
                let chunks = large.in_order(self.space, self.bounds, self.rules.batch, told);
                let chunks = chunks.map_err(JoinError::Space)?;
                if chunks.is_empty() {
                    // Nothing but rejected rows.
                    return Ok(());
                }
                let entry = entries.seek(large.subject).map_err(JoinError::Ledger)?;
                self.subject(&mut join, Rows::There(&chunks), entry, show).map_err(JoinError::Space)
            }
        }
    }

    fn subject(
        &self,
        join: &mut Join<'_>,
        mut rows: Rows<'_>,
        entry: Option<&LedgerEntry>,
        show: &mut Show<'_>,
    ) -> io::Result<()> {
        let rules = self.rules;
        join.rule(&mut rows, entry)?;
        let is_contested = self.contested.mark(&mut rows, rules.key)?;
        conclude(&mut rows, rules, is_contested)?;
        if self.contested.is_swapping(&rows)? {
            hold_swap(&mut rows)?;
        }
        if self.contested.is_waiting(&rows)? {
            hold_waiting(&mut rows)?;
        }
        let may_overtake = |entry: &&LedgerEntry| {
            !entry.refusals.is_empty() || !entry.said.is_empty() || rules.older_open.is_some()
        };
        if let Some(entry) = entry.filter(may_overtake) {
            confirm(&mut rows, rules, entry)?;
        }
        let Join { update_version, doubted, .. } = *join;
        show(&Ruled { rows, entry, rules, update_version, doubted })
    }
}

/// Finds the unchanged rows that overtake a failure of their subject, or what an older batch has left open of it:
/// each by itself, for what one of them says is newer, whatever the others say. Where fields are folded the last row
/// that has the ledger's value counts. So it is with what is left of a row that is superseded, and with a row that
/// was corrected to what was acknowledged before.
fn confirm(rows: &mut Rows<'_>, rules: &PlanRules, entry: &LedgerEntry) -> io::Result<()> {
    rows.change(|row, data| {
        if !matches!(row.ruling, Ruling::Unchanged | Ruling::Superseded) || !row.marks.has(Marks::PART) {
            return;
        }
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
    })
}

/// Holds back a subject that swaps with others. A row equal to the ledger is sent only behind one that is not.
fn hold_swap(rows: &mut Rows<'_>) -> io::Result<()> {
    rows.change(|row, _| {
        if row.is_live() {
            row.ruling = if row.marks.has(Marks::EQUAL) { of_equal(row) } else { Ruling::Conflict };
        }
    })
}

/// Holds a subject that takes what another gives up that is held. What is not sent for another reason stays so.
fn hold_waiting(rows: &mut Rows<'_>) -> io::Result<()> {
    rows.change(|row, _| {
        if row.ruling.is_sent() || row.ruling.is_folded() {
            row.ruling = if row.marks.has(Marks::EQUAL) { of_equal(row) } else { Ruling::Held };
        }
    })
}

/// The ruling on a row of which nothing is left that the ledger does not have.
fn of_equal(row: &RowRecord) -> Ruling {
    if row.marks.has(Marks::OVERTAKEN) { Ruling::Superseded } else { Ruling::Unchanged }
}

/// The row that carries the update of a subject, or its last one; `None` when nothing of the subject is sent.
pub(super) fn carrier(rows: &Rows<'_>) -> io::Result<Option<u64>> {
    let mut carrier = None;
    rows.look(|row, _| carrier = carrier.max(row.ruling.is_sent().then_some(row.ordinal)))?;
    Ok(carrier)
}

/// The last row of a subject that is held, which stands for its update where nothing of it is sent.
pub(super) fn last_held(rows: &Rows<'_>) -> io::Result<Option<u64>> {
    let mut last = None;
    rows.look(|row, _| last = last.max((row.ruling == Ruling::Held).then_some(row.ordinal)))?;
    Ok(last)
}

/// The last word on the rows of a subject, once the conflicts are known.
fn conclude(rows: &mut Rows<'_>, rules: &PlanRules, is_contested: bool) -> io::Result<()> {
    let holds = rules.conflicts == ConflictPolicy::Hold;
    if rules.duplicates != DuplicatePolicy::Each {
        // One update: a conflict of any of its rows is the conflict of all.
        if holds && is_contested {
            return rows
                .change(|row, _| row.ruling = if row.is_live() { Ruling::Conflict } else { row.ruling });
        }
        return Ok(());
    }
    let mut is_sent = false;
    rows.change(|row, _| {
        if !row.is_live() {
            return;
        }
        if row.marks.has(Marks::EQUAL) && !is_sent {
            row.ruling = of_equal(row);
        } else if holds && row.marks.has(Marks::CONTESTED) {
            row.ruling = Ruling::Conflict;
        }
        is_sent |= row.ruling.is_sent();
    })
}
