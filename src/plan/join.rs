//! The join of one subject's rows with its ledger entry: order, what is overtaken, duplicates, and the policy that
//! makes updates of the rest.
//!
//! Not here: conflicts, which need all subjects (`conflict.rs`), and the last word under `each`, which needs the
//! conflicts (`ruler.rs`).

use crate::digest::FieldHash;
use crate::ledger::{FieldState, LedgerEntry, LedgerField, Refusal};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

use super::judge::{Standing, is_passed, judge, refusal_of, version_of, was_sent_before};
use super::plain::is_plainly_unchanged;
use super::record::{Marks, PartData, RowRecord};
use super::rules::{DuplicatePolicy, PlanRules};
use super::ruling::Ruling;

/// Rules on the rows of one subject after the other, and gathers what is kept beside the rulings.
pub(super) struct Join<'a> {
    rules: &'a PlanRules,
    data: &'a PartData,
    /// Of the rows ruled on last: definite refusals so far of a row's version, by ordinal, where there are any.
    pub(super) refusals: Vec<(u64, u32)>,
    /// Of the rows ruled on last: refusals that keep updates from being sent again, by the carrier's ordinal.
    pub(super) refused_before: Vec<(u64, Refusal)>,
    facts: Vec<FieldFact>,
    /// Of the rows ruled on last: versions of updates in doubt of which a row was corrected since.
    corrected: Vec<Version>,
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
    pub(super) fn new(rules: &'a PlanRules, data: &'a PartData) -> Join<'a> {
        let facts = Vec::with_capacity(FIELD_COUNT);
        let (refusals, refused_before, corrected) = (Vec::new(), Vec::new(), Vec::new());
        Join { rules, data, refusals, refused_before, facts, corrected }
    }

    /// Rules on all rows of one subject, which are left in the order of their versions.
    pub(super) fn rule(&mut self, rows: &mut [RowRecord], entry: Option<&LedgerEntry>) {
        self.refusals.clear();
        self.refused_before.clear();
        for row in rows.iter() {
            assert!(row.present.contains(self.rules.key), "row {} has no key field", row.ordinal);
        }
        if let ([row], Some(known)) = (&mut *rows, entry)
            && is_plainly_unchanged(row, self.data, known, self.rules)
        {
            row.ruling = Ruling::Unchanged;
            row.marks.add(Marks::PART);
            row.marks.add(Marks::CARRIER);
            row.marks.add_if(is_known(entry), Marks::KNOWN);
            return;
        }
        self.rule_at_length(rows, entry);
    }

    /// Like [`Join::rule`], whatever the rows and their entry are.
    pub(super) fn rule_at_length(&mut self, rows: &mut [RowRecord], entry: Option<&LedgerEntry>) {
        // Ordinary rows come in file order, which is the order of their versions. Replayed rows need not.
        let is_replay = rows.iter().any(|row| row.marks.has(Marks::REPLAYED));
        if is_replay {
            rows.sort_by_key(|row| (self.version(row), row.ordinal));
        }
        self.find_corrected(rows, entry);
        let overtaking = entry.map_or(Overtaking::default(), |entry| self.overtaking(rows, entry));
        self.leave_out_and_find_duplicates(rows, entry, overtaking);
        match self.rules.duplicates {
            DuplicatePolicy::Fold => self.fold(rows, entry, overtaking.by_own_row, is_replay),
            DuplicatePolicy::Each => self.each(rows, entry, overtaking.by_own_row, is_replay),
            DuplicatePolicy::Last => {
                let chosen = rows.iter().rposition(RowRecord::is_open);
                self.alone(rows, chosen, entry);
            }
            DuplicatePolicy::First => {
                let chosen = rows.iter().position(RowRecord::is_open);
                self.alone(rows, chosen, entry);
            }
            DuplicatePolicy::Reject => self.alone_or_rejected(rows, entry),
        }
    }

    fn version(&self, row: &RowRecord) -> Version {
        self.data.version(row, self.rules.batch)
    }

    fn overtaking(&self, rows: &[RowRecord], entry: &LedgerEntry) -> Overtaking {
        let mut overtaking = Overtaking::default();
        let (mut by_own_version, mut by_any_row) = (FieldSet::EMPTY, FieldSet::EMPTY);
        for row in rows {
            let version = self.version(row);
            let marked: FieldSet = FieldKind::ALL
                .into_iter()
                .filter(|kind| entry.field(*kind).is_some_and(|field| field.version == version))
                .collect();
            let by_row = marked.intersect(row.present);
            by_any_row = by_any_row.union(by_row);
            overtaking.by_own_row = overtaking.by_own_row.union(by_row.minus(self.undone(row, Some(entry))));
            // A row with nothing but the key takes no part in an update and gives it no version.
            if row.present.len() > 1 {
                by_own_version = by_own_version.union(marked);
            }
        }
        overtaking.by_own_update = match self.rules.duplicates {
            DuplicatePolicy::Fold | DuplicatePolicy::Each => {
                by_own_version.minus(by_any_row).intersect(entry.unknown())
            }
            DuplicatePolicy::Last | DuplicatePolicy::First | DuplicatePolicy::Reject => FieldSet::EMPTY,
        };
        overtaking
    }

    /// Fields of the row, other than the key, whose version in the ledger is newer than the row.
    fn overtaken(&self, row: &RowRecord, entry: Option<&LedgerEntry>, overtaking: Overtaking) -> FieldSet {
        let Some(entry) = entry else { return FieldSet::EMPTY };
        let version = self.version(row);
        let mut overtaken: FieldSet = row
            .present
            .iter()
            .filter(|kind| entry.field(*kind).is_some_and(|field| field.version > version))
            .filter(|kind| !entry.field(*kind).is_some_and(|field| self.is_open_ahead(version, field)))
            .collect();
        overtaken.remove(self.rules.key);
        overtaken.minus(overtaking.by_own_update)
    }

    /// Whether the field is unknown since a later row of the row's own batch. Under `each` intents are opened ahead of
    /// the rows on the wire: that row is sent after this one, and may not have been sent at all.
    fn is_open_ahead(&self, version: Version, field: LedgerField) -> bool {
        self.rules.duplicates == DuplicatePolicy::Each
            && version.batch == self.rules.batch
            && field.version.batch == self.rules.batch
            && field.state == FieldState::Unknown
    }

    /// Fields of the row, as it is read, that are not to be sent because they would undo a correction of this very row: with
    /// all the others, where none of them is news.
    fn undone(&self, row: &RowRecord, entry: Option<&LedgerEntry>) -> FieldSet {
        let is_any = |entry: &&LedgerEntry| !entry.said.is_empty() || !self.corrected.is_empty();
        let Some(entry) = entry.filter(is_any) else { return FieldSet::EMPTY };
        let version = self.version(row);
        let was_in_doubt = self.corrected.iter().any(|of| of.batch == version.batch && version <= *of);
        let fact = |kind| FieldFact { kind, hash: self.data.hash(row, kind), version };
        let is_undone = |kind: &FieldKind| {
            let fact = fact(*kind);
            entry.is_replaced(&fact) || was_in_doubt && entry.is_known_otherwise(&fact)
        };
        let mut read = row.present.union(row.left_out);
        read.remove(self.rules.key);
        let undone: FieldSet = read.iter().filter(is_undone).collect();
        let has_news = || !was_in_doubt && read.minus(undone).iter().any(|kind| entry.is_news(&fact(kind)));
        if undone.is_empty() || has_news() { undone } else { read }
    }

    /// Finds updates in doubt, as they were, of which a row was corrected. Their digest is of all that was sent.
    fn find_corrected(&mut self, rows: &[RowRecord], entry: Option<&LedgerEntry>) {
        self.corrected.clear();
        let Some(entry) = entry.filter(|entry| !entry.corrected.is_empty()) else { return };
        for version in entry.corrected.iter().map(|corrected| corrected.version) {
            let mut read: [Option<FieldFact>; FIELD_COUNT] = [None; FIELD_COUNT];
            let is_fold = self.rules.duplicates == DuplicatePolicy::Fold;
            let is_of = |of: Version| of == version || is_fold && of.batch == version.batch && of < version;
            for row in rows.iter().filter(|row| is_of(self.version(row))) {
                for kind in row.present.iter() {
                    let fact =
                        FieldFact { kind, hash: self.data.hash(row, kind), version: self.version(row) };
                    read[kind.index()] = Some(fact);
                }
            }
            let read: Vec<FieldFact> = read.into_iter().flatten().collect();
            if entry.was_corrected_in_doubt(version, &read) {
                self.corrected.push(version);
            }
        }
    }

    fn leave_out_and_find_duplicates(
        &self,
        rows: &mut [RowRecord],
        entry: Option<&LedgerEntry>,
        overtaking: Overtaking,
    ) {
        // The row before, with all its fields: duplicates are compared as read.
        let mut before: Option<(RowRecord, FieldSet)> = None;
        for row in rows {
            let overtaken = self.overtaken(row, entry, overtaking);
            // An acknowledgement between two equal rows makes the second one news: A, B, A ends at A though B is in
            // the ledger only, and not in this file.
            let is_duplicate = before.is_some_and(|(before, overtaken_before)| {
                before.present == row.present
                    && overtaken_before == overtaken
                    && self.version(&before).batch == self.version(row).batch
                    && self.data.line(&before) == self.data.line(row)
            });
            before = Some((*row, overtaken));
            leave_out(row, overtaken.union(self.undone(row, entry)));
            if is_duplicate {
                row.ruling = Ruling::Duplicate;
            }
        }
    }

    /// Leaves out of each row what a newer row earlier in the file sets too: pass 2 takes rows in file order, where the
    /// older one would come last. Of rows with one version (a row fed back twice) the last one has a field, because the
    /// ledger could not tell them apart afterwards.
    fn leave_out_shadowed(&self, rows: &mut [RowRecord]) {
        let mut earliest = [u64::MAX; FIELD_COUNT];
        let mut same_version = (Version::default(), FieldSet::EMPTY);
        for row in rows.iter_mut().rev().filter(|row| row.is_open()) {
            let version = self.version(row);
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
        }
    }

    /// Leaves out of a row that failed what a later row, acknowledged in this batch, has set since. The ledger alone does
    /// not tell when a still later row has made the field unknown.
    fn leave_out_acknowledged_since(&self, rows: &mut [RowRecord], entry: &LedgerEntry) {
        let mut acknowledged = FieldSet::EMPTY;
        for row in rows.iter_mut().rev().filter(|row| row.is_open()) {
            let version = self.version(row);
            if is_passed(version, entry, self.rules) {
                acknowledged = acknowledged.union(row.present);
                acknowledged.remove(self.rules.key);
            } else if version.batch == self.rules.batch {
                leave_out(row, row.present.intersect(acknowledged));
            }
        }
    }

    /// All open rows are one update, carried by the last one in the file.
    fn fold(
        &mut self,
        rows: &mut [RowRecord],
        entry: Option<&LedgerEntry>,
        by_own_row: FieldSet,
        is_replay: bool,
    ) {
        let key_only = FieldSet::only(self.rules.key);
        let agreed = self.agreed(rows, entry);
        for row in rows.iter_mut().filter(|row| row.is_open()) {
            // What a row of this very fold has overtaken is no news: the fold contains that row as well. Otherwise a
            // resume would call superseded what the first run called folded.
            if row.present == key_only && row.left_out.intersect(by_own_row).is_empty() {
                let is_agreed = row.left_out.minus(agreed).is_empty();
                row.ruling = if is_agreed { Ruling::Unchanged } else { Ruling::Superseded };
            }
        }
        if is_replay {
            self.leave_out_shadowed(rows);
        }
        self.collect_facts(rows.iter().filter(|row| row.is_open()));
        let Some(carrier) = rows.iter().filter(|row| row.is_open()).map(|row| row.ordinal).max() else {
            return;
        };
        assert!(self.facts.len() > 1, "a fold sets more than the key field");
        let judgement = judge(&self.facts, entry, self.rules, FieldSet::EMPTY);
        self.facts.retain(|fact| !judgement.not_sent.contains(fact.kind));
        let ruling = match judgement.standing {
            Standing::Settled | Standing::Equal => Ruling::Unchanged,
            Standing::Different => judgement.otherwise,
        };
        let update_version = version_of(&self.facts);
        for row in rows.iter_mut().filter(|row| row.is_open()) {
            row.marks.add(Marks::PART);
            row.not_sent = judgement.not_sent.intersect(row.present);
            let version = if row.ordinal == carrier { update_version } else { self.version(row) };
            self.note_refusals(row.ordinal, version, entry);
            if row.ordinal == carrier {
                row.ruling = ruling;
                row.changed = judgement.changed;
                row.marks.add(Marks::CARRIER);
                row.marks.add_if(judgement.in_doubt, Marks::IN_DOUBT);
                row.marks.add_if(is_known(entry), Marks::KNOWN);
            } else {
                row.ruling = ruling.of_part();
            }
        }
        if judgement.standing == Standing::Equal {
            self.supersede(rows, entry, agreed.union(by_own_row));
        }
        self.note_refused_before(carrier, ruling, entry);
    }

    /// Every open row is an update of its own.
    fn each(
        &mut self,
        rows: &mut [RowRecord],
        entry: Option<&LedgerEntry>,
        by_own_row: FieldSet,
        is_replay: bool,
    ) {
        if is_replay {
            self.leave_out_shadowed(rows);
        }
        if let Some(entry) = entry {
            self.leave_out_acknowledged_since(rows, entry);
        }
        let key_only = FieldSet::only(self.rules.key);
        // What earlier rows set, which is what the server has when this one is sent: that is sent again, whatever the
        // ledger had before.
        let mut touched = FieldSet::EMPTY;
        for row in rows.iter_mut().filter(|row| row.is_open()) {
            if row.present == key_only && row.left_out.is_empty() {
                row.ruling = Ruling::Unchanged;
                continue;
            }
            self.collect_facts(std::iter::once(&*row));
            let version = version_of(&self.facts);
            let is_corrected = !self.undone(row, entry).is_empty();
            let judgement = judge(&self.facts, entry, self.rules, touched);
            self.facts.retain(|fact| !judgement.not_sent.contains(fact.kind));
            // Settled comes first: a row acknowledged in this batch is not superseded by its successor, which was
            // acknowledged after it.
            if judgement.standing == Standing::Settled {
                row.ruling = if is_corrected { Ruling::Superseded } else { Ruling::Unchanged };
                row.marks.add(Marks::PART);
                touched = touched.union(row.present);
                continue;
            }
            if row.present == key_only {
                let is_agreed = self.is_acknowledged_since(row, entry);
                row.ruling = if is_agreed { Ruling::Unchanged } else { Ruling::Superseded };
                continue;
            }
            let is_leading = entry.is_some_and(|entry| !was_sent_before(version, entry, self.rules));
            let is_equal = judgement.standing == Standing::Equal && is_leading;
            if !is_equal || !touched.is_empty() {
                touched = touched.union(row.present);
            }
            row.not_sent = judgement.not_sent;
            row.ruling = judgement.otherwise;
            row.changed = judgement.changed;
            row.marks.add(Marks::PART);
            row.marks.add(Marks::CARRIER);
            row.marks.add_if(is_equal, Marks::EQUAL);
            let is_overtaken = self.is_overtaken(row, entry, row.left_out.minus(by_own_row));
            let is_overtaken = is_overtaken && !self.is_delivered(row, entry);
            row.marks.add_if(is_overtaken || is_corrected, Marks::OVERTAKEN);
            row.marks.add_if(judgement.in_doubt, Marks::IN_DOUBT);
            row.marks.add_if(is_known(entry), Marks::KNOWN);
            self.note_refusals(row.ordinal, version, entry);
            self.note_refused_before(row.ordinal, judgement.otherwise, entry);
        }
    }

    /// Fields of which the last open row that has them says what was last acknowledged. Asked where something newer has
    /// set a field.
    fn agreed(&self, rows: &[RowRecord], entry: Option<&LedgerEntry>) -> FieldSet {
        let mut agreed = FieldSet::EMPTY;
        if rows.iter().all(|row| row.left_out.is_empty()) {
            return agreed;
        }
        for row in rows.iter().filter(|row| row.is_open()) {
            let read = row.present.union(row.left_out);
            let is_same = |kind: &FieldKind| {
                let known = FieldState::Known(self.data.hash(row, *kind));
                entry.and_then(|entry| entry.field(*kind)).is_some_and(|field| field.state == known)
            };
            agreed = agreed.minus(read).union(read.iter().filter(is_same).collect());
        }
        agreed
    }

    /// Of an update that has nothing to send: a row of which something newer has set a field otherwise is superseded, unless
    /// it was delivered before that. These fields are `settled`: the update says in the end what was acknowledged.
    fn supersede(&self, rows: &mut [RowRecord], entry: Option<&LedgerEntry>, settled: FieldSet) {
        // Rows of an update are delivered in their order: with a later one this one was, too.
        let mut is_delivered = false;
        for row in rows.iter_mut().rev().filter(|row| row.marks.has(Marks::PART)) {
            is_delivered |= self.is_delivered(row, entry);
            let is_overtaken = !is_delivered && self.is_overtaken(row, entry, row.left_out.minus(settled));
            if is_overtaken || !self.undone(row, entry).minus(settled).is_empty() {
                row.ruling = Ruling::Superseded;
            }
        }
    }

    /// Whether anything that is left of the row was acknowledged, or confirmed, in its own version, by runs of its batch: then
    /// all of it was. Of a row that is fed back it may be what was left of it then.
    fn is_delivered(&self, row: &RowRecord, entry: Option<&LedgerEntry>) -> bool {
        let version = self.version(row);
        let mut left = row.present.minus(FieldSet::only(self.rules.key)).iter();
        version.batch == self.rules.batch
            && left.any(|kind| {
                let known = LedgerField { state: FieldState::Known(self.data.hash(row, kind)), version };
                entry.and_then(|entry| entry.field(kind)) == Some(known)
            })
    }

    /// Whether something newer has set one of these fields, which are left out of the row, to another value.
    fn is_overtaken(&self, row: &RowRecord, entry: Option<&LedgerEntry>, left_out: FieldSet) -> bool {
        let version = self.version(row);
        left_out.iter().any(|kind| {
            let is_other = |field: LedgerField| {
                field.version > version && field.state != FieldState::Known(self.data.hash(row, kind))
            };
            entry.and_then(|entry| entry.field(kind)).is_some_and(is_other)
        })
    }

    /// Whether all that is left out of the row was acknowledged since as the row says it.
    fn is_acknowledged_since(&self, row: &RowRecord, entry: Option<&LedgerEntry>) -> bool {
        let version = self.version(row);
        row.left_out.iter().all(|kind| {
            let is_same = |field: LedgerField| {
                field.version > version && field.state == FieldState::Known(self.data.hash(row, kind))
            };
            entry.and_then(|entry| entry.field(kind)).is_some_and(is_same)
        })
    }

    /// One open row is the update, the others are superseded by it.
    fn alone(&mut self, rows: &mut [RowRecord], chosen: Option<usize>, entry: Option<&LedgerEntry>) {
        for (at, row) in rows.iter_mut().enumerate() {
            if row.is_open() && Some(at) != chosen {
                row.ruling = Ruling::Superseded;
            }
        }
        self.fold(rows, entry, FieldSet::EMPTY, false);
    }

    fn alone_or_rejected(&mut self, rows: &mut [RowRecord], entry: Option<&LedgerEntry>) {
        if rows.iter().filter(|row| row.is_open()).count() > 1 {
            for row in rows.iter_mut().filter(|row| row.is_open()) {
                row.ruling = Ruling::Rejected;
                row.marks.add(Marks::BY_POLICY);
            }
        }
        self.fold(rows, entry, FieldSet::EMPTY, false);
    }

    /// The facts of an update of these rows, in wire order; of two rows the later one wins a field.
    fn collect_facts<'r>(&mut self, mut rows: impl Iterator<Item = &'r RowRecord>) {
        self.facts.clear();
        let Some(first) = rows.next() else { return };
        let Some(second) = rows.next() else {
            // Nearly all updates are of one row.
            self.facts.extend(facts_of(self.data, first, self.rules.batch));
            return;
        };
        let mut facts: [Option<FieldFact>; FIELD_COUNT] = [None; FIELD_COUNT];
        for row in [first, second].into_iter().chain(rows) {
            for fact in facts_of(self.data, row, self.rules.batch) {
                facts[fact.kind.index()] = Some(fact);
            }
        }
        self.facts.extend(facts.into_iter().flatten());
    }

    fn note_refusals(&mut self, ordinal: u64, version: Version, entry: Option<&LedgerEntry>) {
        let count = entry.and_then(|entry| entry.refusal(version)).map_or(0, |refusal| refusal.count);
        if count > 0 {
            self.refusals.push((ordinal, count));
        }
    }

    fn note_refused_before(&mut self, ordinal: u64, ruling: Ruling, entry: Option<&LedgerEntry>) {
        if ruling != Ruling::RefusedBefore {
            return;
        }
        let version = version_of(&self.facts);
        let refusal = entry.and_then(|entry| refusal_of(&self.facts, version, entry, self.rules));
        self.refused_before.extend(refusal.map(|refusal| (ordinal, refusal.clone())));
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
