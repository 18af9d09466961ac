//! What an outcome means: for its update, for its lane, and for the run. The verdict table of delivery.
//!
//! Not here: how an HTTP answer becomes an outcome (`api/answer.rs`), what is sent when (`schedule.rs`), and whose
//! fault a 401, a 403 or a redirect is (`turned_away.rs`).

use std::collections::BTreeMap;

use super::alone::{LAST_MAX, LEFT_PART, Left};
use super::brake::{TESTIMONIES_MAX, WAIVED_TIMES};
use super::breaker::Blow;
use super::decision::{Action, Decision, REASON_QUOTA, REASON_THROTTLED, UpdateId};
use super::lanes::Item;
use super::outcome::{Failure, Outcome, Quota, Seen, Verdict};
use super::same::{UsedUp, are_own_or_between};
use super::schedule::Scheduler;
use super::shed;
use super::suspects::FORBIDDEN_MAX;
use super::turned_away::Against;
use crate::ledger::FailureKind;
use crate::update::FieldSet;

/// The complaint of a row that is answered with 429 again and again while others pass.
const SIGNATURE_429: &str = "429 for this row alone";

/// Quiets in a row, with nobody passing between, after which others than those at hand are asked.
const VOLLEYS_MAX: u32 = 2;

/// Strikes that the delay of an update is like which was pushed back before.
const PUSHED_BACK_STRIKES: u32 = 2;

/// An update whose charges are used up.
#[derive(Debug)]
pub(super) struct Condemned {
    failure: Failure,
    /// When its last attempt was sent.
    sent_ms: u64,
}

/// A temporary failure, taken apart.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) is_chargeable: bool,
    pub(super) retry_after_ms: Option<u64>,
    /// Time that the row waits at least.
    pub(super) delay_min_ms: u64,
}

impl Scheduler {
    /// Rules on an outcome whose update has just come off the wire.
    pub(super) fn rule(
        &mut self,
        id: UpdateId,
        seen: Seen,
        now_ms: u64,
        jitter: f64,
        decision: &mut Decision,
    ) {
        let Seen { outcome, status, quota: _, token_generation: generation } = seen;
        let name = outcome.name();
        self.breaker.hear(id);
        let sent_ms = self.lanes.get(id).map_or(now_ms, |item| item.sent.1);
        if matches!(
            outcome,
            Outcome::Acknowledged
                | Outcome::EchoMismatch { .. }
                | Outcome::Refused { .. }
                | Outcome::Conflict { .. }
        ) {
            self.note_answered(id, &outcome, generation, now_ms);
        }
        self.note_turned_away(id, &outcome, status, now_ms);
        self.feed_concurrency(id, &outcome, status, now_ms);
        let failure = |kind, signature| Failure { kind, status, signature, maybe_applied: false };
        match outcome {
            Outcome::Acknowledged => self.on_acknowledged(id, generation, sent_ms, decision),
            Outcome::EchoMismatch { signature, .. } | Outcome::Page { signature } => {
                self.on_definite(sent_ms, decision);
                let failure = failure(FailureKind::EchoMismatch, signature);
                self.refuse(id, Failure { maybe_applied: true, ..failure }, decision);
            }
            Outcome::Refused { signature } => {
                self.on_definite(sent_ms, decision);
                self.refuse(id, failure(FailureKind::Refused, signature), decision);
            }
            Outcome::Forbidden { signature } => {
                let failure = failure(FailureKind::Refused, signature);
                self.suspect(id, generation, failure, FORBIDDEN_MAX, decision);
            }
            Outcome::TokenRefused => self.on_unauthorized(id, generation, decision),
            Outcome::Conflict { signature } => {
                self.on_definite(sent_ms, decision);
                self.defer(id, failure(FailureKind::Deferred, signature), decision);
            }
            Outcome::Throttled { retry_after_ms } => {
                self.on_throttled(id, retry_after_ms, now_ms, jitter, decision);
            }
            Outcome::ServerFailed { signature, retry_after_ms } => {
                // What a proxy answers 407 to it has not forwarded (RFC 9110 section 15.5.8).
                let maybe_applied = status != Some(407);
                let failure = Failure { maybe_applied, ..failure(FailureKind::Exhausted, signature) };
                let trouble = Trouble { failure, is_chargeable: true, retry_after_ms, delay_min_ms: 0 };
                self.on_trouble(id, trouble, now_ms, jitter, decision);
            }
            Outcome::TimedOut | Outcome::Disconnected => {
                let failure =
                    Failure { maybe_applied: true, ..failure(FailureKind::Exhausted, name.to_owned()) };
                let trouble = Trouble { failure, is_chargeable: true, retry_after_ms: None, delay_min_ms: 0 };
                self.on_trouble(id, trouble, now_ms, jitter, decision);
            }
            Outcome::NotConnected => self.on_unconnected(id, name, now_ms, jitter, decision),
            Outcome::Unprocessed => self.on_unprocessed(id, name, now_ms, jitter, decision),
            Outcome::Redirected => {
                self.on_redirected(id, status.unwrap_or_default(), decision);
            }
        }
    }

