//! The end of a CSV file: looking ahead whether nothing but footers comes.
//!
//! Not here: what a footer reads like (`footer.rs`), and what a wrong count in one means for the file (`csv.rs`).

use super::blocks::as_u64;
use super::footer::{self, FOOTER_BYTES_MAX, FOOTER_ROWS_MAX, Kind};
use super::split::{Quotes, Rules, Split, Splitter};

/// What the rest of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Rows, up to and including the one that begins before this place.
    Rows(usize),
    /// Footers.
    Footers(Footers),
}

/// Footers up to the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Footers {
    pub(super) rows: u64,
    pub(super) blank_rows: u64,
    /// Lines they stretch over.
    pub(super) lines: u64,
    /// A count of rows that one of them states, and on which of these lines; the first is 0.
    pub(super) told: Option<(u64, u64)>,
}

/// Whether a place is near enough to the end of what is in memory that it could be a footer.
pub(super) fn is_near(bytes: &[u8], at: usize) -> bool {
    bytes.len() - at <= FOOTER_BYTES_MAX
}

/// Whether a record that reads so may begin a footer, as far as can be told without the records after it.
pub(super) fn may_begin(kind: Option<Kind>, after_blank: bool) -> bool {
    match kind {
        Some(Kind::Footer(_)) => true,
        Some(Kind::Text) => after_blank,
        Some(Kind::Row) | None => false,
    }
}

/// What comes from here to the end of the file, all of which is in memory. A line of free text begins a footer only
/// after a blank line. `kind_of` says what a record reads like; `None`: it cannot be read.
pub(super) fn rest(
    bytes: &[u8],
    from: usize,
    rules: Rules,
    after_blank: bool,
    mut kind_of: impl FnMut(&[u8]) -> Option<Kind>,
) -> Rest {
    let mut splitter = Splitter::new();
    let mut at = from;
    let mut found = Footers::default();
    let mut sure = false;
    loop {
        let Split::Record { end, next, breaks: 0, quotes: Quotes::None | Quotes::Sound } =
            splitter.split(bytes, at, true, rules)
        else {
            return Rest::Rows(at + 1);
        };
        if at == end && next == end {
            return if sure { Rest::Footers(found) } else { Rest::Rows(at) };
        }
        let record = &bytes[at..end];
        let is_empty =
            super::csv::is_blank(record, rules.delimiter) || footer::is_rule(record, rules.delimiter);
        if is_empty || super::csv::is_end_mark(&bytes[at..]) {
            found.blank_rows += 1;
        } else {
            let Some(kind) = kind_of(record) else { return Rest::Rows(at + 1) };
            let begins = found.rows == 0;
            match kind {
                Kind::Footer(told) => {
                    sure = true;
                    found.told = found.told.or_else(|| Some((told?, found.lines)));
                }
                Kind::Text if sure || (begins && after_blank) => {}
                Kind::Text | Kind::Row => return Rest::Rows(at + 1),
            }
            found.rows += 1;
            if found.rows > as_u64(FOOTER_ROWS_MAX) {
                return Rest::Rows(from + 1);
            }
        }
        found.lines += 1;
        at = next;
    }
}
