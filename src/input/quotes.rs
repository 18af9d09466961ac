//! Whether the quotes of a record can be trusted.
//!
//! One quote too many turns what is inside quotes into what is outside, from its place on: rows merge, and notes
//! become rows. Read alone, either reading may look sound. So a record with quotes is held against the readings of
//! the same bytes with one of its quotes left out: [`Text::others`] gives those that are sound. The true record is
//! always among them when exactly one quote was added to a sound file, so what is accepted is right, and what is
//! rejected is bounded by a place that all sound readings agree is the beginning of a record. Pure. Not here: what
//! follows from it (`csv.rs`), the fast cut of records nobody doubts (`split.rs`).

use std::ops::Range;

use super::split::{self, Quotes, Rules, Split, ends_field, field_end};

/// Bytes that the search for other readings of one record may look at. A record made of quotes could keep it busy
/// for hours; one that exhausts it counts as one with another reading.
const OTHER_READINGS_BYTES_MAX: usize = 1 << 20;

/// Digits from which on a cell may be an identifier.
const IDENTIFIER_DIGITS_MIN: usize = 4;

/// Cells from which on a line of as many cells as the header is a row whatever they hold. A line of an address has
/// fewer.
const ROW_LIKE_CELLS_MIN: usize = 8;

/// A stretch of a file, with the rules its records are cut by.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) bytes: &'t [u8],
    /// Nothing comes after `bytes`.
    pub(super) at_end: bool,
    pub(super) rules: Rules,
}

/// What a row has to look like.
#[derive(Clone, Copy)]
pub(super) struct Form<'f> {
    /// Cells of the header; `None`: any number.
    pub(super) width: Option<usize>,
    /// Empty cells after those of the header.
    pub(super) surplus: usize,
    /// Columns that stand for fields.
    pub(super) mapped: &'f [usize],
    /// Whether the last cells may be missing.
    pub(super) flexible: bool,
}

/// A quote that belongs nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stray {
    /// The cell it is in.
    pub(super) cell: usize,
    /// The quotes before it hold a delimiter or a line end, which may have separated cells.
    pub(super) merged: bool,
}

/// A record as it was read one way.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Places of its cells, their quotes included.
    pub(super) cells: Vec<Range<usize>>,
    pub(super) strays: Vec<Stray>,
    pub(super) next: usize,
}

/// Another sound reading.
#[derive(Debug)]
pub(super) struct Other {
    /// Its first record.
    pub(super) reading: Reading,
    /// Where its records end: the first one, and those after it up to the end of the record in doubt.
    pub(super) ends: Vec<usize>,
}

/// All other sound readings.
#[derive(Debug)]
pub(super) enum Others {
    /// As far as they could be told.
    Known(Vec<Other>),
    /// There are too many quotes to tell.
    Untold,
    /// More of the file has to be in memory.
    More,
}

/// What a contest of two readings came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contest {
    /// The bytes as they stand.
    Mine,
    /// The one with a quote less may be true as well. Here it begins a record, and the doubt ends.
    Other(usize),
    /// It cannot be told: the decision is too far away, or a quote is never closed.
    Untold,
    /// More of the file has to be in memory.
    More,
}

/// Why a reading is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A quote where none belongs, or one that is never closed.
    Unsound,
    More,
}

