//! Chains and swaps: who waits for whom, who is held back, and what is told of it.

use super::*;
use crate::ledger::UnknownCause;
use crate::plan::{Clearing, InMemory, SurveyBounds};
use Ruling::{Conflict, Folded, Held, RefusedBefore, Send, SendLate, Unchanged};

/// The wave of every row; 0 for those that wait for nobody.
fn waves(plan: &Plan) -> Vec<u32> {
    let rows = 1..=plan.facts().rows.read;
    rows.map(|at| plan.beside(at).unwrap().wave * u32::from(plan.is_chained(at))).collect()
}

/// What subjects 1, 2 and 3 hold.
fn held() -> Vec<Record> {
    (1..=3).map(|subject| synced(subject, v(8, 1), &[(IMSI, u64::from(subject))])).collect()
}

#[test]
fn a_chain_is_sent_release_before_assign() {
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3)]), row(3, &[(IMSI, 4)])];
    let plan = check(&rows, &held(), &rules(), &[Send, Send, Send]);
    assert_eq!((waves(&plan), plan.waves()), (vec![2, 1, 0], &[1, 1][..]));
    let facts = plan.facts().chains;
    assert_eq!((facts.chains, facts.longest, facts.waiting, facts.swaps), (1, 3, 2, 0));
}

#[test]
fn whoever_clears_a_field_gives_it_up_too() {
    let cleared = FieldHash::CLEARED.0;
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, cleared)])];
    assert_eq!(waves(&check(&rows, &held(), &rules(), &[Send, Send])), [1, 0]);
}

#[test]
fn what_is_kept_or_of_another_field_is_not_given_up() {
    for second in [row(2, &[(CLASS, 1)]), row(2, &[(ICCID, 5)])] {
        let plan = check(&[row(1, &[(IMSI, 2)]), second], &held(), &rules(), &[Send, Send]);
        assert_eq!(plan.facts().chains, Default::default());
    }
    // What is held already is not taken.
    let rows = [row(1, &[(IMSI, 1), (CLASS, 2)]), row(2, &[(IMSI, 5)])];
    let twice = [synced(1, v(8, 1), &[(IMSI, 1)]), synced(2, v(8, 1), &[(IMSI, 1)])];
    assert_eq!(waves(&check(&rows, &twice, &rules(), &[Send, Send])), [0, 0]);
}

#[test]
fn what_a_subject_held_before_a_doubt_is_given_up_by_whatever_it_is_set_to_now() {
    let ways = [intent(2, v(8, 2), &[(IMSI, 3)]), unknown(2, v(8, 2), &[(IMSI, 3)], UnknownCause::Exhausted)];
    for way in ways {
        let records = [held(), vec![way]].concat();
        let late = ruling_after(&records[3]);
        for now in [3, 5, FieldHash::CLEARED.0] {
            let rows = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, now)])];
            let plan = check(&rows, &records, &rules(), &[Send, late]);
            assert_eq!((waves(&plan), plan.beside(1).unwrap().linked.waits_for), (vec![1, 0], 2));
        }
        // Set to what it was, it gives nothing up; nor does a field of the same update that was never acknowledged.
        let rows = [row(1, &[(IMSI, 9)]), row(2, &[(IMSI, 2)])];
        assert_eq!(waves(&check(&rows, &records, &rules(), &[Send, late])), [0, 0]);
        // What an old value tells is given up as well.
        let rows =
            [(row(1, &[(IMSI, 2)]), None), (row(2, &[(IMSI, 5)]), Some(7)), (row(3, &[(IMSI, 7)]), None)];
        assert_eq!(waves(&with_old(&rows, &records)), [1, 0, 1]);
    }
}

/// How a subject is sent that this is the last record of.
fn ruling_after(record: &Record) -> Ruling {
    if matches!(record, Record::Unknown { .. }) { SendLate } else { Send }
}

