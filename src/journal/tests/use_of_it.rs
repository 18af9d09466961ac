//! The journal as its callers use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::digest::BatchId;
use crate::ledger::FieldState;
use crate::update::FieldKind;

use super::super::batches::Batch;
use super::super::error::{JournalError, JournalErrorKind};
use super::super::handle::{Journal, JournalOptions};
use super::super::lock::lock_holder;
use super::super::named::RunBatch;
use super::super::opening::Recovery;
use super::*;

const TARGET: &str = "https://api.example.test/api/v1/device_app_user_update/";

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_was_acknowledged_is_in_the_ledger_after_finish() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered(), None);
    append(&journal, (1..=500).flat_map(|number| [intent(number), synced(number)]).collect()).unwrap();
    // The ledger is the one of the opening: this run's facts are the scheduler's own.
    assert_eq!(entries(&journal), []);
    let report = journal.finish().unwrap();
    assert_eq!((report.records, report.subjects_folded, report.ledger_entries), (1000, 500, 500));

    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered(), None);
    assert_eq!(acked_numbers(&journal), (1..=500).collect::<Vec<_>>());
    assert_eq!(journal.ledger().unwrap().entries(), 500);
    let found = journal.lookup(subject(77)).unwrap().unwrap();
    assert_eq!(found.field(FieldKind::Imsi).unwrap().state, FieldState::Known(FieldHash(77)));
    assert_eq!(journal.lookup(subject(501)).unwrap(), None);
    // Opened once: what becomes of the file's name meanwhile is no matter.
    let mut lookups = journal.lookups().unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let generation =
        files.into_iter().find(|path| path.extension().is_some_and(|of| of == "grenad")).unwrap();
    let aside = generation.with_extension("aside");
    std::fs::rename(&generation, &aside).unwrap();
    assert!(journal.lookup(subject(77)).is_err());
    for number in [500, 77, 1] {
        assert_eq!(lookups.get(subject(number)).unwrap().unwrap().subject, subject(number));
    }
    assert_eq!(lookups.get(subject(501)).unwrap(), None);
    std::fs::rename(&aside, &generation).unwrap();
    let ids: Vec<SubjectId> = entries(&journal).iter().map(|entry| entry.subject).collect();
    assert!(ids.is_sorted());
}

#[test]
fn an_intent_without_outcome_is_in_doubt_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, vec![intent(1), intent(2), synced(2), intent(3)]).unwrap();
    drop(journal);

    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered(), Some(Recovery { in_doubt: 2, subjects: 3, records: 4 }));
    let doubts = journal.lookup(subject(1)).unwrap().unwrap().in_doubt;
    assert_eq!(doubts.iter().map(|doubt| doubt.version).collect::<Vec<_>>(), [version(1)]);
    assert_eq!(journal.lookup(subject(2)).unwrap().unwrap().in_doubt, []);
    journal.finish().unwrap();
    assert_eq!(open(dir.path()).unwrap().recovered(), None);
}

#[test]
fn a_subject_of_withdrawn_intents_leaves_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let withdrawn = Record::Withdrawn { subject: subject(1), version: version(1) };
    append(&journal, vec![intent(1), withdrawn]).unwrap();
    assert_eq!(journal.finish().unwrap().ledger_entries, 0);
    assert_eq!(entries(&open(dir.path()).unwrap()), []);
}

