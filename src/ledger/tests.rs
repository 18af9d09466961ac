//! What becomes of an entry, record by record.

use proptest::prelude::*;

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
    let facts = Vec::new();
    let refused = Record::Refused { subject, version: at(1), digest, status: 422, signature, unknown, facts };
    let entry = killed(entry, [refused]);
    assert_eq!(named(&entry), [2]);
    assert_eq!(entry.unknown(), key_and_imsi());
    assert!(entry.may_have_failed(at(1)) && !entry.may_have_failed(at(2)));
}

/// Batches 1 and 2, rows by batch.
fn of(batch: u64, record: Record) -> Record {
    let ordinal = record.version().ordinal;
    with_version(record, Version { batch, ordinal })
}

#[test]
fn an_older_update_of_its_batch_resolves_what_a_newer_one_has_left_unknown_unless_that_is_in_doubt() {
    let class = FieldKind::UserClass;
    let classes = FieldSet::only(class);
    let (subject, digest, signature) = (SubjectId([1; 16]), UpdateDigest(5), String::new());
    let opened = |ordinal| Record::Intent { subject, version: at(ordinal), fields: classes, digest };
    let withdrawn = Record::Withdrawn { subject, version: at(5) };
    let refused = |unknown| {
        let signature = signature.clone();
        let facts = Vec::new();
        Record::Refused { subject, version: at(5), digest, status: 422, signature, unknown, facts }
    };
    let login = set_to(7, &[(FieldKind::Username, 3)], 5);
    let gold = set_to(2, &[(class, 2)], 9);
    // What happened first, and then in the run in which row 2 is acknowledged; whether the field is known afterwards.
    let cases: [(&str, Vec<Record>, Vec<Record>, bool); 10] = [
        ("ran out of attempts", vec![exhausted(5, &[class])], vec![gold.clone()], true),
        ("newer batch since", vec![exhausted(5, &[class]), of(2, login.clone())], vec![gold.clone()], true),
        ("refused after a timeout", vec![refused(classes)], vec![gold.clone()], true),
        ("another batch", vec![of(2, exhausted(5, &[class]))], vec![gold.clone()], false),
        ("in doubt", vec![opened(5)], vec![gold.clone()], false),
        ("in doubt, other fields", vec![exhausted(5, &[class]), self::opened(6)], vec![gold.clone()], true),
        ("in doubt, then refused", vec![opened(5)], vec![refused(FieldSet::EMPTY), gold.clone()], true),
        ("open and killed", vec![exhausted(5, &[class])], vec![opened(5), gold.clone()], false),
        ("open and withdrawn", vec![exhausted(5, &[class])], vec![opened(5), gold.clone(), withdrawn], true),
        (
            "open and exhausted again",
            vec![exhausted(5, &[class])],
            vec![opened(5), gold, exhausted(5, &[class])],
            false,
        ),
    ];
    for (what, before, run, is_known) in cases {
        let has_failed = before.iter().chain(&run).any(|record| matches!(record, Record::Unknown { .. }));
        let entry = killed(killed(LedgerEntry::new(subject), before), run);
        let known = LedgerField { state: FieldState::Known(FieldHash(2)), version: at(2) };
        assert_eq!(entry.field(class) == Some(known), is_known, "{what}: {entry:?}");
        assert_eq!(entry.unknown().contains(class), !is_known, "{what}");
        // What failed stays failed: under `each` it is sent again.
        let is_history = what == "newer batch since";
        let is_doubted = what.starts_with("open and killed");
        if has_failed && !is_history && what != "another batch" {
            assert!(is_doubted || entry.may_have_failed(at(5)), "{what}");
        }
    }
}