#[test]
fn nobody_is_held_back_for_a_swap_with_a_subject_in_doubt() {
    // 1 is certain to hold 1, and 2 may hold 2 still: either order may be the right one, and only the certain link
    // counts.
    let doubt = [held(), vec![intent(2, v(8, 2), &[(IMSI, 9)])]].concat();
    let plan = check(&[row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 1)])], &doubt, &rules(), &[Send, Send]);
    assert_eq!((waves(&plan), plan.swaps().len()), (vec![0, 1], 0));
    // Beside a ring that is certain, whoever waits for a subject in doubt is in its wave all the same.
    let rows = [row(1, &[(IMSI, 3)]), row(3, &[(IMSI, 1)]), row(4, &[(IMSI, 2)]), row(2, &[(IMSI, 8)])];
    let plan = check(&rows, &doubt, &rules(), &[Conflict, Conflict, Send, Send]);
    assert_eq!(waves(&plan), [0, 0, 1, 0]);
}

#[test]
fn whoever_takes_what_a_held_subject_gives_up_is_held_with_it() {
    let hold = |rules| PlanRules { in_doubt: InDoubtPolicy::Hold, ..rules };
    let doubt = [held(), vec![intent(3, v(BATCH, 4), &[(IMSI, 9)])]].concat();
    // 1 takes what 2 gives up, 2 what 3 does; 4 has nothing to do with them.
    let rows = [
        row(1, &[(CLASS, 1)]),
        row(1, &[(IMSI, 2)]),
        row(2, &[(IMSI, 3)]),
        row(3, &[(IMSI, 9)]),
        row(4, &[]),
    ];
    let plan = check(&rows, &doubt, &hold(rules()), &[Held, Held, Held, Held, Unchanged]);
    let behind = [1, 2, 3, 4].map(|at| plan.beside(at).unwrap().linked.waits_for);
    assert_eq!((behind, plan.facts().rows.held), ([3, 3, 4, 0], 4));
    assert!(!plan.beside(4).unwrap().unknown.is_empty() && plan.beside(3).unwrap().unknown.is_empty());
    assert_eq!((plan.waves().len(), plan.facts().chains), (0, Default::default()));
    check(&rows, &doubt, &rules(), &[Folded, Send, Send, Send, Unchanged]);
    let each = check(&rows, &doubt, &hold(with(DuplicatePolicy::Each)), &[Held, Held, Held, Held, Unchanged]);
    assert_eq!(each.facts().rows.held, 4);
    // What 3 may hold still, and what it gives up for certain.
    let rows = [row(1, &[(IMSI, 3)]), row(2, &[(ICCID, 7)]), row(3, &[(IMSI, 9)])];
    let doubt = [held(), vec![intent(3, v(BATCH, 3), &[(IMSI, 9)])]].concat();
    check(&rows, &doubt, &hold(rules()), &[Held, Send, Held]);
    // A ring of which one is held is none, and nobody of it is cleared.
    let imsi = FieldSet::only(IMSI);
    let breaking = PlanRules { break_cycles: CyclePolicy::Clear, clearable: imsi, ..hold(rules()) };
    let ring = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3)]), row(3, &[(IMSI, 1)])];
    let cleared = synced(1, v(BATCH, 0), &[(IMSI, FieldHash::CLEARED.0)]);
    let doubt = intent(3, v(BATCH, 3), &[(IMSI, 1)]);
    for before in [vec![cleared, doubt.clone()], vec![doubt]] {
        let records = [held(), before].concat();
        let plan = check(&ring, &records, &breaking, &[Held, Held, Held]);
        assert_eq!(plan.swaps().len(), 0);
    }
}

#[test]
fn the_rows_of_a_true_swap_are_held_back_with_all_that_folds_into_them() {
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(CLASS, 1)]), row(2, &[(IMSI, 1)]), row(3, &[(IMSI, 9)])];
    let plan = check(&rows, &held(), &rules(), &[Conflict, Conflict, Conflict, Send]);
    assert_eq!(plan.swaps().len(), 1);
    assert_eq!((&plan.swaps()[0].ordinals[..], plan.swaps()[0].subjects), (&[1, 3][..], 2));
    assert_eq!([1, 2, 3, 4].map(|at| plan.beside(at).unwrap().swap), [1, 1, 1, 0]);
    let facts = plan.facts();
    assert_eq!((facts.chains.swaps, facts.chains.swap_subjects, facts.rows.conflict), (1, 2, 3));
    assert_eq!(plan.conflicts_total(), 0);
    let sending = PlanRules { conflicts: ConflictPolicy::Send, ..rules() };
    let plan = check(&rows, &held(), &sending, &[Send, Folded, Send, Send]);
    assert_eq!((plan.swaps().len(), waves(&plan)), (1, vec![0, 0, 0, 0]));
}

