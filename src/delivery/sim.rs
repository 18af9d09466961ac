//! The simulation: the scheduler lives through bad days in virtual time, and a checker with books of its own holds
//! every step against the promises. A seed is a day; a failing one is printed and repeats exactly.
//!
//! Not here: the checks themselves (`sim/checker.rs`) and the proof that they bite (`sim/bad.rs`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::outcome::{Outcome, Seen, StopCause, Verdict};
use super::*;
use crate::digest::SubjectId;
use crate::ledger::FailureKind;
use checker::{Checker, Fact};

mod bad;
mod checker;
mod days;

/// Steps after which a day is taken for an endless one.
const STEPS_MAX: u32 = 400_000;

/// A small generator of its own (splitmix64), so that a seed means the same day for ever.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    fn jitter(&mut self) -> f64 {
        f64::from(u32::try_from(self.below(1 << 20)).expect("20 bits")) / f64::from(1 << 20)
    }
}

/// What a row does to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Good,
    Refused,
    Conflict,
    Mismatch,
    Forbidden,
    /// Fails with 5xx every time.
    Poison,
}

/// How the server is, for a while.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Up,
    /// Fails so many of a thousand.
    Shaky(u64),
    /// Answers nothing: connections refused, errors, or silence.
    Down(u64),
    /// Pushes everybody back.
    Throttling(Option<u64>),
}

/// A day: everything that will happen, drawn from a seed.
#[derive(Debug, Clone)]
struct Day {
    rules: DeliveryRules,
    /// What the scheduler is told, where a planted fault makes it differ.
    told: DeliveryRules,
    rows: Vec<(u64, Row, bool)>,
    /// Phases in order, each until a moment; up afterwards.
    phases: Vec<(u64, Phase)>,
    rate_per_s: u64,
    burst: u64,
    /// Lifetime of a token.
    token_ms: u64,
    /// Whether reading the token again fails in the end.
    token_dies: bool,
    drain_at_ms: Option<u64>,
    /// Planted faults of the caller.
    ignores_permits: bool,
    hides_subjects: bool,
}

/// How a day ended.
#[derive(Debug, Default)]
struct Evening {
    synced: u64,
    exhausted: Vec<UpdateId>,
    refused: u64,
    deferred: u64,
    leftover: u64,
    stop: Option<StopCause>,
    attempts: u64,
    sent_ms: Vec<u64>,
    attempts_while_down: u64,
    probes: u64,
    ended_ms: u64,
}

struct World {
    day: Day,
    dice: Dice,
    scheduler: Scheduler,
    checker: Checker,
    evening: Evening,
    now_ms: u64,
    offered: usize,
    /// Answers under way: moment, tie, update, what it says, token it was sent with.
    answers: BinaryHeap<Reverse<(u64, u64, UpdateId)>>,
    outcomes: std::collections::HashMap<UpdateId, (Outcome, u64)>,
    ties: u64,
    permits_used: u64,
    generation: u64,
    token_until_ms: u64,
    token_read_at_ms: Option<u64>,
    is_over: bool,
    is_input_over: bool,
}

fn live(day: Day, seed: u64) -> Result<Evening, String> {
    let mut world = World {
        scheduler: Scheduler::new(day.told.clone(), 0),
        checker: Checker::new(day.rules.clone(), day.rate_per_s, day.burst),
        dice: Dice(seed ^ 0x5151),
        evening: Evening::default(),
        now_ms: 0,
        offered: 0,
        answers: BinaryHeap::new(),
        outcomes: std::collections::HashMap::new(),
        ties: 0,
        permits_used: 0,
        generation: 0,
        token_until_ms: day.token_ms,
        token_read_at_ms: None,
        is_over: false,
        is_input_over: false,
        day,
    };
    for _ in 0..STEPS_MAX {
        if !world.step()? {
            world.see(&Fact::Ended)?;
            world.evening.ended_ms = world.now_ms;
            return Ok(world.evening);
        }
    }
    Err(format!("the day does not end: {:?}", world.scheduler.condition(world.now_ms)))
}

