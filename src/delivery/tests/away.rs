//! Whom an earlier run was stopped for: is sent between others, whose answers tell, and counts like anybody.

use std::sync::Arc;

use super::*;

fn turned_away(subjects: std::ops::Range<u64>, are_left_alone: bool) -> Arc<TurnedAway> {
    let subjects = subjects.map(subject).collect();
    Arc::new(TurnedAway { subjects, are_left_alone, ..TurnedAway::default() })
}

fn forbidden() -> Outcome {
    Outcome::Forbidden { signature: "403 #".into() }
}

/// Answers all that is sent alike, and reads the token again where that is asked for.
fn answer_all(desk: &mut Desk, outcome: &Outcome, changed: bool) {
    for _ in 0..100 {
        while let Some(attempt) = desk.scheduler.next(desk.now_ms) {
            desk.answer(attempt.id, outcome.clone());
        }
        if desk.scheduler.condition(desk.now_ms) != Condition::AwaitingToken {
            return;
        }
        desk.reread(desk.generation + u64::from(changed), changed);
    }
    panic!("this goes on for ever");
}

#[test]
fn those_turned_away_before_and_again_when_nobody_else_is_left_are_no_less_the_tokens_or_the_addresss() {
    for outcome in [forbidden(), Outcome::TokenRefused, Outcome::Redirected] {
        for changed in [false, true] {
            for have_passed in [true, false] {
                let rules = DeliveryRules { turned_away: turned_away(0..30, false), ..proven() };
                let mut desk = if have_passed { Desk::warm(rules) } else { Desk::new(rules) };
                (0..30).for_each(|id| desk.offer(id, id));
                desk.end_of_input();
                answer_all(&mut desk, &outcome, changed);
                let about = format!("{outcome:?} {changed} {have_passed}");
                assert_eq!((desk.stops().len(), desk.failed_ones()), (1, vec![]), "{about}");
                assert_eq!(desk.scheduler.still_away().len(), 30, "{about}");
            }
        }
    }
}

#[test]
fn that_one_of_them_passes_says_nothing_of_the_others() {
    for outcome in [forbidden(), Outcome::TokenRefused] {
        let rules = DeliveryRules { turned_away: turned_away(0..30, false), ..proven() };
        let mut desk = Desk::new(rules).with_last(0..30);
        let first = desk.scheduler.next(0).expect("an attempt").id;
        desk.answer(first, Outcome::Acknowledged);
        answer_all(&mut desk, &outcome, false);
        assert_eq!((desk.stops().len(), desk.failed_ones()), (1, vec![]), "{outcome:?}");
        assert_eq!(desk.scheduler.still_away().len(), 29);
    }
}

#[test]
fn few_left_alone_have_failed_when_the_run_is_continued_and_nobody_else_is_left() {
    for outcome in [forbidden(), Outcome::TokenRefused] {
        for (are_left_alone, others, have_failed) in [(true, 0, true), (true, 1, false), (false, 0, false)] {
            let rules = DeliveryRules { turned_away: turned_away(0..3, are_left_alone), ..proven() };
            let mut desk = Desk::new(rules).with_last(0..3 + others);
            answer_all(&mut desk, &outcome, false);
            let about = format!("{outcome:?} {are_left_alone} {others}");
            assert_eq!(desk.failed_ones().len(), if have_failed { 3 } else { 0 }, "{about}");
            assert_eq!(desk.stops().len(), usize::from(!have_failed), "{about}");
            if have_failed {
                assert!(!desk.failure(0).signature.contains("alone"), "{:?}", desk.failure(0));
            }
        }
    }
}

#[test]
fn few_that_wait_for_each_other_are_not_left_alone() {
    for outcome in [forbidden(), Outcome::TokenRefused] {
        for are_linked in [false, true] {
            let rules = DeliveryRules { turned_away: turned_away(0..3, true), ..proven() };
            let mut desk = Desk::new(rules);
            desk.scheduler.note_linked(are_linked);
            let mut desk = desk.with_last(0..3);
            answer_all(&mut desk, &outcome, false);
            assert_eq!(desk.failed_ones().len(), if are_linked { 0 } else { 3 }, "{outcome:?} {are_linked}");
            assert_eq!(desk.stops().len(), usize::from(are_linked), "{outcome:?} {are_linked}");
        }
    }
}

