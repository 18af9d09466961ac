//! The join of one subject's rows with its ledger entry: order, what is overtaken, duplicates, and the policy that
//! makes updates of the rest.
//!
//! The rules walk over the rows in one direction or the other and keep a few words from row to row, however many
//! there are. Not here: conflicts, which need all subjects (`conflict.rs`), and the last word under `each`, which
//! needs the conflicts (`ruler.rs`).

use std::io;

use crate::digest::FieldHash;
use crate::ledger::{FieldState, LedgerEntry, LedgerField};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

use super::ahead::{hold_behind_held, is_open_ahead};
use super::corrected::{corrected_in_doubt, undone};
use super::judge::{Standing, is_passed, judge, version_of, was_sent_before};
use super::plain::is_plainly_unchanged;
use super::record::{Marks, PartData, RowRecord};
use super::rows::Rows;
use super::rules::{DuplicatePolicy, PlanRules};
use super::ruling::Ruling;

/// Rules on the rows of one subject after the other, and gathers what is kept beside the rulings.
pub(super) struct Join<'a> {
    rules: &'a PlanRules,
    /// Of the rows ruled on last, where they fold: the version of their update.
    pub(super) update_version: Option<Version>,
    /// And fields that are unknown since an update in doubt of these rows, by the word of one that does not bear its
    /// version: where they fold, of those that are sent.
    pub(super) doubted: FieldSet,
    facts: Vec<FieldFact>,
    /// Of the rows ruled on last: versions of updates in doubt of which a row was corrected since.
    corrected: Vec<Version>,
    merged: [Option<FieldFact>; FIELD_COUNT],
}

/// The row before, as it was read: duplicates are compared so.
#[derive(Clone, Copy)]
struct Before {
    present: FieldSet,
    overtaken: FieldSet,
    batch: u64,
    line: [u64; FIELD_COUNT],
}

/// What the rows of a subject, taken together, say about the fields of its entry.
#[derive(Debug, Clone, Copy, Default)]
struct Overtaking {
    /// The newer version of the field is that of one of these very rows, which has the field, and was not corrected.
    by_own_row: FieldSet,
    /// The field is unknown since an update made of these very rows: it was marked with the update's version, though
    /// an older row had set it. Nothing has overtaken that row.
    by_own_update: FieldSet,
}

impl<'a> Join<'a> {
    pub(super) fn new(rules: &'a PlanRules) -> Join<'a> {
        let facts = Vec::with_capacity(FIELD_COUNT);
        let merged = [None; FIELD_COUNT];
        Join { rules, update_version: None, doubted: FieldSet::EMPTY, facts, corrected: Vec::new(), merged }
    }

    /// Rules on all rows of one subject, which are left in the order of their versions.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn rule(&mut self, rows: &mut Rows<'_>, entry: Option<&LedgerEntry>) -> io::Result<()> {
        if let (Rows::Here([row], data), Some(known)) = (&mut *rows, entry)
            && row.present.contains(self.rules.key)
            && is_plainly_unchanged(row, data, known, self.rules)
        {
            (self.update_version, self.doubted) = (None, FieldSet::EMPTY);
            row.ruling = Ruling::Unchanged;
            row.marks.add(Marks::PART);
            row.marks.add(Marks::CARRIER);
            row.marks.add_if(is_known(entry), Marks::KNOWN);
            return Ok(());
        }
        self.rule_at_length(rows, entry)
    }

