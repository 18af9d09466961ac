//! Pass 1, survey: reads every row once, checks it, and notes who it is about and what it sets. No network.
//!
//! Wiring. The judgement of one row ([`Judge`]) is the same in every pass, so it lives here. Not here: what the rules
//! are (`fields/`), how rows are read (`input/`), what follows for the batch (`plan/`).

use std::collections::HashMap;

use crate::digest::{FieldHash, StateKey, SubjectId, SubjectTag, Subjects};
use crate::engine::clock::Clock;
use crate::engine::signals::{Signals, Stop};
use crate::event::{AlarmFacts, Breach, ColumnDamage, Event, Listener, MappedColumn, Stamped};
use crate::fields::{self, Checked, Cleaning, ColumnBook, FIELDS, Finding, RuleId, RuleSet, Severity};
use crate::input::{AheadOptions, Format, Inputs, MappedBy, OLD_FIELDS, Row, RowError, SourceError};
use crate::plan::{Kept, OrderError, OrderKind, OrderValue, RANK_OLDEST};
use crate::row::{Place, Version};
use crate::update::{FieldKind, FieldSet};

pub use chosen::{CHOSEN_COLUMNS, Chosen, LeftKind, SUPERSEDED, SWAP_CLEARED};
pub use gather::{FinishError, Gather, GatherError, GatherOptions};
pub use row_rules::{Clears, RowRules};

use reading::{Collector, Reading};
use row_rules::NO_ROW_RULES;

mod batch;
mod chosen;
mod gather;
mod reading;
mod row_rules;
#[cfg(test)]
mod tests;

/// A cell or member that asks to clear a field that may not be cleared.
const CLEAR_NOT_ALLOWED: RuleId = RuleId::known("clear.not_allowed");

/// A cell that is the token that clears a field but for upper and lower case or white space.
const CLEAR_NEAR_MISS: RuleId = RuleId::known("clear.near_miss");

/// Classes whose hashes are remembered: an export has a few, and every row has one of them.
const CLASSES_MAX: usize = 8;

/// Runs remembered by name while rows are judged; a file fed back names one, as a rule.
const RUNS_MAX: usize = 1_024;

/// An identifier that a JSON number holds.
const JSON_NUMBER: RuleId = RuleId::known("json.number");

/// A value of before that is none.
const OLD_INVALID: RuleId = RuleId::known("x.old_invalid");

/// Stamps events with the run's clock and hands them to the listener.
pub struct Emitter<'a> {
    clock: Clock,
    listener: &'a mut dyn Listener,
}

impl<'a> Emitter<'a> {
    /// Emits to this listener, by this clock.
    pub fn new(clock: Clock, listener: &'a mut dyn Listener) -> Emitter<'a> {
        Emitter { clock, listener }
    }

    /// Emits an event that happened now.
    pub fn emit(&mut self, event: Event) {
        self.emit_at(self.clock.now_ms(), event);
    }

    /// Emits an event that happened then.
    fn emit_at(&mut self, at_ms: u64, event: Event) {
        self.listener.on_event(&Stamped { at_ms, event });
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

/// Finds the batch of a run named in a row's `_run` column; `None` when no run of that id on this target is known.
pub type FindRun<'a> = dyn Fn(&str) -> Option<u64> + Sync + 'a;

/// Who judges rows: the rules, and what makes a subject out of a key value.
pub struct Judge<'a> {
    rules: &'a RuleSet,
    row_rules: &'a RowRules,
    identity: Option<Identity<'a>>,
    subjects: Option<Subjects>,
    runs: HashMap<String, Option<u64>>,
    /// What the first row with an order value has: numbers and dates have no order among each other.
    order_kind: Option<OrderKind>,
    /// Fields and findings of the row judged last.
    pub checked: Checked,
    /// Hashes of the fields of the row judged last, in wire order.
    pub facts: Vec<(FieldKind, FieldHash)>,
    /// Hashes of what its fields were before, where columns tell it. Never sent.
    pub old: Vec<(FieldKind, FieldHash)>,
    old_checked: Checked,
    /// Hashes of classes that came before, at most [`CLASSES_MAX`].
    classes: Vec<(Vec<u8>, FieldHash)>,
    /// What the survey saw of whole columns.
    pub columns: ColumnBook,
}

/// What makes a subject out of a row.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The state directory's key.
    pub state_key: &'a StateKey,
    /// The target, as the journal names it.
    pub target: &'a str,
    /// The job's key field.
    pub key_field: FieldKind,
    /// How a replayed row finds its old batch.
    pub find_run: &'a FindRun<'a>,
}

/// The judgement on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It is not sent.
    Rejected {
        /// The rule's code.
        code: &'static str,
        /// The field, if the rule is about one.
        field: Option<FieldKind>,
    },
    /// A condition leaves it out; no rule was asked.
    Filtered,
    /// It is an update.
    Valid {
        /// Whom it is about.
        subject: SubjectId,
        /// The version it keeps, when it was fed back from one of our own files.
        version: Option<Version>,
        /// Its rank, where a column gives the order (see [`crate::plan::Surveyed::rank`]).
        rank: Option<i128>,
    },
}

