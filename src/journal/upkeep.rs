//! A journal opened to be looked after, not to be written by a run: its lock is held and its log is folded.
//!
//! What is removed from it (a subject, runs) is removed in steps that leave a whole journal behind wherever they are
//! killed, and repeating them completes them. Not here: the rows in the files of runs (`report/`), verifying
//! (`verify.rs`).

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::count::plural;
use crate::digest::{StateKey, SubjectId, SubjectTag};
use crate::ledger::{ClearedFirst, LedgerEntry};

use super::core::Core;
use super::entry::decode_entry;
use super::error::JournalError;
use super::files;
use super::fold::FoldCounts;
use super::gather;
use super::generation::{self, GenerationReader, GenerationWriter, OldGeneration};
use super::index::{JournalIndex, TargetFact};
use super::job::Folded;
use super::lock::{LockHolder, StateLock};
use super::named;
use super::opening::{self, Opened, Recovery};
use super::pages::{PagesOwner, WritePace};
use super::rewrite;
use super::sorted::{SLICES, slice_begin};
use super::store::STORE_DIR;
use super::watermark::LedgerName;

/// Names removed in one commit: they stand in it as a whole.
const NAMES_PER_COMMIT_MAX: usize = 256;

/// A journal in the hands of a tool.
pub struct Upkeep {
    core: Core,
    key: StateKey,
    recovery: Option<Recovery>,
}

/// What a journal holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpkeepStats {
    /// Number of the ledger's generation; 0 for the empty ledger.
    pub generation: u64,
    /// Entries in it, one per subject, target and key field.
    pub entries: u64,
    /// Records that an earlier run had left in the log and that were folded now.
    pub records_folded: u64,
    /// Last sequence of the log.
    pub sequence: u64,
    /// Runs recorded.
    pub runs: u64,
    /// What is known of each target, by name.
    pub targets: Vec<TargetStats>,
    /// Entries of no target listed: of an earlier key field, say.
    pub subjects_elsewhere: u64,
}

/// What the ledger holds of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStats {
    /// Its name, key field and batches.
    pub fact: TargetFact,
    /// Subjects known there.
    pub subjects: u64,
    /// Those of them with a field that nobody knows the value of.
    pub unknown: u64,
    /// Those of them with an update in doubt.
    pub in_doubt: u64,
    /// Those that were cleared to break a swap, and of which nothing was acknowledged since.
    pub cleared: u64,
    /// Those of them with an update that failed since their last acknowledgement.
    pub failed: u64,
    /// When the oldest last acknowledgement of a subject came, in seconds since the Unix epoch; `None` for none.
    pub oldest_ack_s: Option<i64>,
    /// When the newest acknowledgement came.
    pub newest_ack_s: Option<i64>,
}

/// Space on the disk, in bytes as the file system counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// The store: log and named values.
    pub store_bytes: u64,
    /// Ledger generations.
    pub ledger_bytes: u64,
    /// Everything else in the state directory: files of runs, key, watermark.
    pub other_bytes: u64,
}

impl DiskUse {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.store_bytes + self.ledger_bytes + self.other_bytes
    }
}

/// How much space a state directory takes.
///
/// # Errors
///
/// When it cannot be listed. Files that vanish meanwhile count nothing.
pub fn disk_use(state_dir: &Path) -> Result<DiskUse, JournalError> {
    let ledgers = generation::files_of(state_dir)?;
    let mut disk = DiskUse::default();
    for path in files::list(state_dir)? {
        let bytes = tree_bytes(&path)?;
        if ledgers.contains(&path) {
            disk.ledger_bytes += bytes;
        } else if path.ends_with(STORE_DIR) {
            disk.store_bytes += bytes;
        } else {
            disk.other_bytes += bytes;
        }
    }
    Ok(disk)
}

fn tree_bytes(path: &Path) -> Result<u64, JournalError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(0) };
    // POSIX counts st_blocks in units of 512 bytes, whatever the file system's own are.
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return Ok(own);
    }
    files::list(path)?.iter().try_fold(own, |sum, path| Ok(sum + tree_bytes(path)?))
}

impl Upkeep {
    /// Opens the journal of a state directory; `None` when there is none. The lock is taken, and what an earlier run
    /// left in the log is folded.
    ///
    /// # Errors
    ///
    /// As [`super::Journal::open`].
    pub fn open(state_dir: &Path, who: &LockHolder) -> Result<Option<Upkeep>, JournalError> {
        if !opening::journal_exists(state_dir)? {
            return Ok(None);
        }
        let lock = StateLock::take(state_dir, who)?;
        let Opened { core, key, recovery } = opening::open(state_dir, lock)?;
        core.write_index();
        Ok(Some(Upkeep { core, key, recovery }))
    }

    /// The key under which the state directory hashes values.
    pub fn key(&self) -> &StateKey {
        &self.key
    }

    /// Targets and runs.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, as below.
    pub fn index(&self) -> Result<JournalIndex, JournalError> {
        self.core.index()
    }

