//! Two numbers in one cell, told apart by nothing but a stroke, white space or a dash: `030 1234 / 030 5678`,
//! `030 123456/57`.
//!
//! Not here: numbers behind a semicolon, a comma or another `+`, which no number holds (`culprit` in `number.rs`).

use crate::fields::clean::is_spacing;

use super::{Country, calling_code, has_possible_length};

/// Fewest digits of a national number that is complete before a stroke. Area codes are shorter; what follows one is
/// the rest of its number.
const COMPLETE_DIGITS_MIN: usize = 7;
/// Fewest digits of a national number that another one with its area code may follow.
const FOLLOWED_DIGITS_MIN: usize = 6;
/// Fewest digits, the zero among them, of a number with its area code. Groups of one number are shorter.
const WITH_AREA_DIGITS_MIN: usize = 6;

/// Whether so many digits behind `+` are too few to be a number of their own, whatever white space and digits follow.
pub(super) fn are_too_few(digits: usize) -> bool {
    // One of them at least is the calling code's.
    digits <= FOLLOWED_DIGITS_MIN
}

/// Whether the text behind `+`, or without one, is more than one number. A stroke ends a number that is complete, and
/// one that is followed by a trunk zero; white space only where a whole number with a trunk zero follows.
pub(super) fn holds_several(text: &str, international: bool, country: Option<Country>) -> bool {
    let mut digits = String::new();
    let (mut stroke, mut space) = (false, false);
    for (at, c) in text.char_indices() {
        if !c.is_ascii_digit() {
            stroke |= matches!(c, '/' | '／');
            space |= c != '-' && is_spacing(c);
            continue;
        }
        if (stroke || space) && ends_before(&digits, &text[at..], stroke, international, country) {
            return true;
        }
        (stroke, space) = (false, false);
        digits.push(c);
    }
    false
}

/// Whether the digits are a number of their own and not the beginning of one that `rest` ends.
fn ends_before(
    digits: &str,
    rest: &str,
    stroke: bool,
    international: bool,
    country: Option<Country>,
) -> bool {
    let Some((code, national)) = parts(digits, international, country) else { return false };
    let significant = national.strip_prefix('0').unwrap_or(national);
    let is_complete = has_possible_length(code, significant) || has_possible_length(code, national);
    let has_trunk_zero = rest.starts_with('0');
    if stroke {
        return (is_complete && significant.len() >= COMPLETE_DIGITS_MIN)
            || (has_trunk_zero && significant.len() >= FOLLOWED_DIGITS_MIN);
    }
    let following = || rest.bytes().filter(u8::is_ascii_digit).count();
    has_trunk_zero
        && is_complete
        && significant.len() >= FOLLOWED_DIGITS_MIN
        && following() >= WITH_AREA_DIGITS_MIN
}

/// The calling code and the national digits of what may be a number; `None` where no calling code is known.
fn parts(digits: &str, international: bool, country: Option<Country>) -> Option<(u16, &str)> {
    if international {
        return calling_code(digits);
    }
    match digits.strip_prefix("00") {
        Some(abroad) => calling_code(abroad),
        None => Some((country?.calling_code()?, digits)),
    }
}
