//! Entries come back as they were, or not at all.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::digest::UpdateDigest;

use super::super::tests::strategies::{any_entries, doubts};
use super::*;

fn encoded(entry: &LedgerEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(entry, &[], &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn an_entry_comes_back(entry in any_entries()) {
        prop_assert_eq!(decode_entry(entry.subject, &encoded(&entry)), Ok(entry));
    }

    #[test]
    fn where_another_entry_stood_nothing_of_it_is_left(
        earlier in any_entries(),
        entry in any_entries(),
        open in vec(doubts(), 0..3),
    ) {
        let open = EntryFold::resume(entry.clone(), open).into_parts().1;
        let mut bytes = Vec::new();
        encode_entry(&entry, &open, &mut bytes);
        let mut into = earlier;
        prop_assert_eq!(decode_anew(&mut into, entry.subject, &bytes), Ok(()));
        prop_assert_eq!(Ok(into), decode_entry(entry.subject, &bytes));
    }

    #[test]
    fn open_intents_come_back_apart_and_are_read_as_doubts(
        entry in any_entries(),
        open in vec(doubts(), 1..60),
    ) {
        let open = EntryFold::resume(entry.clone(), open).into_parts().1;
        let mut bytes = Vec::new();
        encode_entry(&entry, &open, &mut bytes);
        prop_assert!(has_open_intents(&bytes) && !has_open_intents(&encoded(&entry)));
        prop_assert_eq!(decode_parts(entry.subject, &bytes), Ok((entry.clone(), open.clone())));
        let read = decode_entry(entry.subject, &bytes);
        prop_assert_eq!(read, Ok(EntryFold::resume(entry, open).finish()));
    }

    #[test]
    fn a_cut_entry_is_damage_and_no_panic(entry in any_entries(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&entry);
        let cut = cut.index(bytes.len());
        prop_assert!(matches!(decode_entry(entry.subject, &bytes[..cut]), Err(CodecError::Damaged(_))));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        drop(decode_entry(SubjectId([0; 16]), &bytes));
    }
}

#[test]
fn an_unknown_version_is_named() {
    let mut bytes = encoded(&LedgerEntry::new(SubjectId([0; 16])));
    bytes[0] = ENTRY_VERSION_MAX + 1;
    let expected = format!("ledger entry, format version {}", ENTRY_VERSION_MAX + 1);
    assert_eq!(decode_entry(SubjectId([0; 16]), &bytes), Err(CodecError::Unknown(expected)));
}

#[test]
fn only_an_entry_that_says_nothing_is_blank() {
    let mut entry = LedgerEntry::new(SubjectId([1; 16]));
    assert!(is_blank(&entry));
    entry.in_doubt.push(InDoubt {
        version: Version::default(),
        fields: FieldSet::EMPTY,
        digest: UpdateDigest(0),
    });
    assert!(!is_blank(&entry));
}

#[test]
fn a_usual_entry_takes_some_ninety_bytes() {
    let version = Version { batch: 40, ordinal: 1_000_000 };
    let mut entry = LedgerEntry::new(SubjectId([1; 16]));
    entry.acked = Some(version);
    entry.acked_at_s = 1_800_000_000;
    entry.fields = [Some(LedgerField { state: FieldState::Known(FieldHash(1)), version }); FIELD_COUNT];
    assert_eq!(encoded(&entry).len(), 89);
}

#[test]
fn an_entry_of_the_build_before_is_read_and_what_it_could_not_say_costs_nothing_where_there_is_nothing_to_say()
 {
    let version = Version { batch: 3, ordinal: 7 };
    let field = |state| Some(LedgerField { state, version });
    let mut entry = LedgerEntry::new(SubjectId([1; 16]));
    (entry.acked, entry.acked_at_s) = (Some(version), 60);
    entry.fields[FieldKind::Number.index()] = field(FieldState::Known(FieldHash(5)));
    entry.fields[FieldKind::Imsi.index()] = field(FieldState::Unknown);
    // Version 2; acknowledged; batch, row, seconds; fields present, unknown, of an own version; a hash; no lists.
    let mut before = vec![2, 1, 3, 7, 120, 0b1001, 0b1000, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0];
    assert_eq!(decode_entry(entry.subject, &before), Ok(entry.clone()));
    assert_eq!(encoded(&entry), before);
    // A value last known takes its hash, a time how much older it is; each list a byte for which fields.
    entry.last_known = vec![(FieldKind::Imsi, FieldHash(9))];
    entry.field_times_s = vec![(FieldKind::Number, 50)];
    before[0] = 4;
    before.extend([0b1000, 0, 0, 0, 0, 0, 0, 0, 9, 0b1, 20]);
    assert_eq!(encoded(&entry), before);
    assert_eq!(decode_entry(entry.subject, &before), Ok(entry));
}
