//! A day: everything that will happen in it, drawn from a seed. Days are compressed: minutes of virtual time, a few
//! hundred updates; sorts take turns from seed to seed.
//!
//! Not here: how the day goes (`mod.rs`), and what must be true of it (`checker.rs` at every step, `evening.rs` at
//! its end).

use bad::{away, each, head, mending, pushed_back, same, turned_away, waves};
use linked::linked;

use super::dice::Dice;
use super::planted::Flaw;
use crate::delivery::DeliveryRules;

mod bad;
mod linked;

/// What an update does to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    Refused,
    Conflict,
    Mismatch,
    Forbidden,
    /// Is answered with 401 every time.
    Unauthorized,
    Redirected,
    /// Fails with 5xx every time.
    Poison,
    /// Is answered with 503 every time, which may name a delay.
    TurnedAway(Option<u64>),
    /// Is answered with a plain 503 up to a moment, and then taken in.
    TurnedAwayUntil(u64),
    /// Is answered with 429 every time.
    PushedBack(Option<u64>),
    /// Its subject has a value, and wants another that nobody else may have.
    Swap {
        has: u64,
        wants: u64,
    },
}

impl Kind {
    /// Whether it is answered with what may pass, every time.
    pub(crate) fn fails_for_ever(self) -> bool {
        matches!(self, Kind::Poison | Kind::TurnedAway(_) | Kind::PushedBack(_))
    }
}

/// A line of the file: an update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) subject: u64,
    pub(crate) kind: Kind,
    /// Refused or exhausted in earlier batches.
    pub(crate) chronic: bool,
    /// Whom it is linked with, on days that know it beforehand.
    pub(crate) link: Option<Link>,
}

impl Line {
    /// Nobody's fault, and linked with nobody.
    pub(crate) fn good(subject: u64) -> Line {
        Line { subject, kind: Kind::Good, chronic: false, link: None }
    }

    /// Whether it only clears what another subject takes, so that a ring is broken.
    pub(crate) fn is_clear(&self) -> bool {
        self.link.is_some_and(|link| link.wants.is_none())
    }
}

/// What an update gives up, and what it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) has: u64,
    /// `None` for a clear.
    pub(crate) wants: Option<u64>,
    /// All that wait for each other's waves have one number.
    pub(crate) group: u32,
    /// The ring it belongs to, from 1; 0 for none.
    pub(crate) ring: u32,
}

/// The ways to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    Refusing,
    Silent,
    /// 503 with `Retry-After`.
    Asking(u64),
    /// 503 without.
    TurningAway,
    Failing,
}

/// How the server is, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Up,
    /// Takes so many hundredths of the time it usually takes.
    Slow(u64),
    /// Answers so many of a thousand with 500.
    Failing(u64),
    /// Fails so many of a thousand in every way there is.
    Shaky(u64),
    /// Does what it is asked to, and drops so many of a thousand connections then.
    Dropping(u64),
    Down(Down),
    /// Answers 403 to everybody whose token is older than this generation.
    Forbidding(u64),
    /// Answers 401 to everybody, whatever the token.
    Revoked,
    /// Redirects everybody, as a captive portal does.
    Redirecting,
    /// Pushes everybody back, with or without `Retry-After`.
    Throttling(Option<u64>),
}

/// Rate and burst in force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rate_per_s: u64,
    pub(crate) burst: u64,
}

/// The server's own limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) requests: u64,
    pub(crate) period_ms: u64,
    /// Whether its 429 names a delay.
    pub(crate) says_when: bool,
}

/// The modelled server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    /// Requests it works on at once: the knee.
    pub(crate) workers: usize,
    pub(crate) work_ms: u64,
    pub(crate) spread_ms: u64,
    pub(crate) quota: Option<Limit>,
    /// What a proxy before it lets through in a second, and at once; the rest is turned away with a plain 503 or 429.
    pub(crate) shed: Option<Shed>,
}

/// A proxy's limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shed {
    pub(crate) per_s: u64,
    pub(crate) burst: u64,
    pub(crate) status: u16,
    /// It lets everything through before.
    pub(crate) from_ms: u64,
}

