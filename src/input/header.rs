//! The head of a CSV file: delimiter, header, and where the first record begins.
//!
//! Not here: which column stands for which field (`map.rs`), the records after the header (`csv.rs`).

use super::Bounds;
use super::blocks::Window;
use super::csv::{Parser, last_line, line_breaks};
use super::error::{ColumnNames, SourceError};
use super::map::{self, FieldColumns};
use super::nested::NestedColumns;
use super::split::{self, Split, Splitter};

/// Delimiters that are recognised.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What the head of a CSV file says about all of it.
pub(super) struct CsvLayout {
    pub(super) delimiter: u8,
    /// The header, as it stands in the file but for white space around the names.
    pub(super) names: Vec<String>,
    pub(super) columns: FieldColumns,
    /// Columns in whose cells a path goes on.
    pub(super) nested: NestedColumns,
    /// The columns `_run` and `_row`.
    pub(super) origin: [Option<usize>; 2],
    /// The column `_raw`.
    pub(super) raw: Option<usize>,
    /// Where the first record after the header begins within the first block, and its line.
    pub(super) body: usize,
    pub(super) body_line: u64,
}

/// The head of a file, as far as it is in memory: the first block.
#[derive(Clone, Copy)]
pub(super) struct Head<'h> {
    pub(super) file: &'h str,
    pub(super) window: &'h Window,
    pub(super) bounds: &'h Bounds,
}

impl CsvLayout {
    /// Reads delimiter and header. A file without any record has an empty layout.
    pub(super) fn inspect(head: Head<'_>, rules: &map::Rules) -> Result<CsvLayout, SourceError> {
        let bytes = head.window.bytes();
        let mut at = head.window.start();
        let mut line = 1;
        let told = separator_line(bytes, at);
        if let Some((_, next)) = told {
            at = next;
            line += 1;
        }
        at = skip_blank_lines(bytes, at, &mut line);
        if at == bytes.len() && head.window.at_end() {
            return Ok(CsvLayout::empty(at, line));
        }
        let header = match told {
            Some((delimiter, _)) => Header::read(head, at, delimiter)?,
            None => sniff(head, at, rules)?,
        };
        if header.names.len() > head.bounds.columns_max {
            let columns_max = head.bounds.columns_max;
            return Err(SourceError::TooManyColumns { file: head.file.to_owned(), columns_max });
        }
        let meanings: Vec<_> = header.names.iter().map(|name| rules.meaning(name)).collect();
        let columns = map::decide(&meanings).map_err(|ambiguity| SourceError::AmbiguousColumns {
            file: head.file.to_owned(),
            field: ambiguity.field,
            candidates: ColumnNames(
                ambiguity.columns.iter().map(|column| header.names[*column].clone()).collect(),
            ),
        })?;
        if columns.iter().all(Option::is_none) {
            let columns = ColumnNames(header.names);
            return Err(SourceError::NoKnownColumn { file: head.file.to_owned(), columns });
        }
        let reserved = |wanted: &str| header.names.iter().position(|name| name == wanted);
        Ok(CsvLayout {
            delimiter: header.delimiter,
            nested: NestedColumns::new(&columns, &meanings, rules),
            columns,
            origin: [reserved("_run"), reserved("_row")],
            raw: reserved("_raw"),
            body: header.next,
            body_line: line + header.lines,
            names: header.names,
        })
    }

    fn empty(body: usize, body_line: u64) -> CsvLayout {
        CsvLayout {
            delimiter: DELIMITERS[0],
            names: Vec::new(),
            columns: FieldColumns::default(),
            nested: NestedColumns::default(),
            origin: [None; 2],
            raw: None,
            body,
            body_line,
        }
    }

    /// How its records are cut.
    pub(super) fn split_rules(&self, bounds: &Bounds) -> split::Rules {
        split_rules(self.delimiter, bounds)
    }
}

fn split_rules(delimiter: u8, bounds: &Bounds) -> split::Rules {
    split::Rules {
        delimiter,
        record_bytes_max: bounds.record_bytes_max,
        record_lines_max: bounds.record_lines_max,
    }
}

