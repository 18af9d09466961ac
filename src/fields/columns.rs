//! What only a whole column shows: the share of damaged values, a column that is blank, two spellings of one thing.
//!
//! A [`ColumnBook`] is told of every row that was checked and says at the end what is wrong with the columns. Its memory is
//! bounded, however long the file; a row costs it a few additions. Not here: what is wrong with a single value (each
//! field's own file), rows that contradict each other (`plan/`), the name of a column and what an alarm stops.

use crate::row::Place;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::luhn::passes;
use super::rules::{Damage, Rule, RuleId, Severity, WARN, WARN_BUT_LENIENT, rule};
use super::{Checked, RuleSet};

mod rounded;
mod spellings;
#[cfg(test)]
mod tests;

use rounded::Rounded;
use spellings::{Cards, Classes, ExternalIds};

const DAMAGE_SOURCE: &str = "Microsoft KB 269370; IEEE 754; field-rules 1.10";
const AS_TEXT: &str = "export the column as text, then check the file again";

pub(super) const RULES: &[Rule] = &[
    rule(
        "column.damage",
        WARN_BUT_LENIENT,
        "values of the column carry spreadsheet damage",
        DAMAGE_SOURCE,
        AS_TEXT,
    ),
    rule(
        "column.float",
        WARN_BUT_LENIENT,
        "many more values than chance gives are numbers a double holds exactly: the column was rounded",
        "IEEE 754: of genuine values one in 128 is so at 18 digits, one in 1024 at 19, one in 16384 at 20",
        "read the column as text where the file is made (pandas: dtype=str), and export again",
    ),
    rule(
        "column.zeros",
        WARN_BUT_LENIENT,
        "many more values than chance gives end in zeros behind fifteen digits: the column was rounded",
        "Microsoft KB 269370; field-rules 1.4: one genuine value of 18 digits in 1000 ends in 000",
        AS_TEXT,
    ),
    rule(
        "column.lost_zero",
        WARN_BUT_LENIENT,
        "most values of 14 digits pass the check with a zero in front: the column lost leading zeros",
        "field-rules 1.2: one value in ten passes by chance",
        "export the column as text, or set imei_14 = \"zero-pad\"",
    ),
    rule(
        "column.bare_numbers",
        WARN,
        "numbers of no country",
        "ITU-T E.164 clause 6: only with + is a number international; field-rules 1.1: spreadsheets remove it",
        "set --default-country CC or rules.bare_numbers",
    ),
    rule(
        "column.blank",
        WARN_BUT_LENIENT,
        "the column is mapped, and not one row has a value in it",
        "design 2: the plan's gates",
        "check that the export still fills the column, or do not map it",
    ),
    rule(
        "column.iccid_prefix",
        WARN_BUT_LENIENT,
        "some ICCIDs stand with 20 digits and, without the last one, with 19",
        "field-rules 1.4",
        "give every card's number in one form, with or without the check digit",
    ),
    rule(
        "class.many",
        WARN_BUT_LENIENT,
        "more than 50 different classes",
        "field-rules 1.9",
        "check that the right column is mapped to user_class",
    ),
    rule(
        "class.case",
        WARN_BUT_LENIENT,
        "classes that differ in upper and lower case only",
        "field-rules 1.9",
        "write them in one way, or map them to one class with class_map",
    ),
    rule(
        "external_id.case",
        WARN_BUT_LENIENT,
        "identifiers that differ in upper and lower case only",
        "field-rules 1.8",
        "check whether they are one record; write every identifier in one way",
    ),
    rule(
        "external_id.salesforce_mix",
        WARN_BUT_LENIENT,
        "Salesforce ids of 15 and of 18 characters for the same kind of record",
        "field-rules 1.8: the same record, two spellings",
        "export every id with 18 characters",
    ),
    rule(
        "external_id.guid_mix",
        WARN_BUT_LENIENT,
        "GUIDs in several spellings: with and without braces, or in upper and lower case",
        "RFC 9562 clause 4; field-rules 1.8",
        "write every GUID in one way",
    ),
];

