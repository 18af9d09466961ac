//! The scheduler: what is held, which update goes next, and when.
//!
//! Every attempt, whatever its reason, leaves through [`Scheduler::next`]; every rule about not sending is asked in
//! [`Scheduler::sendable`] and nowhere else. Time must not run backwards between calls.
//!
//! Nothing is ruled on for want of neighbors while a later pass may bring some: what is kept back at the end of a
//! pass that others follow (suspects, redirects, used up attempts, refusals at first contact, a 429 left alone) is
//! carried over into them, and what nobody's answer has confirmed meanwhile is given back. Nor does a server that is
//! taken for down keep those of the passes behind from probing, once all of a pass were tried. In the last pass, behind
//! all others, it is ruled on by what is known; rows that nobody tells from a server that is down wait as in any
//! outage, up to `outage_max`.
//!
//! Not here: what an outcome means (`ruling.rs`), the parts the scheduler is made of (the files beside this one),
//! permits, and what a verdict does to the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::alone::Answers;
use super::brake::Brake;
use super::breaker::Breaker;
use super::concurrency::Concurrency;
use super::decision::{
    Action, Attempt, Condition, Decision, Leftover, Offer, REASON_RETRY_AFTER, TokenRead, UpdateId,
};
use super::free::FreeTime;
use super::guard::Guard;
use super::in_a_row::InARow;
use super::lanes::{Item, Lanes};
use super::outcome::{Failure, Seen, StopCause, Verdict};
use super::pause::Quiet;
use super::quota::QuotaPace;
use super::redirects::Redirects;
use super::retry::Ceilings;
use super::rules::DeliveryRules;
use super::ruling::Condemned;
use super::same::Same;
use super::shed::Shed;
use super::suspects::Suspects;
use super::token::TokenState;
use super::turned_away::Against;
use crate::digest::SubjectId;

/// The scheduler. Plain data; clone-free, allocation-light, a few map operations per call.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) rules: DeliveryRules,
    pub(super) lanes: Lanes,
    pub(super) quiet: Quiet,
    pub(super) breaker: Breaker,
    pub(super) brake: Brake,
    pub(super) quota: QuotaPace,
    pub(super) shed: Shed,
    pub(super) answers: Answers,
    pub(super) same: Same,
    pub(super) concurrency: Concurrency,
    pub(super) token: TokenState,
    pub(super) free: FreeTime,
    pub(super) suspects: Suspects,
    pub(super) redirects: Redirects,
    pub(super) guard: Guard,
    pub(super) row: InARow,
    pub(super) ceilings: Ceilings,
    /// Number of the youngest attempt that had a definite answer.
    pub(super) heard: u64,
    /// Suspects that were refused for their own sake where nobody was left to show it, since somebody passed.
    pub(super) refused_at_the_end: u64,
    /// Updates whose charges are used up, kept until an answer to a later attempt shows that the server is well.
    pub(super) condemned: BTreeMap<UpdateId, Condemned>,
    /// Subjects with a deferred update: their later ones are deferred too.
    pub(super) deferred: HashMap<SubjectId, Failure>,
    /// How many more updates may be deferred; those behind one of their subject are, whatever it says.
    pub(super) deferred_room: usize,
    /// Verdicts found when nobody was asking.
    pub(super) owed: Vec<(UpdateId, Verdict)>,
    pub(super) failed: u64,
    /// Failed updates by complaint, where complaints have a budget.
    pub(super) complaints: HashMap<String, u64>,
    /// Subjects that earlier runs were stopped for and that are not settled yet.
    pub(super) away: BTreeSet<SubjectId>,
    /// Whether anybody else was acknowledged in this run.
    pub(super) others_passed: bool,
    /// The answers that have stopped the run, where answers to single updates did.
    pub(super) stopped_for: Option<Against>,
    /// Some of those that are kept back wait for each other, so that none of them is taken for left alone.
    pub(super) are_linked: bool,
    /// Nothing more will be offered in this run.
    pub(super) is_input_over: bool,
    /// Nothing more fits, although more may come: what is kept back is ruled on for want of room.
    pub(super) is_only_full: bool,
    /// Nothing more will be offered in this pass, and others follow.
    pub(super) is_pass_over: bool,
    /// Updates pushed back alone at the end of a pass that others follow.
    pub(super) left_back: BTreeSet<UpdateId>,
    pub(super) is_draining: bool,
}

