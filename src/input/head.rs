//! The lines before the first record of a CSV file: those passed over, `sep=;`, blank ones; and where a header stands
//! when it is not where it was looked for.
//!
//! Not here: the header itself and its columns (`header.rs`).

use super::blocks::Window;
use super::error::SourceError;
use super::footer;
use super::map;
use super::quotes::{Contest, Form, Others, Text};
use super::split::{self, Quotes, Split, Splitter};
use super::{Bounds, InputOptions, TrailerCounts};

/// Delimiters that are recognised.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Lines in which a header is looked for to say where it is.
const HEADER_LINES_MAX: u64 = 10;

/// Known names that make a line a header.
const HEADER_NAMES_MIN: usize = 2;

/// What the operator said about CSV inputs; see [`InputOptions`].
#[derive(Debug)]
pub(super) struct CsvOptions {
    pub(super) delimiter: Option<u8>,
    pub(super) skip_rows: u64,
    pub(super) column_names: Option<Vec<String>>,
    pub(super) flexible: bool,
    pub(super) trailer_counts: TrailerCounts,
}

impl CsvOptions {
    pub(super) fn new(options: &InputOptions) -> CsvOptions {
        CsvOptions {
            delimiter: options.delimiter,
            skip_rows: options.skip_rows,
            column_names: options.column_names.as_ref().map(|names| {
                // A column of this name is not used.
                let name = |name: &String| if name.trim() == "-" { "" } else { name.trim() }.to_owned();
                names.iter().map(name).collect()
            }),
            flexible: options.flexible,
            trailer_counts: options.trailer_counts,
        }
    }

    /// For one of our own row files, which has one delimiter and a header in its first line.
    pub(super) fn of_own(&self, delimiter: u8) -> CsvOptions {
        CsvOptions { delimiter: Some(delimiter), skip_rows: 0, column_names: None, ..*self }
    }

    /// What shapes rows beside the columns, as a text that is equal when it is; empty as a rule.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        if self.skip_rows > 0 {
            text.push_str(&format!(" skip={}", self.skip_rows));
        }
        if let Some(names) = &self.column_names {
            // Which column a name stands for is its position and nothing else.
            text.push_str(&format!(" no-header {names:?}"));
        }
        if self.flexible {
            text.push_str(" flexible");
        }
        text
    }
}

/// The head of a file, as far as it is in memory: the first block.
#[derive(Clone, Copy)]
pub(super) struct Head<'h> {
    pub(super) file: &'h str,
    pub(super) window: &'h Window,
    pub(super) bounds: &'h Bounds,
    pub(super) options: &'h CsvOptions,
}

/// A place in the head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) at: usize,
    pub(super) line: u64,
    /// The delimiter, where somebody said so: the operator before the file.
    pub(super) delimiter: Option<u8>,
    /// What the file said, where the operator said something else.
    pub(super) overruled: Option<u8>,
    /// The line passed over that states a count of rows, and the count.
    pub(super) head_count: Option<(u64, u64)>,
}

