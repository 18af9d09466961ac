//! The gates at their borders, and what they say.

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
            assert!(tripped.text.contains(&format!("iccid ({affected} of {values})")), "{}", tripped.text);
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
