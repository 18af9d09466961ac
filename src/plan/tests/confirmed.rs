//! What an export that changes nothing overtakes: failures of older exports, field by field.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ledger::{FailureKind, UnknownCause};
use crate::plan::SendMode;
use Ruling::{Confirmed, RefusedBefore, Send, SendLate, Superseded, Unchanged};

const FIELDS: [FieldKind; 3] = [IMSI, ICCID, CLASS];

/// The record by which the run of a batch confirms a row of it.
fn confirmed(version: Version, fields: &[(FieldKind, u64)]) -> Record {
    Record::Confirmed { subject: id(1), version, facts: facts(1, version, fields) }
}

fn in_batch(batch: u64) -> PlanRules {
    PlanRules { batch, ..rules() }
}

#[test]
fn a_row_that_changes_nothing_is_confirmed_only_where_a_failure_lies_between() {
    let (monday, failed) = (synced(1, v(5, 1), &[(IMSI, 1), (ICCID, 1)]), refused(1, v(7, 1), &[(IMSI, 2)]));
    let wednesday = [row(1, &[(IMSI, 1), (ICCID, 1)])];
    check(&wednesday, std::slice::from_ref(&monday), &rules(), &[Unchanged]);
    let plan = check(&wednesday, &[monday.clone(), failed.clone()], &rules(), &[Confirmed]);
    assert_eq!((plan.facts().confirmed, plan.facts().rows.unchanged), (1, 1));
    assert_eq!(plan.facts().subjects_unchanged, 1);
    // Nothing but the key says nothing, and a row that is fed back is not newer than the failure.
    check(&[row(1, &[])], &[monday.clone(), failed.clone()], &rules(), &[Unchanged]);
    check(&[replayed(6, 1, 1, &[(IMSI, 1)])], &[monday.clone(), failed.clone()], &rules(), &[Unchanged]);
    // Once it is confirmed, the next one has nothing to say, and what failed is overtaken.
    let records = [monday, failed, confirmed(v(8, 1), &[(IMSI, 1), (ICCID, 1)])];
    check(&wednesday, &records, &rules(), &[Unchanged]);
    check(&[replayed(7, 1, 1, &[(IMSI, 2)])], &records, &rules(), &[Superseded]);
    let plan = check(&[replayed(7, 1, 1, &[(IMSI, 2), (CLASS, 1)])], &records, &rules(), &[SendLate]);
    assert_eq!(plan.left_out(1), set(&[IMSI]));
}

/// What the model of `model.rs` does not know, in its plainest cases; random rows meet them now and then.
#[test]
fn of_a_row_that_was_corrected_what_it_said_before_is_superseded_and_what_is_known_is_confirmed() {
    let (was, is) = ([(IMSI, 2)], [(IMSI, 1)]);
    let fed_back = |fields: &[(FieldKind, u64)]| [replayed(7, 2, 1, fields)];
    // It failed as it was, whichever way, and was acknowledged as it is.
    for failed in [unknown(1, v(7, 2), &was, UnknownCause::Exhausted), refused(1, v(7, 2), &was)] {
        let records = [failed, synced(1, v(7, 2), &is)];
        let plan = check(&fed_back(&was), &records, &rules(), &[Superseded]);
        assert_eq!(plan.left_out(1), set(&[IMSI]));
        check(&fed_back(&is), &records, &rules(), &[Unchanged]);
    }
    // It was refused as it was, and is corrected to what an older row has set: the failure is overtaken, in its own
    // batch, too.
    for failed in [refused(1, v(7, 2), &was), refused_in(1, v(7, 2), (BATCH, FailureKind::Refused), &was)] {
        check(&fed_back(&is), &[synced(1, v(6, 1), &is), failed], &rules(), &[Confirmed]);
    }
}

#[test]
fn a_row_that_changes_nothing_is_confirmed_while_an_older_batch_is_open() {
    let known = synced(1, v(5, 1), &[(IMSI, 1)]);
    let (says_it_again, fed_back) = ([row(1, &[(IMSI, 1)])], [replayed(6, 1, 1, &[(IMSI, 1)])]);
    for (older_open, ruling) in
        [(None, Unchanged), (Some(4), Unchanged), (Some(5), Confirmed), (Some(8), Confirmed)]
    {
        let rules = PlanRules { older_open, ..rules() };
        check(&says_it_again, std::slice::from_ref(&known), &rules, &[ruling]);
        let ruling = if older_open == Some(5) { Confirmed } else { Unchanged };
        check(&fed_back, std::slice::from_ref(&known), &rules, &[ruling]);
        // What is sent in part says the rest, too.
        let changed = PlanRules { send: SendMode::Changed, ..rules };
        let plan =
            check(&[row(1, &[(IMSI, 1), (CLASS, 2)])], std::slice::from_ref(&known), &changed, &[Send]);
        let is_said = older_open.is_some_and(|open| open >= 5);
        assert_eq!(plan.beside(1).unwrap().not_sent.contains(IMSI), !is_said, "{older_open:?}");
    }
}

#[test]
fn what_was_acknowledged_since_as_the_row_says_it_is_unchanged() {
    let records = [synced(1, v(5, 1), &[(IMSI, 1), (CLASS, 1)]), synced(1, v(12, 1), &[(CLASS, 3)])];
    let plan = check(&[row(1, &[(CLASS, 3)])], &records, &rules(), &[Unchanged]);
    assert_eq!(plan.facts().rows_overtaken, 0);
    let plan = check(&[row(1, &[(CLASS, 2)])], &records, &rules(), &[Superseded]);
    assert_eq!(plan.facts().rows_overtaken, 1);
    // Folded, what the last row says counts.
    check(&[row(1, &[(CLASS, 2)]), row(1, &[(CLASS, 3)])], &records, &rules(), &[Unchanged, Unchanged]);
}

