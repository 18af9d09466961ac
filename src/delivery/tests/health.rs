//! Table tests of promise 6: whom a failure is charged to, the breaker, probes, quarantine, outage.

use super::*;

#[test]
fn a_row_that_fails_while_neighbours_pass_is_quarantined_alone() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    for attempt in 1..=8 {
        assert_eq!(desk.send(1).attempt, attempt);
        desk.offer(100 + u64::from(attempt), 100 + u64::from(attempt));
        desk.send(100 + u64::from(attempt));
        desk.answer(1, failed());
        if attempt < 8 {
            assert!(matches!(desk.verdict(1), Some(Verdict::RetryIn { .. })));
        }
        desk.answer(100 + u64::from(attempt), Outcome::Acknowledged);
        if attempt < 8 {
            desk.wake();
        }
    }
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
    assert_eq!(desk.failure(1).signature, "500 oops");
    assert_eq!(desk.failure(1).status, Some(500));
    assert!(desk.failure(1).maybe_applied);
    assert_eq!(desk.actions, []);
}

#[test]
fn quarantine_waits_for_a_neighbour_to_testify() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.send_all();
    desk.answer(1, failed());
    assert!(matches!(desk.verdict(1), Some(Verdict::RetryIn { .. })), "the other one is still out");
    desk.now_ms += 60_000;
    assert_eq!(desk.send_all(), Vec::<u64>::new(), "and it does not go again meanwhile");
    desk.answer(2, refused());
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
}

#[test]
fn an_answer_to_what_was_sent_before_the_trouble_testifies_to_nothing() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    desk.offer(50, 50);
    desk.send(50);
    desk.now_ms += 10;
    for id in 1..=2 {
        desk.offer(id, id);
    }
    desk.send_all();
    desk.answer(1, failed());
    desk.answer(50, Outcome::Acknowledged);
    assert!(
        matches!(desk.verdict(1), Some(Verdict::RetryIn { .. })),
        "the server went down after 50 was sent"
    );
    desk.answer(2, refused());
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
    // Alone with such an answer, nobody else is left to testify.
    desk.offer(51, 51);
    desk.send(51);
    desk.now_ms += 10;
    desk.offer(3, 3);
    desk.send(3);
    desk.answer(3, failed());
    desk.end_of_input();
    desk.answer(51, Outcome::Acknowledged);
    assert_eq!(desk.failure(3).kind, FailureKind::Exhausted);
    assert!(desk.scheduler.is_idle());
}

#[test]
fn a_condemned_row_goes_on_when_it_was_the_server() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    fail_all(&mut desk, 0..10);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    assert!(desk.verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::RetryIn { .. })));
    desk.wake();
    let probe = desk.send_all()[0];
    desk.answer(probe, Outcome::Acknowledged);
    assert_eq!(desk.actions.last(), Some(&Action::BreakerClosed));
    assert_eq!(desk.send_all().len(), 9);
}

#[test]
fn the_last_row_alone_is_exhausted_at_once() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.end_of_input();
    for _ in 0..7 {
        desk.send(1);
        desk.answer(1, failed());
        desk.wake();
    }
    desk.send(1);
    desk.answer(1, Outcome::TimedOut);
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
    assert_eq!(desk.failure(1).signature, "timeout");
    assert_eq!(desk.verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_))).count(), 1);
    assert!(desk.scheduler.is_idle());
}

#[test]
fn rows_that_are_alone_for_the_moment_wait_for_those_to_come() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    fail_all(&mut desk, 0..4);
    assert_eq!(desk.scheduler.held(), 4, "the next ones are still being read, and may fail as well");
    fail_all(&mut desk, 10..16);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    assert!(desk.verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::RetryIn { .. })));

    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    fail_all(&mut desk, 0..4);
    desk.end_of_input();
    assert!((0..4).all(|id| desk.failure(id).kind == FailureKind::Exhausted), "nobody comes any more");
}

