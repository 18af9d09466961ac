//! Facts of failed updates: how one failed, what is remembered of it, and what overtakes it without a request.
//!
//! Pure. Not here: how records become an entry (`ledger.rs`), what follows from a failure (`plan/judge.rs`).

use super::{FieldState, LedgerEntry, LedgerField};
use crate::digest::{UpdateDigest, update_digest};
use crate::row::Version;
use crate::update::{FieldFact, FieldSet};

/// How an update failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Definitely refused: the same bytes cannot help.
    Refused,
    /// Was temporary, attempts ran out.
    Exhausted,
    /// Acknowledged with another value than the one sent.
    EchoMismatch,
    /// Refused for a conflict, waiting for a later pass.
    Deferred,
    /// Refused for a conflict that no later pass resolved: as final as a refusal.
    Unresolved,
}

impl FailureKind {
    /// All kinds, each at the index of its number.
    pub const ALL: [FailureKind; 5] = [
        FailureKind::Refused,
        FailureKind::Exhausted,
        FailureKind::EchoMismatch,
        FailureKind::Deferred,
        FailureKind::Unresolved,
    ];

    /// Name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            FailureKind::Refused => "refused",
            FailureKind::Exhausted => "exhausted",
            FailureKind::EchoMismatch => "echo-mismatch",
            // To the operator it is one thing: tried again after the others, and refused all the same.
            FailureKind::Deferred | FailureKind::Unresolved => "deferred",
        }
    }

    /// Whether it is a final refusal: the same bytes are not sent again by a resume of the batch.
    pub const fn is_definite(self) -> bool {
        match self {
            FailureKind::Refused | FailureKind::Unresolved => true,
            FailureKind::Exhausted | FailureKind::EchoMismatch | FailureKind::Deferred => false,
        }
    }
}

/// A failed update, remembered so that a resume of its batch does not send it again and a later batch sends it
/// last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The update's version.
    pub version: Version,
    /// Sequence of the batch whose run sent it last: the version's, or that of a later one, to which the row was fed
    /// back.
    pub batch: u64,
    /// Digest of what it would have set.
    pub digest: UpdateDigest,
    /// How it failed.
    pub kind: FailureKind,
    /// Definite refusals of this version so far; part of the idempotency key.
    pub count: u32,
    /// The last answer's status, if there was any.
    pub status: Option<u16>,
    /// The complaint, with all values masked.
    pub signature: String,
}

/// Updates in doubt of which a row was corrected, kept per subject: the newest corrections. A forgotten one is sent
/// when it is fed back as it was.
pub const CORRECTED_MAX: usize = 8;

/// An update in doubt of which a row was corrected, so that it does not come back when the row is fed back as it was.
/// Its intent tells no more of it than its digest; what failed is known by its fields ([`super::Said`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// The version of the update and of its correction.
    pub version: Version,
    /// Digest of what it would have set.
    pub digest: UpdateDigest,
}

impl LedgerEntry {
    /// An update of this version was acknowledged. One of the same version that was in doubt with other values was
    /// corrected by it; and is not any more, if it is the very one.
    pub(super) fn note_corrected(&mut self, version: Version, acknowledged: UpdateDigest) {
        let (fields, refusals) = (self.fields, &self.refusals);
        self.corrected.retain(|corrected| {
            let is_in_force = |field: &LedgerField| field.version == corrected.version;
            // Of a correction that failed itself, nothing is in force yet.
            let is_open = || refusals.iter().any(|refusal| refusal.version == corrected.version);
            (fields.iter().flatten().any(is_in_force) || is_open())
                && (corrected.version != version || corrected.digest != acknowledged)
        });
        let doubted = self.in_doubt.iter().find(|doubt| doubt.version == version).map(|doubt| doubt.digest);
        if let Some(digest) = doubted.filter(|digest| *digest != acknowledged) {
            self.keep_corrected(Corrected { version, digest });
        }
    }

    /// What was in doubt under this version is so no more: an update of the same version with this digest has come to
    /// its end, or is in doubt in its place. With another digest it was another row, which was corrected.
    pub(super) fn end_doubt(&mut self, version: Version, digest: UpdateDigest) {
        let Some(at) = self.in_doubt.iter().position(|doubt| doubt.version == version) else { return };
        let ended = self.in_doubt.remove(at);
        if ended.digest != digest {
            self.keep_corrected(Corrected { version, digest: ended.digest });
        }
    }

