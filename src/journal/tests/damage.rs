//! Damage is refused by name, or harmless; it is never a panic and never a shorter journal.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::JournalErrorKind;
use super::super::packing::Packer;
use super::super::store::Group;
use super::super::watermark::Watermark;
use super::*;

/// A journal with a ledger of 50 subjects, open batches, and a log of 350 subjects that no fold has taken yet.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    (1..=50).for_each(|number| commit(&mut core, &[intent(number), synced(number)]));
    core.begin_batch("target", crate::digest::BatchId([1; 16]), 5, 0, false).unwrap();
    core.finish().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    for first in (51..=400).step_by(10) {
        let records: Vec<Record> = (first..first + 10).map(synced).collect();
        commit(&mut core, &records);
    }
    drop(core);
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Damages a copy and opens it. Whatever opens must be whole.
fn whole_or_refused(sound: &Path, what: &str, damage: impl FnOnce(&Path)) -> Result<(), JournalError> {
    let dir = tempfile::tempdir().unwrap();
    copy(sound, dir.path());
    damage(dir.path());
    match open(dir.path()) {
        Ok(journal) => {
            assert_eq!(acked_numbers(&journal), (1..=400).collect::<Vec<_>>(), "{what}: silent loss");
            let batch = journal.peek_batch("target", crate::digest::BatchId([1; 16]), false).unwrap();
            assert!(batch.resumed, "{what}: silent loss of a batch");
            Ok(())
        }
        Err(error) => {
            assert_ne!(error.kind(), JournalErrorKind::Internal, "{what}: {error}");
            assert_eq!(error.exit_hint(), 13, "{what}: {error}");
            assert!(!error.remedy().is_empty());
            Err(error)
        }
    }
}

fn refused(sound: &Path, what: &str, damage: impl FnOnce(&Path)) -> String {
    match whole_or_refused(sound, what, damage) {
        Ok(()) => panic!("{what}: opened"),
        Err(error) => error.to_string(),
    }
}

fn sled_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[test]
fn the_prepared_journal_is_whole() {
    whole_or_refused(prepared().path(), "nothing", |_| {}).unwrap();
}

#[test]
fn flipped_bits_in_the_store_are_harmless_or_refused() {
    let sound = prepared();
    for file in sled_files(sound.path()) {
        let name = file.file_name().unwrap().to_owned();
        let len = fs::metadata(&file).unwrap().len();
        for sample in 0..24_u64 {
            // Spread over the part that is written; most of the file's last segment is empty.
            let place = usize::try_from(len.min(60_000) * sample / 24 + sample * 7 % 13).unwrap();
            let what = format!("{} byte {place}", name.display());
            drop(whole_or_refused(sound.path(), &what, |dir| {
                let path = dir.join("journal").join(&name);
                let mut bytes = fs::read(&path).unwrap();
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << (sample % 8);
                }
                fs::write(&path, bytes).unwrap();
            }));
        }
    }
}

#[test]
fn a_truncated_store_is_harmless_or_refused() {
    let sound = prepared();
    let len = fs::metadata(sound.path().join("journal/db")).unwrap().len();
    let mut refusals = 0;
    for part in 0..12 {
        let result = whole_or_refused(sound.path(), &format!("{part}/12 of db"), |dir| {
            let file = fs::File::options().write(true).open(dir.join("journal/db")).unwrap();
            file.set_len(len * part / 12).unwrap();
        });
        refusals += u32::from(result.is_err());
    }
    assert!(refusals > 0, "sled loses the tail of a truncated file without a word; nobody noticed");
}

#[test]
fn a_store_older_than_its_watermark_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    drop(core);
    // A restored copy of sled's directory alone, with the log folded since or not.
    copy(&dir.path().join("journal"), old.path());
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(2)]);
    drop(core);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    copy(old.path(), &dir.path().join("journal"));
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert_eq!(error.exit_hint(), 13);
}

