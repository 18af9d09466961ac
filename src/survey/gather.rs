//! Gathers what the plan needs of the rows, in a bounded number of bytes, and joins it with the ledger on all
//! processors.
//!
//! Wiring between the survey's loop, the plan, its space on disk, and the ledger. Not here: reading and judging rows
//! (`survey.rs`), the rulings (`plan/`).

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::digest::SubjectId;
use crate::exit::Exit;
use crate::journal::{Journal, JournalError, LedgerScan};
use crate::ledger::LedgerEntry;
use crate::plan::{
    CHAIN_LINKS_MAX_DEFAULT, Hands, JoinError, LedgerSlices, PARTITION_BITS_DEFAULT, Partitions, Plan,
    PlanRules, SUBJECT_ROWS_MAX_DEFAULT, Staged, Survey, SurveyBounds,
};
use crate::spill::{BLOCK_BYTES_MIN, Space, Spill, SpillError, disk_text};
use crate::update::FieldSet;

/// Memory for the rows of a survey, unless set otherwise.
const MEMORY_BYTES_MAX_DEFAULT: usize = 48 << 20;

/// What of a partition is ruled on at once, at least: below it, threads would wait for the disk.
const PART_BYTES_MIN: usize = 1 << 20;

/// How rows are gathered.
#[derive(Debug, Clone)]
pub struct GatherOptions {
    /// Where the private file goes that takes what memory does not.
    pub dir: PathBuf,
    /// Memory for rows, in bytes.
    pub memory_max: usize,
    /// Rows of one subject that are ruled on in memory.
    pub subject_rows_max: u64,
    /// Pairs of subjects of which one takes what the other gives up, of which the order is found.
    pub chain_links_max: usize,
    /// Whether rows are only counted: nothing can be planned then.
    pub counts_only: bool,
}

