//! The verdicts of `check`: one line of JSON per input row, in order, streamed to a private file or to standard output.
//!
//! A file gets its name only when it is complete: until [`Verdicts::finish`] it is a temporary file beside it, named
//! `FILE.partial-…`, which vanishes with this value; a kill leaves it under that name. Not here: what a row's verdict
//! is (`cli/verdicts.rs`).

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::choice::choice;
use crate::report::error::ReportError;
use crate::report::rows::WrittenFile;
use crate::report::run_dir::sync_dir;
use crate::report::style::is_hostile;
use crate::update::FieldKind;

/// Name that stands for standard output.
pub const VERDICTS_STDOUT: &str = "-";

/// What the file is called in summaries, whatever its path.
const VERDICTS_NAME: &str = "verdicts";

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 64 * 1024;

choice! {
    /// What becomes of a row.
    pub enum RowVerdict {
        /// It goes on; what was normalized is no reason to look at it.
        Ok = "ok",
        /// It goes on with a warning.
        Warned = "warned",
        /// It is not sent.
        Rejected = "rejected",
    }
}

choice! {
    /// What was found in a cell.
    pub enum CellVerdict {
        /// Its value is sent as it stands.
        Ok = "ok",
        /// It was normalized.
        Fix = "fix",
        /// It is worth a look.
        Warn = "warn",
        /// It rejects its row.
        Error = "error",
        /// It says nothing: no cell, an empty one, or a null marker.
        Absent = "absent",
    }
}

/// A row's line. Its `Debug` holds no cell.
#[derive(Clone, Serialize)]
pub struct VerdictLine<'a> {
    /// Name of its input.
    pub file: &'a str,
    /// Line on which it begins.
    pub line: u64,
    /// Its ordinal over all inputs, from 1.
    pub row: u64,
    /// What becomes of it.
    #[serde(serialize_with = "row_name")]
    pub verdict: RowVerdict,
    /// Canonical value of the key field; `None` when it is absent or rejected.
    pub subject: Option<&'a str>,
    /// Its mapped fields in wire order.
    #[serde(serialize_with = "by_name")]
    pub fields: &'a [CellLine<'a>],
    /// Codes about the row, not about a cell.
    pub codes: &'a [&'static str],
}

/// A cell within its row's line. Of passwords neither text nor value is ever written, whatever is given here.
#[derive(Clone)]
pub struct CellLine<'a> {
    /// The field.
    pub field: FieldKind,
    /// The cell as the input holds it; `None` where the row has no such cell, or a JSON null.
    pub raw: Option<&'a str>,
    /// The canonical value; `None` when there is none or it is not sent.
    pub value: Option<&'a str>,
    /// What was found.
    pub verdict: CellVerdict,
    /// The codes of all findings, normalizations included.
    pub codes: Vec<&'static str>,
}

impl fmt::Debug for VerdictLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictLine")
            .field("row", &self.row)
            .field("verdict", &self.verdict)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CellLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellLine")
            .field("field", &self.field)
            .field("verdict", &self.verdict)
            .field("codes", &self.codes)
            .finish_non_exhaustive()
    }
}

fn row_name<S: Serializer>(verdict: &RowVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.name())
}

fn by_name<S: Serializer>(cells: &&[CellLine<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(cells.len()))?;
    for cell in *cells {
        map.serialize_entry(cell.field.name(), cell)?;
    }
    map.end()
}

impl Serialize for CellLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_secret = self.field == FieldKind::Password;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("raw", &self.raw.filter(|_| !is_secret))?;
        map.serialize_entry("value", &self.value.filter(|_| !is_secret))?;
        map.serialize_entry("verdict", self.verdict.name())?;
        map.serialize_entry("codes", &self.codes)?;
        map.end()
    }
}

/// The file of verdicts, or standard output in its place.
///
/// After the first error nothing is written any more, and [`Verdicts::finish`] tells it: a check goes on to its end
/// without its file. A reader of standard output that went away is no error.
pub struct Verdicts {
    sink: Sink,
    path: PathBuf,
    line: Vec<u8>,
    rows: u64,
    failure: Option<io::Error>,
}

enum Sink {
    /// A file that will be named in the end.
    File(BufWriter<tempfile::NamedTempFile>),
    /// A stream that has no end to wait for: standard output, a pipe, a device.
    Stream(BufWriter<Box<dyn Write>>),
    /// Nothing more is written.
    Closed,
}

