//! `imei`: 15 digits, type allocation code 8, serial number 6, check digit 1 (3GPP TS 23.003 clause 6.2.1).
//!
//! The check digit is never transmitted on the radio path: the network sees 0 in its place, so a failed Luhn check
//! is a warning. Not here: a lookup of the type allocation code, for which no free database exists.

use std::borrow::Cow;

use super::Context;
use super::clean::{is_spacing, without};
use super::luhn::{all_same, check_digit, is_digits, passes};
use super::mangle::{PLACEHOLDER, check_as_digits};
use super::options::{Imei14, Imei16, Spare0};
use super::rules::{
    Damage, ERROR, ERROR_BUT_LENIENT, FIX, Rule, RuleId, WARN_BUT_LENIENT, WARN_OR_STRICT, rule,
};

const TS_23_003: &str = "3GPP TS 23.003 clause 6.2.1";
const TS_23_003_SV: &str = "3GPP TS 23.003 clause 6.2.2";

pub(super) const RULES: &[Rule] = &[
    rule("imei.format", FIX, "separators or a software version were removed", TS_23_003, "nothing to do"),
    rule(
        "imei.chars",
        ERROR,
        "characters that no IMEI has",
        TS_23_003,
        "give the 15 digits that *#06# shows, nothing else in the cell",
    ),
    rule("imei.length", ERROR, "the number of digits is not 15", TS_23_003, "give all 15 digits"),
    rule(
        "imei.luhn",
        WARN_OR_STRICT,
        "the check digit does not match",
        "3GPP TS 23.003 annex B",
        "compare with *#06# on the device; numbers from the network carry no check digit",
    ),
    rule(
        "imei.spare0",
        WARN_BUT_LENIENT,
        "the last digit looks like the spare digit 0 of the network, not a check digit",
        TS_23_003,
        "set imei_spare0 = \"recompute\" when the whole column comes from the network",
    ),
    rule("imei.recomputed", FIX, "spare digit 0 was replaced by the check digit", TS_23_003, "nothing to do"),
    rule(
        "imei.14",
        ERROR_BUT_LENIENT,
        "14 digits: the check digit was left off, or a leading zero was lost",
        TS_23_003,
        "set imei_14 to \"complete\" or \"zero-pad\" once it is clear which, for the whole column",
    ),
    rule(
        "imei.lost_zero",
        WARN_BUT_LENIENT,
        "with a zero in front the check digit matches: a spreadsheet may have removed it",
        "field-rules 1.2",
        "export again with the column formatted as Text, or set imei_14 = \"zero-pad\"",
    )
    .of_damage(Damage::Suspected),
    rule("imei.completed", FIX, "the check digit was appended to 14 digits", TS_23_003, "nothing to do"),
    rule("imei.zero_padded", FIX, "a leading zero was put before 14 digits", TS_23_003, "nothing to do"),
    rule(
        "imei.sv",
        ERROR_BUT_LENIENT,
        "16 digits, which look like an IMEISV",
        TS_23_003_SV,
        "set imei_16 = \"convert\" when the whole column is IMEISV",
    ),
    rule(
        "imei.converted",
        FIX,
        "an IMEISV was converted: version dropped, check digit computed",
        TS_23_003_SV,
        "nothing to do",
    ),
    rule(
        "imei.meid",
        ERROR,
        "hexadecimal digits, which look like a MEID of a CDMA device",
        "3GPP2 S.R0048",
        "leave the cell empty, or give the device's IMEI",
    ),
    rule(
        "imei.test",
        WARN_BUT_LENIENT,
        "a test IMEI (reporting body 00 or 02 to 09)",
        "GSMA TS.06 annex A",
        "check that the device is meant to be a test device",
    ),
    rule(
        "imei.suspect",
        WARN_BUT_LENIENT,
        "an IMEI known from examples",
        "field-rules 1.2",
        "give the device's own IMEI",
    ),
];