#[test]
fn two_that_are_redirected_and_wait_for_each_other_show_a_wrong_address_but_for_chronic_ones() {
    for (are_linked, chronic) in [(false, false), (true, false), (true, true)] {
        let mut desk = Desk::warm(proven());
        desk.scheduler.note_linked(are_linked);
        for id in 0..2 {
            if chronic { desk.offer_chronic(id) } else { desk.offer(id, id) }
        }
        desk.end_of_input();
        answer_all(&mut desk, &Outcome::Redirected, false);
        let have_failed = !are_linked || chronic;
        assert_eq!(desk.failed_ones().len(), if have_failed { 2 } else { 0 }, "{are_linked} {chronic}");
        assert_eq!(desk.stops().len(), usize::from(!have_failed), "{are_linked} {chronic}");
    }
}

#[test]
fn those_turned_away_in_an_earlier_batch_have_failed_where_others_have_passed_since() {
    let of = |were_before, is_same_token| {
        let subjects = (0..3).map(subject).collect();
        Arc::new(TurnedAway { subjects, are_left_alone: false, were_before, is_same_token })
    };
    for outcome in [forbidden(), Outcome::TokenRefused, Outcome::Redirected] {
        // A new token may be a wrong one for what is left, and no address has a token.
        let is_redirect = outcome == Outcome::Redirected;
        for (were_before, is_same_token, have_passed, have_failed) in [
            (true, true, true, true),
            (true, false, true, is_redirect),
            (true, true, false, false),
            (false, true, true, false),
        ] {
            let rules = DeliveryRules { turned_away: of(were_before, is_same_token), ..proven() };
            let mut desk = if have_passed { Desk::warm(rules) } else { Desk::new(rules) };
            desk.scheduler.note_linked(true);
            let mut desk = desk.with_last(0..3);
            answer_all(&mut desk, &outcome, false);
            let about = format!("{outcome:?} {were_before} {is_same_token} {have_passed}");
            assert_eq!(desk.failed_ones().len(), if have_failed { 3 } else { 0 }, "{about}");
            assert_eq!(desk.stops().len(), usize::from(!have_failed), "{about}");
        }
    }
}

#[test]
fn somebody_who_waits_is_asked_while_a_few_are_kept_back_that_were_turned_away_and_not_when_many_are() {
    let refused = || Outcome::Refused { signature: "422 #".into() };
    for (outcome, few, many) in [(forbidden(), 4, 5), (Outcome::Redirected, 2, 3)] {
        for kept_back in [few, many] {
            let mut desk = Desk::warm(proven());
            assert!(desk.scheduler.seeks_testimony().is_empty(), "nobody is kept back");
            (0..kept_back).for_each(|id| desk.offer(id, id));
            desk.scheduler.end_of_pass();
            answer_all(&mut desk, &outcome, false);
            assert!(desk.scheduler.only_waits() && desk.scheduler.held() as u64 == kept_back);
            let about = desk.scheduler.seeks_testimony();
            let sought = if kept_back == few { 0..few } else { 0..0 };
            assert!(about.into_iter().eq(sought), "{outcome:?} {kept_back}");
        }
    }
    // Nor at first contact, where the first redirect says enough, nor for a refusal that is no token's.
    let mut desk = Desk::new(DeliveryRules::default());
    desk.offer(0, 0);
    desk.scheduler.end_of_pass();
    answer_all(&mut desk, &refused(), false);
    assert!(desk.scheduler.held() == 1 && desk.scheduler.seeks_testimony().is_empty());
}

