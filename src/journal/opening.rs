//! Opening: what is found is held against the watermark before anything is believed.
//!
//! The store ahead of the watermark is normal (killed between the two writes of a commit); behind it is damage.
//! What is found is refused or recovered, never guessed at. Not here: how files are read (each has its module).

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::count::plural;
use crate::digest::StateKey;

use super::core::Core;
use super::error::JournalError;
use super::files;
use super::gather::{self, Gather, Gathered};
use super::generation::{self, GenerationReader};
use super::index::{INDEX_FILE, JournalIndex};
use super::key::{self, LoadedKey};
use super::lock::StateLock;
use super::named;
use super::rewrite;
use super::store::{STORE_DIR, SledStore, Store};
use super::watermark::{LedgerName, Watermark, WatermarkFile};

/// What was recovered after a run that did not close its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Updates whose intent was durable and whose outcome was not.
    pub in_doubt: u64,
    /// Subjects the log had records of.
    pub subjects: u64,
    /// Records folded into the ledger.
    pub records: u64,
}

/// An open journal.
pub(super) struct Opened {
    pub(super) core: Core,
    pub(super) key: StateKey,
    pub(super) recovery: Option<Recovery>,
}

/// Directory of the runs' own files, one directory for each.
const RUNS_DIR: &str = "runs";

/// File of a run that came to its end.
const RUN_ENDED_FILE: &str = "summary.json";

/// Whether a state directory has a journal, whole or not.
///
/// # Errors
///
/// When there is none, and was one: begun anew, it would send everything again without a word.
pub(super) fn journal_exists(state_dir: &Path) -> Result<bool, JournalError> {
    let exists = WatermarkFile::exists(state_dir)
        || state_dir.join(STORE_DIR).exists()
        || !generation::files_of(state_dir)?.is_empty();
    if !exists {
        check_never_used(state_dir)?;
    }
    Ok(exists)
}

/// Refuses a state directory without a watermark in which a run has begun a batch, or come to its end: before that its
/// journal was durable. A run killed earlier leaves neither.
pub(super) fn check_never_used(state_dir: &Path) -> Result<(), JournalError> {
    let index = JournalIndex::read(state_dir).unwrap_or_default();
    let runs = state_dir.join(RUNS_DIR);
    let witness = if !index.runs.is_empty() || !index.targets.is_empty() {
        state_dir.join(INDEX_FILE)
    } else {
        let runs = if runs.is_dir() { files::list(&runs)? } else { Vec::new() };
        match runs.into_iter().find(|run| run.join(RUN_ENDED_FILE).exists()) {
            Some(run) => run,
            None => return Ok(()),
        }
    };
    Err(JournalError::damaged(
        format!(
            "the store is missing from {}, and {} is of runs that had one",
            state_dir.display(),
            witness.display()
        ),
        "all that was ever acknowledged is known no more",
    ))
}

/// Opens the journal, creating it if there is none, and recovers what the last run left in the log.
pub(super) fn open(state_dir: &Path, lock: StateLock) -> Result<Opened, JournalError> {
    open_with(state_dir, lock, |dir| Ok(Box::new(SledStore::open(dir)?)))
}

/// Opens with a store of the caller's.
pub(super) fn open_with(
    state_dir: &Path,
    lock: StateLock,
    open_store: impl FnOnce(&Path) -> Result<Box<dyn Store>, JournalError>,
) -> Result<Opened, JournalError> {
    rewrite::recover(state_dir)?;
    let LoadedKey { key, identity } = key::load_or_create(state_dir, journal_exists(state_dir)?)?;
    let found = if WatermarkFile::exists(state_dir) {
        let (file, mark) = WatermarkFile::open(state_dir)?;
        if mark.identity != identity {
            return Err(key::foreign(state_dir));
        }
        check_store_file(state_dir, &mark)?;
        Some((file, mark))
    } else {
        check_no_generation(state_dir)?;
        check_never_used(state_dir)?;
        None
    };
    let store = open_store(state_dir)?;
    let (watermark, mark) = match found {
        Some(found) => found,
        None => begin_watermark(state_dir, store.as_ref(), identity)?,
    };
    let mut core = Core::new(store, watermark, mark, state_dir.to_owned(), lock);
    let recovery = if core.mark.sequence == 0 {
        begin_store(&mut core)?;
        None
    } else {
        check_identity(&core)?;
        let found = take_over(&mut core)?;
        recover(&mut core, found)?
    };
    Ok(Opened { core, key, recovery })
}

/// sled makes a new, empty file where its file is missing; that would hide the loss.
fn check_store_file(state_dir: &Path, mark: &Watermark) -> Result<(), JournalError> {
    let db = state_dir.join(STORE_DIR).join("db");
    if mark.sequence > 0 && !db.exists() {
        return Err(JournalError::damaged(
            format!("the store's file {} is missing", db.display()),
            format!(
                "open batches, past runs and {} since the last fold are lost; the ledger stands for log \
                 sequence {} of {}",
                plural(mark.records, "record"),
                mark.ledger.through,
                mark.sequence
            ),
        ));
    }
    Ok(())
}

fn check_no_generation(state_dir: &Path) -> Result<(), JournalError> {
    match generation::files_of(state_dir)?.first() {
        None => Ok(()),
        Some(path) => Err(JournalError::damaged(
            format!("the watermark is missing, and {} exists", path.display()),
            "nobody can say how much of the log is missing",
        )),
    }
}

