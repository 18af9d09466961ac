//! Under `each`, rows of which a later row of their subject is under way or has failed: what that one has left unknown
//! has not overtaken them, as long as it is sent behind them.
//!
//! Not here: what else keeps fields out of an update (`join.rs`, `corrected.rs`), the ruling on one update (`judge.rs`).

use std::io;

use crate::ledger::{FieldState, LedgerEntry};
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

use super::rows::Rows;
use super::rules::{DuplicatePolicy, InDoubtPolicy, PlanRules};
use super::ruling::Ruling;

/// Who knows of a subject's rows which of them come behind.
pub(super) struct Ahead<'a> {
    pub(super) entry: &'a LedgerEntry,
    pub(super) rules: &'a PlanRules,
    /// Fields whose version in the ledger is that of one of the rows here, which has the field.
    pub(super) by_own_row: FieldSet,
}

impl Ahead<'_> {
    /// Whether the field is unknown since a later row of the batch that this version is of, which is sent behind it.
    ///
    /// Of the batch itself every later row is: intents are opened ahead of the rows on the wire, and that row may not
    /// have been sent at all. Of an earlier batch it has to be one of the rows here, and nothing newer than the row of
    /// this version may be acknowledged: what failed is sent again in its order, and nothing stale.
    pub(super) fn is_open(&self, kind: FieldKind, version: Version) -> bool {
        let Some(field) = self.entry.field(kind) else { return false };
        let is_each = self.rules.duplicates == DuplicatePolicy::Each;
        let is_unknown_since = field.state == FieldState::Unknown && field.version.batch == version.batch;
        let is_behind = || {
            version.batch == self.rules.batch
                || self.by_own_row.contains(kind) && self.entry.is_unanswered_since(kind, version)
        };
        is_each && is_unknown_since && is_behind()
    }
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
