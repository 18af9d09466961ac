//! The simulation: the scheduler, with the driver's part and the permits modelled, lives through bad days in virtual
//! time against a modelled server; a checker with books of its own holds every step against the promises. A seed is a
//! day; a failing one is printed and repeats exactly.
//!
//! Read by the unit tests (a few hundred days) and by the campaign `tests/days` (as many as one likes). Not here: the
//! checks (`checker.rs`, `evening.rs`) and the proof that they bite (`planted.rs`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use crate::delivery::outcome::{Outcome, Seen, Verdict};
use crate::delivery::{Action, Ahead, Attempt, Decision, Offer, Scheduler, TokenRead, UpdateId};
use crate::digest::SubjectId;
use crate::ledger::FailureKind;
use checker::{Checker, Fact};
use day::{Day, Phase, Sort};
use dice::Dice;
use evening::{Evening, Fate};
use links::Links;
use pace::Permits;
use planted::Flaw;
use server::Server;

mod away;
pub(crate) mod checker;
pub(crate) mod day;
pub(crate) mod dice;
pub(crate) mod evening;
mod linked;
mod links;
mod pace;
pub(crate) mod planted;
mod server;

/// Moments after which a day is taken for an endless one.
const STEPS_MAX: u32 = 2_000_000;

/// Updates read ahead once the server was taken for down, and how long before a probe its update is chosen.
const READ_AHEAD_MAX: usize = 4_096;
const CHOOSE_MS: u64 = 600;

/// What a pass over the file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Main,
    Late,
    /// A stretch of the file, which ends before this line.
    Wave(usize),
    /// What is linked, as one after the other is settled.
    Linked,
    /// What was deferred; so many were synced before it.
    Deferred(usize),
    /// Those of them that may pass now, or one that is asked.
    Turn,
    /// Nothing; what was carried over is ruled on. So many were synced before it.
    Closing(usize),
}

struct World {
    day: Day,
    dice: Dice,
    scheduler: Scheduler,
    server: Server,
    permits: Permits,
    checker: Checker,
    evening: Evening,
    now_ms: u64,
    pass: Pass,
    pass_began_ms: u64,
    /// What the pass has still to offer.
    unread: VecDeque<UpdateId>,
    /// What was read beyond the window, and how much more may be read and be held of it, as the driver has it.
    ahead: Ahead<UpdateId>,
    credit: usize,
    free: usize,
    /// Updates that gave their place in the window back, because they wait for a retry.
    credited: BTreeSet<UpdateId>,
    /// Updates read in this pass.
    read: u64,
    is_input_over: bool,
    /// Whether the scheduler was told that the pass is the last one.
    is_last: bool,
    deferred: BTreeSet<UpdateId>,
    /// Updates offered and without a fate.
    held: BTreeSet<UpdateId>,
    links: Links,
    /// Whether what is read is sent mixed from the beginning of each pass.
    is_mixed: bool,
    /// Subjects of which an update ran out of attempts, and those with one that waits for a retry.
    exhausted: BTreeSet<u64>,
    retrying: BTreeSet<u64>,
    synced: usize,
    /// Answers under way: moment, tie, update.
    answers: BinaryHeap<Reverse<(u64, u64, UpdateId)>>,
    seen: BTreeMap<UpdateId, Seen>,
    ties: u64,
    /// Generation of the token the client has.
    generation: u64,
    token_read_at_ms: Option<u64>,
    is_over: bool,
    /// Whose answers have stopped the run.
    blamed: Vec<SubjectId>,
}

/// Lives through a day and judges its evening.
pub(crate) fn live(day: Day, seed: u64) -> Result<Evening, String> {
    let day = planted::planted(day);
    if day.sort == Sort::Away {
        return away::live(&day, seed);
    }
    if day.sort == Sort::Linked {
        return linked::live(day, seed);
    }
    let world = lived(day, seed, false, None)?;
    world.evening.judge(&world.day, &world.server.applied)?;
    Ok(world.evening)
}

