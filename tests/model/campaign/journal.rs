//! The product's own memory after a step, read from a copy of the state directory and told in the model's words.
//!
//! Values come back out of their hashes because every value that a sequence ever wrote is known. Not here: what must
//! stand in it (`checks.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use simsync::api::Endpoint;
use simsync::digest::{FieldHash, SubjectId};
use simsync::journal::{Journal, JournalOptions, LockHolder, Upkeep};
use simsync::ledger::{FailureKind, FieldState, LedgerEntry};
use simsync::update::FieldSet;

use super::memory::{Failed, Version};
use super::rows::{Cells, Field};
use crate::witness::copy_dir;

/// An entry as the journal has it, without what only hashes tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Known values are given by value; a hash of nothing that was ever written is shown as such.
    pub(crate) fields: BTreeMap<Field, (Option<String>, Version)>,
    pub(crate) acked: Option<Version>,
    /// Of unknown fields, the value last acknowledged.
    pub(crate) last_known: Cells,
    /// What a clear before all rows has emptied, or may have.
    pub(crate) cleared_first: BTreeSet<Field>,
    /// When the last acknowledgment came, in seconds since the Unix epoch.
    pub(crate) acked_at_s: i64,
    pub(crate) doubts: Vec<(Version, BTreeSet<Field>)>,
    pub(crate) refusals: Vec<(Version, Failed, u32)>,
}

/// What the journal says.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// By target and subject.
    pub(crate) entries: BTreeMap<(usize, String), Seen>,
    /// Batch of the run asked for.
    pub(crate) batch: Option<u64>,
    /// The newest open batch before it.
    pub(crate) older_open: Option<u64>,
    /// Whether there is a journal.
    pub(crate) is_there: bool,
}

/// Names of targets, and every subject and value there is.
pub(crate) struct Names {
    pub(crate) urls: Vec<String>,
    pub(crate) subjects: BTreeSet<String>,
    pub(crate) values: BTreeSet<(Field, String)>,
}

/// Reads the journal of a state directory, and the batch of a run.
pub(crate) fn read(state: &Path, names: &Names, run_id: Option<&str>) -> Result<Remembered, String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    if state.is_dir() {
        copy_dir(state, copy.path());
    }
    let options = JournalOptions::new(copy.path());
    let opened = Journal::open_existing(&options, "model", "here", 0);
    let Some(journal) = opened.map_err(|error| format!("the journal does not open: {error}"))? else {
        return Ok(Remembered::default());
    };
    let key = journal.key();
    let mut subjects: BTreeMap<SubjectId, (usize, String)> = BTreeMap::new();
    for (target, url) in names.urls.iter().enumerate() {
        let name = Endpoint::parse(url, false).map_err(|error| error.to_string())?.target();
        for subject in &names.subjects {
            subjects.insert(key.subject(&name, Field::Key.kind(), subject), (target, subject.clone()));
        }
    }
    let keys = names.subjects.iter().map(|subject| (Field::Key, subject));
    let values = names.values.iter().map(|(field, value)| (*field, value));
    let values: BTreeMap<(Field, FieldHash), String> = keys
        .chain(values)
        .map(|(field, value)| ((field, key.field(field.kind(), value)), value.clone()))
        .collect();
    let mut remembered = Remembered { is_there: true, ..Remembered::default() };
    let entries = journal.ledger().map_err(|error| format!("the ledger cannot be read: {error}"))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        let name = subjects.get(&entry.subject).ok_or("the ledger has a subject of no export")?;
        remembered.entries.insert(name.clone(), seen(&entry, &values)?);
    }
    let batch = run_id.map(|run_id| journal.run_batch(run_id)).transpose();
    let batch = batch.map_err(|error| format!("the runs cannot be read: {error}"))?.flatten();
    if let Some(run) = &batch {
        let open = journal.older_open(&run.target, run.batch_seq);
        remembered.older_open = open.map_err(|error| format!("the batches cannot be read: {error}"))?;
    }
    remembered.batch = batch.map(|run| run.batch_seq);
    Ok(remembered)
}