#[test]
fn a_swap_that_is_broken_is_sent_in_waves_and_one_that_may_not_be_is_held() {
    let breaking = |clearable| PlanRules { break_cycles: CyclePolicy::Clear, clearable, ..rules() };
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(CLASS, 1)]), row(2, &[(IMSI, 1)]), row(3, &[(IMSI, 9)])];
    let imsi = FieldSet::only(IMSI);
    let plan = check(&rows, &held(), &breaking(imsi), &[Send, Folded, Send, Send]);
    assert_eq!((waves(&plan), plan.waves()), (vec![3, 2, 2, 0], &[1, 1, 1][..]));
    let cleared = [1, 2, 3, 4].map(|at| plan.beside(at).unwrap().cleared_first);
    assert_eq!(cleared, [imsi, FieldSet::EMPTY, FieldSet::EMPTY, FieldSet::EMPTY]);
    assert_eq!(plan.swaps()[0].clearing, Some(Clearing { ordinal: 1, fields: imsi }));
    let facts = plan.facts().chains;
    assert_eq!((facts.swaps, facts.swaps_broken, facts.longest, facts.waiting), (1, 1, 2, 2));
    // Once it is cleared, it gives nothing up any more: a chain, with nobody to be cleared.
    let cleared = [held(), vec![synced(1, v(BATCH, 0), &[(IMSI, FieldHash::CLEARED.0)])]].concat();
    let plan = check(&rows, &cleared, &breaking(imsi), &[Send, Folded, Send, Send]);
    assert_eq!((waves(&plan), plan.swaps().len()), (vec![1, 0, 0, 0], 0));
    // In doubt whether it is, it is cleared again. Where that may not be, nobody is held back for a swap that may be
    // none.
    let doubt = [held(), vec![intent(1, v(BATCH, 0), &[(IMSI, FieldHash::CLEARED.0)])]].concat();
    let plan = check(&rows, &doubt, &breaking(imsi), &[Send, Folded, Send, Send]);
    assert_eq!((waves(&plan), plan.swaps()[0].clearing.map(|of| of.ordinal)), (vec![3, 2, 2, 0], Some(1)));
    let plan = check(&rows, &doubt, &breaking(FieldSet::only(ICCID)), &[Send, Folded, Send, Send]);
    assert_eq!((waves(&plan), plan.swaps().len()), (vec![1, 0, 0, 0], 0));
    // Refused, it is made again, and the next one is told how often; in another batch it is another clear.
    let clear = [(IMSI, FieldHash::CLEARED.0)];
    for (batch, expected) in [(BATCH, 2), (BATCH - 1, 0)] {
        let refusals = vec![refused(1, v(batch, 0), &clear), refused(1, v(batch, 0), &clear)];
        let records = [held(), refusals].concat();
        let plan = super::plan(&rows, &ledger(&records), &breaking(imsi));
        let told = [1, 2, 3, 4].map(|at| plan.beside(at).unwrap().clear_refusals);
        assert_eq!((told, plan.swaps()[0].clearing.is_some()), ([expected, 0, 0, 0], true), "{batch}");
    }
    let each = PlanRules { duplicates: DuplicatePolicy::Each, ..breaking(imsi) };
    for rules in [breaking(FieldSet::only(ICCID)), each] {
        let plan = check(&rows, &held(), &rules, &[Conflict, Conflict, Conflict, Send]);
        assert!(plan.swaps()[0].obstacle.is_some() && plan.facts().chains.swaps_broken == 0);
    }
}

#[test]
fn under_each_all_rows_of_a_subject_are_in_its_wave_or_its_swap() {
    let rows = [row(1, &[(CLASS, 1)]), row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3)]), row(3, &[(IMSI, 7)])];
    let plan = check(&rows, &held(), &with(DuplicatePolicy::Each), &[Send, Send, Send, Send]);
    assert_eq!((waves(&plan), plan.waves()), (vec![2, 2, 1, 0], &[1, 2][..]));
    let rows = [row(1, &[(IMSI, 2)]), row(1, &[(CLASS, 1)]), row(2, &[(IMSI, 1)])];
    check(&rows, &held(), &with(DuplicatePolicy::Each), &[Conflict, Conflict, Conflict]);
}

