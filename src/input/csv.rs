//! CSV records, one after the other. The only reader made of the csv crate.
//!
//! Records are cut by `split.rs`, which knows the bounds, and parsed by the csv crate one at a time. Not here: the
//! header (`header.rs`), what a cell means (`fields/`).

use std::io::Cursor;

use csv::StringRecord;

use super::blocks::{Source, Window};
use super::doubt::{self, Cut, Trust};
use super::error::{Problem, SourceError};
use super::footer;
use super::header::CsvLayout;
use super::nested::NestedCells;
use super::quotes::Text;
use super::reader::{Spot, Step, origin_row};
use super::split::{self, Quotes, Split, Splitter};
use super::tail::{self, Rest};
use super::{Bounds, TrailerCounts, names};

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

/// Lines that are no rows, since a quote may be open in them.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Where they end, in the file.
    until: u64,
    /// The line the doubt began on.
    line: u64,
}

/// Reads the records of one file. It has no `Debug`: it holds values.
pub(super) struct CsvRows {
    splitter: Splitter,
    parser: Parser,
    /// The record read last.
    pub(super) record: StringRecord,
    /// What the operator's paths came to in its cells.
    pub(super) nested: NestedCells,
    doubt: Option<Doubt>,
    /// Lines in doubt were passed, so that nobody knows how many rows there are.
    uncounted: bool,
    /// The line of a header unlike the file's, below which nothing is a row.
    other_header: Option<u64>,
    /// The record before was blank.
    after_blank: bool,
    /// A row was of names alone: it has a cell in every column, and no digits.
    has_names_only: bool,
    /// A trailer stated a count.
    has_trailer: bool,
    /// Up to this place in the file nothing is a footer.
    rows_to: u64,
    /// Rows of the inputs before this one.
    rows_before: u64,
}

