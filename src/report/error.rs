//! What can go wrong while reporting, and what the operator can do about it.
//!
//! Not here: errors of other rooms (each has its own type), and how an error is printed (`explain.rs`).

use std::io;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::report::style::plural;

/// Why a report could not be written or read. Never holds a value of a field.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run directory could not be written.
    #[error("cannot write {what} at {}", path.display())]
    Write {
        /// What it is, in a few words.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of verdicts could not be written.
    #[error("cannot write the verdicts to {}", path.display())]
    Verdicts {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of verdicts would replace an input.
    #[error("the output {} is one of the inputs", path.display())]
    OutputIsInput {
        /// Where.
        path: PathBuf,
    },
    /// A file or directory of past runs could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A report of a past run is not what this program writes.
    #[error("{} is not a report of simsync", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What the parser says; our own reports hold no value of a field.
        source: serde_json::Error,
    },
    /// A report of a past run was written by a newer program.
    #[error("{} has schema version {found}, this program reads up to {known}", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest this program reads.
        known: u32,
    },
    /// A row has more cells than the row file has columns: writing it would shift values into wrong columns.
    #[error("a row has {found}, the row file has {}", plural(*columns, "input column"))]
    Shape {
        /// Cells of the row, in words.
        found: String,
        /// Columns of the file.
        columns: u64,
    },
    /// Standard output could not be written (a full disk; a closed pipe is no error).
    #[error("cannot write to standard output")]
    Output {
        /// Why.
        source: io::Error,
    },
    /// No run has this name.
    #[error("no run is named {name}")]
    UnknownRun {
        /// The name as given.
        name: String,
        /// Runs whose names come near, newest first.
        near: Vec<String>,
    },
    /// Several runs begin so.
    #[error("{count} runs begin with {name}")]
    AmbiguousRun {
        /// The name as given.
        name: String,
        /// How many.
        count: usize,
        /// Some of them, newest first.
        some: Vec<String>,
    },
    /// There is no run at all.
    #[error("no run has been recorded in {}", path.display())]
    NoRuns {
        /// The directory of runs.
        path: PathBuf,
    },
    /// Logging was set up twice.
    #[error("logs were set up twice")]
    Logs,
}

impl ReportError {
    /// What the operator can do.
    pub fn remedy(&self) -> String {
        match self {
            ReportError::Write { .. } => {
                "free some space or make the directory writable, then run the same command again; the journal is intact"
                    .into()
            }
            ReportError::Verdicts { .. } => {
                "free some space or name a file in a directory this user may write to, then run the check again; \
                 what was there before is as it was"
                    .into()
            }
            ReportError::OutputIsInput { .. } => "name another file with --output".into(),
            ReportError::Read { .. } => "check that the state directory exists and is readable (--state)".into(),
            ReportError::Unreadable { .. } => {
                "the file was damaged or edited; remove that run's directory to silence this".into()
            }
            ReportError::Newer { .. } => "read it with the version of simsync that wrote it".into(),
            ReportError::Shape { .. } => "this is a defect of simsync; please report it".into(),
            ReportError::Output { .. } => {
                "free some space where standard output goes; of a run, `simsync show latest` tells what became of it".into()
            }
            ReportError::UnknownRun { near, .. } if near.is_empty() => "list them with `simsync runs`".into(),
            ReportError::UnknownRun { near, .. } => {
                format!("did you mean {}? `simsync runs` lists all", near.join(" or "))
            }
            ReportError::AmbiguousRun { some, .. } => {
                format!("give more of its name, such as {}; `simsync runs` lists all", some.join(" or "))
            }
            ReportError::NoRuns { .. } => "name the state directory of the run with --state".into(),
            ReportError::Logs => "this is a defect of simsync; please report it".into(),
        }
    }

    /// The exit code a run ends with because of it.
    pub fn exit(&self) -> Exit {
        match self {
            ReportError::UnknownRun { .. }
            | ReportError::AmbiguousRun { .. }
            | ReportError::NoRuns { .. }
            | ReportError::OutputIsInput { .. } => Exit::Usage,
            ReportError::Write { .. }
            | ReportError::Verdicts { .. }
            | ReportError::Read { .. }
            | ReportError::Unreadable { .. }
            | ReportError::Newer { .. }
            | ReportError::Shape { .. }
            | ReportError::Output { .. }
            | ReportError::Logs => Exit::Unexpected,
        }
    }
}