#[test]
fn a_batch_is_continued_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (BatchId([1; 16]), BatchId([2; 16]));
    let journal = open(dir.path()).unwrap();
    let fresh = |seq, begun_s| Batch { seq, resumed: false, newest: true, begun_s, delivered: false };
    assert_eq!(journal.peek_batch(TARGET, a, false).unwrap(), fresh(1, 0));
    assert_eq!(journal.begin_batch(TARGET, a, 10, 100, false).unwrap(), fresh(1, 100));
    assert_eq!(journal.begin_batch("other", a, 10, 101, false).unwrap(), fresh(1, 101));
    journal.note_delivery(TARGET, a, 1).unwrap();
    assert_eq!(journal.begin_batch(TARGET, b, 10, 102, false).unwrap(), fresh(2, 102));
    journal.note_delivery(TARGET, b, 2).unwrap();
    let older_open = |target, seq| journal.older_open(target, seq).unwrap();
    assert_eq!(
        (older_open(TARGET, 9), older_open(TARGET, 2), older_open(TARGET, 1)),
        (Some(2), Some(1), None)
    );
    assert_eq!(older_open("other", 9), None, "nothing of it was ever sent");
    drop(journal);

    let journal = open(dir.path()).unwrap();
    let resumed = Batch { seq: 1, resumed: true, newest: false, begun_s: 100, delivered: true };
    assert_eq!(journal.peek_batch(TARGET, a, false).unwrap(), resumed);
    assert_eq!(journal.begin_batch(TARGET, a, 10, 103, false).unwrap(), resumed);
    assert_eq!(journal.begin_batch(TARGET, a, 10, 104, true).unwrap(), fresh(3, 104));
    // Making the newest one newest changes nothing.
    let newest = Batch { seq: 3, resumed: true, newest: true, begun_s: 104, delivered: false };
    assert_eq!(journal.begin_batch(TARGET, a, 10, 105, true).unwrap(), newest);
    journal.close_batch(TARGET, 3).unwrap();
    journal.close_batch(TARGET, 99).unwrap();
    assert_eq!(journal.begin_batch(TARGET, a, 10, 106, false).unwrap(), fresh(4, 106));
    // Closing one batch leaves the others of the target and those of other targets.
    assert!(journal.peek_batch(TARGET, b, false).unwrap().resumed);
    assert!(journal.peek_batch("other", a, false).unwrap().resumed);
}

#[test]
fn an_overtaken_batch_that_never_began_to_deliver_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (BatchId([1; 16]), BatchId([2; 16]));
    let journal = open(dir.path()).unwrap();
    let begin = |id| journal.begin_batch(TARGET, id, 10, 100, false).unwrap();
    assert_eq!((begin(a).seq, begin(a).resumed), (1, true), "the newest continues");
    assert_eq!(begin(b).seq, 2);
    assert_eq!((begin(a).seq, begin(a).newest), (3, true), "no version of it was ever used");
    journal.note_delivery(TARGET, a, 3).unwrap();
    journal.finish().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.begin_batch(TARGET, b, 10, 100, false).unwrap().seq, 4);
    let resumed = journal.begin_batch(TARGET, a, 10, 100, false).unwrap();
    assert_eq!((resumed.seq, resumed.newest), (3, false), "it keeps its versions");
}

#[test]
fn an_open_batch_of_an_earlier_build_is_taken_to_have_delivered() {
    use super::super::named::{self, OpenBatch};
    let name = named::open_batch(TARGET, BatchId([1; 16]));
    let open = OpenBatch { seq: 7, rows: 300, begun_s: -5, delivered: false };
    let bytes = named::encode(&name, &open);
    assert_eq!(named::decode::<OpenBatch>(&name, &bytes).unwrap(), open);
    // Version, sequence, rows in two bytes, time: what was written before the flag, with the checksum of it.
    let mut sum_of = name.as_bytes().to_vec();
    sum_of.push(0);
    sum_of.extend_from_slice(&bytes[..5]);
    let mut old = bytes[..5].to_vec();
    old.extend_from_slice(&crate::digest::checksum(&sum_of).to_be_bytes());
    assert_eq!(named::decode::<OpenBatch>(&name, &old).unwrap(), OpenBatch { delivered: true, ..open });
}

