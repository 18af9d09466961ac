//! Events: past-tense facts that both passes emit through one seam, and that every reporter listens to.
//!
//! An event never holds a value of a field. Not here: the numbers folded from events (`stats.rs`), and how any of it
//! is shown (`report/`).

use crate::choice::choice;
use crate::ledger::FailureKind;
use crate::row::Place;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

/// An event with the moment it happened, in milliseconds since the run began (monotonic).
#[derive(Debug, Clone)]
pub struct Stamped {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run began; nothing was read yet.
    RunStarted(RunFacts),
    /// An input was opened and its columns were mapped.
    InputOpened {
        /// Name as given.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// `csv` or `ndjson`.
        format: &'static str,
    },
    /// Something about the whole run that the operator should read once (unknown columns, an empty input).
    Noticed {
        /// The text, without any value of a field.
        text: String,
    },
    /// The same of something that somebody is harmed by as long as nothing is done about it: who reads little is
    /// told, too.
    Warned {
        /// The text, without any value of a field.
        text: String,
    },
    /// A pass moved on. Counts are totals of that pass.
    Progressed {
        /// Rows passed so far.
        rows: u64,
        /// Input bytes passed so far.
        bytes: u64,
        /// Input bytes of the pass.
        bytes_total: u64,
    },
    /// A rule applied to a field or a row (severity `fix` or `warn`); the row goes on.
    RuleApplied {
        /// Where.
        place: Place,
        /// The rule's code.
        code: &'static str,
        /// Whether it was a warning (`true`) or a silent normalisation (`false`).
        warning: bool,
        /// The field, if the rule is about one.
        field: Option<FieldKind>,
    },
    /// A row was rejected by the survey.
    RowRejected {
        /// Where.
        place: Place,
        /// The rule's code.
        code: &'static str,
        /// The field, if the rule is about one.
        field: Option<FieldKind>,
        /// Every further reason for which it is rejected, each once.
        also: Vec<Breach>,
    },
    /// The survey knows which column stands for which field; of NDJSON that takes the whole input.
    ColumnsMapped {
        /// The columns, input by input, in wire order.
        columns: Vec<MappedColumn>,
        /// The key field.
        key: Option<FieldKind>,
        /// How it came to be the key, in a few words.
        key_by: &'static str,
    },
    /// Lines that are no rows were passed over in the survey.
    LinesSkipped {
        /// Blank lines: empty, of white space, or of delimiters only.
        blank: u64,
        /// Lines of footers and trailers.
        footer: u64,
        /// Headers that repeat the header of their input.
        header: u64,
    },
    /// A whole column shows something that no single row can show.
    ColumnAlarmed(AlarmFacts),
    /// A readable row was left out by a condition: no rule was asked about it.
    RowFiltered {
        /// Where.
        place: Place,
    },
    /// The survey ended and every row has its disposition.
    PlanMade(Box<PlanFacts>),
    /// A gate stopped the run before the first request, or was overridden.
    GateTripped {
        /// Name of the gate, as in the configuration.
        gate: &'static str,
        /// What it found, without values of fields.
        text: String,
        /// Whether `--yes` let the run go on.
        overridden: bool,
    },
    /// Delivery began.
    DeliveryStarted {
        /// Updates to send.
        updates: u64,
        /// Whether the API has acknowledged something of this target, envelope and mapping before.
        is_proven: bool,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The answer's status; `None` when there was no answer.
        status: Option<u16>,
        /// What became of it, in one word (`acknowledged`, `refused`, `throttled`, `timeout`, …).
        outcome: &'static str,
        /// Milliseconds from sending to the end of the answer.
        latency_ms: u64,
        /// Whether an earlier attempt of the same update had been made in this run.
        is_retry: bool,
    },
    /// An update's acknowledgement is durable in the journal.
    UpdateSynced {
        /// Place of its last row.
        place: Place,
    },
    /// An update has failed for good in this run, durably.
    UpdateFailed {
        /// Place of its last row.
        place: Place,
        /// How.
        kind: FailureKind,
        /// The last answer's status, if there was any.
        status: Option<u16>,
        /// The complaint, with all values masked.
        signature: String,
    },
    /// An update was refused for a conflict and waits for a later pass.
    UpdateDeferred {
        /// Place of its last row.
        place: Place,
    },
    /// The run ended while an attempt was on the wire: the update may or may not have been applied.
    UpdateInDoubt {
        /// Place of its last row.
        place: Place,
    },
    /// How many attempts may be on the wire at once has changed; told once a second at most.
    LimitChanged {
        /// The limit.
        in_flight: u64,
    },
    /// How many subjects are cleared of what others take, and wait for their own updates, has changed; told once a
    /// second at most.
    SubjectsCleared {
        /// How many.
        subjects: u64,
    },
    /// Nothing is to be done with the rows that were read, and nothing is left of them: they are in nobody's books.
    RowsSetAside,
    /// A true swap was broken: the clear of one of its subjects is durably acknowledged.
    SwapBroken,
    /// Why sending is slower than its rate has changed; told once a second at most.
    Slowed {
        /// Why, in a few words; `None` where it is not.
        why: Option<String>,
    },
    /// Sending pauses for everybody.
    Paused {
        /// Why, in a few words.
        reason: &'static str,
        /// For how long, if known, in milliseconds.
        for_ms: Option<u64>,
    },
    /// Sending goes on.
    Resumed,
    /// The operator asked for a status line.
    StatusAsked,
    /// A pass over deferred or chronic rows began.
    LaterPassStarted {
        /// What it is about, in a few words.
        about: &'static str,
        /// Updates in it.
        updates: u64,
    },
    /// A group of records became durable.
    Committed {
        /// Records in the group.
        records: u64,
    },
    /// The run was asked to stop and drains: no new attempt starts.
    DrainStarted {
        /// Why, in a few words.
        reason: String,
        /// Attempts on the wire.
        in_flight: u64,
        /// What the scheduler found, where it stopped the run for refusals.
        halt: Option<Halt>,
    },
    /// The run ended; the books are closed.
    RunEnded {
        /// The exit code.
        exit_code: u8,
        /// Why it stopped early, if it did, in a sentence.
        stopped: Option<String>,
    },
}

