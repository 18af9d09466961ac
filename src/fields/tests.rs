//! Whole rows: the vendor's example, the vectors of field-rules 7, and the laws that hold for every value.

use proptest::prelude::*;

use super::*;
use FieldKind::{GenericId, Iccid, Imei, Imsi, Number, Password, UserClass, UserExternalId, Username};

/// Checks a row and gives the codes of its findings.
pub(super) fn codes_of_row(options: &RuleOptions, cells: &[(FieldKind, &str)]) -> Vec<&'static str> {
    let mut checked = Checked::default();
    check_row(&RuleSet::new(options).unwrap(), &cell_of(cells), &mut checked);
    codes(&checked)
}

/// What is sent for one cell under the default options, and the codes of its findings.
pub(super) fn verdict(kind: FieldKind, value: &str) -> (Option<String>, Vec<&'static str>) {
    verdict_under(&RuleOptions::default(), kind, value)
}

/// What is sent for one cell, and the codes of its findings.
pub(super) fn verdict_under(
    options: &RuleOptions,
    kind: FieldKind,
    value: &str,
) -> (Option<String>, Vec<&'static str>) {
    let mut checked = Checked::default();
    check_row(&RuleSet::new(options).unwrap(), &cell_of(&[(kind, value)]), &mut checked);
    (checked.fields.get(kind).map(str::to_owned), codes(&checked))
}

fn cell_of<'a>(cells: &[(FieldKind, &'a str)]) -> impl Fn(FieldKind) -> Option<&'a str> {
    move |kind| cells.iter().find(|(cell, _)| *cell == kind).map(|(_, value)| *value)
}

fn codes(checked: &Checked) -> Vec<&'static str> {
    checked.findings.iter().map(|finding| finding.rule.rule().code).collect()
}

/// The request of the vendor's page, as printed.
const VENDOR_ROW: [(FieldKind, &str); FIELD_COUNT] = [
    (Number, "+1234567890"),
    (GenericId, "com.example.app.user123"),
    (Imei, "123456789012345"),
    (Imsi, "310260123456789"),
    (Iccid, "8901410321118510720"),
    (Username, "john.doe"),
    (Password, "$2a$10$N9qo8uL0ickgx2ZMRZoMye"),
    (UserExternalId, "ext_12345"),
    (UserClass, "premium"),
];

#[test]
fn the_vendors_example_is_sent_with_warnings_unless_its_password_is_mapped() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut checked = Checked::default();
    let without_password: Vec<_> =
        VENDOR_ROW.into_iter().filter(|(kind, _)| *kind != FieldKind::Password).collect();
    check_row(&rules, &cell_of(&without_password), &mut checked);
    assert_eq!(checked.rejected(), None);
    assert_eq!(codes(&checked), ["number.length", "imei.luhn", "imei.suspect", "iccid.luhn"]);
    for (kind, value) in without_password {
        assert_eq!(checked.fields.get(kind), Some(value));
    }

    check_row(&rules, &cell_of(&VENDOR_ROW), &mut checked);
    let reason = checked.rejected().unwrap();
    assert_eq!((reason.rule.rule().code, reason.field), ("password.truncated", Some(FieldKind::Password)));

    let lenient = RuleSet::new(&RuleOptions { preset: Preset::Lenient, ..RuleOptions::default() }).unwrap();
    check_row(&lenient, &cell_of(&VENDOR_ROW), &mut checked);
    assert_eq!(checked.rejected(), None);
    assert_eq!(checked.fields.get(FieldKind::Password), Some(VENDOR_ROW[6].1));
}

