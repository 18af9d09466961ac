//! [`Inputs`]: the inputs of a run, open, with their columns known.
//!
//! Not here: reading rows (`reader.rs`), and the decisions themselves (`sniff.rs`, `map.rs`, and the formats' files).

use std::fmt::{self, Write as _};
use std::io::Read;
use std::sync::Arc;

use super::blocks::{Source, Window};
use super::encoding::{self, Told};
use super::error::{ColumnNames, SourceError};
use super::feed::Reading;
use super::head::{CsvOptions, Head};
use super::header::{CsvLayout, Ending};
use super::layout::{Layout, Shape};
use super::line_ends;
use super::map::Rules;
use super::members::Members;
use super::reader::RowReader;
use super::watched::Watched;
use super::{
    Bounds, Format, InputFile, InputOptions, MappingNote, Pass, TextNote, UnknownColumn, UnsafeIntegers,
};
use super::{names, open, sniff};
use crate::digest::ContentHash;
use crate::update::{FieldKind, FieldSet};

/// All inputs of a run, open, with their columns known; no row is read yet.
pub struct Inputs {
    pub(super) files: Vec<InputFile>,
    pub(super) shapes: Vec<Shape>,
    columns: Vec<String>,
    /// Shared with those who read stretches of an input ahead.
    pub(super) rules: Arc<Rules>,
    pub(super) bounds: Bounds,
    pub(super) watched: Watched,
    csv: CsvOptions,
    shaping: String,
    /// Whether the operator told the encoding.
    encoding: Option<Told>,
}

impl Inputs {
    /// Opens all inputs, spools those that can be read only once, and finds out format, delimiter and columns.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when an input cannot be opened, is of another kind, or its columns are not clear.
    pub fn open(options: &InputOptions) -> Result<Inputs, SourceError> {
        Inputs::open_with(options, &mut std::io::stdin().lock())
    }

    pub(super) fn open_with(options: &InputOptions, stdin: &mut dyn Read) -> Result<Inputs, SourceError> {
        let bounds = options.bounds;
        let encoding = options.encoding.as_deref().map(Told::of).transpose()?;
        let sources = open::open_all(&options.inputs, &options.spool_dir, bounds.files_max, stdin)?;
        let mut rules = Rules::new(&options.columns);
        rules.unsafe_integers = options.unsafe_integers;
        rules.watched_count = options.watched.len();
        let mut inputs = Inputs {
            files: Vec::new(),
            shapes: Vec::new(),
            columns: Vec::new(),
            rules: Arc::new(rules),
            bounds,
            watched: Watched::new(&options.watched, &options.old_columns),
            csv: CsvOptions::new(options),
            shaping: String::new(),
            encoding,
        };
        let mut window = Window::default();
        for source in sources {
            inputs.add(source, options.format, &mut window)?;
        }
        inputs.check_missing(false)?;
        inputs.shaping = inputs.describe();
        Ok(inputs)
    }

    fn add(&mut self, mut source: Source, told: Format, window: &mut Window) -> Result<(), SourceError> {
        let own = self.find_reading(&mut source, window)?.map(|delimiter| self.csv.of_own(delimiter));
        let file = source.name.as_str();
        let told = if own.is_some() { Format::Csv } else { told };
        let format = sniff::format(told, file, window.bytes());
        let layout = match format {
            Format::Ndjson => Layout::Ndjson(Members::inspect(file, window, &self.rules, &self.bounds)?),
            Format::Csv | Format::Auto => {
                let options = own.as_ref().unwrap_or(&self.csv);
                let head = Head { file, window, bounds: &self.bounds, options };
                line_ends::check(head)?;
                Layout::Csv(Arc::new(CsvLayout::inspect(head, &self.rules)?))
            }
        };
        let watched = match &layout {
            Layout::Csv(layout) => self.watched.in_header(file, &layout.names)?,
            Layout::Ndjson(_) => Vec::new(),
        };
        self.files.push(InputFile {
            name: file.to_owned(),
            bytes: source.bytes,
            format,
            rows_seen: 0,
            footer_rows: 0,
            header_rows: 0,
        });
        self.shapes.push(Shape { source, layout, positions: Vec::new(), watched });
        self.extend_columns(self.shapes.len() - 1);
        Ok(())
    }

