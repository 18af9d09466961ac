//! Under `each`, a run that was killed with many intents of one subject open: tables, and the law of the crash and its
//! resumes.
//!
//! The law knows what the toy server has acknowledged and refused, and nothing of versions, doubts or entries.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::any::any_fields;
use super::model::agrees;
use super::*;
use crate::ledger::UnknownCause;
use Ruling::{Duplicate, RefusedBefore, Send, SendLate, Superseded, Unchanged};

fn each() -> PlanRules {
    with(DuplicatePolicy::Each)
}

/// Rows of two subjects, by turns; each sets the same field to something else.
fn by_turns(rows: u64) -> Vec<TestRow> {
    (1..=rows).map(|at| row(if at % 2 == 1 { 1 } else { 2 }, &[(IMSI, at)])).collect()
}

/// All these intents, then the acknowledgements of the first rows.
fn log_of(rows: &[TestRow], opened: u64, acked: u64) -> Vec<Record> {
    let up_to =
        |last: u64| (1..=last).zip(rows).map(|(at, row)| (v(BATCH, at), row.subject, row.fields[&IMSI]));
    let intents = up_to(opened).map(|(version, subject, imsi)| intent(subject, version, &[(IMSI, imsi)]));
    let synced = up_to(acked).map(|(version, subject, imsi)| synced(subject, version, &[(IMSI, imsi)]));
    intents.chain(synced).collect()
}

fn after(acked: usize, all: usize) -> Vec<Ruling> {
    let mut expected = vec![Unchanged; acked];
    expected.resize(all, Send);
    expected
}

#[test]
fn what_was_acknowledged_is_settled_and_the_rest_is_sent() {
    let rows = by_turns(60);
    for rules in [each(), PlanRules { full: true, ..each() }] {
        for (opened, acked) in [(54, 25), (60, 0), (60, 1), (60, 25), (60, 59), (60, 60), (26, 25), (58, 57)]
        {
            let records = log_of(&rows, opened, acked);
            let plan = check(&rows, &records, &rules, &after(usize::try_from(acked).unwrap(), 60));
            assert!((acked + 1..=60).all(|at| plan.left_out(at).is_empty()));
        }
    }
}

#[test]
fn what_failed_before_the_kill_is_overtaken_by_what_was_acknowledged_since() {
    let rows = by_turns(60);
    let mut expected = after(25, 60);
    expected[4] = Superseded;
    for retry_failed in [false, true] {
        let rules = PlanRules { retry_failed, ..each() };
        for cause in [None, Some(UnknownCause::Exhausted), Some(UnknownCause::EchoMismatch)] {
            let mut records = log_of(&rows, 54, 25);
            let (version, fields) = (v(BATCH, 5), [(IMSI, 5)]);
            let failed = match cause {
                None => refused(1, version, &fields),
                Some(cause) => unknown(1, version, &fields, cause),
            };
            for record in &mut records {
                let is_its_own =
                    matches!(record, Record::Synced { version: synced, .. } if *synced == version);
                if is_its_own {
                    *record = failed.clone();
                }
            }
            check(&rows, &records, &rules, &expected);
        }
    }
}

#[test]
fn what_failed_last_before_the_kill_is_overtaken_by_nothing() {
    let rows = by_turns(60);
    let mut records = log_of(&rows, 54, 24);
    records.push(refused(1, v(BATCH, 25), &[(IMSI, 25)]));
    let mut expected = after(24, 60);
    expected[24] = RefusedBefore;
    check(&rows, &records, &each(), &expected);
    check(&rows, &records, &PlanRules { retry_failed: true, ..each() }, &after(24, 60));
}

#[test]
fn rows_deferred_in_large_numbers_leave_the_acknowledged_settled() {
    let rows: Vec<TestRow> = (1..=60).map(|at| row(1, &[(IMSI, at)])).collect();
    let mut records = log_of(&rows, 60, 25);
    records.extend((26..=60).map(|at| deferred(1, v(BATCH, at), &[(IMSI, at)])));
    check(&rows, &records, &each(), &after(25, 60));
}

