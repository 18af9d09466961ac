//! What a held update is charged with, and what is known of it.
//!
//! Not here: where it stands (`lanes.rs`), and which failures count (`ruling.rs`).

use super::super::alone::PushedBack;
use super::super::rules::DeliveryRules;
use super::{Item, Lanes};
use crate::digest::SubjectId;

/// Passes in which an update whose attempts are used up, and of whom nobody's answer has told, is tried once more.
const PASSES_MAX: u32 = 3;

/// Subjects of which it is kept that an update ran out of attempts: some 4 MiB. Later updates of those beyond are
/// taken as any others: they testify, and where nobody else is left they look like an outage; none of them is lost or
/// sent twice.
pub(in super::super) const EXHAUSTED_MAX: usize = 1 << 16;

/// How an update ran out of attempts for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Exhausted {
    /// Status of its last answer; `None` where none came.
    pub(in super::super) status: Option<u16>,
    /// Whether it was pushed back for its own sake.
    pub(in super::super) was_pushed_back: bool,
}

impl Exhausted {
    /// What that tells of the 429 of those behind it.
    pub(super) fn pushed_back(self) -> Option<PushedBack> {
        self.was_pushed_back.then(PushedBack::behind_own)
    }
}

impl Lanes {
    /// An update of this subject ran out of attempts, and others have shown that it is its own fault: those behind it
    /// may fail like it, one after the other, and would look like an outage when nobody else is left. They go last.
    pub(in super::super) fn note_exhausted(&mut self, subject: SubjectId, how: Exhausted) {
        if self.exhausted.len() < EXHAUSTED_MAX || self.exhausted.contains_key(&subject) {
            self.exhausted.insert(subject, how);
        }
        for id in self.behind.get(&subject).into_iter().flatten() {
            if let Some(item) = self.items.get_mut(id).filter(|item| !item.is_chronic_before()) {
                self.plain -= usize::from(!item.chronic);
                (item.chronic, item.follows) = (true, Some(how));
                item.pushed_back = how.pushed_back().unwrap_or(item.pushed_back);
            }
        }
    }

    /// It is not always the same ones that are turned away: nobody is known to be for its own sake.
    pub(in super::super) fn take_same_back(&mut self) {
        self.items.values_mut().for_each(|item| item.turned_away.take_back());
    }

    /// An update of this subject has passed.
    pub(in super::super) fn forget_exhausted(&mut self, subject: SubjectId) {
        self.exhausted.remove(&subject);
    }
}

impl Item {
    /// Whether its subject failed before this run: what turns it away may be its own.
    pub(in super::super) fn is_chronic_before(&self) -> bool {
        self.chronic && self.follows.is_none()
    }

    /// Whether this answer, or none, is how an earlier update of its subject failed for its own sake: then it is its
    /// own, too, whether somebody is left to show that or not.
    pub(in super::super) fn fails_like_the_one_before(&self, status: Option<u16>) -> bool {
        self.follows.is_some_and(|before| before.status == status)
    }

    /// Charges it with a failure, which is waived where it is excused and not too often. Whether it is exhausted
    /// then: out of attempts, or failing for too long.
    pub(in super::super) fn charge(
        &mut self,
        waived_max: Option<u32>,
        free_ms: u64,
        rules: &DeliveryRules,
    ) -> bool {
        self.charged = self.charged.saturating_add(1);
        let is_waived = waived_max.is_some_and(|waived_max| self.waived < waived_max);
        self.waived += u32::from(is_waived);
        let is_out_of_attempts = self.charged.saturating_sub(self.waived) >= rules.attempts_max.max(1);
        if is_waived {
            return is_out_of_attempts;
        }
        let since_ms = *self.failed_first_ms.get_or_insert(free_ms);
        let elapsed_ms = free_ms.saturating_sub(since_ms);
        is_out_of_attempts || rules.retry_elapsed_max_ms.is_some_and(|max_ms| elapsed_ms > max_ms)
    }

    /// Whether it is known to be pushed back or turned away for its own sake.
    pub(in super::super) fn is_turned_away_alone(&self) -> bool {
        self.pushed_back.is_own() || self.turned_away.is_own()
    }

    /// Whether a 503 of it is known to be its own.
    pub(in super::super) fn is_unavailable_alone(&self) -> bool {
        self.turned_away.is_own() || self.fails_like_the_one_before(Some(503))
    }

    /// Whether it may be tried once more in the pass that begins although its attempts are used up.
    pub(in super::super) fn may_go_on(&mut self) -> bool {
        self.passes = self.passes.saturating_add(1);
        self.passes <= PASSES_MAX
    }

    /// Notes the youngest attempt that had a definite answer: if it was sent after this one, which fails now, this
    /// one hung while the server was well.
    pub(in super::super) fn note_passed_over(&mut self, heard: u64) {
        // Whoever was sent after the failure before this one may have been answered since.
        self.note_heard(heard);
        self.failed_number = Some(self.number);
        self.note_heard(heard);
    }

    /// Notes it again when another one has had a definite answer: what was sent before this one failed was under way
    /// then, and tells nothing of it.
    pub(in super::super) fn note_heard(&mut self, heard: u64) {
        self.is_passed_over |= self.failed_number.is_some_and(|number| number < heard);
    }

    /// Gives charges back.
    pub(in super::super) fn refund(&mut self, charges: u32) {
        self.charged = self.charged.saturating_sub(charges);
        (self.waived, self.answered) = (self.waived.min(self.charged), self.answered.min(self.charged));
        self.strikes = self.charged;
        if self.charged == self.waived {
            self.failed_first_ms = None;
        }
    }
}
