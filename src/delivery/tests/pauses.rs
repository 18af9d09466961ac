//! Table tests of what silences everybody: quiet, token, and the guard at first contact.

use super::*;

#[test]
fn a_429_quiets_everybody_and_the_row_goes_first_at_no_cost() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, max_in_flight: 2, ..proven() });
    for id in 0..10 {
        desk.offer(id, id);
    }
    assert_eq!(desk.send_all(), [0, 1]);
    desk.answer(0, throttled(Some(5_000)));
    assert_eq!(desk.actions, [Action::QuietStarted { ms: 5_000, reason: REASON_THROTTLED }]);
    assert_eq!(desk.verdict(0), Some(&Verdict::RetryIn { delay_ms: 5_000 }));
    assert_eq!(desk.scheduler.condition(0), Condition::Quiet { until_ms: 5_000 });
    desk.now_ms = 10;
    desk.answer(1, throttled(Some(100)));
    desk.now_ms = 4_999;
    assert_eq!(desk.send_all(), Vec::<u64>::new(), "never shortened");
    desk.wake();
    assert_eq!(desk.now_ms, 5_000);
    assert_eq!(desk.actions.last(), Some(&Action::QuietEnded));
    assert_eq!(desk.send_all(), [1, 0]);
}

#[test]
fn retry_after_on_another_answer_quiets_everybody_and_is_capped() {
    let mut desk = Desk::warm(DeliveryRules { retry_after_max_ms: 60_000, ..proven() });
    desk.offer(1, 1);
    desk.send(1);
    desk.offer(2, 2);
    let outcome = Outcome::ServerFailed { signature: "503".into(), retry_after_ms: Some(86_400_000) };
    desk.answer(1, outcome);
    assert_eq!(desk.actions, [Action::QuietStarted { ms: 60_000, reason: REASON_RETRY_AFTER }]);
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    desk.wake();
    assert_eq!(desk.now_ms, 60_000);
    assert_eq!(desk.send_all(), [2, 1]);
}

#[test]
fn a_probe_answered_with_429_waits_for_the_quiet_and_the_interval() {
    let mut desk = Desk::warm(proven());
    fail_all(&mut desk, 0..10);
    desk.wake();
    let first = desk.send_all()[0];
    desk.answer(first, throttled(Some(10_000)));
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), Some(11_000));
    desk.wake();
    let second = desk.send_all();
    assert_eq!(second.len(), 1);
    assert_ne!(second[0], first, "another subject probes");
}

#[test]
fn a_401_pauses_all_rereads_once_and_costs_no_row_anything() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
    for id in 0..5 {
        desk.offer(id, id);
    }
    desk.send_all();
    desk.offer(9, 9);
    for id in 0..4 {
        desk.answer(id, Outcome::TokenRefused);
    }
    assert_eq!(desk.rereads(), 1);
    assert_eq!(desk.scheduler.condition(0), Condition::AwaitingToken);
    desk.now_ms += 100_000;
    assert_eq!(desk.send_all(), Vec::<u64>::new());
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), None, "time alone changes nothing");
    desk.reread(1, true);
    // The fifth was sent under the old token: it simply goes again.
    desk.answer_under(0, 4, Outcome::TokenRefused);
    assert_eq!(desk.rereads(), 1);
    let attempt = desk.send(4);
    assert_eq!((attempt.attempt, attempt.token_generation), (2, 1));
    assert_eq!(desk.send_all(), Vec::<u64>::new(), "one by one until the new token has passed");
    desk.answer(4, Outcome::Acknowledged);
    assert_eq!(desk.send_all(), [3, 2, 1, 0, 9], "the refused ones go first");
    assert_eq!(desk.stops(), Vec::<&StopCause>::new());
}

#[test]
fn a_draining_run_asks_for_no_token() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.send(1);
    desk.scheduler.drain();
    desk.answer(1, Outcome::TokenRefused);
    assert_eq!(desk.actions, []);
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: false }]);
}

#[test]
fn a_token_that_does_not_change_stops_the_run() {
    for answer in [Ok(TokenRead { generation: 0, changed: false }), Err(())] {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        desk.send(1);
        desk.answer(1, Outcome::TokenRefused);
        desk.offer(2, 2);
        let decision = desk.scheduler.on_token(answer, 0);
        desk.hear(decision);
        if answer.is_ok() {
            // It has worked, and is tried once more.
            for id in [1, 2] {
                assert_eq!(desk.stops(), Vec::<&StopCause>::new());
                desk.send(id);
                desk.answer(id, Outcome::TokenRefused);
            }
            desk.end_of_input();
        }
        assert_eq!(desk.stops(), [&StopCause::TokenRefused]);
        let unsent = [1, 2].map(|id| Leftover { id, maybe_applied: false });
        assert_eq!(desk.scheduler.unsent(), unsent);
    }
}

