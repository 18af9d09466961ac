//! Numbers that a spreadsheet or a data frame took for numbers: scientific notation, decimals, thousands groups.
//!
//! Shared by all digit fields. Digits that are still there are taken back with a warning; digits that are lost
//! reject the row, since no later step can tell. Not here: zeros at the end of a 20-digit number (`iccid.rs`).

use std::borrow::Cow;

use super::Context;
use super::luhn::is_digits;
use super::rules::{Damage, ERROR, FIX_AND_WARN, Rule, RuleId, rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        "excel.scientific",
        ERROR,
        "scientific notation, digits are lost",
        "Microsoft KB 269370: 15 significant digits; field-rules 1.10",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Lost),
    rule(
        "excel.scientific_whole",
        FIX_AND_WARN,
        "scientific notation with all digits present was written out",
        "Microsoft KB 269370: 15 significant digits; field-rules 1.10",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Kept),
    rule(
        "excel.decimal",
        FIX_AND_WARN,
        "a decimal part of zeros was removed",
        "IEEE 754: integers up to 2^53 are exact; field-rules 1.10",
        "read the column as text where the file is made (pandas: dtype=str)",
    )
    .of_damage(Damage::Kept),
    rule(
        "excel.decimal_lost",
        ERROR,
        "a decimal number too large to be exact, digits are lost",
        "IEEE 754: integers above 2^53 are rounded; field-rules 1.10",
        "read the column as text where the file is made (pandas: dtype=str)",
    )
    .of_damage(Damage::Lost),
    rule(
        "excel.thousands",
        ERROR,
        "thousands separators in an identifier",
        "field-rules 1.10",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Kept),
    rule(
        "excel.negative",
        ERROR,
        "a minus sign: an identifier that outgrew a signed integer, or a sum",
        "two's complement of 64 bits; field-rules 4.1: trailing minus of SAP",
        "read the column as text where the file is made",
    )
    .of_damage(Damage::Lost),
    rule(
        "placeholder",
        ERROR,
        "a placeholder (one digit repeated), not an identifier",
        "field-rules 1.1, 1.2; all zeros pass the Luhn check",
        "leave the cell empty when the value is not known",
    ),
];

pub(super) const PLACEHOLDER: RuleId = RuleId::known("placeholder");
pub(super) const SCIENTIFIC: RuleId = RuleId::known("excel.scientific");
const SCIENTIFIC_WHOLE: RuleId = RuleId::known("excel.scientific_whole");
const DECIMAL: RuleId = RuleId::known("excel.decimal");
const DECIMAL_LOST: RuleId = RuleId::known("excel.decimal_lost");
const NEGATIVE: RuleId = RuleId::known("excel.negative");
const THOUSANDS: RuleId = RuleId::known("excel.thousands");

/// Most significant digits a spreadsheet keeps of a number.
const SIGNIFICANT_DIGITS_MAX: usize = 15;
/// Largest integer up to which a double holds every integer: 2^53.
const EXACT_MAX: u64 = 1 << 53;
/// An exponent without a sign, after a mantissa without a point, is only believed in values shorter than this:
/// `E` is also a digit of hexadecimal ICCIDs and MEIDs, which have 14 digits and more.
const BARE_EXPONENT_LEN_MAX: usize = 13;

/// What became of a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mangled {
    /// Nothing that this module knows.
    No,
    /// All digits are there: the number written out, behind its plus if it has one, and the rule under which.
    Whole(String, RuleId),
    /// Digits are lost or not certain.
    Broken(RuleId),
}

/// Judges a cleaned cell of a digit field.
pub(super) fn examine(value: &str) -> Mangled {
    let (sign, unsigned) = match value.strip_prefix('+') {
        Some(rest) => ("+", rest),
        None => ("", value.strip_prefix('-').unwrap_or(value)),
    };
    let is_sound = !value.starts_with('-') && is_digits(unsigned);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) || is_sound {
        return Mangled::No;
    }
    if let Some(scientific) = Scientific::parse(unsigned) {
        return match scientific.written_out() {
            Some(digits) if !value.starts_with('-') => {
                Mangled::Whole(format!("{sign}{digits}"), SCIENTIFIC_WHOLE)
            }
            Some(_) | None => Mangled::Broken(SCIENTIFIC),
        };
    }
    if is_negative(value) {
        return Mangled::Broken(NEGATIVE);
    }
    if value.starts_with('-') {
        return Mangled::No;
    }
    if let Some((integer, zeros)) = unsigned.split_once(['.', ','])
        && is_digits(integer)
        && !zeros.is_empty()
        && zeros.bytes().all(|byte| byte == b'0')
        && !(zeros.len() == 3 && unsigned.contains(','))
    {
        let exact = integer.parse::<u64>().is_ok_and(|integer| integer <= EXACT_MAX);
        return if exact {
            Mangled::Whole(format!("{sign}{integer}"), DECIMAL)
        } else {
            Mangled::Broken(DECIMAL_LOST)
        };
    }
    if has_thousands_groups(unsigned) { Mangled::Broken(THOUSANDS) } else { Mangled::No }
}

