//! The journal's tools: what is forgotten is nowhere any more, and nothing else changes.
//!
//! Not here: `adopt`, which is a run (`after.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::deeds::Tool;
use super::fillers;
use super::laws::Flaw;
use super::rows::{Listed, parse_row_file};
use super::run::{Ran, run};
use super::steps::{Stop, TARGETS};
use super::world::World;

impl World {
    /// Runs a tool of the journal, perhaps killed after so many microseconds.
    fn run_tool(&self, words: &[&str], kill_us: Option<u64>) -> Result<Ran, String> {
        let mut args = vec!["journal".to_owned()];
        args.extend(words.iter().map(|word| (*word).to_owned()));
        args.push("--json".to_owned());
        let stop = kill_us.map_or(Stop::Never, Stop::KillAt);
        run(self.dir.path(), &self.sandboxes[0], &args, stop)
    }

    /// `journal verify`: nothing is wrong.
    fn check_sound(&self) -> Result<(), String> {
        let ran = self.run_tool(&["verify"], None)?;
        let is_sound = ran.told.as_ref().is_some_and(|told| told["sound"] == true);
        if ran.code == Some(0) && is_sound || ran.code == Some(2) && !self.remembered(None)?.is_there {
            return Ok(());
        }
        Err(format!("verify ends with {:?} and says {:?}: {}", ran.code, ran.told, ran.stderr))
    }

    /// A tool that changes nothing.
    pub(crate) fn tool(&mut self, tool: Tool, log: &mut Vec<String>) -> Result<(), String> {
        let is_there = self.remembered(None)?.is_there;
        let ran = match tool {
            Tool::Verify => {
                self.tally.count("verify");
                return self.check_sound();
            }
            Tool::Stats => {
                self.tally.count("stats");
                self.run_tool(&["stats"], None)?
            }
            Tool::Compact(kill_us) => {
                self.tally.count("compact");
                self.run_tool(&["compact"], kill_us)?
            }
        };
        log.push(format!("exit {:?}", ran.code));
        let expected = if is_there { 0 } else { 2 };
        // What a kill left of the first opening is no journal yet, or is made one.
        if ran.code.is_some_and(|code| code != expected) && is_there {
            return Err(format!("{tool:?} ends with {:?}: {}", ran.code, ran.stderr));
        }
        if let (Tool::Stats, Some(told), Some(0)) = (tool, &ran.told, ran.code) {
            self.check_stats(told)?;
        }
        self.check_sound()?;
        self.check_entries(&self.remembered(None)?)
    }

    fn check_stats(&self, told: &Value) -> Result<(), String> {
        let targets = told["targets"].as_array().ok_or("stats without targets")?;
        for (target, memory) in self.memory.iter().enumerate() {
            let name = simsync::api::Endpoint::parse(&self.names.urls[target], false).unwrap().target();
            let Some(record) = targets.iter().find(|record| record["target"] == name.as_str()) else {
                if memory.is_empty() {
                    continue;
                }
                return Err(format!("stats know nothing of target {target}"));
            };
            let count = |is_counted: &dyn Fn(&super::memory::Entry) -> bool| {
                u64::try_from(memory.values().filter(|entry| is_counted(entry)).count()).unwrap()
            };
            let fillers = if self.climate.spills { fillers::ROWS } else { 0 };
            for (member, expected) in [
                ("subjects", count(&|_| true) + fillers),
                ("subjects_unknown", count(&|entry| !entry.unknown().is_empty())),
                ("subjects_in_doubt", count(&|entry| !entry.doubts.is_empty())),
                ("subjects_failed", count(&|entry| entry.standing_refusals().next().is_some())),
            ] {
                // Before the key field is kept nothing was ever recorded.
                if record[member] != expected && !record["key"].is_null() {
                    return Err(format!("stats: {member} is {}, and should be {expected}", record[member]));
                }
            }
        }
        Ok(())
    }

    /// `journal forget` of a subject.
    pub(crate) fn forget(
        &mut self,
        subject: &str,
        has_value: bool,
        kill_us: Option<u64>,
        log: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut words = vec!["forget", "--user-external-id", subject];
        if has_value {
            // That of somebody, who is not meant.
            words.extend(["--imsi", "234150000000001"]);
        }
        let before = self.listed();
        let is_known = self.memory.iter().any(|memory| memory.contains_key(subject));
        let ran = self.run_tool(&words, kill_us)?;
        log.push(format!("exit {:?}", ran.code));
        self.tally.count(if ran.code.is_none() { "forget killed" } else { "forget" });
        // Where no target has a key field yet, there is nobody to be named by one.
        let is_right = matches!(ran.code, None | Some(0)) || ran.code == Some(2) && !is_known;
        if !is_right {
            return Err(format!("forget ends with {:?}: {}", ran.code, ran.stderr));
        }
        let remembered = self.remembered(None)?;
        for target in 0..TARGETS {
            let is_left = remembered.entries.contains_key(&(target, subject.to_owned()));
            let is_meant = target == 0 || !self.climate.laws.has(Flaw::ForgetsAtOneTarget);
            if (ran.code.is_some() || !is_left) && is_meant && self.memory[target].remove(subject).is_some() {
                self.aside.push(true);
            } else if ran.code.is_none() && is_known {
                // The note that something is about to change comes first.
                self.aside.push(false);
            }
        }
        if !self.memory.iter().any(|memory| memory.contains_key(subject)) {
            self.settled.retain(|(_, of, _), _| of != subject);
        }
        self.check_entries(&remembered)?;
        self.check_rows_left(before, subject, ran.code == Some(0))?;
        self.check_sound()
    }

