//! Records come back as they were, or not at all.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::digest::{SubjectId, UpdateDigest};
use crate::ledger::{Record, SIGNATURE_BYTES_MAX};
use crate::row::Version;
use crate::update::FieldSet;

use super::super::codec::{CodecError, seal};
use super::super::packing::{EncodedRecords, Packer};
use super::super::tests::strategies::any_records;
use super::*;

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes);
    bytes
}

fn packed(sequence: u64, records: &[Record], per_append: usize) -> Vec<(u64, Vec<u8>)> {
    let mut packer = Packer::new(sequence);
    for append in records.chunks(per_append) {
        packer.push(&EncodedRecords::of(append).unwrap());
    }
    packer.finish().iter().map(|(sequence, value)| (sequence, value.to_vec())).collect()
}

fn unpacked(values: &[(u64, Vec<u8>)]) -> Vec<Record> {
    values
        .iter()
        .flat_map(|(sequence, value)| open_value(*sequence, value).unwrap().records().collect::<Vec<_>>())
        .map(|record| decode_record(record.unwrap()).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn a_record_comes_back(record in any_records()) {
        let bytes = encoded(&record);
        prop_assert_eq!(subject_of(&bytes), Ok(record.subject()));
        prop_assert_eq!(decode_record(&bytes), Ok(record));
    }

    #[test]
    fn packed_records_come_back_in_order(
        records in vec(any_records(), 0..300), sequence in 1_u64..1 << 40, per_append in 1_usize..300,
    ) {
        let values = packed(sequence, &records, per_append);
        prop_assert!(!values.is_empty());
        for (index, (found, value)) in values.iter().enumerate() {
            prop_assert_eq!(*found, sequence + index as u64);
            prop_assert!(value.len() <= VALUE_BYTES_MAX);
        }
        prop_assert_eq!(unpacked(&values), records);
    }

    #[test]
    fn a_cut_record_is_damage_and_no_panic(record in any_records(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&record);
        let cut = cut.index(bytes.len());
        prop_assert!(matches!(decode_record(&bytes[..cut]), Err(CodecError::Damaged(_))));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        drop(decode_record(&bytes));
        drop(open_value(1, &bytes));
    }
}

#[test]
fn every_flipped_bit_of_a_value_is_noticed() {
    let (sequence, value) = packed(7, &[withdrawn()], 1).remove(0);
    for bit in 0..value.len() * 8 {
        let mut flipped = value.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(open_value(sequence, &flipped), Err(CodecError::Damaged(_))), "bit {bit}");
    }
}

#[test]
fn a_value_under_another_sequence_is_damage() {
    let (sequence, value) = packed(7, &[withdrawn()], 1).remove(0);
    assert!(open_value(sequence, &value).is_ok());
    assert!(matches!(open_value(8, &value), Err(CodecError::Damaged(_))));
}

#[test]
fn unknown_formats_are_named() {
    let mut record = encoded(&withdrawn());
    record[0] = TAG_INTENT << 4 | 2;
    assert_eq!(
        decode_record(&record),
        Err(CodecError::Unknown("intent record, format version 2".to_owned()))
    );
    record[0] = 9 << 4 | 1;
    let expected = "log record of type 9, format version 1".to_owned();
    assert_eq!(decode_record(&record), Err(CodecError::Unknown(expected)));

    let mut value = vec![3];
    seal(&mut value);
    let expected = "log value, format version 3".to_owned();
    assert_eq!(open_value(1, &value).unwrap_err(), CodecError::Unknown(expected));
}

#[test]
fn a_long_signature_is_cut_and_the_record_kept() {
    let record = Record::Refused {
        subject: SubjectId([1; 16]),
        version: Version { batch: 1, ordinal: 2 },
        digest: UpdateDigest(3),
        status: 422,
        signature: "é".repeat(100_000),
        unknown: FieldSet::EMPTY,
        facts: Vec::new(),
    };
    match decode_record(&encoded(&record)) {
        Ok(Record::Refused { signature, .. }) => assert_eq!(signature.len(), SIGNATURE_BYTES_MAX),
        other => panic!("{other:?}"),
    }
}

#[test]
fn failures_of_before_the_facts_are_read() {
    let (subject, version, digest) = (SubjectId([1; 16]), Version { batch: 1, ordinal: 2 }, UpdateDigest(3));
    let (signature, unknown) = ("422 no".to_owned(), FieldSet::EMPTY);
    let (fields, facts, cause) = (FieldSet::EMPTY, Vec::new(), UnknownCause::Exhausted);
    let status = 422;
    let kind = FailureKind::Refused;
    let records = [
        Record::Refused {
            subject,
            version,
            digest,
            status,
            signature: signature.clone(),
            unknown,
            facts: facts.clone(),
        },
        Record::RefusedIn {
            subject,
            version,
            batch: 9,
            kind,
            digest,
            status,
            signature: signature.clone(),
            unknown,
            facts: facts.clone(),
        },
        Record::Deferred {
            subject,
            version,
            digest,
            status,
            signature: signature.clone(),
            unknown,
            facts: facts.clone(),
        },
        Record::Unknown { subject, version, fields, digest, cause, status: None, signature, facts },
    ];
    for record in records {
        let mut bytes = encoded(&record);
        // No facts are a count of 0.
        assert_eq!((bytes[0] & 0x0f, bytes.pop()), (2, Some(0)));
        bytes[0] -= 1;
        assert_eq!(decode_record(&bytes), Ok(record));
    }
}

#[test]
fn a_usual_update_takes_few_bytes() {
    // The log's size decides how long a run can go on: an intent and its acknowledgement of three fields, a
    // million rows in, must not grow unnoticed.
    let version = Version { batch: 40, ordinal: 1_000_000 };
    let subject = SubjectId([1; 16]);
    let fields: FieldSet = [FieldKind::Number, FieldKind::Imsi, FieldKind::Iccid].into_iter().collect();
    let facts = fields.iter().map(|kind| FieldFact { kind, hash: FieldHash(u64::MAX), version }).collect();
    let intent = Record::Intent { subject, version, fields, digest: UpdateDigest(u64::MAX) };
    let synced = Record::Synced { subject, version, facts, at_s: 1_800_000_000 };
    assert_eq!((encoded(&intent).len(), encoded(&synced).len()), (30, 54));
}

fn withdrawn() -> Record {
    Record::Withdrawn { subject: SubjectId([1; 16]), version: Version { batch: 1, ordinal: 2 } }
}
