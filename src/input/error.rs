//! What can be wrong with an input: [`SourceError`] stops the run, [`RowError`] is data about one row.
//!
//! No text here holds a cell's value. The bytes of a bad record travel in [`RowError::raw`], which only a private
//! row file may show.

use std::fmt;
use std::io;

use super::encoding::{Counted, EncodingError, HexBytes};
use super::expand::{PackedError, Packing};
use super::json_file::{Dialect, Whole};
use super::line_ends::OtherLineEnd;
use super::pointer::Pointer;
use super::sniff::Foreign;
use super::{Bounds, names};
use crate::count::plural;
use crate::near::edits;
use crate::row::Place;
use crate::update::FieldKind;

/// Slips of the pen after which a column is still suggested.
const NEAR_SLIPS_MAX: usize = 3;

/// A row that could not be read. The rows after it can.
#[derive(Clone, PartialEq, Eq)]
pub struct RowError {
    /// Where the row stands.
    pub place: Place,
    /// What is wrong: `csv.*`, `json.*`, `row.*`, `field.*` or `origin.*`.
    pub code: &'static str,
    /// The column it is about, as the input names it.
    pub column: Option<String>,
    /// A phrase for people, without any value.
    pub detail: String,
    /// The record's original bytes without its line end, cut at [`super::Bounds::raw_bytes_max`].
    pub raw: Vec<u8>,
}

/// Prints no byte of the record: values of identifiers belong in no log.
impl fmt::Debug for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowError")
            .field("place", &self.place)
            .field("code", &self.code)
            .field("column", &self.column)
            .field("detail", &self.detail)
            .field("raw_len", &self.raw.len())
            .finish()
    }
}

/// What is wrong with a row, before its place and its bytes are added.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) column: Option<String>,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { code, column: None, detail: detail.into() }
    }

    /// A record longer than a record may be.
    pub(super) fn too_long(bounds: &Bounds) -> Problem {
        Problem::new("row.too_long", format!("longer than {} bytes", bounds.record_bytes_max))
    }

    pub(super) fn of_column(mut self, column: &str) -> Problem {
        self.column = Some(column.to_owned());
        self
    }

    /// Says over which lines the record stretches.
    pub(super) fn of_lines(mut self, from: u64, to: u64) -> Problem {
        self.detail.push_str(&format!("; the record of lines {from} to {to}"));
        self
    }

    pub(super) fn at(self, place: Place, record: &[u8], raw_bytes_max: usize) -> RowError {
        RowError {
            place,
            code: self.code,
            column: self.column,
            detail: self.detail,
            raw: record[..record.len().min(raw_bytes_max)].to_vec(),
        }
    }
}

/// Names of columns in an error. Where they look like data (a file without a header shows its first row in their
/// place), they print as their number only, also under `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ColumnNames(pub(super) Vec<String>);

impl fmt::Display for ColumnNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::shown(self.0.iter().map(String::as_str)))
    }
}

