//! Whoever may tell of the server where few are left, in later passes or in a chain: is it asked, and is what it says
//! of the right moment.

use super::*;

fn unavailable() -> Outcome {
    Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: None }
}

fn have_failed(desk: &Desk) -> bool {
    desk.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
}

/// A day of the sort `Linked`, seed 90: a row that is answered 503 for ever, alone in the main pass, and chains behind.
#[test]
fn one_that_fails_alone_in_a_pass_keeps_nobody_of_the_passes_behind_from_being_asked() {
    let mut desk = Desk::new(proven());
    desk.offer(1, 1);
    desk.scheduler.end_of_pass();
    desk.send(1);
    desk.answer_with(1, unavailable(), Some(503));
    assert!(desk.scheduler.is_down() && desk.scheduler.only_waits(), "all of the pass were tried");
    desk.scheduler.begin_pass(usize::MAX);
    desk.offer(2, 2);
    desk.scheduler.end_of_pass();
    assert!(!desk.scheduler.only_waits(), "another one is left to probe");
    desk.wake();
    let probed = desk.scheduler.next(desk.now_ms).expect("a probe");
    assert_eq!((probed.id, probed.is_probe), (2, true));
    desk.answer(2, Outcome::Acknowledged);
    assert!(!desk.scheduler.is_down() && desk.stops().is_empty());
}

#[test]
fn the_last_pass_waits_for_the_server_as_long_as_it_may_be_down() {
    let mut desk = Desk::new(proven()).with_last(1..2);
    desk.send(1);
    desk.answer_with(1, unavailable(), Some(503));
    assert!(desk.scheduler.is_down() && !desk.scheduler.only_waits());
    while desk.stops().is_empty() {
        desk.send_all().into_iter().for_each(|id| desk.answer_with(id, unavailable(), Some(503)));
        desk.wake();
    }
    assert_eq!((desk.stops(), have_failed(&desk)), (vec![&StopCause::Outage], false));
}

/// Seed 15018, a day of the sort `TurnedAway`: the first answer after a failure is to what was sent before it, and the
/// second to what was sent after it, which tells.
#[test]
fn an_answer_to_what_was_sent_after_a_failure_makes_it_the_rows_own_whenever_it_comes() {
    let mut desk = Desk::new(proven());
    (1..=3).for_each(|id| desk.offer(id, id));
    assert_eq!(desk.send_all(), [1, 2, 3]);
    desk.answer_with(2, unavailable(), Some(503));
    desk.answer(1, Outcome::Acknowledged);
    desk.answer(3, Outcome::Acknowledged);
    desk.end_of_input();
    while desk.stops().is_empty() && !desk.scheduler.is_idle() {
        desk.wake();
        desk.send_all().into_iter().for_each(|id| desk.answer_with(id, unavailable(), Some(503)));
    }
    assert!(have_failed(&desk) && desk.stops().is_empty(), "{:?}", desk.verdicts.last());
}

/// Seeds 10138 and 11145: the server goes down when the last ones are sent, and answers to those before arrive.
#[test]
fn an_answer_to_what_was_sent_before_does_not_make_a_failure_the_rows_own() {
    let mut desk = Desk::new(proven());
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.end_of_input();
    assert_eq!(desk.send_all(), [1, 2]);
    desk.answer_with(2, unavailable(), Some(503));
    desk.answer(1, Outcome::Acknowledged);
    while !desk.scheduler.is_down() && !have_failed(&desk) {
        desk.send_all().into_iter().for_each(|id| desk.answer_with(id, unavailable(), Some(503)));
        if !desk.scheduler.is_idle() && !desk.scheduler.is_down() {
            desk.wake();
        }
    }
    assert!(!have_failed(&desk), "{:?}", desk.verdicts.last());
}