/// A rule that a row broke, and the field it was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    /// The rule's code.
    pub code: &'static str,
    /// The field, if the rule is about one.
    pub field: Option<FieldKind>,
}

/// A column that stands for a field in one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedColumn {
    /// The input's name.
    pub file: String,
    /// The field.
    pub field: FieldKind,
    /// The column, as the input names it.
    pub column: String,
    /// How it came to stand for the field, in a few words.
    pub by: &'static str,
}

/// An alarm about a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmFacts {
    /// The column, as the input names it.
    pub column: String,
    /// The field it stands for.
    pub field: FieldKind,
    /// The rule's code.
    pub code: &'static str,
    /// Values that show it.
    pub affected: u64,
    /// Values in the column.
    pub values: u64,
    /// Where first, if it has a place.
    pub first: Option<Place>,
}

/// How many values of a column carry spreadsheet damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDamage {
    /// The field the column stands for.
    pub field: FieldKind,
    /// Values with damage.
    pub affected: u64,
    /// Values in the column.
    pub values: u64,
}

/// What a run is about.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Id of the run, sortable by time.
    pub run_id: String,
    /// `sync`, `plan`, `check`, …
    pub command: &'static str,
    /// The target, as text for people.
    pub target: String,
    /// Wall clock at the start, RFC 3339.
    pub started_at: String,
    /// Version of the program.
    pub tool_version: &'static str,
}

