//! A kill between any two steps of a fold or of creation leaves the old state or the new one.

use std::fs;
use std::sync::atomic::AtomicBool;

use super::super::fold::OpenIntents;
use super::super::generation::{self, GenerationReader};
use super::*;

/// Steps of a fold that are done before the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    Written,
    Named,
    Dropped,
    All,
}

fn fold_until(core: &mut Core, done: Done) {
    if done == Done::Nothing {
        return;
    }
    let folded = core.write_generation().unwrap();
    if done >= Done::Named {
        core.name_generation(&folded).unwrap();
    }
    if done >= Done::Dropped {
        core.drop_folded().unwrap();
    }
    if done >= Done::All {
        core.remove_unnamed_generations().unwrap();
    }
}

#[test]
fn a_kill_between_two_steps_of_a_fold_loses_and_repeats_nothing() {
    for done in [Done::Nothing, Done::Written, Done::Named, Done::Dropped, Done::All] {
        let dir = tempfile::tempdir().unwrap();
        let mut core = open_core(dir.path()).unwrap().core;
        commit(&mut core, &[synced(1), intent(2)]);
        core.finish().unwrap();
        let mut core = open_core(dir.path()).unwrap().core;
        commit(&mut core, &[synced(2), intent(3)]);
        fold_until(&mut core, done);
        drop(core);

        let mut opened = open_core(dir.path()).unwrap();
        opened.core.drop_folded().unwrap();
        let recovered = opened.recovery.map(|recovery| recovery.records);
        // Folded is folded: the records are not applied a second time.
        assert_eq!(recovered, if done < Done::Named { Some(2) } else { None }, "{done:?}");
        assert_eq!(opened.core.mark.ledger.generation, 2, "{done:?}");
        let through = opened.core.mark.ledger.through;
        let left = |sequence, _: &[u8]| {
            assert!(sequence > through, "{done:?}: folded value {sequence} was left");
            Ok(())
        };
        opened.core.store.log().unwrap().scan(0, u64::MAX, &mut { left }).unwrap();
        drop(opened);
        let files = generation::files_of(dir.path()).unwrap();
        assert_eq!(files, [generation::path_of(dir.path(), 2)], "{done:?}");
        let journal = open(dir.path()).unwrap();
        assert_eq!(acked_numbers(&journal), [1, 2], "{done:?}");
        assert_eq!(journal.lookup(subject(3)).unwrap().unwrap().in_doubt.len(), 1, "{done:?}");
    }
}

/// A fold in the middle of a run: intent 3 is open when it begins, and ends after it began.
fn fold_mid_run(core: &mut Core, done: Done, meanwhile: &[Record]) {
    let task = core.fold_task(OpenIntents::Carry).unwrap();
    commit(core, meanwhile);
    if done == Done::Nothing {
        return;
    }
    let folded = task.run(&AtomicBool::new(false)).unwrap();
    if done >= Done::Named {
        core.name_generation(&folded).unwrap();
    }
    if done >= Done::Dropped {
        core.drop_folded().unwrap();
    }
    if done >= Done::All {
        core.remove_unnamed_generations().unwrap();
    }
}

#[test]
fn a_kill_at_any_step_of_a_fold_in_the_middle_of_a_run_loses_and_repeats_nothing() {
    let withdrawn = Record::Withdrawn { subject: subject(3), version: version(3) };
    for done in [Done::Nothing, Done::Written, Done::Named, Done::Dropped, Done::All] {
        for meanwhile in [vec![], vec![withdrawn.clone(), synced(4)]] {
            let dir = tempfile::tempdir().unwrap();
            let mut core = open_core(dir.path()).unwrap().core;
            commit(&mut core, &[synced(1)]);
            core.finish().unwrap();
            let mut core = open_core(dir.path()).unwrap().core;
            commit(&mut core, &[synced(2), intent(3), intent(4)]);
            fold_mid_run(&mut core, done, &meanwhile);
            drop(core);

            let what = format!("{done:?}, {} records after it", meanwhile.len());
            let opened = open_core(dir.path()).unwrap();
            let doubts = opened.recovery.unwrap().in_doubt;
            assert_eq!(doubts, if meanwhile.is_empty() { 2 } else { 0 }, "{what}");
            assert_eq!(opened.core.mark.ledger.open, 0, "{what}");
            drop(opened);
            assert_eq!(open_core(dir.path()).unwrap().recovery, None, "{what}");
            assert_eq!(generation::files_of(dir.path()).unwrap().len(), 1, "{what}");
            let journal = open(dir.path()).unwrap();
            let third = journal.lookup(subject(3)).unwrap();
            if meanwhile.is_empty() {
                assert_eq!(acked_numbers(&journal), [1, 2], "{what}");
                assert_eq!(third.unwrap().in_doubt.len(), 1, "{what}");
            } else {
                // Withdrawn is withdrawn, though a generation had it open.
                assert_eq!(acked_numbers(&journal), [1, 2, 4], "{what}");
                assert_eq!(third, None, "{what}");
            }
        }
    }
}

