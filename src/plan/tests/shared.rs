//! What subjects may share and are told of, and what clearing a field is and is not.

use super::*;

const IMEI: FieldKind = FieldKind::Imei;
const CLEARED: u64 = FieldHash::CLEARED.0;

fn plan_with_imei(rows: &[TestRow], records: &[Record]) -> Plan {
    let mut survey = Survey::new(set(&[IMEI, IMSI, ICCID, KEY, CLASS]));
    for (ordinal, row) in (1..).zip(rows) {
        let (subject, facts) = (id(row.subject), row.facts());
        survey
            .row(&Surveyed { ordinal, subject, version: None, rank: None, facts: &facts, old: &[] })
            .unwrap();
    }
    survey.finish(&rules(), &Known(&ledger(records)), &OneHand).unwrap()
}

fn told(rows: &[TestRow], kind: SharedKind) -> Vec<u64> {
    let plan = plan_with_imei(rows, &[]);
    let told: Vec<u64> =
        (1..).zip(rows).map(|(at, _)| at).filter(|at| plan.shared(*at).contains(&kind)).collect();
    assert_eq!(plan.is_any_shared(kind), !told.is_empty());
    told
}

#[test]
fn one_imei_under_two_subjects_is_told_of_each() {
    let rows = [
        row(1, &[(IMEI, 7)]),
        row(2, &[(IMEI, 8)]),
        row(3, &[(IMEI, 7)]),
        // Passed on within the file: in the end nobody else has it.
        row(4, &[(IMEI, 8)]),
        row(4, &[(IMEI, 9)]),
    ];
    assert_eq!(told(&rows, SharedKind::Imei), [1, 3]);
    let cleared = [row(1, &[(IMEI, CLEARED)]), row(2, &[(IMEI, CLEARED)])];
    assert!(told(&cleared, SharedKind::Imei).is_empty());
    // Rows of one subject share nothing with others.
    assert!(told(&[row(1, &[(IMEI, 7)]), row(1, &[(IMEI, 7)])], SharedKind::Imei).is_empty());
    // Enough rows for more than one word of bits.
    let many: Vec<TestRow> =
        (1..=200).map(|subject| row(subject, &[(IMEI, u64::from(subject / 150) + 1)])).collect();
    assert_eq!(told(&many, SharedKind::Imei).len(), 200);
}

#[test]
fn one_iccid_with_two_imsis_is_told() {
    let rows = [
        row(1, &[(ICCID, 1), (IMSI, 1)]),
        row(2, &[(ICCID, 2), (IMSI, 2)]),
        row(1, &[(ICCID, 1), (IMSI, 3)]),
        row(3, &[(ICCID, 2)]),
        row(4, &[(ICCID, 4), (IMSI, 4)]),
        row(4, &[(ICCID, 4), (IMSI, CLEARED)]),
    ];
    assert_eq!(told(&rows, SharedKind::Pair), [1, 3]);
}

#[test]
fn many_subjects_may_clear_a_field_and_claim_nothing() {
    use Ruling::{Conflict, Folded, Send};
    let clears = [(IMSI, CLEARED)];
    check(&[row(1, &clears), row(2, &clears)], &[], &rules(), &[Send, Send]);
    // Given up by its last row: the other one may have it.
    check(
        &[row(1, &[(IMSI, 5)]), row(1, &clears), row(2, &[(IMSI, 5)])],
        &[],
        &rules(),
        &[Folded, Send, Send],
    );
    check(&[row(1, &clears), row(1, &[(IMSI, 5)]), row(2, &[(IMSI, 5)])], &[], &rules(), &[Conflict; 3]);
}

#[test]
fn clearing_twice_sends_once_and_only_news_is_counted() {
    let rows = [row(1, &[(IMSI, CLEARED)]), row(2, &[(IMSI, CLEARED), (CLASS, 1)]), row(3, &[(IMSI, 4)])];
    assert_eq!(plan(&rows, &[], &rules()).facts().clears, 2);
    let log = [synced(1, v(3, 1), &[(IMSI, CLEARED)]), synced(2, v(3, 2), &[(IMSI, CLEARED), (CLASS, 9)])];
    let known = check(&rows, &log, &rules(), &[Ruling::Unchanged, Ruling::Send, Ruling::Send]);
    assert_eq!(known.facts().clears, 0, "what is sent again with another field is no news");
    // Of a fold, the rows that clear in the end.
    let rows = [row(1, &[(IMSI, CLEARED)]), row(1, &[(CLASS, 1)])];
    assert_eq!(plan(&rows, &[], &rules()).facts().clears, 1);
}

#[test]
fn what_is_shared_is_told_only_where_an_update_to_send_takes_part() {
    let rows = [
        row(1, &[(IMEI, 7), (ICCID, 1), (IMSI, 1)]),
        row(2, &[(IMEI, 7), (ICCID, 2), (IMSI, 2)]),
        row(3, &[(ICCID, 2), (IMSI, 3)]),
    ];
    let known = [
        synced(1, v(8, 1), &[(IMEI, 7), (ICCID, 1), (IMSI, 1)]),
        synced(2, v(8, 2), &[(IMEI, 7), (ICCID, 2), (IMSI, 2)]),
        synced(3, v(8, 3), &[(ICCID, 2), (IMSI, 3)]),
    ];
    for (unchanged, imei, pair) in [
        (3, vec![], vec![]),
        (2, vec![], vec![2, 3]),
        (1, vec![1, 2], vec![2, 3]),
        (0, vec![1, 2], vec![2, 3]),
    ] {
        let plan = plan_with_imei(&rows, &known[..unchanged]);
        let told = |kind| (1..=3).filter(|at| plan.shared(*at).contains(&kind)).collect::<Vec<u64>>();
        assert_eq!((told(SharedKind::Imei), told(SharedKind::Pair)), (imei, pair), "{unchanged}");
    }
}
