//! Rows that were corrected since they were sent: of what they said before, nothing is sent that would undo the
//! correction.
//!
//! Not here: how a correction is known (`ledger/said.rs`), what else keeps fields out of an update (`join.rs`).

use std::io;

use crate::ledger::LedgerEntry;
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

use super::record::{PartData, RowRecord};
use super::rows::Rows;
use super::rules::{DuplicatePolicy, PlanRules};

/// Fields of a row, as it is read, that are not to be sent because they would undo a correction of this very row:
/// with all the others, where none of them is news. It may be of an update that was `in_doubt` once, of these
/// versions.
pub(super) fn undone(
    (row, data): (&RowRecord, &PartData),
    entry: Option<&LedgerEntry>,
    in_doubt: &[Version],
    rules: &PlanRules,
) -> FieldSet {
    let is_any = |entry: &&LedgerEntry| !entry.said.is_empty() || !in_doubt.is_empty();
    let Some(entry) = entry.filter(is_any) else { return FieldSet::EMPTY };
    let version = data.version(row, rules.batch);
    let was_in_doubt = in_doubt.iter().any(|of| of.batch == version.batch && version <= *of);
    let fact = |kind| FieldFact { kind, hash: data.hash(row, kind), version };
    let is_undone = |kind: &FieldKind| {
        let fact = fact(*kind);
        entry.is_replaced(&fact) || was_in_doubt && entry.is_known_otherwise(&fact)
    };
    let mut read = row.present.union(row.left_out);
    read.remove(rules.key);
    let undone: FieldSet = read.iter().filter(is_undone).collect();
    let has_news = || !was_in_doubt && read.minus(undone).iter().any(|kind| entry.is_news(&fact(kind)));
    if undone.is_empty() || has_news() { undone } else { read }
}

/// Versions of updates that were in doubt, and are among these rows as they were, and of which a row was corrected.
/// Their digest is of all that was sent.
pub(super) fn corrected_in_doubt(
    rows: &Rows<'_>,
    entry: Option<&LedgerEntry>,
    rules: &PlanRules,
) -> io::Result<Vec<Version>> {
    let mut found = Vec::new();
    let is_fold = rules.duplicates == DuplicatePolicy::Fold;
    for version in entry.into_iter().flat_map(|entry| &entry.corrected).map(|corrected| corrected.version) {
        let mut read: [Option<FieldFact>; FIELD_COUNT] = [None; FIELD_COUNT];
        rows.look(|row, data| {
            let of = data.version(row, rules.batch);
            if of == version || is_fold && of.batch == version.batch && of < version {
                for kind in row.present.iter() {
                    read[kind.index()] = Some(FieldFact { kind, hash: data.hash(row, kind), version: of });
                }
            }
        })?;
        let read: Vec<FieldFact> = read.into_iter().flatten().collect();
        if entry.is_some_and(|entry| entry.was_corrected_in_doubt(version, &read)) {
            found.push(version);
        }
    }
    Ok(found)
}
