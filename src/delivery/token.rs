//! The token's state: which generation is current, whether it has been refused, and what has passed under it.
//!
//! A 401 is judged by the generation that was sent, because with many attempts in flight the refusals of an old
//! token arrive after the new one is in force. Not here: the token itself (`api/token.rs`).

use std::collections::BTreeSet;

use super::suspects::TRIED_MAX;
use crate::digest::SubjectId;

/// What a refusal of the token leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRuling {
    /// An old token was refused, or the reading of a new one is already under way: nothing to do.
    Known,
    /// Sending pauses and the token is read again.
    Reread,
    /// The token was read again, and refused again.
    Stop,
}

/// State of the token.
#[derive(Debug, Default)]
pub(super) struct TokenState {
    generation: u64,
    /// Whether the current generation replaced a refused one.
    is_replacement: bool,
    is_awaited: bool,
    /// The current token was refused, read again, and is the same, although updates had passed under it.
    is_doubted: bool,
    /// Nothing has passed under it since.
    is_on_trial: bool,
    /// Attempts launched when it was read again.
    trial_from: u64,
    /// Generations under which an update was acknowledged in this run. A run sees few of them.
    passed: BTreeSet<u64>,
    /// Subjects that were answered for what they say in this trial, and nobody turned away for the first time between
    /// them.
    answered: BTreeSet<SubjectId>,
    /// Trials that ended so.
    answered_trials: u32,
    /// The generation whose trial ended so last.
    answered_generation: Option<u64>,
}

impl TokenState {
    /// Generation the next attempt should carry.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether sending waits for another token.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Takes note of the generation an attempt really carried: the caller numbers them, from wherever it likes.
    pub(super) fn on_sent(&mut self, generation: u64) {
        if generation > self.generation && !self.is_awaited {
            self.generation = generation;
        }
    }

    /// The attempt of this number was acknowledged under this generation.
    pub(super) fn on_passed(&mut self, generation: u64, number: u64) {
        self.passed.insert(generation);
        self.is_on_trial &= generation < self.generation || number <= self.trial_from;
    }

    /// The attempt of this number was refused under this generation for what it says (422, 409), and not for the
    /// token. Several of them in a row end the trial: nothing but such rows may be left. One is not enough, for some
    /// APIs look at what an update says first; and it is no proof, so that nobody who was turned away has failed for
    /// it, and each time it takes twice as many.
    pub(super) fn on_answered(&mut self, generation: u64, number: u64, subject: SubjectId) {
        if generation < self.generation || !self.is_on_trial || number <= self.trial_from {
            return;
        }
        self.answered.insert(subject);
        let needed = u64::from(TRIED_MAX).saturating_mul(1 << self.answered_trials.min(32));
        if self.answered.len() as u64 >= needed {
            self.is_on_trial = false;
            self.answered_trials += 1;
            self.answered_generation = Some(self.generation);
            self.answered.clear();
        }
    }

    /// Somebody was turned away for the first time in this trial.
    pub(super) fn on_turned_away(&mut self) {
        self.answered.clear();
    }

    /// Whether it was read again for a refusal and is the same: the next refusal may be a row's own.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// Whether nothing has passed since then: attempts go one by one.
    pub(super) fn is_on_trial(&self) -> bool {
        self.is_on_trial
    }

    /// Whether the attempt of this number was sent before the trial began: its refusal is no news.
    pub(super) fn was_before_trial(&self, number: u64) -> bool {
        self.is_on_trial && number <= self.trial_from
    }

    /// Whether the next attempt is the first of a trial, when so many were launched.
    pub(super) fn is_first_of_trial(&self, launched: u64) -> bool {
        self.is_on_trial && launched == self.trial_from
    }

    /// Whether it was just read again: nothing has passed since, nor was it taken for good for other answers.
    pub(super) fn is_reread(&self) -> bool {
        let is_answered = self.answered_generation == Some(self.generation);
        self.is_on_trial || self.is_replacement && !is_answered && !self.has_passed(self.generation)
    }

