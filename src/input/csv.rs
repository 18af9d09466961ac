//! CSV records, one after the other. The only reader made of the csv crate.
//!
//! Records are cut by `split.rs`, which knows the bounds, and parsed by the csv crate one at a time. Not here: the
//! header (`header.rs`), what a cell means (`fields/`).

use std::io::Cursor;

use csv::StringRecord;

use super::Bounds;
use super::blocks::{Source, Window, as_u64, find};
use super::error::{Problem, SourceError};
use super::header::CsvLayout;
use super::nested::NestedCells;
use super::reader::{Spot, Step, origin_row};
use super::split::{self, Split, Splitter};
use crate::update::FieldKind;

/// The csv crate, fed one record at a time. Its reader is made once: making one costs more than many records.
pub(super) struct Parser {
    reader: csv::Reader<Cursor<Vec<u8>>>,
}

impl Parser {
    pub(super) fn new(delimiter: u8) -> Parser {
        const BUFFER_BYTES: usize = 8 << 10;
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(Cursor::new(Vec::new()));
        let mut parser = Parser { reader };
        // The crate strips a byte order mark from what it sees first. Ours is gone already, and a mark further down
        // is content: it is not for this record to see it first.
        let primed = parser.parse(b"first", &mut StringRecord::new());
        debug_assert!(primed.is_ok(), "ASCII is UTF-8");
        parser
    }

    /// The cells of a header without the white space around them; the error is that of [`Parser::parse`].
    pub(super) fn names(&mut self, bytes: &[u8]) -> Result<Vec<String>, usize> {
        let mut record = StringRecord::new();
        self.parse(bytes, &mut record)?;
        Ok(record.iter().map(|name| name.trim().to_owned()).collect())
    }

    /// Parses one record, given without its line end. The error is the offset of the first byte that is not UTF-8.
    fn parse(&mut self, bytes: &[u8], record: &mut StringRecord) -> Result<(), usize> {
        let feed = self.reader.get_mut();
        feed.set_position(0);
        feed.get_mut().clear();
        feed.get_mut().extend_from_slice(bytes);
        feed.get_mut().push(b'\n');
        match self.reader.read_record(record) {
            Ok(_) => Ok(()),
            Err(_) => Err(std::str::from_utf8(bytes).map_or_else(|bad| bad.valid_up_to(), |_| 0)),
        }
    }
}

/// Reads the records of one file. It has no `Debug`: it holds values.
pub(super) struct CsvRows {
    splitter: Splitter,
    parser: Parser,
    /// The record read last.
    pub(super) record: StringRecord,
    /// What the operator's paths came to in its cells.
    pub(super) nested: NestedCells,
}

impl CsvRows {
    /// Goes to the first record after the header.
    pub(super) fn begin(
        layout: &CsvLayout,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
    ) -> Result<CsvRows, SourceError> {
        window.fill(source, spot.pass)?;
        window.consume_to(layout.body);
        spot.line = layout.body_line;
        Ok(CsvRows {
            splitter: Splitter::new(),
            parser: Parser::new(layout.delimiter),
            record: StringRecord::new(),
            nested: NestedCells::begin(&layout.nested),
        })
    }

