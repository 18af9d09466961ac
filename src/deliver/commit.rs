//! Between the driver and the journal: what a group of records stands for, its way to the disk, and what it frees and
//! is reported when it is durable.
//!
//! Not here: what a verdict writes (`settle.rs`), and the journal itself (`journal/`).

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::driver::{Driver, Wake};
use super::feed::Fed;
use super::settle::{Settled, Unresolved};
use crate::delivery::UpdateId;
use crate::delivery::outcome::Failure;
use crate::digest::SubjectId;
use crate::engine::credit::Credit;
use crate::event::Event;
use crate::journal::JournalError;
use crate::row::Place;

/// What a durable group stands for.
#[derive(Default)]
pub(super) struct Durable {
    pub(super) records: u64,
    pub(super) open: Vec<UpdateId>,
    pub(super) settled: Vec<(UpdateId, Settled)>,
}

/// A group on its way to the disk. It answers the driver in any case: a journal thread that died with it would leave
/// the driver waiting for ever otherwise.
struct Commit {
    waker: Sender<Wake>,
    durable: Option<Durable>,
}

impl Commit {
    fn answer(mut self, written: Result<(), Arc<JournalError>>) {
        let durable = self.durable.take().unwrap_or_default();
        // The driver outlives its commits; a closed channel means that it has panicked.
        drop(self.waker.send(Wake::Durable(written.map(|()| durable))));
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if self.durable.is_some() {
            drop(self.waker.send(Wake::Durable(Err(Arc::new(JournalError::Closed)))));
        }
    }
}

impl Driver<'_, '_> {
    /// Hands the gathered records to the journal; their facts come back once they are durable.
    pub(super) fn write(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let mut durable = std::mem::take(&mut self.pending);
        durable.records = self.records.len() as u64;
        self.commits_open += 1;
        let commit = Commit { waker: self.waker.clone(), durable: Some(durable) };
        self.writer.append(&self.records, Box::new(move |written| commit.answer(written)));
        self.records.clear();
    }

    /// A group is durable: what it opened may be sent, what it settled is reported.
    pub(super) fn on_durable(&mut self, durable: Durable, credit: &Credit) {
        self.opening = self.opening.saturating_sub(durable.open.len());
        self.emitter.emit(Event::Committed { records: durable.records });
        for id in durable.open {
            self.offer(id, credit);
        }
        for (id, settled) in durable.settled {
            if let Some(held) = self.held.remove(&id) {
                // Only what waits for a later pass is sent again.
                let is_deferred = matches!(settled, Settled::Deferred(_));
                let fed = if is_deferred { held.into_fed() } else { held.fed };
                self.report(fed, settled);
            }
        }
    }

    /// Tells the scheduler whether first tries are on their way: not yet durable, or unread while the window has room.
    pub(super) fn expect_first_tries(&mut self, credit: &Credit) {
        // What was read ahead goes on at once where the window has room.
        let are_coming = self.opening > 0 || self.feeding && self.room.free > 0 && !credit.is_exhausted();
        self.scheduler.expect_first_tries(are_coming);
    }

    /// Reports a fact that is durable now.
    pub(super) fn report(&mut self, fed: Fed, settled: Settled) {
        self.later.settle(fed.linked.group, fed.place.ordinal);
        if fed.is_clear {
            self.report_clear(fed, settled);
            return;
        }
        if fed.is_part {
            self.report_part(fed, settled);
            return;
        }
        let (place, subject) = (fed.place, fed.update.subject);
        if matches!(settled, Settled::Synced | Settled::Failed(_) | Settled::InDoubt) {
            self.rings.settle(fed.linked.ring);
        }
        match settled {
            Settled::Synced => {
                self.synced += 1;
                self.deferred.remove(&place.ordinal);
                self.outcome.cleared.remove(&place.ordinal);
                self.emitter.emit(Event::UpdateSynced { place });
            }
            Settled::Failed(failure) => {
                self.deferred.remove(&place.ordinal);
                self.fail(place, subject, failure);
            }
            Settled::Deferred(failure) => {
                if self.wait_later(Unresolved::new(fed, failure)) {
                    self.emitter.emit(Event::UpdateDeferred { place });
                }
            }
            Settled::InDoubt => {
                self.deferred.remove(&place.ordinal);
                self.fates.doubt(subject, place.ordinal);
                self.emitter.emit(Event::UpdateInDoubt { place });
            }
            Settled::Withdrawn => {}
        }
    }

    /// An earlier part of an update, sent ahead for want of room, is booked with the row that carries the update; only
    /// what went wrong with it is kept, for the row files and the exit code.
    fn report_part(&mut self, fed: Fed, settled: Settled) {
        let (place, subject) = (fed.place, fed.update.subject);
        self.deferred.remove(&place.ordinal);
        match settled {
            Settled::Synced => self.synced += 1,
            Settled::Failed(failure) => self.fates.fail(subject, place.ordinal, &failure),
            Settled::Deferred(failure) => {
                self.wait_later(Unresolved::new(fed, failure));
            }
            Settled::InDoubt => self.fates.doubt(subject, place.ordinal),
            Settled::Withdrawn => {}
        }
    }

    fn fail(&mut self, place: Place, subject: SubjectId, failure: Failure) {
        self.fates.fail(subject, place.ordinal, &failure);
        self.outcome.cleared_failed += usize::from(self.outcome.cleared.contains_key(&place.ordinal));
        self.emitter.emit(Event::UpdateFailed {
            place,
            kind: failure.kind,
            status: failure.status,
            signature: failure.signature,
        });
    }
}