    /// Notes an answer about what the update says.
    fn note_answered(&mut self, id: UpdateId, outcome: &Outcome, generation: u64, now_ms: u64) {
        self.testify(id, true, now_ms);
        let Some(item) = self.lanes.get(id) else { return };
        self.same.on_passed(item.turned_away);
        self.heard = self.heard.max(item.number);
        if *outcome != Outcome::Acknowledged && !self.is_first_contact() {
            self.token.on_answered(generation, item.number, item.subject);
        }
        // Where it is not always the same ones after all, nobody is known to be for its own sake.
        if self.same.is_taken_back() {
            self.lanes.take_same_back();
        }
    }

    /// A page of HTML is a wrong address as long as nothing was ever accepted, and a failing server from then on.
    pub(super) fn without_pages(&self, seen: Seen) -> Seen {
        let Outcome::Page { signature } = seen.outcome else { return seen };
        let outcome = if self.guard.is_on() {
            Outcome::EchoMismatch { fields: FieldSet::EMPTY, signature }
        } else {
            Outcome::ServerFailed { signature, retry_after_ms: None }
        };
        Seen { outcome, ..seen }
    }

    /// Minds what the server says it will still take.
    pub(super) fn take_quota(&mut self, quota: Option<Quota>, now_ms: u64, decision: &mut Decision) {
        let Some(quota) = quota else { return };
        let cap_ms = self.rules.retry_after_max_ms;
        if let Some(quiet_ms) = self.quota.on_quota(quota, self.lanes.in_flight(), now_ms, cap_ms)
            && let Some(ms) = self.quiet.on_retry_after(now_ms, quiet_ms)
        {
            decision.actions.push(Action::QuietStarted { ms, reason: REASON_QUOTA });
        }
    }

    /// Tells the brake whether the server passes or fails what nothing but the server explains. Without a connection
    /// nobody was asked, and a 429 has its quiet: neither is told.
    fn testify(&mut self, id: UpdateId, has_passed: bool, now_ms: u64) {
        let Some(item) = self.lanes.get(id) else { return };
        let is_heard = !item.chronic && !item.probed && !item.is_turned_away_alone();
        if is_heard && item.charged < TESTIMONIES_MAX {
            self.brake.on_outcome(item.subject, has_passed, now_ms);
        }
    }

    /// Whether a rate may be learned from those that are turned away: not where it seems to be always the same ones,
    /// nor, once many have failed together, before one of them has passed.
    fn may_be_by_rate(&self) -> bool {
        !self.same.seem_same() && (!self.lanes.is_mixed() || self.same.has_passed_again())
    }

