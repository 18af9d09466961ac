//! What rows of different subjects have in common and may have: one IMEI under two subjects, and one ICCID with two
//! IMSIs (field-rules 1.11); and rows that tell another value of before than the ledger. Worth a warning where one of them would change something, and no reason to hold a row back.
//!
//! Not here: identifiers that belong to one subject alone (`conflict.rs`), how rows come together by value (`phases.rs`),
//! telling it (the wiring).

use crate::choice::choice;
use crate::event::Repeated;
use crate::update::FieldKind;

use super::claim::{Claim, Pair};

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

/// Whether the rows of one ICCID pair it with different IMSIs, and one of them would change something. Rows that will not
/// be sent are among them, if they were valid: each is as likely to be the wrong one. Pairs stand in their order.
pub(super) fn is_differently_paired(pairs: &[Pair]) -> bool {
    let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else { return false };
    first.imsi != last.imsi && pairs.iter().any(|pair| pair.is_live)
}

/// Whether several subjects claim a value, and one of the claims would change something.
pub(super) fn is_claimed_twice(claims: &[Claim]) -> bool {
    claims.len() > 1 && claims.iter().any(|claim| claim.is_live())
}

/// The claims of a value as the facts of the plan tell of them.
pub(super) fn repeated(claims: &[Claim]) -> Option<Repeated> {
    let first_ordinal = claims.iter().map(|claim| claim.ordinal()).min()?;
    Some(Repeated { field: claims[0].kind(), subjects: claims.len() as u64, first_ordinal })
}

/// The value that more subjects share; of two the one that comes first in the file.
pub(super) fn more_repeated(one: Option<Repeated>, other: Option<Repeated>) -> Option<Repeated> {
    let weight = |of: &Repeated| (of.subjects, std::cmp::Reverse((of.first_ordinal, of.field)));
    one.into_iter().chain(other).max_by_key(weight)
}
