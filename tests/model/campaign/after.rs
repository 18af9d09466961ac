//! What must hold after a run: the plan, what became of it, the batch, the books and files.
//!
//! Not here: the comparisons one by one (`checks.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use simsync::engine::clock;
use simsync::sandbox::RequestView;

use super::applied;
use super::batches::Key;
use super::checks::{self, Result_};
use super::fillers;
use super::journal::Remembered;
use super::memory::{Entry, Facts, JUST_NOW, Outcome, values, version_of};
use super::outcomes::{End, adopted_ways, attempts_of, has_conflict, ways};
use super::rows::{Field, parse_row_file};
use super::rulings::{Duplicates, Plan, Rules, Update, plan};
use super::run::Ran;
use super::steps::{Command, Step, Stop};
use super::world::{Input, World};

/// What a run left behind.
pub(crate) struct Aftermath<'a> {
    pub(crate) step: &'a Step,
    pub(crate) input: &'a Input,
    pub(crate) ran: &'a Ran,
    pub(crate) requests: &'a [RequestView],
    pub(crate) remembered: &'a Remembered,
    /// When the run began, in seconds since the Unix epoch.
    pub(crate) began_s: i64,
}

impl World {
    /// Holds a run that has a batch against the model.
    pub(crate) fn check(
        &mut self,
        of: &Aftermath<'_>,
        key: &Key,
        batch: u64,
        run_id: &str,
    ) -> Result<(), String> {
        let (step, target) = (of.step.as_meant(self.climate.laws), of.step.options.target);
        let begun = self.batches[target].begin(key, step.makes_newest, batch)?;
        self.tally.resumes += u64::from(begun.is_resumed == Some(true));
        self.tally_resume(of, begun.is_resumed);
        let plan = self.plan(&step, of.input, batch, of.began_s);
        self.note_delivery(of, key, &plan);
        let end = match of.ran.code {
            None => End::Killed,
            Some(0 | 3) => End::Finished,
            Some(8 | 143) => End::Drained,
            Some(code) => return Err(format!("exit code {code}")),
        };
        let outcomes = self.resolve(&plan, of, (end, batch))?;
        self.check_entries(of.remembered)?;
        let (rows, fillers) = (of.input.rows.len(), self.fillers(of));
        let result =
            Result_ { plan: &plan, outcomes: &outcomes, rows: u64::try_from(rows).unwrap(), fillers };
        self.tally.superseded += result.books()["superseded"];
        self.tally.in_doubt += result.books()["in_doubt"];
        checks::check_server(&self.sandboxes[target], &self.memory[target])?;
        if end == End::Killed {
            if !outcomes.values().any(|outcome| outcome.is_unsettled()) && result.closes(begun.is_newest) {
                self.batches[target].may_have_closed(key);
            }
            return Ok(());
        }
        let summary = of.ran.summary.as_ref().ok_or("no summary")?;
        result.check_summary(summary)?;
        if begun.is_resumed.is_some_and(|is_resumed| summary["resumed"] != is_resumed) {
            return Err(format!("resumed is {}, and should not be", summary["resumed"]));
        }
        self.check_code(of, &result, &plan)?;
        self.check_row_files(&result, of.input, run_id)?;
        if end == End::Finished && result.closes(begun.is_newest) {
            self.batches[target].close(key);
        }
        let is_plain = of.input.rows.iter().all(|row| row.origin.is_none());
        if of.ran.code == Some(0) && key.1 == Duplicates::Fold && begun.is_newest && is_plain {
            checks::check_goal(&self.sandboxes[target], &of.input.rows)?;
        }
        Ok(())
    }

    /// The model's plan of an input under this number of its batch.
    pub(crate) fn plan(&self, step: &Step, input: &Input, batch: u64, now_s: i64) -> Plan {
        let target = step.options.target;
        let rules = Rules {
            duplicates: step.options.duplicates,
            sends_conflicts: step.options.sends_conflicts,
            holds_doubts: step.options.holds_doubts,
            is_full: step.options.is_full,
            sends_changed: step.options.sends_changed,
            retries_failed: step.retries_failed,
            batch,
            stale_before_s: self.stale_before_s(now_s),
            laws: self.climate.laws,
        };
        let batch_of =
            |run: &str| self.runs.get(run).filter(|(of, _)| *of == target).map(|(_, batch)| *batch);
        plan(&input.rows, &input.filtered, self.memory_of(target), rules, &batch_of)
    }