#[test]
fn every_row_of_a_fold_confirms_what_it_says_itself() {
    let records = [synced(1, v(5, 1), &[(IMSI, 1), (ICCID, 1)]), refused(1, v(7, 1), &[(IMSI, 2)])];
    // The first row's IMSI is not the acknowledged one: its record moves nothing.
    let rows = [row(1, &[(IMSI, 3)]), row(1, &[(ICCID, 1)]), row(1, &[(IMSI, 1)])];
    check(&rows, &records, &rules(), &[Unchanged, Confirmed, Confirmed]);
    let stray = confirmed(v(8, 1), &[(IMSI, 3)]);
    let entry = ledger(&[records[0].clone(), records[1].clone(), stray]).remove(0);
    assert_eq!(entry.field(IMSI).unwrap().version, v(5, 1));
}

#[test]
fn what_a_later_batch_saw_refused_holds_for_that_batch_alone() {
    let fields = [(IMSI, 1)];
    let again = |batch, kind| refused_in(1, v(5, 3), (batch, kind), &fields);
    let rows = [replayed(5, 3, 1, &fields)];
    let first = refused(1, v(5, 3), &fields);
    check(&rows, std::slice::from_ref(&first), &rules(), &[SendLate]);
    for kind in [FailureKind::Refused, FailureKind::Unresolved] {
        let records = [first.clone(), again(BATCH, kind)];
        let plan = check(&rows, &records, &rules(), &[RefusedBefore]);
        assert_eq!(
            plan.refused_before(1).unwrap().map(|refusal| (refusal.count, refusal.kind)),
            Some((2, kind))
        );
        check(&rows, &records, &PlanRules { retry_failed: true, ..rules() }, &[Send]);
        check(&rows, &records, &in_batch(BATCH + 1), &[SendLate]);
        // Corrected, it is another update.
        check(&[replayed(5, 3, 1, &[(IMSI, 2)])], &records, &rules(), &[SendLate]);
    }
}

/// A day's row: its fields, and whether the server refuses it where it is sent.
type Day = (BTreeMap<FieldKind, u64>, bool);

fn days() -> impl Strategy<Value = Vec<Day>> {
    let fields = proptest::collection::btree_map(proptest::sample::select(FIELDS.to_vec()), 1..3_u64, 1..4);
    vec((fields, any::<bool>()), 2..9)
}

/// Plans a row, and folds what its run writes into the ledger; whether it failed.
fn live_through(ledger: &mut Vec<LedgerEntry>, row: &TestRow, rules: &PlanRules, is_refused: bool) -> bool {
    let plan = plan(std::slice::from_ref(row), ledger, rules);
    let version = v(rules.batch, 1);
    let beside = plan.beside(1).unwrap();
    let left_out = beside.left_out.union(beside.not_sent);
    let fields: Vec<(FieldKind, u64)> = row
        .fields
        .iter()
        .filter(|(kind, _)| !left_out.contains(**kind))
        .map(|(kind, of)| (*kind, *of))
        .collect();
    let ruling = plan.ruling(1);
    let record = if ruling == Confirmed {
        Some(confirmed(version, &row.fields.clone().into_iter().collect::<Vec<_>>()))
    } else if !ruling.is_sent() {
        None
    } else if is_refused {
        Some(refused(1, version, &fields))
    } else {
        Some(synced(1, version, &fields))
    };
    *ledger = fold_log(ledger, record.as_slice());
    ruling.is_sent() && is_refused
}

proptest! {
    /// Whatever failed on a day and is fed back after all of them sets no field that a later day, which did not fail,
    /// has said something about: be it acknowledged then, or unchanged.
    #[test]
    fn what_failed_overwrites_nothing_that_was_said_later(days in days(), is_changed_only in any::<bool>()) {
        let send = if is_changed_only { SendMode::Changed } else { SendMode::Full };
        let mut ledger = Vec::new();
        let mut failed = Vec::new();
        for (batch, (fields, is_refused)) in (1..).zip(&days) {
            let row = TestRow { subject: 1, version: None, rank: None, fields: fields.clone() };
            let rules = PlanRules { send, ..in_batch(batch) };
            if live_through(&mut ledger, &row, &rules, *is_refused) {
                failed.push(batch);
            }
        }
        let last = days.len() as u64 + 1;
        for batch in &failed {
            let (fields, _) = &days[usize::try_from(batch - 1).unwrap()];
            let row = TestRow { subject: 1, version: Some(v(*batch, 1)), rank: None, fields: fields.clone() };
            let plan = plan(&[row], &ledger, &PlanRules { send, ..in_batch(last) });
            let said_later = |kind: &FieldKind| {
                (batch + 1..last).any(|later| {
                    let (fields, _) = &days[usize::try_from(later - 1).unwrap()];
                    !failed.contains(&later) && fields.contains_key(kind)
                })
            };
            let later: FieldSet = fields.keys().copied().filter(said_later).collect();
            if plan.ruling(1).is_sent() {
                let beside = plan.beside(1).unwrap();
                let sent = fields.keys().copied().collect::<FieldSet>().minus(beside.left_out.union(beside.not_sent));
                prop_assert!(sent.intersect(later).is_empty(), "batch {batch} sets {sent:?} over {later:?}");
            }
        }
    }
}
