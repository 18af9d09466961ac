//! One pass over all inputs: rows in order, each with its place.
//!
//! Not here: how a record is found in the bytes (`csv.rs`, `ndjson.rs`), what a cell means (`fields/`).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::blocks::Window;
use super::csv::{CsvRows, line_breaks};
use super::error::{Problem, RowError, SourceError};
use super::header::CsvLayout;
use super::layout::{Layout, Shape};
use super::map::Rules;
use super::ndjson::{NdjsonRows, Own};
use super::watched::{WatchedAt, WatchedCells};
use super::{Bounds, Inputs, Pass};
use crate::row::{Origin, Place};
use crate::update::{FieldKind, FieldSet};

/// Where the pass is.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) pass: Pass,
    pub(super) file: u32,
    /// Line on which the next record begins.
    pub(super) line: u64,
    /// Ordinal of the row read last.
    pub(super) ordinal: u64,
    pub(super) blank_rows: u64,
    pub(super) footer_rows: u64,
    pub(super) header_rows: u64,
}

impl Spot {
    /// The ordinal before the first one of a stretch, where somebody else knows how many rows come before: there are
    /// some.
    pub(super) const ORDINAL_BEFORE: u64 = 1;

    /// Where a stretch of a CSV input begins.
    pub(super) fn of_stretch(file: u32, line: u64) -> Spot {
        let (pass, ordinal) = (Pass::Survey, Spot::ORDINAL_BEFORE);
        Spot { pass, file, line, ordinal, blank_rows: 0, footer_rows: 0, header_rows: 0 }
    }

    /// The place of the record that begins on this line; counts it.
    pub(super) fn next_place(&mut self, line: u64) -> Place {
        self.ordinal += 1;
        Place { ordinal: self.ordinal, file: self.file, line }
    }
}

/// What a format reader came to.
#[derive(Debug)]
pub(super) enum Step {
    /// A row, and the number in its `_row` when it has an origin.
    Row {
        /// Where it stands.
        place: Place,
        /// The number in its `_row`.
        origin_row: Option<u64>,
    },
    /// A record that is no row.
    Bad(RowError),
    /// The end of the file.
    End,
}

/// The reader of the file at hand.
pub(super) enum Rows {
    Csv(Box<CsvRows>),
    Ndjson(Box<NdjsonRows>),
}

/// Reads the rows of all inputs in order. Buffers are reused, so a row lives until the next is asked for.
pub struct RowReader<'i> {
    pub(super) inputs: &'i mut Inputs,
    pub(super) window: Window,
    pub(super) rows: Option<Rows>,
    /// Watched cells of the row read last: of NDJSON all, of CSV those that a path leads to.
    watched: WatchedCells,
    pub(super) spot: Spot,
    /// Bytes of the files read to their end.
    pub(super) bytes_done: u64,
    /// Rows, footers and repeated headers of the files read to their end.
    pub(super) done: [u64; 3],
    /// The row read last.
    place: Place,
    origin_row: Option<u64>,
    /// An error ended the pass, or the last file is read.
    pub(super) over: bool,
}

