//! What stands behind a rule beside its severity: the settings that change what it does, and a value that breaks it.
//!
//! Not here: the rules themselves (`fields/`). Every example is made up or from a standard (field-rules, section 7).

use crate::update::FieldKind;

/// A code or a group of codes, a setting as an operator writes it, and what it does.
type Way = (&'static str, &'static str, &'static str);

const WAYS: &[Way] = &[
    ("number.no_country", "--default-country CC", "national numbers are of that country"),
    ("number.no_country", "rules.bare_numbers = \"e164\"", "digits without + are E.164 that lost it"),
    ("number.bare", "rules.bare_numbers = \"e164\"", "digits without + are E.164 that lost it"),
    ("number.bare", "--default-country CC", "digits that do not begin with its calling code are its numbers"),
    ("column.bare_numbers", "rules.bare_numbers = \"e164\"", "digits without + are E.164 that lost it"),
    (
        "column.bare_numbers",
        "--default-country CC",
        "digits that do not begin with its calling code are its numbers",
    ),
    ("number.assumed", "rules.bare_numbers = \"reject\"", "digits without + need a default country"),
    ("number.national", "--default-country CC", "another country, or none"),
    ("number.not_national", "--default-country CC", "the country these numbers are of"),
    ("imei.14", "rules.imei_14 = \"complete\"", "the check digit is appended"),
    ("imei.14", "rules.imei_14 = \"zero-pad\"", "a zero is put in front"),
    ("imei.lost_zero", "rules.imei_14 = \"zero-pad\"", "a zero is put in front"),
    (
        "imei.sv",
        "rules.imei_16 = \"convert\"",
        "the software version is dropped and the check digit computed",
    ),
    ("imei.spare0", "rules.imei_spare0 = \"recompute\"", "the check digit takes the place of the 0"),
    ("imei.completed", "rules.imei_14 = \"reject\"", "14 digits reject the row"),
    ("imei.zero_padded", "rules.imei_14 = \"reject\"", "14 digits reject the row"),
    ("imei.converted", "rules.imei_16 = \"reject\"", "16 digits reject the row"),
    ("imei.recomputed", "rules.imei_spare0 = \"keep\"", "the value is sent as it stands"),
    ("password.plaintext", "rules.allow_plaintext_passwords = true", "a warning instead of an error"),
    ("user_class.not_allowed", "rules.class_allowed = [\"…\"]", "the only classes sent; without it all are"),
    ("user_class.not_allowed", "rules.class_map", "classes by their names in the export"),
    ("user_class.mapped", "rules.class_map", "classes by their names in the export"),
    ("placeholder", "rules.null_markers = [\"…\"]", "cells that mean no value"),
    ("key.missing", "--key FIELD", "another field names the subject"),
    ("csv.ragged_short", "--flexible", "missing cells at a row's end are absent"),
    ("csv.ragged_short", "--delimiter CHAR", "where the wrong one was found"),
    ("csv.ragged_long", "--delimiter CHAR", "where the wrong one was found"),
    ("csv.unbalanced_quote", "input.row_lines_max", "lines a row may stretch over"),
    ("row.too_long", "input.row_bytes_max", "the bound"),
    ("field.too_long", "input.field_bytes_max", "the bound"),
    ("row.columns_max", "input.columns_max", "the bound"),
    ("json.unsafe_integer", "input.unsafe_integers = \"accept\"", "the digits are taken as they stand"),
    ("json.ambiguous", "--map FIELD=COLUMN", "which member is meant"),
    ("json.nested", "--map FIELD=/JSON/POINTER", "the value inside"),
    ("duplicate.rejected", "--duplicates POLICY", "another policy than reject"),
    ("conflict", "--conflicts send", "rows in conflict are sent"),
    ("column.damage", "plan.damage_max", "the share of damaged values from which the plan stops"),
    ("column.float", "plan.damage_max", "the share of damaged values from which the plan stops"),
    ("column.zeros", "plan.damage_max", "the share of damaged values from which the plan stops"),
    ("column.lost_zero", "rules.imei_14 = \"zero-pad\"", "a zero is put in front"),
    ("column.blank", "--map FIELD=COLUMN", "the column that holds the values"),
    ("column.iccid_prefix", "--severity iccid.luhn=error", "rows whose check digit is wrong are rejected"),
    ("text.quoted", "--delimiter CHAR", "where cells were cut at the wrong character"),
    ("text.quoted", "rules.class_map", "classes that are really written with quotation marks"),
    ("text.object", "rules.null_markers = [\"…\"]", "cells that mean no value"),
    ("user_class.identifier", "--map user_class=COLUMN", "the column that holds the classes"),
    (
        "user_class.identifier",
        "rules.class_allowed = [\"…\"]",
        "classes that are really so, and the only ones sent",
    ),
    ("username.identifier", "--map username=COLUMN", "the column that holds the login names"),
    ("x.swapped", "--map FIELD=COLUMN", "imei and imsi from the column that holds each"),
    (
        "clear.not_allowed",
        "rules.clearable = [\"…\"]",
        "the fields that may be cleared; never the key or the password",
    ),
    ("clear.not_allowed", "--clear-token TEXT", "another token, where this one is a value"),
    ("clear.near_miss", "--clear-token TEXT", "the token as the export writes it"),
    (
        "order",
        "--order-by COLUMN",
        "a column with dates or numbers of one form; without it the file's order counts",
    ),
    ("order", "--where COLUMN=VALUE", "conditions that leave such rows out"),
    ("where.incomparable", "--where COLUMN=VALUE", "a condition with = or !=, which compares texts"),
];

/// Values that break a rule, where a single cell can.
const EXAMPLES: &[(&str, FieldKind, &str)] = &[
    ("number.no_country", FieldKind::Number, "07911 123456"),
    ("number.chars", FieldKind::Number, "+44 7911 123456 (mobile)"),
    ("number.several", FieldKind::Number, "07911123456;07911123457"),
    ("number.bare", FieldKind::Number, "447911123456"),
    ("number.trunk_zero", FieldKind::Number, "+4407911123456"),
    ("text.quoted", FieldKind::UserExternalId, "`crm-1`"),
    ("text.object", FieldKind::UserClass, "[object Object]"),
    ("user_class.identifier", FieldKind::UserClass, "+447911123456"),
    ("username.identifier", FieldKind::Username, "8944476500008878576"),
    ("number.extension", FieldKind::Number, "+1 202 555 0143 x12"),
    ("number.length", FieldKind::Number, "+47580012345678"),
    ("number.format", FieldKind::Number, "+1 (202) 555-0143"),
    ("number.prefix", FieldKind::Number, "0044 20 7946 0018"),
    ("number.country_code", FieldKind::Number, "+999123456789"),
    ("excel.scientific", FieldKind::Number, "5.0255E+10"),
    ("excel.scientific_whole", FieldKind::Imei, "3.56868000041418E+14"),
    ("excel.decimal", FieldKind::Imei, "356868000041418.0"),
    ("imei.luhn", FieldKind::Imei, "123456789012345"),
    ("imei.format", FieldKind::Imei, "35-686800-004141-8"),
    ("imei.14", FieldKind::Imei, "49015420323751"),
    ("imei.sv", FieldKind::Imei, "4901542032375101"),
    ("imei.test", FieldKind::Imei, "004999010640000"),
    ("imei.suspect", FieldKind::Imei, "123456789012347"),
    ("placeholder", FieldKind::Imei, "000000000000000"),
    ("imsi.test", FieldKind::Imsi, "001010123456789"),
    ("iccid.luhn", FieldKind::Iccid, "8901410321118510720"),
    ("iccid.hex", FieldKind::Iccid, "898600B5000000000001"),
    ("iccid.excel_truncated", FieldKind::Iccid, "89014103211118500000"),
    ("iccid.format", FieldKind::Iccid, "8944476500008878576F"),
    ("iccid.eid", FieldKind::Iccid, "89049032000000000000000000000066"),
];

/// What breaks a rule of a row or of a column, where no single cell does; made up as well.
const SCENES: &[(&str, &str)] = &[
    ("column.damage", "3.56868E+14 in one row of the column"),
    ("column.float", "8901410321111851008, 8944476500008878080, 8944476500008879104"),
    ("column.zeros", "123456789012345000, 123456789012346000, 123456789012347000"),
    ("column.lost_zero", "12415001234504, where 012415001234504 passes the check"),
    ("column.bare_numbers", "447911123456, and no --default-country"),
    ("column.blank", "20 rows or more, and not one with a value in the column"),
    ("column.iccid_prefix", "8944476500008878576 in one row, 89444765000088785761 in another"),
    ("x.swapped", "234152030617275 as imei, 356868002000008 as imsi"),
    ("clear.not_allowed", "#CLEAR# in user_class, with --clear-token '#CLEAR#' --clearable imsi"),
    ("clear.near_miss", "#clear#, with --clear-token '#CLEAR#'"),
    ("order.invalid", "soon, with --order-by COLUMN"),
    ("order.ambiguous", "03/04/2026, with --order-by COLUMN"),
    ("order.mixed", "2026-01-31 in one row, 7 in another, with --order-by COLUMN"),
    ("where.incomparable", "soon, with --where 'COLUMN<2026-01-31'"),
];

/// The settings that change what a rule does, each with its effect.
pub(super) fn ways(code: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let ways = WAYS.iter().filter(move |(of, _, _)| code == *of || super::is_in_group(code, of));
    ways.map(|(_, way, why)| (*way, *why))
}

/// A value that breaks a rule, or what has to come together.
pub(super) fn example(code: &str) -> Option<&'static str> {
    let cell = EXAMPLES.iter().find(|(of, _, _)| *of == code).map(|(_, _, value)| *value);
    cell.or_else(|| SCENES.iter().find(|(of, _)| *of == code).map(|(_, scene)| *scene))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Checked, Preset, RULES, RuleOptions, RuleSet, Severity, check_row};
    use crate::settings;

    #[test]
    fn every_way_is_of_a_rule_and_names_a_setting() {
        for (of, way, _) in WAYS {
            let is_known =
                |rule: &&crate::fields::Rule| rule.code == *of || super::super::is_in_group(rule.code, of);
            assert!(RULES.iter().any(|rule| is_known(&rule)), "there is no rule {of}");
            let named = way.split([' ', '=']).next().unwrap();
            let known = match named.strip_prefix("--") {
                Some(flag) => settings::by_flag(flag).is_some(),
                None => settings::by_key(named).is_some(),
            };
            assert!(known, "{of}: there is no setting {named}");
        }
    }

    #[test]
    fn rules_that_no_single_cell_shows_have_a_way_and_an_example() {
        for (code, _) in SCENES {
            assert!(RULES.iter().any(|rule| rule.code == *code), "there is no rule {code}");
        }
        for group in ["column", "clear", "order", "where", "text", "x.swapped"] {
            let of = |code: &str| code == group || super::super::is_in_group(code, group);
            // What is only normalized needs no way out.
            for rule in RULES.iter().filter(|rule| of(rule.code) && rule.severity > Severity::Fix) {
                if !rule.code.starts_with("text.") || rule.code == "text.quoted" || rule.code == "text.object"
                {
                    assert!(example(rule.code).is_some(), "{} has no example", rule.code);
                }
                assert!(ways(rule.code).next().is_some(), "{} has no way", rule.code);
            }
        }
    }

    #[test]
    fn every_example_breaks_its_rule() {
        let options = RuleOptions { preset: Preset::Strict, ..RuleOptions::default() };
        let rules = RuleSet::new(&options).unwrap();
        for (code, field, value) in EXAMPLES {
            let mut checked = Checked::default();
            check_row(&rules, &|kind| (kind == *field).then_some(*value), &mut checked);
            let codes: Vec<&str> = checked.findings.iter().map(|finding| finding.rule.rule().code).collect();
            assert!(codes.contains(code), "{value} breaks {codes:?}, not {code}");
        }
    }
}
