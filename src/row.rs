//! Facts about rows: where a row stands, and what a row of our own reports says about its past.
//!
//! Not here: reading rows (`input/`), checking them (`fields/`), ruling on them (`plan/`).

use std::fmt;

/// The place of a row: everything an operator needs to find it, and its position in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Ordinal of the row in the batch, over all inputs in their order. The first row is 1.
    pub ordinal: u64,
    /// Index of the input in the order it was given.
    pub file: u32,
    /// Line on which the record begins. The first line of a file is 1 (the CSV header, usually).
    pub line: u64,
}

/// Which update of a subject is newer: batches are numbered in the order they were begun on a target, rows by
/// their ordinal. Versions are kept per field, as the guard against stale replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// Sequence number of the batch on its target; the first is 1.
    pub batch: u64,
    /// Ordinal of the row within that batch; 0 for what goes before all of them, a clear that breaks a true swap.
    pub ordinal: u64,
}

impl Version {
    /// Of what goes before all rows of its batch.
    pub const BEFORE_ALL_ROWS: u64 = 0;

    /// Whether it is that of what goes before all rows of its batch.
    pub const fn is_before_all_rows(self) -> bool {
        self.ordinal == Version::BEFORE_ALL_ROWS
    }
}

/// What a row fed back from one of our own files (`rejected.csv`, `failed.csv`, `in_doubt.csv`) says of its past:
/// the columns `_run` and `_row`. Such a row keeps the version it had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Value of `_run`, the id of the run that wrote the file.
    pub run: String,
    /// Value of `_row`, the row's ordinal in that run's batch.
    pub row: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.batch, self.ordinal)
    }
}
