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
    /// Twice a digit, its own digits added up.
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let digit = |byte: &u8| u32::from(byte.wrapping_sub(b'0'));
    let doubled = |byte: &u8| DOUBLED.get(usize::from(byte.wrapping_sub(b'0'))).copied().unwrap_or(0);
    digits.as_bytes().rchunks(2).fold(0, |sum, pair| {
        // Only the leftmost digit stands alone.
        let (left, right) =
            if let [left, right] = pair { (Some(left), Some(right)) } else { (None, pair.first()) };
        sum + if double_last {
            left.map_or(0, digit) + right.map_or(0, doubled)
        } else {
            left.map_or(0, doubled) + right.map_or(0, digit)
        }
    })
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
