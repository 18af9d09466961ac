//! A ledger generation: one immutable file of entries sorted by subject id.
//!
//! The only user of grenad. Not here: the entry's bytes (`entry.rs`), the checksums (`pages.rs`), how a new
//! generation comes about (`fold.rs`) and which one stands (`opening.rs`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::SubjectId;
use crate::ledger::LedgerEntry;

use super::codec::CodecError;
use super::entry::{decode_anew, decode_entry};
use super::error::JournalError;
use super::files;
use super::pages::{PageReader, PageWriter, PagesFault, PagesOwner, WritePace};
use super::sorted::SLICES;
use super::watermark::LedgerName;

/// Index levels of a file: with one, the index of a file of 10 M entries stays in kilobytes of memory.
const INDEX_LEVELS: u8 = 1;

/// Bytes of a block, at which it ends. A reader gets the memory for each by growing it step by step, under a lock
/// that the threads of a plan share: with blocks of 8 KiB they wait for each other. With what is behind the entries
/// it stays below 64 KiB.
const BLOCK_BYTES: usize = 56 << 10;

const PREFIX: &str = "ledger-";
const SUFFIX: &str = ".grenad";

/// Where a generation lies.
pub(super) fn path_of(state_dir: &Path, generation: u64) -> PathBuf {
    state_dir.join(format!("{PREFIX}{generation}{SUFFIX}"))
}

/// All files of the state directory that are a generation, complete or not.
pub(super) fn files_of(state_dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let mut found = files::list(state_dir)?;
    found.retain(|path| {
        let name = files::file_name(path);
        let name = name.strip_suffix(files::TEMPORARY_SUFFIX).unwrap_or(name);
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    });
    Ok(found)
}

/// Opens the file of a generation; `None` when it is not there, which is damage unless it was replaced meanwhile.
pub(super) fn open_file(state_dir: &Path, name: &LedgerName) -> Result<Option<File>, JournalError> {
    let path = path_of(state_dir, name.generation);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("open", &path)(error)),
    }
}

/// Writes a generation under a temporary name.
pub(super) struct GenerationWriter {
    writer: grenad::Writer<PageWriter>,
    entries: u64,
    path: PathBuf,
    temporary: PathBuf,
}

impl GenerationWriter {
    /// Begins a generation.
    pub(super) fn create(
        state_dir: &Path,
        owner: PagesOwner,
        pace: WritePace,
    ) -> Result<GenerationWriter, JournalError> {
        let path = path_of(state_dir, owner.generation);
        let temporary = files::temporary_name(&path);
        let file = files::create_anew(&temporary)?;
        let pages = PageWriter::new(file, owner, pace).map_err(JournalError::io("write", &temporary))?;
        let writer =
            grenad::WriterBuilder::new().index_levels(INDEX_LEVELS).block_size(BLOCK_BYTES).build(pages);
        Ok(GenerationWriter { writer, entries: 0, path, temporary })
    }

    /// Adds an encoded entry; subjects must come in ascending order.
    pub(super) fn insert(&mut self, subject: SubjectId, value: &[u8]) -> Result<(), JournalError> {
        // Its path is cloned for an error only: this is called ten million times.
        self.writer
            .insert(subject.0, value)
            .map_err(|error| JournalError::io("write", &self.temporary)(error))?;
        self.entries += 1;
        Ok(())
    }

    /// Completes the file and gives it its name; returns how many entries and how many bytes it has. It stands
    /// for nothing until it is named in the store and in the watermark.
    pub(super) fn finish(self) -> Result<(u64, u64), JournalError> {
        let bytes = self
            .writer
            .into_inner()
            .and_then(PageWriter::finish)
            .map_err(JournalError::io("write", &self.temporary))?;
        files::publish(&self.temporary, &self.path)?;
        Ok((self.entries, bytes))
    }
}

/// Reads a generation, from the front or by subject.
pub(super) struct GenerationReader {
    cursor: grenad::ReaderCursor<PageReader>,
    path: PathBuf,
    through: u64,
    entries: u64,
    /// Where the next entry is looked for, when it is not simply the one behind the last.
    seek_to: Option<SubjectId>,
}

impl GenerationReader {
    /// Opens the generation of this name; `None` for the empty ledger, which has no file.
    pub(super) fn open(
        state_dir: &Path,
        name: &LedgerName,
        identity: u64,
    ) -> Result<Option<GenerationReader>, JournalError> {
        if name.generation == 0 {
            return Ok(None);
        }
        match open_file(state_dir, name)? {
            Some(file) => GenerationReader::of_file(file, state_dir, name, identity).map(Some),
            None => Err(damaged(&path_of(state_dir, name.generation), name.through, "it is missing")),
        }
    }