impl<'a> Judge<'a> {
    /// A judge by these rules. Without an identity (the `check` command) every valid row gets the same subject and
    /// no key is asked for.
    pub fn new(rules: &'a RuleSet, identity: Option<Identity<'a>>) -> Judge<'a> {
        Judge {
            rules,
            row_rules: &NO_ROW_RULES,
            subjects: identity
                .map(|identity| identity.state_key.subjects(identity.target, identity.key_field)),
            identity,
            runs: HashMap::new(),
            order_kind: None,
            checked: Checked::default(),
            facts: Vec::new(),
            old: Vec::new(),
            old_checked: Checked::default(),
            classes: Vec::new(),
            columns: ColumnBook::new(rules, FieldSet::EMPTY),
        }
    }

    /// The same judge, minding these rules of whole rows. The inputs must watch [`RowRules::watched`].
    pub fn minding(self, row_rules: &'a RowRules) -> Judge<'a> {
        Judge { row_rules, ..self }
    }

    /// Another judge by the same rules, for another reading.
    pub fn again(&self) -> Judge<'a> {
        Judge { runs: self.runs.clone(), ..Judge::new(self.rules, self.identity).minding(self.row_rules) }
    }

    /// Another judge for the same reading, on another thread.
    fn helper(&self) -> Judge<'a> {
        Judge { order_kind: self.order_kind, ..self.again() }
    }

    /// Whether rows may be judged apart from those before them: none of these decides how, and nothing asks for the
    /// place of a row, which nobody knows there.
    pub(crate) fn is_settled(&self) -> bool {
        let is_ordered = self.row_rules.order_by.is_none() || self.order_kind.is_some();
        is_ordered && self.row_rules.only.is_none()
    }

    /// The job's key field, if there is an identity.
    pub fn key_field(&self) -> Option<FieldKind> {
        self.identity.map(|identity| identity.key_field)
    }

    /// The tag of the subjects it makes, if there is an identity.
    pub fn tag(&self) -> Option<SubjectTag> {
        self.subjects.as_ref().map(Subjects::tag)
    }

    /// Judges a row that could be read. Its canonical fields, findings and facts stand in the judge until the next.
    pub fn row(&mut self, row: &Row<'_>) -> Judged {
        self.facts.clear();
        self.old.clear();
        let left_out = match self.row_rules.filter.keeps(|column| row.watched(column)) {
            Kept::Yes | Kept::No | Kept::Unknown(_)
                if self.row_rules.leaves_out(row.place()) || !self.row_rules.is_chosen(row) =>
            {
                Some(Judged::Filtered)
            }
            Kept::Yes => None,
            Kept::No => Some(Judged::Filtered),
            Kept::Unknown(_) => Some(rejected("where.incomparable")),
        };
        if let Some(judged) = left_out {
            self.checked.clear();
            return judged;
        }
        self.check_fields(row);
        self.find_numbers(row.numbers());
        if let Some(finding) = self.checked.rejected() {
            return Judged::Rejected { code: finding.rule.rule().code, field: finding.field };
        }
        let (subject, version) = match self.identify(row) {
            Ok(identified) => identified,
            Err(judged) => return judged,
        };
        match self.rank(row) {
            Ok(rank) => Judged::Valid { subject, version, rank },
            Err(code) => rejected(code),
        }
    }

    /// Checks the fields of a row. What clears a field is asked for first: no rule of a field is about that.
    fn check_fields(&mut self, row: &Row<'_>) {
        let clears = &self.row_rules.clears;
        if !clears.is_any() {
            fields::check_row(self.rules, &|kind| row.cell(kind), &mut self.checked);
            return;
        }
        let (cleared, refused) = clears.of(row, self.key_field());
        let missed = clears.near_misses(row);
        let asked = cleared.union(refused).union(missed);
        let cell = |kind| row.cell(kind).filter(|_| !asked.contains(kind));
        fields::check_row(self.rules, &cell, &mut self.checked);
        for kind in cleared.iter() {
            // No value is empty otherwise (see `Fields`).
            self.checked.fields.set(kind, "");
        }
        let told = |rule| move |kind| Finding { rule, severity: Severity::Error, field: Some(kind) };
        let refused = refused.iter().map(told(CLEAR_NOT_ALLOWED));
        let findings = refused.chain(missed.iter().map(told(CLEAR_NEAR_MISS)));
        self.checked.findings.splice(0..0, findings);
    }

    /// Whom a valid row is about, the version it keeps, and what it sets, as facts.
    fn identify(&mut self, row: &Row<'_>) -> Result<(SubjectId, Option<Version>), Judged> {
        let Some(identity) = self.identity else { return Ok((SubjectId([0; 16]), None)) };
        let Some(key) = self.checked.fields.get(identity.key_field) else {
            return Err(Judged::Rejected { code: "key.missing", field: Some(identity.key_field) });
        };
        let Some(subjects) = &self.subjects else { unreachable!("whoever has an identity has subjects") };
        let subject = subjects.id(key);
        let version = match row.origin() {
            None => None,
            Some(origin) => {
                if self.runs.len() >= RUNS_MAX {
                    self.runs.clear();
                }
                let batch = *self.runs.entry(origin.run).or_insert_with_key(|run| (identity.find_run)(run));
                let batch = batch.ok_or(rejected("origin.unknown_run"))?;
                Some(Version { batch, ordinal: origin.row })
            }
        };
        let Judge { checked, facts, classes, .. } = self;
        let state_key = identity.state_key;
        for (kind, field) in checked.fields.iter_numbered() {
            let is_class = kind == FieldKind::UserClass;
            let hash = if is_class {
                class_hash(classes, state_key, field)
            } else {
                state_key.field_numbered(field)
            };
            facts.push((kind, hash));
        }
        if row.may_have_old() && OLD_FIELDS.into_iter().any(|kind| row.old(kind).is_some()) {
            self.read_old(row, identity.state_key);
        }
        Ok((subject, version))
    }

    /// What the fields of a row were before, in the same form as what they are to be. A value that is none is ignored.
    fn read_old(&mut self, row: &Row<'_>, state_key: &StateKey) {
        let cell = |kind| if OLD_FIELDS.contains(&kind) { row.old(kind) } else { None };
        fields::check_row(self.rules, &cell, &mut self.old_checked);
        let Checked { fields, given, .. } = &self.old_checked;
        let severity = match self.rules.severity(OLD_INVALID) {
            // The row is as sound as without the column.
            Severity::Error => Severity::Warn,
            told @ (Severity::Off | Severity::Fix | Severity::Warn) => told,
        };
        for kind in given.iter() {
            match fields.numbered(kind) {
                Some(field) => self.old.push((kind, state_key.field_numbered(field))),
                None if severity == Severity::Off => {}
                None => {
                    self.checked.findings.push(Finding { rule: OLD_INVALID, severity, field: Some(kind) });
                }
            }
        }
    }

    /// The row's place among its subject's rows, where a column gives it, or the code of the rule against it. What the
    /// first valid row has decides for all whether the column holds numbers or dates.
    fn rank(&mut self, row: &Row<'_>) -> Result<Option<i128>, &'static str> {
        if self.row_rules.order_by.is_none() {
            return Ok(None);
        }
        let column = self.row_rules.filter.columns().count();
        match OrderValue::parse(row.watched(column).unwrap_or_default()) {
            Ok(None) => Ok(Some(RANK_OLDEST)),
            Ok(Some(value)) if *self.order_kind.get_or_insert(value.kind) == value.kind => {
                Ok(Some(value.rank))
            }
            Ok(Some(_)) => Err("order.mixed"),
            Err(OrderError::Ambiguous) => Err("order.ambiguous"),
            Err(OrderError::Invalid) => Err("order.invalid"),
        }
    }

    /// Whom the rejected row judged last is about and its rank, where a column gives the order and both can be read. A
    /// row that is replayed keeps its version.
    fn place_of_rejected(&self, row: &Row<'_>) -> Option<(SubjectId, i128)> {
        self.row_rules.order_by.as_ref()?;
        let identity = self.identity.filter(|_| row.origin().is_none())?;
        let key = self.checked.fields.get(identity.key_field)?;
        let column = self.row_rules.filter.columns().count();
        let value = OrderValue::parse(row.watched(column).unwrap_or_default()).ok()?;
        // A rejected row decides nothing for others: not what the column holds, either.
        let is_fitting = |value: &OrderValue| self.order_kind.is_none_or(|kind| kind == value.kind);
        let rank = value.map_or(Some(RANK_OLDEST), |value| is_fitting(&value).then_some(value.rank))?;
        Some((self.subjects.as_ref()?.id(key), rank))
    }

    /// Every reason beside the first for which the row judged last is rejected, each once.
    pub fn also(&self, judged: Judged) -> Vec<Breach> {
        let Judged::Rejected { code, field } = judged else { return Vec::new() };
        let first = Breach { code, field };
        let mut also: Vec<Breach> = Vec::new();
        for finding in self.checked.findings.iter().filter(|finding| finding.severity == Severity::Error) {
            let breach = Breach { code: finding.rule.rule().code, field: finding.field };
            if breach != first && !also.contains(&breach) {
                also.push(breach);
            }
        }
        // A key that was rejected itself is told by its own rule.
        if let (Some(rejected), Some(key)) = (self.checked.rejected(), self.key_field())
            && first.code == rejected.rule.rule().code
            && self.checked.fields.get(key).is_none()
            && !self
                .checked
                .findings
                .iter()
                .any(|finding| finding.field == Some(key) && finding.severity == Severity::Error)
        {
            also.push(Breach { code: "key.missing", field: Some(key) });
        }
        also
    }

    /// Columns with spreadsheet damage, as far as the survey saw them.
    pub fn damaged(&self) -> Vec<ColumnDamage> {
        let damaged = self.columns.damaged();
        damaged.map(|(field, affected, values)| ColumnDamage { field, affected, values }).collect()
    }

    /// Notes the identifiers that were JSON numbers. A number of no identifier (a class, say) is one by right.
    fn find_numbers(&mut self, numbers: FieldSet) {
        let severity = self.rules.severity(JSON_NUMBER);
        if numbers.is_empty() || severity == Severity::Off {
            return;
        }
        for spec in &FIELDS {
            let is_identifier = matches!(spec.cleaning, Cleaning::Digits | Cleaning::Opaque);
            if is_identifier && numbers.contains(spec.kind) && self.checked.fields.get(spec.kind).is_some() {
                let field = Some(spec.kind);
                self.checked.findings.push(Finding { rule: JSON_NUMBER, severity, field });
            }
        }
    }

    /// Whom a row is about, as far as its key cell alone tells: also of a row that a rule rejects or a condition
    /// leaves out.
    pub(crate) fn subject_of(&mut self, row: &Row<'_>) -> Option<SubjectId> {
        let key_field = self.key_field()?;
        let cell = |kind| row.cell(kind).filter(|_| kind == key_field);
        fields::check_row(self.rules, &cell, &mut self.checked);
        let key = self.checked.fields.get(key_field)?;
        Some(self.subjects.as_ref()?.id(key))
    }

    /// Judges whatever the reader yields.
    pub fn read(&mut self, row: &Result<Row<'_>, RowError>) -> (Place, Judged) {
        match row {
            Ok(row) => (row.place(), self.row(row)),
            Err(error) if self.row_rules.leaves_out(error.place) => {
                self.checked.clear();
                (error.place, Judged::Filtered)
            }
            Err(error) => {
                self.checked.clear();
                (error.place, Judged::Rejected { code: error.code, field: None })
            }
        }
    }
}

