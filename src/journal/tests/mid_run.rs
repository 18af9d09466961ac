//! A log that grows past its bound, folded while appends go on.

use std::collections::VecDeque;
use std::fs;

use super::super::generation;
use super::*;

fn open_with(dir: &Path, log_bytes_max: u64) -> Journal {
    let options = JournalOptions { log_bytes_max, ..JournalOptions::new(dir) };
    Journal::open(&options, "run-1", "host-1", 1_700_000_000).unwrap()
}

/// Appends intents, and their outcomes a window later, as a run does: one in seven is withdrawn.
fn run(journal: &Journal, numbers: std::ops::Range<u64>, window: usize) -> Vec<u64> {
    let mut open = VecDeque::new();
    let mut acked = Vec::new();
    for number in numbers {
        let mut records = vec![intent(number)];
        open.push_back(number);
        if open.len() > window {
            let ended = open.pop_front().unwrap();
            records.push(outcome(ended, &mut acked));
        }
        append(journal, records).unwrap();
    }
    for ended in open {
        append(journal, vec![outcome(ended, &mut acked)]).unwrap();
    }
    acked
}

fn outcome(number: u64, acked: &mut Vec<u64>) -> Record {
    if number.is_multiple_of(7) {
        return Record::Withdrawn { subject: subject(number), version: version(number) };
    }
    acked.push(number);
    synced(number)
}

#[test]
fn a_run_with_folds_ends_like_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_with(dir.path(), 4096);
    let acked = run(&journal, 1..1500, 40);
    let report = journal.finish().unwrap();
    assert!(report.folds > 0, "{report:?}");
    assert_eq!(report.ledger_entries, acked.len() as u64, "withdrawn intents leave no entry");
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered(), None);
    assert_eq!(acked_numbers(&journal), acked);
    assert!(entries(&journal).iter().all(|entry| entry.in_doubt.is_empty() && entry.unknown().is_empty()));
    assert_eq!(generation::files_of(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_scan_that_began_before_a_fold_goes_on_reading_what_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_with(dir.path(), u64::MAX);
    append(&journal, (1..=3000).map(synced).collect()).unwrap();
    journal.finish().unwrap();
    let journal = open_with(dir.path(), 4096);
    let mut scan = journal.ledger().unwrap();
    let first = scan.next().unwrap().unwrap();
    run(&journal, 5001..6000, 10);
    assert!(!dir.path().join("ledger-1.grenad").exists(), "a fold has taken its place meanwhile");
    assert!(journal.ledger_entries() > 3000);
    let mut numbers: Vec<u64> = std::iter::once(Ok(first))
        .chain(scan)
        .map(|entry| u64::from_be_bytes(entry.unwrap().subject.0[8..].try_into().unwrap()))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=3000).collect::<Vec<_>>());
}

#[test]
fn a_fold_that_fails_in_the_middle_of_a_run_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open_with(dir.path(), 4096);
    let in_the_way = dir.path().join("ledger-1.grenad.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let acked = run(&journal, 1..400, 10);
    fs::remove_dir(&in_the_way).unwrap();
    let report = journal.finish().unwrap();
    assert_eq!((report.folds, report.ledger_entries), (0, acked.len() as u64));
    assert_eq!(acked_numbers(&open(dir.path()).unwrap()), acked);
}

#[test]
fn a_journal_dropped_in_the_middle_of_a_fold_gives_it_up() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let journal = open_with(dir.path(), 1);
        let acked = run(&journal, 1..20 + round, 5);
        drop(journal);
        assert_eq!(acked_numbers(&open(dir.path()).unwrap()), acked);
    }
}

#[test]
fn a_store_that_has_grown_is_written_anew_at_the_end_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let batch = crate::digest::BatchId([1; 16]);
    let mut core = open_core(dir.path()).unwrap().core;
    core.begin_batch("target", batch, 5, 7, false).unwrap();
    for first in (1..=20_000).step_by(1000) {
        commit(&mut core, &(first..first + 1000).map(synced).collect::<Vec<_>>());
    }
    let db = dir.path().join("journal/db");
    let before = fs::metadata(&db).unwrap().len();
    core.store_bytes_max = 1;
    core.finish().unwrap();
    let after = fs::metadata(&db).unwrap().len();
    assert!(after < before / 2, "{after} bytes of {before}");
    let names = ["journal.new", "journal.old"];
    assert!(names.iter().all(|name| !dir.path().join(name).exists()));
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered(), None);
    assert_eq!(journal.ledger_entries(), 20_000);
    assert!(journal.peek_batch("target", batch, false).unwrap().resumed);
    append(&journal, vec![synced(20_001)]).unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().ledger_entries(), 20_001);
}

#[test]
fn a_store_that_cannot_be_written_anew_is_closed_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    core.store_bytes_max = 1;
    fs::write(dir.path().join("journal.new"), b"in the way").unwrap();
    core.finish().unwrap();
    fs::remove_file(dir.path().join("journal.new")).unwrap();
    assert_eq!(acked_numbers(&open(dir.path()).unwrap()), [1]);
}
