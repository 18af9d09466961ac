//! The table of rules: every code of the product with its severities, its source and its remedy.
//!
//! The rules of a field stand in the field's own file and are only gathered here. Not here: which severity is in
//! force (`options.rs`), and the checks themselves.

use std::fmt;

use crate::choice::choice;
use crate::near::edits;
use crate::update::FieldKind;

use super::{FIELDS, clean, columns, cross, mangle, quotes, structure};

choice! {
    /// What a broken rule does to its row. Ordered by consequence.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Severity {
        /// The rule does not apply: the value passes as it stands.
        Off = "off",
        /// The value was normalized; it is sent and counted.
        Fix = "fix",
        /// The value is sent, counted and listed in the reports.
        Warn = "warn",
        /// The row is rejected and not sent.
        Error = "error",
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

choice! {
    /// What a broken rule says about spreadsheets and doubles, which take identifiers for numbers. The rules that say
    /// anything but `none` are one family, over which `columns.rs` keeps the books of each column.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Damage {
        /// Nothing.
        None = "none",
        /// A mark that kept the value from damage was taken off; the value is whole.
        Marked = "marked",
        /// Sound values break the rule by chance, too; only their share in the column tells.
        Suspected = "suspected",
        /// The value was taken for a number; all of its digits are there.
        Kept = "kept",
        /// Digits are gone. No sound value breaks the rule.
        Lost = "lost",
    }
}

/// One rule: what can be wrong with a row or a field, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The code: group and name, stable over versions, used in settings and reports.
    pub code: &'static str,
    /// The field the rule belongs to; `None` for rules of a whole row or of several fields.
    pub field: Option<FieldKind>,
    /// Severity under the default preset.
    pub severity: Severity,
    /// Severity under the preset `lenient`.
    pub lenient: Severity,
    /// Severity under the preset `strict`.
    pub strict: Severity,
    /// What is wrong, as a fragment. Never a value.
    pub says: &'static str,
    /// Where the rule comes from: standard and clause, or the decision behind it.
    pub source: &'static str,
    /// What the operator can do about it.
    pub remedy: &'static str,
    /// A structural rule is an error under every preset and cannot be lowered: without it there is no row to send.
    pub structural: bool,
    /// Whether breaking it is a sign of spreadsheet damage, and how sure a one.
    pub damage: Damage,
}

impl Rule {
    /// The same rule as one of the family of spreadsheet damage.
    pub(super) const fn of_damage(self, damage: Damage) -> Rule {
        Rule { damage, ..self }
    }
}

/// The severities of a rule in the order lenient, default, strict.
pub(super) type Levels = [Severity; 3];

/// An error under every preset, but not beyond an operator's own override.
pub(super) const ERROR: Levels = [Severity::Error; 3];
/// An error that the preset `lenient` lets through.
pub(super) const ERROR_BUT_LENIENT: Levels = [Severity::Warn, Severity::Error, Severity::Error];
/// A warning under every preset.
pub(super) const WARN: Levels = [Severity::Warn; 3];
/// A warning that the preset `strict` raises to an error.
pub(super) const WARN_OR_STRICT: Levels = [Severity::Warn, Severity::Warn, Severity::Error];
/// A warning that the preset `lenient` leaves out.
pub(super) const WARN_BUT_LENIENT: Levels = [Severity::Off, Severity::Warn, Severity::Warn];
/// A normalization, counted under every preset.
pub(super) const FIX: Levels = [Severity::Fix; 3];
/// A normalization under which the value was in danger: worth a line in the report.
pub(super) const FIX_AND_WARN: Levels = [Severity::Fix, Severity::Warn, Severity::Warn];
/// Off, and a warning under the preset `strict`.
pub(super) const OFF_OR_STRICT: Levels = [Severity::Off, Severity::Off, Severity::Warn];
/// Off unless an operator asks for it.
pub(super) const OFF: Levels = [Severity::Off; 3];

/// A rule. Its field is the one whose table it stands in.
pub(super) const fn rule(
    code: &'static str,
    levels: Levels,
    says: &'static str,
    source: &'static str,
    remedy: &'static str,
) -> Rule {
    let [lenient, severity, strict] = levels;
    let damage = Damage::None;
    Rule { code, field: None, severity, lenient, strict, says, source, remedy, structural: false, damage }
}

/// A rule without which a row cannot be told from its neighbors: always an error.
pub(super) const fn structural(
    code: &'static str,
    says: &'static str,
    source: &'static str,
    remedy: &'static str,
) -> Rule {
    Rule { structural: true, ..rule(code, ERROR, says, source, remedy) }
}