impl<'i> RowReader<'i> {
    pub(super) fn new(inputs: &'i mut Inputs, pass: Pass) -> RowReader<'i> {
        RowReader {
            inputs,
            window: Window::default(),
            rows: None,
            watched: WatchedCells::default(),
            spot: Spot { pass, file: 0, line: 1, ordinal: 0, blank_rows: 0, footer_rows: 0, header_rows: 0 },
            bytes_done: 0,
            done: [0; 3],
            place: Place { ordinal: 0, file: 0, line: 0 },
            origin_row: None,
            over: false,
        }
    }

    /// The next row; `None` after the last one, and forever after an error.
    ///
    /// # Errors
    ///
    /// The inner error is data: a record that is no row, with its place. The outer one stops the run.
    pub fn next_row(&mut self) -> Result<Option<Result<Row<'_>, RowError>>, SourceError> {
        if self.over {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some(Ok(()))) => Ok(Some(Ok(self.row()))),
            Ok(Some(Err(error))) => Ok(Some(Err(error))),
            Ok(None) => {
                self.over = true;
                Ok(None)
            }
            Err(error) => {
                self.over = true;
                Err(error)
            }
        }
    }

    /// Bytes of all inputs that are behind the reader.
    pub fn bytes_read(&self) -> u64 {
        let here = if self.rows.is_some() { self.window.bytes_behind() } else { 0 };
        self.bytes_done + here
    }

    /// Blank lines skipped so far: empty, of white space, or of delimiters only.
    pub fn blank_rows(&self) -> u64 {
        self.spot.blank_rows
    }

    /// Footers passed so far: totals, copyright lines, trailers at the end of an input.
    pub fn footer_rows(&self) -> u64 {
        self.spot.footer_rows
    }

    /// Headers passed so far that repeat the header of their input: exports that were joined.
    pub fn header_rows(&self) -> u64 {
        self.spot.header_rows
    }

    fn advance(&mut self) -> Result<Option<Result<(), RowError>>, SourceError> {
        loop {
            let Some(shape) = self.inputs.shapes.get_mut(file_index(self.spot.file)) else {
                self.inputs.finish(self.spot.pass)?;
                return Ok(None);
            };
            if self.rows.is_none() {
                self.rows = Some(begin(shape, &mut self.window, &mut self.spot)?);
                self.watched.begin_file();
            }
            let (source, window, spot) = (&mut shape.source, &mut self.window, &mut self.spot);
            let bounds = &self.inputs.bounds;
            let mut names_added = false;
            let step = match (&mut self.rows, &mut shape.layout) {
                (Some(Rows::Csv(rows)), Layout::Csv(layout)) => {
                    let begin = window.offset_of(window.start());
                    let step = rows.next(layout, source, window, spot, bounds)?;
                    let (watched, cell) = (&mut self.inputs.watched, |at| rows.record.get(at));
                    let cells =
                        || self.watched.read_csv(watched, &shape.watched, cell, bounds.json_depth_max);
                    and_then(step, cells, || passed(window, begin), bounds)
                }
                (Some(Rows::Ndjson(rows)), Layout::Ndjson(members)) => {
                    let known = members.len();
                    let step = rows.next(members, &self.inputs.rules, source, window, spot, bounds)?;
                    names_added = members.len() > known;
                    let watched = &mut self.inputs.watched;
                    let cells =
                        || self.watched.read(watched, members, rows.members(window), bounds.json_depth_max);
                    and_then(step, cells, || rows.line(window), bounds)
                }
                // A reader is made for its file's layout, and both are replaced together.
                (Some(Rows::Csv(_)), Layout::Ndjson(_))
                | (Some(Rows::Ndjson(_)), Layout::Csv(_))
                | (None, _) => Step::End,
            };
            if names_added {
                self.inputs.extend_columns(file_index(self.spot.file));
            }
            match step {
                Step::Row { place, origin_row } => {
                    self.place = place;
                    self.origin_row = origin_row;
                    self.note_mojibake(place.line);
                    return Ok(Some(Ok(())));
                }
                Step::Bad(error) => {
                    self.note_mojibake(error.place.line);
                    return Ok(Some(Err(error)));
                }
                Step::End => {
                    self.note_mojibake(self.spot.line);
                    self.end_file()?;
                }
            }
        }
    }

    /// Keeps the line of the first record that holds a sign of mojibake.
    fn note_mojibake(&mut self, line: u64) {
        if self.window.take_suspect().is_some() {
            self.inputs.shapes[file_index(self.spot.file)].source.mojibake_line = Some(line);
        }
    }

    fn end_file(&mut self) -> Result<(), SourceError> {
        let index = file_index(self.spot.file);
        let shape = &mut self.inputs.shapes[index];
        if let (Some(Rows::Csv(rows)), Layout::Csv(layout)) = (&mut self.rows, &mut shape.layout) {
            let layout = Arc::make_mut(layout);
            layout.nested.trails = std::mem::take(&mut rows.nested.trails);
            layout.ending = rows.ending;
        }
        let source = &mut shape.source;
        source.stop_fetching();
        source.check_length()?;
        self.bytes_done += source.bytes;
        let done = [self.spot.ordinal, self.spot.footer_rows, self.spot.header_rows];
        let file = &mut self.inputs.files[index];
        [file.rows_seen, file.footer_rows, file.header_rows] = [0, 1, 2].map(|at| done[at] - self.done[at]);
        self.done = done;
        self.rows = None;
        self.window.rewind();
        self.spot.file += 1;
        self.spot.line = 1;
        Ok(())
    }

    fn row(&self) -> Row<'_> {
        let shape = &self.inputs.shapes[file_index(self.place.file)];
        let columns = self.inputs.columns().len();
        let (run, view) = match (&self.rows, &shape.layout) {
            (Some(Rows::Csv(rows)), Layout::Csv(layout)) => {
                let sheet = Sheet { layout, positions: &shape.positions, watched: &shape.watched, columns };
                let read = (self.place, self.origin_row);
                return Row::of_csv(rows, sheet, read, &self.watched, &self.inputs.rules);
            }
            (Some(Rows::Ndjson(rows)), Layout::Ndjson(_)) => {
                let watched = &self.watched;
                let view = View::Ndjson { rows, window: &self.window, shape, columns, watched };
                (rows.own(Own::Run, &self.window), view)
            }
            (Some(Rows::Csv(_)), Layout::Ndjson(_)) | (Some(Rows::Ndjson(_)), Layout::Csv(_)) | (None, _) => {
                (None, View::Nothing { columns })
            }
        };
        let origin = self.origin_row.and_then(|row| Some((run?, row)));
        Row { place: self.place, origin, rules: &self.inputs.rules, view }
    }
}

