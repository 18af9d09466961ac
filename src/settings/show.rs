//! Settings as text: `config show` with origins, the answer of `config check`, and the example file.
//!
//! Everything is returned, nothing printed; `report/` is the only printer. Not here: writing the example (`config.rs`).

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::api::Proxy;
use crate::settings::entries::SETTINGS;
use crate::settings::table::Setting;
use crate::settings::value::{Value, quoted};
use crate::settings::{Origin, Resolved, TokenChoice};

/// What stands for a credential.
const MASK: &str = "********";

/// Column at which origins begin, unless a value is longer.
const ORIGIN_COLUMN: usize = 48;

/// One shown value.
struct Shown<'a> {
    setting: &'static Setting,
    /// Name within the section; for a table of names and texts, within the table.
    name: String,
    value: String,
    is_set: bool,
    origin: &'a Origin,
}

/// Every value with where it came from. As text it is a configuration file again; as JSON it is one line.
pub fn show(resolved: &Resolved, is_json: bool) -> String {
    if is_json { show_json(resolved) } else { show_text(resolved) }
}

/// What `config check` says when nothing is wrong.
pub fn checked(resolved: &Resolved) -> String {
    let source = match &resolved.config_file {
        Some(path) => format!("{} is valid", path.display()),
        None => "there is no configuration file; flags, environment and defaults are valid".to_owned(),
    };
    let url =
        resolved.settings.api.url.as_deref().map_or("\nno API address is set".to_owned(), |_| String::new());
    let token = match &resolved.settings.api.token {
        TokenChoice::None => "\nno token is set".to_owned(),
        TokenChoice::File(_)
        | TokenChoice::Command(_)
        | TokenChoice::Credential(_)
        | TokenChoice::Variable(_) => String::new(),
    };
    format!("{source}{url}{token}\n")
}

fn shown(resolved: &Resolved) -> Vec<Shown<'_>> {
    let mut all = Vec::new();
    for setting in SETTINGS {
        if setting.is_pairs() {
            for (name, text, origin) in resolved.values.pairs(setting.key) {
                all.push(Shown {
                    setting,
                    name: bare_or_quoted(name),
                    value: quoted(text),
                    is_set: true,
                    origin,
                });
            }
            continue;
        }
        let (value, origin) = resolved.values.get(setting.key);
        let command = if let Value::Text(text) = value { text } else { "" };
        let text = if setting.key == "api.token_command" && !command.is_empty() {
            quoted(&masked_command(command))
        } else if setting.key == "api.proxy" && !command.is_empty() {
            quoted(&masked_proxy(command))
        } else {
            value.to_string()
        };
        let is_set = *value != Value::Unset;
        all.push(Shown { setting, name: setting.name().to_owned(), value: text, is_set, origin });
    }
    all
}

fn show_text(resolved: &Resolved) -> String {
    let mut out = String::new();
    let file = resolved.config_file.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    line(&mut out, &format!("# configuration file: {file}"));
    let mut table = "";
    for shown in shown(resolved) {
        let setting = shown.setting;
        let of = if setting.is_pairs() { setting.key } else { setting.section() };
        if of != table {
            table = of;
            line(
                &mut out,
                &if setting.is_of_run { "\n# of this run".to_owned() } else { format!("\n[{of}]") },
            );
        }
        let mark = if shown.is_set && !setting.is_of_run { "" } else { "# " };
        let left = format!("{mark}{} = {}", shown.name, shown.value);
        line(&mut out, &format!("{left:<ORIGIN_COLUMN$} # {}", origin_text(shown.origin)));
        if setting.key == "api.token_command" {
            line(&mut out, &token_line(&resolved.settings.api.token));
        }
    }
    out
}

fn token_line(token: &TokenChoice) -> String {
    match token {
        TokenChoice::None => "# token: none".to_owned(),
        TokenChoice::File(_)
        | TokenChoice::Command(_)
        | TokenChoice::Credential(_)
        | TokenChoice::Variable(_) => {
            let left = format!("# token = \"{MASK}\"");
            format!("{left:<ORIGIN_COLUMN$} # {}", token.describe())
        }
    }
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Flag(_) => format!("flag {origin}"),
        Origin::Variable(_) => format!("env {origin}"),
        Origin::File { .. } => format!("file {origin}"),
        Origin::Default => origin.to_string(),
    }
}

