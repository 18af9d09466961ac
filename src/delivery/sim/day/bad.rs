//! Days of rows that fail every time, many of them in a row, and of trouble that falls into one of many passes.
//!
//! Not here: all other days (`day.rs`), and what must be true of them (`evening.rs`).

use super::super::dice::Dice;
use super::{Day, Kind, Line, Phase, Shed, any_down, good_day};

/// Updates that the last wave has at least.
const WAVE_LAST: u64 = 40;

/// The server may have answered well before, or not; its limits are neither here nor there.
pub(super) fn head(dice: &mut Dice) -> Day {
    let mut day = good_day(dice.between(200, 1_000));
    let count = day.lines.len() as u64;
    let from = if dice.chance(700) { 0 } else { dice.below(30) };
    let until = from + dice.between(20, count / 5);
    for (at, line) in (0..).zip(&mut day.lines) {
        if (from..until).contains(&at) {
            line.kind = Kind::Poison;
        }
    }
    day.window = dice.one_of(&[8, 64, 256]);
    day.rules.max_in_flight = dice.one_of(&[4, 16, 64]);
    day.pace.rate_per_s = dice.one_of(&[50, 400, 2_000]);
    day
}

/// In a row, but not at the end, where nobody else is left to pass.
pub(super) fn same(dice: &mut Dice) -> Day {
    let mut day = good_day(dice.between(600, 1_500));
    let count = day.lines.len() as u64;
    let bad = dice.between(20, count / 5);
    let from = if dice.chance(600) { 0 } else { dice.below(count / 2) };
    let kind = dice.one_of(&[Kind::TurnedAway(None), Kind::PushedBack(None)]);
    for (at, line) in (0..).zip(&mut day.lines) {
        if (from..from + bad).contains(&at) {
            line.kind = kind;
        }
    }
    day.window = dice.one_of(&[64, 256]);
    day.rules.max_in_flight = dice.one_of(&[4, 16, 64]);
    day.pace.rate_per_s = dice.one_of(&[50, 400, 500]);
    day
}

/// A stretch of rows anywhere, for seconds or for minutes; from then on a proxy may turn away what comes too fast,
/// whoever's it is.
pub(super) fn mending(dice: &mut Dice) -> Day {
    let until_ms = dice.one_of(&[5_000, 20_000, 60_000, 600_000]);
    let rate_per_s = dice.one_of(&[5, 50, 400]).min(1_500_000 / until_ms);
    // It still goes on for a while then.
    let mut day = good_day((until_ms + 60_000) * rate_per_s / 1_000);
    let count = day.lines.len() as u64;
    let bad = dice.between(20, 200).min(count / 5);
    let from = if dice.chance(500) { 0 } else { dice.below(count - bad) };
    for (at, line) in (0..).zip(&mut day.lines) {
        if (from..from + bad).contains(&at) {
            line.kind = Kind::TurnedAwayUntil(until_ms);
        }
    }
    day.window = dice.one_of(&[64, 256]);
    day.rules.max_in_flight = dice.one_of(&[16, 64]);
    day.pace.rate_per_s = rate_per_s;
    if dice.chance(400) {
        // It takes what comes in a twentieth of a second at least: less is for the sort `Shedding`.
        let per_s = dice.between(rate_per_s / 3 + 1, rate_per_s);
        day.server.shed = Some(Shed {
            per_s,
            burst: per_s / 20 + dice.between(1, 20),
            status: dice.one_of(&[503, 503, 429]),
            from_ms: until_ms,
        });
    }
    day
}

/// Here and there or in a row, in rounds or one subject after the other.
pub(super) fn each(dice: &mut Dice) -> Day {
    let (subjects, rounds) = (dice.between(200, 600), dice.between(2, 4));
    let bad = dice.between(5, subjects / 8);
    let step = subjects / bad;
    let is_here_and_there = dice.chance(500);
    let from = if dice.chance(500) { 0 } else { dice.below(subjects / 2) };
    let kind = dice.one_of(&[Kind::Poison, Kind::TurnedAway(None), Kind::PushedBack(None)]);
    let are_rounds = dice.chance(500);
    let mut day = good_day(0);
    day.lines = (0..subjects * rounds)
        .map(|at| {
            let subject = if are_rounds { at % subjects } else { at / rounds };
            let is_bad = if is_here_and_there {
                subject % step == step / 2
            } else {
                (from..from + bad).contains(&subject)
            };
            Line { kind: if is_bad { kind } else { Kind::Good }, ..Line::good(subject) }
        })
        .collect();
    day.rules.attempts_max = u32::try_from(dice.between(3, 8)).unwrap_or(3);
    day.window = dice.one_of(&[64, 256, 4_096]);
    day.rules.max_in_flight = dice.one_of(&[4, 16, 64]);
    day.pace.rate_per_s = dice.one_of(&[50, 400, 2_000]);
    day
}