    /// Reads the generation of this name in a file that is open already.
    pub(super) fn of_file(
        file: File,
        state_dir: &Path,
        name: &LedgerName,
        identity: u64,
    ) -> Result<GenerationReader, JournalError> {
        let path = path_of(state_dir, name.generation);
        let owner = PagesOwner { identity, generation: name.generation };
        let pages = match PageReader::open(file, owner, name.bytes) {
            Ok(pages) => pages,
            Err(PagesFault::Io(error)) => return Err(JournalError::io("read", &path)(error)),
            Err(PagesFault::Codec(fault)) => return Err(from_codec(&path, name.through, fault)),
        };
        let cursor = grenad::Reader::new(pages)
            .and_then(grenad::Reader::into_cursor)
            .map_err(|error| from_grenad(&path, name.through, error))?;
        Ok(GenerationReader { cursor, path, through: name.through, entries: name.entries, seek_to: None })
    }

    /// Makes the first entry at or behind a subject the next one.
    pub(super) fn seek(&mut self, subject: SubjectId) {
        self.seek_to = Some(subject);
    }

    /// Entries it was named with.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The next entry's subject and bytes, ascending.
    pub(super) fn next(&mut self) -> Result<Option<(SubjectId, &[u8])>, JournalError> {
        let (path, through) = (&self.path, self.through);
        let found = match self.seek_to.take() {
            None => self.cursor.move_on_next(),
            Some(subject) => self.cursor.move_on_key_greater_than_or_equal_to(subject.0),
        };
        match found.map_err(|error| from_grenad(path, through, error))? {
            None => Ok(None),
            Some((key, value)) => {
                let id = key.try_into().map_err(|_| damaged(path, through, "a key is no subject id"))?;
                Ok(Some((SubjectId(id), value)))
            }
        }
    }

    /// The entry of a subject.
    pub(super) fn get(&mut self, subject: SubjectId) -> Result<Option<LedgerEntry>, JournalError> {
        let (path, through) = (&self.path, self.through);
        let found =
            self.cursor.move_on_key_equal_to(subject.0).map_err(|error| from_grenad(path, through, error))?;
        found
            .map(|(_, value)| decode_entry(subject, value).map_err(|fault| from_codec(path, through, fault)))
            .transpose()
    }

    /// The error of bytes of this file that cannot be read back.
    pub(super) fn fault(&self, fault: CodecError) -> JournalError {
        from_codec(&self.path, self.through, fault)
    }
}

/// Entries of the ledger one by one, by their subjects. The file is opened once; what is folded meanwhile is not in it.
pub struct LedgerLookups {
    reader: Option<GenerationReader>,
}

impl LedgerLookups {
    pub(super) fn new(reader: Option<GenerationReader>) -> LedgerLookups {
        LedgerLookups { reader }
    }

    /// The entry of a subject.
    ///
    /// # Errors
    ///
    /// When the file is damaged or cannot be read.
    pub fn get(&mut self, subject: SubjectId) -> Result<Option<LedgerEntry>, JournalError> {
        self.reader.as_mut().map_or(Ok(None), |reader| reader.get(subject))
    }
}

/// The generation that a fold takes the place of. Any number of threads read it, each with a handle of its own.
pub(super) struct OldGeneration {
    state_dir: PathBuf,
    name: LedgerName,
    identity: u64,
    /// The file, to be told what will be read; `None` for the empty ledger.
    file: Option<File>,
}

impl OldGeneration {
    /// Opens the generation of this name.
    pub(super) fn open(
        state_dir: &Path,
        name: &LedgerName,
        identity: u64,
    ) -> Result<OldGeneration, JournalError> {
        let file = if name.generation == 0 { None } else { open_file(state_dir, name)? };
        Ok(OldGeneration { state_dir: state_dir.to_owned(), name: *name, identity, file })
    }

    /// A reader of all of it; `None` for the empty ledger.
    pub(super) fn reader(&self) -> Result<Option<GenerationReader>, JournalError> {
        GenerationReader::open(&self.state_dir, &self.name, self.identity)
    }

