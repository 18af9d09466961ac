//! The configuration file as written: where it is looked for, its bytes, and every entry with its place. The only
//! door of `toml`.
//!
//! Not here: which entries there may be and what they mean (`settings/`). This file knows TOML and no setting.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Name of the configuration file in the working directory.
pub const CONFIG_NAME: &str = "simsync.toml";

/// The configuration file of the whole machine.
pub const CONFIG_SYSTEM: &str = "/etc/simsync/config.toml";

/// What `config init` writes: every setting with its default. A test holds it against the table of settings.
pub const EXAMPLE: &str = include_str!("../config.example.toml");

/// A configuration file, read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    entries: Vec<Entry>,
}

/// One entry of the file.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Tables and name, joined with dots.
    pub(crate) key: String,
    /// What it is set to.
    pub(crate) raw: Raw,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

/// A value as the file has it. Numbers stay text: what they count is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    Text(String),
    Number(String),
    Bool(bool),
    List(Vec<String>),
    /// Tables of texts and numbers, each with its names.
    Tables(Vec<Vec<(String, String)>>),
    /// A table without entries; it may still have a misspelled name.
    EmptyTable,
    /// A kind of value no setting has, by its TOML name.
    Other(&'static str),
}

/// Which part of an entry an excerpt points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// A place in the file, with the line shown and marked, as compilers do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    shown: String,
    marked: usize,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.line.to_string();
        let blank = " ".repeat(gutter.len());
        writeln!(f, "{blank} |\n{gutter} | {}", self.shown)?;
        let indent = " ".repeat(self.column - 1);
        write!(f, "{blank} | {indent}{}", "^".repeat(self.marked.max(1)))
    }
}

/// Why a configuration file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It was asked for and is not there.
    #[error("{}: there is no such configuration file (named by {named_by})", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// `--config` or the variable.
        named_by: &'static str,
    },
    /// The system refused to read it.
    #[error("{}: the configuration file cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is longer than [`CONFIG_BYTES_MAX`].
    #[error("{}: longer than {CONFIG_BYTES_MAX} bytes, which is no configuration", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not UTF-8.
    #[error("{}:{line}: not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// It is not TOML.
    #[error("{}:{}:{}: {message}\n{excerpt}", excerpt.path.display(), excerpt.line, excerpt.column)]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where.
        excerpt: Box<Excerpt>,
    },
    /// `config init` found a file in its place.
    #[error("{}: there is a file already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system refused to write it.
    #[error("{}: the configuration file cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> String {
        match self {
            FileError::Missing { .. } => "write one with `simsync config init FILE`, or correct the path".to_owned(),
            FileError::Unreadable { .. } => "name a readable file with --config".to_owned(),
            FileError::TooLong { .. } => "name the right file with --config".to_owned(),
            FileError::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
            FileError::Syntax { .. } => {
                "texts, durations and sizes stand in quotes; `simsync config init` writes a file to start from".to_owned()
            }
            FileError::Exists { .. } => "replace it with --force, or name another file".to_owned(),
            FileError::Unwritable { .. } => "name a file in a directory you may write to".to_owned(),
        }
    }
}

