//! Table tests of the scheduler, one rule each: verdicts, order, drain. The rules of health are in `tests/health.rs`,
//! those of token, quiet and first contact in `tests/pauses.rs`.

use super::outcome::{Failure, Outcome, Seen, StopCause, Verdict};
use super::*;
use crate::digest::SubjectId;
use crate::ledger::FailureKind;
use crate::update::FieldSet;

mod away;
mod bad;
mod days;
mod desk;
mod elapsed;
mod followers;
mod health;
mod passes;
mod pauses;
mod same;
mod slowing;
mod suspects;
mod trial;
mod witness;

use desk::Desk;

fn subject(number: u64) -> SubjectId {
    SubjectId(u128::from(number).to_be_bytes())
}

fn proven() -> DeliveryRules {
    DeliveryRules { proven: true, adapts: false, ..DeliveryRules::default() }
}

fn status(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Acknowledged | Outcome::EchoMismatch { .. } | Outcome::Page { .. } => Some(201),
        Outcome::Refused { .. } => Some(422),
        Outcome::Conflict { .. } => Some(409),
        Outcome::TokenRefused => Some(401),
        Outcome::Forbidden { .. } => Some(403),
        Outcome::Throttled { .. } => Some(429),
        Outcome::ServerFailed { .. } => Some(500),
        Outcome::Redirected => Some(307),
        Outcome::TimedOut | Outcome::Disconnected | Outcome::NotConnected | Outcome::Unprocessed => None,
    }
}

fn refused() -> Outcome {
    Outcome::Refused { signature: "422 bad".into() }
}

fn conflict() -> Outcome {
    Outcome::Conflict { signature: "409 taken".into() }
}

fn mismatch() -> Outcome {
    Outcome::EchoMismatch { fields: FieldSet::default(), signature: "echo".into() }
}

fn forbidden() -> Outcome {
    Outcome::Forbidden { signature: "403 no".into() }
}

fn failed() -> Outcome {
    Outcome::ServerFailed { signature: "500 oops".into(), retry_after_ms: None }
}

fn throttled(retry_after_ms: Option<u64>) -> Outcome {
    Outcome::Throttled { retry_after_ms }
}

/// Offers `ids` and has all their attempts fail.
fn fail_all(desk: &mut Desk, ids: std::ops::Range<u64>) {
    for id in ids.clone() {
        desk.offer(id, id);
    }
    let sent = desk.send_all();
    assert_eq!(sent, ids.collect::<Vec<_>>());
    for id in sent {
        desk.answer(id, failed());
    }
}

#[test]
fn a_definite_answer_settles_at_once() {
    let table = [
        (Outcome::Acknowledged, None),
        (refused(), Some((FailureKind::Refused, false))),
        (mismatch(), Some((FailureKind::EchoMismatch, true))),
        (conflict(), Some((FailureKind::Deferred, false))),
    ];
    for (outcome, expected) in table {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        desk.send(1);
        desk.answer(1, outcome);
        match expected {
            None => assert_eq!(desk.verdict(1), Some(&Verdict::Synced)),
            Some((kind, maybe_applied)) => {
                assert_eq!(desk.failure(1).kind, kind);
                assert_eq!(desk.failure(1).maybe_applied, maybe_applied);
                assert!(desk.failure(1).status.is_some());
            }
        }
        assert!(desk.scheduler.is_idle());
        assert_eq!(desk.verdicts.len(), 1, "one verdict");
    }
}

#[test]
fn a_temporary_failure_waits_for_its_jittered_ceiling() {
    for outcome in [failed(), Outcome::TimedOut, Outcome::Disconnected, Outcome::NotConnected] {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        for (attempt, delay_ms) in [(1, 500), (2, 1_000), (3, 2_000), (4, 4_000)] {
            assert_eq!(desk.send(1).attempt, attempt);
            desk.answer(1, outcome.clone());
            assert_eq!(desk.verdict(1), Some(&Verdict::RetryIn { delay_ms }));
            assert_eq!(desk.scheduler.wake_at(desk.now_ms), Some(desk.now_ms + delay_ms));
            desk.now_ms += delay_ms - 1;
            assert_eq!(desk.scheduler.next(desk.now_ms), None);
            desk.now_ms += 1;
        }
    }
}

#[test]
fn what_an_earlier_attempt_may_have_applied_is_remembered() {
    let table = [
        (failed(), true),
        (Outcome::TimedOut, true),
        (Outcome::Disconnected, true),
        (Outcome::NotConnected, false),
    ];
    for (outcome, maybe_applied) in table {
        for last in [refused(), conflict()] {
            let mut desk = Desk::warm(proven());
            desk.offer(1, 1);
            desk.send(1);
            desk.answer(1, outcome.clone());
            desk.wake();
            desk.send(1);
            desk.answer(1, last);
            assert_eq!(desk.failure(1).maybe_applied, maybe_applied, "after {}", outcome.name());
        }
    }
}

