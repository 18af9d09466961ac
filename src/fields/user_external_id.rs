//! `user_external_id`: the CRM's identifier of the user; opaque, leading zeros and case are kept.
//!
//! Not here: identifiers of one CRM in two spellings, which only a whole file shows.

use std::borrow::Cow;

use super::Context;
use super::clean::has_control;
use super::mangle::{is_decimal, is_scientific};
use super::rules::{Damage, ERROR, Rule, RuleId, WARN_BUT_LENIENT, rule};

/// Longest identifier that no CRM exceeds, in bytes.
const LEN_MAX_BYTES: usize = 255;

pub(super) const RULES: &[Rule] = &[
    rule(
        "user_external_id.control",
        ERROR,
        "control characters",
        "field-rules 1.8",
        "remove line breaks and control characters from the cell",
    ),
    rule(
        "user_external_id.scientific",
        ERROR,
        "scientific notation: a spreadsheet destroyed the identifier",
        "field-rules 1.8, 1.10",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Lost),
    rule(
        "user_external_id.decimal",
        WARN_BUT_LENIENT,
        "reads like 1001.0: a data frame may have kept a column of whole numbers as decimal ones",
        "field-rules 1.10",
        "read the column as text where the file is made (pandas: dtype=str)",
    )
    .of_damage(Damage::Kept),
    rule(
        "user_external_id.long",
        WARN_BUT_LENIENT,
        "longer than 255 bytes",
        "no CRM's identifiers are so long",
        "check that the right column is mapped",
    ),
];

const CONTROL: RuleId = RuleId::known("user_external_id.control");
const SCIENTIFIC: RuleId = RuleId::known("user_external_id.scientific");
const DECIMAL: RuleId = RuleId::known("user_external_id.decimal");
const LONG: RuleId = RuleId::known("user_external_id.long");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if context.glance.is_none() && has_control(value) {
        return context.pass_as_is(CONTROL, value);
    }
    if context.may_be_mangled() && is_scientific(value) {
        return context.pass_as_is(SCIENTIFIC, value);
    }
    if value.len() > LEN_MAX_BYTES {
        context.raise(LONG);
    }
    if context.may_be_mangled() && is_decimal(value) {
        context.raise(DECIMAL);
    }
    Some(Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::UserExternalId;

    #[test]
    fn identifiers_are_kept_unless_destroyed() {
        let none: [&str; 0] = [];
        for (value, want, codes) in [
            ("ext_12345", Some("ext_12345"), &none[..]),
            ("000042", Some("000042"), &[]),
            ("0", Some("0"), &[]),
            ("003D000000QQQQQ", Some("003D000000QQQQQ"), &[]),
            ("12e4", Some("12e4"), &[]),
            ("=\"000042\"", Some("000042"), &["excel.text_marker"]),
            ("1.23457E+14", None, &["user_external_id.scientific"]),
            ("1001.0", Some("1001.0"), &["user_external_id.decimal"]),
            ("1001.5", Some("1001.5"), &[]),
            ("a\u{0}b", None, &["user_external_id.control"]),
            ("#REF!", None, &["excel.error_value"]),
        ] {
            assert_eq!(
                verdict(UserExternalId, value),
                (want.map(str::to_owned), codes.to_vec()),
                "{value:?}"
            );
        }
        assert_eq!(verdict(UserExternalId, &"x".repeat(256)).1, ["user_external_id.long"]);
    }
}
