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
];

/// Values that break a rule, where a single cell can.
const EXAMPLES: &[(&str, FieldKind, &str)] = &[
    ("number.no_country", FieldKind::Number, "07911 123456"),
    ("number.chars", FieldKind::Number, "+44 7911 123456 (mobile)"),
    ("number.several", FieldKind::Number, "07911123456;07911123457"),
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

/// The settings that change what a rule does, each with its effect.
pub(super) fn ways(code: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let ways = WAYS.iter().filter(move |(of, _, _)| code == *of || super::is_in_group(code, of));
    ways.map(|(_, way, why)| (*way, *why))
}

/// A value that breaks a rule.
pub(super) fn example(code: &str) -> Option<(FieldKind, &'static str)> {
    EXAMPLES.iter().find(|(of, _, _)| *of == code).map(|(_, field, value)| (*field, *value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Checked, Preset, RULES, RuleOptions, RuleSet, check_row};
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
