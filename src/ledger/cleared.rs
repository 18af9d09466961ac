//! What a subject was cleared of so that others of its ring could have it, and has not been given since.
//!
//! Pure. Not here: which ring is broken by which clear (`plan/cycle.rs`), how a clear becomes part of an entry
//! (`ledger.rs`).

use super::{FieldState, LedgerEntry};
use crate::digest::FieldHash;
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

impl LedgerEntry {
    /// Fields that a clear before all rows of its batch has emptied, or may have emptied: nothing was acknowledged of them
    /// since.
    pub fn cleared_first(&self) -> FieldSet {
        let is_clears = |version: Version| version.ordinal == Version::BEFORE_ALL_ROWS;
        let doubted = self.in_doubt.iter().filter(|doubt| is_clears(doubt.version));
        let doubted = doubted.fold(FieldSet::EMPTY, |all, doubt| all.union(doubt.fields));
        let failed = self.refusals.iter().any(|refusal| is_clears(refusal.version));
        let is_cleared = |kind: &FieldKind| {
            self.field(*kind).is_some_and(|field| match field.state {
                FieldState::Known(hash) => hash == FieldHash::CLEARED && is_clears(field.version),
                FieldState::Unknown => doubted.contains(*kind) || failed && is_clears(field.version),
            })
        };
        FieldSet::EXCLUSIVE.iter().filter(is_cleared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{SubjectId, UpdateDigest};
    use crate::ledger::{EntryFold, Record, UnknownCause};
    use crate::update::FieldFact;

    const SUBJECT: SubjectId = SubjectId([1; 16]);
    const IMSI: FieldSet = FieldSet::only(FieldKind::Imsi);

    fn synced(version: Version, hash: FieldHash) -> Record {
        let facts = vec![FieldFact { kind: FieldKind::Imsi, hash, version }];
        Record::Synced { subject: SUBJECT, version, facts, at_s: 9 }
    }

    fn cut(version: Version, cause: UnknownCause) -> Record {
        let (subject, fields, digest) = (SUBJECT, IMSI, UpdateDigest(1));
        let signature = String::new();
        Record::Unknown { subject, version, fields, digest, cause, status: None, signature }
    }

    #[test]
    fn a_clear_counts_until_something_is_acknowledged_and_no_other_clear_does() {
        let [clear, row] = [0, 4].map(|ordinal| Version { batch: 2, ordinal });
        let before = synced(Version { batch: 1, ordinal: 9 }, FieldHash(1));
        let after = synced(row, FieldHash(2));
        let cases = [
            (vec![synced(clear, FieldHash::CLEARED)], IMSI),
            (vec![synced(row, FieldHash::CLEARED)], FieldSet::EMPTY),
            (vec![cut(clear, UnknownCause::Cut)], IMSI),
            (vec![cut(clear, UnknownCause::Exhausted)], IMSI),
            (vec![cut(row, UnknownCause::Cut)], FieldSet::EMPTY),
            (vec![synced(clear, FieldHash::CLEARED), after.clone()], FieldSet::EMPTY),
            (vec![cut(clear, UnknownCause::Cut), after], FieldSet::EMPTY),
        ];
        for (records, expected) in cases {
            let mut fold = EntryFold::new(LedgerEntry::new(SUBJECT));
            [before.clone()].iter().chain(&records).for_each(|record| fold.apply(record));
            assert_eq!(fold.finish().cleared_first(), expected, "{records:?}");
        }
    }
}
