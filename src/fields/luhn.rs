//! Digits: the Luhn check digit (ISO/IEC 7812-1 annex B) and small questions about strings of digits.
//!
//! Not here: what a failed check digit means; for half of the identifiers in the field it means nothing.

/// Whether the value is not empty and has ASCII digits only.
pub(super) fn is_digits(value: &str) -> bool {
    let bytes = value.as_bytes();
    // Identifiers are longer than eight digits, and eight are compared at once.
    let (eights, _) = bytes.as_chunks::<8>();
    match bytes.last_chunk::<8>() {
        Some(last) => eights.iter().chain([last]).all(|eight| are_digits(u64::from_le_bytes(*eight))),
        None => !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit),
    }
}

/// Whether all eight bytes are ASCII digits: 0x30 to 0x39, which six more leaves below 0x40.
fn are_digits(eight: u64) -> bool {
    let high = 0xF0 * EACH;
    let plus_six = eight.wrapping_add(0x06 * EACH);
    // A byte that carries into the next one has no 3 in front.
    eight & high == 0x30 * EACH && plus_six & high == 0x30 * EACH
}

/// One in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Whether every character equals the first: no identifier in use, but what people type into a required field.
pub(super) fn all_same(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() > 1 && bytes.iter().all(|byte| *byte == bytes[0])
}

/// Whether the last digit is the Luhn check digit of those before it. `digits` has ASCII digits only.
pub(super) fn passes(digits: &str) -> bool {
    digits.len() > 1 && sum(digits, false).is_multiple_of(10)
}

/// The check digit that makes `digits` pass once it is appended.
pub(super) fn check_digit(digits: &str) -> char {
    let digit = (10 - sum(digits, true) % 10) % 10;
    char::from_digit(digit, 10).unwrap_or('0')
}

/// Luhn sum from the right; `double_last` says whether the rightmost digit is one of those doubled.
fn sum(digits: &str, double_last: bool) -> u32 {
    // Every second byte is doubled: the first of each pair, or the second.
    let doubled = if double_last { 0xFF00_FF00_FF00_FF00 } else { 0x00FF_00FF_00FF_00FF };
    let (rest, eights) = digits.as_bytes().as_rchunks::<8>();
    // What is left in front stands behind nothing, which adds nothing.
    let rest = rest.iter().fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56);
    let eights = eights.iter().map(|eight| u64::from_le_bytes(*eight));
    std::iter::once(rest).chain(eights).map(|eight| sum_of_eight(eight, doubled)).sum()
}

/// Luhn sum of eight digits, of which the bytes of this mask are doubled, all at once.
fn sum_of_eight(eight: u64, doubled: u64) -> u32 {
    let digits = eight & (0x0F * EACH);
    let (twice, once) = (2 * (digits & doubled), digits & !doubled);
    // Twice a digit above four has two digits, which add up to nine less.
    let above_four = ((digits & doubled) + 0x7B * EACH) >> 7 & EACH;
    let sums = once + twice - 9 * above_four;
    // The uppermost byte of the product is the sum of all bytes, at most 72.
    u32::from(sums.wrapping_mul(EACH).to_be_bytes()[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Eight at once say what one after the other says, wherever the odd one stands.
        #[test]
        fn digits_are_told_as_one_by_one(value in "[0-9]{0,20}[ -~é]?[0-9]{0,20}") {
            let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(is_digits(&value), plain);
        }

        #[test]
        fn sums_are_those_of_one_by_one(digits in "[0-9]{0,40}", double_last: bool) {
            let plain = digits.bytes().rev().enumerate().map(|(at, byte)| {
                let digit = u32::from(byte - b'0');
                let doubled = if (at % 2 == 0) == double_last { 2 * digit } else { digit };
                doubled / 10 + doubled % 10
            });
            prop_assert_eq!(sum(&digits, double_last), plain.sum::<u32>());
        }
    }

    #[test]
    fn what_stands_beside_the_digits_in_ascii_is_none() {
        for other in ['/', ':', '\u{10}', '\u{70}', 'ð'] {
            for at in 0..9 {
                let mut value = "012345678".to_owned();
                value.replace_range(at..=at, &other.to_string());
                assert!(!is_digits(&value), "{value}");
            }
        }
    }

    #[test]
    fn known_identifiers() {
        for good in ["490154203237518", "356868000041418", "89014103211118510720", "000000000000000"] {
            assert!(passes(good), "{good}");
        }
        for bad in ["123456789012345", "8901410321118510720", "0", ""] {
            assert!(!passes(bad), "{bad}");
        }
        // The body printed in 3GPP TS 23.003 annex B.
        assert_eq!(check_digit("26053179311383"), '7');
    }

    #[test]
    fn an_appended_check_digit_passes() {
        for body in ["1", "35686800004141", "8944476500008878", "000"] {
            assert!(passes(&format!("{body}{}", check_digit(body))), "{body}");
        }
    }

    #[test]
    fn placeholders_are_one_repeated_character() {
        assert!(all_same("0000"));
        assert!(!all_same("0001"));
        assert!(!all_same("0"));
    }
}