#[test]
fn many_poison_rows_at_the_end_are_the_rows_and_not_the_server() {
    let mut desk = Desk::warm(proven());
    for id in 0..20 {
        desk.offer(id, id);
    }
    desk.offer(50, 50);
    desk.end_of_input();
    for id in desk.send_all() {
        // They fail while the neighbour passes: from then on they are known to fail on their own.
        desk.answer(id, if id == 50 { Outcome::Acknowledged } else { Outcome::TimedOut });
        if id == 7 {
            assert_eq!(desk.actions, [], "eight failures do not open it yet");
            desk.offer(60, 60);
            desk.send(60);
            desk.answer(60, Outcome::Acknowledged);
        }
        if id == 15 {
            desk.offer(61, 61);
            desk.send(61);
            desk.answer(61, Outcome::Acknowledged);
        }
    }
    while !desk.scheduler.is_idle() {
        desk.wake();
        for id in desk.send_all() {
            desk.answer(id, failed());
        }
    }
    assert_eq!(desk.actions, [], "the breaker stays closed");
    for id in 0..20 {
        assert_eq!(desk.failure(id).kind, FailureKind::Exhausted);
    }
}

#[test]
fn failures_over_many_subjects_open_the_breaker_and_cost_nothing() {
    let mut desk = Desk::warm(proven());
    fail_all(&mut desk, 0..10);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    assert_eq!(desk.scheduler.condition(desk.now_ms), Condition::BreakerOpen { since_ms: 0 });
    desk.now_ms = 999;
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    desk.wake();
    assert_eq!(desk.now_ms, 1_000);
    assert_eq!(desk.send_all().len(), 1, "one probe");
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), Some(900_000), "then only its outcome, or the end");
}

#[test]
fn each_probe_takes_another_subject_and_comes_later() {
    let mut desk = Desk::warm(proven());
    fail_all(&mut desk, 0..10);
    let mut probed = Vec::new();
    let mut moments = Vec::new();
    for _ in 0..6 {
        desk.wake();
        let attempt = desk.scheduler.next(desk.now_ms).expect("a probe");
        assert!(attempt.is_probe);
        probed.push(attempt.id);
        moments.push(desk.now_ms);
        desk.answer(attempt.id, Outcome::NotConnected);
    }
    assert_eq!(moments, [1_000, 3_000, 7_000, 15_000, 31_000, 61_000]);
    assert!(probed.windows(2).all(|pair| pair[0] != pair[1]), "{probed:?}");
    probed.sort_unstable();
    probed.dedup();
    assert_eq!(probed.len(), 6);
}

#[test]
fn a_definite_answer_of_any_kind_closes_the_breaker() {
    for outcome in [Outcome::Acknowledged, refused(), conflict(), mismatch(), Outcome::TokenRefused] {
        let mut desk = Desk::warm(proven());
        fail_all(&mut desk, 0..10);
        desk.wake();
        let probe = desk.send_all()[0];
        desk.answer(probe, outcome.clone());
        assert!(desk.actions.contains(&Action::BreakerClosed), "{}", outcome.name());
    }
    for outcome in [failed(), throttled(None), Outcome::TimedOut] {
        let mut desk = Desk::warm(proven());
        fail_all(&mut desk, 0..10);
        desk.wake();
        let probe = desk.send_all()[0];
        desk.answer(probe, outcome.clone());
        assert!(!desk.actions.contains(&Action::BreakerClosed), "{}", outcome.name());
    }
}

#[test]
fn no_row_is_exhausted_while_the_breaker_is_open() {
    let mut desk = Desk::warm(DeliveryRules { outage_max_ms: u64::MAX, ..proven() });
    fail_all(&mut desk, 0..10);
    for _ in 0..1_000 {
        desk.wake();
        let probe = desk.send_all()[0];
        desk.answer(probe, failed());
    }
    assert!(desk.verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::RetryIn { .. })));
}

#[test]
fn nothing_is_charged_before_the_first_answer_and_three_failures_open() {
    let mut desk = Desk::new(proven());
    for id in 0..20 {
        desk.offer(id, id);
    }
    desk.send_all();
    desk.answer(0, Outcome::NotConnected);
    desk.answer(1, Outcome::NotConnected);
    assert_eq!(desk.actions, []);
    desk.answer(2, Outcome::NotConnected);
    assert_eq!(desk.actions, [Action::BreakerOpened]);

    let mut desk = Desk::new(proven());
    desk.offer(1, 1);
    desk.send_all();
    desk.answer(1, failed());
    assert_eq!(desk.actions, [Action::BreakerOpened], "all that is held is failing");
}

