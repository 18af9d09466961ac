//! The end of a run in the driver: stopping, draining, and the last verdicts of what no pass resolved.
//!
//! Not here: the loop (`driver.rs`), and why a run stops (`delivery/`, signals).

use std::collections::HashSet;
use std::sync::Arc;

use super::Stopped;
use super::driver::{Driver, Held};
use super::later::Later;
use super::settle::{self, Settled};
use crate::api::Request;
use crate::delivery::UpdateId;
use crate::engine::clock;
use crate::engine::credit::Credit;
use crate::engine::signals::Stop;
use crate::event::Event;

impl Driver<'_, '_> {
    /// Gives deferred updates that a whole pass did not resolve their final verdict: the first of each subject, because
    /// those behind it were only kept from overtaking it, and may pass now.
    pub(super) fn refuse_unresolved(&mut self) {
        let mut subjects = HashSet::new();
        let (carried, deferred): (Vec<_>, Vec<_>) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|(ordinal, _)| self.is_carried(*ordinal));
        let (first, behind): (Vec<_>, Vec<_>) =
            deferred.into_iter().partition(|(_, unresolved)| subjects.insert(unresolved.update.subject));
        self.deferred = behind.into_iter().chain(carried).collect();
        let credit = Credit::new(0);
        for (ordinal, unresolved) in first {
            if !self.is_going() {
                // An error budget was used up: like everything else that has no verdict yet, it is pending.
                self.deferred.insert(ordinal, unresolved);
                continue;
            }
            if !unresolved.chronic {
                let decision = self.scheduler.count_unresolved(&unresolved.failure.signature);
                self.take(decision, &credit);
            }
            let verdict = unresolved.verdict();
            if let Some((record, settled)) =
                settle::settle(&unresolved.update, verdict, self.batch, clock::wall_s())
            {
                let id = unresolved.place.ordinal;
                self.records.push(record);
                self.pending.settled.push((id, settled));
                let request = Request {
                    body: Vec::new(),
                    idempotency_key: String::new(),
                    sent: Arc::default(),
                    unsent: None,
                };
                self.held
                    .insert(id, Held { fed: unresolved.into_fed(), request, attempts: 0, credited: true });
            }
        }
        self.write();
        while self.commits_open > 0 {
            self.wait(&credit);
        }
    }

    pub(super) fn on_signal(&mut self, signal: Stop) {
        self.signals += 1;
        if self.signals == 1 && self.outcome.stopped.is_none() {
            self.stop(Stopped::Signal(signal));
        } else {
            self.drain_until_ms = Some(0);
        }
    }

    /// Stops the run: nothing new starts, what is on the wire may end within the grace.
    pub(super) fn stop(&mut self, stopped: Stopped) {
        if self.outcome.stopped.is_none() {
            self.scheduler.drain();
            self.drain_until_ms = Some(self.now_ms() + self.rules.shutdown_grace_ms);
            self.emitter.emit(Event::DrainStarted {
                reason: stopped.to_string(),
                in_flight: self.scheduler.in_flight() as u64,
                halt: stopped.halt(),
            });
            self.outcome.stopped = Some(stopped);
        } else if matches!(stopped, Stopped::Journal(_)) {
            self.outcome.stopped = Some(stopped);
        }
    }

    pub(super) fn is_journal_dead(&self) -> bool {
        matches!(self.outcome.stopped, Some(Stopped::Journal(_)))
    }

    /// While stopping: withdraws what was not sent, and at the end of the grace cuts off what is on the wire.
    pub(super) fn finish_draining(&mut self) {
        self.later = Later::default();
        for id in self.scheduler.blamed() {
            if let Some(held) = self.held.get(&id) {
                self.outcome.turned_away.push((held.fed.place, held.fed.update.subject));
            }
        }
        for left in self.scheduler.unsent() {
            self.leave(left.id, left.maybe_applied);
        }
        let expired = self.drain_until_ms.is_some_and(|until_ms| until_ms <= self.now_ms());
        if (expired || self.is_journal_dead()) && !self.cut {
            // From here on, answers come too late to count: their updates are in doubt.
            self.cut = true;
            for id in self.scheduler.in_flight_ids() {
                self.leave(id, true);
            }
        }
        self.write();
        if self.is_journal_dead() && self.commits_open == 0 {
            // Nothing more can be made durable: whatever was attempted is in doubt, the rest is pending.
            self.records.clear();
            for (_, held) in std::mem::take(&mut self.held) {
                if held.attempts > 0 {
                    self.report(held.fed, Settled::InDoubt);
                }
            }
        }
    }

    fn leave(&mut self, id: UpdateId, maybe_applied: bool) {
        if let Some(held) = self.held.get(&id) {
            let (record, settled) = settle::leave(&held.fed.update, maybe_applied);
            self.records.push(record);
            self.pending.settled.push((id, settled));
        }
    }
}
