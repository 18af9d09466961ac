//! Days of chains and rings whose order is known beforehand, in the midst of which everybody is turned away, for a
//! while or for several runs; and of links that are turned away for their own sake.
//!
//! Not here: when each has its turn (`links.rs`), and what must be true of such days (`linked.rs`).

use super::super::dice::Dice;
use super::{Day, Down, Kind, Line, Link, Phase, good_day};

/// Time that a link takes, in which nobody else of its chain is sent.
const LINK_MS: u64 = 40;

/// How everybody is turned away, and a row for its own sake.
const WAYS: [(Kind, Phase); 4] = [
    (Kind::Forbidden, Phase::Forbidding(u64::MAX)),
    (Kind::Unauthorized, Phase::Revoked),
    (Kind::Redirected, Phase::Redirecting),
    (Kind::TurnedAway(None), Phase::Down(Down::TurningAway)),
];

/// Chains, rings and swaps of two between others or alone, in the order of the file or against it.
pub(super) fn linked(dice: &mut Dice) -> Day {
    let (others, many) = (dice.between(1, 40), dice.between(20, 60));
    let mut day = good_day(dice.one_of(&[0, 1, 3, others, many]));
    let others = day.lines.len() as u64;
    let mut longest = 0;
    let mut clears = Vec::new();
    for number in 1..=dice.between(1, 5) {
        // Some are linked with the one before in some other way: they wait for each other's waves.
        let group = if number > 1 && dice.chance(200) { number - 1 } else { number };
        let (is_ring, length) = (dice.chance(500), dice.one_of(&[2, 2, 3, 4, 7, 12]));
        longest = longest.max(length + 1);
        let mut links = links_of(number, group, (is_ring, length));
        clears.extend(links.first().filter(|_| is_ring).copied().map(clear_of));
        if dice.chance(500) {
            links.reverse();
        }
        let at = usize::try_from(dice.below(day.lines.len() as u64 + 1)).unwrap_or_default();
        day.lines.splice(at..at, links);
    }
    day.lines.extend(clears);
    let (kind, phase) = dice.one_of(&WAYS);
    for _ in 0..dice.one_of(&[0, 0, 1, 1, 2, 3]) {
        let at = usize::try_from(dice.below(day.lines.len() as u64)).unwrap_or_default();
        let subject = day.lines[at].subject;
        // Whoever is turned away for its own sake is so with its clear, too.
        day.lines.iter_mut().filter(|line| line.subject == subject).for_each(|line| line.kind = kind);
    }
    day.pace.rate_per_s = dice.one_of(&[20, 100, 400]);
    day.window = dice.one_of(&[2, 4, 16, 64]);
    day.rules.max_in_flight = dice.one_of(&[1, 4, 64]);
    day.rules.outage_max_ms = dice.one_of(&[20_000, 120_000, 900_000]);
    day.rules.attempts_max = dice.one_of(&[2, 5, 8]);
    day.are_values_unique = dice.chance(800);
    day.renews_token = dice.chance(700);
    if dice.chance(700) {
        // Those that are linked go behind the others.
        let before_ms = others * 1_000 / day.pace.rate_per_s;
        let link_ms = LINK_MS.max(1_000 / day.pace.rate_per_s);
        let from_ms = before_ms + dice.below(longest * link_ms);
        let is_for_ever = phase != Phase::Down(Down::TurningAway) || dice.chance(500);
        let for_ms = dice.one_of(&[200, 2_000, 10_000, 60_000]);
        let until_ms = if is_for_ever { u64::MAX } else { from_ms + for_ms };
        if !is_for_ever {
            // Fewer may be used up by then.
            day.rules.attempts_max = 8;
        }
        day.phases = vec![(from_ms, Phase::Up), (until_ms, phase)];
        day.revoked_runs = if is_for_ever { usize::try_from(dice.between(1, 4)).unwrap_or(1) } else { 0 };
    }
    day
}

/// The links of a chain or ring, each of which takes what the next one has.
fn links_of(number: u64, group: u64, (is_ring, length): (bool, u64)) -> Vec<Line> {
    let first = number * 100;
    let ring = if is_ring { number } else { 0 };
    let link = |at: u64| {
        let wants = if is_ring { (at + 1) % length } else { at + 1 };
        let link =
            Link { has: first + at, wants: Some(first + wants), group: small(group), ring: small(ring) };
        Line { link: Some(link), ..Line::good(10_000 + first + at) }
    };
    (0..length).map(link).collect()
}

/// What is cleared of the subject of a ring before all of it.
fn clear_of(line: Line) -> Line {
    Line { link: line.link.map(|link| Link { wants: None, ..link }), ..line }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
