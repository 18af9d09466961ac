//! The world of a sequence: one state directory, two servers, the exports so far, and the model of it all. A step runs
//! the real binary and holds what came of it against the model.
//!
//! Not here: the parts of the model (`rulings.rs`, `memory.rs`, `outcomes.rs`, `batches.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use simsync::sandbox::{Clears, Faults, RequestView, Sandbox, SandboxOptions};
use tempfile::TempDir;

use super::batches::{Batches, Key};
use super::chance::Chance;
use super::checks::{self, ROW_FILES, Result_};
use super::journal::{self, Names, Remembered};
use super::memory::{Entry, Facts, Outcome, Version, values, version_of};
use super::outcomes::{End, attempts_of, has_conflict, ways};
use super::rows::{CLEAR, Cells, Row, parse_row_file, text_of};
use super::rulings::{Plan, Rules, Update, plan};
use super::run::{Ran, run, wait_for_quiet};
use super::steps::{self, Options, Source, Step, Stop, TARGETS};
use crate::support::TOKEN;

/// Settings of every run: quick retries, few attempts, and no breaker, whose waits would be all there is to see.
const CONFIGURATION: &str = "[delivery]\nmax_in_flight = 4\nattempts_max = 3\nbackoff_initial = \"1ms\"\n\
    backoff_max = \"4ms\"\nbreaker_failures = 100000\nbreaker_subjects = 100000\n\
    [rules]\nclearable = [\"imsi\", \"user_class\"]\n";

/// What a sequence has done, for the campaign's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) kills: u64,
    pub(crate) drains: u64,
    pub(crate) resumes: u64,
    pub(crate) fed_back: u64,
    pub(crate) rows: u64,
    pub(crate) requests: u64,
    pub(crate) in_doubt: u64,
    pub(crate) superseded: u64,
}

/// Everything there is.
pub(crate) struct World {
    dir: TempDir,
    sandboxes: Vec<Sandbox>,
    /// Requests each sandbox had seen before the step.
    seen: Vec<u64>,
    memory: Vec<BTreeMap<String, Entry>>,
    batches: Vec<Batches>,
    /// Target and batch of every run.
    runs: BTreeMap<String, (usize, u64)>,
    names: Names,
    exports: Vec<Vec<Row>>,
    /// Row files of earlier runs.
    row_files: Vec<PathBuf>,
    /// The export that was run last at each target, with its options.
    last: Vec<Option<(Vec<Row>, Options)>>,
    /// Updates acknowledged, by target, subject and version.
    settled: BTreeMap<(usize, String, Version), Cells>,
    files: u64,
    /// Options in force.
    options: Options,
    sends_changed: bool,
    /// Whether the last run was interrupted.
    is_interrupted: bool,
    pub(crate) tally: Tally,
}

impl World {
    /// A new world, whose runs send what changed alone, or everything.
    pub(crate) fn new(sends_changed: bool) -> World {
        let sandbox = || {
            let options =
                SandboxOptions { token: TOKEN.into(), clears: Clears::Both, ..SandboxOptions::default() };
            Sandbox::start(options).unwrap()
        };
        let sandboxes: Vec<Sandbox> = (0..TARGETS).map(|_| sandbox()).collect();
        let dir = tempfile::tempdir().unwrap();
        let send = if sends_changed { "changed" } else { "full" };
        let settings = format!("{CONFIGURATION}clear_token = \"{CLEAR}\"\n[plan]\nsend = \"{send}\"\n");
        fs::write(dir.path().join("simsync.toml"), settings).unwrap();
        let urls = sandboxes.iter().map(Sandbox::url).collect();
        World {
            dir,
            sandboxes,
            seen: vec![0; TARGETS],
            memory: vec![BTreeMap::new(); TARGETS],
            batches: (0..TARGETS).map(|_| Batches::default()).collect(),
            runs: BTreeMap::new(),
            names: Names { urls, subjects: BTreeSet::new(), values: BTreeSet::new() },
            exports: Vec::new(),
            row_files: Vec::new(),
            last: vec![None; TARGETS],
            settled: BTreeMap::new(),
            files: 0,
            options: Options::default(),
            sends_changed,
            is_interrupted: false,
            tally: Tally::default(),
        }
    }

