//! Updates that are turned away with a 401, a 403 or a redirect: the row's fault, the token's, or the address's.
//!
//! A neighbor's answer tells. Where nobody is left to give one, the token is read again first, and then it goes by what is
//! known: who was turned away in earlier batches, or twice with others passing between, or is the only one, is so for its own
//! sake. Several that are left alone may be the first that a revoked token met: they stop the run once and stay pending, and
//! have failed if they are turned away again when it is continued. Not here: who waits for a neighbor (`suspects.rs`,
//! `redirects.rs`), and the token's state (`token.rs`).

use super::decision::{Action, Decision, TokenRead, UpdateId};
use super::outcome::{Failure, StopCause, Verdict};
use super::schedule::Scheduler;
use super::suspects::{DOUBTED_MAX, FORBIDDEN_MAX};
use super::token::TokenRuling;
use crate::ledger::FailureKind;

/// The complaint of a row that is answered with 401 while others pass under the same token.
const SIGNATURE_401: &str = "401 for this row alone";

/// What follows the status in the complaint of a row that is redirected while others pass.
const REDIRECT: &str = "redirect for this row alone";

/// Updates that a run left pending because they alone were turned away at its end, after others had passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftAlone {
    /// How many.
    pub updates: u64,
    /// Whether it is that run which is continued now, so that nobody else may be left.
    pub is_resumed: bool,
}

impl Scheduler {
    /// A wrong address at first contact and where several in a row are redirected; else it waits for a neighbor's answer.
    pub(super) fn on_redirected(&mut self, id: UpdateId, status: u16, decision: &mut Decision) {
        // Only these two say that the request was left alone (RFC 9110, 15.4.8 and 15.4.9); the others may follow upon
        // what was done.
        let maybe_applied = !matches!(status, 307 | 308);
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.maybe_applied |= maybe_applied;
        let (number, is_chronic, sent_ms) = (item.number, item.chronic, item.sent.1);
        if self.guard.is_on() {
            self.go_again(id, 0, decision);
            return self.stop(StopCause::Redirected { status }, decision);
        }
        self.on_definite(sent_ms, decision);
        let failure = Failure {
            kind: FailureKind::Refused,
            status: Some(status),
            signature: format!("{status} {REDIRECT}"),
            maybe_applied,
        };
        self.redirects.add(id, failure, number, self.lanes.launched(), is_chronic);
        decision.verdicts.push((id, Verdict::Withheld));
        if self.redirects.are_everybodys() {
            self.stop(StopCause::Redirected { status }, decision);
        }
    }

    /// Decides on redirects when nobody is left whose answer could.
    pub(super) fn settle_redirects(&mut self, decision: &mut Decision) {
        if self.redirects.is_empty() || self.is_draining || !self.is_nobody_left() {
            return;
        }
        let Some(own) = self.redirects.give_up_waiting() else {
            let status = self.redirects.status();
            return self.stop(StopCause::Redirected { status }, decision);
        };
        for (id, failure) in own {
            self.refuse(id, failure, decision);
        }
    }

    /// Refused for its own sake or the token's: it waits for what a neighbor's answer shows. Without one among so many that
    /// are refused in a row, it is the token.
    pub(super) fn suspect(
        &mut self,
        id: UpdateId,
        generation: u64,
        failure: Failure,
        streak_max: u32,
        decision: &mut Decision,
    ) {
        let Some(item) = self.lanes.get(id) else { return };
        self.on_definite(item.sent.1, decision);
        if self.token.is_known(generation) {
            return self.go_again(id, 0, decision);
        }
        let Some(item) = self.lanes.get(id) else { return };
        let counts = !item.chronic && !item.suspected;
        self.suspects.add(id, failure, item.number, self.lanes.launched(), counts);
        decision.verdicts.push((id, Verdict::Withheld));
        // It goes on for the sake of those that were on the wire: nobody else is asked once the last of them is refused.
        let is_hopeless = self.token.is_on_trial()
            && !self.token.has_passed(generation)
            && self.lanes.in_flight() == 0
            && !self.is_patient();
        let streak_max = if self.token.is_on_trial() { DOUBTED_MAX } else { streak_max };
        if self.suspects.streak() >= streak_max.max(self.left_alone_max() + 1) || is_hopeless {
            self.suspect_token(decision);
        }
    }

    /// A 401 is the token's, unless that was read again for one and is the same.
    pub(super) fn on_unauthorized(&mut self, id: UpdateId, generation: u64, decision: &mut Decision) {
        if self.token.is_doubted() || self.token.is_reread() && self.is_patient() {
            let signature = SIGNATURE_401.to_owned();
            let failure =
                Failure { kind: FailureKind::Refused, status: Some(401), signature, maybe_applied: false };
            return self.suspect(id, generation, failure, DOUBTED_MAX, decision);
        }
        let Some(item) = self.lanes.get(id) else { return };
        self.on_definite(item.sent.1, decision);
        self.go_again(id, 0, decision);
        self.on_token_refused(generation, decision);
    }

