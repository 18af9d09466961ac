//! A kill between any two steps of a fold or of creation leaves the old state or the new one.

use std::fs;

use super::super::generation;
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

        let opened = open_core(dir.path()).unwrap();
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
