//! One setting of the table, its names everywhere, and how a name finds its setting.
//!
//! Not here: the settings themselves (`entries.rs`).

use crate::near::nearest;
use crate::settings::entries::SETTINGS;
use crate::settings::value::{Kind, Value};

/// What every variable of ours begins with.
pub const ENV_PREFIX: &str = "SIMSYNC_";

/// Variables that are no settings: the token itself, and the place of the configuration file.
pub const ENV_TOKEN: &str = "SIMSYNC_TOKEN";
/// See [`ENV_TOKEN`].
pub const ENV_CONFIG: &str = "SIMSYNC_CONFIG";

/// What unsets a setting that has no default, such as a limit, where somebody else has set it: a flag over a variable
/// or the file, a variable over the file.
pub const NONE: &str = "none";

/// One setting: where it may be set, what it holds, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Place in the configuration file, `section.name`.
    pub key: &'static str,
    /// What it holds, and its bounds.
    pub kind: Kind,
    /// Its default, written as on the command line; empty when there is none.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub doc: &'static str,
    /// Long name of its flag, without `--`.
    pub flag: Option<&'static str>,
    /// A value for the example file, as TOML, where there is no default.
    pub sample: &'static str,
    /// Whether its text may carry a credential and is shown in no message.
    pub is_private: bool,
    /// Whether it belongs to one run (flag and variable) and has no place in the file.
    pub is_of_run: bool,
}

impl Setting {
    pub(crate) const fn new(
        key: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Setting {
        Setting { key, kind, default, doc, flag: None, sample: "", is_private: false, is_of_run: false }
    }

    pub(crate) const fn flag(self, flag: &'static str) -> Setting {
        Setting { flag: Some(flag), ..self }
    }

    pub(crate) const fn sample(self, sample: &'static str) -> Setting {
        Setting { sample, ..self }
    }

    pub(crate) const fn private(self) -> Setting {
        Setting { is_private: true, ..self }
    }

    pub(crate) const fn of_run(self) -> Setting {
        Setting { is_of_run: true, ..self }
    }

    /// Section of the file, empty for the top.
    pub fn section(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Name within its section.
    pub fn name(&self) -> &'static str {
        self.key.rsplit_once('.').map_or(self.key, |(_, name)| name)
    }

    /// Its variable. One rule: [`ENV_PREFIX`] and the flag's long name, or the key where there is no flag.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", upper(self.flag.unwrap_or(self.key)))
    }

    /// Whether it is a table of names and texts.
    pub fn is_pairs(&self) -> bool {
        matches!(self.kind, Kind::Pairs(_))
    }

    /// Whether [`NONE`] unsets it. Of texts and paths it would be a value.
    pub(crate) fn may_be_none(&self) -> bool {
        let is_measure =
            matches!(self.kind, Kind::Count { .. } | Kind::Duration { .. } | Kind::TimeOfDay | Kind::Budget);
        self.default.is_empty() && is_measure
    }

    /// Reads a text that it is set to; the error says what is wrong with it.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, String> {
        if text == NONE && self.may_be_none() { Ok(Value::Unset) } else { self.kind.parse(text) }
    }

    /// What a value looks like, as a remedy and in the example file.
    pub(crate) fn expects(&self) -> String {
        let or_none = if self.may_be_none() { ", or none" } else { "" };
        format!("{}{or_none}", self.kind.expects())
    }

    pub(crate) fn default_value(&self) -> Value {
        if self.default.is_empty() {
            return Value::Unset;
        }
        self.kind.parse(self.default).expect("a test reads every default")
    }
}

fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// The setting of a key of the file.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The setting of a flag's long name.
pub fn by_flag(flag: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.flag == Some(flag))
}

/// The table of names and texts that a longer key lies in, and the name within it: `rules.severity.imei.luhn`.
pub(crate) fn pairs_of(key: &str) -> Option<(&'static Setting, &str)> {
    SETTINGS.iter().filter(|setting| setting.is_pairs()).find_map(|setting| {
        let name = key.strip_prefix(setting.key)?.strip_prefix('.')?;
        Some((setting, name))
    })
}

