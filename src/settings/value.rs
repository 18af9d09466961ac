//! Kinds and values: how the text of one setting becomes a checked value, and how a value is printed again.
//!
//! Not here: which setting is of which kind (`table.rs`), and where its text comes from (`resolve.rs`).

use std::fmt;

use crate::fields::Severity;
use crate::input::{OLD_FIELDS, check_encoding, unread_code_page};
use crate::near::nearest;
use crate::settings::units::{self, ErrorBudget, Rate, Share};
use crate::settings::windows::{self, RateWindow};
use crate::update::FieldKind;

/// Longest text of a setting, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4_096;

/// What a setting holds, and within which bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file or directory.
    Path,
    /// Free text.
    Text,
    /// An HTTP address. Whether it may be used is the API room's ruling.
    Url,
    /// A country, ISO 3166-1 alpha-2.
    Country,
    /// One of the nine fields.
    Field,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// True or false.
    Bool,
    /// A whole number from `min` to `max`.
    Count {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// A duration from `min` to `max` milliseconds.
    Duration {
        /// Least, in milliseconds.
        min: u64,
        /// Most, in milliseconds.
        max: u64,
    },
    /// A time of day, `HH:MM`.
    TimeOfDay,
    /// A size from `min` to `max` bytes.
    Bytes {
        /// Least, in bytes.
        min: u64,
        /// Most, in bytes.
        max: u64,
    },
    /// Attempts per unit of time.
    Rate,
    /// Rates by time of day.
    Windows,
    /// A percentage.
    Share,
    /// A count or a percentage.
    Budget,
    /// An encoding, by a label of the WHATWG Encoding Standard.
    Encoding,
    /// What separates CSV cells.
    Delimiter,
    /// Texts; on the command line and in a variable, separated by commas.
    List,
    /// Texts that may hold commas: the flag is repeated instead, each time with one of them.
    Texts,
    /// Some of the nine fields.
    Fields,
    /// Names with a text each.
    Pairs(Pairs),
}

/// What the names and texts of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// A field and the column it is read from.
    Columns,
    /// A field and the column that tells what it was before.
    OldColumns,
    /// A rule's code and its severity.
    Severities,
    /// A class as the export has it, and as the API wants it.
    Classes,
}

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Unset,
    Text(String),
    Choice(&'static str),
    Field(FieldKind),
    Bool(bool),
    Count(u64),
    Duration(u64),
    Bytes(u64),
    Rate(Rate),
    Share(Share),
    Budget(ErrorBudget),
    List(Vec<String>),
}

impl Kind {
    /// Reads the text of a setting; the error says what is wrong with it, [`Kind::expects`] what would be right.
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
        }
        match self {
            Kind::Path | Kind::Text => plain(text).map(Value::Text),
            Kind::Url => url(text).map(Value::Text),
            Kind::Country => country(text).map(Value::Text),
            Kind::Field => field(text).map(Value::Field),
            Kind::Choice(names) => choice(names, text).map(Value::Choice),
            Kind::Bool => match text {
                "true" | "1" | "yes" | "on" => Ok(Value::Bool(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Bool(false)),
                _ => Err(format!("`{text}` is neither true nor false")),
            },
            Kind::Count { min, max } => {
                let count = units::whole(text).ok_or_else(|| format!("`{text}` is no whole number"))?;
                within(text, count, min, max).map(Value::Count)
            }
            Kind::Duration { min, max } => {
                within(text, units::duration_ms(text)?, min, max).map(Value::Duration)
            }
            Kind::TimeOfDay => units::time_of_day(text).map(|_| Value::Text(text.to_owned())),
            Kind::Bytes { min, max } => within(text, units::bytes(text)?, min, max).map(Value::Bytes),
            Kind::Rate => Rate::parse(text).map(Value::Rate),
            Kind::Windows => windows(text.split(',').map(RateWindow::parse)),
            Kind::Share => Share::parse(text).map(Value::Share),
            Kind::Budget => ErrorBudget::parse(text).map(Value::Budget),
            Kind::Encoding => encoding(text).map(Value::Text),
            Kind::Delimiter => units::delimiter(text).map(|_| Value::Text(text.to_owned())),
            Kind::List => {
                text.split(',').map(|item| plain(item.trim())).collect::<Result<_, _>>().map(Value::List)
            }
            Kind::Texts => plain(text).map(|text| Value::List(vec![text])),
            Kind::Fields => {
                let names = text.split(',').map(|name| field(name.trim()).map(|kind| kind.name().to_owned()));
                names.collect::<Result<_, _>>().map(Value::List)
            }
            Kind::Pairs(_) => {
                text.split(',').try_for_each(|pair| split_pair(pair).map(drop)).map(|()| Value::Unset)
            }
        }
    }

    /// What a value of this kind looks like, as a remedy and in the example file.
    pub(crate) fn expects(self) -> String {
        match self {
            Kind::Path => "a path".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Url => "the whole address of the endpoint, such as https://host/path/".to_owned(),
            Kind::Country => "two letters, such as GB".to_owned(),
            Kind::Field => format!("one of {}", FieldKind::NAMES.join(", ")),
            Kind::Choice(names) => format!("one of {}", names.join(", ")),
            Kind::Bool => "true or false".to_owned(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Duration { min, max } => {
                format!("a duration from {} to {}", units::duration_text(min), units::duration_text(max))
            }
            Kind::TimeOfDay => "a time of day from 00:00 to 23:59".to_owned(),
            Kind::Bytes { min, max } => {
                format!("a size from {} to {}", units::bytes_text(min), units::bytes_text(max))
            }
            Kind::Rate => {
                "a count and a unit of time, such as 200/s, 100/m or 5000/h, or unlimited".to_owned()
            }
            Kind::Windows => {
                "HH:MM-HH:MM and a rate or pause; in a variable, separated by commas; in the file also as \
                 [[delivery.window]] with from, to, rate and burst"
                    .to_owned()
            }
            Kind::Share => "a percentage, such as 30% or 0.5%".to_owned(),
            Kind::Budget => "a count or a percentage, such as 500 or 2%".to_owned(),
            Kind::Encoding => {
                "an encoding of the WHATWG Encoding Standard, such as windows-1252 or utf-16le".to_owned()
            }
            Kind::Delimiter => "a punctuation character, or comma, semicolon, tab, bar or space".to_owned(),
            Kind::List => "texts; in a variable, separated by commas".to_owned(),
            Kind::Texts => "texts; as a flag, one each time".to_owned(),
            Kind::Fields => format!("some of {}", FieldKind::NAMES.join(", ")),
            Kind::Pairs(Pairs::Columns) => {
                format!("FIELD=COLUMN with a field of {}", FieldKind::NAMES.join(", "))
            }
            Kind::Pairs(Pairs::OldColumns) => "FIELD=COLUMN with number, imsi or iccid".to_owned(),
            Kind::Pairs(Pairs::Severities) => {
                format!("CODE=LEVEL with a level of {}", Severity::NAMES.join(", "))
            }
            Kind::Pairs(Pairs::Classes) => "FROM=TO".to_owned(),
        }
    }
}