    /// What the journal holds, in numbers: reads the whole ledger.
    ///
    /// # Errors
    ///
    /// When store or ledger are damaged or cannot be read.
    pub fn stats(&self) -> Result<UpkeepStats, JournalError> {
        let index = self.index()?;
        let mut targets: Vec<TargetStats> = index.targets.into_iter().map(TargetStats::new).collect();
        let tags: HashMap<SubjectTag, usize> = targets
            .iter()
            .enumerate()
            .filter_map(|(at, target)| {
                Some((self.key.subjects(&target.fact.target, target.fact.key?).tag(), at))
            })
            .collect();
        let subjects_elsewhere = self.count(&mut targets, &tags)?;
        Ok(UpkeepStats {
            generation: self.core.mark.ledger.generation,
            entries: self.core.mark.ledger.entries,
            records_folded: self.recovery.map_or(0, |recovery| recovery.records),
            sequence: self.core.mark.sequence,
            runs: index.runs.len() as u64,
            targets,
            subjects_elsewhere,
        })
    }

    /// Counts all entries, each for its target; returns how many are of none. Every thread reads a part of the ledger.
    fn count(
        &self,
        targets: &mut [TargetStats],
        tags: &HashMap<SubjectTag, usize>,
    ) -> Result<u64, JournalError> {
        let mark = &self.core.mark;
        let ledger = OldGeneration::open(&self.core.state_dir, &mark.ledger, mark.identity)?;
        let threads = gather::threads();
        let found: Vec<Result<Counted, JournalError>> = std::thread::scope(|scope| {
            let (ledger, blank) = (&ledger, &*targets);
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let slices = SLICES * thread / threads..SLICES * (thread + 1) / threads;
                    scope.spawn(move || count_slices(ledger, slices, blank.to_vec(), tags))
                })
                .collect();
            workers
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|_| Err(JournalError::panicked("reading the ledger"))))
                .collect()
        });
        let (mut seen, mut elsewhere) = (0, 0);
        for counted in found {
            let counted = counted?;
            targets.iter_mut().zip(&counted.targets).for_each(|(all, part)| all.add(part));
            seen += counted.seen;
            elsewhere += counted.elsewhere;
        }
        ledger.check_entries(seen)?;
        Ok(elsewhere)
    }

    /// How many of these subjects the journal knows.
    ///
    /// # Errors
    ///
    /// When the ledger is damaged, or the log cannot be folded.
    pub fn known(&mut self, subjects: &[SubjectId]) -> Result<u64, JournalError> {
        self.core.fold()?;
        let mark = self.core.mark;
        let reader = GenerationReader::open(&self.core.state_dir, &mark.ledger, mark.identity)?;
        reader.map_or(Ok(0), |mut reader| known_in(&mut reader, subjects))
    }

    /// What those of these subjects that the journal knows were cleared of to break a swap, nothing having been
    /// acknowledged since; whoever has nothing of the kind is left out.
    ///
    /// # Errors
    ///
    /// When the ledger is damaged, or the log cannot be folded.
    pub fn cleared_first(
        &mut self,
        subjects: &[SubjectId],
    ) -> Result<Vec<(SubjectId, ClearedFirst)>, JournalError> {
        self.core.fold()?;
        let mark = self.core.mark;
        let reader = GenerationReader::open(&self.core.state_dir, &mark.ledger, mark.identity)?;
        let Some(mut reader) = reader else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for subject in subjects {
            let Some(entry) = reader.get(*subject)? else { continue };
            let cleared = entry.cleared_first();
            if !cleared.fields.is_empty() {
                found.push((*subject, cleared));
            }
        }
        Ok(found)
    }

    /// Removes subjects from the ledger: a new generation without them takes the place of the old one. Returns how many
    /// entries there were. The store still holds the bytes of their old records until it is written anew
    /// ([`Upkeep::rewrite`]).
    ///
    /// # Errors
    ///
    /// When the ledger is damaged, or the new generation cannot be written; then the old one stands.
    pub fn forget_subjects(&mut self, subjects: &[SubjectId]) -> Result<u64, JournalError> {
        self.core.forget_turned_away(subjects)?;
        // Nothing of them may be in the log: a later fold would bring it back.
        self.core.fold()?;
        let mark = self.core.mark;
        let owner = PagesOwner { identity: mark.identity, generation: mark.ledger.generation + 1 };
        let Some(mut old) = GenerationReader::open(&self.core.state_dir, &mark.ledger, mark.identity)? else {
            return Ok(0);
        };
        let known = known_in(&mut old, subjects)?;
        if known == 0 {
            return Ok(0);
        }
        // Before the ledger changes, so that a plan made before can never be taken to stand on what is left.
        self.core.note_moved_aside()?;
        old.seek(SubjectId([0; 16]));
        let mut writer = GenerationWriter::create(&self.core.state_dir, owner, WritePace::Alone)?;
        while let Some((subject, value)) = old.next()? {
            if !subjects.contains(&subject) {
                writer.insert(subject, value)?;
            }
        }
        let (entries, bytes) = writer.finish()?;
        if entries + known != mark.ledger.entries {
            return Err(JournalError::damaged(
                format!(
                    "the ledger holds {} where {} were counted",
                    plural(entries + known, "entry"),
                    mark.ledger.entries
                ),
                "nothing yet: the old ledger was left standing",
            ));
        }
        // The run's intents are folded as in doubt: none is open.
        let (generation, through) = (owner.generation, mark.sequence);
        let name = LedgerName { generation, through, entries, bytes, open: 0 };
        let folded = Folded { name, counts: FoldCounts::default(), size: self.core.log };
        self.core.name_generation(&folded)?;
        self.core.drop_folded()?;
        self.core.remove_unnamed_generations()?;
        Ok(known)
    }

    /// Closes open batches, each named by its target and sequence: run again, their inputs begin a new one.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn close_batches(&mut self, batches: &[(String, u64)]) -> Result<(), JournalError> {
        batches.iter().try_for_each(|(target, seq)| self.core.close_batch(target, *seq))
    }

    /// Removes what is kept of runs: which batch each was about. Returns how many there were.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub fn forget_runs(&mut self, run_ids: &[String]) -> Result<u64, JournalError> {
        let index = self.index()?;
        let known: Vec<String> = index
            .runs
            .iter()
            .filter(|run| run_ids.contains(&run.run_id))
            .map(|run| named::run(&run.run_id))
            .collect();
        for names in known.chunks(NAMES_PER_COMMIT_MAX) {
            self.core.commit_named(names.iter().map(|name| (name.clone(), None)).collect())?;
        }
        self.core.write_index();
        Ok(known.len() as u64)
    }

    /// Writes the store anew, so that removed bytes are in no file and the space is given back; closes the journal and
    /// releases the lock.
    ///
    /// # Errors
    ///
    /// When the copy cannot be written; then the old store stands.
    pub fn rewrite(self) -> Result<(), JournalError> {
        rewrite::rewrite(self.core)
    }

    /// Closes the journal and releases the lock.
    ///
    /// # Errors
    ///
    /// When the store cannot be closed.
    pub fn close(self) -> Result<(), JournalError> {
        self.core.finish().map(drop)
    }
}