#[test]
fn what_is_left_of_a_fold_in_doubt_is_known_by_an_older_row_where_the_key_bears_its_version() {
    let (number, imsi) = (FieldKind::Number, FieldKind::Imsi);
    let said = |version: Version, kind, hash| {
        let facts = vec![FieldFact { kind, hash: FieldHash(hash), version }];
        Record::Synced { subject: SubjectId([1; 16]), version, facts, at_s: 9 }
    };
    let newer = |batch| Version { batch, ordinal: 1 };
    // Row 1 says the number, row 2 the IMSI; the newer batch says the latter, too.
    let fields = FieldSet::only(number).union(FieldSet::only(imsi));
    let fold =
        Record::Intent { subject: SubjectId([1; 16]), version: at(2), fields, digest: UpdateDigest(7) };
    let entry = killed(LedgerEntry::new(SubjectId([1; 16])), [fold]);
    let entry = killed(entry, [said(newer(2), imsi, 3)]);
    assert_eq!((entry.unknown(), named(&entry)), (FieldSet::only(number), vec![2]));
    // Row 1 alone is sent then: whether it is what the fold said, or a later one of it, the intent does not tell.
    let entry = killed(entry, [said(at(1), number, 1)]);
    assert_eq!((entry.unknown(), named(&entry)), (FieldSet::only(number), vec![2]));
    // The plan does, which sees that row 2 has no number.
    let (kind, hash) = (FieldKind::UserExternalId, FieldHash(8));
    let facts = vec![
        FieldFact { kind: number, hash: FieldHash(1), version: at(1) },
        FieldFact { kind, hash, version: at(2) },
    ];
    let settling = Record::Synced { subject: SubjectId([1; 16]), version: at(1), facts, at_s: 9 };
    let settled = killed(entry.clone(), [settling]);
    assert_eq!((settled.unknown(), named(&settled)), (FieldSet::EMPTY, vec![]));
    let known = LedgerField { state: FieldState::Known(FieldHash(1)), version: at(1) };
    assert_eq!(settled.field(number), Some(known), "under the version of its row, which may be corrected");
    let entry = killed(entry, [said(newer(3), number, 1)]);
    assert_eq!((entry.unknown(), named(&entry)), (FieldSet::EMPTY, vec![]));
}

#[test]
fn what_may_be_in_doubt_without_a_name_is_not_resolved_by_an_older_update() {
    let class = FieldKind::UserClass;
    let opened = |ordinal| {
        let (subject, digest) = (SubjectId([1; 16]), UpdateDigest(ordinal));
        Record::Intent { subject, version: at(ordinal), fields: FieldSet::only(class), digest }
    };
    // Row 40 came first and has no name beside the older ones of other fields.
    let others = (10..26).map(self::opened);
    let entry = killed(LedgerEntry::new(SubjectId([1; 16])), others.chain([opened(40)]));
    assert_eq!(named(&entry), (10..26).collect::<Vec<u64>>());
    let entry = killed(entry, [set_to(2, &[(class, 2)], 9)]);
    assert!(entry.unknown().contains(class) && entry.may_be_in_doubt(at(40)));
}

fn set_to(ordinal: u64, facts: &[(FieldKind, u64)], at_s: i64) -> Record {
    let version = at(ordinal);
    let fact = |(kind, hash): &(FieldKind, u64)| FieldFact { kind: *kind, hash: FieldHash(*hash), version };
    Record::Synced { subject: SubjectId([1; 16]), version, facts: facts.iter().map(fact).collect(), at_s }
}

fn exhausted(ordinal: u64, fields: &[FieldKind]) -> Record {
    Record::Unknown {
        subject: SubjectId([1; 16]),
        version: at(ordinal),
        fields: fields.iter().copied().collect(),
        digest: UpdateDigest(ordinal),
        cause: UnknownCause::Exhausted,
        status: None,
        signature: String::new(),
        facts: Vec::new(),
    }
}

#[test]
fn an_unknown_field_keeps_what_was_last_acknowledged_until_it_is_known_again() {
    let new = LedgerEntry::new(SubjectId([1; 16]));
    let (imsi, class) = (FieldKind::Imsi, FieldKind::UserClass);
    let entry = killed(new, [set_to(1, &[(imsi, 7), (class, 8)], 9)]);
    assert!(entry.last_known.is_empty(), "it is known");
    let entry = killed(entry, [exhausted(2, &[imsi, class])]);
    assert_eq!(entry.last_known, [(imsi, FieldHash(7))], "many may have one class");
    assert_eq!(entry.unknown(), [imsi, class].into_iter().collect());
    // Whatever else ends without an answer, that is what was acknowledged last.
    let entry = killed(entry, [exhausted(3, &[imsi]), opened(4)]);
    assert_eq!((entry.last_known(imsi), entry.last_known(class)), (Some(FieldHash(7)), None));
    // An older update acknowledged since is what the newer one in doubt came upon.
    let entry = killed(entry, [set_to(3, &[(imsi, 5)], 10)]);
    assert_eq!((entry.last_known(imsi), entry.unknown().contains(imsi)), (Some(FieldHash(5)), true));
    let cleared = killed(entry.clone(), [set_to(3, &[(imsi, FieldHash::CLEARED.0)], 10)]);
    assert!(cleared.last_known.is_empty() && cleared.unknown().contains(imsi));
    let entry = killed(entry, [set_to(4, &[(imsi, 6)], 11)]);
    assert!(entry.last_known.is_empty() && !entry.unknown().contains(imsi));
}

