//! The world of a sequence: one state directory, two servers, the exports so far, and the model of it all. A run of the
//! real binary is started here.
//!
//! Not here: what is held against the model afterwards (`after.rs`), everything but exports (`replays.rs`,
//! `planned.rs`, `upkeep.rs`, `lookup.rs`), the parts of the model (`rulings.rs`, `memory.rs`, `outcomes.rs`,
//! `batches.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use simsync::engine::clock;
use simsync::sandbox::{Clears, Faults, RequestView, Sandbox, SandboxOptions};
use tempfile::TempDir;

use super::after::Aftermath;
use super::batches::{Batches, Key};
use super::chance::Chance;
use super::checks;
use super::deeds::{Deed, NAMES};
use super::fillers;
use super::journal::{self, Names, Remembered};
use super::laws::{Flaw, Laws};
use super::memory::{Entry, Facts, Version};
use super::rows::{CLEAR, Field, Row, is_ranked, parse_row_file, text_of};
use super::run::{Ran, run, wait_for_quiet};
use super::slots;
use super::steps::{self, Command, Options, Source, Step, Stop, TARGETS};
use super::swaps;
use crate::support::TOKEN;

/// Settings of every run: quick retries, few attempts, and no breaker, whose waits would be all there is to see.
const CONFIGURATION: &str = "[delivery]\nmax_in_flight = 4\nattempts_max = 3\nbackoff_initial = \"1ms\"\n\
    backoff_max = \"4ms\"\nbreaker_failures = 100000\nbreaker_subjects = 100000\n\
    [rules]\nclearable = [\"imsi\", \"user_class\"]\n";

/// Age after which acknowledgments are refreshed in a world that grows old, in seconds: the shortest there may be.
const RESEND_AFTER_S: i64 = 60;

/// Share of the steps that go on with a batch that was interrupted, if there is one.
const OLDER_PERCENT: u64 = 8;

/// Share of the steps that forget all runs that may be forgotten, where a batch is open that goes with them.
const FORGET_OPEN_PERCENT: u64 = 8;

/// Ages of an acknowledgment, in seconds, at which a run may or may not take it for old: they are waited out.
const AGES_UNSURE: std::ops::RangeInclusive<i64> = 50..=RESEND_AFTER_S + 1;

/// What a world is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Climate {
    /// The log is folded every few records, in the middle of runs.
    pub(crate) folds_often: bool,
    /// Exports are so long that their surveys spill.
    pub(crate) spills: bool,
    /// Acknowledgments grow old, and are refreshed.
    pub(crate) ages: bool,
    pub(crate) laws: Laws,
}

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
    /// By [`NAMES`].
    pub(crate) deeds: [u64; NAMES.len()],
}

impl Tally {
    /// Counts a deed.
    pub(crate) fn count(&mut self, name: &str) {
        let at = NAMES.iter().position(|known| *known == name).unwrap();
        self.deeds[at] += 1;
    }
}

/// What a run reads.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// What names it on the command line.
    pub(crate) args: Vec<String>,
    /// What makes it the same input: the bytes, and which of the rows are meant.
    pub(crate) content: String,
    pub(crate) rows: Vec<Row>,
    /// Ordinals of rows that are left out.
    pub(crate) filtered: BTreeSet<u64>,
    /// Names of the files, each with the number of rows before it.
    pub(crate) files: Vec<(String, u64)>,
}

/// What must become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It runs.
    Works,
    /// It ends with this code, and has changed nothing.
    Ends(i32),
    /// One of the two: a run before it was killed at an instant that decides it.
    Either(i32),
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) sandboxes: Vec<Sandbox>,
    /// Requests each sandbox had seen before the step.
    seen: Vec<u64>,
    pub(crate) memory: Vec<BTreeMap<String, Entry>>,
    pub(crate) batches: Vec<Batches>,
    /// Target and batch of every run.
    pub(crate) runs: BTreeMap<String, (usize, u64)>,
    /// Batches that were begun to be sent, in order, by target; and whether that is certain.
    pub(crate) deliveries: Vec<Vec<(Key, bool)>>,
    /// Times that something else has changed the ledger; and whether that is certain.
    pub(crate) aside: Vec<bool>,
    pub(crate) names: Names,
    pub(crate) exports: Vec<Vec<Row>>,
    /// Row files of earlier runs.
    pub(crate) row_files: Vec<PathBuf>,
    /// The export that was run last at each target, with its options.
    pub(crate) last: Vec<Option<(Vec<Row>, Options)>>,
    /// Exports whose runs were interrupted: their batches may still be open.
    interrupted: Vec<(Vec<Row>, Options)>,
    /// Updates acknowledged, by target, subject and version.
    pub(crate) settled: BTreeMap<(usize, String, Version), Facts>,
    /// Whether each target has acknowledged anything. All exports have the same columns: what proves one proves all.
    pub(crate) is_proven: Vec<bool>,
    files: u64,
    /// Options in force.
    options: Options,
    pub(crate) climate: Climate,
    /// Whether the last run was interrupted.
    is_interrupted: bool,
    /// Whether it left updates that its batch was refused.
    pub(crate) has_refused: bool,
    /// The last replay, if it was the last run: its arguments and options.
    pub(crate) replayed: Option<(Vec<String>, Options)>,
    pub(crate) tally: Tally,
}

