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
fn a_name_is_masked_in_other_cases_in_parts_and_in_other_spellings() {
    let sent = fields(&[
        (FieldKind::Username, "José Müller-Straße O'Brien/Ørsted"),
        (FieldKind::UserExternalId, "CORP\\rita.lowe"),
        (FieldKind::Password, "md$seasalted$hashhash="),
        (FieldKind::UserClass, "gold plan"),
    ]);
    let mask = Mask::new(&sent, Some("bearer.secretpart.sealed"));
    let table = [
        ("user JOSÉ MÜLLER-STRASSE O'BRIEN/ØRSTED is taken", "422 user # is taken"),
        ("user josé müller-straße o'brien/ørsted is taken", "422 user # is taken"),
        ("user Jos\\u00e9 M\\u00FCller-Stra\\u00dfe O'Brien\\/\\u00d8rsted is taken", "422 user # is taken"),
        (
            "user Jos\\\\u00e9 M\\\\u00fcller-Stra\\\\u00dfe O'Brien\\\\/\\\\u00d8rsted is taken",
            "422 user # is taken",
        ),
        ("user Jos&#233; M&#xfc;ller-Stra&#xDF;e O&#39;Brien/&#216;rsted is taken", "422 user # is taken"),
        ("user José is taken", "422 user # is taken"),
        ("user MÜLLER is taken, so is Straße", "422 user # is taken, so is #"),
        ("user ØRSTED, JOSÉ is taken", "422 user #, # is taken"),
        ("user rita of corp is taken", "422 user # of # is taken"),
        ("user CORP\\\\rita.lowe is taken", "422 user # is taken"),
        ("salt seasalted, hash HASHHASH is taken", "422 salt #, hash # is taken"),
        ("token secretpart is taken", "422 token # is taken"),
        ("class Gold Plan is taken, no plan", "422 class # is taken, no plan"),
        ("a userjosé is another", "422 a userjosé is another"),
        ("he says \\\"Ada Lovelace\\\" is taken", "422 he says # is taken"),
        ("\\ud83d\\ude00 and \\ud83d alone", "422 \u{1f600} and \\# alone"),
        ("&lt;b&gt; &amp;amp; &unknown; &#xd800;", "422 <b> & &unknown; &#"),
    ];
    for (complaint, expected) in table {
        assert_eq!(signature(422, complaint, &mask), expected, "{complaint}");
    }
    // A part that is the name of a field stands for the field.
    let sent = fields(&[(FieldKind::Username, "imsi tester")]);
    let text = signature(422, "tester: imsi already assigned", &Mask::new(&sent, None));
    assert_eq!(text, "422 #: imsi already assigned");
}

#[test]
fn a_value_across_the_bound_of_a_longer_complaint_is_not_left_in_part() {
    let sent = fields(&[(FieldKind::UserClass, "Jane Mary Elizabeth Doe")]);
    for begins_before in 0..80 {
        let digits = "1 ".repeat((COMPLAINT_BYTES_MAX - begins_before) / 2);
        let complaint = format!("{digits}Jane Mary Elizabeth Doe{}", " 1".repeat(200));
        let text = signature(422, &complaint, &Mask::new(&sent, None));
        assert_eq!(text, "422 #", "{begins_before}");
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
        parts in proptest::collection::vec((value(), any::<proptest::sample::Index>(), 0..4), 0..12),
        separator in prop_oneof![Just(""), Just(" "), Just("\n"), Just("\u{200b}"), Just("#")],
    ) {
        let mut sent = Fields::default();
        for (kind, value) in FieldKind::ALL.into_iter().zip(&values) {
            sent.set(kind, value);
        }
        let complaint: Vec<String> = parts
            .iter()
            .map(|(text, index, own)| match own {
                0 => index.get(&values).clone(),
                1 => index.get(&values).to_uppercase(),
                2 => index.get(&values).chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
                _ => text.clone(),
            })
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
            let known = folded(&plain(value));
            let is_masked = known.chars().any(|c| c != '#' && c != ' ');
            if is_masked && known.len() > SHORT_BYTES_MAX {
                prop_assert!(!folded(said).contains(&known), "{:?} in {:?}", value, said);
                prop_assert!(!said.contains(value.as_str()));
            }
            if is_masked {
                prop_assert!(!said.split(|c: char| !c.is_alphanumeric()).any(|word| folded(word) == known));
            }
        }
    }

    #[test]
    fn masking_again_changes_nothing(text in "\\PC{0,80}") {
        let once = masked_line(&text, &row());
        prop_assert_eq!(masked_line(&once, &row()), once);
    }
}
