//! From a verdict to the record that makes it durable, and to the fact that is reported once it is.
//!
//! Pure. Not here: when records are written (`driver.rs`).

use std::fmt;
use std::sync::Arc;

use super::feed::Fed;
use crate::delivery::outcome::{Failure, Verdict};
use crate::digest::update_digest;
use crate::ledger::{FailureKind, Record, UnknownCause};
use crate::plan::Linked;
use crate::row::Place;
use crate::update::{FieldSet, Fields, Update};

/// What becomes known of an update once its record is durable.
#[derive(Debug, Clone)]
pub(super) enum Settled {
    /// Acknowledged.
    Synced,
    /// Failed for good in this run.
    Failed(Failure),
    /// Waits for a later pass.
    Deferred(Failure),
    /// It may or may not have been applied.
    InDoubt,
    /// Was never on the wire: pending.
    Withdrawn,
}

/// The record that opens an update.
pub(super) fn intent(update: &Update) -> Record {
    Record::Intent {
        subject: update.subject,
        version: update.version,
        fields: fields_of(update),
        digest: update_digest(&update.facts),
    }
}

/// The record and the fact of a verdict in a run of this batch; `None` for a verdict that settles nothing yet.
pub(super) fn settle(update: &Update, verdict: Verdict, batch: u64, now_s: i64) -> Option<(Record, Settled)> {
    match verdict {
        Verdict::Synced => {
            let record = Record::Synced {
                subject: update.subject,
                version: update.version,
                facts: update.facts.clone(),
                at_s: now_s,
            };
            Some((record, Settled::Synced))
        }
        Verdict::Failed(failure) => Some((failed(update, &failure, batch), Settled::Failed(failure))),
        Verdict::Deferred(failure) => {
            let record = Record::Deferred {
                subject: update.subject,
                version: update.version,
                digest: update_digest(&update.facts),
                status: failure.status.unwrap_or(0),
                signature: failure.signature.clone(),
                unknown: unknown_fields(update, &failure),
                facts: update.facts.clone(),
            };
            Some((record, Settled::Deferred(failure)))
        }
        Verdict::RetryIn { .. } | Verdict::Withheld => None,
    }
}

/// The record and the fact of an update that the end of the run leaves behind.
pub(super) fn leave(update: &Update, maybe_applied: bool) -> (Record, Settled) {
    if maybe_applied {
        let record = Record::Unknown {
            subject: update.subject,
            version: update.version,
            fields: fields_of(update),
            digest: update_digest(&update.facts),
            cause: UnknownCause::Cut,
            status: None,
            signature: String::new(),
            // As after a kill: what is in doubt is known by its digest.
            facts: Vec::new(),
        };
        (record, Settled::InDoubt)
    } else {
        (Record::Withdrawn { subject: update.subject, version: update.version }, Settled::Withdrawn)
    }
}

/// What an update sends, in memory until a later pass.
#[derive(Default)]
pub(super) struct Kept {
    body: Vec<u8>,
    fields: Fields,
    unsent: Option<Arc<Fields>>,
}

/// Tells how much is kept and never a value.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// An update whose conflict no later pass resolved.
#[derive(Debug)]
pub(super) struct Unresolved {
    pub(super) place: Place,
    pub(super) update: Update,
    pub(super) failure: Failure,
    /// Definite refusals of this version so far, this one among them.
    pub(super) refusals: u32,
    pub(super) is_part: bool,
    /// What it is linked with.
    pub(super) linked: Linked,
    /// Whether it was sent in this run, and refused.
    pub(super) is_tried: bool,
    /// Whether it failed in earlier batches.
    pub(super) chronic: bool,
    /// What it sends, where that is not to be read again.
    pub(super) kept: Option<Kept>,
}

impl Unresolved {
    /// Of an update that was refused.
    pub(super) fn new(fed: Fed, failure: Failure) -> Unresolved {
        let refusals = fed.refusals.saturating_add(1);
        Unresolved { failure, refusals, is_tried: true, ..Unresolved::untried(fed) }
    }

    /// Of an update that would be sent in vain: what it takes, another one that waits for a later pass has not given
    /// up.
    pub(super) fn untried(fed: Fed) -> Unresolved {
        let Fed { place, mut update, body, chronic, refusals, is_part, linked, .. } = fed;
        let kept =
            Some(Kept { body, fields: std::mem::take(&mut update.fields), unsent: update.unsent.take() });
        let failure = Failure {
            kind: FailureKind::Deferred,
            status: None,
            signature: String::new(),
            maybe_applied: false,
        };
        Unresolved { place, update, failure, refusals, is_part, linked, is_tried: false, chronic, kept }
    }

    /// As it was handed over, where what it sends is in memory; it is no more from then on.
    pub(super) fn again(&mut self) -> Option<Fed> {
        let Kept { body, fields, unsent } = self.kept.take()?;
        let Unresolved { place, refusals, is_part, linked, chronic, .. } = *self;
        let update = Update { fields, unsent, ..self.update.clone() };
        Some(Fed { place, update, body, chronic, refusals, is_part, linked, is_clear: false })
    }

    /// As an update handed over, so that its final verdict takes the way of all verdicts.
    pub(super) fn into_fed(self) -> Fed {
        let Unresolved { place, update, refusals, is_part, linked, chronic, .. } = self;
        Fed { place, update, body: Vec::new(), chronic, refusals, is_part, linked, is_clear: false }
    }

    /// The final verdict: refused, as a conflict.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict::Failed(Failure { kind: FailureKind::Unresolved, ..self.failure.clone() })
    }
}

fn failed(update: &Update, failure: &Failure, batch: u64) -> Record {
    let (subject, version) = (update.subject, update.version);
    let (digest, facts) = (update_digest(&update.facts), update.facts.clone());
    let signature = failure.signature.clone();
    let cause = match failure.kind {
        kind @ (FailureKind::Refused | FailureKind::Deferred | FailureKind::Unresolved) => {
            let status = failure.status.unwrap_or(0);
            let unknown = unknown_fields(update, failure);
            if kind == FailureKind::Refused && batch == version.batch {
                return Record::Refused { subject, version, digest, status, signature, unknown, facts };
            }
            // A deferral that is final is one that no pass resolved.
            let kind = if kind == FailureKind::Refused { kind } else { FailureKind::Unresolved };
            return Record::RefusedIn {
                subject,
                version,
                batch,
                kind,
                digest,
                status,
                signature,
                unknown,
                facts,
            };
        }
        FailureKind::Exhausted => UnknownCause::Exhausted,
        FailureKind::EchoMismatch => UnknownCause::EchoMismatch,
    };
    let fields = unknown_fields(update, failure);
    Record::Unknown { subject, version, fields, digest, cause, status: failure.status, signature, facts }
}

fn unknown_fields(update: &Update, failure: &Failure) -> FieldSet {
    if failure.maybe_applied { fields_of(update) } else { FieldSet::EMPTY }
}

/// By its facts, because an update that waits for a later pass keeps no values.
fn fields_of(update: &Update) -> FieldSet {
    update.facts.iter().map(|fact| fact.kind).collect()
}
