//! What earlier runs left behind: resumes, refusals, doubt.

use super::*;
use crate::ledger::UnknownCause;
use crate::plan::IN_DOUBT_ORDINALS_MAX;
use Ruling::{Folded, FoldedLate, FoldedRefused, Held, RefusedBefore, Send, SendLate, Superseded, Unchanged};

/// The acknowledgement of rows 1 and 2 folded into one update.
fn synced_fold() -> Record {
    let version = v(BATCH, 2);
    let mut facts = facts(1, version, &[(IMSI, 2), (ICCID, 1)]);
    facts.iter_mut().filter(|fact| fact.kind == ICCID).for_each(|fact| fact.version = v(BATCH, 1));
    Record::Synced { subject: id(1), version, facts, at_s: NOW_S }
}

#[test]
fn a_resume_calls_an_acknowledged_fold_unchanged_and_none_of_its_rows_superseded() {
    // Row 1 is overtaken by row 2, in the same fold: no news.
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)])];
    check(&rows, &[synced(1, v(BATCH, 2), &[(IMSI, 2)])], &rules(), &[Unchanged, Unchanged]);
    let rows = [row(1, &[(IMSI, 1), (ICCID, 1)]), row(1, &[(IMSI, 2)])];
    check(&rows, &[synced_fold()], &rules(), &[Unchanged, Unchanged]);
    // The same of replayed rows, which keep their versions.
    let rows = [replayed(5, 1, 1, &[(IMSI, 1)]), replayed(5, 2, 1, &[(IMSI, 2)])];
    check(&rows, &[synced(1, v(5, 2), &[(IMSI, 2)])], &rules(), &[Unchanged, Unchanged]);
}

#[test]
fn a_folded_update_in_doubt_is_sent_again_with_all_of_its_fields() {
    // Its intent marks the field of row 1 with the version of row 2. That has not overtaken row 1.
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(ICCID, 2)])];
    let records = [intent(1, v(BATCH, 2), &[(IMSI, 1), (ICCID, 2)])];
    let plan = check(&rows, &records, &rules(), &[Folded, Send]);
    assert_eq!(plan.left_out(1), FieldSet::EMPTY);
    // The same under `each`, when rows of a fold in doubt are replayed.
    let rows = [replayed(5, 1, 1, &[(IMSI, 1)]), replayed(5, 2, 1, &[(ICCID, 2)])];
    let records = [intent(1, v(5, 2), &[(IMSI, 1), (ICCID, 2)])];
    check(&rows, &records, &with(DuplicatePolicy::Each), &[Send, Send]);
}

#[test]
fn full_and_each_settle_by_version() {
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3)])];
    let full = PlanRules { full: true, ..rules() };
    check(&rows, &[synced(1, v(BATCH, 2), &[(IMSI, 2)])], &full, &[Unchanged, Unchanged, Send]);
    let each = with(DuplicatePolicy::Each);
    check(&rows, &[synced(1, v(BATCH, 1), &[(IMSI, 1)])], &each, &[Unchanged, Send, Send]);
    // Not superseded by its successor: it was acknowledged before it.
    check(&rows, &[synced(1, v(BATCH, 2), &[(IMSI, 2)])], &each, &[Unchanged, Unchanged, Send]);
    let both = PlanRules { full: true, ..each };
    check(&rows, &[synced(1, v(BATCH, 2), &[(IMSI, 2)])], &both, &[Unchanged, Unchanged, Send]);
    // Another batch settles nothing.
    check(&rows, &[synced(1, v(8, 2), &[(IMSI, 2)])], &full, &[Folded, Send, Send]);
}

#[test]
fn an_update_in_doubt_or_failed_is_not_settled_by_a_later_acknowledgement() {
    let each = with(DuplicatePolicy::Each);
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(ICCID, 2)])];
    let later = synced(1, v(BATCH, 2), &[(ICCID, 2)]);
    check(&rows, &[refused(1, v(BATCH, 1), &[(IMSI, 1)]), later.clone()], &each, &[RefusedBefore, Unchanged]);
    check(&rows, &[deferred(1, v(BATCH, 1), &[(IMSI, 1)]), later.clone()], &each, &[Send, Unchanged]);
    for cause in [UnknownCause::Cut, UnknownCause::Exhausted, UnknownCause::EchoMismatch] {
        let records = [unknown(1, v(BATCH, 1), &[(IMSI, 1)], cause), later.clone()];
        check(&rows, &records, &each, &[Send, Unchanged]);
    }
}

