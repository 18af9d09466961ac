//! What the model remembers of a subject, and what each outcome makes of it: design.md sections 2 and 4 once more, over
//! plain values.
//!
//! Not here: what follows for rows (`rulings.rs`), and how the product's own ledger is read (`journal.rs`).

use std::collections::{BTreeMap, BTreeSet};

use simsync::ledger::SAID_MAX;

use super::laws::{Flaw, Laws};
use super::rows::{Cells, Field};

/// Batch and ordinal of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version {
    pub(crate) batch: u64,
    pub(crate) ordinal: u64,
}

/// What is known of a field at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// This value was acknowledged; empty for cleared.
    Known(String),
    /// Nobody knows.
    Unknown,
}

/// Values with the version of the row that set each.
pub(crate) type Facts = BTreeMap<Field, (String, Version)>;

/// The values of facts.
pub(crate) fn values(facts: &Facts) -> Cells {
    facts.iter().map(|(field, (value, _))| (*field, value.clone())).collect()
}

/// The newest version among facts: that of the update they make.
pub(crate) fn version_of(facts: &Facts) -> Version {
    facts.values().map(|(_, version)| *version).max().unwrap_or_default()
}

/// As they are sent where they repeat the word of older rows in an update in doubt: the key bears its version.
fn settling(facts: &Facts, doubt: Option<Version>) -> Facts {
    let mut facts = facts.clone();
    if let (Some((_, of)), Some(doubt)) = (facts.get_mut(&Field::Key), doubt) {
        *of = doubt.max(*of);
    }
    facts
}

/// An update in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) version: Version,
    pub(crate) fields: BTreeSet<Field>,
    /// What it would have set, for telling it from another update of the same version.
    pub(crate) values: Cells,
}

/// How an update failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    Refused,
    Exhausted,
    EchoMismatch,
    /// Refused for a conflict, and to be tried again.
    Deferred,
    /// Refused for a conflict to the last.
    Unresolved,
}

impl Failed {
    /// The product's word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Failed::Refused => "refused",
            Failed::Exhausted => "exhausted",
            Failed::EchoMismatch => "echo-mismatch",
            Failed::Deferred | Failed::Unresolved => "deferred",
        }
    }

    /// Whether the same is not tried again by its batch.
    pub(crate) const fn is_definite(self) -> bool {
        matches!(self, Failed::Refused | Failed::Unresolved)
    }
}

/// A failed update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) version: Version,
    /// The batch whose run was refused it.
    pub(crate) batch: u64,
    pub(crate) how: Failed,
    /// Definite refusals so far.
    pub(crate) count: u32,
    pub(crate) values: Cells,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No intent is open, and nothing was sent.
    Untouched,
    /// An intent is open, or the run ended while the request was on the wire.
    Open,
    /// Acknowledged and committed.
    Synced,
    /// Failed; whether its fields may have been set all the same.
    Failed(Failed, bool),
    /// Refused for a conflict; whether its fields may have been set all the same.
    Deferred(bool),
    /// The same, and tried again: an intent is open.
    Again(bool),
}

impl Outcome {
    /// Whether an intent stays open.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Outcome::Open | Outcome::Again(_))
    }

    /// Whether its fields may have been set although it was not acknowledged.
    pub(crate) fn may_be_applied(self) -> bool {
        self.is_open() || matches!(self, Outcome::Failed(_, true))
    }

    /// Whether it has no final verdict.
    pub(crate) fn is_unsettled(self) -> bool {
        self.is_open() || matches!(self, Outcome::Untouched | Outcome::Deferred(_))
    }
}

/// When a field was acknowledged by the run that is looked at.
pub(crate) const JUST_NOW: i64 = i64::MAX;

/// What a row said of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) field: Field,
    /// The row's.
    pub(crate) version: Version,
    pub(crate) value: String,
    /// Whether another value was acknowledged since under the same version.
    pub(crate) is_replaced: bool,
}

/// What is remembered of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) fields: BTreeMap<Field, (State, Version)>,
    pub(crate) acked: Option<Version>,
    /// Ascending by version.
    pub(crate) doubts: Vec<Doubt>,
    /// Ascending by version.
    pub(crate) refusals: Vec<Refusal>,
    /// What rows said of fields and is not in force.
    pub(crate) said: Vec<Word>,
    /// What was in doubt, and was acknowledged since under the same version with other values, or has failed or is in
    /// doubt with them.
    pub(crate) corrected: Vec<(Version, Cells)>,
    /// Of fields of [`Field::UNIQUE`] that are unknown, the value last acknowledged.
    pub(crate) last_known: Cells,
    /// When the last acknowledgment came, as the journal has it, in seconds since the Unix epoch.
    pub(crate) acked_at_s: i64,
    /// The same of each known field; [`JUST_NOW`] until the run is over.
    pub(crate) times_s: BTreeMap<Field, i64>,
    /// Fields of [`Field::UNIQUE`] that a clear, made to break a ring, has emptied, and of which no row was
    /// acknowledged since. They may be unknown again.
    emptied: BTreeSet<Field>,
    /// Whether a conflict was ever deferred: its refusals are of one pass or of several, and are not counted here.
    pub(crate) is_uncounted: bool,
}

