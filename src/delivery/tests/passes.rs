//! The end of a pass: what is ruled on there, what is carried over, and the last rows of a run.

use super::*;

impl Desk {
    /// The same with these updates, behind which nothing comes.
    pub(super) fn with_last(mut self, ids: std::ops::Range<u64>) -> Desk {
        ids.for_each(|id| self.offer(id, id));
        self.end_of_input();
        self
    }
}

/// Whether anything has a final verdict of failure.
fn has_failed(desk: &Desk) -> bool {
    desk.verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
}

/// Sends and fails whatever may go, until nothing moves or the breaker opens.
fn exhaust(desk: &mut Desk, outcome: &Outcome) {
    while !desk.scheduler.only_waits() && !desk.scheduler.is_down() {
        for id in desk.send_all() {
            desk.answer(id, outcome.clone());
        }
        if !desk.scheduler.only_waits() {
            desk.wake();
        }
    }
}

#[test]
fn used_up_attempts_at_the_end_of_a_pass_are_given_back_in_the_next_one() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.scheduler.end_of_pass();
    exhaust(&mut desk, &failed());
    assert!(!has_failed(&desk) && desk.scheduler.held() == 2);
    desk.scheduler.begin_pass(usize::MAX);
    desk.offer(3, 3);
    desk.end_of_input();
    for id in desk.send_all() {
        desk.answer(id, Outcome::Acknowledged);
    }
    assert!(desk.scheduler.is_idle() && !has_failed(&desk));
}

#[test]
fn the_last_rows_that_nobody_tells_of_wait_as_in_an_outage() {
    let mut desk = Desk::warm(proven()).with_last(1..4);
    exhaust(&mut desk, &Outcome::TimedOut);
    assert_eq!(desk.actions.last(), Some(&Action::BreakerOpened));
    assert!(!has_failed(&desk));
    // The server is well again.
    while !desk.scheduler.is_idle() {
        let sent = desk.send_all();
        if sent.is_empty() {
            desk.wake();
        }
        sent.into_iter().for_each(|id| desk.answer(id, Outcome::Acknowledged));
    }
    assert!(!has_failed(&desk));
}

#[test]
fn the_last_rows_of_an_outage_that_does_not_end_are_left() {
    let mut desk = Desk::warm(proven()).with_last(1..5);
    exhaust(&mut desk, &Outcome::TimedOut);
    while desk.stops().is_empty() {
        desk.wake();
        for id in desk.send_all() {
            desk.answer(id, Outcome::TimedOut);
        }
    }
    assert_eq!(desk.stops(), [&StopCause::Outage]);
    assert!(!has_failed(&desk));
}

#[test]
fn one_of_the_last_rows_that_passes_after_all_shows_that_it_was_the_server() {
    let mut desk = Desk::warm(DeliveryRules { attempts_max: 3, ..proven() });
    desk.offer(1, 1);
    desk.offer(2, 2);
    desk.end_of_input();
    for _ in 0..2 {
        for id in desk.send_all() {
            desk.answer(id, failed());
        }
        desk.now_ms += 60_000;
        desk.tick();
    }
    desk.send(1);
    desk.answer(1, failed());
    desk.send(2);
    desk.answer(2, Outcome::Acknowledged);
    assert!(!has_failed(&desk), "both failed in it, and one of them is well");
}

#[test]
fn what_was_deferred_and_never_comes_again_keeps_nobody_of_its_subject_back() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 7);
    desk.send(1);
    desk.answer(1, conflict());
    desk.scheduler.forget_deferral(subject(7));
    desk.offer(2, 7);
    assert_eq!(desk.send_all(), [2]);
}

#[test]
fn a_last_row_that_hangs_while_one_sent_after_it_is_answered_has_failed_on_its_own() {
    for sent_later in [1, 2] {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        desk.offer(2, 2);
        desk.end_of_input();
        assert_eq!(desk.send_all(), [1, 2]);
        // One is answered before it shows that the other one hangs.
        desk.answer(sent_later, Outcome::Acknowledged);
        desk.answer(3 - sent_later, Outcome::TimedOut);
        exhaust(&mut desk, &Outcome::TimedOut);
        assert_eq!(has_failed(&desk), sent_later == 2, "the answered one was sent as number {sent_later}");
    }
}

#[test]
fn what_a_proxy_wants_credentials_for_has_reached_nobody() {
    for (status, maybe_applied) in [(407, false), (502, true)] {
        let mut desk = Desk::warm(proven()).with_last(1..2);
        while desk.stops().is_empty() {
            let sent = desk.send_all();
            if sent.is_empty() {
                desk.wake();
            }
            sent.into_iter().for_each(|id| desk.answer_with(id, failed(), Some(status)));
        }
        assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied }], "{status}");
    }
}

/// A gateway's error, a proxy's, or a portal's page is none of the application's: the last row waits as in an outage.
#[test]
fn what_another_than_the_application_answers_the_last_row_with_does_not_fail_it() {
    let page = Outcome::Page { signature: "200 page".into() };
    for (status, outcome, has_failed_of_it) in [
        (407, failed(), false),
        (502, failed(), false),
        (504, failed(), false),
        (200, page, false),
        (500, failed(), true),
    ] {
        let mut desk = Desk::warm(proven());
        desk.offer(1, 1);
        desk.end_of_input();
        while !desk.scheduler.is_idle() && !desk.scheduler.is_down() {
            for id in desk.send_all() {
                desk.answer_with(id, outcome.clone(), Some(status));
            }
            if !desk.scheduler.only_waits() {
                desk.wake();
            }
        }
        assert_eq!(has_failed(&desk), has_failed_of_it, "{status}");
    }
}

/// Each pass brings others who may tell whose failure it is, and one attempt shows whether it still lasts.
#[test]
fn rows_that_fail_for_ever_are_tried_a_few_times_more_however_many_passes_follow() {
    for outcome in [failed(), Outcome::TimedOut] {
        let mut desk = Desk::warm(proven());
        (1..=2).for_each(|id| desk.offer(id, id));
        let mut attempts = 0;
        for _ in 0..12 {
            desk.scheduler.end_of_pass();
            while !desk.scheduler.only_waits() && !desk.scheduler.is_down() {
                for id in desk.send_all() {
                    attempts += 1;
                    desk.answer(id, outcome.clone());
                }
                if !desk.scheduler.only_waits() {
                    desk.wake();
                }
            }
            desk.scheduler.begin_pass(usize::MAX);
        }
        assert!(!has_failed(&desk) && desk.scheduler.held() == 2);
        assert!(attempts <= 2 * (8 + 3), "{attempts} attempts of two that have eight each");
        // Somebody passes: it was not the server.
        desk.offer(3, 3);
        desk.end_of_input();
        for id in desk.send_all() {
            desk.answer(id, if id == 3 { Outcome::Acknowledged } else { outcome.clone() });
        }
        assert!(has_failed(&desk) && desk.scheduler.is_idle());
    }
}
