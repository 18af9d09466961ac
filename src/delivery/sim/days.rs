//! The days of the simulation, and what must be true of each in the evening.

use super::*;

/// Any kind of day.
fn any_day(seed: u64) -> Day {
    let mut dice = Dice(seed);
    let count = 60 + dice.below(200);
    let subjects = 1 + dice.below(count);
    let bad_per_mille = [0, 30, 200][usize::try_from(dice.below(3)).expect("small")];
    let rows = (0..count)
        .map(|_| {
            let kinds = [Row::Refused, Row::Conflict, Row::Mismatch, Row::Forbidden, Row::Poison];
            let is_bad = dice.chance(bad_per_mille);
            let row = if is_bad { kinds[usize::try_from(dice.below(5)).expect("small")] } else { Row::Good };
            (dice.below(subjects), row, dice.chance(50))
        })
        .collect();
    let mut phases = Vec::new();
    let mut until_ms = 0;
    for _ in 0..dice.below(5) {
        let phase = match dice.below(4) {
            0 => Phase::Up,
            1 => Phase::Shaky(dice.below(900)),
            2 => Phase::Down(dice.below(4)),
            _ => Phase::Throttling(dice.chance(600).then(|| dice.below(6_000))),
        };
        until_ms += 100 + dice.below(20_000);
        phases.push((until_ms, phase));
    }
    let rules = DeliveryRules {
        proven: dice.chance(500),
        max_in_flight: usize::try_from(1 + dice.below(64)).expect("small"),
        ready_max: usize::try_from(1 + dice.below(100)).expect("small"),
        held_max: usize::try_from(1 + dice.below(200)).expect("small"),
        adapts: dice.chance(500),
        failures_max: dice.chance(100).then(|| dice.below(5)),
        outage_max_ms: 10_000 + dice.below(900_000),
        ..DeliveryRules::default()
    };
    let rate_per_s = 20 + dice.below(400);
    Day {
        told: rules.clone(),
        rules,
        rows,
        phases,
        rate_per_s,
        burst: 1 + dice.below(4),
        token_ms: if dice.chance(500) { 500 + dice.below(10_000) } else { u64::MAX },
        token_dies: dice.chance(200),
        drain_at_ms: dice.chance(100).then(|| dice.below(10_000)),
        ignores_permits: false,
        hides_subjects: false,
    }
}

/// A day on which nothing but good rows goes to a good server.
pub(super) fn good_day(count: u64) -> Day {
    let rules = DeliveryRules { proven: true, ..DeliveryRules::default() };
    Day {
        told: rules.clone(),
        rules,
        rows: (0..count).map(|number| (number, Row::Good, false)).collect(),
        phases: Vec::new(),
        rate_per_s: 100,
        burst: 1,
        token_ms: u64::MAX,
        token_dies: false,
        drain_at_ms: None,
        ignores_permits: false,
        hides_subjects: false,
    }
}

pub(super) fn must(day: Day, seed: u64) -> Evening {
    live(day, seed).unwrap_or_else(|complaint| panic!("seed {seed}: {complaint}"))
}

#[test]
fn any_day_keeps_the_promises() {
    let mut evenings = Evening::default();
    let mut causes = std::collections::BTreeMap::<String, u32>::new();
    for seed in 0..1_000 {
        let evening = must(any_day(seed), seed);
        evenings.synced += evening.synced;
        evenings.refused += evening.refused;
        evenings.deferred += evening.deferred;
        evenings.leftover += evening.leftover;
        evenings.probes += evening.probes;
        evenings.exhausted.extend(evening.exhausted);
        let cause = evening.stop.map_or("none".to_owned(), |stop| format!("{stop:?}"));
        *causes.entry(cause.split([' ', '{']).next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    // The days are no good if they do not reach every corner.
    let reached = [evenings.synced, evenings.refused, evenings.deferred, evenings.leftover, evenings.probes];
    assert!(reached.iter().all(|count| *count > 100), "{reached:?}");
    assert!(evenings.exhausted.len() > 20, "{}", evenings.exhausted.len());
    for cause in ["none", "Outage", "TokenRefused", "ErrorBudget"] {
        assert!(causes.get(cause).is_some_and(|count| *count >= 3), "{cause}: {causes:?}");
    }
}

#[test]
fn a_good_day_goes_at_the_rate() {
    let evening = must(good_day(1_000), 1);
    assert_eq!((evening.synced, evening.attempts), (1_000, 1_000));
    assert!(evening.ended_ms < 10_000 + 200, "{} ms for 1,000 at 100/s", evening.ended_ms);
}

#[test]
fn a_total_outage_exhausts_nobody_and_is_probed_gently() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut day = good_day(1_500);
        let from_ms = dice.below(5_000);
        // Ten minutes, in each of the four ways to be down, and at any moment from the very start.
        let outage_ms = 600_000;
        day.phases = vec![(from_ms, Phase::Up), (from_ms + outage_ms, Phase::Down(seed % 4))];
        let evening = must(day, seed);
        assert_eq!(evening.exhausted, Vec::<UpdateId>::new(), "seed {seed}");
        assert_eq!((evening.synced, evening.stop), (1_500, None), "seed {seed}");
        // Those on the wire when it began, a few until the breaker opened, then the probes: R11's 1.1.
        assert!(evening.attempts <= 1_650, "seed {seed}: {} attempts for 1,500", evening.attempts);
        let probes_max = 64 + 40 + outage_ms / 30_000 + 5;
        assert!(evening.attempts_while_down <= probes_max, "seed {seed}: {}", evening.attempts_while_down);
    }
}