#[test]
fn one_attempt_per_subject_and_in_order_across_retries() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 7);
    desk.offer(2, 7);
    desk.offer(3, 8);
    assert_eq!(desk.send_all(), [1, 3]);
    desk.answer(1, failed());
    assert_eq!(
        desk.send_all(),
        Vec::<u64>::new(),
        "the second of the subject waits for the first one's verdict"
    );
    desk.wake();
    assert_eq!(desk.send_all(), [1]);
    desk.answer(1, refused());
    assert_eq!(desk.send_all(), [2], "a failed one lets the next go");
    desk.answer(2, Outcome::Acknowledged);
    assert_eq!(desk.verdict(2), Some(&Verdict::Synced));
}

#[test]
fn after_a_deferred_one_the_later_ones_of_its_subject_are_deferred_too() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 7);
    desk.offer(2, 7);
    desk.send(1);
    desk.answer(1, Outcome::TimedOut);
    desk.wake();
    desk.send(1);
    desk.answer(1, conflict());
    assert!(desk.failure(1).maybe_applied);
    let later = Failure { maybe_applied: false, ..desk.failure(1).clone() };
    assert_eq!(desk.verdict(2), Some(&Verdict::Deferred(later.clone())));

    desk.offer(3, 7);
    assert_eq!(desk.scheduler.held(), 1);
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), Some(desk.now_ms));
    desk.tick();
    assert_eq!(desk.verdict(3), Some(&Verdict::Deferred(later)));
    assert!(desk.scheduler.is_idle());

    desk.scheduler.begin_pass(1);
    desk.offer(1, 7);
    assert_eq!(desk.send_all(), [1], "a later pass tries again");
}

#[test]
fn where_no_more_subjects_can_wait_a_conflict_is_a_refusal_and_the_next_of_its_subject_may_go() {
    let mut desk = Desk::warm(DeliveryRules { deferred_max: 1, failures_max: Some(1), ..proven() });
    desk.offer(1, 7);
    desk.send(1);
    desk.answer(1, conflict());
    assert!(matches!(desk.verdict(1), Some(Verdict::Deferred(_))));
    desk.offer(2, 8);
    desk.offer(3, 8);
    desk.send(2);
    desk.answer(2, conflict());
    assert_eq!(desk.failure(2).kind, FailureKind::Unresolved);
    assert_eq!(desk.send_all(), [3], "nothing of its subject waits that it could overtake");
    // Whose update waits keeps its later ones back all the same.
    desk.offer(4, 7);
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    desk.answer(3, conflict());
    let [stop] = desk.stops()[..] else { panic!("two failures are more than one") };
    assert_eq!(stop, &StopCause::ErrorBudget { failed: 2 });
}

#[test]
fn at_the_bound_of_those_that_wait_a_subject_keeps_its_order() {
    let mut desk = Desk::warm(proven());
    desk.scheduler.begin_pass(2);
    for (id, subject) in [(1, 7), (2, 7), (3, 7), (4, 8), (5, 8)] {
        desk.offer(id, subject);
    }
    assert_eq!(desk.send_all(), [1, 4]);
    desk.answer(1, conflict());
    for id in [1, 2, 3] {
        assert!(matches!(desk.verdict(id), Some(Verdict::Deferred(_))), "{id} waits whatever the bound");
    }
    // Three wait where two may: the first one of another subject gets its final verdict, and the next goes on.
    desk.answer(4, conflict());
    assert_eq!(desk.failure(4).kind, FailureKind::Unresolved);
    assert!(matches!(desk.verdict(4), Some(Verdict::Failed(_))));
    assert_eq!(desk.send_all(), [5]);
    desk.answer(5, Outcome::Acknowledged);
    assert_eq!(desk.verdict(5), Some(&Verdict::Synced));
    desk.offer(6, 7);
    desk.tick();
    assert!(matches!(desk.verdict(6), Some(Verdict::Deferred(_))));

    // What earlier passes have put aside takes its room in the next, and what is put aside meanwhile, too.
    desk.scheduler.begin_pass(1);
    desk.scheduler.take_deferred_room();
    desk.offer(7, 9);
    desk.send(7);
    desk.answer(7, conflict());
    assert_eq!(desk.failure(7).kind, FailureKind::Unresolved);
}

#[test]
fn chronic_ones_go_last() {
    let mut desk = Desk::warm(DeliveryRules { max_in_flight: 1, ..proven() });
    desk.offer_chronic(1);
    desk.offer(2, 2);
    desk.offer(3, 3);
    for id in [2, 3, 1] {
        assert_eq!(desk.send_all(), [id]);
        desk.answer(id, Outcome::Acknowledged);
    }
}