impl fmt::Debug for ColumnNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// An input that cannot be used. The run ends with exit code 6, and nothing after it is read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A pattern matches no file.
    #[error("no file matches the pattern {pattern}")]
    NoMatch {
        /// The pattern as given.
        pattern: String,
    },
    /// A pattern cannot be understood.
    #[error("invalid file pattern {pattern}")]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// More inputs than are kept open at once.
    #[error("{files} input files, at most {files_max} are read in one run")]
    TooManyFiles {
        /// How many there are.
        files: usize,
        /// The bound in force.
        files_max: usize,
    },
    /// Standard input was named more than once.
    #[error("standard input (-) is named more than once")]
    StdinTwice,
    /// The file does not exist.
    #[error("{file}: no such file")]
    Missing {
        /// The input as given.
        file: String,
    },
    /// The input is a directory.
    #[error("{file}: is a directory")]
    Directory {
        /// The input as given.
        file: String,
    },
    /// The file cannot be opened.
    #[error("{file}: cannot be opened")]
    Unreadable {
        /// The input as given.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// An input that can be read only once could not be copied to the spool.
    #[error("{file}: cannot be spooled to {spool_dir}")]
    Spool {
        /// The input as given.
        file: String,
        /// Where the spool is.
        spool_dir: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading failed.
    #[error("{file}: reading failed at byte {offset}")]
    Read {
        /// The input as given.
        file: String,
        /// Offset of the block that could not be read.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The bytes are those of another kind of file.
    #[error("{file}: {}{found}, not CSV or NDJSON text", inside_of(*inside))]
    Foreign {
        /// The input as given.
        file: String,
        /// What it is.
        found: Foreign,
        /// What it was compressed by.
        inside: Option<Packing>,
    },
    /// A byte sequence that is not UTF-8.
    #[error("{file} line {line} column {column}: invalid UTF-8 at byte {offset} of {of} ({bytes})")]
    NotUtf8 {
        /// The input as given.
        file: String,
        /// The physical line of the bad byte.
        line: u64,
        /// Its column in characters; the first is 1.
        column: u64,
        /// Its offset; the first byte is 0.
        offset: u64,
        /// What the offset counts in.
        of: Counted,
        /// The bytes.
        bytes: HexBytes,
    },
    /// The encoding is unclear or wrong.
    #[error(transparent)]
    Encoding(EncodingError),
    /// Compressed bytes are damaged, cut off, or too many.
    #[error(transparent)]
    Packed(PackedError),
    /// A quote that is never closed, or not before the record outgrew its bounds.
    #[error("{file} line {line}: unbalanced quote opened at line {line}")]
    UnbalancedQuote {
        /// The input as given.
        file: String,
        /// The line with the quote.
        line: u64,
    },
    /// A blank stands before a quote, which then is none: the quotes of the header are part of its names.
    #[error("{file} line {line}: a blank before a quote, so that the quote is part of the name")]
    BlankBeforeQuote {
        /// The input as given.
        file: String,
        /// The line of the header.
        line: u64,
        /// What separates the cells.
        delimiter: char,
    },
    /// The header is longer than a record may be.
    #[error("{file}: the header is longer than {bytes_max} bytes")]
    HeaderTooLong {
        /// The input as given.
        file: String,
        /// The bound in force.
        bytes_max: usize,
    },
    /// More columns than a file may have.
    #[error("{file}: more than {columns_max} columns")]
    TooManyColumns {
        /// The input as given.
        file: String,
        /// The bound in force.
        columns_max: usize,
    },
    /// Several delimiters fit the header equally well.
    #[error("{file}: the delimiter could be any of {}", delimiters(candidates))]
    DelimiterAmbiguous {
        /// The input as given.
        file: String,
        /// The delimiters that fit.
        candidates: Vec<char>,
    },
    /// No column stands for a field.
    #[error("{file}: no column stands for a field; the columns are {columns}")]
    NoKnownColumn {
        /// The input as given.
        file: String,
        /// Names of the header, or of the first rows' members.
        columns: ColumnNames,
    },
    /// Several columns stand for one field.
    #[error("{file}: several columns stand for {field}: {candidates}")]
    AmbiguousColumns {
        /// The input as given.
        file: String,
        /// The field.
        field: FieldKind,
        /// The columns.
        candidates: ColumnNames,
    },
    /// The header is not where it was looked for.
    #[error("{file} line {line}: no header; line {header_line} reads like one")]
    HeaderBelow {
        /// The input as given.
        file: String,
        /// The line that was taken for the header.
        line: u64,
        /// The line that reads like one.
        header_line: u64,
        /// Lines before it.
        skip_rows: u64,
    },
    /// The header holds characters that end lines elsewhere, so that no row was found.
    #[error("{file} line 1: the lines end with {}, which ends no line in CSV", end.name())]
    OtherLineEnds {
        /// The input as given.
        file: String,
        /// The first of these characters.
        end: OtherLineEnd,
    },
    /// The input has a header although it was said to have none.
    #[error("{file} line {line}: reads like a header, but the input is said to have none")]
    HeaderUnexpected {
        /// The input as given.
        file: String,
        /// The line of the header.
        line: u64,
    },
    /// A trailer states another count than there are rows.
    #[error(
        "{file} line {line}: the file says it has {}, {read} {} read: it was cut off or edited",
        plural(*told, "row"),
        if *read == 1 { "was" } else { "were" }
    )]
    TrailerCount {
        /// The input as given.
        file: String,
        /// The line of the trailer.
        line: u64,
        /// The count it states.
        told: u64,
        /// The rows that were read, rejected ones included.
        read: u64,
    },
    /// A column mapped by name is in no input.
    #[error("no input has the column `{column}` mapped to {field}; the columns are {columns}")]
    NoSuchColumn {
        /// The field it is mapped to.
        field: FieldKind,
        /// The name as the operator wrote it.
        column: String,
        /// The columns there are.
        columns: ColumnNames,
    },
    /// A column that a condition or the order of rows needs is missing.
    #[error(
        "{file}: there is no column `{column}`, which --where or --order-by asks for; the columns are {columns}"
    )]
    NoWatchedColumn {
        /// The input as given, or that it is all of them.
        file: String,
        /// The name as the operator wrote it.
        column: String,
        /// The columns there are.
        columns: ColumnNames,
    },
    /// A column that a condition or the order of rows needs is there more than once.
    #[error("{file}: several columns could be `{column}`: {candidates}")]
    AmbiguousWatched {
        /// The input as given.
        file: String,
        /// The name as the operator wrote it.
        column: String,
        /// The columns.
        candidates: ColumnNames,
    },
    /// The file is one JSON array.
    #[error("{}", begins(file, *line, "is one JSON array", "a JSON array"))]
    JsonArray {
        /// The input as given.
        file: String,
        /// The line on which the array begins.
        line: u64,
    },
    /// Objects stretch over several lines.
    #[error("{}", begins(file, *line, "is pretty-printed JSON", "pretty-printed JSON"))]
    JsonPretty {
        /// The input as given.
        file: String,
        /// The line on which the first of them begins.
        line: u64,
    },
    /// The rows are an array within one JSON object.
    #[error("{file}: is one JSON object around the rows ({path}), not one object per line")]
    JsonWrapped {
        /// The input as given.
        file: String,
        /// The way to the rows, as jq writes it.
        path: String,
    },
    /// Objects follow each other on one line.
    #[error("{file}: has several JSON objects on one line")]
    JsonConcatenated {
        /// The input as given.
        file: String,
    },
    /// Every line is broken in the same way.
    #[error("{file}: {dialect}, which is no JSON")]
    JsonDialect {
        /// The input as given.
        file: String,
        /// In which way.
        dialect: Dialect,
    },
    /// The file is not the one that was surveyed.
    #[error("{file}: changed while it was being read")]
    Changed {
        /// The input as given.
        file: String,
    },
    /// A later pass was asked for before the survey had read everything.
    #[error("{file}: was not surveyed to its end")]
    NotSurveyed {
        /// The input as given.
        file: String,
    },
}