impl Text<'_> {
    /// The record as the csv crate reads it, with its stray quotes. `None`: it is not read to its end.
    pub(super) fn as_cut(&self, from: usize) -> Option<Reading> {
        let mut reading = Reading::default();
        Reader { text: *self, without: None, strict: false, begin: from, breaks: 0, looked: 0 }
            .record(from, &mut reading)
            .ok()?;
        Some(reading)
    }

    /// Whether the quotes may as well mean the opposite: the first quote after a record could close one that is open
    /// at its end. `None`: more of the file has to be in memory. `next_quote` finds the first quote from a place on.
    pub(super) fn may_go_on(
        &self,
        from: usize,
        next: usize,
        mut next_quote: impl FnMut(usize) -> usize,
    ) -> Option<bool> {
        let Text { bytes, at_end, rules } = *self;
        let (mut at, mut breaks) = (next, 0);
        loop {
            let quote = next_quote(at);
            if quote.saturating_sub(from) > rules.record_bytes_max {
                return Some(false);
            }
            if quote == bytes.len() {
                let too_far = at_end || breaks + split::count_breaks(&bytes[at..]) > rules.record_lines_max;
                return if too_far { Some(false) } else { None };
            }
            let run = bytes[quote..].iter().take_while(|byte| **byte == b'"').count();
            let after = quote + run;
            if after == bytes.len() && !at_end {
                return None;
            }
            if run % 2 == 0 {
                breaks += split::count_breaks(&bytes[at..quote]);
                if breaks > rules.record_lines_max {
                    return Some(false);
                }
                at = after;
                continue;
            }
            let end = split::skip_spaces(bytes, after, rules.delimiter);
            return match bytes.get(end) {
                None if !at_end => None,
                None => Some(true),
                Some(byte) => Some(ends_field(*byte, rules.delimiter)),
            };
        }
    }

    /// The sound readings of the record that begins at `from` with one quote less. Each is followed to the end of
    /// the record as it was cut, so that it has to make sense of all of it.
    pub(super) fn others(&self, from: usize, cut: &Reading, form: Form<'_>) -> Others {
        let mut others = Vec::new();
        let mut looked = 0;
        let last = cut.strays.first().map_or(cut.cells.len(), |stray| stray.cell + 1);
        for (index, cell) in cut.cells[..last].iter().enumerate() {
            for quote in runs(self.bytes, cell.clone()) {
                let mut reader = Reader {
                    text: *self,
                    without: Some(quote),
                    strict: true,
                    begin: from,
                    breaks: 0,
                    looked,
                };
                let found = reader.other(index, cut, form);
                looked = reader.looked;
                match found {
                    Ok(other) => others.push(other),
                    Err(Fault::Unsound) => {}
                    Err(Fault::More) => return Others::More,
                }
                if looked > OTHER_READINGS_BYTES_MAX {
                    return Others::Untold;
                }
            }
        }
        Others::Known(others)
    }

    /// Which of two readings is the true one, each of which begins a record at its place. Both are followed until the
    /// other one meets a quote that it cannot explain, or has explained one that the bytes as they stand cannot.
    pub(super) fn contest(&self, mine: usize, other: usize) -> Contest {
        let (mut mine, mut other) = (mine, other);
        let mut refuted_at = None;
        let mut looked = 0;
        while looked <= OTHER_READINGS_BYTES_MAX {
            if refuted_at.is_some_and(|at| other >= at) {
                return Contest::Other(other);
            }
            let is_mine = refuted_at.is_none() && mine <= other;
            let begin = if is_mine { mine } else { other };
            if begin == self.bytes.len() {
                // Quotes come in pairs, so the other one ends within quotes.
                return if self.at_end { Contest::Mine } else { Contest::More };
            }
            let mut reader = Reader { text: *self, without: None, strict: true, begin, breaks: 0, looked };
            let mut reading = Reading::default();
            let ended = reader.record(begin, &mut reading);
            looked = reader.looked;
            match ended {
                Err(Fault::More) => return Contest::More,
                Ok(()) if is_mine => mine = reading.next,
                Ok(()) => other = reading.next,
                Err(Fault::Unsound) if !is_mine => return Contest::Mine,
                Err(Fault::Unsound) => match self.as_cut(begin) {
                    Some(cut) => refuted_at = Some(cut.next),
                    None => return Contest::Untold,
                },
            }
        }
        Contest::Untold
    }

    /// Whether lines of a record look like rows by themselves: all of those after its first one, or some.
    /// A line does when it has as many cells as the header, and an identifier in a column of one (or very many cells).
    /// Of the last line only what stands within quotes counts: the rest is the record's own.
    pub(super) fn rows_within(&self, cut: &Reading, form: Form<'_>) -> RowsWithin {
        let (Some(first), Some(last)) = (cut.cells.first(), cut.cells.last()) else {
            return RowsWithin::None;
        };
        let quoted = |cell: &Range<usize>| split::count_breaks(&self.bytes[cell.clone()]) > 0;
        let inside_to = cut.cells.iter().rfind(|cell| quoted(cell)).map_or(first.start, |cell| cell.end);
        let (mut alike, mut lines) = (0, 0);
        let mut at = field_line_end(self.bytes, first.start);
        while let Some(begin) = line_begin(self.bytes, at).filter(|begin| *begin < last.end) {
            let end = field_line_end(self.bytes, begin).min(last.end);
            at = end;
            if self.bytes[begin..end].trim_ascii().is_empty() {
                continue;
            }
            lines += 1;
            alike += usize::from(self.is_like_row(begin..end, inside_to, form));
        }
        match alike {
            0 if self.is_first_line_like_row(cut, form) => RowsWithin::Some,
            0 => RowsWithin::None,
            _ if alike == lines => RowsWithin::Only,
            _ => RowsWithin::Some,
        }
    }

    /// Whether the record's first line is a row when the quote that carries it over the line end is left out: as many
    /// cells as the header, and an identifier in a column of one behind that quote.
    fn is_first_line_like_row(&self, cut: &Reading, form: Form<'_>) -> bool {
        let Some(first) = cut.cells.first() else { return false };
        let is_broken = |cell: &&Range<usize>| split::count_breaks(&self.bytes[(*cell).clone()]) > 0;
        let Some(index) = cut.cells.iter().position(|cell| is_broken(&cell)) else { return false };
        let cell = cut.cells[index].clone();
        let Some(quote) = memchr::memchr(b'"', &self.bytes[cell.clone()]).map(|at| cell.start + at) else {
            return false;
        };
        let end = field_line_end(self.bytes, quote);
        let bare = [&self.bytes[first.start..quote], &self.bytes[quote + 1..end]].concat();
        let behind: Vec<usize> = form.mapped.iter().copied().filter(|column| *column > index).collect();
        let line = Text { bytes: &bare, at_end: true, rules: self.rules };
        line.is_like_row(0..bare.len(), bare.len(), Form { mapped: &behind, ..form }) && !behind.is_empty()
    }

    fn is_like_row(&self, line: Range<usize>, inside_to: usize, form: Form<'_>) -> bool {
        let alone = Text { bytes: &self.bytes[..line.end], at_end: true, ..*self };
        let Some(reading) = alone.as_cut(line.start) else { return false };
        let is_whole = line.end <= inside_to;
        if Some(reading.cells.len()) != form.width {
            return false;
        }
        let is_identifier = |column: &usize| {
            let Some(cell) = reading.cells.get(*column).filter(|cell| cell.end <= inside_to) else {
                return false;
            };
            let cell = self.bytes[cell.clone()].trim_ascii();
            cell.iter().filter(|byte| byte.is_ascii_digit()).count() >= IDENTIFIER_DIGITS_MIN
                && !cell.contains(&b' ')
        };
        form.mapped.iter().any(is_identifier) || (is_whole && reading.cells.len() >= ROW_LIKE_CELLS_MIN)
    }
}

