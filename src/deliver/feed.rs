//! The reading side of pass 2: reads the inputs again, folds rows into updates as the plan ruled, and hands them
//! over in small groups.
//!
//! Runs on a thread of its own. Not here: sending (`driver.rs`), ruling (`plan/`).

use std::collections::HashSet;

use crate::api::{self, Envelope};
use crate::digest::SubjectId;
use crate::engine::credit::Credit;
use crate::fields::ClearAs;
use crate::input::{Inputs, Pass, SourceError};
use crate::plan::{BesideError, Folded, Folding, Plan, Ruling};
use crate::row::{Place, Version};
use crate::survey::{Judge, Judged};
use crate::update::Update;

/// Updates handed over at a time, at most.
const GROUP_UPDATES_MAX: usize = 64;

/// An update on its way to the driver.
#[derive(Debug)]
pub(super) struct Fed {
    /// Place of its last row; the ordinal names the update during the run.
    pub(super) place: Place,
    /// What it sets.
    pub(super) update: Update,
    /// The request's body.
    pub(super) body: Vec<u8>,
    /// Whether it failed in an earlier batch: it neither opens the breaker nor probes.
    pub(super) chronic: bool,
    /// Definite refusals of this version so far.
    pub(super) refusals: u32,
    /// It is only the earlier part of an update, sent ahead for want of room: its row is booked as folded.
    pub(super) is_part: bool,
}

/// Which updates a pass is about.
#[derive(Debug, Clone)]
pub(super) enum Selection {
    /// Everything to be sent that is not chronic.
    Main,
    /// What failed in earlier batches.
    Late,
    /// What was refused for a conflict in the pass before: the updates' ordinals and their subjects.
    Deferred {
        /// Ordinals of the updates' last rows.
        ordinals: HashSet<u64>,
        /// Their subjects, to find the earlier rows that fold into them.
        subjects: HashSet<SubjectId>,
    },
}

/// What the reading side needs.
pub(super) struct Feed<'a> {
    pub(super) inputs: &'a mut Inputs,
    pub(super) judge: Judge<'a>,
    pub(super) plan: &'a Plan,
    pub(super) batch: u64,
    pub(super) envelope: Envelope,
    pub(super) clear_as: ClearAs,
    pub(super) rows_held_max: usize,
    pub(super) selection: Selection,
}

/// Why the reading side ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// The input cannot be read on, or has changed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What the plan says of a row cannot be read back.
    #[error(transparent)]
    Plan(#[from] BesideError),
    /// The same bytes were judged differently in the second pass: a fault of the program.
    #[error("row {0} was valid in the survey and is not now")]
    Inconsistent(u64),
}

impl Feed<'_> {
    /// Reads on until the end, the first error, or the credit is closed. `send` takes groups of updates and the
    /// position reached (rows and bytes); it returns `false` when nobody listens any more.
    pub(super) fn run(
        mut self,
        credit: &Credit,
        mut send: impl FnMut(Vec<Fed>, u64, u64) -> bool,
    ) -> Result<(), FeedError> {
        let mut folding = Folding::new(self.rows_held_max);
        let mut group = Vec::new();
        let mut reader = self.inputs.read(Pass::Again);
        let (mut rows, mut bytes) = (0, 0);
        while let Some(row) = reader.next_row()? {
            // A row whose plan says nothing is to be sent is not even judged again.
            let Ok(row) = row else { continue };
            let place = row.place();
            rows = place.ordinal;
            let ruling = self.plan.ruling(place.ordinal);
            if !self.selection.may_concern(ruling, place.ordinal) {
                continue;
            }
            let Judged::Valid { subject, version, .. } = self.judge.row(&row) else {
                return Err(FeedError::Inconsistent(place.ordinal));
            };
            if !self.selection.concerns(subject) {
                continue;
            }
            let beside = self.plan.beside(place.ordinal)?;
            let ordinal = beside.version_ordinal.unwrap_or(place.ordinal);
            let version = version.unwrap_or(Version { batch: self.batch, ordinal });
            let fields = &self.judge.checked.fields;
            let as_sent = self.selection.as_sent(ruling, place.ordinal);
            let folded = folding.take(as_sent, version, subject, fields, &self.judge.facts, &beside);
            let (update, is_part) = match folded {
                Folded::Nothing => continue,
                Folded::Update(update) => (update, ruling.is_folded()),
                Folded::Early(update) => (update, true),
            };
            let fed = Fed {
                place,
                body: api::body(self.envelope, self.clear_as, &update.fields),
                chronic: matches!(ruling, Ruling::SendLate | Ruling::FoldedLate),
                refusals: beside.refusals,
                is_part,
                update,
            };
            // When the window is full, hand over what there is before waiting, so that nobody waits for it.
            bytes = reader.bytes_read();
            if !(credit.try_take() || send(std::mem::take(&mut group), rows, bytes) && credit.take()) {
                return Ok(());
            }
            group.push(fed);
            if group.len() >= GROUP_UPDATES_MAX && !send(std::mem::take(&mut group), rows, bytes) {
                return Ok(());
            }
        }
        send(group, rows, bytes);
        Ok(())
    }
}

impl Selection {
    /// Whether a row of this ruling may belong to the pass, before its subject is known.
    fn may_concern(&self, ruling: Ruling, ordinal: u64) -> bool {
        match (self, ruling) {
            (Selection::Main, Ruling::Folded | Ruling::Send)
            | (Selection::Late, Ruling::FoldedLate | Ruling::SendLate)
            | (Selection::Deferred { .. }, Ruling::Folded | Ruling::FoldedLate) => true,
            (Selection::Deferred { ordinals, .. }, Ruling::Send | Ruling::SendLate) => {
                ordinals.contains(&ordinal)
            }
            (Selection::Main, Ruling::FoldedLate | Ruling::SendLate)
            | (Selection::Late, Ruling::Folded | Ruling::Send)
            | (
                Selection::Main | Selection::Late | Selection::Deferred { .. },
                Ruling::Rejected
                | Ruling::Filtered
                | Ruling::Elsewhere
                | Ruling::Duplicate
                | Ruling::Superseded
                | Ruling::Unchanged
                | Ruling::Conflict
                | Ruling::Held
                | Ruling::RefusedBefore
                | Ruling::FoldedRefused,
            ) => false,
        }
    }

    /// The ruling to fold by: an earlier part that was sent ahead is sent ahead again when it was deferred.
    fn as_sent(&self, ruling: Ruling, ordinal: u64) -> Ruling {
        match self {
            Selection::Deferred { ordinals, .. } if ordinals.contains(&ordinal) => Ruling::Send,
            Selection::Main | Selection::Late | Selection::Deferred { .. } => ruling,
        }
    }

    /// Whether the subject belongs to the pass.
    fn concerns(&self, subject: SubjectId) -> bool {
        match self {
            Selection::Main | Selection::Late => true,
            Selection::Deferred { subjects, .. } => subjects.contains(&subject),
        }
    }
}
