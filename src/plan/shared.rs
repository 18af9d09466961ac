//! What rows of different subjects have in common and may have: one IMEI under two subjects, and one ICCID with two
//! IMSIs (field-rules 1.11). Worth a warning, and no reason to hold a row back.
//!
//! Not here: identifiers that belong to one subject alone (`conflict.rs`), telling it (the wiring).

use crate::choice::choice;
use crate::digest::FieldHash;
use crate::update::FieldKind;

use super::conflict::{last_claim, same_subject};
use super::survey::{HashTable, RowRecord, index_of};

choice! {
    /// What is shared; its name is the code of its rule.
    pub enum SharedKind {
        /// Another subject has the same IMEI. Of each subject, the row that sets it.
        Imei = "x.imei_shared",
        /// Another row has the same ICCID with another IMSI.
        Pair = "x.pair",
    }
}

impl SharedKind {
    /// The field it is about.
    pub const fn field(self) -> FieldKind {
        match self {
            SharedKind::Imei => FieldKind::Imei,
            SharedKind::Pair => FieldKind::Iccid,
        }
    }
}

/// A set of rows, a bit each; nothing as long as it is empty.
#[derive(Debug, Default)]
struct Rows {
    bits: Vec<u64>,
}

impl Rows {
    fn insert(&mut self, ordinal: u64, rows: u64) {
        if self.bits.is_empty() {
            self.bits.resize(index_of(rows.max(1)) / 64 + 1, 0);
        }
        let at = index_of(ordinal);
        self.bits[at / 64] |= 1 << (at % 64);
    }

    fn contains(&self, ordinal: u64) -> bool {
        let at = index_of(ordinal);
        self.bits.get(at / 64).is_some_and(|bits| bits & (1 << (at % 64)) != 0)
    }
}

/// The rows of each kind.
#[derive(Debug, Default)]
pub(super) struct Shared {
    rows: [Rows; SharedKind::ALL.len()],
}

impl Shared {
    /// Finds them among the rows of a batch, grouped by subject in the order of versions. Sorts a hash or two per row.
    pub(super) fn find(records: &[RowRecord], table: &HashTable, key: FieldKind, rows: u64) -> Shared {
        let mut shared = Shared::default();
        let mapped = table.mapped();
        if mapped.contains(FieldKind::Imei) && key != FieldKind::Imei {
            shared.imeis(records, table, rows);
        }
        if mapped.contains(FieldKind::Imsi) && mapped.contains(FieldKind::Iccid) {
            shared.pairs(table, rows);
        }
        shared
    }

    /// What is to be told of a row.
    pub(super) fn of(&self, ordinal: u64) -> impl Iterator<Item = SharedKind> {
        SharedKind::ALL
            .into_iter()
            .zip(&self.rows)
            .filter(move |(_, rows)| rows.contains(ordinal))
            .map(|of| of.0)
    }

    /// Whether there is a row of this kind.
    pub(super) fn is_any(&self, kind: SharedKind) -> bool {
        !self.rows[kind as usize].bits.is_empty()
    }

    fn imeis(&mut self, records: &[RowRecord], table: &HashTable, rows: u64) {
        let claims =
            || records.chunk_by(same_subject).filter_map(|rows| last_claim(rows, table, FieldKind::Imei));
        let rows_alike = table.repeated(FieldKind::Imei);
        if rows_alike.is_empty() {
            return;
        }
        let alike = claims().map(|(hash, _)| hash).filter(|hash| rows_alike.binary_search(hash).is_ok());
        let mut hashes: Vec<FieldHash> = alike.collect();
        hashes.sort_unstable();
        let shared = repeated(&hashes);
        if shared.is_empty() {
            return;
        }
        for (_, ordinal) in claims().filter(|(hash, _)| shared.binary_search(hash).is_ok()) {
            self.rows[SharedKind::Imei as usize].insert(ordinal, rows);
        }
    }

    fn pairs(&mut self, table: &HashTable, rows: u64) {
        // In file order: one row after the other is in memory where subjects are scattered.
        let pairs = || table.pairs(FieldKind::Iccid, FieldKind::Imsi);
        let mut distinct: Vec<(FieldHash, FieldHash)> =
            pairs().map(|(_, iccid, imsi)| (iccid, imsi)).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let iccids: Vec<FieldHash> = distinct.iter().map(|(iccid, _)| *iccid).collect();
        drop(distinct);
        let shared = repeated(&iccids);
        if shared.is_empty() {
            return;
        }
        for (ordinal, _, _) in pairs().filter(|(_, iccid, _)| shared.binary_search(iccid).is_ok()) {
            self.rows[SharedKind::Pair as usize].insert(ordinal, rows);
        }
    }
}

/// The hashes that occur more than once, each once; both ascending.
fn repeated(sorted: &[FieldHash]) -> Vec<FieldHash> {
    sorted.chunk_by(|one, next| one == next).filter(|equal| equal.len() > 1).map(|equal| equal[0]).collect()
}
