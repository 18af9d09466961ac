//! Tests of the books of columns: every alarm, at its threshold and below it.

use super::*;
use crate::fields::Checked;
use crate::fields::{RuleOptions, check_row};
use FieldKind::{GenericId, Iccid, Imei, Imsi, Number, UserClass, UserExternalId};

fn book_under<'a>(
    options: &RuleOptions,
    mapped: &[FieldKind],
    rows: impl IntoIterator<Item = (FieldKind, &'a str)>,
) -> ColumnBook {
    let rules = RuleSet::new(options).unwrap();
    let mut book = ColumnBook::new(&rules, mapped.iter().copied().collect());
    let mut checked = Checked::default();
    for (ordinal, (kind, value)) in (1..).zip(rows) {
        check_row(&rules, &|asked| (asked == kind).then_some(value), &mut checked);
        book.observe(Place { ordinal, file: 0, line: ordinal + 1 }, &checked);
    }
    book
}

fn book<'a>(kind: FieldKind, values: impl IntoIterator<Item = &'a str>) -> ColumnBook {
    book_under(&RuleOptions::default(), &[], values.into_iter().map(|value| (kind, value)))
}

/// Codes, values affected and the first row of each alarm.
fn alarms(book: &ColumnBook) -> Vec<(&'static str, u64, Option<u64>)> {
    let told = |alarm: ColumnAlarm| (alarm.code, alarm.affected, alarm.first.map(|place| place.ordinal));
    book.alarms().into_iter().map(told).collect()
}

/// Numbers of 19 digits that pass the Luhn check, far from exact doubles and from zeros at the end.
fn sound_iccids(count: usize) -> Vec<String> {
    let numbers = (0_u64..).map(|step| format!("{}", 894_476_500_008_878_501 + step * 7));
    numbers
        .map(|body| format!("{body}{}", crate::fields::luhn::check_digit(&body)))
        .filter(|iccid| !iccid.ends_with("000") && book(Iccid, [iccid.as_str()]).counts.float.count == 0)
        .take(count)
        .collect()
}