/// What a day is about; its evening is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// Anything.
    Any,
    /// Ten minutes without the server.
    Outage,
    /// The server does not come back.
    Dead,
    /// Half of all fails for a minute.
    Sick,
    /// A file that is read slowly, and a server that fails half of all for a while.
    Trickle,
    /// Some rows fail every time.
    Poison,
    /// Rows that fail every time at the head of the file, more than are held.
    Head,
    /// Rows that are turned away or pushed back every time, many of them, anywhere in the file.
    Same,
    /// Rows that are turned away for a while, many of them, and what comes behind them.
    Mending,
    /// Subjects that fail every time, each with several updates.
    Each,
    /// Some rows are pushed back every time.
    PushedBack,
    /// Some rows are turned away every time, in a small file.
    TurnedAway,
    /// Pushback and expiring tokens.
    Pushback,
    /// Rows that are turned away for their own sake, in several runs.
    Away,
    /// A token that suddenly may not any more, and rows that never might.
    Forbidding,
    /// Chains of values that depend on each other.
    Chains,
    /// Small waves, into which trouble falls.
    Waves,
    /// Chains and rings in which each waits for the one before, and trouble that falls into them; in several runs.
    Linked,
    /// A server that counts.
    Counting,
    /// A proxy that turns away what comes too fast, and rows that fail every time.
    Shedding,
    /// As fast as the server can, which is slow for a while.
    Knee,
    /// Nothing but chronic rows.
    Chronic,
    /// Connections dropped after the work was done.
    Dropping,
    /// A target that accepts nothing.
    Refusing,
}

/// By the seed's remainder.
pub(crate) const SORTS: [Sort; 24] = [
    Sort::Any,
    Sort::Outage,
    Sort::Away,
    Sort::Sick,
    Sort::Shedding,
    Sort::Chains,
    Sort::Forbidding,
    Sort::Counting,
    Sort::Knee,
    Sort::Chronic,
    Sort::Trickle,
    Sort::Pushback,
    Sort::Poison,
    Sort::Dropping,
    Sort::Dead,
    Sort::Refusing,
    Sort::Head,
    Sort::PushedBack,
    Sort::TurnedAway,
    Sort::Waves,
    Sort::Same,
    Sort::Mending,
    Sort::Each,
    Sort::Linked,
];

/// A day.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    pub(crate) sort: Sort,
    pub(crate) rules: DeliveryRules,
    /// What the scheduler is told, where a planted flaw makes it differ.
    pub(crate) told: DeliveryRules,
    pub(crate) lines: Vec<Line>,
    /// Updates that are held at a time, but for those that wait for a retry.
    pub(crate) window: usize,
    /// Lines read in a second.
    pub(crate) lines_per_s: u64,
    /// Whether chronic rows have a pass of their own, as in the program; else they come as they stand.
    pub(crate) has_late_pass: bool,
    /// Updates of a wave, where the file is handed over in waves, each when the one before is settled.
    pub(crate) wave: Option<usize>,
    /// In order, each until a moment; up afterwards.
    pub(crate) phases: Vec<(u64, Phase)>,
    pub(crate) server: Server,
    pub(crate) pace: Pace,
    /// Lifetime of a token.
    pub(crate) token_ms: u64,
    /// Whether reading the token again fails in the end.
    pub(crate) token_dies: bool,
    /// Runs that end in what turns everybody away, where the file is sent in several runs.
    pub(crate) revoked_runs: usize,
    /// Whether the token is another one after these.
    pub(crate) renews_token: bool,
    /// Whether the server lets a value be one subject's alone.
    pub(crate) are_values_unique: bool,
    pub(crate) drain_at_ms: Option<u64>,
    pub(crate) flaw: Option<Flaw>,
}

/// The day of a seed.
pub(crate) fn day_of(seed: u64) -> Day {
    let sort = SORTS[usize::try_from(seed % SORTS.len() as u64).unwrap_or_default()];
    day_about(sort, seed)
}

