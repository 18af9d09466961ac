//! What the journal thread owns: the store, the watermark, and how far they are; the commit and the fold.
//!
//! A commit is values, flush, sync, watermark; whatever fails in it ends the journal, for nobody knows what of it
//! is on the disk (a second flush after a failed one proves nothing). Not here: the thread and its queue
//! (`thread.rs`), checks at opening (`opening.rs`), batches (`batches.rs`).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::Record;

use super::error::JournalError;
use super::files;
use super::fold::{self, FoldCounts, LogPart, PARTITION_BYTES_MAX};
use super::generation::{self, GenerationReader, GenerationWriter};
use super::lock::StateLock;
use super::named;
use super::pages::PagesOwner;
use super::record::Packer;
use super::store::{Group, Store};
use super::watermark::{LedgerName, Watermark, WatermarkFile};

/// Marks (values without records) that an idle journal may gather before they are dropped.
const IDLE_VALUES_MAX: u64 = 64;

/// The standing generation, shared with those who read the ledger on other threads.
pub(super) type SharedLedger = Arc<Mutex<LedgerName>>;

/// What a journal did, told when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinishReport {
    /// Commits, each durable.
    pub commits: u64,
    /// Records committed.
    pub records: u64,
    /// Subjects whose entry the last fold wrote anew.
    pub subjects_folded: u64,
    /// Entries in the ledger.
    pub ledger_entries: u64,
    /// Bytes of the ledger's file.
    pub ledger_bytes: u64,
}

/// Values of the log that are not folded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LogSize {
    /// Values.
    pub(super) values: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// A generation that is written and not yet named.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) name: LedgerName,
    pub(super) counts: FoldCounts,
    pub(super) size: LogSize,
}

pub(super) struct Core {
    // The store is dropped before the lock: fields drop in order.
    pub(super) store: Box<dyn Store>,
    pub(super) watermark: WatermarkFile,
    /// Everything up to here is durable.
    pub(super) mark: Watermark,
    pub(super) log: LogSize,
    pub(super) state_dir: PathBuf,
    pub(super) ledger: SharedLedger,
    pub(super) partition_bytes_max: u64,
    pub(super) stopped: Option<Arc<JournalError>>,
    pub(super) report: FinishReport,
    pub(super) lock: StateLock,
}

impl Core {
    pub(super) fn new(
        store: Box<dyn Store>,
        watermark: WatermarkFile,
        mark: Watermark,
        state_dir: PathBuf,
        lock: StateLock,
    ) -> Core {
        Core {
            store,
            watermark,
            mark,
            log: LogSize::default(),
            state_dir,
            ledger: Arc::new(Mutex::new(mark.ledger)),
            partition_bytes_max: PARTITION_BYTES_MAX,
            stopped: None,
            report: FinishReport::default(),
            lock,
        }
    }

    /// Whether the journal still works.
    pub(super) fn alive(&self) -> Result<(), JournalError> {
        self.stopped.as_ref().map_or(Ok(()), |cause| Err(JournalError::Stopped(Arc::clone(cause))))
    }

    /// Ends the journal; the first cause stays.
    fn stop(&mut self, error: JournalError) -> JournalError {
        JournalError::Stopped(Arc::clone(self.stopped.get_or_insert_with(|| Arc::new(error))))
    }

    /// Makes records durable. They must have passed [`super::record::check`].
    pub(super) fn commit_records<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<(), JournalError> {
        let mut packer = Packer::new(self.mark.sequence + 1);
        records.for_each(|record| packer.push(record));
        self.commit(packer, Vec::new(), None)
    }

    /// Makes named values durable; `None` removes a name. An empty value goes to the log with them, so that the
    /// watermark notices their loss too.
    pub(super) fn commit_named(&mut self, named: Vec<(String, Option<Vec<u8>>)>) -> Result<(), JournalError> {
        self.commit(Packer::new(self.mark.sequence + 1), named, None)
    }

    fn commit(
        &mut self,
        packer: Packer,
        named: Vec<(String, Option<Vec<u8>>)>,
        folded: Option<&Folded>,
    ) -> Result<(), JournalError> {
        self.alive()?;
        let records = packer.records();
        let group = Group { values: packer.finish(), named };
        let size = size_of(&group);
        let mut mark = self.mark;
        mark.sequence += size.values;
        mark.records += records;
        if let Some(folded) = folded {
            mark.ledger = folded.name;
            mark.records -= folded.counts.records;
        }
        self.store
            .commit(&group)
            .and_then(|()| self.watermark.write(&mark))
            .map_err(|error| self.stop(error))?;
        self.mark = mark;
        self.log.values += size.values;
        self.log.bytes += size.bytes;
        self.report.commits += 1;
        self.report.records += records;
        Ok(())
    }