#[test]
fn who_is_still_away_is_so_after_a_clear_of_its_subject_was_settled() {
    let rules = DeliveryRules { turned_away: turned_away(0..2, false), ..proven() };
    let mut desk = Desk::new(rules);
    desk.offer(0, 0);
    desk.send(0);
    desk.answer(0, Outcome::Refused { signature: "422 #".into() });
    assert!(!desk.scheduler.still_away().contains(&subject(0)));
    [0, 7].into_iter().for_each(|of| desk.scheduler.keep_away(subject(of)));
    assert_eq!(desk.scheduler.still_away().len(), 2, "the other was never away");
}

#[test]
fn nothing_is_marked_failed_at_first_contact_where_all_that_is_left_was_refused_before() {
    let rules = DeliveryRules { turned_away: turned_away(0..5, false), ..DeliveryRules::default() };
    let mut desk = Desk::new(rules).with_last(0..5);
    while let Some(attempt) = desk.scheduler.next(0) {
        desk.answer(attempt.id, Outcome::Refused { signature: "422 #".into() });
    }
    assert_eq!((desk.stops().len(), desk.failed_ones()), (1, vec![]));
    assert_eq!(desk.scheduler.blamed().len(), 5);
}

#[test]
fn others_are_tried_from_anywhere_when_half_of_what_says_enough_is_refused_at_first_contact() {
    let mut desk = Desk::new(DeliveryRules::default());
    (0..100).for_each(|id| desk.offer(id, id));
    let mut sent = 0;
    while let Some(attempt) = desk.scheduler.next(0) {
        sent += 1;
        let is_wrong = attempt.id < 40;
        let refused = Outcome::Refused { signature: "422 #".into() };
        desk.answer(attempt.id, if is_wrong { refused } else { Outcome::Acknowledged });
        assert!(sent <= 100);
    }
    assert_eq!((desk.stops().len(), desk.failed_ones().len()), (0, 40));
}

/// Who was turned away is no less an update: an outage is none of its.
#[test]
fn an_outage_costs_those_turned_away_no_attempt() {
    let rules = DeliveryRules { turned_away: turned_away(0..30, false), ..proven() };
    let mut desk = Desk::warm(rules).with_last(0..30);
    let failing = || Outcome::ServerFailed { signature: "503 #".into(), retry_after_ms: None };
    while desk.stops().is_empty() {
        while let Some(attempt) = desk.scheduler.next(desk.now_ms) {
            desk.answer(attempt.id, failing());
        }
        if desk.stops().is_empty() {
            desk.wake();
        }
    }
    assert_eq!((desk.stops(), desk.failed_ones()), (vec![&StopCause::Outage], vec![]));
    assert!(!desk.scheduler.blamed().is_empty());
}

#[test]
fn redirects_in_a_row_are_the_rows_where_others_from_anywhere_pass() {
    let mut desk = Desk::warm(proven());
    (0..100).for_each(|id| desk.offer(id, id));
    while let Some(attempt) = desk.scheduler.next(0) {
        let is_moved = attempt.id < 30;
        desk.answer(attempt.id, if is_moved { Outcome::Redirected } else { Outcome::Acknowledged });
    }
    desk.end_of_input();
    assert_eq!((desk.stops().len(), desk.failed_ones().len()), (0, 30));

    // An address that has moved before the last ones costs them nothing.
    for left in 3..12 {
        let mut desk = Desk::warm(proven());
        (0..left).for_each(|id| desk.offer(id, id));
        while let Some(attempt) = desk.scheduler.next(0) {
            desk.answer(attempt.id, Outcome::Redirected);
        }
        desk.end_of_input();
        assert_eq!((desk.stops().len(), desk.failed_ones()), (1, vec![]), "{left}");
    }
}

/// Who continues a run says nothing of the address, as it may of the token.
#[test]
fn few_that_are_redirected_and_left_alone_have_not_failed_when_the_run_is_continued() {
    let rules = DeliveryRules { turned_away: turned_away(0..3, true), ..proven() };
    let mut desk = Desk::new(rules).with_last(0..3);
    answer_all(&mut desk, &Outcome::Redirected, false);
    assert_eq!((desk.stops().len(), desk.failed_ones()), (1, vec![]));
}