    /// Notes who is turned away; where it is always the same ones, it was no rate that turned them away.
    fn note_turned_away(&mut self, id: UpdateId, outcome: &Outcome, status: Option<u16>, now_ms: u64) {
        let is_turned_away = matches!(outcome, Outcome::Throttled { .. })
            || status == Some(503) && matches!(outcome, Outcome::ServerFailed { .. });
        let Some(item) = self.lanes.get_mut(id).filter(|item| is_turned_away && !item.chronic) else {
            return;
        };
        self.same.on_turned_away(&mut item.turned_away);
        if self.same.seem_same() {
            self.shed.on_same(now_ms);
        }
        if self.same.are_known() {
            self.lanes.shun_nobody();
        }
    }

    /// Tells what the server takes in and what it turns away without a word about how long; whether it has. A row
    /// known to fail on its own is told all the same: where a server sheds, every row has been turned away before.
    fn feed_shed(&mut self, id: UpdateId, outcome: &Outcome, status: Option<u16>, now_ms: u64) -> bool {
        let Some(item) =
            self.lanes.get(id).filter(|item| !item.chronic && !item.probed && !item.is_turned_away_alone())
        else {
            return false;
        };
        match outcome {
            Outcome::Throttled { retry_after_ms: None | Some(0) } => {}
            Outcome::ServerFailed { retry_after_ms: None | Some(0), .. } if status == Some(503) => {}
            Outcome::ServerFailed { .. }
            | Outcome::Page { .. }
            | Outcome::NotConnected
            | Outcome::TimedOut
            | Outcome::Disconnected => {
                self.shed.on_failed(now_ms);
                return false;
            }
            Outcome::Unprocessed => return false,
            Outcome::Acknowledged
            | Outcome::EchoMismatch { .. }
            | Outcome::Refused { .. }
            | Outcome::Conflict { .. }
            | Outcome::TokenRefused
            | Outcome::Forbidden { .. }
            | Outcome::Throttled { .. }
            | Outcome::Redirected => {
                self.shed.on_passed(now_ms);
                return false;
            }
        }
        if !self.may_be_by_rate() {
            return true;
        }
        let testifies = item.waived < shed::TESTIMONIES_MAX && !item.unhurried;
        self.shed.on_turned_away(item.subject, testifies, now_ms);
        true
    }

    /// Tells the limit what the attempt says about how much the server can take at once. A row known to fail on its
    /// own says nothing, nor does a probe, which was alone on the wire.
    fn feed_concurrency(&mut self, id: UpdateId, outcome: &Outcome, status: Option<u16>, now_ms: u64) {
        // Where turning away goes by rate, fewer at once are no remedy.
        let is_turned_away = self.feed_shed(id, outcome, status, now_ms);
        if is_turned_away && (self.shed.is_by_rate() || self.same.seem_same()) {
            return;
        }
        let Some(item) = self.lanes.get(id) else { return };
        if item.chronic || item.confirmed > 0 || item.probed || item.is_turned_away_alone() {
            return;
        }
        let sent_ms = item.sent.1;
        match outcome {
            Outcome::Acknowledged | Outcome::EchoMismatch { .. } => {
                self.concurrency.on_answer(sent_ms, now_ms)
            }
            Outcome::Throttled { .. } | Outcome::TimedOut => self.concurrency.on_pushback(sent_ms, now_ms),
            Outcome::ServerFailed { .. } if matches!(status, Some(503 | 504)) => {
                self.concurrency.on_pushback(sent_ms, now_ms);
            }
            // Refusals are quicker than work, and other failures tell of faults and not of load.
            Outcome::ServerFailed { .. }
            | Outcome::Page { .. }
            | Outcome::Refused { .. }
            | Outcome::Conflict { .. }
            | Outcome::TokenRefused
            | Outcome::Forbidden { .. }
            | Outcome::Disconnected
            | Outcome::NotConnected
            | Outcome::Unprocessed
            | Outcome::Redirected => {}
        }
    }

