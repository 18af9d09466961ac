//! Table tests of `retry_elapsed_max`: which failures begin it, what its clock leaves out, and what it ends.

use super::*;

const MAX_MS: u64 = 60_000;

fn bounded() -> DeliveryRules {
    DeliveryRules { retry_elapsed_max_ms: Some(MAX_MS), attempts_max: 100, ..proven() }
}

/// A desk at which update 1 has failed for the first time, and somebody has passed since.
fn failed_once(rules: DeliveryRules) -> Desk {
    let mut desk = Desk::warm(rules);
    desk.offer(1, 1);
    fail_again(&mut desk);
    desk
}

/// Update 1 fails once more, and a neighbor passes after it.
fn fail_again(desk: &mut Desk) {
    let neighbor = 1_000 + desk.now_ms;
    desk.send(1);
    desk.answer(1, failed());
    pass(desk, neighbor);
}

fn pass(desk: &mut Desk, id: UpdateId) {
    desk.offer(id, id);
    desk.send(id);
    desk.answer(id, Outcome::Acknowledged);
}

#[track_caller]
fn assert_goes_on(desk: &Desk) {
    assert!(matches!(desk.verdict(1), Some(Verdict::RetryIn { .. })), "{:?}", desk.verdict(1));
}

#[test]
fn failing_for_longer_than_the_bound_exhausts_an_update_and_failing_as_long_does_not() {
    for (elapsed_ms, is_over) in [(MAX_MS - 1, false), (MAX_MS, false), (MAX_MS + 1, true)] {
        let mut desk = failed_once(bounded());
        assert_goes_on(&desk);
        desk.now_ms += elapsed_ms;
        fail_again(&mut desk);
        if is_over {
            assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
            assert_eq!(desk.failure(1).signature, "500 oops");
            assert!(desk.failure(1).maybe_applied);
        } else {
            assert_goes_on(&desk);
        }
    }
}

#[test]
fn time_alone_ends_nothing_and_an_answer_in_the_end_is_one() {
    let mut desk = failed_once(bounded());
    desk.now_ms += 10 * MAX_MS;
    desk.tick();
    assert_goes_on(&desk);
    desk.send(1);
    desk.answer(1, Outcome::Acknowledged);
    assert_eq!(desk.verdict(1), Some(&Verdict::Synced));
}

#[test]
fn without_a_bound_attempts_alone_count() {
    let mut desk = failed_once(DeliveryRules { retry_elapsed_max_ms: None, ..bounded() });
    desk.now_ms += 1_000_000_000;
    fail_again(&mut desk);
    assert_goes_on(&desk);
}

#[test]
fn the_clock_stands_still_in_a_quiet() {
    for waits_ms in [250_000, 300_000] {
        let mut desk = failed_once(bounded());
        desk.offer(2, 2);
        desk.now_ms += MAX_MS - 1_000;
        assert_eq!(desk.send_all(), [2, 1]);
        desk.answer(2, Outcome::Throttled { retry_after_ms: Some(waits_ms) });
        desk.now_ms += waits_ms;
        // Nobody has told the scheduler of the end of the quiet yet; it knows when that was.
        desk.now_ms += 1_000;
        desk.answer(1, failed());
        assert_goes_on(&desk);
        pass_what_waits(&mut desk);
        desk.now_ms += 1;
        fail_at(&mut desk, 1);
        assert_eq!(desk.failure(1).kind, FailureKind::Exhausted, "{waits_ms}");
    }
}

/// Update 2 goes again and passes, so that the failures before are the rows' own.
fn pass_what_waits(desk: &mut Desk) {
    desk.send(2);
    desk.answer(2, Outcome::Acknowledged);
}

/// Update 1 fails at its next attempt, which its delay must not put off: its time is what counts here.
fn fail_at(desk: &mut Desk, id: UpdateId) {
    while !std::iter::from_fn(|| desk.scheduler.next(desk.now_ms)).any(|attempt| attempt.id == id) {
        desk.wake();
    }
    desk.answer(id, failed());
    pass(desk, 5_000_000);
}

#[test]
fn the_clock_stands_still_outside_of_the_hours() {
    let mut desk = failed_once(bounded());
    desk.now_ms += 10_000;
    desk.scheduler.set_closed(true, desk.now_ms);
    desk.now_ms += 100 * MAX_MS;
    desk.scheduler.set_closed(false, desk.now_ms);
    fail_again(&mut desk);
    assert_goes_on(&desk);
    desk.now_ms += MAX_MS - 10_000 + 1;
    fail_again(&mut desk);
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
}

#[test]
fn the_clock_stands_still_while_a_token_is_awaited() {
    let mut desk = failed_once(bounded());
    desk.offer(2, 2);
    desk.send(2);
    desk.answer(2, Outcome::TokenRefused);
    desk.now_ms += 2 * MAX_MS;
    desk.reread(1, true);
    pass_what_waits(&mut desk);
    fail_again(&mut desk);
    assert_goes_on(&desk);
}

#[test]
fn an_outage_neither_begins_it_nor_counts() {
    // The first failures of an outage are given back, and so is the moment of the first one.
    let mut desk = Desk::warm(DeliveryRules { outage_max_ms: 100 * MAX_MS, ..bounded() });
    fail_all(&mut desk, 0..10);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    desk.now_ms += 10 * MAX_MS;
    let probe = desk.send_all()[0];
    desk.answer(probe, Outcome::Acknowledged);
    assert_eq!(probe, 0);
    desk.now_ms += 30_000;
    desk.send_all();
    desk.answer(1, failed());
    pass(&mut desk, 77);
    assert_goes_on(&desk);

    // One that had failed on its own before the outage has as much time left after it.
    let mut desk = failed_once(DeliveryRules { outage_max_ms: 100 * MAX_MS, ..bounded() });
    desk.now_ms += 400;
    fail_all(&mut desk, 11..21);
    assert_eq!(desk.actions, [Action::BreakerOpened]);
    desk.now_ms += 10 * MAX_MS;
    desk.offer(50, 50);
    let probe = desk.send_all()[0];
    desk.answer(probe, Outcome::Acknowledged);
    let sent = desk.send_all();
    assert!(sent.contains(&1));
    desk.answer(1, failed());
    sent.iter().filter(|id| **id != 1).for_each(|id| desk.answer(*id, Outcome::Acknowledged));
    assert_goes_on(&desk);
    desk.now_ms += MAX_MS - 400 + 1;
    fail_again(&mut desk);
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
}

#[test]
fn what_is_turned_away_with_many_others_does_not_count() {
    let mut desk = failed_once(bounded());
    desk.now_ms += MAX_MS + 1;
    let turned_away = || Outcome::ServerFailed { signature: "503".into(), retry_after_ms: None };
    for id in 20..25 {
        desk.offer(id, id);
    }
    let sent = desk.send_all();
    assert!(sent.contains(&1));
    for id in sent.into_iter().filter(|id| *id != 1) {
        desk.answer_with(id, turned_away(), Some(503));
    }
    desk.answer_with(1, turned_away(), Some(503));
    pass(&mut desk, 77);
    assert_goes_on(&desk);
    // The next one of its own does.
    fail_at(&mut desk, 1);
    assert_eq!(desk.failure(1).kind, FailureKind::Exhausted);
}