#[test]
fn rows_of_an_older_batch_are_still_overtaken() {
    // By a newer intent, by a newer acknowledgement, and whether or not the file has rows of this batch, too.
    let old = [replayed(5, 1, 1, &[(IMSI, 1)]), replayed(5, 2, 1, &[(IMSI, 2)])];
    let newer = [intent(1, v(8, 1), &[(IMSI, 3)]), intent(1, v(8, 2), &[(IMSI, 4)])];
    check(&old, &newer, &each(), &[Superseded, Superseded]);
    check(&old, &[synced(1, v(8, 1), &[(IMSI, 3)])], &each(), &[Superseded, Superseded]);
    let mixed = [old[0].clone(), row(1, &[(IMSI, 5)]), row(1, &[(IMSI, 6)])];
    let opened = [intent(1, v(BATCH, 2), &[(IMSI, 5)]), intent(1, v(BATCH, 3), &[(IMSI, 6)])];
    check(&mixed, &opened, &each(), &[Superseded, Send, Send]);
    // What an older batch, going on, has acknowledged itself is settled, though the subject has a newer
    // acknowledgement.
    let rows = by_turns(60);
    let mut records =
        vec![synced(1, v(BATCH + 1, 1), &[(CLASS, 1)]), synced(2, v(BATCH + 1, 2), &[(CLASS, 1)])];
    records.extend(log_of(&rows, 54, 25));
    check(&rows, &records, &each(), &after(25, 60));
    // An older batch that goes on is overtaken by what a newer one has opened.
    let newer = [intent(1, v(BATCH, 2), &[(IMSI, 2)]), intent(1, v(BATCH + 1, 1), &[(IMSI, 3)])];
    check(&[row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)])], &newer, &each(), &[Superseded, Superseded]);
}

#[test]
fn all_that_may_be_in_doubt_is_held_named_or_not() {
    let rows: Vec<TestRow> = (1..=60).map(|at| row(1, &[(IMSI, at)])).collect();
    let records = log_of(&rows, 54, 25);
    let rules = PlanRules { in_doubt: InDoubtPolicy::Hold, ..each() };
    let mut expected = after(25, 60);
    expected[25..54].fill(Ruling::Held);
    check(&rows, &records, &rules, &expected);
    let plan = check(&rows, &records, &each(), &after(25, 60));
    assert_eq!(plan.in_doubt_total(), 35, "those in doubt, and those that overwrite them");
}

/// What a run of the batch before left of so many rows of one subject, each of which sets the same field.
fn left_of(ends: &[(u64, UnknownCause)]) -> Vec<Record> {
    ends.iter().map(|(at, cause)| unknown(1, v(8, *at), &[(IMSI, *at)], *cause)).collect()
}

#[test]
fn of_rows_that_failed_and_are_fed_back_the_last_is_meant() {
    use UnknownCause::{Cut, EchoMismatch, Exhausted};
    let rows: Vec<TestRow> = (1..=3).map(|at| replayed(8, at, 1, &[(IMSI, at)])).collect();
    for last in [Exhausted, EchoMismatch, Cut] {
        let records = left_of(&[(1, Exhausted), (2, Exhausted), (3, last)]);
        let retrying = PlanRules { retry_failed: true, ..each() };
        for rules in [each(), retrying] {
            check(&rows, &records, &rules, &[Superseded, Superseded, SendLate]);
            // Without it, it may have been applied, and is not overwritten.
            check(&rows[..2], &records, &rules, &[Superseded, Superseded]);
            let turned = [rows[2].clone(), rows[0].clone()];
            check(&turned, &records, &rules, &[SendLate, Superseded]);
        }
    }
}

#[test]
fn all_that_is_sent_of_a_subject_goes_in_one_pass() {
    // Its first row ran out of attempts, its second was refused, and so they were again when they were fed back.
    let rows = [replayed(8, 1, 1, &[(IMSI, 1)]), replayed(8, 2, 1, &[(IMSI, 2)])];
    let again = (BATCH, FailureKind::Refused);
    let records = [
        unknown(1, v(8, 1), &[(IMSI, 1)], UnknownCause::Exhausted),
        refused(1, v(8, 2), &[(IMSI, 2)]),
        refused_in(1, v(8, 2), again, &[(IMSI, 2)]),
    ];
    check(&rows, &records, &each(), &[SendLate, RefusedBefore]);
    check(&rows, &records, &PlanRules { retry_failed: true, ..each() }, &[SendLate, SendLate]);
    // Where a subject has one update, who is asked for by name goes with the others.
    let retrying = PlanRules { retry_failed: true, ..with(DuplicatePolicy::Last) };
    check(&rows[1..], &records[1..], &retrying, &[Send]);
}

