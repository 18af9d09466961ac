//! How a day ended, and what must be true of it: what no single step shows.
//!
//! Not here: the promises held at every step (`checker.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::checker::ensure;
use super::day::{Day, Kind, Phase, Sort};
use crate::delivery::UpdateId;
use crate::delivery::outcome::StopCause;
use crate::ledger::FailureKind;

/// Requests above the server's count that a day may make, of hundreds.
const OVER_QUOTA_MAX: u64 = 4;

/// Time that a row which is pushed back for ever may cost the others.
const PUSHED_BACK_MS_MAX: u64 = 90_000;

/// Time that many rows which are turned away for ever may cost the others.
const SAME_MS_MAX: u64 = 120_000;

/// Attempts of an update behind one of its subject that ran out of them, as a multiple of those it has: what failed
/// while the server was taken for down is given back.
const FOLLOWER_TIMES: u32 = 5;

/// Time that rows which are turned away for a while may cost the others.
const MENDING_MS_MAX: u64 = 60_000;

/// Time in which a server that is well has answered.
const ANSWER_MS_MAX: u64 = 1_000;

/// Mean of the attempts of rows that are turned away for ever, as a multiple of those they have.
const TURNED_AWAY_TIMES: u32 = 5;

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Synced,
    Failed(FailureKind),
    /// In conflict to the end.
    Deferred,
    Leftover,
}

/// How a day ended.
#[derive(Debug, Default)]
pub(crate) struct Evening {
    pub(crate) fates: BTreeMap<UpdateId, Fate>,
    pub(crate) stop: Option<StopCause>,
    /// Every attempt: when, and how many were on the wire then.
    pub(crate) sent: Vec<(u64, usize)>,
    /// Attempts of each update, and when the last one was.
    pub(crate) attempts: BTreeMap<UpdateId, u32>,
    pub(crate) last_ms: BTreeMap<UpdateId, u64>,
    pub(crate) attempts_while_down: u64,
    pub(crate) probes: u64,
    pub(crate) openings: u64,
    pub(crate) throttled: u64,
    /// Requests above the server's count.
    pub(crate) over_quota: u64,
    /// When the last one was synced.
    pub(crate) synced_ms: u64,
    pub(crate) ended_ms: u64,
}

