//! Subjects with too many rows for memory are ruled on as any other.
//!
//! Every plan of these tests is held against one in which nearly every subject is too large (`plan` beside this).
//! Here: what is asserted of it, and exports with more rows of a subject than the other tests have.

use proptest::prelude::*;

use super::any::{any_fields, any_log, any_rules};
use super::*;

/// Every word of both plans is the same.
#[track_caller]
pub(super) fn assert_equal(streamed: &Plan, plan: &Plan) {
    assert_eq!(streamed.facts(), plan.facts());
    assert_eq!(rulings(streamed), rulings(plan));
    for ordinal in 1..=plan.facts().rows.read {
        assert_eq!(streamed.beside(ordinal).unwrap(), plan.beside(ordinal).unwrap(), "row {ordinal}");
        assert_eq!(streamed.is_chained(ordinal), plan.is_chained(ordinal), "row {ordinal}");
        assert_eq!(streamed.refused_before(ordinal).unwrap(), plan.refused_before(ordinal).unwrap());
    }
    assert_eq!(streamed.rejected_by_policy(), plan.rejected_by_policy());
    assert_eq!(format!("{:?}", streamed.conflicts()), format!("{:?}", plan.conflicts()));
    assert_eq!(format!("{:?}", streamed.swaps()), format!("{:?}", plan.swaps()));
    assert_eq!(streamed.waves(), plan.waves());
    assert_eq!(streamed.samples(), plan.samples());
    assert_eq!(streamed.in_doubt_ordinals(), plan.in_doubt_ordinals());
}

/// What a row is beside its subject's: ordinary, fed back, or put in its place by a column.
fn any_kind() -> impl Strategy<Value = (Option<Version>, Option<i128>)> {
    let version = prop::option::weighted(0.3, (6..=BATCH, 1..30_u64).prop_map(|(b, o)| v(b, o)));
    let rank = prop_oneof![Just(None), (-3..9_i128).prop_map(Some)];
    (version, rank)
}

fn any_many() -> impl Strategy<Value = Vec<TestRow>> {
    let row = (prop_oneof![8 => Just(1_u8), 1 => Just(2), 1 => Just(3)], any_kind(), any_fields())
        .prop_map(|(subject, (version, rank), fields)| TestRow { subject, version, rank, fields });
    prop::collection::vec(row, 0..60)
}

proptest! {
    #[test]
    fn many_rows_of_one_subject_are_ruled_on_alike_in_memory_and_in_chunks(
        rows in any_many(),
        is_ordinary in any::<bool>(),
        log in any_log(),
        rules in any_rules(),
        is_changed in any::<bool>(),
    ) {
        let mut rows = rows;
        if is_ordinary {
            rows.iter_mut().for_each(|row| (row.version, row.rank) = (None, None));
        }
        let send = if is_changed { crate::plan::SendMode::Changed } else { rules.send };
        let (ledger, rules) = (ledger(&log), PlanRules { send, ..rules });
        let plan = plan(&rows, &ledger, &rules);
        for (part_bytes_max, subject_rows_max) in [(1, 1), (1, 3), (1 << 20, 5)] {
            let bounds = SurveyBounds { part_bytes_max, subject_rows_max, ..SurveyBounds::default() };
            assert_equal(&plan_within(bounds, &rows, &ledger, &rules), &plan);
        }
    }
}
