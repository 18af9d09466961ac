//! Whom the runs of a batch were stopped for: of which batch it is told, and until when.

use super::super::named::{self, TURNED_AWAY_BATCHES_MAX, TurnedAway};
use super::*;
use crate::digest::BatchId;

const TARGET: &str = "https://api.example.com/update/";

fn of(batch: u64, subjects: &[u64]) -> TurnedAway {
    TurnedAway {
        batch,
        token: 100 + batch,
        others_passed: true,
        is_for_others: true,
        subjects: subjects.iter().map(|number| subject(*number)).collect(),
    }
}

#[test]
fn it_is_kept_for_its_batch_until_that_ends_in_order_and_for_others_until_a_newer_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let set = |batch, away| journal.set_turned_away(TARGET, batch, away).unwrap();
    let told = |batch| journal.turned_away(TARGET, batch).unwrap();
    set(1, Some(of(1, &[1])));
    assert_eq!(journal.turned_away("other", 1).unwrap(), None);
    assert_eq!((told(1), told(2)), (Some(of(1, &[1])), Some(of(1, &[1]))));
    // The newest tells the others, and each has its own.
    set(2, Some(of(2, &[2])));
    assert_eq!((told(1), told(2), told(3)), (Some(of(1, &[1])), Some(of(2, &[2])), Some(of(2, &[2]))));
    // An older one that ends in order says nothing of the newer.
    set(1, None);
    assert_eq!((told(1), told(3)), (Some(of(2, &[2])), Some(of(2, &[2]))));
    set(3, None);
    assert_eq!((told(2), told(4)), (Some(TurnedAway { is_for_others: false, ..of(2, &[2]) }), None));
    // Stopped anew, it is the others' again.
    set(2, Some(of(2, &[2, 3])));
    assert_eq!(told(4), Some(of(2, &[2, 3])));
    set(2, None);
    assert_eq!(told(2), None);
}

#[test]
fn a_token_under_which_another_batch_was_stopped_has_to_be_told_good_anew() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    journal.set_turned_away(TARGET, 1, Some(of(1, &[1]))).unwrap();
    journal.set_turned_away(TARGET, 2, Some(TurnedAway { token: 101, ..of(2, &[2]) })).unwrap();
    assert_eq!(journal.turned_away(TARGET, 1).unwrap(), Some(TurnedAway { token: 0, ..of(1, &[1]) }));
    assert_eq!(journal.turned_away(TARGET, 2).unwrap().map(|away| away.token), Some(101));
}

#[test]
fn it_goes_with_its_batch_and_moves_with_it_to_another_sequence() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let (a, b) = (BatchId([1; 16]), BatchId([2; 16]));
    let begin = |id, is_new| journal.begin_batch(TARGET, id, 10, 100, is_new).unwrap().seq;
    let told = |batch| journal.turned_away(TARGET, batch).unwrap();
    begin(a, false);
    journal.note_delivery(TARGET, a, 1).unwrap();
    journal.set_turned_away(TARGET, 1, Some(of(1, &[1]))).unwrap();
    begin(b, false);
    journal.set_turned_away(TARGET, 2, None).unwrap();
    let own = TurnedAway { is_for_others: false, ..of(1, &[1]) };
    assert_eq!((told(1), told(2)), (Some(own.clone()), None));
    assert_eq!(begin(a, true), 3);
    assert_eq!((told(1), told(3)), (None, Some(TurnedAway { batch: 3, ..own })));
    journal.close_batch(TARGET, 3).unwrap();
    assert_eq!(told(3), None);
}

#[test]
fn of_many_batches_the_oldest_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let last = TURNED_AWAY_BATCHES_MAX as u64 + 2;
    (1..=last).for_each(|batch| journal.set_turned_away(TARGET, batch, Some(of(batch, &[batch]))).unwrap());
    let own = |batch: u64| journal.turned_away(TARGET, batch).unwrap().map(|away| away.batch) == Some(batch);
    let kept: Vec<u64> = (1..=last).filter(|batch| own(*batch)).collect();
    assert_eq!(kept, (3..=last).collect::<Vec<_>>());
}

#[test]
fn subjects_are_forgotten_in_every_batch_and_what_an_earlier_build_kept_goes_unread() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    journal.set_turned_away(TARGET, 1, Some(of(1, &[1, 2]))).unwrap();
    journal.set_turned_away(TARGET, 2, Some(of(2, &[2]))).unwrap();
    drop(journal);
    let mut core = open_core(dir.path()).unwrap().core;
    let old = format!("{}{TARGET}", named::TURNED_AWAY);
    core.commit_named(vec![(old.clone(), Some(named::encode(&old, &7_u64)))]).unwrap();
    assert_eq!(core.turned_away(TARGET, 9).unwrap(), Some(of(2, &[2])));
    assert_eq!(core.forget_turned_away(&[subject(2)]).unwrap(), 2);
    assert_eq!(core.turned_away(TARGET, 1).unwrap(), Some(of(1, &[1])));
    assert_eq!(core.store.named(&old).unwrap(), None);
}
