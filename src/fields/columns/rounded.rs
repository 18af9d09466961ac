//! Long numbers in columns of opaque identifiers that were rounded on their way: 15 digits kept and zeros behind them,
//! as spreadsheets do, or the nearest double, as `int(float(x))` gives. Rounding makes one identifier of several, and
//! one of several customers.
//!
//! A single such value is sound by chance, so only the column convicts. Not here: ICCIDs, which have rules of their own
//! (`iccid.rs`), and numbers that show their damage (`mangle.rs`).

use crate::fields::luhn::is_digits;
use crate::row::Place;

use super::{AFFECTED_MIN, Tally};

/// Digits of the numbers that are watched: with fewer, a spreadsheet keeps them all; with more, it is no integer of a
/// database.
const DIGITS: std::ops::RangeInclusive<usize> = 16..=20;
/// Digits that a spreadsheet keeps.
const SPREADSHEET_DIGITS: usize = 15;
/// Unit in which chances are counted: one value that passes for certain.
const CERTAIN: u128 = 1_000_000;
/// So many standard deviations above chance, squared, are no chance.
const DEVIATIONS_SQUARED: u128 = 25;
/// Of rounded numbers every second is an odd multiple of the step between doubles. Numbers with bits at the end that
/// are always zero by design (Snowflake ids) never are. A share of one in so many tells them apart.
const ODD_ONE_IN: u64 = 4;

/// How often values look rounded in one way, and how often chance has them look so.
#[derive(Debug, Clone, Copy, Default)]
struct Sign {
    seen: Tally,
    /// In units of [`CERTAIN`].
    expected: u128,
}

impl Sign {
    fn note(&mut self, place: Place, is_seen: bool, chance: u128) {
        self.expected += chance;
        if is_seen {
            self.seen.add(place);
        }
    }

    /// Whether it was seen far more often than chance explains.
    fn is_convicted(&self) -> bool {
        let above = (u128::from(self.seen.count) * CERTAIN).saturating_sub(self.expected);
        let variance = self.expected.saturating_mul(CERTAIN).saturating_mul(DEVIATIONS_SQUARED);
        self.seen.count >= AFFECTED_MIN && above > 0 && above.saturating_mul(above) > variance
    }

    fn convicted(&self) -> Tally {
        if self.is_convicted() { self.seen } else { Tally::default() }
    }
}

/// The long numbers of one column.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounded {
    double: Sign,
    odd: u64,
    zeros: Sign,
}

impl Rounded {
    /// Takes over what was noted of the rows that come next, whose ordinals are `shift` lower than they should be.
    pub(super) fn merge(&mut self, other: &Rounded, shift: u64) {
        for (sign, noted) in [(&mut self.double, other.double), (&mut self.zeros, other.zeros)] {
            sign.seen.merge(noted.seen.shifted(shift));
            sign.expected += noted.expected;
        }
        self.odd += other.odd;
    }

    pub(super) fn observe(&mut self, place: Place, value: &str) {
        if !DIGITS.contains(&value.len()) || value.starts_with('0') || !is_digits(value) {
            return;
        }
        let Ok(number) = value.parse::<u128>() else { return };
        let kept = value.len() - SPREADSHEET_DIGITS;
        let zeros = value.bytes().rev().take_while(|digit| *digit == b'0').count();
        self.zeros.note(place, zeros >= kept, CERTAIN / power_of_ten(kept));
        // Below 2^53 every number is a double.
        let step_bits = (u128::BITS - number.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
        if step_bits > 0 {
            let is_double = number.trailing_zeros() >= step_bits;
            self.double.note(place, is_double, CERTAIN >> step_bits);
            self.odd += u64::from(number.trailing_zeros() == step_bits);
        }
    }

    /// Values that a double holds exactly, where they are too many to be so by chance or by design.
    pub(super) fn float(&self) -> Tally {
        let is_by_design = self.odd.saturating_mul(ODD_ONE_IN) < self.double.seen.count;
        // A column that a spreadsheet rounded has doubles among its values, and is told as that.
        if is_by_design || self.zeros.is_convicted() { Tally::default() } else { self.double.convicted() }
    }

    /// Values of which no more than a spreadsheet's fifteen digits are left.
    pub(super) fn zeros(&self) -> Tally {
        self.zeros.convicted()
    }
}

fn power_of_ten(exponent: usize) -> u128 {
    (0..exponent).fold(1, |power, _| power * 10)
}
