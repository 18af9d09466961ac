//! What a subject was cleared of so that others of its ring could have it, and has not been given since.
//!
//! Pure. Not here: which ring is broken by which clear (`plan/cycle.rs`), how a clear becomes part of an entry
//! (`ledger.rs`).

use super::{FieldState, InDoubt, LedgerEntry, LedgerField};
use crate::digest::FieldHash;
use crate::row::Version;
use crate::update::{FieldFact, FieldKind, FieldSet};

/// What a subject was cleared of, or may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClearedFirst {
    /// The fields.
    pub fields: FieldSet,
    /// Whether the clear of all of them was acknowledged.
    pub is_certain: bool,
}

impl LedgerEntry {
    /// Fields that a clear before all rows of its batch has emptied, or may have emptied: nothing was acknowledged of
    /// them since.
    pub fn cleared_first(&self) -> ClearedFirst {
        // Asked of every subject of every night: nearly none has such a field.
        let may_be_empty = |kind: FieldKind| match self.field(kind).map(|field| field.state) {
            Some(FieldState::Known(hash)) => hash == FieldHash::CLEARED,
            Some(FieldState::Unknown) => true,
            None => false,
        };
        if !FieldSet::EXCLUSIVE.iter().any(may_be_empty) {
            return ClearedFirst { fields: FieldSet::EMPTY, is_certain: true };
        }
        let doubted = self.in_doubt.iter().filter(|doubt| doubt.version.is_before_all_rows());
        let doubted = doubted.fold(FieldSet::EMPTY, |all, doubt| all.union(doubt.fields));
        let failed = self.refusals.iter().any(|refusal| refusal.version.is_before_all_rows());
        let is_cleared = |kind: &FieldKind| {
            self.field(*kind).is_some_and(|field| match field.state {
                FieldState::Known(_) => self.is_cleared_first(*kind, field),
                FieldState::Unknown => {
                    doubted.contains(*kind)
                        || failed && field.version.is_before_all_rows()
                        || self.kept_last(*kind) == Some(FieldHash::CLEARED)
                }
            })
        };
        let fields: FieldSet = FieldSet::EXCLUSIVE.iter().filter(is_cleared).collect();
        ClearedFirst { fields, is_certain: fields.intersect(self.unknown()).is_empty() }
    }

    /// Whether a known field is empty because of such a clear.
    pub(super) fn is_cleared_first(&self, kind: FieldKind, field: LedgerField) -> bool {
        let is_told = field.version.is_before_all_rows() || self.kept_last(kind).is_some();
        field.state == FieldState::Known(FieldHash::CLEARED) && is_told
    }

    /// What such a clear has emptied is unknown now, for its subject's own update is in doubt: it may still be empty.
    pub(super) fn keep_cleared_in_doubt(&mut self, kind: FieldKind) {
        self.last_known.retain(|(of, _)| *of != kind);
        let at = self.last_known.partition_point(|(of, _)| *of < kind);
        self.last_known.insert(at, (kind, FieldHash::CLEARED));
    }

    /// The value last acknowledged that is kept beside a field, unknown or cleared.
    pub(super) fn kept_last(&self, kind: FieldKind) -> Option<FieldHash> {
        self.last_known.iter().find(|(of, _)| *of == kind).map(|(_, hash)| *hash)
    }

    /// Keeps the value that an unknown or cleared field had when it was last acknowledged.
    pub(super) fn keep_last_known(&mut self, kind: FieldKind, hash: FieldHash) {
        self.last_known.retain(|(of, _)| *of != kind);
        if FieldSet::EXCLUSIVE.contains(kind) && hash != FieldHash::CLEARED {
            let at = self.last_known.partition_point(|(of, _)| *of < kind);
            self.last_known.insert(at, (kind, hash));
        }
    }

    /// The value of a field that a clear before all rows comes upon, as it was last acknowledged.
    pub(super) fn came_upon(&self, fact: &FieldFact, update: Version) -> Option<FieldHash> {
        if !update.is_before_all_rows() || fact.hash != FieldHash::CLEARED {
            return None;
        }
        match self.field(fact.kind)?.state {
            FieldState::Known(hash) if hash != FieldHash::CLEARED => Some(hash),
            FieldState::Known(_) | FieldState::Unknown => {
                self.kept_last(fact.kind).filter(|hash| *hash != FieldHash::CLEARED)
            }
        }
    }

    /// A field was cleared so. Where it keeps the version of what the clear came upon, that is what tells it.
    pub(super) fn keep_cleared(&mut self, kind: FieldKind, came_upon: FieldHash) {
        if self.field(kind).is_some_and(|field| !field.version.is_before_all_rows()) {
            self.keep_last_known(kind, came_upon);
        }
    }

