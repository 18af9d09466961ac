//! The log read once, on several threads: held against its own sequence and checksums, counted, and sorted for a fold.
//!
//! Each thread reads a stretch of sequences. Not here: what the counts are held against (`opening.rs`, `job.rs`), the
//! sorting (`sorted.rs`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::count::plural;

use super::codec::CodecError;
use super::core::LogSize;
use super::error::JournalError;
use super::record::{open_value, subject_of};
use super::sorted::{SortedLog, Sorter};
use super::store::ReadLog;

/// Threads that read a log or merge it at most: more would wait for the one that writes.
const THREADS_MAX: usize = 4;

/// Values that are worth a thread. Tests have small logs, and want to see more than one of them.
const VALUES_PER_THREAD: u64 = if cfg!(test) { 2 } else { 1024 };

/// Threads for a fold that nobody else waits beside.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// A part of the log, and how it is to be read.
pub(super) struct Gather<'a> {
    /// The log.
    pub(super) log: &'a (dyn ReadLog + Send + Sync),
    /// First sequence.
    pub(super) from: u64,
    /// Last sequence; the log may end before it.
    pub(super) through: u64,
    /// The sequence up to which records are counted apart.
    pub(super) mark: u64,
    /// Where what does not fit into memory goes meanwhile.
    pub(super) dir: &'a Path,
    /// Memory for records.
    pub(super) memory_max: u64,
    /// Threads at most.
    pub(super) threads: usize,
    /// Set when nobody wants the result any more.
    pub(super) cancelled: &'a AtomicBool,
}

/// What was found.
pub(super) struct Gathered {
    /// The records.
    pub(super) sorted: SortedLog,
    /// The last sequence; the one before the first when there is none.
    pub(super) last: u64,
    /// How many there are.
    pub(super) records: u64,
    /// Those of them up to the mark.
    pub(super) records_at_mark: u64,
    /// The values they are in.
    pub(super) size: LogSize,
}

/// What a thread found in its stretch.
struct Stretch {
    first: Option<u64>,
    last: u64,
    records: u64,
    records_at_mark: u64,
    size: LogSize,
    sorted: SortedLog,
}

impl Gather<'_> {
    /// Reads it.
    pub(super) fn run(&self) -> Result<Gathered, JournalError> {
        let through = self.through.min(self.log.last()?.unwrap_or_default());
        let values = (through + 1).saturating_sub(self.from);
        let most = (values / VALUES_PER_THREAD).max(1).min(self.threads.max(1) as u64);
        let border = |stretch: u64| self.from + values / most * stretch;
        let stretch = |number: u64| {
            let end = if number + 1 == most { through } else { border(number + 1) - 1 };
            self.stretch(border(number), end, self.memory_max / most)
        };
        let stretch = &stretch;
        let found: Vec<Result<Stretch, JournalError>> = std::thread::scope(|scope| {
            // Also where there is but one: the libraries beneath answer damage with a panic.
            let all: Vec<_> = (0..most).map(|number| scope.spawn(move || stretch(number))).collect();
            all.into_iter()
                .map(|one| one.join().unwrap_or_else(|_| Err(JournalError::panicked("reading the log"))))
                .collect()
        });
        let mut all = Gathered {
            sorted: SortedLog::new(self.dir),
            last: self.from - 1,
            records: 0,
            records_at_mark: 0,
            size: LogSize::default(),
        };
        for one in found {
            let one = one?;
            let Some(first) = one.first else { continue };
            check_next(all.last, first)?;
            all.last = one.last;
            all.records += one.records;
            all.records_at_mark += one.records_at_mark;
            all.size.values += one.size.values;
            all.size.bytes += one.size.bytes;
            all.sorted.append(one.sorted);
        }
        Ok(all)
    }

    fn stretch(&self, from: u64, through: u64, memory_max: u64) -> Result<Stretch, JournalError> {
        let mut sorter = Sorter::new(self.dir, memory_max);
        let mut found = Stretch {
            first: None,
            last: 0,
            records: 0,
            records_at_mark: 0,
            size: LogSize::default(),
            sorted: SortedLog::new(self.dir),
        };
        self.log.scan(from, through, &mut |sequence, value| {
            check_wanted(self.cancelled)?;
            if found.first.is_some() {
                check_next(found.last, sequence)?;
            }
            let opened = open_value(sequence, value).map_err(|fault| log_fault(sequence, fault))?;
            found.first = found.first.or(Some(sequence));
            found.last = sequence;
            found.size.values += 1;
            found.size.bytes += value.len() as u64;
            found.records += u64::from(opened.count);
            found.records_at_mark += if sequence <= self.mark { u64::from(opened.count) } else { 0 };
            for record in opened.records() {
                let record = record.map_err(|fault| log_fault(sequence, fault))?;
                let subject = subject_of(record).map_err(|fault| log_fault(sequence, fault))?;
                sorter.push(subject, record)?;
            }
            Ok(())
        })?;
        found.sorted = sorter.finish()?;
        Ok(found)
    }
}

/// How many of the log's values are missing between two.
pub(super) fn lost_values(last: u64, sequence: u64) -> String {
    let lost = sequence.saturating_sub(last + 1);
    let are = if lost == 1 { "is" } else { "are" };
    format!("{} of it {are} lost", plural(lost, "value"))
}

fn check_next(last: u64, sequence: u64) -> Result<(), JournalError> {
    if sequence == last + 1 {
        return Ok(());
    }
    Err(JournalError::damaged(
        format!("the log goes from sequence {last} to {sequence}"),
        lost_values(last, sequence),
    ))
}

/// An error when nobody wants the result any more.
pub(super) fn check_wanted(cancelled: &AtomicBool) -> Result<(), JournalError> {
    if cancelled.load(Ordering::Relaxed) { Err(JournalError::Closed) } else { Ok(()) }
}

/// The error of a log value that cannot be read back.
pub(super) fn log_fault(sequence: u64, fault: CodecError) -> JournalError {
    match fault {
        CodecError::Damaged(why) => JournalError::damaged(
            format!("the log value of sequence {sequence}: {why}"),
            "its records, and whether those after it are all there, are lost",
        ),
        CodecError::Unknown(what) => JournalError::UnknownFormat { what },
    }
}
