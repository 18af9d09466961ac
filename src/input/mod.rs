//! Inputs: from names on the command line to rows with their places.
//!
//! An edge: it opens files, decides format, delimiter and the columns of fields, and hands out one row after the
//! other, twice if asked: every later pass uses a block of bytes only when its hash is that of the first. What is
//! wrong with one row is data ([`RowError`]); what is wrong with an input stops the run ([`SourceError`]). Not here:
//! the rules of fields (`fields/`), what happens to a row (`plan/`), row files (`report/`).

mod ahead;
mod blocks;
mod csv;
mod doubt;
mod encoding;
mod error;
mod expand;
mod feed;
mod fetch;
mod footer;
mod head;
mod header;
mod inputs;
mod json_file;
mod layout;
mod line_ends;
mod map;
mod members;
mod mojibake;
mod names;
mod ndjson;
mod nested;
mod open;
mod pointer;
mod quotes;
mod reader;
mod sniff;
mod split;
mod surplus;
mod tail;
#[cfg(test)]
mod tests;
mod value;
mod watched;

use std::path::PathBuf;

pub use ahead::{AHEAD_BYTES_MIN, AheadOptions, BEHIND_BYTES, Look, Pool, STRETCH_BYTES, Stretch};
pub use encoding::{Counted, EncodingError, HexBytes, check_encoding, unread_code_page};
pub use error::{ColumnNames, RowError, SourceError};
pub use expand::{PackedError, Packing};
pub use inputs::Inputs;
pub use json_file::Dialect;
pub use line_ends::OtherLineEnd;
pub use map::MappedBy;
pub use mojibake::TextNote;
pub use reader::{Row, RowReader};
pub use sniff::Foreign;

use crate::choice::choice;
use crate::update::FieldKind;

/// Longest record, in bytes. A record beyond it has most likely lost a quote.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Lines that one CSV record may stretch over.
pub const RECORD_LINES_MAX: u64 = 100;

/// Columns of a CSV header, and distinct member names of an NDJSON file.
pub const COLUMNS_MAX: usize = 1024;

/// Longest cell, in bytes.
pub const FIELD_BYTES_MAX: usize = 64 << 10;

/// Deepest nesting of a JSON row.
pub const JSON_DEPTH_MAX: usize = 64;

/// Bytes of text that one byte of a compressed input may stand for. An archive made to fill disks has a thousand.
pub const EXPANSION_MAX: u64 = 250;

/// Inputs of one run; each is an open handle.
pub const FILES_MAX: usize = 512;

/// Bytes of a bad record that a [`RowError`] carries.
pub const RAW_BYTES_MAX: usize = 64 << 10;

choice! {
    /// Format of an input.
    #[derive(Default)]
    pub enum Format {
        /// As content and extension tell.
        #[default]
        Auto = "auto",
        /// Comma-separated values; the delimiter is found out.
        Csv = "csv",
        /// One JSON object per line.
        Ndjson = "ndjson",
    }
}

choice! {
    /// What becomes of a count in a trailer.
    #[derive(Default)]
    pub enum TrailerCounts {
        /// It is held against the rows read: a file with fewer was cut off.
        #[default]
        Check = "check",
        /// It is passed over.
        Ignore = "ignore",
    }
}

choice! {
    /// What becomes of a JSON integer above 2^53-1: its writer may have rounded it already.
    #[derive(Default)]
    pub enum UnsafeIntegers {
        /// Its row is rejected.
        #[default]
        Reject = "reject",
        /// Its digits are taken as they stand.
        Accept = "accept",
    }
}

/// Which reading of the inputs this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first: blocks without a recorded hash get one.
    Survey,
    /// Any later one: it must meet what the survey met.
    Again,
}

/// Bounds on what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// See [`RECORD_BYTES_MAX`].
    pub record_bytes_max: usize,
    /// See [`RECORD_LINES_MAX`].
    pub record_lines_max: u64,
    /// See [`COLUMNS_MAX`].
    pub columns_max: usize,
    /// See [`FIELD_BYTES_MAX`].
    pub field_bytes_max: usize,
    /// See [`JSON_DEPTH_MAX`].
    pub json_depth_max: usize,
    /// See [`EXPANSION_MAX`].
    pub expansion_max: u64,
    /// See [`FILES_MAX`].
    pub files_max: usize,
    /// See [`RAW_BYTES_MAX`].
    pub raw_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            record_bytes_max: RECORD_BYTES_MAX,
            record_lines_max: RECORD_LINES_MAX,
            columns_max: COLUMNS_MAX,
            field_bytes_max: FIELD_BYTES_MAX,
            json_depth_max: JSON_DEPTH_MAX,
            expansion_max: EXPANSION_MAX,
            files_max: FILES_MAX,
            raw_bytes_max: RAW_BYTES_MAX,
        }
    }
}