/// A day of a sort.
pub(crate) fn day_about(sort: Sort, seed: u64) -> Day {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut day = match sort {
        Sort::Any => any_day(&mut dice),
        Sort::Outage => outage(&mut dice),
        Sort::Dead => dead(&mut dice),
        Sort::Sick => sick(&mut dice),
        Sort::Trickle => trickle(&mut dice),
        Sort::Poison => poison(&mut dice),
        Sort::Head => head(&mut dice),
        Sort::Same => same(&mut dice),
        Sort::Mending => mending(&mut dice),
        Sort::Each => each(&mut dice),
        Sort::PushedBack => pushed_back(&mut dice),
        Sort::TurnedAway => turned_away(&mut dice),
        Sort::Away => away(&mut dice),
        Sort::Pushback => pushback(&mut dice),
        Sort::Forbidding => forbidding(&mut dice),
        Sort::Chains => chains(&mut dice),
        Sort::Waves => waves(&mut dice),
        Sort::Linked => linked(&mut dice),
        Sort::Counting => counting(&mut dice),
        Sort::Shedding => shedding(&mut dice),
        Sort::Knee => knee(&mut dice),
        Sort::Chronic => chronic(&mut dice),
        Sort::Dropping => dropping(&mut dice),
        Sort::Refusing => refusing(&mut dice),
    };
    day.sort = sort;
    day.told = day.rules.clone();
    day
}

/// Nothing but good rows, and a good server.
pub(crate) fn good_day(count: u64) -> Day {
    let rules = DeliveryRules { proven: true, ..DeliveryRules::default() };
    Day {
        sort: Sort::Any,
        told: rules.clone(),
        rules,
        lines: (0..count).map(Line::good).collect(),
        window: usize::MAX,
        lines_per_s: 100_000,
        has_late_pass: true,
        wave: None,
        phases: Vec::new(),
        server: Server { workers: 32, work_ms: 20, spread_ms: 20, quota: None, shed: None },
        pace: Pace { rate_per_s: 100, burst: 2 },
        token_ms: u64::MAX,
        token_dies: false,
        revoked_runs: 0,
        renews_token: true,
        are_values_unique: true,
        drain_at_ms: None,
        flaw: None,
    }
}

fn any_down(dice: &mut Dice) -> Down {
    let asked_ms = 200 + dice.below(3_000);
    dice.one_of(&[Down::Refusing, Down::Silent, Down::Asking(asked_ms), Down::Failing])
}

fn any_phase(dice: &mut Dice) -> Phase {
    match dice.below(8) {
        0 => Phase::Up,
        1 => Phase::Shaky(dice.below(900)),
        2 => Phase::Failing(dice.below(900)),
        3 => Phase::Dropping(dice.below(900)),
        4 => Phase::Slow(100 + dice.below(900)),
        5 => Phase::Down(any_down(dice)),
        6 => Phase::Throttling(None),
        _ => Phase::Throttling(Some(dice.below(6_000))),
    }
}

fn any_line(dice: &mut Dice, subjects: u64, bad_per_mille: u64) -> Line {
    let bad = [
        Kind::Refused,
        Kind::Conflict,
        Kind::Mismatch,
        Kind::Forbidden,
        Kind::Poison,
        Kind::Swap { has: dice.below(40), wants: dice.below(40) },
    ];
    let kind = if dice.chance(bad_per_mille) { dice.one_of(&bad) } else { Kind::Good };
    Line { subject: dice.below(subjects), kind, chronic: dice.chance(50), link: None }
}