#[test]
fn what_is_older_than_a_row_that_is_held_waits_with_it() {
    let hold = PlanRules { in_doubt: InDoubtPolicy::Hold, ..each() };
    let rows: Vec<TestRow> = (1..=2).map(|at| replayed(8, at, 1, &[(IMSI, at)])).collect();
    let in_doubt = left_of(&[(1, UnknownCause::Exhausted), (2, UnknownCause::Cut)]);
    check(&rows, &in_doubt, &hold, &[Superseded, Ruling::Held]);
    // The same in the batch itself, where the last row was on the wire when it was killed.
    let rows = [row(1, &[(IMSI, 1)]), row(1, &[(IMSI, 2)])];
    let killed = [
        unknown(1, v(BATCH, 1), &[(IMSI, 1)], UnknownCause::Exhausted),
        intent(1, v(BATCH, 2), &[(IMSI, 2)]),
    ];
    check(&rows, &killed, &hold, &[Ruling::Held, Ruling::Held]);
    // One that is newer than what is unknown, and sets it, is not kept back by one that follows and waits.
    let rows = [row(1, &[(IMSI, 1), (ICCID, 1)]), row(1, &[(IMSI, 2)])];
    let before = [unknown(1, v(8, 1), &[(IMSI, 9), (ICCID, 9)], UnknownCause::Cut)];
    check(&rows, &before, &hold, &[Send, Ruling::Held]);
}

/// How a row ends at the toy server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acked,
    Refused,
    Exhausted,
}

/// One run: how many intents are open at a time, after how many outcomes it is killed, and whether the request then on
/// the wire of each subject is applied.
#[derive(Debug, Clone)]
struct Run {
    window: usize,
    outcomes: usize,
    is_applied: bool,
}

/// What the law knows.
#[derive(Debug, Default)]
struct World {
    server: BTreeMap<(u8, FieldKind), u64>,
    acked: BTreeSet<u64>,
    /// Rows that failed, how, and with what fields.
    failed: BTreeMap<u64, (End, FieldSet)>,
}

impl World {
    /// What a resume must say of each row, and what it must leave out.
    fn expects(&self, rows: &[TestRow]) -> Vec<(Ruling, FieldSet)> {
        let mut expected: Vec<(Ruling, FieldSet)> = Vec::new();
        for (at, row) in (1_u64..).zip(rows) {
            let same_subject = |other: &(u64, &TestRow)| other.1.subject == row.subject;
            let before = (1..).zip(rows).filter(same_subject).filter(|other| other.0 < at).last();
            let all: FieldSet = row.fields.keys().copied().collect();
            let mut gone = FieldSet::EMPTY;
            if self.failed.contains_key(&at) {
                let acked = (1..).zip(rows).filter(same_subject);
                for (_, later) in acked.filter(|other| other.0 > at && self.acked.contains(&other.0)) {
                    gone = gone.union(all.intersect(later.fields.keys().copied().collect()));
                }
            }
            let rest = all.minus(gone);
            let is_duplicate = before.is_some_and(|(_, before)| before.fields == row.fields);
            expected.push(match self.failed.get(&at) {
                _ if is_duplicate => (Duplicate, FieldSet::EMPTY),
                _ if all.is_empty() || self.acked.contains(&at) => (Unchanged, FieldSet::EMPTY),
                Some(_) if rest.is_empty() => (Superseded, gone),
                Some((End::Refused, sent)) if *sent == rest => (RefusedBefore, gone),
                Some(_) | None => (Send, gone),
            });
        }
        expected
    }

    fn apply(&mut self, row: &TestRow, fields: FieldSet) {
        for kind in fields.iter() {
            self.server.insert((row.subject, kind), row.fields[&kind]);
        }
    }

    /// Whether the server has what the row says, but for some fields.
    fn holds(&self, row: &TestRow, without: FieldSet) -> bool {
        let mut rest = row.fields.iter().filter(|(kind, _)| !without.contains(**kind));
        rest.all(|(kind, hash)| self.server.get(&(row.subject, *kind)) == Some(hash))
    }

    /// Sends what is to be sent, subject by subject in turn, and returns the log up to the kill.
    fn run(&mut self, rows: &[TestRow], sent: &[(u64, FieldSet)], ends: &[End], run: &Run) -> Vec<Record> {
        let mut log = Vec::new();
        let mut unopened: VecDeque<(u64, FieldSet)> = sent.iter().copied().collect();
        let mut open: VecDeque<(u64, FieldSet)> = VecDeque::new();
        let said = |at: u64, fields: FieldSet| {
            let row = &rows[usize::try_from(at - 1).unwrap()];
            (row, fields.iter().map(|kind| (kind, row.fields[&kind])).collect::<Vec<_>>())
        };
        for _ in 0..=run.outcomes {
            while open.len() < run.window.max(1) {
                let Some((at, fields)) = unopened.pop_front() else { break };
                let (row, values) = said(at, fields);
                log.push(intent(row.subject, v(BATCH, at), &values));
                open.push_back((at, fields));
            }
            let Some((at, fields)) = open.pop_front() else { return log };
            let ((row, values), version) = (said(at, fields), v(BATCH, at));
            let end = ends[usize::try_from(at - 1).unwrap()];
            if log.iter().filter(|record| !matches!(record, Record::Intent { .. })).count() == run.outcomes {
                if run.is_applied && end == End::Acked {
                    self.apply(row, fields);
                }
                return log;
            }
            log.push(match end {
                End::Acked => synced(row.subject, version, &values),
                End::Refused => refused(row.subject, version, &values),
                End::Exhausted => unknown(row.subject, version, &values, UnknownCause::Exhausted),
            });
            if end == End::Acked {
                self.apply(row, fields);
                self.acked.insert(at);
                self.failed.remove(&at);
            } else {
                self.failed.insert(at, (end, fields));
            }
        }
        log
    }
}

