//! Digits: the Luhn check digit (ISO/IEC 7812-1 annex B) and small questions about strings of digits.
//!
//! Not here: what a failed check digit means; for half of the identifiers in the field it means nothing.

/// Whether the value is not empty and has ASCII digits only.
pub(super) fn is_digits(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}

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
    let digit = |byte: u8| u32::from(byte.wrapping_sub(b'0'));
    // Twice a digit, its own digits added up.
    let doubled = |byte: u8| 2 * digit(byte) - 9 * u32::from(byte > b'4');
    // Only the leftmost digit may stand alone.
    let (single, pairs) = digits.as_bytes().as_rchunks::<2>();
    if double_last {
        single.iter().map(|byte| doubled(*byte)).sum::<u32>()
            + pairs.iter().map(|[left, right]| digit(*left) + doubled(*right)).sum::<u32>()
    } else {
        single.iter().map(|byte| digit(*byte)).sum::<u32>()
            + pairs.iter().map(|[left, right]| doubled(*left) + digit(*right)).sum::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