    /// Of a clear that is acknowledged now and was in doubt before, the version of what it came upon, which is what
    /// keeps older rows out: the doubt has made the field unknown under that version. A version that failed, or is in
    /// doubt itself, is none of that kind, for nothing was acknowledged under it.
    pub(super) fn kept_by_clear(
        &self,
        fact: &FieldFact,
        update: Version,
        unknown: LedgerField,
    ) -> Option<Version> {
        let came_upon = unknown.version;
        let is_newer_doubt = |doubt: &InDoubt| doubt.version > update && doubt.fields.contains(fact.kind);
        let is_kept = update.is_before_all_rows()
            && came_upon > update
            && !self.in_doubt.iter().any(is_newer_doubt)
            && !self.may_be_in_doubt(came_upon)
            && !self.may_have_failed(came_upon);
        is_kept.then_some(came_upon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{SubjectId, UpdateDigest};
    use crate::ledger::{EntryFold, Record, UnknownCause};

    const SUBJECT: SubjectId = SubjectId([1; 16]);
    const IMSI: FieldSet = FieldSet::only(FieldKind::Imsi);

    fn synced(version: Version, hash: FieldHash) -> Record {
        let facts = vec![FieldFact { kind: FieldKind::Imsi, hash, version }];
        Record::Synced { subject: SUBJECT, version, facts, at_s: 9 }
    }

    fn cut(version: Version, cause: UnknownCause) -> Record {
        let (subject, fields, digest) = (SUBJECT, IMSI, UpdateDigest(1));
        let signature = String::new();
        let facts = Vec::new();
        Record::Unknown { subject, version, fields, digest, cause, status: None, signature, facts }
    }

    #[test]
    fn a_clear_counts_until_something_is_acknowledged_and_no_other_clear_does() {
        let [clear, row] = [0, 4].map(|ordinal| Version { batch: 2, ordinal });
        let before = synced(Version { batch: 1, ordinal: 9 }, FieldHash(1));
        let after = synced(row, FieldHash(2));
        let cases = [
            (vec![synced(clear, FieldHash::CLEARED)], IMSI, true),
            (vec![synced(row, FieldHash::CLEARED)], FieldSet::EMPTY, true),
            (vec![cut(clear, UnknownCause::Cut)], IMSI, false),
            (vec![cut(clear, UnknownCause::Exhausted)], IMSI, false),
            (vec![cut(row, UnknownCause::Cut)], FieldSet::EMPTY, true),
            (vec![synced(clear, FieldHash::CLEARED), after.clone()], FieldSet::EMPTY, true),
            (vec![cut(clear, UnknownCause::Cut), after.clone()], FieldSet::EMPTY, true),
            // Its own update is in doubt, or has failed without an answer: it may be empty still.
            (vec![synced(clear, FieldHash::CLEARED), cut(row, UnknownCause::Cut)], IMSI, false),
            (vec![synced(clear, FieldHash::CLEARED), cut(row, UnknownCause::Exhausted)], IMSI, false),
            (
                vec![synced(clear, FieldHash::CLEARED), cut(row, UnknownCause::Cut), after.clone()],
                FieldSet::EMPTY,
                true,
            ),
            // Upon what the batch itself has set.
            (vec![after.clone(), synced(clear, FieldHash::CLEARED)], IMSI, true),
            (
                vec![
                    after.clone(),
                    cut(clear, UnknownCause::Cut),
                    synced(clear, FieldHash::CLEARED),
                    synced(clear, FieldHash::CLEARED),
                ],
                IMSI,
                true,
            ),
            (vec![after.clone(), synced(clear, FieldHash::CLEARED), after.clone()], FieldSet::EMPTY, true),
            (
                vec![after, synced(clear, FieldHash::CLEARED), synced(row, FieldHash::CLEARED)],
                FieldSet::EMPTY,
                true,
            ),
        ];
        for (records, fields, is_certain) in cases {
            let expected = ClearedFirst { fields, is_certain };
            let mut fold = EntryFold::new(LedgerEntry::new(SUBJECT));
            [before.clone()].iter().chain(&records).for_each(|record| fold.apply(record));
            assert_eq!(fold.finish().cleared_first(), expected, "{records:?}");
        }
    }

    #[test]
    fn a_clear_in_doubt_that_is_acknowledged_keeps_the_version_of_what_it_came_upon() {
        let [clear, row, older] = [0, 4, 3].map(|ordinal| Version { batch: 2, ordinal });
        let set = synced(row, FieldHash(1));
        let acknowledged = synced(clear, FieldHash::CLEARED);
        let intent =
            Record::Intent { subject: SUBJECT, version: clear, fields: IMSI, digest: UpdateDigest(1) };
        let field = |records: &[&Record], is_cut: bool| {
            let mut fold = EntryFold::new(LedgerEntry::new(SUBJECT));
            for record in records {
                if is_cut {
                    fold = EntryFold::new(fold.finish());
                }
                fold.apply(record);
            }
            let field = fold.finish().field(FieldKind::Imsi).unwrap();
            (field.state, field.version)
        };
        let cleared = FieldState::Known(FieldHash::CLEARED);
        // Of one batch, and of a newer one than the clear's.
        let newer = synced(Version { batch: 5, ordinal: 2 }, FieldHash(1));
        for is_cut in [false, true] {
            assert_eq!(field(&[&set, &intent, &acknowledged], is_cut), (cleared, row), "{is_cut}");
            let lost = cut(clear, UnknownCause::Cut);
            assert_eq!(field(&[&set, &intent, &lost, &intent, &acknowledged], is_cut), (cleared, row));
            let known = (cleared, Version { batch: 5, ordinal: 2 });
            assert_eq!(field(&[&newer, &intent, &lost, &intent, &acknowledged], is_cut), known);
            // What a row of before that batch says is no news.
            let stale = synced(older, FieldHash(3));
            assert_eq!(
                field(&[&set, &intent, &lost, &intent, &acknowledged, &stale], is_cut),
                (cleared, row)
            );
        }
        // What failed has set nothing: a row before it in its batch may be all that is left of it.
        let failed = cut(row, UnknownCause::Exhausted);
        let before = synced(Version { batch: 1, ordinal: 9 }, FieldHash(1));
        for is_cut in [false, true] {
            assert_eq!(field(&[&before, &failed, &intent, &acknowledged], is_cut), (cleared, clear));
        }
    }
}