fn show_json(resolved: &Resolved) -> String {
    let settings: Vec<Json> = shown(resolved).iter().map(json_of).collect();
    let file = resolved.config_file.as_ref().map(|path| path.display().to_string());
    let token = resolved.settings.api.token.describe();
    let all = json!({
        "type": "settings", "schema_version": 1, "config_file": file, "token_from": token,
        "warnings": resolved.warnings, "settings": settings,
    });
    format!("{all}\n")
}

fn json_of(shown: &Shown<'_>) -> Json {
    let key = if shown.setting.is_pairs() {
        format!("{}.{}", shown.setting.key, shown.name.trim_matches('"'))
    } else {
        shown.setting.key.to_owned()
    };
    // Values print as TOML, whose texts, numbers, truths and arrays of texts are JSON as well.
    let value =
        if shown.is_set { serde_json::from_str(&shown.value).unwrap_or(Json::Null) } else { Json::Null };
    let origin = match shown.origin {
        Origin::Flag(flag) => json!({"kind": "flag", "flag": format!("--{flag}")}),
        Origin::Variable(name) => json!({"kind": "env", "variable": name}),
        Origin::File { path, line } => {
            json!({"kind": "file", "path": path.display().to_string(), "line": line})
        }
        Origin::Default => json!({"kind": "default"}),
    };
    json!({"key": key, "value": value, "origin": origin})
}

/// A command as it may be shown: its program. Its arguments may carry a credential.
pub(crate) fn masked_command(command: &str) -> String {
    let mut words = command.split_whitespace();
    // `NAME=value program` would begin with a value that nobody may see.
    let program = words.find(|word| !word.contains('=')).unwrap_or(MASK);
    if words.next().is_some() { format!("{program} …") } else { program.to_owned() }
}

/// A proxy as it may be shown: without its credentials.
fn masked_proxy(text: &str) -> String {
    Proxy::parse(text).map_or_else(|_| MASK.to_owned(), |proxy| proxy.to_string())
}

/// The example file: every setting of the table, commented out, so that a later version's defaults come through.
pub fn example() -> String {
    let mut out = String::from(EXAMPLE_HEAD);
    let settings = SETTINGS.iter().filter(|setting| !setting.is_of_run);
    let mut section = "";
    // TOML wants the tables of a section after the section's own settings, and the table keeps that order.
    for setting in settings {
        let of = if setting.is_pairs() { setting.key } else { setting.section() };
        if of != section {
            section = of;
            line(&mut out, &format!("\n[{of}]"));
        } else {
            line(&mut out, "");
        }
        let value = if setting.default.is_empty() {
            setting.sample.to_owned()
        } else {
            setting.default_value().to_string()
        };
        let flag = setting.flag.map_or(String::new(), |flag| format!("--{flag}, "));
        line(&mut out, &format!("# {}", setting.doc));
        line(&mut out, &format!("# ({}; {flag}{})", setting.expects(), setting.variable()));
        let name = if setting.is_pairs() { String::new() } else { format!("{} = ", setting.name()) };
        line(&mut out, &format!("#{name}{value}"));
    }
    out
}

const EXAMPLE_HEAD: &str = "\
# simsync: every setting, with its default, commented out. Lines that begin with `#` and no blank are settings; where
# there is no default, the value is an example. Precedence: flag > environment > this file > default.
# It is looked for as ./simsync.toml, $XDG_CONFIG_HOME/simsync/config.toml and /etc/simsync/config.toml, or is named
# with --config. Paths are meant from this file's directory. The token's value has no place here.
# `simsync config check` checks this file, `simsync config show` prints every value with where it came from.

";

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("a String takes every text");
}

/// A name as a TOML key.
fn bare_or_quoted(name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { quoted(name) }
}
