//! Conflicts: two subjects that claim one `number`, `imsi` or `iccid` in a batch.
//!
//! A claim is what a subject would hold in the end: the last value of the field among its rows that are an update or
//! part of one, the unchanged ones included. Not here: what a conflict means for a row (`dispositions.rs`); holders
//! that are in the ledger and not in the batch.

use crate::digest::FieldHash;
use crate::update::{FieldKind, FieldSet};

use super::ruling::Ruling;
use super::survey::{HashTable, Marks, RowRecord};

/// Conflicts that are listed; the rest is counted.
pub const CONFLICT_GROUPS_MAX: usize = 100;

/// Rows that are listed of a conflict; the rest is counted.
pub const CONFLICT_ORDINALS_MAX: usize = 10;

/// Fields of which one value belongs to one subject.
const EXCLUSIVE: [FieldKind; 3] = [FieldKind::Number, FieldKind::Imsi, FieldKind::Iccid];

/// One value that several subjects claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictGroup {
    /// The field whose value it is.
    pub field: FieldKind,
    /// Ordinals of the rows that make the claims, one per subject, ascending, at most [`CONFLICT_ORDINALS_MAX`].
    pub ordinals: Vec<u64>,
    /// Subjects that claim it.
    pub subjects: u64,
}

/// A contested value, before its rows are known.
#[derive(Debug)]
struct Contested {
    field: FieldKind,
    hash: FieldHash,
    first_ordinal: u64,
    subjects: u64,
    /// Whether any of its rows would be sent. A conflict among unchanged rows alone concerns nobody tonight.
    is_live: bool,
}

/// The contested values of a batch, ascending by field and hash.
#[derive(Debug)]
pub(super) struct Conflicts {
    contested: Vec<Contested>,
}

impl Conflicts {
    /// Finds the contested values and marks the rows that set them. Holds one hash per subject at a time.
    pub(super) fn find(records: &mut [RowRecord], table: &HashTable, key: FieldKind) -> Conflicts {
        let mut contested = Vec::new();
        for field in exclusive(table, key) {
            let repeated = table.repeated(field);
            if repeated.is_empty() {
                continue;
            }
            let mut claims: Vec<FieldHash> = records
                .chunk_by(same_subject)
                .filter_map(|rows| last_claim(rows, table, field))
                .map(|(hash, _)| hash)
                .filter(|hash| repeated.binary_search(hash).is_ok())
                .collect();
            claims.sort_unstable();
            contested.extend(claims.chunk_by(|one, next| one == next).filter(|equal| equal.len() > 1).map(
                |equal| Contested {
                    field,
                    hash: equal[0],
                    first_ordinal: u64::MAX,
                    subjects: equal.len() as u64,
                    is_live: false,
                },
            ));
        }
        let conflicts = Conflicts { contested };
        if !conflicts.contested.is_empty() {
            for rows in records.chunk_by_mut(same_subject) {
                conflicts.mark(rows, table, key);
            }
        }
        conflicts
    }

    fn mark(&self, rows: &mut [RowRecord], table: &HashTable, key: FieldKind) {
        for field in exclusive(table, key) {
            let Some((claimed, _)) = last_claim(rows, table, field) else { continue };
            if self.at(field, claimed).is_none() {
                continue;
            }
            // Earlier rows that set the same value are contested with the last one: sending them would claim it.
            for row in rows.iter_mut().filter(|row| claim(row, table, field) == Some(claimed)) {
                row.marks.add(Marks::CONTESTED);
            }
        }
    }

    /// Lists the conflicts that concern a row that is not unchanged, the earliest in the file first, and counts them
    /// all. To be asked when the rulings are final.
    pub(super) fn list(
        mut self,
        records: &[RowRecord],
        table: &HashTable,
        key: FieldKind,
    ) -> (Vec<ConflictGroup>, u64) {
        if self.contested.is_empty() {
            return (Vec::new(), 0);
        }
        self.visit(records, table, key, |contested, _, ordinal, is_live| {
            contested.first_ordinal = contested.first_ordinal.min(ordinal);
            contested.is_live |= is_live;
        });
        self.contested.retain(|contested| contested.is_live);
        let total = self.contested.len() as u64;
        // Only the listed ones stay, so that gathering their rows is bounded.
        self.contested.sort_unstable_by_key(|contested| contested.first_ordinal);
        self.contested.truncate(CONFLICT_GROUPS_MAX);
        self.contested.sort_unstable_by_key(|contested| (contested.field, contested.hash));
        let mut ordinals = vec![Vec::new(); self.contested.len()];
        self.visit(records, table, key, |_, at, ordinal, _| {
            let listed: &mut Vec<u64> = &mut ordinals[at];
            let place = listed.partition_point(|other| *other < ordinal);
            listed.insert(place, ordinal);
            listed.truncate(CONFLICT_ORDINALS_MAX);
        });
        let mut groups: Vec<ConflictGroup> = self
            .contested
            .into_iter()
            .zip(ordinals)
            .map(|(contested, ordinals)| ConflictGroup {
                field: contested.field,
                ordinals,
                subjects: contested.subjects,
            })
            .collect();
        groups.sort_by(|one, other| (&one.ordinals, one.field).cmp(&(&other.ordinals, other.field)));
        (groups, total)
    }

    /// Visits every claim of a contested value: the value, its index, the claiming row, whether the claim is to be
    /// made anew.
    fn visit(
        &mut self,
        records: &[RowRecord],
        table: &HashTable,
        key: FieldKind,
        mut visitor: impl FnMut(&mut Contested, usize, u64, bool),
    ) {
        for rows in records.chunk_by(same_subject) {
            for field in exclusive(table, key) {
                let Some((claimed, ordinal)) = last_claim(rows, table, field) else { continue };
                if let Some(at) = self.at(field, claimed) {
                    let is_live = rows.iter().any(|row| {
                        row.ruling != Ruling::Unchanged && claim(row, table, field) == Some(claimed)
                    });
                    visitor(&mut self.contested[at], at, ordinal, is_live);
                }
            }
        }
    }

    fn at(&self, field: FieldKind, hash: FieldHash) -> Option<usize> {
        self.contested
            .binary_search_by_key(&(field, hash), |contested| (contested.field, contested.hash))
            .ok()
    }
}

/// Whether two records are of one subject, for walking over sorted records subject by subject.
pub(super) fn same_subject(one: &RowRecord, other: &RowRecord) -> bool {
    one.subject == other.subject
}

/// The exclusive fields that can be contested here. Equal values of the key field are one subject.
fn exclusive(table: &HashTable, key: FieldKind) -> impl Iterator<Item = FieldKind> {
    let mapped: FieldSet = table.mapped();
    EXCLUSIVE.into_iter().filter(move |field| *field != key && mapped.contains(*field))
}

/// The value of the field that the row claims, [`FieldHash::CLEARED`] where it gives it up.
fn claim(row: &RowRecord, table: &HashTable, field: FieldKind) -> Option<FieldHash> {
    let claims = row.marks.has(Marks::PART) && row.present.contains(field);
    claims.then(|| table.hash(row.ordinal, field))
}

/// The value that the subject claims in the end, and the row that sets it. Rows stand in the order of versions. Many
/// subjects may clear a field: that is no claim.
pub(super) fn last_claim(
    rows: &[RowRecord],
    table: &HashTable,
    field: FieldKind,
) -> Option<(FieldHash, u64)> {
    let last = rows.iter().rev().find_map(|row| Some((claim(row, table, field)?, row.ordinal)));
    last.filter(|(hash, _)| *hash != FieldHash::CLEARED)
}
