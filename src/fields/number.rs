//! `number`: the MSISDN, as E.164 writes it: `+`, calling code, national number, at most 15 digits in all.
//!
//! The only user of rlibphonenumber. Its parser repairs what it should refuse (letters, a second number, `.0`), so our
//! own character filter runs first, and a number that already is E.164 never reaches the parser. Machine-to-machine
//! ranges are not in its metadata: an impossible length is a warning. Not here: which countries of other fields agree
//! with the number's (`cross.rs`).

use std::borrow::Cow;
use std::sync::LazyLock;

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

use super::Context;
use super::clean::is_spacing;
use super::luhn::{all_same, is_digits};
use super::mangle::{Mangled, PLACEHOLDER, examine};
use super::options::{BareNumbers, NumberFormat};
use super::rules::{ERROR, FIX, FIX_AND_WARN, OFF, Rule, RuleId, WARN_BUT_LENIENT, rule};

mod several;

use several::{are_too_few, holds_several};

const E_164: &str = "ITU-T E.164 clause 6";
const PLAN: &str = "national numbering plans, as libphonenumber knows them";

pub(super) const RULES: &[Rule] = &[
    rule(
        "number.format",
        FIX,
        "separators, tel: or (0) were removed",
        "RFC 3966; ITU-T E.123",
        "nothing to do",
    ),
    rule("number.prefix", FIX, "an international prefix was written as +", "ITU-T E.123", "nothing to do"),
    rule(
        "number.national",
        FIX,
        "a national number was completed with the default country",
        PLAN,
        "nothing to do",
    ),
    rule(
        "number.assumed",
        FIX,
        "digits without + were taken for E.164",
        "field-rules 1.1: spreadsheets remove the +",
        "nothing to do; bare_numbers = \"e164\" says so",
    ),
    rule(
        "number.bare",
        ERROR,
        "digits without +: an international number that lost it, or a national one, and both are possible",
        "field-rules 1.1",
        "write the numbers with +, or, where all that begin with a calling code lost it, set --bare-numbers e164 \
         (rules.bare_numbers = \"e164\"); national numbers need their zero in front and --default-country CC",
    ),
    rule(
        "number.trunk_zero",
        FIX_AND_WARN,
        "the zero that is dialed within the country only stood behind the calling code and was removed",
        "ITU-T E.164 clause 6: no trunk prefix; ITU-T E.123",
        "write the number without it; set number.trunk_zero=off to send it as it stands",
    ),
    rule(
        "number.no_country",
        ERROR,
        "a national number and no --default-country",
        E_164,
        "name the country with --default-country, or write numbers with + and calling code",
    ),
    rule(
        "number.not_national",
        ERROR,
        "no number of the default country has this length",
        PLAN,
        "write the number with + and calling code",
    ),
    rule(
        "number.chars",
        ERROR,
        "characters that no telephone number has",
        "ITU-T E.164; libphonenumber would silently drop or translate them",
        "leave nothing but the number in the cell",
    ),
    rule(
        "number.several",
        ERROR,
        "more than one number in the cell",
        "field-rules 1.1; DIN 5008: a stroke is no part of a number",
        "leave one number in the cell, written with + and calling code",
    ),
    rule("number.extension", ERROR, "an extension, which no MSISDN has", E_164, "remove the extension"),
    rule("number.too_long", ERROR, "more than 15 digits", E_164, "correct the number"),
    rule("number.too_short", ERROR, "fewer than 7 digits", "field-rules 1.1", "give the whole number"),
    rule(
        "number.country_code",
        ERROR,
        "no country has this calling code",
        "ITU-T E.164 annex: list of assigned country codes",
        "write the number with + and its country's calling code",
    ),
    rule(
        "number.length",
        WARN_BUT_LENIENT,
        "no number of this country has this length",
        PLAN,
        "check the number; machine-to-machine ranges are often longer and legitimate",
    ),
    rule("number.invalid", OFF, "the number is in no range that is in use", PLAN, "check the number"),
    rule("number.not_mobile", OFF, "the number is in no mobile range", PLAN, "check the number"),
];

