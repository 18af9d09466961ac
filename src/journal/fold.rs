//! The fold: an old generation and the log's records, merged subject by subject into a new generation.
//!
//! Recovery and compaction are this one function. It only reads the log and writes a new file, so it can run off
//! the journal thread, and does when a run's log grows past its bound. Not here: sorting the records (`sorted.rs`), the thread
//! (`job.rs`), naming the new generation and dropping what it stands for (`core.rs`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::SubjectId;
use crate::ledger::{EntryFold, LedgerEntry};

use super::codec::CodecError;
use super::entry::{decode_parts, encode_entry, has_open_intents, is_blank};
use super::error::JournalError;
use super::generation::{GenerationReader, GenerationWriter};
use super::record::{decode_record, open_value, subject_of};
use super::sorted::Sorter;
use super::store::ReadLog;

/// Memory that a fold's records may take, by estimate.
pub(super) const FOLD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The part of the log to fold.
pub(super) struct LogPart<'a> {
    /// How to read it. It is read once.
    pub(super) log: &'a dyn ReadLog,
    /// First sequence.
    pub(super) from: u64,
    /// Last sequence.
    pub(super) through: u64,
    /// Records in it.
    pub(super) records: u64,
    /// Where what does not fit into memory goes meanwhile.
    pub(super) dir: &'a Path,
    /// Memory for records.
    pub(super) memory_max: u64,
    /// Set when nobody wants the result any more.
    pub(super) cancelled: &'a AtomicBool,
}

/// What becomes of intents that have no outcome in the part of the log that is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenIntents {
    /// They stay open beside their entries: the run goes on, and their outcomes are to come.
    Carry,
    /// They are in doubt: the run is over.
    Doubt,
}

/// What a fold did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FoldCounts {
    /// Subjects the log had records of.
    pub(super) subjects: u64,
    /// Records folded.
    pub(super) records: u64,
    /// Intents without an outcome, now in doubt.
    pub(super) in_doubt: u64,
    /// Intents without an outcome, still open.
    pub(super) open: u64,
}

/// Merges a part of the log and the old generation into a new one.
pub(super) fn merge(
    part: &LogPart<'_>,
    old: Option<GenerationReader>,
    open: OpenIntents,
    out: &mut GenerationWriter,
) -> Result<FoldCounts, JournalError> {
    let mut sorter = Sorter::new(part.dir, part.memory_max);
    part.log.scan(part.from, part.through, &mut |sequence, value| {
        check_wanted(part.cancelled)?;
        let opened = open_value(sequence, value).map_err(|fault| log_fault(sequence, fault))?;
        for record in opened.records() {
            let record = record.map_err(|fault| log_fault(sequence, fault))?;
            let subject = subject_of(record).map_err(|fault| log_fault(sequence, fault))?;
            sorter.push(subject, record)?;
        }
        Ok(())
    })?;
    let mut records = sorter.finish()?;
    let mut merger = Merger {
        old,
        current: None,
        fold: None,
        open,
        out,
        value: Vec::new(),
        counts: FoldCounts::default(),
        cancelled: part.cancelled,
    };
    merger.advance()?;
    while let Some((subject, record)) = records.next()? {
        merger.apply(subject, record)?;
    }
    merger.emit()?;
    merger.copy_below(None)?;
    if merger.counts.records != part.records {
        return Err(JournalError::damaged(
            format!("the log holds {} records where {} were counted", merger.counts.records, part.records),
            "nothing yet: the log was left standing",
        ));
    }
    Ok(merger.counts)
}

fn check_wanted(cancelled: &AtomicBool) -> Result<(), JournalError> {
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

struct Merger<'a> {
    old: Option<GenerationReader>,
    /// The old generation's next entry.
    current: Option<(SubjectId, Vec<u8>)>,
    /// The subject whose records are being folded.
    fold: Option<EntryFold>,
    open: OpenIntents,
    out: &'a mut GenerationWriter,
    value: Vec<u8>,
    counts: FoldCounts,
    cancelled: &'a AtomicBool,
}

impl Merger<'_> {
    fn advance(&mut self) -> Result<(), JournalError> {
        check_wanted(self.cancelled)?;
        let before = self.current.take();
        let Some(old) = &mut self.old else { return Ok(()) };
        let Some((subject, value)) = old.next()? else { return Ok(()) };
        // grenad panics, naming both keys, when entries do not ascend.
        let ascends = before.as_ref().is_none_or(|(last, _)| *last < subject);
        let mut buffer = before.map(|(_, buffer)| buffer).unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(value);
        if !ascends {
            return Err(old.fault(CodecError::Damaged("its entries do not ascend")));
        }
        self.current = Some((subject, buffer));
        Ok(())
    }

    /// Copies the old entries before a subject as they are.
    fn copy_below(&mut self, subject: Option<SubjectId>) -> Result<(), JournalError> {
        while let Some((current, value)) = &self.current {
            if subject.is_some_and(|subject| *current >= subject) {
                break;
            }
            if has_open_intents(value) {
                self.fold = Some(self.take_current()?);
                self.emit()?;
            } else {
                self.out.insert(*current, value)?;
                self.advance()?;
            }
        }
        Ok(())
    }

    /// What the old generation holds of a subject.
    fn take_old(&mut self, subject: SubjectId) -> Result<EntryFold, JournalError> {
        self.copy_below(Some(subject))?;
        match &self.current {
            Some((current, _)) if *current == subject => self.take_current(),
            Some(_) | None => Ok(EntryFold::new(LedgerEntry::new(subject))),
        }
    }

    /// The current old entry, with the intents that were open when it was folded.
    fn take_current(&mut self) -> Result<EntryFold, JournalError> {
        let (Some((subject, value)), Some(old)) = (&self.current, &self.old) else {
            return Err(JournalError::Misuse { what: "an entry behind the last" });
        };
        let (entry, open) = decode_parts(*subject, value).map_err(|fault| old.fault(fault))?;
        self.advance()?;
        Ok(EntryFold::resume(entry, open))
    }

    /// Folds the next record.
    fn apply(&mut self, subject: SubjectId, record: &[u8]) -> Result<(), JournalError> {
        if self.fold.as_ref().is_none_or(|fold| fold.subject() != subject) {
            check_wanted(self.cancelled)?;
            self.emit()?;
            self.fold = Some(self.take_old(subject)?);
            self.counts.subjects += 1;
        }
        let record = decode_record(record).map_err(|fault| match fault {
            CodecError::Damaged(why) => JournalError::damaged(
                format!("a record of the log: {why}"),
                "nothing yet: the log was left standing",
            ),
            CodecError::Unknown(what) => JournalError::UnknownFormat { what },
        })?;
        if let Some(fold) = &mut self.fold {
            fold.apply(&record);
        }
        self.counts.records += 1;
        Ok(())
    }

    /// Writes the entry of the subject that was being folded.
    fn emit(&mut self) -> Result<(), JournalError> {
        let Some(fold) = self.fold.take() else { return Ok(()) };
        let (entry, open) = match self.open {
            OpenIntents::Carry => fold.into_parts(),
            OpenIntents::Doubt => {
                self.counts.in_doubt += fold.open_intents() as u64;
                (fold.finish(), Vec::new())
            }
        };
        self.counts.open += open.len() as u64;
        if !is_blank(&entry) || !open.is_empty() {
            self.value.clear();
            encode_entry(&entry, &open, &mut self.value);
            self.out.insert(entry.subject, &self.value)?;
        }
        Ok(())
    }
}