#[test]
fn what_is_open_in_the_middle_of_a_run_is_read_as_in_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[intent(1), synced(2)]);
    fold_mid_run(&mut core, Done::All, &[]);
    let name = core.mark.ledger;
    assert_eq!((name.open, name.entries), (1, 2));
    let mut reader = GenerationReader::open(dir.path(), &name, core.mark.identity).unwrap().unwrap();
    let entry = reader.get(subject(1)).unwrap().unwrap();
    assert_eq!(entry.in_doubt.len(), 1);
    assert_eq!(entry.unknown(), FieldSet::only(FieldKind::Imsi));
}

#[test]
fn a_kill_between_store_and_watermark_is_normal() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    let watermark = dir.path().join("journal.watermark");
    for step in [Done::Nothing, Done::Named] {
        // The watermark of before, beside the store of after.
        let before = fs::read(&watermark).unwrap();
        if step == Done::Named {
            fold_until(&mut core, Done::Named);
        } else {
            commit(&mut core, &[synced(2)]);
        }
        drop(core);
        fs::write(&watermark, before).unwrap();
        let journal = open(dir.path()).unwrap();
        assert_eq!(acked_numbers(&journal), [1, 2]);
        drop(journal);
        core = open_core(dir.path()).unwrap().core;
        commit(&mut core, &[synced(2)]);
    }
}

#[test]
fn half_written_files_of_a_killed_fold_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, vec![synced(1)]).unwrap();
    journal.finish().unwrap();
    for name in ["ledger-2.grenad.tmp", "ledger-2.grenad", "ledger-1.grenad.tmp", "ledger-0.grenad"] {
        fs::write(dir.path().join(name), b"half").unwrap();
    }
    // And sled's half-written snapshot, which no opening of its own gets past.
    fs::write(dir.path().join("journal/snap.0000000000001000.generating"), b"half").unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(acked_numbers(&journal), [1]);
    assert_eq!(generation::files_of(dir.path()).unwrap(), [generation::path_of(dir.path(), 1)]);
}

#[test]
fn a_half_created_journal_is_created_again() {
    // Killed after each file of the creation, in their order.
    let whole = tempfile::tempdir().unwrap();
    open(whole.path()).unwrap().finish().unwrap();
    let key = fs::read(whole.path().join("journal.key")).unwrap();
    for step in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        if step == 0 {
            fs::write(dir.path().join("journal.key.tmp"), b"half").unwrap();
        }
        if step >= 1 {
            fs::write(dir.path().join("journal.key"), &key).unwrap();
        }
        if step >= 2 {
            fs::create_dir_all(dir.path().join("journal/blobs")).unwrap();
        }
        if step >= 3 {
            fs::write(dir.path().join("journal.watermark.tmp"), b"half").unwrap();
        }
        let journal = open(dir.path()).unwrap();
        append(&journal, vec![synced(1)]).unwrap();
        journal.finish().unwrap();
        assert_eq!(acked_numbers(&open(dir.path()).unwrap()), [1], "step {step}");
    }
}

#[test]
fn a_fold_that_fails_leaves_the_log_standing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, vec![synced(1)]).unwrap();
    // The new generation's name is taken by something that cannot be removed as a file.
    let in_the_way = dir.path().join("ledger-1.grenad.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let error = journal.finish().unwrap_err();
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    fs::remove_dir(&in_the_way).unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.recovered().unwrap().records, 1);
    assert_eq!(acked_numbers(&journal), [1]);
}
