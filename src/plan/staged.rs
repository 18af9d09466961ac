//! Rows that are encoded apart from the survey, on any thread, and taken by it in their order.
//!
//! Whoever judges rows ahead does not know how many rows come before his own: the ordinals here are lower than they
//! should be, by what is known when the rows are taken. Not here: the bytes of a row (`record.rs`), the taking
//! (`survey.rs`).

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

/// What is counted of rows while they are taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) bytes: u64,
    pub(super) valid: u64,
    /// Bits of all fields that any of them has.
    pub(super) fields: u16,
    /// Whether any has a place of its own among its subject's rows: an earlier version, or one that a column gives it.
    pub(super) is_ordered: bool,
}

impl Staged {
    /// Adds a valid row.
    pub fn row(&mut self, row: &Surveyed<'_>) {
        encode(row, &mut self.bytes);
    }

    /// Adds a rejected row that a column puts in its place among its subject's rows. It must not be replayed, since
    /// such a row keeps its version.
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

    /// Takes the rows up to an ordinal, one by one, after adding to theirs what is missing, and counts them.
    pub(super) fn take<'s>(
        &'s mut self,
        shift: u64,
        last: u64,
        counts: &'s mut Taken,
    ) -> impl Iterator<Item = (SubjectId, &'s [u8])> {
        let Staged { bytes, taken } = self;
        let mut rest = bytes.get_mut(*taken..).unwrap_or_default();
        std::iter::from_fn(move || {
            let head = head_of(rest)?;
            let ordinal = head.ordinal + shift;
            if ordinal > last {
                return None;
            }
            let (row, behind) = std::mem::take(&mut rest).split_at_mut(head.len);
            set_ordinal(row, ordinal);
            rest = behind;
            *taken += head.len;
            counts.bytes += head.len as u64;
            counts.valid += u64::from(!head.is_displaced);
            counts.fields |= head.fields;
            counts.is_ordered |= head.has_place();
            Some((head.subject, &*row))
        })
    }
}
