//! What must hold after a run: the plan, what became of it, the batch, the books and files.
//!
//! Not here: the comparisons one by one (`checks.rs`), what became of each update (`resolve.rs`).

use std::fs;

use simsync::sandbox::RequestView;

use super::batches::Key;
use super::checks::{self, Result_};
use super::fillers;
use super::guard;
use super::journal::Remembered;
use super::memory::Outcome;
use super::order;
use super::outcomes::End;
use super::resolve::Resolved;
use super::rows::parse_row_file;
use super::rulings::{Duplicates, Plan, Rules, plan};
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
        let plan = self.plan(&step, of.input, (batch, of.remembered.older_open), of.began_s);
        self.note_delivery(of, key, &plan);
        let is_new = !self.is_proven[target] && of.step.command != Command::Adopt;
        let may_be_guarded = is_new && guard::may_have_stopped(&plan, of.step, of.requests);
        let end = match of.ran.code {
            None => End::Killed,
            Some(0 | 3) => End::Finished,
            Some(8 | 143) => End::Drained,
            Some(4) if has_accepted_nothing(of.ran) && may_be_guarded => End::Drained,
            Some(code) => return Err(format!("exit code {code}")),
        };
        // Before the kill of a run nobody knows.
        let is_guarded = may_be_guarded && matches!(of.ran.code, None | Some(4));
        order::check(&plan, of.requests)?;
        let Resolved { outcomes, cleared } = self.resolve(&plan, of, (end, is_guarded), batch)?;
        self.check_entries(of.remembered)?;
        self.has_refused =
            outcomes.values().any(|outcome| matches!(outcome, Outcome::Failed(how, _) if how.is_definite()));
        let (rows, fillers) = (of.input.rows.len(), self.fillers(of));
        let result = Result_ {
            plan: &plan,
            outcomes: &outcomes,
            cleared: &cleared,
            rows: u64::try_from(rows).unwrap(),
            fillers,
        };
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
            let mut rows = of.input.rows.clone();
            // The sort is stable: where no column says otherwise, the last one is the newest.
            rows.sort_by_key(|row| row.rank.filter(|_| of.step.is_ordered(&of.input.rows)));
            checks::check_goal(&self.sandboxes[target], &rows)?;
        }
        Ok(())
    }

    /// The model's plan of an input under this number of its batch, with that of the newest open one before it.
    pub(crate) fn plan(
        &self,
        step: &Step,
        input: &Input,
        (batch, older_open): (u64, Option<u64>),
        now_s: i64,
    ) -> Plan {
        let target = step.options.target;
        let rules = Rules {
            duplicates: step.options.duplicates,
            sends_conflicts: step.options.sends_conflicts,
            holds_doubts: step.options.holds_doubts,
            is_full: step.options.is_full,
            sends_changed: step.options.sends_changed,
            retries_failed: step.retries_failed,
            breaks_cycles: step.options.breaks_cycles,
            is_ordered: step.is_ordered(&input.rows),
            batch,
            older_open,
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
        let updates = plan.updates.iter().filter(|update| !update.is_clear).count();
        let updates = u64::try_from(updates).unwrap();
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
        if is_allowed || of.ran.code == Some(4) && has_accepted_nothing(of.ran) {
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
            checks::check_row_file(name, &listed, &expected, (input, result.plan), run_id)?;
            // What is superseded is nobody's to feed back.
            if !listed.is_empty() && name != "superseded.csv" {
                self.row_files.push(path);
            }
        }
        Ok(())
    }

    /// Rows of the input that nothing but fills it.
    fn fillers(&self, of: &Aftermath<'_>) -> u64 {
        if self.climate.spills && of.step.command != Command::Replay { fillers::ROWS } else { 0 }
    }
}

/// Whether the first-contact guard has stopped the run.
fn has_accepted_nothing(ran: &Ran) -> bool {
    let summary = ran.summary.as_ref();
    let stopped = summary.and_then(|summary| summary["stopped"].as_str());
    stopped.is_some_and(|stopped| stopped.starts_with("the API accepted none of"))
}
