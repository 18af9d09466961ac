//! `sync` and `plan`: the one job in its steps, from the inputs to the closed books.
//!
//! Not here: the steps themselves (`survey.rs`, `plan/`, `deliver/`), and how the settings came about.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::closed;
use super::common::unused_columns;
use super::expiry;
use super::fatal::{Fatal, first_told};
use super::key;
use super::learned::{self, Learned};
use super::parts::{self, Destination};
use super::places::{Places, tell_refused_before, tell_trimmed};
use super::plan_file::{Standing, Task};
use super::planned;
use super::run_names::RunNames;
use super::start::Replay;
use crate::api::Token;
use crate::deliver::{self, Delivered, Delivery, Limit, Newer, WriteRows};
use crate::digest::{self, BatchId, StateKey, SubjectTag};
use crate::engine::clock::{self, Clock};
use crate::engine::signals::Signals;
use crate::event::{BatchFigures, Event, RunFacts};
use crate::exit::Exit;
use crate::fields::RuleSet;
use crate::input::{AheadOptions, Inputs};
use crate::journal::{Batch, Journal, JournalError};
use crate::plan::{NoLedger, Plan, PlanRules, SendMode};
use crate::report::{Reporters, RowFiles, WrittenFile, plural};
use crate::settings::Settings;
use crate::survey::{self, Emitter, Gather, Identity, Judge, RowRules};
use crate::update::FieldKind;

/// Runs of other targets that are named where their rows are fed to this one.
const ELSEWHERE_MAX: usize = 3;

/// Inputs without rows that are named.
const INPUTS_NAMED_MAX: usize = 5;

/// One run of the job.
pub(super) struct Job<'a> {
    pub(super) settings: &'a Settings,
    pub(super) run_id: &'a str,
    pub(super) is_plan: bool,
    /// What is to be done with the plan.
    pub(super) task: Task,
    /// The inputs as they were given.
    pub(super) input_args: Vec<String>,
    /// What is replayed, if the inputs are a run's row files.
    pub(super) replay: Option<Replay>,
    pub(super) destination: Destination,
    /// The token, read before anything else; none for a plan.
    pub(super) token: Option<Token>,
    pub(super) rules: Arc<RuleSet>,
    pub(super) row_rules: Arc<RowRules>,
    pub(super) inputs: Inputs,
    pub(super) signals: Signals,
    /// When the run stops on its own clock, and by which limit.
    pub(super) stop_at: Option<(u64, Limit)>,
    /// What the bounds are when the configuration is read again.
    pub(super) reload: Box<deliver::Reload<'a>>,
    /// The journal; a plan may have none yet.
    pub(super) journal: Option<Journal>,
    pub(super) run_dir: Option<PathBuf>,
    /// Row files written.
    pub(super) files: Vec<WrittenFile>,
    /// The batch, once every row of it is ruled on.
    pub(super) settled: Option<u64>,
    /// What to keep of it, to tell what is usual.
    pub(super) figures: Option<(FieldKind, BatchFigures)>,
}

/// What is left to do after the summary is out.
pub(super) struct Closing {
    journal: Option<Journal>,
    target: String,
    batch: Option<u64>,
    figures: Option<(FieldKind, BatchFigures)>,
}

impl Closing {
    /// Closes the batch, and the journal. It comes last: a run killed before its summary is out is run again, and must
    /// find its batch open, or `each` and `--full` would send everything once more.
    pub(super) fn close(self) -> Result<(), Fatal> {
        let Some(journal) = self.journal else { return Ok(()) };
        if let Some(batch) = self.batch {
            if let Some((key, figures)) = self.figures {
                journal.keep_figures(&self.target, key, figures)?;
            }
            journal.close_batch(&self.target, batch)?;
        }
        journal.finish()?;
        Ok(())
    }
}

/// Tells when there is no row: as an error where rows are required, as a note otherwise.
fn require_rows(
    survey: &Gather,
    inputs: &Inputs,
    settings: &Settings,
    emitter: &mut Emitter<'_>,
) -> Result<(), Fatal> {
    if survey.rows() > 0 {
        return Ok(());
    }
    if settings.input.require_rows {
        return Err(Fatal::new(
            Exit::Input,
            no_rows(inputs),
            "check the export; without --require-rows an empty input is a success with a warning",
        ));
    }
    emitter.emit(Event::Noticed { text: "the input has no rows; there is nothing to do".into() });
    Ok(())
}