    /// Keeps that an update does not come back.
    fn keep_corrected(&mut self, corrected: Corrected) {
        self.corrected.retain(|other| *other != corrected);
        if self.corrected.len() >= CORRECTED_MAX {
            self.corrected.remove(0);
        }
        self.corrected.push(corrected);
    }

    /// A row of this version says what was acknowledged: newer than failures before it, than what was left, or than
    /// what the row itself said before it was corrected.
    pub(super) fn confirm_all(&mut self, facts: &[FieldFact], version: Version) {
        facts.iter().for_each(|fact| self.confirm(fact));
        if self.fields.iter().flatten().any(|field| field.version == version) {
            self.refusals.retain(|refusal| refusal.version != version);
        }
    }

    fn confirm(&mut self, fact: &FieldFact) {
        let before = self.field(fact.kind);
        if before.is_some_and(|field| field.state == FieldState::Known(fact.hash)) {
            self.set(fact.kind, FieldState::Known(fact.hash), fact.version);
            self.replace_said(fact, before);
        }
    }

    /// Whether an update of this version, in doubt once, of which a row was corrected since, is among these facts as
    /// they are read: with other fields than were sent, where only fields are sent that differ.
    pub fn was_corrected_in_doubt(&self, version: Version, read: &[FieldFact]) -> bool {
        parts_of(read).filter(|part| part.iter().any(|fact| fact.version == version)).any(|part| {
            let digest = update_digest(&part);
            self.corrected.contains(&Corrected { version, digest })
        })
    }

    /// Whether the field is known, under the very version of this fact, with another value.
    pub fn is_known_otherwise(&self, fact: &FieldFact) -> bool {
        self.field(fact.kind).is_some_and(|field| {
            matches!(field.state, FieldState::Known(hash) if hash != fact.hash)
                && field.version == fact.version
        })
    }

    /// An update of this version was acknowledged: what failed in older batches is history, but where a field is older
    /// still, for which the failure may have said something else.
    pub(super) fn forget_failures(&mut self, acknowledged: Version) {
        let fields = self.fields;
        self.refusals.retain(|refusal| {
            let is_open = |field: &LedgerField| field.version < refusal.version;
            let is_history =
                refusal.version.batch < acknowledged.batch && !fields.iter().flatten().any(is_open);
            !is_history && refusal.version != acknowledged
        });
    }

    /// Failed updates that nothing newer has overtaken: all that is kept of a subject may be of later batches, and
    /// then they are history, though a row that was only confirmed has not removed them.
    pub fn standing_refusals(&self) -> impl Iterator<Item = &Refusal> {
        let fields = self.fields;
        let newest = fields.iter().flatten().map(|field| field.version.batch).max();
        self.refusals.iter().filter(move |refusal| {
            let is_open = |field: &LedgerField| field.version < refusal.version;
            newest.is_none_or(|newest| newest <= refusal.version.batch)
                || fields.iter().flatten().any(is_open)
        })
    }

    /// Fields whose acknowledged value these facts repeat, and of which an update that came after that value and before
    /// these facts may have said something else: one failed in between, or is still to be sent by a batch that was left
    /// open.
    pub fn said_between(
        &self,
        facts: impl IntoIterator<Item = FieldFact>,
        open_batch: Option<u64>,
    ) -> FieldSet {
        if self.refusals.is_empty() && open_batch.is_none() {
            return FieldSet::EMPTY;
        }
        let is_said_between = |fact: &FieldFact| {
            self.field(fact.kind).is_some_and(|field| {
                let (from, to) = (field.version, fact.version);
                let mut failed = self.refusals.iter().map(|refusal| refusal.version);
                // The field may be of the open batch itself, which has more to say of it.
                let is_left = open_batch.is_some_and(|open| from.batch <= open && open < to.batch);
                field.state == FieldState::Known(fact.hash)
                    && (is_left || failed.any(|failed| from < failed && failed < to))
            })
        };
        facts.into_iter().filter(is_said_between).map(|fact| fact.kind).collect()
    }
}