    /// Like [`Join::rule`], whatever the rows and their entry are.
    pub(super) fn rule_at_length(
        &mut self,
        rows: &mut Rows<'_>,
        entry: Option<&LedgerEntry>,
    ) -> io::Result<()> {
        (self.update_version, self.doubted) = (None, FieldSet::EMPTY);
        let (key, mut is_replay) = (self.rules.key, false);
        rows.look(|row, _| {
            assert!(row.present.contains(key), "row {} has no key field", row.ordinal);
            is_replay |= row.marks.has(Marks::REPLAYED);
        })?;
        // Ordinary rows come in file order, which is the order of their versions. Replayed rows need not.
        if is_replay {
            rows.sort_by_version(self.rules.batch);
        }
        self.corrected = corrected_in_doubt(rows, entry, self.rules)?;
        let overtaking = match entry {
            Some(entry) => self.overtaking(rows, entry)?,
            None => Overtaking::default(),
        };
        self.leave_out_and_find_duplicates(rows, entry, overtaking)?;
        let is_in_doubt = |kind: &FieldKind| {
            let since = entry.and_then(|entry| Some((entry, entry.field(*kind)?.version)));
            *kind != key && since.is_some_and(|(entry, since)| entry.may_be_in_doubt(since))
        };
        self.doubted = overtaking.by_own_update.iter().filter(is_in_doubt).collect();
        match self.rules.duplicates {
            DuplicatePolicy::Fold => self.fold(rows, entry, overtaking.by_own_row, is_replay),
            DuplicatePolicy::Each => self.each(rows, entry, overtaking.by_own_row, is_replay),
            DuplicatePolicy::Last => self.alone(rows, |_, open| Some(open), entry),
            DuplicatePolicy::First => self.alone(rows, |first, open| first.or(Some(open)), entry),
            DuplicatePolicy::Reject => self.alone_or_rejected(rows, entry),
        }
    }

    fn version(&self, row: &RowRecord, data: &PartData) -> Version {
        data.version(row, self.rules.batch)
    }

    fn overtaking(&self, rows: &Rows<'_>, entry: &LedgerEntry) -> io::Result<Overtaking> {
        let mut overtaking = Overtaking::default();
        let (mut by_own_version, mut by_any_row) = (FieldSet::EMPTY, FieldSet::EMPTY);
        rows.look(|row, data| {
            let version = self.version(row, data);
            let marked: FieldSet = FieldKind::ALL
                .into_iter()
                .filter(|kind| entry.field(*kind).is_some_and(|field| field.version == version))
                .collect();
            let by_row = marked.intersect(row.present);
            by_any_row = by_any_row.union(by_row);
            let undone = self.undone((row, data), Some(entry));
            overtaking.by_own_row = overtaking.by_own_row.union(by_row.minus(undone));
            // A row with nothing but the key takes no part in an update and gives it no version.
            if row.present.len() > 1 {
                by_own_version = by_own_version.union(marked);
            }
        })?;
        overtaking.by_own_update = match self.rules.duplicates {
            DuplicatePolicy::Fold | DuplicatePolicy::Each => {
                by_own_version.minus(by_any_row).intersect(entry.unknown())
            }
            DuplicatePolicy::Last | DuplicatePolicy::First | DuplicatePolicy::Reject => FieldSet::EMPTY,
        };
        Ok(overtaking)
    }

    fn undone(&self, (row, data): (&RowRecord, &PartData), entry: Option<&LedgerEntry>) -> FieldSet {
        undone((row, data), entry, &self.corrected, self.rules)
    }

    /// Fields of the row, other than the key, whose version in the ledger is newer than the row.
    fn overtaken(
        &self,
        (row, version): (&RowRecord, Version),
        entry: Option<&LedgerEntry>,
        overtaking: Overtaking,
    ) -> FieldSet {
        let Some(entry) = entry else { return FieldSet::EMPTY };
        let mut overtaken: FieldSet = row
            .present
            .iter()
            .filter(|kind| entry.field(*kind).is_some_and(|field| field.version > version))
            .filter(|kind| !is_open_ahead(entry, *kind, version, self.rules))
            .filter(|kind| !entry.is_own_word(*kind, version))
            .collect();
        overtaken.remove(self.rules.key);
        overtaken.minus(overtaking.by_own_update)
    }

