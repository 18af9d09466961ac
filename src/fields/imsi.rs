//! `imsi`: up to 15 digits, mobile country code 3, then network code and subscriber (ITU-T E.212; 3GPP TS 23.003
//! clause 2.2).
//!
//! Only the country code is judged: the length of the network code does not follow from the number. Not here: the
//! table of country codes (`mcc.rs`).

use std::borrow::Cow;

use super::Context;
use super::clean::{is_spacing, without};
use super::luhn::{all_same, is_digits, passes};
use super::mangle::{PLACEHOLDER, check_as_digits};
use super::mcc::{Mcc, of_imsi};
use super::rules::{Damage, ERROR, FIX, Rule, RuleId, WARN_BUT_LENIENT, WARN_OR_STRICT, rule};

const E_212: &str = "ITU-T E.212; 3GPP TS 23.003 clause 2.2";

pub(super) const RULES: &[Rule] = &[
    rule("imsi.format", FIX, "separators were removed", E_212, "nothing to do"),
    rule("imsi.chars", ERROR, "characters that no IMSI has", E_212, "give digits only"),
    rule(
        "imsi.length",
        ERROR,
        "the number of digits is neither 15 nor 14",
        E_212,
        "give all digits of the IMSI",
    ),
    rule(
        "imsi.14",
        WARN_BUT_LENIENT,
        "14 digits, which few networks use",
        E_212,
        "check that no digit was lost; 15 digits are usual",
    ),
    rule(
        "imsi.lost_zero",
        WARN_BUT_LENIENT,
        "with a zero in front this is an IMSI of the test network 001: a spreadsheet may have removed it",
        "field-rules 1.3",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Lost),
    rule(
        "imsi.mcc_invalid",
        ERROR,
        "no mobile country code begins like this",
        "ITU-T E.212 annex A: codes begin with 2 to 7 or 9",
        "check that the column is the IMSI",
    ),
    rule(
        "imsi.mcc_unknown",
        WARN_OR_STRICT,
        "the mobile country code is not in the list",
        "ITU-T E.212, list of mobile country codes",
        "check the first three digits; the list may be older than the code",
    ),
    rule(
        "imsi.test",
        WARN_BUT_LENIENT,
        "an IMSI of a test or private network (001, 999)",
        "ITU-T E.212, shared codes 001 and 999",
        "check that the SIM is meant for a test or private network",
    ),
    rule(
        "imsi.like_imei",
        WARN_OR_STRICT,
        "the value looks like an IMEI",
        "field-rules 1.3",
        "check that the columns imei and imsi are not swapped",
    ),
];

const FORMAT: RuleId = RuleId::known("imsi.format");
const CHARS: RuleId = RuleId::known("imsi.chars");
const LENGTH: RuleId = RuleId::known("imsi.length");
const LEN_14: RuleId = RuleId::known("imsi.14");
const LOST_ZERO: RuleId = RuleId::known("imsi.lost_zero");
const MCC_INVALID: RuleId = RuleId::known("imsi.mcc_invalid");
const MCC_UNKNOWN: RuleId = RuleId::known("imsi.mcc_unknown");
const TEST: RuleId = RuleId::known("imsi.test");
const LIKE_IMEI: RuleId = RuleId::known("imsi.like_imei");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if let Some(checked) = check_as_digits(value, context, check_digits) {
        return checked;
    }
    let bare = without(value, is_spacing);
    if !is_digits(&bare) {
        return context.pass_as_is(CHARS, value);
    }
    context.raise(FORMAT);
    check_digits(bare, context)
}

fn check_digits<'a>(imsi: Cow<'a, str>, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    // All nines lie in the private network 999 and are in use in laboratories.
    if all_same(&imsi) && !imsi.starts_with('9') && !imsi.starts_with('0') {
        return context.pass_as_is(PLACEHOLDER, imsi);
    }
    if !matches!(imsi.len(), 14 | 15) {
        return context.pass_as_is(LENGTH, imsi);
    }
    if imsi.starts_with(['1', '8']) || imsi.starts_with("000") {
        return context.pass_as_is(MCC_INVALID, imsi);
    }
    if imsi.len() == 14 {
        context.raise(LEN_14);
        if imsi.starts_with("01") {
            context.raise(LOST_ZERO);
        }
    }
    match of_imsi(&imsi) {
        Mcc::Regions(_) | Mcc::Global => {}
        Mcc::Test => context.raise(TEST),
        Mcc::Unknown => {
            context.raise(MCC_UNKNOWN);
            if imsi.len() == 15 && imsi.starts_with("35") && passes(&imsi) {
                context.raise(LIKE_IMEI);
            }
        }
    }
    Some(imsi)
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::Imsi;

    #[test]
    fn lengths_and_country_codes() {
        let none: [&str; 0] = [];
        for (value, sent, codes) in [
            ("234100000000001", true, &none[..]),
            ("23410000000001", true, &["imsi.14"]),
            ("01010123456789", true, &["imsi.14", "imsi.lost_zero", "imsi.mcc_unknown"]),
            ("2341000000000", false, &["imsi.length"]),
            ("2341000000000012", false, &["imsi.length"]),
            ("299010000000001", true, &["imsi.mcc_unknown"]),
            ("110010000000001", false, &["imsi.mcc_invalid"]),
            ("222222222222222", false, &["placeholder"]),
            ("353010000000004", true, &["imsi.mcc_unknown"]),
            ("353010000000002", true, &["imsi.mcc_unknown", "imsi.like_imei"]),
            ("IMSI1", false, &["imsi.chars"]),
        ] {
            assert_eq!(verdict(Imsi, value), (sent.then(|| value.to_owned()), codes.to_vec()), "{value}");
        }
    }

    #[test]
    fn separators_are_removed() {
        assert_eq!(
            verdict(Imsi, "310-260-123456789"),
            (Some("310260123456789".to_owned()), vec!["imsi.format"])
        );
    }
}