    fn tally_resume(&mut self, of: &Aftermath<'_>, is_resumed: Option<bool>) {
        match of.step.command {
            Command::Replay if is_resumed == Some(true) => self.tally.count("replay resumed"),
            Command::Planned if is_resumed == Some(true) => self.tally.count("plan resumed"),
            Command::Sync | Command::Planned | Command::Replay | Command::Adopt => {}
        }
    }

    /// A batch that has something to send moves the ledger, from before its first request.
    fn note_delivery(&mut self, of: &Aftermath<'_>, key: &Key, plan: &Plan) {
        let target = of.step.options.target;
        if !of.requests.is_empty() {
            self.batches[target].has_delivered(key);
        }
        if plan.updates.is_empty() && plan.confirmed.is_empty() {
            return;
        }
        let is_sure = of.ran.code.is_some() || !of.requests.is_empty();
        self.deliveries[target].push((key.clone(), is_sure));
        if of.step.command == Command::Adopt {
            self.aside.push(is_sure);
        }
    }

    fn check_code(&self, of: &Aftermath<'_>, result: &Result_<'_>, plan: &Plan) -> Result<(), String> {
        let finished = if result.leaves_rows() { 3 } else { 0 };
        let updates = u64::try_from(plan.updates.len()).unwrap();
        let allowed = match of.step.stop {
            Stop::TermAfter(_) => vec![143, finished],
            Stop::Rows(rows) if updates > rows && of.step.command != Command::Adopt => vec![8],
            Stop::Never | Stop::Rows(_) | Stop::KillAfter(..) | Stop::KillAt(_) => vec![finished],
        };
        if let Stop::Rows(rows) = of.step.stop
            && of.step.command != Command::Adopt
        {
            let touched = result.outcomes.values().filter(|outcome| **outcome != Outcome::Untouched).count();
            if u64::try_from(touched).unwrap() > rows {
                return Err(format!("{touched} updates sent, and {rows} were allowed"));
            }
        }
        let is_allowed = of.ran.code.is_some_and(|code| allowed.contains(&code));
        if is_allowed {
            Ok(())
        } else {
            Err(format!("exit {:?}, and should be one of {allowed:?}", of.ran.code))
        }
    }

    fn check_row_files(&mut self, result: &Result_<'_>, input: &Input, run_id: &str) -> Result<(), String> {
        let dir = self.dir.path().join("simsync-state/runs").join(run_id);
        for (name, expected) in result.row_files() {
            let path = dir.join(name);
            let listed = match fs::read_to_string(&path) {
                Ok(text) => parse_row_file(&text)?,
                Err(_) => Vec::new(),
            };
            checks::check_row_file(name, &listed, &expected, input, run_id)?;
            // What is superseded is nobody's to feed back.
            if !listed.is_empty() && name != "superseded.csv" {
                self.row_files.push(path);
            }
        }
        Ok(())
    }

