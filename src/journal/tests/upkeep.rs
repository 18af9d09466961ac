//! Upkeep at every step at which it may be killed: the next opening finds a whole journal, the old one or the new one.

use super::*;
use crate::journal::index::JournalIndex;
use crate::journal::named;
use crate::journal::rewrite;
use crate::journal::store::{Group, SledStore, Store as _};
use crate::journal::upkeep::Upkeep;
use crate::journal::view::LedgerView;
use crate::ledger::FieldState;

fn who() -> LockHolder {
    LockHolder { pid: 1, host: "test".into(), run_id: "upkeep".into(), since_s: 0 }
}

fn synced(subject: SubjectId, hash: u64) -> Record {
    let version = Version { batch: 1, ordinal: hash };
    let facts = vec![FieldFact { kind: FieldKind::Imsi, hash: FieldHash(hash), version }];
    Record::Synced { subject, version, facts, at_s: 7 }
}

/// A state directory with a target, a run and so many subjects, and the subjects.
fn filled(count: u64) -> (tempfile::TempDir, Vec<SubjectId>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&JournalOptions::new(dir.path()), "r1", "test", 0).unwrap();
    let subjects: Vec<SubjectId> =
        (1..=count).map(|at| journal.key().subject("t", FieldKind::Number, &at.to_string())).collect();
    journal.set_target_key("t", FieldKind::Number).unwrap();
    journal.record_run("r1", "t", 1).unwrap();
    let records = subjects.iter().zip(1..).map(|(subject, at)| synced(*subject, at)).collect();
    append(&journal, records).unwrap();
    journal.finish().unwrap();
    (dir, subjects)
}

/// Everything a caller may ask of a state directory.
fn seen(dir: &Path) -> (JournalIndex, Vec<LedgerEntry>) {
    let upkeep = Upkeep::open(dir, &who()).unwrap().unwrap();
    let index = upkeep.index().unwrap();
    upkeep.close().unwrap();
    let journal = Journal::open(&JournalOptions::new(dir), "r2", "test", 0).unwrap();
    let entries = journal.ledger().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    journal.finish().unwrap();
    (index, entries)
}