#[test]
fn a_lost_tail_is_refused_with_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    drop(core);
    let old = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(2)]);
    drop(core);
    // Nothing folded between the copy and the loss: only the newest records are gone.
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(3)]);
    copy(&dir.path().join("journal"), old.path());
    commit(&mut core, &[synced(4), synced(5)]);
    drop(core);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    copy(old.path(), &dir.path().join("journal"));
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("was durable") && text.contains("of 3 records since the last fold, 1 is left"),
        "{text}"
    );
}

#[test]
fn a_hole_in_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    let last = core.mark.sequence;
    let values = Packer::new(last + 3).finish();
    core.store.commit(&Group { values, named: Vec::new() }).unwrap();
    drop(core);
    let text = open(dir.path()).unwrap_err().to_string();
    let expected = format!("the log goes from sequence {last} to {}; 2 values of it are lost", last + 3);
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn records_that_do_not_add_up_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    let mark = Watermark { records: 2, ..core.mark };
    core.watermark.write(&mark).unwrap();
    drop(core);
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("of 2 records since the last fold, 1 is left"), "{text}");
}

#[test]
fn missing_files_are_refused_by_name() {
    let sound = prepared();
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    let text = refused(sound.path(), "no ledger", remove("ledger-1.grenad"));
    assert!(text.contains("ledger-1.grenad: it is missing"), "{text}");
    let text = refused(sound.path(), "no key", remove("journal.key"));
    assert!(text.contains("journal.key is missing"), "{text}");
    let text = refused(sound.path(), "no watermark", remove("journal.watermark"));
    assert!(text.contains("watermark is missing"), "{text}");
    let text = refused(sound.path(), "no db", remove("journal/db"));
    assert!(text.contains("store's file"), "{text}");
    refused(sound.path(), "no sled", |dir| fs::remove_dir_all(dir.join("journal")).unwrap());
    refused(sound.path(), "ledger alone", |dir| {
        fs::remove_dir_all(dir.join("journal")).unwrap();
        fs::remove_file(dir.join("journal.watermark")).unwrap();
    });
}

#[test]
fn garbage_is_refused_by_name() {
    let sound = prepared();
    for name in ["ledger-1.grenad", "journal.watermark", "journal.key"] {
        for garbage in [Vec::new(), b"garbage".repeat(10_000)] {
            let text = refused(sound.path(), name, |dir| fs::write(dir.join(name), &garbage).unwrap());
            assert!(text.contains(name), "{text}");
        }
    }
    let foreign = |dir: &Path| fs::write(dir.join("journal.key"), [9; 32]).unwrap();
    let text = refused(sound.path(), "foreign key", foreign);
    assert!(text.contains("key of another journal"), "{text}");
}

#[test]
fn a_damaged_ledger_page_is_an_error_of_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    append(&journal, (1..=2000).map(synced).collect()).unwrap();
    journal.finish().unwrap();
    let path = dir.path().join("ledger-1.grenad");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let journal = open(dir.path()).unwrap();
    let mut scan = journal.ledger().unwrap();
    let error = scan.find_map(Result::err).unwrap();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(scan.next().is_none());
    // A fold does not copy the damage into a new generation: it leaves all as it is.
    append(&journal, vec![synced(2001)]).unwrap();
    assert!(matches!(journal.finish(), Err(JournalError::Damaged { .. })));
    assert!(path.exists());
}

#[test]
fn a_ledger_that_lost_entries_is_not_folded_further() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &(1..=200).map(synced).collect::<Vec<_>>());
    core.fold().unwrap();
    // As if a page of entries had not come up in any slice.
    core.mark.ledger.entries += 1;
    commit(&mut core, &[synced(201)]);
    let text = core.fold().unwrap_err().to_string();
    assert!(text.contains("ledger-1.grenad: it holds another number of entries than it should"), "{text}");
    assert_eq!(core.mark.ledger.generation, 1, "the old one stands");
}