const DAMAGE: RuleId = RuleId::known("column.damage");
const FLOAT: RuleId = RuleId::known("column.float");
const ZEROS: RuleId = RuleId::known("column.zeros");
const LOST_ZERO: RuleId = RuleId::known("column.lost_zero");
const BARE_NUMBERS: RuleId = RuleId::known("column.bare_numbers");
const BLANK: RuleId = RuleId::known("column.blank");
const ICCID_PREFIX: RuleId = RuleId::known("column.iccid_prefix");
const CLASS_MANY: RuleId = RuleId::known("class.many");
const CLASS_CASE: RuleId = RuleId::known("class.case");
const ID_CASE: RuleId = RuleId::known("external_id.case");
const SALESFORCE_MIX: RuleId = RuleId::known("external_id.salesforce_mix");
const GUID_MIX: RuleId = RuleId::known("external_id.guid_mix");
const ALARMS: [RuleId; 12] = [
    DAMAGE,
    FLOAT,
    ZEROS,
    LOST_ZERO,
    BARE_NUMBERS,
    BLANK,
    ICCID_PREFIX,
    CLASS_MANY,
    CLASS_CASE,
    ID_CASE,
    SALESFORCE_MIX,
    GUID_MIX,
];

/// Whether the rule is an alarm about a column: told or not, and never a reason to reject a row.
pub(super) fn is_alarm(id: RuleId) -> bool {
    ALARMS.contains(&id)
}

/// Findings of single rows that a column's books are kept of.
const ROW_FLOAT: [RuleId; 2] = [RuleId::known("iccid.float"), RuleId::known("iccid.float_luhn")];
const ROW_ZEROS: [RuleId; 2] = [RuleId::known("iccid.zeros"), RuleId::known("iccid.zeros_luhn")];
const ROW_IMEI_14: RuleId = RuleId::known("imei.14");
const ROW_COMPLETED: RuleId = RuleId::known("imei.completed");
const ROW_LOST_ZERO: RuleId = RuleId::known("imei.lost_zero");
/// As a rule no fault of the rows, but one setting that is missing for all of them.
const ROW_NO_COUNTRY: [RuleId; 2] = [RuleId::known("number.bare"), RuleId::known("number.no_country")];

/// Fewest values from which a share is judged: one or two are a typing error.
const AFFECTED_MIN: u64 = 3;
/// Share of damaged values from which a column is called damaged, in percent, unless digits were lost.
const DAMAGE_PERCENT_MIN: u64 = 1;
/// How many times the share that chance gives makes an alarm.
const CHANCE_FACTOR: u64 = 3;
/// Genuine numbers that a double holds exactly, in 16384: of 18, 19 and 20 digits.
const FLOAT_CHANCE: [u64; 3] = [128, 16, 1];
const FLOAT_CHANCE_OF: u64 = 16_384;
/// One genuine number in so many ends in three zeros.
const ZEROS_CHANCE_OF: u64 = 1_000;
/// Fewest rows after which a column without a value is called blank.
const BLANK_ROWS_MIN: u64 = 20;

/// Fields in which a long number is an identifier like any other, so that nothing but the column shows its damage.
const OPAQUE: [FieldKind; 3] = [FieldKind::GenericId, FieldKind::Username, FieldKind::UserExternalId];

/// What is wrong with a whole column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnAlarm {
    /// The field the column is mapped to.
    pub field: FieldKind,
    /// Code of the rule, which holds the text and the remedy.
    pub code: &'static str,
    /// Values it is about; a lower bound for codes that need a sample (`external_id.case`, `column.iccid_prefix`).
    pub affected: u64,
    /// Values of the column; rows, for a blank one.
    pub values: u64,
    /// The first row it is about; `None` when it is about all of them.
    pub first: Option<Place>,
}

/// How often something was seen, and where first.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    count: u64,
    first: Option<Place>,
}

impl Tally {
    fn add(&mut self, place: Place) {
        self.count += 1;
        self.first.get_or_insert(place);
    }
}

