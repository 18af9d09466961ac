//! Updates that are turned away with a 401, a 403 or a redirect: the row's fault, the token's, or the address's.
//!
//! A neighbor's answer tells, and where several in a row are turned away, the answers to a few others from anywhere.
//! Where nobody is left to give one, the token is read again first, and then it goes by what is known: who was turned
//! away in earlier batches, or twice with others passing between, or is the only one, is so for its own sake. Whom a
//! run was stopped for (with a 401, a 403, a redirect, or a refusal at first contact) is sent between others in the
//! next one, and counts like anybody. Few of whom the run was stopped after others had passed have failed if they are
//! turned away again when it is continued and nobody else is left: who continues it under the same token tells that
//! it is good. Not so where some wait for each other, as in a chain or a ring: those behind the first are asked out
//! of their turn, and fail with it once others have passed in the run of a later batch. Not here: who waits for a
//! neighbor (`suspects.rs`, `redirects.rs`), the token's state (`token.rs`), and where all this is kept between runs
//! (the caller).

use std::collections::BTreeSet;

use super::decision::{Action, Decision, TokenRead, UpdateId};
use super::guard::LAST_SUBJECTS;
use super::lanes::Item;
use super::outcome::{Failure, StopCause, Verdict};
use super::schedule::Scheduler;
use super::suspects::{DOUBTED_MAX, FORBIDDEN_MAX, TRIED_MAX};
use super::token::TokenRuling;
use crate::digest::SubjectId;
use crate::ledger::FailureKind;

/// Subjects that earlier runs were stopped for, below which they may be all that is left for their own sake: as many
/// refusals in a row as are taken for the token's.
pub const FEW_MAX: usize = FORBIDDEN_MAX as usize;

/// The complaint of a row that is answered with 401 while others pass under the same token.
const SIGNATURE_401: &str = "401 for this row alone";

/// The same where nobody has passed in this run: it was so in an earlier one.
const SIGNATURE_401_AGAIN: &str = "401 once more";

/// What follows the status in the complaint of a row that is redirected while others pass.
const REDIRECT: &str = "redirect for this row alone";

/// The same where nobody has passed in this run: it was so in an earlier one.
const REDIRECT_AGAIN: &str = "redirect once more";

/// Whom earlier runs at a target were stopped for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnedAway {
    /// Subjects that were turned away then, and are not settled since.
    pub subjects: BTreeSet<SubjectId>,
    /// Whether they are few, a run of this very batch was stopped for them under this very token after others had
    /// passed, and nothing came between.
    pub are_left_alone: bool,
    /// Whether they are few, and it was a run of another batch that was stopped for them.
    pub were_before: bool,
    /// Whether it was stopped under this very token.
    pub is_same_token: bool,
}

/// What is held against an update by its latest answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// 401 or 403.
    Token,
    /// A redirect.
    Address,
    /// A refusal at first contact.
    Refusal,
    /// A failure for the time being.
    Trouble,
}

impl Against {
    /// The answers that lead to this stop; `None` where it is no single answers that do.
    pub(super) fn of(cause: &StopCause) -> Option<Against> {
        match cause {
            StopCause::TokenRefused => Some(Against::Token),
            StopCause::Redirected { .. } => Some(Against::Address),
            StopCause::NothingAccepted { .. } => Some(Against::Refusal),
            StopCause::Outage => Some(Against::Trouble),
            StopCause::RefusalsInARow { .. }
            | StopCause::SignatureBudget { .. }
            | StopCause::ErrorBudget { .. } => None,
        }
    }
}

impl Scheduler {
    /// Subjects that this or an earlier run was stopped for, as far as nothing is settled of them: those of earlier
    /// runs.
    pub fn still_away(&self) -> &BTreeSet<SubjectId> {
        &self.away
    }

    /// Whether somebody was acknowledged in this run whom no earlier run was stopped for.
    pub fn have_others_passed(&self) -> bool {
        self.others_passed
    }

    /// What was settled of a subject is not its update: if an earlier run was stopped for it, it still was.
    pub fn keep_away(&mut self, subject: SubjectId) {
        if self.rules.turned_away.subjects.contains(&subject) {
            self.away.insert(subject);
        }
    }

