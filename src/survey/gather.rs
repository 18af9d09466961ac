//! Gathers what the plan needs of the rows, in a bounded number of bytes, and joins it with the ledger.
//!
//! Wiring between the survey's loop, the plan and the ledger. Not here: reading and judging rows (`survey.rs`), the rulings
//! (`plan/`).

use std::convert::Infallible;
use std::path::PathBuf;

use crate::digest::SubjectId;
use crate::exit::Exit;
use crate::journal::{Journal, JournalError, LedgerScan};
use crate::ledger::LedgerEntry;
use crate::plan::{Plan, PlanRules, Survey, Surveyed};
use crate::update::FieldSet;

/// Memory for the rows of a survey, unless set otherwise.
pub const MEMORY_MAX_DEFAULT: usize = 48 << 20;

/// Rows that one subject may have, unless set otherwise.
pub const SUBJECT_ROWS_MAX_DEFAULT: u64 = 1_000_000;

/// How rows are gathered.
#[derive(Debug, Clone)]
pub struct GatherOptions {
    /// Where the private file goes that takes what memory does not.
    pub dir: PathBuf,
    /// Memory for rows, in bytes.
    pub memory_max: usize,
    /// Rows that one subject may have.
    pub subject_rows_max: u64,
    /// Whether rows are only counted: nothing can be planned then.
    pub counts_only: bool,
}

impl Default for GatherOptions {
    fn default() -> GatherOptions {
        GatherOptions {
            dir: std::env::temp_dir(),
            memory_max: MEMORY_MAX_DEFAULT,
            subject_rows_max: SUBJECT_ROWS_MAX_DEFAULT,
            counts_only: false,
        }
    }
}

impl GatherOptions {
    /// For a survey that no plan follows.
    pub fn counting() -> GatherOptions {
        GatherOptions { counts_only: true, ..GatherOptions::default() }
    }
}

/// Why rows cannot be gathered. Stops the run; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// One subject has more rows than is plausible.
    #[error("one key value has more than {rows_max} rows, the first of them row {first_ordinal}")]
    SubjectRows {
        /// Rows that one subject may have.
        rows_max: u64,
        /// Ordinal of the subject's first row.
        first_ordinal: u64,
    },
}

impl GatherError {
    /// Exit code of a run that it stops.
    pub fn exit(&self) -> Exit {
        match self {
            GatherError::SubjectRows { .. } => Exit::Stopped,
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            GatherError::SubjectRows { .. } => {
                "a key that so many rows share is a placeholder: correct the export, choose another --key, or raise \
                 plan.subject_rows_max"
            }
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum FinishError<E> {
    /// The rows cannot be kept or read back.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Ledger(E),
}

/// A ledger that is read slice by slice, by several threads at once.
pub trait LedgerSlices: Sync {
    /// Why it cannot be read.
    type Error: Send;
    /// The entries of a slice, ascending by subject.
    type Slice: Iterator<Item = Result<LedgerEntry, Self::Error>>;

    /// The entries from a subject on, up to another that is not among them, or to the end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn slice(&self, from: SubjectId, to_exclusive: Option<SubjectId>) -> Result<Self::Slice, Self::Error>;
}

/// The ledger where there is no journal.
#[derive(Debug, Clone, Copy)]
pub struct NoLedger;

impl LedgerSlices for NoLedger {
    type Error = Infallible;
    type Slice = std::iter::Empty<Result<LedgerEntry, Infallible>>;

    fn slice(&self, _: SubjectId, _: Option<SubjectId>) -> Result<Self::Slice, Infallible> {
        Ok(std::iter::empty())
    }
}

impl LedgerSlices for Journal {
    type Error = JournalError;
    type Slice = LedgerScan;

    fn slice(&self, _: SubjectId, _: Option<SubjectId>) -> Result<LedgerScan, JournalError> {
        self.ledger()
    }
}

/// The rows of a survey, as far as the plan needs them.
#[derive(Debug)]
pub struct Gather {
    survey: Survey,
}

impl Gather {
    /// Nothing yet, of exports with these columns mapped.
    pub fn new(mapped: FieldSet, _options: &GatherOptions) -> Gather {
        Gather { survey: Survey::new(mapped) }
    }

    /// Takes a valid row.
    ///
    /// # Errors
    /// When it cannot be kept.
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's (a row passed over would have no disposition), or a field's
    /// column is not mapped.
    pub fn row(&mut self, row: &Surveyed<'_>) -> Result<(), GatherError> {
        self.survey.row(row);
        Ok(())
    }

    /// Takes a rejected row of which nobody knows the subject or the place.
    ///
    /// # Errors
    /// As [`Gather::row`].
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's.
    pub fn rejected(&mut self, ordinal: u64) -> Result<(), GatherError> {
        self.survey.rejected(ordinal);
        Ok(())
    }

    /// Takes a rejected row that a column puts in its place among its subject's rows. It must not be replayed, since such
    /// a row keeps its version.
    ///
    /// # Errors
    /// As [`Gather::row`].
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's.
    pub fn rejected_in_order(
        &mut self,
        ordinal: u64,
        subject: SubjectId,
        rank: i128,
    ) -> Result<(), GatherError> {
        self.survey.rejected_in_order(ordinal, subject, rank);
        Ok(())
    }

    /// Takes a row that a filter leaves out.
    ///
    /// # Errors
    /// As [`Gather::row`].
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's.
    pub fn filtered(&mut self, ordinal: u64) -> Result<(), GatherError> {
        self.survey.filtered(ordinal);
        Ok(())
    }

    /// How far the input was read, for the estimate of what the survey will need. Returns what the operator should
    /// read, at most once.
    pub fn progressed(&mut self, _bytes: u64, _bytes_total: u64) -> Option<String> {
        None
    }

    /// Rows taken so far, the rejected ones included.
    pub fn rows(&self) -> u64 {
        self.survey.rows()
    }

    /// Rows that a filter left out.
    pub fn rows_filtered(&self) -> u64 {
        self.survey.rows_filtered()
    }

    /// Joins the rows with the ledger, on so many threads, and rules on every one of them.
    ///
    /// # Errors
    /// When rows cannot be read back or one subject has too many, and the first error of the ledger. Nothing is ruled
    /// then.
    ///
    /// # Panics
    /// When the ledger is out of order or a row lacks the key field, and in the end when the books do not close.
    pub fn finish<L: LedgerSlices>(
        self,
        rules: &PlanRules,
        ledger: &L,
        _threads: usize,
    ) -> Result<Plan, FinishError<L::Error>> {
        let entries = ledger.slice(SubjectId([0; 16]), None).map_err(FinishError::Ledger)?;
        self.survey.finish(rules, entries).map_err(FinishError::Ledger)
    }
}