    /// Whether it is another one than the run began with.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replacement
    }

    /// Whether some update was acknowledged in this run, under whatever token.
    pub(super) fn has_ever_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// Whether a refusal of this generation is no news.
    pub(super) fn is_known(&self, generation: u64) -> bool {
        generation < self.generation || self.is_awaited
    }

    /// Whether some update was acknowledged under this generation.
    pub(super) fn has_passed(&self, generation: u64) -> bool {
        self.passed.contains(&generation)
    }

    /// The token of this generation was refused.
    pub(super) fn on_refused(&mut self, generation: u64) -> TokenRuling {
        if self.is_known(generation) {
            return TokenRuling::Known;
        }
        if self.is_reread() {
            return TokenRuling::Stop;
        }
        self.is_awaited = true;
        TokenRuling::Reread
    }

    /// The token was read again, with so many attempts launched. Returns whether sending may go on: also with the
    /// same token, on trial, where updates have passed under it or may do so yet, because a server may answer a
    /// single row with 401. So a new one is where the target has accepted something before (`is_proven`).
    pub(super) fn on_reread(
        &mut self,
        (generation, changed): (u64, bool),
        launched: u64,
        may_pass: bool,
        is_proven: bool,
    ) -> bool {
        let is_new = changed && generation > self.generation;
        let may_pass = may_pass || is_proven || self.has_passed(self.generation);
        let is_tried = !changed && self.is_awaited && may_pass;
        if is_new {
            self.generation = generation;
            self.is_replacement = true;
        }
        if is_new || is_tried {
            (self.is_doubted, self.is_on_trial) = (is_tried, is_tried || is_proven);
            self.is_awaited = false;
            self.trial_from = launched;
            self.answered.clear();
        }
        is_new || !self.is_awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_refusal_of_an_old_token_asks_for_nothing() {
        let mut token = TokenState::default();
        assert_eq!(token.on_refused(0), TokenRuling::Reread);
        assert_eq!(token.on_refused(0), TokenRuling::Known, "asked once");
        assert!(token.on_reread((1, true), 0, false, false));
        assert_eq!(token.on_refused(0), TokenRuling::Known);
        assert!(!token.is_awaited());
    }

    #[test]
    fn a_new_token_refused_at_once_stops_and_one_that_worked_is_read_again() {
        let mut token = TokenState::default();
        token.on_refused(0);
        token.on_reread((1, true), 0, false, false);
        assert_eq!(token.on_refused(1), TokenRuling::Stop);

        let mut token = TokenState::default();
        token.on_refused(0);
        token.on_reread((1, true), 0, false, false);
        token.on_passed(1, 1);
        assert_eq!(token.on_refused(1), TokenRuling::Reread);
    }

    #[test]
    fn the_same_token_again_does_not_let_anybody_go() {
        let mut token = TokenState::default();
        token.on_refused(0);
        assert!(!token.on_reread((0, false), 0, false, false));
        assert!(!token.on_reread((0, true), 0, false, false), "the number must grow, whatever the flag says");
        assert!(token.is_awaited());
    }

    #[test]
    fn numbering_may_start_anywhere() {
        let mut token = TokenState::default();
        token.on_sent(7);
        assert_eq!(token.generation(), 7);
        assert_eq!(token.on_refused(7), TokenRuling::Reread);
    }

    #[test]
    fn the_same_token_is_tried_once_more_where_it_has_worked_and_not_twice_in_vain() {
        let mut token = TokenState::default();
        token.on_passed(0, 1);
        token.on_refused(0);
        assert!(token.on_reread((0, false), 5, false, false), "others have passed");
        token.on_passed(0, 5);
        assert!(token.is_on_trial(), "launched before it was read again");
        token.on_passed(0, 6);
        assert!(token.is_doubted() && !token.is_on_trial());
        assert_eq!(token.on_refused(0), TokenRuling::Reread);
        assert!(token.on_reread((0, false), 7, false, false));
        assert_eq!(token.on_refused(0), TokenRuling::Stop);
    }
}
