//! The plan's gates: findings that stop the run before the first request.
//!
//! A gate is a function over the plan's numbers, listed in `GATES`; another one is another function and another line.
//! Not here: whether `--yes` overrides one, and who is told.

use crate::count::plural;
use crate::event::{ColumnDamage, KeyRepeated, PlanFacts};
use crate::update::FieldKind;

use super::usual::Usual;

/// Largest share of rejected rows that lets the run go on.
pub const REJECTED_SHARE_MAX_DEFAULT: f64 = 0.30;

/// Rejected rows below which their share is not looked at: in a small file a few bad rows are a large share.
pub const REJECTED_ROWS_MIN_DEFAULT: u64 = 20;

/// Largest share of damaged values in a column that lets the run go on.
pub const DAMAGE_SHARE_MAX_DEFAULT: f64 = 0.05;

/// Largest share of rows that clear a field which lets the run go on.
pub const CLEARS_SHARE_MAX_DEFAULT: f64 = 0.10;

/// Rows with damage or clears below which their share is not looked at.
pub const ALARM_ROWS_MIN_DEFAULT: u64 = 20;

/// Largest share of the known subjects in an export that may change.
pub const CHANGED_SHARE_MAX_DEFAULT: f64 = 0.50;

/// Changing subjects below which their share is not looked at.
pub const CHANGED_SUBJECTS_MIN_DEFAULT: u64 = 100;

/// Largest share of the usual rows that may be missing.
pub const ROWS_DROP_MAX_DEFAULT: f64 = 0.50;

/// Largest share of the usual values of a column that may be missing.
pub const BLANK_SHARE_MAX_DEFAULT: f64 = 0.50;

/// Usual rows, or usual values of a column, below which neither is looked at.
pub const USUAL_ROWS_MIN_DEFAULT: u64 = 100;

/// Most subjects that may share one value of an identifier.
pub const REPEATED_MAX_DEFAULT: u64 = 50;

/// Largest share of the rows that may have one key value.
pub const KEY_REPEATED_MAX_DEFAULT: f64 = 0.01;

/// Rows with one key value below which it is no placeholder: a subject's history.
pub const KEY_REPEATED_ROWS_MIN_DEFAULT: u64 = 1_000;

/// The bounds of the gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateRules {
    /// Largest share of rows rejected among the rows read, 0 to 1.
    pub rejected_share_max: f64,
    /// Rejected rows from which the share counts.
    pub rejected_rows_min: u64,
    /// Largest share of a column's values with spreadsheet damage, 0 to 1.
    pub damage_share_max: f64,
    /// Largest share of rows that clear a field among the rows read, 0 to 1.
    pub clears_share_max: f64,
    /// Rows with damage or clears from which those shares count.
    pub alarm_rows_min: u64,
    /// Largest share of subjects that change among the known ones in the export, 0 to 1.
    pub changed_share_max: f64,
    /// Changing subjects from which the share counts.
    pub changed_subjects_min: u64,
    /// Largest share of the usual rows that may be missing, 0 to 1.
    pub rows_drop_max: f64,
    /// Largest share of the usual values of a column that may be missing, 0 to 1.
    pub blank_share_max: f64,
    /// Usual rows, and usual values of a column, from which both count.
    pub usual_rows_min: u64,
    /// Most subjects that may share one value of an identifier.
    pub repeated_max: u64,
    /// Largest share of rows that may have one key value, 0 to 1.
    pub key_repeated_max: f64,
    /// Rows with one key value from which the share counts.
    pub key_repeated_rows_min: u64,
}

impl Default for GateRules {
    fn default() -> GateRules {
        GateRules {
            rejected_share_max: REJECTED_SHARE_MAX_DEFAULT,
            rejected_rows_min: REJECTED_ROWS_MIN_DEFAULT,
            damage_share_max: DAMAGE_SHARE_MAX_DEFAULT,
            clears_share_max: CLEARS_SHARE_MAX_DEFAULT,
            alarm_rows_min: ALARM_ROWS_MIN_DEFAULT,
            changed_share_max: CHANGED_SHARE_MAX_DEFAULT,
            changed_subjects_min: CHANGED_SUBJECTS_MIN_DEFAULT,
            rows_drop_max: ROWS_DROP_MAX_DEFAULT,
            blank_share_max: BLANK_SHARE_MAX_DEFAULT,
            usual_rows_min: USUAL_ROWS_MIN_DEFAULT,
            repeated_max: REPEATED_MAX_DEFAULT,
            key_repeated_max: KEY_REPEATED_MAX_DEFAULT,
            key_repeated_rows_min: KEY_REPEATED_ROWS_MIN_DEFAULT,
        }
    }
}

