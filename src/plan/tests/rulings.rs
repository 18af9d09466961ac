//! What makes a row a duplicate, superseded, unchanged, folded: the order of rows and the policies on duplicates.

use super::*;
use Ruling::{Duplicate, Folded, Rejected, Send, Superseded, Unchanged};

#[test]
fn a_rejected_row_has_no_subject_and_stays_rejected() {
    let rows = [row(0, &[]), row(1, &[(IMSI, 1)]), row(0, &[])];
    let plan = check(&rows, &[], &rules(), &[Rejected, Send, Rejected]);
    assert!(plan.rejected_by_policy().is_empty());
    assert_eq!((plan.facts().rows.read, plan.facts().rows.rejected, plan.facts().rows.send), (3, 2, 1));
}

#[test]
fn an_empty_survey_is_an_empty_plan() {
    let plan = check(&[], &[], &rules(), &[]);
    assert_eq!(plan.facts().rows, crate::event::PlanRows::default());
}

#[test]
fn a_row_equal_to_its_subjects_row_before_is_a_duplicate() {
    let a = row(1, &[(IMSI, 1)]);
    // Chains: the second and the third.
    check(&[a.clone(), a.clone(), a.clone()], &[], &rules(), &[Send, Duplicate, Duplicate]);
    // Other subjects between them do not matter.
    let rows = [a.clone(), row(2, &[(IMSI, 2)]), a.clone()];
    check(&rows, &[], &rules(), &[Send, Send, Duplicate]);
    // The same hashes in other fields are another row.
    check(&[a.clone(), row(1, &[(ICCID, 1)])], &[], &rules(), &[Folded, Send]);
    // More fields than before, fewer fields than before.
    let ab = row(1, &[(IMSI, 1), (ICCID, 1)]);
    check(&[a.clone(), ab.clone()], &[], &rules(), &[Folded, Send]);
    check(&[ab, a], &[], &rules(), &[Folded, Send]);
}

#[test]
fn a_field_of_hash_zero_is_not_an_absent_field() {
    let rows = [row(1, &[(IMSI, 5), (ICCID, 0)]), row(1, &[(IMSI, 5)])];
    check(&rows, &[], &rules(), &[Folded, Send]);
}

#[test]
fn a_b_a_ends_at_a_under_every_policy_that_sends_the_last() {
    let (a, b) = (row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)]));
    let rows = [a.clone(), b, a];
    check(&rows, &[], &with(DuplicatePolicy::Fold), &[Folded, Folded, Send]);
    check(&rows, &[], &with(DuplicatePolicy::Each), &[Send, Send, Send]);
    check(&rows, &[], &with(DuplicatePolicy::Last), &[Superseded, Superseded, Send]);
    check(&rows, &[], &with(DuplicatePolicy::First), &[Send, Superseded, Superseded]);
}

#[test]
fn duplicates_are_decided_first_for_every_policy() {
    let (a, b) = (row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)]));
    let rows = [a.clone(), a, b.clone(), b];
    check(&rows, &[], &with(DuplicatePolicy::Fold), &[Folded, Duplicate, Send, Duplicate]);
    check(&rows, &[], &with(DuplicatePolicy::Last), &[Superseded, Duplicate, Send, Duplicate]);
    check(&rows, &[], &with(DuplicatePolicy::First), &[Send, Duplicate, Superseded, Duplicate]);
    check(&rows, &[], &with(DuplicatePolicy::Each), &[Send, Duplicate, Send, Duplicate]);
    check(&rows, &[], &with(DuplicatePolicy::Reject), &[Rejected, Duplicate, Rejected, Duplicate]);
}

#[test]
fn reject_rejects_the_whole_subject_and_says_so() {
    let rows = [row(1, &[(IMSI, 1)]), row(2, &[(IMSI, 3)]), row(1, &[(IMSI, 2)]), row(0, &[])];
    let plan = check(&rows, &[], &with(DuplicatePolicy::Reject), &[Rejected, Send, Rejected, Rejected]);
    assert_eq!(plan.rejected_by_policy(), [1, 3]);
    // A row and its duplicate are one row.
    let a = row(1, &[(IMSI, 1)]);
    check(&[a.clone(), a], &[], &with(DuplicatePolicy::Reject), &[Send, Duplicate]);
}