/// Lives through a run; sent mixed from the beginning where one before was stopped for what it was answered. Where a
/// run comes after others, this is their server.
fn lived(day: Day, seed: u64, is_mixed: bool, before: Option<Server>) -> Result<World, String> {
    let first = || Server::new(day.server, &day.lines, day.token_ms, day.are_values_unique);
    let server = before.map_or_else(first, Server::again);
    let are_linked = day.sort == Sort::Linked;
    let mut world = World {
        scheduler: Scheduler::new(day.told.clone(), 0),
        links: if are_linked { Links::of(&day.lines, &server) } else { Links::default() },
        server,
        held: BTreeSet::new(),
        is_mixed,
        permits: Permits::new(day.pace, day.flaw == Some(Flaw::SavesPermits)),
        checker: if are_linked {
            Checker::of_linked(day.rules.clone(), day.pace)
        } else if day.sort == Sort::Away {
            Checker::of_away(day.rules.clone(), day.pace)
        } else {
            Checker::new(day.rules.clone(), day.pace)
        },
        dice: Dice(seed ^ 0x5151),
        evening: Evening::default(),
        now_ms: 0,
        pass: Pass::Main,
        pass_began_ms: 0,
        unread: VecDeque::new(),
        ahead: Ahead::default(),
        credit: day.window,
        free: day.window,
        credited: BTreeSet::new(),
        read: 0,
        is_input_over: false,
        is_last: false,
        deferred: BTreeSet::new(),
        exhausted: BTreeSet::new(),
        retrying: BTreeSet::new(),
        synced: 0,
        answers: BinaryHeap::new(),
        seen: BTreeMap::new(),
        ties: 0,
        generation: 0,
        token_read_at_ms: None,
        is_over: false,
        blamed: Vec::new(),
        day,
    };
    let updates = 0..world.day.lines.len() as u64;
    let has_late_pass = world.day.has_late_pass;
    let is_later = |id: &UpdateId| has_late_pass && world.line(*id).chronic || world.links.waits(*id);
    world.unread = updates.filter(|id| !is_later(id)).collect();
    if world.day.wave.is_some() {
        world.unread.clear();
        world.take_wave(0);
    }
    if is_mixed {
        world.read_ahead();
    }
    for _ in 0..STEPS_MAX {
        if !world.step()? {
            world.see(&Fact::Ended)?;
            world.evening.ended_ms = world.now_ms;
            world.evening.over_quota = world.server.over_quota;
            return Ok(world);
        }
    }
    Err(format!("the day does not end: {:?}", world.scheduler.condition(world.now_ms)))
}

impl World {
    fn line(&self, id: UpdateId) -> day::Line {
        self.day.lines[usize::try_from(id).unwrap_or(usize::MAX)]
    }