impl Verdicts {
    /// Opens the output: a path, or `-` for standard output. `inputs` must not be written over.
    ///
    /// # Errors
    /// When it is one of the inputs, or cannot be created.
    pub fn create(output: &Path, inputs: &[&Path]) -> Result<Verdicts, ReportError> {
        if output.as_os_str() == VERDICTS_STDOUT {
            return Ok(Verdicts::to(Box::new(io::stdout()), output.into()));
        }
        let failed = |source| ReportError::Verdicts { path: output.into(), source };
        let there = match fs::metadata(output) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(there) = &there {
            let is_there = |input: &&Path| {
                fs::metadata(input)
                    .is_ok_and(|input| (input.dev(), input.ino()) == (there.dev(), there.ino()))
            };
            if there.is_file() && inputs.iter().any(is_there) {
                return Err(ReportError::OutputIsInput { path: output.into() });
            }
            if there.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            if !there.is_file() {
                // A pipe or a device is written to as it is: renaming something over it would destroy it.
                let stream = OpenOptions::new().write(true).open(output).map_err(failed)?;
                return Ok(Verdicts::to(Box::new(stream), output.into()));
            }
        }
        // Of a link, the file it leads to is replaced, and not the link.
        let path =
            if there.is_some() { fs::canonicalize(output).map_err(failed)? } else { output.to_owned() };
        let file = partial(&path).map_err(failed)?;
        let sink = Sink::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Verdicts { sink, path, line: Vec::new(), rows: 0, failure: None })
    }

    fn to(stream: Box<dyn Write>, path: PathBuf) -> Verdicts {
        let sink = Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream));
        Verdicts { sink, path, line: Vec::new(), rows: 0, failure: None }
    }

    /// Writes a row's line.
    pub fn write(&mut self, line: &VerdictLine<'_>) {
        let written = match &mut self.sink {
            Sink::File(file) => render(line, &mut self.line).and_then(|()| file.write_all(&self.line)),
            Sink::Stream(stream) => render(line, &mut self.line).and_then(|()| stream.write_all(&self.line)),
            Sink::Closed => return,
        };
        match written {
            Ok(()) => self.rows += 1,
            Err(error) => self.close(error),
        }
    }

    fn close(&mut self, error: io::Error) {
        let is_stream = matches!(self.sink, Sink::Stream(_));
        let closed = std::mem::replace(&mut self.sink, Sink::Closed);
        if let Sink::Stream(stream) = closed {
            // What it still holds would be written by its drop, to somebody who is gone.
            drop(stream.into_parts());
        }
        if !(is_stream && error.kind() == io::ErrorKind::BrokenPipe) {
            self.failure = Some(error);
        }
    }

    /// Completes the output: flushed, synced, named. `None` where it has no name to tell.
    ///
    /// # Errors
    /// The first error of any write.
    pub fn finish(mut self) -> Result<Option<WrittenFile>, ReportError> {
        let is_file = matches!(self.sink, Sink::File(_));
        let ended = match std::mem::replace(&mut self.sink, Sink::Closed) {
            Sink::File(file) => persist(file, &self.path),
            Sink::Stream(mut stream) => match stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    drop(stream.into_parts());
                    Ok(())
                }
                flushed => flushed,
            },
            Sink::Closed => Ok(()),
        };
        let failure = self.failure.take().or(ended.err());
        match failure {
            Some(source) if self.path.as_os_str() == VERDICTS_STDOUT => Err(ReportError::Output { source }),
            Some(source) => Err(ReportError::Verdicts { path: self.path, source }),
            None if is_file => {
                Ok(Some(WrittenFile { name: VERDICTS_NAME, path: self.path, rows: self.rows }))
            }
            None => Ok(None),
        }
    }
}

impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdicts").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// The directory a file lies in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A private file beside the one it will become. tempfile creates files readable by their owner alone (0600), and the
/// name given later keeps that.
fn partial(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut prefix = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    prefix.push(".partial-");
    tempfile::Builder::new().prefix(&prefix).tempfile_in(directory(path))
}

fn persist(file: BufWriter<tempfile::NamedTempFile>, path: &Path) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    let _: File = file.persist(path).map_err(|error| error.error)?;
    sync_dir(directory(path))
}

/// A line of JSON, ended. What could steer a terminal, turn text around or end a line for some reader is written
/// `\uNNNN`, which reads back the same.
fn render(line: &VerdictLine<'_>, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    serde_json::to_writer(&mut *into, line)?;
    // serde_json escapes C0 controls itself, so that plain text has nothing more to escape.
    if into.iter().any(|byte| *byte >= 0x7f) {
        let text = std::str::from_utf8(into).map_err(io::Error::other)?;
        let mut escaped = String::with_capacity(text.len() + 16);
        for character in text.chars() {
            if is_hostile(character) {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                escaped.push(character);
            }
        }
        *into = escaped.into_bytes();
    }
    into.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
