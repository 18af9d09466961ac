//! Facts of the journal: what a record of the log says, what the ledger keeps of a subject, and how the one
//! becomes the other.
//!
//! Pure. Not here: how records and entries lie on disk (`journal/`), what follows from them (`plan/`).

mod cleared;
mod failure;
mod said;

use std::collections::VecDeque;

pub use cleared::ClearedFirst;
pub use failure::{CORRECTED_MAX, Corrected, FailureKind, Refusal};
pub use said::{SAID_MAX, Said};

use crate::digest::{FieldHash, SubjectId, UpdateDigest, update_digest};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

/// Refusals kept per subject: those of the oldest versions, and the newest one in the last place. Those between are
/// forgotten, which only means that they, and under `each` the rows between, would be sent once more.
pub const REFUSALS_MAX: usize = 16;

/// In-doubt updates kept per subject by name, those of the oldest versions: whatever comes before the first of them is
/// in doubt no more. Their fields stay unknown whether they are named or not.
pub const IN_DOUBT_MAX: usize = 16;

/// Bytes of a signature that a record may hold.
pub const SIGNATURE_BYTES_MAX: usize = 160;

/// One record of the write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The update may be on the wire from now on.
    Intent {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// Fields it sets.
        fields: FieldSet,
        /// Digest of what it sets.
        digest: UpdateDigest,
    },
    /// The update was acknowledged.
    Synced {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// What was acknowledged, each field with the version of the row that set it; the key, where a doubt is settled
        /// by it, with that of the update in doubt.
        facts: Vec<FieldFact>,
        /// When, in seconds since the Unix epoch.
        at_s: i64,
    },
    /// The update was definitely refused, with its final verdict.
    Refused {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// Digest of what it would have set.
        digest: UpdateDigest,
        /// The answer's status.
        status: u16,
        /// The complaint, with all values masked.
        signature: String,
        /// Fields an earlier attempt of the same update may nevertheless have set (it had timed out, say).
        unknown: FieldSet,
        /// What it would have set, each field with the version of its row; empty in records of older versions.
        facts: Vec<FieldFact>,
    },
    /// The same, where more is to be told: a run of another batch than the update's own sent it, or the refusal was a
    /// conflict that no later pass resolved.
    RefusedIn {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// Sequence of the batch whose run sent it.
        batch: u64,
        /// How it failed: [`FailureKind::Unresolved`], or else refused.
        kind: FailureKind,
        /// Digest of what it would have set.
        digest: UpdateDigest,
        /// The answer's status.
        status: u16,
        /// The complaint, with all values masked.
        signature: String,
        /// Fields an earlier attempt of the same update may nevertheless have set.
        unknown: FieldSet,
        /// What it would have set, each field with the version of its row; empty in records of older versions.
        facts: Vec<FieldFact>,
    },
    /// The update was refused for a conflict and waits for a later pass.
    Deferred {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// Digest of what it would have set.
        digest: UpdateDigest,
        /// The answer's status.
        status: u16,
        /// The complaint, with all values masked.
        signature: String,
        /// Fields an earlier attempt of the same update may nevertheless have set.
        unknown: FieldSet,
        /// What it would have set, each field with the version of its row; empty in records of older versions.
        facts: Vec<FieldFact>,
    },
    /// The update ended without a definite answer: nobody knows the value of its fields at the server.
    Unknown {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
        /// The fields it may have set.
        fields: FieldSet,
        /// Digest of what it may have set.
        digest: UpdateDigest,
        /// Why there is no answer.
        cause: UnknownCause,
        /// The last answer's status, if there was any.
        status: Option<u16>,
        /// The complaint, with all values masked; may be empty.
        signature: String,
        /// What it may have set, each field with the version of its row; empty for one in doubt, and in records of
        /// older versions.
        facts: Vec<FieldFact>,
    },
    /// The intent was not used: no attempt of it was ever on the wire, or only attempts known to be unapplied.
    Withdrawn {
        /// Whom it is about.
        subject: SubjectId,
        /// The update's version.
        version: Version,
    },
    /// A row that changed nothing, and so was not sent, says the same as what was acknowledged: newer than a failure
    /// since then, or than what an older batch has left, which it overtakes.
    Confirmed {
        /// Whom it is about.
        subject: SubjectId,
        /// The row's version.
        version: Version,
        /// What it says. A field whose acknowledged value is another one is none of its business.
        facts: Vec<FieldFact>,
    },
}

/// Why an update ended without a definite answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownCause {
    /// Attempts ran out; the update is failed.
    Exhausted,
    /// The answer echoed another value than the one sent; the update is failed.
    EchoMismatch,
    /// The run ended while the attempt was on the wire; the update is in doubt.
    Cut,
}