impl Pairs {
    /// Checks one pair; the error says what is wrong.
    pub(crate) fn check(self, name: &str, text: &str) -> Result<(), String> {
        plain(name)?;
        plain(text)?;
        match self {
            Pairs::Columns => field(name).map(drop),
            Pairs::OldColumns if OLD_FIELDS.iter().any(|kind| kind.name() == name) => Ok(()),
            Pairs::OldColumns => Err(format!("`{name}` is none of number, imsi and iccid")),
            Pairs::Severities => choice(Severity::NAMES, text).map(drop),
            Pairs::Classes => Ok(()),
        }
    }
}

/// Splits `NAME=TEXT` at its first `=`: names have none, columns may.
pub(crate) fn split_pair(pair: &str) -> Result<(&str, &str), String> {
    match pair.split_once('=') {
        Some((name, text)) if !name.trim().is_empty() && !text.trim().is_empty() => {
            Ok((name.trim(), text.trim()))
        }
        Some(_) | None => Err(format!("`{pair}` is no NAME=TEXT")),
    }
}

/// Windows that do not overlap, as texts.
pub(crate) fn windows(read: impl Iterator<Item = Result<RateWindow, String>>) -> Result<Value, String> {
    let windows: Vec<RateWindow> = read.collect::<Result<_, _>>()?;
    windows::check(&windows)?;
    Ok(Value::List(windows.iter().map(RateWindow::to_string).collect()))
}

/// A window of a table of the file.
pub(crate) fn window_of(table: &[(String, String)]) -> Result<RateWindow, String> {
    const NAMES: [&str; 4] = ["from", "to", "rate", "burst"];
    if let Some((name, _)) = table.iter().find(|(name, _)| !NAMES.contains(&name.as_str())) {
        return Err(unknown("member of a window", name, &NAMES));
    }
    let get = |wanted: &str| table.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str());
    let must = |wanted: &str| get(wanted).ok_or_else(|| format!("a window has no `{wanted}`"));
    RateWindow::of(must("from")?, must("to")?, must("rate")?, get("burst"))
}

fn plain(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Errors name no part of the address: it may carry a credential somebody put there by mistake.
fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Err("the address begins with neither https:// nor http://".to_owned());
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the address has blanks or control characters".to_owned());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err("the address has no host".to_owned());
    }
    if authority.contains('@') {
        return Err("the address has a user name or password in it".to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err("the address has a query or fragment".to_owned());
    }
    Ok(text.to_owned())
}

fn country(text: &str) -> Result<String, String> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(format!("`{text}` is no country code"))
}

