//! `iccid`: 89, country code, issuer, account, usually a Luhn digit; 18 to 20 digits (ITU-T E.118).
//!
//! Half of the numbers printed on cards lack the Luhn digit or carry one more, and some issuers use hexadecimal
//! digits, so neither is an error. Long numbers are what spreadsheets and doubles destroy first; the rules for that
//! are here. Not here: adding or removing check digits, since nobody knows how the platform keeps them.

use std::borrow::Cow;

use super::Context;
use super::clean::{is_spacing, without};
use super::luhn::{all_same, passes};
use super::mangle::{PLACEHOLDER, check_as_digits};
use super::rules::{
    Damage, ERROR, FIX, OFF_OR_STRICT, Rule, RuleId, WARN, WARN_BUT_LENIENT, WARN_OR_STRICT, rule,
};

const E_118: &str = "ITU-T E.118 clause 4";
const SGP_29: &str = "GSMA SGP.29 clause 4";

pub(super) const RULES: &[Rule] = &[
    rule(
        "iccid.format",
        FIX,
        "separators or filler digits F were removed, or letters were made upper-case",
        "3GPP TS 31.101 clause 13.2: EF_ICCID is filled up with F",
        "nothing to do",
    ),
    rule("iccid.chars", ERROR, "characters that no ICCID has", E_118, "give the digits printed on the card"),
    rule(
        "iccid.length",
        ERROR,
        "the number of digits is not between 17 and 22",
        E_118,
        "give all digits printed on the card, usually 19 or 20",
    ),
    rule(
        "iccid.length_unusual",
        WARN_BUT_LENIENT,
        "17, 21 or 22 digits, where 18 to 20 are usual",
        E_118,
        "compare with the number printed on the card",
    ),
    rule(
        "iccid.prefix",
        WARN_OR_STRICT,
        "the number does not begin with 89, as numbers of telecom cards do",
        E_118,
        "check that the column is the ICCID; private and test cards may differ",
    ),
    rule(
        "iccid.hex",
        WARN_BUT_LENIENT,
        "hexadecimal digits, which some issuers use",
        "field-rules 1.4: issuers in China",
        "compare with the number printed on the card",
    ),
    rule(
        "iccid.luhn",
        WARN_BUT_LENIENT,
        "the last digit is no Luhn check digit",
        "ITU-T E.118 clause 4.3; ISO/IEC 7812-1 annex B",
        "compare with the number printed on the card; many are printed without check digit",
    ),
    rule(
        "iccid.extra_digit",
        OFF_OR_STRICT,
        "20 digits of which the first 19 pass the Luhn check: one digit may be in excess",
        "field-rules 1.4",
        "compare with the number printed on the card",
    ),
    rule(
        "iccid.eid",
        ERROR,
        "32 digits with the right check digits of an EID, not an ICCID",
        SGP_29,
        "give the ICCID of the profile, not the EID of the chip",
    ),
    rule(
        "iccid.eid_check",
        ERROR,
        "32 digits as an EID has, but not its check digits",
        SGP_29,
        "give the ICCID of the profile, not the EID of the chip",
    ),
    rule(
        "iccid.excel_truncated",
        ERROR,
        "20 digits that end in five zeros: a spreadsheet kept 15 digits",
        "Microsoft KB 269370",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Lost),
    rule(
        "iccid.zeros_luhn",
        ERROR,
        "three or more zeros at the end and no check digit: the digits were rounded away",
        "field-rules 1.4: shortest form of a double",
        "export again with the column as text",
    )
    .of_damage(Damage::Suspected),
    rule(
        "iccid.zeros",
        WARN,
        "three or more zeros at the end: the digits may have been rounded away",
        "field-rules 1.4: shortest form of a double",
        "compare with the card; export again with the column as text if several rows are so",
    )
    .of_damage(Damage::Suspected),
    rule(
        "iccid.float_luhn",
        ERROR,
        "a number that a double holds exactly, and no check digit: it was rounded",
        "IEEE 754: 53 bits; one genuine value of 19 digits in 1024 is so too",
        "read the column as text where the file is made (pandas: dtype=str)",
    )
    .of_damage(Damage::Suspected),
    rule(
        "iccid.float",
        WARN,
        "a number that a double holds exactly: it may have been rounded",
        "IEEE 754: 53 bits; one genuine value of 19 digits in 1024 is so too",
        "compare with the card; read the column as text if several rows are so",
    )
    .of_damage(Damage::Suspected),
];

