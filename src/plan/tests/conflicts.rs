//! Conflicts: who claims what, who is held back for it, and what is listed.

use super::*;
use crate::plan::{CONFLICT_GROUPS_MAX, CONFLICT_ORDINALS_MAX};
use Ruling::{Conflict, Folded, Send, Superseded, Unchanged};

#[test]
fn two_subjects_that_claim_one_number_imsi_or_iccid_are_in_conflict() {
    for field in [FieldKind::Number, IMSI, ICCID] {
        let rows = [row(1, &[(field, 7)]), row(2, &[(field, 7)]), row(3, &[(field, 8)])];
        let plan = check(&rows, &[], &rules(), &[Conflict, Conflict, Send]);
        assert_eq!(plan.conflicts_total(), 1);
        let [group] = plan.conflicts() else { panic!("one conflict") };
        assert_eq!((group.field, &group.ordinals[..], group.subjects), (field, &[1, 2][..], 2));
    }
}

#[test]
fn other_fields_may_be_shared_and_so_may_one_hash_in_two_fields() {
    check(&[row(1, &[(CLASS, 7)]), row(2, &[(CLASS, 7)])], &[], &rules(), &[Send, Send]);
    check(&[row(1, &[(IMSI, 7)]), row(2, &[(ICCID, 7)])], &[], &rules(), &[Send, Send]);
}

#[test]
fn the_key_field_is_never_in_conflict() {
    let mut survey = Survey::new(set(&[IMSI, CLASS]));
    for (ordinal, subject) in [(1, 1), (2, 2)] {
        // Equal keys of two subjects cannot be; the hash is made equal here to show that nobody looks at it.
        let facts = [(IMSI, FieldHash(7)), (CLASS, FieldHash(ordinal))];
        survey
            .row(&Surveyed {
                ordinal,
                subject: id(subject),
                version: None,
                rank: None,
                facts: &facts,
                old: &[],
            })
            .unwrap();
    }
    let by_imsi = PlanRules { key: IMSI, ..rules() };
    let plan = survey.finish(&by_imsi, &NoLedger, &OneHand).unwrap();
    assert_eq!(rulings(&plan), [Send, Send]);
    assert_eq!(plan.conflicts_total(), 0);
}