/// A gate that found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tripped {
    /// Name of the gate, as in the configuration.
    pub gate: &'static str,
    /// What it found, in a sentence without values of fields.
    pub text: String,
    /// What the operator should do about it, to be followed by "or" and a way around.
    pub look: &'static str,
    /// Whether `--yes` may let the run go on.
    pub may_override: bool,
}

type Gate = fn(&PlanFacts, &GateRules) -> Option<Tripped>;

const GATES: [Gate; 8] = [
    rejected_share,
    damaged_share,
    clears_share,
    changed_share,
    rows_drop,
    blank_columns,
    repeated_value,
    repeated_key,
];

/// Names of the gates, as in the configuration, in the order they are asked.
pub const GATE_NAMES: [&str; GATES.len()] = [
    "rejected_max",
    "damage_max",
    "clears_max",
    "changed_max",
    "rows_drop_max",
    "blank_max",
    "repeated_max",
    KEY_REPEATED,
];

/// Name of the gate of [`GateRules::key_repeated_max`].
pub const KEY_REPEATED: &str = "key_repeated_max";

const LOOK_AT_EXPORT: &str = "make sure that this is meant, or correct the export or the mapping";

/// Holds the plan against every gate.
pub fn gates(facts: &PlanFacts, rules: &GateRules) -> Vec<Tripped> {
    GATES.iter().filter_map(|gate| gate(facts, rules)).collect()
}

fn rejected_share(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let (rejected, read) = (facts.rows.rejected, facts.rows.read);
    let share = share(rejected, read);
    if rejected < rules.rejected_rows_min || share <= rules.rejected_share_max {
        return None;
    }
    let text = format!(
        "{:.1} % of the rows are rejected ({rejected} of {read}), more than the {:.1} % allowed",
        share * 100.0,
        rules.rejected_share_max * 100.0
    );
    let look = "look at the reasons and correct the export or the mapping";
    Some(Tripped { gate: "rejected_max", text, look, may_override: true })
}

/// One damaged column is enough; all that are beyond the bound are named.
fn damaged_share(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let is_beyond = |column: &&ColumnDamage| {
        column.affected >= rules.alarm_rows_min
            && share(column.affected, column.values) > rules.damage_share_max
    };
    let found: Vec<String> = facts
        .damaged
        .iter()
        .filter(is_beyond)
        .map(|column| {
            let share = share(column.affected, column.values) * 100.0;
            format!("{share:.1} % of {} ({} of {})", column.field, column.affected, column.values)
        })
        .collect();
    if found.is_empty() {
        return None;
    }
    let text = format!(
        "values carry spreadsheet damage, more than the {:.1} % allowed: {}; export these columns as text",
        rules.damage_share_max * 100.0,
        found.join(", ")
    );
    Some(Tripped { gate: "damage_max", text, look: LOOK_AT_EXPORT, may_override: true })
}

/// An export whose columns went blank behind a formula, or a token that is a value in this export after all; rows
/// that were joined to the wrong subjects, which looks like many true swaps. A row that does both counts twice: it
/// clears twice.
fn clears_share(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let (broken, read) = (facts.chains.swaps_broken, facts.rows.read);
    let clears = facts.clears.saturating_add(broken);
    let share = share(clears, read);
    if clears < rules.alarm_rows_min || share <= rules.clears_share_max {
        return None;
    }
    let to_break = match broken {
        0 => String::new(),
        broken => format!(", {broken} of them to break true swaps"),
    };
    let text = format!(
        "{:.1} % of the rows clear a field ({clears} of {read}{to_break}), more than the {:.1} % allowed",
        share * 100.0,
        rules.clears_share_max * 100.0
    );
    Some(Tripped { gate: "clears_max", text, look: LOOK_AT_EXPORT, may_override: true })
}

/// Another mapping, another format of a whole column, the export of another system: many known subjects at once would
/// be given other values. What only `--full` or `resend_after` sends again is no change. An export of which most
/// subjects are new is an import that is still going on, and a batch that was begun has passed: its resume must need
/// no word.
fn changed_share(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let changed = facts.subjects_altered;
    let known = facts.subjects_known.saturating_sub(facts.subjects_missing);
    if facts.is_begun || facts.subjects_new > known {
        return None;
    }
    let share = share(changed.min(known), known);
    if changed < rules.changed_subjects_min || share <= rules.changed_share_max {
        return None;
    }
    let most = FieldKind::ALL.into_iter().zip(facts.field_changes).max_by_key(|(_, count)| *count);
    let most = most.filter(|(_, count)| *count > 0);
    let most = most.map_or_else(String::new, |(field, count)| format!(", most of all {field} ({count})"));
    let text = format!(
        "{:.1} % of the known subjects in this export would change ({changed} of {known}{most}), more than the \
         {:.1} % allowed",
        share * 100.0,
        rules.changed_share_max * 100.0
    );
    let look = "look at the samples and changes by field of `simsync plan`: is a column mapped to another field, or \
                written in another way? Correct the export or the mapping";
    Some(Tripped { gate: "changed_max", text, look, may_override: true })
}

