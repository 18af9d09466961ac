//! Row files: the rows a person has to look at, in the input's own columns and bytes plus our own columns, to be
//! corrected and fed back as they are. The door of the csv writer.
//!
//! Not here: which rows these are (`deliver/rows.rs`), reading them back (`input/`).

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

pub use remove::remove_rows;

use crate::report::error::ReportError;
use crate::report::run_dir::sync_dir;

/// Our own columns, after the input's. `_raw` holds a record that could not be split into cells.
pub const OWN_COLUMNS: [&str; 8] =
    ["_run", "_row", "_file", "_line", "_reason", "_signature", "_detail", "_raw"];

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 64 * 1024;

/// Which file a row goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowFileKind {
    /// Rejected by a rule, or unreadable.
    Rejected,
    /// Sent and failed.
    Failed,
    /// May or may not have been applied, or kept back because of that.
    InDoubt,
    /// In conflict with another subject.
    Conflict,
    /// Not sent, because something newer has set what they say, or another row of their subject is taken.
    Superseded,
}

impl RowFileKind {
    /// All kinds, in the order of the summary.
    pub const ALL: [RowFileKind; 5] = [
        RowFileKind::Rejected,
        RowFileKind::Failed,
        RowFileKind::InDoubt,
        RowFileKind::Conflict,
        RowFileKind::Superseded,
    ];

    /// Name of the file.
    pub const fn file_name(self) -> &'static str {
        match self {
            RowFileKind::Rejected => "rejected.csv",
            RowFileKind::Failed => "failed.csv",
            RowFileKind::InDoubt => "in_doubt.csv",
            RowFileKind::Conflict => "conflicts.csv",
            RowFileKind::Superseded => "superseded.csv",
        }
    }
}

/// A row for a row file. Its `Debug` holds no cell.
#[derive(Clone, Copy)]
pub struct RowLine<'a> {
    /// One per input column; fewer are filled up with empty cells.
    pub cells: &'a [Option<Cow<'a, str>>],
    /// The run whose batch the row belongs to; empty stands for this run.
    pub run: &'a str,
    /// Its ordinal in that batch.
    pub row: u64,
    /// Name of its input.
    pub file: &'a str,
    /// Line on which it begins.
    pub line: u64,
    /// The rule's code or the kind of failure.
    pub reason: &'a str,
    /// The server's complaint, masked.
    pub signature: &'a str,
    /// More for people.
    pub detail: &'a str,
    /// The record's bytes, when it could not be split; the cells are empty then.
    pub raw: Option<&'a [u8]>,
}

impl fmt::Debug for RowLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowLine")
            .field("row", &self.row)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// A row file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its name.
    pub name: &'static str,
    /// Its path.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
}

/// The row files of a run. A file exists only when it has rows, and gets its name only when it is complete: until
/// [`RowFiles::finish`] they are temporary files, which vanish with this value.
pub struct RowFiles {
    dir: PathBuf,
    run_id: String,
    columns: Vec<String>,
    /// Whether the input's column of that index is written; our own columns of a file fed back are not, again.
    kept: Vec<bool>,
    files: [Option<Open>; RowFileKind::ALL.len()],
}

struct Open {
    writer: csv::Writer<BufWriter<tempfile::NamedTempFile>>,
    rows: u64,
}

impl RowFiles {
    /// Prepares row files in a run's directory. `columns` are the input's, in the order of a row's cells.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn create(run_dir: &Path, columns: &[String], run_id: &str) -> Result<RowFiles, ReportError> {
        super::run_dir::create_private_dir(run_dir)?;
        Ok(RowFiles {
            dir: run_dir.into(),
            run_id: run_id.into(),
            columns: columns.to_vec(),
            kept: columns.iter().map(|column| !OWN_COLUMNS.contains(&column.as_str())).collect(),
            files: [const { None }; RowFileKind::ALL.len()],
        })
    }

    /// Writes a row to a file.
    ///
    /// # Errors
    /// When the file cannot be written, or the row has more cells than there are columns.
    pub fn write(&mut self, kind: RowFileKind, line: &RowLine<'_>) -> Result<(), ReportError> {
        let columns = self.columns.len();
        if line.cells.len() > columns {
            let found = super::style::plural(count(line.cells.len()), "cell");
            return Err(ReportError::Shape { found, columns: count(columns) });
        }
        let slot = &mut self.files[kind as usize];
        let open = match slot {
            Some(open) => open,
            None => {
                let header = self.columns.iter().zip(&self.kept).filter(|(_, kept)| **kept);
                let opened = Open::create(&self.dir, kind, header.map(|(column, _)| column.as_str()));
                slot.insert(opened.map_err(failed(&self.dir, kind))?)
            }
        };
        let run = if line.run.is_empty() { self.run_id.as_str() } else { line.run };
        open.write(&self.kept, run, line).map_err(failed(&self.dir, kind))
    }

    /// Completes the files: flushed, synced, named. Returns those that have rows.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(self) -> Result<Vec<WrittenFile>, ReportError> {
        let mut written = Vec::new();
        for (kind, open) in RowFileKind::ALL.into_iter().zip(self.files) {
            let Some(open) = open else { continue };
            let rows = open.rows;
            let path = self.dir.join(kind.file_name());
            open.persist(&path).map_err(failed(&self.dir, kind))?;
            written.push(WrittenFile { name: kind.file_name(), path, rows });
        }
        if let Some(last) = written.last() {
            let synced = sync_dir(&self.dir);
            synced.map_err(|source| ReportError::Write {
                what: "row files",
                path: last.path.clone(),
                source,
            })?;
        }
        Ok(written)
    }
}

impl fmt::Debug for RowFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFiles").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Open {
    fn create<'c>(dir: &Path, kind: RowFileKind, columns: impl Iterator<Item = &'c str>) -> io::Result<Open> {
        let prefix = format!(".{}.", kind.file_name());
        // tempfile creates files readable by their owner alone (0600), and the name given later keeps that.
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempfile_in(dir)?;
        let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(BUFFER_BYTES, file));
        writer.write_record(columns.chain(OWN_COLUMNS))?;
        Ok(Open { writer, rows: 0 })
    }

    fn write(&mut self, kept: &[bool], run: &str, line: &RowLine<'_>) -> io::Result<()> {
        let cells = line.cells.iter().map(|cell| cell.as_deref().unwrap_or(""));
        for (cell, kept) in cells.chain(std::iter::repeat("")).zip(kept) {
            if *kept {
                self.writer.write_field(cell)?;
            }
        }
        let (row, number) = (line.row.to_string(), line.line.to_string());
        let raw = line.raw.map(readable).unwrap_or_default();
        for cell in [run, &row, line.file, &number, line.reason, line.signature, line.detail, &raw] {
            self.writer.write_field(cell)?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        self.rows += 1;
        Ok(())
    }

    fn persist(self, path: &Path) -> io::Result<()> {
        let buffered = self.writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
        let mut file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Bytes as text: what is no UTF-8, and NUL, is written as `\xNN`, so that the file as a whole stays UTF-8 and can be
/// fed back: a NUL would have its row rejected again, whatever was corrected.
fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\0')
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\0', "\\x00"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    Cow::Owned(text)
}

fn failed(dir: &Path, kind: RowFileKind) -> impl FnOnce(io::Error) -> ReportError {
    let path = dir.join(kind.file_name());
    move |source| ReportError::Write { what: "a row file", path, source }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

mod remove;
#[cfg(test)]
mod tests;