    fn on_acknowledged(&mut self, id: UpdateId, generation: u64, sent_ms: u64, decision: &mut Decision) {
        let number = self.lanes.get(id).map_or(0, |item| item.number);
        self.token.on_passed(generation, number);
        self.note_passed(id);
        self.lanes.settle(id);
        decision.verdicts.push((id, Verdict::Synced));
        self.row.forget();
        self.on_definite(sent_ms, decision);
        if let Some(withheld) = self.guard.on_success() {
            decision.actions.push(Action::GuardReleased);
            for (id, failure) in withheld {
                self.fail(id, failure, decision);
            }
        }
        for (id, failure) in self.redirects.on_passed(number) {
            self.refuse(id, failure, decision);
        }
        if generation == self.token.generation() {
            self.refused_at_the_end = 0;
            let cleared = self.suspects.on_passed(number);
            for (id, failure) in cleared.alone {
                self.refuse(id, failure, decision);
            }
            for id in cleared.again {
                if let Some(item) = self.lanes.get_mut(id) {
                    item.suspected = Some(generation);
                }
                self.go_again(id, 0, decision);
            }
        }
    }

    /// A definite answer of any kind: the server is well, and who kept failing meanwhile did so on its own. Not so
    /// for an answer to what was sent before: it was under way when the trouble began, and says nothing of it.
    pub(super) fn on_definite(&mut self, sent_ms: u64, decision: &mut Decision) {
        self.answers.on_definite();
        self.lanes.on_definite();
        let recovered = self.breaker.on_definite();
        self.quiet.on_definite();
        if recovered.has_closed {
            decision.actions.push(Action::BreakerClosed);
            // The pace is judged by the time in which attempts could leave.
            let now_ms = self.free.looked_ms();
            self.brake.on_recovery(now_ms);
            self.shed.on_recovery(now_ms);
        }
        for (id, charges) in recovered.confirmed {
            if let Some(item) = self.lanes.get_mut(id) {
                item.confirmed = item.confirmed.saturating_add(charges);
                item.note_heard(self.heard);
            }
        }
        for (id, charges) in recovered.refunds {
            if let Some(item) = self.lanes.get_mut(id) {
                item.refund(charges);
            }
            if self.condemned.remove(&id).is_some() {
                self.lanes.delay(id, self.free.looked_ms());
            }
        }
        let is_last = self.is_nobody_left();
        self.fail_condemned(if is_last { u64::MAX } else { sent_ms }, decision);
    }