    /// Keeps the directory and says where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Draws and does a step. An error is the difference between what was and what should be.
    pub(crate) fn draw(&mut self, chance: &mut Chance, log: &mut Vec<String>) -> Result<(), String> {
        let step = Step::draw(chance, self.options, self.is_interrupted);
        let rows = self.rows(&step.source, chance);
        self.options = step.options;
        log.push(format!("{step:?}\n{}", text_of(&rows)));
        self.run(&step, rows, log)
    }

    /// Brings every target to rest: an undisturbed run of its last export, and another one, which must send nothing.
    pub(crate) fn settle(&mut self, log: &mut Vec<String>) -> Result<(), String> {
        for target in 0..TARGETS {
            let Some((rows, options)) = self.last[target].clone() else { continue };
            for again in [false, true] {
                let step = Step::settling(options);
                log.push(format!("settle target {target}, again: {again}"));
                let before = self.tally.requests;
                self.run(&step, rows.clone(), log)?;
                if again && self.tally.requests != before {
                    return Err("an unchanged export, run again undisturbed, sends something".into());
                }
            }
        }
        Ok(())
    }

    /// The rows of a step's input.
    fn rows(&mut self, source: &Source, chance: &mut Chance) -> Vec<Row> {
        let Some(mut rows) = self.exports.last().cloned() else { return steps::export(chance) };
        let is_fed_back = rows.iter().any(|row| row.origin.is_some());
        match source {
            Source::New => return steps::export(chance),
            Source::Same => {}
            Source::Renamed => self.files += 1,
            // Rows fed back stand in the order of their versions, which the model counts on.
            Source::Reordered if is_fed_back => {}
            Source::Reordered => chance.shuffle(&mut rows),
            Source::Edited => steps::edit(&mut rows, chance),
            Source::Grown => rows.push(steps::row(chance)),
            Source::Shrunk if rows.len() > 1 => {
                rows.remove(chance.index(rows.len()));
            }
            Source::Shrunk => {}
            Source::Older => rows = self.exports[chance.index(self.exports.len())].clone(),
            Source::FedBack { is_corrected } => {
                // The newest files are the likeliest.
                let back = chance.index(self.row_files.len().min(3));
                let Some(path) = self.row_files.iter().rev().nth(back) else { return rows };
                let text = fs::read_to_string(path).unwrap();
                rows = parse_row_file(&text).unwrap().into_iter().map(|listed| listed.row).collect();
                if *is_corrected {
                    steps::correct(&mut rows);
                }
                self.tally.fed_back += 1;
            }
        }
        rows
    }

    /// Runs the binary on these rows and checks everything.
    fn run(&mut self, step: &Step, rows: Vec<Row>, log: &mut Vec<String>) -> Result<(), String> {
        let target = step.options.target;
        let (text, name) = (text_of(&rows), format!("export-{}.csv", self.files));
        fs::write(self.dir.path().join(&name), &text).map_err(|error| error.to_string())?;
        for row in &rows {
            self.names.subjects.insert(row.subject.clone());
            self.names.values.extend(row.cells.iter().map(|(field, value)| (*field, value.clone())));
        }
        self.sandboxes[target].set_faults(step.faults.clone()).map_err(|error| error.to_string())?;
        let url = self.sandboxes[target].url();
        let mut args: Vec<String> =
            ["sync", "--api-url", &url, "--rate", "unlimited", "--json"].map(str::to_owned).into();
        args.extend(step.args());
        args.push(name);
        let before = self.run_ids();
        let ran = run(self.dir.path(), &self.sandboxes[target], &args, step.stop)?;
        wait_for_quiet(&self.sandboxes[target])?;
        self.sandboxes[target].set_faults(Faults::default()).map_err(|error| error.to_string())?;
        let requests = self.requests(target);
        let told = ran.summary.as_ref().and_then(|summary| summary["run_id"].as_str().map(str::to_owned));
        let run_id = told.or_else(|| self.run_ids().difference(&before).next().cloned());
        log.push(format!("exit {:?}, run {run_id:?}, {} requests", ran.code, requests.len()));
        let remembered =
            journal::read(&self.dir.path().join("simsync-state"), &self.names, run_id.as_deref())?;
        let key: Key = (text, step.options.duplicates, step.options.is_full);
        self.exports.push(rows.clone());
        self.last[target] = Some((rows.clone(), step.options));
        self.tally.runs += 1;
        self.tally.rows += u64::try_from(rows.len()).unwrap();
        self.tally.requests += u64::try_from(requests.len()).unwrap();
        self.is_interrupted = matches!(ran.code, None | Some(8 | 143));
        self.tally.kills += u64::from(ran.code.is_none());
        self.tally.drains += u64::from(matches!(ran.code, Some(8 | 143)));
        let (Some(batch), Some(run_id)) = (remembered.batch, run_id.clone()) else {
            return self.check_nothing_begun(&ran, &key, target, run_id.is_some(), &requests, &remembered);
        };
        self.runs.insert(run_id.clone(), (target, batch));
        let aftermath =
            Aftermath { step, rows: &rows, ran: &ran, requests: &requests, remembered: &remembered };
        self.check(aftermath, &key, batch, &run_id)
            .map_err(|difference| format!("{difference}\nstderr of the run: {}", ran.stderr))
    }

