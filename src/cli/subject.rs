//! A subject as an operator names it: values of fields from flags, in the form in which they would be sent.
//!
//! Not here: what is known of the subject (`lookup.rs`), which subject of which target it is.

use super::args::FieldArgs;
use super::fatal::Fatal;
use super::parts;
use crate::exit::Exit;
use crate::fields::{self, Checked, RuleSet, Severity};
use crate::settings::Settings;
use crate::update::{FieldKind, Fields};

/// Canonical values of the fields given. Errors name the rule and never the value.
pub(super) fn values(settings: &Settings, given: &FieldArgs) -> Result<Fields, Fatal> {
    let rules = parts::rule_set(settings)?;
    let mut values = Fields::default();
    for field in FieldKind::ALL {
        if let Some(text) = given.get(field) {
            values.set(field, &value(&rules, field, text)?);
        }
    }
    Ok(values)
}

/// The flag of a field.
pub(super) fn flag(field: FieldKind) -> String {
    format!("--{}", field.name().replace('_', "-"))
}

/// The canonical form of a cell of this field, if it has one under these rules.
pub(super) fn canonical(
    rules: &RuleSet,
    field: FieldKind,
    text: &str,
    checked: &mut Checked,
) -> Option<String> {
    fields::check_row(rules, &|kind| (kind == field).then_some(text), checked);
    checked.fields.get(field).map(str::to_owned)
}

fn value(rules: &RuleSet, field: FieldKind, text: &str) -> Result<String, Fatal> {
    let mut checked = Checked::default();
    if let Some(value) = canonical(rules, field, text, &mut checked) {
        return Ok(value);
    }
    let flag = flag(field);
    let broken = checked.findings.iter().find(|finding| finding.severity == Severity::Error);
    Err(match broken.map(|finding| finding.rule.rule()) {
        Some(rule) => Fatal::new(
            Exit::Usage,
            format!("the value of {flag} is not valid ({}): {}", rule.code, rule.says),
            format!("{}; `simsync check --explain {}` tells more", rule.remedy, rule.code),
        ),
        None => Fatal::new(Exit::Usage, format!("{flag} holds no value"), "give the value in full"),
    })
}
