//! The modelled server: so many workers, each request taking its time, so that latency grows past a knee; unique values
//! that one subject alone can have; tokens that expire; a count of what it takes; and the troubles of the day.
//!
//! It knows the truth that the checker and the evening ask for: what was applied, and how often. Not here: when
//! anything is sent (`mod.rs`), and which troubles a day has (`day.rs`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::day::{Down, Kind, Line, Phase, Server as Rules};
use super::dice::Dice;
use crate::delivery::UpdateId;
use crate::delivery::outcome::{Outcome, Quota, Seen};

/// How long the client waits for an answer.
pub(crate) const TIMEOUT_MS: u64 = 3_000;
/// What a refused connection takes, or an answer for which nothing is done.
const QUICK_MS: u64 = 4;
/// Longest time that the refusal of a token takes.
const REFUSAL_MS_MAX: u64 = 600;

/// An answer, and when it arrives.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) seen: Seen,
    pub(crate) at_ms: u64,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    rules: Rules,
    /// When each worker is free.
    workers: BinaryHeap<Reverse<u64>>,
    /// The token that is good, and until when.
    pub(crate) generation: u64,
    pub(crate) token_until_ms: u64,
    owners: BTreeMap<u64, u64>,
    values: BTreeMap<u64, u64>,
    are_values_unique: bool,
    /// How often each update was applied.
    pub(crate) applied: BTreeMap<UpdateId, u32>,
    /// Requests of the period, and which period.
    period: (u64, u64),
    /// Requests above the count.
    pub(crate) over_quota: u64,
    /// Thousandths of requests that the proxy lets through, and when that was so.
    level: (u64, u64),
}

impl Server {
    pub(crate) fn new(rules: Rules, lines: &[Line], token_until_ms: u64, are_values_unique: bool) -> Server {
        let workers = (0..rules.workers).map(|_| Reverse(0)).collect();
        let mut server = Server {
            rules,
            workers,
            generation: 0,
            token_until_ms,
            owners: BTreeMap::new(),
            values: BTreeMap::new(),
            are_values_unique,
            applied: BTreeMap::new(),
            period: (0, 0),
            over_quota: 0,
            level: (rules.shed.map_or(0, |shed| shed.burst * 1_000), 0),
        };
        for line in lines {
            let has = match (line.kind, line.link) {
                (Kind::Swap { has, .. }, _) => Some(has),
                (_, link) => link.map(|link| link.has),
            };
            if let Some(has) = has {
                server.owners.entry(has).or_insert(line.subject);
                server.values.entry(line.subject).or_insert(has);
            }
        }
        server
    }

    /// The same server, which begins another run: it is free, and who has what stays.
    pub(crate) fn again(self) -> Server {
        let Server { rules, owners, values, are_values_unique, .. } = self;
        Server { owners, values, ..Server::new(rules, &[], u64::MAX, are_values_unique) }
    }

    /// Who has a value.
    pub(crate) fn owner(&self, value: u64) -> Option<u64> {
        self.owners.get(&value).copied()
    }

    /// Takes a request. What it does is done at once; what it says arrives later, or never.
    pub(crate) fn take(
        &mut self,
        (id, line): (UpdateId, &Line),
        phase: Phase,
        generation: u64,
        now_ms: u64,
        dice: &mut Dice,
    ) -> Answer {
        let slow_percent = if let Phase::Slow(percent) = phase { percent } else { 100 };
        let work_ms = (self.rules.work_ms + dice.below(self.rules.spread_ms + 1)) * slow_percent / 100;
        let (outcome, status, is_work) = self.outcome(id, line, phase, generation, now_ms, dice);
        let quota = if status.is_some() { self.quota(now_ms) } else { None };
        let done_ms = if is_work {
            self.work(now_ms, work_ms)
        } else if outcome == Outcome::TokenRefused {
            // Some of them are late, when the new token is long in force.
            now_ms + QUICK_MS + dice.below(REFUSAL_MS_MAX)
        } else {
            now_ms + QUICK_MS
        };
        let timeout_ms = now_ms + TIMEOUT_MS;
        let is_late = outcome == Outcome::TimedOut || done_ms >= timeout_ms;
        let token_generation = generation;
        if is_late {
            let seen = Seen { outcome: Outcome::TimedOut, status: None, quota: None, token_generation };
            return Answer { seen, at_ms: timeout_ms };
        }
        Answer { seen: Seen { outcome, status, quota, token_generation }, at_ms: done_ms.max(now_ms + 1) }
    }

