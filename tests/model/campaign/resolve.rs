//! What became of each update of a run: the way that agrees with the journal is taken into the model's memory.
//!
//! Not here: which ways there are (`outcomes.rs`), what else must hold (`after.rs`).

use std::collections::{BTreeMap, BTreeSet};

use simsync::engine::clock;
use simsync::sandbox::RequestView;

use super::after::Aftermath;
use super::applied;
use super::checks;
use super::memory::{Entry, Facts, Failed, JUST_NOW, Outcome, State, Version, values, version_of};
use super::outcomes::{End, adopted_ways, attempts_of, has_conflict, ways};
use super::rows::Field;
use super::rulings::{Plan, Update};
use super::steps::{Command, Step};
use super::world::World;

/// What became of the updates of a run.
pub(crate) struct Resolved {
    /// By carrier, without clears.
    pub(crate) outcomes: BTreeMap<u64, Outcome>,
    /// Carriers of updates whose subjects were cleared before, in this run or an earlier one.
    pub(crate) cleared: BTreeSet<u64>,
}

/// What a run had to do for a subject, and what it did.
struct Subject<'a> {
    name: &'a String,
    updates: Vec<&'a Update>,
    /// Of each update.
    attempts: Vec<Vec<&'a RequestView>>,
    /// What its unchanged rows say that overtakes a failure.
    confirmed: Vec<&'a Facts>,
    /// The ways in which its updates may have ended.
    ways: Vec<Vec<Outcome>>,
}

impl World {
    /// Finds what became of each update, so that the journal agrees, and takes it into the model's memory.
    pub(crate) fn resolve(
        &mut self,
        plan: &Plan,
        of: &Aftermath<'_>,
        (end, is_guarded): (End, bool),
        batch: u64,
    ) -> Result<Resolved, String> {
        let target = of.step.options.target;
        let mut requests: BTreeMap<&String, Vec<&RequestView>> = BTreeMap::new();
        for request in of.requests {
            let subject = request.subject.as_ref().ok_or("a request about nobody")?;
            requests.entry(subject).or_default().push(request);
        }
        let mut subjects: BTreeSet<&String> = requests.keys().copied().collect();
        subjects.extend(plan.updates.iter().map(|update| &update.subject));
        subjects.extend(plan.confirmed.iter().map(|(subject, _)| subject));
        let is_adopted = of.step.command == Command::Adopt;
        let has_conflicts = of.requests.iter().any(|request| request.fault == Some("uniqueness"));
        let (mut outcomes, mut cleared) = (BTreeMap::new(), BTreeSet::new());
        let (mut has_withdrawn, mut has_pronounced) = (false, false);
        for name in subjects {
            let updates: Vec<&Update> = plan
                .updates
                .iter()
                .filter(|update| update.subject == *name)
                .filter(|update| !(update.is_clear && is_adopted))
                .collect();
            let attempts = attempts_of(&updates, requests.get(name).map_or(&[], Vec::as_slice))?;
            for (update, attempts) in updates.iter().zip(&attempts) {
                if !attempts.is_empty() && !update.is_clear {
                    self.check_sent(of.step, update)?;
                }
            }
            let ways = match of.step.command {
                Command::Adopt => adopted_ways(updates.len(), end),
                Command::Sync | Command::Planned | Command::Replay => {
                    ways(&attempts, end, is_guarded, has_conflicts)
                }
            };
            let confirmed = plan.confirmed.iter().filter(|(of, _)| of == name);
            let confirmed = confirmed.map(|(_, facts)| facts).collect();
            let subject = Subject { name, updates, attempts, confirmed, ways };
            let (way, entry) = self.way_of(&subject, of, end, batch)?;
            // Where refusals are not counted, one that was repeated looks like one that was not.
            for (attempts, outcome) in subject.attempts.iter().zip(&way).filter(|_| !entry.is_uncounted) {
                has_withdrawn |= is_guarded && !attempts.is_empty() && *outcome == Outcome::Untouched;
                has_pronounced |= matches!(outcome, Outcome::Failed(Failed::Refused, _));
            }
            cleared.extend(self.cleared_before(&subject, target));
            for (update, outcome) in subject.updates.iter().zip(way.iter().copied()) {
                if !update.is_clear {
                    outcomes.insert(update.carrier, outcome);
                } else if outcome == Outcome::Synced || outcome.may_be_applied() {
                    cleared.insert(update.carrier);
                }
            }
            self.remember(&subject, of, &way, entry)?;
        }
        if has_withdrawn && has_pronounced {
            return Err("of a run that the guard has stopped, some are marked failed".into());
        }
        self.requests(target);
        Ok(Resolved { outcomes, cleared })
    }