pub(super) fn pushed_back(dice: &mut Dice) -> Day {
    let mut day = good_day(600);
    let asked_ms = dice.one_of(&[None, None, Some(1_000)]);
    for _ in 0..dice.between(1, 4) {
        let at = usize::try_from(dice.below(200)).unwrap_or_default();
        day.lines[at].kind = Kind::PushedBack(asked_ms);
    }
    day.rules.max_in_flight = dice.one_of(&[1, 1, 4, 64]);
    day.pace.rate_per_s = dice.one_of(&[20, 100, 400]);
    day
}

pub(super) fn turned_away(dice: &mut Dice) -> Day {
    let mut day = good_day(300);
    day.rules.attempts_max = 3;
    let asked_ms = dice.one_of(&[None, None, Some(1_000)]);
    // Not at the very end, where nobody is left to pass.
    for _ in 0..dice.between(5, 12) {
        let at = usize::try_from(dice.below(250)).unwrap_or_default();
        day.lines[at].kind = Kind::TurnedAway(asked_ms);
    }
    day.rules.max_in_flight = dice.one_of(&[1, 4, 64]);
    day.pace.rate_per_s = dice.one_of(&[20, 100, 400]);
    day
}

/// Few or many, in blocks anywhere or here and there; and in some of those days everybody is turned away from a
/// moment on, for one or more runs.
pub(super) fn away(dice: &mut Dice) -> Day {
    let mut day = good_day(dice.between(200, 400));
    let count = day.lines.len() as u64;
    let (kind, phase) = dice.one_of(&[
        (Kind::Forbidden, Phase::Forbidding(u64::MAX)),
        (Kind::Unauthorized, Phase::Revoked),
        (Kind::Redirected, Phase::Redirecting),
    ]);
    // A fifth of all at most, as blocks that are passed by the second run are.
    let bad = dice.one_of(&[1, 2, 3, 5, 19, 20, 30, 60]).min(count / 10);
    let starts = match dice.below(5) {
        0 => vec![0],
        // Few that stand behind a block are found in later runs.
        1 => vec![dice.below(count - bad - WAVE_LAST)],
        2 => vec![count - bad],
        3 => vec![0, count - bad],
        _ => Vec::new(),
    };
    for from in &starts {
        for (at, line) in (0..).zip(&mut day.lines) {
            if (*from..*from + bad).contains(&at) {
                line.kind = kind;
            }
        }
    }
    if starts.is_empty() {
        for _ in 0..bad {
            let at = usize::try_from(dice.below(count)).unwrap_or_default();
            day.lines[at].kind = kind;
        }
    }
    // More than the few that are ruled on together.
    day.window = dice.one_of(&[24, 64, 256]);
    day.rules.max_in_flight = dice.one_of(&[1, 4, 64]);
    day.pace.rate_per_s = dice.one_of(&[100, 400]);
    if dice.chance(400) {
        // Not just before the last ones: who continues a run says that the token is good where few are left.
        let from_ms = dice.below(count * 500 / day.pace.rate_per_s);
        day.phases = vec![(from_ms, Phase::Up), (u64::MAX, phase)];
        day.revoked_runs = usize::try_from(dice.between(1, 4)).unwrap_or(1);
    }
    day
}

/// Waves of a few updates, and trouble for everybody in some of them, which begins where others have passed and ends
/// before the last one, which is large.
pub(super) fn waves(dice: &mut Dice) -> Day {
    let wave = usize::try_from(dice.between(1, 7)).unwrap_or(1);
    let waves = usize::try_from(dice.between(4, 20)).unwrap_or(4);
    let mut day = good_day((wave * waves) as u64 + WAVE_LAST);
    let from_ms = dice.between(20, 200);
    let trouble = match dice.below(5) {
        0 => Phase::Throttling(None),
        1 => Phase::Forbidding(u64::MAX),
        2 => Phase::Redirecting,
        _ => Phase::Down(any_down(dice)),
    };
    day.wave = Some(wave);
    let for_ms = dice.one_of(&[500, 5_000, 60_000, 300_000]);
    day.phases = vec![(from_ms, Phase::Up), (from_ms + for_ms, trouble)];
    day
}
