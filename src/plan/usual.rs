//! What is usual at a target: the median over its latest whole exports.
//!
//! The median, because one odd night must not change what is usual, and an export that has shrunk for good must become
//! usual by itself: after a few nights that were let through. Not here: the bounds (`gates.rs`), where the figures are
//! kept (`journal/`), which batches count (the wiring).

use crate::event::{BatchFigures, PlanFacts};
use crate::update::FIELD_COUNT;

/// Fewest exports from which something is usual: after a first large import, a small file of corrections is no
/// surprise.
const USUAL_EXPORTS_MIN: usize = 3;

/// What is usual at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usual {
    /// Batches it was learned from.
    pub(super) batches: usize,
    /// Median of their rows.
    pub(super) rows: u64,
    /// For each field, rows with a value and rows of the batch whose share of filled rows is the median.
    pub(super) filled: [(u64, u64); FIELD_COUNT],
}

impl Usual {
    /// What is usual where the plan is of a whole export; `None` where nothing is known or nothing can be compared.
    pub(super) fn of(facts: &PlanFacts) -> Option<Usual> {
        if !facts.is_whole {
            return None;
        }
        let batches: Vec<&BatchFigures> = facts.usual.iter().filter(|figures| figures.rows > 0).collect();
        if batches.len() < USUAL_EXPORTS_MIN {
            return None;
        }
        let rows = median(batches.iter().map(|figures| figures.rows).collect())?;
        let mut filled = [(0, 0); FIELD_COUNT];
        for (index, slot) in filled.iter_mut().enumerate() {
            let mut shares: Vec<(u64, u64)> =
                batches.iter().map(|figures| (figures.filled[index], figures.rows)).collect();
            // Shares are compared by cross products, in numbers wide enough for any.
            let cross = |one: u64, other: u64| u128::from(one) * u128::from(other);
            shares.sort_by(|one, other| cross(one.0, other.1).cmp(&cross(other.0, one.1)));
            *slot = middle(&shares)?;
        }
        Some(Usual { batches: batches.len(), rows, filled })
    }

    /// What it was learned from, in words.
    pub(super) fn basis(&self) -> String {
        format!("the last {} exports", self.batches)
    }
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    middle(&numbers)
}

/// The middle one; of an even number the lower, so that less is judged.
fn middle<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rows: u64, filled: u64) -> BatchFigures {
        BatchFigures { rows, filled: [filled; FIELD_COUNT], ..BatchFigures::default() }
    }

    fn usual(usual: Vec<BatchFigures>) -> Option<Usual> {
        Usual::of(&PlanFacts { usual, is_whole: true, ..PlanFacts::default() })
    }

    #[test]
    fn it_is_the_median_by_share_and_not_by_number() {
        let found = usual(vec![figures(1_000, 900), figures(10, 1), figures(2_000, 1_000)]).unwrap();
        assert_eq!((found.batches, found.rows, found.filled[0]), (3, 1_000, (1_000, 2_000)));
    }

    #[test]
    fn one_odd_night_changes_nothing_and_a_shrunken_export_becomes_usual() {
        let mut nights = vec![figures(10_000, 1); 7];
        nights.push(figures(10, 1));
        assert_eq!(usual(nights.clone()).unwrap().rows, 10_000);
        nights.splice(..4, std::iter::repeat_n(figures(4_000, 1), 4));
        assert_eq!(usual(nights).unwrap().rows, 4_000);
    }

    #[test]
    fn nothing_is_usual_where_nothing_was_kept_or_the_input_is_a_part() {
        assert_eq!(usual(Vec::new()), None);
        assert_eq!(usual(vec![figures(0, 0); 5]), None);
        assert_eq!(usual(vec![figures(9, 9); 2]), None);
        assert!(usual(vec![figures(9, 9); 3]).is_some());
        let facts = PlanFacts { usual: vec![figures(9, 9); 3], ..PlanFacts::default() };
        assert_eq!(Usual::of(&facts), None);
    }
}
