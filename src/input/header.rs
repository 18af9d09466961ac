//! The header of a CSV file: delimiter, columns, and where the first record begins.
//!
//! Not here: the lines before the header (`head.rs`), which column stands for which field (`map.rs`), the records
//! after the header (`csv.rs`).

use super::csv::{Parser, last_line, line_breaks};
use super::error::{ColumnNames, SourceError};
use super::head::{Begin, DELIMITERS, Head};
use super::map::{self, FieldColumns};
use super::names::normalize;
use super::nested::NestedColumns;
use super::quotes::Form;
use super::split::{self, Quotes, Split, Splitter};
use super::{Bounds, TrailerCounts, surplus};
use crate::update::FieldKind;

/// How a CSV file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As files do.
    Whole,
    /// With a row on this line that has too few cells and no line end.
    CutOff(u64),
    /// With a row on this line that has all its cells and no line end, and a field last.
    Open(u64),
}

/// What the head of a CSV file says about all of it.
#[derive(Clone)]
pub(super) struct CsvLayout {
    pub(super) delimiter: u8,
    /// The header, as it stands in the file but for white space around the names.
    pub(super) names: Vec<String>,
    pub(super) columns: FieldColumns,
    /// Columns in whose cells a path goes on.
    pub(super) nested: NestedColumns,
    /// The columns that stand for fields, each once, in their order.
    pub(super) mapped: Vec<usize>,
    /// The columns `_run` and `_row`.
    pub(super) origin: [Option<usize>; 2],
    /// The column `_raw`.
    pub(super) raw: Option<usize>,
    /// Where the first record after the header begins within the first block, and its line.
    pub(super) body: usize,
    pub(super) body_line: u64,
    /// Empty cells that its rows have after those of the header, by habit; see `surplus.rs`.
    pub(super) surplus: usize,
    /// What a `sep=` line told, where the operator's delimiter is another.
    pub(super) overruled: Option<u8>,
    /// How the file ended, once a pass has read everything.
    pub(super) ending: Ending,
    pub(super) flexible: bool,
    pub(super) trailer_counts: TrailerCounts,
    /// The line before the header that states a count of rows, and the count; none where counts are passed over.
    pub(super) head_count: Option<(u64, u64)>,
    /// What else shapes rows; see [`super::head::CsvOptions::told`].
    pub(super) told: String,
}

