//! What the journal thread owns: the store, the watermark, and how far they are; the commit and the fold.
//!
//! A commit is values, flush, sync, watermark; whatever fails in it ends the journal, for nobody knows what of it is
//! on the disk (a second flush after a failed one proves nothing). A log that grows past its bound is folded by a
//! thread of its own up to where it was then, while commits go on; the result is named between two commits, and what
//! it stands for is dropped a little with each of the next ones. Not here: the thread and its queue (`thread.rs`),
//! the fold's own work (`fold.rs`, `job.rs`), checks at opening (`opening.rs`), batches (`batches.rs`).

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::JournalError;
use super::files;
use super::fold::{FOLD_BYTES_MAX, FoldCounts, OpenIntents};
use super::gather::Gathered;
use super::generation;
use super::job::{FoldJob, FoldTask, Folded};
use super::lock::StateLock;
use super::named;
use super::packing::{EncodedRecords, PackedValues, Packer};
use super::rewrite;
use super::store::{
    DROP_PER_VALUE, DROP_VALUES_BESIDE, DROP_VALUES_MAX, Group, STORE_DIR, Store, tell_phase,
};
use super::watermark::{LedgerName, Watermark, WatermarkFile};

/// Marks (values without records) that an idle journal may gather before they are dropped.
const IDLE_VALUES_MAX: u64 = 64;

/// Length of the store's file up to which a journal is closed with it as it is. What stays after a fold takes some
/// kilobytes.
pub(super) const STORE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The standing generation, shared with those who read the ledger on other threads.
pub(super) type SharedLedger = Arc<Mutex<LedgerName>>;

/// What a journal did, told when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinishReport {
    /// Commits, each durable.
    pub commits: u64,
    /// Records committed.
    pub records: u64,
    /// Folds in the middle of the run, because the log had grown past its bound.
    pub folds: u64,
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