/// Prints where the pass is and nothing of what it read.
impl fmt::Debug for RowReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowReader").field("spot", &self.spot).finish_non_exhaustive()
    }
}

fn begin(shape: &mut Shape, window: &mut Window, spot: &mut Spot) -> Result<Rows, SourceError> {
    Ok(match &shape.layout {
        Layout::Csv(layout) => {
            let rows = CsvRows::begin(layout, &mut shape.source, window, spot)?;
            if let Some(at) = window.take_suspect().and_then(|at| usize::try_from(at).ok()) {
                // It stands in the header, which is within the first block.
                shape.source.mojibake_line = Some(1 + line_breaks(&window.bytes()[..at]));
            }
            Rows::Csv(Box::new(rows))
        }
        Layout::Ndjson(_) => Rows::Ndjson(Box::new(NdjsonRows::begin(&mut shape.source, window, spot)?)),
    })
}

/// The step, or a bad row where the watched cells of a row cannot be read.
fn and_then<'w>(
    step: Step,
    cells: impl FnOnce() -> Result<(), Problem>,
    raw: impl FnOnce() -> &'w [u8],
    bounds: &Bounds,
) -> Step {
    match step {
        Step::Row { place, origin_row } => match cells() {
            Ok(()) => Step::Row { place, origin_row },
            Err(problem) => Step::Bad(problem.at(place, raw(), bounds.raw_bytes_max)),
        },
        Step::Bad(_) | Step::End => step,
    }
}

/// The bytes passed since a place in the text, without the line ends around them.
fn passed(window: &Window, begin: u64) -> &[u8] {
    let before = window.offset_of(0);
    let begin = usize::try_from(begin.saturating_sub(before)).unwrap_or(usize::MAX);
    let mut bytes = window.bytes().get(begin..window.start()).unwrap_or_default();
    while let Some(rest) = bytes.strip_prefix(b"\n").or(bytes.strip_prefix(b"\r")) {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_suffix(b"\n").or(bytes.strip_suffix(b"\r")) {
        bytes = rest;
    }
    bytes
}

pub(super) fn file_index(file: u32) -> usize {
    usize::try_from(file).unwrap_or(usize::MAX)
}

/// The number in `_row`, when `_run` and `_row` tell an origin; both empty or absent: none.
pub(super) fn origin_row(cells: [Option<&str>; 2]) -> Result<Option<u64>, Problem> {
    let [run, row] = cells.map(|cell| cell.map_or("", str::trim));
    if run.is_empty() && row.is_empty() {
        return Ok(None);
    }
    match row.parse::<u64>() {
        Ok(row) if row > 0 && !run.is_empty() => Ok(Some(row)),
        Ok(_) | Err(_) => {
            let detail = "_run and _row must both be filled as the row file had them, or both be empty";
            Err(Problem::new("origin.invalid", detail).of_column(if run.is_empty() {
                "_run"
            } else {
                "_row"
            }))
        }
    }
}

/// A row as it was read: cells as text, nothing checked but its form.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    place: Place,
    origin: Option<(&'r str, u64)>,
    rules: &'r Rules,
    view: View<'r>,
}

/// What is known of the columns of a CSV input.
#[derive(Clone, Copy)]
pub(super) struct Sheet<'r> {
    pub(super) layout: &'r CsvLayout,
    /// As in [`Shape`].
    pub(super) positions: &'r [Option<usize>],
    /// As in [`Shape`].
    pub(super) watched: &'r [WatchedAt],
    /// How many columns all inputs have together.
    pub(super) columns: usize,
}