    fn leave_out_and_find_duplicates(
        &self,
        rows: &mut Rows<'_>,
        entry: Option<&LedgerEntry>,
        overtaking: Overtaking,
    ) -> io::Result<()> {
        let is_single = rows.is_single();
        let mut before: Option<Before> = None;
        rows.change(|row, data| {
            let version = self.version(row, data);
            let overtaken = self.overtaken((row, version), entry, overtaking);
            let left_out = overtaken.union(self.undone((row, data), entry));
            if is_single {
                leave_out(row, left_out);
                return;
            }
            // An acknowledgement between two equal rows makes the second one news: A, B, A ends at A though B is in
            // the ledger only, and not in this file.
            let line = data.line(row);
            let is_duplicate = before.as_ref().is_some_and(|before| {
                before.present == row.present
                    && before.overtaken == overtaken
                    && before.batch == version.batch
                    && before.line[..line.len()] == *line
            });
            let last = before.insert(Before {
                present: row.present,
                overtaken,
                batch: version.batch,
                line: [0; FIELD_COUNT],
            });
            last.line[..line.len()].copy_from_slice(line);
            leave_out(row, left_out);
            if is_duplicate {
                row.ruling = Ruling::Duplicate;
            }
        })
    }

    /// Leaves out of each row what a newer row earlier in the file sets too: pass 2 takes rows in file order, where the
    /// older one would come last. Of rows with one version (a row fed back twice) the last one has a field, because the
    /// ledger could not tell them apart afterwards.
    fn leave_out_shadowed(&self, rows: &mut Rows<'_>) -> io::Result<()> {
        let mut earliest = [u64::MAX; FIELD_COUNT];
        let mut same_version = (Version::default(), FieldSet::EMPTY);
        rows.change_back(|row, data| {
            if !row.is_open() {
                return;
            }
            let version = self.version(row, data);
            if same_version.0 != version {
                same_version = (version, FieldSet::EMPTY);
            }
            let is_shadowed =
                |kind: &FieldKind| earliest[kind.index()] < row.ordinal || same_version.1.contains(*kind);
            let mut shadowed: FieldSet = row.present.iter().filter(is_shadowed).collect();
            shadowed.remove(self.rules.key);
            same_version.1 = same_version.1.union(row.present);
            for kind in row.present.iter() {
                let slot = &mut earliest[kind.index()];
                *slot = row.ordinal.min(*slot);
            }
            leave_out(row, shadowed);
        })
    }

    /// Leaves out of a row that failed what a later row, acknowledged in this batch, has set since. The ledger alone
    /// does not tell when a still later row has made the field unknown.
    fn leave_out_acknowledged_since(&self, rows: &mut Rows<'_>, entry: &LedgerEntry) -> io::Result<()> {
        let mut acknowledged = FieldSet::EMPTY;
        rows.change_back(|row, data| {
            if !row.is_open() {
                return;
            }
            let version = self.version(row, data);
            if is_passed(version, entry, self.rules) {
                acknowledged = acknowledged.union(row.present);
                acknowledged.remove(self.rules.key);
            } else if version.batch == self.rules.batch {
                leave_out(row, row.present.intersect(acknowledged));
            }
        })
    }