/// `sent` of a vector: the value itself, nothing, or another value.
#[derive(Clone, Copy)]
enum Sent {
    Same,
    No,
    As(&'static str),
}
use Sent::{As, No, Same};

fn assert_vectors(kind: FieldKind, vectors: &[(&str, Sent, &[&str])]) {
    for (value, sent, want) in vectors {
        let sent = match sent {
            Same => Some((*value).to_owned()),
            No => None,
            As(other) => Some((*other).to_owned()),
        };
        assert_eq!(verdict(kind, value), (sent, want.to_vec()), "{kind} {value:?}");
    }
}

#[test]
fn vectors_of_imei() {
    assert_vectors(
        Imei,
        &[
            ("490154203237518", Same, &[]),
            ("356868000041418", Same, &[]),
            ("35-686800-004141-8", As("356868000041418"), &["imei.format"]),
            ("123456789012345", Same, &["imei.luhn", "imei.suspect"]),
            ("123456789012347", Same, &["imei.suspect"]),
            ("49015420323751", No, &["imei.14", "imei.lost_zero"]),
            ("4901542032375101", No, &["imei.sv"]),
            ("000000000000000", No, &["placeholder"]),
            ("004999010640000", Same, &["imei.test", "imei.suspect"]),
            ("1.23457E+14", No, &["excel.scientific"]),
            ("3.56868000041418E+14", As("356868000041418"), &["excel.scientific_whole"]),
            ("356868000041418.0", As("356868000041418"), &["excel.decimal"]),
        ],
    );
}

#[test]
fn vectors_of_imsi() {
    assert_vectors(
        Imsi,
        &[
            ("310260123456789", Same, &[]),
            ("901011234567890", Same, &[]),
            ("460001234567890", Same, &[]),
            ("001010123456789", Same, &["imsi.test"]),
            ("999999999999999", Same, &["imsi.test"]),
            ("000001234567890", No, &["imsi.mcc_invalid"]),
        ],
    );
}

#[test]
fn vectors_of_iccid() {
    assert_vectors(
        Iccid,
        &[
            ("89014103211118510720", Same, &[]),
            ("8944476500008878576F", As("8944476500008878576"), &["iccid.format"]),
            ("89450421180216254864", Same, &[]),
            ("8901410321118510720", Same, &["iccid.luhn"]),
            ("8988303000000614227", Same, &["iccid.luhn"]),
            ("898600B5000000000001", Same, &["iccid.hex"]),
            ("89014103211118500000", No, &["iccid.excel_truncated"]),
            ("89014103211118510000", No, &["iccid.zeros_luhn"]),
            ("89014103211118510080", No, &["iccid.float_luhn"]),
            ("8901410321111851008", No, &["iccid.float_luhn"]),
            ("8901410321118511000", Same, &["iccid.zeros"]),
            ("89049032000000000000000000000066", No, &["iccid.eid"]),
        ],
    );
}

#[test]
fn vectors_of_number() {
    assert_vectors(
        Number,
        &[
            ("+1 (202) 555-0143", As("+12025550143"), &["number.format"]),
            ("tel:+1-202-555-0143", As("+12025550143"), &["number.format"]),
            ("0044 20 7946 0018", As("+442079460018"), &["number.format", "number.prefix"]),
            ("+44 (0)7911 123456", As("+447911123456"), &["number.format"]),
            ("07911 123456", No, &["number.format", "number.no_country"]),
            ("+1234567890", Same, &["number.length"]),
            ("+47580012345678", Same, &["number.length"]),
            ("+447911123456O", No, &["number.chars"]),
            ("+44 7911 123456 (mobile)", No, &["number.chars"]),
            ("07911123456;07911123457", No, &["number.several"]),
            ("+1 202 555 0143 x12", No, &["number.extension"]),
            ("+2250102030405", Same, &[]),
            ("+390612345678", Same, &[]),
            ("+999123456789", No, &["number.country_code"]),
            ("5.0255E+10", No, &["excel.scientific"]),
        ],
    );
    let gb = RuleOptions { default_country: Some("GB".to_owned()), ..RuleOptions::default() };
    assert_eq!(
        verdict_under(&gb, Number, "07911 123456"),
        (Some("+447911123456".to_owned()), vec!["number.format", "number.national"])
    );
}

#[test]
fn vectors_of_password() {
    assert_vectors(
        Password,
        &[
            ("$2a$10$N9qo8uL0ickgx2ZMRZoMye", No, &["password.truncated"]),
            ("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", Same, &[]),
        ],
    );
}

#[test]
fn empty_cells_and_null_markers_are_absent_and_markers_are_counted() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut checked = Checked::default();
    let cells =
        [(Number, ""), (Imei, "null"), (Imsi, "0"), (Iccid, " \u{A0}"), (Username, "\\N"), (UserClass, "0")];
    check_row(&rules, &cell_of(&cells), &mut checked);
    assert_eq!(checked.fields.present().iter().collect::<Vec<_>>(), [UserClass]);
    assert_eq!((checked.absent_markers, codes(&checked)), (3, vec![]));

    // Digit fields compare without regard to case; a class may be called so.
    let cells = [(Imei, "UNKNOWN"), (UserClass, "UNKNOWN")];
    check_row(&rules, &cell_of(&cells), &mut checked);
    assert_eq!((checked.absent_markers, checked.fields.get(UserClass)), (1, Some("UNKNOWN")));

    let own = RuleOptions { null_markers: vec!["n.d.".to_owned()], ..RuleOptions::default() };
    assert_eq!(verdict_under(&own, Username, "n.d."), (None, vec![]));
    assert_eq!(verdict_under(&own, Imei, "null"), (None, vec!["imei.chars"]));
}

#[test]
fn a_reused_checked_holds_nothing_of_the_row_before() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut checked = Checked::default();
    check_row(&rules, &cell_of(&[(Imei, "1"), (Number, "+447911123456"), (Imsi, "NULL")]), &mut checked);
    check_row(&rules, &cell_of(&[(Username, "john")]), &mut checked);
    assert_eq!(checked.fields.iter().collect::<Vec<_>>(), [(Username, "john")]);
    assert!(checked.findings.is_empty() && checked.absent_markers == 0);
}

