//! A few hundred days of the simulation, sort by sort; ten thousand are the campaign `tests/days`.

use crate::delivery::sim::day::{Sort, day_about, day_of, good_day};
use crate::delivery::sim::evening::{Evening, Fate};
use crate::delivery::sim::live;
use crate::delivery::sim::planted::PLANTED;
use crate::ledger::FailureKind;

/// Lives through so many days of a sort.
fn days_about(sort: Sort, days: u64) -> Vec<Evening> {
    (0..days)
        .map(|seed| {
            live(day_about(sort, seed), seed).unwrap_or_else(|said| panic!("{sort:?}, seed {seed}: {said}"))
        })
        .collect()
}

#[test]
fn any_day_keeps_the_promises() {
    let evenings = days_about(Sort::Any, 400);
    // The days are no good if they do not reach every corner.
    let count = |fate| evenings.iter().map(|evening| evening.count(fate)).sum::<usize>();
    for fate in [Fate::Synced, Fate::Failed(FailureKind::Refused), Fate::Deferred, Fate::Leftover] {
        assert!(count(fate) > 100, "{fate:?}: {}", count(fate));
    }
    assert!(count(Fate::Failed(FailureKind::Exhausted)) > 20);
    let sum = |figure: fn(&Evening) -> u64| evenings.iter().map(figure).sum::<u64>();
    let sums = [sum(|of| of.probes), sum(|of| of.throttled)];
    assert!(sums.iter().all(|sum| *sum > 100), "{sums:?}");
    for cause in ["Outage", "TokenRefused", "ErrorBudget", "None"] {
        let is_it = |evening: &&Evening| format!("{:?}", evening.stop).contains(cause);
        assert!(evenings.iter().filter(is_it).count() >= 3, "{cause}");
    }
}

#[test]
fn a_good_day_goes_at_the_rate() {
    let evening = live(good_day(1_000), 1).unwrap();
    assert_eq!((evening.count(Fate::Synced), evening.sent.len()), (1_000, 1_000));
    assert!(evening.ended_ms < 10_000 + 200, "{} ms for 1,000 at 100/s", evening.ended_ms);
}

#[test]
fn an_outage_exhausts_nobody_is_probed_gently_and_stops_the_run_when_it_does_not_end() {
    days_about(Sort::Outage, 24);
    days_about(Sort::Dead, 24);
}

#[test]
fn half_of_all_failing_halves_the_rate_within_seconds_and_costs_no_row_its_verdict() {
    days_about(Sort::Sick, 12);
    days_about(Sort::Trickle, 12);
}

#[test]
fn poison_rows_are_exhausted_alone() {
    days_about(Sort::Poison, 16);
}

#[test]
fn heads_of_rows_that_fail_for_ever_hide_no_healthy_ones() {
    days_about(Sort::Head, 16);
}

#[test]
fn rows_that_are_pushed_back_or_turned_away_for_ever_are_exhausted_alone() {
    days_about(Sort::PushedBack, 48);
    days_about(Sort::TurnedAway, 48);
}

#[test]
fn many_rows_that_are_turned_away_for_ever_neither_slow_the_others_nor_end_the_run() {
    days_about(Sort::Same, 96);
}

#[test]
fn rows_that_are_not_turned_away_any_more_are_synced_and_the_rate_returns() {
    days_about(Sort::Mending, 24);
    // A streak that opened the breaker lowered the rate twice, where two a second were sent.
    for seed in [677, 1046] {
        live(day_about(Sort::Mending, seed), seed).unwrap_or_else(|said| panic!("seed {seed}: {said}"));
    }
}

#[test]
fn subjects_that_fail_for_ever_fail_with_all_of_their_updates_which_go_last_and_tell_nothing() {
    days_about(Sort::Each, 48);
}

#[test]
fn pushback_expiring_tokens_and_dropped_connections_cost_no_row_its_verdict() {
    days_about(Sort::Pushback, 16);
    days_about(Sort::Dropping, 16);
}

#[test]
fn a_token_that_may_not_any_more_costs_no_row_its_verdict() {
    let evenings = days_about(Sort::Forbidding, 24);
    let stopped = evenings.iter().filter(|evening| evening.stop.is_some()).count();
    assert!((4..=20).contains(&stopped), "{stopped}");
    // Three of its own are left, refused twice under one token with others between, and then under a new one.
    live(day_about(Sort::Forbidding, 5641), 5641).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn rows_that_are_turned_away_for_their_own_sake_cost_no_healthy_one_its_verdict_in_several_runs() {
    let evenings = days_about(Sort::Away, 200);
    let stopped = evenings.iter().filter(|evening| evening.stop.is_some()).count();
    assert!((10..=100).contains(&stopped), "{stopped}");
}

#[test]
fn chains_resolve_and_circles_do_not() {
    days_about(Sort::Chains, 24);
}

#[test]
fn trouble_that_falls_into_one_of_many_passes_costs_no_row_its_verdict() {
    days_about(Sort::Waves, 96);
}

#[test]
fn trouble_that_falls_into_chains_and_rings_costs_no_link_its_verdict_in_several_runs() {
    let evenings = days_about(Sort::Linked, 400);
    let count = |fate| evenings.iter().map(|evening| evening.count(fate)).sum::<usize>();
    for fate in [FailureKind::Refused, FailureKind::Exhausted, FailureKind::Unresolved].map(Fate::Failed) {
        assert!(count(fate) > 20, "{fate:?}: {}", count(fate));
    }
    // One that fails every time kept the passes behind it waiting; an answer to what was sent before was held against
    // the last ones.
    for seed in [90, 336, 10138, 11145] {
        live(day_about(Sort::Linked, seed), seed).unwrap_or_else(|said| panic!("seed {seed}: {said}"));
    }
}

#[test]
fn a_server_that_counts_is_asked_for_what_it_gives() {
    days_about(Sort::Counting, 24);
}

#[test]
fn a_proxy_that_sheds_costs_no_row_anything_and_what_it_lets_through_is_used() {
    days_about(Sort::Shedding, 24);
    // After a rate learned was left too early, one quiet followed the other, and nothing was learned any more.
    for seed in [442, 1760, 2867, 4132, 5364, 5604] {
        live(day_about(Sort::Shedding, seed), seed).unwrap_or_else(|said| panic!("seed {seed}: {said}"));
    }
}

#[test]
fn the_limit_settles_near_the_knee_and_recovers() {
    days_about(Sort::Knee, 8);
}

#[test]
fn nothing_but_chronic_rows_ends_by_itself() {
    days_about(Sort::Chronic, 24);
}

#[test]
fn a_target_that_accepts_nothing_stops_early_and_fails_nobody() {
    days_about(Sort::Refusing, 24);
}

#[test]
fn seeds_walk_through_the_sorts() {
    let sorts: std::collections::BTreeSet<Sort> = (0..24).map(|seed| day_of(seed).sort).collect();
    assert_eq!(sorts.len(), 24);
}

#[test]
fn planted_flaws_are_caught() {
    let missed: Vec<String> = PLANTED.iter().filter_map(|planted| planted.caught().err()).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
