//! A glance at a cell: which kinds of characters it holds, found in one pass.
//!
//! Nearly all cells hold what nearly all rules pass: letters, digits and a few signs. A glance tells so at once; who
//! has none asks rule by rule, with the same outcome. Not here: the rules.

use super::luhn::is_digits;

/// Which kinds of characters a text holds, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance(u8);

const DIGIT: u8 = 1;
/// The letter of scientific notation.
const EXPONENT: u8 = 1 << 1;
const LETTER: u8 = 1 << 2;
const POINT: u8 = 1 << 3;
/// `@ + - _`: what names have beside letters, digits and points.
const SIGN: u8 = 1 << 4;
/// A space, which belongs to nothing but the eye, or to texts of people.
const BLANK: u8 = 1 << 5;
const OTHER: u8 = 1 << 6;

const KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'e' | b'E' => EXPONENT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'.' => POINT,
            b'@' | b'+' | b'-' | b'_' => SIGN,
            b' ' => BLANK,
            _ => OTHER,
        };
        byte += 1;
    }
    kinds
}

impl Glance {
    /// A glance at a cell; `None` when it has to be looked at more closely: it has another character than those above,
    /// begins with a sign other than plus, or ends with one.
    #[inline]
    pub(super) fn at_plain(cell: &str) -> Option<Glance> {
        if is_digits(cell) {
            return Some(Glance(DIGIT));
        }
        let bytes = cell.as_bytes();
        let kinds = bytes.iter().fold(0, |kinds, byte| kinds | KINDS[usize::from(*byte)]);
        let (first, last) = (*bytes.first()?, *bytes.last()?);
        let is_plain = kinds & OTHER == 0
            && (first == b'+' || first.is_ascii_alphanumeric())
            && last.is_ascii_alphanumeric();
        is_plain.then_some(Glance(kinds))
    }

    /// Whether there is nothing but digits.
    pub(super) fn is_digits(self) -> bool {
        self.0 == DIGIT
    }

    /// Whether there is a space.
    pub(super) fn has_blank(self) -> bool {
        self.0 & BLANK != 0
    }

    /// Whether it may be a number that a program wrote with a point or an exponent.
    pub(super) fn may_be_mangled(self) -> bool {
        self.0 & DIGIT != 0 && self.0 & (POINT | EXPONENT) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_cells_are_told_from_others() {
        for cell in ["356868000041418", "+447911123456", "a.b@example.org", "crm_1-x", "Gold", "0", "1.5E+3"]
        {
            assert!(Glance::at_plain(cell).is_some_and(|glance| !glance.has_blank()), "{cell}");
        }
        for cell in ["1 2", "+44 7911 123456", "John Doe"] {
            assert!(Glance::at_plain(cell).is_some_and(Glance::has_blank), "{cell}");
        }
        for cell in [
            "",
            " 1",
            "1 ",
            "1\t2",
            "1\u{A0}2",
            "'1",
            "=1",
            "-1",
            "1-",
            "é",
            "a\u{0}b",
            "\"a\"",
            "#REF!",
            "[object Object]",
            "1,5",
            "+",
        ] {
            assert!(Glance::at_plain(cell).is_none(), "{cell}");
        }
        let glance = |cell: &str| Glance::at_plain(cell).expect("it is plain");
        assert!(glance("0123456789").is_digits() && !glance("+1").is_digits());
        assert!(
            glance("1.0").may_be_mangled()
                && glance("1E5").may_be_mangled()
                && glance("12e4").may_be_mangled()
        );
        assert!(!glance("ext_12345").may_be_mangled() || "ext_12345".contains('e'));
        assert!(!glance("crm_12345").may_be_mangled() && !glance("a.b").may_be_mangled());
    }
}
