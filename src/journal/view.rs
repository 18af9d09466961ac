//! The ledger as it stood at the last fold, read without the lock: for lookups while a run is on.
//!
//! The watermark names the generation; a fold that replaces it between the two readings is noticed by the missing file,
//! and the watermark is read again. What is open then stays readable whatever happens to its name. Not here: who asks
//! (`cli/`), what is newer than the fold.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::digest::{FieldHash, StateKey, SubjectId, SubjectTag};
use crate::ledger::{FieldState, LedgerEntry};
use crate::update::FieldKind;

use super::entry::decode_entry;
use super::error::JournalError;
use super::generation::{self, GenerationReader};
use super::index::JournalIndex;
use super::key::{self, LoadedKey};
use super::opening;
use super::watermark::{LedgerName, Watermark, WatermarkFile};

/// Generations that may be replaced before one could be opened.
const TRIES_MAX: u32 = 16;

/// The ledger of a state directory as of its last fold.
#[derive(Debug)]
pub struct LedgerView {
    state_dir: PathBuf,
    key: StateKey,
    mark: Watermark,
    /// The generation's file; `None` for the empty ledger.
    file: Option<File>,
}

/// A field and the hash it must have.
pub(super) type Wanted = (FieldKind, FieldHash);

impl LedgerView {
    /// Opens what stands now. `None` when there is no journal.
    ///
    /// # Errors
    ///
    /// When the journal is damaged, has lost its key, is of an unknown format, or cannot be read.
    pub fn open(state_dir: &Path) -> Result<Option<LedgerView>, JournalError> {
        let Some(mut mark) = WatermarkFile::peek(state_dir)? else {
            opening::journal_exists(state_dir)?;
            return Ok(None);
        };
        let LoadedKey { key, identity } = key::load(state_dir)?.ok_or_else(|| key::missing(state_dir))?;
        if mark.identity != identity {
            return Err(key::foreign(state_dir));
        }
        for _ in 0..TRIES_MAX {
            let file = generation::open_file(state_dir, &mark.ledger)?;
            if file.is_some() || mark.ledger.generation == 0 {
                return Ok(Some(LedgerView { state_dir: state_dir.to_owned(), key, mark, file }));
            }
            let now = WatermarkFile::peek(state_dir)?;
            if now.is_none_or(|now| now.ledger.generation == mark.ledger.generation) {
                break;
            }
            mark = now.unwrap_or(mark);
        }
        Err(JournalError::damaged(
            format!("the ledger generation {} is missing", mark.ledger.generation),
            "what was acknowledged before the last fold is lost",
        ))
    }

    /// The key under which the state directory hashes values.
    pub fn key(&self) -> &StateKey {
        &self.key
    }

    /// Entries in it.
    pub fn entries(&self) -> u64 {
        self.mark.ledger.entries
    }

    /// Number of the generation; 0 for the empty ledger.
    pub fn generation(&self) -> u64 {
        self.mark.ledger.generation
    }

    /// Length of its file in bytes.
    pub fn bytes(&self) -> u64 {
        self.mark.ledger.bytes
    }

    /// Records in the log that are not in it yet.
    pub fn log_records(&self) -> u64 {
        self.mark.records
    }

    /// When it was folded, in seconds since the Unix epoch, as the file system says; `None` for the empty ledger.
    pub fn folded_at_s(&self) -> Option<i64> {
        let modified = self.file.as_ref()?.metadata().ok()?.modified().ok()?;
        i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    }

    /// Targets and runs as far as they are known without the store; `None` when nothing is.
    pub fn index(&self) -> Option<JournalIndex> {
        JournalIndex::read(&self.state_dir)
    }

    /// The entry of a subject.
    ///
    /// # Errors
    ///
    /// When the ledger is damaged or cannot be read, as below.
    pub fn get(&self, subject: SubjectId) -> Result<Option<LedgerEntry>, JournalError> {
        self.reader()?.map_or(Ok(None), |mut reader| reader.get(subject))
    }

    /// All entries of a target whose fields were acknowledged with all of these values, by `threads` threads, each on a
    /// slice of its own. Most entries are passed over by their bytes alone.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn find(
        &self,
        tag: SubjectTag,
        wanted: &[Wanted],
        threads: usize,
    ) -> Result<Vec<LedgerEntry>, JournalError> {
        let threads = u16::try_from(threads.clamp(1, 256)).unwrap_or(1);
        let begin = |slice: u16| {
            let first = u32::from(slice) * 0x1_0000 / u32::from(threads);
            let mut id = [0; 16];
            id[..2].copy_from_slice(&u16::try_from(first).unwrap_or(u16::MAX).to_be_bytes());
            SubjectId(id)
        };
        let end = |slice: u16| (slice + 1 < threads).then(|| begin(slice + 1));
        let found = std::thread::scope(|scope| {
            let slices: Vec<_> = (0..threads)
                .map(|slice| scope.spawn(move || self.find_in(tag, wanted, begin(slice), end(slice))))
                .collect();
            slices
                .into_iter()
                .map(|slice| {
                    slice.join().unwrap_or_else(|_| Err(JournalError::panicked("reading the ledger")))
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    fn find_in(
        &self,
        tag: SubjectTag,
        wanted: &[Wanted],
        from: SubjectId,
        to: Option<SubjectId>,
    ) -> Result<Vec<LedgerEntry>, JournalError> {
        let mut found = Vec::new();
        let Some(mut reader) = self.reader()? else { return Ok(found) };
        reader.seek(from);
        let needles: Vec<[u8; 8]> = wanted.iter().map(|(_, hash)| hash.0.to_be_bytes()).collect();
        loop {
            let Some((subject, value)) = reader.next()? else { return Ok(found) };
            if to.is_some_and(|to| subject >= to) {
                return Ok(found);
            }
            if subject.tag() != tag || !needles.iter().all(|needle| holds(value, needle)) {
                continue;
            }
            let entry = decode_entry(subject, value).map_err(|fault| reader.fault(fault))?;
            if wanted.iter().all(|(field, hash)| is_known_as(&entry, *field, *hash)) {
                found.push(entry);
            }
        }
    }

    /// A reader with a position of its own.
    fn reader(&self) -> Result<Option<GenerationReader>, JournalError> {
        let Some(file) = &self.file else { return Ok(None) };
        let ledger: &LedgerName = &self.mark.ledger;
        let path = generation::path_of(&self.state_dir, ledger.generation);
        let file = file.try_clone().map_err(JournalError::io("open", &path))?;
        GenerationReader::of_file(file, &self.state_dir, ledger, self.mark.identity).map(Some)
    }
}

/// Whether the bytes hold these eight in a row.
fn holds(value: &[u8], needle: &[u8; 8]) -> bool {
    value.windows(needle.len()).any(|window| window == needle)
}

fn is_known_as(entry: &LedgerEntry, field: FieldKind, hash: FieldHash) -> bool {
    entry.field(field).is_some_and(|known| known.state == FieldState::Known(hash))
}