    /// Finds out how the bytes of an input become text, and leaves the first of it in the window. Returns the delimiter
    /// of one of our own row files, for which nothing holds that was said about inputs.
    fn find_reading(&self, source: &mut Source, window: &mut Window) -> Result<Option<u8>, SourceError> {
        let name = source.name.clone();
        let foreign = |found, inside| Err(SourceError::Foreign { file: name.clone(), found, inside });
        source.reading = Reading { expansion_max: self.bounds.expansion_max, ..Reading::default() };
        window.open(source)?;
        let packing = sniff::packing(window.bytes());
        if packing.is_some() {
            source.reading.packing = packing;
            window.open(source)?;
            if let Some(again) = sniff::packing(window.bytes()) {
                return foreign(again.twice(), packing);
            }
        }
        if let Some(found) = sniff::foreign(window.bytes()) {
            return foreign(found, packing);
        }
        // We write UTF-8; only a program that saved the file in another encoding makes what was told hold for it.
        let is_as_written = sniff::own_delimiter(window.bytes()).is_some() && sniff::is_utf8(window.bytes());
        let told = self.encoding.filter(|_| !is_as_written);
        source.reading.charset = encoding::decide(&name, told, window.bytes())?;
        if source.reading.charset.is_some() {
            window.open(source)?;
            if let Some(found) = sniff::markup(sniff::without_bom(window.bytes())) {
                return foreign(found, packing);
            }
        }
        window.take_failure().map_or(Ok(sniff::own_delimiter(window.bytes())), Err)
    }

    /// Gives every column of an input its position among the columns of all.
    pub(super) fn extend_columns(&mut self, file: usize) {
        let shape = &mut self.shapes[file];
        let names = shape.layout.names();
        for at in shape.positions.len()..names.len() {
            let name = names[at];
            if names::is_reserved(name) {
                shape.positions.push(None);
                continue;
            }
            // A name that stands twice in one header is two columns.
            let nth = names[..at].iter().filter(|earlier| **earlier == name).count();
            let known = self.columns.iter().enumerate().filter(|(_, known)| *known == name).nth(nth);
            let position = known.map(|(position, _)| position).unwrap_or_else(|| {
                self.columns.push(name.to_owned());
                self.columns.len() - 1
            });
            shape.positions.push(Some(position));
        }
    }

    /// The inputs in their order.
    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// Length of all inputs.
    pub fn bytes_total(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Fields that have a column in at least one input.
    pub fn mapped(&self) -> FieldSet {
        self.shapes
            .iter()
            .flat_map(|shape| shape.layout.claims(&self.rules))
            .map(|(field, _, _)| field)
            .collect()
    }

    /// Which column stands for which field, input by input. Of NDJSON, as far as it was read.
    pub fn mapping_notes(&self) -> Vec<MappingNote> {
        let mut notes = Vec::new();
        for shape in &self.shapes {
            let note = |field, column: &str, by| MappingNote {
                file: shape.source.name.clone(),
                field,
                column: column.to_owned(),
                by,
            };
            notes.extend(
                shape
                    .layout
                    .claims(&self.rules)
                    .into_iter()
                    .map(|(field, column, by)| note(field, column, Some(by))),
            );
            if !shape.layout.names().is_empty() {
                let missing = shape.layout.missing(&self.rules).into_iter();
                notes.extend(missing.map(|(field, column)| note(field, column, None)));
            }
        }
        notes
    }

    /// What is worth knowing about the text of the inputs; complete after a survey that was read to its end.
    pub fn text_notes(&self) -> Vec<TextNote> {
        let mut notes = Vec::new();
        for Shape { source, layout, .. } in &self.shapes {
            let file = || source.name.clone();
            if let (Some(charset), None) = (source.reading.charset, self.encoding) {
                notes.push(TextNote::Decoded { file: file(), encoding: charset.name() });
            }
            if let Some(line) = source.mojibake_line {
                notes.push(TextNote::Mojibake { file: file(), line });
            }
            let Layout::Csv(layout) = layout else { continue };
            if let Some(told) = layout.overruled {
                let [told, taken] = [told, layout.delimiter].map(char::from);
                notes.push(TextNote::DelimiterOverruled { file: file(), told, taken });
            }
            match layout.ending {
                Ending::Whole => {}
                Ending::CutOff(line) => notes.push(TextNote::CutOff { file: file(), line }),
                Ending::Open(line) => notes.push(TextNote::NoLastLineEnd { file: file(), line }),
            }
        }
        notes
    }

    /// Columns that stand for no field and are not our own, each name once; of NDJSON, as far as it was read.
    pub fn unknown_columns(&self) -> Vec<UnknownColumn> {
        let mut unknown: Vec<UnknownColumn> = Vec::new();
        for name in self.shapes.iter().flat_map(|shape| shape.layout.unmapped()) {
            if !name.is_empty()
                && !self.watched.takes(name)
                && !unknown.iter().any(|known| known.name == name)
            {
                unknown.push(UnknownColumn { name: name.to_owned(), suggestion: names::suggestion(name) });
            }
        }
        if unknown.iter().any(|column| names::looks_like_data(&column.name)) {
            // A file without a header, perhaps: its first row must not be printed as names.
            let name = names::shown(unknown.iter().map(|column| column.name.as_str()));
            return vec![UnknownColumn { name, suggestion: None }];
        }
        unknown
    }

    /// All columns of the inputs in order of first appearance, without our own. NDJSON members are complete after the
    /// survey.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// For each input the positions in [`Inputs::columns`] of what stands for a field, or holds it; complete after the
    /// survey.
    pub fn columns_of(&self, field: FieldKind) -> Vec<Vec<usize>> {
        let of_shape = |shape: &Shape| {
            let columns = shape.layout.columns_of(field).into_iter();
            columns.filter_map(|column| shape.positions.get(column).copied().flatten()).collect()
        };
        self.shapes.iter().map(of_shape).collect()
    }

    /// Whether an input is a file of our own, fed back: it has a column or member `_run`. Of NDJSON, as far as it was
    /// read.
    pub fn is_fed_back(&self) -> bool {
        self.shapes.iter().any(|shape| shape.layout.names().contains(&"_run"))
    }

    /// What was decided about formats, delimiters and columns, as a text that is equal when the decisions are. Part of
    /// the batch id; it holds no file names, and does not change between passes.
    pub fn shaping(&self) -> String {
        self.shaping.clone()
    }

    /// Begins a pass over all inputs. [`Pass::Again`] needs a survey that was read to its end.
    pub fn read(&mut self, pass: Pass) -> RowReader<'_> {
        RowReader::new(self, pass)
    }