/// The groups of rules that belong to no single field.
const SHARED: [&[Rule]; 6] =
    [clean::RULES, quotes::RULES, mangle::RULES, cross::RULES, columns::RULES, structure::RULES];

const COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < FIELDS.len() {
        count += FIELDS[group].rules.len();
        group += 1;
    }
    group = 0;
    while group < SHARED.len() {
        count += SHARED[group].len();
        group += 1;
    }
    count
};

const TABLE: [Rule; COUNT] = {
    let mut table = [structure::RULES[0]; COUNT];
    let mut filled = 0;
    let mut group = 0;
    while group < FIELDS.len() + SHARED.len() {
        let (field, rules) = if group < FIELDS.len() {
            (Some(FIELDS[group].kind), FIELDS[group].rules)
        } else {
            (None, SHARED[group - FIELDS.len()])
        };
        let mut index = 0;
        while index < rules.len() {
            table[filled] = Rule { field, ..rules[index] };
            filled += 1;
            index += 1;
        }
        group += 1;
    }
    table
};

/// Every rule of the product: the fields in wire order, then the rules they share, then those of whole
/// columns and of whole rows.
pub static RULES: &[Rule] = &TABLE;

/// A rule by its position in [`RULES`]. Positions change between versions; only codes may be stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u16);

impl RuleId {
    /// The rule of a code that is written in the source, for constants: an unknown code does not compile.
    ///
    /// # Panics
    /// Outside a constant, when no rule has the code.
    pub const fn known(code: &str) -> RuleId {
        let mut index: u16 = 0;
        while (index as usize) < TABLE.len() {
            if same(TABLE[index as usize].code.as_bytes(), code.as_bytes()) {
                return RuleId(index);
            }
            index += 1;
        }
        panic!("no rule has this code")
    }

    /// The rule of a code, if there is one.
    pub fn of(code: &str) -> Option<RuleId> {
        RuleId::all().find(|id| id.rule().code == code)
    }

    /// Every rule, in the order of [`RULES`].
    pub fn all() -> impl Iterator<Item = RuleId> {
        (0_u16..).map(RuleId).take(RULES.len())
    }

    /// The rule itself.
    pub fn rule(self) -> &'static Rule {
        &RULES[self.index()]
    }

    /// Position in [`RULES`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().code)
    }
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Most codes that [`suggest`] names.
pub const SUGGESTIONS_MAX: usize = 3;

/// Known codes near a mistyped one, nearest first, at most [`SUGGESTIONS_MAX`].
pub fn suggest(code: &str) -> Vec<&'static str> {
    // A third of the letters may be wrong; beyond that a suggestion is a guess.
    let distance_max = (code.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &'static str)> = RULES
        .iter()
        .filter_map(|rule| {
            let (_, name) = rule.code.rsplit_once('.').unwrap_or(("", rule.code));
            // People remember the name and forget the group: `luhn` is near `imei.luhn`.
            let distance = if name == code { 1 } else { edits(code, rule.code) };
            (distance <= distance_max).then_some((distance, rule.code))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SUGGESTIONS_MAX).map(|(_, code)| code).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_every_rule_is_explained() {
        let codes: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
        assert_eq!(codes.len(), RULES.len());
        for rule in RULES {
            for text in [rule.says, rule.source, rule.remedy] {
                assert!(!text.trim().is_empty(), "{}", rule.code);
            }
            assert!(!rule.says.ends_with('.'), "{}: a fragment without full stop", rule.code);
            assert!(rule.lenient <= rule.severity && rule.severity <= rule.strict, "{}", rule.code);
            let well_formed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            assert!(rule.code.chars().all(well_formed), "{}", rule.code);
            if let Some(field) = rule.field {
                assert!(rule.code.starts_with(&format!("{field}.")), "{}", rule.code);
            }
        }
    }

    #[test]
    fn a_rule_is_found_by_its_code() {
        for id in RuleId::all() {
            assert_eq!(RuleId::of(id.rule().code), Some(id));
            assert_eq!(RuleId::known(id.rule().code), id);
        }
        assert_eq!(RuleId::of("imei.lun"), None);
    }

    #[test]
    fn near_codes_are_suggested_nearest_first() {
        assert_eq!(suggest("imei.lunh").first(), Some(&"imei.luhn"));
        assert!(suggest("luhn").contains(&"iccid.luhn"));
        assert!(suggest("entirely.unrelated_words").is_empty());
    }
}