/// Checks digits, and what were digits before a program mangled them; a value whose digits are lost is passed on under
/// its rule. `None` for any other value: the field itself knows what it may be.
pub(super) fn check_as_digits<'a>(
    value: &'a str,
    context: &mut Context<'_>,
    check: impl FnOnce(Cow<'a, str>, &mut Context<'_>) -> Option<Cow<'a, str>>,
) -> Option<Option<Cow<'a, str>>> {
    if context.is_digits(value) {
        return Some(check(Cow::Borrowed(value), context));
    }
    match examine(value) {
        Mangled::No => None,
        // A plus belongs to telephone numbers, which are not checked here: the field has no such character.
        Mangled::Whole(digits, _) if !is_digits(&digits) => None,
        Mangled::Whole(digits, rule) => {
            context.raise(rule);
            Some(check(Cow::Owned(digits), context))
        }
        Mangled::Broken(rule) => Some(context.pass_as_is(rule, value)),
    }
}

/// Digits with a minus sign before or behind them.
fn is_negative(value: &str) -> bool {
    let minus = ['-', '\u{2212}'];
    value.strip_prefix(minus).or_else(|| value.strip_suffix(minus)).is_some_and(is_digits)
}

/// One to three digits, then groups of three behind commas or apostrophes. Points are not asked: they group telephone
/// numbers.
fn has_thousands_groups(value: &str) -> bool {
    let mut groups = value.split([',', '\'', '\u{2019}']);
    let first = groups.next().unwrap_or("");
    let mut rest = groups.peekable();
    rest.peek().is_some()
        && is_digits(first)
        && first.len() <= 3
        && rest.all(|group| group.len() == 3 && is_digits(group))
}

/// Whether opaque text reads like a number in scientific notation: an identifier that a spreadsheet destroyed.
/// Only the sure sign counts, a decimal point before or a sign behind the `E`.
pub(super) fn is_scientific(value: &str) -> bool {
    Scientific::parse(value).is_some_and(|number| number.sure)
}

/// Whether opaque text reads like a whole number that a data frame kept as a decimal one: `1001.0`.
pub(super) fn is_decimal(value: &str) -> bool {
    value.split_once('.').is_some_and(|(integer, fraction)| is_digits(integer) && fraction == "0")
}

/// The parts of `1.23457E+14`.
struct Scientific<'a> {
    integer: &'a str,
    fraction: &'a str,
    exponent: Option<usize>,
    /// A decimal point or a signed exponent leaves no other reading.
    sure: bool,
}

