//! Pass 2: the fold of values.

use super::*;
use crate::plan::{Beside, Folded, Folding};
use crate::update::{Fields, Update};
use Ruling::{FoldedLate, Send, SendLate};

/// Takes one row; values are the hashes as text.
fn take(
    folding: &mut Folding,
    ruling: Ruling,
    version: Version,
    row: &TestRow,
    left_out: FieldSet,
) -> Folded {
    let facts = row.facts();
    let mut fields = Fields::default();
    for (kind, hash) in &facts {
        fields.set(*kind, &hash.0.to_string());
    }
    let beside = Beside { left_out, ..Beside::default() };
    folding.take(ruling, version, id(row.subject), &fields, &facts, &beside)
}

#[track_caller]
fn sets(folded: Folded, expected: &[(FieldKind, u64, Version)]) -> Update {
    let Folded::Update(update) = folded else { panic!("expected an update, got {folded:?}") };
    assert_sets(&update, expected);
    update
}

#[track_caller]
fn assert_sets(update: &Update, expected: &[(FieldKind, u64, Version)]) {
    let facts: Vec<_> = update.facts.iter().map(|fact| (fact.kind, fact.hash.0, fact.version)).collect();
    assert_eq!(facts, expected, "facts, in wire order");
    let values: Vec<_> = update.fields.iter().map(|(kind, value)| (kind, value.to_owned())).collect();
    let wanted: Vec<_> = expected.iter().map(|(kind, hash, _)| (*kind, hash.to_string())).collect();
    assert_eq!(values, wanted, "values");
}

#[test]
fn folded_rows_wait_for_their_carrier_and_later_fields_win() {
    let mut folding = Folding::new(10);
    let (one, two) = (v(9, 1), v(9, 2));
    let first = row(1, &[(IMSI, 1), (CLASS, 1)]);
    let folded = take(&mut folding, Ruling::Folded, one, &first, FieldSet::EMPTY);
    assert!(matches!(folded, Folded::Nothing));
    assert_eq!(folding.held(), 1);
    let last = row(1, &[(IMSI, 2), (ICCID, 3)]);
    let folded = take(&mut folding, Send, two, &last, FieldSet::EMPTY);
    let update = sets(folded, &[(IMSI, 2, two), (ICCID, 3, two), (KEY, 1001, two), (CLASS, 1, one)]);
    assert_eq!((update.version, update.subject), (two, id(1)));
    assert_eq!(folding.held(), 0);
}

#[test]
fn a_newer_version_wins_wherever_it_stands_and_the_later_row_among_equals() {
    let mut folding = Folding::new(10);
    take(&mut folding, Ruling::Folded, v(9, 1), &row(1, &[(IMSI, 1)]), FieldSet::EMPTY);
    let folded = take(&mut folding, Send, v(5, 1), &row(1, &[(IMSI, 2), (ICCID, 2)]), FieldSet::EMPTY);
    let update = sets(folded, &[(IMSI, 1, v(9, 1)), (ICCID, 2, v(5, 1)), (KEY, 1001, v(9, 1))]);
    assert_eq!(update.version, v(9, 1), "the newest among its fields");
    take(&mut folding, FoldedLate, v(5, 1), &row(1, &[(IMSI, 1)]), FieldSet::EMPTY);
    let folded = take(&mut folding, SendLate, v(5, 1), &row(1, &[(IMSI, 2)]), FieldSet::EMPTY);
    sets(folded, &[(IMSI, 2, v(5, 1)), (KEY, 1001, v(5, 1))]);
}

#[test]
fn what_is_left_out_is_not_sent() {
    let mut folding = Folding::new(10);
    let (old, new) = (v(5, 1), v(9, 2));
    take(&mut folding, Ruling::Folded, old, &row(1, &[(IMSI, 1), (ICCID, 1)]), set(&[IMSI]));
    let folded = take(&mut folding, Send, new, &row(1, &[(CLASS, 1), (FieldKind::Number, 4)]), set(&[CLASS]));
    sets(folded, &[(FieldKind::Number, 4, new), (ICCID, 1, old), (KEY, 1001, new)]);
}

#[test]
fn rows_that_are_not_part_of_a_sent_update_are_nothing() {
    let mut folding = Folding::new(10);
    for ruling in Ruling::ALL.into_iter().filter(|ruling| !ruling.is_sent() && !ruling.is_folded()) {
        let folded = take(&mut folding, ruling, v(9, 1), &row(1, &[(IMSI, 1)]), FieldSet::EMPTY);
        assert!(matches!(folded, Folded::Nothing), "{ruling:?}");
    }
    assert_eq!(folding.held(), 0);
}

#[test]
fn a_row_without_room_is_sent_early_and_the_rest_follows() {
    let mut folding = Folding::new(1);
    take(&mut folding, Ruling::Folded, v(9, 1), &row(1, &[(IMSI, 1)]), FieldSet::EMPTY);
    let folded = take(&mut folding, Ruling::Folded, v(9, 2), &row(2, &[(IMSI, 2)]), FieldSet::EMPTY);
    let Folded::Early(early) = folded else { panic!("no room for a second subject") };
    assert_sets(&early, &[(IMSI, 2, v(9, 2)), (KEY, 1002, v(9, 2))]);
    // Another row of a subject that is held takes no room.
    let folded = take(&mut folding, Ruling::Folded, v(9, 3), &row(1, &[(ICCID, 1)]), FieldSet::EMPTY);
    assert!(matches!(folded, Folded::Nothing));
    let folded = take(&mut folding, Send, v(9, 4), &row(2, &[(CLASS, 2)]), FieldSet::EMPTY);
    sets(folded, &[(KEY, 1002, v(9, 4)), (CLASS, 2, v(9, 4))]);
    assert_eq!((folding.held(), folding.early()), (1, 1));
}

#[test]
fn debug_shows_no_value() {
    let mut folding = Folding::new(10);
    take(&mut folding, Ruling::Folded, v(9, 1), &row(1, &[(IMSI, 310_260)]), FieldSet::EMPTY);
    assert_eq!(format!("{folding:?}"), "Folding { held: 1, early: 0 }");
}
