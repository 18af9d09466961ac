//! The checker of the simulation: reads what happened, in order, and says which promise was broken.
//!
//! It keeps its own, simpler books and shares no code with the scheduler. `sim/bad.rs` shows that it bites.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::delivery::outcome::{Outcome, Verdict};
use crate::delivery::{Action, Attempt, DeliveryRules, UpdateId};
use crate::ledger::FailureKind;

/// Retries beyond the fifth that may have been saved up.
const SAVED_MAX: usize = 4;

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    Offered { id: UpdateId, subject: u64, chronic: bool },
    InputOver,
    Permits(u64),
    Sent { attempt: Attempt, subject: u64, generation: u64 },
    Answered { id: UpdateId, outcome: Outcome, generation: u64 },
    Decided { verdicts: Vec<(UpdateId, Verdict)>, actions: Vec<Action> },
    Drained,
    Leftover(UpdateId),
    Ended,
}

#[derive(Debug, Default)]
struct Book {
    subject: u64,
    chronic: bool,
    has_been_sent: bool,
    /// Its last attempt failed for the time being.
    has_failed: bool,
    sent_ms: u64,
    in_flight: bool,
    is_settled: bool,
    is_withheld: bool,
    /// A definite answer about the update itself: it must not be sent again.
    is_answered: bool,
    /// Failures that may be its own, with somebody's definite answer after them.
    solid: u32,
}

#[derive(Debug, Default)]
pub(super) struct Checker {
    rules: DeliveryRules,
    burst: u64,
    rate_per_s: u64,
    permits: u64,
    sent: u64,
    books: BTreeMap<UpdateId, Book>,
    /// Unsettled updates of a subject, in the order of their offers.
    order: BTreeMap<u64, Vec<UpdateId>>,
    deferred: BTreeSet<u64>,
    /// Subjects with an update on the wire.
    on_wire: BTreeMap<u64, UpdateId>,
    /// Failures that may be a row's own, without a definite answer after them.
    loose: BTreeMap<UpdateId, u32>,
    /// First tries and retries of the latest minute in which there were both: when, and whether it was a retry.
    spent: VecDeque<(u64, bool)>,
    quiet_until_ms: u64,
    refused_generation: Option<u64>,
    passed_generations: BTreeSet<u64>,
    has_passed: bool,
    is_input_over: bool,
    is_open: bool,
    probing: Option<UpdateId>,
    was_well: bool,
    is_over: bool,
    /// Whose definite answer this decision follows.
    witness: Option<UpdateId>,
}

impl Checker {
    pub(super) fn new(rules: DeliveryRules, rate_per_s: u64, burst: u64) -> Checker {
        Checker { rules, rate_per_s, burst, ..Checker::default() }
    }

