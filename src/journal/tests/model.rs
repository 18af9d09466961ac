//! Folds of files equal folds in memory, whatever the records, sessions and partitions.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::ledger::EntryFold;

use super::super::entry::is_blank;
use super::super::fold::OpenIntents;
use super::super::job::FoldTask;
use super::super::sorted::{SLICES, slice_begin};
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
            core.fold_bytes_max = *partition_bytes_max;
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

/// What happens to a log in a session.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Record>),
    /// A fold begins: it sees what was committed so far.
    Begin,
    /// The fold's generation is written, and named.
    End,
    /// The fold's generation is written, and the run is killed before it is named.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let subjects = (0_u64..6).prop_map(subject).boxed();
    let versions = (1_u64..3, 1_u64..6).prop_map(|(batch, ordinal)| Version { batch, ordinal }).boxed();
    let commit = vec(records_of(subjects, versions), 0..12).prop_map(Step::Commit);
    let step = prop_oneof![
        6 => commit,
        3 => Just(Step::Begin),
        3 => Just(Step::End),
        1 => Just(Step::Kill),
    ];
    vec(step, 0..24)
}

/// Goes through the steps with a journal; the sessions' records, as one fold each would see them.
fn go_through(dir: &Path, steps: &[Step]) -> Vec<Vec<Vec<Record>>> {
    let mut sessions = vec![Vec::new()];
    let mut core = open_core(dir).unwrap().core;
    let mut task: Option<FoldTask> = None;
    let never = AtomicBool::new(false);
    for step in steps {
        match step {
            Step::Commit(records) => {
                commit(&mut core, records);
                sessions.last_mut().unwrap().push(records.clone());
            }
            Step::Begin if task.is_none() => {
                core.drop_folded().unwrap();
                task = Some(core.fold_task(OpenIntents::Carry).unwrap());
            }
            Step::Begin => {}
            Step::End => {
                if let Some(task) = task.take() {
                    core.name_generation(&task.run(&never).unwrap()).unwrap();
                    core.remove_unnamed_generations().unwrap();
                }
            }
            Step::Kill => {
                if let Some(task) = task.take() {
                    task.run(&never).unwrap();
                }
                drop(core);
                core = open_core(dir).unwrap().core;
                sessions.push(Vec::new());
            }
        }
    }
    drop(task);
    core.finish().unwrap();
    sessions
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn folds_in_the_middle_of_a_run_change_nothing(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = BTreeMap::new();
        for groups in go_through(dir.path(), &steps) {
            fold_in_memory(&mut model, &groups);
        }
        let core = open_core(dir.path()).unwrap().core;
        prop_assert_eq!(core.mark.ledger.open, 0);
        drop(core);
        let journal = open(dir.path()).unwrap();
        prop_assert_eq!(entries(&journal), model.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn a_fold_of_many_subjects_in_many_partitions_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    for half in 0..2_u64 {
        let mut core = open_core(dir.path()).unwrap().core;
        core.fold_bytes_max = 100_000;
        // The second half overlaps the first.
        let records: Vec<Record> = (0..5000).map(|number| synced(number + half * 2500)).collect();
        records.chunks(700).for_each(|group| commit(&mut core, group));
        core.finish().unwrap();
    }
    let journal = open(dir.path()).unwrap();
    assert_eq!(acked_numbers(&journal), (0..7500).collect::<Vec<_>>());
}

#[test]
fn subjects_at_the_borders_of_slices_are_folded_once() {
    let dir = tempfile::tempdir().unwrap();
    let at_borders: Vec<SubjectId> = (0..SLICES).filter_map(slice_begin).collect();
    assert_eq!(at_borders.len(), SLICES);
    let synced = |ordinal| {
        let synced = move |subject: &SubjectId| Record::Synced {
            subject: *subject,
            version: version(ordinal),
            facts: Vec::new(),
            at_s: 1,
        };
        at_borders.iter().step_by(2).map(synced).chain(at_borders.iter().map(synced)).collect::<Vec<_>>()
    };
    for ordinal in 1..3 {
        let mut core = open_core(dir.path()).unwrap().core;
        commit(&mut core, &synced(ordinal));
        core.finish().unwrap();
    }
    let found: Vec<SubjectId> =
        entries(&open(dir.path()).unwrap()).into_iter().map(|entry| entry.subject).collect();
    assert_eq!(found, at_borders);
}