impl Scheduler {
    /// A scheduler that holds nothing.
    pub fn new(rules: DeliveryRules, now_ms: u64) -> Scheduler {
        Scheduler {
            lanes: Lanes::default(),
            quiet: Quiet::new(&rules),
            breaker: Breaker::new(&rules),
            brake: Brake::new(&rules),
            quota: QuotaPace::default(),
            shed: Shed::new(&rules),
            answers: Answers::default(),
            same: Same::default(),
            concurrency: if rules.adapts {
                Concurrency::adaptive(rules.max_in_flight, rules.settled_before)
            } else {
                Concurrency::fixed(rules.max_in_flight)
            },
            token: TokenState::default(),
            free: FreeTime::new(now_ms),
            suspects: Suspects::default(),
            redirects: Redirects::default(),
            guard: Guard::new(rules.proven, rules.unproven_subjects),
            row: InARow::new(rules.refusals_in_a_row_max),
            ceilings: Ceilings::new(rules.backoff_initial_ms, rules.backoff_max_ms),
            heard: 0,
            refused_at_the_end: 0,
            condemned: BTreeMap::new(),
            deferred: HashMap::new(),
            deferred_room: rules.deferred_max,
            owed: Vec::new(),
            failed: 0,
            complaints: HashMap::new(),
            away: rules.turned_away.subjects.clone(),
            others_passed: false,
            stopped_for: None,
            are_linked: false,
            is_input_over: false,
            is_only_full: false,
            is_pass_over: false,
            left_back: BTreeSet::new(),
            is_draining: false,
            rules,
        }
    }

    /// Takes an update in. The caller respects [`Scheduler::room`]; updates of one subject are sent in the order
    /// of their offers.
    pub fn offer(&mut self, offer: Offer) {
        self.is_pass_over = false;
        match self.deferred.get(&offer.subject) {
            // It was never sent, so none of its fields is in doubt, whatever became of the earlier one.
            Some(failure) => {
                let failure = Failure { maybe_applied: false, ..failure.clone() };
                self.owed.push((offer.id, Verdict::Deferred(failure)));
                self.deferred_room = self.deferred_room.saturating_sub(1);
            }
            None => {
                let is_away = self.away.contains(&offer.subject);
                self.lanes.offer(offer, is_away);
            }
        }
    }

    /// Takes an update in that is to probe next, as [`Scheduler::offer`] does.
    pub fn offer_probe(&mut self, offer: Offer) {
        self.offer(offer);
        self.lanes.prefer(offer.id);
    }

    /// Whether the server is taken for down, so that nothing but probes goes out.
    pub fn is_down(&self) -> bool {
        self.breaker.open_since_ms().is_some()
    }

    /// When the next probe may go out, while the server is taken for down and none is on the wire.
    pub fn probe_at_ms(&self) -> Option<u64> {
        self.breaker.probe_at_ms()
    }

    /// Updates that may probe and were never tried.
    pub fn untried(&self) -> usize {
        self.lanes.fresh()
    }

    /// Updates that wait behind another one of this subject, in their order.
    pub fn behind(&self, subject: SubjectId) -> impl Iterator<Item = UpdateId> {
        self.lanes.behind(subject)
    }

    /// Says whether more updates that were never tried are on their way: read, or about to be, and not yet offered.
    /// Retries keep to their budget then, even while no first try is held. To be said again whenever it changes: while
    /// it is said, a retry may wait for an offer.
    pub fn expect_first_tries(&mut self, are_coming: bool) {
        self.lanes.expect_fresh(are_coming);
    }