/// Whether the lines of a record look like rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowsWithin {
    /// None does.
    None,
    /// Some do: a note that quotes rows, or rows with a note among them.
    Some,
    /// All do.
    Only,
}

/// Places of the first quote of every run of quotes.
fn runs(bytes: &[u8], cell: Range<usize>) -> impl Iterator<Item = usize> {
    let begin = cell.start;
    memchr::memchr_iter(b'"', &bytes[cell.clone()])
        .map(move |distance| begin + distance)
        .filter(move |at| *at == begin || bytes[at - 1] != b'"')
}

fn field_line_end(bytes: &[u8], from: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &bytes[from..]).map_or(bytes.len(), |distance| from + distance)
}

/// Where the line after this line end begins.
fn line_begin(bytes: &[u8], line_end: usize) -> Option<usize> {
    match (bytes.get(line_end)?, bytes.get(line_end + 1)) {
        (b'\r', Some(b'\n')) => Some(line_end + 2),
        _ => Some(line_end + 1),
    }
}

/// Reads records, with one quote left out and refusing what is not sound, or as the csv crate does.
struct Reader<'t> {
    text: Text<'t>,
    without: Option<usize>,
    strict: bool,
    /// Where the record begins.
    begin: usize,
    breaks: u64,
    looked: usize,
}

