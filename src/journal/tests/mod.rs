//! The journal as a whole, on real directories. What one part promises is tested beneath that part.

mod away;
mod crash_steps;
mod damage;
mod faults;
mod flips;
mod kill;
mod mid_run;
mod model;
mod moves;
pub(super) mod strategies;
mod upkeep;
mod use_of_it;

use std::path::Path;
use std::sync::{Arc, mpsc};

use crate::digest::{FieldHash, SubjectId, UpdateDigest};
use crate::ledger::{LedgerEntry, Record};
use crate::row::Version;
use crate::update::{FieldFact, FieldKind, FieldSet};

use super::core::Core;
use super::error::JournalError;
use super::handle::{Journal, JournalOptions};
use super::lock::{LockHolder, StateLock};
use super::opening::{self, Opened};
use super::packing::EncodedRecords;

pub(super) fn open(dir: &Path) -> Result<Journal, JournalError> {
    Journal::open(&JournalOptions::new(dir), "run-1", "host-1", 1_700_000_000)
}

/// The core without its thread, to stop it between two steps.
pub(super) fn open_core(dir: &Path) -> Result<Opened, JournalError> {
    opening::open(dir, take_lock(dir))
}

pub(super) fn take_lock(dir: &Path) -> StateLock {
    let holder = LockHolder { pid: 1, host: "h".to_owned(), run_id: "r".to_owned(), since_s: 0 };
    StateLock::take(dir, &holder).unwrap()
}

/// Appends and waits until it is durable.
pub(super) fn append(journal: &Journal, records: Vec<Record>) -> Result<(), Arc<JournalError>> {
    let (tell, told) = mpsc::channel();
    journal.writer().append(&records, Box::new(move |result| tell.send(result).unwrap()));
    told.recv().unwrap()
}

pub(super) fn subject(number: u64) -> SubjectId {
    // Spread over the whole range, so that partitions get their share.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    SubjectId(id)
}

pub(super) fn version(ordinal: u64) -> Version {
    Version { batch: 1, ordinal }
}

pub(super) fn intent(number: u64) -> Record {
    Record::Intent {
        subject: subject(number),
        version: version(number),
        fields: FieldSet::only(FieldKind::Imsi),
        digest: UpdateDigest(number),
    }
}

pub(super) fn synced(number: u64) -> Record {
    let facts = vec![FieldFact { kind: FieldKind::Imsi, hash: FieldHash(number), version: version(number) }];
    Record::Synced { subject: subject(number), version: version(number), facts, at_s: 1_700_000_001 }
}

pub(super) fn entries(journal: &Journal) -> Vec<LedgerEntry> {
    journal.ledger().unwrap().map(Result::unwrap).collect()
}

/// The numbers of the subjects a core holds in its ledger, in order of number.
pub(super) fn acked_numbers(journal: &Journal) -> Vec<u64> {
    let mut numbers: Vec<u64> = entries(journal)
        .iter()
        .filter(|entry| entry.acked.is_some())
        .map(|entry| u64::from_be_bytes(entry.subject.0[8..].try_into().unwrap()))
        .collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn commit(core: &mut Core, records: &[Record]) {
    core.commit_records(&[EncodedRecords::of(records).unwrap()]).unwrap();
}