fn encoding(text: &str) -> Result<String, String> {
    match check_encoding(text) {
        Ok(()) => Ok(text.trim().to_owned()),
        Err(Some(near)) => Err(format!("`{text}` is no encoding; did you mean `{near}`?")),
        Err(None) => Err(match unread_code_page(text) {
            Some(name) => {
                format!(
                    "`{text}` is not read here; convert the file: iconv -f {name} -t UTF-8 FILE > FILE.utf8"
                )
            }
            None => format!("`{text}` is no encoding"),
        }),
    }
}

fn field(text: &str) -> Result<FieldKind, String> {
    FieldKind::from_name(text).ok_or_else(|| unknown("field", text, FieldKind::NAMES))
}

fn choice(names: &'static [&'static str], text: &str) -> Result<&'static str, String> {
    let found = names.iter().copied().find(|name| *name == text);
    found.ok_or_else(|| unknown("choice", text, names))
}

fn unknown(what: &str, text: &str, known: &[&str]) -> String {
    match nearest(text, known.iter().copied()) {
        Some(near) => format!("`{text}` is no {what}; did you mean `{near}`?"),
        None => format!("`{text}` is no {what}"),
    }
}

fn within(text: &str, number: u64, min: u64, max: u64) -> Result<u64, String> {
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("`{text}` is out of bounds")) }
}

/// Prints the value as it would stand in the configuration file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unset => f.write_str("(not set)"),
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Choice(name) => f.write_str(&quoted(name)),
            Value::Field(kind) => f.write_str(&quoted(kind.name())),
            Value::Bool(is_on) => write!(f, "{is_on}"),
            Value::Count(count) | Value::Budget(ErrorBudget::Count(count)) => write!(f, "{count}"),
            Value::Duration(ms) => f.write_str(&quoted(&units::duration_text(*ms))),
            Value::Bytes(bytes) => f.write_str(&quoted(&units::bytes_text(*bytes))),
            Value::Rate(rate) => f.write_str(&quoted(&rate.to_string())),
            Value::Share(share) | Value::Budget(ErrorBudget::Share(share)) => {
                f.write_str(&quoted(&share.to_string()))
            }
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// The text as a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_what_it_should_and_refuses_the_rest() {
        let count = Kind::Count { min: 1, max: 64 };
        let duration = Kind::Duration { min: 1, max: 60_000 };
        for (kind, text, expected) in [
            (count, "64", Some("64")),
            (count, "0", None),
            (count, "65", None),
            (count, "1e1", None),
            (duration, "60s", Some("\"1m\"")),
            (duration, "61s", None),
            (Kind::Bool, "on", Some("true")),
            (Kind::Bool, "maybe", None),
            (Kind::Country, "gb", Some("\"GB\"")),
            (Kind::Country, "GBR", None),
            (Kind::Field, "imsi", Some("\"imsi\"")),
            (Kind::Field, "IMSI", None),
            (Kind::List, "NULL, n/a", Some("[\"NULL\", \"n/a\"]")),
            (Kind::Url, "https://api.example.net/v1/", Some("\"https://api.example.net/v1/\"")),
            (Kind::Url, "api.example.net", None),
            (Kind::Url, "ftp://api.example.net/", None),
            (Kind::Url, "https:///v1/", None),
            (Kind::Url, "https://host/v1/?token=x", None),
            (Kind::Encoding, "latin1", Some("\"latin1\"")),
            (Kind::Encoding, "ebcdic", None),
            (Kind::Path, "", None),
            (Kind::Text, "a\u{1b}[2J", None),
            (Kind::Budget, "2%", Some("\"2%\"")),
            (Kind::Budget, "2", Some("2")),
        ] {
            assert_eq!(kind.parse(text).ok().map(|value| value.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_with_a_password_is_refused_without_repeating_it() {
        let complaint = Kind::Url.parse("https://someone:c4n4ry@api.example.net/v1/").unwrap_err();
        assert!(complaint.contains("user name or password") && !complaint.contains("c4n4ry"), "{complaint}");
    }

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        assert_eq!(split_pair("number=Phone = main"), Ok(("number", "Phone = main")));
        assert!(split_pair("number").is_err());
        assert!(split_pair("=x").is_err());
    }

    #[test]
    fn pairs_are_checked_by_what_they_are() {
        for (pairs, name, text, is_right) in [
            (Pairs::Columns, "number", "Mobile", true),
            (Pairs::Columns, "phone", "Mobile", false),
            (Pairs::Severities, "imei.luhn", "error", true),
            (Pairs::Severities, "imei.luhn", "fatal", false),
            (Pairs::Classes, "Gold", "3", true),
            (Pairs::Classes, "Gold", "", false),
        ] {
            assert_eq!(pairs.check(name, text).is_ok(), is_right, "{name}={text}");
        }
    }

    #[test]
    fn a_near_name_is_suggested() {
        let complaint = Kind::Choice(&["fold", "last"]).parse("flod").unwrap_err();
        assert!(complaint.contains("did you mean `fold`"), "{complaint}");
        let complaint = Kind::Encoding.parse("windows-1225").unwrap_err();
        assert!(complaint.contains("did you mean `windows-1252`"), "{complaint}");
    }
}
