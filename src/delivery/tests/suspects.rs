//! 401 and 403: the row's fault or the token's, as the neighbors show.

use super::*;

fn offer_all(desk: &mut Desk, ids: std::ops::Range<u64>) {
    ids.for_each(|id| desk.offer(id, id));
}

#[test]
fn a_403_is_the_rows_when_one_that_was_sent_later_passes() {
    let mut desk = Desk::new(proven());
    offer_all(&mut desk, 0..2);
    assert_eq!(desk.send_all(), [0, 1]);
    desk.answer(0, forbidden());
    assert_eq!(desk.verdict(0), Some(&Verdict::Withheld));
    desk.answer(1, Outcome::Acknowledged);
    assert_eq!(desk.failed_ones(), Vec::<u64>::new(), "sent before the refusal was known");
    desk.offer(2, 2);
    desk.send(2);
    desk.answer(2, Outcome::Acknowledged);
    assert_eq!(desk.failure(0).kind, FailureKind::Refused);
    assert_eq!(desk.rereads(), 0);
}

#[test]
fn a_403_with_nobody_left_is_the_rows_where_others_have_passed_and_the_tokens_otherwise() {
    let mut desk = Desk::warm(proven());
    desk.offer(1, 1);
    desk.end_of_input();
    desk.send(1);
    desk.answer(1, forbidden());
    assert_eq!((desk.failed_ones(), desk.rereads()), (vec![], 1), "not before the token was read again");
    desk.reread(0, false);
    desk.send(1);
    desk.answer(1, forbidden());
    assert_eq!((desk.failed_ones(), desk.rereads()), (vec![1], 1));

    let mut desk = Desk::new(proven());
    desk.offer(1, 1);
    desk.end_of_input();
    desk.send(1);
    desk.answer(1, forbidden());
    assert_eq!(desk.verdict(1), Some(&Verdict::RetryIn { delay_ms: 0 }));
    assert_eq!(desk.rereads(), 1);
    assert_eq!(desk.scheduler.wake_at(0), None, "the token is awaited");
    desk.reread(1, true);
    desk.send(1);
    desk.answer(1, forbidden());
    assert_eq!(desk.stops(), [&StopCause::TokenRefused]);
    assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied: false }]);
}

#[test]
fn a_403_for_everybody_in_the_middle_is_the_tokens_and_fails_nobody() {
    for changed in [true, false] {
        let mut desk = Desk::warm(DeliveryRules { attempts_max: 1, ..proven() });
        offer_all(&mut desk, 0..60);
        let mut sent = 0;
        for _ in 0..20 {
            let attempt = desk.scheduler.next(0).expect("an attempt");
            sent += 1;
            desk.answer(attempt.id, forbidden());
        }
        assert_eq!((desk.rereads(), sent, desk.failed_ones()), (1, 20, vec![]), "bounded");
        assert_eq!(desk.send_all(), Vec::<u64>::new());
        desk.reread(1, changed);
        let mut again = 0;
        while let Some(attempt) = desk.scheduler.next(0) {
            again += 1;
            desk.answer(attempt.id, if changed { Outcome::Acknowledged } else { forbidden() });
        }
        assert_eq!(again, if changed { 60 } else { 5 }, "a few others are tried, one by one");
        assert_eq!(desk.stops().len(), usize::from(!changed));
        assert_eq!(desk.failed_ones(), Vec::<u64>::new());
        assert_eq!(desk.scheduler.unsent().len(), if changed { 0 } else { 60 });
    }
}

#[test]
fn rows_that_are_forbidden_here_and_there_never_pause_the_run() {
    let mut desk = Desk::new(proven());
    offer_all(&mut desk, 0..100);
    while let Some(attempt) = desk.scheduler.next(0) {
        assert!(attempt.attempt <= 2, "once more and no more");
        desk.answer(attempt.id, if attempt.id % 10 == 9 { Outcome::Acknowledged } else { forbidden() });
    }
    assert_eq!((desk.rereads(), desk.failed_ones().len()), (0, 81));
    // After the last one that passed nobody shows that the token is still good.
    desk.end_of_input();
    refuse_all(&mut desk, &forbidden(), false);
    assert_eq!((desk.rereads(), desk.failed_ones().len(), desk.stops().len()), (1, 90, 0));
}