    /// The rows of all row files.
    fn listed(&self) -> BTreeMap<PathBuf, Vec<Listed>> {
        let mut files = BTreeMap::new();
        for run in self.run_ids() {
            for name in super::checks::ROW_FILES {
                let path = self.dir.path().join("simsync-state/runs").join(&run).join(name);
                let Ok(text) = fs::read_to_string(&path) else { continue };
                files.insert(path, parse_row_file(&text).unwrap());
            }
        }
        files
    }

    /// Rows of the subject are gone, and all others stand where they stood.
    fn check_rows_left(
        &mut self,
        before: BTreeMap<PathBuf, Vec<Listed>>,
        subject: &str,
        is_done: bool,
    ) -> Result<(), String> {
        let mut after = self.listed();
        for (path, rows) in before {
            let left = after.remove(&path).unwrap_or_default();
            let others = |rows: &[Listed]| -> Vec<String> {
                let others = rows.iter().filter(|listed| listed.row.subject != subject);
                others.map(|listed| format!("{listed:?}")).collect()
            };
            if others(&left) != others(&rows) {
                return Err(format!("{} lost rows of others", path.display()));
            }
            if is_done && left.iter().any(|listed| listed.row.subject == subject) {
                return Err(format!("{} still has rows of {subject}", path.display()));
            }
        }
        self.row_files.retain(|path| path.is_file());
        Ok(())
    }

    /// `journal forget --before` the second in which a run began.
    pub(crate) fn forget_runs(
        &mut self,
        back: u64,
        kill_us: Option<u64>,
        log: &mut Vec<String>,
    ) -> Result<(), String> {
        let runs: Vec<String> = self.run_ids().into_iter().collect();
        let back = usize::try_from(back).unwrap();
        let Some(run) = runs.iter().rev().nth(back).or(runs.last()) else { return Ok(()) };
        // Behind the newest run, everything is old.
        let before = if back == 0 { "2999-01-01T00:00:00Z".to_owned() } else { second(run) };
        let is_old = |run: &str| second(run).as_str() < before.as_str();
        let index = self.index()?;
        let ran = self.run_tool(&["forget", "--before", &before, "--yes"], kill_us)?;
        log.push(format!("before {before}, exit {:?}", ran.code));
        self.tally.count("forget --before");
        if !matches!(ran.code, None | Some(0)) && index.is_some() {
            return Err(format!("forget --before ends with {:?}: {}", ran.code, ran.stderr));
        }
        let Some(index) = index else { return Ok(()) };
        // Killed, it has done a part; the same command does the rest.
        if ran.code.is_none() {
            self.check_sound()?;
            let again = self.run_tool(&["forget", "--before", &before, "--yes"], None)?;
            if again.code != Some(0) {
                return Err(format!(
                    "once more, forget --before ends with {:?}: {}",
                    again.code, again.stderr
                ));
            }
        }
        let stays = |run: &str| {
            index.runs.get(run).is_some_and(|(target, batch)| {
                let newest = index.newest.get(target) == Some(batch);
                newest && index.delivered.contains(&(*target, *batch))
            })
        };
        let gone: BTreeSet<&String> = runs.iter().filter(|run| is_old(run) && !stays(run)).collect();
        let left = self.run_ids();
        let expected: BTreeSet<String> = runs.iter().filter(|run| !gone.contains(run)).cloned().collect();
        if left != expected {
            return Err(format!("runs {left:?} are left, and should be {expected:?}"));
        }
        let mut open: BTreeSet<(usize, u64)> = index.open.iter().copied().collect();
        for (target, seq) in &index.open {
            let of: Vec<&String> =
                index.runs.iter().filter(|(_, of)| *of == &(*target, *seq)).map(|(run, _)| run).collect();
            let is_gone = !of.is_empty() && of.iter().all(|run| is_old(run) && !stays(run));
            if is_gone && !self.climate.laws.has(Flaw::ForgottenBatchesStay) {
                self.batches[*target].close_seq(*seq);
                open.remove(&(*target, *seq));
            }
        }
        let left: BTreeSet<(usize, u64)> = self.index()?.unwrap_or_default().open.into_iter().collect();
        if left != open {
            return Err(format!("batches {left:?} are open, and should be {open:?}"));
        }
        if !self.climate.laws.has(Flaw::ForgottenRunsAreKnown) {
            self.runs.retain(|run, _| !is_old(run) || stays(run));
        }
        self.row_files.retain(|path| path.is_file());
        self.check_sound()?;
        self.check_entries(&self.remembered(None)?)
    }

    fn index(&self) -> Result<Option<super::journal::Index>, String> {
        super::journal::index(&self.dir.path().join("simsync-state"), &self.names)
    }
}

/// The second in which a run began, by its id.
fn second(run: &str) -> String {
    let digits: Vec<char> = run.chars().collect();
    let part = |range: std::ops::Range<usize>| digits[range].iter().collect::<String>();
    format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15))
}