#[test]
fn what_cannot_be_written_to_is_verified_by_a_copy_elsewhere() {
    let (dir, _) = filled(20);
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy");
    let listed = || {
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // Where the copy would be made in the state directory there is something that cannot be replaced.
    std::fs::write(dir.path().join("journal.verify"), "in the way").unwrap();
    let before = listed();
    let verified = crate::journal::verify::read_all(dir.path(), &copy).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    assert_eq!((verified.entries, listed() == before, copy.exists()), (20, true, false));
}

#[test]
fn a_read_only_file_system_does_not_look_like_damage() {
    let refused = std::io::ErrorKind::ReadOnlyFilesystem.into();
    let error = JournalError::io("open", Path::new("lock"))(refused);
    assert!(error.remedy().starts_with("nothing is wrong with the journal"), "{}", error.remedy());
}

#[test]
fn a_rewriting_killed_after_any_step_leaves_a_whole_store() {
    let (dir, subjects) = filled(20);
    let before = seen(dir.path());
    assert_eq!(before.1.len(), subjects.len());
    assert_eq!(before.0.runs_of("t", 1), ["r1"]);
    for steps in 0..=3 {
        let store = SledStore::open(dir.path()).unwrap();
        rewrite::write_copy(&store, dir.path(), 0).unwrap();
        Box::new(store).close().unwrap();
        rewrite::wait_until_released(&dir.path().join("journal")).unwrap();
        if steps >= 1 {
            rewrite::set_aside(dir.path()).unwrap();
        }
        if steps >= 2 {
            rewrite::put_in_place(dir.path()).unwrap();
        }
        if steps >= 3 {
            rewrite::remove_dir(&dir.path().join("journal.old")).unwrap();
        }
        assert_eq!(seen(dir.path()), before, "after {steps} steps");
        for left in ["journal.new", "journal.old"] {
            assert!(!dir.path().join(left).exists(), "{left} after {steps} steps");
        }
    }
}

#[test]
fn a_rewriting_killed_between_its_steps_is_no_damage_to_verify() {
    for steps in 0..=2 {
        let (dir, _) = filled(20);
        let store = SledStore::open(dir.path()).unwrap();
        rewrite::write_copy(&store, dir.path(), 0).unwrap();
        Box::new(store).close().unwrap();
        rewrite::wait_until_released(&dir.path().join("journal")).unwrap();
        if steps >= 1 {
            rewrite::set_aside(dir.path()).unwrap();
        }
        if steps >= 2 {
            rewrite::put_in_place(dir.path()).unwrap();
        }
        let verified = crate::journal::verify(dir.path(), &who()).unwrap().unwrap();
        assert!(verified.is_sound() && verified.entries == 20, "after {steps} steps: {verified:?}");
    }
}

/// A store that names the next generation and has lost the end of the log, twice: the second generation stands for
/// nothing more than the first one.
#[test]
fn somebody_forgotten_after_a_killed_naming_is_no_damage_when_that_is_killed_too() {
    let (dir, subjects) = filled(20);
    let mut opened = open_core(dir.path()).unwrap();
    commit(&mut opened.core, &[synced(subjects[0], 77)]);
    let folded = opened.core.write_generation().unwrap();
    let name = (named::LEDGER.to_owned(), Some(named::encode(named::LEDGER, &folded.name)));
    opened.core.store.commit(&Group { named: vec![name], ..Group::default() }).unwrap();
    drop(opened);

    let mut upkeep = Upkeep::open(dir.path(), &who()).unwrap().unwrap();
    let watermark = dir.path().join("journal.watermark");
    let before = std::fs::read(&watermark).unwrap();
    assert_eq!(upkeep.forget_subjects(&subjects[..1]).unwrap(), 1);
    drop(upkeep);
    std::fs::write(&watermark, before).unwrap();
    let verified = crate::journal::verify(dir.path(), &who()).unwrap().unwrap();
    assert!(verified.is_sound() && verified.entries == 19, "{verified:?}");
    assert_eq!(seen(dir.path()).1.len(), 19);
}

/// Files of different times: what the next opening refuses verifying finds, too.
#[test]
fn a_store_of_another_time_than_its_watermark_is_found() {
    let (dir, subjects) = filled(20);
    let watermark = dir.path().join("journal.watermark");
    let before = std::fs::read(&watermark).unwrap();
    for subject in &subjects[..2] {
        let mut upkeep = Upkeep::open(dir.path(), &who()).unwrap().unwrap();
        upkeep.forget_subjects(&[*subject]).unwrap();
        upkeep.close().unwrap();
    }
    std::fs::write(&watermark, before).unwrap();
    assert!(Upkeep::open(dir.path(), &who()).is_err_and(|error| error.to_string().contains("generation")));
    let verified = crate::journal::verify(dir.path(), &who()).unwrap().unwrap();
    assert!(verified.findings[0].what.contains("the store names ledger generation 3"), "{verified:?}");
}

#[test]
fn a_copy_that_is_not_complete_never_takes_the_place() {
    let (dir, _) = filled(5);
    let before = seen(dir.path());
    drop(SledStore::open_at(dir.path().join("journal.new")).unwrap());
    assert_eq!(seen(dir.path()), before);
}

#[test]
fn who_is_forgotten_is_unknown_and_all_others_are_as_they_were() {
    let (dir, subjects) = filled(500);
    let (index, before) = seen(dir.path());
    let gone = [subjects[3], subjects[77], SubjectId([9; 16])];
    let mut upkeep = Upkeep::open(dir.path(), &who()).unwrap().unwrap();
    assert_eq!(upkeep.forget_subjects(&gone).unwrap(), 2);
    // Killed before the store is written anew.
    drop(upkeep);
    let left: Vec<LedgerEntry> = before.into_iter().filter(|entry| !gone.contains(&entry.subject)).collect();
    assert_eq!(seen(dir.path()), (index, left.clone()));
    let mut upkeep = Upkeep::open(dir.path(), &who()).unwrap().unwrap();
    assert_eq!(upkeep.forget_subjects(&gone).unwrap(), 0);
    upkeep.rewrite().unwrap();
    assert_eq!(seen(dir.path()).1, left);
}

#[test]
fn a_view_reads_what_was_folded_without_the_lock_and_survives_the_next_fold() {
    let (dir, subjects) = filled(100);
    let journal = Journal::open(&JournalOptions::new(dir.path()), "r2", "test", 0).unwrap();
    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    assert_eq!((view.entries(), view.log_records()), (100, 0));
    let (done, durable) = std::sync::mpsc::channel();
    let newer = vec![synced(subjects[0], 4_711)];
    journal.writer().append(&newer, Box::new(move |result| done.send(result).unwrap()));
    durable.recv().unwrap().unwrap();
    assert_eq!(LedgerView::open(dir.path()).unwrap().unwrap().log_records(), 1);
    journal.finish().unwrap();
    let known =
        |view: &LedgerView| view.get(subjects[0]).unwrap().unwrap().field(FieldKind::Imsi).unwrap().state;
    assert_eq!(known(&view), FieldState::Known(FieldHash(1)), "its generation is gone from the directory");
    let now = LedgerView::open(dir.path()).unwrap().unwrap();
    assert_eq!(known(&now), FieldState::Known(FieldHash(4_711)));
    assert_eq!(view.get(SubjectId([0; 16])).unwrap(), None);
}

#[test]
fn a_search_finds_the_same_with_any_number_of_threads() {
    let (dir, subjects) = filled(1_000);
    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    let tag = view.key().subjects("t", FieldKind::Number).tag();
    for threads in [1, 2, 3, 7, 64] {
        for at in [1_u64, 500, 1_000] {
            let found = view.find(tag, &[(FieldKind::Imsi, FieldHash(at))], threads).unwrap();
            let ids: Vec<SubjectId> = found.iter().map(|entry| entry.subject).collect();
            assert_eq!(ids, [subjects[usize::try_from(at).unwrap() - 1]], "{threads} threads");
        }
        assert!(view.find(tag, &[(FieldKind::Imei, FieldHash(1))], threads).unwrap().is_empty());
        let other = view.key().subjects("t", FieldKind::Imei).tag();
        assert!(view.find(other, &[(FieldKind::Imsi, FieldHash(1))], threads).unwrap().is_empty());
    }
}

#[test]
fn a_generation_named_in_the_store_alone_is_found_by_readers_after_the_next_opening() {
    let (dir, subjects) = filled(30);
    let watermark = dir.path().join("journal.watermark");
    let before = std::fs::read(&watermark).unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, vec![synced(subjects[0], 4_711)]).unwrap();
    journal.finish().unwrap();
    // As if killed after the store's commit of the new name, before the watermark's.
    std::fs::write(&watermark, before).unwrap();
    let journal = open(dir.path()).unwrap();
    let view = LedgerView::open(dir.path()).unwrap().unwrap();
    let known = view.get(subjects[0]).unwrap().unwrap();
    assert_eq!(known.field(FieldKind::Imsi).unwrap().state, FieldState::Known(FieldHash(4_711)));
    journal.finish().unwrap();
}