    fn on_throttled(
        &mut self,
        id: UpdateId,
        retry_after_ms: Option<u64>,
        now_ms: u64,
        jitter: f64,
        decision: &mut Decision,
    ) {
        let is_waited_for = retry_after_ms.is_none_or(|asked_ms| asked_ms <= self.rules.retry_after_max_ms);
        let is_over = self.is_input_over || self.is_pass_over;
        let are_few = self.lanes.plain_heads() <= LAST_MAX || self.same.are_known();
        let is_last = is_over && is_waited_for && are_few;
        let long_ms = self.rules.outage_max_ms / LEFT_PART;
        let left = is_last.then_some(Left { now_ms, long_ms, are_others_coming: self.is_pass_over });
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.against = Some(Against::Trouble);
        let sent_ms = item.sent.1;
        let is_own =
            self.answers.on_throttled(&mut item.pushed_back, item.chronic, left) || item.turned_away.is_own();
        let (subject, maybe_applied) = (item.subject, item.maybe_applied);
        let (is_chronic, follows_failed) = (item.chronic, item.follows.is_some());
        // What is known to be a row's own is nobody else's, and what names no delay is not taken for everybody's
        // while it is always the same rows.
        let has_delay = retry_after_ms.is_some_and(|asked_ms| asked_ms > 0);
        let is_for_all = !is_own && (is_chronic || has_delay || !self.same.are_same());
        if is_for_all && let Some(ms) = self.quiet.on_throttled(now_ms, sent_ms, retry_after_ms) {
            self.quiet_all(id, ms, has_delay, now_ms, decision);
        }
        if is_own {
            if is_last {
                self.breaker.on_own_pushback();
            }
            self.shed.on_own(subject);
            let signature = SIGNATURE_429.to_owned();
            let failure =
                Failure { kind: FailureKind::Exhausted, status: Some(429), signature, maybe_applied };
            let asked_ms = retry_after_ms.filter(|asked_ms| *asked_ms > 0);
            let delay_min_ms =
                asked_ms.unwrap_or(self.rules.throttle_default_ms).min(self.rules.retry_after_max_ms);
            // Where nobody else is sent, no answer shows that it is nobody else's.
            if is_chronic && !follows_failed {
                self.breaker.on_own_pushback();
                self.quiet_for(delay_min_ms, REASON_THROTTLED, now_ms, decision);
            }
            let trouble = Trouble { failure, is_chargeable: true, retry_after_ms: None, delay_min_ms };
            return self.on_trouble(id, trouble, now_ms, jitter, decision);
        }
        self.breaker.on_pushback(id, now_ms);
        if self.lanes.get_mut(id).is_some_and(|item| item.pushed_back.waits_for_others()) {
            self.left_back.insert(id);
            decision.verdicts.push((id, Verdict::Withheld));
            return;
        }
        let until_ms = self.quiet.until_ms(now_ms).unwrap_or(now_ms);
        let goes_behind = self.lanes.get(id).is_some_and(|item| item.pushed_back.goes_behind());
        let goes_on = !goes_behind && !self.lanes.is_mixed();
        if is_for_all && (goes_on || self.lanes.plain_heads() <= 1) {
            return self.go_again(id, until_ms - now_ms, decision);
        }
        let least_ms = if is_for_all { 0 } else { self.rules.throttle_default_ms };
        let behind_ms = self.ceilings.delay_ms(PUSHED_BACK_STRIKES, jitter).max(least_ms);
        self.lanes.delay(id, until_ms.saturating_add(behind_ms));
        decision.verdicts.push((id, Verdict::RetryIn { delay_ms: until_ms + behind_ms - now_ms }));
    }

    /// Everybody is quiet for so long after the 429 of an update.
    fn quiet_all(&mut self, id: UpdateId, ms: u64, has_delay: bool, now_ms: u64, decision: &mut Decision) {
        decision.actions.push(Action::QuietStarted { ms, reason: REASON_THROTTLED });
        if !self.same.are_known() {
            self.lanes.shun(id);
        }
        if self.quiet.volleys() >= VOLLEYS_MAX {
            self.lanes.mix();
            decision.actions.push(Action::NobodyPasses);
        }
        // What came slowly was not too fast.
        let tells_of_rate = |item: &&Item| item.pushed_back.tells_of_rate() && !item.unhurried;
        match self.lanes.get(id).filter(tells_of_rate) {
            Some(item) if !has_delay && self.may_be_by_rate() => {
                self.shed.on_volley(Some(item.subject), ms, now_ms);
            }
            Some(_) | None => self.shed.on_quiet(ms, now_ms),
        }
    }

    /// Everybody is quiet for so long, and no longer the next time.
    pub(super) fn quiet_for(&mut self, ms: u64, reason: &'static str, now_ms: u64, decision: &mut Decision) {
        if let Some(ms) = self.quiet.on_retry_after(now_ms, ms) {
            decision.actions.push(Action::QuietStarted { ms, reason });
        }
    }