/// A header as read with one delimiter.
struct Header {
    delimiter: u8,
    names: Vec<String>,
    next: usize,
    lines: u64,
}

impl Header {
    fn read(head: Head<'_>, at: usize, delimiter: u8) -> Result<Header, SourceError> {
        let file = || head.file.to_owned();
        let too_long =
            || SourceError::HeaderTooLong { file: file(), bytes_max: head.bounds.record_bytes_max };
        let bytes = head.window.bytes();
        let rules = split_rules(delimiter, head.bounds);
        let (end, next, breaks) = match Splitter::new().split(bytes, at, head.window.at_end(), rules) {
            Split::Record { end, next, breaks } => (end, next, breaks),
            Split::More | Split::TooLong => return Err(too_long()),
            Split::Unbalanced { breaks } => {
                let line = 1 + line_breaks(&bytes[..at]) + breaks;
                return Err(SourceError::UnbalancedQuote { file: file(), line });
            }
        };
        let names = Parser::new(delimiter).names(&bytes[at..end]).map_err(|bad| {
            let (begin, bad) = (head.window.start(), at + bad);
            let line_begin = begin + last_line(&bytes[begin..bad]);
            head.window.not_utf8(head.file, 1 + line_breaks(&bytes[..bad]), line_begin, bad)
        })?;
        Ok(Header { delimiter, names, next, lines: breaks + u64::from(next > end) })
    }
}

/// Tries the delimiters, and takes the one under which the most columns are known.
fn sniff(head: Head<'_>, at: usize, rules: &map::Rules) -> Result<Header, SourceError> {
    let mut readings = Vec::new();
    for delimiter in DELIMITERS {
        // A quote that only this delimiter finds unbalanced speaks against the delimiter, not against the file.
        let reading = Header::read(head, at, delimiter);
        if let (Err(_), b',') = (&reading, delimiter) {
            return reading;
        }
        readings.extend(reading.ok());
    }
    let known = |header: &Header| header.names.iter().filter(|name| rules.is_header_like(name)).count();
    // One name alone may stand in any of the readings; a delimiter that occurs says more than one that does not.
    let weight = |header: &Header| (known(header), usize::from(header.names.len() > 1));
    let best = readings.iter().map(weight).max().unwrap_or_default();
    let fitting: Vec<&Header> = readings.iter().filter(|header| weight(header) == best).collect();
    if best.0 > 0 && best.1 > 0 && fitting.len() > 1 {
        let candidates = fitting.iter().map(|header| char::from(header.delimiter)).collect();
        return Err(SourceError::DelimiterAmbiguous { file: head.file.to_owned(), candidates });
    }
    // Nothing is known: show the columns as the delimiter makes them that splits most.
    let chosen = fitting.iter().map(|header| (header.names.len(), header.delimiter));
    let widest = chosen.max_by_key(|(width, _)| *width).map(|(_, delimiter)| delimiter);
    let delimiter = if best.1 == 0 { DELIMITERS[0] } else { widest.unwrap_or(DELIMITERS[0]) };
    Header::read(head, at, delimiter)
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
    match split::end_record(bytes, end, true, 0) {
        Split::Record { next, .. } => Some((*delimiter, next)),
        Split::More | Split::TooLong | Split::Unbalanced { .. } => None,
    }
}

fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && byte != b'"')
}

fn skip_blank_lines(bytes: &[u8], mut at: usize, line: &mut u64) -> usize {
    let mut splitter = Splitter::new();
    loop {
        let end = splitter.line_end(bytes, at);
        let blank = bytes[at..end].iter().all(|byte| byte.is_ascii_whitespace() || DELIMITERS.contains(byte));
        match split::end_record(bytes, end, true, 0) {
            Split::Record { next, .. } if blank && next > at => {
                at = next;
                *line += 1;
            }
            Split::Record { .. } | Split::More | Split::TooLong | Split::Unbalanced { .. } => return at,
        }
    }
}