#[test]
fn one_lost_value_alarms_and_whole_ones_need_three_and_a_percent() {
    let sound = vec!["356868000041418"; 400];
    let with = |damaged: &[&'static str]| book(Imei, damaged.iter().copied().chain(sound.clone()));
    assert_eq!(alarms(&with(&["3.56868E+14"])), [("column.damage", 1, Some(1))]);
    let whole = "356868000041418.0";
    assert_eq!(alarms(&with(&[whole; 2])), []);
    assert_eq!(alarms(&with(&[whole; 4])), []);
    assert_eq!(alarms(&with(&[whole; 5])), [("column.damage", 5, Some(1))]);
    // What a spreadsheet was kept from damaging is whole.
    assert_eq!(alarms(&with(&["=\"356868000041418\""; 50])), []);
    assert_eq!(with(&[whole; 2]).damaged().collect::<Vec<_>>(), [(Imei, 2, 402)]);
    assert_eq!(with(&[]).damaged().count(), 0);
}

#[test]
fn a_value_with_two_signs_of_damage_counts_once() {
    let found = book(Imsi, ["=\"3.1026E+14\"", "310260123456789"]);
    assert_eq!(alarms(&found), [("column.damage", 1, Some(1))]);
}

#[test]
fn exact_doubles_alarm_above_what_chance_gives() {
    // Rounded as Python prints a double; the Luhn digit no longer fits, or fits by luck.
    let sound = sound_iccids(500);
    let rounded = ["8901410321111851008", "8944476500008878080", "8944476500008879104"];
    let mixed =
        |count: usize| book(Iccid, rounded[..count].iter().copied().chain(sound.iter().map(String::as_str)));
    assert_eq!(alarms(&mixed(2)), []);
    assert_eq!(alarms(&mixed(3)), [("column.float", 3, Some(1))]);
    assert_eq!(mixed(3).damaged().collect::<Vec<_>>(), [(Iccid, 3, 503)]);
    // Suspected values are not damage as long as chance explains them.
    assert_eq!(mixed(2).damaged().count(), 0);
    // Of 18 digits, one genuine value in 128 is exact: a few among two hundred are nothing.
    let eighteen: Vec<String> = sound.iter().take(200).map(|iccid| iccid[..18].to_owned()).collect();
    let found = book(Iccid, ["894447650000887808"; 2].into_iter().chain(eighteen.iter().map(String::as_str)));
    assert!(found.counts.float.count >= AFFECTED_MIN);
    assert_eq!(alarms(&found), []);
}

#[test]
fn zeros_at_the_end_alarm_above_what_chance_gives() {
    let sound = sound_iccids(900);
    let zeroed = ["8901410321118511000"; 3];
    let found = book(Iccid, zeroed.into_iter().chain(sound.iter().map(String::as_str)));
    assert_eq!(alarms(&found), [("column.zeros", 3, Some(1))]);
    let found = book(Iccid, zeroed[..2].iter().copied().chain(sound.iter().map(String::as_str)));
    assert_eq!(alarms(&found), []);
    assert_eq!(alarms(&book(Iccid, ["89014103211118500000"])), [("column.damage", 1, Some(1))]);
}

#[test]
fn lost_leading_zeros_show_when_most_of_a_column_has_them() {
    // 01 is a reporting body; with the zero in front, these pass.
    let lost: Vec<String> = (0..6)
        .map(|serial| format!("0124150012345{serial}"))
        .map(|body| format!("{body}{}", crate::fields::luhn::check_digit(&body))[1..].to_owned())
        .collect();
    let values = || lost.iter().map(String::as_str);
    assert_eq!(alarms(&book(Imei, values())), [("column.lost_zero", 6, Some(1))]);
    assert_eq!(book(Imei, values()).damaged().collect::<Vec<_>>(), [(Imei, 6, 6)]);
    // Said to lack the check digit, they would get a wrong one that looks right.
    let complete = RuleOptions { imei_14: crate::fields::Imei14::Complete, ..RuleOptions::default() };
    let found = book_under(&complete, &[], values().map(|value| (Imei, value)));
    assert_eq!(alarms(&found), [("column.lost_zero", 6, Some(1))]);
    // Values without their check digit pass by chance, one in ten.
    let bodies: Vec<String> = (0..40).map(|serial| format!("356868000041{serial:02}")).collect();
    assert_eq!(alarms(&book(Imei, bodies.iter().map(String::as_str))), []);
}

#[test]
fn bare_numbers_are_told_once_for_the_file() {
    let cells = ["447911123456", "07911 123457", "+447911123458"];
    assert_eq!(alarms(&book(Number, cells)), [("column.bare_numbers", 2, Some(1))]);
    // The rows are rejected under the preset lenient, too, so their remedy is told.
    let lenient = RuleOptions { preset: crate::fields::Preset::Lenient, ..RuleOptions::default() };
    let found = book_under(&lenient, &[], cells.map(|cell| (Number, cell)));
    assert_eq!(alarms(&found), [("column.bare_numbers", 2, Some(1))]);
    let settled = RuleOptions { default_country: Some("GB".to_owned()), ..RuleOptions::default() };
    assert_eq!(alarms(&book_under(&settled, &[], ["07911 123457"].map(|cell| (Number, cell)))), []);
}

#[test]
fn a_mapped_column_without_a_value_is_blank_and_no_other() {
    let rows = |count: usize| [(Imei, "356868000041418"), (Imsi, "NULL")].repeat(count);
    let found = book_under(&RuleOptions::default(), &[Imei, Imsi], rows(10));
    assert_eq!(alarms(&found), [("column.blank", 20, None)]);
    assert_eq!(found.alarms()[0].field, Imsi);
    assert_eq!(alarms(&book_under(&RuleOptions::default(), &[Imei, Imsi], rows(9))), []);
}

#[test]
fn a_column_of_clears_is_not_blank_and_has_no_classes() {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut book = ColumnBook::new(&rules, FieldSet::only(UserClass));
    let mut checked = Checked::default();
    checked.fields.set(UserClass, "");
    for ordinal in 1..=BLANK_ROWS_MIN {
        book.observe(Place { ordinal, file: 0, line: ordinal + 1 }, &checked);
    }
    assert_eq!(alarms(&book), []);
}

#[test]
fn one_card_in_two_forms() {
    let values =
        ["8944476500008878576", "8944476500008878577", "89444765000088785761", "89444765000088785761"];
    assert_eq!(alarms(&book(Iccid, values)), [("column.iccid_prefix", 1, Some(3))]);
    assert_eq!(alarms(&book(Iccid, values[..2].iter().copied())), []);
}

#[test]
fn many_classes_and_classes_in_two_cases() {
    let names: Vec<String> = (0..51).map(|number| format!("class {number}")).collect();
    let values = || names.iter().map(String::as_str);
    assert_eq!(alarms(&book(UserClass, values().take(50))), []);
    assert_eq!(alarms(&book(UserClass, values())), [("class.many", 1, Some(51))]);
    let found = book(UserClass, ["Gold", "gold", "Silver", "gold", "GOLD"]);
    assert_eq!(alarms(&found), [("class.case", 2, Some(1))]);
}

#[test]
fn identifiers_in_two_spellings() {
    for (values, code, affected, first) in [
        (&["abc", "abd", "ABC"][..], "external_id.case", 1, 3),
        (
            &["6d92078a-8246-4ba4-ae5b-76104861e7dc", "{6d92078a-8246-4ba4-ae5b-76104861e7dd}"],
            "external_id.guid_mix",
            1,
            1,
        ),
        (
            &["6d92078a-8246-4ba4-ae5b-76104861e7dc", "6D92078A-8246-4BA4-AE5B-76104861E7DD"],
            "external_id.guid_mix",
            1,
            1,
        ),
        (&["6d92078a-8246-4ba4-ae5b-76104861e7dc", "11111111-2222-3333-4444-555555555555"], "", 0, 0),
    ] {
        let want: Vec<_> =
            Some((code, affected, Some(first))).filter(|_| !code.is_empty()).into_iter().collect();
        assert_eq!(alarms(&book(UserExternalId, values.iter().copied())), want, "{values:?}");
    }
}

#[test]
fn salesforce_ids_of_both_lengths() {
    // The published example of the suffix: 001A0000006Vm9r is 001A0000006Vm9rIAC.
    let found = book(UserExternalId, ["001A0000006Vm9r", "001A0000006Vm9rIAC", "001A0000006Vm9sIAC"]);
    assert_eq!(alarms(&found), [("external_id.salesforce_mix", 1, Some(1))]);
    // Another kind of record, or no suffix that fits: other identifiers.
    assert_eq!(alarms(&book(UserExternalId, ["003A0000006Vm9r", "001A0000006Vm9rIAC"])), []);
    assert_eq!(alarms(&book(UserExternalId, ["001A0000006Vm9r", "001A0000006Vm9rXYZ"])), []);
}

#[test]
fn a_sample_is_bounded_and_still_finds_what_is_everywhere() {
    let ids: Vec<String> = (0..60_000).map(|number| format!("Customer{number}")).collect();
    let upper: Vec<String> = ids.iter().map(|id| id.to_uppercase()).collect();
    let found = book(UserExternalId, ids.iter().chain(&upper).map(String::as_str));
    let [(code, affected, first)] = alarms(&found)[..] else { panic!("one alarm") };
    assert_eq!(code, "external_id.case");
    assert!((10_000..60_000).contains(&affected), "{affected}");
    assert!(first > Some(60_000));
}

#[test]
fn a_rule_that_is_off_raises_no_alarm() {
    let severities = vec![("column".to_owned(), Severity::Off), ("class".to_owned(), Severity::Off)];
    let off = RuleOptions { severities, ..RuleOptions::default() };
    let rows = [(Imei, "3.5E+14"), (UserClass, "a"), (UserClass, "A"), (Number, "447911123456")];
    assert_eq!(alarms(&book_under(&off, &[], rows)), []);
    // Damage is counted all the same, for the plan's gate.
    assert_eq!(book_under(&off, &[], rows).damaged().collect::<Vec<_>>(), [(Imei, 1, 1)]);
}

#[test]
fn every_alarm_is_a_rule_of_the_table() {
    assert_eq!(ALARMS.len(), RULES.len());
    for rule in RULES {
        assert!(ALARMS.iter().any(|alarm| alarm.rule().code == rule.code), "{}", rule.code);
    }
}

#[test]
fn long_identifiers_that_were_rounded_alarm_and_sound_ones_do_not() {
    // Eighteen digits, spread as a generator's are.
    let sound: Vec<u64> =
        (0..30_u64).map(|step| 123_456_789_012_345_678 + step * 7_919 + step * step * 31).collect();
    let texts = |values: Vec<u64>| values.iter().map(u64::to_string).collect::<Vec<_>>();
    let excel = texts(sound.iter().map(|id| id / 1_000 * 1_000).collect());
    // The nearest double: a step of 16 at this size.
    let pandas = texts(sound.iter().map(|id| (id + 8) / 16 * 16).collect());
    for kind in [UserExternalId, GenericId] {
        let of = |values: &[String]| book(kind, values.iter().map(String::as_str));
        assert_eq!(alarms(&of(&excel)), [("column.zeros", 30, Some(1))], "{kind}");
        assert_eq!(of(&excel).damaged().collect::<Vec<_>>(), [(kind, 30, 30)]);
        assert_eq!(alarms(&of(&pandas)), [("column.float", 30, Some(1))], "{kind}");
        assert_eq!(of(&pandas).damaged().collect::<Vec<_>>(), [(kind, 30, 30)]);
        assert_eq!(alarms(&of(&texts(sound.clone()))), [], "{kind}");
        assert_eq!(of(&texts(sound.clone())).damaged().count(), 0);
    }
    // A few rounded among sound ones, as when two exports were joined.
    let mixed: Vec<String> = excel[..4].iter().chain(&texts(sound[4..].to_vec())).cloned().collect();
    assert_eq!(
        alarms(&book(UserExternalId, mixed.iter().map(String::as_str))),
        [("column.zeros", 4, Some(1))]
    );
}

#[test]
fn identifiers_that_end_in_zero_bits_by_design_are_not_rounded() {
    // A Snowflake id: time, worker, and a counter of twelve bits that is zero where there is little to count.
    let snowflakes: Vec<String> = (0..200_u64)
        .map(|step| ((41_944_705_796 + step * 977) << 22 | (step % 8) << 12).to_string())
        .collect();
    assert!(snowflakes.iter().all(|id| id.len() == 18));
    assert_eq!(alarms(&book(UserExternalId, snowflakes.iter().map(String::as_str))), []);
    // Below 2^53 every number is a double, and shorter ones end in zeros as they like.
    let short: Vec<String> =
        (0..100_u64).map(|step| (1_000_000_000_000 + step * 1_000).to_string()).collect();
    assert_eq!(alarms(&book(UserExternalId, short.iter().map(String::as_str))), []);
}