    /// A temporary failure: the row's or the server's, which its neighbours will show.
    pub(super) fn on_trouble(
        &mut self,
        id: UpdateId,
        trouble: Trouble,
        now_ms: u64,
        jitter: f64,
        decision: &mut Decision,
    ) {
        let Trouble { mut failure, is_chargeable, retry_after_ms, delay_min_ms } = trouble;
        let asked_ms = self.take_asked(id, &failure, retry_after_ms, now_ms, decision);
        let is_shed = failure.status == Some(503);
        if is_chargeable && !(is_shed && self.shed.is_by_rate()) {
            self.testify(id, false, now_ms);
        }
        let was_open = self.breaker.open_since_ms().is_some();
        let plain_heads = self.lanes.plain_heads();
        let Some(item) = self.lanes.get_mut(id) else { return };
        // What is turned away with many others is pushed back, and not failed; unless it came slowly.
        let is_hurried = !item.chronic && !item.unhurried && !self.same.are_same();
        let is_shed = is_shed && is_hurried && self.shed.is_spread(item.subject, now_ms);
        item.against = is_chargeable.then_some(Against::Trouble);
        item.note_passed_over(self.heard);
        item.maybe_applied |= failure.maybe_applied;
        failure.maybe_applied = item.maybe_applied;
        // An update that has failed while others passed is known to fail on its own: it says nothing about the
        // server, like a chronic one.
        let is_alone = item.is_turned_away_alone();
        let counts = !item.chronic && item.confirmed == 0 && !is_alone;
        // Where nothing but chronic rows is sent, nobody may ever pass: one that the application itself answers with
        // an error (and not a gateway, a proxy or a portal's page in its place, nor silence) has failed on its own
        // again; so has one that failed in earlier batches and is answered with 503, which may be either's, and one
        // that fails as an earlier one of its subject did.
        let is_answered = failure.status.is_some_and(|status| !matches!(status, 200..=299 | 407 | 502..=504));
        let is_as_before = item.is_chronic_before() && failure.status == Some(503)
            || item.fails_like_the_one_before(failure.status);
        let is_own = item.chronic && (is_answered || is_as_before);
        let blow = Blow { id, subject: item.subject, counts, is_chargeable, is_own, epoch: item.sent.0 };
        let struck = self.breaker.on_failure(blow, plain_heads, now_ms);
        // What the server does to many is not the row's, up to what no chance explains.
        let waived_times = if is_shed { shed::WAIVED_TIMES } else { WAIVED_TIMES };
        let is_excused = is_shed || self.brake.is_on() && !item.chronic && !is_alone;
        let waived_max = is_excused.then(|| self.rules.attempts_max.saturating_mul(waived_times));
        item.answered = item.answered.saturating_add(u32::from(struck.is_charged && is_answered));
        let waived_before = item.waived;
        let is_used_up = struck.is_charged && item.charge(waived_max, self.free.ms(), &self.rules);
        self.breaker.note_excused(item.waived > waived_before);
        // While the breaker is open the probes' own interval paces it, and while the server sheds the rate that
        // passes: the row's delay need not grow.
        let is_paced = was_open || is_shed && self.shed.is_by_rate();
        item.strikes = item.strikes.saturating_add(u32::from(!is_paced)).max(1);
        let delay_ms = self.ceilings.delay_ms(item.strikes, jitter).max(delay_min_ms).max(asked_ms);
        if is_used_up && struck.refunds.is_none() {
            let sent_ms = item.sent.1;
            self.condemned.insert(id, Condemned { failure, sent_ms });
            if self.is_nobody_left() {
                return self.give_up_condemned(decision);
            }
        } else {
            self.lanes.delay(id, now_ms.saturating_add(delay_ms));
        }
        decision.verdicts.push((id, Verdict::RetryIn { delay_ms }));
        if let Some(refunds) = struck.refunds {
            decision.actions.push(Action::BreakerOpened);
            self.brake.on_outage(now_ms);
            if is_shed {
                self.shed.on_volley(None, self.rules.probe_interval_ms, now_ms);
            }
            self.refund(refunds, now_ms);
        }
    }

    /// The breaker opened: what the streak cost the rows is given back, and who was condemned goes on.
    fn refund(&mut self, refunds: BTreeMap<UpdateId, u32>, now_ms: u64) {
        for (id, charges) in refunds {
            if let Some(item) = self.lanes.get_mut(id) {
                item.refund(charges);
            }
        }
        for (id, _) in std::mem::take(&mut self.condemned) {
            self.lanes.delay(id, now_ms);
        }
    }

    /// Goes again at no cost, before the others.
    pub(super) fn go_again(&mut self, id: UpdateId, delay_ms: u64, decision: &mut Decision) {
        self.lanes.put_in_front(id);
        decision.verdicts.push((id, Verdict::RetryIn { delay_ms }));
    }