const FORMAT: RuleId = RuleId::known("imei.format");
const CHARS: RuleId = RuleId::known("imei.chars");
const LENGTH: RuleId = RuleId::known("imei.length");
const LUHN: RuleId = RuleId::known("imei.luhn");
const SPARE0: RuleId = RuleId::known("imei.spare0");
const RECOMPUTED: RuleId = RuleId::known("imei.recomputed");
const LEN_14: RuleId = RuleId::known("imei.14");
const LOST_ZERO: RuleId = RuleId::known("imei.lost_zero");
const COMPLETED: RuleId = RuleId::known("imei.completed");
const ZERO_PADDED: RuleId = RuleId::known("imei.zero_padded");
const SV: RuleId = RuleId::known("imei.sv");
const CONVERTED: RuleId = RuleId::known("imei.converted");
const MEID: RuleId = RuleId::known("imei.meid");
const TEST: RuleId = RuleId::known("imei.test");
const SUSPECT: RuleId = RuleId::known("imei.suspect");

/// IMEIs that stand in manuals, the vendor's page among them.
const SUSPECTS: [&[u8; BODY_LEN + 1]; 4] =
    [b"123456789012345", b"123456789012347", b"012345678901234", b"004999010640000"];

/// Digits of an IMEI without its check digit.
const BODY_LEN: usize = 14;

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if let Some(checked) = check_as_digits(value, context, check_digits) {
        return checked;
    }
    let bare = without(without_version(value), |c| is_spacing(c) || matches!(c, '/' | '.'));
    if is_digits(&bare) {
        context.raise(FORMAT);
        return check_digits(Cow::Owned(bare.into_owned()), context);
    }
    let is_meid = matches!(bare.len(), 14 | 15) && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    context.pass_as_is(if is_meid { MEID } else { CHARS }, value)
}

/// Without the software version behind a slash, as `*#06#` shows it: `35-686800-004141-8 / 01`.
fn without_version(value: &str) -> &str {
    match value.rsplit_once('/') {
        Some((imei, version))
            if imei.bytes().filter(u8::is_ascii_digit).count() == BODY_LEN + 1
                && version.trim().len() == 2
                && is_digits(version.trim()) =>
        {
            imei
        }
        Some(_) | None => value,
    }
}

fn check_digits<'a>(digits: Cow<'a, str>, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if all_same(&digits) {
        return context.pass_as_is(PLACEHOLDER, digits);
    }
    let options = context.rules.options();
    let (imei, fixed) = match (digits.len(), options.imei_14, options.imei_16) {
        (15, _, _) => (digits, None),
        (14, Imei14::Complete, _) => (with_check_digit(&digits), Some(COMPLETED)),
        (14, Imei14::ZeroPad, _) => (Cow::Owned(format!("0{digits}")), Some(ZERO_PADDED)),
        (14, Imei14::Reject, _) => {
            let lost_zero = passes(&format!("0{digits}"));
            let as_is = context.pass_as_is(LEN_14, digits);
            if lost_zero {
                context.raise(LOST_ZERO);
            }
            return as_is;
        }
        (16, _, Imei16::Convert) => (with_check_digit(&digits[..BODY_LEN]), Some(CONVERTED)),
        (16, _, Imei16::Reject) => return context.pass_as_is(SV, digits),
        _ => return context.pass_as_is(LENGTH, digits),
    };
    if let Some(rule) = fixed {
        context.raise(rule);
    }
    check_fifteen(imei, context)
}

fn with_check_digit(body: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{body}{}", check_digit(body)))
}