const FORMAT: RuleId = RuleId::known("number.format");
const PREFIX: RuleId = RuleId::known("number.prefix");
const NATIONAL: RuleId = RuleId::known("number.national");
const ASSUMED: RuleId = RuleId::known("number.assumed");
const BARE: RuleId = RuleId::known("number.bare");
const TRUNK_ZERO: RuleId = RuleId::known("number.trunk_zero");
const NO_COUNTRY: RuleId = RuleId::known("number.no_country");
const NOT_NATIONAL: RuleId = RuleId::known("number.not_national");
const CHARS: RuleId = RuleId::known("number.chars");
const SEVERAL: RuleId = RuleId::known("number.several");
const EXTENSION: RuleId = RuleId::known("number.extension");
const TOO_LONG: RuleId = RuleId::known("number.too_long");
const TOO_SHORT: RuleId = RuleId::known("number.too_short");
const COUNTRY_CODE: RuleId = RuleId::known("number.country_code");
const LENGTH: RuleId = RuleId::known("number.length");
const INVALID: RuleId = RuleId::known("number.invalid");
const NOT_MOBILE: RuleId = RuleId::known("number.not_mobile");

/// Most digits of a number, calling code included (E.164 clause 6).
const DIGITS_MAX: usize = 15;
/// Fewest digits of a number in use, calling code included (Niue: +683 and four digits).
const DIGITS_MIN: usize = 7;
/// So many digits stand for a number of their own when a cell seems to hold several.
const DIGITS_OF_A_NUMBER: usize = 6;

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if let Some(found) = check_plain(value, context) {
        return found;
    }
    if let Some(found) = check_grouped(value, context) {
        return found;
    }
    check_closely(value, context)
}

/// A number with anything but digits in it.
pub(super) fn check_closely<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    match examine(value) {
        Mangled::No => check_formatted(value, context),
        Mangled::Whole(number, rule) => {
            context.raise(rule);
            let found = check_plain(&number, context).unwrap_or_default()?;
            Some(Cow::Owned(found.into_owned()))
        }
        Mangled::Broken(rule) => context.pass_as_is(rule, value),
    }
}

/// An international number in groups, with a space or a hyphen between them, as most exports write it; `None` when it
/// is not quite that. A group that begins with a zero may be another number where a whole one stands before it, which
/// is for [`check_formatted`] to say.
fn check_grouped<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Option<Cow<'a, str>>> {
    let groups = value.strip_prefix('+')?;
    if !ungroup(groups, context.room) {
        return None;
    }
    let number = std::mem::take(context.room);
    context.raise(FORMAT);
    let digits = &number[1..];
    Some(match judge_e164(digits, context) {
        E164::Sound => Some(Cow::Owned(match context.rules.options().number_format {
            NumberFormat::Plain => digits.to_owned(),
            NumberFormat::E164 => number,
        })),
        E164::Blocked(rule) => context.pass_as_is(rule, value),
        E164::WithZero(without) => {
            context.raise(TRUNK_ZERO);
            check_e164(value, &without, context).map(|found| Cow::Owned(found.into_owned()))
        }
    })
}

/// Puts the groups of a number together, behind a `+`. `false`: they are not quite such.
fn ungroup(groups: &str, number: &mut String) -> bool {
    number.clear();
    number.push('+');
    let (mut before, mut rest) = (b'+', groups);
    loop {
        let (group, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let is_other = before == b' ' && group.starts_with('0') && !are_too_few(number.len() - 1);
        if group.is_empty() || number.len() + group.len() > DIGITS_MAX + 1 || is_other {
            return false;
        }
        number.push_str(group);
        let Some(sign @ (b' ' | b'-')) = behind.as_bytes().first() else { return behind.is_empty() };
        (before, rest) = (*sign, &behind[1..]);
    }
}

/// A number without any separator; `None` when it has some.
fn check_plain<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Option<Cow<'a, str>>> {
    match value.strip_prefix('+') {
        Some(digits) if is_digits(digits) => Some(check_e164(value, digits, context)),
        None if is_digits(value) => Some(check_bare(value, context)),
        Some(_) | None => None,
    }
}