    fn run_ids(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path().join("simsync-state/runs"));
        let names = |entries: fs::ReadDir| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
        };
        entries.map(names).unwrap_or_default()
    }

    /// Requests since the last step.
    fn requests(&mut self, target: usize) -> Vec<RequestView> {
        let seen = self.seen[target];
        let requests = self.sandboxes[target].requests_after(seen);
        self.seen[target] = requests.last().map_or(seen, |last| last.seq);
        requests
    }

    /// A run that was stopped before it had a batch has changed nothing.
    fn check_nothing_begun(
        &mut self,
        ran: &Ran,
        key: &Key,
        target: usize,
        has_dir: bool,
        requests: &[RequestView],
        remembered: &Remembered,
    ) -> Result<(), String> {
        if !matches!(ran.code, None | Some(143)) {
            return Err(format!("exit {:?} and no batch: {}", ran.code, ran.stderr));
        }
        if !requests.is_empty() {
            return Err("requests of a run that has no batch".into());
        }
        if has_dir {
            self.batches[target].may_have_begun(key);
        }
        self.check_entries(remembered)
    }

    /// Everything the journal remembers is what the model does.
    fn check_entries(&self, remembered: &Remembered) -> Result<(), String> {
        for (target, memory) in self.memory.iter().enumerate() {
            for (subject, entry) in memory {
                let expected = checks::as_seen(entry);
                let found = remembered.entries.get(&(target, subject.clone()));
                let found = checks::comparable(found, entry);
                if found.as_ref() != Some(&expected) {
                    return Err(format!(
                        "{subject} at target {target}: {found:?}, and should be {expected:?}"
                    ));
                }
            }
            let known = remembered.entries.keys().filter(|(of, _)| *of == target).count();
            if known != memory.len() {
                return Err(format!("{known} subjects at target {target}, and should be {}", memory.len()));
            }
        }
        Ok(())
    }
}

/// What a run left behind.
struct Aftermath<'a> {
    step: &'a Step,
    rows: &'a [Row],
    ran: &'a Ran,
    requests: &'a [RequestView],
    remembered: &'a Remembered,
}

impl World {
    fn check(&mut self, of: Aftermath<'_>, key: &Key, batch: u64, run_id: &str) -> Result<(), String> {
        let (step, target) = (of.step, of.step.options.target);
        let begun = self.batches[target].begin(key, step.makes_newest, batch)?;
        if !of.requests.is_empty() {
            self.batches[target].has_delivered(key);
        }
        self.tally.resumes += u64::from(begun.is_resumed == Some(true));
        let rules = Rules {
            duplicates: step.options.duplicates,
            sends_conflicts: step.options.sends_conflicts,
            holds_doubts: step.options.holds_doubts,
            is_full: step.options.is_full,
            sends_changed: self.sends_changed,
            retries_failed: step.retries_failed,
            batch,
        };
        let runs = &self.runs;
        let batch_of = |run: &str| runs.get(run).filter(|(of, _)| *of == target).map(|(_, batch)| *batch);
        let plan = plan(of.rows, &self.memory[target], rules, &batch_of);
        let end = match of.ran.code {
            None => End::Killed,
            Some(0 | 3) => End::Finished,
            Some(8 | 143) => End::Drained,
            Some(code) => return Err(format!("exit code {code}")),
        };
        let outcomes = self.resolve(&plan, &of, end)?;
        self.check_entries(of.remembered)?;
        let rows = u64::try_from(of.rows.len()).unwrap();
        let result = Result_ { plan: &plan, outcomes: &outcomes, rows };
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
        self.check_code(&of, &result, &plan)?;
        self.check_row_files(&result, of.rows, run_id)?;
        if end == End::Finished && result.closes(begun.is_newest) {
            self.batches[target].close(key);
        }
        let is_plain = of.rows.iter().all(|row| row.origin.is_none());
        if of.ran.code == Some(0) && key.1 == super::rulings::Duplicates::Fold && begun.is_newest && is_plain
        {
            checks::check_goal(&self.sandboxes[target], of.rows)?;
        }
        Ok(())
    }