#[test]
fn a_field_keeps_the_time_of_its_own_acknowledgement() {
    let new = LedgerEntry::new(SubjectId([1; 16]));
    let (imsi, iccid, class) = (FieldKind::Imsi, FieldKind::Iccid, FieldKind::UserClass);
    let entry = killed(new, [set_to(1, &[(imsi, 7), (class, 8)], 100)]);
    assert!(entry.field_times_s.is_empty(), "it is the entry's");
    let entry = killed(entry, [set_to(2, &[(class, 9), (iccid, 1)], 200), set_to(3, &[(class, 9)], 300)]);
    assert_eq!(entry.field_times_s, [(imsi, 100), (iccid, 200)]);
    assert_eq!([imsi, iccid, class].map(|kind| entry.field_time_s(kind)), [100, 200, 300]);
    // What is unknown has no time; known again, it has that of its acknowledgement.
    let entry = killed(entry, [exhausted(4, &[imsi])]);
    assert_eq!(entry.field_times_s, [(iccid, 200)]);
    let entry = killed(entry, [set_to(5, &[(imsi, 7), (iccid, 1), (class, 9)], 400)]);
    assert_eq!((entry.acked_at_s, entry.field_times_s.len()), (400, 0));
    // A clock set back makes a field older than it is, and none younger.
    let entry = killed(entry, [set_to(6, &[(class, 9)], 250)]);
    assert_eq!((entry.field_time_s(imsi), entry.field_time_s(class), entry.acked_at_s), (400, 250, 400));
    // An acknowledgement that something newer has overtaken is none of the field's.
    let entry = killed(entry, [set_to(2, &[(imsi, 1)], 500)]);
    assert_eq!((entry.field_time_s(imsi), entry.acked_at_s), (400, 500));
    // Unless it says the same.
    let entry = killed(entry, [set_to(2, &[(imsi, 7)], 500)]);
    assert_eq!((entry.field_time_s(imsi), entry.field(imsi).map(|field| field.version)), (500, Some(at(5))));
}

/// Some fields with values, a small one being as good as any.
fn any_facts() -> impl Strategy<Value = Vec<(FieldKind, u64)>> {
    let kinds = vec![FieldKind::Number, FieldKind::Imsi, FieldKind::Iccid, FieldKind::UserClass];
    let values = prop_oneof![4 => 1..5_u64, 1 => Just(FieldHash::CLEARED.0)];
    prop::collection::btree_map(prop::sample::select(kinds), values, 0..4)
        .prop_map(|map| map.into_iter().collect())
}