    /// All open rows are one update, carried by the last one in the file.
    fn fold(
        &mut self,
        rows: &mut Rows<'_>,
        entry: Option<&LedgerEntry>,
        by_own_row: FieldSet,
        is_replay: bool,
    ) -> io::Result<()> {
        let key_only = FieldSet::only(self.rules.key);
        let agreed = self.agreed(rows, entry)?;
        rows.change(|row, _| {
            // What a row of this very fold has overtaken is no news: the fold contains that row as well. Otherwise a
            // resume would call superseded what the first run called folded.
            if row.is_open() && row.present == key_only && row.left_out.intersect(by_own_row).is_empty() {
                let is_agreed = row.left_out.minus(agreed).is_empty();
                row.ruling = if is_agreed { Ruling::Unchanged } else { Ruling::Superseded };
            }
        })?;
        if is_replay {
            self.leave_out_shadowed(rows)?;
        }
        let Some(carrier) = self.collect_facts(rows)? else { return Ok(()) };
        assert!(self.facts.len() > 1, "a fold sets more than the key field");
        let judgement = judge(&self.facts, entry, self.rules, FieldSet::EMPTY);
        self.facts.retain(|fact| !judgement.not_sent.contains(fact.kind));
        let ruling = match judgement.standing {
            Standing::Settled | Standing::Equal => Ruling::Unchanged,
            Standing::Different => judgement.otherwise,
        };
        self.update_version = Some(version_of(&self.facts));
        self.doubted = self.facts.iter().map(|fact| fact.kind).collect::<FieldSet>().intersect(self.doubted);
        rows.change(|row, _| {
            if !row.is_open() {
                return;
            }
            row.marks.add(Marks::PART);
            row.not_sent = judgement.not_sent.intersect(row.present);
            if row.ordinal == carrier {
                row.ruling = ruling;
                row.changed = judgement.changed;
                row.marks.add(Marks::CARRIER);
                row.marks.add_if(ruling == Ruling::RefusedBefore, Marks::REFUSED);
                row.marks.add_if(judgement.in_doubt, Marks::IN_DOUBT);
                row.marks.add_if(is_known(entry), Marks::KNOWN);
            } else {
                row.ruling = ruling.of_part();
            }
        })?;
        if judgement.standing == Standing::Equal {
            self.supersede(rows, entry, agreed.union(by_own_row))?;
        }
        Ok(())
    }

    /// Every open row is an update of its own.
    fn each(
        &mut self,
        rows: &mut Rows<'_>,
        entry: Option<&LedgerEntry>,
        by_own_row: FieldSet,
        is_replay: bool,
    ) -> io::Result<()> {
        if is_replay {
            self.leave_out_shadowed(rows)?;
        }
        if let Some(entry) = entry {
            self.leave_out_acknowledged_since(rows, entry)?;
        }
        // What earlier rows set, which is what the server has when this one is sent: that is sent again, whatever the
        // ledger had before.
        let mut touched = FieldSet::EMPTY;
        rows.change(|row, data| {
            if row.is_open() {
                self.one_of_each((row, data), entry, by_own_row, &mut touched);
            }
        })?;
        match entry {
            Some(entry) => hold_behind_held(rows, entry, self.rules),
            None => Ok(()),
        }
    }

    fn one_of_each(
        &mut self,
        (row, data): (&mut RowRecord, &PartData),
        entry: Option<&LedgerEntry>,
        by_own_row: FieldSet,
        touched: &mut FieldSet,
    ) {
        let key_only = FieldSet::only(self.rules.key);
        if row.present == key_only && row.left_out.is_empty() {
            row.ruling = Ruling::Unchanged;
            return;
        }
        self.facts.clear();
        self.facts.extend(facts_of(data, row, self.rules.batch));
        let version = version_of(&self.facts);
        let is_corrected = !self.undone((row, data), entry).is_empty();
        let judgement = judge(&self.facts, entry, self.rules, *touched);
        self.facts.retain(|fact| !judgement.not_sent.contains(fact.kind));
        // Settled comes first: a row acknowledged in this batch is not superseded by its successor, which was
        // acknowledged after it.
        if judgement.standing == Standing::Settled {
            row.ruling = if is_corrected { Ruling::Superseded } else { Ruling::Unchanged };
            row.marks.add(Marks::PART);
            *touched = touched.union(row.present);
            return;
        }
        if row.present == key_only {
            let is_agreed = self.is_acknowledged_since((row, data), entry);
            row.ruling = if is_agreed { Ruling::Unchanged } else { Ruling::Superseded };
            return;
        }
        let is_leading = entry.is_some_and(|entry| !was_sent_before(version, entry, self.rules));
        let is_equal = judgement.standing == Standing::Equal && is_leading;
        if !is_equal || !touched.is_empty() {
            *touched = touched.union(row.present);
        }
        row.not_sent = judgement.not_sent;
        row.ruling = judgement.otherwise;
        row.changed = judgement.changed;
        row.marks.add(Marks::PART);
        row.marks.add(Marks::CARRIER);
        row.marks.add_if(judgement.otherwise == Ruling::RefusedBefore, Marks::REFUSED);
        row.marks.add_if(is_equal, Marks::EQUAL);
        let is_overtaken = self.is_overtaken((row, data), entry, row.left_out.minus(by_own_row));
        let is_overtaken = is_overtaken && !self.is_delivered((row, data), entry);
        row.marks.add_if(is_overtaken || is_corrected, Marks::OVERTAKEN);
        row.marks.add_if(judgement.in_doubt, Marks::IN_DOUBT);
        row.marks.add_if(is_known(entry), Marks::KNOWN);
    }

