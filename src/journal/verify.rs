//! Verifying: reads everything a journal consists of and says what is wrong and what is lost by it.
//!
//! Changes nothing: of the store, whose opening mends and drops what it takes for torn, a copy is opened. One fault
//! does not hide the next ones. Not here: mending, which there is none of; restoring a copy or `journal adopt` is the
//! remedy.

use std::fs::{self, File};
use std::path::Path;

use crate::count::plural;
use crate::ledger::LedgerEntry;

use super::entry::decode_entry;
use super::error::JournalError;
use super::files;
use super::gather::lost_values;
use super::generation::{self, GenerationReader};
use super::key;
use super::lock::{LockHolder, StateLock};
use super::named::{self, OpenBatch, RunBatch};
use super::opening::{self, lost_records};
use super::pages;
use super::record::{decode_record, open_value};
use super::rewrite;
use super::store::{SledStore, Store};
use super::watermark::{LedgerName, Watermark, WatermarkFile};

/// Directory of the store's copy.
pub(super) const COPY_DIR: &str = "journal.verify";

/// Findings told; the rest is counted.
const FINDINGS_MAX: usize = 100;

/// What is found, and lost, where the watermark is missing.
const NO_WATERMARK: (&str, &str) =
    ("the watermark is missing", "nobody can say how much of the log is missing");

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub what: String,
    /// What is lost by it.
    pub lost: String,
}

/// What was read, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Values of the log.
    pub log_values: u64,
    /// Records in them.
    pub log_records: u64,
    /// Named values.
    pub named_values: u64,
    /// Number of the ledger's generation.
    pub generation: u64,
    /// Pages of the ledger.
    pub pages: u64,
    /// Entries of the ledger that could be read.
    pub entries: u64,
    /// What is wrong, in the order it was found; the first hundred.
    pub findings: Vec<Finding>,
    /// How many findings there were.
    pub findings_total: u64,
    /// Whether nothing may be written there by this user, so that the copy stood elsewhere and the lock bears no name.
    pub is_read_only: bool,
    /// Whether nothing was ever recorded: the run that was to create the journal was killed over it, and the next one
    /// goes on.
    pub is_blank: bool,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings_total == 0
    }

    fn add(&mut self, what: impl Into<String>, lost: impl Into<String>) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { what: what.into(), lost: lost.into() });
        }
    }

    /// What was found in the store.
    fn take(&mut self, store: Verified) {
        self.log_values = store.log_values;
        self.log_records = store.log_records;
        self.named_values = store.named_values;
        self.findings_total += store.findings_total;
        self.findings.extend(store.findings);
        self.findings.truncate(FINDINGS_MAX);
    }

    /// An error of a part, as a finding.
    ///
    /// # Errors
    ///
    /// Where a permission is what lacks: that is no finding.
    fn add_error(&mut self, error: JournalError) -> Result<(), JournalError> {
        if error.is_denied() {
            return Err(error);
        }
        if let JournalError::Damaged { what, lost } = error {
            self.add(what, lost);
            return Ok(());
        }
        let remedy = error.remedy();
        self.add(error.to_string(), format!("unknown; {remedy}"));
        Ok(())
    }
}

/// Reads everything. `None` when there is no journal.
///
/// # Errors
///
/// When another process holds the lock, when something may not be read, or when there is no room for the copy of the
/// store, neither in the state directory nor in that for temporary files. Damage is no error here.
pub fn verify(state_dir: &Path, who: &LockHolder) -> Result<Option<Verified>, JournalError> {
    match opening::journal_exists(state_dir) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error @ JournalError::Damaged { .. }) => {
            let mut verified = Verified::default();
            verified.add_error(error)?;
            return Ok(Some(verified));
        }
        Err(error) => return Err(error),
    }
    match StateLock::take(state_dir, who) {
        Ok(lock) => {
            let verified = in_order(state_dir)?;
            lock.release();
            Ok(Some(verified))
        }
        Err(error) if error.is_not_writable() => {
            // Held while it is read; where there is no lock file, nothing has ever run.
            let _lock = StateLock::take_to_read(state_dir)?;
            Ok(Some(as_read_only(read_elsewhere(state_dir)?)))
        }
        Err(error) => Err(error),
    }
}

/// Reads everything under the lock, the store's copy beside it where that can be.
fn in_order(state_dir: &Path) -> Result<Verified, JournalError> {
    // A rewriting that was killed between its two renames is no damage: the next opening would put it in order, too.
    let copied = rewrite::recover(state_dir).and_then(|()| read_all(state_dir, &state_dir.join(COPY_DIR)));
    match copied {
        Err(error) if error.is_no_room() => read_elsewhere(state_dir),
        // Of what may not be written to. Where it may not be read either, that is what the second reading says.
        Err(error) if error.is_not_writable() => read_elsewhere(state_dir).map(as_read_only),
        read => read,
    }
}

fn as_read_only(verified: Verified) -> Verified {
    Verified { is_read_only: true, ..verified }
}