    fn defer(&mut self, id: UpdateId, mut failure: Failure, decision: &mut Decision) {
        self.guard.on_conflict();
        self.row.forget();
        if self.deferred_room == 0 {
            // Nobody of its subject waits: an update behind one that waits is not sent. It is a conflict that no pass
            // resolves.
            return self.refuse(id, Failure { kind: FailureKind::Unresolved, ..failure }, decision);
        }
        let Some(item) = self.lanes.get(id) else { return };
        failure.maybe_applied |= item.maybe_applied;
        let subject = item.subject;
        let untouched = Failure { maybe_applied: false, ..failure.clone() };
        decision.verdicts.push((id, Verdict::Deferred(failure)));
        let behind = self.lanes.settle_lane(id);
        self.deferred_room = self.deferred_room.saturating_sub(1 + behind.len());
        for later in behind {
            decision.verdicts.push((later, Verdict::Deferred(untouched.clone())));
        }
        self.deferred.insert(subject, untouched);
    }

    /// A verdict against the row itself, kept back at first contact.
    pub(super) fn refuse(&mut self, id: UpdateId, mut failure: Failure, decision: &mut Decision) {
        let is_known = self.is_known(id);
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.maybe_applied |= failure.maybe_applied;
        failure.maybe_applied = item.maybe_applied;
        if !self.guard.is_on() {
            let subject = item.subject;
            let stop = (!is_known).then(|| self.row.on_refused(subject, &failure.signature)).flatten();
            self.fail(id, failure, decision);
            if let Some(cause) = stop {
                self.stop(cause, decision);
            }
            return;
        }
        item.against = Some(Against::Refusal);
        let stop = self.guard.withhold(id, item.subject, item.chronic, failure);
        decision.verdicts.push((id, Verdict::Withheld));
        if let Some(cause) = stop {
            self.stop(cause, decision);
        }
    }

    /// Nobody is left whose answer could tell those whose attempts are used up from the server. They have failed if
    /// that is known of each: others have passed after a failure of it, or of an earlier one of its subject that
    /// failed like it, or the application itself answers it with an error (and not a gateway or a proxy on its
    /// behalf, nor silence). Else it is the server's, as long as nobody passes: up to `outage_max`.
    pub(super) fn give_up_condemned(&mut self, decision: &mut Decision) {
        let used_up = self.condemned.iter().map(|(id, condemned)| UsedUp {
            id: *id,
            is_own: self.is_own(*id, condemned),
            is_turned_away: self.same.are_known() && condemned.failure.status == Some(503),
        });
        if are_own_or_between(used_up) {
            return self.fail_condemned(u64::MAX, decision);
        }
        let now_ms = self.free.looked_ms();
        decision.actions.push(Action::BreakerOpened);
        let refunds = self.breaker.open_for_the_last(now_ms);
        self.brake.on_outage(now_ms);
        self.refund(refunds, now_ms);
    }

    /// Whether it is known of an update whose attempts are used up that it fails on its own.
    fn is_own(&self, id: UpdateId, condemned: &Condemned) -> bool {
        self.lanes.get(id).is_some_and(|item| {
            let is_answered = item.answered.saturating_mul(2) >= item.charged;
            let is_as_before =
                item.is_chronic_before() || item.fails_like_the_one_before(condemned.failure.status);
            is_as_before || item.is_passed_over || is_answered || item.is_turned_away_alone()
        })
    }

    /// Fails the condemned whose last attempt is not younger than this.
    pub(super) fn fail_condemned(&mut self, sent_ms: u64, decision: &mut Decision) {
        let (stay, fail) = std::mem::take(&mut self.condemned)
            .into_iter()
            .partition(|(_, condemned)| condemned.sent_ms > sent_ms);
        self.condemned = stay;
        for (id, Condemned { failure, .. }) in BTreeMap::into_iter(fail) {
            self.fail(id, failure, decision);
        }
    }
}