impl Default for GatherOptions {
    fn default() -> GatherOptions {
        GatherOptions {
            dir: std::env::temp_dir(),
            memory_max: MEMORY_BYTES_MAX_DEFAULT,
            subject_rows_max: SUBJECT_ROWS_MAX_DEFAULT,
            chain_links_max: CHAIN_LINKS_MAX_DEFAULT,
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
    /// The rows do not fit where they are kept.
    #[error("the rows of the survey cannot be kept: {0}")]
    Spill(#[from] SpillError),
    /// Something else than the room for rows.
    #[error("the rows of the survey cannot be kept: {0}")]
    Io(io::Error),
}

impl From<io::Error> for GatherError {
    fn from(error: io::Error) -> GatherError {
        match error.downcast::<SpillError>() {
            Ok(spill) => GatherError::Spill(spill),
            Err(error) => GatherError::Io(error),
        }
    }
}

impl GatherError {
    /// Exit code of a run that it stops.
    pub fn exit(&self) -> Exit {
        match self {
            GatherError::Spill(_) | GatherError::Io(_) => Exit::Unexpected,
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            GatherError::Spill(error) => error.remedy(),
            GatherError::Io(_) => "look at the message above; nothing was sent because of it",
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

impl<E> From<JoinError<E>> for FinishError<E> {
    fn from(error: JoinError<E>) -> FinishError<E> {
        match error {
            JoinError::Space(error) => FinishError::Gather(error.into()),
            JoinError::Ledger(error) => FinishError::Ledger(error),
        }
    }
}

impl LedgerSlices for Journal {
    type Error = JournalError;
    type Slice = LedgerScan;

    fn slice(&self, from: SubjectId, to_exclusive: Option<SubjectId>) -> Result<LedgerScan, JournalError> {
        self.ledger_range(from, to_exclusive)
    }

    fn read_next(slice: &mut LedgerScan, into: &mut LedgerEntry) -> Result<bool, JournalError> {
        slice.read_next(into)
    }
}

/// The plan's partitions, in memory and beyond.
#[derive(Debug)]
struct SpillSpace {
    space: Space,
    block_bytes: usize,
}

impl crate::plan::Space for SpillSpace {
    fn partitions(&self, count: usize) -> Box<dyn Partitions> {
        Box::new(Spilled(self.space.partitions(count, self.block_bytes)))
    }
}

/// Partitions of a spill, as the plan asks for them.
#[derive(Debug)]
struct Spilled(Spill);

impl Partitions for Spilled {
    fn append(&self, partition: usize, record: &[u8]) -> io::Result<()> {
        self.0.append(partition, record).map_err(io::Error::other)
    }

    fn append_each(&self, records: &mut dyn Iterator<Item = (usize, &[u8])>) -> io::Result<()> {
        self.0.append_each(records).map_err(io::Error::other)
    }

    fn read(&self, partition: usize, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.read(partition, take).map_err(io::Error::other)
    }

    fn overwrite(&self, partition: usize, records: &[u8]) -> io::Result<()> {
        self.0.overwrite(partition, records).map_err(io::Error::other)
    }

    fn bytes(&self, partition: usize) -> u64 {
        self.0.bytes(partition)
    }
}

/// Threads for the jobs of a join.
struct Threads {
    count: usize,
}

impl Hands for Threads {
    fn each(&self, jobs: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let run = || {
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs {
                    return;
                }
                work(job);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.count.min(jobs) {
                // A thread that cannot be had is no harm: the others do its jobs.
                drop(std::thread::Builder::new().name("join".into()).spawn_scoped(scope, run));
            }
            run();
        });
    }

    fn count(&self) -> usize {
        self.count.max(1)
    }
}

/// How far the input was read.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    rows: u64,
    bytes: u64,
    bytes_total: u64,
}

/// The rows of a survey, as far as the plan needs them.
#[derive(Debug)]
pub struct Gather {
    survey: Survey,
    space: Space,
    /// Bytes of rows from which on the disk will be needed; it is looked at shortly before.
    memory_bytes_max: u64,
    progress: Progress,
    is_foreseen: bool,
    notice: Option<String>,
    counts_only: bool,
    /// Rows counted and those filtered, where rows are only counted.
    counted: (u64, u64),
}

impl Gather {
    /// Nothing yet, of exports with these columns mapped.
    pub fn new(mapped: FieldSet, options: &GatherOptions) -> Gather {
        let memory = options.memory_max;
        // Half of the memory for blocks that are never written, an eighth each for what partitions of rows, claims
        // and pairs gather before it is written at once.
        let kept = memory / 2;
        let block_bytes = ((memory / 8) >> PARTITION_BITS_DEFAULT).max(BLOCK_BYTES_MIN);
        let space = Space::new(&options.dir, kept);
        let bounds = SurveyBounds {
            partition_bits: PARTITION_BITS_DEFAULT,
            part_bytes_max: (memory / 4).max(PART_BYTES_MIN) as u64,
            subject_rows_max: options.subject_rows_max,
            filter_bytes_max: (memory / 6) as u64,
            chain_links_max: options.chain_links_max,
        };
        let spill = SpillSpace { space: space.clone(), block_bytes };
        Gather {
            survey: Survey::within(mapped, Box::new(spill), bounds),
            space,
            memory_bytes_max: kept as u64,
            progress: Progress::default(),
            is_foreseen: false,
            notice: None,
            counts_only: options.counts_only,
            counted: (0, 0),
        }
    }

    /// Takes all rows up to an ordinal: the staged ones, whose ordinals are so much lower than they should be, and
    /// rejected ones.
    ///
    /// # Errors
    /// When they cannot be kept, or when it is foreseen that the rows to come cannot.
    ///
    /// # Panics
    /// When a row has a field whose column is not mapped.
    pub fn take(&mut self, staged: &mut Staged, shift: u64, last: u64) -> Result<(), GatherError> {
        if self.counts_only {
            self.counted.0 = last;
            return Ok(());
        }
        let limit = self.memory_bytes_max / 8 * 7;
        if !self.is_foreseen && self.survey.bytes_needed().0 + staged.bytes_left() >= limit {
            // One by one up to the row that finds too little room, so that it is the same however rows are staged.
            for ordinal in self.rows() + 1..=last {
                if !self.is_foreseen && self.survey.bytes_needed().0 >= limit {
                    self.foresee()?;
                }
                self.survey.take(staged, shift, ordinal)?;
            }
            return Ok(());
        }
        Ok(self.survey.take(staged, shift, last)?)
    }

    /// A row that was taken is one that a filter leaves out.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn was_filtered(&mut self, ordinal: u64) {
        if self.counts_only {
            self.counted.1 += 1;
        } else {
            self.survey.was_filtered(ordinal);
        }
    }

    /// How far the input was read, for the estimate of what the survey will need. Returns what the operator should
    /// read, at most once.
    pub fn progressed(&mut self, bytes: u64, bytes_total: u64) -> Option<String> {
        self.progress = Progress { rows: self.rows(), bytes, bytes_total };
        self.notice.take()
    }

    /// Rows taken so far, the rejected ones included.
    pub fn rows(&self) -> u64 {
        if self.counts_only { self.counted.0 } else { self.survey.rows() }
    }

    /// Rows that a filter left out.
    pub fn rows_filtered(&self) -> u64 {
        if self.counts_only { self.counted.1 } else { self.survey.rows_filtered() }
    }

    /// Joins the rows with the ledger, on so many threads, and rules on every one of them.
    ///
    /// # Errors
    /// When rows cannot be read back, and the first error of the ledger. Nothing is ruled then.
    ///
    /// # Panics
    /// When rows were only counted, the ledger is out of order or a row lacks the key field, and in the end when the
    /// books do not close.
    pub fn finish<L: LedgerSlices>(
        self,
        rules: &PlanRules,
        ledger: &L,
        threads: usize,
    ) -> Result<Plan, FinishError<L::Error>> {
        assert!(!self.counts_only, "rows that were only counted cannot be planned");
        Ok(self.survey.finish(rules, ledger, &Threads { count: threads })?)
    }

    /// Bytes that the rows of the whole input will need, and at most come to need until the plan is made.
    fn needed(&self) -> (u64, u64) {
        let (rows, all) = self.survey.bytes_needed();
        let scaled = |bytes| foreseen(bytes, self.progress, self.rows());
        (scaled(rows), scaled(all).saturating_add(self.survey.bytes_of_large(&scaled)))
    }

    /// Finds out, before anything is written, whether the disk has the room for what is to come.
    fn foresee(&mut self) -> Result<(), GatherError> {
        self.is_foreseen = true;
        let (rows, needed) = self.needed();
        if rows <= self.memory_bytes_max {
            // The input ends before the memory does, as far as can be seen.
            return Ok(());
        }
        self.space.require(needed)?;
        let (dir, free) = (self.space.dir().display(), disk_text(self.space.free_bytes()?));
        self.notice =
            Some(format!("the survey needs at most about {} in {dir}; {free} are free", disk_text(needed)));
        Ok(())
    }
}

/// What so many bytes for the rows so far make for the whole input; of an input of which nobody knows how far it was
/// read, twice as much.
fn foreseen(bytes: u64, progress: Progress, rows: u64) -> u64 {
    if progress.bytes == 0 || progress.rows == 0 {
        return bytes.saturating_mul(2);
    }
    let of = u128::from(bytes) * u128::from(progress.rows) / u128::from(rows.max(1));
    let all = of * u128::from(progress.bytes_total.max(progress.bytes)) / u128::from(progress.bytes);
    u64::try_from(all).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