    /// Offers that fit now.
    pub fn room(&self) -> usize {
        if self.is_draining {
            return 0;
        }
        let busy = self.lanes.ready() + self.lanes.in_flight();
        let ready_room = self.rules.ready_max.max(1).saturating_sub(busy);
        ready_room.min(self.rules.held_max.max(1).saturating_sub(self.held()))
    }

    /// Changes the number of attempts that may be in flight; at least 1. What is on the wire stays there.
    pub fn set_max_in_flight(&mut self, max_in_flight: usize) {
        self.rules.max_in_flight = max_in_flight;
        self.concurrency.set_max(max_in_flight);
    }

    /// Says whether anything may be sent at this time of day. The caller sends nothing while nothing may be; here it
    /// only stops the clocks of `outage_max` and `retry_elapsed_max`.
    pub fn set_closed(&mut self, is_closed: bool, now_ms: u64) {
        self.look_at_clock(now_ms);
        self.breaker.set_closed(is_closed, now_ms);
    }

    /// How many attempts may be on the wire at once just now, first contact aside.
    pub fn in_flight_limit(&self) -> usize {
        self.concurrency.limit()
    }

    /// Where the limit has settled, for the next run to begin with; `None` while it has not, or is fixed.
    pub fn settled_limit(&self) -> Option<usize> {
        self.concurrency.settled()
    }

    /// How many attempts [`Scheduler::next`] would give out now: the caller gets so many permits first.
    pub fn sendable(&self, now_ms: u64) -> usize {
        if self.is_draining || self.token.is_awaited() || self.quiet.until_ms(now_ms).is_some() {
            return 0;
        }
        let mut in_flight_max = self.concurrency.limit().min(self.breaker.in_flight_max());
        if self.guard.is_on() {
            in_flight_max = in_flight_max.min(self.rules.unproven_in_flight.max(1));
        }
        if self.token.is_on_trial() || self.redirects.are_on_trial() {
            in_flight_max = 1;
        }
        let capacity = in_flight_max.saturating_sub(self.lanes.in_flight());
        if self.breaker.open_since_ms().is_none() {
            let slots = self.brake.slots(now_ms).map(|slots| usize::try_from(slots).unwrap_or(usize::MAX));
            let slots = slots.map_or(capacity, |slots| slots.min(capacity)).min(self.quota.slots(now_ms));
            let slots = slots.min(self.shed.slots(now_ms));
            return self.lanes.available(now_ms, slots, self.rules.fresh_per_retry);
        }
        let is_due = self.breaker.probe_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        usize::from(is_due && capacity > 0 && self.lanes.has_probe(now_ms))
    }

    /// The next attempt; the caller holds a permit for it. It is in flight from now on.
    pub fn next(&mut self, now_ms: u64) -> Option<Attempt> {
        if self.sendable(now_ms) == 0 {
            return None;
        }
        self.lanes.promote(now_ms);
        let is_probe = self.breaker.open_since_ms().is_some();
        let id = if is_probe {
            self.lanes.take_probe(self.breaker.last_probed())?
        } else if self.seeks_others() {
            let is_again = self.token.is_first_of_trial(self.lanes.launched());
            self.lanes.take_other(is_again, self.rules.fresh_per_retry)?
        } else {
            self.lanes.take(self.rules.fresh_per_retry)?
        };
        let item = self.lanes.launch(id, self.breaker.epoch(), now_ms, is_probe)?;
        let (subject, attempt) = (item.subject, item.attempts);
        if is_probe {
            self.breaker.on_probe(id, subject);
        } else {
            self.concurrency.on_launch(self.lanes.in_flight());
            self.brake.on_launch(now_ms);
            self.quota.on_launch(now_ms);
            let is_unhurried = self.shed.on_launch(now_ms);
            self.lanes.note_unhurried(id, is_unhurried);
        }
        Some(Attempt { id, subject, attempt, is_probe, token_generation: self.token.generation() })
    }