#[test]
fn an_outage_without_end_stops_with_everything_pending() {
    for seed in 0..40 {
        let mut day = good_day(1_500);
        let from_ms = Dice(seed).below(8_000);
        day.phases = vec![(from_ms, Phase::Up), (u64::MAX, Phase::Down(seed % 4))];
        let evening = must(day, seed);
        assert_eq!(evening.exhausted, Vec::<UpdateId>::new(), "seed {seed}");
        assert_eq!(evening.stop, Some(StopCause::Outage), "seed {seed}");
        assert!(evening.ended_ms < from_ms + 900_000 + 10_000, "seed {seed}");
    }
}

#[test]
fn poison_rows_are_exhausted_alone() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut day = good_day(1_500);
        let mut poison: Vec<UpdateId> = (0..30).map(|_| dice.below(1_400)).collect();
        poison.sort_unstable();
        poison.dedup();
        for id in &poison {
            day.rows[usize::try_from(*id).expect("small")].1 = Row::Poison;
        }
        let mut evening = must(day, seed);
        evening.exhausted.sort_unstable();
        assert_eq!(evening.exhausted, poison, "seed {seed}");
        assert_eq!(evening.stop, None, "seed {seed}");
    }
}

#[test]
fn pushback_and_expiring_tokens_cost_no_row_its_verdict() {
    for seed in 0..50 {
        let mut day = good_day(500);
        let quiet_ms = (seed % 2 == 0).then_some(700 + seed * 10);
        let phases = (0..10_u64)
            .map(|n| (n * 900 + 900, if n % 2 == 1 { Phase::Throttling(quiet_ms) } else { Phase::Up }));
        day.phases = phases.collect();
        // Longer than a stretch of pushback, or a token would die before anything passed under it.
        day.token_ms = 3_000 + seed * 7;
        let evening = must(day, seed);
        assert_eq!((evening.synced, evening.stop), (500, None), "seed {seed}");
    }
}

/// Attempts in each second of a day.
fn per_second(evening: &Evening, from_s: u64, to_s: u64) -> u64 {
    let in_range = |ms: &&u64| (from_s * 1_000..to_s * 1_000).contains(*ms);
    evening.sent_ms.iter().filter(in_range).count() as u64 / (to_s - from_s)
}

#[test]
fn half_of_all_failing_halves_the_rate_within_seconds_and_costs_no_row_its_verdict() {
    for seed in 0..40 {
        let mut day = good_day(6_000);
        day.rules.adapts = seed % 2 == 0;
        day.told.adapts = seed % 2 == 0;
        day.phases = vec![(10_000, Phase::Up), (70_000, Phase::Shaky(500))];
        let evening = must(day, seed);
        assert_eq!((evening.synced, evening.stop.clone()), (6_000, None), "seed {seed}");
        assert_eq!(evening.exhausted, Vec::<UpdateId>::new(), "seed {seed}");
        assert!(per_second(&evening, 2, 10) >= 95, "seed {seed}: well before");
        let sick = per_second(&evening, 14, 70);
        assert!(sick <= 50, "seed {seed}: {sick}/s at a sick server");
        // The adaptive limit sees timeouts of three seconds beside it, and goes down to one.
        assert!(sick >= 5 || seed % 2 == 0, "seed {seed}: {sick}/s, rows wait and the server is heard");
        let well = per_second(&evening, 78, 90);
        assert!(well >= 90, "seed {seed}: {well}/s after it");
    }
}

#[test]
fn a_file_full_of_poison_ends() {
    for seed in 0..20 {
        let mut day = good_day(300);
        day.rows.iter_mut().step_by(3).for_each(|row| row.1 = Row::Poison);
        let evening = must(day, seed);
        assert_eq!((evening.synced, evening.exhausted.len(), evening.stop), (200, 100, None), "seed {seed}");
    }
}

#[test]
fn a_target_that_accepts_nothing_stops_early_and_fails_nobody() {
    let mut day = good_day(300);
    day.rules.proven = false;
    day.told.proven = false;
    day.rows.iter_mut().for_each(|row| row.1 = Row::Refused);
    let evening = must(day, 7);
    assert!(matches!(evening.stop, Some(StopCause::NothingAccepted { subjects: 20, .. })));
    assert_eq!((evening.refused, evening.synced, evening.leftover), (0, 0, 300));
    assert!(evening.attempts < 24);
}
