//! Whole rows: the vendor's example, and what the rules of all fields have in common.

use super::*;
use FieldKind::{GenericId, Iccid, Imei, Imsi, Number, Password, UserClass, UserExternalId, Username};

mod laws;
mod vectors;

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
fn every_null_marker_of_the_list_is_absent_in_every_field_but_zero_in_digits_only() {
    for marker in NULL_MARKERS {
        for kind in FieldKind::ALL {
            let (sent, codes) = verdict(kind, marker);
            let is_text = !matches!(kind, Number | Imei | Imsi | Iccid);
            if kind == Password {
                // What stands for a password is dropped with a warning, and `0` may be one.
                let want = if marker == "0" { "password.plaintext" } else { "password.masked" };
                assert_eq!((sent, codes), (None, vec![want]), "{marker}");
            } else if marker == "0" && is_text {
                assert_eq!(sent.as_deref(), Some("0"), "{kind}");
            } else {
                assert_eq!((sent, codes), (None, vec![]), "{kind} {marker}");
            }
        }
    }
}

#[test]
fn texts_that_programs_write_for_no_value_are_absent() {
    for marker in [
        "nan",
        "NaN",
        "NaT",
        "<NA>",
        "undefined",
        "(blank)",
        "(leer)",
        "(Leer)",
        "k.A.",
        "k. A.",
        "n.a.",
        "n/a",
    ] {
        for kind in FieldKind::ALL.into_iter().filter(|kind| *kind != Password) {
            assert_eq!(verdict(kind, marker), (None, vec![]), "{kind} {marker}");
        }
    }
    for value in ["[object Object]", "[object Null]"] {
        for kind in FieldKind::ALL.into_iter().filter(|kind| *kind != Password) {
            assert_eq!(verdict(kind, value), (None, vec!["text.object"]), "{kind} {value}");
        }
    }
    // A person's name.
    assert_eq!(verdict(Username, "Nan").0.as_deref(), Some("Nan"));
}

#[test]
fn the_fields_that_were_given_are_told_apart_from_those_that_are_sent() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut checked = Checked::default();
    let cells = [(Number, "NULL"), (Imei, "1"), (Imsi, "310260123456789"), (Iccid, " "), (Username, "")];
    check_row(&rules, &cell_of(&cells), &mut checked);
    assert_eq!(checked.given, [Imei, Imsi].into_iter().collect());
    assert_eq!(checked.fields.present(), FieldSet::only(Imsi));
    checked.clear();
    assert!(checked.given.is_empty());
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
        let mut context = Context {
            rules: &rules,
            kind,
            findings: Some(&mut findings),
            rejected: false,
            glance: None,
            room: &mut String::new(),
        };
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