#[test]
fn an_outage_longer_than_allowed_stops_the_run_with_everything_pending() {
    for rules in [proven(), DeliveryRules { outage_max_ms: 20_000, ..proven() }] {
        let outage_max_ms = rules.outage_max_ms;
        let mut desk = Desk::warm(rules);
        desk.now_ms = 5_000;
        fail_all(&mut desk, 0..10);
        while desk.stops().is_empty() {
            desk.wake();
            for id in desk.send_all() {
                desk.answer(id, Outcome::TimedOut);
            }
        }
        assert_eq!(desk.stops(), [&StopCause::Outage]);
        assert_eq!(desk.now_ms, 5_000 + outage_max_ms);
        assert_eq!(desk.scheduler.unsent().len(), 10);
    }
}

#[test]
fn endless_pushback_is_an_outage() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    while desk.stops().is_empty() {
        for id in desk.send_all() {
            desk.answer(id, throttled(None));
        }
        desk.wake();
    }
    assert_eq!(desk.stops(), [&StopCause::Outage]);
    assert_eq!(desk.now_ms, 900_000);
}

#[test]
fn one_row_that_cannot_connect_waits_for_the_outage_and_is_not_blamed() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    while desk.stops().is_empty() {
        for id in desk.send_all() {
            desk.answer(id, Outcome::NotConnected);
        }
        desk.wake();
    }
    assert_eq!(desk.stops(), [&StopCause::Outage]);
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: false }]);
}

#[test]
fn chronic_rows_never_open_the_breaker_and_are_charged() {
    let mut desk = Desk::warm(proven());
    for id in 0..20 {
        desk.offer_chronic(id);
    }
    desk.end_of_input();
    while !desk.scheduler.is_idle() {
        for id in desk.send_all() {
            desk.answer(id, failed());
        }
        if !desk.scheduler.is_idle() {
            desk.wake();
        }
    }
    assert_eq!(desk.actions, []);
    assert!((0..20).all(|id| desk.failure(id).kind == FailureKind::Exhausted));
}

#[test]
fn chronic_rows_alone_are_exhausted_though_nobody_has_passed_yet() {
    let mut desk = Desk::new(proven());
    for id in 0..5 {
        desk.offer_chronic(id);
    }
    desk.end_of_input();
    while !desk.scheduler.is_idle() {
        for id in desk.send_all() {
            desk.answer(id, failed());
        }
        if !desk.scheduler.is_idle() {
            desk.wake();
        }
    }
    assert_eq!(desk.actions, []);
    assert!((0..5).all(|id| desk.failure(id).kind == FailureKind::Exhausted));
}

#[test]
fn chronic_rows_probe_only_when_nothing_else_is_held() {
    let mut desk = Desk::warm(proven());
    for id in 100..105 {
        desk.offer_chronic(id);
    }
    for id in 0..10 {
        desk.offer(id, id);
    }
    for id in desk.send_all() {
        desk.answer(id, failed());
    }
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    for _ in 0..30 {
        desk.wake();
        let Some(probe) = desk.scheduler.next(desk.now_ms) else { break };
        assert!(probe.id < 100);
        desk.answer(probe.id, failed());
    }
}

#[test]
fn late_failures_from_the_outage_are_not_charged_after_it() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    for id in 0..30 {
        desk.offer(id, id);
    }
    desk.send_all();
    for id in 0..10 {
        desk.answer(id, failed());
    }
    desk.wake();
    let probe = desk.send_all()[0];
    desk.answer(probe, Outcome::Acknowledged);
    for id in 10..30 {
        desk.answer(id, Outcome::TimedOut);
    }
    let opened = desk.actions.iter().filter(|action| **action == Action::BreakerOpened).count();
    assert_eq!(opened, 1, "the breaker does not open again");
    assert!(!desk.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_))));
}