#[test]
fn an_acknowledgement_between_two_equal_rows_makes_the_second_news() {
    // Batch 5 was A, B, A under `each`; B was acknowledged, both A failed and are replayed.
    let a = [(IMSI, 1)];
    let rows = [replayed(5, 1, 1, &a), replayed(5, 3, 1, &a)];
    check(&rows, &[synced(1, v(5, 2), &[(IMSI, 2)])], &rules(), &[Superseded, Send]);
    // Nothing between them: a duplicate.
    check(&rows, &[synced(1, v(4, 2), &[(IMSI, 2)])], &rules(), &[Send, Duplicate]);
}

#[test]
fn equal_rows_of_different_batches_are_no_duplicates() {
    let a = [(IMSI, 1)];
    check(&[replayed(5, 1, 1, &a), row(1, &a)], &[], &rules(), &[Folded, Send]);
    check(&[replayed(5, 1, 1, &a), replayed(6, 1, 1, &a)], &[], &rules(), &[Folded, Send]);
}

#[test]
fn fields_overtaken_by_a_newer_acknowledgement_are_left_out() {
    let old = replayed(5, 1, 1, &[(IMSI, 1), (ICCID, 1)]);
    let plan = check(std::slice::from_ref(&old), &[synced(1, v(6, 1), &[(IMSI, 2)])], &rules(), &[Send]);
    assert_eq!(plan.left_out(1), set(&[IMSI]));
    // None remains.
    let records = [synced(1, v(6, 1), &[(IMSI, 2), (ICCID, 2)])];
    let plan = check(std::slice::from_ref(&old), &records, &rules(), &[Superseded]);
    assert_eq!(plan.left_out(1), set(&[IMSI, ICCID]));
    // An equal value is simply left out too: it was acknowledged as the row says it.
    check(
        std::slice::from_ref(&old),
        &[synced(1, v(6, 1), &[(IMSI, 1), (ICCID, 1)])],
        &rules(),
        &[Unchanged],
    );
    // An older acknowledgement overtakes nothing.
    let plan = check(&[old], &[synced(1, v(4, 1), &[(IMSI, 2)])], &rules(), &[Send]);
    assert_eq!(plan.left_out(1), FieldSet::EMPTY);
}

#[test]
fn fields_overtaken_by_a_newer_intent_are_left_out() {
    let old = replayed(5, 1, 1, &[(IMSI, 1), (ICCID, 1)]);
    let plan = check(&[old], &[intent(1, v(6, 1), &[(IMSI, 2)])], &rules(), &[Send]);
    assert_eq!(plan.left_out(1), set(&[IMSI]));
}

#[test]
fn ordinary_rows_of_an_older_open_batch_are_overtaken_too() {
    let records = [synced(1, v(BATCH + 1, 1), &[(IMSI, 2)])];
    check(&[row(1, &[(IMSI, 1)])], &records, &rules(), &[Superseded]);
}

#[test]
fn full_does_not_send_what_is_overtaken() {
    let records = [synced(1, v(6, 1), &[(IMSI, 2)])];
    let full = PlanRules { full: true, ..rules() };
    check(&[replayed(5, 1, 1, &[(IMSI, 1)])], &records, &full, &[Superseded]);
}

#[test]
fn a_row_with_nothing_but_the_key_is_unchanged_and_takes_no_part() {
    for policy in [DuplicatePolicy::Fold, DuplicatePolicy::Each] {
        let full = PlanRules { full: true, ..with(policy) };
        check(&[row(1, &[])], &[], &full, &[Unchanged]);
        check(&[row(1, &[(IMSI, 1)]), row(1, &[])], &[], &with(policy), &[Send, Unchanged]);
        check(&[row(1, &[]), row(1, &[(IMSI, 1)])], &[], &with(policy), &[Unchanged, Send]);
    }
}