    /// What comes of it, its status, and whether a worker is busy with it.
    fn outcome(
        &mut self,
        id: UpdateId,
        line: &Line,
        phase: Phase,
        generation: u64,
        now_ms: u64,
        dice: &mut Dice,
    ) -> (Outcome, Option<u16>, bool) {
        let failed = |status: u16, retry_after_ms| {
            (Outcome::ServerFailed { signature: format!("{status}"), retry_after_ms }, Some(status), false)
        };
        match phase {
            Phase::Down(Down::Refusing) => return (Outcome::NotConnected, None, false),
            Phase::Down(Down::Silent) => return (Outcome::TimedOut, None, false),
            Phase::Down(Down::Asking(ms)) => return failed(503, Some(ms)),
            Phase::Down(Down::TurningAway) => return failed(503, None),
            Phase::Down(Down::Failing) => return failed(502, None),
            Phase::Throttling(retry_after_ms) => {
                return (Outcome::Throttled { retry_after_ms }, Some(429), false);
            }
            Phase::Failing(per_mille) if dice.chance(per_mille) => return failed(500, None),
            Phase::Shaky(per_mille) if dice.chance(per_mille) => match dice.below(5) {
                0 => return (Outcome::NotConnected, None, false),
                1 => return (Outcome::TimedOut, None, false),
                2 => return (Outcome::Disconnected, None, false),
                3 => return failed(503, None),
                _ => return failed(500, None),
            },
            Phase::Forbidding(fresh) if generation < fresh => {
                return (Outcome::Forbidden { signature: "403 no".into() }, Some(403), false);
            }
            Phase::Revoked => return (Outcome::TokenRefused, Some(401), false),
            Phase::Redirecting => return (Outcome::Redirected, Some(302), false),
            Phase::Forbidding(_)
            | Phase::Up
            | Phase::Slow(_)
            | Phase::Failing(_)
            | Phase::Shaky(_)
            | Phase::Dropping(_) => {}
        }
        if let Some(status) = self.shed(now_ms) {
            let outcome = match status {
                429 => Outcome::Throttled { retry_after_ms: None },
                _ => Outcome::ServerFailed { signature: format!("{status}"), retry_after_ms: None },
            };
            return (outcome, Some(status), false);
        }
        if let Some(outcome) = self.count(now_ms) {
            return (outcome, Some(429), false);
        }
        if generation != self.generation || now_ms >= self.token_until_ms {
            return (Outcome::TokenRefused, Some(401), false);
        }
        let (outcome, status) = self.apply(id, line, now_ms);
        // Done, and nobody hears of it.
        if let Phase::Dropping(per_mille) = phase
            && dice.chance(per_mille)
        {
            return (Outcome::Disconnected, None, true);
        }
        (outcome, Some(status), true)
    }

    fn apply(&mut self, id: UpdateId, line: &Line, now_ms: u64) -> (Outcome, u16) {
        let signature = || String::from("4xx no");
        match line.kind {
            Kind::Refused => return (Outcome::Refused { signature: signature() }, 422),
            Kind::Forbidden => return (Outcome::Forbidden { signature: signature() }, 403),
            Kind::Unauthorized => return (Outcome::TokenRefused, 401),
            Kind::Redirected => return (Outcome::Redirected, 307),
            Kind::Conflict => return (Outcome::Conflict { signature: signature() }, 409),
            Kind::Poison => {
                return (Outcome::ServerFailed { signature: "500 oops".into(), retry_after_ms: None }, 500);
            }
            Kind::TurnedAway(retry_after_ms) => {
                return (Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms }, 503);
            }
            Kind::TurnedAwayUntil(until_ms) if now_ms < until_ms => {
                return (Outcome::ServerFailed { signature: "503 no".into(), retry_after_ms: None }, 503);
            }
            Kind::PushedBack(retry_after_ms) => return (Outcome::Throttled { retry_after_ms }, 429),
            Kind::Swap { .. } | Kind::Good | Kind::Mismatch | Kind::TurnedAwayUntil(_) => {}
        }
        let wants = if let Kind::Swap { wants, .. } = line.kind { Some(wants) } else { None };
        let wants = wants.or(line.link.and_then(|link| link.wants));
        if let Some(wants) = wants
            && !self.moves(line.subject, wants)
        {
            return (Outcome::Conflict { signature: signature() }, 409);
        }
        if line.is_clear() {
            self.release(line.subject);
        }
        *self.applied.entry(id).or_default() += 1;
        if line.kind == Kind::Mismatch {
            return (Outcome::EchoMismatch { fields: Default::default(), signature: signature() }, 200);
        }
        (Outcome::Acknowledged, 201)
    }

    /// Gives a subject another value, unless that is somebody else's.
    fn moves(&mut self, subject: u64, wants: u64) -> bool {
        let is_taken = self.owners.get(&wants).is_some_and(|owner| *owner != subject);
        if is_taken && self.are_values_unique {
            return false;
        }
        self.release(subject);
        self.values.insert(subject, wants);
        self.owners.insert(wants, subject);
        true
    }

    fn release(&mut self, subject: u64) {
        if let Some(had) = self.values.remove(&subject)
            && self.owners.get(&had) == Some(&subject)
        {
            self.owners.remove(&had);
        }
    }

    /// When a worker has done it.
    fn work(&mut self, now_ms: u64, work_ms: u64) -> u64 {
        let free_ms = self.workers.pop().map_or(now_ms, |Reverse(free_ms)| free_ms.max(now_ms));
        self.workers.push(Reverse(free_ms + work_ms));
        free_ms + work_ms
    }

    /// Counts a request; a 429 where the count is exceeded.
    fn count(&mut self, now_ms: u64) -> Option<Outcome> {
        let limit = self.rules.quota?;
        let period = now_ms / limit.period_ms;
        if self.period.0 != period {
            self.period = (period, 0);
        }
        self.period.1 += 1;
        if self.period.1 <= limit.requests {
            return None;
        }
        self.over_quota += 1;
        let retry_after_ms = limit.says_when.then(|| (period + 1) * limit.period_ms - now_ms);
        Some(Outcome::Throttled { retry_after_ms })
    }

    /// The status of the proxy's answer, where it lets nothing more through (a leaky bucket, as nginx has it).
    fn shed(&mut self, now_ms: u64) -> Option<u16> {
        let limit = self.rules.shed.filter(|shed| now_ms >= shed.from_ms)?;
        let (level, at_ms) = self.level;
        let level = (level + (now_ms - at_ms) * limit.per_s).min((limit.burst + 1) * 1_000);
        let passes = level >= 1_000;
        self.level = (level - if passes { 1_000 } else { 0 }, now_ms);
        (!passes).then_some(limit.status)
    }

    fn quota(&self, now_ms: u64) -> Option<Quota> {
        let limit = self.rules.quota?;
        let remaining = limit.requests.saturating_sub(self.period.1);
        Some(Quota { remaining, reset_ms: (now_ms / limit.period_ms + 1) * limit.period_ms - now_ms })
    }
}