pub(super) struct Core {
    // A fold that is on reads the store; the store is dropped before the lock: fields drop in order.
    pub(super) job: Option<FoldJob>,
    pub(super) store: Box<dyn Store>,
    pub(super) watermark: WatermarkFile,
    /// Everything up to here is durable.
    pub(super) mark: Watermark,
    pub(super) log: LogSize,
    pub(super) state_dir: PathBuf,
    pub(super) ledger: SharedLedger,
    /// Memory a fold may take for records.
    pub(super) fold_bytes_max: u64,
    /// Bytes the log may have before it is folded in the middle of a run.
    pub(super) log_bytes_max: u64,
    /// The same, moved up by a fold that failed: it is not tried again at once.
    pub(super) fold_at_bytes: u64,
    /// Values up to this sequence are folded, and still to be dropped.
    pub(super) dropping_through: Option<u64>,
    /// Length of the store's file beyond which it is written anew at the end.
    pub(super) store_bytes_max: u64,
    /// Values of the last commit.
    added: u64,
    /// Their place, for the next one's.
    room: PackedValues,
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
            job: None,
            store,
            watermark,
            mark,
            log: LogSize::default(),
            state_dir,
            ledger: Arc::new(Mutex::new(mark.ledger)),
            fold_bytes_max: FOLD_BYTES_MAX,
            log_bytes_max: u64::MAX,
            fold_at_bytes: u64::MAX,
            dropping_through: None,
            store_bytes_max: STORE_BYTES_MAX,
            added: 0,
            room: PackedValues::default(),
            stopped: None,
            report: FinishReport::default(),
            lock,
        }
    }

    /// Lets the log be folded in the middle of a run whenever it has grown past so many bytes.
    pub(super) fn bound_log(&mut self, log_bytes_max: u64) {
        self.log_bytes_max = log_bytes_max.max(1);
        self.fold_at_bytes = self.log_bytes_max;
    }

    /// Whether the journal still works.
    pub(super) fn alive(&self) -> Result<(), JournalError> {
        self.stopped.as_ref().map_or(Ok(()), |cause| Err(JournalError::Stopped(Arc::clone(cause))))
    }

    /// Ends the journal; the first cause stays.
    fn stop(&mut self, error: JournalError) -> JournalError {
        JournalError::Stopped(Arc::clone(self.stopped.get_or_insert_with(|| Arc::new(error))))
    }

    /// Makes records durable.
    pub(super) fn commit_records(&mut self, records: &[EncodedRecords]) -> Result<(), JournalError> {
        tell_phase("begin");
        let mut packer = Packer::in_room_of(std::mem::take(&mut self.room), self.mark.sequence + 1);
        records.iter().for_each(|some| packer.push(some));
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
        tell_phase("pack");
        self.store
            .commit(&group)
            .and_then(|()| self.watermark.write(&mark))
            .map_err(|error| self.stop(error))?;
        tell_phase("watermark");
        self.mark = mark;
        self.log.values += size.values;
        self.log.bytes += size.bytes;
        self.report.commits += 1;
        self.report.records += records;
        self.added = size.values;
        self.room = group.values;
        Ok(())
    }

    /// Folds the log into a new generation; the run is over, and intents without an outcome are in doubt. A fold that
    /// fails before the new generation is named leaves the log standing and the journal working. What it stands for
    /// is dropped later: beside the next commits, or at the end.
    pub(super) fn fold(&mut self) -> Result<FoldCounts, JournalError> {
        self.fold_gathered(None)
    }

    /// The same, with the log's records where it has been read already.
    pub(super) fn fold_gathered(&mut self, gathered: Option<Gathered>) -> Result<FoldCounts, JournalError> {
        self.alive()?;
        // One fold of everything costs less than the rest of one and another of what came meanwhile.
        match self.job.take() {
            Some(job) if job.is_finished() => self.end_job(job),
            job => drop(job),
        }
        self.alive()?;
        if self.mark.records == 0 && self.mark.ledger.open == 0 {
            return self.drop_marks();
        }
        let task = FoldTask { gathered, ..self.fold_task(OpenIntents::Doubt)? };
        let folded = task.run(&AtomicBool::new(false))?;
        self.name_generation(&folded)?;
        self.remove_unnamed_generations()?;
        self.report.subjects_folded = folded.counts.subjects;
        Ok(folded.counts)
    }

    /// What there is to do between two requests: a fold in the middle of the run is begun, or its result is taken
    /// over, or a part of what it stands for is dropped. Nobody waits for any of it.
    pub(super) fn tend(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        if let Some(job) = self.job.take_if(|job| job.is_finished()) {
            self.end_job(job);
        } else if self.dropping_through.is_some() {
            let values_max = (self.added * DROP_PER_VALUE).max(DROP_VALUES_BESIDE);
            let values_max = usize::try_from(values_max).unwrap_or(DROP_VALUES_MAX).min(DROP_VALUES_MAX);
            if let Err(error) = self.drop_some(values_max) {
                self.stop(error);
            }
        } else if self.job.is_none() && self.log.bytes > self.fold_at_bytes {
            let started = self.fold_task(OpenIntents::Carry).and_then(FoldJob::start);
            self.job = started.map_err(|error| self.put_off_fold(&error)).ok();
        }
    }

    /// Takes over what a fold in the middle of the run has written, or goes on without it.
    fn end_job(&mut self, job: FoldJob) {
        match job.finish() {
            Ok(folded) => {
                self.fold_at_bytes = self.log_bytes_max;
                self.report.folds += 1;
                // An error of the naming has ended the journal; files left behind are removed by the next opening.
                let named = self.name_generation(&folded).and_then(|()| self.remove_unnamed_generations());
                if let Err(error) = named {
                    tracing::warn!(%error, "what a fold stands for could not be put away");
                }
            }
            Err(error) => self.put_off_fold(&error),
        }
    }

    /// The log stands, and nothing is lost: the fold at the end of the run tries again, or the next one when the log
    /// has grown as much once more.
    fn put_off_fold(&mut self, error: &JournalError) {
        self.fold_at_bytes = self.log.bytes.saturating_add(self.log_bytes_max);
        tracing::warn!(%error, "the log could not be folded in the middle of the run");
    }

    /// Everything up to now, to be folded on whatever thread.
    pub(super) fn fold_task(&self, open: OpenIntents) -> Result<FoldTask, JournalError> {
        Ok(FoldTask {
            state_dir: self.state_dir.clone(),
            mark: self.mark,
            log: self.store.log()?,
            gathered: None,
            size: self.log,
            open,
            memory_max: self.fold_bytes_max,
        })
    }

    /// Step 1: the new generation, complete and synced under its own name, named nowhere yet.
    #[cfg(test)]
    pub(super) fn write_generation(&self) -> Result<Folded, JournalError> {
        self.fold_task(OpenIntents::Doubt)?.run(&AtomicBool::new(false))
    }

    /// Step 2: from here on the new generation stands, and the old one and the folded values are rubbish.
    pub(super) fn name_generation(&mut self, folded: &Folded) -> Result<(), JournalError> {
        let value = named::encode(named::LEDGER, &folded.name);
        let named = vec![(named::LEDGER.to_owned(), Some(value))];
        self.commit(Packer::new(self.mark.sequence + 1), named, Some(folded))?;
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = folded.name;
        self.log.values -= folded.size.values;
        self.log.bytes -= folded.size.bytes;
        self.dropping_through = Some(folded.name.through);
        Ok(())
    }

    /// Step 3: the folded values go.
    pub(super) fn drop_folded(&mut self) -> Result<(), JournalError> {
        while self.dropping_through.is_some() {
            self.drop_some(DROP_VALUES_MAX)?;
        }
        Ok(())
    }

    fn drop_some(&mut self, values_max: usize) -> Result<(), JournalError> {
        if let Some(through) = self.dropping_through
            && self.store.drop_some(through, values_max)?
        {
            self.dropping_through = None;
        }
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
        // One that is still on reads the store.
        drop(self.job.take());
        let closed = if self.stopped.is_some() {
            // Closing would flush once more, and a flush that failed is not repeated.
            drop(self.store);
            Ok(())
        } else if store_bytes(&self.state_dir) > self.store_bytes_max {
            // sled gives nothing back of what a long run has written.
            rewrite::close_anew(self.store, &self.state_dir, self.mark.ledger.through + 1)
        } else {
            self.drop_folded().and_then(|()| self.store.close())
        };
        self.lock.release();
        folded.and(closed).map(|()| report)
    }
}

/// Length of the store's file; 0 when there is none.
fn store_bytes(state_dir: &Path) -> u64 {
    std::fs::metadata(state_dir.join(STORE_DIR).join("db")).map_or(0, |meta| meta.len())
}

fn size_of(group: &Group) -> LogSize {
    LogSize { values: group.values.len() as u64, bytes: group.values.bytes() as u64 }
}