    /// Folds the log into a new generation. A fold that fails before the new generation is named leaves the log
    /// standing and the journal working.
    ///
    /// Folding past the log's bound in the middle of a run fits here: `write_generation` reads up to a sequence
    /// and touches nothing else, so it can run on a thread of its own; the other steps take over its result.
    pub(super) fn fold(&mut self) -> Result<FoldCounts, JournalError> {
        self.alive()?;
        if self.mark.records == 0 {
            return self.drop_marks();
        }
        let folded = self.write_generation()?;
        self.name_generation(&folded)?;
        self.drop_folded(&folded)?;
        self.remove_unnamed_generations()?;
        self.report.subjects_folded = folded.counts.subjects;
        Ok(folded.counts)
    }

    /// Step 1: the new generation, complete and synced under its own name, named nowhere yet.
    pub(super) fn write_generation(&self) -> Result<Folded, JournalError> {
        let old = GenerationReader::open(&self.state_dir, &self.mark.ledger, self.mark.identity)?;
        let owner = PagesOwner { identity: self.mark.identity, generation: self.mark.ledger.generation + 1 };
        let part = LogPart {
            scan: &|from, visit| self.store.scan(from, visit),
            from: self.mark.ledger.through + 1,
            through: self.mark.sequence,
            records: self.mark.records,
            bytes: self.log.bytes,
        };
        let mut writer = GenerationWriter::create(&self.state_dir, owner)?;
        let counts = fold::merge(&part, old, self.partition_bytes_max, &mut writer)?;
        let (entries, bytes) = writer.finish()?;
        let name = LedgerName { generation: owner.generation, through: part.through, entries, bytes };
        Ok(Folded { name, counts, size: self.log })
    }

    /// Step 2: from here on the new generation stands, and the old one and the folded values are rubbish.
    pub(super) fn name_generation(&mut self, folded: &Folded) -> Result<(), JournalError> {
        let value = named::encode(named::LEDGER, &folded.name);
        let named = vec![(named::LEDGER.to_owned(), Some(value))];
        self.commit(Packer::new(self.mark.sequence + 1), named, Some(folded))?;
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = folded.name;
        Ok(())
    }

    /// Step 3: the folded values go.
    pub(super) fn drop_folded(&mut self, folded: &Folded) -> Result<(), JournalError> {
        self.store.drop_through(folded.name.through)?;
        self.log.values -= folded.size.values;
        self.log.bytes -= folded.size.bytes;
        Ok(())
    }

    /// Step 4: files of generations that do not stand go: the old one, or what a killed fold left behind.
    pub(super) fn remove_unnamed_generations(&self) -> Result<(), JournalError> {
        let standing = generation::path_of(&self.state_dir, self.mark.ledger.generation);
        for path in generation::files_of(&self.state_dir)? {
            if path != standing {
                files::remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// The fold of a log without records: the generation stays, standing for the marks too.
    fn drop_marks(&mut self) -> Result<FoldCounts, JournalError> {
        if self.log.values > IDLE_VALUES_MAX {
            let name = LedgerName { through: self.mark.sequence, ..self.mark.ledger };
            let folded = Folded { name, counts: FoldCounts::default(), size: self.log };
            self.name_generation(&folded)?;
            self.drop_folded(&folded)?;
        }
        Ok(FoldCounts::default())
    }

    /// Folds, closes the store and releases the lock. What cannot be folded stays in the log, for the next
    /// opening.
    pub(super) fn finish(mut self) -> Result<FinishReport, JournalError> {
        let folded = self.fold();
        let report = FinishReport {
            ledger_entries: self.mark.ledger.entries,
            ledger_bytes: self.mark.ledger.bytes,
            ..self.report
        };
        let closed = if self.stopped.is_some() {
            // Closing would flush once more, and a flush that failed is not repeated.
            drop(self.store);
            Ok(())
        } else {
            self.store.close()
        };
        self.lock.release();
        folded.and(closed).map(|()| report)
    }
}

fn size_of(group: &Group) -> LogSize {
    let bytes = group.values.iter().map(|(_, value)| value.len() as u64).sum();
    LogSize { values: group.values.len() as u64, bytes }
}
