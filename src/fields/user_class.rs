//! `user_class`: the class of service. Free text, mapped and limited only as the operator says.
//!
//! Not here: too many classes in one file, which only a whole file shows.

use std::borrow::Cow;

use super::Context;
use super::clean::has_control;
use super::rules::{ERROR, FIX, Rule, RuleId, rule};

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
];

const CONTROL: RuleId = RuleId::known("user_class.control");
const MAPPED: RuleId = RuleId::known("user_class.mapped");
const NOT_ALLOWED: RuleId = RuleId::known("user_class.not_allowed");

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    if has_control(value) {
        return context.pass_as_is(CONTROL, value);
    }
    if context.is_echo() {
        return Some(Cow::Borrowed(value));
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
