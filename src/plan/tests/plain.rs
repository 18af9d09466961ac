//! The short way of a row that says what the ledger holds: it is taken where it may be, and rules as the long one does.

use proptest::prelude::*;

use super::any::{any_fields, any_past, any_rules};
use super::*;
use crate::ledger::UnknownCause;
use crate::plan::SendMode;
use crate::plan::join::Join;
use crate::plan::plain::is_plainly_unchanged;
use crate::plan::record::{Part, encode};
use crate::plan::rows::Rows;

/// The rows of one subject, as a join gets them.
fn part(rows: &[TestRow]) -> Part {
    let (mut part, mut bytes) = (Part::default(), Vec::new());
    for (ordinal, row) in (1..).zip(rows) {
        let (subject, version, facts) = (id(row.subject), row.version, row.facts());
        encode(&Surveyed { ordinal, subject, version, rank: None, facts: &facts, old: &[] }, &mut bytes);
    }
    part.extend(&bytes);
    part.sort();
    part
}

const SAID: [(FieldKind, u64); 2] = [(IMSI, 1), (CLASS, 2)];

fn is_short(row: &TestRow, records: &[Record], rules: &PlanRules) -> bool {
    let (part, ledger) = (part(std::slice::from_ref(row)), ledger(records));
    is_plainly_unchanged(&part.records[0], &part.data, &ledger[0], rules)
}

#[test]
fn a_row_that_says_what_is_known_goes_the_short_way() {
    let (said, acked) = (row(1, &SAID), synced(1, v(7, 1), &SAID));
    for duplicates in DuplicatePolicy::ALL {
        let is_each = duplicates == DuplicatePolicy::Each;
        assert_eq!(
            is_short(&said, std::slice::from_ref(&acked), &with(duplicates)),
            !is_each,
            "{duplicates:?}"
        );
    }
    // More is known than the row says, and a field is of this very row.
    let more = synced(1, v(7, 1), &[(IMSI, 1), (ICCID, 9), (CLASS, 2)]);
    assert!(is_short(&said, &[more], &rules()));
    assert!(is_short(&said, &[acked, synced(1, v(BATCH, 1), &SAID[..1])], &rules()));
}

#[test]
fn whatever_is_special_goes_the_long_way() {
    let (said, acked) = (row(1, &SAID), synced(1, v(7, 1), &SAID));
    let beside = |record: Record| vec![acked.clone(), record];
    for (what, row, records) in [
        ("another value", row(1, &[(IMSI, 1), (CLASS, 3)]), vec![acked.clone()]),
        ("a new field", row(1, &[(IMSI, 1), (ICCID, 9)]), vec![acked.clone()]),
        ("nothing but the key", row(1, &[]), vec![acked.clone()]),
        ("replayed", replayed(8, 1, 1, &SAID), vec![acked.clone()]),
        ("overtaken", said.clone(), beside(synced(1, v(BATCH, 2), &SAID[..1]))),
        ("in doubt", said.clone(), beside(intent(1, v(8, 1), &[(ICCID, 9)]))),
        ("refused", said.clone(), beside(refused(1, v(8, 1), &[(ICCID, 9)]))),
        ("unknown", said.clone(), beside(unknown(1, v(8, 1), &SAID[..1], UnknownCause::Exhausted))),
    ] {
        assert!(!is_short(&row, &records, &rules()), "{what}");
    }
    let records = [acked];
    for (what, rules) in [
        ("full", PlanRules { full: true, ..rules() }),
        ("resend_after", PlanRules { resend_after_s: Some(5), ..rules() }),
        ("changed", PlanRules { send: SendMode::Changed, ..rules() }),
    ] {
        assert!(!is_short(&said, &records, &rules), "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of some rows every field was acknowledged as they say it, and what came before or since is anything.
    #[test]
    fn both_ways_rule_alike(
        fields in any_fields(),
        other in prop::option::weighted(0.3, any_fields()),
        before in any_past(),
        since in prop_oneof![Just(Vec::new()), any_past()],
        rules in any_rules(),
    ) {
        let said: Vec<_> = fields.iter().map(|(kind, hash)| (*kind, *hash)).collect();
        let mut log = before;
        log.push(synced(1, v(8, 1), &said));
        log.extend(since);
        let rows: Vec<TestRow> =
            [Some(fields), other].into_iter().flatten().map(|fields| TestRow { fields, ..row(1, &[]) }).collect();
        let ledger = ledger(&log);
        let entry = ledger.iter().find(|entry| entry.subject == id(1));
        let ruled = [false, true].map(|is_long| {
            let Part { mut records, data, .. } = part(&rows);
            let mut join = Join::new(&rules);
            let mut ruled = Rows::Here(&mut records, &data);
            if is_long {
                join.rule_at_length(&mut ruled, entry).unwrap();
            } else {
                join.rule(&mut ruled, entry).unwrap();
            }
            format!("{records:?}")
        });
        prop_assert_eq!(&ruled[0], &ruled[1]);
    }
}