    /// Finds what became of each update, so that the journal agrees, and takes it into the model's memory.
    fn resolve(
        &mut self,
        plan: &Plan,
        of: &Aftermath<'_>,
        (end, batch): (End, u64),
    ) -> Result<BTreeMap<u64, Outcome>, String> {
        let target = of.step.options.target;
        let mut requests: BTreeMap<&String, Vec<&RequestView>> = BTreeMap::new();
        for request in of.requests {
            let subject = request.subject.as_ref().ok_or("a request about nobody")?;
            requests.entry(subject).or_default().push(request);
        }
        let mut subjects: BTreeSet<&String> = requests.keys().copied().collect();
        subjects.extend(plan.updates.iter().map(|update| &update.subject));
        subjects.extend(plan.confirmed.iter().map(|(subject, _)| subject));
        let has_conflicts = of.requests.iter().any(|request| request.fault == Some("uniqueness"));
        let mut outcomes = BTreeMap::new();
        for subject in subjects {
            let updates: Vec<&Update> =
                plan.updates.iter().filter(|update| update.subject == *subject).collect();
            let attempts = attempts_of(&updates, requests.get(subject).map_or(&[], Vec::as_slice))?;
            for (update, attempts) in updates.iter().zip(&attempts) {
                if !attempts.is_empty() {
                    self.check_sent(target, update)?;
                }
            }
            let before = self.memory[target].get(subject).cloned().unwrap_or_default();
            let found = of.remembered.entries.get(&(target, subject.clone()));
            let mut tried = Vec::new();
            let mut resolved = None;
            let ways = match of.step.command {
                Command::Adopt => adopted_ways(updates.len(), end),
                Command::Sync | Command::Planned | Command::Replay => ways(&attempts, end, has_conflicts),
            };
            // What is confirmed comes first; a run may have ended in the midst of it.
            let confirmed: Vec<&Facts> =
                plan.confirmed.iter().filter(|(of, _)| of == subject).map(|(_, facts)| facts).collect();
            let parts =
                if end == End::Finished { confirmed.len()..=confirmed.len() } else { 0..=confirmed.len() };
            let all = parts.rev().flat_map(|part| ways.iter().map(move |way| (part, way.clone())));
            for (part, way) in all {
                let facts: Vec<(&Facts, Outcome)> =
                    updates.iter().map(|update| &update.facts).zip(way.iter().copied()).collect();
                let mut entry = before.clone();
                entry.is_uncounted |= has_conflict(&attempts);
                confirmed[..part].iter().for_each(|facts| entry.confirm(facts));
                entry.take(&facts, batch, self.climate.laws);
                let seen = (!entry.is_blank()).then(|| checks::as_seen(&entry));
                if seen == checks::comparable(found, &entry) {
                    resolved = Some((way, entry));
                    break;
                }
                tried.push((way, seen));
            }
            let Some((way, mut entry)) = resolved else {
                return Err(format!(
                    "{subject} at target {target}: the journal has {found:?}, before {before:?}; allowed {tried:?}"
                ));
            };
            entry.acked_at_s = found.map_or(0, |found| found.acked_at_s);
            for at_s in entry.times_s.values_mut().filter(|at_s| **at_s == JUST_NOW) {
                *at_s = entry.acked_at_s;
            }
            let was_acknowledged = way.contains(&Outcome::Synced);
            let is_right = if was_acknowledged {
                (of.began_s..=clock::wall_s()).contains(&entry.acked_at_s)
            } else {
                entry.acked_at_s == before.acked_at_s
            };
            if !is_right {
                return Err(format!(
                    "{subject} at target {target} was acknowledged at {}, before at {}; {way:?}",
                    entry.acked_at_s, before.acked_at_s
                ));
            }
            for (update, outcome) in updates.iter().zip(way) {
                outcomes.insert(update.carrier, outcome);
                if outcome == Outcome::Synced {
                    if of.step.command == Command::Adopt {
                        // It is said to be applied already.
                        applied::post(&self.sandboxes[target], &values(&update.facts))?;
                    }
                    let place = (target, subject.clone(), version_of(&update.facts));
                    self.settled.insert(place, values(&update.facts));
                }
            }
            if !entry.is_blank() {
                self.memory[target].insert(subject.clone(), entry);
            }
        }
        self.requests(target);
        Ok(outcomes)
    }

    /// Rows of the input that nothing but fills it.
    fn fillers(&self, of: &Aftermath<'_>) -> u64 {
        if self.climate.spills && of.step.command != Command::Replay { fillers::ROWS } else { 0 }
    }

    /// What holds of every update on the wire, whatever the rulings say: it overwrites nothing newer, and was not
    /// acknowledged before as this very update.
    fn check_sent(&self, target: usize, update: &Update) -> Result<(), String> {
        let version = version_of(&update.facts);
        if let Some(entry) = self.memory[target].get(&update.subject) {
            for (field, (_, of)) in update.facts.iter().filter(|(field, _)| **field != Field::Key) {
                let is_known = entry.fields.get(field).is_some_and(|(state, newer)| {
                    matches!(state, super::memory::State::Known(_)) && newer > of
                });
                if is_known {
                    return Err(format!("{field:?} of {update:?} overwrites something newer"));
                }
            }
        }
        // What another update has made unknown since equals nothing, and is sent again.
        let unknown = self.memory[target].get(&update.subject).map(Entry::unknown).unwrap_or_default();
        let is_known = update.facts.keys().all(|field| *field == Field::Key || !unknown.contains(field));
        let place = (target, update.subject.clone(), version);
        if is_known && self.settled.get(&place) == Some(&values(&update.facts)) {
            return Err(format!("{update:?} was acknowledged, and is sent again"));
        }
        Ok(())
    }
}