/// The hash of a class, behind its field's number, remembered from a row before.
fn class_hash(known: &mut Vec<(Vec<u8>, FieldHash)>, state_key: &StateKey, class: &[u8]) -> FieldHash {
    if let Some((_, hash)) = known.iter().find(|(of, _)| of == class) {
        return *hash;
    }
    let hash = state_key.field_numbered(class);
    if known.len() < CLASSES_MAX {
        known.push((class.to_owned(), hash));
    }
    hash
}

/// Rejected by a rule of whole rows.
fn rejected(code: &'static str) -> Judged {
    Judged::Rejected { code, field: None }
}

/// Why a survey ended early.
#[derive(Debug)]
pub enum SurveyError {
    /// The input cannot be read on.
    Source(SourceError),
    /// The operator asked to stop. Nothing was sent.
    Stopped(Stop),
    /// The rows cannot be kept.
    Gather(GatherError),
}

impl From<GatherError> for SurveyError {
    fn from(error: GatherError) -> SurveyError {
        SurveyError::Gather(error)
    }
}

/// Who looks at every row of a survey beside the plan: the row as it was read, the judgement, and who made it.
pub type Watch<'a> = dyn FnMut(&Result<Row<'_>, RowError>, Judged, &Judge<'_>) + 'a;

/// Surveys all inputs, on so many threads as `ahead` says: one call of a judge per row, one event per finding, then
/// those about the whole input. Events, in their order, and all that is gathered are the same on any number of
/// threads.
///
/// # Errors
/// What stops the run: the input cannot be read on, or the operator asked to stop.
pub fn survey(
    inputs: &mut Inputs,
    judge: &mut Judge<'_>,
    emitter: &mut Emitter<'_>,
    signals: &Signals,
    gather: &GatherOptions,
    ahead: AheadOptions,
) -> Result<Gather, SurveyError> {
    surveyed(inputs, judge, emitter, signals, gather, Reading::Ahead(ahead))
}