    /// The next moment at which time alone makes something possible, or a call of [`Scheduler::on_tick`] is due.
    /// `None`: only an outcome, an offer, a token or the end of the input can change anything.
    pub fn wake_at(&self, now_ms: u64) -> Option<u64> {
        if !self.owed.is_empty() || self.must_release() {
            return Some(now_ms);
        }
        let quiet_until_ms = self.quiet.until_ms(now_ms);
        if self.is_draining {
            return quiet_until_ms;
        }
        let outage_at_ms = self.breaker.outage_at_ms().filter(|_| self.held() > 0);
        let next_at_ms = if self.token.is_awaited() { None } else { self.next_at_ms(now_ms) };
        // Whatever is due already waits for something else than time, but for the outage, which on_tick settles.
        let moments = [quiet_until_ms, next_at_ms, outage_at_ms.map(|at_ms| at_ms.max(now_ms))];
        moments.into_iter().flatten().min()
    }

    /// Takes an attempt's outcome. `jitter` is a uniform random number in 0 to 1.
    pub fn on_outcome(&mut self, id: UpdateId, seen: Seen, now_ms: u64, jitter: f64) -> Decision {
        let mut decision = self.begin(now_ms);
        let was_in_flight = self.lanes.land(id);
        debug_assert!(was_in_flight, "an outcome belongs to an attempt in flight");
        if was_in_flight {
            let quota = seen.quota;
            self.token.on_sent(seen.token_generation);
            // A 429 is judged by the quiet it was sent after, not by the one its own headers begin.
            self.rule(id, self.without_pages(seen), now_ms, jitter, &mut decision);
            self.take_quota(quota, now_ms, &mut decision);
        }
        self.finish(now_ms, &mut decision);
        decision
    }

    /// Tells that time has passed: ends a quiet, gives up after `outage_max`, hands out verdicts still owed.
    pub fn on_tick(&mut self, now_ms: u64) -> Decision {
        let mut decision = self.begin(now_ms);
        self.finish(now_ms, &mut decision);
        decision
    }

    /// Answer to [`Action::RereadToken`]; `Err` when the token could not be read.
    pub fn on_token(&mut self, reread: Result<TokenRead, ()>, now_ms: u64) -> Decision {
        let mut decision = self.begin(now_ms);
        self.take_token(reread, &mut decision);
        self.finish(now_ms, &mut decision);
        decision
    }

    /// Nothing more will be offered in this run, unless something is deferred yet. What is kept back is ruled on once
    /// nothing else is left that could bring a first success, or testimony.
    pub fn end_of_input(&mut self) -> Decision {
        self.release_withheld(true)
    }

    /// Releases withheld verdicts if nothing else moves, because no further offer can come: the input is over, or the
    /// caller has no room to take more of it until some update is settled (`is_over` is `false` then).
    pub fn release_withheld(&mut self, is_over: bool) -> Decision {
        self.is_input_over |= is_over;
        let was_over = std::mem::replace(&mut self.is_input_over, true);
        self.is_only_full = !was_over;
        let mut decision = Decision::default();
        decision.verdicts.append(&mut self.owed);
        self.give_up_withholding(&mut decision);
        (self.is_input_over, self.is_only_full) = (was_over, false);
        decision
    }

    /// Nothing more will be offered in this pass, and others follow, whose answers what is kept back waits for. The
    /// pass is over when [`Scheduler::only_waits`].
    pub fn end_of_pass(&mut self) {
        (self.is_pass_over, self.is_input_over) = (true, false);
    }

    /// Whether nothing is held but what waits for the answer of somebody who is not held.
    pub fn only_waits(&self) -> bool {
        let nothing_moves = self.lanes.nothing_moves() || self.waits_for_probes();
        self.owed.is_empty() && nothing_moves && !self.token.is_awaited()
    }

    /// Whether the server is taken for down after all of the pass were tried, and others follow, who may be answered
    /// well: a few that fail for their own sake would keep those from being sent otherwise.
    fn waits_for_probes(&self) -> bool {
        self.is_pass_over && self.is_down() && self.lanes.are_all_tried() && self.lanes.in_flight() == 0
    }

