//! The reading side of pass 2: reads the inputs again, folds rows into updates as the plan ruled, and hands them
//! over in small groups.
//!
//! Runs on a thread of its own. Not here: sending (`driver.rs`), ruling (`plan/`).

use std::collections::{BTreeMap, HashSet};

use super::clears;
use crate::api::{self, Envelope};
use crate::digest::SubjectId;
use crate::engine::credit::Credit;
use crate::fields::ClearAs;
use crate::input::{Inputs, Pass, SourceError};
use crate::plan::{Beside, BesideError, Folded, Folding, Linked, Plan, Ruling};
use crate::row::{Place, Version};
use crate::survey::{Judge, Judged};
use crate::update::{Fields, Update};

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
    /// What it is linked with.
    pub(super) linked: Linked,
    /// It only clears what others of its subject's ring take: no row's update, and in nobody's books.
    pub(super) is_clear: bool,
}

/// Which updates a pass is about.
#[derive(Debug, Clone)]
pub(super) enum Selection {
    /// Everything to be sent that is not chronic and waits for nobody.
    Main,
    /// What failed in earlier batches, and waits for nobody.
    Late,
    /// What takes a value that the update of another subject gives up, in whatever order.
    Waiting,
    /// The same in order: the first of these waves, while the others are held.
    Waves {
        /// The wave that is handed over.
        first: u32,
        /// The first wave that is none of these.
        behind: u32,
    },
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
    /// `None` where no request is made of what is read.
    pub(super) envelope: Option<Envelope>,
    pub(super) clear_as: ClearAs,
    pub(super) rows_held_max: usize,
    pub(super) selection: Selection,
}

/// Updates that were read and are sent in later waves, by wave.
pub(super) type LaterWaves = BTreeMap<u32, Vec<Fed>>;

/// Hands updates over in small groups, as far as there is credit.
pub(super) struct Hand<'a, S> {
    credit: &'a Credit,
    send: S,
    group: Vec<Fed>,
}

