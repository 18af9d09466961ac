//! From what was typed to what is meant: the one place that knows flag > environment > file > default.
//!
//! Not here: where the file is looked for (`surroundings.rs`), what a text means (`value.rs`), the final types
//! (`build.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{ConfigFile, Entry, Part, Raw};
use crate::settings::build;
use crate::settings::entries::SETTINGS;
use crate::settings::error::ConfigError;
use crate::settings::surroundings::Surroundings;
use crate::settings::table::{self, Setting};
use crate::settings::value::{self, Kind, Pairs, Value, split_pair};
use crate::settings::windows::RateWindow;
use crate::settings::{Flags, Origin, Resolved};

/// Every setting's value and where it came from.
#[derive(Clone)]
pub(crate) struct Values {
    singles: BTreeMap<&'static str, (Value, Origin)>,
    pairs: BTreeMap<(&'static str, String), (String, Origin)>,
}

/// Shows origins only: a command for the token is among the values, as it was typed.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.singles.iter().map(|(key, (_, origin))| (key, origin))).finish()
    }
}

impl Values {
    /// The defaults.
    pub(crate) fn defaults() -> Values {
        let singles = SETTINGS.iter().filter(|setting| !setting.is_pairs());
        let singles = singles.map(|setting| (setting.key, (setting.default_value(), Origin::Default)));
        Values { singles: singles.collect(), pairs: BTreeMap::new() }
    }

    /// The value of a setting and its origin.
    pub(crate) fn get(&self, key: &str) -> &(Value, Origin) {
        self.singles.get(key).unwrap_or_else(|| panic!("{key} is in the table of settings"))
    }

    /// The names and texts of a table, by name.
    pub(crate) fn pairs(&self, key: &str) -> impl Iterator<Item = (&str, &str, &Origin)> {
        let of_key = self.pairs.iter().filter(move |((table, _), _)| *table == key);
        of_key.map(|((_, name), (text, origin))| (name.as_str(), text.as_str(), origin))
    }

    /// Lowers a default that is more than what was set for its bound: whoever sets `api.timeout = "5s"` has not asked
    /// for an error about the ten seconds of `api.connect_timeout`.
    fn lower_default(&mut self, key: &'static str, bound: &str) {
        let (value, origin) = self.get(key);
        let lowered = match (value, &self.get(bound).0) {
            (Value::Duration(low), Value::Duration(high)) if low > high => Value::Duration(*high),
            (Value::Bytes(low), Value::Bytes(high)) if low > high => Value::Bytes(*high),
            _ => return,
        };
        if *origin == Origin::Default {
            self.singles.insert(key, (lowered, Origin::Default));
        }
    }

    fn set(&mut self, setting: &Setting, value: Value, origin: Origin) {
        self.singles.insert(setting.key, (value, origin));
    }
}

/// Settings that may not be more than another.
pub(crate) const BOUNDED: [(&str, &str); 4] = [
    ("api.connect_timeout", "api.timeout"),
    ("api.read_timeout", "api.timeout"),
    ("input.field_bytes_max", "input.row_bytes_max"),
    ("delivery.backoff_initial", "delivery.backoff_max"),
];

/// Resolves what was typed, in these surroundings, into one set of settings.
///
/// # Errors
/// The first value that is wrong, with its origin; a configuration file that cannot be read; settings that do not
/// go together.
pub fn resolve(flags: &Flags, around: &Surroundings) -> Result<Resolved, ConfigError> {
    let mut values = Values::defaults();
    let file = around.config_file(flags.config.as_deref())?;
    if let Some(file) = &file {
        for entry in file.entries() {
            take_entry(&mut values, file, entry, around.cwd())?;
        }
    }
    for setting in SETTINGS {
        if let Some(text) = around.variable(&setting.variable())? {
            take_variable(&mut values, setting, text)?;
        }
    }
    for (flag, text) in &flags.given {
        take_flag(&mut values, flag, text)?;
    }
    for (first, second) in BOUNDED {
        values.lower_default(first, second);
    }
    let token = around.token(&values)?;
    let settings = build::settings(&values, token.choice);
    settings.check(&values)?;
    let mut warnings = around.unknown_variables();
    warnings.extend(token.warning);
    Ok(Resolved { settings, values, warnings, config_file: file.map(|file| file.path().to_owned()) })
}

fn take_flag(values: &mut Values, flag: &'static str, text: &str) -> Result<(), ConfigError> {
    let setting = table::by_flag(flag).unwrap_or_else(|| panic!("--{flag} is in the table of settings"));
    let origin = Origin::Flag(flag);
    let refuse = |complaint| ConfigError::value(origin.clone(), setting, complaint);
    if let Kind::Pairs(pairs) = setting.kind {
        let (name, text) = split_pair(text).map_err(refuse)?;
        return take_pair(values, setting, pairs, name, text, &origin).map_err(refuse);
    }
    let value = setting.parse(text).map_err(refuse)?;
    if setting.kind == Kind::Texts
        && let Value::List(items) = &value
        && let (Value::List(earlier), earlier_origin) = values.get(setting.key)
        && *earlier_origin == origin
    {
        let all = earlier.iter().chain(items).cloned().collect();
        values.set(setting, Value::List(all), origin);
        return Ok(());
    }
    values.set(setting, value, origin);
    Ok(())
}

