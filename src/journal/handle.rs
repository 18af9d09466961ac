//! The journal as the rest of the program holds it: opened, asked, appended to, finished.
//!
//! Requests about batches and runs are synchronous and durable when they return; appends call back. Not here: the
//! thread that does it all (`thread.rs`).

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::digest::{BatchId, StateKey, SubjectId};
use crate::event::BatchFigures;
use crate::ledger::{LedgerEntry, Record};
use crate::update::FieldKind;

use super::batches::Batch;
use super::core::{Core, FinishReport, SharedLedger};
use super::error::JournalError;
use super::files;
use super::generation::{GenerationReader, LedgerLookups, LedgerScan};
use super::index::JournalIndex;
use super::lock::{LockHolder, StateLock};
use super::named::{LedgerMoves, RunBatch, TurnedAway};
use super::opening::{self, Recovery};
use super::packing::EncodedRecords;
use super::queue::{Append, OnDurable, Queue, Request};
use super::thread::{self, CommitBounds};

/// Rows one commit takes at most, by default.
pub const COMMIT_ROWS_MAX: usize = 16_384;

/// How long a commit waits for more rows at most, by default.
pub const COMMIT_DELAY_MAX_MS: u64 = 1;

/// Bytes the log may have before it is folded in the middle of a run, by default.
pub const LOG_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Where the journal is, and how it groups commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// The state directory. The journal's files lie directly in it and in `journal/`.
    pub state_dir: PathBuf,
    /// Rows one commit takes at most; a single larger append is still one commit.
    pub commit_rows_max: usize,
    /// How long a commit waits for more rows at most.
    pub commit_delay_max_ms: u64,
    /// Bytes the log may have before it is folded into the ledger in the middle of a run.
    pub log_bytes_max: u64,
}

impl JournalOptions {
    /// The default options for a state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> JournalOptions {
        JournalOptions {
            state_dir: state_dir.into(),
            commit_rows_max: COMMIT_ROWS_MAX,
            commit_delay_max_ms: COMMIT_DELAY_MAX_MS,
            log_bytes_max: LOG_BYTES_MAX,
        }
    }
}

/// An open journal: the lock of its state directory is held, and nothing but this process touches its files.
///
/// Dropped without [`Journal::finish`] it is closed as it is; the next opening folds what it left.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    state_dir: PathBuf,
    key: StateKey,
    identity: u64,
    recovery: Option<Recovery>,
    ledger: SharedLedger,
}

/// Appends records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalWriter {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Queue,
    bounds: CommitBounds,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Shared {
    fn push(&self, request: Request) -> Result<(), Request> {
        self.queue.push(request, self.bounds.rows_max)
    }
}

/// What the thread tells once it is open.
struct Ready {
    key: StateKey,
    identity: u64,
    recovery: Option<Recovery>,
    ledger: SharedLedger,
}

impl Journal {
    /// Opens the journal of a state directory, creating both if needed. The lock is taken first. What a run left
    /// in the log is folded into the ledger before this returns.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] when another run holds it; otherwise when the journal is damaged, has lost its key,
    /// is of an unknown format, or cannot be read or written.
    pub fn open(
        options: &JournalOptions,
        run_id: &str,
        host: &str,
        now_s: i64,
    ) -> Result<Journal, JournalError> {
        files::create_dir(&options.state_dir)?;
        let holder = LockHolder {
            pid: std::process::id(),
            host: host.to_owned(),
            run_id: run_id.to_owned(),
            since_s: now_s,
        };
        let lock = StateLock::take(&options.state_dir, &holder)?;
        Journal::start(options, move |state_dir| opening::open(state_dir, lock))
    }