impl std::fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upkeep").field("recovery", &self.recovery).finish_non_exhaustive()
    }
}

/// What a thread counted.
struct Counted {
    targets: Vec<TargetStats>,
    elsewhere: u64,
    seen: u64,
}

fn count_slices(
    ledger: &OldGeneration,
    slices: Range<usize>,
    blank: Vec<TargetStats>,
    tags: &HashMap<SubjectTag, usize>,
) -> Result<Counted, JournalError> {
    let mut counted = Counted { targets: blank, elsewhere: 0, seen: 0 };
    let Some(mut reader) = ledger.reader()? else { return Ok(counted) };
    let end = slice_begin(slices.end);
    if let Some(begin) = slice_begin(slices.start) {
        reader.seek(begin);
    }
    while let Some((subject, value)) = reader.next()? {
        if end.is_some_and(|end| subject >= end) {
            break;
        }
        counted.seen += 1;
        match tags.get(&subject.tag()) {
            Some(at) => {
                let entry = decode_entry(subject, value).map_err(|fault| reader.fault(fault))?;
                counted.targets[*at].count(&entry);
            }
            None => counted.elsewhere += 1,
        }
    }
    Ok(counted)
}

/// How many of these subjects a generation has entries of.
fn known_in(reader: &mut GenerationReader, subjects: &[SubjectId]) -> Result<u64, JournalError> {
    let mut known = 0;
    for subject in subjects {
        known += u64::from(reader.get(*subject)?.is_some());
    }
    Ok(known)
}

impl TargetStats {
    fn new(fact: TargetFact) -> TargetStats {
        TargetStats {
            fact,
            subjects: 0,
            unknown: 0,
            in_doubt: 0,
            cleared: 0,
            failed: 0,
            oldest_ack_s: None,
            newest_ack_s: None,
        }
    }

    fn add(&mut self, part: &TargetStats) {
        self.subjects += part.subjects;
        self.unknown += part.unknown;
        self.in_doubt += part.in_doubt;
        self.cleared += part.cleared;
        self.failed += part.failed;
        self.newest_ack_s = self.newest_ack_s.max(part.newest_ack_s);
        self.oldest_ack_s = match (self.oldest_ack_s, part.oldest_ack_s) {
            (Some(all), Some(part)) => Some(all.min(part)),
            (all, part) => all.or(part),
        };
    }

    fn count(&mut self, entry: &LedgerEntry) {
        self.subjects += 1;
        self.unknown += u64::from(!entry.unknown().is_empty());
        self.in_doubt += u64::from(!entry.in_doubt.is_empty());
        self.cleared += u64::from(!entry.cleared_first().fields.is_empty());
        self.failed += u64::from(entry.standing_refusals().next().is_some());
        if entry.acked.is_some() {
            let at = Some(entry.acked_at_s);
            self.oldest_ack_s = self.oldest_ack_s.map_or(at, |oldest| at.map(|at| at.min(oldest)));
            self.newest_ack_s = self.newest_ack_s.max(at);
        }
    }
}
