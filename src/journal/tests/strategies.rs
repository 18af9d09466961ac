//! Arbitrary records and entries.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::digest::{FieldHash, SubjectId, UpdateDigest};
use crate::ledger::{
    CORRECTED_MAX, Corrected, FailureKind, FieldState, IN_DOUBT_MAX, InDoubt, LedgerEntry, LedgerField,
    REFUSALS_MAX, Record, Refusal, SAID_MAX, Said, UnknownCause,
};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

pub(in crate::journal) fn versions() -> impl Strategy<Value = Version> {
    let number = prop_oneof![0_u64..300, any::<u64>()];
    (number.clone(), number).prop_map(|(batch, ordinal)| Version { batch, ordinal })
}

pub(in crate::journal) fn field_sets() -> impl Strategy<Value = FieldSet> {
    (0_u16..1 << FIELD_COUNT).prop_map(|bits| FieldSet::from_bits(bits).unwrap())
}

fn kinds() -> impl Strategy<Value = FieldKind> {
    proptest::sample::select(FieldKind::ALL.to_vec())
}

fn digests() -> impl Strategy<Value = UpdateDigest> {
    any::<u64>().prop_map(UpdateDigest)
}

/// At most 160 bytes: what fits a record whole.
fn signatures() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z #]{0,160}", "é{0,80}"]
}

fn facts() -> impl Strategy<Value = FieldFact> {
    (kinds(), any::<u64>(), versions()).prop_map(|(kind, hash, version)| FieldFact {
        kind,
        hash: FieldHash(hash),
        version,
    })
}

fn causes() -> impl Strategy<Value = UnknownCause> {
    proptest::sample::select(vec![UnknownCause::Exhausted, UnknownCause::EchoMismatch, UnknownCause::Cut])
}

pub(in crate::journal) fn any_subjects() -> impl Strategy<Value = SubjectId> {
    any::<[u8; 16]>().prop_map(SubjectId)
}

/// Any record about one of these subjects, with one of these versions.
pub(in crate::journal) fn records_of(
    subjects: impl Strategy<Value = SubjectId> + Clone + 'static,
    versions: impl Strategy<Value = Version> + Clone + 'static,
) -> impl Strategy<Value = Record> {
    let head = (subjects, versions.clone());
    let refusals = || (digests(), any::<u16>(), signatures(), field_sets(), vec(facts(), 0..=FIELD_COUNT));
    prop_oneof![
        (head.clone(), field_sets(), digests()).prop_map(|((subject, version), fields, digest)| {
            Record::Intent { subject, version, fields, digest }
        }),
        (head.clone(), vec(facts(), 0..=FIELD_COUNT), any::<i64>(), any::<bool>()).prop_map(
            |((subject, version), mut facts, at_s, is_plain)| {
                if is_plain {
                    facts.iter_mut().for_each(|fact| fact.version = version);
                }
                Record::Synced { subject, version, facts, at_s }
            }
        ),
        (head.clone(), refusals(), any::<bool>()).prop_map(
            |((subject, version), (digest, status, signature, unknown, facts), is_deferred)| {
                if is_deferred {
                    Record::Deferred { subject, version, digest, status, signature, unknown, facts }
                } else {
                    Record::Refused { subject, version, digest, status, signature, unknown, facts }
                }
            }
        ),
        (head.clone(), field_sets(), refusals(), causes(), any::<bool>()).prop_map(
            |((subject, version), fields, (digest, status, signature, _, facts), cause, has_status)| {
                let status = has_status.then_some(status);
                Record::Unknown { subject, version, fields, digest, cause, status, signature, facts }
            }
        ),
        (head.clone(), vec(facts(), 0..=FIELD_COUNT))
            .prop_map(|((subject, version), facts)| Record::Confirmed { subject, version, facts }),
        (head.clone(), 1..9_u64, refusals(), any::<bool>()).prop_map(
            |((subject, version), batch, (digest, status, signature, unknown, facts), is_conflict)| {
                let kind = if is_conflict { FailureKind::Unresolved } else { FailureKind::Refused };
                Record::RefusedIn { subject, version, batch, kind, digest, status, signature, unknown, facts }
            }
        ),
        head.prop_map(|(subject, version)| Record::Withdrawn { subject, version }),
    ]
}

pub(in crate::journal) fn any_records() -> impl Strategy<Value = Record> {
    records_of(any_subjects().boxed(), versions().boxed())
}

fn ledger_fields() -> impl Strategy<Value = LedgerField> {
    (option::of(any::<u64>()), versions()).prop_map(|(hash, version)| LedgerField {
        state: hash.map_or(FieldState::Unknown, |hash| FieldState::Known(FieldHash(hash))),
        version,
    })
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let kinds = proptest::sample::select(vec![
        FailureKind::Refused,
        FailureKind::Exhausted,
        FailureKind::EchoMismatch,
        FailureKind::Deferred,
        FailureKind::Unresolved,
    ]);
    let batches = option::of(any::<u64>());
    (versions(), batches, digests(), kinds, any::<u32>(), option::of(any::<u16>()), signatures()).prop_map(
        |(version, batch, digest, kind, count, status, signature)| Refusal {
            version,
            batch: batch.unwrap_or(version.batch),
            digest,
            kind,
            count,
            status,
            signature,
        },
    )
}

pub(in crate::journal) fn doubts() -> impl Strategy<Value = InDoubt> {
    (versions(), field_sets(), digests()).prop_map(|(version, fields, digest)| InDoubt {
        version,
        fields,
        digest,
    })
}

fn said() -> impl Strategy<Value = Said> {
    (facts(), any::<bool>()).prop_map(|(fact, is_replaced)| Said { fact, is_replaced })
}

fn corrected() -> impl Strategy<Value = Corrected> {
    (versions(), digests()).prop_map(|(version, digest)| Corrected { version, digest })
}

pub(in crate::journal) fn any_entries() -> impl Strategy<Value = LedgerEntry> {
    let fields = vec(option::of(ledger_fields()), FIELD_COUNT);
    (
        any_subjects(),
        fields,
        option::of(versions()),
        any::<i64>(),
        vec(doubts(), 0..=IN_DOUBT_MAX),
        vec(refusals(), 0..=REFUSALS_MAX),
        (
            any::<bool>(),
            vec(option::of(any::<u64>()), FIELD_COUNT),
            vec(corrected(), 0..=CORRECTED_MAX),
            vec(said(), 0..=SAID_MAX),
        ),
    )
        .prop_map(
            |(
                subject,
                fields,
                acked,
                acked_at_s,
                in_doubt,
                refusals,
                (is_plain, asides, corrected, said),
            )| {
                let mut fields: [Option<LedgerField>; FIELD_COUNT] = fields.try_into().unwrap();
                if let (true, Some(acked)) = (is_plain, acked) {
                    fields.iter_mut().flatten().for_each(|field| field.version = acked);
                }
                let mut entry = LedgerEntry {
                    fields,
                    acked,
                    acked_at_s,
                    in_doubt,
                    refusals,
                    corrected,
                    said,
                    ..LedgerEntry::new(subject)
                };
                for (kind, aside) in FieldKind::ALL.into_iter().zip(asides) {
                    match (entry.field(kind).map(|field| field.state), aside) {
                        (Some(FieldState::Unknown), Some(hash)) => {
                            entry.last_known.push((kind, FieldHash(hash)))
                        }
                        (Some(FieldState::Known(_)), Some(at_s)) if !is_plain => {
                            entry.field_times_s.push((kind, at_s.cast_signed()));
                        }
                        (Some(_), _) | (None, _) => {}
                    }
                }
                entry
            },
        )
}
