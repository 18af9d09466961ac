//! Who takes what another gives up in an export: the order of the two, and the rings in which nobody can be first. A
//! ring is held back, or broken by clearing one of its subjects of what the others take.
//!
//! Not here: values that two subjects claim in the end (`rulings.rs`), whether the order was kept (`order.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::laws::Flaw;
use super::memory::{Entry, State};
use super::rows::Field;
use super::rulings::{Duplicates, Rules, Ruling, Said, Told};

/// One subject gives up what another takes. Subjects are named by their place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    before: usize,
    after: usize,
    field: Field,
    /// Whether it is not known to hold it still.
    is_uncertain: bool,
}

/// A subject that is sent, or cleared, before another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) before: String,
    pub(crate) after: String,
    /// Whether it is the clear of the first one that goes before.
    pub(crate) is_clear: bool,
}

/// What follows from who takes what.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) firsts: Vec<First>,
    /// What subjects are cleared of before, by the ordinal of the row that carries the update.
    pub(crate) clears: BTreeMap<u64, BTreeSet<Field>>,
}

/// Finds the order, and holds back the subjects of rings that are not broken. Conflicts are concluded on already.
pub(crate) fn order(told: &mut [Told<'_>], memory: &BTreeMap<String, Entry>, rules: Rules) -> Order {
    hold_behind_held(told, memory);
    let mut links = links(told, memory, &|_| false);
    let is_asked = rules.breaks_cycles && !rules.laws.has(Flaw::RingsStayWhole);
    let may_break = is_asked && rules.duplicates != Duplicates::Each;
    let carriers: Vec<Option<u64>> = told.iter().map(carrier).collect();
    let by_rows = |mut ring: Vec<usize>| -> Vec<usize> {
        ring.sort_unstable_by_key(|at| carriers[*at]);
        ring
    };
    let cleared = |ring: &[usize], links: &[Link]| clearing(ring, links).filter(|_| may_break);
    // For what a subject may hold no longer nobody is held back.
    for ring in rings(&links).into_iter().map(by_rows) {
        if cleared(&ring, &links).is_none() {
            links.retain(|link| !link.is_uncertain || !is_within(&ring, link));
        }
    }
    let mut order = Order::default();
    for ring in rings(&links).into_iter().map(by_rows) {
        match cleared(&ring, &links) {
            Some((at, fields)) => {
                order.clears.insert(carriers[at].unwrap_or_default(), fields);
                let freed = links.iter().filter(|link| link.before == at && is_within(&ring, link));
                order.firsts.extend(freed.map(|link| first(told, link, true)));
                links.retain(|link| link.before != at || !is_within(&ring, link));
            }
            None => {
                links.retain(|link| !is_within(&ring, link));
                if !rules.sends_conflicts && !rules.laws.has(Flaw::SwapsAreSent) {
                    ring.iter().for_each(|at| hold_back(&mut told[*at].2));
                    links.retain(|link| !ring.contains(&link.before) && !ring.contains(&link.after));
                }
            }
        }
    }
    order.firsts.extend(links.iter().map(|link| first(told, link, false)));
    order
}

fn first(told: &[Told<'_>], link: &Link, is_clear: bool) -> First {
    First { before: told[link.before].0.clone(), after: told[link.after].0.clone(), is_clear }
}

/// The row that carries a subject's update, or the last of its updates.
fn carrier((_, rows, said): &Told<'_>) -> Option<u64> {
    let sent = rows.iter().zip(said).filter(|(_, said)| said.ruling == Ruling::Send);
    sent.map(|(row, _)| row.ordinal).max()
}

fn is_within(ring: &[usize], link: &Link) -> bool {
    ring.contains(&link.before) && ring.contains(&link.after)
}

/// Subjects that reach each other.
fn rings(links: &[Link]) -> Vec<Vec<usize>> {
    let nodes: BTreeSet<usize> = links.iter().flat_map(|link| [link.before, link.after]).collect();
    let mut rings: Vec<Vec<usize>> = Vec::new();
    for node in nodes {
        if rings.iter().any(|ring| ring.contains(&node)) {
            continue;
        }
        let reached = reach(links, node);
        let ring: Vec<usize> =
            reached.iter().copied().filter(|at| reach(links, *at).contains(&node)).collect();
        if ring.contains(&node) {
            rings.push(ring);
        }
    }
    rings
}

/// Everybody behind a subject.
fn reach(links: &[Link], from: usize) -> BTreeSet<usize> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(at) = left.pop() {
        for link in links.iter().filter(|link| link.before == at) {
            if reached.insert(link.after) {
                left.push(link.after);
            }
        }
    }
    reached
}

/// The first of a ring that may be cleared of all it gives up in it, if nobody waits for himself then.
fn clearing(ring: &[usize], links: &[Link]) -> Option<(usize, BTreeSet<Field>)> {
    let inner: Vec<Link> = links.iter().filter(|link| is_within(ring, link)).copied().collect();
    ring.iter().find_map(|at| {
        let (own, others): (Vec<Link>, Vec<Link>) = inner.iter().partition(|link| link.before == *at);
        let fields: BTreeSet<Field> = own.iter().map(|link| link.field).collect();
        let may_be = fields.iter().all(|field| field.is_clearable()) && rings(&others).is_empty();
        may_be.then_some((*at, fields))
    })
}

fn hold_back(said: &mut [Said]) {
    for said in said.iter_mut().filter(|said| said.is_part()) {
        said.ruling = if said.is_equal { said.of_equal() } else { Ruling::Conflict };
    }
}

/// Holds whoever takes what a subject gives up that is held, and so on.
fn hold_behind_held(told: &mut [Told<'_>], memory: &BTreeMap<String, Entry>) {
    let is_held = |said: &[Said]| !is_sent(said) && said.iter().any(|said| said.ruling == Ruling::Held);
    let links = links(told, memory, &is_held);
    let held = told.iter().enumerate().filter(|(_, told)| is_held(&told.2)).map(|(at, _)| at);
    let waiting: BTreeSet<usize> = held.flat_map(|at| reach(&links, at)).collect();
    let rows = told.iter_mut().enumerate().filter(|(at, _)| waiting.contains(at));
    for said in rows.flat_map(|(_, told)| &mut told.2) {
        if matches!(said.ruling, Ruling::Send | Ruling::Folded) {
            said.ruling = if said.is_equal { said.of_equal() } else { Ruling::Held };
        }
    }
}

/// Who takes what another gives up that is sent, or is such a one.
fn links(
    told: &[Told<'_>],
    memory: &BTreeMap<String, Entry>,
    is_another: &dyn Fn(&[Said]) -> bool,
) -> Vec<Link> {
    let mut links = Vec::new();
    for field in Field::UNIQUE {
        let held_by = |subject: &String| held(memory.get(subject)?, field);
        for (after, (subject, _, said)) in told.iter().enumerate() {
            let Some(taken) = taken(said, field) else { continue };
            if held_by(subject).as_ref() == Some(&taken) {
                continue;
            }
            for (before, (holder, _, said)) in told.iter().enumerate() {
                let set = last(said, field).filter(|set| *set != taken);
                if before == after || set.is_none() || !is_sent(said) && !is_another(said) {
                    continue;
                }
                let is_held = held_by(holder).as_ref() == Some(&taken);
                let last_known = memory.get(*holder).and_then(|entry| entry.last_known.get(&field));
                if is_held || last_known == Some(&taken) {
                    links.push(Link { before, after, field, is_uncertain: !is_held });
                }
            }
        }
    }
    links
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
pub(crate) fn held(entry: &Entry, field: Field) -> Option<String> {
    match entry.fields.get(&field)? {
        (State::Known(value), _) => Some(value.clone()).filter(|value| !value.is_empty()),
        (State::Unknown, _) => None,
    }
}