#[test]
fn key_fields_runs_and_fingerprints_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.target_key(TARGET).unwrap(), None);
    assert_eq!(journal.run_batch("run-9").unwrap(), None);
    assert!(!journal.is_proven("fingerprint").unwrap());
    journal.set_target_key(TARGET, FieldKind::UserExternalId).unwrap();
    journal.record_run("run-9", TARGET, 4).unwrap();
    journal.set_proven("fingerprint").unwrap();
    journal.set_settled_limit(TARGET, 17).unwrap();
    let subject_before = journal.key().subject(TARGET, FieldKind::Imsi, "1");
    drop(journal);

    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.target_key(TARGET).unwrap(), Some(FieldKind::UserExternalId));
    assert_eq!(journal.target_key("other").unwrap(), None);
    assert_eq!(
        (journal.settled_limit(TARGET).unwrap(), journal.settled_limit("other").unwrap()),
        (Some(17), None)
    );
    let expected = RunBatch { target: TARGET.to_owned(), batch_seq: 4 };
    assert_eq!(journal.run_batch("run-9").unwrap(), Some(expected));
    assert!(journal.is_proven("fingerprint").unwrap());
    assert!(!journal.is_proven("fingerprint2").unwrap());
    assert_eq!(journal.key().subject(TARGET, FieldKind::Imsi, "1"), subject_before);
    let too_long = "x".repeat(2000);
    assert!(matches!(journal.target_key(&too_long), Err(JournalError::Misuse { .. })));
}

#[test]
fn a_second_opening_says_who_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!((error.kind(), error.exit_hint()), (JournalErrorKind::Locked, 11));
    let text = error.to_string();
    assert!(text.contains("run-1") && text.contains("host-1") && text.contains("1700000000"), "{text}");
    assert_eq!(lock_holder(dir.path()).unwrap().pid, std::process::id());
    // The refused one took nothing from the holder.
    append(&journal, vec![intent(1)]).unwrap();
    journal.finish().unwrap();
    assert_eq!(lock_holder(dir.path()), None);
    open(dir.path()).unwrap();
}

#[test]
fn open_existing_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions::new(dir.path().join("state"));
    assert!(Journal::open_existing(&options, "r", "h", 0).unwrap().is_none());
    assert!(!options.state_dir.exists());
    Journal::open(&options, "r", "h", 0).unwrap().finish().unwrap();
    assert!(Journal::open_existing(&options, "r", "h", 0).unwrap().is_some());
}

#[test]
fn files_are_private_small_and_tell_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().join("state");
    let journal = open(&state_dir).unwrap();
    let value = "310260123456789";
    let subject = journal.key().subject(TARGET, FieldKind::Imsi, value);
    let records = (0..20_000).map(|ordinal| Record::Synced {
        subject,
        version: version(ordinal),
        facts: vec![FieldFact {
            kind: FieldKind::Imsi,
            hash: journal.key().field(FieldKind::Imsi, value),
            version: version(ordinal),
        }],
        at_s: 0,
    });
    append(&journal, records.collect()).unwrap();
    drop(journal);
    let journal = open(&state_dir).unwrap();
    journal.finish().unwrap();
    assert_eq!(fs::read_dir(state_dir.join("journal/blobs")).unwrap().count(), 0);
    for path in files_below(&state_dir) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let inside_sled = path.parent().unwrap().ends_with("journal");
        // Snapshots are sled's own, inside a directory nobody else can enter.
        assert!(mode & 0o077 == 0 || inside_sled, "{} {mode:o}", path.display());
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let has_value = bytes.windows(value.len()).any(|window| window == value.as_bytes());
            assert!(!has_value, "{}", path.display());
        }
    }
}

#[test]
fn appends_of_many_threads_are_all_kept_and_called_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (writer, tell) = (journal.writer(), tell.clone());
            scope.spawn(move || {
                for number in (0..100).map(|number| thread * 100 + number + 1) {
                    let tell = tell.clone();
                    let told = Box::new(move |result: Result<(), _>| {
                        result.unwrap();
                        tell.send((thread, number)).unwrap();
                    });
                    writer.append(&[intent(number), synced(number)], told);
                }
            });
        }
    });
    drop(tell);
    let acknowledged: Vec<(u64, u64)> = told.iter().collect();
    assert_eq!(acknowledged.len(), 800);
    for thread in 0..8 {
        let own: Vec<u64> =
            acknowledged.iter().filter(|(by, _)| *by == thread).map(|(_, number)| *number).collect();
        assert!(own.is_sorted());
    }
    journal.finish().unwrap();
    assert_eq!(acked_numbers(&open(dir.path()).unwrap()), (1..=800).collect::<Vec<_>>());
}