#[test]
fn a_401_for_one_row_while_others_pass_under_the_same_token_is_that_rows() {
    let mut desk = Desk::warm(proven());
    offer_all(&mut desk, 0..4);
    desk.send(0);
    desk.answer(0, Outcome::TokenRefused);
    assert_eq!(desk.rereads(), 1);
    desk.reread(0, false);
    assert_eq!(desk.send_all(), [0], "one at a time");
    desk.answer(0, Outcome::TokenRefused);
    let other = desk.send_all();
    assert_eq!(other.len(), 1, "another one from anywhere");
    desk.answer(other[0], Outcome::Acknowledged);
    assert_eq!(desk.failure(0).kind, FailureKind::Refused);
    assert_eq!(desk.send_all().len(), 2);
    assert_eq!((desk.rereads(), desk.stops().len()), (1, 0));
}

#[test]
fn a_401_for_everybody_stops_after_a_few_others_from_anywhere_under_the_same_token_and_under_a_new_one() {
    for (mut desk, changed) in
        [(Desk::warm(proven()), false), (Desk::warm(proven()), true), (Desk::new(proven()), false)]
    {
        offer_all(&mut desk, 0..100);
        let sent: Vec<UpdateId> = (0..8).map(|_| desk.scheduler.next(0).expect("an attempt").id).collect();
        sent.iter().for_each(|id| desk.answer_under(0, *id, Outcome::TokenRefused));
        desk.reread(u64::from(changed), changed);
        let mut tried = Vec::new();
        while let Some(attempt) = desk.scheduler.next(0) {
            assert!(desk.scheduler.next(0).is_none(), "one by one");
            tried.push(attempt.id);
            desk.answer(attempt.id, Outcome::TokenRefused);
        }
        assert_eq!((tried.len(), desk.stops()), (5, vec![&StopCause::TokenRefused]), "{changed}");
        assert!(
            tried[0] < 8 && tried[1..].iter().any(|id| *id > 50),
            "the first again, then from anywhere: {tried:?}"
        );
        assert_eq!((desk.failed_ones(), desk.rereads()), (vec![], 1));
        assert_eq!(desk.scheduler.blamed().len(), 12, "those who were answered so");
        assert_eq!(desk.scheduler.unsent().len(), 100);
    }
}

#[test]
fn a_401_for_everybody_from_the_first_on_asks_nobody_who_was_not_on_the_wire() {
    // However many of them were answered before the token was read again.
    for answered in 1..=4 {
        let mut desk = Desk::new(DeliveryRules { proven: false, ..proven() });
        offer_all(&mut desk, 0..9);
        let sent: Vec<UpdateId> = (0..4).map(|_| desk.scheduler.next(0).expect("an attempt").id).collect();
        sent[..answered].iter().for_each(|id| desk.answer(*id, Outcome::TokenRefused));
        desk.reread(0, false);
        for id in &sent[answered..] {
            assert!(desk.scheduler.next(0).is_none(), "{answered}");
            desk.answer(*id, Outcome::TokenRefused);
        }
        assert_eq!(desk.stops(), [&StopCause::TokenRefused], "{answered}");
        assert!(desk.scheduler.next(0).is_none(), "{answered}");
        assert_eq!((desk.failed_ones(), desk.scheduler.unsent().len()), (vec![], 9), "{answered}");
    }
}

