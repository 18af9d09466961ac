//! Checks between the fields of one row: the same value twice, values in each other's columns, countries that disagree.
//!
//! Not here: issuer against network (no usable list exists), and whatever needs several rows (`plan/`).

use std::sync::LazyLock;

use crate::update::{FieldKind, Fields};

use super::clean::{is_spacing, without};
use super::luhn::{is_digits, passes};
use super::mcc::{Mcc, code_of, of_imsi};
use super::number::{calling_code, calling_code_of_region, is_global};
use super::rules::{ERROR, ERROR_BUT_LENIENT, OFF_OR_STRICT, Rule, RuleId, Severity, WARN_BUT_LENIENT, rule};
use super::{Finding, RuleSet, username};

const SHIFT: &str = "field-rules 1.11";
const SWAPPED: &str = "check that no column is shifted or mapped to the wrong field";
const COUNTRIES: &str =
    "travel, multi-IMSI and machine-to-machine SIMs differ legitimately; otherwise check the row";

pub(super) const RULES: &[Rule] = &[
    rule(
        "x.same",
        ERROR,
        "the same digits in two of number, imei, imsi and iccid",
        "field-rules 1.11",
        "check that no column is mapped to two fields",
    ),
    rule(
        "x.swapped",
        ERROR_BUT_LENIENT,
        "the IMSI looks like an IMEI, and the IMEI like an IMSI",
        "3GPP TS 23.003 clauses 2.2 and 6.2.1: reporting bodies in use, Luhn check, country codes",
        "check that the columns imei and imsi are not swapped",
    ),
    rule("x.shift.number", WARN_BUT_LENIENT, "the value looks like a telephone number", SHIFT, SWAPPED),
    rule("x.shift.imei", WARN_BUT_LENIENT, "the value looks like an IMEI", SHIFT, SWAPPED),
    rule("x.shift.imsi", WARN_BUT_LENIENT, "the value looks like an IMSI", SHIFT, SWAPPED),
    rule("x.shift.iccid", WARN_BUT_LENIENT, "the value looks like an ICCID", SHIFT, SWAPPED),
    rule("x.shift.username", WARN_BUT_LENIENT, "the value looks like a login name", SHIFT, SWAPPED),
    rule("x.shift.password", WARN_BUT_LENIENT, "the value looks like a password hash", SHIFT, SWAPPED),
    rule(
        "x.country.imsi_msisdn",
        WARN_BUT_LENIENT,
        "IMSI and number are of different countries",
        "ITU-T E.212 and E.164",
        COUNTRIES,
    ),
    rule(
        "x.country.iccid_imsi",
        OFF_OR_STRICT,
        "ICCID and IMSI are of different countries",
        "ITU-T E.118 and E.212",
        COUNTRIES,
    ),
    rule(
        "x.country.iccid_msisdn",
        OFF_OR_STRICT,
        "ICCID and number are of different countries",
        "ITU-T E.118 and E.164",
        COUNTRIES,
    ),
    rule(
        "x.sim_pair",
        OFF_OR_STRICT,
        "ICCID without IMSI, or IMSI without ICCID, though a new SIM changes both",
        "vendor's page, use case 4; field-rules 1.11",
        "give both in one row",
    ),
];

const SAME: RuleId = RuleId::known("x.same");
const SWAPPED_SIM: RuleId = RuleId::known("x.swapped");
const SHIFT_NUMBER: RuleId = RuleId::known("x.shift.number");
const SHIFT_IMEI: RuleId = RuleId::known("x.shift.imei");
const SHIFT_IMSI: RuleId = RuleId::known("x.shift.imsi");
const SHIFT_ICCID: RuleId = RuleId::known("x.shift.iccid");
const SHIFT_USERNAME: RuleId = RuleId::known("x.shift.username");
const SHIFT_PASSWORD: RuleId = RuleId::known("x.shift.password");
const IMSI_MSISDN: RuleId = RuleId::known("x.country.imsi_msisdn");
const ICCID_IMSI: RuleId = RuleId::known("x.country.iccid_imsi");
const ICCID_MSISDN: RuleId = RuleId::known("x.country.iccid_msisdn");
const SIM_PAIR: RuleId = RuleId::known("x.sim_pair");

