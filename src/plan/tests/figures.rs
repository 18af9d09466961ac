//! What a plan tells of subjects beside its rulings: for the gates, and for people.

use super::*;
use crate::event::Repeated;
use crate::ledger::UnknownCause;
use crate::plan::Sample;

#[test]
fn known_subjects_are_those_of_the_job_and_missing_without_a_row() {
    let known = [1, 2, 3].map(|subject| synced(subject, v(1, 1), &[(IMSI, 1)]));
    // Refused only: nothing of it was ever acknowledged.
    let records: Vec<Record> = known.into_iter().chain([refused(4, v(1, 4), &[(IMSI, 1)])]).collect();
    let rows = [row(1, &[(IMSI, 1)]), row(5, &[(IMSI, 1)])];
    for (tagged, expected) in [(1, (1, 0)), (2, (1, 1)), (4, (0, 0)), (5, (0, 0))] {
        let rules = PlanRules { tag: Some(id(tagged).tag()), ..rules() };
        let facts = plan(&rows, &ledger(&records), &rules).facts();
        assert_eq!((facts.subjects_known, facts.subjects_missing), expected, "subject {tagged}");
    }
    let facts = plan(&rows, &ledger(&records), &rules()).facts();
    assert_eq!((facts.subjects_known, facts.subjects_unchanged), (0, 1));
}

#[test]
fn altered_is_what_gets_another_value_and_not_what_is_sent_again() {
    let acked = || synced(1, v(1, 1), &[(IMSI, 1)]);
    let lost = unknown(1, v(2, 1), &[(IMSI, 2)], UnknownCause::Exhausted);
    let full = PlanRules { full: true, ..rules() };
    for (what, records, fields, rules, expected) in [
        ("another value", vec![acked()], [(IMSI, 2)], rules(), 1),
        ("a value where none was", vec![acked()], [(CLASS, 2)], rules(), 1),
        ("nothing", vec![acked()], [(IMSI, 1)], rules(), 0),
        ("sent all the same", vec![acked()], [(IMSI, 1)], full, 0),
        ("only what nobody knows any more", vec![acked(), lost], [(IMSI, 2)], rules(), 0),
        ("a new subject", Vec::new(), [(IMSI, 1)], rules(), 0),
    ] {
        let facts = plan(&[row(1, &fields)], &ledger(&records), &rules).facts();
        assert_eq!(facts.subjects_altered, expected, "{what}");
    }
    // Of several updates of one subject, one.
    let rows = [row(1, &[(IMSI, 2)]), row(1, &[(IMSI, 3)])];
    let facts = plan(&rows, &ledger(&[acked()]), &with(DuplicatePolicy::Each)).facts();
    assert_eq!((facts.subjects_changed, facts.subjects_altered), (2, 1));
}

#[test]
fn the_value_most_subjects_share_counts_where_it_would_be_sent() {
    let rows = [1, 2, 3, 4, 5].map(|subject| row(subject, &[(ICCID, 7), (IMSI, u64::from(subject) / 4)]));
    let found = plan(&rows, &[], &rules()).facts().repeated;
    assert_eq!(found, Some(Repeated { field: ICCID, subjects: 5, first_ordinal: 1 }));
    let records: Vec<Record> = (1..6_u8)
        .map(|subject| synced(subject, v(1, 1), &[(ICCID, 7), (IMSI, u64::from(subject) / 4)]))
        .collect();
    assert_eq!(plan(&rows, &ledger(&records), &rules()).facts().repeated, None);
    // Neither a class nor the key is an identifier that could be a placeholder.
    let rows = [1, 2, 3].map(|subject| row(subject, &[(CLASS, 7)]));
    assert_eq!(plan(&rows, &[], &rules()).facts().repeated, None);
}

#[test]
fn samples_are_the_first_updates_in_file_order() {
    let records = [
        synced(9, v(1, 1), &[(IMSI, 1), (ICCID, 90)]),
        unknown(9, v(2, 1), &[(ICCID, 91)], UnknownCause::Exhausted),
    ];
    let rows = [
        row(8, &[(IMSI, 8)]),
        row(9, &[(IMSI, 2)]),
        row(9, &[(ICCID, 92), (CLASS, 1)]),
        row(1, &[(IMSI, 3)]),
        row(2, &[(IMSI, 4)]),
    ];
    let two = PlanRules { samples: 2, ..rules() };
    let samples = plan(&rows, &ledger(&records), &two).samples().to_vec();
    assert_eq!(
        samples,
        [
            Sample { ordinal: 1, changed: set(&[KEY, IMSI]), known: FieldSet::EMPTY, is_new: true },
            // The key is unknown, too: it goes with every update.
            Sample {
                ordinal: 3,
                changed: set(&[KEY, IMSI, ICCID, CLASS]),
                known: set(&[IMSI]),
                is_new: false,
            },
        ]
    );
}
