//! Between the reading side and the scheduler: whose intents are opened, and what is read ahead without one while the
//! server is taken for down.
//!
//! Until then every update goes straight on, for the reading side hands over no more than the window holds. From the
//! first opening of the breaker on, or from the beginning where the run before was stopped for what it was answered,
//! it may hand over more; that has no intent, so it is neither in doubt after a crash nor more than pending when the
//! run stops, until it is chosen to probe or the window has room. Not here: who is chosen (`delivery/ahead.rs`), and
//! what is put aside for later passes (`aside.rs`).

use std::sync::Arc;

use super::driver::{Driver, Held};
use super::feed::Fed;
use super::settle;
use crate::api::Request;
use crate::delivery::{Offer, UpdateId};
use crate::digest::update_digest;
use crate::engine::credit::Credit;

/// How long before a probe is due its update is chosen: time enough for its intent, and for what is to be read ahead.
/// Longer than the loop ever sleeps.
const CHOOSE_MS: u64 = 600;

impl Driver<'_, '_> {
    /// Takes what the reading side hands over.
    pub(super) fn take_in(&mut self, group: Vec<Fed>) {
        if !self.is_going() {
            // The run is stopping: what arrives now was never on the wire and has no intent; it stays pending.
            return;
        }
        for fed in group {
            if self.ahead.is_on() {
                self.ahead.push(fed.update.subject, fed);
            } else {
                self.open(fed);
            }
        }
    }

    /// Goes on with what was read ahead, as far as the window has room; while the server is down, with nobody but the
    /// one that is to probe. What a stopping run has read ahead stays pending.
    pub(super) fn advance(&mut self) {
        if !self.is_going() {
            return self.ahead.clear();
        }
        if self.scheduler.is_down() {
            return self.choose_probe();
        }
        // What is sent mixed from the beginning has to be at hand first.
        self.is_filling &= self.feeding && self.ahead.len() < self.rules.rows_held_max;
        if self.is_filling {
            return;
        }
        while self.room.free > 0
            && let Some(fed) = self.ahead.take()
        {
            self.open(fed);
        }
    }

    /// The breaker has opened: lets the reading side hand over so much more. Not where what was deferred is tried
    /// again, in an order of its own.
    pub(super) fn read_ahead(&mut self, credit: &Credit) {
        if !self.is_resolving && self.ahead.begin() {
            credit.give(self.rules.rows_held_max);
        }
    }

    /// Begins a pass mixed, where the run before was stopped for what it was answered: those rows may stand together.
    pub(super) fn begin_mixed(&mut self, credit: &Credit) {
        if self.rules.is_mixed {
            self.read_ahead(credit);
            self.is_filling = self.ahead.is_on();
        }
    }

    /// Whether no update can be taken in until one of those that are held is settled or waits for a retry.
    pub(super) fn is_window_full(&self, credit: &Credit) -> bool {
        if self.ahead.is_on() { self.room.free == 0 } else { credit.is_exhausted() }
    }

    /// Gives the place of an update in the window back, because it waits for a retry or behind one that does.
    pub(super) fn give_place_back(&mut self, id: UpdateId, credit: &Credit) {
        let has_room = self.scheduler.held() < self.rules.rows_held_max;
        if let Some(held) = self.held.get_mut(&id).filter(|held| has_room && !held.credited) {
            held.credited = true;
            self.room.free += 1;
            credit.give(1);
        }
    }

    /// A durable intent: its update may be sent.
    pub(super) fn offer(&mut self, id: UpdateId, credit: &Credit) {
        let Some(held) = self.held.get(&id) else { return };
        let offer = Offer { id, subject: held.fed.update.subject, chronic: held.fed.chronic };
        if self.room.retrying.contains(&offer.subject) {
            self.give_place_back(id, credit);
        }
        if self.probe.take_if(|probe| *probe == id).is_some() {
            self.scheduler.offer_probe(offer);
        } else {
            self.scheduler.offer(offer);
        }
    }

    /// One at a time, and beyond the window where that is full: it may be full of rows that fail for ever and of
    /// those behind them, and then nobody else could show that the server is well.
    fn choose_probe(&mut self) {
        let due_ms = self.scheduler.probe_at_ms().filter(|at_ms| *at_ms <= self.now_ms() + CHOOSE_MS);
        if let Some(at_ms) = due_ms
            && let Some(fed) = self.ahead.choose_probe(at_ms, self.scheduler.untried())
        {
            let (id, has_place) = (fed.place.ordinal, self.room.free > 0);
            self.probe = Some(id);
            self.open(fed);
            if let Some(held) = self.held.get_mut(&id).filter(|_| !has_place) {
                held.credited = true;
            }
        }
    }

    /// Opens the intent of an update; it is offered to the scheduler once that is durable.
    fn open(&mut self, mut fed: Fed) {
        let id = fed.place.ordinal;
        if let Some(unresolved) = self.deferred.get(&id) {
            // The plan knows nothing of the refusals of this run; a server that honors keys would replay them.
            fed.refusals = unresolved.refusals;
        }
        let digest = update_digest(&fed.update.facts);
        let key = self.state_key.idempotency(fed.update.subject, fed.update.version, digest, fed.refusals);
        let request = Request {
            body: std::mem::take(&mut fed.body),
            idempotency_key: key,
            sent: Arc::new(std::mem::take(&mut fed.update.fields)),
            unsent: fed.update.unsent.take(),
        };
        self.records.push(settle::intent(&fed.update));
        self.pending.open.push(id);
        self.opening += 1;
        self.room.free = self.room.free.saturating_sub(1);
        // A deferred update that was refused comes again in a later pass: what is sent then is a retry.
        let attempts = u32::from(self.deferred.get(&id).is_some_and(|unresolved| unresolved.is_tried));
        self.held.insert(id, Held { fed, request, attempts, credited: false });
    }
}
