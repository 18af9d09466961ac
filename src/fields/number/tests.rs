//! Tests of `number`, beneath it but for their length.

use proptest::prelude::*;

use super::*;
use crate::fields::tests::{verdict, verdict_under};
use crate::fields::{RuleOptions, RuleSet, Severity, canonical};
use crate::update::FieldKind::Number;

fn in_country(country: &str) -> RuleOptions {
    RuleOptions { default_country: Some(country.to_owned()), ..RuleOptions::default() }
}

fn sent(value: &str, code: &'static str) -> (Option<String>, Vec<&'static str>) {
    (Some(value.to_owned()), vec![code])
}

#[test]
fn numbers_as_people_write_them() {
    for (value, want) in [
        ("+1 (202) 555-0143", "+12025550143"),
        ("tel:+1-202-555-0143", "+12025550143"),
        ("TEL: +1.202.555.0143", "+12025550143"),
        ("(+44) 7911 123456", "+447911123456"),
        ("+44 (0)7911 123456", "+447911123456"),
        ("+49 (0) 30/1234567", "+49301234567"),
        ("+44\u{2011}7911\u{A0}123456", "+447911123456"),
        ("+81（3）1234－5678", "+81312345678"),
        // In Italy the zero belongs to the number.
        ("+39 (0)6 12345678", "+390612345678"),
    ] {
        assert_eq!(verdict(Number, value), sent(want, "number.format"), "{value}");
    }
}

#[test]
fn what_is_no_single_number_is_named() {
    for (value, code) in [
        ("+447911123456O", "number.chars"),
        ("+4479111234l56", "number.chars"),
        ("+44 7911 123456 (mobile)", "number.chars"),
        ("++447911123456", "number.chars"),
        ("-447911123456", "excel.negative"),
        ("+4479\n11123456", "number.chars"),
        ("0011447911123456", "number.country_code"),
        ("00102025550143", "number.country_code"),
        ("+", "number.chars"),
        ("ext 5", "number.chars"),
        ("*21#", "number.chars"),
        ("07911123456;07911123457", "number.several"),
        ("+447911123456, +447911123457", "number.several"),
        ("+447911123456 +447911123457", "number.several"),
        ("+1 202 555 0143 x12", "number.extension"),
        ("+1 202 555 0143 ext. 12", "number.extension"),
        ("tel:+1-202-555-0143;ext=12", "number.extension"),
        ("+1234567890123456", "number.too_long"),
        ("+44123", "number.too_short"),
        ("+999123456789", "number.country_code"),
        ("+0447911123456", "number.country_code"),
        ("00999123456789", "number.country_code"),
        ("+0000000000", "placeholder"),
        ("1111111111", "placeholder"),
        ("+440000000000", "placeholder"),
        ("447911123456", "number.bare"),
        ("07911123456", "number.no_country"),
        ("(202) 555-0143", "number.no_country"),
    ] {
        let (value_sent, codes) = verdict(Number, value);
        assert_eq!(value_sent, None, "{value}");
        assert!(codes.contains(&code), "{value}: {codes:?}");
    }
}

#[test]
fn bare_digits_are_a_decision_for_the_whole_column() {
    let e164 = RuleOptions { bare_numbers: BareNumbers::E164, ..RuleOptions::default() };
    assert_eq!(verdict_under(&e164, Number, "447911123456"), sent("+447911123456", "number.assumed"));
    assert_eq!(verdict_under(&e164, Number, "07911123456").1, ["number.no_country"]);
    assert_eq!(
        verdict_under(&e164, Number, "447911123456.0"),
        (Some("+447911123456".to_owned()), vec!["excel.decimal", "number.assumed"])
    );
    // The setting wins over the country, even where the country would fit.
    let both = RuleOptions { default_country: Some("US".to_owned()), ..e164 };
    assert_eq!(verdict_under(&both, Number, "2025550143").0.as_deref(), Some("+2025550143"));
    assert_eq!(verdict_under(&both, Number, "(202) 555-0143"), {
        let (number, mut codes) = sent("+12025550143", "number.format");
        codes.push("number.national");
        (number, codes)
    });
}

