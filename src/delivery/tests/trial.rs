//! A token that was read again, where nobody passes but some are answered for what they say: that is as good as an
//! acknowledgement where there are several of them and nobody is turned away, and costs nobody its verdict where it
//! is not.

use super::*;

fn answers() -> [Outcome; 3] {
    [
        Outcome::Refused { signature: "422 #".into() },
        conflict(),
        Outcome::EchoMismatch { fields: FieldSet::EMPTY, signature: "echo".into() },
    ]
}

#[test]
fn nothing_but_rows_that_are_refused_for_what_they_say_does_not_crawl_after_the_token_was_read_again() {
    for outcome in answers() {
        for changed in [false, true] {
            let mut desk = Desk::warm(proven());
            (0..60).for_each(|id| desk.offer(id, id));
            desk.end_of_input();
            desk.send(0);
            desk.answer(0, Outcome::TokenRefused);
            desk.reread(desk.generation + u64::from(changed), changed);
            let mut one_by_one = 0;
            let rest = loop {
                let sent = desk.send_all();
                if sent.len() != 1 || one_by_one > 20 {
                    break sent;
                }
                one_by_one += 1;
                // Under the same token it is refused for its own sake; under a new one it was the token's.
                let is_refused = sent[0] == 0 && !changed;
                desk.answer(sent[0], if is_refused { Outcome::TokenRefused } else { outcome.clone() });
            };
            let about = format!("{outcome:?} {changed}");
            assert_eq!(one_by_one, 5 + u32::from(!changed), "{about}");
            rest.into_iter().for_each(|id| desk.answer(id, outcome.clone()));
            while let Some(attempt) = desk.scheduler.next(desk.now_ms) {
                let is_refused = attempt.id == 0;
                desk.answer(attempt.id, if is_refused { Outcome::TokenRefused } else { outcome.clone() });
            }
            if !changed {
                // Nobody is left: once more, and it has failed alone.
                assert_eq!(desk.scheduler.condition(0), Condition::AwaitingToken, "{about}");
                desk.reread(desk.generation, false);
                desk.send(0);
                desk.answer(0, Outcome::TokenRefused);
                assert!(desk.failed_ones().contains(&0), "{about}");
            }
            assert!(desk.stops().is_empty() && desk.scheduler.is_idle(), "{about}");
        }
    }
}

/// Some APIs look at what an update says before they look at the token.
#[test]
fn a_refused_token_among_rows_that_are_refused_for_what_they_say_costs_nobody_its_verdict() {
    for healthy_of in [2, 10, 40, 5_000] {
        for renewals in [0, 1, u32::MAX] {
            if healthy_of == 5_000 && renewals == 0 {
                // A single one under a token that others have passed under has failed for its own sake.
                continue;
            }
            for outcome in answers() {
                let rules = DeliveryRules { refusals_in_a_row_max: 0, ..proven() };
                let mut desk = Desk::warm(rules);
                (0..2_000).for_each(|id| desk.offer(id, id));
                desk.end_of_input();
                let is_healthy = |id: UpdateId| id.is_multiple_of(healthy_of);
                let (mut rereads, mut turns) = (0, 0);
                while desk.stops().is_empty() && !desk.scheduler.is_idle() {
                    for id in desk.send_all() {
                        let refused = if is_healthy(id) { Outcome::TokenRefused } else { outcome.clone() };
                        desk.answer(id, refused);
                    }
                    if desk.scheduler.condition(0) == Condition::AwaitingToken {
                        rereads += 1;
                        let changed = rereads <= renewals;
                        desk.reread(desk.generation + u64::from(changed), changed);
                    }
                    turns += 1;
                    assert!(turns < 10_000, "this goes on for ever");
                }
                let about = format!("{outcome:?} {healthy_of} {renewals}: {rereads} times");
                assert_eq!(desk.stops(), [&StopCause::TokenRefused], "{about}");
                assert!(desk.failed_ones().iter().all(|id| !is_healthy(*id)), "{about}");
                assert!(rereads <= 10, "{about}");
            }
        }
    }
}