impl CsvLayout {
    /// Reads delimiter and header. A file without any record has an empty layout.
    pub(super) fn inspect(head: Head<'_>, rules: &map::Rules) -> Result<CsvLayout, SourceError> {
        let begin = head.begin()?;
        if begin.at == head.window.bytes().len() && head.window.at_end() {
            return Ok(CsvLayout::empty(head, begin));
        }
        let header = match &head.options.column_names {
            Some(names) => Header::told(head, begin, names, rules)?,
            None => Header::find(head, begin, rules)?,
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
        let nested = NestedColumns::new(&columns, &meanings, rules);
        // A cell in which a path goes on holds JSON: its line ends and quotes are those of JSON.
        let of_text = FieldKind::ALL.into_iter().filter(|field| !nested.contains(*field));
        let mut mapped: Vec<usize> = of_text.filter_map(|field| Some(columns[field.index()]?.0)).collect();
        mapped.sort_unstable();
        mapped.dedup();
        let reserved = |wanted: &str| header.names.iter().position(|name| name == wanted);
        let mut layout = CsvLayout {
            delimiter: header.delimiter,
            nested,
            columns,
            mapped,
            origin: [reserved("_run"), reserved("_row")],
            raw: reserved("_raw"),
            body: header.next,
            body_line: begin.line + header.lines,
            names: header.names,
            ..CsvLayout::empty(head, begin)
        };
        layout.surplus = surplus::of_rows(head, &layout);
        Ok(layout)
    }

    fn empty(head: Head<'_>, begin: Begin) -> CsvLayout {
        CsvLayout {
            delimiter: begin.delimiter.unwrap_or(DELIMITERS[0]),
            names: Vec::new(),
            columns: FieldColumns::default(),
            nested: NestedColumns::default(),
            mapped: Vec::new(),
            origin: [None; 2],
            raw: None,
            body: begin.at,
            body_line: begin.line,
            surplus: 0,
            overruled: begin.overruled,
            ending: Ending::Whole,
            flexible: head.options.flexible,
            trailer_counts: head.options.trailer_counts,
            head_count: begin.head_count.filter(|_| head.options.trailer_counts == TrailerCounts::Check),
            told: head.options.told(),
        }
    }

    /// How its records are cut.
    pub(super) fn split_rules(&self, bounds: &Bounds) -> split::Rules {
        split_rules(self.delimiter, bounds)
    }

    /// Whether a record of one cell can be no row.
    pub(super) fn has_lone(&self) -> bool {
        self.names.len() > 1 && !self.flexible
    }

    /// Whether the last column stands for a field.
    pub(super) fn is_last_mapped(&self) -> bool {
        self.mapped.last().is_some_and(|column| column + 1 == self.names.len())
    }

    /// What its rows have to look like.
    pub(super) fn form(&self) -> Form<'_> {
        Form {
            width: Some(self.names.len()),
            surplus: self.surplus,
            mapped: &self.mapped,
            flexible: self.flexible,
        }
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
    /// The header of the file, or why there is none.
    fn find(head: Head<'_>, begin: Begin, rules: &map::Rules) -> Result<Header, SourceError> {
        let header = match begin.delimiter {
            Some(delimiter) => Header::read(head, begin.at, delimiter)?,
            None => sniff(head, begin.at, rules)?,
        };
        // One known name may stand in a title by chance; two in a line further down do not.
        if header.known(rules) < 2 {
            let candidates = begin.delimiter.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]);
            let names = |delimiter, line: &[u8]| Parser::new(delimiter).names(line).unwrap_or_default();
            if let Some(error) = head.header_below(begin, &candidates, rules, names) {
                return Err(error);
            }
        }
        let rules = split_rules(header.delimiter, head.bounds);
        let cut = Splitter::new().split(head.window.bytes(), begin.at, head.window.at_end(), rules);
        let quotes = match cut {
            Split::Record { quotes, .. } => quotes,
            Split::More | Split::TooLong | Split::Unbalanced { .. } => Quotes::Stray,
        };
        if !head.is_sound(begin.at, header.next, quotes, rules) {
            let line = &head.window.bytes()[begin.at..header.next];
            if has_blank_before_quote(line, header.delimiter) {
                let delimiter = char::from(header.delimiter);
                return Err(SourceError::BlankBeforeQuote {
                    file: head.file.to_owned(),
                    line: begin.line,
                    delimiter,
                });
            }
            return Err(SourceError::UnbalancedQuote { file: head.file.to_owned(), line: begin.line });
        }
        Ok(header)
    }

    /// The header as the operator said it; the file begins with a row.
    fn told(
        head: Head<'_>,
        begin: Begin,
        names: &[String],
        rules: &map::Rules,
    ) -> Result<Header, SourceError> {
        let delimiter = match begin.delimiter {
            Some(delimiter) => delimiter,
            None => sniff_row(head, begin.at, names.len())?,
        };
        if let Ok(first) = Header::read(head, begin.at, delimiter) {
            let is_told =
                |(name, told): (&String, &String)| told.is_empty() || normalize(name) == normalize(told);
            let is_header = first.names.len() == names.len() && first.names.iter().zip(names).all(is_told);
            if is_header || first.known(rules) >= first.names.len().min(2) {
                return Err(SourceError::HeaderUnexpected { file: head.file.to_owned(), line: begin.line });
            }
        }
        Ok(Header { delimiter, names: names.to_vec(), next: begin.at, lines: 0 })
    }

    fn known(&self, rules: &map::Rules) -> usize {
        self.names.iter().filter(|name| rules.is_header_like(name)).count()
    }

    fn read(head: Head<'_>, at: usize, delimiter: u8) -> Result<Header, SourceError> {
        let file = || head.file.to_owned();
        let too_long =
            || SourceError::HeaderTooLong { file: file(), bytes_max: head.bounds.record_bytes_max };
        let bytes = head.window.bytes();
        let rules = split_rules(delimiter, head.bounds);
        let (end, next, breaks) = match Splitter::new().split(bytes, at, head.window.at_end(), rules) {
            Split::Record { end, next, breaks, .. } => (end, next, breaks),
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

/// Whether a cell of a header begins with blanks and a quote: `"a", "b"`.
fn has_blank_before_quote(line: &[u8], delimiter: u8) -> bool {
    let cells = line.split(|byte| *byte == delimiter);
    cells.skip(1).any(|cell| cell.first() == Some(&b' ') && cell.trim_ascii_start().first() == Some(&b'"'))
        && memchr::memchr_iter(b'"', line).count().is_multiple_of(2)
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
    // One name alone may stand in any of the readings; a delimiter that occurs says more than one that does not.
    let weight = |header: &Header| (header.known(rules), usize::from(header.names.len() > 1));
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

/// The delimiter that makes the first row as wide as it should be.
fn sniff_row(head: Head<'_>, at: usize, width: usize) -> Result<u8, SourceError> {
    let fits = |delimiter: &u8| Header::read(head, at, *delimiter).is_ok_and(|row| row.names.len() == width);
    let fitting: Vec<u8> = DELIMITERS.into_iter().filter(fits).collect();
    match fitting.as_slice() {
        [] => Ok(DELIMITERS[0]),
        [delimiter] => Ok(*delimiter),
        [first, ..] if width == 1 => Ok(*first),
        _ => {
            let candidates = fitting.iter().map(|delimiter| char::from(*delimiter)).collect();
            Err(SourceError::DelimiterAmbiguous { file: head.file.to_owned(), candidates })
        }
    }
}
