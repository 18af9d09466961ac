//! `send = "changed"`: what is sent of an update, and what is not.

use super::*;
use crate::plan::{Sample, SendMode};
use Ruling::{Folded, RefusedBefore, Send, Superseded, Unchanged};

const NUMBER: FieldKind = FieldKind::Number;

fn changed() -> PlanRules {
    PlanRules { send: SendMode::Changed, ..rules() }
}

/// Fields of a row that are not sent because the ledger has them.
fn not_sent(plan: &Plan, ordinal: u64) -> FieldSet {
    plan.beside(ordinal).unwrap().not_sent
}

#[test]
fn the_key_and_what_differs_is_sent() {
    let known = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)])];
    let rows = [row(1, &[(IMSI, 1), (ICCID, 2), (CLASS, 5)]), row(2, &[(IMSI, 9)])];
    let plan = check(&rows, &known, &changed(), &[Send, Send]);
    assert_eq!((not_sent(&plan, 1), not_sent(&plan, 2)), (set(&[IMSI]), set(&[])));
    assert_eq!(plan.left_out(1), set(&[]), "nothing has superseded it");
    // What is sent otherwise: everything.
    let plan = check(&rows, &known, &rules(), &[Send, Send]);
    assert_eq!(not_sent(&plan, 1), set(&[]));
}

#[test]
fn an_unknown_field_is_sent() {
    let known = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)]), intent(1, v(8, 2), &[(IMSI, 2)])];
    let plan = check(&[row(1, &[(IMSI, 1), (ICCID, 1)])], &known, &changed(), &[Send]);
    assert_eq!(not_sent(&plan, 1), set(&[ICCID]));
}

#[test]
fn the_folded_update_decides_for_all_of_its_rows() {
    let known = [synced(1, v(8, 1), &[(IMSI, 2), (ICCID, 1)])];
    // In the end the IMSI is what it was: the row between does not send it either.
    let rows = [row(1, &[(IMSI, 1), (ICCID, 1)]), row(1, &[(IMSI, 2), (CLASS, 7)])];
    let plan = check(&rows, &known, &changed(), &[Folded, Send]);
    assert_eq!((not_sent(&plan, 1), not_sent(&plan, 2)), (set(&[IMSI, ICCID]), set(&[IMSI])));
}

#[test]
fn a_row_of_which_one_part_is_overtaken_and_the_rest_known_is_superseded_once_its_update_is_acknowledged() {
    // A newer batch has left the ICCID in doubt. The class is known: only the IMSI, which is of the other row, is sent.
    let known = vec![synced(1, v(7, 1), &[(CLASS, 3)]), intent(1, v(BATCH + 1, 1), &[(ICCID, 9)])];
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(ICCID, 2), (CLASS, 3)])];
    let plan = check(&rows, &known, &changed(), &[Folded, Send]);
    assert_eq!((plan.left_out(2), not_sent(&plan, 2)), (set(&[ICCID]), set(&[CLASS])));
    let acknowledged = [known.clone(), vec![synced(1, v(BATCH, 1), &[(IMSI, 1)])]].concat();
    check(&rows, &acknowledged, &changed(), &[Unchanged, Superseded]);
    // As it is alone, before and after.
    check(&rows[1..], &known, &changed(), &[Superseded]);
    check(&rows[1..], &acknowledged, &changed(), &[Superseded]);
}

#[test]
fn full_runs_and_refreshes_send_all() {
    let known = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)])];
    let rows = [row(1, &[(IMSI, 1), (ICCID, 2)])];
    for all in [PlanRules { full: true, ..changed() }, PlanRules { resend_after_s: Some(5), ..changed() }] {
        let plan = check(&rows, &known, &all, &[Send]);
        assert_eq!(not_sent(&plan, 1), set(&[]));
    }
    let fresh = PlanRules { resend_after_s: Some(50), ..changed() };
    assert_eq!(not_sent(&check(&rows, &known, &fresh, &[Send]), 1), set(&[IMSI]));
}

#[test]
fn a_refresh_sends_what_was_not_acknowledged_for_so_long_and_only_that() {
    let young = |mut record: Record, age_s: i64| {
        if let Record::Synced { at_s, .. } = &mut record {
            *at_s = NOW_S - age_s;
        }
        record
    };
    let known = [
        young(synced(1, v(7, 1), &[(IMSI, 1), (ICCID, 1)]), 30),
        young(synced(1, v(8, 1), &[(IMSI, 2)]), 20),
        young(synced(1, v(8, 2), &[(CLASS, 1)]), 10),
    ];
    let after = |after_s| PlanRules { resend_after_s: Some(after_s), ..changed() };
    let rows = [row(1, &[(IMSI, 2), (ICCID, 1), (CLASS, 1)])];
    for (after_s, ruling, fresh) in [
        (30, Unchanged, set(&[])),
        (29, Send, set(&[IMSI, CLASS])),
        (19, Send, set(&[CLASS])),
        (9, Send, set(&[])),
    ] {
        let plan = check(&rows, &known, &after(after_s), &[ruling]);
        if ruling == Send {
            assert_eq!(not_sent(&plan, 1), fresh, "{after_s}");
        }
        // In full, what is sent is all, and whether it is depends on the fields of the update.
        let full = PlanRules { send: SendMode::Full, ..after(after_s) };
        assert_eq!(not_sent(&check(&rows, &known, &full, &[ruling]), 1), set(&[]));
        let last = if after_s < 10 { Send } else { Unchanged };
        check(&[row(1, &[(CLASS, 1)])], &known, &full, &[last]);
    }
    // What differs goes along, and what is unknown has no age.
    let plan = check(&[row(1, &[(IMSI, 2), (ICCID, 1), (CLASS, 2)])], &known, &after(29), &[Send]);
    assert_eq!(not_sent(&plan, 1), set(&[IMSI]));
}

