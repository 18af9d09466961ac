//! Error budgets: how many updates may fail in a run, and how many with one complaint, before it stops.
//!
//! One rule for whoever finds a failure: every update that fails for good counts, whatever of, but for those that
//! failed in earlier batches, which say nothing of this one. Not here: what a failure is (`ruling.rs`).

use super::decision::{Decision, UpdateId};
use super::lanes::Exhausted;
use super::outcome::{Failure, StopCause, Verdict};
use super::rules::SIGNATURES_MAX;
use super::schedule::Scheduler;
use crate::ledger::FailureKind;

impl Scheduler {
    /// An update has failed for good.
    pub(super) fn fail(&mut self, id: UpdateId, failure: Failure, decision: &mut Decision) {
        let known = self.lanes.get(id).map(|item| (item.subject, item.is_turned_away_alone()));
        if let Some((subject, is_turned_away)) = known {
            self.away.remove(&subject);
            if failure.kind == FailureKind::Exhausted {
                let status = failure.status;
                let was_pushed_back = is_turned_away && status == Some(429);
                self.lanes.note_exhausted(subject, Exhausted { status, was_pushed_back });
            }
        }
        if !self.lanes.settle(id).is_some_and(|item| item.is_chronic_before()) {
            self.count(&failure.signature, decision);
        }
        decision.verdicts.push((id, Verdict::Failed(failure)));
    }

    /// Counts an update that the caller has given up, because its conflict was resolved by no later pass; none that
    /// failed in earlier batches.
    pub fn count_unresolved(&mut self, signature: &str) -> Decision {
        let mut decision = Decision::default();
        self.count(signature, &mut decision);
        decision
    }

    fn count(&mut self, signature: &str, decision: &mut Decision) {
        self.complain(signature, decision);
        self.failed += 1;
        if self.rules.failures_max.is_some_and(|failures_max| self.failed > failures_max) {
            self.stop(StopCause::ErrorBudget { failed: self.failed }, decision);
        }
    }

    /// Counts a complaint against its budget.
    fn complain(&mut self, signature: &str, decision: &mut Decision) {
        let Some(failures_max) = self.rules.signature_failures_max else { return };
        if self.complaints.len() >= SIGNATURES_MAX && !self.complaints.contains_key(signature) {
            return;
        }
        let failed = self.complaints.entry(signature.to_owned()).or_default();
        *failed += 1;
        if *failed > failures_max {
            let cause = StopCause::SignatureBudget { signature: signature.to_owned(), failed: *failed };
            self.stop(cause, decision);
        }
    }
}
