//! Folds of files equal folds in memory, whatever the records, sessions and partitions.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::ledger::EntryFold;

use super::super::entry::is_blank;
use super::strategies::records_of;
use super::*;

/// How a session ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Finished,
    Killed,
}

fn sessions() -> impl Strategy<Value = Vec<(Vec<Vec<Record>>, End, u64)>> {
    let subjects = (0_u64..25).prop_map(subject).boxed();
    let versions = (1_u64..3, 1_u64..6).prop_map(|(batch, ordinal)| Version { batch, ordinal }).boxed();
    let groups = vec(vec(records_of(subjects, versions), 0..40), 0..5);
    let ends = proptest::sample::select(vec![End::Finished, End::Killed]);
    // From one partition to some hundreds.
    let partitions = proptest::sample::select(vec![1_u64 << 30, 4096, 64]);
    vec((groups, ends, partitions), 1..4)
}

fn fold_in_memory(model: &mut BTreeMap<SubjectId, LedgerEntry>, groups: &[Vec<Record>]) {
    let mut by_subject: BTreeMap<SubjectId, Vec<&Record>> = BTreeMap::new();
    for record in groups.iter().flatten() {
        by_subject.entry(record.subject()).or_default().push(record);
    }
    for (subject, records) in by_subject {
        let old = model.remove(&subject).unwrap_or_else(|| LedgerEntry::new(subject));
        let mut fold = EntryFold::new(old);
        records.into_iter().for_each(|record| fold.apply(record));
        let entry = fold.finish();
        if !is_blank(&entry) {
            model.insert(subject, entry);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_ledger_is_what_folding_in_memory_gives(sessions in sessions()) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = BTreeMap::new();
        for (groups, end, partition_bytes_max) in &sessions {
            let mut core = open_core(dir.path()).unwrap().core;
            core.partition_bytes_max = *partition_bytes_max;
            groups.iter().for_each(|group| commit(&mut core, group));
            match end {
                End::Finished => drop(core.finish().unwrap()),
                End::Killed => drop(core),
            }
            fold_in_memory(&mut model, groups);
        }
        let journal = open(dir.path()).unwrap();
        prop_assert_eq!(entries(&journal), model.values().cloned().collect::<Vec<_>>());
        for number in 0..25 {
            prop_assert_eq!(journal.lookup(subject(number)).unwrap(), model.get(&subject(number)).cloned());
        }
    }
}

#[test]
fn a_fold_of_many_subjects_in_many_partitions_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    for half in 0..2_u64 {
        let mut core = open_core(dir.path()).unwrap().core;
        core.partition_bytes_max = 100_000;
        // The second half overlaps the first.
        let records: Vec<Record> = (0..5000).map(|number| synced(number + half * 2500)).collect();
        records.chunks(700).for_each(|group| commit(&mut core, group));
        core.finish().unwrap();
    }
    let journal = open(dir.path()).unwrap();
    assert_eq!(acked_numbers(&journal), (0..7500).collect::<Vec<_>>());
}