/// A store without a watermark is a journal whose creation was killed, or one that lost its watermark.
fn begin_watermark(
    state_dir: &Path,
    store: &dyn Store,
    identity: u64,
) -> Result<(WatermarkFile, Watermark), JournalError> {
    let lost = || {
        Err(JournalError::damaged(
            "the watermark is missing, and the log is not empty",
            "nobody can say how much of the log is missing",
        ))
    };
    store.log()?.scan(0, u64::MAX, &mut |_, _| lost())?;
    store.named_with("", &mut |_, _| lost())?;
    let mark = Watermark { identity, sequence: 0, records: 0, ledger: LedgerName::default() };
    Ok((WatermarkFile::create(state_dir, &mark)?, mark))
}

/// The first commit: whose journal it is, and the empty ledger. A kill may have come between it and its mark, so
/// it is written again over itself.
fn begin_store(core: &mut Core) -> Result<(), JournalError> {
    let identity = named::encode(named::IDENTITY, &core.mark.identity);
    let ledger = named::encode(named::LEDGER, &LedgerName::default());
    core.commit_named(vec![
        (named::IDENTITY.to_owned(), Some(identity)),
        (named::LEDGER.to_owned(), Some(ledger)),
    ])
}

fn check_identity(core: &Core) -> Result<(), JournalError> {
    match named::get::<u64>(core.store.as_ref(), named::IDENTITY)? {
        Some(identity) if identity == core.mark.identity => Ok(()),
        Some(_) => Err(JournalError::damaged(
            "the store belongs to another journal than its watermark",
            "the journal these files were copied from is not all here",
        )),
        None => Err(behind(0, 0, &core.mark)),
    }
}

/// Takes over what the store holds, which may be more than the watermark says.
fn take_over(core: &mut Core) -> Result<Gathered, JournalError> {
    let marked = core.mark;
    let ledger: LedgerName = named::get(core.store.as_ref(), named::LEDGER)?
        .ok_or_else(|| JournalError::damaged("the store names no ledger", "which ledger stands"))?;
    check_ledger_name(&ledger, &marked.ledger)?;
    let found = read_log(core, &ledger, &marked)?;
    core.mark = Watermark { sequence: found.last, records: found.records, ledger, ..marked };
    core.log = found.size;
    *core.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = ledger;
    // A missing or foreign ledger is found now, not after an hour of survey.
    GenerationReader::open(&core.state_dir, &ledger, marked.identity)?;
    if ledger != marked.ledger {
        // Killed between the two namings. The watermark names it too before the old generation goes: readers without
        // the lock know no other name. What was found is durable, for the store was synced when it was opened.
        core.watermark.write(&core.mark)?;
    }
    core.dropping_through = Some(ledger.through);
    core.remove_unnamed_generations()?;
    Ok(found)
}

/// The store's name of the ledger is at most one naming ahead of the watermark's. Both may stand for the same part of
/// the log: where a killed naming has lost its value, and whoever came next removed subjects.
pub(super) fn check_ledger_name(stored: &LedgerName, marked: &LedgerName) -> Result<(), JournalError> {
    let is_same = stored.generation == marked.generation
        && stored.bytes == marked.bytes
        && stored.entries == marked.entries
        && stored.open == marked.open
        && stored.through >= marked.through;
    let is_next = stored.generation == marked.generation + 1 && stored.through >= marked.through;
    if is_same || is_next {
        return Ok(());
    }
    Err(JournalError::damaged(
        format!(
            "the store names ledger generation {} and the watermark generation {}",
            stored.generation, marked.generation
        ),
        "the end of the store's file, or files of different times were mixed",
    ))
}

/// Reads the log once: what is found is held against the watermark, and its records are sorted for the fold on the way.
fn read_log(core: &Core, ledger: &LedgerName, marked: &Watermark) -> Result<Gathered, JournalError> {
    let log = core.store.log()?;
    let found = Gather {
        log: &*log,
        from: ledger.through + 1,
        through: u64::MAX,
        mark: marked.sequence,
        dir: &core.state_dir,
        memory_max: core.fold_bytes_max,
        threads: gather::threads(),
        cancelled: &AtomicBool::new(false),
    }
    .run()?;
    if found.last < marked.sequence {
        return Err(behind(found.last, found.records, marked));
    }
    // Both counts begin after the same ledger only if it is the same naming.
    if *ledger == marked.ledger && found.records_at_mark != marked.records {
        return Err(behind(marked.sequence, found.records_at_mark, marked));
    }
    Ok(found)
}

/// How many of the records since the last fold are left.
pub(super) fn lost_records(records: u64, left: u64) -> String {
    let are = if left == 1 { "is" } else { "are" };
    format!("of {} since the last fold, {left} {are} left", plural(records, "record"))
}

fn behind(last: u64, records: u64, marked: &Watermark) -> JournalError {
    JournalError::damaged(
        format!("the log ends at sequence {last}, and sequence {} was durable", marked.sequence),
        lost_records(marked.records, records),
    )
}

/// Folds what a run left in the log: it was killed, or its fold failed.
fn recover(core: &mut Core, found: Gathered) -> Result<Option<Recovery>, JournalError> {
    if core.mark.records == 0 && core.mark.ledger.open == 0 {
        return Ok(None);
    }
    let counts = core.fold_gathered(Some(found))?;
    Ok(Some(Recovery { in_doubt: counts.in_doubt, subjects: counts.subjects, records: counts.records }))
}