    /// Reads the next record that is not blank.
    pub(super) fn next(
        &mut self,
        layout: &CsvLayout,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Step, SourceError> {
        loop {
            let start = window.start();
            let rules = layout.split_rules(bounds);
            let (end, next, breaks) = match self.splitter.split(window.bytes(), start, window.at_end(), rules)
            {
                Split::More => {
                    self.splitter.moved(window.fill(source, spot.pass)?);
                    continue;
                }
                Split::Unbalanced { breaks } => {
                    let line = spot.line + breaks;
                    return Err(SourceError::UnbalancedQuote { file: source.name.clone(), line });
                }
                Split::TooLong => return self.skip_line(source, window, spot, bounds),
                Split::Record { end, next, .. } if start == end && next == end => return Ok(Step::End),
                Split::Record { end, next, breaks } => (end, next, breaks),
            };
            let bytes = &window.bytes()[start..end];
            let line = spot.line;
            spot.line += breaks + u64::from(next > end);
            if is_blank(bytes, layout.delimiter) {
                spot.blank_rows += 1;
                window.consume_to(next);
                continue;
            }
            let place = spot.next_place(line);
            if let Err(bad) = self.parser.parse(bytes, &mut self.record) {
                let line = line + line_breaks(&bytes[..bad]);
                return Err(window.not_utf8(
                    &source.name,
                    line,
                    start + last_line(&bytes[..bad]),
                    start + bad,
                ));
            }
            let record = &self.record;
            let checked = self.check(layout, bytes, breaks > 0, bounds).and_then(|origin_row| {
                self.nested.read(&layout.nested, |column| record.get(column), bounds)?;
                Ok(origin_row)
            });
            let step = match checked {
                Ok(origin_row) => Step::Row { place, origin_row },
                Err(problem) => Step::Bad(problem.at(place, bytes, bounds.raw_bytes_max)),
            };
            window.consume_to(next);
            return Ok(step);
        }
    }

    /// A record of one line that is longer than a record may be: the file goes on behind its line end.
    fn skip_line(
        &mut self,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Step, SourceError> {
        let place = spot.next_place(spot.line);
        let problem = Problem::too_long(bounds);
        let line_end = self.splitter.line_end(window.bytes(), window.start());
        let shown = &window.bytes()[window.start()..line_end];
        let error = problem.at(place, shown, bounds.raw_bytes_max);
        loop {
            let end = self.splitter.line_end(window.bytes(), window.start());
            match split::end_record(window.bytes(), end, window.at_end(), 0) {
                Split::Record { next, .. } => {
                    spot.line += 1;
                    window.consume_to(next);
                    return Ok(Step::Bad(error));
                }
                Split::More | Split::TooLong | Split::Unbalanced { .. } => {
                    window.consume_to(end);
                    self.splitter.moved(window.fill(source, spot.pass)?);
                }
            }
        }
    }

    /// What is wrong with the record as a record; and the row number its `_row` holds.
    fn check(
        &self,
        layout: &CsvLayout,
        bytes: &[u8],
        broken: bool,
        bounds: &Bounds,
    ) -> Result<Option<u64>, Problem> {
        let column_name = |column: usize| layout.names.get(column).map_or("", String::as_str);
        if find(0, bytes).is_some() {
            let column = self.record.iter().position(|cell| cell.contains('\0')).unwrap_or_default();
            return Err(Problem::new("csv.nul", "a NUL character").of_column(column_name(column)));
        }
        let (width, found) = (layout.names.len(), self.record.len());
        if found < width {
            let detail = format!("{found} cells where the header has {width}");
            return Err(Problem::new("csv.ragged_short", detail));
        }
        if found > width && self.record.iter().skip(width).any(|cell| !cell.trim().is_empty()) {
            let detail = format!("{found} cells where the header has {width}");
            return Err(Problem::new("csv.ragged_long", detail));
        }
        if bytes.len() > bounds.field_bytes_max {
            let long = self.record.iter().position(|cell| cell.len() > bounds.field_bytes_max);
            if let Some(column) = long {
                let detail = format!("a cell longer than {} bytes", bounds.field_bytes_max);
                return Err(Problem::new("field.too_long", detail).of_column(column_name(column)));
            }
        }
        if broken {
            self.check_breaks(layout)?;
        }
        origin_row(layout.origin.map(|column| self.record.get(column?)))
    }

    /// A line end within an identifier: a quote was most likely lost, and cells of two rows are one.
    fn check_breaks(&self, layout: &CsvLayout) -> Result<(), Problem> {
        let of_text = FieldKind::ALL.into_iter().filter(|field| !layout.nested.contains(*field));
        let broken = of_text
            .filter_map(|field| Some(layout.columns[field.index()]?.0))
            .find(|column| self.record.get(*column).is_some_and(|cell| cell.contains(['\n', '\r'])));
        match broken {
            None => Ok(()),
            Some(column) => {
                let detail = "a line end within an identifier; is a quote unbalanced?";
                let name = layout.names.get(column).map_or("", String::as_str);
                Err(Problem::new("csv.newline_in_identifier", detail).of_column(name))
            }
        }
    }
}

/// Whether a record has no cell with a content: an empty line, white space, delimiters.
fn is_blank(bytes: &[u8], delimiter: u8) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == delimiter)
}

/// Where the last line of some bytes begins.
pub(super) fn last_line(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1)
}

/// Line ends in a stretch of bytes, CRLF counting once.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    let breaks = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'\n' || (**byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')));
    as_u64(breaks.count())
}