impl World {
    /// A new world.
    pub(crate) fn new(climate: Climate) -> World {
        let sandbox = || {
            let options =
                SandboxOptions { token: TOKEN.into(), clears: Clears::Both, ..SandboxOptions::default() };
            Sandbox::start(options).unwrap()
        };
        let sandboxes: Vec<Sandbox> = (0..TARGETS).map(|_| sandbox()).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut settings = format!("{CONFIGURATION}clear_token = \"{CLEAR}\"\n[plan]\n");
        settings += if climate.ages { "resend_after = \"1m\"\n" } else { "" };
        settings += if climate.spills { "memory_max = \"1MiB\"\n" } else { "" };
        settings += if climate.folds_often { "[journal]\nlog_max = \"1KiB\"\n" } else { "" };
        fs::write(dir.path().join("simsync.toml"), settings).unwrap();
        let urls = sandboxes.iter().map(Sandbox::url).collect();
        World {
            dir,
            sandboxes,
            seen: vec![0; TARGETS],
            memory: vec![BTreeMap::new(); TARGETS],
            batches: (0..TARGETS).map(|_| Batches::default()).collect(),
            runs: BTreeMap::new(),
            deliveries: vec![Vec::new(); TARGETS],
            aside: Vec::new(),
            names: Names { urls, subjects: BTreeSet::new(), values: [(Field::Imsi, String::new())].into() },
            exports: Vec::new(),
            row_files: Vec::new(),
            last: vec![None; TARGETS],
            interrupted: Vec::new(),
            settled: BTreeMap::new(),
            is_proven: vec![false; TARGETS],
            files: 0,
            options: Options::default(),
            climate,
            is_interrupted: false,
            has_refused: false,
            replayed: None,
            tally: Tally::default(),
        }
    }

    /// Has what fills the exports acknowledged, where something does.
    pub(crate) fn fill(&mut self) -> Result<(), String> {
        if !self.climate.spills {
            return Ok(());
        }
        self.names.subjects.extend((0..fillers::ROWS).map(fillers::key));
        self.names.values.insert((super::rows::Field::Class, fillers::CLASS.to_owned()));
        fs::write(self.dir.path().join("fillers.csv"), text_of(&[]) + &fillers::text(false, false)).unwrap();
        for target in 0..TARGETS {
            let url = self.sandboxes[target].url();
            let args = ["journal", "adopt", "--json", "--api-url", &url, "fillers.csv"].map(str::to_owned);
            let ran = run(self.dir.path(), &self.sandboxes[target], &args, Stop::Never)?;
            if ran.code != Some(0) {
                return Err(format!("the rows that fill are not adopted: {}", ran.stderr));
            }
            let key = ("fillers".to_owned(), super::rulings::Duplicates::Fold, false, false);
            self.batches[target].begin(&key, true, 1)?;
            self.batches[target].close(&key);
        }
        let ids: Vec<String> = self.run_ids().into_iter().collect();
        self.runs.extend(ids.into_iter().zip((0..TARGETS).map(|target| (target, 1))));
        Ok(())
    }