#[test]
fn several_403_in_a_row_that_pass_by_themselves_cost_nobody_its_verdict() {
    let mut desk = Desk::warm(proven());
    offer_all(&mut desk, 0..20);
    let sent = desk.send_all();
    assert_eq!(sent.len(), 20);
    (0..12).for_each(|id| desk.answer(id, forbidden()));
    // Sent before the refusals were known: they end the row of refusals, and testify to nothing.
    (12..20).for_each(|id| desk.answer(id, Outcome::Acknowledged));
    desk.offer(20, 20);
    desk.send(20);
    desk.answer(20, Outcome::Acknowledged);
    assert_eq!((desk.rereads(), desk.failed_ones()), (0, vec![]));
    let again = desk.send_all();
    assert_eq!(again.len(), 12, "each once more");
    // The last one is forbidden on its own: refused again, it has failed as soon as one that was sent later passes.
    again.iter().filter(|id| **id != 11).for_each(|id| desk.answer(*id, Outcome::Acknowledged));
    desk.answer(11, forbidden());
    desk.offer(21, 21);
    desk.send(21);
    desk.answer(21, Outcome::Acknowledged);
    assert_eq!((desk.rereads(), desk.failed_ones()), (0, vec![11]));
    assert_eq!(desk.send_all(), Vec::<u64>::new());
}

/// Two rows are refused, another one passes, and nobody is left when they are refused again; then the token is read
/// again.
fn refused_twice(changed: bool) -> Desk {
    let mut desk = Desk::warm(proven());
    offer_all(&mut desk, 0..3);
    for id in [0, 1] {
        desk.send(id);
        desk.answer(id, forbidden());
    }
    desk.send(2);
    desk.end_of_input();
    desk.answer(2, Outcome::Acknowledged);
    for id in desk.send_all() {
        desk.answer(id, forbidden());
    }
    // The token may have been revoked since the last one passed.
    assert_eq!((desk.rereads(), desk.failed_ones().len()), (1, 0));
    desk.reread(u64::from(changed), changed);
    desk
}

#[test]
fn those_refused_twice_have_failed_where_nobody_is_left() {
    for changed in [false, true] {
        let mut desk = refused_twice(changed);
        while let Some(attempt) = desk.scheduler.next(0) {
            desk.answer(attempt.id, forbidden());
        }
        assert_eq!((desk.rereads(), desk.stops().len()), (1, 0), "{changed}");
        assert_eq!(desk.failed_ones().len(), 2, "{changed}");
    }
}

#[test]
fn those_refused_twice_are_synced_under_a_new_token_that_may() {
    let mut desk = refused_twice(true);
    while let Some(attempt) = desk.scheduler.next(0) {
        desk.answer(attempt.id, Outcome::Acknowledged);
    }
    assert!(desk.scheduler.is_idle() && desk.stops().is_empty());
    assert_eq!(desk.failed_ones(), [0; 0]);
}

/// Nobody can tell it from one that may not be touched: 403 for one row while others pass fails that row alone.
#[test]
fn a_lone_403_among_rows_that_pass_is_refused_alone_though_it_may_be_a_blip() {
    let mut desk = Desk::warm(proven());
    offer_all(&mut desk, 0..6);
    assert_eq!(desk.send_all(), [0, 1, 2, 3, 4, 5]);
    for id in 0..6 {
        // The one after it was sent before its refusal was known, and says nothing of it.
        desk.answer(id, if id == 2 { forbidden() } else { Outcome::Acknowledged });
    }
    assert_eq!(desk.verdict(2), Some(&Verdict::Withheld));
    desk.offer(6, 6);
    desk.send(6);
    desk.answer(6, Outcome::Acknowledged);
    assert_eq!((desk.failed_ones(), desk.rereads()), (vec![2], 0));
    assert_eq!(desk.failure(2).kind, FailureKind::Refused);
}

/// Answers all that is sent with a refusal, and reads the token again where that is asked for.
fn refuse_all(desk: &mut Desk, outcome: &Outcome, changed: bool) {
    for _ in 0..100 {
        let asked = desk.rereads();
        while let Some(attempt) = desk.scheduler.next(0) {
            desk.answer(attempt.id, outcome.clone());
        }
        if desk.rereads() > asked || desk.scheduler.condition(0) == Condition::AwaitingToken {
            assert_eq!(desk.scheduler.wake_at(0), None, "the token is awaited");
            desk.reread(desk.generation + u64::from(changed), changed);
        } else {
            return;
        }
    }
    panic!("this goes on for ever");
}