    /// Length of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.name.bytes
    }

    /// Tells the system that the entries of these slices will be read soon, about where they must lie, for subjects
    /// are hashes. It reads them in large stretches then.
    pub(super) fn will_need(&self, first: usize, slices: usize) {
        let bytes_per_slice = self.name.bytes / SLICES as u64 + 1;
        if let Some(file) = &self.file
            && let Some(len) = std::num::NonZeroU64::new(slices as u64 * bytes_per_slice)
        {
            let advice = rustix::fs::Advice::WillNeed;
            // A system that takes no advice reads all the same.
            rustix::fs::fadvise(file, first as u64 * bytes_per_slice, Some(len), advice).unwrap_or_default();
        }
    }

    /// Damage, unless so many entries were found in it.
    pub(super) fn check_entries(&self, found: u64) -> Result<(), JournalError> {
        if found == self.name.entries {
            return Ok(());
        }
        let path = path_of(&self.state_dir, self.name.generation);
        Err(damaged(&path, self.name.through, "it holds another number of entries than it should"))
    }
}

/// Entries of the ledger, all or a slice, ascending by subject id, read on the caller's thread. Ends after its first
/// error.
///
/// Every scan has a file handle of its own, so that any number of them run at once. Pages are verified as they are
/// read: damage is an error of the scan that comes to it, not of the opening.
pub struct LedgerScan {
    reader: Option<GenerationReader>,
    to_exclusive: Option<SubjectId>,
    /// Whether it begins and ends with the ledger, so that its entries can be counted.
    is_whole: bool,
    seen: u64,
    entries: u64,
}

impl LedgerScan {
    /// All entries.
    pub(super) fn new(reader: Option<GenerationReader>) -> LedgerScan {
        let entries = reader.as_ref().map_or(0, GenerationReader::entries);
        LedgerScan { reader, to_exclusive: None, is_whole: true, seen: 0, entries }
    }

    /// The entries from a subject on, before another.
    pub(super) fn slice(
        reader: Option<GenerationReader>,
        from: SubjectId,
        to_exclusive: Option<SubjectId>,
    ) -> LedgerScan {
        let mut scan = LedgerScan::new(reader);
        scan.to_exclusive = to_exclusive;
        scan.is_whole = from == SubjectId([0; 16]) && to_exclusive.is_none();
        if let Some(reader) = &mut scan.reader {
            reader.seek(from);
        }
        scan
    }

    /// Entries of the whole ledger: what a scan of all of it yields, and a slice at most.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The next entry's subject alone, without decoding the entry: for counts.
    ///
    /// # Errors
    ///
    /// As the scan itself: when the file is damaged or cannot be read.
    pub fn next_subject(&mut self) -> Result<Option<SubjectId>, JournalError> {
        self.step(|subject, _| Ok(subject))
    }

    /// Reads the next entry to where an earlier one may stand, which is forgotten. `false`: there is none.
    ///
    /// # Errors
    ///
    /// As the scan itself.
    pub fn read_next(&mut self, into: &mut LedgerEntry) -> Result<bool, JournalError> {
        Ok(self.step(|subject, bytes| decode_anew(into, subject, bytes))?.is_some())
    }

    fn step<T>(
        &mut self,
        take: impl FnOnce(SubjectId, &[u8]) -> Result<T, CodecError>,
    ) -> Result<Option<T>, JournalError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let found = match reader.next() {
            Ok(Some((subject, _))) if self.to_exclusive.is_some_and(|end| subject >= end) => Ok(None),
            Ok(Some((subject, value))) => {
                let taken = take(subject, value);
                self.seen += 1;
                taken.map(Some).map_err(|fault| reader.fault(fault))
            }
            Ok(None) if self.is_whole && self.seen != self.entries => {
                let why = "it holds another number of entries than it should";
                Err(reader.fault(CodecError::Damaged(why)))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if !matches!(found, Ok(Some(_))) {
            self.reader = None;
        }
        found
    }
}

impl Iterator for LedgerScan {
    type Item = Result<LedgerEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(decode_entry).transpose()
    }
}

fn from_grenad(path: &Path, through: u64, error: grenad::Error) -> JournalError {
    match error {
        grenad::Error::Io(error)
            if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof =>
        {
            damaged(path, through, &error.to_string())
        }
        grenad::Error::Io(error) => JournalError::io("read", path)(error),
        grenad::Error::Merge(_)
        | grenad::Error::InvalidCompressionType
        | grenad::Error::InvalidFormatVersion => damaged(path, through, "its index is not readable"),
    }
}

pub(super) fn from_codec(path: &Path, through: u64, fault: CodecError) -> JournalError {
    match fault {
        CodecError::Damaged(why) => damaged(path, through, why),
        CodecError::Unknown(what) => JournalError::UnknownFormat { what },
    }
}

fn damaged(path: &Path, through: u64, why: &str) -> JournalError {
    JournalError::damaged(
        format!("the ledger generation {}: {why}", path.display()),
        format!("what was acknowledged up to log sequence {through} is not all there"),
    )
}