    /// Keeps the directory and says where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Draws and does a step. An error is the difference between what was and what should be.
    pub(crate) fn draw(&mut self, chance: &mut Chance, log: &mut Vec<String>) -> Result<(), String> {
        if !self.interrupted.is_empty() && chance.percent(OLDER_PERCENT) {
            self.go_on(chance, log)?;
            return self.look_up(chance, log);
        }
        let has_older_open = self.batches.iter().any(Batches::has_older_open);
        if has_older_open && chance.percent(FORGET_OPEN_PERCENT) {
            log.push("forget what is open".to_owned());
            self.forget_runs(0, None, log)?;
            return self.look_up(chance, log);
        }
        let mut deed = Deed::draw(chance, self.options, self.is_interrupted, self.replayed.is_some());
        if self.climate.ages && chance.percent(20) {
            deed = Deed::Wait;
        }
        let is_resumable = self.is_interrupted && self.has_refused && self.replayed.is_none();
        if is_resumable && chance.percent(40) {
            // What was refused is of interest to a resume alone.
            let step = Step { retries_failed: chance.percent(60), ..Step::same(self.options, chance) };
            let is_adopted = chance.percent(20);
            deed = if is_adopted { Deed::Adopt(step.by(Command::Adopt)) } else { Deed::Run(step) };
        }
        if matches!(deed, Deed::Replay(..)) && !self.has_left_something() && chance.percent(80) {
            // Rather something that may fail.
            deed = deed.into_run();
        }
        // What fills the exports is never to be sent.
        if self.climate.spills {
            deed = deed.without_full();
        }
        log.push(format!("{deed:?}"));
        match deed {
            Deed::Run(step) => {
                let input = self.input(&step.source, chance);
                self.options = step.options;
                self.run(&step, input, Expected::Works, log)?;
            }
            Deed::Adopt(step) => {
                let input = self.input(&step.source, chance);
                self.options = step.options;
                self.run(&step, input, Expected::Works, log)?;
            }
            Deed::Replay(step, whose, choice) => {
                let is_astray = chance.percent(7);
                self.replay(&step, whose, &choice, is_astray, log)?;
            }
            Deed::Planned(step, moved) => {
                let input = self.input(&step.source, chance);
                self.options = step.options;
                self.planned(&step, &input, moved, chance, log)?;
            }
            Deed::Forget { subject, has_value, kill_us } => {
                self.forget(&subject, has_value, kill_us, log)?;
            }
            Deed::ForgetRuns { back, kill_us } => self.forget_runs(back, kill_us, log)?,
            Deed::Tool(tool) => self.tool(tool, log)?,
            Deed::Wait => {
                self.tally.count("wait");
                let youngest = self.acknowledged_at_s().max().unwrap_or_default();
                self.wait_until(youngest + *AGES_UNSURE.end() + 1);
            }
        }
        self.look_up(chance, log)
    }

    /// Goes on with a batch that was interrupted, perhaps long ago, or makes it the newest.
    fn go_on(&mut self, chance: &mut Chance, log: &mut Vec<String>) -> Result<(), String> {
        let (rows, options) = chance.pick(&self.interrupted).clone();
        let (makes_newest, retries_failed) = (chance.percent(50), chance.percent(20));
        let step = Step { makes_newest, retries_failed, ..Step::same(options, chance) };
        let step = if chance.percent(20) { step.by(Command::Adopt) } else { step };
        let input = self.written(rows);
        self.options = options;
        self.run(&step, input, Expected::Works, log).map(drop)
    }

    /// Brings every target to rest: an undisturbed run of its last export, and another one, which must send nothing.
    pub(crate) fn settle(&mut self, log: &mut Vec<String>) -> Result<(), String> {
        for target in 0..TARGETS {
            let Some((rows, options)) = self.last[target].clone() else { continue };
            for again in [false, true] {
                let step = Step::settling(options);
                log.push(format!("settle target {target}, again: {again}"));
                let before = self.tally.requests;
                let input = self.written(rows.clone());
                self.run(&step, input, Expected::Works, log)?;
                if again && self.tally.requests != before {
                    return Err("an unchanged export, run again undisturbed, sends something".into());
                }
            }
        }
        Ok(())
    }

    /// The input of a step: the rows, written to a file.
    fn input(&mut self, source: &Source, chance: &mut Chance) -> Input {
        let rows = self.rows(source, chance);
        self.written(rows)
    }

    /// An export of these rows.
    pub(crate) fn written(&mut self, rows: Vec<Row>) -> Input {
        let (mut content, name) = (text_of(&rows), format!("export-{}.csv", self.files));
        if self.climate.spills {
            content += &fillers::text(is_ranked(&rows), rows.iter().any(|row| row.origin.is_some()));
        }
        fs::write(self.dir.path().join(&name), &content).unwrap();
        Input { args: vec![name.clone()], content, rows, filtered: BTreeSet::new(), files: vec![(name, 0)] }
    }

