//! Rows that fail for their own sake, so many of them that the server seems sick, and a server that is.
//!
//! Not here: how attempts are spaced (`brake.rs`), and rows that are turned away (`same.rs`).

use super::followers::{failed_of, live};
use super::*;

/// So many subjects with so many updates each, in rounds.
fn rounds(subjects: u64, rounds: u64, rules: DeliveryRules) -> Desk {
    let mut desk = Desk::warm(rules);
    (0..rounds * subjects).for_each(|id| desk.offer(id, id % subjects));
    desk.end_of_input();
    desk
}

/// So many of a hundred of 300 subjects, here and there, and the same ones every time.
fn is_one_of(hundredths: u64, id: UpdateId) -> bool {
    (id % 300) * 37 % 100 < hundredths
}

fn passed() -> (Outcome, Option<u16>) {
    (Outcome::Acknowledged, Some(201))
}

#[test]
fn rows_that_fail_for_ever_slow_nobody_down() {
    let rules = DeliveryRules { outage_max_ms: 60_000, backoff_max_ms: 500, attempts_max: 3, ..proven() };
    let silent = (Outcome::TimedOut, None);
    for answer in [(failed(), Some(500)), (failed(), Some(502)), (failed(), Some(503)), silent] {
        for (hundredths, updates) in [5, 15, 30].into_iter().flat_map(|part| [(part, 1), (part, 3)]) {
            let mut desk = rounds(300, updates, rules.clone());
            live(&mut desk, |id| if is_one_of(hundredths, id) { answer.clone() } else { passed() });
            let about = format!("{hundredths} % of {updates}: {answer:?}");
            assert_eq!(desk.stops(), [] as [&StopCause; 0], "{about}");
            let expected: Vec<_> = (0..300 * updates).filter(|id| is_one_of(hundredths, *id)).collect();
            assert_eq!(failed_of(&desk), expected, "{about}");
            // Three attempts of each that fails, and six that are excused while the server may be sick.
            let ideal_ms = 20 * (300 * updates + 8 * expected.len() as u64);
            assert!(desk.now_ms <= 2 * ideal_ms, "{about}: {} ms, ideally {ideal_ms}", desk.now_ms);
        }
    }
}

/// They are all that is left in the end, and excused for a while.
#[test]
fn many_rows_that_fail_for_ever_are_no_outage_however_long_their_retries_take() {
    for answer in [(failed(), Some(500)), (failed(), Some(502)), (Outcome::TimedOut, None)] {
        let mut desk = rounds(300, 3, DeliveryRules { outage_max_ms: 10_000, ..proven() });
        live(&mut desk, |id| if is_one_of(30, id) { answer.clone() } else { passed() });
        assert_eq!(desk.stops(), [] as [&StopCause; 0], "{answer:?}");
        assert_eq!(failed_of(&desk), (0..900).filter(|id| is_one_of(30, *id)).collect::<Vec<_>>());
    }
}

/// Nor does a sick one look like rows of their own, for those that are asked again pass about as often.
#[test]
fn a_server_that_falls_ill_among_rows_that_fail_for_ever_is_asked_less_often() {
    let mut desk = Desk::warm(DeliveryRules { backoff_max_ms: 500, ..proven() });
    (0..4_000).for_each(|id| desk.offer(id, id));
    desk.end_of_input();
    let (mut asked, mut spaced_ms) = (0_u64, None);
    while !desk.scheduler.is_idle() && desk.stops().is_empty() {
        let Some(attempt) = desk.scheduler.next(desk.now_ms) else {
            desk.wake();
            continue;
        };
        asked += 1;
        desk.now_ms += 20;
        // From the thousandth request on every other one fails.
        let is_sick = asked > 1_000 && asked.is_multiple_of(2);
        let (outcome, status) =
            if is_one_of(15, attempt.id) || is_sick { (failed(), Some(500)) } else { passed() };
        desk.answer_with(attempt.id, outcome, status);
        let is_spaced = desk.scheduler.slowing(20_000, desk.now_ms).is_some();
        if asked == 1_000 {
            assert!(!is_spaced, "always the same ones");
        } else if asked > 1_000 && is_spaced && spaced_ms.is_none() {
            spaced_ms = Some(asked);
        }
    }
    assert!(spaced_ms.is_some_and(|asked| asked < 1_100), "{spaced_ms:?}");
    assert_eq!(failed_of(&desk), (0..4_000).filter(|id| is_one_of(15, *id)).collect::<Vec<_>>());
}