#[test]
fn under_each_a_failed_row_overtaken_by_its_successor_is_superseded() {
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)])];
    let records = [refused(1, v(BATCH, 1), &[(IMSI, 1)]), synced(1, v(BATCH, 2), &[(IMSI, 2)])];
    let retrying = PlanRules { retry_failed: true, ..with(DuplicatePolicy::Each) };
    check(&rows, &records, &retrying, &[Superseded, Unchanged]);
}

#[test]
fn forgotten_refusals_settle_nothing() {
    // 20 refused rows and an acknowledged one: the entry names the first 15 and the last only.
    let mut rows: Vec<TestRow> = (1..=20).map(|value| row(1, &[(IMSI, value)])).collect();
    rows.push(row(1, &[(ICCID, 1)]));
    let mut records: Vec<Record> =
        (1..=20).map(|value| refused(1, v(BATCH, value), &[(IMSI, value)])).collect();
    records.push(synced(1, v(BATCH, 21), &[(ICCID, 1)]));
    let mut expected = vec![RefusedBefore; 15];
    expected.extend([Send; 4]);
    expected.extend([RefusedBefore, Unchanged]);
    check(&rows, &records, &with(DuplicatePolicy::Each), &expected);
}

#[test]
fn under_each_a_row_after_one_sent_in_this_batch_is_sent() {
    let records = [synced(1, v(8, 1), &[(ICCID, 1)]), refused(1, v(BATCH, 1), &[(IMSI, 1)])];
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(ICCID, 1)])];
    check(&rows, &records, &with(DuplicatePolicy::Each), &[RefusedBefore, Send]);
}

#[test]
fn a_replayed_version_is_settled_by_its_own_acknowledgement_only() {
    let full = PlanRules { full: true, ..rules() };
    let rows = [replayed(5, 3, 1, &[(IMSI, 1)])];
    check(&rows, &[synced(1, v(5, 3), &[(IMSI, 1)])], &full, &[Unchanged]);
    // Row 3 was rejected in batch 5 and is corrected now; row 7, of the same subject, was acknowledged then.
    check(&rows, &[synced(1, v(5, 7), &[(ICCID, 1)])], &full, &[Send]);
    check(&rows, &[synced(1, v(5, 7), &[(ICCID, 1)])], &with(DuplicatePolicy::Each), &[Send]);
}

#[test]
fn an_update_refused_in_this_batch_is_not_sent_again() {
    let fields = [(IMSI, 1)];
    let records = [refused(1, v(BATCH, 1), &fields)];
    let plan = check(&[row(1, &fields)], &records, &rules(), &[RefusedBefore]);
    assert_eq!(plan.all_refused_before(), [(1, Some(422))]);
    assert_eq!(plan.facts().refused_before, 1);
    // Other values, another version, another batch, another kind: sent.
    check(&[row(1, &[(IMSI, 2)])], &records, &rules(), &[Send]);
    check(&[row(2, &[]), row(1, &fields)], &records, &rules(), &[Unchanged, Send]);
    check(&[row(1, &fields)], &[deferred(1, v(BATCH, 1), &fields)], &rules(), &[Send]);
}