impl Entry {
    /// Whether nothing is remembered, so that the journal has no entry.
    pub(crate) fn is_blank(&self) -> bool {
        let Entry { fields, acked, doubts, refusals, .. } = self;
        fields.is_empty() && acked.is_none() && doubts.is_empty() && refusals.is_empty()
    }

    pub(crate) fn unknown(&self) -> BTreeSet<Field> {
        let unknown = self.fields.iter().filter(|(_, (state, _))| *state == State::Unknown);
        unknown.map(|(field, _)| *field).collect()
    }

    /// Failures that are told of: those before everything that is kept of the subject, in older batches, are history.
    pub(crate) fn standing_refusals(&self) -> impl Iterator<Item = &Refusal> {
        let versions = || self.fields.values().map(|(_, version)| *version);
        let newest = versions().map(|version| version.batch).max();
        let oldest = versions().min();
        self.refusals.iter().filter(move |refusal| {
            newest.is_none_or(|newest| newest <= refusal.version.batch)
                || oldest.is_some_and(|oldest| oldest < refusal.version)
        })
    }

    /// Fields of which a clear before all rows has left the subject without a value, or may have: the rows by which
    /// it was to get another one are not acknowledged.
    pub(crate) fn cleared_first(&self) -> BTreeSet<Field> {
        let is_doubted = |field: &Field| {
            self.doubts.iter().any(|doubt| doubt.version.ordinal == 0 && doubt.fields.contains(field))
        };
        let has_failed = || self.refusals.iter().any(|refusal| refusal.version.ordinal == 0);
        let is_cleared = |field: &Field| match self.fields.get(field) {
            Some((State::Known(value), _)) => value.is_empty() && self.emptied.contains(field),
            Some((State::Unknown, since)) => {
                self.emptied.contains(field) || is_doubted(field) || has_failed() && since.ordinal == 0
            }
            None => false,
        };
        Field::UNIQUE.into_iter().filter(is_cleared).collect()
    }

    pub(crate) fn version(&self, field: Field) -> Option<Version> {
        self.fields.get(&field).map(|(_, version)| *version)
    }

    pub(crate) fn holds(&self, field: Field, value: &str) -> bool {
        matches!(self.fields.get(&field), Some((State::Known(known), _)) if known == value)
    }

    /// Takes the outcomes of a run's updates of the subject, in the order in which they were sent. Intents that stay
    /// open come last: the fold of a crash finds them when all outcomes are in. With each, the update in doubt that
    /// it settles.
    pub(crate) fn take(&mut self, updates: &[(&Facts, Option<Version>, Outcome)], batch: u64, laws: Laws) {
        for (facts, doubt, outcome) in updates {
            let version = version_of(facts);
            let facts = &settling(facts, *doubt);
            match outcome {
                Outcome::Untouched | Outcome::Open => {}
                Outcome::Synced => self.acknowledge(facts, version, laws),
                Outcome::Failed(how, is_maybe) => {
                    let is_maybe = *is_maybe && !laws.has(Flaw::MaybeIsKnown);
                    self.is_uncounted |= *how == Failed::Unresolved;
                    self.fail(facts, version, (*how, is_maybe), batch, laws);
                }
                Outcome::Deferred(is_maybe) | Outcome::Again(is_maybe) => {
                    self.is_uncounted = true;
                    self.fail(facts, version, (Failed::Deferred, *is_maybe), batch, laws);
                }
            }
        }
        for (facts, ..) in updates.iter().filter(|(.., outcome)| outcome.is_open()) {
            self.doubt(facts, version_of(facts), laws);
        }
    }

