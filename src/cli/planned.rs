//! What a job asks about its plan: is it the one that was saved, what does it look like beside what is usual, do the
//! gates let it pass; and saving it.
//!
//! Not here: the shape of a saved plan (`plan_file.rs`), the samples (`samples.rs`), the rulings (`plan/`).

use std::collections::BTreeMap;

use super::fatal::Fatal;
use super::job::{Job, Surveyed};
use super::parts;
use super::plan_file::{self, Basis, Now, SavedPlan, Standing, Task};
use super::run_names::RunNames;
use super::samples;
use crate::count::{plural, thousands};
use crate::digest::{self, BatchId, ContentHash};
use crate::engine::clock;
use crate::event::{BatchFigures, Event, KeyRepeated, PlanFacts};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::plan::{self, Obstacle, Plan};
use crate::report;
use crate::row::Place;
use crate::settings::{Settings, duration_text};
use crate::survey::{Emitter, Judge};
use crate::update::{FieldKind, FieldSet};

/// True swaps that are told with the places of their rows, at most; `conflicts.csv` has the others.
const SWAPS_TOLD_MAX: usize = 20;

/// Rows whose rulings are hashed at a time.
const RULINGS_BLOCK: usize = 1 << 16;

impl Job<'_> {
    /// Refuses a saved plan that no longer stands on what it was made of. Nothing was begun yet.
    pub(super) fn check_saved(
        &self,
        judge: &Judge<'_>,
        journal: Option<&Journal>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Standing, Fatal> {
        let Task::Sync { plan: Some((path, saved)) } = &self.task else { return Ok(Standing::Untouched) };
        let now = self.now(judge.key_field().unwrap_or(FieldKind::UserExternalId), journal)?;
        let standing = saved.basis.standing(&now);
        let mut run = None;
        if let Standing::Done(batch) = standing {
            // Its rows have their fates already, in the books of that run; here nothing is done with them.
            emitter.emit(Event::RowsSetAside);
            run = RunNames::new(journal, &self.destination, self.run_id).of(batch);
        }
        plan_file::refusal(path, &standing, run.as_deref()).map_or(Ok(standing), Err)
    }

    /// Refuses a saved plan whose rows would be ruled otherwise now, as long as nothing of it was sent.
    pub(super) fn check_rulings(&self, standing: &Standing, plan: &Plan) -> Result<(), Fatal> {
        let Task::Sync { plan: Some((path, saved)) } = &self.task else { return Ok(()) };
        if *standing != Standing::Untouched || saved.rulings == rulings(plan)? {
            return Ok(());
        }
        let (then, now) = (saved.rows.send, plan.facts().rows.send);
        let what = format!(
            "what would be sent ({} then, {now} now: acknowledgements have passed plan.resend_after, or an \
             interrupted run left some in doubt)",
            plural(then, "update")
        );
        plan_file::refusal(path, &Standing::Moved(vec![what]), None).map_or(Ok(()), Err)
    }

    /// What a plan made now rests on.
    fn now(&self, key: FieldKind, journal: Option<&Journal>) -> Result<Now, Fatal> {
        let (target, batch) = (&self.destination.target, self.batch_id(key));
        let moves = journal.map(|journal| journal.ledger_moves(target)).transpose()?.unwrap_or_default();
        let is_anew = self.settings.run.new_batch;
        let peek = |journal: &Journal| journal.peek_batch(target, batch, false);
        let open = journal.map(peek).transpose()?.filter(|batch| batch.resumed);
        let goes_on_with = open.filter(|open| is_anew && open.newest && open.delivered).map(|open| open.seq);
        let peek = |journal: &Journal| journal.peek_batch(target, batch, true);
        let begins = journal.filter(|_| is_anew && goes_on_with.is_none()).map(peek).transpose()?;
        let hashes = self.inputs.content_hashes();
        let old_columns = format!("{:?}", self.settings.input.old_columns);
        let hashed = [
            ("the rules ([rules], --preset, --severity, --default-country)", self.rules.fingerprint()),
            ("how the inputs are read and mapped ([input], [columns], --map)", self.inputs.shaping()),
            ("the columns of old values ([old_columns], --old)", old_columns),
            ("--where or --order-by", self.row_rules.shaping()),
        ];
        Ok(Now {
            basis: Basis {
                target: target.clone(),
                key: key.name().to_owned(),
                batch: batch.to_string(),
                content: with_content(&hashes, "content", ""),
                settings: plan_settings(self.settings),
                hashed: hashed
                    .map(|(name, text)| (name.to_owned(), with_content(&hashes, name, &text)))
                    .into(),
                journal: journal.map(|journal| format!("{:016x}", journal.identity())),
                moves: moves.into(),
                goes_on_with,
                begins: begins.map(|batch| batch.seq),
            },
            last: moves.last,
            open: open.map(|open| open.seq),
        })
    }

    /// The plan in numbers, with what only the wiring knows: the batch, places, columns, what is usual, samples.
    pub(super) fn plan_facts(
        &mut self,
        surveyed: &Surveyed,
        judge: &Judge<'_>,
        journal: Option<&Journal>,
    ) -> Result<PlanFacts, Fatal> {
        let target = &self.destination.target;
        let usual = journal.map(|journal| journal.figures(target, surveyed.key_field)).transpose()?;
        let id = self.batch_id(surveyed.key_field);
        let samples = if self.is_plan {
            samples::samples(&mut self.inputs, &surveyed.plan, judge)?
        } else {
            Vec::new()
        };
        let found = surveyed.plan.facts();
        Ok(PlanFacts {
            batch: id.to_string(),
            is_begun: surveyed.batch.delivered,
            resumed: surveyed.batch.resumed,
            overtaken: !surveyed.batch.newest,
            key: Some(surveyed.key_field),
            in_doubt_places: surveyed.places.in_doubt.clone(),
            swap_clears: clears(surveyed),
            swap_obstacles: obstacles(surveyed, self.settings.rules.clearable),
            swap_places: surveyed.places.swaps.iter().take(SWAPS_TOLD_MAX).cloned().collect(),
            damaged: judge.damaged(),
            is_whole: self.settings.input.conditions.is_empty()
                && self.settings.run.only_row.is_none()
                && !self.inputs.is_fed_back(),
            mapped: self.inputs.mapped(),
            filled: judge.columns.filled(),
            usual: usual.unwrap_or_default(),
            samples,
            key_repeated: found
                .key_repeated
                .map(|repeated| KeyRepeated { first: surveyed.places.key_repeated, ..repeated }),
            ..found
        })
    }

    /// Asks the gates; the first that stops the run is why.
    pub(super) fn gates(&self, facts: &PlanFacts, emitter: &mut Emitter<'_>) -> Option<Fatal> {
        let mut stop = None;
        let rules = parts::gate_rules(self.settings);
        let tripped = plan::gates(facts, &rules);
        if !tripped.iter().any(|gate| gate.gate == plan::KEY_REPEATED) {
            self.tell_many_rows(plan::many_rows(facts, &rules), facts, emitter);
        }
        for gate in tripped {
            let overridden = self.settings.run.yes && gate.may_override;
            emitter.emit(Event::GateTripped { gate: gate.gate, text: gate.text.clone(), overridden });
            if !overridden {
                let look = match gate.gate {
                    "rejected_max" if !self.is_plan => {
                        "look at rejected.csv and correct the export or the mapping"
                    }
                    _ => gate.look,
                };
                let or = if gate.may_override { "; --yes goes on nevertheless" } else { "" };
                stop.get_or_insert_with(|| {
                    Fatal::new(
                        Exit::Stopped,
                        format!("the plan's gate {} stopped the run: {}", gate.gate, gate.text),
                        format!("{look}{or}"),
                    )
                });
            }
        }
        stop
    }

    /// Tells of a key value that looks like a placeholder, where no gate does.
    fn tell_many_rows(&self, many: Option<KeyRepeated>, facts: &PlanFacts, emitter: &mut Emitter<'_>) {
        let Some((repeated, place)) = many.and_then(|many| Some((many, many.first?))) else { return };
        let files = self.inputs.files();
        let file = usize::try_from(place.file).ok().and_then(|at| files.get(at)).filter(|_| files.len() > 1);
        let file = file.map_or_else(String::new, |file| format!(" of {}", file.name));
        let text = format!(
            "{} rows have the key value ({}) of line {}{file}: a placeholder? They are one subject",
            thousands(repeated.rows),
            facts.key.map_or("", FieldKind::name),
            place.line
        );
        emitter.emit(Event::Noticed { text });
    }

    /// Saves the plan where that was asked for. Tripped gates are no hindrance: they trip again.
    pub(super) fn save_plan(
        &self,
        surveyed: &Surveyed,
        facts: &PlanFacts,
        journal: Option<&Journal>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Fatal> {
        let Task::Plan { save_as: Some(path) } = &self.task else { return Ok(()) };
        let gates = plan::gates(facts, &parts::gate_rules(self.settings));
        let saved = SavedPlan {
            inputs: self.input_args.clone(),
            basis: self.now(surveyed.key_field, journal)?.basis,
            rulings: rulings(&surveyed.plan)?,
            rows: report::plan_counts(&facts.rows),
            gates: gates.into_iter().map(|gate| gate.gate.to_owned()).collect(),
            ..SavedPlan::new(clock::wall_rfc3339())
        };
        saved.write(path)?;
        emitter.emit(Event::Noticed { text: format!("the plan is saved in {}", path.display()) });
        Ok(())
    }

    /// Tells the journal that this batch begins to deliver, so that no plan made before can miss it.
    pub(super) fn note_delivery(&self, surveyed: &Surveyed, journal: &Journal) -> Result<(), Fatal> {
        let facts = surveyed.plan.facts();
        if facts.rows.send + facts.confirmed > 0 {
            let id = self.batch_id(surveyed.key_field);
            journal.note_delivery(&self.destination.target, id, surveyed.batch.seq)?;
            if self.settings.run.adopt {
                // What a plan was going to send may be what was just recorded, even by the batch it names.
                journal.note_moved_aside()?;
            }
        }
        Ok(())
    }
}

/// Settings that shape updates, rulings or verdicts and can be told in words. Which settings are what to a saved plan
/// is listed in the tests.
fn plan_settings(settings: &Settings) -> BTreeMap<String, String> {
    let (api, plan, run) = (&settings.api, &settings.plan, &settings.run);
    let resend_after = plan.resend_after_ms.map_or_else(|| "unset".to_owned(), duration_text);
    let pairs = [
        ("api.envelope", api.envelope.name().to_owned()),
        ("api.verify", api.verify.name().to_owned()),
        ("plan.duplicates", plan.duplicates.name().to_owned()),
        ("plan.conflicts", plan.conflicts.name().to_owned()),
        ("plan.break_cycles", plan.break_cycles.name().to_owned()),
        ("plan.in_doubt", plan.in_doubt.name().to_owned()),
        ("plan.send", plan.send.name().to_owned()),
        ("plan.chain_rows_max", plan.chain_rows_max.to_string()),
        ("plan.resend_after", resend_after),
        ("--full", run.full.to_string()),
        ("--retry-failed", run.retry_failed.to_string()),
        ("--new-batch", run.new_batch.to_string()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Figures to keep of a batch that is settled: of whole exports with rows alone.
pub(super) fn figures(facts: &PlanFacts, batch_seq: u64) -> Option<(FieldKind, BatchFigures)> {
    let is_kept = facts.is_whole && facts.rows.read > 0;
    let figures = BatchFigures {
        batch_seq,
        rows: facts.rows.read,
        missing: facts.subjects_missing,
        filled: facts.filled,
    };
    facts.key.filter(|_| is_kept).map(|key| (key, figures))
}

/// What is cleared first of the swaps that are told, and where the row stands that carries the subject's update.
fn clears(surveyed: &Surveyed) -> Vec<(Place, FieldSet)> {
    let swaps = surveyed.plan.swaps().iter().zip(&surveyed.places.swaps).take(SWAPS_TOLD_MAX);
    let cleared = swaps.filter_map(|(swap, places)| {
        let clearing = swap.clearing?;
        let place = places.iter().find(|place| place.ordinal == clearing.ordinal)?;
        Some((*place, clearing.fields))
    });
    cleared.collect()
}

/// Why swaps that are told are not broken although it was asked for, and what would break them.
fn obstacles(surveyed: &Surveyed, clearable: FieldSet) -> Vec<(Place, String)> {
    let swaps = surveyed.plan.swaps().iter().zip(&surveyed.places.swaps).take(SWAPS_TOLD_MAX);
    let kept = swaps.filter_map(|(swap, places)| {
        let (obstacle, first) = (swap.obstacle?, places.first()?);
        let why = match obstacle {
            Obstacle::NotClearable(fields) => {
                let names: Vec<&str> = clearable.union(fields).iter().map(FieldKind::name).collect();
                format!("{}; --clearable {} would let it be", obstacle.why(), names.join(","))
            }
            Obstacle::Tangled | Obstacle::Each => obstacle.why(),
        };
        Some((*first, why))
    });
    kept.collect()
}

/// Hash of a text together with the bytes of all inputs: of a short text alone, a hash can be undone by trying.
fn with_content(hashes: &[ContentHash], name: &str, text: &str) -> String {
    let count = (hashes.len() as u64).to_be_bytes();
    let parts = [b"saved plan".as_slice(), name.as_bytes(), text.as_bytes(), count.as_slice()];
    digest::batch_id(parts.into_iter().chain(hashes.iter().map(<[u8; 32]>::as_slice))).to_string()
}

/// Hash of every row's ruling and of the fields left out of it.
fn rulings(plan: &Plan) -> Result<String, Fatal> {
    let rows = plan.facts().rows.read;
    let mut hashes: Vec<ContentHash> = Vec::new();
    let mut block: Vec<u8> = Vec::with_capacity(RULINGS_BLOCK);
    for ordinal in 1..=rows {
        block.push(plan.ruling(ordinal) as u8);
        let beside = plan.beside(ordinal)?;
        if !(beside.left_out.is_empty() && beside.not_sent.is_empty()) {
            block.extend_from_slice(&beside.left_out.bits().to_be_bytes());
            block.extend_from_slice(&beside.not_sent.bits().to_be_bytes());
            block.push(u8::MAX);
        }
        if block.len() >= RULINGS_BLOCK {
            hashes.push(digest::content_hash(&block));
            block.clear();
        }
    }
    hashes.push(digest::content_hash(&block));
    let id: BatchId = digest::batch_id(hashes.iter().map(<[u8; 32]>::as_slice));
    Ok(id.to_string())
}

#[cfg(test)]
mod tests;