/// Batches and runs, as the journal has them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Target and batch of each run.
    pub(crate) runs: BTreeMap<String, (usize, u64)>,
    /// The newest batch of each target.
    pub(crate) newest: BTreeMap<usize, u64>,
    pub(crate) open: Vec<(usize, u64)>,
    /// Those of them that were begun to be sent.
    pub(crate) delivered: BTreeSet<(usize, u64)>,
}

/// Reads batches and runs of a state directory; none where there is no journal.
pub(crate) fn index(state: &Path, names: &Names) -> Result<Option<Index>, String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    if state.is_dir() {
        copy_dir(state, copy.path());
    }
    let who = LockHolder { pid: 1, host: "here".into(), run_id: "model".into(), since_s: 0 };
    let opened =
        Upkeep::open(copy.path(), &who).map_err(|error| format!("the journal does not open: {error}"))?;
    let Some(upkeep) = opened else { return Ok(None) };
    let found = upkeep.index().map_err(|error| format!("the names cannot be read: {error}"))?;
    let target = |name: &str| {
        let mut urls = names.urls.iter();
        urls.position(|url| Endpoint::parse(url, false).is_ok_and(|endpoint| endpoint.target() == name))
            .unwrap()
    };
    let mut index = Index::default();
    for run in &found.runs {
        index.runs.insert(run.run_id.clone(), (target(&run.target), run.batch));
    }
    for fact in &found.targets {
        let target = target(&fact.target);
        index.newest.insert(target, fact.newest_batch);
        index.open.extend(fact.open.iter().map(|open| (target, open.seq)));
        let delivered = fact.open.iter().filter(|open| open.delivered);
        index.delivered.extend(delivered.map(|open| (target, open.seq)));
    }
    Ok(Some(index))
}

fn version(version: simsync::row::Version) -> Version {
    Version { batch: version.batch, ordinal: version.ordinal }
}

fn fields(set: FieldSet) -> BTreeSet<Field> {
    ALL.into_iter().filter(|field| set.contains(field.kind())).collect()
}

/// Every field of the exports.
const ALL: [Field; 5] = [Field::Number, Field::Imsi, Field::Login, Field::Key, Field::Class];

fn seen(entry: &LedgerEntry, values: &BTreeMap<(Field, FieldHash), String>) -> Result<Seen, String> {
    let acked = entry.acked.map(version);
    let cleared_first = fields(entry.cleared_first().fields);
    let mut seen = Seen { acked, cleared_first, acked_at_s: entry.acked_at_s, ..Seen::default() };
    for field in ALL {
        let Some(held) = entry.field(field.kind()) else { continue };
        let value = |hash| {
            let value = values.get(&(field, hash)).cloned();
            value.ok_or(format!("the ledger has a {field:?} that was never written"))
        };
        if let Some(hash) = entry.last_known(field.kind()) {
            seen.last_known.insert(field, value(hash)?);
        }
        let value = match held.state {
            FieldState::Unknown => None,
            FieldState::Known(hash) => Some(value(hash)?),
        };
        seen.fields.insert(field, (value, version(held.version)));
    }
    seen.doubts = entry.in_doubt.iter().map(|doubt| (version(doubt.version), fields(doubt.fields))).collect();
    for refusal in &entry.refusals {
        let how = match refusal.kind {
            FailureKind::Refused => Failed::Refused,
            FailureKind::Unresolved => Failed::Unresolved,
            FailureKind::Exhausted => Failed::Exhausted,
            FailureKind::EchoMismatch => Failed::EchoMismatch,
            FailureKind::Deferred => Failed::Deferred,
        };
        seen.refusals.push((version(refusal.version), how, refusal.count));
    }
    Ok(seen)
}