#[test]
fn severities_decide_what_becomes_of_a_value() {
    let luhn_failed = "123456789012346";
    for (severity, sent, findings) in [
        (Severity::Off, true, 0),
        (Severity::Fix, true, 1),
        (Severity::Warn, true, 1),
        (Severity::Error, false, 1),
    ] {
        // A doubt, a fix, a field's damage, a shared rule's damage, a check between fields.
        for (code, kind, value) in [
            ("imei.luhn", Imei, luhn_failed),
            ("number.format", Number, "+44 7911 123456"),
            ("imei.14", Imei, "49015420323752"),
            ("excel.scientific", Imsi, "3.1E+14"),
            ("excel.error_value", Username, "#REF!"),
            ("username.control", Username, "a\u{1}b"),
        ] {
            let severities = vec![(code.to_owned(), severity)];
            let options = RuleOptions { severities, ..RuleOptions::default() };
            let (value_sent, codes) = verdict_under(&options, kind, value);
            assert_eq!(value_sent.is_some(), sent, "{code} {severity}");
            assert_eq!(codes.len(), findings, "{code} {severity} {codes:?}");
        }
    }
}

#[test]
fn clean_values_are_not_copied() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut findings = Vec::new();
    for (kind, value) in VENDOR_ROW {
        let spec = &SPECS[kind.index()];
        assert!(matches!(clean::clean(value, spec.cleaning).value, Cow::Borrowed(_)), "{kind}");
        let mut context = Context { rules: &rules, kind, findings: Some(&mut findings), rejected: false };
        assert!(matches!(check_value(spec, value, &mut context), Some(Cow::Borrowed(_))), "{kind}");
    }
}

#[test]
fn the_table_of_fields_is_in_wire_order() {
    assert_eq!(FIELDS.map(|spec| spec.kind), FieldKind::ALL);
    for spec in FIELDS {
        for rule in spec.rules {
            assert_eq!(RuleId::known(rule.code).rule().field, Some(spec.kind));
        }
    }
}

/// Cells that come near the shapes the rules know, and cells that come near nothing.
fn cells() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[+0-9()./ '=\"Ee,FfxX\u{200B}\u{A0}٣-]{0,24}",
        "[0-9]{13,21}",
        "89[0-9]{15,19}[Ff]{0,2}",
        "\\+?[0-9]{6,16}",
        "[0-9]\\.[0-9]{4,15}E\\+1[0-9]",
        "\\{?\\$?[a-z0-9*$./]{0,70}",
    ]
}

fn options() -> impl Strategy<Value = RuleOptions> {
    let choices = (0..3_usize, any::<[bool; 5]>(), 0..3_usize);
    choices.prop_map(|(imei_14, [bare, country, plain, sv, spare], preset)| RuleOptions {
        preset: Preset::ALL[preset],
        bare_numbers: BareNumbers::ALL[usize::from(bare)],
        default_country: country.then(|| "GB".to_owned()),
        number_format: NumberFormat::ALL[usize::from(plain)],
        imei_14: Imei14::ALL[imei_14],
        imei_16: Imei16::ALL[usize::from(sv)],
        imei_spare0: Spare0::ALL[usize::from(spare)],
        allow_plaintext_passwords: spare,
        ..RuleOptions::default()
    })
}

proptest! {
    /// What is sent is canonical: its echo, however often it is read, stays the same.
    #[test]
    fn canonical_forms_are_fixed_points(cell in cells(), options in options()) {
        let rules = RuleSet::new(&options).unwrap();
        let mut checked = Checked::default();
        for kind in FieldKind::ALL {
            check_row(&rules, &|asked| (asked == kind).then_some(cell.as_str()), &mut checked);
            prop_assert_eq!(checked.rejected().is_some() && checked.fields.get(kind).is_some(), false);
            if let Some(sent) = checked.fields.get(kind) {
                prop_assert!(!sent.is_empty());
                let echo = canonical(&rules, kind, sent);
                prop_assert_eq!(echo.as_deref(), Some(sent), "{} {:?}", kind, cell);
            }
        }
    }

    /// Corrected files are fed back, so an accepted value is accepted again and says nothing new of itself.
    #[test]
    fn accepted_values_are_accepted_again(cell in cells()) {
        let rules = RuleSet::new(&RuleOptions::default()).unwrap();
        let (mut first, mut again) = (Checked::default(), Checked::default());
        for kind in FieldKind::ALL {
            check_row(&rules, &|asked| (asked == kind).then_some(cell.as_str()), &mut first);
            let Some(sent) = first.fields.get(kind) else { continue };
            check_row(&rules, &|asked| (asked == kind).then_some(sent), &mut again);
            // A cell wrapped by a spreadsheet may hold the name of a null marker; then there is nothing to compare.
            if again.absent_markers == 0 {
                prop_assert_eq!(again.fields.get(kind), Some(sent), "{} {:?}", kind, cell);
                prop_assert!(again.findings.iter().all(|finding| finding.severity > Severity::Fix
                    && first.findings.contains(finding)), "{} {:?} {:?}", kind, cell, again.findings);
            }
        }
    }

    /// Debug output and error texts hold no value.
    #[test]
    fn findings_show_no_value(cell in "[0-9]{13,20}") {
        let rules = RuleSet::new(&RuleOptions::default()).unwrap();
        let mut checked = Checked::default();
        check_row(&rules, &|_| Some(cell.as_str()), &mut checked);
        let shown = format!("{checked:?}");
        prop_assert!(!shown.contains(&cell));
    }
}