#[test]
fn retries_are_a_bounded_share_while_there_is_fresh_work() {
    let mut desk = Desk::warm(DeliveryRules { max_in_flight: 1, sick_percent: 101, ..proven() });
    for id in 0..1_000 {
        desk.offer(id, id);
    }
    let (mut sent, mut retries) = (0_u32, 0_u32);
    while desk.scheduler.sendable(desk.now_ms) > 0 && sent < 500 {
        let attempt = desk.scheduler.next(desk.now_ms).expect("sendable");
        sent += 1;
        retries += u32::from(attempt.attempt > 1);
        // Every other answer is a failure.
        let outcome = if sent.is_multiple_of(2) { failed() } else { Outcome::Acknowledged };
        desk.answer(attempt.id, outcome);
        desk.now_ms += 1_000;
    }
    assert!(retries >= 80, "retries are not starved: {retries}");
    assert!(retries <= 104, "a fifth of 500, and what was saved up: {retries}");
}

#[test]
fn room_is_bounded_by_ready_and_by_held() {
    let rules = DeliveryRules { ready_max: 4, held_max: 6, ..proven() };
    let mut desk = Desk::warm(rules);
    assert_eq!(desk.scheduler.room(), 4);
    for id in 0..5 {
        desk.offer(id, 1);
    }
    assert_eq!(desk.scheduler.room(), 1, "five held, one of them ready");
    desk.offer(9, 9);
    assert_eq!(desk.scheduler.room(), 0);
    desk.send_all();
    assert_eq!(desk.scheduler.room(), 0, "in flight counts as well");
}

#[test]
fn the_in_flight_limit_can_be_changed_and_is_never_zero() {
    let mut desk = Desk::warm(DeliveryRules { max_in_flight: 2, ..proven() });
    for id in 0..10 {
        desk.offer(id, id);
    }
    assert_eq!(desk.send_all().len(), 2);
    desk.scheduler.set_max_in_flight(5);
    assert_eq!(desk.send_all().len(), 3);
    desk.scheduler.set_max_in_flight(0);
    for id in 0..5 {
        assert_eq!(desk.send_all(), Vec::<u64>::new());
        desk.answer(id, Outcome::Acknowledged);
    }
    assert_eq!(desk.send_all().len(), 1);
}

#[test]
fn a_drained_scheduler_sends_nothing_and_gives_everything_back() {
    let mut desk = Desk::warm(proven());
    desk.offer(5, 5);
    desk.offer(6, 5);
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.send_all();
    desk.answer(1, Outcome::TimedOut);
    desk.offer(3, 3);
    desk.scheduler.drain();
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    assert_eq!(desk.scheduler.room(), 0);
    assert_eq!(desk.scheduler.condition(desk.now_ms), Condition::Draining);
    assert_eq!(desk.scheduler.in_flight_ids(), [2, 5]);
    let leftover = |id, maybe_applied| Leftover { id, maybe_applied };
    assert_eq!(desk.scheduler.unsent(), [leftover(1, true), leftover(3, false), leftover(6, false)]);

    desk.answer(2, Outcome::Acknowledged);
    desk.answer(5, failed());
    assert_eq!(desk.verdict(5), Some(&Verdict::RetryIn { delay_ms: 500 }));
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), None, "nothing to wait for");
    assert_eq!(desk.scheduler.unsent(), [leftover(5, true)]);
    assert!(desk.scheduler.is_idle());
    assert_eq!(desk.stops(), Vec::<&StopCause>::new());
}

#[test]
fn redirects_in_a_row_stop_the_run_and_cost_no_row_anything() {
    let stop = StopCause::Redirected { status: 307 };
    let mut desk = Desk::warm(proven());
    (1..100).for_each(|id| desk.offer(id, id));
    let sent: Vec<UpdateId> = (0..4).map(|_| desk.scheduler.next(0).expect("an attempt").id).collect();
    sent.iter().for_each(|id| desk.answer(*id, Outcome::Redirected));
    let mut tried = Vec::new();
    while let Some(attempt) = desk.scheduler.next(0) {
        assert!(desk.scheduler.next(0).is_none(), "one by one");
        tried.push(attempt.id);
        desk.answer(attempt.id, Outcome::Redirected);
    }
    assert_eq!(tried.len(), 5, "others from anywhere");
    assert!(tried.iter().any(|id| *id > 50), "{tried:?}");
    assert_eq!(desk.stops(), [&stop], "told once");
    assert_eq!(desk.scheduler.blamed().len(), 9);
    assert_eq!(desk.scheduler.unsent().len(), 99);
    assert!((1..100).all(|id| !matches!(desk.verdict(id), Some(Verdict::Failed(_)))));

    // At first contact, and where nobody has passed and nobody is left, one is enough.
    for rules in [DeliveryRules::default(), proven()] {
        let mut desk = Desk::new(rules);
        desk.offer(1, 1);
        desk.end_of_input();
        desk.send(1);
        desk.answer(1, Outcome::Redirected);
        assert_eq!(desk.stops(), [&stop]);
        assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: false }]);
    }
}