    /// Opens the journal of a state directory if there is one; creates nothing otherwise.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub fn open_existing(
        options: &JournalOptions,
        run_id: &str,
        host: &str,
        now_s: i64,
    ) -> Result<Option<Journal>, JournalError> {
        if opening::journal_exists(&options.state_dir)? {
            Journal::open(options, run_id, host, now_s).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn start(
        options: &JournalOptions,
        open: impl FnOnce(&Path) -> Result<opening::Opened, JournalError> + Send + 'static,
    ) -> Result<Journal, JournalError> {
        let bounds = CommitBounds {
            rows_max: options.commit_rows_max.max(1),
            delay: Duration::from_millis(options.commit_delay_max_ms),
        };
        let shared = Arc::new(Shared { queue: Queue::default(), bounds });
        let (reply, opened) = mpsc::channel();
        let (thread_shared, state_dir) = (Arc::clone(&shared), options.state_dir.clone());
        let log_bytes_max = options.log_bytes_max;
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let mut opened = open(&state_dir);
                if let Ok(opened) = &mut opened {
                    opened.core.bound_log(log_bytes_max);
                }
                serve(&thread_shared, opened, &reply);
            })
            .map_err(JournalError::io("start the journal thread for", &options.state_dir))?;
        let ready = opened.recv().unwrap_or_else(|_| Err(JournalError::panicked("opening the journal")));
        let mut journal_thread = Some(thread);
        match ready {
            Ok(Ready { key, identity, recovery, ledger }) => Ok(Journal {
                shared,
                thread: journal_thread,
                state_dir: options.state_dir.clone(),
                key,
                identity,
                recovery,
                ledger,
            }),
            Err(error) => {
                join(&mut journal_thread);
                Err(error)
            }
        }
    }

    /// What opening recovered, if the last run did not close its journal.
    pub fn recovered(&self) -> Option<Recovery> {
        self.recovery
    }

    /// The key under which this state directory hashes values.
    pub fn key(&self) -> &StateKey {
        &self.key
    }

    /// The key field of a target, if one was ever set.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, as for every request below.
    pub fn target_key(&self, target: &str) -> Result<Option<FieldKind>, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.target_key(&target))
    }

    /// Sets the key field of a target. The caller has checked that it may change.
    pub fn set_target_key(&self, target: &str, key: FieldKind) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.set_target_key(&target, key))
    }

    /// Attempts at once that the last run at a target settled at, if one did.
    pub fn settled_limit(&self, target: &str) -> Result<Option<u64>, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.settled_limit(&target))
    }

    /// Keeps how many attempts at once a run at a target settled at.
    pub fn set_settled_limit(&self, target: &str, limit: u64) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.set_settled_limit(&target, limit))
    }

    /// Whom the runs of a batch were stopped for, or else those of the newest one of the target, unless a newer one
    /// has ended in order since.
    pub fn turned_away(&self, target: &str, batch: u64) -> Result<Option<TurnedAway>, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.turned_away(&target, batch))
    }

    /// Keeps whom the runs of a batch were stopped for; `None` where it has ended in order.
    pub fn set_turned_away(
        &self,
        target: &str,
        batch: u64,
        away: Option<TurnedAway>,
    ) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.set_turned_away(&target, batch, away.as_ref()))
    }

    /// Begins a batch of so many rows, or continues it: an open batch of that id continues under its sequence, any
    /// other gets the next of the target. An open batch that is not the newest of its target gets a new sequence too
    /// with `make_newest`, or when no run ever began to deliver it.
    pub fn begin_batch(
        &self,
        target: &str,
        id: BatchId,
        rows: u64,
        now_s: i64,
        make_newest: bool,
    ) -> Result<Batch, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.begin_batch(&target, id, rows, now_s, make_newest))
    }

    /// What [`Journal::begin_batch`] would answer. Writes nothing.
    pub fn peek_batch(&self, target: &str, id: BatchId, make_newest: bool) -> Result<Batch, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.peek_batch(&target, id, make_newest))
    }

    /// Closes a batch, every row of which was ruled on: the same batch run again is a new one.
    pub fn close_batch(&self, target: &str, seq: u64) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.close_batch(&target, seq))
    }

    /// The newest batch of the target older than this one that is open, of which something may have been sent and
    /// something may be left.
    pub fn older_open(&self, target: &str, seq: u64) -> Result<Option<u64>, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.older_open(&target, seq))
    }

    /// Targets and runs.
    pub fn index(&self) -> Result<JournalIndex, JournalError> {
        self.call(|core| core.index())
    }

    /// How far a target's ledger has moved.
    pub fn ledger_moves(&self, target: &str) -> Result<LedgerMoves, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.ledger_moves(&target))
    }

    /// Notes that a run begins to deliver a batch: from here on the ledger moves. Call it before the first request.
    pub fn note_delivery(&self, target: &str, id: BatchId, seq: u64) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.note_delivery(&target, id, seq))
    }

    /// Notes that somebody else than a batch changes what the ledger holds (`adopt`, `forget`): every saved plan is
    /// refused from here on.
    pub fn note_moved_aside(&self) -> Result<(), JournalError> {
        self.call(Core::note_moved_aside)
    }

    /// Figures of the latest closed batches of a target and key field, oldest first, at most
    /// [`FIGURES_MAX`](super::FIGURES_MAX).
    pub fn figures(&self, target: &str, key: FieldKind) -> Result<Vec<BatchFigures>, JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.figures(&target, key))
    }

    /// Keeps the figures of a batch that is about to be closed; kept again, they replace themselves.
    pub fn keep_figures(
        &self,
        target: &str,
        key: FieldKind,
        figures: BatchFigures,
    ) -> Result<(), JournalError> {
        let target = target.to_owned();
        self.call(move |core| core.keep_figures(&target, key, &figures))
    }

    /// What tells this journal from every other one: drawn when it was created.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Keeps which batch a run was about.
    pub fn record_run(&self, run_id: &str, target: &str, batch_seq: u64) -> Result<(), JournalError> {
        let run = RunBatch { target: target.to_owned(), batch_seq };
        let run_id = run_id.to_owned();
        self.call(move |core| core.record_run(&run_id, &run))
    }

    /// Which batch a run was about; `None` for a run of another state directory.
    pub fn run_batch(&self, run_id: &str) -> Result<Option<RunBatch>, JournalError> {
        let run_id = run_id.to_owned();
        self.call(move |core| core.run_batch(&run_id))
    }

    /// Whether anything was ever acknowledged under this fingerprint of target, envelope and mapping.
    pub fn is_proven(&self, fingerprint: &str) -> Result<bool, JournalError> {
        let fingerprint = fingerprint.to_owned();
        self.call(move |core| core.is_proven(&fingerprint))
    }

    /// Keeps that something was acknowledged under this fingerprint.
    pub fn set_proven(&self, fingerprint: &str) -> Result<(), JournalError> {
        let fingerprint = fingerprint.to_owned();
        self.call(move |core| core.set_proven(&fingerprint))
    }

    /// All entries of the ledger as it stands, ascending by subject id: of the opening, until a log that grew past
    /// its bound is folded. Read on the caller's thread, from a file that never changes and stays while it is open;
    /// what is appended or folded meanwhile is not in it.
    pub fn ledger(&self) -> Result<LedgerScan, JournalError> {
        self.open_ledger().map(LedgerScan::new)
    }

    /// The entries of the ledger from a subject on and before another, ascending: a slice is sought, not skipped to.
    /// May be asked from several threads at once; each scan reads for itself.
    pub fn ledger_range(
        &self,
        from: SubjectId,
        to_exclusive: Option<SubjectId>,
    ) -> Result<LedgerScan, JournalError> {
        Ok(LedgerScan::slice(self.open_ledger()?, from, to_exclusive))
    }

    /// Entries of the ledger, of all targets together.
    pub fn ledger_entries(&self) -> u64 {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).entries
    }

    /// The ledger's entry of a subject, without what this run appended. For more than a few, [`Journal::lookups`].
    pub fn lookup(&self, subject: SubjectId) -> Result<Option<LedgerEntry>, JournalError> {
        self.lookups()?.get(subject)
    }

    /// The ledger as it stands, opened once for any number of subjects.
    pub fn lookups(&self) -> Result<LedgerLookups, JournalError> {
        self.open_ledger().map(LedgerLookups::new)
    }

    /// A handle to append records.
    pub fn writer(&self) -> JournalWriter {
        JournalWriter { shared: Arc::clone(&self.shared) }
    }

    /// Commits what waits, folds the log into a new generation, closes the store and releases the lock. Appends
    /// that come later are refused.
    ///
    /// # Errors
    ///
    /// When the fold or the closing fails. What was acknowledged as durable is in the log all the same.
    pub fn finish(mut self) -> Result<FinishReport, JournalError> {
        let (reply, finished) = mpsc::channel();
        let asked = self.shared.push(Request::Finish(reply)).is_ok();
        let result = if asked { finished.recv().ok() } else { None };
        join(&mut self.thread);
        result.unwrap_or(Err(JournalError::Closed))
    }

    /// Folds the log into a new generation of the ledger, ahead of [`Journal::finish`], which then has next to nothing
    /// left to do. No intent may be open.
    ///
    /// # Errors
    ///
    /// When the fold fails. The log stands then, and the next opening folds it.
    pub fn fold(&self) -> Result<(), JournalError> {
        self.call(|core| core.fold().map(drop))
    }

    fn open_ledger(&self) -> Result<Option<GenerationReader>, JournalError> {
        // Opened under the lock: a fold removes the old generation only after it has changed the name.
        let name = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        GenerationReader::open(&self.state_dir, &name, self.identity)
    }

    fn call<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Core) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answered) = mpsc::channel();
        let call = Request::Call(Box::new(move |core| {
            let answer = core.alive().and_then(|()| ask(core));
            // The caller waits below, unless its thread is gone.
            drop(reply.send(answer));
        }));
        match self.shared.push(call) {
            Ok(()) => answered.recv().unwrap_or(Err(JournalError::Closed)),
            Err(_) => Err(JournalError::Closed),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // A closed queue means that the thread has ended already.
            drop(self.shared.push(Request::Stop));
            join(&mut self.thread);
        }
    }
}

