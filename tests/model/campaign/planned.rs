//! Saved plans: what a plan tells, that it changes nothing, and whether it is carried out once something has moved.
//!
//! Not here: what becomes of its rows, which is as for any run (`after.rs`).

use std::fs;

use serde_json::Value;

use super::chance::Chance;
use super::checks::Result_;
use super::deeds::{Moved, with_other};
use super::fillers;
use super::laws::Flaw;
use super::run::run;
use super::steps::{self, Command, Step, Stop};
use super::world::{Expected, Input, World, key_of};

/// Where the plan is saved.
const FILE: &str = "plan.json";

/// Exit code of a plan that is refused.
const REFUSED: i32 = 4;

/// How far the ledger had moved when a plan was made.
#[derive(Debug, Clone, Copy)]
struct Mark {
    deliveries: usize,
    aside: usize,
    runs: u64,
    /// The open batch that is gone on with although a new one is asked for.
    goes_on_with: Option<(u64, bool)>,
    /// The number that the next batch would have had.
    next: Option<u64>,
}

impl World {
    /// Plans an input, lets something move, and carries the plan out.
    pub(crate) fn planned(
        &mut self,
        step: &Step,
        input: &Input,
        moved: Moved,
        chance: &mut Chance,
        log: &mut Vec<String>,
    ) -> Result<(), String> {
        self.plan_alone(step, input, log)?;
        let target = step.options.target;
        let mark = Mark {
            deliveries: self.deliveries[target].len(),
            aside: self.aside.len(),
            runs: self.tally.runs,
            goes_on_with: self.goes_on_with(step, input),
            next: self.batches[target].next(),
        };
        let (mut carried_out, mut has_moved) = (step.clone(), false);
        match moved {
            Moved::Nothing => {}
            Moved::Input => {
                let mut rows = input.rows.clone();
                rows.push(steps::row(chance));
                self.written(rows);
                has_moved = true;
            }
            Moved::Setting(setting) => {
                carried_out = with_other(step, setting);
                has_moved = true;
            }
            Moved::Run(other) => {
                // The export that was planned must stay.
                let path = self.dir.path().join(&input.args[0]);
                let between = self.between(&other, chance);
                self.run(&other, between, Expected::Works, log)?;
                fs::write(path, &input.content).map_err(|error| error.to_string())?;
            }
            Moved::Forgotten(subject) => self.forget(&subject, false, None, log)?,
        }
        let planned = Input { args: vec!["--plan".to_owned(), FILE.to_owned()], ..input.clone() };
        let mut expected = if has_moved { Expected::Ends(REFUSED) } else { self.standing(step, input, mark) };
        if self.climate.laws.has(Flaw::PlanGoesOn) {
            expected = Expected::Works;
        }
        self.tally.count(if expected == Expected::Works { "plan, sync --plan" } else { "plan moved" });
        let carried_out = carried_out.by(Command::Planned);
        let code = self.run(&carried_out, planned.clone(), expected, log)?;
        if has_moved || !matches!(code, None | Some(8 | 143)) {
            return Ok(());
        }
        // What was interrupted is gone on with by the same command.
        let again = Step { stop: Stop::Never, ..carried_out };
        let mut expected = self.standing(step, input, mark);
        if self.climate.laws.has(Flaw::PlanIsBegunOnce) {
            expected = Expected::Ends(REFUSED);
        }
        self.run(&again, planned, expected, log).map(drop)
    }

    /// Another run's input.
    fn between(&mut self, other: &Step, chance: &mut Chance) -> Input {
        let rows = if other.source == steps::Source::Same {
            self.exports.last().cloned().unwrap_or_default()
        } else {
            steps::export(chance)
        };
        self.written(rows)
    }

    /// Whether a plan that was made at a mark is carried out now.
    fn standing(&self, step: &Step, input: &Input, mark: Mark) -> Expected {
        let target = step.options.target;
        let aside = &self.aside[mark.aside..];
        if aside.contains(&true) {
            return Expected::Ends(REFUSED);
        }
        let (key, since) = (key_of(step, input), &self.deliveries[target][mark.deliveries..]);
        if since.iter().any(|(of, is_sure)| *of != key && *is_sure) {
            return Expected::Ends(REFUSED);
        }
        let is_open = self.batches[target].is_open(&key);
        let is_sure = aside.is_empty() && since.iter().all(|(_, is_sure)| *is_sure);
        match (since.is_empty(), is_open) {
            _ if !is_sure => Expected::Either(REFUSED),
            (true, _) => self.standing_batch(step, input, mark),
            // Gone on with by another run, and a new one was planned.
            (false, Some(true)) if step.makes_newest && mark.goes_on_with.is_none() => {
                match mark.next.zip(self.batches[target].seq(&key)) {
                    Some((next, seq)) if seq < next => Expected::Ends(REFUSED),
                    Some(_) => Expected::Works,
                    None => Expected::Either(REFUSED),
                }
            }
            (false, Some(true)) => Expected::Works,
            (false, Some(false)) => Expected::Ends(REFUSED),
            (false, None) => Expected::Either(REFUSED),
        }
    }