/// Reads everything with the store's copy in the directory for temporary files.
fn read_elsewhere(state_dir: &Path) -> Result<Verified, JournalError> {
    let elsewhere = std::env::temp_dir();
    let copy =
        tempfile::tempdir_in(&elsewhere).map_err(JournalError::io("create a directory in", &elsewhere))?;
    read_all(state_dir, &copy.path().join(COPY_DIR))
}

/// Reads everything, the store by a copy of it in a directory that this makes and removes.
pub(super) fn read_all(state_dir: &Path, copy: &Path) -> Result<Verified, JournalError> {
    let mut verified = Verified::default();
    let identity = match key::load(state_dir) {
        Ok(Some(loaded)) => Some(loaded.identity),
        Ok(None) => {
            verified.add_error(key::missing(state_dir))?;
            None
        }
        Err(error) => {
            verified.add_error(error)?;
            None
        }
    };
    let mark = WatermarkFile::peek(state_dir);
    // What a run that was killed over the creation of the journal leaves: the next one goes on with it.
    let may_be_blank = verified.is_sound()
        && matches!(&mark, Ok(mark) if mark.is_none_or(|mark| mark.sequence == 0))
        && generation::files_of(state_dir)?.is_empty()
        && opening::check_never_used(state_dir).is_ok();
    let mark = match mark {
        Ok(Some(mark)) => Some(mark),
        Ok(None) => {
            if !may_be_blank {
                verified.add(NO_WATERMARK.0, NO_WATERMARK.1);
            }
            None
        }
        Err(error) => {
            verified.add_error(error)?;
            None
        }
    };
    if let (Some(identity), Some(mark)) = (identity, &mark)
        && mark.identity != identity
    {
        verified.add_error(key::foreign(state_dir))?;
    }
    let mut found = Verified::default();
    let read = store(state_dir, copy, mark.as_ref(), &mut found)?;
    if may_be_blank && verified.is_sound() {
        let has_begun = found.named_values > 0 || found.log_values > 0;
        let is_blank = match mark {
            Some(_) => !has_begun || found.log_records == 0 && found.is_sound(),
            None => !has_begun,
        };
        if read.is_some() && is_blank {
            let (named_values, log_values) = (found.named_values, found.log_values);
            return Ok(Verified { is_blank, named_values, log_values, ..verified });
        }
        if mark.is_none() {
            verified.add(NO_WATERMARK.0, NO_WATERMARK.1);
        }
    }
    verified.take(found);
    // The store may be one naming ahead of the watermark, when a run was killed between the two.
    if let Some(name) = read.flatten().or(mark.map(|mark| mark.ledger)) {
        let identity = mark.map(|mark| mark.identity).or(identity);
        ledger(state_dir, &name, identity, &mut verified)?;
    }
    Ok(verified)
}

/// Verifies a copy of the store; returns the ledger it names, and `None` where the store cannot be opened.
fn store(
    state_dir: &Path,
    copy: &Path,
    mark: Option<&Watermark>,
    verified: &mut Verified,
) -> Result<Option<Option<LedgerName>>, JournalError> {
    let dir = rewrite::store_dir(state_dir);
    if !dir.join("db").exists() {
        let lost = "open batches, past runs and the records since the last fold are lost";
        verified.add(format!("the store's file {} is missing", dir.join("db").display()), lost);
        return Ok(Some(None));
    }
    if let Err(error) = copy_dir(&dir, copy) {
        // Half a copy would only take up what room there is.
        drop(fs::remove_dir_all(copy));
        return Err(error);
    }
    let read = SledStore::open_at(copy.to_owned()).and_then(|store| {
        let name = names(&store, verified)?;
        if let (Some(stored), Some(mark)) = (&name, mark) {
            opening::check_ledger_name(stored, &mark.ledger).or_else(|error| verified.add_error(error))?;
        }
        log(&store, name.as_ref(), mark, verified)?;
        Ok(name)
    });
    fs::remove_dir_all(copy).map_err(JournalError::io("remove the directory", copy))?;
    match read {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.is_no_room() => Err(error),
        Err(error) => {
            verified.add_error(error)?;
            Ok(None)
        }
    }
}

/// Every named value.
fn names(store: &dyn Store, verified: &mut Verified) -> Result<Option<LedgerName>, JournalError> {
    let mut ledger = None;
    let mut has_identity = false;
    store.named_with("", &mut |name, bytes| {
        verified.named_values += 1;
        let read = match name.split('/').next().unwrap_or(name) {
            named::LEDGER => named::decode(name, bytes).map(|found| ledger = Some(found)),
            named::IDENTITY => named::decode::<u64>(name, bytes).map(|_| has_identity = true),
            "open" => named::decode::<OpenBatch>(name, bytes).map(drop),
            "run" => named::decode::<RunBatch>(name, bytes).map(drop),
            "key" => named::decode::<crate::update::FieldKind>(name, bytes).map(drop),
            "newest" | "in-flight" => named::decode::<u64>(name, bytes).map(drop),
            // Of other kinds the checksum is all that can be asked.
            _ => named::check_sum(name, bytes),
        };
        if let Err(error) = read {
            verified.add_error(error)?;
        }
        Ok(())
    })?;
    if ledger.is_none() {
        verified.add("the store names no ledger", "which ledger stands");
    }
    if !has_identity {
        verified.add("the store does not say whose journal it is", "the beginning of the store's file");
    }
    Ok(ledger)
}