    /// The row that carries an update of a subject that an earlier run has cleared, and that is given something now.
    fn cleared_before(&self, subject: &Subject<'_>, target: usize) -> Option<u64> {
        let emptied = self.memory[target].get(subject.name)?.cleared_first();
        let own: Vec<&&Update> = subject.updates.iter().filter(|update| !update.is_clear).collect();
        let given = own.iter().flat_map(|update| emptied.iter().filter_map(|field| update.facts.get(field)));
        let is_given = given.into_iter().any(|(value, _)| !value.is_empty());
        own.iter().filter(|_| is_given).map(|update| update.carrier).max()
    }

    /// The way that agrees with the journal, and the subject's entry after it.
    fn way_of(
        &self,
        subject: &Subject<'_>,
        of: &Aftermath<'_>,
        end: End,
        batch: u64,
    ) -> Result<(Vec<Outcome>, Entry), String> {
        let target = of.step.options.target;
        let before = self.memory[target].get(subject.name).cloned().unwrap_or_default();
        let found = of.remembered.entries.get(&(target, subject.name.clone()));
        // What is confirmed comes first; a run may have ended in the midst of it.
        let all = subject.confirmed.len();
        let parts = if end == End::Finished { all..=all } else { 0..=all };
        let mut tried = Vec::new();
        for (part, way) in parts.rev().flat_map(|part| subject.ways.iter().map(move |way| (part, way))) {
            let updates = subject.updates.iter().zip(way.iter().copied());
            let updates = updates.map(|(update, outcome)| (&update.facts, update.settles, outcome));
            let updates: Vec<(&Facts, Option<Version>, Outcome)> = updates.collect();
            let mut entry = before.clone();
            entry.is_uncounted |= has_conflict(&subject.attempts);
            subject.confirmed[..part].iter().for_each(|facts| entry.confirm(facts));
            entry.take(&updates, batch, self.climate.laws);
            let seen = (!entry.is_blank()).then(|| checks::as_seen(&entry));
            if seen == checks::comparable(found, &entry) {
                return Ok((way.clone(), entry));
            }
            tried.push((way, seen));
        }
        let name = subject.name;
        Err(format!(
            "{name} at target {target}: the journal has {found:?}, before {before:?}; allowed {tried:?}"
        ))
    }

    /// Takes the entry of a subject into the memory, with the time of its acknowledgment, which only the journal tells.
    fn remember(
        &mut self,
        subject: &Subject<'_>,
        of: &Aftermath<'_>,
        way: &[Outcome],
        mut entry: Entry,
    ) -> Result<(), String> {
        let (target, name) = (of.step.options.target, subject.name);
        let before_s = self.memory[target].get(name).map_or(0, |before| before.acked_at_s);
        let found = of.remembered.entries.get(&(target, name.clone()));
        entry.acked_at_s = found.map_or(0, |found| found.acked_at_s);
        for at_s in entry.times_s.values_mut().filter(|at_s| **at_s == JUST_NOW) {
            *at_s = entry.acked_at_s;
        }
        let is_right = if way.contains(&Outcome::Synced) {
            (of.began_s..=clock::wall_s()).contains(&entry.acked_at_s)
        } else {
            entry.acked_at_s == before_s
        };
        if !is_right {
            return Err(format!(
                "{name} at target {target} was acknowledged at {}, before at {before_s}; {way:?}",
                entry.acked_at_s
            ));
        }
        self.is_proven[target] |= of.step.command != Command::Adopt && way.contains(&Outcome::Synced);
        let synced = subject.updates.iter().zip(way).filter(|(_, outcome)| **outcome == Outcome::Synced);
        for (update, _) in synced {
            if of.step.command == Command::Adopt {
                // It is said to be applied already.
                applied::post(&self.sandboxes[target], &values(&update.facts))?;
            }
            let place = (target, name.clone(), version_of(&update.facts));
            self.settled.insert(place, update.facts.clone());
        }
        if !entry.is_blank() {
            self.memory[target].insert(name.clone(), entry);
        }
        Ok(())
    }

    /// What holds of every update on the wire, whatever the rulings say: it overwrites nothing newer, and was not
    /// acknowledged before as this very update.
    fn check_sent(&self, step: &Step, update: &Update) -> Result<(), String> {
        let target = step.options.target;
        if let Some(entry) = self.memory[target].get(&update.subject) {
            for (field, (_, of)) in update.facts.iter().filter(|(field, _)| **field != Field::Key) {
                let newer = entry.fields.get(field).filter(|(_, newer)| newer > of);
                if matches!(newer, Some((State::Known(_), _))) {
                    return Err(format!("{field:?} of {update:?} overwrites something newer"));
                }
            }
        }
        let place = (target, update.subject.clone(), version_of(&update.facts));
        // Where acknowledgments age, a refresh is the rule's own matter.
        if !self.climate.ages && self.settled.get(&place) == Some(&update.facts) {
            return Err(format!("{update:?} was acknowledged, and is sent again"));
        }
        Ok(())
    }
}