#[test]
fn nothing_but_chronic_rows_that_are_turned_away_have_failed() {
    for (outcome, changed) in [
        (forbidden(), false),
        (forbidden(), true),
        (Outcome::TokenRefused, false),
        (Outcome::TokenRefused, true),
        (Outcome::Redirected, false),
    ] {
        let mut desk = Desk::new(proven());
        (0..30).for_each(|id| desk.offer_chronic(id));
        desk.end_of_input();
        refuse_all(&mut desk, &outcome, changed);
        assert_eq!((desk.stops().len(), desk.failed_ones().len()), (0, 30), "{outcome:?} {changed}");
        assert!(desk.rereads() <= 1, "{outcome:?} {changed}");
        assert_eq!(desk.scheduler.blamed(), Vec::<UpdateId>::new());
    }
}

#[test]
fn chronic_rows_do_not_hide_that_the_token_is_refused_for_all_others() {
    for outcome in [forbidden(), Outcome::TokenRefused] {
        let mut desk = Desk::new(proven());
        offer_all(&mut desk, 0..30);
        (30..35).for_each(|id| desk.offer_chronic(id));
        desk.end_of_input();
        refuse_all(&mut desk, &outcome, false);
        assert_eq!(desk.stops(), [&StopCause::TokenRefused], "{outcome:?}");
        assert_eq!((desk.failed_ones(), desk.scheduler.unsent().len()), (vec![], 35), "{outcome:?}");
    }
}

#[test]
fn the_last_one_alone_has_failed_where_others_have_passed_and_several_wait_for_the_next_run() {
    for outcome in [forbidden(), Outcome::TokenRefused] {
        for (left, changed) in [(1, false), (2, false), (3, false), (3, true), (19, false), (20, false)] {
            let mut desk = Desk::warm(proven());
            offer_all(&mut desk, 0..left);
            desk.end_of_input();
            refuse_all(&mut desk, &outcome, changed);
            let stops = usize::from(left > 1);
            assert_eq!(desk.stops().len(), stops, "{outcome:?} {left} {changed}");
            assert_eq!(desk.failed_ones().len(), 1 - stops, "{outcome:?} {left} {changed}");
            let are_blamed = desk.scheduler.blamed().len() >= stops * 2;
            assert!(are_blamed, "{outcome:?} {left} {changed}: {:?}", desk.scheduler.blamed());
        }
    }
}

/// The links of a chain are asked one after the other, each in a pass of its own: a token that dies before the last
/// two is refused for one row after the other, each of which seems to be the only one.
#[test]
fn one_after_the_other_turned_away_at_the_end_of_a_pass_each_is_several_turned_away() {
    for (outcome, is_passed_between) in [
        (forbidden(), false),
        (Outcome::TokenRefused, false),
        (forbidden(), true),
        (Outcome::TokenRefused, true),
    ] {
        let mut desk = Desk::warm(proven());
        for (id, between) in [(1, 3), (2, 4)] {
            if is_passed_between {
                desk.offer(between, between);
                desk.send(between);
                desk.answer(between, Outcome::Acknowledged);
            }
            desk.offer(id, id);
            desk.end_of_input();
            refuse_all(&mut desk, &outcome, false);
            desk.scheduler.begin_pass(usize::MAX);
        }
        let failed = if is_passed_between { vec![1, 2] } else { vec![1] };
        assert_eq!(desk.failed_ones(), failed, "{outcome:?}");
        assert_eq!(desk.stops().len(), usize::from(!is_passed_between), "{outcome:?}");
    }
}