#[test]
fn a_closed_journal_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let writer = journal.writer();
    journal.finish().unwrap();
    let (tell, told) = mpsc::channel();
    writer.append(&[intent(1)], Box::new(move |result| tell.send(result).unwrap()));
    assert!(matches!(*told.recv().unwrap().unwrap_err(), JournalError::Closed));
}

#[test]
fn an_impossible_record_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let fact = FieldFact { kind: FieldKind::Imsi, hash: FieldHash(1), version: version(1) };
    let impossible =
        Record::Synced { subject: subject(1), version: version(1), facts: vec![fact; 10], at_s: 0 };
    let error = append(&journal, vec![impossible]).unwrap_err();
    assert!(matches!(*error, JournalError::Misuse { .. }));
    append(&journal, vec![synced(2)]).unwrap();
    journal.finish().unwrap();
    assert_eq!(acked_numbers(&open(dir.path()).unwrap()), [2]);
}

#[test]
fn marks_of_an_idle_journal_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let journal = open(dir.path()).unwrap();
        (0..50).for_each(|run| journal.record_run(&format!("{round}-{run}"), TARGET, 1).unwrap());
        journal.finish().unwrap();
    }
    let opened = open_core(dir.path()).unwrap();
    assert!(opened.core.log.values < 100, "{:?}", opened.core.log);
    assert!(opened.core.mark.sequence > 150);
    assert_eq!(opened.core.run_batch("0-0").unwrap().unwrap().batch_seq, 1);
}

#[test]
fn slices_of_the_ledger_add_up_to_the_whole_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, (1..=5000).map(synced).collect()).unwrap();
    journal.finish().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.ledger_entries(), 5000);
    let whole = entries(&journal);
    let at = |index: usize| whole[index].subject;
    // Borders on an entry, just behind one, before the first and behind the last.
    let mut behind = at(2000);
    behind.0[15] = behind.0[15].wrapping_add(1);
    let borders = [SubjectId([0; 16]), at(0), at(1), at(1234), behind, at(4999), SubjectId([0xff; 16])];
    let slices: Vec<Vec<LedgerEntry>> = std::thread::scope(|scope| {
        let journal = &journal;
        let read = |from: SubjectId, to: Option<SubjectId>| {
            scope.spawn(move || {
                let slice = journal.ledger_range(from, to).unwrap();
                slice.map(Result::unwrap).collect::<Vec<LedgerEntry>>()
            })
        };
        let mut threads: Vec<_> = borders.windows(2).map(|pair| read(pair[0], Some(pair[1]))).collect();
        threads.push(read(borders[6], None));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let lens: Vec<usize> = slices.iter().map(Vec::len).collect();
    assert_eq!(lens, [0, 1, 1233, 767, 2998, 1, 0]);
    assert_eq!(slices.concat(), whole);
    assert_eq!(journal.ledger_range(at(7), Some(at(7))).unwrap().count(), 0);
    let (mut scan, mut into) = (journal.ledger_range(at(1234), Some(at(4999))).unwrap(), whole[0].clone());
    for entry in &whole[1234..4999] {
        assert!(scan.read_next(&mut into).unwrap() && into == *entry);
    }
    assert!(!scan.read_next(&mut into).unwrap());
    let mut scan = journal.ledger().unwrap();
    let subjects: Vec<_> = std::iter::from_fn(|| scan.next_subject().unwrap()).collect();
    assert!(subjects.iter().eq(whole.iter().map(|entry| &entry.subject)));
}

#[test]
fn the_empty_ledger_has_empty_slices() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.ledger_range(SubjectId([0; 16]), None).unwrap().count(), 0);
    assert_eq!(journal.ledger_entries(), 0);
}