#[test]
fn a_new_token_refused_before_anything_passed_stops_and_one_that_worked_does_not() {
    for has_passed in [false, true] {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        desk.send(1);
        desk.answer(1, Outcome::TokenRefused);
        desk.reread(1, true);
        desk.send(1);
        if has_passed {
            desk.answer(1, Outcome::Acknowledged);
            desk.offer(2, 2);
            desk.send(2);
            desk.answer(2, Outcome::TokenRefused);
        } else {
            desk.answer(1, Outcome::TokenRefused);
            desk.end_of_input();
        }
        assert_eq!(desk.rereads(), if has_passed { 2 } else { 1 });
        assert_eq!(desk.stops().len(), usize::from(!has_passed));
    }
}

#[test]
fn first_contact_sends_few_and_keeps_refusals_back_until_a_success() {
    let mut desk = Desk::new(DeliveryRules::default());
    for id in 0..10 {
        desk.offer(id, id);
    }
    assert_eq!(desk.scheduler.condition(0), Condition::Guarding);
    assert_eq!(desk.send_all(), [0, 1, 2, 3]);
    desk.answer(0, refused());
    desk.answer(1, mismatch());
    assert_eq!(desk.verdict(0), Some(&Verdict::Withheld));
    assert_eq!(desk.verdict(1), Some(&Verdict::Withheld));
    desk.answer(2, conflict());
    assert_eq!(desk.failure(2).kind, FailureKind::Deferred, "a conflict counts neither way");
    desk.answer(3, Outcome::Acknowledged);
    assert_eq!(desk.actions, [Action::GuardReleased]);
    assert_eq!(desk.failure(0).kind, FailureKind::Refused);
    assert_eq!(desk.failure(1).kind, FailureKind::EchoMismatch);
    assert_eq!(desk.send_all().len(), 6, "and everybody may go");
    desk.answer(4, refused());
    assert_eq!(desk.failure(4).kind, FailureKind::Refused, "at once from now on");
}

#[test]
fn refusals_of_twenty_subjects_without_a_success_stop_and_mark_nothing_failed() {
    let mut desk = Desk::new(DeliveryRules::default());
    for id in 0..40 {
        desk.offer(id, id);
    }
    while desk.stops().is_empty() {
        for id in desk.send_all() {
            let signature = if id % 3 == 0 { "404 a" } else { "404 b" };
            desk.answer(id, Outcome::Refused { signature: signature.into() });
        }
    }
    let cause = StopCause::NothingAccepted { signature: "404 b".into(), subjects: 20 };
    assert_eq!(desk.stops(), [&cause]);
    assert!(desk.verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Withheld));
    assert_eq!(desk.scheduler.unsent().len(), 40);
}

#[test]
fn at_the_end_of_the_input_fewer_refusals_are_failures() {
    let mut desk = Desk::new(DeliveryRules::default());
    desk.offer(1, 1);
    desk.offer(2, 1);
    desk.offer(3, 3);
    assert_eq!(desk.send_all(), [1, 3]);
    desk.answer(1, refused());
    assert_eq!(desk.send_all(), Vec::<u64>::new(), "the next of the subject waits for the verdict");
    let decision = desk.scheduler.end_of_input();
    assert_eq!(decision, Decision::default(), "the other may still succeed");
    desk.answer(3, refused());
    assert_eq!(desk.failure(1).kind, FailureKind::Refused);
    assert_eq!(desk.failure(3).kind, FailureKind::Refused);
    assert_eq!(desk.send_all(), [2]);
    desk.answer(2, refused());
    assert_eq!(desk.failure(2).kind, FailureKind::Refused);
    assert!(desk.scheduler.is_idle());
}

#[test]
fn kept_back_refusals_do_not_lock_a_full_scheduler() {
    let rules = DeliveryRules { held_max: 3, ..DeliveryRules::default() };
    let mut desk = Desk::new(rules);
    for id in 0..3 {
        desk.offer(id, 7);
    }
    desk.send(0);
    desk.answer(0, refused());
    assert_eq!(desk.failure(0).kind, FailureKind::Refused, "nothing else can move, and nothing more fits in");
    assert_eq!(desk.send_all(), [1]);
}

#[test]
fn pushback_keeps_the_probes_interval_and_a_chronic_row_last() {
    let mut desk = Desk::warm(proven());
    fail_all(&mut desk, 0..10);
    desk.wake();
    let probe = desk.send_all()[0];
    desk.answer(probe, throttled(Some(1)));
    assert_eq!(desk.scheduler.wake_at(desk.now_ms), Some(1_001));
    desk.wake();
    assert_eq!(desk.send_all(), Vec::<u64>::new(), "the quiet is over, the interval is not");
    desk.wake();
    assert_eq!((desk.now_ms, desk.send_all().len()), (2_000, 1));

    let mut desk = Desk::warm(DeliveryRules { max_in_flight: 1, ..proven() });
    desk.offer_chronic(1);
    desk.send(1);
    desk.offer(2, 2);
    desk.answer(1, throttled(Some(1)));
    desk.wake();
    assert_eq!(desk.send_all(), [2]);
}