impl Record {
    /// Whom the record is about.
    pub fn subject(&self) -> SubjectId {
        match self {
            Record::Intent { subject, .. }
            | Record::Synced { subject, .. }
            | Record::Refused { subject, .. }
            | Record::RefusedIn { subject, .. }
            | Record::Deferred { subject, .. }
            | Record::Unknown { subject, .. }
            | Record::Withdrawn { subject, .. }
            | Record::Confirmed { subject, .. } => *subject,
        }
    }

    /// The version of the update the record is about.
    pub fn version(&self) -> Version {
        match self {
            Record::Intent { version, .. }
            | Record::Synced { version, .. }
            | Record::Refused { version, .. }
            | Record::RefusedIn { version, .. }
            | Record::Deferred { version, .. }
            | Record::Unknown { version, .. }
            | Record::Withdrawn { version, .. }
            | Record::Confirmed { version, .. } => *version,
        }
    }
}

/// What is known of a field's value at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldState {
    /// It was acknowledged.
    Known(FieldHash),
    /// Nobody knows. Unknown equals nothing, so the next row for it is sent.
    Unknown,
}

/// A field of a ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerField {
    /// What is known of its value.
    pub state: FieldState,
    /// Version of the row that set it, or may have set it.
    pub version: Version,
}

/// An update whose intent is durable and whose outcome is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InDoubt {
    /// The update's version: batch and row name it to the operator.
    pub version: Version,
    /// Fields it may have set.
    pub fields: FieldSet,
    /// Digest of what it may have set.
    pub digest: UpdateDigest,
}

/// What the ledger keeps of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The subject.
    pub subject: SubjectId,
    /// Field by field, what was last acknowledged; `None` for a field never sent.
    pub fields: [Option<LedgerField>; FIELD_COUNT],
    /// The newest version acknowledged.
    pub acked: Option<Version>,
    /// When the last acknowledgement came, in seconds since the Unix epoch; 0 when there was none.
    pub acked_at_s: i64,
    /// When fields were last acknowledged whose time is not that of the entry: some other field was acknowledged since.
    /// Known fields only, by field.
    pub field_times_s: Vec<(FieldKind, i64)>,
    /// Of fields of [`FieldSet::EXCLUSIVE`] that are unknown, the value last acknowledged: the server may hold it
    /// still, or what a later update has set. And of one that was cleared to break a swap under a version of before,
    /// the value that the clear came upon, which tells it from one that a row has cleared. By field; a field that was
    /// clear, or never acknowledged, has none.
    pub last_known: Vec<(FieldKind, FieldHash)>,
    /// Updates in doubt, by version, oldest first, at most [`IN_DOUBT_MAX`].
    pub in_doubt: Vec<InDoubt>,
    /// Failed updates since the last acknowledgement in a later batch, and those before it that came after what is kept
    /// of another field; by version, oldest first, at most [`REFUSALS_MAX`].
    pub refusals: Vec<Refusal>,
    /// What rows said of fields and is not in force, in the order in which it failed; at most [`SAID_MAX`].
    pub said: Vec<Said>,
    /// Updates in doubt of which a row was corrected: other values of it were acknowledged since, or have failed, or
    /// are in doubt now. In the order of the corrections, at most [`CORRECTED_MAX`].
    pub corrected: Vec<Corrected>,
}

impl LedgerEntry {
    /// The entry of a subject nothing is known of.
    pub fn new(subject: SubjectId) -> LedgerEntry {
        LedgerEntry {
            subject,
            fields: [None; FIELD_COUNT],
            acked: None,
            acked_at_s: 0,
            field_times_s: Vec::new(),
            last_known: Vec::new(),
            in_doubt: Vec::new(),
            refusals: Vec::new(),
            said: Vec::new(),
            corrected: Vec::new(),
        }
    }

    /// What is kept of a field.
    pub fn field(&self, kind: FieldKind) -> Option<LedgerField> {
        self.fields[kind.index()]
    }

    /// When a known field was last acknowledged, in seconds since the Unix epoch.
    pub fn field_time_s(&self, kind: FieldKind) -> i64 {
        self.field_times_s.iter().find(|(of, _)| *of == kind).map_or(self.acked_at_s, |(_, at_s)| *at_s)
    }

    /// Of an unknown field, the value last acknowledged, where it is kept.
    pub fn last_known(&self, kind: FieldKind) -> Option<FieldHash> {
        let field = self.field(kind).filter(|field| field.state == FieldState::Unknown);
        field.and_then(|_| self.kept_last(kind)).filter(|hash| *hash != FieldHash::CLEARED)
    }