/// Checks the canonical values of one row against each other.
pub(super) fn check(rules: &RuleSet, fields: &Fields, findings: &mut Vec<Finding>) {
    let mut raise = |rule: RuleId, field: FieldKind| {
        let severity = rules.severity(rule);
        if severity != Severity::Off {
            findings.push(Finding { rule, severity, field: Some(field) });
        }
    };
    let number = fields.get(FieldKind::Number).map(|number| number.strip_prefix('+').unwrap_or(number));
    let imei = fields.get(FieldKind::Imei);
    let imsi = fields.get(FieldKind::Imsi);
    let iccid = fields.get(FieldKind::Iccid);

    let digits = [
        (FieldKind::Number, number),
        (FieldKind::Imei, imei),
        (FieldKind::Imsi, imsi),
        (FieldKind::Iccid, iccid),
    ];
    for (later, (kind, value)) in digits.iter().enumerate() {
        if value.is_some() && digits[..later].iter().any(|(_, earlier)| earlier == value) {
            raise(SAME, *kind);
        }
    }
    if let (Some(imei), Some(imsi)) = (imei, imsi)
        && imsi.len() == 15
        && has_imei_prefix(imsi)
        && passes(imsi)
        && !matches!(of_imsi(imsi), Mcc::Test)
        && !has_imei_prefix(imei)
        && matches!(of_imsi(imei), Mcc::Regions(_))
    {
        raise(SWAPPED_SIM, FieldKind::Imsi);
    }
    if fields.get(FieldKind::Username).is_some_and(|name| is_foreign_identifier(name, number, imsi)) {
        raise(username::IDENTIFIER, FieldKind::Username);
    }
    if imsi.is_some() != iccid.is_some() {
        raise(SIM_PAIR, if imsi.is_some() { FieldKind::Imsi } else { FieldKind::Iccid });
    }

    let number_code = number.and_then(country_of_number);
    let imsi_codes = imsi.and_then(countries_of_imsi);
    if let (Some(code), Some(codes)) = (number_code, imsi_codes)
        && !codes.contains(&code)
    {
        raise(IMSI_MSISDN, FieldKind::Imsi);
    }
    let iccid_asked = [ICCID_IMSI, ICCID_MSISDN].iter().any(|rule| rules.severity(*rule) != Severity::Off);
    let Some(card) = iccid.filter(|_| iccid_asked).and_then(country_of_iccid) else { return };
    if imsi_codes.is_some_and(|codes| !codes.contains(&card)) {
        raise(ICCID_IMSI, FieldKind::Iccid);
    }
    if number_code.is_some_and(|code| code != card) {
        raise(ICCID_MSISDN, FieldKind::Iccid);
    }
}

/// The calling code of a number's country. Countries that share one (+1, +7, +44) count as one: their numbers move.
fn country_of_number(digits: &str) -> Option<u16> {
    calling_code(digits).map(|(code, _)| code).filter(|code| !is_global(*code))
}

/// Calling codes by mobile country code, filled at first use.
static CODES: LazyLock<Vec<Vec<u16>>> = LazyLock::new(|| {
    let codes_of = |mcc: u16| match of_imsi(&format!("{mcc:03}")) {
        Mcc::Regions(regions) => regions.iter().copied().filter_map(calling_code_of_region).collect(),
        Mcc::Unknown | Mcc::Test | Mcc::Global => Vec::new(),
    };
    (0..1000).map(codes_of).collect()
});

/// The calling codes of the countries an IMSI may be of; `None` for networks of no country.
fn countries_of_imsi(imsi: &str) -> Option<&'static [u16]> {
    CODES.get(code_of(imsi)?).map(Vec::as_slice).filter(|codes| !codes.is_empty())
}

/// The calling code in an ICCID. Issuers of North America write 1 as `01`, those of Kazakhstan theirs as 997.
fn country_of_iccid(iccid: &str) -> Option<u16> {
    let rest = iccid.strip_prefix("89")?;
    if rest.starts_with("01") {
        return Some(1);
    }
    if rest.starts_with("997") {
        return Some(7);
    }
    country_of_number(rest)
}

