//! CSV records, one after the other. The only reader made of the csv crate.
//!
//! Records are cut by `split.rs`, which knows the bounds, and parsed one at a time (`csv/parse.rs`). Not here: the
//! header (`header.rs`), what is wrong with a record (`csv/check.rs`), what a cell means (`fields/`).

mod broken;
mod check;
mod parse;
mod stretch;

use super::blocks::{Source, Window};
use super::doubt::{self, Cut, Trust};
use super::error::{Problem, SourceError};
use super::footer;
use super::header::{CsvLayout, Ending};
use super::nested::NestedCells;
use super::quotes::Text;
use super::reader::{Spot, Step};
use super::split::{self, Quotes, Split, Splitter};
use super::tail::{self, Rest};
use super::{Bounds, TrailerCounts};
use broken::{After, Lone};
use check::Seen;
use parse::Cells;

pub(super) use parse::Parser;
pub(super) use stretch::Carry;

/// Lines that are no rows.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Where they end, in the file.
    until: u64,
    /// The line the doubt began on.
    line: u64,
    why: Why,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    /// A quote may be open in them.
    Quote,
    /// They belong to one record up to this line, which holds several rows.
    Joined(u64),
}

impl Doubt {
    fn problem(self) -> Problem {
        let Doubt { line, why, .. } = self;
        match why {
            Why::Quote => {
                let detail = format!("may be within the quote opened at line {line}");
                Problem::new("csv.unbalanced_quote", detail)
            }
            Why::Joined(to) => {
                Problem::new("csv.ragged_long", format!("in the record of lines {line} to {to}"))
            }
        }
    }
}

