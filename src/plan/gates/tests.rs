//! The gates at their borders, and what they say.

use super::*;
use crate::event::{BatchFigures, ChainFacts, PlanRows, Repeated};
use crate::update::{FIELD_COUNT, FieldSet};

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
fn what_true_swaps_are_broken_with_counts_as_clears() {
    for (clears, swaps_broken, expected) in [(0, 20, false), (0, 21, true), (11, 10, true), (10, 10, false)] {
        let rows = PlanRows { read: 200, ..PlanRows::default() };
        let chains = ChainFacts { swaps_broken, ..ChainFacts::default() };
        let facts = PlanFacts { rows, clears, chains, ..PlanFacts::default() };
        let tripped = gates(&facts, &GateRules::default());
        assert_eq!(tripped.len(), usize::from(expected), "{clears} and {swaps_broken}: {tripped:?}");
        let is_told = |gate: &Tripped| gate.text.contains(&format!("{swaps_broken} of them to break"));
        assert!(tripped.iter().all(is_told), "{tripped:?}");
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

#[test]
fn the_share_of_known_subjects_that_change_counts_from_a_number_on() {
    for (altered, known, missing, expected) in [
        (0, 0, 0, false),
        (99, 99, 0, false),
        (100, 100, 0, true),
        (100, 200, 0, false),
        (101, 200, 0, true),
        // Of those in the export, not of all that are known.
        (100, 10_000, 9_801, true),
        (100, 10_000, 9_800, false),
        (500_001, 1_000_000, 0, true),
    ] {
        let facts = PlanFacts {
            subjects_altered: altered,
            subjects_known: known,
            subjects_missing: missing,
            // Sent all the same, and no change: --full.
            subjects_changed: known,
            ..PlanFacts::default()
        };
        let names: Vec<_> = gates(&facts, &GateRules::default()).iter().map(|gate| gate.gate).collect();
        assert_eq!(names.contains(&"changed_max"), expected, "{altered} of {known} less {missing}");
    }
}

#[test]
fn neither_a_resume_nor_an_import_still_going_on_changes_too_many() {
    let facts = PlanFacts { subjects_altered: 500, subjects_known: 500, ..PlanFacts::default() };
    let is_tripped = |facts: PlanFacts| !gates(&facts, &GateRules::default()).is_empty();
    assert!(is_tripped(facts.clone()));
    assert!(is_tripped(PlanFacts { subjects_new: 500, ..facts.clone() }));
    assert!(!is_tripped(PlanFacts { subjects_new: 501, ..facts.clone() }));
    assert!(!is_tripped(PlanFacts { is_begun: true, ..facts }));
}

#[test]
fn the_changed_field_is_named() {
    let mut facts = PlanFacts { subjects_altered: 750, subjects_known: 1_200, ..PlanFacts::default() };
    facts.subjects_missing = 200;
    facts.field_changes[FieldKind::Imsi.index()] = 745;
    facts.field_changes[FieldKind::Number.index()] = 10;
    let [tripped] = &gates(&facts, &GateRules::default())[..] else { panic!("one gate") };
    assert_eq!(
        tripped.text,
        "75.0 % of the known subjects in this export would change (750 of 1000, most of all imsi (745)), more than the \
         50.0 % allowed"
    );
}

/// A whole export of so many rows, at a target where so many are usual, with these values of the IMEI.
fn export(read: u64, filled: u64, usual: u64, usually_filled: u64) -> PlanFacts {
    let mut facts = PlanFacts {
        rows: PlanRows { read, ..PlanRows::default() },
        is_whole: true,
        mapped: FieldSet::only(FieldKind::Imei),
        ..PlanFacts::default()
    };
    let mut figures = BatchFigures { rows: usual, filled: [0; FIELD_COUNT], ..BatchFigures::default() };
    facts.filled[FieldKind::Imei.index()] = filled;
    figures.filled[FieldKind::Imei.index()] = usually_filled;
    facts.usual = vec![figures; 3];
    facts
}

#[test]
fn fewer_rows_than_usual_count_from_a_usual_number_on() {
    for (read, usual, expected) in [
        (1, 99, false),
        (1, 100, true),
        (49, 100, true),
        (50, 100, false),
        (1_000, 100, false),
        // An empty export has a word of its own.
        (0, 10_000, false),
        (499_999, 1_000_000, true),
    ] {
        let facts = export(read, 0, usual, 0);
        let names: Vec<_> = gates(&facts, &GateRules::default()).iter().map(|gate| gate.gate).collect();
        assert_eq!(names.contains(&"rows_drop_max"), expected, "{read} where {usual} are usual");
        let part = PlanFacts { is_whole: false, ..facts };
        assert_eq!(gates(&part, &GateRules::default()), []);
    }
    let [tripped] = &gates(&export(400, 0, 1_000, 0), &GateRules::default())[..] else { panic!("one gate") };
    let text = "400 rows are 60.0 % fewer than usual (1000, the median of the last 3 exports), more than the 50.0 % allowed";
    assert_eq!(tripped.text, text);
    assert!(tripped.may_override);
}

#[test]
fn a_column_that_went_blank_is_told_by_what_is_usual() {
    for (read, filled, usual, usually_filled, expected) in [
        (1_000, 0, 1_000, 1_000, true),
        (1_000, 499, 1_000, 1_000, true),
        (1_000, 500, 1_000, 1_000, false),
        // A share of rows, not a number: half the rows, all filled.
        (600, 600, 1_000, 1_000, false),
        // Few values were usual, or few rows are there: chance.
        (1_000, 0, 1_000, 99, false),
        (1_000, 0, 1_000, 100, true),
        (99, 0, 100, 100, false),
        (100, 0, 100, 100, true),
        // Never filled before, filled now.
        (1_000, 900, 1_000, 0, false),
    ] {
        let facts = export(read, filled, usual, usually_filled);
        let names: Vec<_> = gates(&facts, &GateRules::default()).iter().map(|gate| gate.gate).collect();
        assert_eq!(names.contains(&"blank_max"), expected, "{filled} of {read}, {usually_filled} of {usual}");
    }
    let mut facts = export(1_000, 10, 1_000, 900);
    let [tripped] = &gates(&facts, &GateRules::default())[..] else { panic!("one gate") };
    assert_eq!(
        tripped.text,
        "columns have fewer values than usual (the last 3 exports), by more than the 50.0 % allowed: imei in 1.0 % of \
         the rows (10 of 1000), usually in 90.0 %"
    );
    facts.mapped = FieldSet::EMPTY;
    assert!(gates(&facts, &GateRules::default())[0].text.contains("no column is mapped to it"));
}

#[test]
fn a_value_that_many_subjects_share_is_a_placeholder() {
    let repeated = |subjects| PlanFacts {
        repeated: Some(Repeated { field: FieldKind::Iccid, subjects, first_ordinal: 7 }),
        ..PlanFacts::default()
    };
    assert_eq!(gates(&repeated(50), &GateRules::default()), []);
    let [tripped] = &gates(&repeated(51), &GateRules::default())[..] else { panic!("one gate") };
    assert_eq!(
        tripped.text,
        "one value of iccid stands in the rows of 51 subjects, more than the 50 allowed; the first is row 7"
    );
}

#[test]
fn a_usual_night_trips_nothing() {
    let mut facts = export(10_000, 9_950, 10_050, 10_000);
    facts.rows.rejected = 12;
    facts.subjects_known = 10_060;
    facts.subjects_missing = 70;
    facts.subjects_altered = 180;
    facts.repeated = Some(Repeated { field: FieldKind::Imei, subjects: 3, first_ordinal: 88 });
    assert_eq!(gates(&facts, &GateRules::default()), []);
}

#[test]
fn a_key_value_of_many_rows_counts_from_a_number_and_a_share_on() {
    let place = |line| Some(crate::row::Place { file: 0, line, ordinal: 17 });
    for (rows, read, is_sent, is_begun, expected) in [
        (999, 999, true, false, false),
        (1_000, 1_000, true, false, true),
        (1_000, 100_000, true, false, false),
        (1_001, 100_000, true, false, true),
        (1_000, 1_000, false, false, false),
        (1_000, 1_000, true, true, false),
    ] {
        let repeated = KeyRepeated { rows, first_ordinal: 17, first: place(18), is_sent };
        let facts = PlanFacts {
            rows: PlanRows { read, ..PlanRows::default() },
            key: Some(FieldKind::Number),
            key_repeated: Some(repeated),
            is_begun,
            ..PlanFacts::default()
        };
        let tripped = gates(&facts, &GateRules::default());
        assert_eq!(!tripped.is_empty(), expected, "{rows} of {read}, sent {is_sent}, begun {is_begun}");
        if let [tripped] = &tripped[..] {
            assert!(tripped.gate == KEY_REPEATED && tripped.may_override);
            assert!(tripped.text.contains("have the key value (number) of line 18"), "{}", tripped.text);
        }
    }
}
