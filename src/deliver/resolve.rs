//! The later passes over deferred updates, until each that is left was tried since the last one that passed; and the
//! pass behind all others, in which nobody is handed over and what they have kept back is ruled on.
//!
//! What they send stays in memory up to a bound ([`super::DeliverRules::deferred_held_max`]); a pass over more than
//! that reads the inputs again. Not here: which of them a pass tries (`chains.rs`), and who is deferred
//! (`delivery/`).

use std::collections::HashSet;

use super::chains::{Chains, Turn};
use super::driver::Held;
use super::feed::{Fed, Hand, LaterWaves, Selection};
use super::{Delivery, Driver, pass, pass_of};
use crate::digest::SubjectId;

/// Where a pass stands among those of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassPlace {
    /// Others may follow, with updates whose answers tell of what is kept back at the end of this one.
    Followed,
    /// None follows, unless something is deferred in it.
    LastButDeferred,
    /// None follows with anybody who was not asked.
    Last,
}

/// Runs all of them.
pub(super) fn run(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>) {
    if !driver.is_going() || driver.deferred.is_empty() && !driver.is_carrying() {
        return;
    }
    if !driver.deferred.is_empty() {
        driver.later("deferred conflicts", driver.deferred.len() as u64);
    }
    driver.is_resolving = true;
    let mut chains = holders(driver, delivery);
    while driver.is_going() {
        // What is carried over is with the scheduler already.
        chains.keep_back(driver.held.keys().copied().collect(), driver.clears_kept_back(|_| true));
        let mut turn = chains.next(&driver.deferred, driver.synced());
        // The rings that come yet tell of what is kept back as well, and in their turn.
        if turn.is_none() && !driver.has_postponed() {
            driver.note_linked();
            let away = driver.scheduler.seeks_testimony();
            let rings = driver.clears_kept_back(|id| away.contains(&id));
            turn = chains.witness(&driver.deferred, driver.synced(), (&away, &rings));
        }
        match turn {
            Some(turn) => {
                let waiting = driver.deferred.len();
                tracing::debug!("a pass over {} of {waiting} deferred updates", turn.ordinals.len());
                take_turn(driver, delivery, turn);
                driver.check_updates();
            }
            None if driver.is_carrying() && !driver.has_postponed() => close(driver, delivery),
            // Who is left may wait for what is kept back until the rings that come yet tell of it.
            None if driver.is_carrying() => return,
            None if driver.deferred.keys().all(|ordinal| driver.is_carried(*ordinal)) => return,
            None => driver.refuse_unresolved(),
        }
    }
}

/// The pass behind all others: what they have kept back is ruled on, or left where the run has stopped.
pub(super) fn close(driver: &mut Driver<'_, '_>, delivery: &Delivery<'_>) {
    driver.place = PassPlace::Last;
    driver.note_linked();
    pass_without_reading(driver, delivery);
    driver.place = PassPlace::Followed;
}

/// A pass over what is with the driver already.
pub(super) fn pass_without_reading(driver: &mut Driver<'_, '_>, delivery: &Delivery<'_>) {
    // The inputs were read to their end.
    let (rows, bytes) = (delivery.plan.facts().rows.read, delivery.inputs.bytes_total());
    pass_of(driver, (driver.window, bytes), |credit, send| {
        Hand::new(credit, send).end(rows, bytes);
        Ok(LaterWaves::new())
    });
}

impl Driver<'_, '_> {
    /// Whether updates of earlier passes are with the scheduler, which keeps them back.
    pub(super) fn is_carrying(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether this one is, where it is not of the pass that is on.
    pub(super) fn is_carried(&self, ordinal: u64) -> bool {
        self.held.contains_key(&ordinal)
    }

    /// Whether any of those that are kept back waits for another one of them, or for the clear of its ring.
    fn note_linked(&mut self) {
        let clears = self.clears_kept_back(|_| true);
        let waits = |held: &Held| {
            let linked = held.fed.linked;
            !held.fed.is_clear && (self.is_carried(linked.waits_for) || clears.contains(&linked.ring))
        };
        let are_linked = self.held.values().any(waits);
        self.scheduler.note_linked(are_linked);
    }

    /// Whether nobody comes after this pass whose answer could tell of what is kept back at its end.
    pub(super) fn is_last_pass(&self) -> bool {
        match self.place {
            PassPlace::Followed => false,
            PassPlace::LastButDeferred => self.deferred.is_empty(),
            PassPlace::Last => true,
        }
    }

    /// What is kept back at the end of a pass stays with the scheduler. Like what waits for a retry it takes no place
    /// in the window of the passes behind it.
    pub(super) fn carry_over(&mut self) {
        tracing::debug!("{} updates are carried over", self.held.len());
        self.held.values_mut().for_each(|held| held.credited = true);
    }
}

/// Sends what a turn is about, from memory where all of it is there.
fn take_turn(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>, turn: Turn) {
    let deferred = &mut driver.deferred;
    let is_kept = |ordinal: &u64| deferred.get(ordinal).is_some_and(|of| of.kept.is_some());
    let are_kept = turn.ordinals.iter().all(is_kept);
    // What is read again is in memory once.
    let again = |ordinal: &u64| deferred.get_mut(ordinal).and_then(super::settle::Unresolved::again);
    let kept: Vec<Fed> = turn.ordinals.iter().filter_map(again).collect();
    if !are_kept {
        drop(kept);
        let ordinals: HashSet<u64> = turn.ordinals.into_iter().collect();
        pass(driver, delivery, Selection::Deferred { ordinals, subjects: turn.subjects });
        return;
    }
    // The inputs were read to their end.
    let (rows, bytes) = (delivery.plan.facts().rows.read, delivery.inputs.bytes_total());
    pass_of(driver, (driver.window, bytes), |credit, send| {
        let mut hand = Hand::new(credit, send);
        if kept.into_iter().all(|fed| hand.hand(fed, rows, bytes)) {
            hand.end(rows, bytes);
        }
        Ok(LaterWaves::new())
    });
}

/// Who among the subjects of deferred updates holds what.
fn holders(driver: &Driver<'_, '_>, delivery: &Delivery<'_>) -> Chains {
    let mut chains = Chains::default();
    let subjects: HashSet<SubjectId> =
        driver.deferred.values().map(|unresolved| unresolved.update.subject).collect();
    if subjects.len() < 2 {
        return chains;
    }
    let learned = (delivery.ledger)().and_then(|mut entries| {
        entries.try_for_each(|entry| {
            let entry = entry?;
            if subjects.contains(&entry.subject) {
                chains.learn(&entry);
            }
            Ok(())
        })
    });
    if let Err(error) = learned {
        // It only makes later passes dearer.
        tracing::warn!(%error, "the ledger does not tell who holds what");
    }
    chains
}