impl ConfigFile {
    /// Reads and parses a file; `None` when there is none at this place.
    ///
    /// # Errors
    /// Whatever keeps a file that is there from being read as TOML.
    pub fn read(path: &Path) -> Result<Option<ConfigFile>, FileError> {
        let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(FileError::TooLong { path: path.to_owned() });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            FileError::NotUtf8 { path: path.to_owned(), line }
        })?;
        ConfigFile::parse(path, text).map(Some)
    }

    fn parse(path: &Path, text: String) -> Result<ConfigFile, FileError> {
        let mut entries = Vec::new();
        let parsed = DeTable::parse(&text).map(|table| flatten("", table.get_ref(), &mut entries));
        if let Err(error) = parsed {
            let span = error.span().unwrap_or(text.len()..text.len());
            let line = line_around(&text, span.start);
            let excerpt = excerpt(path, &text, &span, names_a_secret(&text[line]));
            return Err(FileError::Syntax {
                message: error.message().to_owned(),
                excerpt: Box::new(excerpt),
            });
        }
        Ok(ConfigFile { path: path.to_owned(), text, entries })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its entries, sorted by key within each table.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Line of an entry, from 1.
    pub(crate) fn line(&self, entry: &Entry) -> usize {
        self.text[..entry.key_span.start].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// An entry's line, with a part of it marked; `hides_value` shows the line only up to its `=`.
    pub(crate) fn excerpt(&self, entry: &Entry, part: Part, hides_value: bool) -> Excerpt {
        let span = match part {
            Part::Value if !hides_value => &entry.value_span,
            Part::Key | Part::Value => &entry.key_span,
        };
        excerpt(&self.path, &self.text, span, hides_value)
    }
}

/// Writes [`EXAMPLE`] to a file, whole or not at all.
///
/// # Errors
/// [`FileError::Exists`] when there is a file and `may_replace` is false, [`FileError::Unwritable`] otherwise.
pub fn init(path: &Path, may_replace: bool) -> Result<(), FileError> {
    let unwritable = |source| FileError::Unwritable { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(unwritable)?;
    file.write_all(EXAMPLE.as_bytes()).map_err(unwritable)?;
    let placed = if may_replace { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map(drop).map_err(|error| {
        let is_taken = error.error.kind() == io::ErrorKind::AlreadyExists;
        if is_taken { FileError::Exists { path: path.to_owned() } } else { unwritable(error.error) }
    })
}

/// Lists the entries of a table and of the tables in it.
fn flatten(prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref().as_table() {
            Some(inner) if !inner.is_empty() => flatten(&key, inner, entries),
            Some(_) | None => {
                let raw = raw(value.get_ref());
                entries.push(Entry { key, raw, key_span: name.span(), value_span: value.span() });
            }
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(Cow::clone(text).into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Raw::Number(number.as_str().to_owned()),
        DeValue::Integer(_) => Raw::Other("integer that is not decimal"),
        DeValue::Float(number) => Raw::Number(number.as_str().to_owned()),
        DeValue::Boolean(is_on) => Raw::Bool(*is_on),
        DeValue::Array(items) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            let texts: Option<Vec<String>> = items.iter().map(text).collect();
            let tables = || items.iter().map(|item| plain_table(item.get_ref())).collect::<Option<_>>();
            let others = || tables().map_or(Raw::Other("array of other things than texts"), Raw::Tables);
            texts.map_or_else(others, Raw::List)
        }
        DeValue::Table(_) => Raw::EmptyTable,
        DeValue::Datetime(_) => Raw::Other("date"),
    }
}

/// The names of a table with their texts and numbers; `None` when it holds anything else.
fn plain_table(value: &DeValue<'_>) -> Option<Vec<(String, String)>> {
    let entry = |(name, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| match raw(value.get_ref()) {
        Raw::Text(text) | Raw::Number(text) => Some((name.get_ref().to_string(), text)),
        Raw::Bool(_) | Raw::List(_) | Raw::Tables(_) | Raw::EmptyTable | Raw::Other(_) => None,
    };
    value.as_table()?.iter().map(entry).collect()
}

/// The bytes of the line that a position is in, without its end.
fn line_around(text: &str, position: usize) -> Range<usize> {
    let start = text[..position].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    start..end
}

fn excerpt(path: &Path, text: &str, span: &Range<usize>, hides_value: bool) -> Excerpt {
    // A parser may point past the end or, in theory, into a character; the excerpt then points before it.
    let start = floor_char_boundary(text, span.start);
    let around = line_around(text, start);
    let whole = text[around.clone()].trim_end_matches('\r');
    let (shown, hidden) = match whole.split_once('=') {
        Some((name, _)) if hides_value => (format!("{}= …", plain(name)), true),
        Some(_) | None if hides_value && !whole.trim_start().starts_with('[') => ("…".to_owned(), true),
        Some(_) | None => (plain(whole), false),
    };
    let before = text[around.start..start].chars().count().min(shown.chars().count());
    let until = floor_char_boundary(text, span.end)
        .clamp(start, around.start + whole.len().max(start - around.start));
    let width = text[start..until].chars().count();
    let marked = if hidden { width.min(shown.chars().count() - before) } else { width };
    let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
    Excerpt { path: path.to_owned(), line, column: before + 1, shown, marked }
}

/// Control characters of a file have no business on a terminal; a blank keeps the columns right.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn floor_char_boundary(text: &str, position: usize) -> usize {
    (0..=position.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Whether a line that cannot be parsed may hold a credential, which an error text must not repeat.
fn names_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["token", "secret", "passw", "bearer", "credential", "@"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests;