#[test]
fn a_fold_is_carried_by_the_row_that_is_last_in_the_file() {
    // The replayed row is older, though it is last: it carries the update, and its field is shadowed.
    let rows = [row(1, &[(IMSI, 2)]), replayed(5, 7, 1, &[(IMSI, 1), (ICCID, 1)])];
    let plan = check(&rows, &[], &rules(), &[Folded, Send]);
    assert_eq!(plan.left_out(2), set(&[IMSI]));
    assert_eq!(plan.left_out(1), FieldSet::EMPTY);
    // It may have nothing of its own to say.
    let rows = [row(1, &[(IMSI, 2)]), replayed(5, 7, 1, &[(IMSI, 1)])];
    check(&rows, &[], &rules(), &[Folded, Send]);
}

#[test]
fn under_each_a_row_shadowed_by_a_newer_one_before_it_is_superseded() {
    let rows = [row(1, &[(IMSI, 2)]), replayed(5, 7, 1, &[(IMSI, 1)])];
    check(&rows, &[], &with(DuplicatePolicy::Each), &[Send, Superseded]);
    let rows = [row(1, &[(IMSI, 2)]), replayed(5, 7, 1, &[(IMSI, 1), (ICCID, 1)])];
    let plan = check(&rows, &[], &with(DuplicatePolicy::Each), &[Send, Send]);
    assert_eq!(plan.left_out(2), set(&[IMSI]));
}

#[test]
fn last_and_first_go_by_version_not_by_place() {
    let rows = [row(1, &[(IMSI, 2)]), replayed(5, 7, 1, &[(IMSI, 1)])];
    check(&rows, &[], &with(DuplicatePolicy::Last), &[Send, Superseded]);
    check(&rows, &[], &with(DuplicatePolicy::First), &[Superseded, Send]);
}

#[test]
fn unchanged_is_ruled_on_the_folded_update_for_all_of_its_rows() {
    let rows = [row(1, &[(IMSI, 5)]), row(1, &[(ICCID, 2)]), row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 1)])];
    let records = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 2)])];
    check(&rows, &records, &rules(), &[Unchanged, Unchanged, Unchanged, Duplicate]);
    // One row alone would be unchanged, the fold is not.
    let rows = [row(1, &[(ICCID, 2)]), row(1, &[(IMSI, 6)])];
    check(&rows, &records, &rules(), &[Folded, Send]);
}

#[test]
fn a_field_the_ledger_does_not_hold_is_a_change() {
    let records = [synced(1, v(8, 1), &[(IMSI, 1)])];
    check(&[row(1, &[(IMSI, 1), (ICCID, 1)])], &records, &rules(), &[Send]);
    check(&[row(1, &[(IMSI, 1)])], &records, &rules(), &[Unchanged]);
}

#[test]
fn an_unknown_field_equals_nothing() {
    let records = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)]), intent(1, v(8, 2), &[(IMSI, 1)])];
    check(&[row(1, &[(IMSI, 1)])], &records, &rules(), &[Send]);
    // The key is a field as well: any row for the subject resolves it.
    check(&[row(1, &[(ICCID, 1)])], &records, &rules(), &[Send]);
}

#[test]
fn full_sends_what_is_unchanged() {
    let records = [synced(1, v(8, 1), &[(IMSI, 1)])];
    let full = PlanRules { full: true, ..rules() };
    check(&[row(1, &[(IMSI, 1)])], &records, &full, &[Send]);
}

#[test]
fn an_acknowledgement_older_than_resend_after_is_refreshed() {
    // The records are 10 seconds old.
    let records = [synced(1, v(8, 1), &[(IMSI, 1)])];
    for (after_s, expected) in [(9, Send), (10, Unchanged), (u64::MAX, Unchanged)] {
        let rules = PlanRules { resend_after_s: Some(after_s), ..rules() };
        check(&[row(1, &[(IMSI, 1)])], &records, &rules, &[expected]);
    }
}

#[test]
fn under_each_leading_rows_equal_to_the_ledger_are_unchanged_and_the_rest_is_sent() {
    let (a, b) = (row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)]));
    let other = row(1, &[(ICCID, 1)]);
    let records = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)])];
    let rows = [a.clone(), other, b.clone(), a, row(1, &[(ICCID, 1)])];
    let each = with(DuplicatePolicy::Each);
    check(&rows, &records, &each, &[Unchanged, Unchanged, Send, Send, Send]);
}