    /// It is the token in force that is refused.
    fn suspect_token(&mut self, decision: &mut Decision) {
        self.on_token_refused(self.token.generation(), decision);
    }

    /// Decides on the suspects when nobody is left whose answer could, after one more reading of the token.
    pub(super) fn settle_suspects(&mut self, decision: &mut Decision) {
        if self.suspects.is_empty() || self.is_draining || !self.is_nobody_left() {
            return;
        }
        if self.guard.is_on() || !self.token.is_reread() || !self.are_suspects_own() {
            return self.suspect_token(decision);
        }
        for (id, failure) in self.suspects.take() {
            self.refuse(id, failure, decision);
        }
    }

    /// Whether the suspects, refused again under a token that was just read again, are so for their own sake.
    fn are_suspects_own(&self) -> bool {
        let (mut plain, mut untold) = (0, 0);
        for item in self.suspects.ids().filter_map(|id| self.lanes.get(id)).filter(|item| !item.chronic) {
            plain += 1;
            untold += u64::from(!item.suspected);
        }
        let has_passed = self.token.has_ever_passed();
        let were_left_alone = self
            .rules
            .left_alone
            .is_some_and(|left| plain <= left.updates && (has_passed || left.is_resumed));
        plain == 0 || has_passed && untold <= 1 || were_left_alone
    }

    /// Whether the same token may be tried although nobody has passed under it: nothing is held but chronic rows, or those
    /// that the run before left alone.
    fn is_patient(&self) -> bool {
        let plain = self.lanes.plain() as u64;
        let were_left_alone =
            || self.rules.left_alone.is_some_and(|left| left.is_resumed && plain <= left.updates);
        !self.guard.is_on() && (plain == 0 || were_left_alone())
    }

    /// Refusals in a row that the run before had at its end.
    fn left_alone_max(&self) -> u32 {
        let updates = self.rules.left_alone.map_or(0, |left| left.updates);
        u32::try_from(updates).unwrap_or(u32::MAX).min(FORBIDDEN_MAX)
    }

    fn on_token_refused(&mut self, generation: u64, decision: &mut Decision) {
        let is_last = self.is_nobody_left();
        match self.token.on_refused(generation) {
            TokenRuling::Known => {}
            TokenRuling::Reread if self.is_draining => {}
            TokenRuling::Reread => {
                // Chronic ones that are left alone need not go again under the same token.
                if !(is_last && self.lanes.plain() == 0) {
                    self.try_suspects_again(is_last, decision);
                }
                self.suspects.begin_anew();
                decision.actions.push(Action::RereadToken);
            }
            TokenRuling::Stop => {
                self.note_left_alone();
                self.stop(StopCause::TokenRefused, decision);
            }
        }
    }

    /// The suspects go again; `is_last` where nobody else is left, so that it is still known who was refused twice.
    fn try_suspects_again(&mut self, is_last: bool, decision: &mut Decision) {
        for (id, _) in self.suspects.take() {
            if let Some(item) = self.lanes.get_mut(id) {
                item.suspected &= is_last;
            }
            self.go_again(id, 0, decision);
        }
    }

    /// Keeps in mind how many are left alone at the end of the run, where few are and others have passed.
    fn note_left_alone(&mut self) {
        let left = u32::try_from(self.lanes.plain() + self.deferred.len()).unwrap_or(u32::MAX);
        let have_others_passed = self.token.has_ever_passed() || self.is_patient();
        let is_end = self.is_input_over && !self.is_draining && !self.guard.is_on();
        if is_end && have_others_passed && (1..FORBIDDEN_MAX).contains(&left) {
            self.left_alone = Some(u64::from(left));
        }
    }

    /// Takes what came of reading the token again; stops where sending may not go on.
    pub(super) fn take_token(&mut self, reread: Result<TokenRead, ()>, decision: &mut Decision) {
        let may_pass = self.lanes.in_flight() > 0 || self.is_patient();
        let launched = self.lanes.launched();
        let goes_on = match reread {
            Ok(read) => self.token.on_reread(read.generation, read.changed, launched, may_pass),
            Err(()) => !self.token.is_awaited(),
        };
        if !goes_on {
            return self.stop(StopCause::TokenRefused, decision);
        }
        if reread.is_ok_and(|read| read.changed) {
            self.try_suspects_again(true, decision);
        }
    }

    /// Updates that are left pending because they alone were turned away at the end of the run, after others had passed:
    /// what [`super::DeliveryRules::left_alone`] is told of in the next one.
    pub fn left_alone(&self) -> Option<u64> {
        self.left_alone
    }
}