/// An export that broke off, or left out a part. An empty one has a word of its own (`require_rows`).
fn rows_drop(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let usual = Usual::of(facts).filter(|_| !facts.is_begun)?;
    let read = facts.rows.read;
    let drop = share(usual.rows.saturating_sub(read), usual.rows);
    if read == 0 || usual.rows < rules.usual_rows_min || drop <= rules.rows_drop_max {
        return None;
    }
    let text = format!(
        "{} {} {:.1} % fewer than usual ({}, the median of {}), more than the {:.1} % allowed",
        plural(read, "row"),
        if read == 1 { "is" } else { "are" },
        drop * 100.0,
        usual.rows,
        usual.basis(),
        rules.rows_drop_max * 100.0
    );
    let look = "check that the export is whole; where it is one of single corrections, that is no fault";
    Some(Tripped { gate: "rows_drop_max", text, look, may_override: true })
}

/// A column that the export fills no more, or has no more; all that are beyond the bound are named. A small file shows
/// nothing of its columns.
fn blank_columns(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let usual = Usual::of(facts).filter(|_| !facts.is_begun)?;
    let read = facts.rows.read;
    if usual.rows.min(read) < rules.usual_rows_min {
        return None;
    }
    let mut found = Vec::new();
    for (field, now) in FieldKind::ALL.into_iter().zip(facts.filled) {
        let (filled, rows) = usual.filled[field.index()];
        let before = share(filled, rows);
        let now_share = share(now, read);
        if filled < rules.usual_rows_min || before <= 0.0 || 1.0 - now_share / before <= rules.blank_share_max
        {
            continue;
        }
        let column = if facts.mapped.contains(field) { "" } else { ", no column is mapped to it" };
        found.push(format!(
            "{field} in {:.1} % of the rows ({now} of {read}{column}), usually in {:.1} %",
            now_share * 100.0,
            before * 100.0
        ));
    }
    if found.is_empty() {
        return None;
    }
    let text = format!(
        "columns have fewer values than usual ({}), by more than the {:.1} % allowed: {}",
        usual.basis(),
        rules.blank_share_max * 100.0,
        found.join("; ")
    );
    let look = "check that the export still fills the column, under the same name";
    Some(Tripped { gate: "blank_max", text, look, may_override: true })
}

/// A placeholder: one card, device or number that stands in the rows of many subjects.
fn repeated_value(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let repeated = facts.repeated.filter(|repeated| repeated.subjects > rules.repeated_max)?;
    let text = format!(
        "one value of {} stands in the rows of {} subjects, more than the {} allowed; the first is row {}",
        repeated.field, repeated.subjects, rules.repeated_max, repeated.first_ordinal
    );
    let look = "a value that so many share is a placeholder: empty it in the export, or name it in rules.null_markers";
    Some(Tripped { gate: "repeated_max", text, look, may_override: true })
}

/// A placeholder in the key column: rows of many subscribers are taken for one subject, of which one update is left.
/// What was begun has passed, and where nothing of it is to be sent it does no harm any more.
fn repeated_key(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let repeated = many_rows(facts, rules).filter(|repeated| repeated.is_sent && !facts.is_begun)?;
    let of = facts.rows.read.saturating_sub(facts.rows.filtered);
    let share = share(repeated.rows, of);
    if share <= rules.key_repeated_max {
        return None;
    }
    let key = facts.key.map_or("", FieldKind::name);
    let first = match repeated.first {
        Some(place) => format!("line {}", place.line),
        None => format!("row {}", repeated.first_ordinal),
    };
    let text = format!(
        "{} of {of} rows ({:.1} %) have the key value ({key}) of {first}, more than the {:.1} % allowed",
        repeated.rows,
        share * 100.0,
        rules.key_repeated_max * 100.0
    );
    let look = "a key value of so many rows is a placeholder, and they are taken for one subject: empty it in the export, \
                or name it in rules.null_markers; is the right column the key (--key)?";
    Some(Tripped { gate: KEY_REPEATED, text, look, may_override: true })
}

/// The key value that more rows have than any subject's history, as a rule, if there is one.
pub fn many_rows(facts: &PlanFacts, rules: &GateRules) -> Option<KeyRepeated> {
    facts.key_repeated.filter(|repeated| repeated.rows >= rules.key_repeated_rows_min)
}

/// A part of a whole, 0 to 1. Of numbers beyond 32 bits the lowest bits do not matter to a share.
fn share(part: u64, whole: u64) -> f64 {
    let shift = 32_u32.saturating_sub(whole.leading_zeros());
    let halved = |number: u64| f64::from(u32::try_from(number >> shift).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { halved(part) / halved(whole) }
}

#[cfg(test)]
mod tests;