/// No answer was definite, and so it is sent, but last: it failed while others passed.
#[test]
fn what_ran_out_of_attempts_in_this_batch_goes_last_with_all_of_its_subject() {
    let fields = [(IMSI, 1)];
    let exhausted = unknown(1, v(BATCH, 1), &fields, UnknownCause::Exhausted);
    let one = [row(1, &fields)];
    check(&one, std::slice::from_ref(&exhausted), &rules(), &[SendLate]);
    let retrying = PlanRules { retry_failed: true, ..rules() };
    check(&one, std::slice::from_ref(&exhausted), &retrying, &[Send]);
    let each = with(DuplicatePolicy::Each);
    let two = [row(1, &fields), row(1, &[(ICCID, 1)]), row(2, &[(IMSI, 2)])];
    check(&two, std::slice::from_ref(&exhausted), &each, &[SendLate, SendLate, Send]);
    // It has passed since; what was in doubt has not failed.
    let passed = synced(1, v(BATCH, 2), &[(ICCID, 1)]);
    check(&two, &[exhausted, passed], &each, &[Send, Unchanged, Send]);
    check(&one, &[unknown(1, v(BATCH, 1), &fields, UnknownCause::Cut)], &rules(), &[Send]);
}

#[test]
fn a_refused_fold_is_refused_as_a_whole_and_booked_once() {
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(ICCID, 1)])];
    let records = [refused(1, v(BATCH, 2), &[(IMSI, 1), (ICCID, 1)])];
    let plan = check(&rows, &records, &rules(), &[FoldedRefused, RefusedBefore]);
    assert_eq!((plan.facts().rows.refused_before, plan.facts().rows.folded), (1, 1));
}

#[test]
fn unchanged_comes_before_refused() {
    let fields = [(IMSI, 1)];
    let records = [refused(1, v(BATCH, 1), &fields), synced(1, v(BATCH - 1, 9), &fields)];
    check(&[row(1, &fields)], &records, &rules(), &[Unchanged]);
}

#[test]
fn retry_failed_sends_a_refused_update_with_its_count() {
    let fields = [(IMSI, 1)];
    let records = [refused(1, v(BATCH, 1), &fields), refused(1, v(BATCH, 1), &fields)];
    let retrying = PlanRules { retry_failed: true, ..rules() };
    let plan = check(&[row(1, &fields)], &records, &retrying, &[Send]);
    assert_eq!(plan.refusals(1), 2);
    assert_eq!(plan.all_refused_before().len(), 0);
}

#[test]
fn refusals_are_counted_for_the_version_of_the_update_not_of_the_row() {
    // The carrier is the older, replayed row; the update's version is the newer row's.
    let rows = [row(1, &[(IMSI, 1)]), replayed(5, 7, 1, &[(ICCID, 1)])];
    let records = [refused(1, v(BATCH, 1), &[(IMSI, 5)])];
    let plan = check(&rows, &records, &rules(), &[Folded, Send]);
    assert_eq!(plan.refusals(2), 1);
}

#[test]
fn a_subject_that_failed_in_an_earlier_batch_goes_last() {
    let fields = [(IMSI, 1)];
    let one = [row(1, &fields)];
    check(&one, &[refused(1, v(8, 1), &fields)], &rules(), &[SendLate]);
    let exhausted = unknown(1, v(8, 1), &fields, UnknownCause::Exhausted);
    check(&one, &[exhausted], &rules(), &[SendLate]);
    let two = [row(1, &[(ICCID, 1)]), row(1, &fields)];
    check(&two, &[refused(1, v(8, 1), &fields)], &rules(), &[FoldedLate, SendLate]);
    // A deferred update is not chronic; a failure before the last acknowledgement is history.
    check(&one, &[deferred(1, v(8, 1), &fields)], &rules(), &[Send]);
    let records = [refused(1, v(8, 1), &fields), synced(1, v(8, 2), &[(IMSI, 3)])];
    check(&one, &records, &rules(), &[Send]);
    // A replayed row goes last as well, though its own version was refused.
    check(&[replayed(8, 1, 1, &fields)], &[refused(1, v(8, 1), &fields)], &rules(), &[SendLate]);
}

