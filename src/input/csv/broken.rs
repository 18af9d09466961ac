//! Rows broken by a line end within their first or their last cell.
//!
//! A raw line end within a cell makes two records of a row. In the middle of a row both have too few cells, and are
//! rejected for that. Within the first or the last cell one of them has one cell, and the other as many as the
//! header: it looks like a row, with half an identifier. So a record of one cell casts doubt on its neighbors where
//! the seam falls on a column that stands for a field. The opposite are rows joined in one record. Not here: other
//! shapes of records (`check.rs`).

use super::{Cells, CsvRows, Parser, is_end_mark};
use crate::input::Bounds;
use crate::input::blocks::Window;
use crate::input::error::Problem;
use crate::input::header::CsvLayout;
use crate::input::split::{self, Quotes, Split, field_end};
use crate::input::tail::{self, Rest};

/// Blank lines between the parts of a broken row: a line end within a cell may be several. Beyond them a record of one
/// cell is one of its own.
const BLANK_LINES_MAX: u64 = 10;

/// A record of one cell where the header has more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lone {
    /// The line it stands on.
    pub(super) line: u64,
}

/// What comes after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing that could belong to its last cell.
    Apart,
    /// A record of one cell, on this line.
    Lone(u64),
    /// More of the file has to be in memory.
    More,
}

impl CsvRows {
    /// What comes after the record that ends before `next`, the beginning of `line`.
    pub(super) fn after(
        &self,
        layout: &CsvLayout,
        window: &Window,
        next: usize,
        line: u64,
        bounds: &Bounds,
    ) -> After {
        if !layout.has_lone() || layout.surplus > 0 || !layout.is_last_mapped() {
            return After::Apart;
        }
        let bytes = window.bytes();
        let (mut at, mut line) = (next, line);
        for _ in 0..=BLANK_LINES_MAX {
            let end = field_end(bytes, at, layout.delimiter);
            // Nearly all records end here: the next one has a second cell.
            if bytes.get(end) == Some(&layout.delimiter) {
                return After::Apart;
            }
            let after_end = match split::end_record(bytes, end, window.at_end(), 0, Quotes::None) {
                Split::Record { next, .. } => next,
                Split::More | Split::TooLong | Split::Unbalanced { .. } => {
                    let is_far = bytes.len() - at > bounds.record_bytes_max;
                    return if is_far { After::Lone(line) } else { After::More };
                }
            };
            let cell = &bytes[at..end];
            if cell.trim_ascii().is_empty() && after_end > end {
                at = after_end;
                line += 1;
                continue;
            }
            // A cell in quotes may go on with the next line, and is no rest of one without.
            let is_apart = cell.is_empty() || cell.starts_with(b"\"") || is_end_mark(&bytes[at..]);
            return if is_apart {
                After::Apart
            } else {
                self.footer_or_lone(layout, window, at, line, at > next, bounds)
            };
        }
        After::Apart
    }

    fn footer_or_lone(
        &self,
        layout: &CsvLayout,
        window: &Window,
        at: usize,
        line: u64,
        after_blank: bool,
        bounds: &Bounds,
    ) -> After {
        let bytes = window.bytes();
        if !tail::is_near(bytes, at) {
            return After::Lone(line);
        }
        if !window.at_end() {
            return After::More;
        }
        let (mut parser, mut record) = (Parser::new(layout.delimiter), Cells::default());
        let kind_of = |bytes: &[u8]| parser.kind(bytes, &mut record, layout);
        match tail::rest(bytes, at, layout.split_rules(bounds), after_blank, kind_of) {
            Rest::Rows(_) => After::Lone(line),
            Rest::Footers(_) => After::Apart,
        }
    }

    /// Whether the record read last has one cell where the header has more. One in quotes is whole.
    pub(super) fn is_lone(&self, layout: &CsvLayout, bytes: &[u8]) -> bool {
        self.record.len() == 1 && layout.has_lone() && !bytes.starts_with(b"\"")
    }

    /// Whether the record read last is so wide that it may be several rows without line ends between them.
    pub(super) fn is_joined(&self, layout: &CsvLayout) -> bool {
        self.record.len() + 1 >= 2 * layout.names.len()
    }

    /// Whether the first cell of the record read last, on this line, may be the rest of a cell.
    pub(super) fn check_broken(&self, layout: &CsvLayout, line: u64) -> Result<(), Problem> {
        match self.lone {
            Some(lone) if layout.mapped.first() == Some(&0) && line - lone.line <= BLANK_LINES_MAX + 1 => {
                let detail =
                    format!("its first cell may have begun on line {}, which has no other", lone.line);
                Err(Problem::new("csv.broken_row", detail).of_column(&layout.names[0]))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A row whose last cell may go on with the record of one cell on `line`.
pub(super) fn goes_on(layout: &CsvLayout, line: u64) -> Problem {
    let detail = format!("its last cell may go on on line {line}, which has no other");
    let name = layout.names.last().map_or("", String::as_str);
    Problem::new("csv.broken_row", detail).of_column(name)
}