fn any_day(dice: &mut Dice) -> Day {
    let count = dice.between(40, 240);
    let subjects = dice.between(1, count);
    let bad_per_mille = dice.one_of(&[0, 30, 200]);
    let mut phases = Vec::new();
    let mut until_ms = 0;
    for _ in 0..dice.below(6) {
        until_ms += dice.between(100, 20_000);
        phases.push((until_ms, any_phase(dice)));
    }
    let rules = DeliveryRules {
        proven: dice.chance(500),
        max_in_flight: usize::try_from(dice.between(1, 64)).unwrap_or(1),
        ready_max: usize::try_from(dice.between(1, 100)).unwrap_or(1),
        held_max: usize::try_from(dice.between(1, 200)).unwrap_or(1),
        adapts: dice.chance(700),
        failures_max: dice.chance(100).then(|| dice.below(5)),
        outage_max_ms: dice.between(10_000, 900_000),
        ..DeliveryRules::default()
    };
    let quota = dice.chance(200).then(|| any_limit(dice));
    let mut day = Day {
        rules,
        lines: (0..count).map(|_| any_line(dice, subjects, bad_per_mille)).collect(),
        lines_per_s: dice.one_of(&[20, 200, 100_000]),
        has_late_pass: dice.chance(500),
        phases,
        server: Server {
            workers: usize::try_from(dice.between(1, 40)).unwrap_or(1),
            work_ms: dice.between(1, 60),
            spread_ms: dice.below(60),
            quota,
            shed: None,
        },
        pace: Pace { rate_per_s: dice.between(20, 420), burst: dice.between(2, 8) },
        token_ms: if dice.chance(500) { dice.between(500, 10_500) } else { u64::MAX },
        token_dies: dice.chance(200),
        drain_at_ms: dice.chance(100).then(|| dice.below(10_000)),
        ..good_day(0)
    };
    day.rules.retry_elapsed_max_ms = dice.chance(300).then(|| dice.below(10_000));
    if day.rules.proven && dice.chance(300) {
        // At first contact one of them is the end.
        for _ in 0..dice.between(1, 4) {
            let at = usize::try_from(dice.below(count)).unwrap_or_default();
            day.lines[at].kind = Kind::Redirected;
        }
    }
    day
}

fn any_limit(dice: &mut Dice) -> Limit {
    let period_ms = dice.one_of(&[1_000, 5_000, 20_000]);
    let per_s = dice.between(5, 60);
    Limit { requests: (per_s * period_ms / 1_000).max(4), period_ms, says_when: dice.chance(500) }
}

fn outage(dice: &mut Dice) -> Day {
    let from_ms = dice.below(4_000);
    let down = any_down(dice);
    let phases = vec![(from_ms, Phase::Up), (from_ms + 600_000, Phase::Down(down))];
    Day { phases, ..good_day(500) }
}

fn dead(dice: &mut Dice) -> Day {
    let from_ms = dice.below(4_000);
    let down = any_down(dice);
    Day { phases: vec![(from_ms, Phase::Up), (u64::MAX, Phase::Down(down))], ..good_day(500) }
}

fn sick(dice: &mut Dice) -> Day {
    let is_mixed = dice.chance(300);
    let sickness = if is_mixed { Phase::Shaky(500) } else { Phase::Failing(500) };
    let mut day = good_day(2_400);
    day.rules.adapts = dice.chance(500);
    day.phases = vec![(6_000, Phase::Up), (30_000, sickness)];
    day
}

fn trickle(dice: &mut Dice) -> Day {
    let from_ms = dice.below(2_000);
    let phases = vec![(from_ms, Phase::Up), (from_ms + dice.between(10_000, 20_000), Phase::Failing(500))];
    Day { lines_per_s: dice.between(10, 40), phases, ..good_day(400) }
}

fn poison(dice: &mut Dice) -> Day {
    let mut day = good_day(600);
    for _ in 0..12 {
        let at = usize::try_from(dice.below(550)).unwrap_or_default();
        day.lines[at].kind = Kind::Poison;
    }
    day.rules.retry_elapsed_max_ms = dice.chance(500).then(|| dice.between(200, 2_000));
    day
}

fn pushback(dice: &mut Dice) -> Day {
    let quiet_ms = dice.chance(500).then(|| dice.between(500, 1_500));
    let phases = (0..10).map(|n| {
        let phase = if n % 2 == 1 { Phase::Throttling(quiet_ms) } else { Phase::Up };
        (n * 900 + 900, phase)
    });
    // Longer than a stretch of pushback, or a token would die before anything passed under it.
    Day { phases: phases.collect(), token_ms: dice.between(3_000, 3_500), ..good_day(400) }
}