#[test]
fn hold_keeps_the_update_in_doubt_back_and_lets_one_pass_that_sets_all_unknown_fields() {
    let hold = PlanRules { in_doubt: InDoubtPolicy::Hold, ..rules() };
    let fields = [(IMSI, 1), (ICCID, 1)];
    let same = [intent(1, v(BATCH, 1), &fields)];
    check(&[row(1, &fields)], &same, &hold, &[Held]);
    let earlier = [intent(1, v(8, 1), &fields)];
    // Another version of the same values, other values: both set all that is unknown.
    check(&[row(1, &fields)], &earlier, &hold, &[Send]);
    check(&[row(1, &[(IMSI, 2), (ICCID, 2), (CLASS, 1)])], &earlier, &hold, &[Send]);
    // One of the unknown fields stays unknown: it waits, all rows of its fold.
    check(&[row(1, &[(IMSI, 2)])], &earlier, &hold, &[Held]);
    check(&[row(1, &[(IMSI, 2)]), row(1, &[(CLASS, 2)])], &earlier, &hold, &[Held, Held]);
}

#[test]
fn hold_is_about_every_unknown_field_whatever_made_it_unknown() {
    let hold = PlanRules { in_doubt: InDoubtPolicy::Hold, ..rules() };
    let fields = [(IMSI, 1), (ICCID, 1)];
    let timed_out = Record::Refused {
        subject: id(1),
        version: v(8, 1),
        digest: digest(1, &fields),
        status: 422,
        signature: String::new(),
        unknown: kinds(&fields),
        facts: facts(1, v(8, 1), &fields),
    };
    let causes = [UnknownCause::Exhausted, UnknownCause::EchoMismatch];
    let ended = causes.map(|cause| unknown(1, v(8, 1), &fields, cause)).into_iter().chain([timed_out]);
    for before in ended {
        let before = [before];
        let plan = check(&[row(1, &[(IMSI, 2)])], &before, &hold, &[Held]);
        assert_eq!(plan.beside(1).unwrap().unknown, set(&[KEY, IMSI, ICCID]));
        check(&[row(1, &[(CLASS, 2)])], &before, &hold, &[Held]);
        // The very update that failed, in its version or another one, and any other that sets all of it.
        check(&[replayed(8, 1, 1, &fields)], &before, &hold, &[SendLate]);
        check(&[row(1, &fields)], &before, &hold, &[SendLate]);
        check(
            &[row(1, &[(IMSI, 2)]), row(1, &[(ICCID, 2), (CLASS, 1)])],
            &before,
            &hold,
            &[FoldedLate, SendLate],
        );
        check(&[row(1, &[(IMSI, 2)])], &before, &rules(), &[SendLate]);
    }
}

#[test]
fn resend_sends_and_names_what_was_in_doubt() {
    let earlier = [
        intent(1, v(8, 1), &[(IMSI, 1)]),
        intent(2, v(8, 2), &[(IMSI, 2)]),
        intent(3, v(BATCH, 4), &[(IMSI, 3)]),
    ];
    // Row 2 touches nothing in doubt but the key, which every update of its subject has.
    let rows = [row(0, &[]), row(2, &[(CLASS, 1)]), row(1, &[(IMSI, 4)]), row(3, &[(IMSI, 3)])];
    let plan = check(&rows, &earlier, &rules(), &[Ruling::Rejected, Send, Send, Send]);
    assert_eq!(plan.in_doubt_ordinals(), [3, 4]);
    assert_eq!((plan.in_doubt_total(), plan.facts().in_doubt_resent), (2, 2));
}

#[test]
fn named_updates_in_doubt_are_bounded_and_all_are_counted() {
    // Under `each`, a subject in doubt may have any number of rows.
    let rows: Vec<TestRow> = (0..1010).map(|value| row(1, &[(IMSI, value)])).collect();
    let plan = plan(&rows, &ledger(&[intent(1, v(8, 1), &[(IMSI, 1)])]), &with(DuplicatePolicy::Each));
    assert_eq!(plan.in_doubt_ordinals().len(), IN_DOUBT_ORDINALS_MAX);
    assert_eq!(plan.in_doubt_ordinals()[..2], [1, 2]);
    assert_eq!((plan.in_doubt_total(), plan.facts().subjects_in_doubt), (1010, 1));
}

#[test]
fn an_update_of_an_older_open_batch_is_not_sent_for_ever_because_of_its_key() {
    // The key is unknown since a newer intent; acknowledging the older update cannot resolve that.
    let fields = [(IMSI, 1)];
    let records = [synced(1, v(BATCH, 1), &fields), intent(1, v(BATCH + 1, 1), &[(ICCID, 1)])];
    check(&[row(1, &fields)], &records, &rules(), &[Unchanged]);
}