fn check_fifteen<'a>(mut imei: Cow<'a, str>, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if !passes(&imei) {
        let spare0 = imei.ends_with('0');
        if spare0 && context.rules.options().imei_spare0 == Spare0::Recompute {
            imei = with_check_digit(&imei[..BODY_LEN]);
            context.raise(RECOMPUTED);
        } else {
            context.raise(LUHN);
            if spare0 {
                context.raise(SPARE0);
            }
        }
    }
    // A conversion may leave nothing but zeros of what was no placeholder yet.
    if all_same(&imei) {
        return context.pass_as_is(PLACEHOLDER, imei);
    }
    // Reporting body 01 is PTCRB of the United States; the other codes with a leading zero are for tests.
    if imei.starts_with('0') && !imei.starts_with("01") {
        context.raise(TEST);
    }
    if imei.as_bytes().try_into().is_ok_and(|imei| SUSPECTS.contains(&imei)) {
        context.raise(SUSPECT);
    }
    Some(imei)
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::{verdict, verdict_under};
    use crate::fields::{Imei14, Imei16, RuleOptions, Spare0};
    use crate::update::FieldKind::Imei;

    #[test]
    fn separators_and_the_software_version_are_removed() {
        for value in
            ["35-686800-004141-8", "35 686800 004141 8", "35.686800.004141.8", "35-686800-004141-8 / 01"]
        {
            assert_eq!(
                verdict(Imei, value),
                (Some("356868000041418".to_owned()), vec!["imei.format"]),
                "{value}"
            );
        }
    }

    #[test]
    fn fourteen_digits_are_a_decision_for_the_whole_column() {
        let under = |imei_14| {
            let options = RuleOptions { imei_14, ..RuleOptions::default() };
            verdict_under(&options, Imei, "49015420323751")
        };
        // By accident it passes with a zero in front, too.
        assert_eq!(under(Imei14::Reject), (None, vec!["imei.14", "imei.lost_zero"]));
        assert_eq!(under(Imei14::Complete), (Some("490154203237518".to_owned()), vec!["imei.completed"]));
        let padded = vec!["imei.zero_padded", "imei.test"];
        assert_eq!(under(Imei14::ZeroPad), (Some("049015420323751".to_owned()), padded));
        assert_eq!(verdict(Imei, "35686800004141"), (None, vec!["imei.14"]));
    }

    #[test]
    fn sixteen_digits_are_converted_on_demand_only() {
        assert_eq!(verdict(Imei, "4901542032375101"), (None, vec!["imei.sv"]));
        let options = RuleOptions { imei_16: Imei16::Convert, ..RuleOptions::default() };
        let converted = (Some("490154203237518".to_owned()), vec!["imei.converted"]);
        assert_eq!(verdict_under(&options, Imei, "4901542032375101"), converted);
    }

    #[test]
    fn the_spare_digit_of_the_network_is_recomputed_on_demand_only() {
        let sent = |value: &str| Some(value.to_owned());
        assert_eq!(
            verdict(Imei, "356868000041410"),
            (sent("356868000041410"), vec!["imei.luhn", "imei.spare0"])
        );
        let options = RuleOptions { imei_spare0: Spare0::Recompute, ..RuleOptions::default() };
        let recomputed = (sent("356868000041418"), vec!["imei.recomputed"]);
        assert_eq!(verdict_under(&options, Imei, "356868000041410"), recomputed);
        assert_eq!(verdict_under(&options, Imei, "356868000041411").1, ["imei.luhn"]);
    }

    #[test]
    fn a_placeholder_is_none_after_a_conversion_either() {
        let options = RuleOptions {
            imei_14: Imei14::Complete,
            imei_16: Imei16::Convert,
            imei_spare0: Spare0::Recompute,
            ..RuleOptions::default()
        };
        let padded = RuleOptions { imei_14: Imei14::ZeroPad, ..RuleOptions::default() };
        for (options, value, codes) in [
            (&options, "0000000000000001", ["imei.converted", "placeholder"].as_slice()),
            (&options, "000000000000000", &["placeholder"]),
            (&options, "88888888888888", &["placeholder"]),
            (&options, "00000000000000", &["placeholder"]),
            (&padded, "00000000000000", &["placeholder"]),
        ] {
            assert_eq!(verdict_under(options, Imei, value), (None, codes.to_vec()), "{value}");
        }
    }

    #[test]
    fn what_is_no_imei() {
        for (value, code) in [
            ("A0000012345678", "imei.meid"),
            ("a00000123456789", "imei.meid"),
            ("IMEI 356868000041418", "imei.chars"),
            ("3568680000", "imei.length"),
            ("999999999999999", "placeholder"),
            ("0", ""),
        ] {
            let codes: Vec<&str> = Some(code).filter(|code| !code.is_empty()).into_iter().collect();
            assert_eq!(verdict(Imei, value), (None, codes), "{value}");
        }
    }
}