/// Which other field a rejected value looks like. `value` is the cleaned cell of a digit field.
pub(super) fn shifted(field: FieldKind, value: &str) -> Option<RuleId> {
    let texts = [
        (FieldKind::Password, SHIFT_PASSWORD, is_hash(value)),
        (FieldKind::Username, SHIFT_USERNAME, value.contains('@')),
    ];
    let bare = without(value, is_spacing);
    let shapes = texts.into_iter().chain(identifier_shapes(&bare));
    shapes.into_iter().find(|(kind, _, fits)| *fits && *kind != field).map(|(_, rule, _)| rule)
}

/// Which identifier, or password hash, a text plainly is, as it stands where a name should.
pub(super) fn identifier(text: &str) -> Option<FieldKind> {
    // Most texts begin with a letter.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '$') {
        return None;
    }
    if is_hash(text) {
        return Some(FieldKind::Password);
    }
    let bare = without(text, is_spacing);
    identifier_shapes(&bare).into_iter().find(|(_, _, fits)| *fits).map(|(kind, _, _)| kind)
}

/// Which identifiers the text, without spacing, has the shape of; the narrower shapes first.
fn identifier_shapes(bare: &str) -> [(FieldKind, RuleId, bool); 4] {
    let digits = is_digits(bare);
    let fifteen = digits && bare.len() == 15;
    [
        (FieldKind::Iccid, SHIFT_ICCID, digits && (18..=20).contains(&bare.len()) && bare.starts_with("89")),
        (FieldKind::Imei, SHIFT_IMEI, fifteen && passes(bare) && has_imei_prefix(bare)),
        (FieldKind::Imsi, SHIFT_IMSI, fifteen && matches!(of_imsi(bare), Mcc::Regions(_))),
        (FieldKind::Number, SHIFT_NUMBER, is_international(bare)),
    ]
}

fn is_hash(value: &str) -> bool {
    value.len() > 20 && value.starts_with('$')
}

/// Whether a login name is an identifier, and not one of the row's own: networks let subscribers log in by number or
/// by IMSI. Without that field in the row there is nothing to hold it against, so it is taken for its own.
fn is_foreign_identifier(username: &str, number: Option<&str>, imsi: Option<&str>) -> bool {
    let Some(kind) = identifier(username) else { return false };
    let bare = without(username, is_spacing);
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    let is_own = number == Some(digits) || imsi == Some(digits);
    let unheld =
        (kind == FieldKind::Number && number.is_none()) || (kind == FieldKind::Imsi && imsi.is_none());
    !is_own && !unheld
}

/// Reporting bodies of devices on sale: PTCRB, BABT and TÜV, TAF, GHA.
fn has_imei_prefix(digits: &str) -> bool {
    ["01", "35", "86", "99"].iter().any(|body| digits.starts_with(body))
}