#[test]
fn a_ring_of_three_is_held_and_whoever_wants_something_of_it_is_sent() {
    let before = [held(), vec![synced(4, v(8, 1), &[(ICCID, 4)])]].concat();
    let rows =
        [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3), (ICCID, 8)]), row(3, &[(IMSI, 1)]), row(4, &[(ICCID, 9)])];
    check(&rows, &before, &rules(), &[Conflict, Conflict, Conflict, Send]);
    // Two subjects with an IMSI and an ICCID each that go together are one swap.
    let both = [1, 2]
        .map(|subject| synced(subject, v(8, 1), &[(IMSI, u64::from(subject)), (ICCID, u64::from(subject))]));
    let rows = [row(1, &[(IMSI, 2), (ICCID, 2)]), row(2, &[(IMSI, 1), (ICCID, 1)])];
    let plan = check(&rows, &both, &rules(), &[Conflict, Conflict]);
    assert_eq!(plan.facts().chains.swaps, 1);
}

#[test]
fn a_subject_that_is_not_sent_is_in_no_chain() {
    // Both take 3: a conflict, so that nobody gives 2 up, and nobody waits for it.
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 5)]), row(3, &[(IMSI, 5)])];
    let plan = check(&rows, &held(), &rules(), &[Send, Conflict, Conflict]);
    assert_eq!(waves(&plan), [0, 0, 0]);
    let rows = [row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 2)])];
    check(&rows, &held(), &rules(), &[Conflict, Unchanged]);
}

#[test]
fn who_failed_before_waits_all_the_same() {
    let before = [held(), vec![refused(1, v(8, 7), &[(CLASS, 1)])]].concat();
    let plan = check(&[row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 9)])], &before, &rules(), &[SendLate, Send]);
    assert_eq!(waves(&plan), [1, 0]);
}

#[test]
fn links_beyond_the_bound_are_counted_and_left_alone() {
    let bounds = SurveyBounds { partition_bits: 2, chain_links_max: 1, ..SurveyBounds::default() };
    let mut survey = Survey::within(set(&MAPPED), Box::new(InMemory), bounds);
    for (ordinal, row) in (1..).zip([row(1, &[(IMSI, 2)]), row(2, &[(IMSI, 3)]), row(3, &[(IMSI, 4)])]) {
        let (subject, facts) = (id(row.subject), row.facts());
        survey
            .row(&Surveyed { ordinal, subject, version: None, rank: None, facts: &facts, old: &[] })
            .unwrap();
    }
    let plan = survey.finish(&rules(), &Known(&ledger(&held())), &OneHand).unwrap();
    let facts = plan.facts().chains;
    assert_eq!((facts.unordered, facts.waiting, facts.longest), (1, 1, 2));
}

/// A plan of rows that each tell what the subject's IMSI was before.
fn with_old(rows: &[(TestRow, Option<u64>)], records: &[Record]) -> Plan {
    let mut survey = Survey::new(set(&MAPPED));
    for (ordinal, (row, old)) in (1..).zip(rows) {
        let (subject, facts) = (id(row.subject), row.facts());
        let old: Vec<_> = old.iter().map(|hash| (IMSI, FieldHash(*hash))).collect();
        let row =
            Surveyed { ordinal, subject, version: row.version, rank: row.rank, facts: &facts, old: &old };
        survey.row(&row).unwrap();
    }
    survey.finish(&rules(), &Known(&ledger(records)), &OneHand).unwrap()
}