impl Head<'_> {
    /// Where the header begins, or the first record of a file without one.
    pub(super) fn begin(&self) -> Result<Begin, SourceError> {
        let bytes = self.window.bytes();
        let mut at = self.window.start();
        let mut line = 1;
        let mut told = separator_line(bytes, at);
        let mut head_count = None;
        for _ in 0..self.options.skip_rows {
            let Some(next) = next_line(bytes, at) else {
                if !self.window.at_end() {
                    let bytes_max = self.bounds.record_bytes_max;
                    return Err(SourceError::HeaderTooLong { file: self.file.to_owned(), bytes_max });
                }
                at = bytes.len();
                break;
            };
            let passed =
                std::str::from_utf8(&bytes[at..next]).ok().and_then(|text| footer::head_count(text.trim()));
            head_count = head_count.or_else(|| Some((line, passed?)));
            at = next;
            line += 1;
        }
        // The line that tells the delimiter may stand before the lines passed over, or after them.
        if let Some((delimiter, next)) = separator_line(bytes, at) {
            told = Some((delimiter, next));
            at = next;
            line += 1;
        }
        let at = skip_blank_lines(bytes, at, &mut line);
        let told = told.map(|(delimiter, _)| delimiter);
        let delimiter = self.options.delimiter.or(told);
        Ok(Begin { at, line, delimiter, overruled: told.filter(|_| told != delimiter), head_count })
    }

    /// The error for a header that stands further down, if there is one.
    pub(super) fn header_below(
        &self,
        begin: Begin,
        delimiters: &[u8],
        rules: &map::Rules,
        mut names: impl FnMut(u8, &[u8]) -> Vec<String>,
    ) -> Option<SourceError> {
        let bytes = self.window.bytes();
        let mut at = begin.at;
        for skipped in 1..=HEADER_LINES_MAX {
            at = next_line(bytes, at)?;
            let end = Splitter::new().line_end(bytes, at);
            let known = |delimiter: &u8| {
                let names = names(*delimiter, &bytes[at..end]);
                names.iter().filter(|name| rules.is_header_like(name)).count() >= HEADER_NAMES_MIN
            };
            if delimiters.iter().any(known) {
                let header_line = begin.line + skipped;
                return Some(SourceError::HeaderBelow {
                    file: self.file.to_owned(),
                    line: begin.line,
                    header_line,
                    skip_rows: header_line - 1,
                });
            }
        }
        None
    }

    /// Whether the quotes of a header leave no doubt where it ends.
    pub(super) fn is_sound(&self, at: usize, next: usize, quotes: Quotes, rules: split::Rules) -> bool {
        let text = Text { bytes: self.window.bytes(), at_end: self.window.at_end(), rules };
        let next_quote =
            |from: usize| memchr::memchr(b'"', &text.bytes[from..]).map_or(text.bytes.len(), |to| from + to);
        match quotes {
            Quotes::None => true,
            Quotes::Stray => false,
            Quotes::Sound if text.may_go_on(at, next, next_quote) == Some(false) => true,
            Quotes::Sound => {
                let form = Form { width: None, surplus: 0, mapped: &[], flexible: false };
                let Some(cut) = text.as_cut(at) else { return false };
                let Others::Known(others) = text.others(at, &cut, form) else { return false };
                others.iter().all(|other| {
                    let end = other.ends.last().copied().unwrap_or(next);
                    matches!(text.contest(next, end), Contest::Mine)
                })
            }
        }
    }
}

fn next_line(bytes: &[u8], at: usize) -> Option<usize> {
    let end = Splitter::new().line_end(bytes, at);
    match split::end_record(bytes, end, true, 0, Quotes::None) {
        Split::Record { next, .. } if next > end => Some(next),
        Split::Record { .. } | Split::More | Split::TooLong | Split::Unbalanced { .. } => None,
    }
}

/// A first line `sep=;`, as Excel writes and reads it, and where the next line begins.
fn separator_line(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let end = Splitter::new().line_end(bytes, at);
    let line = bytes.get(at..end)?;
    let bare = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (word, delimiter) = bare.split_at_checked(4)?;
    let [delimiter] = delimiter else { return None };
    if !word.eq_ignore_ascii_case(b"sep=") || !is_delimiter(*delimiter) {
        return None;
    }
    Some((*delimiter, next_line(bytes, at).unwrap_or(bytes.len())))
}

fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && byte != b'"')
}

fn skip_blank_lines(bytes: &[u8], mut at: usize, line: &mut u64) -> usize {
    let mut splitter = Splitter::new();
    loop {
        let end = splitter.line_end(bytes, at);
        let is_empty = |byte: &u8| byte.is_ascii_whitespace() || DELIMITERS.contains(byte);
        let blank = bytes[at..end].iter().all(is_empty) || footer::is_rule(&bytes[at..end], DELIMITERS[0]);
        match split::end_record(bytes, end, true, 0, Quotes::None) {
            Split::Record { next, .. } if blank && next > at => {
                at = next;
                *line += 1;
            }
            Split::Record { .. } | Split::More | Split::TooLong | Split::Unbalanced { .. } => return at,
        }
    }
}