#[test]
fn a_spent_quota_beside_a_429_does_not_keep_the_quiet_from_growing() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    for length_ms in [1_000, 2_000, 4_000] {
        desk.send(1);
        let quota = Some(crate::delivery::outcome::Quota { remaining: 0, reset_ms: 10 });
        let seen = Seen { outcome: throttled(None), status: Some(429), quota, token_generation: 0 };
        let decision = desk.scheduler.on_outcome(1, seen, desk.now_ms, 1.0);
        desk.hear(decision);
        let until_ms = desk.now_ms + length_ms;
        assert_eq!(desk.scheduler.condition(desk.now_ms), Condition::Quiet { until_ms });
        desk.now_ms = until_ms;
        desk.tick();
    }
}

#[test]
fn a_time_of_day_at_which_nothing_may_be_sent_is_no_part_of_an_outage() {
    const HOURS_MS: u64 = 8 * 3_600_000;
    let rules = DeliveryRules { outage_max_ms: 60_000, ..proven() };
    let mut desk = Desk::warm(rules);
    fail_all(&mut desk, 0..10);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    desk.now_ms = 20_000;
    desk.scheduler.set_closed(true, desk.now_ms);
    desk.now_ms += HOURS_MS;
    desk.tick();
    assert_eq!(desk.stops(), Vec::<&StopCause>::new(), "nobody has asked the server since");
    desk.scheduler.set_closed(false, desk.now_ms);
    desk.now_ms += 39_999;
    desk.tick();
    assert_eq!(desk.stops(), Vec::<&StopCause>::new(), "20 seconds of the minute are used up, not more");
    desk.now_ms += 1;
    desk.tick();
    assert_eq!(desk.stops(), [&StopCause::Outage]);

    // Trouble that is only seen while it is closed is as old as the hour that opens.
    let mut desk = Desk::warm(DeliveryRules { outage_max_ms: 60_000, ..proven() });
    desk.offer(1, 1);
    desk.send(1);
    desk.scheduler.set_closed(true, desk.now_ms);
    desk.now_ms += 1_000;
    desk.answer(1, Outcome::NotConnected);
    desk.now_ms += HOURS_MS;
    desk.scheduler.set_closed(false, desk.now_ms);
    desk.tick();
    assert_eq!(desk.stops(), Vec::<&StopCause>::new());
    assert!(desk.scheduler.wake_at(desk.now_ms).is_some_and(|at_ms| at_ms <= desk.now_ms + 60_000));
}

/// What becomes of so many that are pushed back for ever when they are the last, and when: what they ask for is
/// `asked_ms`.
fn pushed_back_at_the_end(mut desk: Desk, updates: u64, asked_ms: Option<u64>) -> (usize, usize, u64) {
    for id in 0..updates {
        desk.offer(id, id);
    }
    desk.end_of_input();
    let is_over = |desk: &Desk| desk.scheduler.is_idle() || !desk.stops().is_empty();
    while !is_over(&desk) {
        while let Some(attempt) = desk.scheduler.next(desk.now_ms) {
            desk.answer(attempt.id, throttled(asked_ms));
        }
        if !is_over(&desk) {
            desk.wake();
        }
    }
    let failed = desk.verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_))).count();
    (failed, desk.stops().len(), desk.now_ms / 60_000)
}

#[test]
fn the_last_ones_pushed_back_for_ever_have_failed_after_minutes_where_others_have_passed() {
    for asked_ms in [None, Some(1_000), Some(60_000)] {
        for updates in 1..=3 {
            let (failed, stops, minutes) = pushed_back_at_the_end(Desk::warm(proven()), updates, asked_ms);
            assert_eq!((failed as u64, stops), (updates, 0), "{updates} {asked_ms:?}");
            assert!((1..12 * updates).contains(&minutes), "{minutes} minutes for {updates} {asked_ms:?}");
        }
        // More of them, or nobody before them, and it is the account.
        for (desk, updates) in [(Desk::warm(proven()), 4), (Desk::new(proven()), 1)] {
            let (failed, stops, minutes) = pushed_back_at_the_end(desk, updates, asked_ms);
            assert_eq!((failed, stops, minutes), (0, 1, 15), "{updates} {asked_ms:?}");
        }
    }
    // Nobody knows what comes when all that is asked for is waited for.
    let (failed, stops, _) = pushed_back_at_the_end(Desk::warm(proven()), 1, Some(3_600_000));
    assert_eq!((failed, stops), (0, 1));
}