#[test]
fn what_is_given_back_shortens_the_delay_again() {
    let mut desk = Desk::warm(proven());
    desk.offer(0, 0);
    for _ in 0..3 {
        desk.send(0);
        desk.answer(0, failed());
        desk.wake();
    }
    desk.send(0);
    desk.answer(0, failed());
    assert_eq!(desk.verdict(0), Some(&Verdict::RetryIn { delay_ms: 4_000 }));
    // Six more subjects fail, and it turns out to have been the server all the time.
    fail_all(&mut desk, 1..7);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    desk.wake();
    let probe = desk.send_all()[0];
    desk.answer(probe, Outcome::Acknowledged);
    desk.now_ms += 4_000;
    assert!(desk.send_all().contains(&0));
    desk.answer(0, failed());
    assert_eq!(desk.verdict(0), Some(&Verdict::RetryIn { delay_ms: 500 }));
}

#[test]
fn an_outage_of_nothing_stops_nothing() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.send(1);
    desk.answer(1, throttled(None));
    desk.end_of_input();
    for _ in 0..8 {
        desk.wake();
        desk.send(1);
        desk.answer(1, failed());
    }
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), None);
    desk.now_ms += 10_000_000;
    desk.tick();
    assert_eq!(desk.stops(), Vec::<&StopCause>::new(), "nothing is held that could be given up");
}

#[test]
fn chronic_rows_alone_neither_trip_the_guard_nor_wait_for_a_server_that_answers() {
    let refused = Outcome::Refused { signature: "422 no".into() };
    for (outcome, status) in [(refused, 422), (failed(), 500), (failed(), 503)] {
        let mut desk = Desk::new(DeliveryRules { proven: false, adapts: false, ..DeliveryRules::default() });
        for id in 0..30 {
            desk.offer_chronic(id);
        }
        desk.end_of_input();
        while !desk.scheduler.is_idle() {
            for id in desk.send_all() {
                desk.answer_with(id, outcome.clone(), Some(status));
            }
            if !desk.scheduler.is_idle() && desk.scheduler.sendable(desk.now_ms) == 0 {
                desk.wake();
            }
        }
        assert_eq!(desk.stops(), [] as [&StopCause; 0]);
        assert!((0..30).all(|id| matches!(desk.verdict(id), Some(Verdict::Failed(_)))));
        assert!(desk.now_ms < 900_000, "it did not wait for an outage to end");
    }
}

#[test]
fn chronic_rows_alone_wait_for_a_server_that_is_down() {
    for status in [None, Some(502), Some(504)] {
        let mut desk = Desk::new(proven());
        desk.offer_chronic(1);
        desk.end_of_input();
        while desk.stops().is_empty() {
            for id in desk.send_all() {
                desk.answer_with(id, failed(), status);
            }
            desk.wake();
        }
        assert_eq!(desk.stops(), [&StopCause::Outage]);
        assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: true }]);
    }
}

/// Attempts that a row which always fails is given, among others of which every second one fails once or none does.
fn attempts_of_a_poison_row(is_sick: bool) -> u32 {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    let (mut attempts, mut fresh) = (0, 100);
    let mut tried = std::collections::HashSet::new();
    while !matches!(desk.verdict(1), Some(Verdict::Failed(_))) {
        desk.now_ms += 50;
        desk.tick();
        while desk.scheduler.held() < 12 {
            desk.offer(fresh, fresh);
            fresh += 1;
        }
        for id in desk.send_all() {
            attempts += u32::from(id == 1);
            let fails = id == 1 || is_sick && id % 2 == 0 && tried.insert(id);
            desk.answer(id, if fails { failed() } else { Outcome::Acknowledged });
        }
        assert!(attempts < 100, "this goes on for ever");
    }
    attempts
}

#[test]
fn two_thirds_of_what_fails_at_a_sick_server_are_not_counted() {
    let attempts_max = proven().attempts_max;
    assert_eq!(attempts_of_a_poison_row(false), attempts_max);
    assert_eq!(attempts_of_a_poison_row(true), 3 * attempts_max);
}

