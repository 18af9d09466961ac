//! Random exports, logs and policies, as the model and the laws take them.
//!
//! Not here: what is asserted of them (`model.rs`, `passes.rs`, `ahead.rs`).

use proptest::prelude::*;

use super::*;
use crate::ledger::UnknownCause;

pub(super) fn any_fields() -> impl Strategy<Value = BTreeMap<FieldKind, u64>> {
    prop::collection::btree_map(prop::sample::select(vec![IMSI, ICCID, CLASS]), 1..4_u64, 0..3)
}

fn any_old_version() -> impl Strategy<Value = Version> {
    (7..=BATCH + 1, 1..8_u64).prop_map(|(batch, ordinal)| v(batch, ordinal))
}

fn any_row() -> impl Strategy<Value = TestRow> {
    let version = prop::option::weighted(0.3, (6..BATCH, 1..8_u64).prop_map(|(b, o)| v(b, o)));
    (prop_oneof![1 => Just(0_u8), 9 => 1..4_u8], version, any_fields())
        .prop_map(|(subject, version, fields)| TestRow { subject, version, rank: None, fields })
}

/// Rows in the order of the file, or in one that a column gives.
pub(super) fn any_rows() -> impl Strategy<Value = Vec<TestRow>> {
    let ranked = (any_row(), -2..3_i128).prop_map(|(row, rank)| TestRow { rank: Some(rank), ..row });
    prop_oneof![prop::collection::vec(any_row(), 0..9), prop::collection::vec(ranked, 0..9),]
}

/// Any record of any subject; their order is a log's only in so far as the fold takes any.
fn any_record() -> impl Strategy<Value = Record> {
    (0..9_u8, 1..4_u8, any_old_version(), any_fields(), 1..4_u64).prop_map(
        |(what, subject, version, fields, age)| {
            let fields: Vec<(FieldKind, u64)> = fields.into_iter().collect();
            match what {
                0 => refused(subject, version, &fields),
                1 => deferred(subject, version, &fields),
                2 => intent(subject, version, &fields),
                7 => Record::Confirmed {
                    subject: id(subject),
                    version,
                    facts: facts(subject, version, &fields),
                },
                8 => refused_in(
                    subject,
                    version,
                    (
                        BATCH - 1 + age % 2,
                        [FailureKind::Refused, FailureKind::Unresolved][usize::from(age > 1)],
                    ),
                    &fields,
                ),
                3 => unknown(subject, version, &fields, UnknownCause::Exhausted),
                _ => {
                    // A field's version may be that of an older row of the fold.
                    let mut facts = facts(subject, version, &fields);
                    for fact in facts.iter_mut().step_by(2) {
                        fact.version.ordinal = fact.version.ordinal.min(age);
                    }
                    Record::Synced {
                        subject: id(subject),
                        version,
                        facts,
                        at_s: NOW_S - i64::try_from(age).unwrap(),
                    }
                }
            }
        },
    )
}

pub(super) fn any_log() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(any_record(), 0..8)
}

/// A log of other batches: what happens in this one is for the test to simulate.
pub(super) fn any_past() -> impl Strategy<Value = Vec<Record>> {
    any_log().prop_map(|mut log| {
        log.retain(|record| record.version().batch != BATCH);
        log
    })
}

pub(super) fn any_rules() -> impl Strategy<Value = PlanRules> {
    (
        prop::sample::select(DuplicatePolicy::ALL.to_vec()),
        prop::sample::select(ConflictPolicy::ALL.to_vec()),
        prop::sample::select(InDoubtPolicy::ALL.to_vec()),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, 0..4_u64),
        any::<bool>(),
        prop::option::weighted(0.3, 6..BATCH),
    )
        .prop_map(|(duplicates, conflicts, in_doubt, full, resend_after_s, retry_failed, older_open)| {
            PlanRules {
                duplicates,
                conflicts,
                in_doubt,
                full,
                resend_after_s,
                retry_failed,
                older_open,
                ..rules()
            }
        })
}