    /// Fields whose value at the server nobody knows.
    pub fn unknown(&self) -> FieldSet {
        FieldKind::ALL
            .into_iter()
            .filter(|kind| matches!(self.field(*kind), Some(LedgerField { state: FieldState::Unknown, .. })))
            .collect()
    }

    /// The refusal of exactly this version, if it was refused.
    pub fn refusal(&self, version: Version) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.version == version)
    }

    /// Whether an update of this version is in doubt, as far as is known: named, or after the last one of its batch
    /// that could be named and no newer than what is unknown.
    pub fn may_be_in_doubt(&self, version: Version) -> bool {
        let is_named = self.in_doubt.iter().any(|doubt| doubt.version == version);
        let is_past_names = self.in_doubt.len() >= IN_DOUBT_MAX
            && self
                .in_doubt
                .last()
                .is_some_and(|last| last.version.batch == version.batch && last.version < version);
        let is_unknown_since =
            |field: &LedgerField| field.state == FieldState::Unknown && field.version >= version;
        is_named || (is_past_names && self.fields.iter().flatten().any(is_unknown_since))
    }

    /// Whether an update of this version failed, as far as is known: named, or between the last two named where others
    /// may have been forgotten.
    pub fn may_have_failed(&self, version: Version) -> bool {
        let is_between_names = match self.refusals.as_slice() {
            [.., before, last] if self.refusals.len() >= REFUSALS_MAX => {
                before.version < version && version < last.version
            }
            _ => false,
        };
        is_between_names || self.refusal(version).is_some()
    }

    /// Enters what is known of a field; `false` where something newer is. A field never goes back to an older
    /// version: that is the guard against stale replays.
    fn set(&mut self, kind: FieldKind, state: FieldState, version: Version) -> bool {
        let slot = &mut self.fields[kind.index()];
        // A clear goes before all rows of its batch and is no row's: what it comes upon keeps its version, lest the
        // update it makes way for seem stale.
        let came_upon =
            slot.filter(|field| version.is_before_all_rows() && field.state != FieldState::Unknown);
        let version = came_upon.map_or(version, |field| field.version.max(version));
        if slot.is_some_and(|field| field.version > version) {
            return false;
        }
        let before = slot.replace(LedgerField { state, version });
        match (before.map(|field| field.state), state) {
            (_, FieldState::Known(_)) => self.last_known.retain(|(of, _)| *of != kind),
            (Some(FieldState::Known(hash)), FieldState::Unknown) => {
                if before.is_some_and(|field| field.version == version) {
                    // The row may be sent as it was corrected, and again with this very value.
                    self.keep_said(Said { fact: FieldFact { kind, hash, version }, is_replaced: false });
                }
                if before.is_some_and(|field| self.is_cleared_first(kind, field)) {
                    self.keep_cleared_in_doubt(kind);
                } else {
                    self.keep_last_known(kind, hash);
                }
                self.field_times_s.retain(|(of, _)| *of != kind);
            }
            (Some(FieldState::Unknown) | None, FieldState::Unknown) => {}
        }
        true
    }

    /// A field of an update with this version was acknowledged. The field may be unknown since that very update was in
    /// doubt, and then it is marked with the update's version, which is newer than the row that set the field when
    /// rows were folded. The acknowledgement resolves it all the same. Where a newer update is in doubt, it tells what
    /// that one came upon. Whether the field is known now as it was acknowledged.
    fn acknowledge(&mut self, fact: &FieldFact, update: Version) -> bool {
        let came_upon = self.came_upon(fact, update);
        let unknown = self.field(fact.kind).filter(|field| field.state == FieldState::Unknown);
        let kept = unknown.and_then(|field| self.kept_by_clear(fact, update, field));
        let is_resolved = |field: LedgerField| self.is_resolved(fact, update, field);
        if kept.is_some() || unknown.is_some_and(|field| field.version <= update || is_resolved(field)) {
            self.fields[fact.kind.index()] = None;
        }
        let before = self.field(fact.kind);
        let is_set = self.set(fact.kind, FieldState::Known(fact.hash), kept.unwrap_or(fact.version));
        self.replace_said(fact, before);
        if unknown.is_some() && !is_set {
            self.keep_last_known(fact.kind, fact.hash);
        }
        if let Some(hash) = came_upon.filter(|_| is_set) {
            self.keep_cleared(fact.kind, hash);
        }
        is_set
    }

    /// Whether a field, unknown since a newer update of the fact's batch, is known by the acknowledgement of this
    /// one. A fold that failed marks its fields with its own version; fed back, what is left of it may be an older
    /// row alone. The server holds what was acknowledged last, unless a newer update is in doubt: that one is still
    /// to be told of. An intent that is open is not on the wire before an older update of its subject has its
    /// outcome; if it ends in doubt, it makes the field unknown again.
    fn is_resolved(&self, fact: &FieldFact, update: Version, unknown: LedgerField) -> bool {
        let is_newer_doubt = |doubt: &InDoubt| doubt.version > update && doubt.fields.contains(fact.kind);
        unknown.version.batch == fact.version.batch
            && !self.in_doubt.iter().any(is_newer_doubt)
            && !self.may_be_in_doubt(unknown.version)
    }

    /// These facts of an update with this version were acknowledged.
    fn acknowledge_all(&mut self, facts: &[FieldFact], version: Version, at_s: i64) {
        let mut times = FieldKind::ALL.map(|kind| self.field_time_s(kind));
        // Its key bears the version of an update in doubt whose word it repeats ([`Update::settling`]).
        let settled = facts.iter().map(|fact| fact.version).fold(version, Version::max);
        for fact in facts {
            // The key goes with every update, an old one too: what it was acknowledged as, it is acknowledged as again.
            let is_again = |field: LedgerField| field.state == FieldState::Known(fact.hash);
            if self.acknowledge(fact, settled) || self.field(fact.kind).is_some_and(is_again) {
                times[fact.kind.index()] = at_s;
            }
        }
        self.acked = self.acked.max(Some(version));
        self.acked_at_s = self.acked_at_s.max(at_s);
        let is_known = |kind: FieldKind| {
            matches!(self.field(kind), Some(LedgerField { state: FieldState::Known(_), .. }))
        };
        let times = FieldKind::ALL.into_iter().zip(times);
        let differ = times.filter(|(kind, at_s)| *at_s != self.acked_at_s && is_known(*kind));
        self.field_times_s = differ.collect();
        if !self.corrected.is_empty() || !self.in_doubt.is_empty() {
            self.note_corrected(version, update_digest(facts));
        }
        self.forget_failures(version);
        self.resolve_doubts(facts.iter().map(|fact| fact.kind).collect(), settled);
    }

    /// An update of this version was acknowledged with these fields: no older request is under way any more, so they
    /// are in doubt no more for any update up to it. A doubt ends with its last field. It does not end because a newer
    /// update made the same field unknown: nothing has become of it by that.
    fn resolve_doubts(&mut self, acknowledged: FieldSet, version: Version) {
        let fields = self.fields;
        for doubt in self.in_doubt.iter_mut().filter(|doubt| doubt.version <= version) {
            doubt.fields = doubt.fields.minus(acknowledged);
        }
        self.in_doubt.retain(|doubt| {
            doubt.fields.iter().any(|kind| {
                fields[kind.index()]
                    .is_some_and(|field| field.state == FieldState::Unknown && field.version >= doubt.version)
            })
        });
    }

    /// An update failed that would have set these facts.
    fn refuse(&mut self, refusal: Refusal, facts: &[FieldFact]) {
        // Its outcome is durable now. What an attempt before a crash may have set stays unknown.
        self.end_doubt(refusal.version, refusal.digest);
        self.say(facts);
        // The failures of older batches are history once the newer batch has tried again.
        self.refusals.retain(|old| old.version.batch >= refusal.version.batch);
        match self.refusals.iter_mut().find(|old| old.version == refusal.version) {
            Some(old) => *old = Refusal { count: old.count + refusal.count, ..refusal },
            None => {
                let at = self.refusals.partition_point(|old| old.version < refusal.version);
                self.refusals.insert(at, refusal);
            }
        }
        if self.refusals.len() > REFUSALS_MAX {
            self.refusals.remove(REFUSALS_MAX - 1);
        }
    }

    fn doubt(&mut self, doubt: InDoubt) {
        for kind in doubt.fields.iter() {
            self.set(kind, FieldState::Unknown, doubt.version);
        }
        self.end_doubt(doubt.version, doubt.digest);
        let at = self.in_doubt.partition_point(|old| old.version < doubt.version);
        self.in_doubt.insert(at, doubt);
        self.in_doubt.truncate(IN_DOUBT_MAX);
    }
}