impl Bounds {
    /// Writes a line of those bounds that decide which records are rows, where they are not the default ones.
    fn shaping(&self, text: &mut String) {
        let default = Bounds::default();
        let count = |bound: usize| u64::try_from(bound).unwrap_or(u64::MAX);
        let rows = |bounds: &Bounds| {
            [
                ("row_bytes_max", count(bounds.record_bytes_max)),
                ("row_lines_max", bounds.record_lines_max),
                ("columns_max", count(bounds.columns_max)),
                ("field_bytes_max", count(bounds.field_bytes_max)),
                ("json_depth_max", count(bounds.json_depth_max)),
            ]
        };
        for ((name, bound), (_, default)) in rows(self).into_iter().zip(rows(&default)) {
            if bound != default {
                text.push_str(&format!("{name} {bound}\n"));
            }
        }
    }
}

/// What to read, and how.
#[derive(Debug, Clone, Default)]
pub struct InputOptions {
    /// Files, patterns, or `-` for standard input, in order.
    pub inputs: Vec<String>,
    /// Format of all of them.
    pub format: Format,
    /// Columns mapped by name; or by a path into nested JSON, where no column has it as its name: a JSON pointer
    /// (`/contact/phone`, RFC 6901) or names with dots between them.
    pub columns: Vec<(FieldKind, String)>,
    /// Encoding of all of them, by a label of the WHATWG Encoding Standard; `None`: UTF-8, or UTF-16 with a mark.
    pub encoding: Option<String>,
    /// What separates CSV cells; `None`: as a `sep=` line or the header tells.
    pub delimiter: Option<u8>,
    /// Physical lines before the header of each CSV input.
    pub skip_rows: u64,
    /// Names of the columns of CSV inputs without a header; `None`: each has one.
    pub column_names: Option<Vec<String>>,
    /// Whether a CSV row may lack its last cells.
    pub flexible: bool,
    /// What counts in trailers are for.
    pub trailer_counts: TrailerCounts,
    /// JSON integers that may have been rounded.
    pub unsafe_integers: UnsafeIntegers,
    /// Columns to be read beside those of fields: [`Row::watched`] gives their cells by their position here.
    pub watched: Vec<String>,
    /// Columns with what a field was before, of [`OLD_FIELDS`]; of the others those are taken whose names are known
    /// (`old_iccid`). [`Row::old`] gives their cells.
    pub old_columns: Vec<(FieldKind, String)>,
    /// A private directory for copies of inputs that can be read only once.
    pub spool_dir: PathBuf,
    /// Bounds on what is read.
    pub bounds: Bounds,
}

/// Fields of which a column may hold the value of before: what a subject held, so that it is known who gives up what
/// another takes. It is never sent.
pub const OLD_FIELDS: [FieldKind; 3] = [FieldKind::Number, FieldKind::Imsi, FieldKind::Iccid];

/// An input as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its name as given, or as a pattern found it.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CSV or NDJSON.
    pub format: Format,
    /// Rows in it, erroneous ones included; 0 until a pass has read it to its end.
    pub rows_seen: u64,
    /// Footers at its end, which are no rows; 0 until a pass has read it to its end.
    pub footer_rows: u64,
    /// Headers repeated within it, which are no rows; 0 until a pass has read it to its end.
    pub header_rows: u64,
}

/// A field and the column that stands for it in one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingNote {
    /// The input's name.
    pub file: String,
    /// The field.
    pub field: FieldKind,
    /// The column, as the input names it; as the operator named it when the input lacks it.
    pub column: String,
    /// How it came to stand for the field; `None`: mapped by name, but this input lacks it.
    pub by: Option<MappedBy>,
}

/// A column that stands for no field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownColumn {
    /// Its name.
    pub name: String,
    /// The field it may be meant for: `--map FIELD=NAME` would say so.
    pub suggestion: Option<FieldKind>,
}