    /// One moment: feed, send, then go to the next thing that happens. False at the end of the day.
    fn step(&mut self) -> Result<bool, String> {
        self.feed()?;
        self.send()?;
        if self.is_over && self.scheduler.in_flight() == 0 {
            self.blamed = self.scheduler.blamed().into_iter().map(|id| self.subject(id)).collect();
            for leftover in self.scheduler.unsent() {
                self.evening.fates.insert(leftover.id, Fate::Leftover);
                self.see(&Fact::Leftover(leftover.id))?;
            }
            return Ok(false);
        }
        let is_left = !self.scheduler.is_idle() && (self.is_last || !self.scheduler.only_waits());
        if !self.is_over && self.is_input_over && !is_left {
            return self.next_pass();
        }
        let answer_at_ms = self.answers.peek().map(|Reverse((at_ms, _, _))| *at_ms);
        let wake_at_ms = self.scheduler.wake_at(self.now_ms);
        let drain_at_ms = self.day.drain_at_ms.filter(|_| !self.is_over);
        let moments = [answer_at_ms, wake_at_ms, self.permits.wake_at(), drain_at_ms, self.token_read_at_ms];
        let Some(next_ms) = moments.into_iter().flatten().chain(self.read_at_ms()).min() else {
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
        while self.answers.peek().is_some_and(|Reverse((at_ms, _, _))| *at_ms <= self.now_ms) {
            self.answer()?;
        }
        let decision = self.scheduler.on_tick(self.now_ms);
        self.hear(decision)?;
        Ok(true)
    }

    /// When the next line is read, if there is one and room for it.
    fn read_at_ms(&self) -> Option<u64> {
        let may_read = !self.unread.is_empty() && self.may_read();
        may_read.then(|| {
            let at_ms =
                self.pass_began_ms + (self.read + 1).saturating_mul(1_000).div_ceil(self.day.lines_per_s);
            at_ms.max(self.now_ms)
        })
    }

    fn feed(&mut self) -> Result<(), String> {
        let readable = (self.now_ms - self.pass_began_ms).saturating_mul(self.day.lines_per_s) / 1_000;
        while self.may_read() && (self.read < readable || self.day.lines_per_s >= 100_000) {
            let Some(first) = self.unread.pop_front() else { break };
            if self.put_aside(first) {
                continue;
            }
            let mut ids = vec![first];
            if self.day.flaw == Some(Flaw::SwapsLanes) {
                ids.extend(self.unread.pop_front());
            }
            self.read += ids.len() as u64;
            self.credit = self.credit.saturating_sub(ids.len());
            if self.ahead.is_on() {
                for id in ids {
                    self.ahead.push(self.subject(id), id);
                }
                continue;
            }
            for id in &ids {
                self.see_offer(*id)?;
            }
            ids.into_iter().rev().for_each(|id| {
                let offer = self.offer(id);
                self.scheduler.offer(offer);
            });
        }
        self.advance()?;
        let are_coming = !self.unread.is_empty() && self.may_read() && self.free > 0;
        self.scheduler.expect_first_tries(are_coming && self.day.flaw != Some(Flaw::ForgetsTheFile));
        self.see(&Fact::FirstTriesComing(are_coming))?;
        if self.unread.is_empty() && self.ahead.is_empty() && !self.is_input_over {
            self.is_input_over = true;
        }
        if self.is_input_over && !self.is_over {
            let decision = self.tell_end()?;
            self.hear(decision)?;
        }
        // What is kept back fills the window, so that nothing more can come.
        let is_full = if self.ahead.is_on() { self.free == 0 } else { self.credit == 0 };
        if is_full && !self.is_over && !self.is_input_over && self.scheduler.only_waits() {
            let decision = self.scheduler.release_withheld(false);
            self.hear(decision)?;
            self.advance()?;
        }
        Ok(())
    }

    /// Tells whether another pass may follow the one that is read to its end, as the driver does.
    fn tell_end(&mut self) -> Result<Decision, String> {
        self.is_last = match self.pass {
            Pass::Main => !self.day.has_late_pass && self.deferred.is_empty() && self.links.is_empty(),
            Pass::Late => self.deferred.is_empty(),
            Pass::Wave(_) | Pass::Linked | Pass::Deferred(_) | Pass::Turn => false,
            Pass::Closing(_) => true,
        };
        self.is_last |= self.day.flaw == Some(Flaw::RulesEveryPass);
        self.see(&Fact::InputOver { is_last: self.is_last })?;
        if self.is_last {
            return Ok(self.scheduler.end_of_input());
        }
        self.scheduler.end_of_pass();
        Ok(Decision::default())
    }

    /// Takes the lines of a wave, and says where they end.
    fn take_wave(&mut self, from: usize) {
        let all = self.day.lines.len();
        let rest_min = self.day.wave.unwrap_or(all);
        // What is left behind the last full wave goes with it.
        let until = if from + 2 * rest_min > all { all } else { from + rest_min };
        self.pass = Pass::Wave(until);
        self.unread = (from as u64..until as u64).collect();
    }

    /// Lets more be read than the window holds, but where what was deferred is tried again.
    fn read_ahead(&mut self) {
        if self.pass != Pass::Turn && self.ahead.begin() {
            self.credit = self.credit.saturating_add(READ_AHEAD_MAX);
        }
    }

    fn may_read(&self) -> bool {
        self.credit > 0 && self.scheduler.room() > 0
    }

    /// Goes on with what was read ahead, as the driver does.
    fn advance(&mut self) -> Result<(), String> {
        if self.is_over {
            self.ahead.clear();
        }
        if self.scheduler.is_down() {
            let Some(at_ms) = self.scheduler.probe_at_ms() else { return Ok(()) };
            let untried = self.scheduler.untried();
            if at_ms <= self.now_ms + CHOOSE_MS
                && let Some(id) = self.ahead.choose_probe(at_ms, untried)
            {
                self.see_offer(id)?;
                if self.free == 0 {
                    // It takes no place in the window.
                    self.credited.insert(id);
                }
                let offer = self.offer(id);
                self.scheduler.offer_probe(offer);
            }
            return Ok(());
        }
        while self.free > 0
            && self.scheduler.room() > 0
            && let Some(id) = self.ahead.take()
        {
            self.see_offer(id)?;
            let offer = self.offer(id);
            self.scheduler.offer(offer);
        }
        Ok(())
    }

    fn see_offer(&mut self, id: UpdateId) -> Result<(), String> {
        let line = self.line(id);
        self.see(&Fact::Offered { id, subject: line.subject, chronic: line.chronic })
    }

    fn subject(&self, id: UpdateId) -> SubjectId {
        let subject = self.line(id).subject;
        let known_as = match self.day.flaw {
            Some(Flaw::HidesSubjects) => 1_000_000 + id,
            Some(Flaw::HidesFollowers) if self.exhausted.contains(&subject) => 1_000_000 + subject,
            Some(_) | None => subject,
        };
        SubjectId(u128::from(known_as).to_be_bytes())
    }

    fn offer(&mut self, id: UpdateId) -> Offer {
        self.held.insert(id);
        self.free = self.free.saturating_sub(1);
        if self.retrying.contains(&self.line(id).subject) {
            self.give_back(id);
        }
        let chronic = self.line(id).chronic && self.day.flaw != Some(Flaw::TakesChronicForPlain);
        Offer { id, subject: self.subject(id), chronic }
    }

    /// A place in the window is free again.
    fn give_back(&mut self, id: UpdateId) {
        if self.credited.insert(id) {
            self.free = self.free.saturating_add(1);
            self.credit = self.credit.saturating_add(1);
        }
    }

    /// The chronic ones or the other waves after the first, then the deferred ones until a pass makes no progress,
    /// and what was carried over through all of them.
    fn next_pass(&mut self) -> Result<bool, String> {
        if self.day.sort == Sort::Linked {
            return self.next_linked_pass();
        }
        let is_stuck =
            matches!(self.pass, Pass::Deferred(before) | Pass::Closing(before) if before == self.synced);
        let is_carrying = !self.scheduler.is_idle();
        if let Pass::Wave(from) = self.pass
            && from < self.day.lines.len()
        {
            self.take_wave(from);
        } else if self.pass == Pass::Main && self.day.has_late_pass {
            self.pass = Pass::Late;
            let updates = 0..self.day.lines.len() as u64;
            self.unread = updates.filter(|id| self.line(*id).chronic).collect();
        } else if is_carrying && (self.deferred.is_empty() || is_stuck) {
            self.pass = Pass::Closing(self.synced);
        } else if self.deferred.is_empty() || is_stuck {
            return Ok(false);
        } else {
            self.pass = Pass::Deferred(self.synced);
            self.unread = std::mem::take(&mut self.deferred).into_iter().collect();
        }
        self.begin_pass()?;
        Ok(true)
    }

    fn begin_pass(&mut self) -> Result<(), String> {
        (self.read, self.pass_began_ms, self.is_input_over) = (0, self.now_ms, false);
        (self.ahead, self.credit, self.free) = (Ahead::default(), self.day.window, self.day.window);
        // What was carried over takes no place in the window.
        self.credited = self.held.clone();
        self.scheduler.begin_pass(usize::MAX);
        self.see(&Fact::PassBegan)
    }

    /// Sends what there are permits for, as the driver does.
    fn send(&mut self) -> Result<(), String> {
        loop {
            let needs_none = self.day.flaw == Some(Flaw::IgnoresPermits);
            while self.permits.in_hand > 0 || needs_none {
                let promised = self.scheduler.sendable(self.now_ms);
                let Some(attempt) = self.scheduler.next(self.now_ms) else {
                    if promised > 0 {
                        return Err("sendable() promised too much".into());
                    }
                    break;
                };
                self.permits.in_hand = self.permits.in_hand.saturating_sub(1);
                self.launch(attempt)?;
            }
            let wanted = self.scheduler.sendable(self.now_ms) as u64;
            if wanted == 0 {
                self.permits.in_hand = 0;
            }
            self.permits.want(wanted);
            if self.permits.turn(self.now_ms, &mut self.dice) == 0 {
                return Ok(());
            }
        }
    }

    fn launch(&mut self, attempt: Attempt) -> Result<(), String> {
        let id = attempt.id;
        let line = self.line(id);
        self.see_link_sent(id)?;
        let generation = self.generation;
        self.see(&Fact::Sent { attempt, subject: line.subject, generation })?;
        let phase = self.day.phases.iter().find(|(until_ms, _)| self.now_ms < *until_ms);
        let phase = phase.map_or(Phase::Up, |(_, phase)| *phase);
        *self.evening.attempts.entry(id).or_default() += 1;
        self.evening.last_ms.insert(id, self.now_ms);
        self.evening.sent.push((self.now_ms, self.scheduler.in_flight()));
        self.evening.attempts_while_down += u64::from(matches!(phase, Phase::Down(_)));
        self.evening.probes += u64::from(attempt.is_probe);
        let answer = self.server.take((id, &line), phase, generation, self.now_ms, &mut self.dice);
        self.ties += 1;
        self.answers.push(Reverse((answer.at_ms, self.ties, id)));
        self.seen.insert(id, answer.seen);
        Ok(())
    }

    fn answer(&mut self) -> Result<(), String> {
        let Some(Reverse((_, _, id))) = self.answers.pop() else { return Ok(()) };
        let mut seen = self.seen.remove(&id).ok_or("an answer without a question")?;
        self.evening.throttled += u64::from(matches!(seen.outcome, Outcome::Throttled { .. }));
        self.see(&Fact::Answered { id, seen: seen.clone() })?;
        planted::mishear(self.day.flaw, &mut seen);
        let jitter = self.dice.jitter();
        let mut decision = self.scheduler.on_outcome(id, seen, self.now_ms, jitter);
        if self.day.flaw == Some(Flaw::LosesVerdicts) && self.dice.chance(100) {
            decision.verdicts.pop();
        }
        self.hear(decision)
    }

    fn read_token(&mut self) -> Result<(), String> {
        self.token_read_at_ms = None;
        let reread = if matches!(self.day.sort, Sort::Away | Sort::Linked) {
            Ok(TokenRead { generation: self.generation, changed: false })
        } else if self.day.token_dies && self.server.generation > 1 {
            Err(())
        } else {
            self.server.generation += 1;
            self.server.token_until_ms = self.now_ms.saturating_add(self.day.token_ms);
            if self.day.flaw != Some(Flaw::KeepsOldToken) {
                self.generation = self.server.generation;
            }
            Ok(TokenRead { generation: self.server.generation, changed: true })
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
                Action::BreakerOpened | Action::NobodyPasses => {
                    self.evening.openings += u64::from(*action == Action::BreakerOpened);
                    if self.day.flaw != Some(Flaw::NeverReadsAhead) {
                        self.read_ahead();
                    }
                }
                Action::QuietStarted { .. }
                | Action::QuietEnded
                | Action::BreakerClosed
                | Action::GuardReleased => {}
            }
        }
        if self.day.sort == Sort::Linked {
            self.see_own_failures(&decision.verdicts)?;
        }
        for (id, verdict) in &decision.verdicts {
            let fate = match verdict {
                Verdict::Synced => Fate::Synced,
                Verdict::Failed(failure) => Fate::Failed(failure.kind),
                Verdict::Deferred(_) => Fate::Deferred,
                // Neither takes a place in the window.
                Verdict::RetryIn { .. } | Verdict::Withheld => {
                    self.retrying.insert(self.line(*id).subject);
                    let behind: Vec<UpdateId> = self.scheduler.behind(self.subject(*id)).collect();
                    [*id].into_iter().chain(behind).for_each(|id| self.give_back(id));
                    continue;
                }
            };
            self.retrying.remove(&self.line(*id).subject);
            self.give_back(*id);
            if fate == Fate::Synced {
                self.synced += 1;
                self.evening.synced_ms = self.now_ms;
            }
            if fate == Fate::Deferred {
                self.deferred.insert(*id);
            }
            if fate == Fate::Failed(FailureKind::Exhausted) {
                self.exhausted.insert(self.line(*id).subject);
            }
            self.evening.fates.insert(*id, fate);
            self.note_fate(*id, fate);
        }
        self.see(&Fact::Decided { verdicts: decision.verdicts, actions: decision.actions })
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        self.checker.see(self.now_ms, fact).map_err(|complaint| format!("at {} ms: {complaint}", self.now_ms))
    }
}
