//! `user_class`: the class of service. Free text, mapped and limited only as the operator says.
//!
//! Not here: too many classes in one file, which only a whole file shows.

use std::borrow::Cow;

use super::Context;
use super::clean::has_control;
use super::cross::identifier;
use super::rules::{ERROR, ERROR_BUT_LENIENT, FIX, Rule, RuleId, rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        "user_class.control",
        ERROR,
        "control characters",
        "field-rules 1.9",
        "remove line breaks and control characters from the cell",
    ),
    rule(
        "user_class.mapped",
        FIX,
        "the value was replaced as class_map says",
        "field-rules 1.9",
        "nothing to do",
    ),
    rule(
        "user_class.not_allowed",
        ERROR,
        "the class is not among those in class_allowed",
        "field-rules 1.9",
        "correct the class, add it to class_allowed, or map it in class_map",
    ),
    rule(
        "user_class.identifier",
        ERROR_BUT_LENIENT,
        "an identifier, a telephone number or a password hash where the class should be",
        "field-rules 1.11",
        "check that no column is shifted or mapped to the wrong field; a class that is really so goes to class_allowed",
    ),
];

const CONTROL: RuleId = RuleId::known("user_class.control");
const MAPPED: RuleId = RuleId::known("user_class.mapped");
const NOT_ALLOWED: RuleId = RuleId::known("user_class.not_allowed");
const IDENTIFIER: RuleId = RuleId::known("user_class.identifier");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if context.glance.is_none() && has_control(value) {
        return context.pass_as_is(CONTROL, value);
    }
    if context.is_echo() {
        return Some(Cow::Borrowed(value));
    }
    if identifier(value).is_some() && !context.rules.names_class(value) {
        context.raise(IDENTIFIER);
    }
    let class = match context.rules.mapped_class(value).map(str::to_owned) {
        Some(mapped) => {
            if mapped != value {
                context.raise(MAPPED);
            }
            Cow::Owned(mapped)
        }
        None => Cow::Borrowed(value),
    };
    if class.is_empty() {
        return None;
    }
    if !context.rules.allows_class(&class) {
        context.raise(NOT_ALLOWED);
    }
    Some(class)
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::{verdict, verdict_under};
    use crate::fields::{RuleOptions, RuleSet, canonical};
    use crate::update::FieldKind::UserClass;

    #[test]
    fn classes_are_free_text_until_the_operator_says_otherwise() {
        assert_eq!(verdict(UserClass, " Gold Plus "), (Some("Gold Plus".to_owned()), vec!["text.cleaned"]));
        assert_eq!(verdict(UserClass, "a\tb"), (None, vec!["user_class.control"]));
    }

    #[test]
    fn what_another_column_holds_is_no_class() {
        for value in [
            "8944476500008878576",
            "8901410321118510720",
            "356868000041418",
            "35-686800-004141-8",
            "310260123456789",
            "+447911123456",
            "+44 7911 123456",
            "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
        ] {
            assert_eq!(verdict(UserClass, value), (None, vec!["user_class.identifier"]), "{value}");
        }
        for value in ["7", "100", "+1", "$5 plan", "123456789012345", "+10 GB"] {
            assert_eq!(verdict(UserClass, value), (Some(value.to_owned()), vec![]), "{value}");
        }
        // A class that the operator names is one, however it looks.
        let class = "310260123456789".to_owned();
        let map = vec![(class.clone(), "gold".to_owned())];
        let mapped = RuleOptions { class_map: map, ..RuleOptions::default() };
        assert_eq!(verdict_under(&mapped, UserClass, &class).0.as_deref(), Some("gold"));
        let allowed = RuleOptions { class_allowed: vec![class.clone()], ..RuleOptions::default() };
        assert_eq!(verdict_under(&allowed, UserClass, &class), (Some(class.clone()), vec![]));
    }

    #[test]
    fn mapping_comes_before_the_list_and_never_twice() {
        let map = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let options = RuleOptions {
            class_map: vec![map("P1", " premium"), map("premium", "gold"), map("none", "")],
            class_allowed: vec!["premium".to_owned(), "basic".to_owned()],
            ..RuleOptions::default()
        };
        let under = |value: &str| verdict_under(&options, UserClass, value);
        assert_eq!(under("P1"), (Some("premium".to_owned()), vec!["user_class.mapped"]));
        assert_eq!(under("basic"), (Some("basic".to_owned()), vec![]));
        assert_eq!(under("silver"), (None, vec!["user_class.not_allowed"]));
        assert_eq!(under("premium"), (None, vec!["user_class.mapped", "user_class.not_allowed"]));
        // Mapped to nothing is absent, never an empty value.
        assert_eq!(under("none"), (None, vec!["user_class.mapped"]));
        // What was sent for P1 comes back as an echo and must agree.
        let rules = RuleSet::new(&options).unwrap();
        assert_eq!(canonical(&rules, UserClass, "premium").as_deref(), Some("premium"));
    }
}
