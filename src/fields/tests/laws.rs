//! Laws that hold for every value, every field and every option.

use proptest::prelude::*;

use super::*;

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
        class_map: if sv { vec![("A".to_owned(), "gold".to_owned())] } else { Vec::new() },
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

    /// What is sent holds no control character, whatever the options.
    #[test]
    fn canonical_values_hold_no_control_character(cell in cells(), options in options()) {
        let rules = RuleSet::new(&options).unwrap();
        let mut checked = Checked::default();
        check_row(&rules, &|_| Some(cell.as_str()), &mut checked);
        for (kind, sent) in checked.fields.iter() {
            prop_assert!(!sent.contains(char::is_control), "{} {:?}", kind, cell);
        }
    }

    /// What is sent, written as CSV or as JSON and read back, is the same value, accepted with nothing new to say.
    #[test]
    fn what_is_accepted_survives_being_written_and_read(cell in cells()) {
        let rules = RuleSet::new(&RuleOptions::default()).unwrap();
        let (mut first, mut again) = (Checked::default(), Checked::default());
        for kind in FieldKind::ALL {
            check_row(&rules, &|asked| (asked == kind).then_some(cell.as_str()), &mut first);
            let Some(sent) = first.fields.get(kind) else { continue };
            let json: String = serde_json::from_str(&serde_json::to_string(sent).unwrap()).unwrap();
            // RFC 4180: quotes doubled, the cell in quotes.
            let csv = format!("\"{}\"", sent.replace('"', "\"\""));
            let csv = csv[1..csv.len() - 1].replace("\"\"", "\"");
            for read in [json, csv] {
                check_row(&rules, &|asked| (asked == kind).then_some(read.as_str()), &mut again);
                if again.absent_markers == 0 {
                    prop_assert_eq!(again.fields.get(kind), Some(sent), "{} {:?}", kind, cell);
                    prop_assert_eq!(again.rejected(), None);
                }
            }
        }
    }

    /// Who glances at cells first finds what those find who look at each more closely.
    #[test]
    fn a_glance_changes_nothing(cell in prop_oneof![cells(), "[+0-9a-zA-Z@._#'\\[ -]{1,20}", "[0-9]{1,3}(\\.0|[eE][0-9]{1,2})?"], options in options()) {
        let rules = RuleSet::new(&options).unwrap();
        let (mut glanced, mut looked) = (Checked::default(), Checked::default());
        check_row(&rules, &|_| Some(cell.as_str()), &mut glanced);
        check_cells(&rules, &|_| Some(cell.as_str()), |_| None, &mut looked);
        prop_assert_eq!(format!("{:?}", (glanced.findings, glanced.given, glanced.absent_markers)),
            format!("{:?}", (looked.findings, looked.given, looked.absent_markers)), "{:?}", cell);
        prop_assert!(glanced.fields == looked.fields, "{:?}", cell);
    }

    /// Numbers in groups are found to be what they are found to be without the short cut for them.
    #[test]
    fn groups_of_digits_are_what_they_are(number in "\\+[0-9]{1,4}([ -]{1,2}0?[0-9]{1,7}){1,4}", options in options()) {
        let rules = RuleSet::new(&options).unwrap();
        let checked = |check: Check| {
            let mut findings = Vec::new();
            let kind = FieldKind::Number;
            let mut context = Context { rules: &rules, kind, findings: Some(&mut findings), rejected: false, glance: None, room: &mut String::new() };
            let value = check(&number, &mut context).map(Cow::into_owned);
            let is_rejected = context.rejected;
            (value, is_rejected, findings)
        };
        prop_assert_eq!(checked(number::check), checked(number::check_closely));
    }

    /// The books of columns take every row, and never count more damaged values than values.
    #[test]
    fn books_stay_balanced(cells in prop::collection::vec(cells(), 0..60)) {
        let rules = RuleSet::new(&RuleOptions::default()).unwrap();
        let mut book = ColumnBook::new(&rules, FieldKind::ALL.into_iter().collect());
        let mut checked = Checked::default();
        for (ordinal, cell) in (1..).zip(&cells) {
            check_row(&rules, &|_| Some(cell.as_str()), &mut checked);
            book.observe(crate::row::Place { ordinal, file: 0, line: ordinal }, &checked);
        }
        for (kind, affected, values) in book.damaged() {
            prop_assert!(affected <= values, "{} {} of {}", kind, affected, values);
        }
        for alarm in book.alarms() {
            prop_assert!(alarm.affected <= alarm.values, "{:?}", alarm);
            prop_assert!(RuleId::of(alarm.code).is_some());
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