#[test]
fn national_numbers_need_a_country_and_its_lengths() {
    for (country, value, want) in [
        ("GB", "07911123456", "+447911123456"),
        ("gb", "447911123456", "+447911123456"),
        ("US", "2025550143", "+12025550143"),
        ("RU", "89161234567", "+79161234567"),
        ("HU", "06201234567", "+36201234567"),
        ("IT", "0612345678", "+390612345678"),
        ("KZ", "87011234567", "+77011234567"),
        ("AR", "0111523456789", "+5491123456789"),
        ("JP", "0312345678", "+81312345678"),
    ] {
        assert_eq!(
            verdict_under(&in_country(country), Number, value),
            sent(want, "number.national"),
            "{value}"
        );
    }
    // The prefix for calls abroad is the country's own.
    assert_eq!(
        verdict_under(&in_country("US"), Number, "011442079460018"),
        sent("+442079460018", "number.prefix")
    );
    assert_eq!(verdict(Number, "00442079460018"), sent("+442079460018", "number.prefix"));
    // Prefixes that begin with 00 and are longer; 00 itself stays what it is.
    for (country, value, want) in [
        ("AU", "0011447911123456", "+447911123456"),
        ("AU", "001161412345678", "+61412345678"),
        ("AU", "001146812319300", "+46812319300"),
        ("AU", "0011299381633", "+299381633"),
        ("AU", "00447911123456", "+447911123456"),
        ("RU", "810447911123456", "+447911123456"),
        ("KR", "0012025550143", "+12025550143"),
        ("TH", "001447911123456", "+447911123456"),
    ] {
        let found = verdict_under(&in_country(country), Number, value);
        assert_eq!(found, sent(want, "number.prefix"), "{country} {value}");
    }
    // A guess that gives no possible number is not sent.
    assert_eq!(verdict_under(&in_country("US"), Number, "447911123456").1, ["number.not_national"]);
    assert_eq!(verdict_under(&in_country("GB"), Number, "0791").1, ["number.not_national"]);
}

#[test]
fn mexican_mobiles_lose_the_prefix_they_were_once_dialled_with() {
    let mexico = in_country("MX");
    for value in ["0445512345678", "0455512345678", "5512345678"] {
        assert_eq!(
            verdict_under(&mexico, Number, value),
            sent("+525512345678", "number.national"),
            "{value}"
        );
    }
    // Elsewhere, and with another length, they are digits like any other.
    assert_eq!(verdict_under(&mexico, Number, "04455123456789").1, ["number.not_national"]);
    assert_ne!(
        verdict_under(&in_country("GB"), Number, "0445512345678"),
        sent("+525512345678", "number.national")
    );
}

#[test]
fn a_trunk_zero_behind_the_calling_code_is_removed_where_that_is_certain() {
    for (value, want) in [("+4407911123456", "+447911123456"), ("+4903012345678", "+493012345678")] {
        assert_eq!(verdict(Number, value), sent(want, "number.trunk_zero"), "{value}");
    }
    // Iceland and North America dial no zero.
    for value in ["+35408077599", "+102522133124"] {
        assert_eq!(verdict(Number, value), sent(value, "number.length"), "{value}");
    }
    let severities = vec![("number.trunk_zero".to_owned(), Severity::Off)];
    let off = RuleOptions { severities, ..RuleOptions::default() };
    assert_eq!(verdict_under(&off, Number, "+4407911123456"), sent("+4407911123456", "number.length"));
}

#[test]
fn zeros_that_belong_to_the_number_stay() {
    for value in ["+2250102030405", "+390612345678"] {
        assert_eq!(verdict(Number, value), (Some(value.to_owned()), vec![]), "{value}");
    }
}