#[test]
fn an_early_part_does_not_settle_its_fold() {
    // Row 1 was sent early and acknowledged; row 2, replayed, carries the rest under an older version.
    let full = PlanRules { full: true, ..rules() };
    let rows = [row(1, &[(IMSI, 1)]), replayed(6, 1, 1, &[(ICCID, 1)])];
    check(&rows, &[synced(1, v(BATCH, 1), &[(IMSI, 1)])], &full, &[Folded, Send]);
}

#[test]
fn a_refused_carrier_with_fields_left_out_is_listed() {
    let rows = [row(1, &[(IMSI, 2)]), replayed(6, 1, 1, &[(IMSI, 1)])];
    let records = [refused(1, v(BATCH, 1), &[(IMSI, 2)])];
    let plan = check(&rows, &records, &rules(), &[FoldedRefused, RefusedBefore]);
    assert_eq!(plan.all_refused_before(), [(2, Some(422))]);
}

#[test]
fn of_two_rows_with_one_version_the_last_has_the_field() {
    let rows = [replayed(7, 2, 1, &[(IMSI, 1)]), replayed(7, 2, 1, &[(IMSI, 2)])];
    check(&rows, &[], &with(DuplicatePolicy::Each), &[Superseded, Send]);
    check(&rows, &[], &rules(), &[Folded, Send]);
}

#[test]
fn a_row_of_which_a_field_was_set_anew_and_nothing_is_left_to_send_is_superseded_unless_it_was_delivered() {
    let (monday, newer) = (synced(1, v(5, 1), &[(IMSI, 1)]), synced(1, v(BATCH + 1, 1), &[(CLASS, 3)]));
    let tuesday = [row(1, &[(IMSI, 1), (CLASS, 2)])];
    let policies = [DuplicatePolicy::Fold, DuplicatePolicy::Each, DuplicatePolicy::Last];
    for rules in policies.map(with) {
        let plan = check(&tuesday, &[monday.clone(), newer.clone()], &rules, &[Superseded]);
        assert_eq!((plan.left_out(1), plan.facts().rows_overtaken), (set(&[CLASS]), 1));
        // Its own batch has delivered it before.
        let delivered = synced(1, v(BATCH, 1), &[(IMSI, 1), (CLASS, 2)]);
        check(&tuesday, &[monday.clone(), delivered, newer.clone()], &rules, &[Unchanged]);
        // What is left of it has to be sent; and what was acknowledged since says the same.
        check(&[row(1, &[(IMSI, 2), (CLASS, 2)])], &[monday.clone(), newer.clone()], &rules, &[Send]);
        check(&[row(1, &[(IMSI, 1), (CLASS, 3)])], &[monday.clone(), newer.clone()], &rules, &[Unchanged]);
        check(&[row(1, &[(CLASS, 3)])], &[monday.clone(), newer.clone()], &rules, &[Unchanged]);
        // Cleared since, or unknown since.
        let cleared = synced(1, v(BATCH + 1, 1), &[(CLASS, FieldHash::CLEARED.0)]);
        check(&tuesday, &[monday.clone(), cleared], &rules, &[Superseded]);
        let doubt = intent(1, v(BATCH + 1, 1), &[(CLASS, 3)]);
        check(&tuesday, &[monday.clone(), doubt], &rules, &[Superseded]);
    }
}