/// Until a new token comes, or for good; with rows that are forbidden on their own before it, never twenty in a row.
fn forbidding(dice: &mut Dice) -> Day {
    let from_ms = dice.between(1_500, 3_000);
    let generation = dice.one_of(&[1, u64::MAX]);
    let mut day = good_day(400);
    for _ in 0..dice.below(12) {
        let at = usize::try_from(dice.below(300)).unwrap_or_default();
        day.lines[at].kind = Kind::Forbidden;
    }
    // Three in a row would be the address.
    for _ in 0..dice.below(3) {
        let at = usize::try_from(dice.below(300)).unwrap_or_default();
        day.lines[at].kind = Kind::Redirected;
    }
    day.phases = vec![(from_ms, Phase::Up), (u64::MAX, Phase::Forbidding(generation))];
    day.pace.rate_per_s = dice.one_of(&[20, 100, 400]);
    day.server.work_ms = dice.one_of(&[5, 20, 200]);
    day
}

/// Chains of two to twelve in the worst order or any, swaps that nothing resolves, and good ones between.
fn chains(dice: &mut Dice) -> Day {
    let mut day = good_day(0);
    let mut subject = 0;
    for chain in 0..dice.between(2, 8) {
        let length = dice.between(2, 12);
        let is_circle = dice.chance(200);
        let first = chain * 100;
        let mut links: Vec<Line> = (0..length)
            .map(|at| {
                let wants = if is_circle { first + (at + 1) % length } else { first + at + 1 };
                let kind = Kind::Swap { has: first + at, wants };
                Line { kind, ..Line::good(subject + at) }
            })
            .collect();
        if dice.chance(500) {
            links.reverse();
        }
        subject += length;
        day.lines.extend(links);
        for _ in 0..dice.below(20) {
            day.lines.push(Line::good(10_000 + day.lines.len() as u64));
        }
    }
    if dice.chance(300) {
        day.phases = vec![(2_000, Phase::Dropping(300))];
    }
    day
}

fn counting(dice: &mut Dice) -> Day {
    let mut day = good_day(400);
    day.server.quota = Some(any_limit(dice));
    day.pace.rate_per_s = dice.between(50, 400);
    day
}

fn shedding(dice: &mut Dice) -> Day {
    let mut day = good_day(700);
    day.rules.attempts_max = 4;
    day.server.shed = Some(Shed {
        per_s: dice.between(20, 80),
        burst: dice.between(1, 20),
        status: dice.one_of(&[503, 503, 429]),
        from_ms: 0,
    });
    day.pace = Pace { rate_per_s: dice.one_of(&[100, 300, 2_000]), burst: 4 };
    // As many as never are the server.
    for _ in 0..dice.below(4) {
        let at = usize::try_from(dice.below(650)).unwrap_or_default();
        day.lines[at].kind = Kind::Poison;
    }
    day
}

fn knee(dice: &mut Dice) -> Day {
    let workers = dice.between(4, 24);
    let work_ms = dice.between(20, 60);
    // Well, slow for a while, and well again.
    let count = workers * 25_000 / work_ms;
    let mut day = good_day(count.min(9_000));
    let spread_ms = work_ms / 4;
    day.server = Server {
        workers: usize::try_from(workers).unwrap_or(1),
        work_ms,
        spread_ms,
        quota: None,
        shed: None,
    };
    day.pace = Pace { rate_per_s: 20_000, burst: 40 };
    day.phases = vec![(8_000, Phase::Up), (14_000, Phase::Slow(300))];
    day
}

fn chronic(dice: &mut Dice) -> Day {
    let count = dice.between(10, 60);
    let mut day = good_day(count);
    let kinds = [Kind::Refused, Kind::Mismatch, Kind::Poison];
    let is_all_poison = dice.chance(300);
    for line in &mut day.lines {
        line.kind = if is_all_poison { Kind::Poison } else { dice.one_of(&kinds) };
        line.chronic = true;
    }
    day.rules.proven = dice.chance(500);
    day
}

fn dropping(dice: &mut Dice) -> Day {
    let per_mille = dice.between(50, 500);
    Day { phases: vec![(dice.between(1_000, 8_000), Phase::Dropping(per_mille))], ..good_day(600) }
}

fn refusing(dice: &mut Dice) -> Day {
    let mut day = good_day(200);
    day.rules.proven = false;
    let kind = dice.one_of(&[Kind::Refused, Kind::Mismatch]);
    day.lines.iter_mut().for_each(|line| line.kind = kind);
    day
}