/// The books of one column.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    values: u64,
    /// Values whose digits are lost, and those that are damaged but whole.
    damaged: Tally,
    lost: u64,
}

/// The books of all columns of a run.
#[derive(Debug)]
pub struct ColumnBook {
    /// Which of [`ALARMS`] are in force.
    in_force: [bool; ALARMS.len()],
    mapped: FieldSet,
    rows: u64,
    columns: [Column; FIELD_COUNT],
    /// ICCIDs of 18, 19 and 20 digits.
    iccid_lengths: [u64; 3],
    float: Tally,
    zeros: Tally,
    imei_14: u64,
    lost_zero: Tally,
    bare_numbers: Tally,
    cards: Cards,
    /// The long numbers of [`OPAQUE`] fields.
    rounded: [Rounded; OPAQUE.len()],
    classes: Classes,
    ids: ExternalIds,
}

impl ColumnBook {
    /// Empty books. `mapped` are the fields that have a column in every input; of no other one a blank is told.
    pub fn new(rules: &RuleSet, mapped: FieldSet) -> ColumnBook {
        ColumnBook {
            in_force: ALARMS.map(|rule| rules.severity(rule) != Severity::Off),
            mapped,
            rows: 0,
            columns: [Column::default(); FIELD_COUNT],
            iccid_lengths: [0; 3],
            float: Tally::default(),
            zeros: Tally::default(),
            imei_14: 0,
            lost_zero: Tally::default(),
            bare_numbers: Tally::default(),
            cards: Cards::default(),
            rounded: [Rounded::default(); OPAQUE.len()],
            classes: Classes::default(),
            ids: ExternalIds::default(),
        }
    }