    /// A later pass begins: what was deferred may be offered again, and so many updates more may be deferred. What
    /// was carried over goes on: what nobody's answer has confirmed is no row's own failure, and is tried once more,
    /// in the first passes.
    pub fn begin_pass(&mut self, deferred_room: usize) {
        self.deferred = HashMap::new();
        self.deferred_room = deferred_room;
        (self.is_input_over, self.is_pass_over) = (false, false);
        self.lanes.expect_fresh(false);
        let now_ms = self.free.looked_ms();
        let may_go_on = |id: &UpdateId| self.lanes.get_mut(*id).is_some_and(Item::may_go_on);
        let again: Vec<UpdateId> = self.condemned.keys().copied().filter(may_go_on).collect();
        for id in again {
            self.condemned.remove(&id);
            if let Some(item) = self.lanes.get_mut(id).filter(|_| self.breaker.take_charge(id)) {
                item.refund(1);
            }
            self.lanes.delay(id, now_ms);
        }
        for id in std::mem::take(&mut self.left_back) {
            self.lanes.delay(id, now_ms);
        }
    }

    /// An update waits for a later pass that was never offered: one less may be deferred.
    pub fn take_deferred_room(&mut self) {
        self.deferred_room = self.deferred_room.saturating_sub(1);
    }

    /// What was deferred of a subject comes never again: its later updates are taken as those of others.
    pub fn forget_deferral(&mut self, subject: SubjectId) {
        if self.deferred.remove(&subject).is_some() {
            self.deferred_room = self.deferred_room.saturating_add(1);
        }
    }

    /// No attempt starts from now on.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Takes everything that is not in flight: never attempted, waiting for a retry, or with a verdict kept back.
    pub fn unsent(&mut self) -> Vec<Leftover> {
        self.condemned.clear();
        self.left_back.clear();
        self.suspects.take();
        self.redirects.forget();
        self.guard.forget();
        let mut unsent = self.lanes.take_unsent();
        unsent.extend(self.owed.drain(..).map(|(id, _)| Leftover { id, maybe_applied: false }));
        unsent
    }

    /// Attempts on the wire.
    pub fn in_flight(&self) -> usize {
        self.lanes.in_flight()
    }

    /// Whose attempts are on the wire, in the order of ids. Looks at everything held; meant for the end of a run.
    pub fn in_flight_ids(&self) -> Vec<UpdateId> {
        self.lanes.in_flight_ids()
    }

    /// Updates offered and without a final verdict.
    pub fn held(&self) -> usize {
        self.lanes.held() + self.owed.len()
    }

    /// Whether nothing is held.
    pub fn is_idle(&self) -> bool {
        self.held() == 0
    }

    /// What stands in the way of sending.
    pub fn condition(&self, now_ms: u64) -> Condition {
        if self.is_draining {
            Condition::Draining
        } else if self.token.is_awaited() {
            Condition::AwaitingToken
        } else if let Some(since_ms) = self.breaker.open_since_ms() {
            Condition::BreakerOpen { since_ms }
        } else if let Some(until_ms) = self.quiet.until_ms(now_ms) {
            Condition::Quiet { until_ms }
        } else if self.guard.is_on() {
            Condition::Guarding
        } else {
            Condition::Open
        }
    }

    /// Lets the clock of `retry_elapsed_max` go on. What holds the run begins and ends in calls that look at it
    /// first, but for the end of a quiet, which is known.
    fn look_at_clock(&mut self, now_ms: u64) {
        let is_held = self.breaker.open_since_ms().is_some() || self.breaker.is_off_hours();
        let held_until_ms = if is_held || self.token.is_awaited() {
            now_ms
        } else {
            self.quiet.until_ms(self.free.looked_ms()).unwrap_or(0)
        };
        self.free.go_on(held_until_ms, now_ms);
    }