    /// A field never goes back to an older version. Whether it is as it was set.
    fn set(&mut self, field: Field, state: State, version: Version) -> bool {
        // A clear is no row's: what it comes upon keeps its version.
        let came_upon =
            self.fields.get(&field).filter(|(held, _)| version.ordinal == 0 && *held != State::Unknown);
        let version = came_upon.map_or(version, |(_, held)| version.max(*held));
        if self.version(field).is_some_and(|held| held > version) {
            return false;
        }
        let is_unknown = state == State::Unknown;
        match (self.fields.insert(field, (state, version)), is_unknown) {
            (_, false) => {
                self.last_known.remove(&field);
            }
            (Some((State::Known(value), of)), true) => {
                if of == version {
                    self.keep_word(Word { field, version, value: value.clone(), is_replaced: false });
                }
                self.keep_last_known(field, value);
            }
            (Some((State::Unknown, _)) | None, true) => {}
        }
        if is_unknown {
            self.times_s.remove(&field);
        }
        true
    }

    /// Keeps the value of a field that is unknown: others may not have it.
    fn keep_last_known(&mut self, field: Field, value: String) {
        self.last_known.remove(&field);
        if Field::UNIQUE.contains(&field) && !value.is_empty() {
            self.last_known.insert(field, value);
        }
    }

    fn acknowledge(&mut self, facts: &Facts, version: Version, laws: Laws) {
        let settled = version_of(facts);
        for (field, (value, of)) in facts {
            // What an update made unknown under its own version, which may be newer than the row, it resolves; and
            // what a newer one of its batch did that is not in doubt.
            let is_in_doubt =
                self.doubts.iter().any(|doubt| doubt.version > settled && doubt.fields.contains(field));
            let is_resolved = |since: Version| since <= settled || since.batch == of.batch && !is_in_doubt;
            let unknown = self.fields.get(field).filter(|(state, _)| *state == State::Unknown);
            let unknown = unknown.map(|(_, since)| *since);
            let was_unknown = unknown.is_some();
            let kept =
                unknown.filter(|since| version.ordinal == 0 && !is_in_doubt && self.was_set(*since, version));
            if kept.is_some() || unknown.is_some_and(is_resolved) {
                self.fields.remove(field);
            }
            if version.ordinal > 0 {
                self.emptied.remove(field);
            } else if value.is_empty() {
                self.emptied.insert(*field);
            }
            let is_forgotten = laws.has(Flaw::ClearedIsUnsent) && value.is_empty();
            let before = self.fields.get(field).cloned();
            if !is_forgotten
                && !self.set(*field, State::Known(value.clone()), kept.unwrap_or(*of))
                && was_unknown
            {
                // What is newer and unknown came upon this value.
                self.keep_last_known(*field, value.clone());
            }
            self.replace_words(*field, value, *of, before);
            // Also where something newer says the same.
            if self.holds(*field, value) {
                self.times_s.insert(*field, JUST_NOW);
            }
        }
        self.acked = self.acked.max(Some(version));
        self.note_corrected(&values(facts), version, laws);
        let fields = &self.fields;
        self.refusals.retain(|refusal| {
            // What failed in an older batch is history, unless a field is older still.
            let is_open = fields.values().any(|(_, held)| *held < refusal.version);
            let is_kept = is_open || laws.has(Flaw::FailuresPile);
            (refusal.version.batch >= version.batch || is_kept) && refusal.version != version
        });
        for doubt in self.doubts.iter_mut().filter(|doubt| doubt.version <= settled) {
            doubt.fields.retain(|field| !facts.contains_key(field));
        }
        let fields = &self.fields;
        self.doubts.retain(|doubt| {
            let is_open = |field: &Field| {
                matches!(fields.get(field), Some((State::Unknown, since)) if *since >= doubt.version)
            };
            doubt.fields.iter().any(is_open)
        });
    }

    fn note_corrected(&mut self, acknowledged: &Cells, version: Version, laws: Laws) {
        let fields = &self.fields;
        let refusals = &self.refusals;
        self.corrected.retain(|(of, cells)| {
            let is_in_force = fields.values().any(|(_, held)| held == of);
            let is_open = refusals.iter().any(|refusal| refusal.version == *of);
            (is_in_force || is_open) && (*of != version || cells != acknowledged)
        });
        let doubted = self.doubts.iter().filter(|doubt| doubt.version == version);
        let left: Vec<Cells> =
            doubted.map(|doubt| &doubt.values).filter(|left| *left != acknowledged).cloned().collect();
        left.into_iter().for_each(|left| self.keep_corrected(left, version, laws));
    }

    fn keep_word(&mut self, told: Word) {
        let is_other =
            |old: &Word| (old.field, old.version, &old.value) != (told.field, told.version, &told.value);
        self.said.retain(is_other);
        self.said.push(told);
        if self.said.len() > SAID_MAX {
            let at = self.said.iter().position(|told| !told.is_replaced).unwrap_or(0);
            self.said.remove(at);
        }
    }