    /// The same where nothing was sent since: a run that only begins another batch, of which nothing is sent, takes
    /// from the planned one that it is the newest. With `--new-batch` it would be begun anew then, and what is held
    /// of it, or was acknowledged under `each` and `--full`, would be sent: other rulings than those that were looked
    /// at.
    fn standing_batch(&self, step: &Step, input: &Input, mark: Mark) -> Expected {
        match (mark.goes_on_with, self.goes_on_with(step, input)) {
            (None, _) => Expected::Works,
            (then, now) if then == now && self.tally.runs == mark.runs => Expected::Works,
            (Some((then, true)), Some((now, true))) if then == now => Expected::Works,
            (Some((then, true)), Some((now, false))) if then == now => Expected::Either(REFUSED),
            (Some((_, true)), _) => Expected::Ends(REFUSED),
            (Some((_, false)), _) => Expected::Either(REFUSED),
        }
    }

    fn goes_on_with(&self, step: &Step, input: &Input) -> Option<(u64, bool)> {
        let batches = &self.batches[step.options.target];
        batches.newest_open(&key_of(step, input)).filter(|_| step.makes_newest)
    }

    /// `plan -o`: it tells what would be sent, and changes nothing.
    fn plan_alone(&mut self, step: &Step, input: &Input, log: &mut Vec<String>) -> Result<(), String> {
        log.push(format!("plan {step:?}\n{}", super::rows::text_of(&input.rows)));
        let target = step.options.target;
        for row in &input.rows {
            self.names.subjects.insert(row.subject.clone());
            self.names.values.extend(row.cells.iter().map(|(field, value)| (*field, value.clone())));
        }
        let url = self.sandboxes[target].url();
        let mut args = ["plan", "-o", FILE, "--json", "--api-url", &url].map(str::to_owned).to_vec();
        args.extend(Step { stop: Stop::Never, ..step.clone() }.args());
        args.extend(step.order_args(&input.rows));
        args.extend(input.args.iter().cloned());
        let runs = self.run_ids();
        self.wait_out();
        let ran = run(self.dir.path(), &self.sandboxes[target], &args, Stop::Never)?;
        let told = |difference: String| format!("plan: {difference}\n{}", ran.stderr);
        if self.run_ids() != runs || !self.requests(target).is_empty() {
            return Err(told("it left a run, or sent something".into()));
        }
        let remembered = self.remembered(None)?;
        self.check_entries(&remembered).map_err(told)?;
        // The number of the batch is not told, and is not certain after a kill.
        let key = key_of(step, input);
        let open =
            self.batches[target].seq(&key).filter(|_| self.batches[target].is_open(&key) == Some(true));
        let next = self.batches[target].next();
        let (Some(next), false) = (next, open.is_some()) else { return Ok(()) };
        if self.batches[target].is_open(&key).is_none() {
            return Ok(());
        }
        // What is confirmed is counted as unchanged.
        let plan = self.plan(step, input, (next, None), simsync::engine::clock::wall_s());
        let fillers = if self.climate.spills { fillers::ROWS } else { 0 };
        let (rows, outcomes) = (u64::try_from(input.rows.len()).unwrap(), std::collections::BTreeMap::new());
        let cleared = std::collections::BTreeSet::new();
        let result = Result_ { plan: &plan, outcomes: &outcomes, cleared: &cleared, rows, fillers };
        let code = if result.leaves_rows() { 3 } else { 0 };
        if ran.code != Some(code) {
            let planned: Vec<_> = result.planned().into_iter().collect();
            return Err(told(format!("exit {:?}, and should be {code}: {planned:?}", ran.code)));
        }
        let counts: &Value = &ran.summary.as_ref().ok_or("no summary of a plan")?["plan"]["rows"];
        for (name, expected) in result.planned() {
            if counts[name] != expected {
                return Err(told(format!("plan.rows.{name} is {}, and should be {expected}", counts[name])));
            }
        }
        Ok(())
    }
}
