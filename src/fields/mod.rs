//! The nine fields: what is wrong with a value, and the one form in which it is sent.
//!
//! Pure: a row's cells go in, canonical values and findings come out. Every rule has a code and a severity that an
//! operator may override; nothing but damage that destroys a value rejects a row by default, because doubtful
//! values are common and legitimate in the field. One file per field holds its rules, its checks and its tests;
//! [`FIELDS`] lists them. Not here: reading cells (`input/`), subjects and keys (`survey.rs`), clearing by an
//! explicit token (the wiring asks before it asks us), rules that need more than one row (`plan/`).
//!
//! A value is canonical when checking it again gives the same value: `+` and digits for `number`, digits for the
//! identifiers, the trimmed text for everything else.

use std::borrow::Cow;

use crate::update::{FIELD_COUNT, FieldKind, FieldSet, Fields};

use glance::Glance;

mod clean;
mod columns;
mod cross;
mod generic_id;
mod glance;
mod iccid;
mod imei;
mod imsi;
mod luhn;
mod mangle;
mod mcc;
mod number;
mod options;
mod password;
mod quotes;
mod rules;
mod structure;
#[cfg(test)]
mod tests;
mod user_class;
mod user_external_id;
mod username;

pub use clean::{Cleaning, bare};
pub use columns::{ColumnAlarm, ColumnBook, ColumnNotes};
pub use options::{
    BareNumbers, ClearAs, Imei14, Imei16, NULL_MARKERS, NumberFormat, Preset, RuleOptions, RuleSet,
    RuleSetError, Spare0,
};
pub use rules::{Damage, RULES, Rule, RuleId, SUGGESTIONS_MAX, Severity, suggest};

/// The country, ISO 3166-1 alpha-2, in which a number in its canonical form is a national one.
pub fn home_of_number(number: &str) -> Option<String> {
    number::home_of(number)
}

/// Checks a cleaned cell: the canonical value, or `None` when the field is not sent.
type Check = for<'a> fn(&'a str, &mut Context<'_>) -> Option<Cow<'a, str>>;

/// What there is to know about one field.
#[derive(Debug)]
pub struct FieldSpec {
    /// Which field.
    pub kind: FieldKind,
    /// Its own rules, to be gathered in [`RULES`], where they know their field.
    rules: &'static [Rule],
    /// How its cells are cleaned first.
    pub cleaning: Cleaning,
    check: Check,
}

impl FieldSpec {
    const fn new(kind: FieldKind, rules: &'static [Rule], cleaning: Cleaning, check: Check) -> FieldSpec {
        FieldSpec { kind, rules, cleaning, check }
    }
}

/// The fields in wire order.
pub const FIELDS: [FieldSpec; FIELD_COUNT] = [
    FieldSpec::new(FieldKind::Number, number::RULES, Cleaning::Digits, number::check),
    FieldSpec::new(FieldKind::GenericId, generic_id::RULES, Cleaning::Opaque, generic_id::check),
    FieldSpec::new(FieldKind::Imei, imei::RULES, Cleaning::Digits, imei::check),
    FieldSpec::new(FieldKind::Imsi, imsi::RULES, Cleaning::Digits, imsi::check),
    FieldSpec::new(FieldKind::Iccid, iccid::RULES, Cleaning::Digits, iccid::check),
    FieldSpec::new(FieldKind::Username, username::RULES, Cleaning::Text, username::check),
    FieldSpec::new(FieldKind::Password, password::RULES, Cleaning::Verbatim, password::check),
    FieldSpec::new(
        FieldKind::UserExternalId,
        user_external_id::RULES,
        Cleaning::Opaque,
        user_external_id::check,
    ),
    FieldSpec::new(FieldKind::UserClass, user_class::RULES, Cleaning::Text, user_class::check),
];

/// The same table, in memory once.
static SPECS: [FieldSpec; FIELD_COUNT] = FIELDS;

/// A rule that a row broke. It holds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: RuleId,
    /// The severity in force; never [`Severity::Off`].
    pub severity: Severity,
    /// The field it was found in; `None` when it is about the whole row.
    pub field: Option<FieldKind>,
}

/// What checking a row gave. Kept between rows, so that its buffers are.
#[derive(Debug, Default)]
pub struct Checked {
    /// Canonical values of the fields to send. A field with a finding of severity error is not among them.
    pub fields: Fields,
    /// Fields whose cell held a value, sent or not: neither empty nor a null marker.
    pub given: FieldSet,
    /// Broken rules, field by field in wire order, then those between fields.
    pub findings: Vec<Finding>,
    /// Cells that held a null marker (not: empty cells) and were taken as absent.
    pub absent_markers: u32,
    /// Room for a value that is not written as its cell was: most rows have one.
    room: String,
}

impl Checked {
    /// Forgets the row and keeps the buffers.
    pub fn clear(&mut self) {
        self.fields.clear_all();
        self.given = FieldSet::EMPTY;
        self.findings.clear();
        self.absent_markers = 0;
    }

    /// Why the row is rejected: the first finding of severity error.
    pub fn rejected(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity == Severity::Error)
    }
}

/// What a field's check works in: the rules, and where findings go.
struct Context<'r> {
    rules: &'r RuleSet,
    kind: FieldKind,
    /// `None` when only the canonical form is asked for.
    findings: Option<&'r mut Vec<Finding>>,
    /// A finding of severity error was raised.
    rejected: bool,
    /// What a glance at the cell showed, if it was enough to see that the cell is plain and needs no cleaning.
    glance: Option<Glance>,
    /// Room for a value that is not written as its cell was.
    room: &'r mut String,
}