#[test]
fn the_ledger_may_hold_other_subjects() {
    let records = [1, 3, 5].map(|subject| synced(subject, v(8, 1), &[(IMSI, u64::from(subject))]));
    let rows = [row(5, &[(IMSI, 5)]), row(2, &[(IMSI, 9)]), row(3, &[(IMSI, 3)]), row(6, &[(IMSI, 7)])];
    check(&rows, &records, &rules(), &[Unchanged, Send, Unchanged, Send]);
}

#[test]
fn an_error_of_the_ledger_ends_the_planning() {
    let mut survey = Survey::new(set(&MAPPED));
    let facts = row(2, &[]).facts();
    survey
        .row(&Surveyed { ordinal: 1, subject: id(2), version: None, rank: None, facts: &facts, old: &[] })
        .unwrap();
    struct Torn;
    impl LedgerSlices for Torn {
        type Error = &'static str;
        type Slice = std::array::IntoIter<Result<LedgerEntry, &'static str>, 2>;

        fn slice(&self, _: SubjectId, _: Option<SubjectId>) -> Result<Self::Slice, &'static str> {
            Ok([Ok(LedgerEntry::new(id(1))), Err("torn")].into_iter())
        }
    }
    let error = survey.finish(&rules(), &Torn, &OneHand).unwrap_err();
    assert!(matches!(error, JoinError::Ledger("torn")));
}

#[test]
#[should_panic(expected = "ascending by subject")]
fn a_ledger_out_of_order_is_a_bug_and_not_a_resend() {
    plan(&[row(9, &[])], &[LedgerEntry::new(id(2)), LedgerEntry::new(id(1))], &rules());
}

#[test]
#[should_panic(expected = "none passed over")]
fn a_row_passed_over_is_a_bug() {
    let mut survey = Survey::new(set(&MAPPED));
    survey.rejected(1);
    survey.rejected(3);
}

#[test]
#[should_panic(expected = "has no key field")]
fn a_row_without_the_key_is_a_bug() {
    let mut survey = Survey::new(set(&MAPPED));
    let facts = [(IMSI, FieldHash(1))];
    survey
        .row(&Surveyed { ordinal: 1, subject: id(1), version: None, rank: None, facts: &facts, old: &[] })
        .unwrap();
    let _never = survey.finish(&rules(), &NoLedger, &OneHand);
}

#[test]
fn the_numbers_of_the_plan_count_updates_not_rows() {
    let records = [synced(1, v(8, 1), &[(IMSI, 1)]), refused(2, v(8, 2), &[(IMSI, 2)])];
    let rows = [
        row(1, &[(IMSI, 1)]),
        row(1, &[(ICCID, 1)]),
        row(2, &[(IMSI, 2)]),
        row(3, &[(IMSI, 3), (CLASS, 1)]),
        row(3, &[(IMSI, 4)]),
    ];
    let facts = plan(&rows, &ledger(&records), &rules()).facts();
    assert_eq!((facts.subjects_changed, facts.subjects_new), (1, 2));
    // imsi: subjects 2 and 3 (that of 1 is known to be equal); iccid: 1; class: 3.
    assert_eq!(facts.field_changes[IMSI.index()], 2);
    assert_eq!(facts.field_changes[ICCID.index()], 1);
    assert_eq!(facts.field_changes[CLASS.index()], 1);
    assert_eq!(facts.field_changes[FieldKind::Number.index()], 0);
    assert_eq!((facts.rows.send, facts.rows.folded), (3, 2));
    assert_eq!(facts.key, Some(KEY));
}

#[test]
fn many_rows_of_many_subjects_are_planned_in_one_go() {
    // A sanity check of size, not of time: no per-row allocation shows here, but a quadratic step would.
    let mut rows = Vec::new();
    for round in 0..100_u64 {
        rows.extend((1..=200).map(|subject| row(subject, &[(CLASS, round), (ICCID, u64::from(subject))])));
    }
    let facts = plan(&rows, &[], &rules()).facts();
    assert_eq!((facts.rows.read, facts.rows.send, facts.rows.folded), (20_000, 200, 19_800));
    let one_subject: Vec<TestRow> = (0..20_000).map(|value| row(1, &[(CLASS, value)])).collect();
    assert_eq!(plan(&one_subject, &[], &with(DuplicatePolicy::Each)).facts().rows.send, 20_000);
}