#[test]
fn what_a_row_met_under_the_token_before_is_not_held_against_it_under_a_new_one() {
    let mut desk = Desk::warm(proven());
    offer_all(&mut desk, 1..4);
    for id in [1, 2] {
        desk.send(id);
    }
    [1, 2].into_iter().for_each(|id| desk.answer(id, forbidden()));
    desk.send(3);
    desk.answer(3, Outcome::Acknowledged);
    // Both are to go again, when the token ends.
    for id in desk.send_all() {
        desk.answer(id, Outcome::TokenRefused);
    }
    desk.reread(1, true);
    for outcome in [forbidden(), Outcome::Acknowledged] {
        let id = desk.send_all()[0];
        desk.answer(id, outcome);
    }
    assert_eq!(desk.failed_ones(), [0; 0], "nobody had passed under it yet");
    for id in desk.send_all() {
        desk.answer(id, Outcome::Acknowledged);
    }
    assert!(desk.scheduler.is_idle() && desk.stops().is_empty());
}

#[test]
fn what_a_redirect_may_have_applied_is_in_doubt_when_the_run_stops() {
    for (status, maybe_applied) in [(301, true), (302, true), (303, true), (307, false), (308, false)] {
        for rules in [DeliveryRules::default(), proven()] {
            let mut desk = Desk::new(rules);
            desk.offer(1, 1);
            desk.end_of_input();
            desk.send(1);
            desk.answer_with(1, Outcome::Redirected, Some(status));
            assert_eq!(desk.stops(), [&StopCause::Redirected { status }]);
            assert_eq!(desk.scheduler.unsent(), [Leftover { id: 1, maybe_applied }], "{status}");
        }
    }
}

/// A block of rows that are refused for ever costs few attempts a row, and the others none.
#[test]
fn a_block_of_rows_that_are_refused_for_ever_costs_few_attempts_more() {
    for (outcome, per_row_max) in
        [(Outcome::Forbidden { signature: "403 #".into() }, 4), (Outcome::TokenRefused, 6)]
    {
        let mut desk = Desk::warm(proven());
        (0..1_500).for_each(|id| desk.offer(id, id));
        desk.end_of_input();
        let is_bad = |id: UpdateId| (700..800).contains(&id);
        let (mut attempts, mut in_flight) = (0, std::collections::VecDeque::new());
        for _ in 0..100_000 {
            while let Some(attempt) = desk.scheduler.next(desk.now_ms) {
                attempts += 1;
                in_flight.push_back(attempt.id);
            }
            let Some(id) = in_flight.pop_front() else {
                if desk.scheduler.condition(desk.now_ms) != Condition::AwaitingToken {
                    break;
                }
                let decision = desk
                    .scheduler
                    .on_token(Ok(TokenRead { generation: desk.generation, changed: false }), desk.now_ms);
                desk.hear(decision);
                continue;
            };
            desk.answer(id, if is_bad(id) { outcome.clone() } else { Outcome::Acknowledged });
        }
        assert!(attempts <= 1_500 + 100 * per_row_max, "{outcome:?}: {attempts}");
    }
}

/// A token that was just renewed may take a moment until it is known everywhere.
#[test]
fn a_403_under_a_new_token_that_nobody_has_passed_under_yet_is_tried_once_more() {
    for is_own in [false, true] {
        let mut desk = Desk::warm(DeliveryRules { max_in_flight: 1, ..proven() });
        offer_all(&mut desk, 0..40);
        let again = (0..20).map(|_| {
            let id = desk.send_all()[0];
            desk.answer(id, forbidden());
            id
        });
        let last = again.last().expect("twenty");
        assert_eq!(desk.rereads(), 1);
        desk.reread(1, true);
        let first = desk.send_all()[0];
        assert_eq!(first, last, "the first of those that were refused");
        desk.answer(first, forbidden());
        while let [id] = desk.send_all()[..] {
            desk.answer(id, if id == first && is_own { forbidden() } else { Outcome::Acknowledged });
        }
        assert_eq!(desk.failed_ones(), if is_own { vec![first] } else { vec![] });
    }
}