/// What the plan found, in numbers. `None` of them is a value of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanFacts {
    /// The batch, as hex; empty where there is none.
    pub batch: String,
    /// Whether an open batch is continued.
    pub resumed: bool,
    /// Whether another batch of the target is newer.
    pub overtaken: bool,
    /// The key field.
    pub key: Option<FieldKind>,
    /// Rows by disposition.
    pub rows: PlanRows,
    /// Updates that would set a field to something else than the ledger holds, by field in wire order.
    pub field_changes: [u64; FIELD_COUNT],
    /// Updates to send for subjects the ledger does not know.
    pub subjects_new: u64,
    /// Updates to send for subjects the ledger knows.
    pub subjects_changed: u64,
    /// Those of them that change nothing: sent again because `resend_after` has passed, or by `--full`.
    pub updates_refreshed: u64,
    /// Updates that settle what an earlier run left in doubt: those left in doubt, and others that overwrite them.
    pub in_doubt_resent: u64,
    /// Subjects that an earlier run left in doubt and that these are about.
    pub subjects_in_doubt: u64,
    /// Places of the first of them.
    pub in_doubt_places: Vec<Place>,
    /// Rows to send, or folded into one to send, without fields that another batch has set newer and no row of this
    /// one sets.
    pub rows_trimmed: u64,
    /// Updates refused earlier in this batch, not sent again and counted failed.
    pub refused_before: u64,
    /// Columns with spreadsheet damage, in wire order.
    pub damaged: Vec<ColumnDamage>,
    /// Rows to send, or folded into one to send, that clear a field which is not known as cleared.
    pub clears: u64,
    /// Subjects of the batch with an update that has nothing to change.
    pub subjects_unchanged: u64,
    /// Subjects of this target and key field of which the ledger knows an acknowledgement.
    pub subjects_known: u64,
    /// Rows of which a newer batch has set a part, whatever became of the rest.
    pub rows_overtaken: u64,
    /// Unchanged rows that are newer than a failure of their subject, and overtake it.
    pub confirmed: u64,
    /// Known subjects of which the batch has no row.
    pub subjects_missing: u64,
    /// Subjects of which the batch has no row, and which an earlier run left with an update in doubt.
    pub left_in_doubt: u64,
    /// Subjects that an earlier run cleared to break a swap, to which nothing was given since, and to which this
    /// input gives nothing either.
    pub left_cleared: u64,
    /// The identifier value that most subjects share, where updates to send set it and two subjects or more have it.
    pub repeated: Option<Repeated>,
    /// The subject with the most rows, where any has several.
    pub key_repeated: Option<KeyRepeated>,
    /// Known subjects with an update that sets a field to something else than the ledger holds. Where the only such
    /// fields are unknown since an attempt without an answer, nothing is altered: the update resolves them.
    pub subjects_altered: u64,
    /// Whether an earlier run has begun to deliver this very batch, so that its gates let it pass.
    pub is_begun: bool,
    /// Whether the input is a whole export, as far as anybody can tell: nothing is filtered, and no file of our own
    /// is fed back. Only then it is compared with what is usual.
    pub is_whole: bool,
    /// Fields that have a column in this input.
    pub mapped: FieldSet,
    /// Rows with a value in the field's column, in wire order.
    pub filled: [u64; FIELD_COUNT],
    /// Figures of the latest whole exports at this target, oldest first.
    pub usual: Vec<BatchFigures>,
    /// Updates to send as examples, in file order; of a plan alone.
    pub samples: Vec<ChangeSample>,
    /// Subjects that take what others of the batch give up.
    pub chains: ChainFacts,
    /// The places of the first true swaps' rows, swap by swap: the row that carries each subject's update.
    pub swap_places: Vec<Vec<Place>>,
    /// Of the first swaps that are broken, the row that carries the update of the subject that is cleared first, and of
    /// what.
    pub swap_clears: Vec<(Place, FieldSet)>,
    /// Of the first swaps that are not broken although it was asked for, their first row and why, in words.
    pub swap_obstacles: Vec<(Place, String)>,
}