    /// What an update that failed would have set.
    fn tell(&mut self, facts: &Facts) {
        for (field, (value, version)) in facts {
            let is_idle = match self.fields.get(field) {
                Some((State::Known(held), of)) => of > version || of == version && held == value,
                Some((State::Unknown, _)) | None => false,
            };
            if !is_idle {
                let (field, version, value) = (*field, *version, value.clone());
                self.keep_word(Word { field, version, value, is_replaced: false });
            }
        }
    }

    /// A field was acknowledged for a row: what else the row has said of it, in whatever form, is replaced.
    fn replace_words(&mut self, field: Field, value: &str, of: Version, before: Option<(State, Version)>) {
        if let Some((State::Known(held), version)) = before
            && version == of
            && held != value
        {
            self.keep_word(Word { field, version, value: held, is_replaced: true });
        }
        self.said.retain(|told| {
            told.field != field || told.version > of || told.version == of && told.value != value
        });
        for told in self.said.iter_mut().filter(|told| (told.field, told.version) == (field, of)) {
            told.is_replaced = true;
        }
    }

    /// What was in doubt under this version is not any more. With other values it was another row, which was corrected.
    fn end_doubt(&mut self, version: Version, now: &Cells, laws: Laws) {
        let ended = self.doubts.extract_if(.., |doubt| doubt.version == version);
        let others: Vec<Cells> = ended.map(|doubt| doubt.values).filter(|values| values != now).collect();
        others.into_iter().for_each(|values| self.keep_corrected(values, version, laws));
    }

    fn keep_corrected(&mut self, left: Cells, version: Version, laws: Laws) {
        if !laws.has(Flaw::CorrectionsAreUndone) {
            self.corrected.retain(|(of, cells)| *of != version || *cells != left);
            self.corrected.push((version, left));
        }
    }

    /// Whether a version, newer than a clear, is that of something acknowledged, as far as is known.
    fn was_set(&self, since: Version, clear: Version) -> bool {
        since > clear && !self.doubts.iter().any(|doubt| doubt.version == since) && !self.has_refused(since)
    }

    /// Whether an update failed under this version.
    pub(crate) fn has_refused(&self, version: Version) -> bool {
        self.refusals.iter().any(|refusal| refusal.version == version)
    }

    /// Newer rows say what was acknowledged, and are not sent: what failed before them is overtaken, and so is what
    /// failed under their own version before they were corrected.
    pub(crate) fn confirm(&mut self, facts: &Facts) {
        for (field, (value, version)) in facts {
            if self.holds(*field, value) {
                let before = self.fields.get(field).cloned();
                self.emptied.remove(field);
                self.set(*field, State::Known(value.clone()), *version);
                self.replace_words(*field, value, *version, before);
            }
        }
        let version = version_of(facts);
        if self.fields.values().any(|(_, held)| *held == version) {
            self.refusals.retain(|refusal| refusal.version != version);
        }
    }

    /// Whether something failed after a field was acknowledged with this value, and before a row that says the same.
    pub(crate) fn has_failed_since(&self, field: Field, value: &str, version: Version) -> bool {
        let held = self.version(field).filter(|_| self.holds(field, value));
        held.is_some_and(|held| {
            self.refusals.iter().any(|refusal| held < refusal.version && refusal.version < version)
        })
    }

    fn fail(
        &mut self,
        facts: &Facts,
        version: Version,
        (how, is_maybe): (Failed, bool),
        batch: u64,
        laws: Laws,
    ) {
        for field in facts.keys().filter(|_| is_maybe) {
            self.set(*field, State::Unknown, version);
        }
        // Of a batch of its own is only what was definitely refused.
        self.refuse(facts, version, how, if how.is_definite() { batch } else { version.batch }, laws);
    }

    fn refuse(&mut self, facts: &Facts, version: Version, how: Failed, batch: u64, laws: Laws) {
        self.end_doubt(version, &values(facts), laws);
        self.tell(facts);
        self.refusals.retain(|old| old.version.batch >= version.batch);
        let more = u32::from(how.is_definite());
        let values = values(facts);
        match self.refusals.iter_mut().find(|old| old.version == version) {
            Some(old) => *old = Refusal { version, batch, how, count: old.count + more, values },
            None => self.refusals.push(Refusal { version, batch, how, count: more, values }),
        }
        self.refusals.sort_by_key(|refusal| refusal.version);
    }

    fn doubt(&mut self, facts: &Facts, version: Version, laws: Laws) {
        for field in facts.keys() {
            self.set(*field, State::Unknown, version);
        }
        self.end_doubt(version, &values(facts), laws);
        self.doubts.push(Doubt { version, fields: facts.keys().copied().collect(), values: values(facts) });
        self.doubts.sort_by_key(|doubt| doubt.version);
    }
}