/// That there is no row, and where.
pub(super) fn no_rows(inputs: &Inputs) -> String {
    let (files, mut names) = (inputs.files(), Vec::new());
    names.extend(files.iter().take(INPUTS_NAMED_MAX).map(|file| file.name.clone()));
    if files.len() > INPUTS_NAMED_MAX {
        names.push(format!("and {} more", files.len() - INPUTS_NAMED_MAX));
    }
    format!("the input has no rows: {}", names.join(", "))
}

/// Tells when a filter left out every row: as an error where rows are required, as a note otherwise.
pub(super) fn require_left(
    survey: &Gather,
    settings: &Settings,
    emitter: &mut Emitter<'_>,
) -> Result<(), Fatal> {
    let filtered = survey.rows_filtered();
    if filtered == 0 || filtered < survey.rows() {
        return Ok(());
    }
    let message = "no row meets the conditions of --where: every row was filtered";
    if settings.input.require_rows {
        return Err(Fatal::new(
            Exit::Input,
            message,
            "check the conditions, and how the column writes its values; without --require-rows this is a success \
             with a note",
        ));
    }
    emitter.emit(Event::Noticed { text: message.into() });
    Ok(())
}

/// How the job ended.
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) fatal: Option<Fatal>,
}

/// What the survey leads to.
pub(super) struct Surveyed {
    pub(super) plan: Plan,
    pub(super) batch: Batch,
    pub(super) key_field: FieldKind,
    /// Where the rows stand that the plan names.
    pub(super) places: Places,
    proof: String,
}

