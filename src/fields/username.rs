//! `username`: the login name. Case is kept, since nobody knows whether the server's is significant.
//!
//! Not here: Unicode normalization, for the same reason.

use std::borrow::Cow;

use super::Context;
use super::clean::has_control;
use super::rules::{ERROR, Rule, RuleId, WARN_BUT_LENIENT, rule};

/// Longest user name of Django's own user model, in characters.
const LEN_MAX_CHARS: usize = 150;

const DJANGO: &str = "Django AbstractUser.username; field-rules 1.6";

pub(super) const RULES: &[Rule] = &[
    rule(
        "username.control",
        ERROR,
        "control characters or a line break",
        "field-rules 1.6",
        "remove line breaks and control characters from the cell",
    ),
    rule(
        "username.long",
        WARN_BUT_LENIENT,
        "longer than 150 characters",
        DJANGO,
        "check that the right column is mapped",
    ),
    rule(
        "username.space",
        WARN_BUT_LENIENT,
        "white space inside the name",
        DJANGO,
        "check that the column is the login name, not the person's name",
    ),
    rule(
        "username.chars",
        WARN_BUT_LENIENT,
        "characters beside letters, digits and @ . + - _",
        DJANGO,
        "check that the server accepts them",
    ),
    rule(
        "username.identifier",
        WARN_BUT_LENIENT,
        "an identifier, a telephone number or a password hash, and not the row's own number or IMSI",
        "field-rules 1.11; RADIUS logs subscribers in by number or IMSI",
        "check that no column is shifted or mapped to the wrong field",
    ),
];

const CONTROL: RuleId = RuleId::known("username.control");
const LONG: RuleId = RuleId::known("username.long");
const SPACE: RuleId = RuleId::known("username.space");
/// Raised by `cross.rs`, since it takes the whole row.
pub(super) const IDENTIFIER: RuleId = RuleId::known("username.identifier");
const CHARS: RuleId = RuleId::known("username.chars");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if context.glance.is_none() && has_control(value) {
        return context.pass_as_is(CONTROL, value);
    }
    if value.len() > LEN_MAX_CHARS && value.chars().count() > LEN_MAX_CHARS {
        context.raise(LONG);
    }
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"@.+-_".contains(&byte);
    if context.glance.is_some_and(|glance| !glance.has_blank()) || value.bytes().all(is_usual) {
        return Some(Cow::Borrowed(value));
    }
    if value.contains(char::is_whitespace) {
        context.raise(SPACE);
    }
    let usual = |c: char| c.is_alphanumeric() || "@.+-_".contains(c) || c.is_whitespace();
    if !value.chars().all(usual) {
        context.raise(CHARS);
    }
    Some(Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::verdict;
    use crate::update::FieldKind::Username;

    #[test]
    fn names_are_kept_and_doubts_are_named() {
        let none: [&str; 0] = [];
        for (value, want, codes) in [
            ("john.doe", Some("john.doe"), &none[..]),
            ("Jörg@example.org", Some("Jörg@example.org"), &[]),
            (" john.doe\u{A0}", Some("john.doe"), &["text.cleaned"]),
            ("John Doe", Some("John Doe"), &["username.space"]),
            ("john!doe", Some("john!doe"), &["username.chars"]),
            ("john\ndoe", None, &["username.control"]),
            ("None", None, &[]),
            ("0", Some("0"), &[]),
        ] {
            assert_eq!(verdict(Username, value), (want.map(str::to_owned), codes.to_vec()), "{value:?}");
        }
        // 150 characters count, not bytes.
        assert_eq!(verdict(Username, &"é".repeat(150)).1, none);
        assert_eq!(verdict(Username, &"é".repeat(151)).1, ["username.long"]);
    }
}