impl Evening {
    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.fates.values().filter(|other| **other == fate).count()
    }

    pub(crate) fn exhausted(&self) -> Vec<UpdateId> {
        let exhausted = self.fates.iter().filter(|(_, fate)| **fate == Fate::Failed(FailureKind::Exhausted));
        exhausted.map(|(id, _)| *id).collect()
    }

    /// Attempts a second, from one moment to another.
    pub(crate) fn per_s(&self, from_ms: u64, to_ms: u64) -> u64 {
        let count = self.sent.iter().filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms)).count() as u64;
        count * 1_000 / (to_ms - from_ms).max(1)
    }

    /// Holds the day against what is promised of its sort.
    pub(crate) fn judge(&self, day: &Day, applied: &BTreeMap<UpdateId, u32>) -> Result<(), String> {
        for (id, fate) in &self.fates {
            let is_applied = applied.contains_key(id);
            ensure(*fate != Fate::Synced || is_applied, || format!("{id} synced, and never applied"))?;
        }
        let all = day.lines.len();
        let is_stopped = self.stop.is_some() || day.drain_at_ms.is_some();
        ensure(is_stopped || self.fates.len() == all, || {
            format!("{} of {all} have a fate", self.fates.len())
        })?;
        // Every token of these days was good when it was read.
        let is_token_stop =
            self.stop == Some(StopCause::TokenRefused) && !day.token_dies && day.token_ms > 3_000;
        ensure(!is_token_stop || matches!(day.sort, Sort::Any | Sort::Forbidding | Sort::Waves), || {
            "stopped for a token that was good".into()
        })?;
        match day.sort {
            // Judged run by run (`away.rs`, `linked.rs`).
            Sort::Any | Sort::Away | Sort::Linked => Ok(()),
            Sort::Outage => self.judge_outage(day),
            Sort::Dead => self.judge_dead(day),
            Sort::Sick => self.judge_sick(day),
            Sort::Poison => self.judge_poison(day),
            Sort::Head => self.judge_head(day),
            Sort::Same => self.judge_same(day),
            Sort::Mending => self.judge_mending(day),
            Sort::Each => self.judge_each(day),
            Sort::PushedBack => self.judge_pushed_back(day),
            Sort::TurnedAway => self.judge_turned_away(day),
            Sort::Pushback | Sort::Dropping | Sort::Trickle => self.judge_all_synced(day),
            Sort::Forbidding => self.judge_forbidding(day),
            Sort::Chains => self.judge_chains(day),
            Sort::Waves => self.judge_waves(day),
            Sort::Counting => self.judge_counting(day),
            Sort::Shedding => self.judge_shedding(day),
            Sort::Knee => self.judge_knee(day),
            Sort::Chronic => self.judge_chronic(),
            Sort::Refusing => self.judge_refusing(),
        }
    }

    fn judge_all_synced(&self, day: &Day) -> Result<(), String> {
        let synced = self.count(Fate::Synced);
        ensure(synced == day.lines.len() && self.stop.is_none(), || {
            format!("{synced} of {} synced, stopped for {:?}", day.lines.len(), self.stop)
        })
    }

    fn judge_outage(&self, day: &Day) -> Result<(), String> {
        self.judge_all_synced(day)?;
        // Those on the wire when it began, a few until the breaker opened, then the probes: R11's 1.1.
        let probes_max = 64 + 40 + 600_000 / 30_000 + 5;
        ensure(self.attempts_while_down <= probes_max, || {
            format!("{} attempts at a server that was down", self.attempts_while_down)
        })
    }

    fn judge_dead(&self, day: &Day) -> Result<(), String> {
        let from_ms = day.phases.first().map_or(0, |(until_ms, _)| *until_ms);
        let exhausted = self.exhausted();
        ensure(exhausted.is_empty(), || format!("an outage cost {exhausted:?} their attempts"))?;
        ensure(self.stop == Some(StopCause::Outage), || format!("stopped for {:?}", self.stop))?;
        let until_ms = from_ms + day.rules.outage_max_ms + 10_000;
        ensure(self.ended_ms <= until_ms, || format!("ended at {} ms, not {until_ms}", self.ended_ms))
    }

    fn judge_sick(&self, day: &Day) -> Result<(), String> {
        self.judge_all_synced(day)?;
        let [(well_ms, _), (ill_ms, sickness)] = day.phases[..] else { return Ok(()) };
        let (before, ill) = (self.per_s(1_000, well_ms), self.per_s(well_ms + 4_000, ill_ms));
        ensure(ill * 2 <= before, || format!("{ill}/s at a sick server, {before}/s before"))?;
        // Answers that never come leave the adaptive limit at one, and one waits for three seconds then.
        let is_mute = matches!(sickness, Phase::Shaky(_)) && day.rules.adapts;
        // Ten failures in a row come by chance on one such day in a hundred, and open the breaker.
        let is_down = self.openings > 0;
        ensure(ill >= 4 || is_mute || is_down, || format!("{ill}/s: the server is hardly asked at all"))?;
        let after = self.per_s(ill_ms + 8_000, ill_ms + 13_000);
        let is_going_on = self.sent.last().is_some_and(|(at_ms, _)| *at_ms > ill_ms + 13_000);
        ensure(after * 10 >= before * 8 || !is_going_on || is_down, || {
            format!("{after}/s when the server is well again, {before}/s before")
        })
    }

    fn judge_poison(&self, day: &Day) -> Result<(), String> {
        let poison: Vec<UpdateId> =
            (0..).zip(&day.lines).filter(|(_, line)| line.kind.fails_for_ever()).map(|(id, _)| id).collect();
        let exhausted = self.exhausted();
        ensure(exhausted == poison, || {
            let stop = &self.stop;
            format!("exhausted are {exhausted:?}, and poison is {poison:?}; stopped for {stop:?}")
        })?;
        ensure(self.stop.is_none(), || format!("poison stopped the run: {:?}", self.stop))
    }

    fn judge_head(&self, day: &Day) -> Result<(), String> {
        self.judge_poison(day)
    }

    /// Who is turned away for ever does not hold up the others for long, and is given up after the attempts it has.
    fn judge_same(&self, day: &Day) -> Result<(), String> {
        self.judge_turned_away(day)?;
        let ideal_ms = day.lines.len() as u64 * 1_000 / day.pace.rate_per_s;
        let most_ms = ideal_ms * 2 + SAME_MS_MAX;
        ensure(self.synced_ms <= most_ms, || format!("{} ms for what {ideal_ms} are enough", self.synced_ms))
    }

    /// Who has attempts left when it is not turned away any more is synced, and so is everybody else, at the rate
    /// that there was.
    fn judge_mending(&self, day: &Day) -> Result<(), String> {
        ensure(self.stop.is_none(), || format!("stopped for {:?}", self.stop))?;
        let mended_ms = self.mended_ms(day);
        for (id, line) in (0..).zip(&day.lines) {
            let is_bad = matches!(line.kind, Kind::TurnedAwayUntil(_));
            let until_ms = if is_bad { mended_ms } else { 0 };
            let (fate, last_ms) = (self.fates.get(&id), self.last_ms.get(&id).copied().unwrap_or_default());
            ensure(fate == Some(&Fate::Synced) || last_ms < until_ms, || {
                format!("{id} is {fate:?}, sent last at {last_ms} ms and turned away until {until_ms}")
            })?;
        }
        // Every attempt takes its share of the rate.
        let bad = day.lines.iter().filter(|line| line.kind != Kind::Good).count() as u64;
        let attempts = day.lines.len() as u64 + bad * u64::from(day.rules.attempts_max);
        let per_s = day.pace.rate_per_s;
        let ideal_ms = day.server.shed.map_or(attempts * 1_000 / per_s, |shed| {
            let until_ms = shed.from_ms.min(attempts * 1_000 / per_s);
            until_ms + (attempts - until_ms * per_s / 1_000) * 1_000 / shed.per_s
        });
        let most_ms = ideal_ms * 3 / 2 + MENDING_MS_MAX;
        ensure(self.synced_ms <= most_ms, || format!("{} ms for what {ideal_ms} are enough", self.synced_ms))
    }

    /// From when on rows that were turned away for a while are not any more; where a proxy turns away anybody then,
    /// that is only known when the first of them has passed.
    fn mended_ms(&self, day: &Day) -> u64 {
        let mut mended_ms = 0;
        let mut passed_ms = u64::MAX;
        for (id, line) in (0..).zip(&day.lines) {
            if let Kind::TurnedAwayUntil(until_ms) = line.kind {
                mended_ms = until_ms;
                let is_synced = self.fates.get(&id) == Some(&Fate::Synced);
                let last_ms = self.last_ms.get(&id).copied().filter(|_| is_synced);
                passed_ms = passed_ms.min(last_ms.unwrap_or(u64::MAX));
            }
        }
        if day.server.shed.is_some() {
            mended_ms.max(passed_ms.saturating_add(ANSWER_MS_MAX))
        } else {
            mended_ms
        }
    }

    /// Subjects that fail every time fail with all of their updates, and with each after about the attempts that it
    /// has; unless one was first tried when nobody else was left, which nobody tells from an outage: all others are
    /// synced then.
    fn judge_each(&self, day: &Day) -> Result<(), String> {
        if self.stop.is_some() {
            return self.judge_left_alone(day);
        }
        self.judge_poison(day)?;
        let mut before = BTreeSet::new();
        for (id, line) in (0..).zip(&day.lines).filter(|(_, line)| line.kind.fails_for_ever()) {
            let (attempts, is_first) = (self.attempts.get(&id).copied(), before.insert(line.subject));
            ensure(is_first || attempts <= Some(day.rules.attempts_max * FOLLOWER_TIMES), || {
                format!("{id}, behind a failed one, was tried {attempts:?} times")
            })?;
        }
        Ok(())
    }

    fn judge_left_alone(&self, day: &Day) -> Result<(), String> {
        ensure(self.stop == Some(StopCause::Outage), || format!("stopped for {:?}", self.stop))?;
        for (id, line) in (0..).zip(&day.lines) {
            let (is_synced, is_good) = (self.fates.get(&id) == Some(&Fate::Synced), line.kind == Kind::Good);
            ensure(is_synced == is_good, || format!("{id} is {:?} where few are left", self.fates.get(&id)))?;
        }
        Ok(())
    }

    /// Everybody waits with every 429, and no longer for what it seems to tell of a rate.
    fn judge_pushed_back(&self, day: &Day) -> Result<(), String> {
        self.judge_poison(day)?;
        let pushed_back = day.lines.iter().filter(|line| line.kind.fails_for_ever()).count() as u64;
        let ideal_ms = day.lines.len() as u64 * 1_000 / day.pace.rate_per_s;
        let most_ms = ideal_ms * 2 + PUSHED_BACK_MS_MAX * pushed_back;
        ensure(self.synced_ms <= most_ms, || format!("{} ms for what {ideal_ms} are enough", self.synced_ms))
    }

    fn judge_turned_away(&self, day: &Day) -> Result<(), String> {
        self.judge_poison(day)?;
        let bad: Vec<u32> = (0..)
            .zip(&day.lines)
            .filter(|(_, line)| line.kind.fails_for_ever())
            .filter_map(|(id, _)| self.attempts.get(&id).copied())
            .collect();
        let mean = bad.iter().sum::<u32>() / u32::try_from(bad.len().max(1)).unwrap_or(1);
        ensure(mean <= day.rules.attempts_max * TURNED_AWAY_TIMES, || {
            format!("attempts of those that are turned away for ever: {bad:?}")
        })
    }

    /// Only what is forbidden or redirected on its own is refused; what the token may not is pending where no token
    /// comes that may.
    fn judge_forbidding(&self, day: &Day) -> Result<(), String> {
        let lasts = day.phases.iter().any(|(_, phase)| *phase == Phase::Forbidding(u64::MAX));
        let is_stopped = self.stop == Some(StopCause::TokenRefused);
        for (id, line) in (0..).zip(&day.lines) {
            let fate = self.fates.get(&id);
            let is_own = matches!(line.kind, Kind::Forbidden | Kind::Redirected);
            let is_right = match fate {
                Some(Fate::Failed(kind)) => is_own && *kind == FailureKind::Refused,
                Some(Fate::Synced) => !is_own,
                Some(Fate::Leftover) => is_stopped,
                Some(Fate::Deferred) | None => false,
            };
            ensure(is_right, || format!("{id} is {fate:?} where a token was forbidden"))?;
        }
        let is_over = self.count(Fate::Leftover) == 0;
        ensure(is_stopped == lasts || is_over, || {
            format!("a token forbidden, and stopped for {:?}", self.stop)
        })
    }

    /// A link whose wish is nobody's, or of somebody who is moved on, is synced; a circle is in conflict to the end.
    fn judge_chains(&self, day: &Day) -> Result<(), String> {
        let wishes: BTreeMap<u64, u64> = day
            .lines
            .iter()
            .filter_map(
                |line| if let Kind::Swap { has, wants } = line.kind { Some((has, wants)) } else { None },
            )
            .collect();
        for (id, line) in (0..).zip(&day.lines) {
            let mut is_circle = false;
            if let Kind::Swap { has, wants } = line.kind {
                let mut at = wants;
                while let Some(next) = wishes.get(&at).filter(|_| at != has) {
                    at = *next;
                }
                is_circle = at == has;
            }
            let wanted = if is_circle { Fate::Deferred } else { Fate::Synced };
            let fate = self.fates.get(&id);
            ensure(fate == Some(&wanted), || format!("{id} of a chain is {fate:?}, not {wanted:?}"))?;
        }
        Ok(())
    }

    /// Trouble that falls into a wave costs no row its verdict; where it does not end by itself, the run stops.
    fn judge_waves(&self, day: &Day) -> Result<(), String> {
        let is_failed = |fate: &Fate| matches!(fate, Fate::Failed(_) | Fate::Deferred);
        let failed: Vec<_> = self.fates.iter().filter(|(_, fate)| is_failed(fate)).collect();
        ensure(failed.is_empty(), || format!("a wave's trouble has cost {failed:?} their verdicts"))?;
        let may_stop =
            day.phases.iter().any(|(_, phase)| matches!(phase, Phase::Forbidding(_) | Phase::Redirecting));
        ensure(may_stop || self.stop.is_none(), || {
            format!("trouble that ended stopped the run: {:?}", self.stop)
        })
    }

    fn judge_counting(&self, day: &Day) -> Result<(), String> {
        self.judge_all_synced(day)?;
        let Some(limit) = day.server.quota else { return Ok(()) };
        // What is on the wire when the count is nearly spent.
        ensure(self.over_quota <= OVER_QUOTA_MAX, || {
            format!("{} requests above the server's count", self.over_quota)
        })?;
        let ideal_ms = day.lines.len() as u64 * limit.period_ms / limit.requests.max(1);
        let most_ms = ideal_ms * 2 + 3 * limit.period_ms;
        ensure(self.ended_ms <= most_ms, || format!("{} ms for what {ideal_ms} are enough", self.ended_ms))
    }

    /// What fails every time is exhausted, nothing else, and what the proxy lets through is used. How long a row that
    /// fails every time is tried behind all others is its own affair.
    fn judge_shedding(&self, day: &Day) -> Result<(), String> {
        self.judge_poison(day)?;
        let Some(limit) = day.server.shed else { return Ok(()) };
        let ideal_ms = day.lines.len() as u64 * 1_000 / limit.per_s;
        let most_ms = ideal_ms * 2 + 15_000;
        ensure(self.synced_ms <= most_ms, || format!("{} ms for what {ideal_ms} are enough", self.synced_ms))
    }

    fn judge_knee(&self, day: &Day) -> Result<(), String> {
        self.judge_all_synced(day)?;
        let workers = day.server.workers as u64;
        let mean_ms = day.server.work_ms + day.server.spread_ms / 2;
        let capacity = workers * 1_000 / mean_ms;
        let [(well_ms, _), (slow_ms, _)] = day.phases[..] else { return Ok(()) };
        for (from_ms, to_ms) in [(well_ms / 2, well_ms), (slow_ms + 8_000, slow_ms + 14_000)] {
            let is_going_on = self.sent.last().is_some_and(|(at_ms, _)| *at_ms > to_ms);
            let rate = self.per_s(from_ms, to_ms);
            ensure(rate * 10 >= capacity * 6 || !is_going_on, || {
                format!("{rate}/s from {from_ms} ms on, where the server takes {capacity}/s")
            })?;
            let on_wire: Vec<u64> = self
                .sent
                .iter()
                .filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms))
                .map(|(_, in_flight)| *in_flight as u64)
                .collect();
            let mean = on_wire.iter().sum::<u64>() / (on_wire.len() as u64).max(1);
            ensure(mean <= workers * 2 + 2 || !is_going_on, || {
                format!("{mean} on the wire from {from_ms} ms on, at a server with {workers} workers")
            })?;
        }
        Ok(())
    }

    /// Nothing but chronic rows: they fail, the run ends by itself, and nobody takes the server for down.
    fn judge_chronic(&self) -> Result<(), String> {
        ensure(self.stop.is_none(), || format!("chronic rows stopped the run: {:?}", self.stop))?;
        ensure(self.openings == 0, || "chronic rows opened the breaker".into())?;
        let is_failed = |fate: &Fate| matches!(fate, Fate::Failed(_) | Fate::Synced);
        ensure(self.fates.values().all(is_failed), || format!("not failed: {:?}", self.fates))
    }

    fn judge_refusing(&self) -> Result<(), String> {
        let is_seen = matches!(self.stop, Some(StopCause::NothingAccepted { subjects: 20, .. }));
        ensure(is_seen, || format!("nothing was accepted, and the run ended with {:?}", self.stop))?;
        let leftover = self.count(Fate::Leftover);
        ensure(leftover == self.fates.len(), || format!("{leftover} of {} left over", self.fates.len()))?;
        ensure(self.sent.len() < 24, || format!("{} attempts at first contact", self.sent.len()))
    }
}
