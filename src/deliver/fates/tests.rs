//! Laws of fates: in memory, beyond it and in however small pieces they are what a plain look through all of them says.

use proptest::prelude::*;

use super::*;

/// A row of a subject. Several of a subject lie in a part, and several subjects in one part.
#[derive(Debug, Clone, Copy)]
struct TestRow {
    ordinal: u64,
    subject: SubjectId,
    /// What becomes of the update it is the last row of; `None`: it is folded into a later one.
    what: Option<Option<What>>,
    is_of_this_run: bool,
    complaint: u8,
}

fn subject(number: u8) -> SubjectId {
    let mut subject = [0; 16];
    (subject[0], subject[15]) = (number / 2, number);
    SubjectId(subject)
}

fn what() -> impl Strategy<Value = What> {
    let kind = prop::sample::select(FailureKind::ALL.to_vec());
    prop_oneof![
        Just(What::InDoubt),
        (kind.clone(), any::<bool>()).prop_map(|(kind, maybe_applied)| What::Failed { kind, maybe_applied }),
        kind.prop_map(|kind| What::RefusedBefore { kind }),
    ]
}

fn rows() -> impl Strategy<Value = Vec<TestRow>> {
    // Ordinals far apart lie in several blocks.
    let row = (1_u64..40_000, 0_u8..8, prop::option::of(prop::option::of(what())), any::<bool>(), 0_u8..4);
    prop::collection::vec(row, 0..60).prop_map(|rows| {
        let mut ordinal = 0;
        rows.into_iter()
            .map(|(step, number, what, is_of_this_run, complaint)| {
                ordinal += step;
                TestRow { ordinal, subject: subject(number), what, is_of_this_run, complaint }
            })
            .collect()
    })
}

fn text(complaint: u8) -> String {
    format!("422 complaint {complaint} é")
}

/// What the rows' fates are, by looking through all updates for each.
fn plainly(rows: &[TestRow]) -> Vec<Option<Fate>> {
    let fate = |row: &TestRow| {
        let what = row.what??;
        let signature = if what == What::InDoubt { String::new() } else { text(row.complaint) };
        Some(Fate { what, signature })
    };
    let of = |row: &TestRow| match row.what {
        Some(_) => fate(row),
        None => rows
            .iter()
            .filter(|update| update.subject == row.subject && update.ordinal >= row.ordinal)
            .filter_map(fate)
            .find(|fate| fate.what.is_of_this_run() == row.is_of_this_run),
    };
    rows.iter().map(of).collect()
}

fn found(
    rows: &[TestRow],
    order: &[usize],
    space: &Space,
    updates_at_once_max: usize,
    signatures_max: usize,
) -> Vec<Option<Fate>> {
    let mut fates = Fates::new(space);
    // Complaints beyond the bound are written with every update.
    fates.signatures.texts.resize(SIGNATURES_MAX - signatures_max, String::new());
    for row in order.iter().map(|at| &rows[*at]) {
        match row.what {
            None | Some(None) => {}
            Some(Some(What::InDoubt)) => fates.doubt(row.subject, row.ordinal),
            Some(Some(What::Failed { kind, maybe_applied })) => {
                let signature = text(row.complaint);
                fates.fail(
                    row.subject,
                    row.ordinal,
                    &Failure { kind, status: None, signature, maybe_applied },
                );
            }
            Some(Some(what @ What::RefusedBefore { .. })) => {
                fates.keep(row.subject, row.ordinal, what, &text(row.complaint));
            }
        }
    }
    let folded = Folded::new(space, updates_at_once_max);
    for row in rows.iter().filter(|row| row.what.is_none()) {
        folded.add(row.subject, row.ordinal, row.is_of_this_run).unwrap();
    }
    let last = rows.last().map_or(0, |row| row.ordinal);
    let mut by_row = fates.by_row(&folded, last).unwrap();
    rows.iter().map(|row| by_row.of(row.ordinal).unwrap()).collect()
}

proptest! {
    #[test]
    fn fates_are_the_same_in_memory_and_beyond(
        rows in rows(),
        seed in any::<u64>(),
        updates_at_once_max in 1_usize..5,
        signatures_max in 0_usize..3,
    ) {
        let expected = plainly(&rows);
        // Updates are settled in any order.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(seed | 1));
        let dir = tempfile::tempdir().unwrap();
        let in_memory = Space::new(dir.path(), usize::MAX / 2);
        prop_assert_eq!(&found(&rows, &order, &in_memory, UPDATES_AT_ONCE_MAX, SIGNATURES_MAX), &expected);
        let spilled = Space::new(dir.path(), 0);
        prop_assert_eq!(&found(&rows, &order, &spilled, updates_at_once_max, signatures_max), &expected);
    }
}

#[test]
fn beyond_its_bound_no_failure_takes_memory() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 1 << 16);
    let mut fates = Fates::new(&space);
    for ordinal in 1..=100_000_u64 {
        let subject =
            SubjectId(u128::from(ordinal.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(64).to_be_bytes());
        // A server whose complaints are all different.
        let signature = format!("500 trace {ordinal:x}");
        let kind = FailureKind::Refused;
        fates.fail(subject, ordinal, &Failure { kind, status: None, signature, maybe_applied: false });
    }
    assert!(space.kept_bytes() <= 1 << 16);
    assert_eq!(fates.signatures.texts.len(), SIGNATURES_MAX);
    let folded = Folded::new(&space, UPDATES_AT_ONCE_MAX);
    let mut by_row = fates.by_row(&folded, 100_000).unwrap();
    assert!(space.spilled_bytes() > 2_000_000);
    for ordinal in [1, 5_000, 65_535, 65_536, 100_000] {
        assert_eq!(by_row.of(ordinal).unwrap().unwrap().signature, format!("500 trace {ordinal:x}"));
    }
    assert_eq!(by_row.of(0).unwrap(), None);
}

#[test]
fn fates_that_could_not_be_kept_are_an_error_of_the_row_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(&dir.path().join("missing"), 0);
    let mut fates = Fates::new(&space);
    for ordinal in 1..=200 {
        fates.doubt(subject(1), ordinal);
    }
    assert!(fates.error.is_some());
    assert!(!fates.has_failed());
}