    /// Fields of which the last open row that has them says what was last acknowledged. Asked where something newer has
    /// set a field.
    fn agreed(&self, rows: &Rows<'_>, entry: Option<&LedgerEntry>) -> io::Result<FieldSet> {
        let mut agreed = FieldSet::EMPTY;
        if !rows.any(|row| !row.left_out.is_empty())? {
            return Ok(agreed);
        }
        rows.look(|row, data| {
            if !row.is_open() {
                return;
            }
            let read = row.present.union(row.left_out);
            let is_same = |kind: &FieldKind| {
                let known = FieldState::Known(data.hash(row, *kind));
                entry.and_then(|entry| entry.field(*kind)).is_some_and(|field| field.state == known)
            };
            agreed = agreed.minus(read).union(read.iter().filter(is_same).collect());
        })?;
        Ok(agreed)
    }

    /// Of an update that has nothing to send: a row of which something newer has set a field otherwise is superseded,
    /// unless it was delivered before that. These fields are `settled`: the update says in the end what was
    /// acknowledged.
    fn supersede(
        &self,
        rows: &mut Rows<'_>,
        entry: Option<&LedgerEntry>,
        settled: FieldSet,
    ) -> io::Result<()> {
        // Rows of an update are delivered in their order: with a later one this one was, too.
        let mut is_delivered = false;
        rows.change_back(|row, data| {
            if !row.marks.has(Marks::PART) {
                return;
            }
            is_delivered |= self.is_delivered((row, data), entry);
            let left_out = row.left_out.minus(settled);
            let is_overtaken = !is_delivered && self.is_overtaken((row, data), entry, left_out);
            if is_overtaken || !self.undone((row, data), entry).minus(settled).is_empty() {
                row.ruling = Ruling::Superseded;
            }
        })
    }

    /// Whether anything that is left of the row was acknowledged, or confirmed, in its own version, by runs of its
    /// batch: then all of it was. Of a row that is fed back it may be what was left of it then.
    fn is_delivered(&self, (row, data): (&RowRecord, &PartData), entry: Option<&LedgerEntry>) -> bool {
        let version = self.version(row, data);
        let mut left = row.present.minus(FieldSet::only(self.rules.key)).iter();
        version.batch == self.rules.batch
            && left.any(|kind| {
                let known = LedgerField { state: FieldState::Known(data.hash(row, kind)), version };
                entry.and_then(|entry| entry.field(kind)) == Some(known)
            })
    }

    /// Whether something newer has set one of these fields, which are left out of the row, to another value.
    fn is_overtaken(
        &self,
        (row, data): (&RowRecord, &PartData),
        entry: Option<&LedgerEntry>,
        left_out: FieldSet,
    ) -> bool {
        let version = self.version(row, data);
        left_out.iter().any(|kind| {
            let is_other = |field: LedgerField| {
                field.version > version && field.state != FieldState::Known(data.hash(row, kind))
            };
            entry.and_then(|entry| entry.field(kind)).is_some_and(is_other)
        })
    }