impl<'a, S: FnMut(Vec<Fed>, u64, u64) -> bool> Hand<'a, S> {
    /// `send` takes groups of updates and the position reached (rows and bytes); it returns `false` when nobody
    /// listens any more.
    pub(super) fn new(credit: &'a Credit, send: S) -> Hand<'a, S> {
        Hand { credit, send, group: Vec::new() }
    }

    /// Hands an update over, at once or with the next ones; `false` when nobody listens any more.
    pub(super) fn hand(&mut self, fed: Fed, rows: u64, bytes: u64) -> bool {
        // When the window is full, hand over what there is before waiting, so that nobody waits for it.
        if !(self.credit.try_take() || self.end(rows, bytes) && self.credit.take()) {
            return false;
        }
        self.group.push(fed);
        self.group.len() < GROUP_UPDATES_MAX || self.end(rows, bytes)
    }

    /// Hands over what is left.
    pub(super) fn end(&mut self, rows: u64, bytes: u64) -> bool {
        (self.send)(std::mem::take(&mut self.group), rows, bytes)
    }
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
    /// position reached (rows and bytes); it returns `false` when nobody listens any more. What belongs to later
    /// waves is returned.
    pub(super) fn run(
        mut self,
        credit: &Credit,
        send: impl FnMut(Vec<Fed>, u64, u64) -> bool,
    ) -> Result<LaterWaves, FeedError> {
        let mut folding = Folding::new(self.rows_held_max);
        let mut hand = Hand::new(credit, send);
        let mut later = LaterWaves::new();
        let mut reader = self.inputs.read(Pass::Again);
        let (mut rows, mut bytes) = (0, 0);
        while let Some(row) = reader.next_row()? {
            // A row whose plan says nothing is to be sent is not even judged again.
            let Ok(row) = row else { continue };
            let place = row.place();
            rows = place.ordinal;
            let ruling = self.plan.ruling(place.ordinal);
            if !self.selection.may_concern(ruling, place.ordinal, self.plan.is_chained(place.ordinal)) {
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
            bytes = reader.bytes_read();
            if self.selection.has_clear(&beside) {
                let how = (self.envelope, self.clear_as);
                let fed = clear_of(&self.judge, how, (place, subject, version), ruling, &beside);
                if !self.selection.put(fed, beside.clear_wave, &mut later, |fed| hand.hand(fed, rows, bytes))
                {
                    return Ok(later);
                }
            }
            if !self.selection.has_wave(beside.wave) {
                continue;
            }
            let fields = &self.judge.checked.fields;
            let as_sent = self.selection.as_sent(ruling, place.ordinal);
            let folded = folding.take(as_sent, version, subject, fields, &self.judge.facts, &beside);
            let (update, is_part) = match folded {
                Folded::Nothing => continue,
                Folded::Update(update) => (update, ruling.is_folded()),
                Folded::Early(update) => (update, true),
            };
            let update = update.settling(beside.settles, self.judge.key_field());
            let fed = Fed {
                place,
                body: body(self.envelope, self.clear_as, &update.fields),
                chronic: ruling.is_late(),
                refusals: beside.refusals,
                is_part,
                linked: beside.linked,
                is_clear: false,
                update,
            };
            if !self.selection.put(fed, beside.wave, &mut later, |fed| hand.hand(fed, rows, bytes)) {
                return Ok(later);
            }
        }
        hand.end(rows, bytes);
        Ok(later)
    }
}

fn body(envelope: Option<Envelope>, clear_as: ClearAs, fields: &Fields) -> Vec<u8> {
    envelope.map_or_else(Vec::new, |envelope| api::body(envelope, clear_as, fields))
}

/// The clear of the subject of a row that was just judged.
fn clear_of(
    judge: &Judge<'_>,
    (envelope, clear_as): (Option<Envelope>, ClearAs),
    (place, subject, version): (Place, SubjectId, Version),
    ruling: Ruling,
    beside: &Beside,
) -> Fed {
    let update = clears::clear(judge, subject, version, beside.cleared_first);
    Fed {
        place,
        body: body(envelope, clear_as, &update.fields),
        chronic: ruling.is_late(),
        refusals: beside.clear_refusals,
        is_part: false,
        linked: Linked { waits_for: 0, ..beside.linked },
        is_clear: true,
        update,
    }
}

impl Selection {
    /// Whether a row of this ruling may belong to the pass, before its subject is known.
    fn may_concern(&self, ruling: Ruling, ordinal: u64, is_chained: bool) -> bool {
        let is_late = ruling.is_late();
        (ruling.is_sent() || ruling.is_folded())
            && match self {
                Selection::Main => !is_chained && !is_late,
                Selection::Late => !is_chained && is_late,
                Selection::Waiting | Selection::Waves { .. } => is_chained,
                Selection::Deferred { ordinals, .. } => ruling.is_folded() || ordinals.contains(&ordinal),
            }
    }

    /// Whether what the row's subject is cleared of first belongs to the pass.
    fn has_clear(&self, beside: &Beside) -> bool {
        matches!(self, Selection::Waves { .. })
            && !beside.cleared_first.is_empty()
            && self.has_wave(beside.clear_wave)
    }

    /// Hands over what belongs to the wave at hand, and holds the rest; `false` when nobody listens any more. No
    /// subject is cleared before what follows its clear has been read.
    fn put(&self, fed: Fed, wave: u32, later: &mut LaterWaves, hand: impl FnOnce(Fed) -> bool) -> bool {
        if matches!(self, Selection::Waves { first, .. } if wave > *first || fed.is_clear) {
            later.entry(wave).or_default().push(fed);
            return true;
        }
        hand(fed)
    }

    /// Whether a row of this wave belongs to the pass.
    fn has_wave(&self, wave: u32) -> bool {
        match self {
            Selection::Waves { first, behind } => (*first..*behind).contains(&wave),
            Selection::Main | Selection::Late | Selection::Waiting | Selection::Deferred { .. } => true,
        }
    }

    /// The ruling to fold by: an earlier part that was sent ahead is sent ahead again when it was deferred.
    fn as_sent(&self, ruling: Ruling, ordinal: u64) -> Ruling {
        match self {
            Selection::Deferred { ordinals, .. } if ordinals.contains(&ordinal) => Ruling::Send,
            Selection::Main
            | Selection::Late
            | Selection::Waiting
            | Selection::Waves { .. }
            | Selection::Deferred { .. } => ruling,
        }
    }

    /// Whether the subject belongs to the pass.
    fn concerns(&self, subject: SubjectId) -> bool {
        match self {
            Selection::Main | Selection::Late | Selection::Waiting | Selection::Waves { .. } => true,
            Selection::Deferred { subjects, .. } => subjects.contains(&subject),
        }
    }
}
