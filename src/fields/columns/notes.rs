//! What a stretch of rows shows of its columns, to be taken over by the books in the order of the rows.
//!
//! Rows are checked on several threads, and what an alarm says hangs on their order: so each thread takes notes, and
//! one keeps the books. Not here: what follows from the counts (`columns.rs`).

use crate::row::Place;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::rounded::Rounded;
use super::spellings::{CardNotes, ClassNotes, ExternalIdNotes};
use super::{OPAQUE, Tally};
use crate::fields::Checked;
use crate::fields::luhn::passes;
use crate::fields::rules::{Damage, RuleId};

/// Findings of single rows that a column's books are kept of.
const ROW_FLOAT: [RuleId; 2] = [RuleId::known("iccid.float"), RuleId::known("iccid.float_luhn")];
const ROW_ZEROS: [RuleId; 2] = [RuleId::known("iccid.zeros"), RuleId::known("iccid.zeros_luhn")];
const ROW_IMEI_14: RuleId = RuleId::known("imei.14");
const ROW_COMPLETED: RuleId = RuleId::known("imei.completed");
const ROW_LOST_ZERO: RuleId = RuleId::known("imei.lost_zero");
/// As a rule no fault of the rows, but one setting that is missing for all of them.
const ROW_NO_COUNTRY: [RuleId; 2] = [RuleId::known("number.bare"), RuleId::known("number.no_country")];

/// The books of one column.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Column {
    pub(super) values: u64,
    /// Values whose digits are lost, and those that are damaged but whole.
    pub(super) damaged: Tally,
    pub(super) lost: u64,
}

/// What is only counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) columns: [Column; FIELD_COUNT],
    /// Fields with a value in the rows noted last, and how many rows that are: nearly all rows have the same ones,
    /// which are counted together.
    alike: (FieldSet, u64),
    /// ICCIDs of 18, 19 and 20 digits.
    pub(super) iccid_lengths: [u64; 3],
    pub(super) float: Tally,
    pub(super) zeros: Tally,
    pub(super) imei_14: u64,
    pub(super) lost_zero: Tally,
    pub(super) bare_numbers: Tally,
    /// The long numbers of [`OPAQUE`] fields.
    pub(super) rounded: [Rounded; OPAQUE.len()],
}

impl Counts {
    /// Adds what was counted in the rows that come next, whose ordinals are `shift` lower than they should be.
    pub(super) fn merge(&mut self, later: &Counts, shift: u64) {
        self.rows += later.rows;
        self.count_values(later.alike);
        for (column, noted) in self.columns.iter_mut().zip(&later.columns) {
            column.values += noted.values;
            column.damaged.merge(noted.damaged.shifted(shift));
            column.lost += noted.lost;
        }
        for (count, noted) in self.iccid_lengths.iter_mut().zip(later.iccid_lengths) {
            *count += noted;
        }
        self.imei_14 += later.imei_14;
        for (tally, noted) in [
            (&mut self.float, later.float),
            (&mut self.zeros, later.zeros),
            (&mut self.lost_zero, later.lost_zero),
            (&mut self.bare_numbers, later.bare_numbers),
        ] {
            tally.merge(noted.shifted(shift));
        }
        for (rounded, noted) in self.rounded.iter_mut().zip(&later.rounded) {
            rounded.merge(noted, shift);
        }
    }

    /// Counts a row with these values.
    fn observe_values(&mut self, given: FieldSet) {
        if self.alike.0 != given {
            let alike = std::mem::replace(&mut self.alike, (given, 0));
            self.count_values(alike);
        }
        self.alike.1 += 1;
    }

    fn count_values(&mut self, (given, rows): (FieldSet, u64)) {
        for kind in given.iter() {
            self.columns[kind.index()].values += rows;
        }
    }

    fn observe_findings(&mut self, place: Place, checked: &Checked) {
        let (mut damaged, mut lost) = (FieldSet::EMPTY, FieldSet::EMPTY);
        for finding in &checked.findings {
            let Some(kind) = finding.field else { continue };
            match finding.rule.rule().damage {
                Damage::Lost => lost.insert(kind),
                Damage::Kept => damaged.insert(kind),
                Damage::None | Damage::Marked | Damage::Suspected => {}
            }
            if ROW_FLOAT.contains(&finding.rule) {
                self.float.add(place);
            } else if ROW_ZEROS.contains(&finding.rule) {
                self.zeros.add(place);
            } else if finding.rule == ROW_IMEI_14 {
                self.imei_14 += 1;
            } else if finding.rule == ROW_LOST_ZERO {
                self.lost_zero.add(place);
            } else if ROW_NO_COUNTRY.contains(&finding.rule) {
                self.bare_numbers.add(place);
            } else if finding.rule == ROW_COMPLETED {
                self.observe_completed(place, checked);
            }
            // Such a value is not among the fields. Its length is not known; 19 is usual, and the careful guess.
            let is_iccid = kind == FieldKind::Iccid && checked.fields.get(kind).is_none();
            if is_iccid && (finding.rule == ROW_FLOAT[1] || finding.rule == ROW_ZEROS[1]) {
                self.note_iccid_length(19);
            }
        }
        for kind in damaged.union(lost).iter() {
            let column = &mut self.columns[kind.index()];
            column.damaged.add(place);
            column.lost += u64::from(lost.contains(kind));
        }
    }

    /// An IMEI to which the check digit was appended, as the operator said: was that right?
    fn observe_completed(&mut self, place: Place, checked: &Checked) {
        self.imei_14 += 1;
        let body = checked.fields.get(FieldKind::Imei).and_then(|imei| imei.get(..14));
        if body.is_some_and(|body| passes(&format!("0{body}"))) {
            self.lost_zero.add(place);
        }
    }

    fn note_iccid_length(&mut self, length: usize) {
        if let Some(count) = length.checked_sub(18).and_then(|index| self.iccid_lengths.get_mut(index)) {
            *count += 1;
        }
    }
}

/// What a stretch of rows shows of its columns. The ordinals of its places may be lower than they should be: who takes
/// them over knows by how much.
#[derive(Debug, Default)]
pub struct ColumnNotes {
    pub(super) counts: Counts,
    pub(super) cards: CardNotes,
    pub(super) classes: ClassNotes,
    pub(super) ids: ExternalIdNotes,
}

impl ColumnNotes {
    /// Notes a row that was checked, rejected ones too: they are what an alarm is about, often.
    pub fn observe(&mut self, place: Place, checked: &Checked) {
        self.counts.rows += 1;
        // A field that is cleared has a value for us, though an empty one.
        let given = checked.given.union(checked.fields.present());
        self.counts.observe_values(given);
        if !checked.findings.is_empty() {
            self.counts.observe_findings(place, checked);
        }
        let value = |kind: FieldKind| checked.fields.get(kind).filter(|value| !value.is_empty());
        if let Some(iccid) = value(FieldKind::Iccid) {
            self.counts.note_iccid_length(iccid.len());
            self.cards.observe(place, iccid);
        }
        for (kind, rounded) in OPAQUE.into_iter().zip(&mut self.counts.rounded) {
            if let Some(id) = value(kind) {
                rounded.observe(place, id);
            }
        }
        if let Some(id) = value(FieldKind::UserExternalId) {
            self.ids.observe(place, id);
        }
        if let Some(class) = value(FieldKind::UserClass) {
            self.classes.observe(place, class);
        }
    }
}