    pub(super) fn see(&mut self, now_ms: u64, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::Offered { id, subject, chronic } => {
                let book = Book { subject: *subject, chronic: *chronic, ..Book::default() };
                self.books.insert(*id, book);
                self.order.entry(*subject).or_default().push(*id);
            }
            Fact::InputOver => self.is_input_over = true,
            Fact::Permits(permits) => self.permits += permits,
            Fact::Sent { attempt, subject, generation } => {
                self.see_sent(now_ms, attempt, *subject, *generation)?;
            }
            Fact::Answered { id, outcome, generation } => {
                self.see_answer(now_ms, *id, outcome, *generation)?;
            }
            Fact::Decided { verdicts, actions } => self.see_decision(verdicts, actions)?,
            Fact::Drained => self.is_over = true,
            Fact::Leftover(id) => self.settle(*id)?,
            Fact::Ended => {
                let open: Vec<_> = self.books.iter().filter(|(_, book)| !book.is_settled).collect();
                ensure(open.is_empty(), || format!("without a verdict and not left over: {open:?}"))?;
            }
        }
        Ok(())
    }

    fn see_sent(
        &mut self,
        now_ms: u64,
        attempt: &Attempt,
        subject: u64,
        generation: u64,
    ) -> Result<(), String> {
        let id = attempt.id;
        ensure(!self.is_over, || format!("{id} sent after the end"))?;
        ensure(self.permits > 0, || format!("{id} sent without a permit"))?;
        self.permits -= 1;
        self.sent += 1;
        let allowed = self.burst + self.rate_per_s * now_ms / 1_000;
        ensure(self.sent <= allowed, || format!("{} sent, {allowed} allowed", self.sent))?;
        ensure(now_ms >= self.quiet_until_ms, || format!("{id} sent into the quiet"))?;
        ensure(self.refused_generation.is_none_or(|refused| generation > refused), || {
            format!("{id} sent with the refused token {generation}")
        })?;
        let twin = self.on_wire.insert(subject, id);
        ensure(twin.is_none(), || format!("{id}: two of subject {subject} on the wire"))?;
        let first = self.order.get(&subject).and_then(|order| order.first());
        ensure(first == Some(&id), || format!("{id} sent before {first:?} of its subject"))?;
        ensure(!self.deferred.contains(&subject), || format!("{id} sent after a deferred one"))?;
        if self.is_open {
            ensure(attempt.is_probe && self.probing.is_none(), || format!("{id} is no single probe"))?;
            self.probing = Some(id);
        }
        let in_flight = self.on_wire.len() - 1;
        let is_guarded = !self.rules.proven && !self.has_passed;
        let in_flight_max = if is_guarded { self.rules.unproven_in_flight } else { self.rules.max_in_flight };
        ensure(in_flight < in_flight_max, || format!("{in_flight} on the wire already"))?;
        self.see_budget(now_ms, attempt)?;
        let book = self.book(id)?;
        book.has_been_sent = true;
        ensure(!book.is_answered && !book.is_settled, || format!("{id} sent after a definite answer"))?;
        book.in_flight = true;
        book.sent_ms = now_ms;
        Ok(())
    }

    /// While a first try could go, retries are a fifth of all attempts over any minute, and the few that were saved up.
    fn see_budget(&mut self, now_ms: u64, attempt: &Attempt) -> Result<(), String> {
        let book = self.book(attempt.id)?;
        if attempt.is_probe || book.chronic || !book.has_been_sent {
            self.spent.push_back((now_ms, false));
            return Ok(());
        }
        if !book.has_failed {
            return Ok(());
        }
        let is_first_try = |id: &UpdateId| {
            let book = &self.books[id];
            !book.chronic && !book.has_been_sent && !self.deferred.contains(&book.subject)
        };
        let first_tries_remain = self.order.values().filter_map(|order| order.first()).any(is_first_try);
        if !first_tries_remain {
            // Retries are spaced by their own delays now; what comes after them is judged afresh.
            self.spent.clear();
            return Ok(());
        }
        self.spent.push_back((now_ms, true));
        while self.spent.front().is_some_and(|(at_ms, _)| at_ms + 60_000 <= now_ms) {
            self.spent.pop_front();
        }
        let retries = self.spent.iter().filter(|(_, is_retry)| *is_retry).count();
        let allowed = self.spent.len() / 5 + SAVED_MAX;
        ensure(retries <= allowed, || {
            format!("{retries} retries of {} attempts in a minute", self.spent.len())
        })
    }

    fn see_answer(
        &mut self,
        now_ms: u64,
        id: UpdateId,
        outcome: &Outcome,
        generation: u64,
    ) -> Result<(), String> {
        self.probing = self.probing.filter(|probing| *probing != id);
        let (cap_ms, default_ms) = (self.rules.retry_after_max_ms, self.rules.throttle_default_ms);
        let (is_open, was_well, quiet_until_ms) = (self.is_open, self.was_well, self.quiet_until_ms);
        let book = self.book(id)?;
        book.in_flight = false;
        let subject = book.subject;
        let is_new_volley = book.sent_ms >= quiet_until_ms;
        let mut is_definite = false;
        let mut quiet_ms = None;
        let mut is_loose = false;
        match outcome {
            Outcome::Acknowledged | Outcome::EchoMismatch { .. } => is_definite = true,
            Outcome::Refused { .. } | Outcome::Conflict { .. } => is_definite = true,
            Outcome::TokenRefused | Outcome::Forbidden { .. } | Outcome::Redirected => {}
            Outcome::Throttled { retry_after_ms: None } => {
                quiet_ms = is_new_volley.then_some(default_ms);
            }
            Outcome::Throttled { retry_after_ms } => quiet_ms = *retry_after_ms,
            Outcome::ServerFailed { retry_after_ms, .. } => {
                quiet_ms = *retry_after_ms;
                is_loose = was_well && !is_open;
            }
            Outcome::TimedOut | Outcome::Disconnected => is_loose = was_well && !is_open,
            Outcome::NotConnected => {}
        }
        book.is_answered = is_definite;
        book.has_failed = matches!(
            outcome,
            Outcome::ServerFailed { .. } | Outcome::TimedOut | Outcome::Disconnected | Outcome::NotConnected
        );
        self.on_wire.remove(&subject);
        *self.loose.entry(id).or_default() += u32::from(is_loose);
        let is_token = matches!(outcome, Outcome::TokenRefused)
            || (matches!(outcome, Outcome::Forbidden { .. })
                && !self.passed_generations.contains(&generation));
        if is_token {
            self.refused_generation = self.refused_generation.max(Some(generation));
        }
        if *outcome == Outcome::Acknowledged {
            self.passed_generations.insert(generation);
            self.has_passed = true;
        }
        if is_definite || matches!(outcome, Outcome::TokenRefused | Outcome::Forbidden { .. }) {
            self.was_well = true;
            self.witness = Some(id);
            for (id, loose) in std::mem::take(&mut self.loose) {
                self.book(id)?.solid += loose;
            }
        }
        if let Some(ms) = quiet_ms {
            self.quiet_until_ms = self.quiet_until_ms.max(now_ms + ms.min(cap_ms));
        }
        Ok(())
    }

    fn see_decision(&mut self, verdicts: &[(UpdateId, Verdict)], actions: &[Action]) -> Result<(), String> {
        for action in actions {
            match action {
                Action::BreakerOpened => {
                    self.is_open = true;
                    self.loose.clear();
                }
                Action::BreakerClosed => self.is_open = false,
                Action::Stop(_) => self.is_over = true,
                Action::RereadToken
                | Action::QuietStarted { .. }
                | Action::QuietEnded
                | Action::GuardReleased => {}
            }
        }
        let exhausted = |verdict: &Verdict| matches!(verdict, Verdict::Failed(failure) if failure.kind == FailureKind::Exhausted);
        let nobody_left = verdicts.iter().any(|(_, verdict)| exhausted(verdict)) && {
            let failed: BTreeSet<UpdateId> = verdicts
                .iter()
                .filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
                .map(|(id, _)| *id)
                .collect();
            let mut heads = self.order.values().filter_map(|order| order.first());
            heads.all(|id| self.books[id].is_withheld || failed.contains(id))
        };
        for (id, verdict) in verdicts {
            let attempts_max = self.rules.attempts_max;
            let (is_guarded, is_input_over) = (!self.rules.proven && !self.has_passed, self.is_input_over);
            let (is_open, witness) = (self.is_open, self.witness);
            let loose = self.loose.get(id).copied().unwrap_or_default();
            let book = self.book(*id)?;
            ensure(!book.is_settled, || format!("{id} has two verdicts"))?;
            match verdict {
                Verdict::RetryIn { .. } => continue,
                Verdict::Withheld => {
                    book.is_withheld = true;
                    continue;
                }
                Verdict::Synced => {}
                Verdict::Deferred(_) => {
                    let subject = book.subject;
                    self.deferred.insert(subject);
                }
                Verdict::Failed(_) if exhausted(verdict) => {
                    let charged = book.solid + loose;
                    ensure(charged >= attempts_max, || format!("{id} exhausted after {charged}"))?;
                    ensure(!is_open, || format!("{id} exhausted while the server is down"))?;
                    let is_heard = witness.is_some_and(|witness| witness != *id);
                    ensure(is_heard || nobody_left, || format!("{id} exhausted without testimony"))?;
                }
                Verdict::Failed(_) => {
                    ensure(!is_guarded || is_input_over, || format!("{id} failed at first contact"))?;
                }
            }
            self.settle(*id)?;
        }
        self.witness = None;
        Ok(())
    }

    fn settle(&mut self, id: UpdateId) -> Result<(), String> {
        let book = self.book(id)?;
        ensure(!book.is_settled && !book.in_flight, || format!("{id} ends twice, or on the wire"))?;
        book.is_settled = true;
        let subject = book.subject;
        if let Some(order) = self.order.get_mut(&subject) {
            order.retain(|waiting| *waiting != id);
        }
        Ok(())
    }

    fn book(&mut self, id: UpdateId) -> Result<&mut Book, String> {
        self.books.get_mut(&id).ok_or_else(|| format!("{id} was never offered"))
    }
}

fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}