/// Whether the key is a section, or a table within one.
pub(crate) fn is_section(key: &str) -> bool {
    SETTINGS.iter().any(|setting| {
        !setting.is_of_run && (setting.section() == key || setting.is_pairs() && setting.key == key)
    })
}

/// The key somebody probably meant: the same name in another section, or a near one.
pub(crate) fn near_key(key: &str) -> Option<&'static str> {
    let settings = || SETTINGS.iter().filter(|setting| !setting.is_of_run);
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    let mut same_name = settings().filter(|setting| setting.name() == name || setting.flag == Some(name));
    match (same_name.next(), same_name.next()) {
        (Some(only), None) => Some(only.key),
        (Some(_) | None, _) => {
            let sections = settings().map(Setting::section).filter(|section| !section.is_empty());
            nearest(key, settings().map(|setting| setting.key).chain(sections))
        }
    }
}

/// The variable somebody probably meant: the flag's where the key's was written, or a near one.
pub(crate) fn near_variable(variable: &str) -> Option<String> {
    let by_its_key = |setting: &&Setting| variable.strip_prefix(ENV_PREFIX) == Some(&upper(setting.key));
    if let Some(setting) = SETTINGS.iter().find(by_its_key) {
        return Some(setting.variable());
    }
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let others = [ENV_TOKEN, ENV_CONFIG];
    // The prefix is no part of the comparison: it would make every short name near every other.
    let bare = |name: &'static str| name.strip_prefix(ENV_PREFIX).unwrap_or(name);
    let names = known.iter().filter_map(|name| name.strip_prefix(ENV_PREFIX)).chain(others.map(bare));
    let typed = variable.strip_prefix(ENV_PREFIX).unwrap_or(variable);
    nearest(typed, names).map(|near| format!("{ENV_PREFIX}{near}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_one_settings_alone() {
        let keys: HashSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), SETTINGS.len());
        let variables: HashSet<_> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!(variables.len(), SETTINGS.len());
        assert!(!variables.contains(ENV_TOKEN) && !variables.contains(ENV_CONFIG));
    }

    #[test]
    fn every_setting_is_complete() {
        for setting in SETTINGS {
            let key = setting.key;
            assert!(setting.doc.ends_with('.'), "{key}");
            assert_eq!(
                setting.default.is_empty(),
                !setting.sample.is_empty(),
                "{key}: a default or a sample"
            );
            let value = setting.default_value();
            assert_eq!(value == Value::Unset, setting.default.is_empty(), "{key}");
            assert!(
                !setting.is_of_run || setting.flag.is_some(),
                "{key}: without a flag a run could not set it"
            );
        }
    }

    #[test]
    fn variables_follow_one_rule() {
        for (key, expected) in [
            ("state", "SIMSYNC_STATE"),
            ("api.url", "SIMSYNC_API_URL"),
            ("api.timeout", "SIMSYNC_API_TIMEOUT"),
            ("delivery.max_in_flight", "SIMSYNC_MAX_IN_FLIGHT"),
            ("columns", "SIMSYNC_MAP"),
            ("rules.imei_14", "SIMSYNC_RULES_IMEI_14"),
        ] {
            assert_eq!(by_key(key).unwrap().variable(), expected);
        }
    }

    #[test]
    fn near_names_are_found() {
        assert_eq!(near_key("delivry"), Some("delivery"));
        assert_eq!(near_key("rate"), Some("delivery.rate"));
        assert_eq!(near_key("delivery.raet"), Some("delivery.rate"));
        assert_eq!(near_key("input.key_field"), None);
        assert_eq!(near_variable("SIMSYNC_DELIVERY_RATE").as_deref(), Some("SIMSYNC_RATE"));
        assert_eq!(near_variable("SIMSYNC_TOKN").as_deref(), Some("SIMSYNC_TOKEN"));
        assert_eq!(near_variable("SIMSYNC_SOMETHING_ELSE"), None);
    }
}
