//! Under `each`, rows of which a later row of their subject is under way: what that one has left unknown has not overtaken
//! them, as long as it is sent behind them. And what is held holds back what is older.
//!
//! Not here: what else keeps fields out of an update (`join.rs`, `corrected.rs`), the ruling on one update (`judge.rs`).

use std::io;

use crate::ledger::{FieldState, LedgerEntry};
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

use super::rows::Rows;
use super::rules::{DuplicatePolicy, InDoubtPolicy, PlanRules};
use super::ruling::Ruling;

/// Whether a field of a row of this version is unknown since a later row of the same batch, and that is the batch that is
/// run: intents are opened ahead of the rows on the wire, so that row comes behind, and may not have been sent at all.
///
/// Not so of rows fed back: of several that failed the last may have been applied, and is what was meant in the end.
pub(super) fn is_open_ahead(
    entry: &LedgerEntry,
    kind: FieldKind,
    version: Version,
    rules: &PlanRules,
) -> bool {
    rules.duplicates == DuplicatePolicy::Each
        && version.batch == rules.batch
        && entry
            .field(kind)
            .is_some_and(|field| field.version.batch == rules.batch && field.state == FieldState::Unknown)
}

/// Holds back what is older than a row that is held, where both say something of a field that is unknown since that
/// row, or one behind it: it may have been applied, and would be overwritten.
pub(super) fn hold_behind_held(
    rows: &mut Rows<'_>,
    entry: &LedgerEntry,
    rules: &PlanRules,
) -> io::Result<()> {
    if rules.in_doubt != InDoubtPolicy::Hold || rows.is_single() || entry.unknown().is_empty() {
        return Ok(());
    }
    let mut held = FieldSet::EMPTY;
    rows.change_back(|row, data| {
        let version = data.version(row, rules.batch);
        let is_newer = |kind: &FieldKind| entry.field(*kind).is_some_and(|field| field.version > version);
        let unknown = row.present.intersect(entry.unknown()).minus(FieldSet::only(rules.key));
        if row.ruling.is_sent() && unknown.intersect(held).iter().any(|kind| is_newer(&kind)) {
            row.ruling = Ruling::Held;
        }
        if row.ruling == Ruling::Held {
            held = held.union(unknown);
        }
    })
}
