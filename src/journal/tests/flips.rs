//! Random damage to every file of a journal: what opens is whole, or says at the damaged place that it is not.
//!
//! A flipped bit in a page of the ledger is found when that page is read: by a scan or a lookup that comes to it, by
//! the next fold, which reads all pages, and by `journal verify`. Everything else is found by the opening.
//! `SIMSYNC_FLIPS=20000` tries more than the suite does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::digest::BatchId;

use super::super::error::JournalErrorKind;
use super::super::fold::OpenIntents;
use super::*;

/// Damages of the suite, over all files and all journals.
const FLIPS: u64 = 240;

const FLIPS_VARIABLE: &str = "SIMSYNC_FLIPS";

const BATCH: BatchId = BatchId([1; 16]);

/// How a journal was left.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// Finished; the log is folded.
    InOrder,
    /// Killed with a log.
    Killed,
    /// Killed after a fold in the middle of the run, intents of before it open.
    KilledAfterFold,
}

/// What a journal says: its entries, and whether its batch is open.
type Said = (Vec<LedgerEntry>, bool);

fn prepared(left: Left) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    core.begin_batch("target", BATCH, 5, 0, false).unwrap();
    let mut number = 0;
    let mut records = |len: u64| -> Vec<Record> {
        number += len;
        (number - len + 1..=number)
            .flat_map(|number| {
                let outcome = (!number.is_multiple_of(50)).then(|| synced(number));
                std::iter::once(intent(number)).chain(outcome)
            })
            .collect()
    };
    (0..20).for_each(|_| commit(&mut core, &records(40)));
    core.finish().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    (0..20).for_each(|_| commit(&mut core, &records(20)));
    if let Left::KilledAfterFold = left {
        let folded = core.fold_task(OpenIntents::Carry).unwrap().run(&AtomicBool::new(false)).unwrap();
        core.name_generation(&folded).unwrap();
        core.remove_unnamed_generations().unwrap();
        commit(&mut core, &records(20));
    }
    match left {
        Left::InOrder => drop(core.finish().unwrap()),
        Left::Killed | Left::KilledAfterFold => drop(core),
    }
    dir
}

fn said(dir: &Path) -> Result<Said, JournalError> {
    let journal = open(dir)?;
    let entries = journal.ledger()?.collect::<Result<Vec<_>, _>>()?;
    Ok((entries, journal.peek_batch("target", BATCH, false)?.resumed))
}

/// All files below a directory, by their path from it.
fn files_of(dir: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            files_of(dir, &name, found);
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

fn write_all(dir: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::create_dir_all(dir.join("journal/blobs")).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// Damages one file, and says how.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    if bytes.is_empty() {
        bytes.push(7);
    }
    // The part that is written; most of sled's last segment is empty.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let place = dice.below(used);
    match dice.below(6) {
        0 => {
            bytes.truncate(place);
            format!("cut at byte {place}")
        }
        1 => {
            let end = (place + 512).min(bytes.len());
            bytes[place..end].fill(0);
            format!("zeroed from byte {place}")
        }
        2 => {
            let from = dice.below(used);
            let len = 512.min(bytes.len() - place).min(bytes.len() - from);
            bytes.copy_within(from..from + len, place);
            format!("bytes {from} copied over byte {place}")
        }
        _ => {
            let bit = dice.below(8);
            bytes[place] ^= 1 << bit;
            format!("bit {bit} of byte {place} flipped")
        }
    }
}

#[test]
fn random_damage_to_any_file_is_harmless_or_refused() {
    let flips = std::env::var(FLIPS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(FLIPS);
    let mut dice = Dice(4);
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let journals = [Left::InOrder, Left::Killed, Left::KilledAfterFold].map(|left| {
        let dir = prepared(left);
        let mut files = BTreeMap::new();
        files_of(dir.path(), Path::new(""), &mut files);
        (left, files, said(dir.path()).unwrap())
    });
    for round in 0..flips {
        let (left, files, expected) = &journals[dice.below(journals.len())];
        let names: Vec<&PathBuf> = files.keys().collect();
        let name = names[dice.below(names.len())].clone();
        let mut damaged = files.clone();
        let how = damage(damaged.get_mut(&name).unwrap(), &mut dice);
        let what = format!("round {round}, {left:?}, {} {how}", name.display());
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path(), &damaged);
        match said(dir.path()) {
            Ok(said) => assert!(said == *expected, "{what}: it says something else and does not know it"),
            Err(error) => {
                assert_ne!(error.kind(), JournalErrorKind::Internal, "{what}: {error}");
                assert_eq!(error.exit_hint(), 13, "{what}: {error}");
                assert!(!error.remedy().is_empty(), "{what}: {error}");
                *refused.entry(kind_of(&name)).or_default() += 1;
            }
        }
    }
    for file in ["db", "grenad", "key", "watermark"] {
        // One slot of the watermark may always go; so may sled's snapshot, and the lock's text.
        assert!(refused.contains_key(file) || file == "watermark", "nobody noticed {file}: {refused:?}");
    }
}

fn kind_of(name: &Path) -> String {
    let part = name.extension().or(name.file_name()).unwrap_or_default();
    part.to_string_lossy().into_owned()
}
