//! Updates behind one of their subject that ran out of attempts, as under `each`: they go last and testify to nothing.

use super::lanes::{EXHAUSTED_MAX, Exhausted};
use super::*;

/// Lets everything happen that may, an attempt after the other, until nothing is held or the run stops.
fn live(desk: &mut Desk, answer: impl Fn(UpdateId) -> (Outcome, Option<u16>)) {
    while !desk.scheduler.is_idle() && desk.stops().is_empty() {
        let Some(attempt) = desk.scheduler.next(desk.now_ms) else {
            desk.wake();
            continue;
        };
        desk.now_ms += 20;
        let (outcome, status) = answer(attempt.id);
        desk.answer_with(attempt.id, outcome, status);
    }
}

/// So many subjects with three updates each, in rounds.
fn each(subjects: u64) -> Desk {
    let mut desk = Desk::warm(DeliveryRules { outage_max_ms: 60_000, backoff_max_ms: 500, ..proven() });
    (0..3 * subjects).for_each(|id| desk.offer(id, id % subjects));
    desk.end_of_input();
    desk
}

fn failed_of(desk: &Desk) -> Vec<UpdateId> {
    let is_failed =
        |(id, verdict): &(UpdateId, Verdict)| matches!(verdict, Verdict::Failed(_)).then_some(*id);
    let mut failed: Vec<UpdateId> = desk.verdicts.iter().filter_map(is_failed).collect();
    failed.sort_unstable();
    failed
}

#[test]
fn subjects_that_fail_for_ever_are_no_outage_with_their_later_updates_either() {
    let mut desk = each(400);
    live(
        &mut desk,
        |id| {
            if id % 400 < 12 { (failed(), Some(500)) } else { (Outcome::Acknowledged, Some(201)) }
        },
    );
    assert_eq!(desk.stops(), [] as [&StopCause; 0]);
    assert_eq!(failed_of(&desk), (0..1_200).filter(|id| id % 400 < 12).collect::<Vec<_>>());
}

/// How a gateway answers for a subject that its application breaks on tells nobody from an outage, nor does silence;
/// but that the same was told of an earlier update of it while others passed does.
#[test]
fn later_updates_that_fail_as_the_one_before_them_did_fail_when_nobody_else_is_left() {
    let silent = (Outcome::TimedOut, None);
    for answer in [(failed(), Some(503)), (failed(), Some(502)), silent] {
        let mut desk = each(400);
        let about = format!("{answer:?}");
        live(&mut desk, |id| if id % 400 < 12 { answer.clone() } else { (Outcome::Acknowledged, Some(201)) });
        assert_eq!(desk.stops(), [] as [&StopCause; 0], "{about}");
        assert_eq!(failed_of(&desk), (0..1_200).filter(|id| id % 400 < 12).collect::<Vec<_>>(), "{about}");
    }
}

#[test]
fn the_later_updates_of_subjects_of_which_one_has_failed_are_synced() {
    let mut desk = each(400);
    live(&mut desk, |id| if id < 12 { (failed(), Some(500)) } else { (Outcome::Acknowledged, Some(201)) });
    assert_eq!(failed_of(&desk), (0..12).collect::<Vec<_>>());
    assert!(desk.scheduler.is_idle());
}

#[test]
fn an_outage_behind_all_others_costs_later_updates_of_subjects_that_have_failed_no_verdict() {
    let mut desk = each(400);
    // Nobody but those behind a failed one is left when the gateway finds no application any more.
    live(&mut desk, |id| match id {
        0..12 => (failed(), Some(500)),
        _ if id % 400 < 12 => (failed(), Some(502)),
        _ => (Outcome::Acknowledged, Some(201)),
    });
    assert_eq!(desk.stops(), [&StopCause::Outage]);
    assert_eq!(failed_of(&desk), (0..12).collect::<Vec<_>>());
}

#[test]
fn later_updates_of_a_subject_that_has_failed_count_as_failures() {
    let mut desk = Desk::warm(DeliveryRules { failures_max: Some(2), backoff_max_ms: 500, ..proven() });
    (0..900).for_each(|id| desk.offer(id, id % 300));
    desk.end_of_input();
    live(
        &mut desk,
        |id| {
            if id % 300 == 7 { (failed(), Some(500)) } else { (Outcome::Acknowledged, Some(201)) }
        },
    );
    assert_eq!(desk.stops(), [&StopCause::ErrorBudget { failed: 3 }]);
}

#[test]
fn later_updates_of_subjects_that_are_pushed_back_for_ever_hold_up_nobody_and_fail() {
    let mut desk = each(400);
    live(&mut desk, |id| {
        if id % 400 < 30 { (throttled(None), Some(429)) } else { (Outcome::Acknowledged, Some(201)) }
    });
    assert_eq!(desk.stops(), [] as [&StopCause; 0]);
    assert_eq!(failed_of(&desk), (0..1_200).filter(|id| id % 400 < 30).collect::<Vec<_>>());
}

#[test]
fn a_later_update_of_one_subject_more_than_are_kept_is_taken_as_any_other() {
    let mut desk = Desk::warm(proven());
    let kept = EXHAUSTED_MAX as u64;
    let how = Exhausted { status: Some(500), was_pushed_back: false };
    (0..=kept).for_each(|number| desk.scheduler.lanes.note_exhausted(subject(number), how));
    [0, kept].into_iter().for_each(|number| desk.offer(number, number));
    let follows = |id| desk.scheduler.lanes.get(id).is_some_and(|item| item.follows.is_some());
    assert!(follows(0) && !follows(kept));
    desk.end_of_input();
    live(&mut desk, |_| (Outcome::Acknowledged, Some(201)));
    assert!(desk.scheduler.is_idle() && failed_of(&desk).is_empty());
}

#[test]
fn a_named_delay_of_a_row_that_is_known_to_be_turned_away_for_itself_is_nobody_elses() {
    let mut desk = each(400);
    let asking = Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: Some(1_000) };
    live(&mut desk, |id| {
        if (100..112).contains(&(id % 400)) {
            (asking.clone(), Some(503))
        } else {
            (Outcome::Acknowledged, Some(201))
        }
    });
    assert_eq!(failed_of(&desk).len(), 36);
    let quiets = desk.actions.iter().filter(|action| matches!(action, Action::QuietStarted { .. })).count();
    // Eight attempts each would be 288.
    assert!(quiets <= 100, "{quiets}");
}

#[test]
fn a_night_of_many_chronic_rows_that_are_pushed_back_ends_and_hammers_nobody() {
    let mut desk = Desk::new(DeliveryRules { outage_max_ms: 120_000, max_in_flight: 2, ..proven() });
    (0..60).for_each(|id| desk.offer_chronic(id));
    desk.end_of_input();
    let mut sent_ms = Vec::new();
    while !desk.scheduler.is_idle() && desk.stops().is_empty() {
        let sent = desk.send_all();
        if sent.is_empty() {
            desk.wake();
        }
        sent_ms.extend(sent.iter().map(|_| desk.now_ms));
        sent.into_iter().for_each(|id| desk.answer_with(id, throttled(None), Some(429)));
    }
    assert_eq!(desk.stops(), [] as [&StopCause; 0]);
    assert_eq!(failed_of(&desk), (0..60).collect::<Vec<_>>());
    assert!(sent_ms.len() <= 60 * 10, "{} attempts", sent_ms.len());
    sent_ms.dedup();
    assert!(sent_ms.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "each waits for everybody");
}
