//! What is wrong with a CSV record as a record: its width, its form, NUL, a header among the rows.
//!
//! Not here: where it ends and whether its quotes can be trusted (`csv.rs`), rows broken over several records
//! (`broken.rs`), what a cell means (`fields/`).

use super::CsvRows;
use crate::count::plural_len;
use crate::input::error::Problem;
use crate::input::header::CsvLayout;
use crate::input::reader::origin_row;
use crate::input::split::Quotes;
use crate::input::{Bounds, names};

/// What is known of a record beside its cells.
pub(super) struct Seen<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) quotes: Quotes,
    pub(super) has_backslash: bool,
    pub(super) has_nul: bool,
    pub(super) is_ascii: bool,
    /// It ends with the file, without a line end.
    pub(super) is_cut_off: bool,
    /// The record before it was blank.
    pub(super) after_blank: bool,
}

impl CsvRows {
    /// Whether the record is the file's header once more, as between exports that were joined.
    pub(super) fn is_header_again(&self, layout: &CsvLayout) -> bool {
        let first = layout.names.first().filter(|name| !name.is_empty());
        let (Some(first), Some(cell)) = (first, self.record.get(0)) else { return false };
        let is_equal = |(name, cell): (&String, &str)| cell.trim_start_matches('\u{feff}').trim() == name;
        cell.trim_end().ends_with(first.as_str())
            && self.record.len() == layout.names.len()
            && layout.names.iter().zip(self.record.iter()).all(is_equal)
    }

    /// What is wrong with the record as a record, or on a path into one of its cells; and the row number its `_row`
    /// holds.
    pub(super) fn check(
        &mut self,
        layout: &CsvLayout,
        seen: &Seen<'_>,
        line: u64,
        bounds: &Bounds,
    ) -> Result<Option<u64>, Problem> {
        let name = |column: usize| layout.names.get(column).map_or("", String::as_str);
        if seen.has_nul {
            let column = self.record.iter().position(|cell| cell.contains('\0')).unwrap_or_default();
            let nuls = memchr::memchr_iter(0, seen.bytes).count();
            let detail =
                if nuls == 1 { "a NUL character".to_owned() } else { format!("{nuls} NUL characters") };
            return Err(Problem::new("csv.nul", detail).of_column(name(column)));
        }
        self.check_header_row(layout, line, seen.after_blank)?;
        self.check_width(layout, seen.is_cut_off)?;
        self.check_broken(layout, line)?;
        if seen.bytes.len() > bounds.field_bytes_max {
            let long = self.record.iter().position(|cell| cell.len() > bounds.field_bytes_max);
            if let Some(column) = long {
                let detail = format!("a cell longer than {} bytes", bounds.field_bytes_max);
                return Err(Problem::new("field.too_long", detail).of_column(name(column)));
            }
        }
        // Nearly all records are plain, and have no quote of any kind.
        let has_backslash = seen.quotes != Quotes::None && seen.has_backslash;
        if has_backslash || !seen.is_ascii {
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
        // Of most cells the first bytes tell: those of a value are digits.
        let is_name =
            |cell: &str| !cell.is_empty() && cell.bytes().filter(u8::is_ascii_digit).nth(1).is_none();
        let mapped = layout.mapped.first().and_then(|column| self.record.get(*column));
        // Nearly all rows end here: they have a value in the first of their columns.
        if mapped.is_none_or(is_name) && self.record.iter().all(is_name) {
            let known = self.record.iter().filter(|cell| names::is_header_like(cell)).count();
            // Behind a blank line, where no row before it was of names alone, it begins another table as well.
            let is_plain = self.record.iter().all(|cell| !cell.bytes().any(|byte| byte.is_ascii_digit()));
            let may_begin = after_blank && is_plain && self.record.len() > 1;
            self.asked_for_names |= may_begin;
            let begins_table = may_begin && !self.has_names_only;
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

    /// Whether a row without a line end may have lost the end of a field with it.
    pub(super) fn may_be_cut(&self, layout: &CsvLayout, bytes: &[u8]) -> bool {
        layout.surplus == 0
            && layout.is_last_mapped()
            && self.record.len() == layout.names.len()
            && self.record.iter().next_back().is_some_and(|cell| !cell.trim().is_empty())
            && !bytes.ends_with(b"\"")
    }

    fn check_width(&self, layout: &CsvLayout, is_cut_off: bool) -> Result<(), Problem> {
        let (width, found) = (layout.names.len(), self.record.len());
        let detail = || format!("{} where the header has {width}", plural_len(found, "cell"));
        if found < width && is_cut_off {
            let detail = format!("{}, and no line end: the file may be cut off", detail());
            return Err(Problem::new("csv.truncated_row", detail));
        }
        if found < width && !layout.flexible {
            return Err(Problem::new("csv.ragged_short", detail()));
        }
        let surplus = layout.surplus;
        if surplus > 0 && found >= width && found < width + surplus {
            // Were it right, it would be the only row without the empty cells; more likely two of its cells merged.
            let detail = format!("{} where other rows have {}", plural_len(found, "cell"), width + surplus);
            return Err(Problem::new("csv.ragged_short", detail));
        }
        let is_filled = || self.record.iter().skip(width).any(|cell| !cell.trim().is_empty());
        if found > width + surplus || (found > width && is_filled()) {
            return Err(Problem::new("csv.ragged_long", detail()));
        }
        Ok(())
    }
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
