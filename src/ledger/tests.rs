//! What becomes of an entry, record by record.

use super::*;

#[test]
fn the_acknowledgement_of_a_folded_update_resolves_what_was_in_doubt_since_its_intent() {
    // Rows 1 and 2 fold into one update of version 2: the intent marks both fields with version 2, and the
    // acknowledgement names row 1 for the first of them.
    let subject = SubjectId([1; 16]);
    let (first, last) = (Version { batch: 1, ordinal: 1 }, Version { batch: 1, ordinal: 2 });
    let fields = FieldSet::only(FieldKind::Imsi).union(FieldSet::only(FieldKind::Iccid));
    let digest = UpdateDigest(7);
    let mut fold = EntryFold::new(LedgerEntry::new(subject));
    fold.apply(&Record::Intent { subject, version: last, fields, digest });
    let mut fold = EntryFold::new(fold.finish());
    let facts = vec![
        FieldFact { kind: FieldKind::Imsi, hash: FieldHash(1), version: first },
        FieldFact { kind: FieldKind::Iccid, hash: FieldHash(2), version: last },
    ];
    fold.apply(&Record::Synced { subject, version: last, facts, at_s: 9 });
    let entry = fold.finish();
    assert!(entry.unknown().is_empty());
    assert!(entry.in_doubt.is_empty());
    let known = LedgerField { state: FieldState::Known(FieldHash(1)), version: first };
    assert_eq!(entry.field(FieldKind::Imsi), Some(known));
}

#[test]
fn an_acknowledgement_does_not_resolve_a_newer_doubt() {
    let subject = SubjectId([1; 16]);
    let (old, new) = (Version { batch: 1, ordinal: 1 }, Version { batch: 2, ordinal: 1 });
    let mut fold = EntryFold::new(LedgerEntry::new(subject));
    let fields = FieldSet::only(FieldKind::Imsi);
    fold.apply(&Record::Intent { subject, version: new, fields, digest: UpdateDigest(7) });
    let facts = vec![FieldFact { kind: FieldKind::Imsi, hash: FieldHash(1), version: old }];
    let mut fold = EntryFold::new(fold.finish());
    fold.apply(&Record::Synced { subject, version: old, facts, at_s: 9 });
    assert_eq!(fold.finish().unknown(), fields);
}

fn at(ordinal: u64) -> Version {
    Version { batch: 1, ordinal }
}

fn key_and_imsi() -> FieldSet {
    FieldSet::only(FieldKind::UserExternalId).union(FieldSet::only(FieldKind::Imsi))
}

fn opened(ordinal: u64) -> Record {
    let (subject, digest) = (SubjectId([1; 16]), UpdateDigest(ordinal));
    Record::Intent { subject, version: at(ordinal), fields: key_and_imsi(), digest }
}

fn acknowledged(ordinal: u64) -> Record {
    let version = at(ordinal);
    let fact = |kind| FieldFact { kind, hash: FieldHash(ordinal), version };
    let facts = key_and_imsi().iter().map(fact).collect();
    Record::Synced { subject: SubjectId([1; 16]), version, facts, at_s: 9 }
}

/// The generation after a run with these records that was killed.
fn killed(entry: LedgerEntry, records: impl IntoIterator<Item = Record>) -> LedgerEntry {
    let mut fold = EntryFold::new(entry);
    records.into_iter().for_each(|record| fold.apply(&record));
    fold.finish()
}

fn named(entry: &LedgerEntry) -> Vec<u64> {
    entry.in_doubt.iter().map(|doubt| doubt.version.ordinal).collect()
}

#[test]
fn of_many_doubts_the_oldest_are_named_and_end_one_by_one() {
    let new = LedgerEntry::new(SubjectId([1; 16]));
    let entry = killed(new, (1..=54).map(opened).chain((1..=25).map(acknowledged)));
    assert_eq!(named(&entry), (26..=41).collect::<Vec<u64>>());
    assert!(!entry.may_be_in_doubt(at(25)) && !entry.may_be_in_doubt(at(55)));
    assert!((26..=54).all(|ordinal| entry.may_be_in_doubt(at(ordinal))));
    // The fields stay unknown until the last one; the doubts before end all the same, and only those.
    let entry = killed(entry, (26..=28).flat_map(|ordinal| [opened(ordinal), acknowledged(ordinal)]));
    assert_eq!(named(&entry), (29..=41).collect::<Vec<u64>>());
    assert_eq!(entry.unknown(), key_and_imsi());
    // The next kill names again what it left open.
    let entry = killed(entry, (29..=60).map(opened).chain([acknowledged(29)]));
    assert_eq!(named(&entry), (30..=45).collect::<Vec<u64>>());
    let entry = killed(entry, (30..=60).flat_map(|ordinal| [opened(ordinal), acknowledged(ordinal)]));
    assert!(entry.in_doubt.is_empty() && entry.unknown().is_empty());
}

#[test]
fn a_doubt_does_not_end_because_a_newer_one_has_its_field() {
    let new = LedgerEntry::new(SubjectId([1; 16]));
    let other = [FieldKind::UserExternalId, FieldKind::Iccid];
    let facts = other.map(|kind| FieldFact { kind, hash: FieldHash(1), version: at(2) }).to_vec();
    let synced = Record::Synced { subject: SubjectId([1; 16]), version: at(2), facts, at_s: 9 };
    let entry = killed(new, [opened(1), opened(3), synced]);
    let entry = killed(entry, []);
    assert_eq!(named(&entry), [1, 3]);
    let entry = killed(entry, [acknowledged(2)]);
    assert_eq!(named(&entry), [3], "row 2 has set the field since");
}

#[test]
fn a_definite_failure_ends_the_doubt_and_leaves_the_fields_unknown() {
    let new = LedgerEntry::new(SubjectId([1; 16]));
    let entry = killed(new, [opened(1), opened(2)]);
    let (subject, digest, signature) = (SubjectId([1; 16]), UpdateDigest(1), String::new());
    let unknown = FieldSet::EMPTY;
    let refused = Record::Refused { subject, version: at(1), digest, status: 422, signature, unknown };
    let entry = killed(entry, [refused]);
    assert_eq!(named(&entry), [2]);
    assert_eq!(entry.unknown(), key_and_imsi());
    assert!(entry.may_have_failed(at(1)) && !entry.may_have_failed(at(2)));
}