    fn check_code(&self, of: &Aftermath<'_>, result: &Result_<'_>, plan: &Plan) -> Result<(), String> {
        let finished = if result.leaves_rows() { 3 } else { 0 };
        let updates = u64::try_from(plan.updates.len()).unwrap();
        let allowed = match of.step.stop {
            Stop::TermAfter(_) => vec![143, finished],
            Stop::Rows(rows) if updates > rows => vec![8],
            Stop::Never | Stop::Rows(_) | Stop::KillAfter(..) | Stop::KillAt(_) => vec![finished],
        };
        if let Stop::Rows(rows) = of.step.stop {
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

    fn check_row_files(&mut self, result: &Result_<'_>, rows: &[Row], run_id: &str) -> Result<(), String> {
        let dir = self.dir.path().join("simsync-state/runs").join(run_id);
        for (name, expected) in result.row_files() {
            let path = dir.join(name);
            let listed = match fs::read_to_string(&path) {
                Ok(text) => parse_row_file(&text)?,
                Err(_) => Vec::new(),
            };
            checks::check_row_file(name, &listed, &expected, rows, run_id)?;
            if !listed.is_empty() && ROW_FILES.contains(&name) {
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
        end: End,
    ) -> Result<BTreeMap<u64, Outcome>, String> {
        let target = of.step.options.target;
        let mut requests: BTreeMap<&String, Vec<&RequestView>> = BTreeMap::new();
        for request in of.requests {
            let subject = request.subject.as_ref().ok_or("a request about nobody")?;
            requests.entry(subject).or_default().push(request);
        }
        let mut subjects: BTreeSet<&String> = requests.keys().copied().collect();
        subjects.extend(plan.updates.iter().map(|update| &update.subject));
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
            for way in ways(&attempts, end) {
                let facts: Vec<(&Facts, Outcome)> =
                    updates.iter().map(|update| &update.facts).zip(way.iter().copied()).collect();
                let mut entry = before.clone();
                entry.is_uncounted |= has_conflict(&attempts);
                entry.take(&facts);
                let seen = (!entry.is_blank()).then(|| checks::as_seen(&entry));
                if seen == checks::comparable(found, &entry) {
                    resolved = Some((way, entry));
                    break;
                }
                tried.push((way, seen));
            }
            let Some((way, entry)) = resolved else {
                return Err(format!(
                    "{subject} at target {target}: the journal has {found:?}, before {before:?}; allowed {tried:?}"
                ));
            };
            for (update, outcome) in updates.iter().zip(way) {
                outcomes.insert(update.carrier, outcome);
                if outcome == Outcome::Synced {
                    let place = (target, subject.clone(), version_of(&update.facts));
                    self.settled.insert(place, values(&update.facts));
                }
            }
            if !entry.is_blank() {
                self.memory[target].insert(subject.clone(), entry);
            }
        }
        Ok(outcomes)
    }

    /// What holds of every update on the wire, whatever the rulings say: it overwrites nothing newer, and was not
    /// acknowledged before as this very update.
    fn check_sent(&self, target: usize, update: &Update) -> Result<(), String> {
        let version = version_of(&update.facts);
        if let Some(entry) = self.memory[target].get(&update.subject) {
            for (field, (_, of)) in
                update.facts.iter().filter(|(field, _)| **field != super::rows::Field::Key)
            {
                let is_known = entry.fields.get(field).is_some_and(|(state, newer)| {
                    matches!(state, super::memory::State::Known(_)) && newer > of
                });
                if is_known {
                    return Err(format!("{field:?} of {update:?} overwrites something newer"));
                }
            }
        }
        let place = (target, update.subject.clone(), version);
        if self.settled.get(&place) == Some(&values(&update.facts)) {
            return Err(format!("{update:?} was acknowledged, and is sent again"));
        }
        Ok(())
    }
}