    /// The rows of a step's input.
    fn rows(&mut self, source: &Source, chance: &mut Chance) -> Vec<Row> {
        let Some(mut rows) = self.exports.last().cloned() else { return steps::export(chance) };
        match source {
            Source::New => return steps::export(chance),
            Source::Same => {}
            Source::Swapped => return self.swapped(chance),
            Source::Renamed => self.files += 1,
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
                    steps::correct(&mut rows, chance);
                }
                self.tally.fed_back += 1;
            }
        }
        rows
    }

    /// Rows of subjects that take what others of them hold.
    fn swapped(&self, chance: &mut Chance) -> Vec<Row> {
        let field = if chance.percent(75) { Field::Imsi } else { Field::Number };
        let memory = &self.memory[self.options.target];
        let held: Vec<(String, String)> = memory
            .iter()
            .filter_map(|(subject, entry)| Some((subject.clone(), swaps::held(entry, field)?)))
            .collect();
        if held.len() < 2 { steps::export(chance) } else { steps::swapped(&held, field, chance) }
    }

    /// Runs the binary on an input and checks everything.
    pub(crate) fn run(
        &mut self,
        step: &Step,
        input: Input,
        expected: Expected,
        log: &mut Vec<String>,
    ) -> Result<Option<i32>, String> {
        log.push(format!("{step:?} {:?}, {expected:?}\n{}", input.args, text_of(&input.rows)));
        let target = step.options.target;
        self.name(&input.rows);
        self.wait_out();
        self.sandboxes[target].set_faults(step.faults.clone()).map_err(|error| error.to_string())?;
        let args = self.args(step, &input);
        let (before, began_s) = (self.run_ids(), clock::wall_s());
        let ran = run(self.dir.path(), &self.sandboxes[target], &args, step.stop)?;
        wait_for_quiet(&self.sandboxes[target])?;
        self.sandboxes[target].set_faults(Faults::default()).map_err(|error| error.to_string())?;
        let requests = self.requests(target);
        let told = ran.summary.as_ref().and_then(|summary| summary["run_id"].as_str().map(str::to_owned));
        let run_id = told.or_else(|| self.run_ids().difference(&before).next().cloned());
        log.push(format!("exit {:?}, run {run_id:?}, {} requests", ran.code, requests.len()));
        let remembered = self.remembered(run_id.as_deref())?;
        self.count(step, &input, &ran, requests.len());
        let key = key_of(step, &input);
        let rows = input.rows.clone();
        let aftermath = Aftermath {
            step,
            input: &input,
            ran: &ran,
            requests: &requests,
            remembered: &remembered,
            began_s,
        };
        let with_stderr = |difference| format!("{difference}\nstderr of the run: {}", ran.stderr);
        let (Some(batch), Some(run_id)) = (remembered.batch, run_id.clone()) else {
            let has_dir = self.run_ids().len() > before.len();
            self.check_nothing_begun(&aftermath, &key, has_dir, expected).map_err(with_stderr)?;
            return Ok(ran.code);
        };
        if matches!(expected, Expected::Ends(_)) {
            return Err(with_stderr(format!("exit {:?}, and should be {expected:?}", ran.code)));
        }
        self.exports.push(rows.clone());
        if self.is_interrupted && step.command == Command::Sync {
            self.interrupted.push((rows.clone(), step.options));
        }
        self.last[target] = Some((rows, step.options));
        self.runs.insert(run_id.clone(), (target, batch));
        self.check(&aftermath, &key, batch, &run_id).map_err(with_stderr)?;
        Ok(ran.code)
    }

    fn args(&self, step: &Step, input: &Input) -> Vec<String> {
        let url = self.sandboxes[step.options.target].url();
        let words: &[&str] = match step.command {
            Command::Sync | Command::Planned => &["sync", "--rate", "unlimited"],
            Command::Replay => &["replay", "--rate", "unlimited"],
            Command::Adopt => &["journal", "adopt"],
        };
        let mut args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        args.extend(["--json", "--api-url", &url].map(str::to_owned));
        args.extend(step.args());
        args.extend(step.order_args(&input.rows));
        args.extend(input.args.iter().cloned());
        args
    }

    fn count(&mut self, step: &Step, input: &Input, ran: &Ran, requests: usize) {
        let is_killed = ran.code.is_none();
        let tally = &mut self.tally;
        tally.runs += 1;
        tally.rows += u64::try_from(input.rows.len()).unwrap();
        tally.requests += u64::try_from(requests).unwrap();
        tally.kills += u64::from(is_killed);
        tally.drains += u64::from(matches!(ran.code, Some(8 | 143)));
        match step.command {
            Command::Sync => tally.count("sync"),
            Command::Planned => {}
            Command::Replay if is_killed => tally.count("replay killed"),
            Command::Replay => {}
            Command::Adopt => tally.count(if is_killed { "adopt killed" } else { "adopt" }),
        }
        self.is_interrupted = matches!(ran.code, None | Some(8 | 143));
        self.replayed = (step.command == Command::Replay).then(|| (input.args.clone(), step.options));
    }

    /// From now on these subjects and values are known by their hashes.
    fn name(&mut self, rows: &[Row]) {
        for row in rows {
            self.names.subjects.insert(row.subject.clone());
            self.names.values.extend(row.cells.iter().map(|(field, value)| (*field, value.clone())));
        }
    }

    /// What the journal says now.
    pub(crate) fn remembered(&self, run_id: Option<&str>) -> Result<Remembered, String> {
        let state = self.dir.path().join("simsync-state");
        let mut remembered = journal::read(&state, &self.names, run_id)?;
        if self.climate.spills {
            fillers::check_and_remove(&mut remembered)?;
        }
        Ok(remembered)
    }

    pub(crate) fn run_ids(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.dir.path().join("simsync-state/runs"));
        let names = |entries: fs::ReadDir| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
        };
        entries.map(names).unwrap_or_default()
    }

    /// Requests since the last step.
    pub(crate) fn requests(&mut self, target: usize) -> Vec<RequestView> {
        let seen = self.seen[target];
        let requests = self.sandboxes[target].requests_after(seen);
        self.seen[target] = requests.last().map_or(seen, |last| last.seq);
        requests
    }

    /// The moment before which acknowledgments are old.
    pub(crate) fn stale_before_s(&self, now_s: i64) -> Option<i64> {
        self.climate.ages.then_some(now_s - RESEND_AFTER_S)
    }

    fn acknowledged_at_s(&self) -> impl Iterator<Item = i64> {
        self.memory.iter().flat_map(BTreeMap::values).flat_map(|entry| entry.times_s.values().copied())
    }

    /// Waits until no acknowledgment is just about to grow old.
    pub(crate) fn wait_out(&self) {
        if !self.climate.ages {
            return;
        }
        let now_s = clock::wall_s();
        let unsure = self.acknowledged_at_s().filter(|at_s| AGES_UNSURE.contains(&(now_s - at_s))).max();
        if let Some(at_s) = unsure {
            self.wait_until(at_s + *AGES_UNSURE.end() + 1);
            self.wait_out();
        }
    }

    fn wait_until(&self, moment_s: i64) {
        let left_s = u64::try_from(moment_s - clock::wall_s()).unwrap_or_default();
        slots::sleep(Duration::from_secs(left_s));
    }

    /// A run that was stopped before it had a batch has changed nothing.
    fn check_nothing_begun(
        &mut self,
        of: &Aftermath<'_>,
        key: &Key,
        has_dir: bool,
        expected: Expected,
    ) -> Result<(), String> {
        let (code, target) = (of.ran.code, of.step.options.target);
        let is_expected = match expected {
            Expected::Works => false,
            Expected::Ends(expected) | Expected::Either(expected) => code == Some(expected),
        };
        if !is_expected && !matches!(code, None | Some(143)) {
            return Err(format!("exit {code:?} and no batch, and should be {expected:?}"));
        }
        if !of.requests.is_empty() {
            return Err("requests of a run that has no batch".into());
        }
        if has_dir && !is_expected {
            self.batches[target].may_have_begun(key);
        }
        self.check_entries(of.remembered)
    }

    /// Everything the journal remembers is what the model does.
    pub(crate) fn check_entries(&self, remembered: &Remembered) -> Result<(), String> {
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

    /// The memory that counts for a target.
    pub(crate) fn memory_of(&self, target: usize) -> &BTreeMap<String, Entry> {
        &self.memory[if self.climate.laws.has(Flaw::TargetsAreOne) { 0 } else { target }]
    }
}

/// What makes the batch of a run the same.
pub(crate) fn key_of(step: &Step, input: &Input) -> Key {
    let Options { duplicates, is_full, sends_changed, .. } = step.options;
    (input.content.clone(), duplicates, is_full, sends_changed)
}

impl Step {
    /// The step as its command takes it: what is adopted is as it stands at the server, whatever was held, refused or
    /// is newer.
    pub(crate) fn as_meant(&self, laws: Laws) -> Step {
        let mut step = self.clone();
        if step.command == Command::Adopt {
            step.options.holds_doubts &= laws.has(Flaw::AdoptHolds);
            step.retries_failed |= !laws.has(Flaw::AdoptKeepsRefused);
            step.makes_newest |= !laws.has(Flaw::AdoptContinues);
        }
        step.makes_newest &= !laws.has(Flaw::NewBatchContinues);
        step
    }
}
