//! Confirmation: rows that change nothing, and are newer than a failure of their subject or than a batch left open,
//! are recorded without a request. What failed before them, or was left, is overtaken then, and does not come back
//! when it is fed back or resumed.
//!
//! Not here: which rows these are (`plan/ruler.rs`), what a record of them does (`ledger.rs`).

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::Stopped;
use super::feed::FeedError;
use crate::engine::signals::Signals;
use crate::input::{Inputs, Pass, SourceError};
use crate::journal::{JournalError, JournalWriter};
use crate::ledger::Record;
use crate::plan::{Plan, Ruling};
use crate::row::Version;
use crate::survey::{Judge, Judged};
use crate::update::FieldFact;

/// Records of a group.
const GROUP_RECORDS: usize = 512;

/// Groups on their way to the disk, at most.
const GROUPS_OPEN_MAX: usize = 16;

/// What a confirmation is made of.
pub struct Confirmation<'a> {
    /// The inputs, surveyed.
    pub inputs: &'a mut Inputs,
    /// Who judges rows.
    pub judge: Judge<'a>,
    /// What the survey ruled.
    pub plan: &'a Plan,
    /// The batch's sequence on its target.
    pub batch: u64,
    /// The journal.
    pub writer: JournalWriter,
    /// The signals of this process.
    pub signals: Signals,
}

/// Records every row that the plan confirms; why it ended early, if it did. Nothing is read where there is none. Done
/// twice it does nothing the second time: what is confirmed is newer then.
pub fn confirm(confirmation: Confirmation<'_>) -> Option<Stopped> {
    if confirmation.plan.facts().confirmed == 0 {
        return None;
    }
    record(confirmation).err()
}

fn record(confirmation: Confirmation<'_>) -> Result<(), Stopped> {
    let Confirmation { inputs, mut judge, plan, batch, writer, signals } = confirmation;
    let mut groups = Groups::new(writer);
    let mut reader = inputs.read(Pass::Again);
    let changed = |error: SourceError| Stopped::from(FeedError::Source(error));
    while let Some(row) = reader.next_row().map_err(changed)? {
        let Ok(row) = row else { continue };
        let place = row.place();
        let ruling = plan.ruling(place.ordinal);
        if !matches!(ruling, Ruling::Confirmed | Ruling::Superseded) {
            continue;
        }
        let beside = plan.beside(place.ordinal).map_err(FeedError::Plan)?;
        if ruling == Ruling::Superseded && !beside.confirms {
            continue;
        }
        let Judged::Valid { subject, version, .. } = judge.row(&row) else {
            return Err(FeedError::Inconsistent(place.ordinal).into());
        };
        let ordinal = beside.version_ordinal.unwrap_or(place.ordinal);
        let version = version.unwrap_or(Version { batch, ordinal });
        let told = judge.facts.iter().filter(|(kind, _)| !beside.left_out.contains(*kind));
        let facts = told.map(|(kind, hash)| FieldFact { kind: *kind, hash: *hash, version }).collect();
        groups.add(Record::Confirmed { subject, version, facts })?;
        if let Some(stop) = signals.seen() {
            return Err(Stopped::Signal(stop));
        }
    }
    groups.finish()
}

/// Groups of records on their way to the disk.
struct Groups {
    writer: JournalWriter,
    group: Vec<Record>,
    open: usize,
    done: Sender<Result<(), Arc<JournalError>>>,
    durable: Receiver<Result<(), Arc<JournalError>>>,
}

impl Groups {
    fn new(writer: JournalWriter) -> Groups {
        let (done, durable) = mpsc::channel();
        Groups { writer, group: Vec::new(), open: 0, done, durable }
    }

    fn add(&mut self, record: Record) -> Result<(), Stopped> {
        self.group.push(record);
        if self.group.len() < GROUP_RECORDS { Ok(()) } else { self.append(GROUPS_OPEN_MAX) }
    }

    fn finish(mut self) -> Result<(), Stopped> {
        self.append(0)
    }

    /// Hands the group over, and waits until no more than so many are open.
    fn append(&mut self, open_max: usize) -> Result<(), Stopped> {
        if !self.group.is_empty() {
            let done = self.done.clone();
            // Whoever waits for it waits until all are told.
            self.writer.append(&self.group, Box::new(move |result| drop(done.send(result))));
            self.group.clear();
            self.open += 1;
        }
        while self.open > open_max
            && let Ok(result) = self.durable.recv()
        {
            self.open -= 1;
            result.map_err(Stopped::Journal)?;
        }
        Ok(())
    }
}