#[test]
fn what_the_server_did_not_look_at_goes_again_at_once_and_is_no_outage() {
    let mut desk = Desk::warm(proven());
    for id in 1..=30 {
        desk.offer(id, id);
    }
    let sent = desk.send_all();
    for id in &sent {
        desk.answer(*id, Outcome::Unprocessed);
    }
    assert_eq!(desk.actions, []);
    let mut again = desk.send_all();
    again.sort_unstable();
    assert_eq!(again, sent, "at once, before anything else");
    for id in again {
        desk.answer(id, Outcome::Acknowledged);
    }
    assert!(desk.verdicts.iter().all(|(_, verdict)| !matches!(verdict, Verdict::Failed(_))));
    // A server that never looks at anything is asked less and less.
    desk.offer(99, 99);
    for _ in 0..4 {
        desk.send(99);
        desk.answer(99, Outcome::Unprocessed);
    }
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    desk.wake();
    desk.send(99);
}

#[test]
fn a_probe_that_is_not_looked_at_is_one_in_vain() {
    let mut desk = Desk::new(proven());
    for id in 1..=3 {
        desk.offer(id, id);
    }
    for id in desk.send_all() {
        desk.answer(id, Outcome::NotConnected);
    }
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    desk.wake();
    let probe = desk.send_all();
    desk.answer(probe[0], Outcome::Unprocessed);
    desk.wake();
    assert_eq!(desk.send_all().len(), 1, "the next one follows");
}

/// Of the last ten rows four are turned away, so that the breaker does not open; then the two that pass are answered,
/// which leaves fewer than it asks for of whom it is not known that others have passed since; and nobody passes from
/// then on.
fn turned_away_around_the_last_that_pass(passing: std::ops::Range<u64>, outage_max_ms: u64) -> Desk {
    let rules = DeliveryRules { outage_max_ms, backoff_initial_ms: 10, backoff_max_ms: 50, ..proven() };
    let mut desk = Desk::warm(rules);
    (0..10).for_each(|id| desk.offer(id, id));
    desk.end_of_input();
    assert_eq!(desk.send_all().len(), 10);
    let away = Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: None };
    let others: Vec<u64> = (0..10).filter(|id| !passing.contains(id)).collect();
    others[..4].iter().for_each(|id| desk.answer_with(*id, away.clone(), Some(503)));
    passing.for_each(|id| desk.answer(id, Outcome::Acknowledged));
    others[4..].iter().for_each(|id| desk.answer_with(*id, away.clone(), Some(503)));
    while desk.stops().is_empty() && !desk.scheduler.is_idle() {
        desk.wake();
        for id in desk.send_all() {
            desk.now_ms += 1;
            desk.answer_with(id, away.clone(), Some(503));
        }
    }
    desk
}

#[test]
fn a_server_that_turns_everybody_away_is_down_after_outage_max_however_few_may_testify() {
    for passing in [0..2, 4..6, 8..10] {
        for outage_max_ms in [1_000, 5_000, 20_000] {
            let mut desk = turned_away_around_the_last_that_pass(passing.clone(), outage_max_ms);
            let about = format!("{passing:?} {outage_max_ms}: after {} ms", desk.now_ms);
            assert_eq!(desk.stops(), [&StopCause::Outage], "{about}");
            assert!(desk.now_ms <= 2 * outage_max_ms, "{about}");
            assert_eq!(desk.scheduler.unsent().len(), 8, "{about}");
        }
    }
}

#[test]
fn the_last_row_has_not_failed_where_the_last_that_passes_was_sent_before_it() {
    for (passes, is_own) in [(1, false), (3, true)] {
        let mut desk = Desk::warm(proven());
        (1..=3).filter(|id| *id == 2 || *id == passes).for_each(|id| desk.offer(id, id));
        desk.end_of_input();
        assert_eq!(desk.send_all().len(), 2);
        let away = Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: None };
        desk.answer_with(2, away.clone(), Some(503));
        desk.answer(passes, Outcome::Acknowledged);
        while desk.stops().is_empty() && !desk.scheduler.is_idle() {
            desk.wake();
            for id in desk.send_all() {
                desk.answer_with(id, away.clone(), Some(503));
            }
        }
        assert_eq!(desk.scheduler.is_idle(), is_own, "{passes}");
    }
}