/// All that may be sent of an update, the whole first: every choice of its facts.
fn parts_of(facts: &[FieldFact]) -> impl Iterator<Item = Vec<FieldFact>> {
    let all = (1_u32 << facts.len()) - 1;
    (1..=all).rev().map(|chosen| {
        let is_chosen = |(at, _): &(usize, &FieldFact)| chosen & 1 << at != 0;
        facts.iter().enumerate().filter(is_chosen).map(|(_, fact)| *fact).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{FieldHash, SubjectId};
    use crate::ledger::{EntryFold, Record};
    use crate::update::FieldKind;

    const SUBJECT: SubjectId = SubjectId([1; 16]);
    const AT: Version = Version { batch: 2, ordinal: 4 };

    fn facts(class: u64) -> Vec<FieldFact> {
        vec![FieldFact { kind: FieldKind::UserClass, hash: FieldHash(class), version: AT }]
    }

    fn synced(class: u64) -> Record {
        Record::Synced { subject: SUBJECT, version: AT, facts: facts(class), at_s: 9 }
    }

    fn refused(class: u64) -> Record {
        let (digest, signature) = (update_digest(&facts(class)), String::new());
        let unknown = FieldSet::EMPTY;
        let facts = facts(class);
        Record::Refused { subject: SUBJECT, version: AT, digest, status: 422, signature, unknown, facts }
    }

    fn intent(class: u64) -> Record {
        let (fields, digest) = (FieldSet::only(FieldKind::UserClass), update_digest(&facts(class)));
        Record::Intent { subject: SUBJECT, version: AT, fields, digest }
    }

    #[test]
    fn whatever_became_of_a_correction_what_it_corrects_does_not_come_back_once_it_is_acknowledged() {
        let confirmed = Record::Confirmed { subject: SUBJECT, version: AT, facts: facts(2) };
        let before = Version { batch: 1, ordinal: 7 };
        let same = facts(2).into_iter().map(|fact| FieldFact { version: before, ..fact }).collect();
        let same = Record::Synced { subject: SUBJECT, version: before, facts: same, at_s: 8 };
        // Runs, each of which is killed at its end; which values do not come back after them.
        let cases: [(Vec<Vec<Record>>, &[u64]); 10] = [
            (vec![vec![refused(1)], vec![synced(2)]], &[1]),
            (vec![vec![refused(1)], vec![intent(2)], vec![synced(2)]], &[1]),
            (vec![vec![refused(1)], vec![refused(2)], vec![synced(2)]], &[1]),
            (vec![vec![refused(1)], vec![refused(3)], vec![synced(2)]], &[1, 3]),
            (vec![vec![intent(1)], vec![synced(2)]], &[1]),
            (vec![vec![intent(1)], vec![intent(3)], vec![refused(2)], vec![synced(2)]], &[1, 3]),
            (vec![vec![same, refused(1)], vec![confirmed]], &[1]),
            (vec![vec![refused(1)], vec![synced(2)], vec![synced(3)]], &[1, 2]),
            (vec![vec![refused(1)], vec![synced(2)], vec![intent(3)], vec![synced(3)]], &[1, 2]),
            // Fed back all the same, and acknowledged.
            (vec![vec![refused(1)], vec![refused(2)], vec![synced(1)]], &[2]),
        ];
        for (runs, expected) in cases {
            let mut entry = LedgerEntry::new(SUBJECT);
            for run in &runs {
                let mut fold = EntryFold::new(entry);
                run.iter().for_each(|record| fold.apply(record));
                entry = fold.finish();
            }
            for class in 1..=3 {
                let was_in_doubt = entry.was_corrected_in_doubt(AT, &facts(class));
                let is_corrected = facts(class)
                    .iter()
                    .all(|fact| entry.is_replaced(fact) || was_in_doubt && entry.is_known_otherwise(fact));
                assert_eq!(is_corrected, expected.contains(&class), "{class} after {runs:?}");
            }
        }
    }

    #[test]
    fn every_kind_stands_at_the_index_of_its_number() {
        for (index, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind as u8), index);
        }
    }
}
