//! Why a row is held back that takes part in a true swap, in words: where the others stand; never a value.
//!
//! Not here: which rows swap (`plan/chain.rs`), and the file it is told in (`rows.rs`).

use super::rows::Why;
use crate::plan::Swap;
use crate::report::RowFileKind;
use crate::row::Place;

/// Where the rows of swaps stand.
pub(super) struct Swaps<'a> {
    /// Places of the rows that carry the updates of the first swaps, swap by swap.
    pub(super) places: &'a [Vec<Place>],
    /// The same swaps in the plan.
    pub(super) swaps: &'a [Swap],
    /// Names of the inputs.
    pub(super) names: Vec<String>,
}

impl Swaps<'_> {
    /// Why a row of the swap of this number, from 1, is held back.
    pub(super) fn why(&self, own: Place, swap: u32) -> Why {
        let at = usize::try_from(swap).unwrap_or_default().wrapping_sub(1);
        let obstacle = self.swaps.get(at).and_then(|swap| swap.obstacle);
        let obstacle = obstacle.map(|obstacle| format!(", and {}", obstacle.why())).unwrap_or_default();
        let others = self.places.get(at).into_iter().flatten().filter(|place| place.ordinal != own.ordinal);
        let others: Vec<String> = others.map(|place| self.text(*place)).collect();
        let whose =
            if others.is_empty() { "another subject of the same swap".into() } else { others.join(", ") };
        Why {
            kind: RowFileKind::Conflict,
            reason: "conflict.swap".into(),
            signature: String::new(),
            detail: format!(
                "takes what others give up that wait for it in turn, no order frees it first{obstacle}: {whose}"
            ),
        }
    }

    fn text(&self, place: Place) -> String {
        let name = usize::try_from(place.file).ok().and_then(|file| self.names.get(file));
        match name.filter(|_| self.names.len() > 1) {
            Some(name) => format!("{name}:{}", place.line),
            None => format!("line {}", place.line),
        }
    }
}