#[test]
fn a_conflict_is_ruled_on_the_folded_update_for_all_of_its_rows() {
    let rows = [row(1, &[(CLASS, 1)]), row(1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    check(&rows, &[], &rules(), &[Conflict, Conflict, Conflict]);
}

#[test]
fn what_a_fold_gives_up_is_no_claim() {
    // Subject 1 lets 7 go within the file: a swap, not a conflict.
    let rows = [row(1, &[(IMSI, 7)]), row(1, &[(IMSI, 8)]), row(2, &[(IMSI, 7)])];
    check(&rows, &[], &rules(), &[Folded, Send, Send]);
    check(&rows, &[], &with(DuplicatePolicy::Each), &[Send, Send, Send]);
    check(&rows, &[], &with(DuplicatePolicy::Last), &[Superseded, Send, Send]);
    check(&rows, &[], &with(DuplicatePolicy::First), &[Conflict, Superseded, Conflict]);
}

#[test]
fn a_superseded_or_left_out_value_is_no_claim() {
    let records = [synced(1, v(6, 1), &[(IMSI, 8)])];
    let rows = [replayed(5, 1, 1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    check(&rows, &records, &rules(), &[Superseded, Send]);
    let rows = [replayed(5, 1, 1, &[(IMSI, 7), (CLASS, 1)]), row(2, &[(IMSI, 7)])];
    check(&rows, &records, &rules(), &[Send, Send]);
}

#[test]
fn an_unchanged_claimant_is_unchanged_and_the_other_in_conflict() {
    let records = [synced(1, v(8, 1), &[(IMSI, 7)])];
    let rows = [row(1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    for policy in [DuplicatePolicy::Fold, DuplicatePolicy::Each, DuplicatePolicy::Last] {
        let plan = check(&rows, &records, &with(policy), &[Unchanged, Conflict]);
        assert_eq!(plan.conflicts()[0].ordinals, [1, 2]);
    }
}

#[test]
fn a_conflict_among_unchanged_rows_alone_is_not_listed() {
    let records = [synced(1, v(8, 1), &[(IMSI, 7)]), synced(2, v(8, 2), &[(IMSI, 7)])];
    let rows = [row(1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    let plan = check(&rows, &records, &rules(), &[Unchanged, Unchanged]);
    assert_eq!((plan.conflicts_total(), plan.conflicts().len()), (0, 0));
}

#[test]
fn under_send_conflicts_are_sent_and_listed() {
    let rows = [row(1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    let sending = PlanRules { conflicts: ConflictPolicy::Send, ..rules() };
    let plan = check(&rows, &[], &sending, &[Send, Send]);
    assert_eq!(plan.conflicts_total(), 1);
}

#[test]
fn under_each_the_last_claim_counts_and_every_row_that_makes_it_is_held_back() {
    let rows =
        [row(1, &[(IMSI, 7)]), row(1, &[(IMSI, 8)]), row(1, &[(IMSI, 7), (CLASS, 1)]), row(2, &[(IMSI, 7)])];
    let plan = check(&rows, &[], &with(DuplicatePolicy::Each), &[Conflict, Send, Conflict, Conflict]);
    // One row per subject: the one that makes the last claim.
    assert_eq!(plan.conflicts()[0].ordinals, [3, 4]);
}

#[test]
fn under_each_a_row_equal_to_the_ledger_stays_unchanged_when_the_row_before_it_is_in_conflict() {
    let records = [synced(1, v(8, 1), &[(CLASS, 1)])];
    let rows = [row(1, &[(IMSI, 7)]), row(1, &[(CLASS, 1)]), row(2, &[(IMSI, 7)])];
    check(&rows, &records, &with(DuplicatePolicy::Each), &[Conflict, Unchanged, Conflict]);
}

#[test]
fn a_conflict_comes_before_held_and_refused() {
    let fields = [(IMSI, 7)];
    let records = [refused(1, v(BATCH, 1), &fields), intent(2, v(8, 2), &fields)];
    let rows = [row(1, &fields), row(2, &fields)];
    let hold = PlanRules { in_doubt: InDoubtPolicy::Hold, ..rules() };
    let plan = check(&rows, &records, &hold, &[Conflict, Conflict]);
    assert_eq!(plan.all_refused_before().len(), 0);
    assert_eq!(plan.facts().refused_before, 0);
}

#[test]
fn the_first_conflicts_are_listed_in_file_order_and_all_are_counted() {
    // 120 values, each claimed by two subjects, and one value claimed by 15.
    let mut rows: Vec<TestRow> = Vec::new();
    for value in 0..120_u8 {
        rows.push(row(value + 1, &[(IMSI, u64::from(value) + 1)]));
        rows.push(row(value + 121, &[(IMSI, u64::from(value) + 1)]));
    }
    let plan = plan(&rows, &[], &rules());
    assert_eq!((plan.conflicts_total(), plan.conflicts().len()), (120, CONFLICT_GROUPS_MAX));
    for (group, first) in plan.conflicts().iter().zip((1..).step_by(2)) {
        assert_eq!(group.ordinals, [first, first + 1]);
    }
    let rows: Vec<TestRow> = (1..=15).rev().map(|subject| row(subject, &[(ICCID, 1)])).collect();
    let plan = super::plan(&rows, &[], &rules());
    let [group] = plan.conflicts() else { panic!("one conflict") };
    assert_eq!(group.subjects, 15);
    assert_eq!(group.ordinals, (1..=15).take(CONFLICT_ORDINALS_MAX).collect::<Vec<u64>>());
}