/// Folds the records of one subject, in log order, into its ledger entry.
#[derive(Debug)]
pub struct EntryFold {
    entry: LedgerEntry,
    /// Intents without an outcome so far, by version. They stay beside the entry, because a definite refusal or a
    /// withdrawal leaves the entry as it was.
    open: VecDeque<InDoubt>,
}

impl EntryFold {
    /// Starts from what the old generation holds of the subject.
    pub fn new(entry: LedgerEntry) -> EntryFold {
        EntryFold { entry, open: VecDeque::new() }
    }

    /// Goes on where [`EntryFold::into_parts`] left off. Folding a log in parts, each going on from the one before,
    /// gives what folding it at once gives.
    pub fn resume(entry: LedgerEntry, open: Vec<InDoubt>) -> EntryFold {
        let mut fold = EntryFold::new(entry);
        open.into_iter().for_each(|intent| fold.begin(intent));
        fold
    }

    /// Takes the next record of the subject.
    pub fn apply(&mut self, record: &Record) {
        if let Record::Intent { version, fields, digest, .. } = record {
            self.begin(InDoubt { version: *version, fields: *fields, digest: *digest });
            return;
        }
        if let Record::Confirmed { facts, .. } = record {
            self.entry.confirm_all(facts, record.version());
            return;
        }
        self.end(record.version());
        let entry = &mut self.entry;
        match record {
            Record::Intent { .. } | Record::Withdrawn { .. } | Record::Confirmed { .. } => {}
            Record::Synced { version, facts, at_s, .. } => entry.acknowledge_all(facts, *version, *at_s),
            Record::Refused { version, digest, status, signature, unknown, facts, .. } => {
                entry.mark_unknown(*unknown, *version);
                let refusal = refusal(*version, *digest, FailureKind::Refused, 1, Some(*status), signature);
                entry.refuse(refusal, facts);
            }
            Record::RefusedIn { version, batch, kind, digest, status, signature, unknown, facts, .. } => {
                entry.mark_unknown(*unknown, *version);
                let refusal = refusal(*version, *digest, *kind, 1, Some(*status), signature);
                entry.refuse(Refusal { batch: *batch, ..refusal }, facts);
            }
            Record::Deferred { version, digest, status, signature, unknown, facts, .. } => {
                entry.mark_unknown(*unknown, *version);
                let refusal = refusal(*version, *digest, FailureKind::Deferred, 1, Some(*status), signature);
                entry.refuse(refusal, facts);
            }
            Record::Unknown { version, fields, digest, cause, status, signature, facts, .. } => match cause {
                UnknownCause::Cut => {
                    entry.doubt(InDoubt { version: *version, fields: *fields, digest: *digest });
                }
                UnknownCause::Exhausted | UnknownCause::EchoMismatch => {
                    let kind = match cause {
                        UnknownCause::EchoMismatch => FailureKind::EchoMismatch,
                        UnknownCause::Exhausted | UnknownCause::Cut => FailureKind::Exhausted,
                    };
                    entry.mark_unknown(*fields, *version);
                    entry.refuse(refusal(*version, *digest, kind, 0, *status, signature), facts);
                }
            },
        }
    }

