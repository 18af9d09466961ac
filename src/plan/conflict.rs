//! Conflicts: two subjects that claim one `number`, `imsi` or `iccid` in a batch.
//!
//! A claim is what a subject would hold in the end: the last value of the field among its rows that are an update or
//! part of one, the unchanged ones included. Not here: what a conflict means for a row (`ruler.rs`), how claims come
//! together (`matching.rs`); holders that are in the ledger and not in the batch.

use std::io;

use crate::update::FieldKind;

use super::claim::Claim;
use super::values::{OneValue, Sums};

/// Conflicts that are listed; the rest is counted.
pub const CONFLICT_GROUPS_MAX: usize = 100;

/// Rows that are listed of a conflict; the rest is counted.
pub const CONFLICT_ORDINALS_MAX: usize = 10;

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

/// The first conflicts in file order, and how many there are.
#[derive(Debug, Default)]
pub(super) struct ConflictList {
    groups: Vec<ConflictGroup>,
    total: u64,
}

impl ConflictList {
    /// Takes the final claims of a contested value, one per subject. Where none of them would change anything, it is a
    /// conflict among unchanged rows alone and concerns nobody tonight.
    pub(super) fn take(&mut self, value: &OneValue<'_, Claim>) -> io::Result<()> {
        let Sums { field, claims, is_live, .. } = Sums::of(value)?;
        if claims < 2 || !is_live {
            return Ok(());
        }
        self.total += 1;
        let mut ordinals: Vec<u64> = Vec::new();
        value.each(&mut |claims| {
            ordinals.extend(claims.iter().map(|claim| claim.ordinal()));
            ordinals.sort_unstable();
            ordinals.truncate(CONFLICT_ORDINALS_MAX);
            Ok(())
        })?;
        self.groups.push(ConflictGroup { field, ordinals, subjects: claims });
        if self.groups.len() > 2 * CONFLICT_GROUPS_MAX {
            self.keep_first();
        }
        Ok(())
    }

    /// Takes what was found elsewhere.
    pub(super) fn append(&mut self, mut other: ConflictList) {
        self.total += other.total;
        self.groups.append(&mut other.groups);
        self.keep_first();
    }

    /// The conflicts that are listed, in file order, and how many there are.
    pub(super) fn finish(mut self) -> (Vec<ConflictGroup>, u64) {
        self.keep_first();
        (self.groups, self.total)
    }

    fn keep_first(&mut self) {
        self.groups.sort_by(|one, other| (&one.ordinals, one.field).cmp(&(&other.ordinals, other.field)));
        self.groups.truncate(CONFLICT_GROUPS_MAX);
    }
}