fn any_export() -> impl Strategy<Value = Vec<TestRow>> {
    let any_row = (1..3_u8, any_fields()).prop_map(|(subject, fields)| TestRow {
        subject,
        version: None,
        rank: None,
        fields,
    });
    prop::collection::vec(any_row, 1..90)
}

/// Mostly acknowledged; fewer failures than an entry can name.
fn any_ends() -> impl Strategy<Value = Vec<End>> {
    let failures = prop::collection::vec((0..90_usize, any::<bool>()), 0..8);
    failures.prop_map(|failures| {
        let mut ends = vec![End::Acked; 90];
        for (at, is_refused) in failures {
            ends[at] = if is_refused { End::Refused } else { End::Exhausted };
        }
        ends
    })
}

fn any_run() -> impl Strategy<Value = Run> {
    (1..90_usize, 0..60_usize, any::<bool>()).prop_map(|(window, outcomes, is_applied)| Run {
        window,
        outcomes,
        is_applied,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_kill_is_followed_by_exactly_what_was_not_acknowledged(
        rows in any_export(),
        ends in any_ends(),
        runs in prop::collection::vec(any_run(), 0..5),
        full in any::<bool>(),
    ) {
        let rules = PlanRules { full, conflicts: ConflictPolicy::Send, ..each() };
        let (mut world, mut ledger) = (World::default(), Vec::new());
        let last = Run { window: 30, outcomes: 1_000, is_applied: false };
        for run in runs.iter().chain([&last]) {
            let plan = agrees(&rows, &ledger, &rules)?;
            // What an acknowledged row leaves out is of no consequence.
            let left_out = |at| match matches!(plan.ruling(at), Unchanged | Duplicate) {
                true => FieldSet::EMPTY,
                false => plan.left_out(at),
            };
            // In which order subjects come is the model's matter.
            let ruling = |at| Some(plan.ruling(at)).filter(|ruling| *ruling != SendLate).unwrap_or(Send);
            let said: Vec<_> = (1..).zip(&rows).map(|(at, _)| (ruling(at), left_out(at))).collect();
            let mut expected = world.expects(&rows);
            for ((expected, said), (at, row)) in expected.iter_mut().zip(&said).zip((1..).zip(&rows)) {
                // What is left of a failed row is news or not: the rule for all. Where nothing is left, all it says
                // has to be.
                let is_none_left = expected.0 == Superseded;
                let without = if is_none_left { FieldSet::EMPTY } else { expected.1 };
                let is_no_news =
                    world.failed.contains_key(&at) && (is_none_left || !full) && world.holds(row, without);
                if is_no_news && said.0 == Unchanged {
                    *expected = *said;
                }
            }
            prop_assert_eq!(&said, &expected);
            let sent: Vec<(u64, FieldSet)> = (1..)
                .zip(said.iter().zip(&rows))
                .filter(|(_, (said, _))| said.0 == Send)
                .map(|(at, (said, row))| (at, row.fields.keys().copied().collect::<FieldSet>().minus(said.1)))
                .collect();
            let log = world.run(&rows, &sent, &ends, run);
            ledger = fold_log(&ledger, &log);
        }
        // Of the rows that the server takes, the last one has each field.
        let mut wanted = BTreeMap::new();
        for ((row, end), (ruling, _)) in rows.iter().zip(&ends).zip(world.expects(&rows)) {
            if *end == End::Acked && ruling != Duplicate {
                wanted.extend(row.fields.iter().map(|(kind, hash)| ((row.subject, *kind), *hash)));
            }
        }
        for (place, hash) in wanted {
            prop_assert_eq!(world.server.get(&place), Some(&hash), "{:?}", place);
        }
    }
}