#[derive(Clone, Copy)]
enum View<'r> {
    Csv {
        rows: &'r CsvRows,
        sheet: Sheet<'r>,
        /// Its run and its row there are known.
        is_fed_back: bool,
        watched: &'r WatchedCells,
    },
    Ndjson {
        rows: &'r NdjsonRows,
        window: &'r Window,
        shape: &'r Shape,
        columns: usize,
        watched: &'r WatchedCells,
    },
    Nothing {
        columns: usize,
    },
}

impl<'r> Row<'r> {
    /// The row that a reader of CSV came to: its place, and the number in its `_row` when it has an origin.
    pub(super) fn of_csv(
        rows: &'r CsvRows,
        sheet: Sheet<'r>,
        (place, origin_row): (Place, Option<u64>),
        watched: &'r WatchedCells,
        rules: &'r Rules,
    ) -> Row<'r> {
        let run = sheet.layout.origin[0].and_then(|column| rows.record.get(column));
        let origin = origin_row.and_then(|row| Some((run?, row)));
        let view = View::Csv { rows, sheet, is_fed_back: origin_row.is_some(), watched };
        Row { place, origin, rules, view }
    }

    /// Where the row stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The text of a field's column, as it stands in the input (a CSV cell unquoted, a JSON string decoded, a JSON
    /// number as its literal). `None`: the input has no such column, the object no such member, or it is null. An
    /// empty cell is `Some("")`.
    #[inline]
    pub fn cell(&self, field: FieldKind) -> Option<&'r str> {
        match self.view {
            View::Csv { rows, sheet, is_fed_back, .. } => {
                let cell = csv_cell(rows, sheet.layout, field);
                cell.filter(|cell| !(is_fed_back && stands_for_null(field, cell)))
            }
            View::Ndjson { rows, window, .. } => rows.cell(field, window),
            View::Nothing { .. } => None,
        }
    }

    /// Fields that have a column in the row's input; of NDJSON, as far as it was read.
    pub fn mapped(&self) -> FieldSet {
        match self.view {
            View::Csv { sheet, .. } => {
                sheet.layout.claims(self.rules).into_iter().map(|(field, _, _)| field).collect()
            }
            View::Ndjson { shape, .. } => {
                shape.layout.claims(self.rules).into_iter().map(|(field, _, _)| field).collect()
            }
            View::Nothing { .. } => FieldSet::EMPTY,
        }
    }

    /// The fields whose value was a JSON number: its digits are those of the input, but a number has no leading zeros.
    pub fn numbers(&self) -> FieldSet {
        match self.view {
            View::Csv { rows, .. } => rows.nested.numbers,
            View::Ndjson { rows, .. } => rows.numbers,
            View::Nothing { .. } => FieldSet::EMPTY,
        }
    }

    /// The text of a watched column, by its position in [`super::InputOptions::watched`]; of NDJSON booleans as they
    /// are written, too. `None`: the row has no such cell, or it is null.
    pub fn watched(&self, column: usize) -> Option<&'r str> {
        match self.view {
            View::Csv { rows, sheet, watched, .. } => {
                let at = sheet.watched.get(column)?;
                if at.is_path { watched.get(column) } else { rows.record.get(at.position) }
            }
            View::Ndjson { watched, .. } => watched.get(column),
            View::Nothing { .. } => None,
        }
    }

    /// The text of the column that holds what a field was before, of [`super::OLD_FIELDS`].
    pub fn old(&self, field: FieldKind) -> Option<&'r str> {
        let at = super::OLD_FIELDS.into_iter().position(|of| of == field)?;
        self.watched(self.rules.watched_count + at).filter(|cell| !cell.is_empty())
    }

    /// Whether the input has any column that holds what a field was before. Nearly none has, and nearly every row is
    /// asked.
    pub fn may_have_old(&self) -> bool {
        match self.view {
            View::Csv { sheet, .. } => {
                sheet.watched.iter().skip(self.rules.watched_count).any(|at| at.is_somewhere())
            }
            View::Ndjson { .. } => true,
            View::Nothing { .. } => false,
        }
    }

    /// Whether the member of a field is there and null. A CSV cell is only in a row fed back from our own files, or
    /// where a path leads into it.
    pub fn is_null(&self, field: FieldKind) -> bool {
        match self.view {
            View::Ndjson { rows, .. } => rows.nulls.contains(field),
            View::Csv { rows, sheet, is_fed_back, .. } => {
                let is_text =
                    || csv_cell(rows, sheet.layout, field).is_some_and(|cell| stands_for_null(field, cell));
                rows.nested.nulls.contains(field) || (is_fed_back && is_text())
            }
            View::Nothing { .. } => false,
        }
    }

    /// What `_run` and `_row` say of the row's past.
    pub fn origin(&self) -> Option<Origin> {
        self.origin.map(|(run, row)| Origin { run: run.trim().to_owned(), row })
    }

    /// What a row fed back from `rejected.csv` carries in `_raw`: the record that could not be split, not corrected
    /// yet.
    pub fn carried_raw(&self) -> Option<&'r str> {
        match self.view {
            View::Csv { rows, sheet, .. } => {
                sheet.layout.raw.and_then(|column| rows.record.get(column)).filter(|raw| !raw.is_empty())
            }
            View::Ndjson { rows, window, .. } => rows.own(Own::Raw, window).filter(|raw| !raw.is_empty()),
            View::Nothing { .. } => None,
        }
    }

    /// The row's cells in the order of [`Inputs::columns`], for the row files; `out` is cleared first. A JSON value
    /// other than a string stands as it is written; `None` where the row has no such column, or it is null and stands
    /// for no field. A null that stands for a field is `null`, and a text of these letters gets a space in front,
    /// which every rule trims: fed back, the two must not be taken for each other, since a null may clear its field.
    /// A password, which nothing clears and nothing trims, stands as it is.
    pub fn originals(&self, out: &mut Vec<Option<Cow<'r, str>>>) {
        out.clear();
        match self.view {
            View::Csv { rows, sheet, .. } => {
                out.resize(sheet.columns, None);
                for (at, (cell, position)) in rows.record.iter().zip(sheet.positions).enumerate() {
                    if let Some(position) = position {
                        let is_like_null =
                            cell == NULL && self.origin.is_none() && sheet.layout.may_be_null(at);
                        out[*position] = Some(Cow::Borrowed(if is_like_null { NULL_TEXT } else { cell }));
                    }
                }
            }
            View::Ndjson { rows, window, shape, columns, .. } => {
                out.resize(columns, None);
                for (member, value) in rows.members(window) {
                    if let Some(position) = shape.positions.get(member).copied().flatten() {
                        out[position] = original(value);
                        if matches!(out[position].as_deref(), None | Some(NULL))
                            && shape.may_be_null(member, self.rules)
                        {
                            out[position] = Some(Cow::Borrowed(if value == NULL { NULL } else { NULL_TEXT }));
                        }
                    }
                }
            }
            View::Nothing { columns } => out.resize(columns, None),
        }
    }
}

/// Prints no cell: values of identifiers belong in no log.
impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a record has for a field: in its column, or where a path leads to from there.
#[inline]
fn csv_cell<'r>(rows: &'r CsvRows, layout: &CsvLayout, field: FieldKind) -> Option<&'r str> {
    rows.nested.value(field).unwrap_or_else(|| {
        let (column, _) = layout.columns[field.index()]?;
        rows.record.get(column)
    })
}

/// Whether a cell of a row file stands for a null. A password, which nothing clears, does not.
fn stands_for_null(field: FieldKind, cell: &str) -> bool {
    cell == NULL && field != FieldKind::Password
}

/// A JSON null in a row file, where it stands for a field.
const NULL: &str = "null";

/// A text in a row file that would be taken for [`NULL`] otherwise.
const NULL_TEXT: &str = " null";

/// A JSON value as a cell. A string that cannot be decoded stands as it is written.
fn original(value: &str) -> Option<Cow<'_, str>> {
    if value == "null" {
        return None;
    }
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Some(Cow::Borrowed(value));
    };
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    Some(serde_json::from_str(value).map_or(Cow::Borrowed(value), Cow::Owned))
}