/// Digits and nothing else: what they mean is a setting of the job.
fn check_bare<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if all_same(value) {
        return context.pass_as_is(PLACEHOLDER, value);
    }
    if value.starts_with('0') {
        return check_national(value, value, context);
    }
    check_bare_digits(value, value, context)
}

/// The digits of a cell without `+` and without a zero in front.
fn check_bare_digits<'a>(value: &'a str, digits: &str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    let assumed = context.rules.options().bare_numbers == BareNumbers::E164;
    if assumed || context.is_echo() {
        // A server that drops the `+` is more common than one that answers with national numbers.
        context.raise(ASSUMED);
        return check_e164(value, digits, context);
    }
    match context.rules.country {
        Some(country) if !reads_both_ways(digits, country) => check_national(value, digits, context),
        Some(_) | None => context.pass_as_is(BARE, value),
    }
}

/// Whether digits that begin with the country's own calling code may be a national number and one of E.164 that lost
/// its `+`. Where only the national one is in use, it is what the operator said: a number of that country.
fn reads_both_ways(digits: &str, country: Country) -> bool {
    let Some(code) = country.calling_code() else { return false };
    let Some(national) = calling_code(digits).filter(|(own, _)| *own == code).map(|(_, rest)| rest) else {
        return false;
    };
    if !has_possible_length(code, national) || !has_possible_length(code, digits) {
        return false;
    }
    let is_in_use =
        |digits: &str| number_of(digits).is_some_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number));
    is_in_use(digits) || !is_in_use(&format!("{code}{digits}"))
}

/// A number as people write it.
fn check_formatted<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    let body = match value.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => value[4..].trim_start(),
        Some(_) | None => value,
    };
    let opened = body.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    let (international, rest) = match opened.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, body),
    };
    let is_allowed = |c: char| c.is_ascii_digit() || is_spacing(c) || "./()．／（）".contains(c);
    if !rest.contains(|c: char| c.is_ascii_digit()) || !rest.chars().all(is_allowed) || rest.starts_with('-')
    {
        return context.pass_as_is(culprit(rest), value);
    }
    if holds_several(rest, international, context.rules.country) {
        return context.pass_as_is(SEVERAL, value);
    }
    let mut digits = String::with_capacity(rest.len());
    digits.extend(rest.chars().filter(char::is_ascii_digit));
    let abroad =
        if international { Some(rest) } else { rest.trim_start_matches(['(', ' ']).strip_prefix("00") };
    // `44(0)7911…` shows that it begins with a calling code as well.
    let bare = || Some(rest).filter(|rest| !rest.starts_with(['0', '(']));
    let digits = match (abroad.and_then(without_trunk_zero), international) {
        (Some(stripped), true) => stripped,
        (Some(stripped), false) => format!("00{stripped}"),
        (None, true) => digits,
        (None, false) => bare().and_then(without_trunk_zero).unwrap_or(digits),
    };
    context.raise(FORMAT);
    // Separators do not change what digits mean, but brackets do: only a national number has an area code in them.
    let is_bare = !digits.starts_with('0') && !body.starts_with(['(', '（']);
    let found = if international {
        check_e164(value, &digits, context)
    } else if is_bare {
        check_bare_digits(value, &digits, context)
    } else {
        check_national(value, &digits, context)
    };
    found.map(|number| Cow::Owned(number.into_owned()))
}

/// What an unexpected character most likely is.
fn culprit(number: &str) -> RuleId {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let lower = number.to_ascii_lowercase();
    let odd = lower.find(|c: char| c == '#' || c.is_ascii_alphabetic() || ";,|\n+".contains(c));
    let Some((before, behind)) = odd.and_then(|at| lower.split_at_checked(at)) else { return CHARS };
    if digits(before) < DIGITS_OF_A_NUMBER {
        return CHARS;
    }
    let marks = [";ext=", "extension", "extn", "ext", "x", "#"];
    if let Some(rest) = marks.iter().find_map(|mark| behind.strip_prefix(mark))
        && is_digits(rest.trim_matches([' ', '.', ':']))
        && digits(rest) <= DIGITS_OF_A_NUMBER
    {
        return EXTENSION;
    }
    let separated = behind.starts_with([';', ',', '|', '\n', '+']);
    if separated && digits(behind) >= DIGITS_OF_A_NUMBER { SEVERAL } else { CHARS }
}