/// One record of the subject.
fn any_record(ordinals: impl Strategy<Value = u64>) -> impl Strategy<Value = Record> {
    (0..7_u8, ordinals, any_facts(), 0..50_i64).prop_map(|(what, ordinal, facts, at_s)| {
        let kinds: Vec<FieldKind> = facts.iter().map(|(kind, _)| *kind).collect();
        let (subject, version, digest) = (SubjectId([1; 16]), at(ordinal), UpdateDigest(ordinal));
        let fields: FieldSet = kinds.iter().copied().collect();
        match what {
            0 | 1 => Record::Intent { subject, version, fields, digest },
            2 => exhausted(ordinal, &kinds),
            3 => Record::Withdrawn { subject, version },
            4 => {
                let signature = String::new();
                let fact = |(kind, hash): &(FieldKind, u64)| FieldFact {
                    kind: *kind,
                    hash: FieldHash(*hash),
                    version,
                };
                let facts = facts.iter().map(fact).collect();
                Record::Deferred { subject, version, digest, status: 409, signature, unknown: fields, facts }
            }
            _ => set_to(ordinal, &facts, at_s),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn folded_in_whatever_parts_an_entry_is_the_same_and_keeps_only_what_it_must(
        log in prop::collection::vec((any_record(1..6_u64), any::<bool>()), 0..30),
    ) {
        let new = LedgerEntry::new(SubjectId([1; 16]));
        let (mut whole, mut parts) = (EntryFold::new(new.clone()), EntryFold::new(new));
        for (record, is_cut) in &log {
            whole.apply(record);
            parts.apply(record);
            if *is_cut {
                let (entry, open) = parts.into_parts();
                parts = EntryFold::resume(entry, open);
            }
        }
        let (entry, parts) = (whole.finish(), parts.finish());
        prop_assert_eq!(&entry, &parts);
        let unknown = entry.unknown();
        let ascends = |kinds: &[FieldKind]| kinds.is_sorted_by(|one, next| one < next);
        let kept: Vec<FieldKind> = entry.last_known.iter().map(|(kind, _)| *kind).collect();
        prop_assert!(ascends(&kept));
        let is_clear = |kind| {
            entry.field(kind).is_some_and(|field| field.state == FieldState::Known(FieldHash::CLEARED))
        };
        let may_be_kept = |kind| FieldSet::EXCLUSIVE.contains(kind) && (unknown.contains(kind) || is_clear(kind));
        prop_assert!(kept.iter().copied().all(may_be_kept));
        let timed: Vec<FieldKind> = entry.field_times_s.iter().map(|(kind, _)| *kind).collect();
        prop_assert!(ascends(&timed));
        prop_assert!(timed.iter().all(|kind| entry.field(*kind).is_some() && !unknown.contains(*kind)));
        prop_assert!(entry.field_times_s.iter().all(|(_, at_s)| *at_s != entry.acked_at_s));
    }

    #[test]
    fn last_known_is_what_was_acknowledged_last_and_times_are_of_that_acknowledgement(
        log in prop::collection::vec((any_record(Just(0)), any::<bool>()), 0..30),
    ) {
        // Versions ascend, as those of exports do that come day by day; runs end anywhere.
        let mut entry = LedgerEntry::new(SubjectId([1; 16]));
        let mut last: [Option<(FieldHash, i64)>; FIELD_COUNT] = [None; FIELD_COUNT];
        let mut fold = EntryFold::new(entry);
        for (ordinal, (record, is_end)) in (1..).zip(log) {
            let record = with_version(record, at(ordinal));
            if let Record::Synced { facts, at_s, .. } = &record {
                for fact in facts {
                    last[fact.kind.index()] = Some((fact.hash, *at_s));
                }
            }
            fold.apply(&record);
            if is_end {
                fold = EntryFold::new(fold.finish());
            }
        }
        entry = fold.finish();
        for kind in FieldKind::ALL {
            let last = last[kind.index()];
            match entry.field(kind).map(|field| field.state) {
                Some(FieldState::Known(hash)) => prop_assert_eq!(Some((hash, entry.field_time_s(kind))), last),
                Some(FieldState::Unknown) => {
                    let kept = last.map(|(hash, _)| hash).filter(|hash| {
                        *hash != FieldHash::CLEARED && FieldSet::EXCLUSIVE.contains(kind)
                    });
                    prop_assert_eq!(entry.last_known(kind), kept);
                }
                None => prop_assert_eq!(last, None),
            }
        }
    }
}

/// The record as one of this version.
fn with_version(mut record: Record, new: Version) -> Record {
    match &mut record {
        Record::Synced { version, facts, .. } | Record::Confirmed { version, facts, .. } => {
            *version = new;
            facts.iter_mut().for_each(|fact| fact.version = new);
        }
        Record::Intent { version, .. }
        | Record::Refused { version, .. }
        | Record::RefusedIn { version, .. }
        | Record::Deferred { version, .. }
        | Record::Unknown { version, .. }
        | Record::Withdrawn { version, .. } => *version = new,
    }
    record
}

#[test]
fn a_clear_that_was_acknowledged_counts_beside_what_its_own_batch_set_before() {
    let cleared = |version| {
        let fact = FieldFact { kind: FieldKind::Imsi, hash: FieldHash::CLEARED, version };
        Record::Synced { subject: SubjectId([1; 16]), version, facts: vec![fact], at_s: 9 }
    };
    let known = |ordinal, hash| {
        let state = FieldState::Known(hash);
        Some(LedgerField { state, version: at(ordinal) })
    };
    let entry = || killed(LedgerEntry::new(SubjectId([1; 16])), [opened(3), acknowledged(3)]);
    let after = killed(entry(), [opened(0), cleared(at(0))]);
    assert_eq!(after.field(FieldKind::Imsi), known(3, FieldHash::CLEARED));
    // Cut, nobody knows.
    assert!(killed(entry(), [opened(0)]).unknown().contains(FieldKind::Imsi));
    // The update that it makes way for counts beside both, and what is in doubt since stays so.
    let after = killed(after, [opened(4), acknowledged(4)]);
    assert_eq!(after.field(FieldKind::Imsi), known(4, FieldHash(4)));
    let doubtful = killed(entry(), [opened(5)]);
    let doubtful = killed(doubtful, [opened(0), cleared(at(0))]);
    assert!(doubtful.unknown().contains(FieldKind::Imsi));
}