#[test]
fn an_old_value_counts_where_the_ledger_knows_nothing_and_is_told_where_it_knows_better() {
    let rows = [(row(1, &[(IMSI, 2)]), Some(1)), (row(2, &[(IMSI, 3)]), Some(2))];
    assert_eq!(waves(&with_old(&rows, &[])), [1, 0]);
    let swap =
        [(row(1, &[(IMSI, 2)]), Some(1)), (row(2, &[(CLASS, 1)]), Some(2)), (row(2, &[(IMSI, 1)]), None)];
    assert_eq!(rulings(&with_old(&swap, &[])), [Conflict, Conflict, Conflict]);
    // In doubt, the subject may hold it still.
    let plan = with_old(&rows, &[intent(2, v(8, 2), &[(IMSI, 3)])]);
    assert_eq!((waves(&plan), plan.is_any_shared(SharedKind::Old)), (vec![1, 0], false));
    // The ledger wins: 2 holds 7, and nobody gives 2 up.
    let plan = with_old(&rows, &[synced(2, v(8, 2), &[(IMSI, 7)])]);
    assert_eq!((waves(&plan), plan.shared(1), plan.shared(2)), (vec![0, 0], vec![], vec![SharedKind::Old]));
    // What the row itself sets was acknowledged meanwhile: no contradiction.
    let plan = with_old(&rows, &[synced(2, v(8, 2), &[(IMSI, 3)])]);
    assert_eq!((rulings(&plan), plan.shared(2)), (vec![Send, Unchanged], vec![]));
}

#[test]
fn replayed_and_ranked_rows_keep_their_old_values() {
    let ranked = |row: TestRow, rank| TestRow { rank: Some(rank), ..row };
    let rows = [
        (ranked(row(1, &[(IMSI, 2)]), 5), Some(1)),
        (ranked(row(2, &[(IMSI, 4)]), 9), None),
        (ranked(row(2, &[(IMSI, 3)]), 4), Some(2)),
    ];
    assert_eq!(waves(&with_old(&rows, &[]))[0], 1);
    let rows = [(replayed(8, 1, 1, &[(IMSI, 2)]), Some(1)), (replayed(8, 2, 2, &[(IMSI, 3)]), Some(2))];
    assert_eq!(waves(&with_old(&rows, &[])), [1, 0]);
}

#[test]
fn a_subject_that_was_cleared_is_told_with_what_it_is_given_and_what_it_is_not() {
    const CLEARED: u64 = FieldHash::CLEARED.0;
    let history = [held(), vec![synced(1, v(8, 0), &[(IMSI, CLEARED), (ICCID, CLEARED)])]].concat();
    let refused_now = refused(1, v(BATCH, 1), &[(IMSI, 7), (ICCID, 8)]);
    let (both, imsi, iccid) = (set(&[IMSI, ICCID]), set(&[IMSI]), set(&[ICCID]));
    let (other, given) = (row(2, &[(CLASS, 5)]), row(1, &[(IMSI, 7), (ICCID, 8)]));
    let silent = row(1, &[(CLASS, 7)]);
    let clears = row(1, &[(IMSI, CLEARED), (CLASS, 7)]);
    let half = row(1, &[(IMSI, 7)]);
    let conflict = [row(1, &[(IMSI, 7)]), row(2, &[(IMSI, 7)])];
    // Rows, what they meet, and by ordinal what is given and what is not; how many are told in all.
    type Told = Vec<(u64, FieldSet)>;
    type Case<'r> = (Vec<TestRow>, Option<&'r Record>, Told, Told, u64);
    let cases: [Case<'_>; 8] = [
        (vec![given.clone()], None, vec![(1, both)], vec![], 0),
        (vec![given.clone()], Some(&refused_now), vec![], vec![(1, both)], 1),
        (vec![silent.clone()], None, vec![], vec![(1, both)], 1),
        (vec![other.clone(), silent, half.clone()], None, vec![(3, imsi)], vec![(3, iccid)], 1),
        (vec![clears], None, vec![], vec![(1, iccid)], 1),
        (vec![half], None, vec![(1, imsi)], vec![(1, iccid)], 1),
        (conflict.to_vec(), None, vec![], vec![(1, both)], 1),
        (vec![other], None, vec![], vec![], 1),
    ];
    for (rows, refused, before, still, left) in cases {
        let records: Vec<Record> = history.iter().chain(refused).cloned().collect();
        let plan = plan(&rows, &ledger(&records), &PlanRules { tag: Some(id(1).tag()), ..rules() });
        let told = |of: &[(u64, crate::ledger::ClearedFirst)]| {
            of.iter().map(|(at, cleared)| (*at, cleared.fields)).collect::<Told>()
        };
        assert_eq!((told(plan.cleared_before()), told(plan.cleared_still())), (before, still), "{rows:?}");
        assert_eq!(plan.facts().left_cleared, left, "{rows:?}");
        assert!(refused.is_none() || plan.ruling(1) == RefusedBefore);
    }
}