/// The digits of an international number without the `(0)` that is dialed within the country only. Where a leading
/// zero is part of the number (Italy), it stays. `None` when there is no `(0)`.
fn without_trunk_zero(international: &str) -> Option<String> {
    if !international.as_bytes().contains(&b'(') {
        return None;
    }
    let (before, behind) = international.split_once("(0)")?;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (code, rest) = (digits(before), digits(behind));
    let without = format!("{code}{rest}");
    let with = format!("{code}0{rest}");
    let is_valid =
        |digits: &str| number_of(digits).is_some_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number));
    Some(if !is_valid(&without) && is_valid(&with) { with } else { without })
}

/// Digits of a national number, or of an international one behind a dialing prefix.
fn check_national<'a>(value: &'a str, digits: &str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if all_same(digits) {
        return context.pass_as_is(PLACEHOLDER, value);
    }
    // `00` begins no national number, so it needs no country; other prefixes are known for a country only.
    if let Some(abroad) = digits.strip_prefix("00") {
        return check_abroad(value, digits, abroad, context);
    }
    let Some(country) = context.rules.country else {
        return context.pass_as_is(NO_COUNTRY, value);
    };
    // Mexico dialled mobiles with 044 or 045 until 2019; the metadata have forgotten it, and exports have not.
    let is_mexican = || country.code() == "MX" && digits.len() == 13;
    let dialled = digits.strip_prefix("044").or_else(|| digits.strip_prefix("045"));
    let digits = dialled.filter(|_| is_mexican()).unwrap_or(digits);
    let Ok(number) = PHONE_NUMBER_UTIL.parse(digits, Some(country.0)) else {
        return context.pass_as_is(NOT_NATIONAL, value);
    };
    let e164 = number.format_as(PhoneNumberFormat::E164);
    let e164 = e164.strip_prefix('+').unwrap_or(&e164);
    // A guess that gives no number of the country is refused, not only warned of.
    if !calling_code(e164).is_some_and(|(code, national)| has_possible_length(code, national)) {
        return context.pass_as_is(NOT_NATIONAL, value);
    }
    let at_home = PHONE_NUMBER_UTIL.get_country_code_for_region(country.0) == Some(number.country_code);
    context.raise(if at_home { NATIONAL } else { PREFIX });
    check_e164(value, e164, context)
}

/// Digits behind `00`. Some countries dial `0011` or `001` and a carrier: where `00` leaves no number that is possible,
/// the prefix of the default country is asked.
fn check_abroad<'a>(
    value: &'a str,
    digits: &str,
    abroad: &str,
    context: &mut Context<'_>,
) -> Option<Cow<'a, str>> {
    let is_possible = |digits: &str| {
        let has_length = |(code, rest): (u16, &str)| has_possible_length(code, rest);
        !has_no_area(digits) && calling_code(digits).is_some_and(has_length)
    };
    if !is_possible(abroad)
        && let Some(country) = context.rules.country
        && let Ok(number) = PHONE_NUMBER_UTIL.parse(digits, Some(country.0))
    {
        let e164 = number.format_as(PhoneNumberFormat::E164);
        let dialed = e164.strip_prefix('+').unwrap_or(&e164);
        // Anything else was taken for a national number.
        if digits.ends_with(dialed) && is_possible(dialed) {
            context.raise(PREFIX);
            return check_e164(value, dialed, context);
        }
    }
    if calling_code(abroad).is_none() || has_no_area(abroad) {
        return context.pass_as_is(COUNTRY_CODE, value);
    }
    context.raise(PREFIX);
    check_e164(value, abroad, context)
}