#[test]
fn lengths_and_ranges_are_asked_as_the_severities_say() {
    for value in ["+1234567890", "+47580012345678", "+44079111234567"] {
        assert_eq!(verdict(Number, value), sent(value, "number.length"), "{value}");
    }
    let severities = vec![
        ("number.length".to_owned(), Severity::Off),
        ("number.invalid".to_owned(), Severity::Warn),
        ("number.not_mobile".to_owned(), Severity::Warn),
    ];
    let ranges = RuleOptions { severities, ..RuleOptions::default() };
    assert_eq!(verdict_under(&ranges, Number, "+1234567890").1, ["number.invalid"]);
    assert_eq!(verdict_under(&ranges, Number, "+442079460018").1, ["number.not_mobile"]);
    assert_eq!(verdict_under(&ranges, Number, "+447911123456").1, [""; 0]);
    assert_eq!(verdict_under(&ranges, Number, "+390612345678").1, ["number.not_mobile"]);
}

#[test]
fn the_plain_format_has_no_plus_and_its_echo_agrees() {
    let plain = RuleOptions { number_format: NumberFormat::Plain, ..RuleOptions::default() };
    assert_eq!(verdict_under(&plain, Number, "+447911123456"), (Some("447911123456".to_owned()), vec![]));
    for options in
        [plain.clone(), RuleOptions::default(), RuleOptions { default_country: Some("DE".into()), ..plain }]
    {
        let rules = RuleSet::new(&options).unwrap();
        let echo = canonical(&rules, Number, "447911123456");
        assert!(echo.is_some());
        assert_eq!(echo, canonical(&rules, Number, "+44 7911 123456"));
    }
}

#[test]
fn lowered_rules_let_the_value_pass_as_it_stands() {
    for (code, value) in [("number.chars", "+44 7911x"), ("number.too_long", "+1234567890123456")] {
        let severities = vec![(code.to_owned(), Severity::Warn)];
        let lowered = RuleOptions { severities, ..RuleOptions::default() };
        assert_eq!(verdict_under(&lowered, Number, value), sent(value, code), "{value}");
    }
}

#[test]
fn calling_codes_are_assigned_ones() {
    assert_eq!(calling_code("447911123456"), Some((44, "7911123456")));
    assert_eq!(calling_code("12025550143"), Some((1, "2025550143")));
    assert_eq!(calling_code("882161234567"), Some((882, "161234567")));
    assert_eq!(calling_code("999123456789"), None);
    assert_eq!(calling_code("0447911123456"), None);
    assert_eq!(calling_code(""), None);
}

#[test]
fn the_table_of_lengths_says_what_the_library_says() {
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        let code_digits = code.to_string();
        for length in 1..=DIGITS_MAX - code_digits.len() {
            let digits = format!("{code_digits}{}", "2".repeat(length));
            let number = number_of(&digits).unwrap();
            let answer = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
            let (code, national) = calling_code(&digits).unwrap();
            assert_eq!(
                has_possible_length(code, national),
                answer == Ok(NumberLengthType::IsPossible),
                "+{code} and {length} digits"
            );
        }
    }
}

#[test]
fn countries_in_either_case_and_near_ones() {
    assert_eq!(Country::parse("gb").map(Country::code).as_deref(), Some("GB"));
    for wrong in ["", "G", "001", "XX", "ÄÖ", "GBR"] {
        assert_eq!(Country::parse(wrong), None, "{wrong}");
    }
    assert_eq!(Country::near("UK"), ["GB"]);
    assert_eq!(Country::near("DEU"), ["DE"]);
}

#[test]
fn two_numbers_in_a_cell_are_not_made_into_one() {
    for value in [
        "+49 30 123456/57",
        "030 1234 / 030 5678",
        "0301234/0305678",
        "030 1234 030 5678",
        "030 1234 - 030 5678",
        "030 1234 0049 30 5678",
        "+49 151 12345678 / 79",
        "030-123456-78/79",
        "+43 664 1234567 / 8",
        "+39 06 1234567/8",
        "+62 812 3456789/90",
        "0049 30 123456/57",
        "+49 (0)30 123456／57",
    ] {
        let (sent, codes) = verdict_under(&in_country("DE"), Number, value);
        assert_eq!((sent, codes), (None, vec!["number.several"]), "{value}");
    }
    // A single stroke behind the area code, and groups that begin with 0, are of one number.
    for (value, want) in [
        ("0151/12345678", "+4915112345678"),
        ("030/1234567", "+49301234567"),
        ("03301/12345", "+49330112345"),
        ("(030)/1234567", "+49301234567"),
        ("+49/30/1234567", "+49301234567"),
        ("+49 151 1234 0678", "+4915112340678"),
        ("+33 6 12 34 05 06", "+33612340506"),
        ("+44 7911 012345", "+447911012345"),
        ("+39 347 123 0456", "+393471230456"),
        ("+55 11 91234 0567", "+5511912340567"),
        ("+81 90 1234 0567", "+819012340567"),
    ] {
        let (sent, _) = verdict_under(&in_country("DE"), Number, value);
        assert_eq!(sent.as_deref(), Some(want), "{value}");
    }
}

