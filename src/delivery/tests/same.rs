//! Rows that are turned away for ever, and a server that turns everybody away behind them.

use super::*;

fn turned_away() -> Outcome {
    Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: None }
}

/// Sends one after the other until nothing moves, or the run stops, or everything is known that `until` asks for;
/// whoever is `bad` is turned away.
fn live(desk: &mut Desk, bad: impl Fn(UpdateId) -> bool, until: impl Fn(&Desk) -> bool) {
    while !desk.scheduler.is_idle() && desk.stops().is_empty() && !until(desk) {
        let Some(attempt) = desk.scheduler.next(desk.now_ms) else {
            desk.wake();
            continue;
        };
        desk.now_ms += 20;
        let (outcome, status) =
            if bad(attempt.id) { (turned_away(), 503) } else { (Outcome::Acknowledged, 201) };
        desk.answer_with(attempt.id, outcome, Some(status));
    }
}

/// Rows 100 to 119 are turned away for ever, but for one, and it shows while others pass. At the end the server turns
/// everybody away, when one row more is offered that was never tried.
fn behind_same_ones(last: UpdateId) -> Desk {
    let mut desk = Desk::warm(DeliveryRules { outage_max_ms: 120_000, ..proven() });
    let bad = (100..120).filter(|id| *id != last);
    bad.chain(1_000..2_000).for_each(|id| desk.offer(id, id));
    let passed = |desk: &Desk| {
        let is_passed = |(_, verdict): &&(UpdateId, Verdict)| *verdict == Verdict::Synced;
        desk.verdicts.iter().filter(is_passed).count() == 1_000
    };
    live(&mut desk, |id| id < 120, passed);
    assert!(desk.scheduler.same.are_known() && desk.scheduler.held() == 19 + usize::from(last >= 120));
    desk.offer(last, last);
    desk.end_of_input();
    live(&mut desk, |_| true, |_| false);
    desk
}

#[test]
fn a_last_row_first_tried_when_everybody_is_turned_away_waits_though_others_always_were() {
    let desk = behind_same_ones(3_000);
    assert_eq!(desk.stops(), [&StopCause::Outage]);
    assert!(!matches!(desk.verdict(3_000), Some(Verdict::Failed(_))));
}

/// Rows that fail for their own sake stand together.
#[test]
fn a_last_row_between_such_that_always_are_turned_away_has_failed_like_them() {
    let desk = behind_same_ones(107);
    assert_eq!(desk.stops(), [] as [&StopCause; 0]);
    assert!(desk.scheduler.is_idle());
}