/// Whether the digits behind `00` are nobody's: no area code of North America begins with 0 or 1. They are what is left
/// of another country's `0011`.
fn has_no_area(digits: &str) -> bool {
    digits.starts_with("10") || digits.starts_with("11")
}

/// What digits are that should be an international number.
enum E164 {
    /// None, under this rule.
    Blocked(RuleId),
    /// One with the zero that is dialed within the country; these are its digits without.
    WithZero(String),
    /// One; what is doubtful about it was raised.
    Sound,
}

/// Digits of an international number without `+`. `value` is the cell, which is borrowed from where it can be.
fn check_e164<'a>(value: &'a str, digits: &str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    match judge_e164(digits, context) {
        E164::Sound => {}
        E164::Blocked(rule) => return context.pass_as_is(rule, value),
        E164::WithZero(without) => {
            context.raise(TRUNK_ZERO);
            return check_e164(value, &without, context);
        }
    }
    let length = value.len() - digits.len().min(value.len());
    Some(match (context.rules.options().number_format, value.split_at_checked(length)) {
        (NumberFormat::E164, Some(("+", same))) if same == digits => Cow::Borrowed(value),
        (NumberFormat::Plain, Some((_, same))) if same == digits => Cow::Borrowed(same),
        (NumberFormat::E164, _) => Cow::Owned(format!("+{digits}")),
        (NumberFormat::Plain, _) => Cow::Owned(digits.to_owned()),
    })
}

fn judge_e164(digits: &str, context: &mut Context<'_>) -> E164 {
    let blocked = match calling_code(digits) {
        _ if all_same(digits) => PLACEHOLDER,
        _ if digits.len() > DIGITS_MAX => TOO_LONG,
        _ if digits.len() < DIGITS_MIN => TOO_SHORT,
        None => COUNTRY_CODE,
        Some((_, national)) if national.bytes().all(|byte| byte == b'0') => PLACEHOLDER,
        Some((code, national)) => {
            if let Some(without) = without_own_trunk_zero(code, national, context) {
                return E164::WithZero(without);
            }
            if !has_possible_length(code, national) {
                context.raise(LENGTH);
            }
            if (context.applies(INVALID) || context.applies(NOT_MOBILE))
                && let Some(number) = number_of(digits)
            {
                check_range(&number, context);
            }
            return E164::Sound;
        }
    };
    E164::Blocked(blocked)
}

/// The digits of `+44 07911…` without the zero, when that alone makes a number in use of one that is not.
fn without_own_trunk_zero(code: u16, national: &str, context: &Context<'_>) -> Option<String> {
    let dialed = national.strip_prefix('0').filter(|_| context.applies(TRUNK_ZERO))?;
    let is_valid =
        |digits: &str| number_of(digits).is_some_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number));
    // Where no zero is dialed at home, this one is something else.
    let home = PHONE_NUMBER_UTIL.get_region_for_country_code(i32::from(code))?;
    let number = PHONE_NUMBER_UTIL.parse(national, Some(home)).ok()?;
    let without = format!("{code}{dialed}");
    if number.format_as(PhoneNumberFormat::E164).strip_prefix('+') != Some(without.as_str()) {
        return None;
    }
    (is_valid(&without) && !is_valid(&format!("{code}{national}"))).then_some(without)
}

fn check_range(number: &PhoneNumber, context: &mut Context<'_>) {
    if !PHONE_NUMBER_UTIL.is_valid_number(number) {
        context.raise(INVALID);
        return;
    }
    let kind = PHONE_NUMBER_UTIL.get_number_type(number);
    if !matches!(kind, PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile) {
        context.raise(NOT_MOBILE);
    }
}

/// The library's number of E.164 digits, without its parser, which would take a national prefix off.
fn number_of(digits: &str) -> Option<PhoneNumber> {
    let (code, national) = calling_code(digits)?;
    let significant = national.trim_start_matches('0');
    let zeros = i32::try_from(national.len() - significant.len()).ok()?;
    Some(PhoneNumber {
        country_code: i32::from(code),
        national_number: significant.parse().ok()?,
        italian_leading_zero: (zeros > 0).then_some(true),
        number_of_leading_zeros: (zeros > 0).then_some(zeros),
        ..PhoneNumber::default()
    })
}

