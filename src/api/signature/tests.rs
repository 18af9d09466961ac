//! Tables and laws of signatures.

use proptest::prelude::*;

use super::*;

fn fields(values: &[(FieldKind, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (kind, value) in values {
        fields.set(*kind, value);
    }
    fields
}

fn row() -> Mask {
    let sent = fields(&[
        (FieldKind::Number, "+447911123456"),
        (FieldKind::Imsi, "310260123456789"),
        (FieldKind::Username, "John Smith"),
        (FieldKind::UserClass, "a"),
    ]);
    Mask::new(&sent, Some("toKenWithoutDigits"))
}

#[test]
fn equal_complaints_about_different_rows_are_equal_text() {
    let table = [
        ("imsi already assigned to 447700900001", "422 imsi already assigned to #"),
        ("imsi 310260123456789 already assigned", "422 imsi # already assigned"),
        ("IMSI  310260123456789\n\talready assigned.", "422 IMSI # already assigned"),
        ("user JOHN SMITH is unknown", "422 user # is unknown"),
        ("user john\u{200b} smith is unknown", "422 user # is unknown"),
        ("user john\n smith is unknown", "422 user # is unknown"),
        ("number +44 7911 123-456 is taken", "422 number # is taken"),
        ("owner jane.doe@example.com, class a is a class", "422 owner #, class # is # class"),
        ("owner jane.doe has it", "422 owner # has it"),
        ("token ToKenWithoutDigits is not allowed", "422 token # is not allowed"),
        ("value \"Jane Doe\" of \"imsi\" is taken", "422 value # of imsi is taken"),
        ("value 'Jane Doe' can't be used, it's taken", "422 value # can't be used, it's taken"),
        ("John Smith's imsi is taken, so is 12's", "422 #'s imsi is taken, so is #'s"),
        ("value \u{201c}Jane\u{201d} and `Joe` and \u{ab}Jim\u{bb}", "422 value # and # and #"),
        ("an open quote \"hides what follows", "422 an open quote #"),
        ("see abcdefghijklmnopqrstuvwxyz", "422 see #"),
        ("device_app_user_update is closed...", "422 device_app_user_update is closed"),
        ("imsi=310260999999999; hash $2a$xy/Zq.", "422 imsi=#; hash #"),
        ("\u{1b}[31mred\u{7}\u{202e}evil", "422 [# evil"),
        ("", "422 no explanation"),
        (" . ", "422 no explanation"),
    ];
    for (complaint, expected) in table {
        assert_eq!(signature(422, complaint, &row()), expected, "{complaint}");
    }
}

#[test]
fn a_signature_is_bounded_and_ends_with_a_whole_word() {
    let long = "every word counts ".repeat(400);
    let text = signature(500, &long, &Mask::default());
    assert!(text.len() <= SIGNATURE_BYTES_MAX && text.len() > SIGNATURE_BYTES_MAX - 20, "{text}");
    assert!(["every", "word", "counts"].contains(&text.split(' ').next_back().expect("a word")), "{text}");
}

#[test]
fn a_value_across_the_bound_of_the_complaint_is_not_left_in_part() {
    for shift in 0..40 {
        let sent = fields(&[(FieldKind::Username, "Jane Mary Elizabeth Doe")]);
        // Digits collapse, so that the end of what is looked at lies within the signature.
        let complaint = format!("{}Jane Mary Elizabeth Doe", "1 ".repeat((COMPLAINT_BYTES_MAX - shift) / 2));
        let text = signature(422, &complaint, &Mask::new(&sent, None));
        assert_eq!(text, "422 #", "shift {shift}");
    }
}

#[test]
fn a_value_within_another_leaves_no_rest() {
    let sent = fields(&[(FieldKind::Username, "Jane"), (FieldKind::UserExternalId, "Jane Mary")]);
    assert_eq!(signature(422, "owner is Jane Mary", &Mask::new(&sent, None)), "422 owner is #");
}

#[test]
fn a_mask_shows_no_value() {
    assert_eq!(format!("{:?}", row()), "Mask(5 values)");
}

/// Values as they occur, and texts that are likely to contain them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,6}", "[#a-c ]{1,8}", "\\+[0-9]{7,15}", "[A-Za-z. '\"@-]{4,20}", "\\PC{1,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_sent_value_and_no_digit_survives(
        values in proptest::collection::vec(value(), 1..6),
        parts in proptest::collection::vec((value(), any::<proptest::sample::Index>(), any::<bool>()), 0..12),
        separator in prop_oneof![Just(""), Just(" "), Just("\n"), Just("\u{200b}"), Just("#")],
    ) {
        let mut sent = Fields::default();
        for (kind, value) in FieldKind::ALL.into_iter().zip(&values) {
            sent.set(kind, value);
        }
        let complaint: Vec<&str> = parts
            .iter()
            .map(|(text, index, own)| if *own { index.get(&values).as_str() } else { text.as_str() })
            .collect();
        let mask = Mask::new(&sent, None);
        let text = signature(422, &complaint.join(separator), &mask);
        prop_assert!(text.len() <= SIGNATURE_BYTES_MAX);
        prop_assert!(!text.chars().any(char::is_control));
        let said = text.strip_prefix("422 ").expect("the status comes first");
        prop_assert!(!said.chars().any(char::is_numeric), "{}", said);
        if said == "no explanation" {
            return Ok(());
        }
        for value in &values {
            let known = plain(value).to_ascii_lowercase();
            let is_masked = known.chars().any(|c| c != '#' && c != ' ');
            if is_masked && known.len() > SHORT_BYTES_MAX {
                prop_assert!(!said.to_ascii_lowercase().contains(&known), "{:?} in {:?}", value, said);
                prop_assert!(!said.contains(value.as_str()));
            }
            if is_masked {
                prop_assert!(!said.split(|c: char| !c.is_alphanumeric()).any(|word| word == known));
            }
        }
    }

    #[test]
    fn masking_again_changes_nothing(text in "\\PC{0,80}") {
        let once = masked_line(&text, &row());
        prop_assert_eq!(masked_line(&once, &row()), once);
    }
}