impl World {
    /// One moment: feed, send, then go to the next thing that happens. False at the end of the day.
    fn step(&mut self) -> Result<bool, String> {
        self.feed()?;
        let is_starved = self.send()?;
        if self.is_over && self.scheduler.in_flight() == 0 {
            for leftover in self.scheduler.unsent() {
                self.evening.leftover += 1;
                self.see(&Fact::Leftover(leftover.id))?;
            }
            return Ok(false);
        }
        if self.is_input_over && self.scheduler.is_idle() {
            return Ok(false);
        }
        let answer_at_ms = self.answers.peek().map(|Reverse((at_ms, _, _))| *at_ms);
        let wake_at_ms = self.scheduler.wake_at(self.now_ms);
        let permit_at_ms = is_starved.then_some(self.now_ms + 1);
        let drain_at_ms = self.day.drain_at_ms.filter(|_| !self.is_over);
        let moments = [answer_at_ms, wake_at_ms, permit_at_ms, drain_at_ms, self.token_read_at_ms];
        let Some(next_ms) = moments.into_iter().flatten().min() else {
            return Err(format!("locked: {:?}", self.scheduler.condition(self.now_ms)));
        };
        self.now_ms = self.now_ms.max(next_ms);
        if drain_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.scheduler.drain();
            self.is_over = true;
            self.see(&Fact::Drained)?;
        }
        if self.token_read_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.read_token()?;
        }
        if wake_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            let decision = self.scheduler.on_tick(self.now_ms);
            self.hear(decision)?;
        }
        while self.answers.peek().is_some_and(|Reverse((at_ms, _, _))| *at_ms <= self.now_ms) {
            self.answer()?;
        }
        Ok(true)
    }

    fn feed(&mut self) -> Result<(), String> {
        while self.scheduler.room() > 0 && self.offered < self.day.rows.len() {
            let (subject, _, chronic) = self.day.rows[self.offered];
            let id = self.offered as u64;
            self.offered += 1;
            self.see(&Fact::Offered { id, subject, chronic })?;
            let known_as = if self.day.hides_subjects { 1_000_000 + id } else { subject };
            let subject = SubjectId(u128::from(known_as).to_be_bytes());
            self.scheduler.offer(Offer { id, subject, chronic });
        }
        if self.offered == self.day.rows.len() && !self.is_input_over {
            self.is_input_over = true;
            self.see(&Fact::InputOver)?;
            let decision = self.scheduler.end_of_input();
            self.hear(decision)?;
        }
        Ok(())
    }

    /// Sends what there are permits for. Returns whether permits were missing.
    fn send(&mut self) -> Result<bool, String> {
        loop {
            let wanted = self.scheduler.sendable(self.now_ms) as u64;
            let allowed = self.day.burst + self.day.rate_per_s * self.now_ms / 1_000;
            let free = if self.day.ignores_permits { 1 } else { allowed.saturating_sub(self.permits_used) };
            let permits = wanted.min(free);
            if permits == 0 {
                return Ok(wanted > 0);
            }
            self.permits_used += permits;
            self.see(&Fact::Permits(permits))?;
            for _ in 0..permits {
                let attempt = self.scheduler.next(self.now_ms).ok_or("sendable() promised too much")?;
                self.launch(attempt)?;
            }
        }
    }

    fn launch(&mut self, attempt: Attempt) -> Result<(), String> {
        let id = attempt.id;
        let (subject, row, _) = self.day.rows[usize::try_from(id).expect("small")];
        let generation = self.generation;
        self.see(&Fact::Sent { attempt, subject, generation })?;
        let phase = self.day.phases.iter().find(|(until_ms, _)| self.now_ms < *until_ms);
        let phase = phase.map_or(Phase::Up, |(_, phase)| *phase);
        self.evening.attempts += 1;
        self.evening.sent_ms.push(self.now_ms);
        self.evening.attempts_while_down += u64::from(matches!(phase, Phase::Down(_)));
        self.evening.probes += u64::from(attempt.is_probe);
        let outcome = self.outcome(phase, row);
        // The busier, the slower; silence takes the whole timeout.
        let busy = self.scheduler.in_flight() as u64;
        let latency_ms =
            if outcome == Outcome::TimedOut { 3_000 } else { 5 + busy * 2 + self.dice.below(60) };
        self.ties += 1;
        self.answers.push(Reverse((self.now_ms + latency_ms, self.ties, id)));
        self.outcomes.insert(id, (outcome, generation));
        Ok(())
    }

    fn outcome(&mut self, phase: Phase, row: Row) -> Outcome {
        let failed = |retry_after_ms| Outcome::ServerFailed { signature: "503 down".into(), retry_after_ms };
        match phase {
            Phase::Down(0) => return Outcome::NotConnected,
            Phase::Down(1) => return Outcome::TimedOut,
            Phase::Down(2) => return failed(Some(1_500)),
            Phase::Down(_) => return failed(None),
            Phase::Throttling(retry_after_ms) => return Outcome::Throttled { retry_after_ms },
            Phase::Shaky(per_mille) if self.dice.chance(per_mille) => {
                let kinds = [failed(None), Outcome::TimedOut, Outcome::Disconnected, Outcome::NotConnected];
                return kinds[usize::try_from(self.dice.below(4)).expect("small")].clone();
            }
            Phase::Shaky(_) | Phase::Up => {}
        }
        if self.now_ms >= self.token_until_ms {
            return Outcome::TokenRefused;
        }
        let signature = String::from("4xx no");
        match row {
            Row::Good => Outcome::Acknowledged,
            Row::Refused => Outcome::Refused { signature },
            Row::Conflict => Outcome::Conflict { signature },
            Row::Mismatch => Outcome::EchoMismatch { fields: Default::default(), signature },
            Row::Forbidden => Outcome::Forbidden { signature },
            Row::Poison => Outcome::ServerFailed { signature: "500 oops".into(), retry_after_ms: None },
        }
    }

    fn answer(&mut self) -> Result<(), String> {
        let Some(Reverse((_, _, id))) = self.answers.pop() else { return Ok(()) };
        let (outcome, generation) = self.outcomes.remove(&id).ok_or("an answer without a question")?;
        self.see(&Fact::Answered { id, outcome: outcome.clone(), generation })?;
        let status =
            matches!(&outcome, Outcome::ServerFailed { signature, .. } if signature.starts_with("503"));
        let seen = Seen { outcome, status: status.then_some(503), quota: None, token_generation: generation };
        let jitter = self.dice.jitter();
        let decision = self.scheduler.on_outcome(id, seen, self.now_ms, jitter);
        self.hear(decision)
    }

    fn read_token(&mut self) -> Result<(), String> {
        self.token_read_at_ms = None;
        let reread = if self.day.token_dies && self.generation > 1 {
            Err(())
        } else {
            self.generation += 1;
            self.token_until_ms = self.now_ms.saturating_add(self.day.token_ms);
            Ok(TokenRead { generation: self.generation, changed: true })
        };
        let decision = self.scheduler.on_token(reread, self.now_ms);
        self.hear(decision)
    }

    fn hear(&mut self, decision: Decision) -> Result<(), String> {
        for action in &decision.actions {
            match action {
                Action::RereadToken => self.token_read_at_ms = Some(self.now_ms + 50 + self.dice.below(400)),
                Action::Stop(cause) => {
                    self.is_over = true;
                    self.evening.stop = Some(cause.clone());
                }
                Action::QuietStarted { .. }
                | Action::QuietEnded
                | Action::BreakerOpened
                | Action::BreakerClosed
                | Action::GuardReleased => {}
            }
        }
        for (id, verdict) in &decision.verdicts {
            match verdict {
                Verdict::Synced => self.evening.synced += 1,
                Verdict::Failed(failure) if failure.kind == FailureKind::Exhausted => {
                    self.evening.exhausted.push(*id);
                }
                Verdict::Failed(_) => self.evening.refused += 1,
                Verdict::Deferred(_) => self.evening.deferred += 1,
                Verdict::RetryIn { .. } | Verdict::Withheld => {}
            }
        }
        self.see(&Fact::Decided { verdicts: decision.verdicts, actions: decision.actions })
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        self.checker.see(self.now_ms, fact).map_err(|complaint| format!("at {} ms: {complaint}", self.now_ms))
    }
}
