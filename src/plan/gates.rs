//! The plan's gates: findings that stop the run before the first request.
//!
//! A gate is a function over the plan's numbers, listed in `GATES`; another one is another function and another line.
//! Not here: whether `--yes` overrides one, and who is told.

use crate::event::{ColumnDamage, PlanFacts};

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
}

impl Default for GateRules {
    fn default() -> GateRules {
        GateRules {
            rejected_share_max: REJECTED_SHARE_MAX_DEFAULT,
            rejected_rows_min: REJECTED_ROWS_MIN_DEFAULT,
            damage_share_max: DAMAGE_SHARE_MAX_DEFAULT,
            clears_share_max: CLEARS_SHARE_MAX_DEFAULT,
            alarm_rows_min: ALARM_ROWS_MIN_DEFAULT,
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
    /// Whether `--yes` may let the run go on.
    pub may_override: bool,
}

type Gate = fn(&PlanFacts, &GateRules) -> Option<Tripped>;

const GATES: [Gate; 3] = [rejected_share, damaged_share, clears_share];

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
    Some(Tripped { gate: "rejected_max", text, may_override: true })
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
    Some(Tripped { gate: "damage_max", text, may_override: true })
}

/// An export whose columns went blank behind a formula, or a token that is a value in this export after all.
fn clears_share(facts: &PlanFacts, rules: &GateRules) -> Option<Tripped> {
    let (clears, read) = (facts.clears, facts.rows.read);
    let share = share(clears, read);
    if clears < rules.alarm_rows_min || share <= rules.clears_share_max {
        return None;
    }
    let text = format!(
        "{:.1} % of the rows clear a field ({clears} of {read}), more than the {:.1} % allowed",
        share * 100.0,
        rules.clears_share_max * 100.0
    );
    Some(Tripped { gate: "clears_max", text, may_override: true })
}

/// A part of a whole, 0 to 1. Of numbers beyond 32 bits the lowest bits do not matter to a share.
fn share(part: u64, whole: u64) -> f64 {
    let shift = 32_u32.saturating_sub(whole.leading_zeros());
    let halved = |number: u64| f64::from(u32::try_from(number >> shift).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { halved(part) / halved(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PlanRows;

    fn tripped(read: u64, rejected: u64) -> bool {
        let rows = PlanRows { read, rejected, ..PlanRows::default() };
        !gates(&PlanFacts { rows, ..PlanFacts::default() }, &GateRules::default()).is_empty()
    }

    #[test]
    fn the_share_of_rejected_rows_counts_from_a_number_on() {
        for (read, rejected, expected) in [
            (0, 0, false),
            (19, 19, false),
            (20, 20, true),
            (66, 20, true),
            (67, 20, false),
            (100, 30, false),
            (100, 31, true),
            (1 << 40, 1 << 38, false),
            (1 << 40, 1 << 39, true),
        ] {
            assert_eq!(tripped(read, rejected), expected, "{rejected} of {read}");
        }
    }

    #[test]
    fn a_damaged_column_counts_from_a_number_and_a_share_on() {
        use crate::update::FieldKind;
        for (affected, values, expected) in [
            (0, 0, false),
            (19, 19, false),
            (20, 20, true),
            (20, 400, false),
            (21, 400, true),
            (50_000, 1_000_000, false),
            (50_001, 1_000_000, true),
        ] {
            let column = |field, affected| ColumnDamage { field, affected, values };
            let damaged = vec![column(FieldKind::Imei, 0), column(FieldKind::Iccid, affected)];
            let facts = PlanFacts { damaged, ..PlanFacts::default() };
            let tripped = gates(&facts, &GateRules::default());
            assert_eq!(!tripped.is_empty(), expected, "{affected} of {values}");
            if let [tripped] = &tripped[..] {
                assert_eq!(tripped.gate, "damage_max");
                assert!(
                    tripped.text.contains(&format!("iccid ({affected} of {values})")),
                    "{}",
                    tripped.text
                );
                assert!(!tripped.text.contains("imei") && tripped.may_override, "{}", tripped.text);
            }
        }
    }

    #[test]
    fn the_share_of_clears_counts_from_a_number_on() {
        for (read, clears, expected) in
            [(0, 0, false), (19, 19, false), (20, 20, true), (200, 20, false), (200, 21, true)]
        {
            let rows = PlanRows { read, ..PlanRows::default() };
            let facts = PlanFacts { rows, clears, ..PlanFacts::default() };
            let tripped = gates(&facts, &GateRules::default());
            assert_eq!(tripped.iter().any(|gate| gate.gate == "clears_max"), expected, "{clears} of {read}");
            assert!(tripped.iter().all(|gate| gate.may_override));
        }
    }

    #[test]
    fn a_tripped_gate_says_what_it_found_and_may_be_overridden() {
        let rows = PlanRows { read: 40, rejected: 25, ..PlanRows::default() };
        let facts = PlanFacts { rows, ..PlanFacts::default() };
        let [tripped] = &gates(&facts, &GateRules::default())[..] else { panic!("one gate") };
        assert_eq!(tripped.gate, "rejected_max");
        assert_eq!(tripped.text, "62.5 % of the rows are rejected (25 of 40), more than the 30.0 % allowed");
        assert!(tripped.may_override);
    }
}
