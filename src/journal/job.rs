//! A fold as a piece of work that can be carried to another thread, and the thread it is carried to when a run is on.
//!
//! Not here: what a fold does (`fold.rs`), when one begins and what becomes of its result (`core.rs`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::core::LogSize;
use super::error::JournalError;
use super::fold::{self, FoldCounts, FoldPart, OpenIntents};
use super::gather::{self, Gather, Gathered};
use super::generation::{GenerationWriter, OldGeneration};
use super::pages::{PagesOwner, WritePace};
use super::store::ReadLog;
use super::watermark::{LedgerName, Watermark};

/// A fold of everything up to a mark.
pub(super) struct FoldTask {
    pub(super) state_dir: PathBuf,
    /// Up to where the log is folded, and what into.
    pub(super) mark: Watermark,
    pub(super) log: Box<dyn ReadLog + Send + Sync>,
    /// The log's records where it has been read already, as at an opening.
    pub(super) gathered: Option<Gathered>,
    /// The log's size at the mark.
    pub(super) size: LogSize,
    pub(super) open: OpenIntents,
    pub(super) memory_max: u64,
}

/// A generation that is written and not yet named.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) name: LedgerName,
    pub(super) counts: FoldCounts,
    pub(super) size: LogSize,
}

impl FoldTask {
    /// Writes the new generation, complete and synced under its own name, named nowhere yet.
    pub(super) fn run(self, cancelled: &AtomicBool) -> Result<Folded, JournalError> {
        let mark = self.mark;
        // A run that goes on has better use for the cores and the disk.
        let (threads, pace, memory_max) = match self.open {
            OpenIntents::Carry => (1, WritePace::Beside, self.memory_max / 2),
            OpenIntents::Doubt => (gather::threads(), WritePace::Alone, self.memory_max),
        };
        let gather = Gather {
            log: &*self.log,
            from: mark.ledger.through + 1,
            through: mark.sequence,
            mark: mark.sequence,
            dir: &self.state_dir,
            memory_max,
            threads,
            cancelled,
        };
        let gathered = self.gathered.map_or_else(|| gather.run(), Ok)?;
        let old = OldGeneration::open(&self.state_dir, &mark.ledger, mark.identity)?;
        let owner = PagesOwner { identity: mark.identity, generation: mark.ledger.generation + 1 };
        let part = FoldPart {
            old: &old,
            sorted: &gathered.sorted,
            records: mark.records,
            log_bytes: self.size.bytes,
            open: self.open,
            memory_max,
            threads,
            cancelled,
        };
        let mut writer = GenerationWriter::create(&self.state_dir, owner, pace)?;
        let counts = fold::merge(&part, &mut writer)?;
        let (entries, bytes) = writer.finish()?;
        let open = counts.open;
        let name = LedgerName { generation: owner.generation, through: mark.sequence, entries, bytes, open };
        Ok(Folded { name, counts, size: self.size })
    }
}

/// A fold on a thread of its own. Dropped, it is given up and waited for.
pub(super) struct FoldJob {
    thread: Option<JoinHandle<Result<Folded, JournalError>>>,
    cancelled: Arc<AtomicBool>,
}

impl FoldJob {
    /// Starts it.
    pub(super) fn start(task: FoldTask) -> Result<FoldJob, JournalError> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (flag, state_dir) = (Arc::clone(&cancelled), task.state_dir.clone());
        let thread = std::thread::Builder::new()
            .name("journal-fold".to_owned())
            .spawn(move || task.run(&flag))
            .map_err(JournalError::io("start a thread to fold the log of", &state_dir))?;
        Ok(FoldJob { thread: Some(thread), cancelled })
    }

    /// Whether its result is there.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for its result. A thread that panicked has said so.
    pub(super) fn finish(mut self) -> Result<Folded, JournalError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(JournalError::panicked("folding the log")),
            None => Err(JournalError::Closed),
        }
    }
}

impl Drop for FoldJob {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