impl Reader<'_> {
    /// The reading from a cell on; those before it are as they were cut.
    fn other(&mut self, cell: usize, cut: &Reading, form: Form<'_>) -> Result<Other, Fault> {
        let mut reading = Reading { cells: cut.cells[..cell].to_vec(), ..Reading::default() };
        self.record(cut.cells[cell].start, &mut reading)?;
        let first = &self.text.bytes[self.begin..reading.next];
        let is_blank = first
            .iter()
            .all(|byte| byte.is_ascii_whitespace() || *byte == self.text.rules.delimiter || *byte == b'"');
        if !is_blank && !self.is_row(&reading, form) {
            return Err(Fault::Unsound);
        }
        let mut ends = vec![reading.next];
        let mut at = reading.next;
        let mut more = Reading::default();
        while at < cut.next {
            self.begin = at;
            self.breaks = 0;
            more.cells.clear();
            self.record(at, &mut more)?;
            at = more.next;
            ends.push(at);
        }
        Ok(Other { reading, ends })
    }

    fn is_row(&self, reading: &Reading, form: Form<'_>) -> bool {
        let Some(width) = form.width else { return true };
        let found = reading.cells.len();
        let is_empty = |cell: &Range<usize>| self.text.bytes[cell.clone()].trim_ascii().is_empty();
        let is_whole = found >= width && found <= width + form.surplus;
        (is_whole && reading.cells[width..].iter().all(is_empty)) || (form.flexible && found < width)
    }

    fn record(&mut self, from: usize, reading: &mut Reading) -> Result<(), Fault> {
        let mut at = from;
        loop {
            let end = self.cell(at, reading)?;
            self.looked += end - at + 1;
            reading.cells.push(at..end);
            if self.text.bytes.get(end) == Some(&self.text.rules.delimiter) {
                at = end + 1;
                continue;
            }
            let ended = split::end_record(self.text.bytes, end, self.text.at_end, 0, Quotes::None);
            return match ended {
                Split::Record { next, .. } if end - self.begin <= self.text.rules.record_bytes_max => {
                    reading.next = next;
                    Ok(())
                }
                Split::More => Err(Fault::More),
                Split::Record { .. } | Split::TooLong | Split::Unbalanced { .. } => Err(Fault::Unsound),
            };
        }
    }

    /// The end of the cell that begins at `at`.
    fn cell(&mut self, at: usize, reading: &mut Reading) -> Result<usize, Fault> {
        let Text { bytes, at_end, rules } = self.text;
        let begin = self.skip(at);
        if bytes.get(begin) != Some(&b'"') {
            let end = field_end(bytes, begin, rules.delimiter);
            if !self.is_plain(begin..end) {
                self.stray(false, reading)?;
            }
            return Ok(end);
        }
        let (closing, merged) = self.quoted(begin)?;
        let end = split::skip_spaces(bytes, self.skip(closing + 1), rules.delimiter);
        match bytes.get(end) {
            Some(byte) if ends_field(*byte, rules.delimiter) => Ok(end),
            None if at_end => Ok(end),
            None => Err(Fault::More),
            Some(_) => {
                self.stray(merged, reading)?;
                Ok(field_end(bytes, end, rules.delimiter))
            }
        }
    }

    /// The quote that closes the one at `opening`, and whether delimiters or line ends stand between them.
    fn quoted(&mut self, opening: usize) -> Result<(usize, bool), Fault> {
        let Text { bytes, at_end, rules } = self.text;
        let mut at = self.skip(opening + 1);
        let mut merged = false;
        loop {
            let Some(distance) = memchr::memchr(b'"', &bytes[at.min(bytes.len())..]) else {
                let seen = self.breaks + split::count_breaks(&bytes[at..]);
                let bounded =
                    bytes.len() - self.begin > rules.record_bytes_max || seen > rules.record_lines_max;
                return if at_end || bounded { Err(Fault::Unsound) } else { Err(Fault::More) };
            };
            let found = at + distance;
            let between = &bytes[at..found];
            self.looked += distance;
            self.breaks += split::count_breaks(between);
            merged |= between.iter().any(|byte| ends_field(*byte, rules.delimiter));
            if self.breaks >= rules.record_lines_max || found - self.begin > rules.record_bytes_max {
                return Err(Fault::Unsound);
            }
            if self.without == Some(found) {
                at = found + 1;
                continue;
            }
            let after = self.skip(found + 1);
            match bytes.get(after) {
                Some(b'"') => at = after + 1,
                None if !at_end => return Err(Fault::More),
                Some(_) | None => return Ok((found, merged)),
            }
        }
    }

    /// Whether an unquoted cell has no quote, or is a text as a formula: `="…"`.
    fn is_plain(&self, cell: Range<usize>) -> bool {
        let bytes = self.text.bytes;
        let begin = cell.start;
        let trimmed = cell.start + bytes[cell.clone()].trim_ascii_end().len();
        let mut quotes = memchr::memchr_iter(b'"', &bytes[cell])
            .map(|distance| begin + distance)
            .filter(|at| Some(*at) != self.without);
        match (quotes.next(), quotes.next(), quotes.next()) {
            (None, _, _) => true,
            (Some(first), Some(last), None) => {
                bytes[begin] == b'=' && first == self.skip(begin + 1) && last + 1 == trimmed
            }
            _ => false,
        }
    }

    fn stray(&self, merged: bool, reading: &mut Reading) -> Result<(), Fault> {
        if self.strict {
            return Err(Fault::Unsound);
        }
        reading.strays.push(Stray { cell: reading.cells.len(), merged });
        Ok(())
    }

    fn skip(&self, at: usize) -> usize {
        if self.without == Some(at) { at + 1 } else { at }
    }
}