impl JournalWriter {
    /// Appends records, in order, after everything appended before. They are encoded here; the callback runs on the
    /// journal thread once they are durable, or once they never will be; it must be quick. After the journal is
    /// closed it runs at once, on the caller's thread.
    pub fn append(&self, records: impl AsRef<[Record]>, on_durable: OnDurable) {
        let records = EncodedRecords::of(records.as_ref());
        if let Err(refused) = self.shared.push(Request::Append(Append { records, on_durable })) {
            thread::refuse(refused);
        }
    }
}

fn serve(
    shared: &Shared,
    opened: Result<opening::Opened, JournalError>,
    reply: &Sender<Result<Ready, JournalError>>,
) {
    match opened {
        Ok(opening::Opened { core, key, recovery }) => {
            let ready =
                Ready { key, identity: core.mark.identity, recovery, ledger: Arc::clone(&core.ledger) };
            drop(reply.send(Ok(ready)));
            thread::run(&shared.queue, core, shared.bounds);
        }
        Err(error) => {
            shared.queue.close();
            drop(reply.send(Err(error)));
        }
    }
}

fn join(thread: &mut Option<JoinHandle<()>>) {
    if let Some(thread) = thread.take() {
        // A panic of the thread was printed, and its callers have an error.
        drop(thread.join());
    }
}
