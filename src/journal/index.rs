//! What the journal knows by name: targets with their key fields and batches, and which batch each run was about.
//!
//! The store has it (`named.rs`); `targets.json` beside it repeats what a reader needs while another process holds the
//! store, which two cannot open. The file is a courtesy and holds no identifier: what it lacks is not shown, nothing is
//! decided by it. Not here: the ledger (`view.rs`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::update::FieldKind;

use super::core::Core;
use super::error::JournalError;
use super::files;
use super::named::{self, OpenBatch, RunBatch};

/// Name of the file in the state directory.
pub(super) const INDEX_FILE: &str = "targets.json";

/// Version of the file's shape.
const INDEX_VERSION: u32 = 1;

/// Runs that the file holds, the newest; older ones are only in the store.
const RUNS_LISTED_MAX: usize = 1_000;

/// Bytes of a file that is read: some 1,000 runs of long names fit in many times.
const INDEX_BYTES_MAX: u64 = 16 << 20;

/// Targets and runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalIndex {
    /// Targets by name.
    pub targets: Vec<TargetFact>,
    /// Runs by id, so the oldest first.
    pub runs: Vec<RunFact>,
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFact {
    /// Its name.
    pub target: String,
    /// Its key field; `None` as long as no run has sent anything there.
    pub key: Option<FieldKind>,
    /// Sequence of the newest batch; 0 where none is known.
    pub newest_batch: u64,
    /// Batches not yet ruled on as a whole, by sequence.
    pub open: Vec<TargetBatch>,
}

/// An open batch of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetBatch {
    /// Its sequence.
    pub seq: u64,
    /// Its rows.
    pub rows: u64,
    /// When it was begun, in seconds since the Unix epoch.
    pub begun_s: i64,
    /// Whether a run began to deliver it.
    pub delivered: bool,
}

/// Which batch a run was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFact {
    /// Id of the run.
    pub run_id: String,
    /// The target.
    pub target: String,
    /// The batch's sequence on it.
    pub batch: u64,
}

#[derive(Serialize, Deserialize)]
struct IndexFile {
    version: u32,
    targets: Vec<TargetLine>,
    runs: Vec<RunLine>,
}

#[derive(Serialize, Deserialize)]
struct TargetLine {
    target: String,
    key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RunLine {
    run: String,
    target: String,
    batch: u64,
}

impl JournalIndex {
    /// What the file of a state directory says; `None` when there is none that can be read.
    pub(super) fn read(state_dir: &Path) -> Option<JournalIndex> {
        let path = state_dir.join(INDEX_FILE);
        if std::fs::metadata(&path).ok()?.len() > INDEX_BYTES_MAX {
            return None;
        }
        let file: IndexFile = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        if file.version != INDEX_VERSION {
            return None;
        }
        let target = |line: TargetLine| TargetFact {
            target: line.target,
            key: line.key.as_deref().and_then(FieldKind::from_name),
            newest_batch: 0,
            open: Vec::new(),
        };
        let run = |line: RunLine| RunFact { run_id: line.run, target: line.target, batch: line.batch };
        Some(JournalIndex {
            targets: file.targets.into_iter().map(target).collect(),
            runs: file.runs.into_iter().map(run).collect(),
        })
    }

    fn write(&self, state_dir: &Path) -> Result<(), JournalError> {
        let target = |fact: &TargetFact| TargetLine {
            target: fact.target.clone(),
            key: fact.key.map(|key| key.name().to_owned()),
        };
        let run = |fact: &RunFact| RunLine {
            run: fact.run_id.clone(),
            target: fact.target.clone(),
            batch: fact.batch,
        };
        let first = self.runs.len().saturating_sub(RUNS_LISTED_MAX);
        let file = IndexFile {
            version: INDEX_VERSION,
            targets: self.targets.iter().map(target).collect(),
            runs: self.runs[first..].iter().map(run).collect(),
        };
        let path = state_dir.join(INDEX_FILE);
        let bytes =
            serde_json::to_vec(&file).map_err(|error| JournalError::io("write", &path)(error.into()))?;
        files::write_whole(&path, &bytes)
    }

    /// The key field of a target.
    pub fn key(&self, target: &str) -> Option<FieldKind> {
        self.targets.iter().find(|fact| fact.target == target)?.key
    }

    /// Ids of the runs about a batch of a target, oldest first.
    pub fn runs_of(&self, target: &str, batch: u64) -> Vec<&str> {
        let is_it = |run: &&RunFact| run.batch == batch && run.target == target;
        self.runs.iter().filter(is_it).map(|run| run.run_id.as_str()).collect()
    }
}

impl Core {
    /// Everything known by name.
    pub(super) fn index(&self) -> Result<JournalIndex, JournalError> {
        let mut targets: BTreeMap<String, TargetFact> = BTreeMap::new();
        let mut runs = Vec::new();
        self.store.named_with("", &mut |name, bytes| {
            let Some((kind, rest)) = name.split_once('/') else { return Ok(()) };
            let target = rest.split('\0').next().unwrap_or(rest);
            match kind {
                "key" => fact(&mut targets, target).key = Some(named::decode::<FieldKind>(name, bytes)?),
                "newest" => fact(&mut targets, target).newest_batch = named::decode::<u64>(name, bytes)?,
                "open" => {
                    let OpenBatch { seq, rows, begun_s, delivered } = named::decode(name, bytes)?;
                    fact(&mut targets, target).open.push(TargetBatch { seq, rows, begun_s, delivered });
                }
                "run" => {
                    let RunBatch { target, batch_seq } = named::decode(name, bytes)?;
                    runs.push(RunFact { run_id: rest.to_owned(), target, batch: batch_seq });
                }
                // What else has a name says nothing of targets and runs.
                _ => {}
            }
            Ok(())
        })?;
        let mut targets: Vec<TargetFact> = targets.into_values().collect();
        for target in &mut targets {
            target.open.sort_by_key(|batch| batch.seq);
        }
        Ok(JournalIndex { targets, runs })
    }

    /// Writes `targets.json` anew. That it cannot be written harms nothing but lookups during a run.
    pub(super) fn write_index(&self) {
        let written = self.index().and_then(|index| index.write(&self.state_dir));
        if let Err(error) = written {
            tracing::warn!("{INDEX_FILE} is not up to date: {error}");
        }
    }
}

fn fact<'a>(targets: &'a mut BTreeMap<String, TargetFact>, target: &str) -> &'a mut TargetFact {
    targets.entry(target.to_owned()).or_insert_with(|| TargetFact {
        target: target.to_owned(),
        key: None,
        newest_batch: 0,
        open: Vec::new(),
    })
}