fn take_variable(values: &mut Values, setting: &'static Setting, text: &str) -> Result<(), ConfigError> {
    let origin = Origin::Variable(setting.variable());
    let refuse = |complaint| ConfigError::value(origin.clone(), setting, complaint);
    if let Kind::Pairs(pairs) = setting.kind {
        for pair in text.split(',') {
            let (name, text) = split_pair(pair).map_err(refuse)?;
            take_pair(values, setting, pairs, name, text, &origin).map_err(refuse)?;
        }
        return Ok(());
    }
    let value = setting.parse(text).map_err(refuse)?;
    values.set(setting, value, origin);
    Ok(())
}

fn take_entry(values: &mut Values, file: &ConfigFile, entry: &Entry, cwd: &Path) -> Result<(), ConfigError> {
    let origin = Origin::File { path: file.path().to_owned(), line: file.line(entry) };
    if let Some((setting, name)) = table::pairs_of(&entry.key) {
        let refuse = |complaint, part| {
            let excerpt = file.excerpt(entry, part, setting.is_private);
            ConfigError::value(origin.clone(), setting, complaint).at(excerpt)
        };
        let Kind::Pairs(pairs) = setting.kind else {
            unreachable!("only tables of names and texts have longer keys")
        };
        let Raw::Text(text) = &entry.raw else {
            return Err(refuse(format!("`{name}` is set to no text in quotes"), Part::Value));
        };
        return take_pair(values, setting, pairs, name, text, &origin)
            .map_err(|text| refuse(text, Part::Key));
    }
    if entry.raw == Raw::EmptyTable && table::is_section(&entry.key) {
        return Ok(());
    }
    let setting = table::by_key(&entry.key).filter(|setting| !setting.is_of_run && !setting.is_pairs());
    let Some(setting) = setting else {
        // The value of a key nobody knows may be anything, also a credential.
        return Err(ConfigError::unknown_key(&entry.key, origin, file.excerpt(entry, Part::Key, true)));
    };
    let is_none = matches!(&entry.raw, Raw::Text(text) if text == table::NONE) && setting.may_be_none();
    let read = if is_none { Ok(Value::Unset) } else { from_raw(setting.kind, &entry.raw) };
    let value = read.map_err(|complaint| {
        let excerpt = file.excerpt(entry, Part::Value, setting.is_private);
        ConfigError::value(origin.clone(), setting, complaint).at(excerpt)
    })?;
    let value = if let Value::Text(path) = &value
        && setting.kind == Kind::Path
    {
        Value::Text(beside(file.path(), cwd, path)?)
    } else {
        value
    };
    values.set(setting, value, origin);
    Ok(())
}

/// A path of a file is meant from the file's directory: a cron job has another working directory than its author.
fn beside(file: &Path, cwd: &Path, path: &str) -> Result<String, ConfigError> {
    let directory = file.parent().unwrap_or(Path::new(""));
    if directory == cwd || Path::new(path).is_absolute() {
        return Ok(path.to_owned());
    }
    let joined: PathBuf = directory.join(path);
    joined
        .into_os_string()
        .into_string()
        .map_err(|_| ConfigError::NotUtf8 { what: "the directory of the configuration file".to_owned() })
}

/// A setting's value from the file. Texts stand in quotes, counts and truths do not; either mistake is named.
fn from_raw(kind: Kind, raw: &Raw) -> Result<Value, String> {
    let is_bare = matches!(kind, Kind::Bool | Kind::Count { .. });
    match (kind, raw) {
        (Kind::List | Kind::Texts, Raw::List(items)) => {
            let is_right = items.iter().all(|item| !item.chars().any(char::is_control));
            if is_right {
                Ok(Value::List(items.clone()))
            } else {
                Err("it has control characters".to_owned())
            }
        }
        (Kind::Windows, Raw::List(items)) => value::windows(items.iter().map(|item| RateWindow::parse(item))),
        (Kind::Windows, Raw::Tables(tables)) => {
            value::windows(tables.iter().map(|table| value::window_of(table)))
        }
        (Kind::Fields, Raw::List(items)) => kind.parse(&items.join(",")),
        (Kind::List | Kind::Texts | Kind::Fields, _) => Err("it is no array of texts".to_owned()),
        (Kind::Bool, Raw::Bool(is_on)) => Ok(Value::Bool(*is_on)),
        (
            Kind::Count { .. } | Kind::Budget | Kind::Duration { .. } | Kind::Bytes { .. },
            Raw::Number(number),
        ) => kind.parse(number),
        (_, Raw::Text(text)) if !is_bare => kind.parse(text),
        (_, Raw::Text(_)) => Err("it is a text in quotes".to_owned()),
        (_, Raw::Number(_)) => Err("it is a bare number".to_owned()),
        (_, Raw::Bool(_)) => Err("it is a bare true or false".to_owned()),
        (_, Raw::List(_)) => Err("it is an array".to_owned()),
        (_, Raw::Tables(_)) => Err("it is an array of tables".to_owned()),
        (_, Raw::EmptyTable) => Err("it is a table".to_owned()),
        (_, Raw::Other(what)) => Err(format!("it is a {what}")),
    }
}

fn take_pair(
    values: &mut Values,
    setting: &'static Setting,
    pairs: Pairs,
    name: &str,
    text: &str,
    origin: &Origin,
) -> Result<(), String> {
    pairs.check(name, text)?;
    let replaced = values.pairs.insert((setting.key, name.to_owned()), (text.to_owned(), origin.clone()));
    // Within one origin, the later of two would silently win over the earlier.
    match replaced {
        Some((_, earlier)) if earlier == *origin => Err(format!("`{name}` is given twice")),
        Some(_) | None => Ok(()),
    }
}