#[test]
fn of_a_fold_with_nothing_to_send_each_row_is_superseded_for_itself() {
    let (monday, newer) = (synced(1, v(5, 1), &[(IMSI, 1)]), synced(1, v(BATCH + 1, 1), &[(CLASS, 3)]));
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 1), (CLASS, 2)])];
    check(&rows, &[monday.clone(), newer.clone()], &rules(), &[Unchanged, Superseded]);
    // The last row says what was acknowledged.
    let rows = [row(1, &[(IMSI, 1), (CLASS, 2)]), row(1, &[(CLASS, 3)])];
    check(&rows, &[monday.clone(), newer.clone()], &rules(), &[Unchanged, Unchanged]);
    // A later row of the same fold was delivered, and so was this one; of a part sent early nothing follows for the
    // rest.
    let rows = [row(1, &[(ICCID, 1), (CLASS, 2)]), row(1, &[(IMSI, 1), (ICCID, 2)])];
    let early = synced(1, v(BATCH, 1), &[(ICCID, 2)]);
    let fold = synced(1, v(BATCH, 2), &[(ICCID, 2)]);
    check(&rows, &[monday.clone(), fold, newer.clone()], &rules(), &[Unchanged, Unchanged]);
    let rows = [row(1, &[(ICCID, 2)]), row(1, &[(IMSI, 1), (CLASS, 2)])];
    check(&rows, &[monday, early, newer], &rules(), &[Unchanged, Superseded]);
}

#[test]
fn what_is_left_of_a_superseded_row_overtakes_what_failed_before_it() {
    let records = [
        synced(1, v(5, 1), &[(IMSI, 1)]),
        refused(1, v(7, 1), &[(IMSI, 2)]),
        synced(1, v(BATCH + 1, 1), &[(CLASS, 3)]),
    ];
    let policies = [DuplicatePolicy::Fold, DuplicatePolicy::Each, DuplicatePolicy::Last];
    for rules in policies.map(with) {
        let plan = check(&[row(1, &[(IMSI, 1), (CLASS, 2)])], &records, &rules, &[Superseded]);
        assert!(plan.beside(1).unwrap().confirms);
        assert_eq!(plan.facts().confirmed, 1);
        let plan = check(
            &[row(1, &[(IMSI, 1), (CLASS, 2)])],
            &[records[0].clone(), records[2].clone()],
            &rules,
            &[Superseded],
        );
        assert_eq!((plan.beside(1).unwrap().confirms, plan.facts().confirmed), (false, 0));
    }
}

#[test]
fn an_older_row_of_an_update_in_doubt_that_is_sent_without_its_last_one_settles_what_was_in_doubt() {
    let doubt = intent(1, v(BATCH, 2), &[(CLASS, 1), (IMSI, 2)]);
    let newer = synced(1, v(BATCH + 1, 1), &[(IMSI, 3)]);
    let rows = [row(1, &[(CLASS, 1)]), row(1, &[(IMSI, 2)])];
    let settles = |plan: &Plan| [1, 2].map(|at| plan.beside(at).unwrap().settles);
    let since = Some(v(BATCH, 2));
    let plan = check(&rows, &[doubt.clone(), newer], &rules(), &[Send, Superseded]);
    assert_eq!(settles(&plan), [since, None]);
    // As a whole, and an earlier part in case it is sent ahead for want of room.
    let plan = check(&rows, std::slice::from_ref(&doubt), &rules(), &[Folded, Send]);
    assert_eq!(settles(&plan), [since, since]);
    // Fed back one by one: each alone.
    let back = [replayed(BATCH, 1, 1, &[(CLASS, 1)]), replayed(BATCH, 2, 1, &[(IMSI, 2)])];
    let each = PlanRules { batch: BATCH + 1, ..with(DuplicatePolicy::Each) };
    assert_eq!(settles(&check(&back, std::slice::from_ref(&doubt), &each, &[Send, Send])), [since, None]);
    // The last row has the field itself: what is in doubt may be its word, and the older one settles nothing.
    let own = [replayed(BATCH, 1, 1, &[(CLASS, 1)]), replayed(BATCH, 2, 1, &[(CLASS, 3), (IMSI, 2)])];
    let plan = check(&own, std::slice::from_ref(&doubt), &each, &[Superseded, Send]);
    assert_eq!(settles(&plan), [None, None]);
    // What has failed is settled by whatever is acknowledged.
    let failed = unknown(1, v(BATCH, 2), &[(CLASS, 1), (IMSI, 2)], crate::ledger::UnknownCause::Exhausted);
    assert_eq!(settles(&check(&back, &[failed], &each, &[SendLate, SendLate])), [None, None]);
}