/// Like [`survey`], on one thread, with somebody who looks at every row.
///
/// # Errors
/// Those of [`survey`].
pub fn survey_watched(
    inputs: &mut Inputs,
    judge: &mut Judge<'_>,
    emitter: &mut Emitter<'_>,
    signals: &Signals,
    gather: &GatherOptions,
    watch: &mut Watch<'_>,
) -> Result<Gather, SurveyError> {
    surveyed(inputs, judge, emitter, signals, gather, Reading::Watched(watch))
}

fn surveyed(
    inputs: &mut Inputs,
    judge: &mut Judge<'_>,
    emitter: &mut Emitter<'_>,
    signals: &Signals,
    gather: &GatherOptions,
    reading: Reading<'_, '_>,
) -> Result<Gather, SurveyError> {
    judge.columns = ColumnBook::new(judge.rules, mapped_everywhere(inputs));
    let collector = Collector {
        gather: Gather::new(mappable(inputs), gather),
        bytes_total: inputs.bytes_total(),
        emitter: &mut *emitter,
        signals,
    };
    let read = reading::read_all(inputs, judge, collector, reading);
    for note in inputs.text_notes() {
        emitter.emit(Event::Noticed { text: note.to_string() });
    }
    if read.is_ok() {
        tell_columns(inputs, judge, emitter);
    }
    read
}

