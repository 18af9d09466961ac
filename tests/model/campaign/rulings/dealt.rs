//! The order of a subject's rows where a column gives it: the ordinals they have, dealt out anew from the oldest to
//! the newest.
//!
//! Not here: what follows for rows, which is as for any versions (`rulings.rs`).

use std::collections::BTreeMap;

use super::super::laws::Flaw;
use super::super::rows::Row;
use super::Rules;

/// The ordinals that rows have instead of their own. Rows fed back keep their versions, and rejected ones take part:
/// they may come back corrected. Rows of the same age stay in the order of the file.
pub(super) fn dealt(rows: &[Row], rules: Rules) -> BTreeMap<u64, u64> {
    let mut dealt = BTreeMap::new();
    if !rules.is_ordered || rules.laws.has(Flaw::AgesPassedOver) {
        return dealt;
    }
    let mut subjects: BTreeMap<&String, Vec<(Option<u64>, u64)>> = BTreeMap::new();
    for (ordinal, row) in (1..).zip(rows).filter(|(_, row)| row.origin.is_none()) {
        // One that says nothing is older than all that do.
        subjects.entry(&row.subject).or_default().push((row.rank, ordinal));
    }
    for mut rows in subjects.into_values() {
        let ordinals: Vec<u64> = rows.iter().map(|(_, ordinal)| *ordinal).collect();
        rows.sort_unstable();
        dealt.extend(rows.iter().map(|(_, ordinal)| *ordinal).zip(ordinals));
    }
    dealt
}