/// Subjects that take a `number`, `imsi` or `iccid` that others of the batch give up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChainFacts {
    /// Chains: sent release before assign.
    pub chains: u64,
    /// Subjects of the longest.
    pub longest: u64,
    /// Updates that wait for another.
    pub waiting: u64,
    /// True swaps: rings, in which nobody can be first.
    pub swaps: u64,
    /// Subjects in them.
    pub swap_subjects: u64,
    /// Those of the swaps that are broken by clearing one of their subjects first.
    pub swaps_broken: u64,
    /// Pairs of subjects beyond `plan.chain_rows_max`, whose order is left to what the server says.
    pub unordered: u64,
}

/// Figures of a batch that was a whole export, kept to tell what is usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchFigures {
    /// The batch's sequence on its target.
    pub batch_seq: u64,
    /// Rows read.
    pub rows: u64,
    /// Known subjects of which it had no row.
    pub missing: u64,
    /// Rows with a value in the field's column, in wire order.
    pub filled: [u64; FIELD_COUNT],
}

/// An update to send, as an example. Its values are masked, so that they identify nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSample {
    /// Place of the row that carries it.
    pub place: Place,
    /// Whether nothing of its subject was acknowledged before.
    pub is_new: bool,
    /// What it changes, in wire order.
    pub changes: Vec<FieldChange>,
}

/// One field that an update sets to something else than the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The field.
    pub field: FieldKind,
    /// What was known of its value at the server.
    pub before: FieldBefore,
    /// Whether it is cleared.
    pub is_cleared: bool,
    /// The new value, masked; empty where it is cleared.
    pub masked: String,
}

choice! {
    /// What was known of a field's value at the server before an update.
    pub enum FieldBefore {
        /// Nothing of the subject was.
        New = "new",
        /// It was acknowledged.
        Known = "was known",
        /// It was never acknowledged, or an attempt has ended without an answer since.
        Unknown = "was unknown",
    }
}

/// One key value that many rows have, which are one subject for it; which value it is, is told by its first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRepeated {
    /// Valid rows that have it.
    pub rows: u64,
    /// Ordinal of the first of them.
    pub first_ordinal: u64,
    /// Where that stands, once it was looked for.
    pub first: Option<Place>,
    /// Whether any of them is to be sent.
    pub is_sent: bool,
}

/// One identifier value that many subjects share; which value it is, is told by a row that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// The field whose value it is; never the key.
    pub field: FieldKind,
    /// Subjects that have it in the batch.
    pub subjects: u64,
    /// Ordinal of the first row that sets it.
    pub first_ordinal: u64,
}

/// Rows by disposition, as the plan rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanRows {
    /// Rows read.
    pub read: u64,
    /// Rejected by a rule, or unreadable.
    pub rejected: u64,
    /// Left out by a filter.
    pub filtered: u64,
    /// Another shard's.
    pub elsewhere: u64,
    /// Equal to their subject's immediately preceding row.
    pub duplicate: u64,
    /// Overtaken by something newer.
    pub superseded: u64,
    /// Nothing to change.
    pub unchanged: u64,
    /// Two subjects claim one identifier.
    pub conflict: u64,
    /// Kept back by a policy.
    pub held: u64,
    /// Part of a later row's update.
    pub folded: u64,
    /// Refused earlier in this batch: failed without being sent again.
    pub refused_before: u64,
    /// To be sent.
    pub send: u64,
}

impl PlanRows {
    /// Whether every row read has exactly one disposition.
    pub fn is_balanced(&self) -> bool {
        self.read
            == self.rejected
                + self.filtered
                + self.elsewhere
                + self.duplicate
                + self.superseded
                + self.unchanged
                + self.conflict
                + self.held
                + self.folded
                + self.refused_before
                + self.send
    }
}

/// The one seam between the passes and the world: whoever wants to know implements this.
pub trait Listener {
    /// Takes one event. Called synchronously; a slow listener slows the run, which is the backpressure wanted.
    fn on_event(&mut self, event: &Stamped);
}

/// Answers that stop a run: what to do next depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Nothing was ever accepted at the target.
    NothingAccepted,
    /// One complaint about everybody, in the middle of a run.
    RefusalsInARow,
    /// An error budget is used up.
    Budget,
    /// Redirects: the address is wrong, or something else answers under it.
    Redirected,
}