/// What a look at the end of the file came to.
enum Tail {
    Rows,
    Footers,
    More,
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
            doubt: None,
            uncounted: false,
            other_header: None,
            after_blank: false,
            has_names_only: false,
            has_trailer: false,
            rows_to: 0,
            rows_before: spot.ordinal,
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
            if let Some(doubt) = self.doubt {
                let problem = Problem::new(
                    "csv.unbalanced_quote",
                    format!("may be within the quote opened at line {}", doubt.line),
                );
                if window.offset_of(window.start()) >= doubt.until || window.bytes().len() == window.start() {
                    self.doubt = None;
                } else if let Some(step) = self.pass_line(problem, source, window, spot, bounds)? {
                    return Ok(step);
                }
                continue;
            }
            let start = window.start();
            let rules = layout.split_rules(bounds);
            let split = self.splitter.split(window.bytes(), start, window.at_end(), rules);
            let cut = match split {
                Split::More => {
                    self.splitter.moved(window.fill(source, spot.pass)?);
                    continue;
                }
                Split::Unbalanced { breaks } => {
                    return Err(SourceError::UnbalancedQuote {
                        file: source.name.clone(),
                        line: spot.line + breaks,
                    });
                }
                Split::TooLong => {
                    let problem = Problem::too_long(bounds);
                    match self.pass_line(problem, source, window, spot, bounds)? {
                        Some(step) => return Ok(step),
                        None => continue,
                    }
                }
                Split::Record { end, next, .. } if start == end && next == end => {
                    self.check_head_count(layout, source, spot)?;
                    return Ok(Step::End);
                }
                Split::Record { end, next, breaks, quotes } => Record { start, end, next, breaks, quotes },
            };
            if let Some(step) = self.record(cut, layout, source, window, spot, bounds)? {
                return Ok(step);
            }
        }
    }

    /// A record that was cut; `None`: it is no row, or more of the file is in memory now.
    fn record(
        &mut self,
        cut: Record,
        layout: &CsvLayout,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Option<Step>, SourceError> {
        let Record { start, end, next, breaks, quotes } = cut;
        let line = spot.line;
        if self.is_empty(cut, layout, window, spot) {
            spot.line += breaks + u64::from(next > end);
            window.consume_to(next);
            return Ok(None);
        }
        match self.tail(layout, source, window, spot, bounds)? {
            Tail::Rows => {}
            Tail::Footers => return Ok(None),
            Tail::More => {
                self.splitter.moved(window.fill(source, spot.pass)?);
                return Ok(None);
            }
        }
        let after_blank = std::mem::take(&mut self.after_blank) && spot.ordinal > self.rows_before;
        if quotes != Quotes::None {
            let text =
                Text { bytes: window.bytes(), at_end: window.at_end(), rules: layout.split_rules(bounds) };
            match doubt::judge(text, &mut self.splitter, layout, Cut { start, next, breaks, quotes, line }) {
                Trust::Sound => {}
                Trust::More => {
                    self.splitter.moved(window.fill(source, spot.pass)?);
                    return Ok(None);
                }
                Trust::Ambiguous => {
                    return Err(SourceError::UnbalancedQuote { file: source.name.clone(), line });
                }
                Trust::Doubt { problem, until } => {
                    self.doubt = Some(Doubt { until: window.offset_of(until), line });
                    self.uncounted = true;
                    return self.pass_line(problem, source, window, spot, bounds);
                }
            }
        }
        spot.line += breaks + u64::from(next > end);
        let bytes = &window.bytes()[start..end];
        if let Err(bad) = self.parser.parse(bytes, &mut self.record) {
            let line = line + line_breaks(&bytes[..bad]);
            return Err(window.not_utf8(&source.name, line, start + last_line(&bytes[..bad]), start + bad));
        }
        if self.is_header_again(layout) {
            spot.header_rows += 1;
            self.other_header = None;
            window.consume_to(next);
            return Ok(None);
        }
        let place = spot.next_place(line);
        let seen = Seen { bytes, quotes, is_cut_off: next == end, after_blank };
        let step = match self.check(layout, &seen, line, bounds) {
            Ok(origin_row) => Step::Row { place, origin_row },
            Err(problem) => Step::Bad(problem.at(place, bytes, bounds.raw_bytes_max)),
        };
        window.consume_to(next);
        Ok(Some(step))
    }

    /// Counts a record that has no content: a blank one, a rule, the end-of-file mark of DOS.
    fn is_empty(&mut self, cut: Record, layout: &CsvLayout, window: &Window, spot: &mut Spot) -> bool {
        let bytes = &window.bytes()[cut.start..cut.end];
        if footer::is_rule(bytes, layout.delimiter) {
            spot.footer_rows += 1;
            return true;
        }
        let is_mark = || window.at_end() && is_end_mark(&window.bytes()[cut.start..]);
        let is_blank = is_blank(bytes, layout.delimiter) || is_mark();
        spot.blank_rows += u64::from(is_blank);
        self.after_blank |= is_blank;
        is_blank
    }

    /// Passes over one line that is no row: longer than a row may be, or in doubt. `None`: it is blank.
    fn pass_line(
        &mut self,
        problem: Problem,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Option<Step>, SourceError> {
        let start = window.start();
        let line_end = self.splitter.line_end(window.bytes(), start);
        let shown = &window.bytes()[start..line_end];
        if shown.trim_ascii().is_empty() && line_end < window.bytes().len() {
            spot.blank_rows += 1;
            self.end_line(source, window, spot)?;
            return Ok(None);
        }
        if shown.len() <= bounds.record_bytes_max
            && let Err(bad) = std::str::from_utf8(shown)
        {
            return Err(window.not_utf8(&source.name, spot.line, start, start + bad.valid_up_to()));
        }
        let place = spot.next_place(spot.line);
        let error = problem.at(place, shown, bounds.raw_bytes_max);
        self.end_line(source, window, spot)?;
        Ok(Some(Step::Bad(error)))
    }

    /// Goes behind the end of the line at hand, wherever that is.
    fn end_line(
        &mut self,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
    ) -> Result<(), SourceError> {
        loop {
            let end = self.splitter.line_end(window.bytes(), window.start());
            match split::end_record(window.bytes(), end, window.at_end(), 0, Quotes::None) {
                Split::Record { next, .. } => {
                    spot.line += 1;
                    window.consume_to(next);
                    return Ok(());
                }
                Split::More | Split::TooLong | Split::Unbalanced { .. } => {
                    window.consume_to(end);
                    self.splitter.moved(window.fill(source, spot.pass)?);
                }
            }
        }
    }

    /// Consumes the rest of the file when it is nothing but footers.
    fn tail(
        &mut self,
        layout: &CsvLayout,
        source: &Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Tail, SourceError> {
        let start = window.start();
        let bytes = window.bytes();
        if !tail::is_near(bytes, start) || window.offset_of(start) < self.rows_to {
            return Ok(Tail::Rows);
        }
        let (parser, record) = (&mut self.parser, &mut self.record);
        let cells = |bytes: &[u8]| {
            parser.parse(bytes, record).ok()?;
            Some(record.iter().map(str::to_owned).collect::<Vec<String>>())
        };
        let rules = layout.split_rules(bounds);
        if !window.at_end() {
            // Whether a footer begins here is known when the end of the file is in memory, or far away.
            let line_end = self.splitter.line_end(bytes, start);
            let may = tail::may_begin(&bytes[start..line_end], layout, self.after_blank, cells);
            return Ok(if may { Tail::More } else { Tail::Rows });
        }
        let footers = match tail::rest(bytes, start, layout, rules, self.after_blank, cells) {
            Rest::Rows(to) => {
                self.rows_to = window.offset_of(to);
                return Ok(Tail::Rows);
            }
            Rest::Footers(footers) => footers,
        };
        let read = spot.ordinal - self.rows_before;
        if let Some((told, line)) = footers.told
            && told != read
            && !self.uncounted
            && layout.trailer_counts == TrailerCounts::Check
        {
            let line = spot.line + line;
            return Err(SourceError::TrailerCount { file: source.name.clone(), line, told, read });
        }
        self.has_trailer |= footers.told.is_some();
        spot.footer_rows += footers.rows;
        spot.blank_rows += footers.blank_rows;
        spot.line += footers.lines;
        window.consume_to(window.bytes().len());
        Ok(Tail::Footers)
    }

    /// Holds the count that a line before the header states against the rows, where no trailer states another.
    fn check_head_count(&self, layout: &CsvLayout, source: &Source, spot: &Spot) -> Result<(), SourceError> {
        let read = spot.ordinal - self.rows_before;
        match layout.head_count {
            // More rows than told are no sign of a file that was cut off: the number may be that of the file.
            Some((line, told)) if told > read && !self.has_trailer && !self.uncounted => {
                Err(SourceError::TrailerCount { file: source.name.clone(), line, told, read })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the record is the file's header once more, as between exports that were joined.
    fn is_header_again(&self, layout: &CsvLayout) -> bool {
        let first = layout.names.first().filter(|name| !name.is_empty());
        let (Some(first), Some(cell)) = (first, self.record.get(0)) else { return false };
        let bare = |cell: &str| cell.trim_start_matches('\u{feff}').trim().to_owned();
        let is_equal = |(name, cell): (&String, &str)| bare(cell) == *name;
        cell.trim_end().ends_with(first.as_str())
            && self.record.len() == layout.names.len()
            && layout.names.iter().zip(&self.record).all(is_equal)
    }

    /// What is wrong with the record as a record, or on a path into one of its cells; and the row number its `_row` holds.
    fn check(
        &mut self,
        layout: &CsvLayout,
        seen: &Seen<'_>,
        line: u64,
        bounds: &Bounds,
    ) -> Result<Option<u64>, Problem> {
        let name = |column: usize| layout.names.get(column).map_or("", String::as_str);
        if memchr::memchr(0, seen.bytes).is_some() {
            let column = self.record.iter().position(|cell| cell.contains('\0')).unwrap_or_default();
            return Err(Problem::new("csv.nul", "a NUL character").of_column(name(column)));
        }
        self.check_header_row(layout, line, seen.after_blank)?;
        self.check_width(layout, seen.is_cut_off)?;
        if seen.bytes.len() > bounds.field_bytes_max {
            let long = self.record.iter().position(|cell| cell.len() > bounds.field_bytes_max);
            if let Some(column) = long {
                let detail = format!("a cell longer than {} bytes", bounds.field_bytes_max);
                return Err(Problem::new("field.too_long", detail).of_column(name(column)));
            }
        }
        // Nearly all records are plain, and have no quote of any kind.
        let has_backslash = || seen.quotes != Quotes::None && memchr::memchr(b'\\', seen.bytes).is_some();
        if !seen.bytes.is_ascii() || has_backslash() {
            self.check_other_quotes(layout, seen.quotes)?;
        }
        let record = &self.record;
        let origin_row = origin_row(layout.origin.map(|column| record.get(column?)))?;
        self.nested.read(&layout.nested, |column| record.get(column), bounds)?;
        Ok(origin_row)
    }

    /// Quotes that are none in CSV are no part of an identifier either.
    fn check_other_quotes(&self, layout: &CsvLayout, quotes: Quotes) -> Result<(), Problem> {
        let is_other =
            |column: &&usize| is_quoted_otherwise(self.record.get(**column).unwrap_or_default(), quotes);
        match layout.mapped.iter().find(is_other) {
            None => Ok(()),
            Some(column) => {
                let detail = "a quote of another kind around an identifier, or a backslash before its quote";
                let name = layout.names.get(*column).map_or("", String::as_str);
                Err(Problem::new("csv.stray_quote", detail).of_column(name))
            }
        }
    }

    /// Another header within the file begins another table, whose rows are not for these columns.
    fn check_header_row(&mut self, layout: &CsvLayout, line: u64, after_blank: bool) -> Result<(), Problem> {
        let is_name = |cell: &str| !cell.is_empty() && cell.bytes().filter(u8::is_ascii_digit).count() <= 1;
        let mapped = layout.mapped.first().and_then(|column| self.record.get(*column));
        // Nearly all rows end here: they have a value in the first of their columns.
        if mapped.is_none_or(is_name) && self.record.iter().all(is_name) {
            let known = self.record.iter().filter(|cell| names::is_header_like(cell)).count();
            // Behind a blank line, where no row before it was of names alone, it begins another table as well.
            let is_plain = self.record.iter().all(|cell| !cell.bytes().any(|byte| byte.is_ascii_digit()));
            let begins_table = after_blank && is_plain && !self.has_names_only && self.record.len() > 1;
            if known > 1 || begins_table {
                self.other_header = Some(line);
            }
            self.has_names_only |= is_plain;
        }
        match self.other_header {
            None => Ok(()),
            Some(header) if header == line => {
                Err(Problem::new("csv.header_row", "a header unlike the one of the file"))
            }
            Some(header) => {
                Err(Problem::new("csv.header_row", format!("below the other header at line {header}")))
            }
        }
    }

    fn check_width(&self, layout: &CsvLayout, is_cut_off: bool) -> Result<(), Problem> {
        let (width, found) = (layout.names.len(), self.record.len());
        let detail = || format!("{found} cells where the header has {width}");
        if found < width && is_cut_off {
            let detail = format!("{}, and no line end: the file may be cut off", detail());
            return Err(Problem::new("csv.truncated_row", detail));
        }
        if found < width && !layout.flexible {
            return Err(Problem::new("csv.ragged_short", detail()));
        }
        if found > width && self.record.iter().skip(width).any(|cell| !cell.trim().is_empty()) {
            return Err(Problem::new("csv.ragged_long", detail()));
        }
        Ok(())
    }
}

/// A record as it was cut.
#[derive(Debug, Clone, Copy)]
struct Record {
    start: usize,
    end: usize,
    next: usize,
    breaks: u64,
    quotes: Quotes,
}

/// What is known of a record beside its cells.
struct Seen<'b> {
    bytes: &'b [u8],
    quotes: Quotes,
    /// It ends with the file, without a line end.
    is_cut_off: bool,
    /// The record before it was blank.
    after_blank: bool,
}

/// Whether a cell has quotes that are none in CSV: typographic ones, or one written with a backslash.
fn is_quoted_otherwise(cell: &str, quotes: Quotes) -> bool {
    let Some((first, last)) = cell.as_bytes().first().zip(cell.as_bytes().last()) else { return false };
    if quotes != Quotes::None && (*last == b'\\' || cell.contains("\\\"")) {
        return true;
    }
    let is_quote =
        |letter: char| matches!(letter, '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{ff02}');
    (!first.is_ascii() || !last.is_ascii()) && {
        let text = cell.trim();
        text.starts_with(is_quote) || text.ends_with(is_quote)
    }
}

/// Whether a record has no cell with a content: an empty line, white space, delimiters.
pub(super) fn is_blank(bytes: &[u8], delimiter: u8) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == delimiter)
}

/// Where the last line of some bytes begins.
pub(super) fn last_line(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1)
}

/// Whether the rest of a file is nothing but the end-of-file mark of DOS and line ends.
pub(super) fn is_end_mark(rest: &[u8]) -> bool {
    const CTRL_Z: u8 = 0x1a;
    rest.first() == Some(&CTRL_Z) && rest.iter().all(|byte| *byte == CTRL_Z || byte.is_ascii_whitespace())
}

/// Line ends in a stretch of bytes, CRLF counting once.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    split::count_breaks(bytes)
}