fn is_international(value: &str) -> bool {
    value.strip_prefix('+').is_some_and(|digits| {
        is_digits(digits) && (7..=15).contains(&digits.len()) && calling_code(digits).is_some()
    })
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::codes_of_row;
    use crate::fields::{Preset, RuleOptions};
    use crate::update::FieldKind::{Iccid, Imei, Imsi, Number, Username};

    fn codes(cells: &[(crate::update::FieldKind, &str)]) -> Vec<&'static str> {
        codes_of_row(&RuleOptions::default(), cells)
    }

    #[test]
    fn the_same_digits_in_two_fields_reject_the_row() {
        assert!(codes(&[(Imei, "356868000041418"), (Imsi, "356868000041418")]).contains(&"x.same"));
        assert!(codes(&[(Number, "+310260123456789"), (Imsi, "310260123456789")]).contains(&"x.same"));
        // Two absent fields are not the same value.
        assert!(codes(&[(Number, "+447911123456")]).is_empty());
    }

    #[test]
    fn countries_of_imsi_and_number() {
        for (number, imsi, warned) in [
            ("+12025550143", "310260123456789", false),
            ("+14165550143", "310260123456789", false),
            ("+447911123456", "234100000000001", false),
            ("+447911123456", "310260123456789", true),
            // Nobody's country: global SIMs, satellites, test networks.
            ("+447911123456", "901011234567890", false),
            ("+882161234567", "234100000000001", false),
            ("+77011234567", "401011234567890", false),
        ] {
            let found = codes(&[(Number, number), (Imsi, imsi)]);
            assert_eq!(found.contains(&"x.country.imsi_msisdn"), warned, "{number} {imsi} {found:?}");
        }
    }

    #[test]
    fn countries_of_the_card_are_asked_on_demand_only() {
        let cells = [(Number, "+447911123456"), (Imsi, "234100000000001"), (Iccid, "89014103211118510720")];
        assert!(codes(&cells).is_empty());
        let strict = RuleOptions { preset: Preset::Strict, ..RuleOptions::default() };
        let found = codes_of_row(&strict, &cells);
        assert!(
            found.contains(&"x.country.iccid_imsi") && found.contains(&"x.country.iccid_msisdn"),
            "{found:?}"
        );
        let cells = [(Number, "+77011234567"), (Imsi, "401011234567890"), (Iccid, "8999701000000000017")];
        let found = codes_of_row(&strict, &cells);
        assert!(!found.iter().any(|code| code.starts_with("x.country")), "{found:?}");
    }

    #[test]
    fn imei_and_imsi_in_each_others_column_reject_the_row() {
        // Both pass alone: 356 is the country code of Saint Kitts and Nevis, and by chance the IMSI passes Luhn.
        assert_eq!(codes(&[(Imei, "234152030617275"), (Imsi, "356868002000008")]), ["x.swapped"]);
        assert_eq!(
            codes(&[(Imei, "234151234567891"), (Imsi, "356868002000008")]),
            ["imei.luhn", "x.swapped"]
        );
        for (imei, imsi) in [
            ("356868002000008", "234152030617275"),
            // An old reporting body, and a country code that is one of today's.
            ("490154203237518", "310260123456789"),
            ("356868002000008", "356110000000001"),
            ("234152030617275", "310260123456789"),
            // A private network, 999, begins like a reporting body in use.
            ("234152030617275", "999999000000006"),
        ] {
            assert!(!codes(&[(Imei, imei), (Imsi, imsi)]).contains(&"x.swapped"), "{imei} {imsi}");
        }
    }

    #[test]
    fn a_login_name_may_be_the_rows_own_number_or_imsi_and_no_other() {
        let own = [(Number, "+447911123456"), (Imsi, "234100000000001")];
        for (name, warned) in [
            ("+447911123456", false),
            ("447911123456", false),
            ("234100000000001", false),
            ("john.doe", false),
            ("4711", false),
            ("+447911123457", true),
            ("234100000000002", true),
            ("356868000041418", true),
            ("8944476500008878576", true),
            ("$2a$10$N9qo8uLOickgx2ZMRZoMye", true),
        ] {
            let found = codes(&[&own[..], &[(Username, name)]].concat());
            assert_eq!(found.contains(&"username.identifier"), warned, "{name} {found:?}");
        }
        // Where the row has no such field, the name may well be it.
        assert!(codes(&[(Username, "+447911123457")]).is_empty());
        assert!(codes(&[own[0], (Username, "234100000000002")]).is_empty());
        assert_eq!(codes(&[(Username, "8944476500008878576")]), ["username.identifier"]);
    }

    #[test]
    fn a_rejected_value_names_the_column_it_looks_like() {
        for (field, value, codes_wanted) in [
            (Imei, "89014103211118510720", ["imei.length", "x.shift.iccid"]),
            (Iccid, "356868000041418", ["iccid.length", "x.shift.imei"]),
            (Iccid, "310260123456789", ["iccid.length", "x.shift.imsi"]),
            (Imsi, "869812040000018", ["imsi.mcc_invalid", "x.shift.imei"]),
            (Imsi, "+447911123456", ["imsi.chars", "x.shift.number"]),
            (Number, "john@example.org", ["number.chars", "x.shift.username"]),
            (Imei, "$2a$10$N9qo8uLOickgx2ZMRZoMye", ["imei.chars", "x.shift.password"]),
        ] {
            assert_eq!(codes(&[(field, value)]), codes_wanted, "{value}");
        }
        // An accepted value is never second-guessed.
        assert_eq!(codes(&[(Imei, "310260123456789")]), ["imei.luhn"]);
    }
}