    /// Whose records are folded.
    pub fn subject(&self) -> SubjectId {
        self.entry.subject
    }

    /// Intents without an outcome so far.
    pub fn open_intents(&self) -> usize {
        self.open.len()
    }

    fn begin(&mut self, intent: InDoubt) {
        let at = self.open.partition_point(|open| open.version < intent.version);
        match self.open.get_mut(at).filter(|open| open.version == intent.version) {
            Some(open) => *open = intent,
            None => self.open.insert(at, intent),
        }
    }

    fn end(&mut self, version: Version) {
        let at = self.open.partition_point(|open| open.version < version);
        if self.open.get(at).is_some_and(|open| open.version == version) {
            self.open.remove(at);
        }
    }

    /// The entry without the intents still open, and these, by version: for a fold in the middle of a run, whose
    /// outcomes come in a later part of the log.
    pub fn into_parts(self) -> (LedgerEntry, Vec<InDoubt>) {
        (self.entry, self.open.into())
    }

    /// The entry as it stands. Intents still open become the entry's in-doubt state: their requests may or may not
    /// have been applied.
    pub fn finish(mut self) -> LedgerEntry {
        for intent in self.open.drain(..) {
            self.entry.doubt(intent);
        }
        self.entry
    }
}

impl LedgerEntry {
    fn mark_unknown(&mut self, fields: FieldSet, version: Version) {
        for kind in fields.iter() {
            self.set(kind, FieldState::Unknown, version);
        }
    }
}

fn refusal(
    version: Version,
    digest: UpdateDigest,
    kind: FailureKind,
    count: u32,
    status: Option<u16>,
    signature: &str,
) -> Refusal {
    let batch = version.batch;
    Refusal { version, batch, digest, kind, count, status, signature: signature.to_owned() }
}

#[cfg(test)]
mod tests;