#[test]
fn a_redirect_for_one_row_while_others_pass_is_that_rows() {
    let mut desk = Desk::warm(proven());
    (0..4).for_each(|id| desk.offer(id, id));
    desk.send_all();
    desk.answer(0, Outcome::Redirected);
    desk.answer(1, Outcome::Acknowledged);
    assert_eq!(desk.verdict(0), Some(&Verdict::Withheld), "sent before the redirect was known");
    desk.answer(2, Outcome::Redirected);
    desk.answer(3, Outcome::Redirected);
    desk.offer(4, 4);
    desk.send(4);
    desk.answer(4, Outcome::Acknowledged);
    for id in [0, 2, 3] {
        let failure = desk.failure(id);
        assert_eq!((failure.kind, failure.status), (FailureKind::Refused, Some(307)));
        assert_eq!(failure.signature, "307 redirect for this row alone");
        assert!(!failure.maybe_applied, "a 307 applies nothing");
    }
    // The last one, where others have passed and nobody is left.
    desk.offer(5, 5);
    desk.end_of_input();
    desk.send(5);
    desk.answer(5, Outcome::Redirected);
    assert_eq!(desk.failure(5).kind, FailureKind::Refused);
    assert_eq!(desk.stops(), Vec::<&StopCause>::new());
}

#[test]
fn the_error_budget_stops_at_one_more_than_it_allows() {
    let mut desk = Desk::warm(DeliveryRules { failures_max: Some(2), ..proven() });
    for id in 0..4 {
        desk.offer(id, id);
    }
    desk.send_all();
    desk.answer(0, refused());
    desk.answer(1, mismatch());
    desk.answer(2, conflict());
    assert_eq!(desk.stops(), Vec::<&StopCause>::new(), "a deferred one has not failed");
    desk.answer(3, refused());
    assert_eq!(desk.stops(), [&StopCause::ErrorBudget { failed: 3 }]);
}

#[test]
fn a_complaint_has_a_budget_of_its_own() {
    let mut desk = Desk::warm(DeliveryRules { signature_failures_max: Some(2), ..proven() });
    for id in 0..6 {
        desk.offer(id, id);
    }
    desk.send_all();
    for (id, outcome) in [(0, refused()), (1, mismatch()), (2, refused()), (3, mismatch())] {
        desk.answer(id, outcome);
    }
    assert_eq!(desk.stops(), Vec::<&StopCause>::new(), "two of each");
    desk.answer(4, refused());
    let cause = StopCause::SignatureBudget { signature: "422 bad".into(), failed: 3 };
    assert_eq!(desk.stops(), [&cause]);
}

#[test]
fn what_was_given_back_gets_no_verdict_afterwards() {
    // Kept back at first contact, condemned, and owed: three ways to wait for a verdict.
    let mut desk = Desk::new(DeliveryRules::default());
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.send_all();
    desk.answer(1, refused());
    desk.scheduler.drain();
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: false }]);
    desk.answer(2, Outcome::Acknowledged);
    assert_eq!(desk.verdict(1), Some(&Verdict::Withheld));

    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.offer(3, 3);
    desk.send_all();
    desk.answer(3, conflict());
    desk.offer(4, 3);
    desk.scheduler.drain();
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 4, maybe_applied: false }]);
    desk.answer(1, failed());
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: true }]);
    desk.answer(2, Outcome::Acknowledged);
    assert!(matches!(desk.verdict(1), Some(Verdict::RetryIn { .. })));
    assert_eq!(desk.verdict(4), None);
    assert!(desk.scheduler.is_idle());
}

#[test]
fn retries_keep_to_their_budget_while_first_tries_are_on_their_way() {
    let mut desk = Desk::warm(DeliveryRules { breaker_failures: 1_000, sick_percent: 101, ..proven() });
    for id in 0..20 {
        desk.offer(id, id);
    }
    for id in desk.send_all() {
        desk.answer(id, failed());
    }
    desk.scheduler.expect_first_tries(true);
    desk.now_ms += 60_000;
    let saved = desk.send_all();
    assert_eq!(saved.len(), 4, "what was saved up");
    desk.offer_chronic(500);
    assert!(desk.send_all().is_empty(), "nor do chronic ones overtake them");
    for id in 100..108 {
        desk.offer(id, id);
    }
    let sent = desk.send_all();
    assert_eq!(sent.iter().filter(|id| **id < 100).count(), 2, "one for four first tries: {sent:?}");
    desk.scheduler.expect_first_tries(false);
    assert_eq!(desk.send_all().len(), 14 + 1, "and all the others when no first try is left");
}