impl SourceError {
    /// JSON that is not one object per line from this line on.
    pub(super) fn of_whole(whole: Whole, file: &str, line: u64) -> SourceError {
        let file = file.to_owned();
        match whole {
            Whole::Array => SourceError::JsonArray { file, line },
            Whole::Pretty => SourceError::JsonPretty { file, line },
            Whole::Concatenated => SourceError::JsonConcatenated { file },
            Whole::Broken(dialect) => SourceError::JsonDialect { file, dialect },
            Whole::Wrapped(path) => SourceError::JsonWrapped { file, path },
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> String {
        match self {
            SourceError::NoMatch { .. } => {
                "check the directory and the pattern; quote it for the shell".into()
            }
            SourceError::BadPattern { .. } => "write *, ? or [...] as in a shell".into(),
            SourceError::TooManyFiles { .. } => {
                "join files with equal headers, or run in several batches".into()
            }
            SourceError::StdinTwice => "name - once".into(),
            SourceError::Missing { .. } => {
                "check the path; a relative one begins at the working directory".into()
            }
            SourceError::Directory { .. } => "name the files in it, or a pattern like DIR/*.csv".into(),
            SourceError::Unreadable { .. } => "check the file's permissions and owner".into(),
            SourceError::Spool { .. } => "check space and permissions of the state directory".into(),
            SourceError::Read { .. } => "check the disk or network share, then run again".into(),
            SourceError::Foreign { found, .. } => found.remedy().into(),
            SourceError::NotUtf8 { .. } => {
                "if the whole file is in another encoding, name it: --encoding windows-1252 (or iso-8859-2, utf-16le, \
                 ...; input.encoding in the configuration); else export as UTF-8, or convert: iconv -f WINDOWS-1252 \
                 -t UTF-8 FILE > FILE.utf8"
                    .into()
            }
            SourceError::Encoding(error) => error.remedy(),
            SourceError::Packed(error) => error.remedy(),
            SourceError::UnbalancedQuote { .. } => "close the quote on that line, or double it (\"\")".into(),
            SourceError::BlankBeforeQuote { delimiter, .. } => {
                let cell = shell_word(&format!("s/{delimiter} +\"/{delimiter}\"/g"));
                format!("take the blanks after the delimiters away: sed -E {cell} FILE > FILE.csv")
            }
            SourceError::HeaderTooLong { .. } => "check that the first line is a header".into(),
            SourceError::TooManyColumns { .. } => "export only the columns that are needed".into(),
            SourceError::DelimiterAmbiguous { candidates, .. } => {
                let first = candidates.first().map_or("comma", |delimiter| delimiter_name(*delimiter));
                format!("say which one it is: --delimiter {first}; or begin the file with a line like sep=;")
            }
            SourceError::HeaderBelow { skip_rows, .. } => {
                format!("pass over the lines before it: --skip-rows {skip_rows}")
            }
            SourceError::OtherLineEnds { end, .. } => end.remedy(),
            SourceError::HeaderUnexpected { .. } => {
                "leave out --no-header and --columns, or pass over the header with --skip-rows".into()
            }
            SourceError::TrailerCount { .. } => {
                "export again; if the count means something else, set input.trailer_counts = \"ignore\""
                    .into()
            }
            SourceError::NoKnownColumn { columns, .. } => no_known_column(columns),
            SourceError::AmbiguousColumns { field, candidates, .. } => which_one(*field, candidates),
            SourceError::NoSuchColumn { field, column, columns } => no_such_column(*field, column, columns),
            SourceError::JsonDialect { dialect, .. } => dialect.remedy().into(),
            SourceError::JsonWrapped { path, .. } => format!("convert it: jq -c '{path}' FILE > FILE.ndjson"),
            SourceError::NoWatchedColumn { column, columns, .. } => no_watched_column(column, columns),
            SourceError::AmbiguousWatched { .. } => {
                "write the column's name exactly as the input does, or rename one of them".into()
            }
            SourceError::JsonArray { .. } => "convert it: jq -c '.[]' FILE > FILE.ndjson".into(),
            SourceError::JsonPretty { .. } | SourceError::JsonConcatenated { .. } => {
                "convert it: jq -c . FILE > FILE.ndjson".into()
            }
            SourceError::Changed { .. } => {
                "let the export finish before the run begins, or give the run a copy; then run again".into()
            }
            SourceError::NotSurveyed { .. } => "this is a defect of simsync; please report it".into(),
        }
    }
}

fn inside_of(packing: Option<Packing>) -> String {
    packing.map_or_else(String::new, |packing| format!("decompressed by {packing}, it is "))
}

fn no_known_column(columns: &ColumnNames) -> String {
    if let Some(remedy) = shape_remedy(columns) {
        return remedy;
    }
    let meant = columns.0.iter().find_map(|name| Some((names::suggestion(name)?, name)));
    let hint = match meant {
        Some((field, name)) => format!("--map {field}={}", shell_word(name)),
        None => "--map FIELD=COLUMN".into(),
    };
    format!(
        "map columns by name: {hint}; or, where the file begins with a row, name its columns: --no-header \
         --columns NAME,NAME,... (- for one that is not used); or name what separates the cells: --delimiter CHAR; \
         known names are\n{}",
        names::known_names()
    )
}

/// What the one name of a header shows that is none: another delimiter, another kind of text.
fn shape_remedy(columns: &ColumnNames) -> Option<String> {
    const DELIMITERS: [(char, &str); 7] =
        [('\u{1}', "^A"), ('^', "'^'"), ('~', "'~'"), (':', ":"), ('!', "'!'"), ('#', "'#'"), ('/', "/")];
    let lower = columns.0.first()?.to_lowercase();
    let is_sql = ["insert into", "create table", "drop table", "copy ", "--", "/*", "set "];
    if is_sql.iter().any(|start| lower.starts_with(start)) {
        return Some("this is SQL, not rows: export the table as CSV with a header".into());
    }
    let [name] = columns.0.as_slice() else { return None };
    if name.contains([',', ';', '\t', '|']) {
        return Some(
            "the whole line stands within one pair of quotes; take them away, and the doubled ones within: \
             sed -E 's/^\"(.*)\"$/\\1/; s/\"\"/\"/g' FILE > FILE.csv"
                .into(),
        );
    }
    // Names between two delimiters are no names of a sentence.
    let splits =
        |(sign, _): &&(char, &str)| name.split(*sign).filter(|part| names::is_header_like(part)).count() > 0;
    let found = DELIMITERS.iter().filter(|(sign, _)| name.contains(*sign)).find(splits);
    if let Some((_, word)) = found {
        return Some(format!("name what separates the cells: --delimiter {word}"));
    }
    if name.contains("  ") && !names::looks_like_data(name) {
        return Some(
            "columns of fixed width are not read: export as CSV, or put a delimiter between the columns"
                .into(),
        );
    }
    None
}

fn which_one(field: FieldKind, candidates: &ColumnNames) -> String {
    let mut names: Vec<&str> = candidates.0.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < candidates.0.len() {
        return "give every column a name of its own, or leave one of them out of the export".into();
    }
    let maps = candidates.0.iter().map(|name| format!("--map {field}={}", shell_word(name)));
    format!("say which one is meant: {}", maps.collect::<Vec<_>>().join(", or "))
}

/// Columns whose names are near the one that is missing, each ready to be given.
fn no_such_column(field: FieldKind, column: &str, columns: &ColumnNames) -> String {
    let pointer = Pointer::parse(column);
    let names = || columns.0.iter().map(String::as_str);
    let mut near: Vec<String> = names::near(column, names()).into_iter().map(str::to_owned).collect();
    if let Some(pointer) = &pointer {
        if names().any(|name| name == pointer.head) {
            return "no row has a value there; look at one: head -1 FILE | jq .".into();
        }
        near.extend(names::near(&pointer.head, names()).into_iter().map(|head| pointer.below(head)));
    }
    if near.is_empty() {
        return format!("write the column as the input does: --map {field}=COLUMN");
    }
    let maps: Vec<String> = near.iter().map(|name| format!("--map {field}={}", shell_word(name))).collect();
    format!("did you mean {}?", maps.join(", or "))
}

fn begins(file: &str, line: u64, whole: &str, from_here: &str) -> String {
    match line {
        1 => format!("{file}: {whole}, not one object per line"),
        _ => format!("{file} line {line}: {from_here} begins here, not one object per line"),
    }
}

fn no_watched_column(column: &str, columns: &ColumnNames) -> String {
    let near = |name: &&String| {
        let slips = edits(&names::normalize(name), &names::normalize(column));
        !names::looks_like_data(name) && slips <= (column.chars().count() / 3).clamp(1, NEAR_SLIPS_MAX)
    };
    let near: Vec<String> = columns.0.iter().filter(near).map(|name| format!("`{name}`")).collect();
    let hint = "write the column of --where or --order-by as the input does";
    if near.is_empty() { hint.to_owned() } else { format!("{hint}; did you mean {}?", near.join(", ")) }
}

fn shell_word(name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_alphanumeric() || "_-./~".contains(letter));
    if plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

fn delimiters(candidates: &[char]) -> String {
    let names: Vec<&str> = candidates.iter().map(|delimiter| delimiter_name(*delimiter)).collect();
    names.join(", ")
}

fn delimiter_name(delimiter: char) -> &'static str {
    match delimiter {
        ',' => "comma",
        ';' => "semicolon",
        '\t' => "tab",
        _ => "bar",
    }
}