#[test]
fn digits_that_begin_with_the_default_countrys_own_calling_code_are_not_guessed() {
    for (country, value) in [
        ("DE", "4915112345678"),
        ("DE", "4930123456"),
        ("DE", "49 151 12345678"),
        ("DE", "4915112345678.0"),
        ("ID", "62812345678"),
        ("SE", "468123456"),
        ("AT", "436641234567"),
    ] {
        let (sent, codes) = verdict_under(&in_country(country), Number, value);
        assert!(sent.is_none() && codes.contains(&"number.bare"), "{country} {value} {sent:?} {codes:?}");
    }
    // National numbers in use that happen to begin so, and lengths that leave one reading.
    for (country, value, want) in [
        ("IT", "3931234567", "+393931234567"),
        ("IN", "9198765432", "+919198765432"),
        ("GB", "447911123456", "+447911123456"),
        ("US", "12025550143", "+12025550143"),
        ("DE", "15112345678", "+4915112345678"),
        ("DE", "04930123456", "+494930123456"),
    ] {
        assert_eq!(
            verdict_under(&in_country(country), Number, value),
            sent(want, "number.national"),
            "{country} {value}"
        );
    }
    let both = RuleOptions { bare_numbers: BareNumbers::E164, ..in_country("DE") };
    assert_eq!(verdict_under(&both, Number, "4915112345678"), sent("+4915112345678", "number.assumed"));
}

#[test]
fn separators_do_not_change_what_bare_digits_are() {
    let e164 = RuleOptions { bare_numbers: BareNumbers::E164, ..RuleOptions::default() };
    for value in ["447 911 123 456", "447.911.123.456", "447-911-123-456", "44(0)7911123456"] {
        assert_eq!(
            verdict_under(&e164, Number, value),
            (Some("+447911123456".to_owned()), vec!["number.format", "number.assumed"]),
            "{value}"
        );
        assert_eq!(verdict(Number, value), (None, vec!["number.format", "number.bare"]), "{value}");
    }
    // An area code in brackets, or a zero in front, is how a national number is written.
    for value in ["(202) 555-0143", "07911 123456"] {
        assert_eq!(verdict_under(&e164, Number, value).1, ["number.format", "number.no_country"], "{value}");
    }
}

/// The same digit by digit.
fn ungroup_plainly(groups: &str, number: &mut String) -> bool {
    "+".clone_into(number);
    let mut before = b'+';
    for byte in groups.bytes() {
        match (byte, before) {
            (b'0', b' ') if are_too_few(number.len() - 1) => {}
            (b'0', b' ') => return false,
            (b'0'..=b'9', _) if number.len() > DIGITS_MAX => return false,
            (b'0'..=b'9', _) => {}
            (b' ' | b'-', b'0'..=b'9') => {}
            _ => return false,
        }
        number.extend(byte.is_ascii_digit().then_some(char::from(byte)));
        before = byte;
    }
    before.is_ascii_digit()
}

proptest! {
    #[test]
    fn groups_are_put_together_as_digit_by_digit(groups in "([0-9]{0,8}[ -]){0,4}[0-9]{0,12}[ .-é]?") {
        let (mut number, mut plain) = (String::from("what was before"), String::new());
        prop_assert_eq!(ungroup(&groups, &mut number), ungroup_plainly(&groups, &mut plain));
        prop_assert!(!ungroup(&groups, &mut number) || number == plain);
    }
}