/// What only the whole input shows: alarms about columns.
fn tell_columns(inputs: &Inputs, judge: &Judge<'_>, emitter: &mut Emitter<'_>) {
    let alarms = judge.columns.alarms();
    if alarms.is_empty() {
        return;
    }
    let mapped = mapped_columns(inputs);
    for alarm in alarms {
        let file = alarm.first.and_then(|place| inputs.files().get(usize::try_from(place.file).ok()?));
        let columns = || mapped.iter().filter(|column| column.field == alarm.field);
        let column = columns()
            .find(|column| file.is_some_and(|file| file.name == column.file))
            .or_else(|| columns().next())
            .map_or_else(|| alarm.field.name().to_owned(), |column| column.column.clone());
        emitter.emit(Event::ColumnAlarmed(AlarmFacts {
            column,
            field: alarm.field,
            code: alarm.code,
            affected: alarm.affected,
            values: alarm.values,
            first: alarm.first,
        }));
    }
}

/// Fields that have a column in every input; of NDJSON, as far as it was read.
fn mapped_everywhere(inputs: &Inputs) -> FieldSet {
    let columns = mapped_columns(inputs);
    let has = |file: &str, field| columns.iter().any(|column| column.field == field && column.file == file);
    let is_everywhere = |field: &FieldKind| inputs.files().iter().all(|file| has(&file.name, *field));
    FieldKind::ALL.into_iter().filter(is_everywhere).collect()
}

/// Which column stands for which field, input by input; complete after a survey.
pub fn mapped_columns(inputs: &Inputs) -> Vec<MappedColumn> {
    let mapped = |by| match by {
        MappedBy::Synonym => "by synonym",
        MappedBy::Path => "by path",
        MappedBy::NameAlike => "by a name alike",
        MappedBy::Name => "by name",
    };
    let notes = inputs.mapping_notes().into_iter();
    notes
        .filter_map(|note| {
            let by = mapped(note.by?);
            Some(MappedColumn { file: note.file, field: note.field, column: note.column, by })
        })
        .collect()
}

/// NDJSON may show further members later in the file, so that only CSV headers bound what can be mapped.
fn mappable(inputs: &Inputs) -> FieldSet {
    let is_open = inputs.files().iter().any(|file| file.format == Format::Ndjson);
    if is_open { FieldKind::ALL.into_iter().collect() } else { inputs.mapped() }
}