const FORMAT: RuleId = RuleId::known("iccid.format");
const CHARS: RuleId = RuleId::known("iccid.chars");
const LENGTH: RuleId = RuleId::known("iccid.length");
const LENGTH_UNUSUAL: RuleId = RuleId::known("iccid.length_unusual");
const PREFIX: RuleId = RuleId::known("iccid.prefix");
const HEX: RuleId = RuleId::known("iccid.hex");
const LUHN: RuleId = RuleId::known("iccid.luhn");
const EXTRA_DIGIT: RuleId = RuleId::known("iccid.extra_digit");
const EID: RuleId = RuleId::known("iccid.eid");
const EID_CHECK: RuleId = RuleId::known("iccid.eid_check");
const EXCEL_TRUNCATED: RuleId = RuleId::known("iccid.excel_truncated");
const ZEROS_LUHN: RuleId = RuleId::known("iccid.zeros_luhn");
const ZEROS: RuleId = RuleId::known("iccid.zeros");
const FLOAT_LUHN: RuleId = RuleId::known("iccid.float_luhn");
const FLOAT: RuleId = RuleId::known("iccid.float");

/// Most filler digits at one end: 18 digits in ten bytes need two.
const FILLERS_MAX: usize = 2;
/// Digits of an EID.
const EID_LEN: usize = 32;

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if let Some(checked) = check_as_digits(value, context, check_number) {
        return checked;
    }
    let bare = without(value, is_spacing);
    // Readers print the ten bytes of the card's file, which are filled up with F, behind the digits or before them.
    let mut unfilled = bare.as_ref();
    for _ in 0..FILLERS_MAX {
        unfilled = unfilled.strip_suffix(['F', 'f']).unwrap_or(unfilled);
        unfilled = unfilled.strip_prefix(['F', 'f']).unwrap_or(unfilled);
    }
    // Any other F is no digit of a number: the hexadecimal ones in use are A to E.
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() && !matches!(byte, b'F' | b'f');
    if unfilled.is_empty() || !unfilled.bytes().all(is_digit) {
        return context.pass_as_is(CHARS, value);
    }
    let upper = unfilled.to_ascii_uppercase();
    if upper != value {
        context.raise(FORMAT);
    }
    check_number(Cow::Owned(upper), context)
}

/// `iccid` has upper-case hexadecimal digits only.
fn check_number<'a>(iccid: Cow<'a, str>, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if all_same(&iccid) {
        return context.pass_as_is(PLACEHOLDER, iccid);
    }
    let decimal = context.is_digits(&iccid);
    match iccid.len() {
        18..=20 => {}
        17 | 21 | 22 => context.raise(LENGTH_UNUSUAL),
        EID_LEN if decimal => {
            let rule = if has_eid_check_digits(&iccid) { EID } else { EID_CHECK };
            return context.pass_as_is(rule, iccid);
        }
        _ => return context.pass_as_is(LENGTH, iccid),
    }
    if !iccid.starts_with("89") {
        context.raise(PREFIX);
    }
    if decimal {
        check_decimal(&iccid, context);
    } else {
        context.raise(HEX);
    }
    Some(iccid)
}

/// Signs of damage first: they say more than a failed check digit, which alone says little.
fn check_decimal(iccid: &str, context: &mut Context<'_>) {
    let passes_luhn = passes(iccid);
    let usual = (18..=20).contains(&iccid.len());
    let exact = is_exact_double(iccid);
    if iccid.len() == 20 && iccid.ends_with("00000") {
        context.raise(EXCEL_TRUNCATED);
    } else if usual && iccid.ends_with("000") {
        context.raise(if passes_luhn { ZEROS } else { ZEROS_LUHN });
    } else if usual && exact && !passes_luhn && iccid.len() > 18 {
        context.raise(FLOAT_LUHN);
    } else {
        // Of 18 digits one genuine value in 128 is exact, and such numbers carry no check digit: a warning is enough.
        if usual && exact {
            context.raise(FLOAT);
        }
        if !passes_luhn {
            let extra = iccid.len() == 20 && passes(&iccid[..19]);
            context.raise(if extra { EXTRA_DIGIT } else { LUHN });
        }
    }
}