    /// Whether all that is left out of the row was acknowledged since as the row says it.
    fn is_acknowledged_since(
        &self,
        (row, data): (&RowRecord, &PartData),
        entry: Option<&LedgerEntry>,
    ) -> bool {
        let version = self.version(row, data);
        row.left_out.iter().all(|kind| {
            let is_same = |field: LedgerField| {
                field.version > version && field.state == FieldState::Known(data.hash(row, kind))
            };
            entry.and_then(|entry| entry.field(kind)).is_some_and(is_same)
        })
    }

    /// One open row is the update, the others are superseded by it. `choose` takes the ordinals of open rows one by
    /// one, with the one chosen so far.
    fn alone(
        &mut self,
        rows: &mut Rows<'_>,
        choose: impl Fn(Option<u64>, u64) -> Option<u64>,
        entry: Option<&LedgerEntry>,
    ) -> io::Result<()> {
        let mut chosen = None;
        rows.look(|row, _| chosen = if row.is_open() { choose(chosen, row.ordinal) } else { chosen })?;
        rows.change(|row, _| {
            if row.is_open() && Some(row.ordinal) != chosen {
                row.ruling = Ruling::Superseded;
            }
        })?;
        self.fold(rows, entry, FieldSet::EMPTY, false)
    }

    fn alone_or_rejected(&mut self, rows: &mut Rows<'_>, entry: Option<&LedgerEntry>) -> io::Result<()> {
        let mut open = 0_u64;
        rows.look(|row, _| open += u64::from(row.is_open()))?;
        if open > 1 {
            rows.change(|row, _| {
                if row.is_open() {
                    row.ruling = Ruling::Rejected;
                    row.marks.add(Marks::BY_POLICY);
                }
            })?;
        }
        self.fold(rows, entry, FieldSet::EMPTY, false)
    }

    /// The facts of an update of the open rows, in wire order; of two rows the later one wins a field. Tells the last
    /// of them in the file, if there is one.
    fn collect_facts(&mut self, rows: &Rows<'_>) -> io::Result<Option<u64>> {
        let Join { facts, merged, rules, .. } = self;
        facts.clear();
        let (mut open, mut carrier) = (0_u64, None);
        rows.look(|row, data| {
            if !row.is_open() {
                return;
            }
            open += 1;
            carrier = carrier.max(Some(row.ordinal));
            let row = facts_of(data, row, rules.batch);
            if open == 1 {
                // Nearly all updates are of one row.
                facts.extend(row);
                return;
            }
            if open == 2 {
                *merged = [None; FIELD_COUNT];
                facts.drain(..).for_each(|fact| merged[fact.kind.index()] = Some(fact));
            }
            row.for_each(|fact| merged[fact.kind.index()] = Some(fact));
        })?;
        if open > 1 {
            facts.extend(merged.iter().flatten());
        }
        Ok(carrier)
    }
}

/// The facts of what a row sets, in wire order.
fn facts_of(data: &PartData, row: &RowRecord, batch: u64) -> impl Iterator<Item = FieldFact> {
    let (version, present) = (data.version(row, batch), row.present);
    let read = present.union(row.left_out).iter().zip(data.line(row));
    let is_present = move |(kind, _): &(FieldKind, &u64)| present.contains(*kind);
    read.filter(is_present).map(move |(kind, hash)| FieldFact { kind, hash: FieldHash(*hash), version })
}

fn leave_out(row: &mut RowRecord, fields: FieldSet) {
    row.present = row.present.minus(fields);
    row.left_out = row.left_out.union(fields);
}

fn is_known(entry: Option<&LedgerEntry>) -> bool {
    entry.is_some_and(|entry| entry.acked.is_some())
}