    /// Hash of each input's content, after a survey that was read to its end.
    pub fn content_hashes(&self) -> Vec<ContentHash> {
        self.shapes.iter().map(|shape| shape.source.content_hash()).collect()
    }

    /// All inputs were read.
    pub(super) fn finish(&self, pass: Pass) -> Result<(), SourceError> {
        match pass {
            Pass::Survey => {
                self.check_missing(true)?;
                self.watched.check_seen(&self.columns)
            }
            Pass::Again => Ok(()),
        }
    }

    /// A column mapped by name must be somewhere. A name that NDJSON may still bring is waited for until the survey
    /// has read everything; inputs without any column (empty ones) prove nothing.
    fn check_missing(&self, surveyed: bool) -> Result<(), SourceError> {
        let complete = |shape: &Shape| match &shape.layout {
            Layout::Csv(_) => true,
            Layout::Ndjson(members) => members.complete || surveyed,
        };
        let mut with_names = self.shapes.iter().filter(|shape| !shape.layout.names().is_empty());
        let Some(first) = with_names.next() else { return Ok(()) };
        if !self.shapes.iter().all(complete) {
            return Ok(());
        }
        let mut missing = first.layout.missing(&self.rules);
        for shape in with_names {
            let here = shape.layout.missing(&self.rules);
            missing.retain(|column| here.contains(column));
        }
        match missing.first() {
            None => Ok(()),
            Some((field, column)) => Err(SourceError::NoSuchColumn {
                field: *field,
                column: (*column).to_owned(),
                columns: ColumnNames(self.columns.clone()),
            }),
        }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for shape in &self.shapes {
            match &shape.layout {
                Layout::Csv(layout) => {
                    let delimiter = char::from(layout.delimiter);
                    text.push_str("csv ");
                    text.extend(delimiter.escape_default());
                    text.push_str(&layout.told);
                }
                Layout::Ndjson(_) => {
                    text.push_str("ndjson");
                    if self.rules.unsafe_integers == UnsafeIntegers::Accept {
                        text.push_str(" unsafe_integers");
                    }
                    // A member mapped by name may come after the head, which alone is known here.
                    for (field, name) in self.rules.explicit() {
                        write!(text, " {field}:{name:?}").unwrap_or_default();
                    }
                }
            }
            if let Some(charset) = shape.source.reading.charset {
                text.push(' ');
                text.push_str(charset.name());
            }
            for (field, column, _) in shape.layout.claims(&self.rules) {
                // Writing to a string cannot fail.
                write!(text, " {field}={column:?}").unwrap_or_default();
            }
            text.push('\n');
        }
        self.bounds.shaping(&mut text);
        text
    }
}

/// Prints the files and no column name: a file without a header has values where the names should be.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("files", &self.files).finish_non_exhaustive()
    }
}
