//! What only a whole column shows: the share of damaged values, a column that is blank, two spellings of one thing.
//!
//! A [`ColumnBook`] takes over the notes of all rows that were checked and says at the end what is wrong with the
//! columns. Its memory is bounded, however long the file. Not here: what is noted of a row (`columns/notes.rs`), what
//! is wrong with a single value (each field's own file), rows that contradict each other (`plan/`), the name of a
//! column and what an alarm stops.

use crate::row::Place;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::RuleSet;
use super::rules::{Rule, RuleId, Severity, WARN, WARN_BUT_LENIENT, rule};

mod notes;
mod rounded;
mod spellings;
#[cfg(test)]
mod tests;

pub use notes::ColumnNotes;

use notes::Counts;
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
    fn of(place: Place) -> Tally {
        Tally { count: 1, first: Some(place) }
    }

    fn add(&mut self, place: Place) {
        self.count += 1;
        self.first.get_or_insert(place);
    }

    /// Adds what was seen in rows that come later.
    fn merge(&mut self, later: Tally) {
        self.count += later.count;
        self.first = self.first.or(later.first);
    }

    fn shifted(self, shift: u64) -> Tally {
        Tally { first: self.first.map(|place| shifted(place, shift)), ..self }
    }
}

/// The place of a row whose ordinal is `shift` lower than it should be.
fn shifted(place: Place, shift: u64) -> Place {
    Place { ordinal: place.ordinal + shift, ..place }
}

/// The books of all columns of a run.
#[derive(Debug)]
pub struct ColumnBook {
    /// Which of [`ALARMS`] are in force.
    in_force: [bool; ALARMS.len()],
    mapped: FieldSet,
    counts: Counts,
    cards: Cards,
    classes: Classes,
    ids: ExternalIds,
}

impl ColumnBook {
    /// Empty books. `mapped` are the fields that have a column in every input; of no other one a blank is told.
    pub fn new(rules: &RuleSet, mapped: FieldSet) -> ColumnBook {
        ColumnBook {
            in_force: ALARMS.map(|rule| rules.severity(rule) != Severity::Off),
            mapped,
            counts: Counts::default(),
            cards: Cards::default(),
            classes: Classes::default(),
            ids: ExternalIds::default(),
        }
    }

    /// Takes over the notes of the rows that come next, whose ordinals are `shift` lower than they should be. The notes
    /// are empty again then, and ready for other rows.
    pub fn take(&mut self, notes: &mut ColumnNotes, shift: u64) {
        self.counts.merge(&std::mem::take(&mut notes.counts), shift);
        self.cards.take(&mut notes.cards, shift);
        self.classes.take(&mut notes.classes, shift);
        self.ids.take(&mut notes.ids, shift);
    }

    #[cfg(test)]
    pub(in crate::fields) fn observe(&mut self, place: Place, checked: &super::Checked) {
        let mut notes = ColumnNotes::default();
        notes.observe(place, checked);
        self.take(&mut notes, 0);
    }

    /// Whether more numbers are exact doubles than chance explains.
    fn is_float(&self) -> bool {
        let by_chance: u64 =
            self.counts.iccid_lengths.iter().zip(FLOAT_CHANCE).map(|(count, chance)| count * chance).sum();
        is_above(self.counts.float.count, by_chance, FLOAT_CHANCE_OF)
    }

    /// Whether more numbers end in zeros than chance explains.
    fn has_zeros(&self) -> bool {
        is_above(self.counts.zeros.count, self.counts.iccid_lengths.iter().sum(), ZEROS_CHANCE_OF)
    }

    /// Whether 14 digits are what remained when a zero was lost. By chance a tenth looks so.
    fn has_lost_zeros(&self) -> bool {
        self.counts.lost_zero.count >= AFFECTED_MIN
            && self.counts.lost_zero.count.saturating_mul(2) > self.counts.imei_14
    }

    /// The columns with damaged values: the field, how many are damaged, how many values there are. Values that are
    /// only suspected count when their column as a whole convicts them.
    pub fn damaged(&self) -> impl Iterator<Item = (FieldKind, u64, u64)> {
        FieldKind::ALL.into_iter().filter_map(|kind| {
            let column = &self.counts.columns[kind.index()];
            let convicted = match kind {
                FieldKind::Iccid => {
                    let float = if self.is_float() { self.counts.float.count } else { 0 };
                    let zeros = if self.has_zeros() { self.counts.zeros.count } else { 0 };
                    float + zeros
                }
                FieldKind::Imei if self.has_lost_zeros() => self.counts.lost_zero.count,
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
        let books = OPAQUE.into_iter().zip(&self.counts.rounded).filter(|(of, _)| *of == kind);
        books.map(|(_, rounded)| rounded.float().count.max(rounded.zeros().count)).sum()
    }

    /// Rows with a value in each field's column, in wire order.
    pub fn filled(&self) -> [u64; FIELD_COUNT] {
        self.counts.columns.map(|column| column.values)
    }

    /// What is wrong with the columns, in wire order of their fields. A rule that is off raises no alarm.
    pub fn alarms(&self) -> Vec<ColumnAlarm> {
        let mut alarms = Vec::new();
        let mut raise = |rule: RuleId, field: FieldKind, tally: Tally| {
            let is_in_force = ALARMS.iter().zip(self.in_force).any(|(alarm, on)| on && *alarm == rule);
            if is_in_force && tally.count > 0 {
                let values = self.counts.columns[field.index()].values;
                let (code, affected, first) = (rule.rule().code, tally.count, tally.first);
                alarms.push(ColumnAlarm { field, code, affected, values, first });
            }
        };
        let when = |holds: bool, tally: Tally| if holds { tally } else { Tally::default() };
        for field in FieldKind::ALL {
            let column = &self.counts.columns[field.index()];
            let share = column.damaged.count.saturating_mul(100) >= column.values * DAMAGE_PERCENT_MIN;
            let is_damaged = column.lost > 0 || (share && column.damaged.count >= AFFECTED_MIN);
            raise(DAMAGE, field, when(is_damaged, column.damaged));
        }
        raise(BARE_NUMBERS, FieldKind::Number, self.counts.bare_numbers);
        raise(LOST_ZERO, FieldKind::Imei, when(self.has_lost_zeros(), self.counts.lost_zero));
        raise(FLOAT, FieldKind::Iccid, when(self.is_float(), self.counts.float));
        raise(ZEROS, FieldKind::Iccid, when(self.has_zeros(), self.counts.zeros));
        for (kind, rounded) in OPAQUE.into_iter().zip(&self.counts.rounded) {
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
        let is_long = self.counts.rows >= BLANK_ROWS_MIN;
        let blank =
            move |field: &FieldKind| is_in_force && is_long && self.counts.columns[field.index()].values == 0;
        self.mapped.iter().filter(blank).map(|field| ColumnAlarm {
            field,
            code: BLANK.rule().code,
            affected: self.counts.rows,
            values: self.counts.rows,
            first: None,
        })
    }
}

/// Whether `found` is above what chance gives: `chances` in `of` of being found by accident.
fn is_above(found: u64, chances: u64, of: u64) -> bool {
    found >= AFFECTED_MIN && found.saturating_mul(of) > chances.saturating_mul(CHANCE_FACTOR)
}