impl Job<'_> {
    /// Runs the job to its end. Everything that is told about it goes through the reporters; the books are closed.
    pub(super) fn run(mut self, clock: Clock, mut reporters: Reporters) -> (Ended, Reporters, Closing) {
        let mut emitter = Emitter::new(clock, &mut reporters);
        emitter.emit(Event::RunStarted(RunFacts {
            run_id: self.run_id.to_owned(),
            command: self.command(),
            target: self.destination.target.clone(),
            started_at: clock::wall_rfc3339(),
            tool_version: env!("CARGO_PKG_VERSION"),
        }));
        let outcome = self.steps(&mut emitter);
        let finished = self.journal.as_ref().and_then(|journal| journal.fold().err()).map(Fatal::from);
        reporters.files_written(std::mem::take(&mut self.files));
        let stats = reporters.stats();
        let (exit, fatal) = match (outcome, finished) {
            (Err(fatal), _) | (Ok(None), Some(fatal)) => (fatal.exit, Some(fatal)),
            (Ok(Some(exit)), Some(fatal)) => {
                (if exit == Exit::Success { fatal.exit } else { exit }, Some(fatal))
            }
            (Ok(Some(exit)), None) => (exit, None),
            (Ok(None), None) if stats.rows.leaves_rows() => (Exit::RowsLeft, None),
            (Ok(None), None) => (Exit::Success, None),
        };
        // Promise 1, in release builds too: a row that is in no column of the books is a fault that must not pass
        // as a success.
        assert!(stats.rows.is_balanced(), "the books do not close: {:?}", stats.rows);
        let stopped = fatal.as_ref().map(|fatal| fatal.explanation.message.clone());
        Emitter::new(clock, &mut reporters).emit(Event::RunEnded { exit_code: exit.code(), stopped });
        let (journal, target) = (self.journal, self.destination.target);
        let closing = Closing { journal, target, batch: self.settled, figures: self.figures };
        (Ended { exit, fatal }, reporters, closing)
    }

    /// What reports call it.
    fn command(&self) -> &'static str {
        match &self.replay {
            Some(_) => "replay",
            None if self.is_plan => "plan",
            None if self.settings.run.adopt => "adopt",
            None if self.settings.run.only_row.is_some() => "doctor",
            None => "sync",
        }
    }

    /// All steps; `None` when only the books decide on the exit code.
    fn steps(&mut self, emitter: &mut Emitter<'_>) -> Result<Option<Exit>, Fatal> {
        self.announce(emitter);
        let key_field = self.key_field(emitter)?;
        let state_key = match &self.journal {
            Some(journal) => journal.key().clone(),
            // A plan without a journal compares with nothing; any key will do.
            None => StateKey::new(&[0; StateKey::LEN]),
        };
        let journal = self.journal.take();
        let target = self.destination.target.clone();
        let (rules, row_rules) = (Arc::clone(&self.rules), Arc::clone(&self.row_rules));
        let elsewhere = Mutex::new(BTreeMap::new());
        // A journal that cannot be read is no run that nobody knows: the first error ends the job after the survey.
        let unread = Mutex::new(None);
        let find_run = |run: &str| {
            let found = match journal.as_ref()?.run_batch(run) {
                Ok(found) => found?,
                Err(error) => {
                    unread.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    // No reason to reject the row, whose version nobody will ask for.
                    return Some(0);
                }
            };
            if found.target == target {
                return Some(found.batch_seq);
            }
            let mut elsewhere = elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
            if elsewhere.len() < ELSEWHERE_MAX {
                elsewhere.insert(run.to_owned(), found.target);
            }
            None
        };
        let identity = Identity { state_key: &state_key, target: &target, key_field, find_run: &find_run };
        let mut judge = Judge::new(&rules, Some(identity)).minding(&row_rules);
        let outcome = self.judged(&mut judge, journal.as_ref(), &state_key, &unread, emitter);
        drop(judge);
        self.journal = journal;
        for (run, sent_to) in elsewhere.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let text = format!(
                "run {run} is known, and sent to {sent_to}: its rows belong there, and are no rows for {target} \
                 (origin.unknown_run)"
            );
            emitter.emit(Event::Noticed { text });
        }
        outcome
    }

    fn judged(
        &mut self,
        judge: &mut Judge<'_>,
        journal: Option<&Journal>,
        state_key: &StateKey,
        unread: &Mutex<Option<JournalError>>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Option<Exit>, Fatal> {
        let survey = self.survey(judge, emitter)?;
        if let Some(error) = unread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error.into());
        }
        let standing = self.check_saved(judge, journal, emitter)?;
        // A saved plan that was interrupted has begun its new batch already.
        let makes_newest = self.settings.run.new_batch && standing != Standing::Begun;
        let mut surveyed = self.plan(survey, judge, journal, makes_newest, emitter)?;
        self.tell_left(&surveyed.plan, judge, journal, emitter)?;
        surveyed.places = self.tell_places(&surveyed.plan, emitter)?;
        let facts = self.plan_facts(&surveyed, judge, journal)?;
        emitter.emit(Event::PlanMade(Box::new(facts.clone())));
        self.check_rulings(&standing, &surveyed.plan)?;
        tell_refused_before(&facts, emitter);
        let stop = self.gates(&facts, emitter);
        self.save_plan(&surveyed, &facts, journal, emitter)?;
        let mut nothing = Delivered::nothing(&surveyed.plan, &surveyed.places.cleared);
        if let Some(stop) = stop {
            // Nothing was sent, but the rows to be corrected are wanted all the more.
            nothing.tell_cleared(emitter);
            let written = self.write_rows(&surveyed, judge, &mut nothing, journal);
            return Err(first_told(stop, written, emitter));
        }
        self.tell_closed(&surveyed, emitter);
        if self.is_plan {
            nothing.tell_cleared(emitter);
            return Ok(None);
        }
        let Some(journal) = journal else { return Ok(None) };
        // Kept from here on: a run that a gate stopped has decided nothing for those to come.
        let target = &self.destination.target;
        if surveyed.plan.facts().rows.send > 0 && journal.target_key(target)?.is_none() {
            journal.set_target_key(target, surveyed.key_field)?;
            // A rehearsal keeps it for itself alone.
            if !self.settings.run.sandbox {
                let text = format!("key field {} is kept for this target from now on", surveyed.key_field);
                emitter.emit(Event::Noticed { text });
            }
        }
        self.note_delivery(&surveyed, journal)?;
        let mut delivered = match self.confirm(&surveyed, judge, journal) {
            Some(stopped) => nothing.stopped(stopped, emitter),
            None => self.deliver(&surveyed, judge, journal, state_key, emitter)?,
        };
        let written = self.write_rows(&surveyed, judge, &mut delivered, Some(journal));
        tell_trimmed(&facts, emitter);
        if let Some(stopped) = &delivered.stopped {
            let blamed = learned::blamed(&delivered, &self.inputs);
            return Err(first_told(Fatal::from(stopped).adding(blamed), written, emitter));
        }
        written?;
        // What is held waits for the operator's word on this very update: closed, the batch run again would be a new
        // one, and its rows new updates that nothing holds back.
        // An older batch that was overtaken stays open, too: closed, it would be begun anew over the newer values.
        let rows = surveyed.plan.facts().rows;
        let is_overtaken = !surveyed.batch.newest && facts.rows_overtaken > 0;
        if rows.held == 0 && !is_overtaken {
            self.settled = Some(surveyed.batch.seq);
            self.figures = planned::figures(&facts, surveyed.batch.seq);
        }
        Ok(delivered.has_failed().then_some(Exit::RowsLeft))
    }

    /// Pass 1 up to the plan: every row is read, judged and gathered.
    fn survey(&mut self, judge: &mut Judge<'_>, emitter: &mut Emitter<'_>) -> Result<Gather, Fatal> {
        let survey = survey::survey(
            &mut self.inputs,
            judge,
            emitter,
            &self.signals,
            &parts::gather_options(self.settings, &self.destination.state),
            AheadOptions::new(parts::plan_threads(self.settings)),
        )?;
        let columns = survey::mapped_columns(&self.inputs);
        emitter.emit(Event::ColumnsMapped { columns, key: judge.key_field(), key_by: "" });
        require_rows(&survey, &self.inputs, self.settings, emitter)?;
        require_left(&survey, self.settings, emitter)?;
        Ok(survey)
    }

    /// Tells what was opened and how it is read.
    fn announce(&self, emitter: &mut Emitter<'_>) {
        for text in self.replay.iter().flat_map(|replay| &replay.notes) {
            emitter.emit(Event::Noticed { text: text.clone() });
        }
        for file in self.inputs.files() {
            let (name, bytes) = (file.name.clone(), file.bytes);
            emitter.emit(Event::InputOpened { name, bytes, format: file.format.name() });
        }
        for note in self.inputs.mapping_notes() {
            if note.by.is_none() {
                let text = format!(
                    "{}: no column `{}` for {} here; its rows leave it as it is",
                    note.file, note.column, note.field
                );
                emitter.emit(Event::Noticed { text });
            }
        }
        if let Some(text) = unused_columns(&self.inputs) {
            emitter.emit(Event::Noticed { text });
        }
        if let Some(recovery) = self.journal.as_ref().and_then(Journal::recovered)
            && recovery.in_doubt > 0
        {
            let text = format!(
                "an earlier run did not end in order: {} in doubt, whose requests may or may not have been applied",
                plural(recovery.in_doubt, "update")
            );
            emitter.emit(Event::Noticed { text });
        }
    }

    /// The job's key field: given, or the one kept with the target, or chosen once from the mapped fields.
    fn key_field(&self, emitter: &mut Emitter<'_>) -> Result<FieldKind, Fatal> {
        let (journal, target) = (self.journal.as_ref(), &self.destination.target);
        let kept = journal.map(|journal| journal.target_key(target)).transpose()?.flatten();
        let mapped = self.inputs.mapped();
        let chosen = key::choose(self.settings.input.key, kept, mapped)?;
        if !mapped.is_empty() {
            let text = format!("key field: {} ({})", chosen.field, chosen.origin);
            emitter.emit(Event::Noticed { text });
        }
        Ok(chosen.field)
    }

    /// Identity of the batch: bytes, target, and every setting that shapes updates.
    pub(super) fn batch_id(&self, key_field: FieldKind) -> BatchId {
        let hashes = self.inputs.content_hashes();
        let mut texts = vec![
            self.destination.target.clone(),
            self.rules.fingerprint(),
            self.inputs.shaping(),
            key_field.name().to_owned(),
            self.settings.plan.duplicates.name().to_owned(),
            self.settings.run.full.to_string(),
        ];
        // Where all fields are sent a batch is the same as before there was a choice.
        let send = self.settings.plan.send;
        texts.extend(Some(format!("send {}", send.name())).filter(|_| send != SendMode::Full));
        // Without conditions and order a batch is the same as it ever was.
        texts.extend(Some(self.row_rules.shaping()).filter(|shaping| !shaping.is_empty()));
        let count = (hashes.len() as u64).to_be_bytes();
        let parts = std::iter::once(count.as_slice())
            .chain(hashes.iter().map(<[u8; 32]>::as_slice))
            .chain(texts.iter().map(String::as_bytes));
        digest::batch_id(parts)
    }

    fn plan(
        &self,
        survey: Gather,
        judge: &Judge<'_>,
        journal: Option<&Journal>,
        makes_newest: bool,
        emitter: &mut Emitter<'_>,
    ) -> Result<Surveyed, Fatal> {
        let key_field = judge.key_field().unwrap_or(FieldKind::UserExternalId);
        let (id, target) = (self.batch_id(key_field), &self.destination.target);
        let batch = match journal {
            Some(journal) if self.is_plan => journal.peek_batch(target, id, makes_newest)?,
            Some(journal) => {
                let batch = journal.begin_batch(target, id, survey.rows(), clock::wall_s(), makes_newest)?;
                journal.record_run(self.run_id, target, batch.seq)?;
                batch
            }
            None => Batch { seq: 1, resumed: false, newest: true, begun_s: 0, delivered: false },
        };
        if !batch.newest {
            emitter.emit(Event::Noticed {
                text: "this batch is older than the newest of its target; it continues under its old version and \
                       overwrites nothing newer (--new-batch makes it the newest)"
                    .into(),
            });
        }
        self.tell_open_elsewhere(&batch, journal, emitter)?;
        let older_open = journal.map(|journal| journal.older_open(target, batch.seq)).transpose()?.flatten();
        let rules = PlanRules { older_open, ..self.plan_rules(&batch, key_field, judge.tag()) };
        let threads = parts::plan_threads(self.settings);
        let plan = match journal {
            Some(journal) => survey.finish(&rules, journal, threads)?,
            None => survey.finish(&rules, &NoLedger, threads)?,
        };
        // As many files as there are, a mapping is proven once.
        let shaping = self.inputs.shaping();
        let mapping: BTreeSet<&str> = shaping.lines().collect();
        let proof = format!(
            "{target}\n{}\n{}",
            self.settings.api.envelope.name(),
            digest::batch_id(mapping.into_iter().map(str::as_bytes))
        );
        Ok(Surveyed { plan, batch, key_field, places: Places::default(), proof })
    }

    fn plan_rules(&self, batch: &Batch, key: FieldKind, tag: Option<SubjectTag>) -> PlanRules {
        let (settings, run) = (&self.settings.plan, &self.settings.run);
        PlanRules {
            duplicates: settings.duplicates,
            conflicts: settings.conflicts,
            break_cycles: settings.break_cycles,
            clearable: self.settings.rules.clearable,
            in_doubt: settings.in_doubt,
            send: settings.send,
            full: run.full,
            resend_after_s: settings.resend_after_ms.map(|ms| ms / 1_000),
            retry_failed: run.retry_failed,
            now_s: clock::wall_s(),
            batch: batch.seq,
            older_open: None,
            key,
            tag,
            samples: settings.samples,
        }
    }

    /// Tells that nothing may be sent at this time of day, where anything is to be.
    fn tell_closed(&self, surveyed: &Surveyed, emitter: &mut Emitter<'_>) {
        if self.settings.run.adopt || surveyed.plan.facts().rows.send == 0 {
            return;
        }
        let text = closed::note(self.settings, self.stop_at.as_ref(), emitter.clock().now_ms());
        if let Some(text) = text {
            emitter.emit(Event::Noticed { text });
        }
    }

    fn deliver(
        &mut self,
        surveyed: &Surveyed,
        judge: &Judge<'_>,
        journal: &Journal,
        state_key: &StateKey,
        emitter: &mut Emitter<'_>,
    ) -> Result<Delivered, Fatal> {
        if surveyed.plan.facts().rows.send == 0 {
            return Ok(Delivered::default());
        }
        if self.settings.run.adopt {
            return Ok(self.adopt(surveyed, judge, journal, emitter));
        }
        let Some(endpoint) = self.destination.endpoint.clone() else { return Ok(Delivered::default()) };
        let tokens = self.token.clone().zip(self.destination.token.clone());
        let Some((token, token_source)) = tokens else { return Ok(Delivered::default()) };
        let updates = surveyed.plan.facts().rows.send;
        let stops_in_ms =
            self.stop_at.as_ref().map(|(at_ms, _)| at_ms.saturating_sub(emitter.clock().now_ms()));
        let expiry = expiry::of_run(self.settings, (&token, &token_source), updates, stops_in_ms);
        if let Some(text) = expiry {
            emitter.emit(Event::Noticed { text });
        }
        if let Some(text) = parts::until_note(self.settings, self.stop_at.as_ref()) {
            emitter.emit(Event::Noticed { text });
        }
        let (target, batch) = (self.destination.target.clone(), surveyed.batch.seq);
        let is_probe = self.settings.run.only_row.is_some();
        let learned =
            Learned::of(journal, &target, &surveyed.proof, (batch, token.hash(state_key)), is_probe)?;
        learned.tell(emitter);
        let delivered = deliver::deliver(
            Delivery {
                client: parts::client_options(self.settings, endpoint, &self.rules)?,
                rules: parts::deliver_rules(
                    self.settings,
                    surveyed.plan.facts().rows.read,
                    &learned,
                    self.stop_at.clone(),
                ),
                envelope: self.settings.api.envelope,
                clear_as: self.settings.rules.clear_as,
                inputs: &mut self.inputs,
                judge: judge.again(),
                plan: &surveyed.plan,
                batch,
                state_key,
                writer: journal.writer(),
                token,
                token_source,
                prove: &|| journal.set_proven(&surveyed.proof),
                signals: self.signals.clone(),
                ledger: &|| journal.ledger(),
                space: &parts::fates_space(self.settings, &self.destination.state),
                reload: &*self.reload,
                cleared: &surveyed.places.cleared,
            },
            emitter,
        )?;
        learned.keep(&delivered, journal, &target, batch)?;
        Ok(delivered)
    }

    fn write_rows(
        &mut self,
        surveyed: &Surveyed,
        judge: &Judge<'_>,
        delivered: &mut Delivered,
        journal: Option<&Journal>,
    ) -> Result<(), Fatal> {
        let Some(run_dir) = &self.run_dir else { return Ok(()) };
        let files = RowFiles::create(run_dir, self.inputs.columns(), self.run_id)?;
        let runs = RunNames::new(journal, &self.destination, self.run_id);
        // Opened at the first question: most runs ask none, some ask for millions of rows.
        let lookups = OnceCell::new();
        let entry = |subject| {
            let opened = || RefCell::new(journal.and_then(|journal| journal.lookups().ok()));
            let mut lookups = lookups.get_or_init(opened).borrow_mut();
            lookups.as_mut()?.get(subject).ok().flatten()
        };
        let written = deliver::write_rows(WriteRows {
            inputs: &mut self.inputs,
            judge: judge.again(),
            plan: &surveyed.plan,
            delivered,
            space: &parts::fates_space(self.settings, &self.destination.state),
            run_id: self.run_id,
            files,
            signals: &self.signals,
            newer: Newer {
                entry: &entry,
                run: &|batch| runs.of(batch),
                duplicates: self.settings.plan.duplicates,
                batch: surveyed.batch.seq,
            },
            swap_places: &surveyed.places.swaps,
        })?;
        self.files = written.files;
        Ok(())
    }
}