impl<'a> Scientific<'a> {
    fn parse(value: &'a str) -> Option<Scientific<'a>> {
        // The usual identifier is told apart by its first character.
        if !value.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (mantissa, exponent) = value.split_once(['e', 'E'])?;
        let (integer, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let sure = mantissa.len() != integer.len() || unsigned.len() != exponent.len();
        let digits =
            is_digits(integer) && (fraction.is_empty() || is_digits(fraction)) && is_digits(unsigned);
        if !digits || !(sure || value.len() <= BARE_EXPONENT_LEN_MAX) {
            return None;
        }
        // A negative exponent, or one too large for a number of ours, has no digits to give back.
        let exponent = if exponent.starts_with('-') { None } else { unsigned.parse().ok() };
        Some(Scientific { integer, fraction, exponent, sure })
    }

    /// The whole number, when all of its digits are in the mantissa and a spreadsheet could have kept them.
    fn written_out(&self) -> Option<String> {
        let exponent = self.exponent?;
        let (whole, beyond) = self.fraction.split_at_checked(exponent)?;
        let complete = beyond.bytes().all(|byte| byte == b'0')
            && self.integer.len() + exponent <= SIGNIFICANT_DIGITS_MAX
            && !self.integer.starts_with('0');
        complete.then(|| format!("{}{whole}", self.integer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::{Iccid, Imei, Imsi, Number};

    #[test]
    fn numbers_as_spreadsheets_and_data_frames_write_them() {
        let whole = |digits: &str, id| Mangled::Whole(digits.to_owned(), id);
        for (value, want) in [
            ("356868000041418", Mangled::No),
            ("+447911123456", Mangled::No),
            ("1.23457E+14", Mangled::Broken(SCIENTIFIC)),
            ("8,90141E+19", Mangled::Broken(SCIENTIFIC)),
            ("5.0255E+10", Mangled::Broken(SCIENTIFIC)),
            ("1E+14", Mangled::Broken(SCIENTIFIC)),
            ("1e19", Mangled::Broken(SCIENTIFIC)),
            ("1.5E-3", Mangled::Broken(SCIENTIFIC)),
            ("-4.47911123456E+11", Mangled::Broken(SCIENTIFIC)),
            ("1.5E+99999999999999999999999", Mangled::Broken(SCIENTIFIC)),
            ("3.56868000041418E+14", whole("356868000041418", SCIENTIFIC_WHOLE)),
            ("+4.47911123456E+11", whole("+447911123456", SCIENTIFIC_WHOLE)),
            ("3.5686800004141800E+14", whole("356868000041418", SCIENTIFIC_WHOLE)),
            // Sixteen digits are more than a spreadsheet keeps.
            ("3.568680000414181E+15", Mangled::Broken(SCIENTIFIC)),
            ("356868000041418.0", whole("356868000041418", DECIMAL)),
            ("356868000041418,00", whole("356868000041418", DECIMAL)),
            ("9007199254740993.0", Mangled::Broken(DECIMAL_LOST)),
            ("89014103211118510720.0", Mangled::Broken(DECIMAL_LOST)),
            ("356,868,000,041,418", Mangled::Broken(THOUSANDS)),
            ("356,000", Mangled::Broken(THOUSANDS)),
            ("356'868'000'041'418", Mangled::Broken(THOUSANDS)),
            // The doc's ICCID as a signed integer of 64 bits.
            ("-9432640862591040896", Mangled::Broken(NEGATIVE)),
            ("356868000041418-", Mangled::Broken(NEGATIVE)),
            ("-35-686800-004141-8", Mangled::No),
            ("612.345.678", Mangled::No),
            ("35686800.004141.8", Mangled::No),
            // Hexadecimal identifiers with an E among their digits.
            ("898600E5000000000001", Mangled::No),
            ("35E00000000000", Mangled::No),
            ("", Mangled::No),
            ("E+5", Mangled::No),
        ] {
            assert_eq!(examine(value), want, "{value}");
        }
    }

    #[test]
    fn a_plus_before_a_mangled_number_is_no_digit() {
        for (kind, value, codes) in [
            (Imei, "+356868000041418.0", ["imei.chars"]),
            (Imei, "+3.56868000041418E+14", ["imei.chars"]),
            (Imei, "+3568680000414189", ["imei.chars"]),
            (Imsi, "+31026012345678.0", ["imsi.chars"]),
            (Iccid, "+8901410321118510.0", ["iccid.chars"]),
            (Iccid, "+8944476500008878576", ["iccid.chars"]),
            // Lost digits say more than the sign.
            (Imsi, "+3.1026E+14", ["excel.scientific"]),
        ] {
            assert_eq!(verdict(kind, value), (None, codes.to_vec()), "{value}");
        }
        // Without a fraction it is a telephone number, and told to be one.
        for (kind, chars) in [(Imei, "imei.chars"), (Imsi, "imsi.chars"), (Iccid, "iccid.chars")] {
            assert_eq!(verdict(kind, "+356868000041418"), (None, vec![chars, "x.shift.number"]));
        }
        let number = (Some("+447911123456".to_owned()), vec!["excel.decimal"]);
        assert_eq!(verdict(Number, "+447911123456.0"), number);
    }

    #[test]
    fn opaque_text_is_scientific_only_when_nothing_else_reads_so() {
        assert!(is_scientific("1.23457E+14") && is_scientific("1E+14"));
        assert!(!is_scientific("12e4") && !is_scientific("ext_12345"));
    }
}