impl Context<'_> {
    /// Whether the rule is in force. To be asked before an expensive check only.
    fn applies(&self, rule: RuleId) -> bool {
        self.rules.severity(rule) != Severity::Off
    }

    /// Notes that the value breaks a rule.
    fn raise(&mut self, rule: RuleId) {
        let severity = self.rules.severity(rule);
        self.rejected |= severity == Severity::Error;
        if severity != Severity::Off
            && let Some(findings) = &mut self.findings
        {
            findings.push(Finding { rule, severity, field: Some(self.kind) });
        }
    }

    /// Notes that the value has no canonical form under a rule. An operator who lowered the rule wants the value
    /// sent as it stands.
    fn pass_as_is<'a>(&mut self, rule: RuleId, value: impl Into<Cow<'a, str>>) -> Option<Cow<'a, str>> {
        self.raise(rule);
        Some(value.into())
    }

    /// Whether a value made of the cell at hand has digits only.
    fn is_digits(&self, value: &str) -> bool {
        self.glance.is_some_and(Glance::is_digits) || luhn::is_digits(value)
    }

    /// Whether a value, as it stands in the cell, may be a number that a program wrote with a point or an exponent.
    fn may_be_mangled(&self) -> bool {
        self.glance.is_none_or(Glance::may_be_mangled)
    }

    /// Whether the canonical form of a server's echo is asked for, not that of a cell.
    fn is_echo(&self) -> bool {
        self.findings.is_none()
    }
}

/// Checks one row: fills `checked` with canonical values and findings, those between its fields included.
///
/// `cell` gives the text of a field as the input holds it. An absent or empty cell and a null marker leave the field
/// absent; they are never an empty value.
pub fn check_row<'a>(rules: &RuleSet, cell: &impl Fn(FieldKind) -> Option<&'a str>, checked: &mut Checked) {
    check_cells(rules, cell, Glance::at_plain, checked);
}

fn check_cells<'a>(
    rules: &RuleSet,
    cell: &impl Fn(FieldKind) -> Option<&'a str>,
    glance: impl Fn(&str) -> Option<Glance>,
    checked: &mut Checked,
) {
    checked.clear();
    let Checked { fields, given, findings, absent_markers, room } = checked;
    for spec in &SPECS {
        let Some(cell) = cell(spec.kind).filter(|cell| !cell.is_empty()) else { continue };
        // Of a secret every byte may count.
        let is_secret = spec.cleaning == Cleaning::Verbatim;
        let glance = if is_secret { None } else { glance(cell) };
        // What a glance shows to be plain is clean.
        let cleaned = if glance.is_none() { Some(clean::clean(cell, spec.cleaning)) } else { None };
        let value = cleaned.as_ref().map_or(cell, |cleaned| cleaned.value.as_ref());
        if value.is_empty() {
            continue;
        }
        if !is_secret && rules.is_null_marker(value, spec.cleaning == Cleaning::Digits) {
            *absent_markers += 1;
            continue;
        }
        given.insert(spec.kind);
        let findings = Some(&mut *findings);
        let mut context = Context { rules, kind: spec.kind, findings, rejected: false, glance, room };
        let canonical = match &cleaned {
            // It begins and ends with a letter, a digit or a plus, and holds no quote.
            None => (spec.check)(value, &mut context),
            Some(cleaned) => {
                cleaned.fixes.into_iter().flatten().for_each(|fix| context.raise(fix));
                check_value(spec, value, &mut context)
            }
        };
        if context.rejected {
            if spec.cleaning == Cleaning::Digits
                && let Some(shift) = cross::shifted(spec.kind, value)
            {
                context.raise(shift);
            }
        } else if let Some(canonical) = canonical {
            fields.set(spec.kind, &canonical);
            if let Cow::Owned(value) = canonical {
                *room = value;
            }
        }
    }
    cross::check(rules, fields, findings);
}

/// The rules of all fields, then the field's own, for a value that no glance shows to be plain.
fn check_value<'a>(spec: &FieldSpec, value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if spec.cleaning != Cleaning::Verbatim && clean::is_error_value(value) {
        return context.pass_as_is(clean::ERROR_VALUE, value);
    }
    if spec.cleaning != Cleaning::Verbatim && clean::is_object(value) {
        return context.pass_as_is(clean::OBJECT, value);
    }
    quotes::check(value, spec.cleaning, context);
    (spec.check)(value, context)
}

/// The canonical form of a value that a server echoed, for comparing it with the one sent; `None` when it has none.
///
/// Unlike a cell, an echo is never a null marker, its class is not mapped again, and digits without `+` are taken for
/// E.164 where the rules for cells would not accept them.
pub fn canonical(rules: &RuleSet, kind: FieldKind, value: &str) -> Option<String> {
    let spec = &SPECS[kind.index()];
    let cleaned = clean::clean(value, spec.cleaning);
    if cleaned.value.is_empty() {
        return None;
    }
    let room = &mut String::new();
    let mut context = Context { rules, kind, findings: None, rejected: false, glance: None, room };
    let canonical = check_value(spec, &cleaned.value, &mut context)?;
    (!context.rejected).then(|| canonical.into_owned())
}