/// Every value of the log, every record in it, and how many there should be.
fn log(
    store: &dyn Store,
    name: Option<&LedgerName>,
    mark: Option<&Watermark>,
    verified: &mut Verified,
) -> Result<(), JournalError> {
    let begin = name.map_or(1, |name| name.through + 1);
    let mut last = begin - 1;
    let mut records = 0;
    let mut at_mark = (last == mark.map_or(0, |mark| mark.sequence)).then_some(0);
    store.log()?.scan(begin, u64::MAX, &mut |sequence, value| {
        verified.log_values += 1;
        if sequence != last + 1 {
            let lost = lost_values(last, sequence);
            verified.add(format!("the log goes from sequence {last} to {sequence}"), lost);
        }
        last = sequence;
        match value_records(sequence, value) {
            Ok(count) => records += count,
            Err(error) => verified.add_error(error)?,
        }
        if mark.is_some_and(|mark| mark.sequence == sequence) {
            at_mark = Some(records);
        }
        Ok(())
    })?;
    verified.log_records = records;
    let Some(mark) = mark else { return Ok(()) };
    if last < mark.sequence {
        verified.add(
            format!("the log ends at sequence {last}, and sequence {} was durable", mark.sequence),
            lost_records(mark.records, records),
        );
    }
    let is_same = name.is_some_and(|name| *name == mark.ledger);
    if is_same && at_mark.is_some_and(|found| found != mark.records) {
        verified.add(
            format!("the log holds {}, and {} were counted", plural(records, "record"), mark.records),
            "the records between",
        );
    }
    Ok(())
}

fn value_records(sequence: u64, value: &[u8]) -> Result<u64, JournalError> {
    let fault = |fault| super::gather::log_fault(sequence, fault);
    let opened = open_value(sequence, value).map_err(fault)?;
    for record in opened.records() {
        record.and_then(decode_record).map_err(fault)?;
    }
    Ok(u64::from(opened.count))
}

/// Every page of the generation, every entry in it, their order and their number.
fn ledger(
    state_dir: &Path,
    name: &LedgerName,
    identity: Option<u64>,
    verified: &mut Verified,
) -> Result<(), JournalError> {
    verified.generation = name.generation;
    if name.generation == 0 {
        return Ok(());
    }
    let path = generation::path_of(state_dir, name.generation);
    let checked = File::open(&path)
        .map_err(JournalError::io("open", &path))
        .and_then(|file| pages::check_all(&file).map_err(JournalError::io("read", &path)));
    let bad = match checked {
        Ok(checked) => {
            verified.pages = checked.pages;
            checked.bad
        }
        Err(_) => Vec::new(),
    };
    let read = identity.map_or(Ok(()), |identity| entries(state_dir, name, identity, &mut verified.entries));
    let left = verified.entries;
    if !bad.is_empty() {
        let some: Vec<String> = bad.iter().take(5).map(u64::to_string).collect();
        let more = if bad.len() > some.len() { ", …" } else { "" };
        let share = name.entries.saturating_mul(bad.len() as u64).div_ceil(verified.pages.max(1));
        verified.add(
            format!(
                "{} of {} pages of the ledger {} are damaged: {}{more}",
                bad.len(),
                verified.pages,
                path.display(),
                some.join(", ")
            ),
            format!(
                "what was acknowledged for about {share} of {}; {} before them can be read",
                plural(name.entries, "subject"),
                plural(left, "entry")
            ),
        );
    }
    read.or_else(|error| verified.add_error(error))
}

fn entries(state_dir: &Path, name: &LedgerName, identity: u64, read: &mut u64) -> Result<(), JournalError> {
    let Some(mut reader) = GenerationReader::open(state_dir, name, identity)? else { return Ok(()) };
    let path = generation::path_of(state_dir, name.generation);
    let fault = |fault| generation::from_codec(&path, name.through, fault);
    let mut last = None;
    while let Some((subject, value)) = reader.next()? {
        let decoded: Result<LedgerEntry, JournalError> = decode_entry(subject, value).map_err(fault);
        decoded?;
        if last.is_some_and(|last| last >= subject) {
            return Err(fault(super::codec::CodecError::Damaged("its entries do not ascend")));
        }
        last = Some(subject);
        *read += 1;
    }
    if *read == name.entries {
        return Ok(());
    }
    Err(fault(super::codec::CodecError::Damaged("it holds another number of entries than it should")))
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), JournalError> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(JournalError::io("remove the directory", to))?;
    }
    files::create_dir(to)?;
    for path in files::list(from)? {
        let target = to.join(files::file_name(&path));
        if path.is_dir() {
            copy_dir(&path, &target)?;
        } else {
            let mut copy = files::create_anew(&target)?;
            File::open(&path)
                .and_then(|mut file| std::io::copy(&mut file, &mut copy))
                .map_err(JournalError::io("copy", &path))?;
        }
    }
    Ok(())
}
