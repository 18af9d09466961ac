//! `generic_id`: an identifier from the operating system or an app store, opaque to everybody but its maker.
//!
//! Not here: any normalization beyond the ends of the cell; case and form belong to the maker.

use std::borrow::Cow;

use super::Context;
use super::clean::has_control;
use super::mangle::{is_decimal, is_scientific};
use super::rules::{Damage, ERROR, Rule, RuleId, WARN_BUT_LENIENT, rule};

/// Longest identifier in bytes.
pub(super) const LEN_MAX_BYTES: usize = 255;

pub(super) const RULES: &[Rule] = &[
    rule(
        "generic_id.control",
        ERROR,
        "control characters",
        "field-rules 1.5",
        "remove line breaks and control characters from the cell",
    ),
    rule(
        "generic_id.too_long",
        ERROR,
        "longer than 255 bytes",
        "field-rules 1.5",
        "check that the right column is mapped",
    ),
    rule(
        "generic_id.zero_uuid",
        WARN_BUT_LENIENT,
        "the all-zero identifier of a device that opted out, shared by many devices",
        "Android AdvertisingIdClient, iOS ASIdentifierManager",
        "leave the cell empty",
    ),
    rule(
        "generic_id.shared",
        WARN_BUT_LENIENT,
        "an Android ID that a faulty system gave to many devices",
        "field-rules 1.5",
        "leave the cell empty, or give another identifier",
    ),
    rule(
        "generic_id.scientific",
        WARN_BUT_LENIENT,
        "reads like a number in scientific notation; a spreadsheet may have destroyed it",
        "field-rules 1.5, 1.10",
        "export again with the column formatted as Text",
    )
    .of_damage(Damage::Lost),
    rule(
        "generic_id.decimal",
        WARN_BUT_LENIENT,
        "reads like 1001.0: a data frame may have kept a column of whole numbers as decimal ones",
        "field-rules 1.10",
        "read the column as text where the file is made (pandas: dtype=str)",
    )
    .of_damage(Damage::Kept),
];

const CONTROL: RuleId = RuleId::known("generic_id.control");
const TOO_LONG: RuleId = RuleId::known("generic_id.too_long");
const ZERO_UUID: RuleId = RuleId::known("generic_id.zero_uuid");
const SHARED: RuleId = RuleId::known("generic_id.shared");
const SCIENTIFIC: RuleId = RuleId::known("generic_id.scientific");
const DECIMAL: RuleId = RuleId::known("generic_id.decimal");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if context.glance.is_none() && has_control(value) {
        return context.pass_as_is(CONTROL, value);
    }
    if value.len() > LEN_MAX_BYTES {
        return context.pass_as_is(TOO_LONG, value);
    }
    if is_zero(value) {
        context.raise(ZERO_UUID);
    }
    if value.eq_ignore_ascii_case("9774d56d682e549c") {
        context.raise(SHARED);
    }
    if context.may_be_mangled() && is_scientific(value) {
        context.raise(SCIENTIFIC);
    }
    if context.may_be_mangled() && is_decimal(value) {
        context.raise(DECIMAL);
    }
    Some(Cow::Borrowed(value))
}

/// Zeros and nothing else: as a UUID, in braces too, or as the sixteen digits of an Android ID.
fn is_zero(value: &str) -> bool {
    let bare = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(value);
    matches!(bare.len(), 16 | 32 | 36) && bare.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::GenericId;

    #[test]
    fn identifiers_of_makers_pass_as_they_are() {
        for value in ["com.example.app.user123", "9d1f2c3b4a5e6f70", "6D92078A-8246-4BA4-AE5B-76104861E7DC"] {
            assert_eq!(verdict(GenericId, value), (Some(value.to_owned()), vec![]));
        }
    }

    #[test]
    fn shared_and_damaged_identifiers() {
        for (value, sent, code) in [
            ("00000000-0000-0000-0000-000000000000", true, "generic_id.zero_uuid"),
            ("{00000000-0000-0000-0000-000000000000}", true, "generic_id.zero_uuid"),
            ("0000000000000000", true, "generic_id.zero_uuid"),
            ("1001.0", true, "generic_id.decimal"),
            ("9774D56D682E549C", true, "generic_id.shared"),
            ("1.23457E+14", true, "generic_id.scientific"),
            ("a\u{7}b", false, "generic_id.control"),
            ("a\nb", false, "generic_id.control"),
        ] {
            assert_eq!(verdict(GenericId, value), (sent.then(|| value.to_owned()), vec![code]), "{value:?}");
        }
        assert_eq!(verdict(GenericId, &"x".repeat(255)).1, [""; 0]);
        assert_eq!(verdict(GenericId, &"x".repeat(256)), (None, vec!["generic_id.too_long"]));
    }
}