    /// Notes a row that was checked, rejected ones too: they are what an alarm is about, often.
    pub fn observe(&mut self, place: Place, checked: &Checked) {
        self.rows += 1;
        // A field that is cleared has a value for us, though an empty one.
        for kind in checked.given.union(checked.fields.present()).iter() {
            self.columns[kind.index()].values += 1;
        }
        if !checked.findings.is_empty() {
            self.observe_findings(place, checked);
        }
        let value = |kind: FieldKind| checked.fields.get(kind).filter(|value| !value.is_empty());
        if let Some(iccid) = value(FieldKind::Iccid) {
            self.note_iccid_length(iccid.len());
            self.cards.observe(place, iccid);
        }
        for (kind, rounded) in OPAQUE.into_iter().zip(&mut self.rounded) {
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

    /// Whether more numbers are exact doubles than chance explains.
    fn is_float(&self) -> bool {
        let by_chance: u64 =
            self.iccid_lengths.iter().zip(FLOAT_CHANCE).map(|(count, chance)| count * chance).sum();
        is_above(self.float.count, by_chance, FLOAT_CHANCE_OF)
    }

    /// Whether more numbers end in zeros than chance explains.
    fn has_zeros(&self) -> bool {
        is_above(self.zeros.count, self.iccid_lengths.iter().sum(), ZEROS_CHANCE_OF)
    }

    /// Whether 14 digits are what remained when a zero was lost. By chance a tenth looks so.
    fn has_lost_zeros(&self) -> bool {
        self.lost_zero.count >= AFFECTED_MIN && self.lost_zero.count.saturating_mul(2) > self.imei_14
    }

    /// The columns with damaged values: the field, how many are damaged, how many values there are. Values that are
    /// only suspected count when their column as a whole convicts them.
    pub fn damaged(&self) -> impl Iterator<Item = (FieldKind, u64, u64)> {
        FieldKind::ALL.into_iter().filter_map(|kind| {
            let column = &self.columns[kind.index()];
            let convicted = match kind {
                FieldKind::Iccid => {
                    let float = if self.is_float() { self.float.count } else { 0 };
                    let zeros = if self.has_zeros() { self.zeros.count } else { 0 };
                    float + zeros
                }
                FieldKind::Imei if self.has_lost_zeros() => self.lost_zero.count,
                FieldKind::GenericId | FieldKind::Username | FieldKind::UserExternalId => self.rounded(kind),
                FieldKind::Imei
                | FieldKind::Number
                | FieldKind::Imsi
                | FieldKind::Password
                | FieldKind::UserClass => 0,
            };
            let affected = column.damaged.count + convicted;
            (affected > 0).then_some((kind, affected, column.values))
        })
    }

    /// Values of an opaque field that were rounded, in either way.
    fn rounded(&self, kind: FieldKind) -> u64 {
        let books = OPAQUE.into_iter().zip(&self.rounded).filter(|(of, _)| *of == kind);
        books.map(|(_, rounded)| rounded.float().count.max(rounded.zeros().count)).sum()
    }

    /// Rows with a value in each field's column, in wire order.
    pub fn filled(&self) -> [u64; FIELD_COUNT] {
        self.columns.map(|column| column.values)
    }

    /// What is wrong with the columns, in wire order of their fields. A rule that is off raises no alarm.
    pub fn alarms(&self) -> Vec<ColumnAlarm> {
        let mut alarms = Vec::new();
        let mut raise = |rule: RuleId, field: FieldKind, tally: Tally| {
            let is_in_force = ALARMS.iter().zip(self.in_force).any(|(alarm, on)| on && *alarm == rule);
            if is_in_force && tally.count > 0 {
                let values = self.columns[field.index()].values;
                let (code, affected, first) = (rule.rule().code, tally.count, tally.first);
                alarms.push(ColumnAlarm { field, code, affected, values, first });
            }
        };
        let when = |holds: bool, tally: Tally| if holds { tally } else { Tally::default() };
        for field in FieldKind::ALL {
            let column = &self.columns[field.index()];
            let share = column.damaged.count.saturating_mul(100) >= column.values * DAMAGE_PERCENT_MIN;
            let is_damaged = column.lost > 0 || (share && column.damaged.count >= AFFECTED_MIN);
            raise(DAMAGE, field, when(is_damaged, column.damaged));
        }
        raise(BARE_NUMBERS, FieldKind::Number, self.bare_numbers);
        raise(LOST_ZERO, FieldKind::Imei, when(self.has_lost_zeros(), self.lost_zero));
        raise(FLOAT, FieldKind::Iccid, when(self.is_float(), self.float));
        raise(ZEROS, FieldKind::Iccid, when(self.has_zeros(), self.zeros));
        for (kind, rounded) in OPAQUE.into_iter().zip(&self.rounded) {
            raise(FLOAT, kind, rounded.float());
            raise(ZEROS, kind, rounded.zeros());
        }
        raise(ICCID_PREFIX, FieldKind::Iccid, self.cards.prefixes());
        raise(ID_CASE, FieldKind::UserExternalId, self.ids.case());
        raise(SALESFORCE_MIX, FieldKind::UserExternalId, self.ids.salesforce_mix());
        raise(GUID_MIX, FieldKind::UserExternalId, self.ids.guid_mix());
        raise(CLASS_MANY, FieldKind::UserClass, self.classes.many());
        raise(CLASS_CASE, FieldKind::UserClass, self.classes.case());
        alarms.extend(self.blanks());
        alarms.sort_by_key(|alarm| alarm.field);
        alarms
    }

    fn blanks(&self) -> impl Iterator<Item = ColumnAlarm> {
        let is_in_force = ALARMS.iter().zip(self.in_force).any(|(alarm, on)| on && *alarm == BLANK);
        let is_long = self.rows >= BLANK_ROWS_MIN;
        let blank =
            move |field: &FieldKind| is_in_force && is_long && self.columns[field.index()].values == 0;
        self.mapped.iter().filter(blank).map(|field| ColumnAlarm {
            field,
            code: BLANK.rule().code,
            affected: self.rows,
            values: self.rows,
            first: None,
        })
    }
}

/// Whether `found` is above what chance gives: `chances` in `of` of being found by accident.
fn is_above(found: u64, chances: u64, of: u64) -> bool {
    found >= AFFECTED_MIN && found.saturating_mul(of) > chances.saturating_mul(CHANCE_FACTOR)
}
