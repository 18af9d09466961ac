//! True swaps among the subjects of an export: rings in which each takes what the next one gives up. Nobody can be first, so
//! all of them are held back.
//!
//! Not here: values that two subjects claim in the end (`rulings.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::memory::{Entry, State};
use super::rows::Field;
use super::rulings::{Ruling, Said, Told};

/// Who takes something from whom, by place among the subjects.
type Takes = BTreeMap<usize, BTreeSet<usize>>;

/// Holds back the subjects of rings. Conflicts are concluded on already.
pub(crate) fn hold(told: &mut [Told<'_>], memory: &BTreeMap<String, Entry>) {
    let takes = takes(told, memory);
    for (at, (_, _, said)) in told.iter_mut().enumerate() {
        if reach(&takes, at).contains(&at) {
            hold_back(said);
        }
    }
}

fn hold_back(said: &mut [Said]) {
    for said in said.iter_mut().filter(|said| said.is_part()) {
        said.ruling = if said.is_equal { said.of_equal() } else { Ruling::Conflict };
    }
}

/// All from whom somebody takes something, or they from others.
fn reach(takes: &Takes, from: usize) -> BTreeSet<usize> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(at) = left.pop() {
        for next in takes.get(&at).into_iter().flatten() {
            if reached.insert(*next) {
                left.push(*next);
            }
        }
    }
    reached
}

fn takes(told: &[Told<'_>], memory: &BTreeMap<String, Entry>) -> Takes {
    let mut takes = Takes::new();
    for field in Field::UNIQUE {
        for (at, (subject, _, said)) in told.iter().enumerate() {
            let Some(taken) = taken(said, field) else { continue };
            if held(memory, subject, field).as_ref() == Some(&taken) {
                continue;
            }
            for (other, (holder, _, said)) in told.iter().enumerate() {
                let before = held(memory, holder, field);
                let is_given_up = before.as_ref() == Some(&taken)
                    && last(said, field).is_some_and(|last| Some(&last) != before.as_ref());
                if is_given_up && other != at && is_sent(said) {
                    takes.entry(at).or_default().insert(other);
                }
            }
        }
    }
    takes
}

/// What a subject of which something is sent takes in the end.
fn taken(said: &[Said], field: Field) -> Option<String> {
    let taken = last(said, field).filter(|value| is_sent(said) && !value.is_empty())?;
    let is_live = said.iter().any(|said| said.is_part() && said.claims.get(&field) == Some(&taken));
    is_live.then_some(taken)
}

fn last(said: &[Said], field: Field) -> Option<String> {
    said.iter().rev().find_map(|said| said.claims.get(&field)).cloned()
}

fn is_sent(said: &[Said]) -> bool {
    said.iter().any(|said| said.ruling == Ruling::Send)
}

/// What a subject is known to hold.
fn held(memory: &BTreeMap<String, Entry>, subject: &str, field: Field) -> Option<String> {
    match memory.get(subject)?.fields.get(&field)? {
        (State::Known(value), _) => Some(value.clone()).filter(|value| !value.is_empty()),
        (State::Unknown, _) => None,
    }
}