    /// Updates off the wire whose answers have stopped the run, where answers to single updates did.
    pub fn blamed(&self) -> Vec<UpdateId> {
        let Some(kind) = self.stopped_for else { return Vec::new() };
        let on_wire = self.lanes.in_flight_ids();
        let blamed = self.lanes.items().filter(|(id, item)| {
            item.against == Some(kind) && !item.is_chronic_before() && on_wire.binary_search(id).is_err()
        });
        let mut ids: Vec<UpdateId> = blamed.map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// An update was acknowledged.
    pub(super) fn note_passed(&mut self, id: UpdateId) {
        let Some(item) = self.lanes.get(id) else { return };
        let subject = item.subject;
        self.others_passed |= !item.away;
        self.away.remove(&subject);
        self.lanes.forget_exhausted(subject);
    }

    /// Whether an update is known to be turned away for its own sake if it is: it testifies to nothing then.
    pub(super) fn is_known(&self, id: UpdateId) -> bool {
        self.lanes.get(id).is_some_and(|item| item.is_chronic_before() || item.away && self.are_left_alone())
    }

    /// Whether the target has accepted nothing yet, and no earlier run was stopped for single rows there: what turns
    /// one away turns all away.
    pub(super) fn is_first_contact(&self) -> bool {
        self.guard.is_on() && self.rules.turned_away.subjects.is_empty()
    }

    /// Others that are tried on trial before it is the token, or the address. Where earlier runs were stopped for
    /// single rows there are more of their kind, and what is sent is mixed.
    fn tried_max(&self) -> u32 {
        if self.rules.turned_away.subjects.is_empty() { TRIED_MAX } else { FORBIDDEN_MAX }
    }

    /// Whether nobody else is left than those that the run before left alone, or than such as were turned away in
    /// earlier batches.
    fn are_left_alone(&self) -> bool {
        self.is_input_over && !self.is_only_full && self.hold_only_left_alone()
    }

    /// Whether nobody else is held than those. A chain or a ring that is turned away one behind the other is rather
    /// everybody's matter than the rows', and that the run is continued tells nothing else then; that others pass in
    /// the run of another batch does, under the very token they were turned away under.
    fn hold_only_left_alone(&self) -> bool {
        let TurnedAway { are_left_alone, were_before, is_same_token, .. } = *self.rules.turned_away;
        let are_told = are_left_alone && !self.are_linked;
        let were_told = were_before && is_same_token && self.others_passed;
        (are_told || were_told) && !self.guard.is_on() && !self.token.is_replaced() && self.hold_only_away()
    }

    /// Whether what is redirected would be taken for the rows' own if nobody were left. Of some that wait for each
    /// other each is the only one left, and so they are not, but where all of them were turned away in earlier
    /// batches.
    fn seem_redirects_own(&self) -> bool {
        let are_again = self.are_redirected_again() || self.redirects.plain() == 0;
        self.redirects.seem_own(are_again) && (!self.are_linked || are_again)
    }

    /// Whether all that are redirected were turned away in an earlier batch, and others have passed since.
    fn are_redirected_again(&self) -> bool {
        self.rules.turned_away.were_before
            && self.others_passed
            && !self.guard.is_on()
            && self.hold_only_away()
    }

    /// Whether nobody else is held than those whom earlier runs were stopped for, and chronic ones.
    fn hold_only_away(&self) -> bool {
        self.lanes.items().all(|(_, item)| item.is_chronic_before() || item.away)
    }

    /// Updates that were turned away and are kept back, where the answer to one more would tell whose fault that is:
    /// while they are few, or would be ruled on as failed for their own sake if nobody came after them. Whoever waits
    /// for one of them in a chain or a ring is asked then, although it is not its turn: a server that turns everybody
    /// away would fail them one behind the other, each of them the only one that is left.
    pub fn seeks_testimony(&self) -> BTreeSet<UpdateId> {
        let mut about = BTreeSet::new();
        if self.is_draining || self.guard.is_on() {
            return about;
        }
        let are_few = self.untold_suspects().0 < u64::from(TRIED_MAX);
        if are_few || self.hold_only_left_alone() || self.are_suspects_own() {
            about.extend(self.suspects.ids());
        }
        let are_few = self.redirects.plain() < LAST_SUBJECTS;
        if are_few || self.seem_redirects_own() {
            about.extend(self.redirects.ids());
        }
        about
    }

    /// Whether any of those that are kept back waits for another one of them.
    pub fn note_linked(&mut self, are_linked: bool) {
        self.are_linked = are_linked;
    }

    /// Whether the next attempt is best made for somebody from anywhere: only that tells the rows from what is
    /// everybody's.
    pub(super) fn seeks_others(&self) -> bool {
        let is_tried = self.token.is_on_trial() || self.redirects.are_on_trial();
        is_tried && !self.is_first_contact() || self.guard.seeks_others()
    }

    /// A wrong address at first contact, and where several in a row are redirected and others from anywhere, too;
    /// else it waits for a neighbor's answer.
    pub(super) fn on_redirected(&mut self, id: UpdateId, status: u16, decision: &mut Decision) {
        // Only these two say that the request was left alone (RFC 9110, 15.4.8 and 15.4.9); the others may follow upon
        // what was done.
        let maybe_applied = !matches!(status, 307 | 308);
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.maybe_applied |= maybe_applied;
        item.against = Some(Against::Address);
        let (number, sent_ms, is_known) = (item.number, item.sent.1, item.is_chronic_before());
        if self.is_first_contact() {
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
        self.redirects.add(id, failure, number, self.lanes.launched(), is_known);
        decision.verdicts.push((id, Verdict::Withheld));
        if self.redirects.are_everybodys(self.tried_max()) {
            self.stop(StopCause::Redirected { status }, decision);
        }
    }

    /// Decides on redirects when nobody is left whose answer could.
    pub(super) fn settle_redirects(&mut self, decision: &mut Decision) {
        if self.redirects.is_empty() || self.is_draining || !self.is_nobody_left() {
            return;
        }
        if !self.seem_redirects_own() {
            let status = self.redirects.status();
            return self.stop(StopCause::Redirected { status }, decision);
        }
        for (id, mut failure) in self.redirects.take() {
            if !self.redirects.has_passed() {
                failure.signature = failure.signature.replace(REDIRECT, REDIRECT_AGAIN);
            }
            self.refuse(id, failure, decision);
        }
    }

    /// Refused for its own sake or the token's: it waits for what a neighbor's answer shows. Without one among so
    /// many that are refused in a row, it is the token.
    pub(super) fn suspect(
        &mut self,
        id: UpdateId,
        generation: u64,
        failure: Failure,
        streak_max: u32,
        decision: &mut Decision,
    ) {
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.against = Some(Against::Token);
        let (sent_ms, number) = (item.sent.1, item.number);
        // What it met under another token says nothing of this one.
        let was_suspected = item.suspected == Some(self.token.generation());
        item.refused_again |= was_suspected && generation == self.token.generation();
        self.on_definite(sent_ms, decision);
        let is_guarded = self.is_first_contact();
        let is_beside = self.token.is_known(generation) || !is_guarded && self.token.was_before_trial(number);
        if is_beside && (is_guarded || generation < self.token.generation()) {
            return self.go_again(id, 0, decision);
        }
        let counts = !was_suspected && !self.is_known(id);
        let is_new_token = self.token.is_replaced() && !self.token.has_passed(generation);
        if is_beside {
            self.suspects.add_beside(id, failure, self.lanes.launched(), counts);
            return decision.verdicts.push((id, Verdict::Withheld));
        }
        self.suspects.add(id, failure, number, self.lanes.launched(), counts);
        if counts {
            self.token.on_turned_away();
        }
        if counts && is_new_token {
            self.suspects.try_once_more(id);
        }
        decision.verdicts.push((id, Verdict::Withheld));
        // At first contact it goes on for the sake of those that were on the wire: nobody else is asked once the last
        // of them is refused.
        let is_hopeless = is_guarded
            && self.token.is_on_trial()
            && !self.token.has_passed(generation)
            && self.lanes.in_flight() == 0;
        let streak_max = match (self.token.is_on_trial(), is_guarded) {
            (true, true) => DOUBTED_MAX,
            (true, false) => self.tried_max(),
            (false, _) => streak_max,
        };
        if self.suspects.streak() >= streak_max || is_hopeless {
            self.suspect_token(decision);
        }
    }

    /// A 401 is the token's, unless that was read again for one and is the same.
    pub(super) fn on_unauthorized(&mut self, id: UpdateId, generation: u64, decision: &mut Decision) {
        if self.token.is_doubted() || self.token.is_on_trial() {
            let signature = SIGNATURE_401.to_owned();
            let failure =
                Failure { kind: FailureKind::Refused, status: Some(401), signature, maybe_applied: false };
            return self.suspect(id, generation, failure, DOUBTED_MAX, decision);
        }
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.against = Some(Against::Token);
        let sent_ms = item.sent.1;
        self.on_definite(sent_ms, decision);
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
        let has_passed = self.token.has_ever_passed();
        self.refused_at_the_end += self.untold_suspects().1;
        for (id, mut failure) in self.suspects.take() {
            if !has_passed && failure.signature == SIGNATURE_401 {
                SIGNATURE_401_AGAIN.clone_into(&mut failure.signature);
            }
            self.refuse(id, failure, decision);
        }
    }

    /// Whether the suspects, refused again under a token that was just read again, are so for their own sake.
    fn are_suspects_own(&self) -> bool {
        let (plain, untold) = self.untold_suspects();
        // A new token that nobody has passed under may be a wrong one.
        let has_passed = if self.suspects.are_unauthorized() {
            self.token.has_passed(self.token.generation())
        } else {
            self.token.has_ever_passed()
        };
        // One may be for its own sake; the next one at the end of another pass, and nobody passed between, is one of
        // several.
        plain == 0 || has_passed && untold + self.refused_at_the_end <= 1
    }

    /// How many suspects there are that did not fail before, and how many of them were not refused before under this
    /// token, nor twice, with somebody passing between, under an earlier one: that was the row's own, whatever the
    /// new token may.
    fn untold_suspects(&self) -> (u64, u64) {
        let told = Some(self.token.generation());
        let (mut plain, mut untold) = (0, 0);
        for id in self.suspects.ids().filter(|id| !self.is_known(*id)) {
            plain += 1;
            let is_told = |item: &Item| item.suspected == told || item.refused_again;
            untold += u64::from(self.lanes.get(id).is_some_and(|item| !is_told(item)));
        }
        (plain, untold)
    }

    fn on_token_refused(&mut self, generation: u64, decision: &mut Decision) {
        let is_last = self.is_nobody_left();
        match self.token.on_refused(generation) {
            TokenRuling::Known => {}
            TokenRuling::Reread if self.is_draining => {}
            TokenRuling::Reread => {
                // They wait for what others are answered under the same token; where nobody else is left they go
                // again, but for chronic ones.
                if is_last && self.lanes.items().any(|(_, item)| !item.is_chronic_before()) {
                    self.try_suspects_again(decision);
                }
                self.suspects.begin_anew();
                decision.actions.push(Action::RereadToken);
            }
            TokenRuling::Stop => self.stop(StopCause::TokenRefused, decision),
        }
    }

    /// The suspects go again; it is still known who was refused twice.
    fn try_suspects_again(&mut self, decision: &mut Decision) {
        for (id, _) in self.suspects.take() {
            self.go_again(id, 0, decision);
        }
    }

    /// Takes what came of reading the token again; stops where sending may not go on.
    pub(super) fn take_token(&mut self, reread: Result<TokenRead, ()>, decision: &mut Decision) {
        let (may_pass, is_proven) = (self.lanes.in_flight() > 0, !self.is_first_contact());
        let launched = self.lanes.launched();
        let goes_on = match reread {
            Ok(read) => self.token.on_reread((read.generation, read.changed), launched, may_pass, is_proven),
            Err(()) => !self.token.is_awaited(),
        };
        if !goes_on {
            return self.stop(StopCause::TokenRefused, decision);
        }
        if reread.is_ok_and(|read| read.changed) {
            self.try_suspects_again(decision);
        }
    }
}