/// Whether a double holds the integer exactly: its bits below the 53 leading ones are zero.
fn is_exact_double(digits: &str) -> bool {
    // From 18 digits on at least four bits must be zero. The last three digits tell three of them, and most values go
    // no further.
    let last_three = digits.len().checked_sub(3).and_then(|at| digits.get(at..));
    if digits.len() >= 18
        && !last_three.is_some_and(|last| last.parse::<u16>().is_ok_and(|last| last % 8 == 0))
    {
        return false;
    }
    digits.parse::<u128>().is_ok_and(|number| {
        let bits = u128::BITS - number.leading_zeros();
        number.trailing_zeros() >= bits.saturating_sub(f64::MANTISSA_DIGITS)
    })
}

/// Whether the last two digits are the check digits of an EID: the number modulo 97 is 1.
fn has_eid_check_digits(digits: &str) -> bool {
    digits.parse::<u128>().is_ok_and(|number| number % 97 == 1)
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::Iccid;

    #[test]
    fn filler_case_and_separators_are_normalized() {
        for (value, want, codes) in [
            ("8944476500008878576F", "8944476500008878576", &["iccid.format"][..]),
            ("F8944476500008878576", "8944476500008878576", &["iccid.format"]),
            ("894447650000887857FF", "894447650000887857", &["iccid.format", "iccid.luhn"]),
            ("8944 4765 0000 8878 576ff", "8944476500008878576", &["iccid.format"]),
            ("898600b5000000000001", "898600B5000000000001", &["iccid.format", "iccid.hex"]),
            ("898600E5000000000001", "898600E5000000000001", &["iccid.hex"]),
        ] {
            assert_eq!(verdict(Iccid, value), (Some(want.to_owned()), codes.to_vec()), "{value}");
        }
    }

    #[test]
    fn lengths_and_prefixes() {
        for (value, sent, codes) in [
            ("89444765000088785", true, &["iccid.length_unusual", "iccid.luhn"][..]),
            ("8944476500008878", false, &["iccid.length"]),
            ("89444765000088785761234", false, &["iccid.length"]),
            ("1244476500008878578", true, &["iccid.prefix"]),
            ("FFFF", false, &["iccid.chars"]),
            ("89444765000088785FFF", false, &["iccid.chars"]),
            ("894447F500008878576", false, &["iccid.chars"]),
            ("8944476500008878\n576", false, &["iccid.chars"]),
            ("-9432640862591040896", false, &["excel.negative"]),
            ("0000000000000000000", false, &["placeholder"]),
            ("89049032000000000000000000000067", false, &["iccid.eid_check"]),
        ] {
            let (found, found_codes) = verdict(Iccid, value);
            assert_eq!(found, sent.then(|| value.to_owned()), "{value} {found_codes:?}");
            assert_eq!(found_codes, codes, "{value}");
        }
    }

    #[test]
    fn an_extra_digit_is_no_warning_by_default() {
        // Nineteen digits that pass, and one more that does not.
        assert_eq!(verdict(Iccid, "89444765000088785761").1, [""; 0]);
    }

    #[test]
    fn values_that_a_double_holds_are_suspected() {
        // Eighteen digits carry no check digit, so exactness alone does not reject.
        assert_eq!(verdict(Iccid, "894447650000887808").1, ["iccid.float", "iccid.luhn"]);
        assert_eq!(verdict(Iccid, "8901410321111851008").1, ["iccid.float_luhn"]);
        assert_eq!(verdict(Iccid, "8901410321118511000").1, ["iccid.zeros"]);
        assert_eq!(verdict(Iccid, "89014103211118510000").1, ["iccid.zeros_luhn"]);
    }
}