#[test]
fn under_each_what_an_earlier_row_sets_is_sent_again() {
    let each = PlanRules { duplicates: DuplicatePolicy::Each, ..changed() };
    let known = [synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1), (NUMBER, 4)])];
    let rows = [
        row(1, &[(IMSI, 2), (ICCID, 1)]),
        row(1, &[(IMSI, 1), (NUMBER, 4), (CLASS, 1)]),
        row(1, &[(ICCID, 1), (NUMBER, 4), (CLASS, 2)]),
    ];
    let plan = check(&rows, &known, &each, &[Send, Send, Send]);
    let told = [1, 2, 3].map(|at| not_sent(&plan, at));
    // The third row repeats what the first and second have in their rows, sent or not: to be on the safe side.
    assert_eq!(told, [set(&[ICCID]), set(&[NUMBER]), set(&[])]);
}

#[test]
fn under_each_a_row_whose_changes_were_acknowledged_is_settled() {
    let each = PlanRules { duplicates: DuplicatePolicy::Each, ..changed() };
    let known = [
        synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)]),
        // Of the first row only what differed was sent.
        synced(1, v(BATCH, 1), &[(IMSI, 2)]),
    ];
    let rows = [row(1, &[(IMSI, 2), (ICCID, 1)]), row(1, &[(IMSI, 3), (ICCID, 1)])];
    let plan = check(&rows, &known, &each, &[Unchanged, Send]);
    assert_eq!(
        not_sent(&plan, 2),
        set(&[]),
        "the same as in the run before, which sent it after the first row"
    );
}

#[test]
fn a_refusal_is_known_again_by_what_was_sent() {
    let known = synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)]);
    let rows = [row(1, &[(IMSI, 1), (ICCID, 2)])];
    let only_changed = [known.clone(), refused(1, v(BATCH, 1), &[(ICCID, 2)])];
    let plan = check(&rows, &only_changed, &changed(), &[RefusedBefore]);
    assert_eq!(plan.all_refused_before(), [(1, Some(422))]);
    let all = [known, refused(1, v(BATCH, 1), &[(IMSI, 1), (ICCID, 2)])];
    check(&rows, &all, &changed(), &[Send]);
}

#[test]
fn samples_are_the_first_updates_in_file_order() {
    let known = [
        synced(1, v(8, 1), &[(IMSI, 1), (ICCID, 1)]),
        intent(1, v(8, 2), &[(ICCID, 2)]),
        synced(2, v(8, 3), &[(IMSI, 6)]),
    ];
    let rows = [
        row(2, &[(IMSI, 6)]),
        row(9, &[(IMSI, 7)]),
        row(1, &[(IMSI, 3), (ICCID, 1)]),
        row(5, &[(IMSI, 3)]),
        row(4, &[(CLASS, 3)]),
        row(3, &[(CLASS, 3)]),
    ];
    use Ruling::Conflict;
    let few = PlanRules { samples: 2, ..rules() };
    let plan = check(&rows, &known, &few, &[Unchanged, Send, Conflict, Conflict, Send, Send]);
    let new = |ordinal, kind| Sample { ordinal, changed: set(&[KEY, kind]), known: set(&[]), is_new: true };
    assert_eq!(plan.samples(), [new(2, IMSI), new(5, CLASS)]);
    let sent = PlanRules { conflicts: ConflictPolicy::Send, ..few };
    let plan = super::plan(&rows, &ledger(&known), &sent);
    // The intent has made the key unknown, too.
    let known = set(&[IMSI]);
    let changed = set(&[IMSI, ICCID, KEY]);
    assert_eq!(plan.samples(), [new(2, IMSI), Sample { ordinal: 3, changed, known, is_new: false }]);
}

#[test]
fn the_value_that_most_subjects_share_is_told_where_an_update_sets_it() {
    let rows = [
        row(1, &[(CLASS, 1), (ICCID, 4)]),
        row(2, &[(CLASS, 1), (IMSI, 3)]),
        row(3, &[(CLASS, 1), (IMSI, 3), (ICCID, 4)]),
        row(4, &[(IMSI, 3)]),
    ];
    let facts = plan(&rows, &[], &rules()).facts();
    let repeated = crate::event::Repeated { field: IMSI, subjects: 3, first_ordinal: 2 };
    assert_eq!(facts.repeated, Some(repeated), "classes are shared by right");
    let known: Vec<_> =
        (2..=4).map(|subject| synced(subject, v(8, 1), &[(CLASS, 1), (IMSI, 3), (ICCID, 4)])).collect();
    let facts = plan(&rows, &ledger(&known), &rules()).facts();
    let repeated = crate::event::Repeated { field: ICCID, subjects: 2, first_ordinal: 1 };
    assert_eq!(facts.repeated, Some(repeated), "what is unchanged is no news");
    assert_eq!(facts.subjects_unchanged, 3);
    assert_eq!(plan(&rows[..1], &[], &rules()).facts().repeated, None);
}