    fn begin(&mut self, now_ms: u64) -> Decision {
        self.look_at_clock(now_ms);
        let mut decision = Decision::default();
        decision.verdicts.append(&mut self.owed);
        if self.quiet.has_ended(now_ms) {
            decision.actions.push(Action::QuietEnded);
        }
        decision
    }

    fn finish(&mut self, now_ms: u64, decision: &mut Decision) {
        self.give_up_withholding(decision);
        let is_over = self.breaker.outage_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        if is_over && self.held() > 0 {
            self.stop(StopCause::Outage, decision);
        }
    }

    /// When something could be sent next, if that is in the future and time alone stands before it.
    fn next_at_ms(&self, now_ms: u64) -> Option<u64> {
        let from_ms = now_ms.max(self.quiet.until_ms(now_ms).unwrap_or(0));
        if self.breaker.open_since_ms().is_none() {
            let from_ms = from_ms.max(self.brake.closed_until_ms(now_ms).unwrap_or(0));
            let from_ms = from_ms.max(self.quota.closed_until_ms(now_ms).unwrap_or(0));
            let from_ms = from_ms.max(self.shed.closed_until_ms(now_ms).unwrap_or(0));
            let is_closed = from_ms > now_ms;
            let is_ready = is_closed && self.lanes.available(from_ms, 1, self.rules.fresh_per_retry) > 0;
            return if is_ready { Some(from_ms) } else { self.lanes.next_delay_ms(from_ms, false) };
        }
        // With a probe on the wire its outcome is awaited, not a moment.
        let from_ms = from_ms.max(self.breaker.probe_at_ms()?);
        if self.lanes.has_probe(from_ms) {
            return (from_ms > now_ms).then_some(from_ms);
        }
        self.lanes.next_delay_ms(from_ms, true)
    }

    /// Whether verdicts are kept back although nothing is left that could bring a first success, or testimony.
    fn must_release(&self) -> bool {
        let is_kept_back = self.guard.withholds()
            || !self.condemned.is_empty()
            || !self.suspects.is_empty()
            || !self.redirects.is_empty();
        is_kept_back && !self.is_draining && self.is_nobody_left()
    }

    /// Whether nothing is held that moves, and nothing more can come, not even another token: what the caller has not
    /// offered yet may be slow to be read and made durable, and is somebody all the same.
    pub(super) fn is_nobody_left(&self) -> bool {
        let is_full = self.is_input_over || self.room() == 0;
        is_full && self.lanes.nothing_moves() && !self.token.is_awaited()
    }

    fn give_up_withholding(&mut self, decision: &mut Decision) {
        self.settle_suspects(decision);
        self.settle_redirects(decision);
        if self.must_release() {
            let withheld = match self.guard.give_up_waiting() {
                Ok(withheld) => withheld,
                Err(cause) => return self.stop(cause, decision),
            };
            for (id, failure) in withheld {
                self.fail(id, failure, decision);
            }
            self.give_up_condemned(decision);
        }
    }

    /// Minds the delay that a temporary failure names; how long the update itself waits for it. As with a 429, what
    /// is known to be a row's own is nobody else's.
    pub(super) fn take_asked(
        &mut self,
        id: UpdateId,
        failure: &Failure,
        asked_ms: Option<u64>,
        now_ms: u64,
        decision: &mut Decision,
    ) -> u64 {
        let asked_ms = asked_ms.unwrap_or(0);
        if failure.status == Some(503) && self.lanes.get(id).is_some_and(Item::is_unavailable_alone) {
            return asked_ms.min(self.rules.retry_after_max_ms);
        }
        if asked_ms > 0 {
            self.quiet_for(asked_ms, REASON_RETRY_AFTER, now_ms, decision);
        }
        0
    }

    pub(super) fn stop(&mut self, cause: StopCause, decision: &mut Decision) {
        if !self.is_draining {
            self.is_draining = true;
            self.stopped_for = Against::of(&cause);
            decision.actions.push(Action::Stop(cause));
        }
    }
}