/// Reads the records of one file. It has no `Debug`: it holds values.
pub(super) struct CsvRows {
    splitter: Splitter,
    parser: Parser,
    /// The record read last.
    pub(super) record: Cells,
    /// What the operator's paths came to in its cells.
    pub(super) nested: NestedCells,
    doubt: Option<Doubt>,
    /// Lines in doubt were passed, so that nobody knows how many rows there are.
    uncounted: bool,
    /// The line of a header unlike the file's, below which nothing is a row.
    other_header: Option<u64>,
    /// The record before was blank.
    after_blank: bool,
    /// The record before had one cell, but for blank lines.
    lone: Option<Lone>,
    /// How the file ended, as far as it was read.
    pub(super) ending: Ending,
    /// A row was of names alone: it has a cell in every column, and no digits.
    has_names_only: bool,
    /// A trailer stated a count.
    has_trailer: bool,
    /// Up to this place in the file nothing is a footer.
    rows_to: u64,
    /// Rows of the inputs before this one.
    rows_before: u64,
    /// Offset in the text at which somebody else reads on.
    until: u64,
    /// Whether rows were of names alone before has decided something.
    asked_for_names: bool,
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
            record: Cells::default(),
            nested: NestedCells::begin(&layout.nested),
            doubt: None,
            uncounted: false,
            other_header: None,
            after_blank: false,
            lone: None,
            ending: Ending::Whole,
            has_names_only: false,
            has_trailer: false,
            rows_to: 0,
            rows_before: spot.ordinal,
            until: u64::MAX,
            asked_for_names: false,
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
            if window.offset_of(window.start()) >= self.until {
                return Ok(Step::End);
            }
            if let Some(doubt) = self.doubt {
                if window.offset_of(window.start()) >= doubt.until || window.bytes().len() == window.start() {
                    self.doubt = None;
                } else if let Some(step) = self.pass_line(doubt.problem(), source, window, spot, bounds)? {
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
        if self.is_empty(cut, layout, window, spot) {
            spot.line = cut.next_line(spot.line);
            if !window.bytes()[start..end].trim_ascii().is_empty() {
                self.lone = None;
            }
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
        let line = spot.line;
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
                    self.begin_doubt(Doubt { until: window.offset_of(until), line, why: Why::Quote });
                    return self.pass_line(problem, source, window, spot, bounds);
                }
            }
        }
        self.row(cut, layout, source, window, spot, bounds)
    }

    /// A record whose quotes are trusted.
    fn row(
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
        let after = self.after(layout, window, next, cut.next_line(line), bounds);
        if after == After::More {
            self.splitter.moved(window.fill(source, spot.pass)?);
            return Ok(None);
        }
        let bytes = &window.bytes()[start..end];
        if let Err(bad) = self.parser.parse(bytes, &mut self.record) {
            let line = line + line_breaks(&bytes[..bad]);
            return Err(window.not_utf8(&source.name, line, start + last_line(&bytes[..bad]), start + bad));
        }
        // Not before the record is whole: until then this may be asked for again.
        let after_blank = std::mem::take(&mut self.after_blank) && spot.ordinal > self.rows_before;
        if self.is_header_again(layout) {
            spot.line = cut.next_line(line);
            spot.header_rows += 1;
            self.other_header = None;
            self.lone = None;
            window.consume_to(next);
            return Ok(None);
        }
        let has_backslash = self.splitter.has_backslash(window.bytes(), start, end);
        let has_nul = self.splitter.has_nul(window.bytes(), start, end);
        let is_ascii = self.splitter.is_ascii(window.bytes(), start, end);
        let is_cut_off = next == end;
        let seen = Seen { bytes, quotes, has_backslash, has_nul, is_ascii, is_cut_off, after_blank };
        let checked = match (self.check(layout, &seen, line, bounds), after) {
            (Ok(_), After::Lone(lone)) => Err(broken::goes_on(layout, lone)),
            (checked, _) => checked,
        };
        self.lone = self.is_lone(layout, bytes).then_some(Lone { line: line + breaks });
        let step = match checked {
            Ok(origin_row) => {
                if next == end && self.may_be_cut(layout, bytes) {
                    self.ending = Ending::Open(line);
                }
                Step::Row { place: spot.next_place(line), origin_row }
            }
            Err(problem) => {
                if problem.code == "csv.truncated_row" {
                    self.ending = Ending::CutOff(line);
                }
                let problem = if breaks == 0 { problem } else { problem.of_lines(line, line + breaks) };
                let is_joined = self.is_joined(layout);
                self.uncounted |= is_joined;
                if is_joined && breaks > 0 {
                    // Every line is told by itself, so that no row is lost within another one's rejection.
                    let why = Why::Joined(line + breaks);
                    self.begin_doubt(Doubt { until: window.offset_of(next), line, why });
                    return self.pass_line(problem, source, window, spot, bounds);
                }
                Step::Bad(problem.at(spot.next_place(line), bytes, bounds.raw_bytes_max))
            }
        };
        spot.line = cut.next_line(line);
        window.consume_to(next);
        Ok(Some(step))
    }

    fn begin_doubt(&mut self, doubt: Doubt) {
        self.doubt = Some(doubt);
        self.uncounted = true;
        self.lone = None;
        self.after_blank = false;
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
        // Our own row files have rows alone, whatever they are called.
        let is_ours = layout.origin[0].is_some();
        if is_ours || !tail::is_near(bytes, start) || window.offset_of(start) < self.rows_to {
            return Ok(Tail::Rows);
        }
        let rules = layout.split_rules(bounds);
        if !window.at_end() {
            // Whether a footer begins here is known when the end of the file is in memory, or far away.
            let line_end = self.splitter.line_end(bytes, start);
            let kind = self.parser.kind(&bytes[start..line_end], &mut self.record, layout);
            return Ok(if tail::may_begin(kind, self.after_blank) { Tail::More } else { Tail::Rows });
        }
        let (parser, record) = (&mut self.parser, &mut self.record);
        let kind_of = |bytes: &[u8]| parser.kind(bytes, record, layout);
        let footers = match tail::rest(bytes, start, rules, self.after_blank, kind_of) {
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

impl Record {
    /// The line after it, where it begins on `line`.
    fn next_line(self, line: u64) -> u64 {
        line + self.breaks + u64::from(self.next > self.end)
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
