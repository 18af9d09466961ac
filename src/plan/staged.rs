//! Rows that are encoded apart from the survey, on any thread, and taken by it in their order.
//!
//! Whoever judges rows ahead does not know how many rows come before his own: the ordinals here are lower than they should
//! be, by what is known when the rows are taken. Not here: the bytes of a row (`record.rs`), the taking (`survey.rs`).

use crate::digest::SubjectId;

use super::record::{encode, encode_displaced, head_of, set_ordinal};
use super::survey::Surveyed;

/// Rows in file order, encoded, of which those that the survey has taken lie in front.
#[derive(Debug, Default)]
pub struct Staged {
    bytes: Vec<u8>,
    /// Bytes of the rows that were taken.
    taken: usize,
}

/// Rows that were taken: their bytes, and how many of them are valid.
pub(super) struct Taken<'s> {
    pub(super) bytes: &'s [u8],
    pub(super) valid: u64,
    /// Bits of all fields that any of them has.
    pub(super) fields: u16,
}

impl Staged {
    /// Adds a valid row.
    pub fn row(&mut self, row: &Surveyed<'_>) {
        encode(row, &mut self.bytes);
    }

    /// Adds a rejected row that a column puts in its place among its subject's rows. It must not be replayed, since such
    /// a row keeps its version.
    pub fn rejected_in_order(&mut self, ordinal: u64, subject: SubjectId, rank: i128) {
        encode_displaced(ordinal, subject, rank, &mut self.bytes);
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }

    /// Bytes of the rows that were not taken yet.
    pub fn bytes_left(&self) -> u64 {
        (self.bytes.len() - self.taken) as u64
    }

    /// Takes the rows up to an ordinal, after adding to theirs what is missing.
    pub(super) fn take(&mut self, shift: u64, last: u64) -> Taken<'_> {
        let begin = self.taken;
        let (mut valid, mut fields) = (0, 0);
        while let Some(head) = head_of(&self.bytes[self.taken..]) {
            let ordinal = head.ordinal + shift;
            if ordinal > last {
                break;
            }
            set_ordinal(&mut self.bytes[self.taken..], ordinal);
            self.taken += head.len;
            valid += u64::from(!head.is_displaced);
            fields |= head.fields;
        }
        Taken { bytes: &self.bytes[begin..self.taken], valid, fields }
    }
}
