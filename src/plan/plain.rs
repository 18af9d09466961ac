//! The short way to a ruling: a subject with one row, which says what the ledger holds.
//!
//! On most nights nearly all subjects are so, and a few comparisons tell. Whatever is special about the row, its
//! entry or the rules is ruled on at length, with the same outcome where both apply. Not here: that (`join.rs`).

use crate::digest::FieldHash;
use crate::ledger::{FieldState, LedgerEntry};
use crate::row::Version;
use crate::update::FieldKind;

use super::record::{Marks, PartData, RowRecord};
use super::rules::{DuplicatePolicy, PlanRules, SendMode};

/// Whether the only row of its subject is unchanged for the plainest of reasons: every field that it has is known to
/// be as it says, by nothing newer, and nothing of the subject ever failed or is in doubt. `false` says nothing.
pub(super) fn is_plainly_unchanged(
    row: &RowRecord,
    data: &PartData,
    entry: &LedgerEntry,
    rules: &PlanRules,
) -> bool {
    let is_usual = rules.duplicates != DuplicatePolicy::Each
        && rules.send == SendMode::Full
        && !rules.full
        && rules.resend_after_s.is_none();
    let has_no_past = entry.in_doubt.is_empty()
        && entry.refusals.is_empty()
        && entry.said.is_empty()
        && entry.corrected.is_empty();
    if !is_usual || !has_no_past || row.marks != Marks::NONE || row.present.len() < 2 {
        return false;
    }
    let version = Version { batch: rules.batch, ordinal: row.ordinal };
    let is_as_it_says = |(kind, hash): (FieldKind, &u64)| {
        let known = FieldState::Known(FieldHash(*hash));
        let field = entry.fields[kind.index()].as_ref();
        field.is_some_and(|field| field.state == known && field.version <= version)
    };
    row.present.iter().zip(data.line(row)).all(is_as_it_says)
}