/// Calling codes have one to three digits.
const CALLING_CODES: usize = 1000;

/// Possible lengths of national numbers by calling code: bit `n` for `n` digits; no bit, no such code. The library
/// answers the same from a hash map and a search, which for millions of rows is worth 4 KiB.
static LENGTHS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut lengths = vec![0; CALLING_CODES];
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        let Some(slot) = usize::try_from(code).ok().and_then(|code| lengths.get_mut(code)) else { continue };
        for length in 1..u32::try_from(DIGITS_MAX).unwrap_or(0) {
            let number = PhoneNumber {
                country_code: code,
                national_number: 2 * 10_u64.pow(length - 1),
                ..PhoneNumber::default()
            };
            let answer = PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number);
            // A number that can be dialed within its town only is no MSISDN.
            if matches!(answer, Ok(NumberLengthType::IsPossible)) {
                *slot |= 1 << length;
            }
        }
    }
    lengths
});

/// The assigned calling code that E.164 digits begin with, and the national number behind it. No calling code is the
/// beginning of another.
pub(super) fn calling_code(digits: &str) -> Option<(u16, &str)> {
    let lengths = LENGTHS.as_slice();
    let mut code = 0_u16;
    for (at, byte) in digits.bytes().take(3).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || (code == 0 && digit == 0) {
            return None;
        }
        code = code * 10 + u16::from(digit);
        if lengths.get(usize::from(code)).is_some_and(|lengths| *lengths != 0) {
            return Some((code, digits.get(at + 1..)?));
        }
    }
    None
}

fn has_possible_length(code: u16, national: &str) -> bool {
    LENGTHS[usize::from(code)] & (1 << national.len().min(31)) != 0
}

/// The country in which a number, in its canonical form, is national.
pub(super) fn home_of(number: &str) -> Option<String> {
    let (code, _) = calling_code(number.strip_prefix('+').unwrap_or(number))?;
    Some(PHONE_NUMBER_UTIL.get_region_for_country_code(i32::from(code))?.as_region_str().to_string())
}

/// Whether the calling code belongs to no country: satellites, international networks and services.
pub(super) fn is_global(code: u16) -> bool {
    matches!(code, 800 | 808 | 870 | 878 | 881 | 882 | 883 | 888 | 979)
}

/// The calling code of a region, ISO 3166-1 alpha-2 in upper case.
pub(super) fn calling_code_of_region(region: &str) -> Option<u16> {
    let region = Region::from_code(region).ok()?;
    u16::try_from(PHONE_NUMBER_UTIL.get_country_code_for_region(region)?).ok()
}

/// A country of national numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Country(Region);

impl Country {
    /// The country of an ISO 3166-1 alpha-2 code, in either case, if it has telephone numbers.
    pub(super) fn parse(code: &str) -> Option<Country> {
        let code = code.to_ascii_uppercase();
        calling_code_of_region(&code)?;
        Region::from_code(&code).ok().filter(|region| *region != Region::World).map(Country)
    }

    fn calling_code(self) -> Option<u16> {
        u16::try_from(PHONE_NUMBER_UTIL.get_country_code_for_region(self.0)?).ok()
    }

    /// ISO 3166-1 alpha-2 code in upper case.
    pub(super) fn code(self) -> String {
        self.0.as_region_str().to_string()
    }

    /// Codes that someone may have meant: a country's usual abbreviation, alpha-3, or two letters swapped.
    pub(super) fn near(code: &str) -> Vec<String> {
        let upper = code.to_ascii_uppercase();
        let swapped: String = upper.chars().rev().collect();
        let usual = if matches!(upper.as_str(), "UK" | "EN") { "GB" } else { "" };
        let mut near = Vec::new();
        for candidate in [usual, upper.get(..2).unwrap_or(""), &swapped] {
            if let Some(country) = Country::parse(candidate)
                && !near.contains(&country.code())
            {
                near.push(country.code());
            }
        }
        near
    }
}

#[cfg(test)]
mod tests;
