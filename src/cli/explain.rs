//! `check --explain` and `--codes`: what a rule means, where it comes from, what is in force, and how to change it.
//!
//! Not here: the rules (`fields/`); examples and the settings behind a rule are this page's own (`explain/ways.rs`).

mod ways;

use std::fmt::Write as _;

use serde::Serialize;

use super::common::print;
use super::fatal::Fatal;
use crate::exit::Exit;
use crate::fields::{self, Preset, RuleId, RuleSet, Severity};
use crate::settings::Settings;

/// Name that stands for every rule.
const ALL: &str = "all";

/// A rule with everything there is to say.
#[derive(Debug, Serialize)]
struct Told {
    code: &'static str,
    field: Option<&'static str>,
    says: &'static str,
    severity: Levels,
    structural: bool,
    source: &'static str,
    remedy: &'static str,
    /// How to change it, a way in each.
    change: Vec<String>,
    /// A made-up value that breaks it, or what has to come together.
    example: Option<&'static str>,
}

/// The severities of a rule.
#[derive(Debug, Serialize)]
struct Levels {
    in_force: &'static str,
    lenient: &'static str,
    default: &'static str,
    strict: &'static str,
}

/// Explains a rule, the rules of a group, or all of them.
pub(super) fn explain(settings: &Settings, rules: &RuleSet, code: &str) -> Result<Exit, Fatal> {
    let chosen: Vec<RuleId> = match RuleId::of(code) {
        Some(id) => vec![id],
        None => RuleId::all().filter(|id| code == ALL || is_in_group(id.rule().code, code)).collect(),
    };
    if chosen.is_empty() {
        let near = fields::suggest(code);
        let hint = if near.is_empty() {
            "there is no rule of a similar name; `simsync check --codes` lists all".to_owned()
        } else {
            format!("did you mean {}? `simsync check --codes` lists all", near.join(", "))
        };
        return Err(Fatal::new(Exit::Usage, format!("there is no rule `{code}`"), hint));
    }
    let told = chosen.into_iter().map(|id| told(id, settings, rules));
    if settings.run.json {
        print(&json(told))?;
    } else {
        let texts: Vec<String> = told.map(|told| text(&told, settings)).collect();
        print(&texts.join("\n"))?;
    }
    Ok(Exit::Success)
}

/// Lists every rule in a line, by group.
pub(super) fn list(settings: &Settings, rules: &RuleSet) -> Result<Exit, Fatal> {
    let told = RuleId::all().map(|id| told(id, settings, rules));
    if settings.run.json {
        print(&json(told))?;
        return Ok(Exit::Success);
    }
    let told: Vec<Told> = told.collect();
    let width = told.iter().map(|told| told.code.len()).max().unwrap_or(0);
    let (mut out, mut group) = (String::new(), "");
    for told in &told {
        let of = told.code.split('.').next().unwrap_or(told.code);
        if of != group && !group.is_empty() {
            out.push('\n');
        }
        group = of;
        writeln!(out, "{:width$}  {:5}  {}", told.code, told.severity.in_force, told.says)
            .expect("a String takes every text");
    }
    print(&out)?;
    Ok(Exit::Success)
}

/// Whether a code stands under a group's name, as in `--severity GROUP=LEVEL`.
fn is_in_group(code: &str, group: &str) -> bool {
    code.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
}

fn told(id: RuleId, settings: &Settings, rules: &RuleSet) -> Told {
    let rule = id.rule();
    Told {
        code: rule.code,
        field: rule.field.map(|field| field.name()),
        says: rule.says,
        severity: Levels {
            in_force: rules.severity(id).name(),
            lenient: rule.lenient.name(),
            default: rule.severity.name(),
            strict: rule.strict.name(),
        },
        structural: rule.structural,
        source: rule.source,
        remedy: rule.remedy,
        change: changes(id, settings),
        example: ways::example(rule.code),
    }
}

/// Every way in which an operator may change what a rule does.
fn changes(id: RuleId, settings: &Settings) -> Vec<String> {
    let rule = id.rule();
    let mut changes: Vec<String> = ways::ways(rule.code).map(|(way, why)| format!("{way}: {why}")).collect();
    if rule.structural {
        changes.push(
            "its severity is always error: without what it asks for there is no certain row to send".into(),
        );
        return changes;
    }
    changes.push(format!("--severity {}=LEVEL, or severity in [rules]: off, fix, warn or error", rule.code));
    let levels =
        [(Preset::Lenient, rule.lenient), (Preset::Default, rule.severity), (Preset::Strict, rule.strict)];
    let now = levels.iter().find(|(preset, _)| *preset == settings.rules.preset).map(|(_, level)| *level);
    for (preset, level) in levels.into_iter().filter(|(_, level)| Some(*level) != now) {
        changes.push(format!("--preset {}: {}", preset.name(), level.name()));
    }
    changes
}

fn text(told: &Told, settings: &Settings) -> String {
    let Told { code, says, source, remedy, severity, .. } = told;
    let field = told.field.unwrap_or("the row");
    let meaning = match Severity::from_name(severity.in_force) {
        Some(Severity::Off) => "the rule does not apply",
        Some(Severity::Fix) => "the value is normalized, sent and counted",
        Some(Severity::Warn) => "the value is sent, counted and listed",
        Some(Severity::Error) | None => "the row is rejected and not sent",
    };
    let preset = settings.rules.preset;
    let of_preset = match preset {
        Preset::Lenient => severity.lenient,
        Preset::Default => severity.default,
        Preset::Strict => severity.strict,
    };
    let from = if of_preset == severity.in_force {
        format!("preset {}", preset.name())
    } else {
        "as set for this rule".to_owned()
    };
    let mut out = format!(
        "{code} ({field})\n  {says}\n  in force: {}, {meaning} ({from})\n  presets:  lenient {}, default {}, strict {}\n  \
         source:   {source}\n  remedy:   {remedy}\n",
        severity.in_force, severity.lenient, severity.default, severity.strict,
    );
    for (nth, change) in told.change.iter().enumerate() {
        let label = if nth == 0 { "change:   " } else { "          " };
        writeln!(out, "  {label}{change}").expect("a String takes every text");
    }
    if let Some(example) = told.example {
        writeln!(out, "  example:  {example}").expect("a String takes every text");
    }
    out
}

fn json(told: impl Iterator<Item = Told>) -> String {
    let mut out = String::new();
    for told in told {
        // Texts and lists of them: there is nothing that JSON cannot hold.
        out.push_str(&serde_json::to_string(&told).unwrap_or_default());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::RULES;

    #[test]
    fn a_group_is_what_stands_before_a_dot() {
        assert!(is_in_group("imei.luhn", "imei") && is_in_group("x.shift.imei", "x.shift"));
        assert!(!is_in_group("imei.luhn", "im") && !is_in_group("imei.luhn", "imei.luhn"));
        assert!(RULES.iter().all(|rule| rule.code != ALL && !is_in_group(rule.code, ALL)));
    }
}
