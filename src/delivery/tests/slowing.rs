//! What is told of a run that is slower than its rate.

use super::super::concurrency::Bound;
use super::*;

/// Sends what may be sent, step by step, for so many milliseconds; two of `of` attempts are answered with the outcome.
fn live(desk: &mut Desk, ms: u64, of: u64, bad: &(Outcome, Option<u16>)) {
    let mut number = 0;
    for _ in 0..ms / 10 {
        desk.now_ms += 10;
        desk.tick();
        while desk.scheduler.room() > 0 && desk.scheduler.held() < 200 {
            let id = 2_000_000 + desk.scheduler.lanes.launched() * 1_000 + desk.scheduler.held() as u64;
            desk.offer(id, id);
        }
        if let Some(attempt) = desk.scheduler.next(desk.now_ms) {
            number += 1;
            let (outcome, status) =
                if number * 2 % of < 2 { bad.clone() } else { (Outcome::Acknowledged, Some(201)) };
            desk.answer_with(attempt.id, outcome, status);
        }
    }
}

#[test]
fn what_spaces_attempts_is_told_where_it_asks_for_more_than_the_rate() {
    let turned_away = Outcome::ServerFailed { signature: "503".into(), retry_after_ms: None };
    for (bad, of) in [((failed(), Some(500)), 4), ((turned_away, Some(503)), 9)] {
        let mut desk = Desk::warm(proven());
        desk.scheduler.expect_first_tries(true);
        assert_eq!(desk.scheduler.slowing(0, desk.now_ms), None);
        live(&mut desk, 2_500, of, &bad);
        let slowing = desk.scheduler.slowing(0, desk.now_ms).expect("it is slow");
        let is_of_its_kind = if bad.1 == Some(500) {
            matches!(slowing, Slowing::Failing { gap_us: 20_000.. })
        } else {
            matches!(slowing, Slowing::TurnedAway { gap_us: 10_001.. })
        };
        assert!(is_of_its_kind, "{slowing:?}");
        // At one attempt a minute that is no matter.
        assert_eq!(desk.scheduler.slowing(60_000_000, desk.now_ms), None);
    }
}

#[test]
fn what_bounds_attempts_at_once_is_told_while_more_wait() {
    let mut desk = Desk::warm(DeliveryRules { max_in_flight: 2, ..proven() });
    for id in 1..=3 {
        desk.offer(id, id);
    }
    desk.send_all();
    assert_eq!(
        desk.scheduler.slowing(0, desk.now_ms),
        Some(Slowing::Full { in_flight: 2, bound: Bound::Own })
    );
    let adaptive = DeliveryRules { adapts: true, settled_before: Some(2), ..proven() };
    let mut desk = Desk::warm(adaptive);
    for id in 1..=3 {
        desk.offer(id, id);
    }
    desk.send_all();
    // Where the last run has settled, this one has seen nothing wrong with more.
    assert_eq!(
        desk.scheduler.slowing(0, desk.now_ms),
        Some(Slowing::Full { in_flight: 2, bound: Bound::Open })
    );
    desk.answer(1, Outcome::Acknowledged);
    desk.send_all();
    assert_eq!(desk.scheduler.slowing(0, desk.now_ms), None, "nothing waits");
    let mut desk = Desk::new(DeliveryRules { proven: false, ..proven() });
    desk.offer(1, 1);
    assert_eq!(desk.scheduler.slowing(0, 0), Some(Slowing::Guarding { in_flight: 4 }));
}

#[test]
fn what_only_waits_for_its_retry_is_told() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.send(1);
    desk.answer(1, failed());
    assert_eq!(desk.scheduler.slowing(0, desk.now_ms), Some(Slowing::Retries { updates: 1 }));
    desk.wake();
    assert_eq!(desk.scheduler.slowing(0, desk.now_ms), None);
}

#[test]
fn what_the_servers_count_leaves_is_told_while_its_period_lasts() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.send(1);
    let quota = Some(super::super::outcome::Quota { remaining: 10, reset_ms: 10_000 });
    let seen = Seen { outcome: Outcome::Acknowledged, status: Some(201), quota, token_generation: 0 };
    let decision = desk.scheduler.on_outcome(1, seen, desk.now_ms, 1.0);
    desk.hear(decision);
    assert_eq!(desk.scheduler.slowing(0, desk.now_ms), Some(Slowing::Quota { gap_us: 1_000_000 }));
    assert_eq!(desk.scheduler.slowing(0, desk.now_ms + 10_000), None);
}
