//! Rows that a column orders: the newest by the column is the newest in the plan, in the ledger and in a resume.

use super::*;

/// A row with what the column says of its age.
fn aged(rank: i128, subject: u8, fields: &[(FieldKind, u64)]) -> TestRow {
    TestRow { rank: Some(rank), ..row(subject, fields) }
}

#[test]
fn the_newest_row_wins_wherever_it_stands() {
    let rows = [aged(3, 1, &[(IMSI, 3)]), aged(1, 1, &[(IMSI, 1), (ICCID, 1)]), aged(2, 1, &[(IMSI, 2)])];
    let plan = check(&rows, &[], &rules(), &[Ruling::Folded, Ruling::Folded, Ruling::Send]);
    assert_eq!([1, 2, 3].map(|ordinal| plan.numbered(ordinal)), [3, 1, 2]);
    assert_eq!([1, 2, 3].map(|ordinal| plan.left_out(ordinal)), [set(&[]), set(&[IMSI]), set(&[IMSI])]);
    // Where the file is in order, nothing is dealt out anew.
    let rows = [aged(1, 1, &[(IMSI, 1)]), aged(1, 2, &[(IMSI, 9)]), aged(2, 1, &[(IMSI, 2)])];
    let plan = check(&rows, &[], &rules(), &[Ruling::Folded, Ruling::Send, Ruling::Send]);
    assert_eq!([1, 2, 3].map(|ordinal| plan.numbered(ordinal)), [1, 2, 3]);
}

#[test]
fn rows_of_one_age_stay_in_the_order_of_the_file() {
    let rows = [aged(1, 1, &[(IMSI, 1)]), aged(0, 1, &[(IMSI, 2)]), aged(1, 1, &[(IMSI, 3)])];
    let plan = check(&rows, &[], &rules(), &[Ruling::Folded, Ruling::Folded, Ruling::Send]);
    assert_eq!([1, 2, 3].map(|ordinal| plan.numbered(ordinal)), [2, 1, 3]);
}

#[test]
fn the_policies_follow_the_column() {
    use Ruling::{Duplicate, Rejected, Send, Superseded};
    let rows = [aged(2, 1, &[(IMSI, 2)]), aged(1, 1, &[(IMSI, 1)])];
    check(&rows, &[], &with(DuplicatePolicy::Last), &[Send, Superseded]);
    check(&rows, &[], &with(DuplicatePolicy::First), &[Superseded, Send]);
    check(&rows, &[], &with(DuplicatePolicy::Reject), &[Rejected, Rejected]);
    // A, B, A by the column is A, A, B in the file: the equal rows are no duplicates.
    let rows = [aged(1, 1, &[(IMSI, 1)]), aged(3, 1, &[(IMSI, 1)]), aged(2, 1, &[(IMSI, 2)])];
    check(&rows, &[], &rules(), &[Ruling::Folded, Ruling::Folded, Send]);
    let rows = [aged(1, 1, &[(IMSI, 1)]), aged(3, 1, &[(IMSI, 2)]), aged(2, 1, &[(IMSI, 1)])];
    check(&rows, &[], &rules(), &[Ruling::Folded, Send, Duplicate]);
}

#[test]
fn a_fold_in_doubt_is_resumed_with_the_newest_value() {
    // The first row is the newest; the intent marked all fields with the version of that row.
    let rows = [aged(2, 1, &[(IMSI, 2)]), aged(1, 1, &[(IMSI, 1), (ICCID, 1)])];
    let open = [intent(1, v(BATCH, 2), &[(IMSI, 2), (ICCID, 1)])];
    let plan = check(&rows, &open, &rules(), &[Ruling::Folded, Ruling::Send]);
    assert_eq!(plan.left_out(1), set(&[]));
    assert_eq!(plan.left_out(2), set(&[IMSI]));
    // Acknowledged, it is unchanged.
    let mut facts = facts(1, v(BATCH, 2), &[(IMSI, 2), (ICCID, 1)]);
    facts.iter_mut().filter(|fact| fact.kind == ICCID).for_each(|fact| fact.version = v(BATCH, 1));
    let done = [Record::Synced { subject: id(1), version: v(BATCH, 2), facts, at_s: NOW_S }];
    check(&rows, &done, &rules(), &[Ruling::Unchanged, Ruling::Unchanged]);
}

#[test]
fn a_replayed_row_keeps_its_version_against_the_column() {
    let old = TestRow { rank: Some(9), ..replayed(3, 5, 1, &[(IMSI, 5)]) };
    let rows = [aged(2, 1, &[(IMSI, 2)]), old, aged(1, 1, &[(ICCID, 1)])];
    let plan = check(&rows, &[], &rules(), &[Ruling::Folded, Ruling::Folded, Ruling::Send]);
    assert_eq!(plan.left_out(2), set(&[IMSI]), "newer by the column, older by its batch");
    assert_eq!([1, 2, 3].map(|ordinal| plan.numbered(ordinal)), [3, 2, 1]);
}

#[test]
fn a_filtered_row_has_no_subject_and_its_own_column_in_the_books() {
    let mut survey = Survey::new(set(&MAPPED));
    survey.filtered(1);
    survey.rejected(2);
    let facts = row(1, &[(IMSI, 1)]).facts();
    survey
        .row(&Surveyed { ordinal: 3, subject: id(1), version: None, rank: Some(1), facts: &facts, old: &[] })
        .unwrap();
    survey.filtered(4);
    let plan = survey.finish(&rules(), &NoLedger, &OneHand).unwrap();
    assert_eq!(rulings(&plan), [Ruling::Filtered, Ruling::Rejected, Ruling::Send, Ruling::Filtered]);
    assert_eq!((plan.facts().rows.filtered, plan.facts().rows.rejected), (2, 1));
}

#[test]
fn a_rejected_row_keeps_its_place_until_it_is_corrected() {
    let mut survey = Survey::new(set(&MAPPED));
    let facts = row(2, &[(IMSI, 1)]).facts();
    survey.rejected_in_order(1, id(3), 9).unwrap();
    survey.rejected_in_order(2, id(2), 9).unwrap();
    survey.rejected_in_order(3, id(1), 9).unwrap();
    survey.rejected_in_order(4, id(1), 8).unwrap();
    survey
        .row(&Surveyed { ordinal: 5, subject: id(2), version: None, rank: Some(7), facts: &facts, old: &[] })
        .unwrap();
    survey.rejected_in_order(6, id(3), 8).unwrap();
    survey.rejected(7);
    let plan = survey.finish(&rules(), &NoLedger, &OneHand).unwrap();
    let mut expected = [Ruling::Rejected; 7];
    expected[4] = Ruling::Send;
    assert_eq!(rulings(&plan), expected);
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(|ordinal| plan.numbered(ordinal)), [6, 5, 4, 3, 2, 1, 7]);
    assert_eq!((plan.facts().rows.rejected, plan.facts().rows.send), (6, 1));
}
