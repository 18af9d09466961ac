//! What rows of different subjects have in common and may have: one IMEI under two subjects, and one ICCID with two
//! IMSIs (field-rules 1.11); and rows that tell another value of before than the ledger. Worth a warning where one of
//! them would change something, and no reason to hold a row back.
//!
//! Not here: identifiers that belong to one subject alone (`conflict.rs`), how rows come together by value
//! (`matching.rs`), telling it (the wiring).

use crate::choice::choice;
use crate::event::{KeyRepeated, Repeated};
use crate::update::FieldKind;

choice! {
    /// What is shared; its name is the code of its rule.
    pub enum SharedKind {
        /// Another subject has the same IMEI. Of each subject, the row that sets it.
        Imei = "x.imei_shared",
        /// Another row has the same ICCID with another IMSI.
        Pair = "x.pair",
        /// The ledger knows another value of before than the row tells.
        Old = "x.old_differs",
    }
}

impl SharedKind {
    /// The field it is about, where it is about one.
    pub const fn field(self) -> Option<FieldKind> {
        match self {
            SharedKind::Imei => Some(FieldKind::Imei),
            SharedKind::Pair => Some(FieldKind::Iccid),
            SharedKind::Old => None,
        }
    }
}

/// The subject with more rows; of two the one that comes first in the file.
pub(super) fn more_rows(one: Option<KeyRepeated>, other: Option<KeyRepeated>) -> Option<KeyRepeated> {
    let weight = |of: &KeyRepeated| (of.rows, std::cmp::Reverse(of.first_ordinal));
    one.into_iter().chain(other).max_by_key(weight)
}

/// The value that more subjects share; of two the one that comes first in the file.
pub(super) fn more_repeated(one: Option<Repeated>, other: Option<Repeated>) -> Option<Repeated> {
    let weight = |of: &Repeated| (of.subjects, std::cmp::Reverse((of.first_ordinal, of.field)));
    one.into_iter().chain(other).max_by_key(weight)
}
