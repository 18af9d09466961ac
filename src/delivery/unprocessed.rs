//! Requests that the server certainly did nothing for: it was never connected to, or says itself that it did not look.
//!
//! Nothing in the row can be the reason, so it is never charged for it. Not here: how either is told
//! (`api/trouble.rs`), failures that may have been applied (`ruling.rs`).

use super::decision::{Decision, UpdateId};
use super::outcome::Failure;
use super::ruling::Trouble;
use super::schedule::Scheduler;
use crate::ledger::FailureKind;

/// Times that an update goes again at once when the server did nothing for its request.
const UNPROCESSED_MAX: u32 = 3;

impl Scheduler {
    /// The request never left.
    pub(super) fn on_unconnected(
        &mut self,
        id: UpdateId,
        name: &str,
        now_ms: u64,
        jitter: f64,
        decision: &mut Decision,
    ) {
        let failure = Failure {
            kind: FailureKind::Exhausted,
            status: None,
            signature: name.to_owned(),
            maybe_applied: false,
        };
        let trouble = Trouble { failure, is_chargeable: false, retry_after_ms: None, delay_min_ms: 0 };
        self.on_trouble(id, trouble, now_ms, jitter, decision);
    }

    /// A server that closes a connection turns all requests away that it had not begun with, and takes them on the next
    /// one: that is no sign of an outage. One that turns a request away time and again, or the probe, is not well.
    pub(super) fn on_unprocessed(
        &mut self,
        id: UpdateId,
        name: &str,
        now_ms: u64,
        jitter: f64,
        decision: &mut Decision,
    ) {
        let is_probing = self.breaker.open_since_ms().is_some();
        let Some(item) = self.lanes.get_mut(id) else { return };
        item.unprocessed = item.unprocessed.saturating_add(1);
        if is_probing || item.unprocessed > UNPROCESSED_MAX {
            return self.on_unconnected(id, name, now_ms, jitter, decision);
        }
        self.go_again(id, 0, decision);
    }
}
